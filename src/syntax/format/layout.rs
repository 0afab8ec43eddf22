//! The one canonical layout of a configuration file: what `fmt` writes. Only what means nothing changes: blanks
//! around delimiters and between the tokens of values, indents, runs of blank lines, line ends. What stands inside
//! strings, and every comment, is kept, and so is the author's choice of where a value is broken into lines.

use std::sync::Arc;

use crate::syntax::diagnostic::Diagnostics;
use crate::syntax::expression;
use crate::syntax::format::page::Page;
use crate::syntax::format::spacing::ValueSpacing;
use crate::syntax::ini_lines;
use crate::syntax::ini_lines::IniLine;
use crate::syntax::source::{Fragment, Source};

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
    let (lines, mut mistakes) = ini_lines::parse(source);
    for line in &lines {
        if mistakes.len() >= MOST_MISTAKES {
            break;
        }
        if let IniLine::Setting { value, .. } = line {
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
    let mut writer = LayoutWriter {
        page: Page::new(largest),
        waiting: Vec::new(),
        value: ValueSpacing::default(),
    };
    for line in raw_lines(source, &lines) {
        writer.line(&line);
        if writer.page.is_full() {
            break;
        }
    }
    writer.finish(&source.name)
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
fn raw_lines<'a>(source: &'a Source, lines: &'a [IniLine]) -> impl Iterator<Item = Raw<'a>> {
    let text = source.text.as_str();
    let mut known = lines.iter().peekable();
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let length = rest.find('\n').unwrap_or(rest.len());
        at += length + 1;
        let line = rest[..length].trim_end_matches('\r');
        let begins = |line: &&&IniLine| match line {
            IniLine::Section { span, .. } | IniLine::Setting { span, .. } => {
                span.start as usize == start
            }
        };
        Some(match known.peek().filter(begins) {
            Some(IniLine::Section { name, span }) => {
                known.next();
                let behind = line.get((span.end - span.start) as usize..);
                Raw::Section(name, behind.unwrap_or_default().trim())
            }
            Some(IniLine::Setting { name, value, .. }) => {
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
struct LayoutWriter {
    page: Page,
    /// Blank lines and comments whose place is known only when it is clear what follows them.
    waiting: Vec<Option<String>>,
    value: ValueSpacing,
}

impl LayoutWriter {
    fn line(&mut self, line: &Raw<'_>) {
        match line {
            Raw::Blank => self.waiting.push(None),
            Raw::Comment(comment) => self.waiting.push(Some(comment.trim_end().to_owned())),
            Raw::Section(name, comment) => {
                self.value = ValueSpacing::default();
                self.begin_section();
                let blanks = if comment.is_empty() { "" } else { "  " };
                self.page.line(&format!("[{name}]{blanks}{comment}"));
            }
            Raw::Setting(name, value) => {
                self.value = ValueSpacing::default();
                self.settle(false);
                // `rem = 1` would be a comment.
                let blank = if name.eq_ignore_ascii_case("rem") {
                    ""
                } else {
                    " "
                };
                let first = value.text().split('\n').next().unwrap_or_default();
                let first = self.value.read(first, 0);
                let code = format!("{name}{blank}= {}", first.code);
                let code = match first.code.is_empty() {
                    true => code.trim_end().to_owned(),
                    false => code,
                };
                self.page.row(code, first.comment);
            }
            Raw::Continuation(text) => {
                self.settle(self.value.in_string());
                let level = self.value.level(text);
                let indent = " ".repeat(INDENT * level.min(DEEPEST));
                let line = self.value.read(text, level);
                match line.code.is_empty() {
                    true => self.page.row(indent + line.comment, ""),
                    false => self.page.row(indent + &line.code, line.comment),
                }
            }
        }
    }

    /// Writes what waited: several blank lines are one, except in a string.
    fn settle(&mut self, in_string: bool) {
        for line in std::mem::take(&mut self.waiting) {
            match line {
                Some(comment) => self.page.line(&comment),
                None if in_string => self.page.line(""),
                None => self.page.gap(),
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
    fn finish(mut self, name: &str) -> Result<String, Diagnostics> {
        while let Some(None) = self.waiting.last() {
            self.waiting.pop();
        }
        self.settle(false);
        self.page.finish(name)
    }
}
