//! Reads files for `supervise`: each key becomes a rule for its setting, over all rules of the layers below.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::load::{Inclusion, Loader, beside};
use crate::config::keys::{COMMAND, KEYS, Key, PID_FILE};
use crate::config::rule::{Rule, RuleBody, RuleOrigin};
use crate::config::settings::SETTINGS;
use crate::eval::{Budget, Home, Items, Value};
use crate::syntax::key_lines::{CONTINUED, Identifier, Statement, Text, TextPiece, parse};
use crate::syntax::{Diagnostic, Place, Span, did_you_mean, quoted};

/// Bytes of a value after its references are replaced.
const LONGEST: usize = 1 << 16;

/// Bytes of all values and definitions.
const MOST: usize = 16 << 20;

/// A key with its value, and their places.
struct Given {
    key: &'static Key,
    value: Value,
    home: Arc<Home>,
    /// The place of the key.
    key_span: Span,
    /// The place of the value.
    span: Span,
}

/// Reads a file and those that it includes.
struct KeyFiles<'a> {
    loader: &'a mut Loader,
    /// By name in lower case. A definition holds for all lines that are read after it, in whatever file.
    defined: HashMap<String, String>,
    /// The size of all values.
    bytes: usize,
    /// In the order of the lines.
    given: Vec<Given>,
}

/// Reads a file with all that it includes.
pub(crate) fn read(loader: &mut Loader, path: &Path) {
    let before = loader.mistakes.len();
    let mut files = KeyFiles {
        loader,
        defined: HashMap::new(),
        bytes: 0,
        given: Vec::new(),
    };
    let first = files.file(path, &Inclusion::default());
    let given = files.given;
    // After a mistake, a key may be missing only because its line could not be read.
    if let Some(home) = first.filter(|_| loader.mistakes.len() == before) {
        let missing = missing(&given, &home, |name| loader.rules.origin(name).is_some());
        loader.mistakes.extend(missing);
    }
    for key in KEYS {
        let mut lines = given.iter().filter(|one| one.key.setting == key.setting);
        let Some(one) = lines.next() else {
            continue;
        };
        let origin = |one: &Given| RuleOrigin::File(Arc::clone(&one.home), one.span);
        let mut elements = Vec::new();
        let value = match key.is_repeatable() {
            false => one.value.clone(),
            true => {
                let all: Vec<&Given> = std::iter::once(one).chain(lines).collect();
                elements.extend(all.iter().map(|one| origin(one)));
                let all = all.iter().map(|given| given.value.clone()).collect();
                match Items::new(all, &mut Budget::default()) {
                    Ok(items) => Value::List(items),
                    Err(fault) => {
                        let mistake = fault.at(&one.home.source, one.span);
                        loader.mistakes.push(mistake.into_diagnostic());
                        continue;
                    }
                }
            }
        };
        let body = RuleBody::Value(value);
        loader.insert(Rule {
            elements,
            ..Rule::new(key.setting, body, origin(one), loader.layer)
        });
    }
}

