//! Reads files for `supervise`: each key becomes a rule for its setting, over all rules of the layers below.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::files::load::{Inclusion, Loader};
use crate::config::keys::{COMMAND, KEYS, Key, PID_FILE};
use crate::config::rules::{Body, Origin};
use crate::eval::{Budget, Home, Items, Value};
use crate::syntax::key_lines::{CONTINUED, Line, Piece, Text, What, Word, parse};
use crate::syntax::{Diagnostic, Place, Span, did_you_mean, quoted};

/// Bytes of a value with everything that it refers to.
const LONGEST: usize = 1 << 16;

/// Bytes of all values and definitions.
const MOST: usize = 16 << 20;

/// A value and where it stands.
struct Given {
    value: Value,
    home: Arc<Home>,
    key: Span,
    span: Span,
}

/// What was read of a file and those that it includes.
#[derive(Default)]
struct Read {
    /// By name in lower case; for the whole file, those that it includes, and the rest of those that include it.
    defined: HashMap<String, String>,
    /// Of all values.
    bytes: usize,
    /// By the name of the setting, in the order of the files.
    given: Vec<(&'static Key, Given)>,
}

impl Loader {
    /// Reads a file for `supervise`.
    pub fn keys(&mut self, path: &Path) {
        let mut read = Read::default();
        let inclusion = Inclusion {
            prefix: String::new(),
            place: None,
            home: None,
        };
        let before = self.mistakes.len();
        let first = self.keys_of(path, &inclusion, &mut read);
        // What a line with a mistake was meant to be, nobody knows.
        let first = first.filter(|_| self.mistakes.len() == before);
        if let Some(home) = first {
            let missing = missing(&read, &home, |name| self.rules.origin(name).is_some());
            self.mistakes.extend(missing);
        }
        for key in KEYS {
            let given = read
                .given
                .iter()
                .filter(|(other, _)| other.setting == key.setting);
            let mut given = given.map(|(_, given)| given);
            let Some(one) = given.next() else {
                continue;
            };
            let value = match key.is_repeatable() {
                false => one.value.clone(),
                true => {
                    let further = given.map(|given| given.value.clone());
                    let all = std::iter::once(one.value.clone()).chain(further);
                    match Items::new(all.collect(), &mut Budget::default()) {
                        Ok(items) => Value::List(items),
                        Err(fault) => {
                            let mistake = fault.at(&one.home.source, one.span);
                            self.mistakes.push(mistake.into_diagnostic());
                            continue;
                        }
                    }
                }
            };
            let origin = Origin::File(Arc::clone(&one.home), one.span);
            self.insert(key.setting, Body::Value(value), origin);
        }
    }

    /// Reads one file, and gives what it is.
    fn keys_of(
        &mut self,
        path: &Path,
        inclusion: &Inclusion<'_>,
        read: &mut Read,
    ) -> Option<Arc<Home>> {
        let home = Arc::new(self.open(path, inclusion)?);
        let (lines, mistakes) = parse(&home.source);
        self.mistakes.extend(mistakes);
        let mut commented = false;
        for line in lines {
            if self.is_full() {
                break;
            }
            let comment = line.comment.is_some();
            if let Err(mistake) = self.key_line(line, &home, path, read) {
                let limit = mistake.code == "limit/memory";
                let continues = commented && mistake.code == "name/key" && mistake.hint.is_none();
                self.mistakes.push(match continues {
                    true => mistake.with_hint(CONTINUED),
                    false => mistake,
                });
                if limit {
                    break;
                }
            }
            commented = comment;
        }
        self.close();
        Some(home)
    }

