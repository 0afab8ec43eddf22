//! Files of sections with keys and values, as uWSGI, supervisord and systemd write them, with the place of each line.

use std::sync::Arc;

use crate::syntax::{Diagnostic, Place, Source, Span};

/// What the files of a program look like.
#[derive(Clone, Copy, Debug)]
pub struct SectionSyntax {
    /// What may stand between a key and its value.
    pub separators: &'static [char],
    /// Whether a blank and a semicolon in a line begin a comment.
    pub has_comments_behind: bool,
    /// How a value goes on in the next line.
    pub goes_on: GoesOn,
    /// Whether a key may stand alone.
    pub has_flags: bool,
}

/// How a value goes on in the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoesOn {
    /// It does not.
    Never,
    /// If the next line is indented.
    Indented,
    /// If a line ends with a backslash.
    Backslash,
}

/// A section of a file.
#[derive(Debug)]
pub struct FileSection {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub lines: Vec<KeyValue>,
    /// Where its name is.
    pub place: Place,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value, without blanks around it; lines that it goes on in are joined by line ends.
    pub value: Option<String>,
    /// Where the line is.
    pub place: Place,
}

/// The sections of a text, in order.
///
/// # Errors
/// A line is neither a section, a key with a value nor a comment; the text has lines before its first section.
pub fn sections(
    source: &Arc<Source>,
    syntax: SectionSyntax,
) -> Result<Vec<FileSection>, Diagnostic> {
    let mut sections: Vec<FileSection> = Vec::new();
    let mut joins = false;
    for (start, line) in lines(&source.text) {
        let trimmed = line.trim();
        let begin = start + (line.len() - line.trim_start().len());
        let span = Span::new(begin, begin + trimmed.len());
        let place = Place {
            source: Arc::clone(source),
            span,
        };
        let goes_on = joins || syntax.goes_on == GoesOn::Indented && line.starts_with([' ', '\t']);
        joins = syntax.goes_on == GoesOn::Backslash && trimmed.ends_with('\\');
        if trimmed.is_empty() || trimmed.starts_with([';', '#']) {
            continue;
        }
        let text = match syntax.has_comments_behind {
            true => trimmed.split(" ;").next().unwrap_or_default().trim_end(),
            false => trimmed,
        };
        let text = match joins {
            true => text.trim_end_matches('\\').trim_end(),
            false => text,
        };
        let last = sections.last_mut();
        if goes_on && let Some(value) = last.and_then(|it| it.lines.last_mut()?.value.as_mut()) {
            if !value.is_empty() {
                value.push(match syntax.goes_on {
                    GoesOn::Backslash => ' ',
                    GoesOn::Never | GoesOn::Indented => '\n',
                });
            }
            value.push_str(text);
            continue;
        }
        if let Some(name) = text.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else {
                return Err(broken(&place, "the name of a section ends with `]`"));
            };
            sections.push(FileSection {
                name: name.trim().to_owned(),
                lines: Vec::new(),
                place,
            });
            continue;
        }
        let (key, value) = match text.split_once(syntax.separators) {
            Some((key, value)) => (key.trim(), Some(value.trim().to_owned())),
            None if syntax.has_flags => (text, None),
            None => return Err(broken(&place, "a value is missing")),
        };
        if key.is_empty() {
            return Err(broken(&place, "a name is missing before the value"));
        }
        if key.chars().any(|c| "<>|{}".contains(c)) {
            return Err(broken(&place, format!("`{key}` is no name of an option")));
        }
        let Some(section) = sections.last_mut() else {
            return Err(broken(&place, "a section must come first, as `[name]`"));
        };
        section.lines.push(KeyValue {
            key: key.to_owned(),
            value,
            place,
        });
    }
    Ok(sections)
}

/// A mistake in the file of another server.
pub fn broken(place: &Place, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("import/broken", message).at(&place.source, place.span)
}

/// The lines of a text, and where each begins, in bytes.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let begin = start;
        start += line.len();
        (begin, line.trim_end_matches(['\n', '\r']))
    })
}

/// The place of a whole text, for what is missing in it.
#[must_use]
pub fn whole(source: &Arc<Source>) -> Place {
    let end = source.text.find('\n').unwrap_or(source.text.len());
    Place {
        source: Arc::clone(source),
        span: Span::new(0, end),
    }
}
