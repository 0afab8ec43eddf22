//! Draws diagnostics: the message, the place, the line with a caret below it, the hint.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use codespan_reporting::diagnostic as drawn;
use codespan_reporting::files::{Files, SimpleFiles};
use codespan_reporting::term::termcolor::{Buffer, WriteColor};
use codespan_reporting::term::{Config, emit_to_write_style};

use super::diagnostic::{Diagnostic, Severity};
use super::source::{Place, Source};

/// Diagnostics that are drawn; the rest are only counted.
const SHOWN: usize = 50;

/// Bytes of the longest line that is drawn: a longer one would fill the screen.
const LONGEST_LINE: usize = 400;

/// Draws diagnostics, an empty line between them.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let (first, more) = diagnostics.split_at(diagnostics.len().min(SHOWN));
    let mut text = render_all(first, colour);
    if !more.is_empty() {
        text.push_str(&format!("\n… and {} more\n", more.len()));
    }
    text
}

/// Draws all diagnostics, without a limit on their number.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], colour: bool) -> String {
    let mut buffer = if colour {
        Buffer::ansi()
    } else {
        Buffer::no_color()
    };
    let mut files = DrawnFiles::default();
    for one in diagnostics {
        draw(one, &mut files, &mut buffer);
    }
    let mut text = String::from_utf8_lossy(buffer.as_slice()).into_owned();
    text.truncate(text.trim_end_matches('\n').len());
    text.push('\n');
    text
}

fn draw(one: &Diagnostic, files: &mut DrawnFiles, buffer: &mut Buffer) {
    let severity = match one.severity {
        Severity::Error => drawn::Severity::Error,
        Severity::Warning => drawn::Severity::Warning,
    };
    let mut notes = Vec::new();
    let mut labels = Vec::new();
    for (index, label) in one.labels.iter().enumerate() {
        let id = files.id(&label.place.source);
        let Some(range) = files.visible(id, &label.place) else {
            notes.push(files.locate(id, &label.place));
            continue;
        };
        let label_drawn = if index == 0 {
            drawn::Label::primary(id, range)
        } else {
            drawn::Label::secondary(id, range)
        };
        labels.push(label_drawn.with_message(harmless(&label.text)));
    }
    notes.extend(
        one.hint
            .iter()
            .map(|hint| format!("hint: {}", harmless(hint))),
    );
    let message = harmless(&one.message).into_owned();
    let report = drawn::Diagnostic::new(severity)
        .with_message(&message)
        .with_labels(labels)
        .with_notes(notes);
    if emit_to_write_style(buffer, &Config::default(), &files.files, &report).is_err() {
        // Drawing fails only for places outside the text, which `visible` prevents. The message still counts.
        use std::io::Write;
        let _ = buffer.reset();
        let _ = writeln!(buffer, "error: {message}");
    }
}

/// The sources that diagnostics point into.
#[derive(Default)]
struct DrawnFiles {
    files: SimpleFiles<String, String>,
    /// By address; the source is kept so that its address is not used again.
    ids: HashMap<*const Source, (usize, Arc<Source>)>,
}

impl DrawnFiles {
    fn id(&mut self, source: &Arc<Source>) -> usize {
        let (id, _) = self.ids.entry(Arc::as_ptr(source)).or_insert_with(|| {
            let name = harmless(&source.name).into_owned();
            let text = harmless(&source.text).into_owned();
            (self.files.add(name, text), Arc::clone(source))
        });
        *id
    }

    /// The part of a place on its first line, on character boundaries; `None` if the line is too long.
    fn visible(&self, id: usize, place: &Place) -> Option<Range<usize>> {
        let text = self.files.source(id).ok()?;
        let start = floor_boundary(text, place.span.start);
        let line = self.files.line_index(id, start).ok()?;
        let line = self.files.line_range(id, line).ok()?;
        let content = text[line.clone()].trim_end_matches(['\n', '\r']);
        if content.len() > LONGEST_LINE {
            return None;
        }
        let line_end = line.start + content.len();
        let start = start.min(line_end);
        let end = floor_boundary(text, place.span.end);
        Some(start..end.clamp(start, line_end))
    }

    /// Where a place begins, in words.
    fn locate(&self, id: usize, place: &Place) -> String {
        let name = harmless(&place.source.name);
        let text = self.files.source(id).unwrap_or_default();
        let start = floor_boundary(text, place.span.start);
        match self.files.location(id, start) {
            Ok(at) => format!("at {name}:{}:{}", at.line_number, at.column_number),
            Err(_) => format!("in {name}"),
        }
    }
}

/// `str::floor_char_boundary`, which Rust has since 1.91.
fn floor_boundary(text: &str, offset: u32) -> usize {
    let offset = (offset as usize).min(text.len());
    let boundary = |at: &usize| text.is_char_boundary(*at);
    (0..=offset).rev().find(boundary).unwrap_or_default()
}

/// The text without control characters, which could change the terminal, and without those that change the order of the
/// text. Each is replaced by a character of as many bytes, so that places stay right.
fn harmless(text: &str) -> Cow<'_, str> {
    let harm = |c: char| {
        c.is_control() && c != '\n' && c != '\t' && c != '\r'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harm) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match (harm(c), c.len_utf8()) {
        (false, _) => c,
        (true, 1) => '?',
        (true, 2) => '¿',
        (true, _) => '\u{fffd}',
    };
    Cow::Owned(text.chars().map(replace).collect())
}

#[cfg(test)]
mod tests {
    use super::{Arc, Diagnostic, Source, render};
    use crate::syntax::source::Span;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source {
            name: "app.ini".to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn tabs_and_wide_characters_are_counted() {
        let source = source("[a]\nb =\t'日本' + nme\n");
        let start = source.text.find("nme").expect("is there");
        let one = Diagnostic::new("name/unknown", "there is no name `nme`")
            .at(&source, Span::new(start, start + 3))
            .with_hint("did you mean `name`?");
        assert_eq!(
            render(&[one], false),
            "error: there is no name `nme`\n  \
             ┌─ app.ini:2:12\n  \
             │\n\
             2 │ b = '日本' + nme\n  \
             │              ^^^\n  \
             │\n  \
             = hint: did you mean `name`?\n"
        );
    }

    #[test]
    fn what_a_file_holds_cannot_reach_the_terminal() {
        let source = source("a = \u{1b}[31m \u{9b} \u{202e}x\n");
        let one = Diagnostic::new("syntax/x", "bad `\u{1b}[0m`").at(&source, Span::new(4, 5));
        let text = render(&[one], false);
        assert!(
            text.chars().all(|c| !c.is_control() || c == '\n'),
            "{text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn very_long_lines_are_not_drawn() {
        let source = source(&format!("a = {}", "x".repeat(100_000)));
        let one = Diagnostic::new("syntax/x", "bad").at(&source, Span::new(4, 5));
        assert_eq!(render(&[one], false), "error: bad\n = at app.ini:1:5\n");
    }

    #[test]
    fn places_beyond_the_text_do_no_harm() {
        let source = source("ä");
        for (start, end) in [(0, 900), (1, 1), (2, 2), (900, 900)] {
            let one = Diagnostic::new("syntax/x", "bad").at(&source, Span::new(start, end));
            assert!(render(&[one], false).contains("app.ini:1:"));
        }
    }
}
