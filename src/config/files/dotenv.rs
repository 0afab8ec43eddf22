//! Files of environment variables (`.env`), as other tools have them: `NAME=value`, quotes, `export`, `$OTHER`.

use std::sync::Arc;

use crate::syntax::{Diagnostic, Source, Span};

/// Bytes that `$NAME` may make of one value: values that hold one another twice grow fast.
const LARGEST: usize = 64 << 20;

/// Bytes of all values of a file.
const LARGEST_IN_ALL: usize = 64 << 20;

/// The names and values of a file, in its order.
///
/// # Errors
/// A line that is none, with its place, or values that grow too large.
pub(super) fn read(source: &Arc<Source>) -> Result<Vec<(String, String)>, Diagnostic> {
    let text = source.text.as_str();
    let references = text.bytes().filter(|byte| *byte == b'$').count();
    let environment = std::env::vars_os().map(|(_, value)| value.len()).max();
    let mut longest = environment.unwrap_or_default();
    let mut bytes = 0;
    let mut pairs = Vec::new();
    let mut lines = dotenvy::from_read_iter(text.as_bytes());
    loop {
        // The library replaces every `$NAME` of a line before we see it.
        let most = references.saturating_mul(longest);
        if most > LARGEST || bytes > LARGEST_IN_ALL {
            let message = "the values that `$` stands for are too large together";
            return Err(Diagnostic::new("limit/memory", message).at(source, Span::new(0, 0)));
        }
        match lines.next() {
            None => return Ok(pairs),
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
                // An index beyond the line is that of a string that never ends.
                let (at, hint) = if at < width && line.is_char_boundary(at) {
                    let hint = match before_quote(line, at) {
                        // The library takes the quote for a part of the value.
                        Some(name) => format!("write `${{{name}}}` before a quote"),
                        None => "put a value with blanks in quotes".to_owned(),
                    };
                    (at, hint)
                } else {
                    let hint = "end each string with the quote that it begins with";
                    (0, hint.to_owned())
                };
                return Err(Diagnostic::new("include/env", message)
                    .at(source, Span::new(begin + at, begin + width))
                    .with_hint(hint));
            }
            Some(Err(other)) => {
                return Err(
                    Diagnostic::new("include/env", other.to_string()).at(source, Span::new(0, 0))
                );
            }
        }
    }
}

/// The `NAME` of a `$NAME` that a quote follows at this place.
fn before_quote(line: &str, quote: usize) -> Option<&str> {
    let (before, behind) = line.split_at_checked(quote)?;
    let (_, name) = before.rsplit_once('$')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = !name.is_empty() && name.chars().all(word);
    (named && behind.starts_with('"')).then_some(name)
}
