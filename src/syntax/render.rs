//! Draws diagnostics: the message, the place, the line with a caret below it, the hint.

use std::sync::Arc;

use codespan_reporting::diagnostic as drawn;
use codespan_reporting::term::termcolor::{Buffer, WriteColor};
use codespan_reporting::term::{Config, emit_to_write_style};

use super::diagnostic::{Diagnostic, Severity};
use super::excerpt::{Excerpt, Excerpts};
use super::harmless::harmless;
use super::masked_sources::MaskedSources;
use super::source::Lines;

/// Diagnostics that are drawn; the rest are only counted.
const SHOWN: usize = 50;

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
    let mut lines = Lines::default();
    let mut sources = MaskedSources::default();
    for one in diagnostics {
        draw(&sources.without_secrets(one), &mut lines, &mut buffer);
    }
    let mut text = String::from_utf8_lossy(buffer.as_slice()).into_owned();
    text.truncate(text.trim_end_matches('\n').len());
    text.push('\n');
    text
}

fn draw(one: &Diagnostic, lines: &mut Lines, buffer: &mut Buffer) {
    let severity = match one.severity {
        Severity::Error => drawn::Severity::Error,
        Severity::Warning => drawn::Severity::Warning,
    };
    let files = excerpts(one, lines);
    let mut labels = Vec::new();
    for (index, label) in one.labels.iter().enumerate() {
        let shown = files.0.iter().enumerate();
        let mut shown = shown.filter(|(_, excerpt)| excerpt.is_of(&label.place.source));
        let Some((id, excerpt)) = shown.next() else {
            continue;
        };
        let range = excerpt.visible(&label.place);
        let label_drawn = if index == 0 {
            drawn::Label::primary(id, range)
        } else {
            drawn::Label::secondary(id, range)
        };
        labels.push(label_drawn.with_message(harmless(&label.text)));
    }
    let hint = one.hint.iter();
    let notes = hint.map(|hint| format!("hint: {}", harmless(hint)));
    let message = harmless(&one.message).into_owned();
    let report = drawn::Diagnostic::new(severity)
        .with_message(&message)
        .with_labels(labels)
        .with_notes(notes.collect());
    if emit_to_write_style(buffer, &Config::default(), &files, &report).is_err() {
        // Drawing fails only for places outside the text, which `visible` prevents. The message still counts.
        use std::io::Write;
        let _ = buffer.reset();
        let _ = writeln!(buffer, "error: {message}");
    }
}

/// What a diagnostic shows of each source that it points into.
fn excerpts(one: &Diagnostic, lines: &mut Lines) -> Excerpts {
    let mut excerpts: Vec<Excerpt> = Vec::new();
    for label in &one.labels {
        let source = &label.place.source;
        if excerpts.iter().any(|excerpt| excerpt.is_of(source)) {
            continue;
        }
        let places = one.labels.iter().map(|label| &label.place);
        let places = places.filter(|place| Arc::ptr_eq(&place.source, source));
        excerpts.push(Excerpt::new(source, &places.collect::<Vec<_>>(), lines));
    }
    Excerpts(excerpts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Arc, Diagnostic, render};
    use crate::syntax::source::{Source, Span};

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
    fn a_long_line_is_cut_around_each_place() {
        let text = format!(
            "a = '{0}' + \t'日本' + nme + '{0}' + [{0}] + 5",
            "é".repeat(500_000)
        );
        let source = source(&text);
        let at = |part: &str| {
            let start = text.find(part).expect("is there");
            Span::new(start, start + part.len())
        };
        let one = Diagnostic::new("name/unknown", "there is no name `nme`")
            .at(&source, at("nme"))
            .with_label(&source, Span::new(0, 1), "needs it")
            .with_label(&source, Span::new(text.len() - 1, text.len()), "and this")
            .with_label(&source, at(&format!("[{}]", "é".repeat(500_000))), "long");
        let text = render(&[one], false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "  ┌─ app.ini:1:500018");
        assert!(lines[3].starts_with("1 │ a = 'éé"), "{text}");
        assert!(lines[3].contains("'日本' + nme + 'éé"), "{text}");
        assert!(lines[3].ends_with("é] + 5"), "{text}");
        assert_eq!(lines[3].matches('…').count(), 3, "{text}");
        assert!(
            lines.iter().all(|line| line.chars().count() < 220),
            "{text}"
        );
        let column = |line: &str, part: &str| {
            let before = &line[..line.find(part).expect("is there")];
            unicode_width::UnicodeWidthStr::width(before)
        };
        assert_eq!(column(lines[4], "^^^"), column(lines[3], "nme"));
        assert_eq!(column(lines[4], "-"), column(lines[3], "a = "));
    }

    #[test]
    fn a_long_line_between_two_places_is_cut() {
        let source = source(&format!(
            "x = 1\nb = '{}'\r\nx = 2\n",
            "y".repeat(1_000_000)
        ));
        let last = source.text.len() - 6;
        let one = Diagnostic::new("setting/overridden", "twice")
            .at(&source, Span::new(0, 1))
            .with_label(&source, Span::new(last, last + 1), "again");
        assert_eq!(
            render(&[one], false),
            format!(
                "error: twice\n  ┌─ app.ini:1:1\n  │\n1 │ x = 1\n  │ ^\n2 │ b = '{}…\n3 │ x = 2\n  │ - again\n",
                "y".repeat(135)
            )
        );
    }

    proptest! {
        /// Whatever a file contains and wherever the places are, what is drawn is short, and says the place.
        #[test]
        fn no_line_is_wider_than_a_window_for_each_place(
            text in "([a日\u{301}\t\r\u{1b}é ]{0,400}\n?){0,6}",
            spans in prop::collection::vec((0usize..9000, 0usize..9000), 1..4),
        ) {
            let source = source(&text);
            let mut one = Diagnostic::new("syntax/x", "bad");
            for (start, length) in spans {
                one = one.with_label(&source, Span::new(start, start + length), "");
            }
            let drawn = render(&[one], false);
            prop_assert!(drawn.contains("┌─ app.ini:"), "{}", drawn);
            for line in drawn.lines() {
                prop_assert!(line.chars().count() < 4 * 4 * 140, "{}", drawn);
            }
        }
    }

    #[test]
    fn secrets_are_hidden_in_lines_and_messages() {
        let source =
            source("db.password = 'hunter2'\nurl = 'a://b:longer-than-a-message-quotes@c'\n");
        let first = Diagnostic::new("type/x", "cannot add `'hunter2'` and `5`")
            .at(&source, Span::new(14, 23))
            .with_hint("write `str('hunter2')`");
        let second = Diagnostic::new("type/x", "bad `longer-than-a-message-quo…`")
            .at(&source, Span::new(24, 27));
        assert_eq!(
            render(&[first, second], false),
            "error: cannot add `'********'` and `5`\n  \
             ┌─ app.ini:1:15\n  \
             │\n\
             1 │ db.password = '*******'\n  \
             │               ^^^^^^^^^\n  \
             │\n  \
             = hint: write `str('********')`\n\n\
             error: bad `********…`\n  \
             ┌─ app.ini:2:1\n  \
             │\n\
             2 │ url = 'a://b:****************************@c'\n  \
             │ ^^^\n"
        );
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
