//! Files of environment variables (`.env`), as other tools read them: `NAME=value`, quotes, `export`, `$OTHER`. Every value
//! may be a secret, so that no message shows one.

use std::collections::HashSet;
use std::env;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::read_bounded::read_source;
use crate::secrets::masked_except;
use crate::syntax::{Diagnostic, Source, Span};

/// Bytes of one value after `$NAME` is replaced: values that contain each other twice grow exponentially.
const LARGEST: usize = 64 << 20;

/// Bytes of all values of a file.
const LARGEST_IN_ALL: usize = 64 << 20;

/// The variables of a file: names and values, in its order.
///
/// # Errors
/// It cannot be read, or has a malformed line.
pub fn variables(path: &Path) -> Result<Vec<(String, String)>, Diagnostic> {
    read(&read_source(path, &path.display().to_string())?)
}

/// The names and values of a file, in its order.
///
/// # Errors
/// A malformed line, with its place, or values that are too large.
pub(super) fn read(source: &Arc<Source>) -> Result<Vec<(String, String)>, Diagnostic> {
    let braced = Braced::of(&source.text);
    let mistake = |message: String, place: Span| {
        let shown = Source {
            name: source.name.clone(),
            text: masked_except(&source.text, &braced.names),
        };
        Diagnostic::new("include/env", message).at(&Arc::new(shown), place)
    };
    let text = braced.text.as_str();
    let references = text.bytes().filter(|byte| *byte == b'$').count();
    let environment = std::env::vars_os().map(|(_, value)| value.len()).max();
    let mut longest = environment.unwrap_or_default();
    let mut bytes = 0;
    let mut pairs = Vec::new();
    let mut lines = dotenvy::from_read_iter(text.as_bytes());
    loop {
        // The library replaces every `$NAME` in a line before the value can be checked, so the size is estimated.
        let most = references.saturating_mul(longest);
        if most > LARGEST || bytes > LARGEST_IN_ALL {
            let message = "the values of all `$NAME` together are too large";
            return Err(Diagnostic::new("limit/memory", message).at(source, Span::new(0, 0)));
        }
        match lines.next() {
            None => break,
            Some(Ok((name, value))) => {
                longest = longest.max(value.len());
                bytes += value.len();
                pairs.push((name, value));
            }
            Some(Err(dotenvy::Error::LineParse(line, at))) => {
                let line = line.trim_end();
                let begin = text.find(line).unwrap_or_default();
                let width = line.lines().next().map_or(0, str::len);
                let message = "expected `NAME=value` of a file of environment variables";
                // The index of a string that never ends is beyond the line.
                let (at, hint) = match at < width && line.is_char_boundary(at) {
                    true => (at, "put a value with blanks in quotes"),
                    false => (0, "end each string with the quote that it begins with"),
                };
                let place = Span::new(braced.written(begin + at), braced.written(begin + width));
                return Err(mistake(message.to_owned(), place).with_hint(hint));
            }
            Some(Err(other)) => {
                return Err(mistake(other.to_string(), Span::new(0, 0)));
            }
        }
    }
    match &braced.unknown {
        Some(place) => {
            let message = "there is no variable with the name behind this `$`";
            let hint = "write a value that has a `$` in single quotes";
            let place = Span::new(place.start, place.end);
            Err(mistake(message.to_owned(), place).with_hint(hint))
        }
        None => Ok(pairs),
    }
}

/// A file with `${NAME}` for each `$NAME`: the library ends the name of a variable without braces at an underscore, and takes
/// a quote behind it for a part of the value. Names are those of a shell; a `$` before something else is itself.
#[derive(Debug)]
struct Braced {
    text: String,
    /// Where in the text a byte stands that is not in the file, in order.
    added: Vec<usize>,
    /// Where lines of the file begin with a name and `=`, in order.
    names: Vec<Range<usize>>,
    /// Where the file has the first `$NAME` of a variable that neither a line before it sets nor the environment has: it would
    /// become nothing, which a `$` of a password must not.
    unknown: Option<Range<usize>>,
}

impl Braced {
    fn of(file: &str) -> Self {
        let mut braced = Self {
            text: String::with_capacity(file.len()),
            added: Vec::new(),
            names: Vec::new(),
            unknown: None,
        };
        let mut defined = HashSet::new();
        let mut quote = None;
        let mut before = '\n';
        let mut rest = file;
        while let Some(c) = rest.chars().next() {
            let may_replace = quote != Some('\'');
            let mut taken = c.len_utf8();
            let place = file.len() - rest.len();
            if quote.is_none() && before == '\n' {
                // A line can use the names of those before it, but not its own.
                defined.extend(
                    braced
                        .names
                        .last()
                        .map(|name| variable(&file[name.clone()])),
                );
                braced
                    .names
                    .extend(assignment(rest).map(|length| place..place + length));
            }
            if may_replace
                && braced.unknown.is_none()
                && let Some((name, length)) = reference(rest)
                && !defined.contains(name)
                && env::var(name).is_err()
            {
                braced.unknown = Some(place..place + length);
            }
            match c {
                '#' if quote.is_none() && before.is_whitespace() => {
                    taken = rest.find('\n').unwrap_or(rest.len());
                }
                '\'' | '"' if quote.is_none() => quote = Some(c),
                '\'' | '"' if quote == Some(c) => quote = None,
                '\\' if may_replace => {
                    let escaped = rest[taken..].chars().next();
                    taken += escaped.map_or(0, char::len_utf8);
                }
                '$' if may_replace && !rest.starts_with("${") => {
                    let name = name_length(&rest[taken..]);
                    if name == 0 {
                        braced.add('\\');
                    } else {
                        braced.text.push('$');
                        braced.add('{');
                        braced.text.push_str(&rest[taken..taken + name]);
                        braced.add('}');
                        rest = &rest[taken + name..];
                        before = '}';
                        continue;
                    }
                }
                _ => {}
            }
            let (copied, following) = rest.split_at(taken);
            braced.text.push_str(copied);
            before = copied.chars().next_back().unwrap_or(before);
            rest = following;
        }
        braced
    }

