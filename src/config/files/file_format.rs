//! Which of the two formats a configuration file has.

use std::path::Path;
use std::sync::Arc;

use super::read_bounded::source;
use crate::config::keys::Key;
use crate::syntax::ast::ExpressionKind;
use crate::syntax::ini_lines::{IniLine, parse};
use crate::syntax::key_lines::numbered;
use crate::syntax::{Source, expression};

/// The command that runs files of settings.
const INI_COMMAND: &str = "runIni";

/// The command that runs files of keys.
const KEYS_COMMAND: &str = "supervise";

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Settings, sections and expressions.
    Ini,
    /// Keys and values, for `supervise`.
    Keys,
}

/// The format of a file; `None` if its text does not show it, or if it cannot be read, which is reported when it is read
/// again.
#[must_use]
pub fn format(path: &Path) -> Option<FileFormat> {
    format_of(&source(path).ok()?)
}

/// Whether a file is a program that `runner` runs as a configuration file, by its `#!` line.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    let Some(source) = is_file.then(|| source(path).ok()).flatten() else {
        return false;
    };
    let first = source.text.lines().next().unwrap_or_default();
    let interpreter = first.strip_prefix("#!").unwrap_or_default();
    let is_ours = |word| Path::new(word).file_name() == Some("runner".as_ref());
    interpreter.split_whitespace().any(is_ours) && of_interpreter(interpreter).is_some()
}

/// The format for the command in a `#!` line. The system adds the name of the file behind the command's words: if there are
/// others, the file is not what the command reads.
fn of_interpreter(interpreter: &str) -> Option<FileFormat> {
    match interpreter.split_whitespace().next_back()? {
        KEYS_COMMAND => Some(FileFormat::Keys),
        INI_COMMAND => Some(FileFormat::Ini),
        _ => None,
    }
}

/// The format of a text: that of the command in its `#!` line; or else the only format in which the first line that is
/// not a comment is valid; or else keys, if that line is a key with a `=` and a value that would need quotes.
#[must_use]
pub fn format_of(source: &Arc<Source>) -> Option<FileFormat> {
    let mut lines = numbered(&source.text).map(|(_, line)| line.trim());
    let first = lines.next().unwrap_or_default();
    if let Some(format) = first.strip_prefix("#!").and_then(of_interpreter) {
        return Some(format);
    }
    let line = std::iter::once(first)
        .chain(lines)
        .find(|line| !line.is_empty() && !line.starts_with(['#', ';']))?;
    let mut words = line.split_whitespace();
    let key = words.next().and_then(Key::find);
    let delimited = words
        .next()
        .is_some_and(|word| word.starts_with(['=', ':']));
    if line.starts_with(['%', '<']) || key.is_some() && !delimited {
        return Some(FileFormat::Keys);
    }
    let alone = Arc::new(Source {
        name: String::new(),
        text: line.to_owned(),
    });
    match &parse(&alone).0[..] {
        [IniLine::Section { .. }] => Some(FileFormat::Ini),
        [IniLine::Setting { name, .. }] if Key::find(name).is_none() => Some(FileFormat::Ini),
        [IniLine::Setting { .. }] if is_bare(source) => Some(FileFormat::Keys),
        _ => None,
    }
}

/// Whether the first setting is the name of a key with a text without quotes, which is no expression. An expression with a
/// mistake in it has quotes or brackets where it begins.
fn is_bare(source: &Arc<Source>) -> bool {
    let (lines, _) = parse(source);
    let Some(IniLine::Setting { name, value, .. }) = lines.first() else {
        return false;
    };
    let begin = value.text().split_whitespace().next().unwrap_or_default();
    if begin.contains(['\'', '"', '(', '[', '{']) {
        return false;
    }
    match expression::parse(source, value) {
        Err(_) => true,
        Ok(parsed) => {
            let is_word = matches!(parsed.kind, ExpressionKind::Name(_));
            is_word && Key::find(name).is_some_and(|key| key.name == name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, FileFormat, Source, format_of};

    #[test]
    fn files_say_how_they_are_meant() {
        let keys = Some(FileFormat::Keys);
        let ini = Some(FileFormat::Ini);
        let cases = [
            ("#!invoke runner supervise\napp = 1", keys),
            ("#!/usr/bin/env -S runner supervise", keys),
            ("#!/usr/bin/env -S runner runIni\nCommand x", ini),
            ("#!/usr/bin/env -S runner supervise serve demo\na = 1", ini),
            ("# c\n\n  pidfile /x\n", keys),
            ("\u{feff}%define x 1\r\n", keys),
            ("<section>\n", keys),
            ("[section]\nCommand x", ini),
            ("app = 1\nCommand x", ini),
            ("import.x: 1", ini),
            ("Command = serve", keys),
            ("command = serve", None),
            ("command=./app.ini", keys),
            ("Command : serve WSGI 'import:app.application'", keys),
            ("StopAfter = 1d", keys),
            ("Command = 'serve", None),
            ("Command = 1 +\n  2", None),
            ("import = [\n  'a',\n  ]", None),
            ("MaxProcesses = 4", None),
            ("nothing of both", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let source = Arc::new(Source {
                name: String::new(),
                text: text.to_owned(),
            });
            assert_eq!(format_of(&source), expected, "{text:?}");
        }
    }
}
