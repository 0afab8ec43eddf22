//! Writes the lines of a canonical layout: comments after lines are aligned, several blank lines become one.

use unicode_width::UnicodeWidthStr;

use crate::syntax::diagnostic::{Diagnostic, Diagnostics, quoted};

/// The widest line whose comment is aligned with those of its neighbours, in columns.
const WIDEST: usize = 60;

/// A text that is written line by line, up to a limit.
pub(super) struct Page {
    text: String,
    /// Adjacent lines, each with the comment after it, which may be empty.
    group: Vec<(String, String)>,
    /// Bytes of the group at least: without the blanks before its comments.
    waiting: usize,
    /// Bytes of the text at most.
    largest: usize,
}

impl Page {
    /// An empty page of at most `largest` bytes.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            text: String::new(),
            group: Vec::new(),
            waiting: 0,
            largest,
        }
    }

    /// Writes a line with the comment after it, which may be empty.
    pub(super) fn row(&mut self, code: String, comment: &str) {
        self.waiting += code.len() + comment.len() + 1;
        self.group.push((code, comment.to_owned()));
    }

    /// Writes a line without a comment to align.
    pub(super) fn line(&mut self, text: &str) {
        self.end_group();
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Writes a blank line, except at the start and after another one.
    pub(super) fn gap(&mut self) {
        self.end_group();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Whether the limit is exceeded: further lines are not needed.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() + self.waiting > self.largest
    }

    /// The text.
    ///
    /// # Errors
    /// It is too large for the file, which has this name.
    pub(super) fn finish(mut self, name: &str) -> Result<String, Diagnostics> {
        self.end_group();
        if self.text.len() <= self.largest {
            return Ok(self.text);
        }
        let most = self.largest >> 20;
        let message = format!("the file {} would have more than {most} MiB", quoted(name));
        Err(Diagnostic::new("limit/file", message).into())
    }

    fn end_group(&mut self) {
        let width = |code: &str| code.width();
        let commented = self.group.iter().filter(|(_, comment)| !comment.is_empty());
        let widths = commented.map(|(code, _)| width(code));
        let column = widths.filter(|width| *width <= WIDEST).max();
        for (code, comment) in self.group.drain(..) {
            if self.text.len() > self.largest {
                break;
            }
            self.text.push_str(&code);
            if !comment.is_empty() {
                let blanks = column.unwrap_or_default().saturating_sub(width(&code)) + 2;
                self.text.extend(std::iter::repeat_n(' ', blanks));
                self.text.push_str(&comment);
            }
            self.text.push('\n');
        }
        self.waiting = 0;
    }
}