    fn key_line(
        &mut self,
        line: Line,
        home: &Arc<Home>,
        path: &Path,
        read: &mut Read,
    ) -> Result<(), Diagnostic> {
        match line.what {
            What::Define { name, value } => {
                let text = self.replaced(&value, home, read)?;
                define(read, home, &name, text)
            }
            What::Include { file } => {
                let written = self.replaced(&file, home, read)?;
                let beside = path.parent().unwrap_or(Path::new("")).join(written);
                let inclusion = Inclusion {
                    prefix: String::new(),
                    place: Some(Place {
                        source: Arc::clone(&home.source),
                        span: file.span,
                    }),
                    home: None,
                };
                self.keys_of(&PathBuf::from(&beside), &inclusion, read);
                Ok(())
            }
            What::Key { key: word, value } => {
                let Some(key) = Key::find(&word.text) else {
                    let message = format!("there is no key {}", quoted(&word.text));
                    return Err(Diagnostic::new("name/key", message)
                        .at(&home.source, word.span)
                        .with_hint_if(suggestion(&word.text)));
                };
                if value.pieces.is_empty() {
                    let message = format!("key `{}` has no value", key.name);
                    return Err(Diagnostic::new("syntax/value", message)
                        .at(&home.source, word.span)
                        .with_hint(format!("write it as in `{}`", key.example)));
                }
                let text = self.replaced(&value, home, read)?;
                let value = key
                    .value(&text)
                    .map_err(|(message, hint)| {
                        Diagnostic::new("type/key", message)
                            .at(&home.source, value.span)
                            .with_hint_if(hint)
                    })
                    .map(|converted| Given {
                        value: converted,
                        home: Arc::clone(home),
                        key: word.span,
                        span: value.span,
                    })?;
                let before = read
                    .given
                    .iter()
                    .find(|(other, _)| other.setting == key.setting);
                match before.filter(|_| !key.is_repeatable()) {
                    None => read.given.push((key, value)),
                    Some((_, before)) => {
                        let message = format!("key `{}` stands twice", key.name);
                        return Err(Diagnostic::new("syntax/doubled", message)
                            .at(&home.source, word.span)
                            .with_label(
                                &before.home.source,
                                before.key,
                                "it stands here already",
                            ));
                    }
                }
                Ok(())
            }
        }
    }

    /// A value with the texts that its names stand for.
    fn replaced(&self, value: &Text, home: &Home, read: &mut Read) -> Result<String, Diagnostic> {
        let mut text = String::new();
        for piece in &value.pieces {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Name(name) => {
                    let Some(meant) = read.defined.get(&name.text.to_lowercase()) else {
                        return Err(self.undefined(name, home, read));
                    };
                    text.push_str(meant);
                }
                Piece::Environment(name) => {
                    let Some(meant) = self.rules.variable(&name.text) else {
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
        read.bytes += text.len();
        if read.bytes > MOST {
            let message = format!("the values have more than {} MiB in all", MOST >> 20);
            return Err(Diagnostic::new("limit/memory", message).at(&home.source, value.span));
        }
        Ok(text)
    }

    fn undefined(&self, name: &Word, home: &Home, read: &Read) -> Diagnostic {
        let mut known: Vec<&str> = read.defined.keys().map(String::as_str).collect();
        known.sort_unstable();
        let hint = match self.rules.variable(&name.text) {
            Some(_) => Some(format!(
                "write `$({})` for the environment variable, `$$` for a dollar sign",
                name.text
            )),
            None => did_you_mean(&name.text.to_lowercase(), known)
                .or_else(|| Some("write `$$` for a dollar sign".to_owned())),
        };
        let message = format!("`{}` is not defined", name.text);
        Diagnostic::new("name/definition", message)
            .at(&home.source, name.span)
            .with_hint_if(hint)
    }
}

/// The nearest key.
fn suggestion(word: &str) -> Option<String> {
    let folded = word.to_lowercase();
    let known: Vec<String> = KEYS.iter().map(|key| key.name.to_lowercase()).collect();
    let hint = did_you_mean(&folded, known.iter().map(String::as_str))?;
    let meant = KEYS
        .iter()
        .find(|key| hint.contains(&format!("`{}`", key.name.to_lowercase())))?;
    Some(format!("did you mean `{}`?", meant.name))
}

/// `%define NAME VALUE`: a name has one meaning.
fn define(read: &mut Read, home: &Home, name: &Word, text: String) -> Result<(), Diagnostic> {
    let folded = name.text.to_lowercase();
    match read.defined.get(&folded) {
        Some(before) if *before == text => Ok(()),
        Some(before) => {
            let message = format!("`{}` is {} already", name.text, quoted(before));
            Err(Diagnostic::new("name/defined", message).at(&home.source, name.span))
        }
        None => {
            read.defined.insert(folded, text);
            Ok(())
        }
    }
}

/// Keys without which nothing can be supervised, unless a layer below says the same.
fn missing(read: &Read, home: &Arc<Home>, known: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let (source, place) = match read.given.first() {
        Some((_, given)) => (&given.home.source, given.key),
        None => (&home.source, Span::default()),
    };
    [COMMAND, PID_FILE]
        .into_iter()
        .filter_map(|setting| KEYS.iter().find(|key| key.setting == setting))
        .filter(|key| {
            read.given
                .iter()
                .all(|(given, _)| given.setting != key.setting)
        })
        .filter(|key| !known(key.setting))
        .map(|key| {
            Diagnostic::new("name/missing", format!("there is no key `{}`", key.name))
                .at(source, place)
                .with_hint(format!("add one as in `{}`", key.example))
        })
        .collect()
}
