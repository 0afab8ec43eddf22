//! The keys of files for `supervise`: one table, which reading, suggestions, `explain` and the manual read. A key is
//! another name for a setting, so that what holds for settings holds for it.

use super::setting::{self, Kind, Setting};
use super::settings;
use crate::eval::Value;
use crate::syntax::ini_lines::{Line, parse};
use crate::syntax::{Source, key_lines};
use std::sync::Arc;

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is usually written; any case does.
    pub name: &'static str,
    /// The setting that it gives a value.
    pub setting: &'static str,
    /// A line of a file with it.
    pub example: &'static str,
}

/// Every key, in the order in which they are usually written.
pub const KEYS: &[Key] = &[
    row(
        "Command",
        COMMAND,
        "Command FastCGI unix:/run/my_app/socket WSGI import:my_app.application",
    ),
    row("PidFile", PID_FILE, "PidFile /run/my_app.pid"),
    row("MinProcesses", "runner.workers.min", "MinProcesses 2"),
    row("MaxProcesses", "runner.workers.max", "MaxProcesses 8"),
    row("StartInterval", START_INTERVAL, "StartInterval 15s"),
    row("Import", "runner.workers.imports", "Import my_app.views"),
    row(
        "StartupLock",
        "runner.supervise.startup_lock",
        "StartupLock flockfile:/run/my_app.start",
    ),
    row(
        "PidLock",
        "runner.supervise.pid_lock",
        "PidLock flockfile:/run/my_app.lock",
    ),
    row("StopAfter", "runner.supervise.stop_after", "StopAfter 1d"),
    row(
        "IdleTimeout",
        "runner.supervise.idle_timeout",
        "IdleTimeout 1h",
    ),
    row(
        "RunAtLeast",
        "runner.supervise.run_at_least",
        "RunAtLeast 2m",
    ),
    row(
        "Program",
        "runner.supervise.programs",
        "Program ./worker --queue mail",
    ),
];

/// The setting that says what is supervised.
pub const COMMAND: &str = "runner.supervise.command";

/// The setting that names the pid file.
pub const PID_FILE: &str = "runner.supervise.pid_file";

const START_INTERVAL: &str = "runner.workers.start_interval";

/// The settings that have another default in `supervise`, and that default, in seconds.
pub const SUPERVISED: &[(&str, u64)] = &[(START_INTERVAL, 15)];

const fn row(name: &'static str, setting: &'static str, example: &'static str) -> Key {
    Key {
        name,
        setting,
        example,
    }
}

impl Key {
    /// The key that a word means, in any case.
    #[must_use]
    pub fn find(word: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(word))
    }

    /// The setting.
    ///
    /// # Panics
    /// There is no such setting; a test looks for each of them.
    #[must_use]
    pub fn setting(&self) -> &'static Setting {
        match settings::find(self.setting) {
            Some(setting) => setting,
            None => panic!("key {} has no setting", self.name),
        }
    }

    /// Whether it may stand several times.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.setting().kind == Kind::Texts
    }

    /// What it takes, in words.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self.setting().kind {
            Kind::Path => "a path".to_owned(),
            Kind::Text | Kind::Texts => "a text".to_owned(),
            kind @ (Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Automatic
            | Kind::Duration
            | Kind::Size
            | Kind::Program
            | Kind::Account
            | Kind::Rights
            | Kind::Url
            | Kind::Command) => kind.wanted(),
        }
    }

    /// What it takes, with the ways in which it can be written.
    #[must_use]
    pub fn written(&self) -> String {
        let wanted = self.wanted();
        match self.setting().kind {
            Kind::Duration => format!("{wanted}: {DURATIONS}"),
            Kind::Path => format!("{wanted}, relative to the file that the key stands in"),
            Kind::Texts => format!("{wanted}; the key may stand several times"),
            Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Automatic
            | Kind::Size
            | Kind::Text
            | Kind::Program
            | Kind::Account
            | Kind::Rights
            | Kind::Url
            | Kind::Command => wanted,
        }
    }

    /// What counts without it; `None` where that depends.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        match SUPERVISED.iter().find(|(name, _)| *name == self.setting) {
            Some((_, seconds)) => Some(format!("{seconds} s")),
            None => self.setting().default_text(),
        }
    }

    /// The value of its setting.
    ///
    /// # Errors
    /// It makes none: what is wrong, and a hint.
    pub(super) fn value(&self, text: &str) -> Result<Value, (String, Option<String>)> {
        let setting = self.setting();
        let value = match setting.kind {
            Kind::Integer { .. } => match text.parse::<u64>() {
                Ok(number) => Value::from(number),
                Err(_) => Value::text(text),
            },
            // One of several, which are put together when all are known.
            Kind::Texts if !text.is_empty() => return Ok(Value::text(text)),
            Kind::Boolean
            | Kind::Automatic
            | Kind::Duration
            | Kind::Size
            | Kind::Text
            | Kind::Texts
            | Kind::Path
            | Kind::Program
            | Kind::Account
            | Kind::Rights
            | Kind::Url
            | Kind::Command => Value::text(text),
        };
        if setting::check(setting, &value).is_ok() {
            return Ok(value);
        }
        let hint = (setting.kind == Kind::Duration).then(|| format!("write {DURATIONS}"));
        let message = format!(
            "key `{}` takes {} but got {}",
            self.name,
            self.wanted(),
            crate::syntax::quoted(text)
        );
        Err((message, hint))
    }
}

