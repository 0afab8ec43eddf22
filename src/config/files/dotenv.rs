//! Files of environment variables (`.env`), as other tools read them: `NAME=value`, quotes, `export`, `$OTHER`.

use std::path::Path;
use std::sync::Arc;

use super::read_bounded::read_source;
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
    let text = source.text.as_str();
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
                // The index of a string that never ends is beyond the line.
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

/// The `NAME` of a `$NAME` directly before this quote.
fn before_quote(line: &str, quote: usize) -> Option<&str> {
    let (before, behind) = line.split_at_checked(quote)?;
    let (_, name) = before.rsplit_once('$')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = !name.is_empty() && name.chars().all(word);
    (named && behind.starts_with('"')).then_some(name)
}
