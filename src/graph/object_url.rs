//! URLs of Python objects as words: `import:package.module.object`, `file:app.wsgi`.

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::{FILE_SCHEME, InvalidTarget, SCHEME, Target};
use crate::line::word::{Origin, Word};

/// The Python object whose URL a word is, if it is one.
///
/// # Errors
/// The URL is malformed.
pub(super) fn of_word(scope: &Scope, word: &Word) -> Result<Option<Target>, Failure> {
    if let Some(name) = word.text.strip_prefix(SCHEME) {
        return parse(scope, name, &word.origin).map(Some);
    }
    let Some(text) = word.text.strip_prefix(FILE_SCHEME) else {
        return Ok(None);
    };
    let absolute = |path: &str| {
        let path = Word {
            text: path.to_owned(),
            exact: path.into(),
            origin: word.origin.clone(),
        };
        scope.absolute_path(&path)
    };
    let target = Target::in_file(text, absolute);
    let wrong = |invalid: InvalidTarget| scope.mistake(&word.origin, invalid.message, invalid.hint);
    target.map(Some).map_err(wrong)
}

/// The Python object with a name, which was written at the origin.
///
/// # Errors
/// The name is malformed.
pub(super) fn parse(scope: &Scope, name: &str, origin: &Origin) -> Result<Target, Failure> {
    name.parse()
        .map_err(|invalid: InvalidTarget| scope.mistake(origin, invalid.message, invalid.hint))
}
