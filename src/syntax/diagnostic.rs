//! A mistake in what the user wrote: what is wrong, the place in the text, and what to do about it.

use std::fmt;
use std::sync::Arc;

use super::source::{Place, Source, Span};

/// How bad a mistake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is run.
    Error,
    /// Probably a mistake, but it can be run; `check` shows it.
    Warning,
}

/// A place that a diagnostic points at.
#[derive(Clone, Debug)]
pub struct Label {
    /// The place.
    pub place: Place,
    /// What the message says about this place; may be empty.
    pub text: String,
}

/// One mistake in what the user wrote.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// A code for programs, which does not change: `setting/unknown`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// Lower case, no full stop, the user's text in backticks.
    pub message: String,
    /// The place of the mistake, then related places; empty for a mistake that is in no file.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: shortened(message.into()),
            labels: Vec::new(),
            hint: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds a place: the first one is that of the mistake.
    #[must_use]
    pub fn at(self, source: &Arc<Source>, span: Span) -> Self {
        self.with_label(source, span, String::new())
    }

    /// Adds a place with a text.
    #[must_use]
    pub fn with_label(mut self, source: &Arc<Source>, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            place: Place {
                source: Arc::clone(source),
                span,
            },
            text: shortened(text.into()),
        });
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(shortened(hint.into()));
        self
    }

    /// Sets the hint if there is one.
    #[must_use]
    pub fn with_hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(shortened).or(self.hint);
        self
    }
}

/// The message alone, after the place: `app.ini:3: …`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.labels.first() {
            let place = &label.place;
            write!(formatter, "{}:{}: ", place.source.name, place.line())?;
        }
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// All mistakes that were found, at least one.
#[derive(Clone, Debug)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

/// Characters of a message or a hint at most: what users name in it can be of any length.
const LONGEST_MESSAGE: usize = 600;

/// The text without its middle, if it is long. What was found and what is wrong with it stay.
fn shortened(text: String) -> String {
    const KEPT: usize = LONGEST_MESSAGE / 3;
    if text.len() <= LONGEST_MESSAGE || text.chars().nth(LONGEST_MESSAGE).is_none() {
        return text;
    }
    let begin: String = text.chars().take(2 * KEPT).collect();
    let behind = text.char_indices().rev().nth(KEPT - 1);
    let end = behind.map_or("", |(at, _)| &text[at..]);
    format!("{begin}…{end}")
}

/// Characters of the user's text that a message quotes at most.
const QUOTED: usize = 60;

/// The user's text for a message: in backticks, cut if it is long.
#[must_use]
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// The hint for a character that cannot be seen.
pub(super) const INVISIBLE_HINT: &str =
    "it is invisible or looks like a space; delete it, or write an ordinary space";

/// The name of a character that is invisible or looks like a space.
pub(super) fn invisible(c: char) -> Option<String> {
    Some(match c {
        ' ' => return None,
        '\u{a0}' => "a no-break space (U+00A0)".to_owned(),
        '\u{feff}' => "a byte order mark (U+FEFF)".to_owned(),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' => {
            format!("an invisible character (U+{:04X})", u32::from(c))
        }
        c if c.is_whitespace() => format!(
            "a blank that is not an ordinary space (U+{:04X})",
            u32::from(c)
        ),
        c if c.is_control() => format!("a control character (U+{:04X})", u32::from(c)),
        _ => return None,
    })
}

/// The candidate that is nearest to a word, if it is near enough for a typing mistake; the first of several.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    all_nearest(word, candidates).into_iter().next()
}

/// All candidates that are as near to a word as the nearest one, whatever their case.
pub fn all_nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    /// Bytes. Longer words are not compared: that takes long, and they are hardly typing mistakes.
    const LONGEST: usize = 200;
    let mut found = Vec::new();
    if word.len() > LONGEST {
        return found;
    }
    let folded = word.to_lowercase();
    let length = folded.chars().count();
    let mut least = 1 + word.chars().count() / 4;
    for candidate in candidates {
        let other = candidate.to_lowercase();
        // The distance is at least the difference in length, which is quick to compute.
        if candidate.len() > LONGEST || other.chars().count().abs_diff(length) > least {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&folded, &other);
        if distance < least {
            found.clear();
            least = distance;
        }
        if distance <= least {
            found.push(candidate);
        }
    }
    found
}

/// The hint that suggests the [`nearest`] candidate.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, candidates).map(|meant| format!("did you mean `{meant}`?"))
}
