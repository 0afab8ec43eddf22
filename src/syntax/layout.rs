//! The one canonical layout of a configuration file: what `fmt` writes. Only what means nothing changes: blanks
//! around delimiters, indents, runs of blank lines, line ends. What stands inside strings, and every comment,
//! is kept.

use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, quoted};
use super::expression;
use super::file::{self, Line};
use super::source::{Fragment, Source};

/// Columns of one level of indent.
const INDENT: usize = 4;

/// Levels beyond which lines are not indented further.
const DEEPEST: usize = 12;

/// Mistakes beyond which no more are looked for.
const MOST_MISTAKES: usize = 1000;

/// A file in its canonical layout, which has at most so many bytes.
///
/// # Errors
/// All mistakes in its syntax, since nobody knows what such a file means; or it would be too large.
pub fn layout(source: &Arc<Source>, largest: usize) -> Result<String, Diagnostics> {
    let (lines, mut mistakes) = file::parse(source);
    for line in &lines {
        if mistakes.len() >= MOST_MISTAKES {
            break;
        }
        if let Line::Setting { value, .. } = line {
            mistakes.extend(expression::parse(source, value).err());
        }
    }
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| {
            let place = mistake.labels.first().map(|label| &label.place);
            place.map(|place| place.span.start)
        });
        return Err(Diagnostics(mistakes));
    }
    let too_large = || {
        let message = format!(
            "the file {} would have more than {} MiB",
            quoted(&source.name),
            largest >> 20
        );
        Err(Diagnostic::new("limit/file", message).into())
    };
    let mut writer = Writer::default();
    for line in raw_lines(source, &lines) {
        writer.line(&line);
        if writer.text.len() > largest {
            return too_large();
        }
    }
    writer.finish();
    match writer.text.len() > largest {
        true => too_large(),
        false => Ok(writer.text),
    }
}

/// A line as it stands in the file, without its end.
enum Raw<'a> {
    Blank,
    /// In column 1.
    Comment(&'a str),
    /// With its name, and the comment behind it.
    Section(&'a str, &'a str),
    Setting(&'a str, &'a Fragment),
    /// Without its indent.
    Continuation(&'a str),
}

/// The lines of a file in which there are no mistakes.
fn raw_lines<'a>(source: &'a Source, lines: &'a [Line]) -> impl Iterator<Item = Raw<'a>> {
    let text = source.text.as_str();
    let mut known = lines.iter().peekable();
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let length = rest.find('\n').unwrap_or(rest.len());
        at += length + 1;
        let line = rest[..length].trim_end_matches('\r');
        let begins = |line: &&&Line| match line {
            Line::Section { span, .. } | Line::Setting { span, .. } => span.start as usize == start,
        };
        Some(match known.peek().filter(begins) {
            Some(Line::Section { name, span }) => {
                known.next();
                let behind = line.get((span.end - span.start) as usize..);
                Raw::Section(name, behind.unwrap_or_default().trim())
            }
            Some(Line::Setting { name, value, .. }) => {
                known.next();
                Raw::Setting(name, value)
            }
            None if line.trim().is_empty() => Raw::Blank,
            // As the grammar has it: these are the blanks that continue a value.
            None if line.starts_with([' ', '\t', '\x0b', '\x0c', '\r']) => {
                Raw::Continuation(line.trim_start())
            }
            None => Raw::Comment(line),
        })
    })
}

/// Puts lines in their layout, one after the other.
#[derive(Default)]
struct Writer {
    text: String,
    /// Blank lines and comments whose place is known only when it is clear what follows them.
    waiting: Vec<Option<String>>,
    value: Value,
}

