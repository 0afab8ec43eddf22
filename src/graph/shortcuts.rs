//! The names that a command line may begin with, and the message for a word that is none of them.

use crate::config::Configuration;
use crate::eval::Value;
use crate::graph::entry::Commands;
use crate::graph::python_habits;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::FILE_SCHEME;
use crate::line::word::Word;
use crate::plan::application::PythonInterface;
use crate::syntax::{all_nearest, quoted};

/// The prefix of the properties that define names.
pub const SHORTCUTS: &str = "peak.running.shortcuts.";

/// A name that configuration files define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortcut {
    /// The name.
    pub name: String,
    /// What it stands for, in one line.
    pub about: String,
}

/// The names that configuration files define, sorted.
#[must_use]
pub fn shortcuts(configuration: &Configuration) -> Vec<Shortcut> {
    defined(configuration)
        .into_iter()
        .map(|name| {
            let about = match configuration.get(&property(configuration, &name)) {
                Ok(Some(Value::Alias(alias))) => format!("Stands for `{}`", alias.words.join(" ")),
                Ok(Some(Value::Routes(table))) => {
                    let keys: Vec<&str> = table.keys().filter_map(Value::as_str).collect();
                    format!("Applications for {}", keys.join(", "))
                }
                Ok(Some(Value::Import(target))) => format!("Stands for `import:{target}`"),
                Ok(Some(Value::Link(url))) => format!("Stands for `{url}`"),
                Ok(Some(Value::None)) => "Switched off".to_owned(),
                Ok(_) => "Cannot be run".to_owned(),
                Err(mistake) => format!("Cannot be run: {mistake}"),
            };
            Shortcut { name, about }
        })
        .collect()
}

/// The names alone, sorted.
#[must_use]
pub fn defined(configuration: &Configuration) -> Vec<String> {
    let below = configuration.names(SHORTCUTS);
    let below = below
        .iter()
        .filter_map(|name| Some(name.strip_prefix(SHORTCUTS)?.to_owned()));
    let mut all: Vec<String> = below.filter(|name| is_name(name)).collect();
    let top = configuration.names("").into_iter();
    // A value with a mistake is that of any property.
    let is_right = |name: &String| configuration.get(name).is_ok();
    all.extend(top.filter(|name| is_defined_at_top(configuration, name) && is_right(name)));
    all.sort();
    all.dedup();
    all
}

/// The property that defines a name, if one does: below [`SHORTCUTS`], or else before the first section of a file.
#[must_use]
pub fn property(configuration: &Configuration, name: &str) -> String {
    let below = format!("{SHORTCUTS}{name}");
    match !configuration.is_named(&below) && is_defined_at_top(configuration, name) {
        true => name.to_owned(),
        false => below,
    }
}

/// Whether a name is given to a command or an application before the first section of a file. There it may be that of
/// anything, so that the value decides.
fn is_defined_at_top(configuration: &Configuration, name: &str) -> bool {
    let is_command = |value: &Value| {
        matches!(
            value,
            Value::Alias(_) | Value::Routes(_) | Value::Import(_) | Value::Link(_)
        )
    };
    is_name(name)
        && !name.contains('.')
        && configuration.is_named(name)
        && configuration
            .get(name)
            .map_or(true, |value| value.as_ref().is_some_and(is_command))
}

/// Whether a configuration file defines a name, by a rule for this name alone.
#[must_use]
pub fn is_defined(configuration: &Configuration, name: &str) -> bool {
    is_name(name) && configuration.is_named(&format!("{SHORTCUTS}{name}"))
}

/// Whether a word has the form of a name.
#[must_use]
pub fn is_name(word: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "_-+!,(){}[]".contains(c);
    word.split('.')
        .all(|part| !part.is_empty() && part.chars().all(allowed))
}

/// What a word at some place of a command line is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The name of a command.
    Command,
    /// An application behind a gateway.
    Application,
    /// An object behind `WSGI` or `ASGI`.
    Object,
}