    fn add(&mut self, c: char) {
        self.added.push(self.text.len());
        self.text.push(c);
    }

    /// Where in the file a place in the text is.
    fn written(&self, place: usize) -> usize {
        place - self.added.partition_point(|added| *added < place)
    }
}

/// The length of `NAME=` or `export NAME=` with which a line begins.
fn assignment(line: &str) -> Option<usize> {
    let line = &line[..line.find('\n').unwrap_or(line.len())];
    let (name, _) = line.split_once('=')?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut words = name.split_whitespace();
    let (first, second, more) = (words.next()?, words.next(), words.next());
    let is_alone = second.is_none() || first == "export";
    let is_name = more.is_none() && is_alone && second.unwrap_or(first).chars().all(is_of_name);
    is_name.then_some(name.len() + 1)
}

/// The variable of `NAME=` or `export NAME=`.
fn variable(assignment: &str) -> &str {
    let name = assignment.trim_end_matches('=');
    name.split_whitespace().next_back().unwrap_or_default()
}

/// The name of `$NAME` or `${NAME}` with which a text begins, and the length of all of it.
fn reference(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    match rest.strip_prefix('{') {
        Some(rest) => rest.find('}').map(|end| (&rest[..end], end + 3)),
        None => Some(name_length(rest))
            .filter(|length| *length > 0)
            .map(|length| (&rest[..length], length + 1)),
    }
}

/// The length of the name of a variable that a text begins with: letters, digits and `_`, not a digit first.
fn name_length(text: &str) -> usize {
    let other = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => 0,
        false => text.find(other).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::read;
    use crate::syntax::Source;

    fn source(text: String) -> Arc<Source> {
        let name = ".env".to_owned();
        Arc::new(Source { name, text })
    }

    /// The bytes of the file to which a mistake in it points.
    fn mistaken(text: &str) -> Option<String> {
        let mistake = read(&source(text.to_owned())).err()?;
        let place = mistake.labels[0].place.span;
        Some(text[place.start as usize..place.end as usize].to_owned())
    }

    #[test]
    fn a_dollar_sign_that_would_become_nothing_is_a_mistake() {
        for (text, at) in [
            ("KEY=abc#def$gh(i", Some("$gh")),
            ("KEY=\"abc${g-h}\"", Some("${g-h}")),
            ("KEY=$KEY", Some("$KEY")),
            ("KEY=$LATER\nLATER=1", Some("$LATER")),
            ("A='\n'\nKEY=\"\n$A$B\"", Some("$B")),
            ("KEY='abc#def$gh(i'", None),
            ("KEY=abc\\$gh", None),
            ("KEY=abc # $gh", None),
            ("# $gh", None),
            ("export A=1\n B = $A", None),
            ("KEY=$PATH", None),
        ] {
            assert_eq!(mistaken(text).as_deref(), at, "{text}");
        }
    }

    /// Whatever is wrong with a line: of what it has behind `=`, and of a line without one, nothing is shown.
    #[test]
    fn no_message_shows_a_value() {
        for text in [
            "KEY=abc'def-SECRET2",
            "KEY=abc def-SECRET2",
            "KEY=abc\"def-SECRET2",
            "KEY='SECRET2\nSECRET2",
            "A=1\nKEY=é SECRET2\nB=2",
            "KEY=$SECRET2",
            "KEY=\\SECRET2",
            "KEY: SECRET2",
            "KEY SECRET2=SECRET2",
            "SECRET2",
        ] {
            let mistake = read(&source(text.to_owned())).expect_err(text);
            let label = &mistake.labels[0].place;
            let shown = &label.source.text;
            assert!(!shown.contains("SECRET2"), "{text}: {shown}");
            assert!(!format!("{:?} {:?}", mistake.message, mistake.hint).contains("SECRET2"));
            assert_eq!(shown.len(), text.len());
            assert!(shown.is_char_boundary(label.span.start as usize));
            if let Some((name, _)) = text.split_once('=').filter(|(name, _)| *name == "KEY") {
                assert!(shown.starts_with(name), "{text}: {shown}");
            }
        }
    }

    #[test]
    fn variables_in_values_have_the_names_of_a_shell() {
        for (value, expected) in [
            ("$T_E-x", "1-x"),
            ("$T_E", "1"),
            ("${T_E}_y", "1_y"),
            ("$T_E$T_E/$_T2", "11/2"),
            ("$T_E.", "1."),
            (r#""$T_E""#, "1"),
            (r#""a $T_E, b""#, "a 1, b"),
            ("'$T_E'", "$T_E"),
            (r#""'$T_E'""#, "'1'"),
            (r"\$T_E", "$T_E"),
            (r"\\$T_E", r"\1"),
            (r#""\"$T_E""#, "\"1"),
            ("$T_E # it's $T_E", "1"),
            ("a$", "a$"),
            ("a$-$5", "a$-$5"),
            ("$T_Eé", "1é"),
            ("\"first\n# $T_E\"", "first\n# 1"),
        ] {
            let text = format!("# don't\nT_E=1\n_T2=2\nVALUE={value}\nLAST=$T_E\n");
            let read = read(&source(text)).expect(value);
            let seen = read.iter().map(|(_, value)| value.as_str());
            assert_eq!(
                seen.collect::<Vec<_>>(),
                ["1", "2", expected, "1"],
                "{value}"
            );
        }
    }
}