/// How durations are written in such files.
const DURATIONS: &str = "seconds as a number, or `1.5s`, `500ms`, `2m`, `1h`, `1d`";

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Settings, sections and expressions.
    Ini,
    /// Keys and values, for `supervise`.
    Keys,
}

/// How a file seems to be meant. Its `#!` line says it by the name of a command; else its first line that is no
/// comment does, if it makes sense in only one of the two ways.
#[must_use]
pub fn format(source: &Arc<Source>) -> Option<Format> {
    let mut lines = key_lines::numbered(&source.text).map(|(_, line)| line.trim());
    let first = lines.next().unwrap_or_default();
    if let Some(interpreter) = first.strip_prefix("#!") {
        for word in interpreter.split_whitespace() {
            match word {
                "supervise" => return Some(Format::Keys),
                "runIni" => return Some(Format::Ini),
                _ => {}
            }
        }
    }
    let lines = key_lines::numbered(&source.text).map(|(_, line)| line.trim());
    let mut meaning = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let line = meaning.next()?;
    let mut words = line.split_whitespace();
    let key = words.next().and_then(Key::find);
    let delimited = words
        .next()
        .is_some_and(|word| word.starts_with(['=', ':']));
    if line.starts_with(['%', '<']) || key.is_some() && !delimited {
        return Some(Format::Keys);
    }
    let alone = Arc::new(Source {
        name: String::new(),
        text: line.to_owned(),
    });
    match &parse(&alone).0[..] {
        [Line::Section { .. }] => Some(Format::Ini),
        [Line::Setting { name, .. }] if Key::find(name).is_none() => Some(Format::Ini),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Format, KEYS, Key, Source, format};

    #[test]
    fn each_key_is_a_setting_with_an_example() {
        for key in KEYS {
            assert_eq!(key.setting().name, key.setting);
            let (name, value) = key.example.split_once(' ').expect("a key and a value");
            assert_eq!(name, key.name);
            key.value(value).expect("an example that is right");
            let lower = key.name.to_lowercase();
            assert_eq!(Key::find(&lower).map(|found| found.name), Some(key.name));
        }
    }

    #[test]
    fn files_say_how_they_are_meant() {
        let keys = Some(Format::Keys);
        let ini = Some(Format::Ini);
        let cases = [
            ("#!invoke runner supervise\napp = 1", keys),
            ("#!/usr/bin/env -S runner supervise", keys),
            ("#!/usr/bin/env -S runner runIni\nCommand x", ini),
            ("# c\n\n  pidfile /x\n", keys),
            ("\u{feff}%define x 1\r\n", keys),
            ("<section>\n", keys),
            ("[section]\nCommand x", ini),
            ("app = 1\nCommand x", ini),
            ("import.x: 1", ini),
            ("Command = serve", None),
            ("nothing of both", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let source = Arc::new(Source {
                name: String::new(),
                text: text.to_owned(),
            });
            assert_eq!(format(&source), expected, "{text:?}");
        }
    }
}
