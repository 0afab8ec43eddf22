//! Plain INI files of other programs: every value is a string.

use std::sync::Arc;

use crate::syntax::{Diagnostic, Source, Span};

/// The names, as `section.key`, and values of a file, in its order.
///
/// # Errors
/// A line that is neither a section nor a setting, with its place.
pub(super) fn read(source: &Arc<Source>) -> Result<Vec<(String, String)>, Diagnostic> {
    let text = source.text.as_str();
    // The library's own messages name the parts of its parser.
    let wrong = |at: usize| {
        let message = "expected `[section]` or `NAME = VALUE` of a plain INI file";
        Diagnostic::new("include/ini", message).at(source, Span::new(at, at + 1))
    };
    let ini = ini::Ini::load_from_str_noescape(text).map_err(|error| {
        let line = text
            .split_inclusive('\n')
            .take(error.line.saturating_sub(1));
        let start: usize = line.map(str::len).sum();
        let at = (start + error.col.saturating_sub(1)).min(text.len());
        // The library notices a missing `=` only at the start of the next line.
        let before = text[..start.min(text.len())].trim_end_matches(['\r', '\n']);
        wrong(match at == start {
            true => before.rfind('\n').map_or(0, |end| end + 1),
            false => at,
        })
    })?;
    let mut pairs = Vec::new();
    for (section, properties) in &ini {
        for (key, value) in properties {
            let key = key.trim();
            // For the library, a name continues over line ends up to the next `=`.
            if key.contains('\n') {
                return Err(wrong(text.find(key).unwrap_or_default()));
            }
            let name = match section {
                Some(section) => format!("{}.{key}", section.trim()),
                None => key.to_owned(),
            };
            pairs.push((name, value.to_owned()));
        }
    }
    Ok(pairs)
}