impl KeyFiles<'_> {
    /// Reads one file and those that it includes; `None` if it cannot be opened.
    fn file(&mut self, path: &Path, inclusion: &Inclusion<'_>) -> Option<Arc<Home>> {
        let home = Arc::new(self.loader.open(path, inclusion)?);
        let (lines, mistakes) = parse(&home.source);
        self.loader.mistakes.extend(mistakes);
        let mut commented = false;
        for line in lines {
            if self.loader.is_full() {
                break;
            }
            if let Err(mistake) = self.statement(line.statement, &home, path) {
                let limit = mistake.code == "limit/memory";
                let continues = commented && mistake.code == "name/key" && mistake.hint.is_none();
                self.loader.mistakes.push(match continues {
                    true => mistake.with_hint(CONTINUED),
                    false => mistake,
                });
                if limit {
                    break;
                }
            }
            commented = line.comment.is_some();
        }
        self.loader.close();
        Some(home)
    }

    fn statement(
        &mut self,
        statement: Statement,
        home: &Arc<Home>,
        path: &Path,
    ) -> Result<(), Diagnostic> {
        match statement {
            Statement::Define { name, value } => {
                let text = self.replaced(&value, home)?;
                self.define(&name, text, home)
            }
            Statement::Include { file } => {
                let written = self.replaced(&file, home)?;
                let place = Place {
                    source: Arc::clone(&home.source),
                    span: file.span,
                };
                let inclusion = Inclusion {
                    place: Some(place),
                    ..Inclusion::default()
                };
                self.file(&beside(path, &written), &inclusion);
                Ok(())
            }
            Statement::Key { key, value } => self.key(&key, &value, home),
        }
    }

    fn key(&mut self, word: &Identifier, text: &Text, home: &Arc<Home>) -> Result<(), Diagnostic> {
        let Some(key) = Key::find(&word.text) else {
            let message = format!("there is no key {}", quoted(&word.text));
            return Err(Diagnostic::new("name/key", message)
                .at(&home.source, word.span)
                .with_hint_if(hint_for_unknown(&word.text)));
        };
        if text.pieces.is_empty() {
            let message = format!("key `{}` has no value", key.name);
            return Err(Diagnostic::new("syntax/value", message)
                .at(&home.source, word.span)
                .with_hint(format!("write it as in `{}`", key.example)));
        }
        let written = self.replaced(text, home)?;
        let value = key.value(&written).map_err(|(message, hint)| {
            Diagnostic::new("type/key", message)
                .at(&home.source, text.span)
                .with_hint_if(hint)
        })?;
        let mut before = self.given.iter();
        let before = before.find(|one| one.key.setting == key.setting);
        if let Some(before) = before.filter(|_| !key.is_repeatable()) {
            let message = format!("key `{}` is given twice", key.name);
            return Err(Diagnostic::new("syntax/doubled", message)
                .at(&home.source, word.span)
                .with_label(
                    &before.home.source,
                    before.key_span,
                    "it is first given here",
                ));
        }
        self.given.push(Given {
            key,
            value,
            home: Arc::clone(home),
            key_span: word.span,
            span: text.span,
        });
        Ok(())
    }

    /// `%define NAME VALUE`: a second definition of a name must have the same value.
    fn define(&mut self, name: &Identifier, text: String, home: &Home) -> Result<(), Diagnostic> {
        let folded = name.text.to_lowercase();
        match self.defined.get(&folded) {
            Some(before) if *before == text => {}
            Some(before) => {
                let message = format!("`{}` is already defined as {}", name.text, quoted(before));
                return Err(Diagnostic::new("name/defined", message).at(&home.source, name.span));
            }
            None => {
                self.defined.insert(folded, text);
            }
        }
        Ok(())
    }

    /// The text of a value, with its references replaced.
    fn replaced(&mut self, value: &Text, home: &Home) -> Result<String, Diagnostic> {
        let mut text = String::new();
        for piece in &value.pieces {
            match piece {
                TextPiece::Plain(plain) => text.push_str(plain),
                TextPiece::Name(name) => {
                    let Some(meant) = self.defined.get(&name.text.to_lowercase()) else {
                        return Err(self.undefined(name, home));
                    };
                    text.push_str(meant);
                }
                TextPiece::Environment(name) => {
                    let Some(meant) = self.loader.rules.variable(&name.text) else {
                        let message =
                            format!("the environment variable `{}` is not set", name.text);
                        return Err(Diagnostic::new("name/environment", message)
                            .at(&home.source, name.span));
                    };
                    text.push_str(meant);
                }
            }
            if text.len() > LONGEST {
                let message = format!("a value has more than {} KiB", LONGEST >> 10);
                return Err(Diagnostic::new("limit/value", message).at(&home.source, value.span));
            }
        }
        self.bytes += text.len();
        if self.bytes > MOST {
            let message = format!("the values have more than {} MiB in all", MOST >> 20);
            return Err(Diagnostic::new("limit/memory", message).at(&home.source, value.span));
        }
        Ok(text)
    }

    fn undefined(&self, name: &Identifier, home: &Home) -> Diagnostic {
        let mut known: Vec<&str> = self.defined.keys().map(String::as_str).collect();
        known.sort_unstable();
        let hint = match self.loader.rules.variable(&name.text) {
            Some(_) => format!(
                "write `$({})` for the environment variable, `$$` for a dollar sign",
                name.text
            ),
            None => did_you_mean(&name.text, known)
                .unwrap_or_else(|| "write `$$` for a dollar sign".to_owned()),
        };
        Diagnostic::new("name/definition", format!("`{}` is not defined", name.text))
            .at(&home.source, name.span)
            .with_hint(hint)
    }
}

/// The hint for a word that is no key: the key that is near or has this setting, or where settings belong.
fn hint_for_unknown(word: &str) -> Option<String> {
    if let Some(near) = did_you_mean(word, KEYS.iter().map(|key| key.name)) {
        return Some(near);
    }
    let is_it = |name: &&str| {
        let last = name.rsplit('.').next().unwrap_or(name);
        [name, last]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(word))
    };
    let setting = SETTINGS.iter().map(|setting| setting.name).find(is_it);
    if let Some(key) = KEYS.iter().find(|key| setting == Some(key.setting)) {
        return Some(format!("did you mean `{}`?", key.name));
    }
    // No key has a dot.
    let meant = setting.or(word.contains('.').then_some(word))?;
    Some(format!(
        "settings such as {} belong in an INI file that `Command` runs: `Command ./my_app.ini`",
        quoted(meant)
    ))
}

/// Errors for the keys that `supervise` needs, where neither the files nor a layer below gives them.
fn missing(given: &[Given], home: &Arc<Home>, known: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let (source, place) = match given.first() {
        Some(given) => (&given.home.source, given.key_span),
        None => (&home.source, Span::default()),
    };
    KEYS.iter()
        .filter(|key| [COMMAND, PID_FILE].contains(&key.setting))
        .filter(|key| given.iter().all(|one| one.key.setting != key.setting))
        .filter(|key| !known(key.setting))
        .map(|key| {
            Diagnostic::new("name/missing", format!("there is no key `{}`", key.name))
                .at(source, place)
                .with_hint(format!("add one as in `{}`", key.example))
        })
        .collect()
}