impl Writer {
    fn line(&mut self, line: &Raw<'_>) {
        match line {
            Raw::Blank => self.waiting.push(None),
            Raw::Comment(comment) => self.waiting.push(Some(comment.trim_end().to_owned())),
            Raw::Section(name, comment) => {
                self.value = Value::default();
                self.begin_section();
                self.text.push_str(&format!("[{name}]"));
                if !comment.is_empty() {
                    self.text.push_str(&format!("  {comment}"));
                }
                self.text.push('\n');
            }
            Raw::Setting(name, value) => {
                self.value = Value::default();
                self.settle(false);
                // `rem = 1` would be a comment.
                let blank = if name.eq_ignore_ascii_case("rem") {
                    ""
                } else {
                    " "
                };
                self.text.push_str(&format!("{name}{blank}="));
                let first = value.text().split('\n').next().unwrap_or_default();
                if !first.trim().is_empty() {
                    self.text.push(' ');
                }
                self.value_line(first, 0);
            }
            Raw::Continuation(text) => {
                self.settle(self.value.quote.is_some());
                let level = self.value.level(text);
                let indent = INDENT * level.min(DEEPEST);
                self.text.push_str(&" ".repeat(indent));
                self.value_line(text, level);
            }
        }
    }

    fn value_line(&mut self, text: &str, level: usize) {
        self.value.read(text, level);
        // Blanks at the end of a line are part of a string that goes on behind it.
        let kept = match self.value.quote {
            Some(_) => text,
            None => text.trim_end(),
        };
        self.text.push_str(kept);
        self.text.push('\n');
    }

    /// Writes what waited: several blank lines are one, except in a string.
    fn settle(&mut self, in_string: bool) {
        for line in std::mem::take(&mut self.waiting) {
            match line {
                Some(comment) => {
                    self.text.push_str(&comment);
                    self.text.push('\n');
                }
                None => {
                    let group = self.text.ends_with("\n\n") || self.text.is_empty();
                    if in_string || !group {
                        self.text.push('\n');
                    }
                }
            }
        }
    }

    /// The same before a section, which has a blank line before it, or before the comments directly above it.
    fn begin_section(&mut self) {
        let above = self.waiting.iter().rev();
        let above = above.take_while(|line| line.is_some()).count();
        let comments = self.waiting.split_off(self.waiting.len() - above);
        self.waiting.push(None);
        self.settle(false);
        self.waiting = comments;
        self.settle(false);
    }

    /// Writes the comments at the end of the file, without blank lines behind them.
    fn finish(&mut self) {
        while let Some(None) = self.waiting.last() {
            self.waiting.pop();
        }
        self.settle(false);
    }
}

/// How far a value was read: the brackets and the string that are open.
#[derive(Default)]
struct Value {
    /// The quote of the string, and how often it stands at its end.
    quote: Option<(u8, usize)>,
    /// For each open bracket, the level of the line in which it was opened.
    open: Vec<usize>,
}

impl Value {
    /// The level at which a further line of the value stands: below the line that opens the innermost bracket,
    /// or with it if the line begins by closing that. Column 1 is no place for either.
    fn level(&self, line: &str) -> usize {
        let closing = match self.quote {
            Some(_) => 0,
            None => line
                .bytes()
                .take_while(|byte| b")]} \t".contains(byte))
                .filter(|byte| b")]}".contains(byte))
                .count(),
        };
        let level = match closing {
            0 => self.open.last().map_or(1, |level| level + 1),
            _ => {
                let opened = self.open.len().saturating_sub(closing);
                self.open.get(opened).copied().unwrap_or_default()
            }
        };
        level.max(1)
    }

    /// Reads a line that stands at a level.
    fn read(&mut self, line: &str, level: usize) {
        let bytes = line.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += match (self.quote, byte) {
                (Some(_), b'\\') => 2,
                (Some((quote, width)), _) => {
                    if bytes[at..].starts_with(&[quote; 3][..width]) {
                        self.quote = None;
                        width
                    } else {
                        1
                    }
                }
                (None, b'#') => return,
                (None, b'\'' | b'"') => {
                    let width = if bytes[at..].starts_with(&[byte; 3]) {
                        3
                    } else {
                        1
                    };
                    self.quote = Some((byte, width));
                    width
                }
                (None, b'(' | b'[' | b'{') => {
                    self.open.push(level);
                    1
                }
                (None, b')' | b']' | b'}') => {
                    self.open.pop();
                    1
                }
                (None, _) => 1,
            };
        }
    }
}
