//! The canonical layout of a configuration file. Only what has no meaning changes: blanks around delimiters and between
//! the tokens of values, indents, runs of blank lines, line ends. The text of strings and comments does not change, nor
//! does the author's choice of where a value is broken into lines.

use std::sync::Arc;

use crate::syntax::diagnostic::Diagnostics;
use crate::syntax::expression;
use crate::syntax::format::page::Page;
use crate::syntax::format::spacing::ValueSpacing;
use crate::syntax::ini_lines;
use crate::syntax::ini_lines::IniLine;
use crate::syntax::source::{Fragment, Source};

/// Columns of one indent level.
const INDENT: usize = 4;

/// The deepest indent level.
const DEEPEST: usize = 12;

/// Mistakes after which reading stops.
const MOST_MISTAKES: usize = 1000;

/// A file in its canonical layout.
///
/// # Errors
/// All mistakes in its syntax; or the layout has more bytes than `largest`.
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

/// A line of the file, without its line end.
enum Raw<'a> {
    Blank,
    /// In column 1.
    Comment(&'a str),
    /// The name, and the comment after it.
    Section(&'a str, &'a str),
    Setting(&'a str, &'a Fragment),
    /// Without its indent.
    Continuation(&'a str),
}

/// The lines of a file without mistakes.
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
            // The blanks that continue a value in the grammar.
            None if line.starts_with([' ', '\t', '\x0b', '\x0c', '\r']) => {
                Raw::Continuation(line.trim_start())
            }
            None if ini_lines::only_closes(line) => Raw::Continuation(line),
            None => Raw::Comment(line),
        })
    })
}

/// Writes line after line in its layout.
struct LayoutWriter {
    page: Page,
    /// Blank lines (`None`) and comments, which are written when it is known what follows them.
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

    /// Writes the waiting lines; several blank lines become one, except in a string.
    fn settle(&mut self, in_string: bool) {
        for line in std::mem::take(&mut self.waiting) {
            match line {
                Some(comment) => self.page.line(&comment),
                None if in_string => self.page.line(""),
                None => self.page.gap(),
            }
        }
    }

    /// Writes the waiting lines before a section, with a blank line before the comments directly above it.
    fn begin_section(&mut self) {
        let above = self.waiting.iter().rev();
        let above = above.take_while(|line| line.is_some()).count();
        let comments = self.waiting.split_off(self.waiting.len() - above);
        self.waiting.push(None);
        self.settle(false);
        self.waiting = comments;
        self.settle(false);
    }

    /// Writes the comments at the end of the file, without blank lines after them.
    fn finish(mut self, name: &str) -> Result<String, Diagnostics> {
        while let Some(None) = self.waiting.last() {
            self.waiting.pop();
        }
        self.settle(false);
        self.page.finish(name)
    }
}