impl Wanted {
    /// The words that an object needs before it to be what is wanted.
    fn before_object(self, interface: PythonInterface) -> String {
        match self {
            Self::Command => format!("serve {} ", interface.word()),
            Self::Application => format!("{} ", interface.word()),
            Self::Object => String::new(),
        }
    }
}

/// The message for an unknown name, with the nearest names or with what may have been meant.
#[must_use]
pub fn unknown(commands: Commands, scope: &Scope, word: &Word, wanted: Wanted) -> Failure {
    let text = word.text.as_str();
    let folder = scope.folder(&word.origin);
    let (file, _) = text.split_once(':').unwrap_or((text, ""));
    let is_missing = file.ends_with(".py") && !folder.join(file).exists();
    let hint = if is_defined(&scope.configuration, text) {
        Some("a configuration file switches it off".to_owned())
    } else if is_missing {
        Some(format!("there is no file {}", quoted(file)))
    } else if file.ends_with(".wsgi") && folder.join(file).is_file() {
        let before = wanted.before_object(PythonInterface::Wsgi);
        Some(format!("write `{before}{FILE_SCHEME}{text}`"))
    } else {
        // A file that is here, and a misspelt name, are likelier than a module that is not here.
        let may_be_elsewhere =
            !folder.join(text).is_file() && !is_nearly_one(commands, scope, text);
        let before = |interface| wanted.before_object(interface);
        python_habits::hint(text, &folder, &before, may_be_elsewhere)
    };
    let hint = hint.or_else(|| {
        if folder.join(text).is_file() {
            Some(format!("to run a file, write `runIni {text}`"))
        } else if text.contains(':') {
            Some("the URL of a Python object is `import:package.module.object`".to_owned())
        } else {
            did_you_mean(commands, scope, text)
        }
    });
    let what = match text.contains(':') {
        true => "URL",
        false => "name",
    };
    scope.mistake(&word.origin, format!("unknown {what} `{text}`"), hint)
}

fn known(commands: Commands, scope: &Scope) -> Vec<String> {
    let built_in = commands.entries.iter();
    let mut known: Vec<String> = built_in.map(|entry| entry.name.to_owned()).collect();
    if scope.configuration.may_suggest() {
        known.extend(defined(&scope.configuration));
    }
    known
}

/// Whether a word is near enough to a name to be a typing mistake.
#[must_use]
pub fn is_nearly_one(commands: Commands, scope: &Scope, word: &str) -> bool {
    !nearest(word, &known(commands, scope)).is_empty()
}

fn did_you_mean(commands: Commands, scope: &Scope, word: &str) -> Option<String> {
    let known = known(commands, scope);
    let nearest = nearest(word, &known);
    if nearest.is_empty() {
        return Some("`runner help` lists all names".to_owned());
    }
    let quoted: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("did you mean {}?", quoted.join(" or ")))
}

/// The names that are nearest to a word, sorted.
fn nearest<'a>(word: &str, names: &'a [String]) -> Vec<&'a str> {
    let mut nearest = all_nearest(word, names.iter().map(String::as_str));
    nearest.sort_unstable();
    nearest.dedup();
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_whatever_their_case() {
        let names = ["serve", "FastCGI", "CGI", "runIni", "true"].map(str::to_owned);
        let cases: &[(&str, &[&str])] = &[
            ("serv", &["serve"]),
            ("fastcgi", &["FastCGI"]),
            ("cgi", &["CGI"]),
            ("runini", &["runIni"]),
            ("ture", &["true"]),
            ("frobnicate", &[]),
            ("", &[]),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, &names), *expected, "{word}");
        }
    }

    #[test]
    fn words_that_can_be_names() {
        for name in ["serve", "a.b", "x-1", "_", "ä"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "a..b", "a*", "b?", "a b", "./x", "tcp://x:1"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
