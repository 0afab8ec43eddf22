//! Texts that the user wrote, and places in them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A text that the user wrote: a file, an option's value.
#[derive(Debug)]
pub struct Source {
    /// Its name in messages: the path as it was given.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes in a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// From byte offsets, which fit 32 bits: files are far smaller than 4 GiB (`limit/file`).
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: narrow(start),
            end: narrow(end.max(start)),
        }
    }

    /// From the start of one span to the end of another.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        Self {
            start: self.start,
            end: last.end.max(self.start),
        }
    }
}

/// A span and its source.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text.
    pub source: Arc<Source>,
    /// The bytes.
    pub span: Span,
}

/// The same bytes of the same text.
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.span == other.span
    }
}

impl Eq for Place {}

impl Place {
    /// The line in which the place begins, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        let start = (self.span.start as usize).min(self.source.text.len());
        1 + memchr::memchr_iter(b'\n', &self.source.text.as_bytes()[..start]).count()
    }
}

/// The line starts of sources. Each source is searched only once, for any number of places.
#[derive(Debug, Default)]
pub struct Lines {
    /// By address; the source is kept so that its address is not used again.
    starts: HashMap<*const Source, (Arc<Source>, Vec<usize>)>,
}

impl Lines {
    /// The line and column of a byte, both counted from 1, the column in characters.
    pub fn position(&mut self, source: &Arc<Source>, byte: u32) -> (usize, usize) {
        let text = source.text.as_bytes();
        let (index, line) = self.line(source, byte);
        let byte = (byte as usize).min(text.len());
        // A character's further bytes are 10xxxxxx (RFC 3629 §3).
        let characters = text[line.start..byte]
            .iter()
            .filter(|byte| **byte & 0xc0 != 0x80);
        (index + 1, 1 + characters.count())
    }

    /// The number of the line with a byte, counted from 0, and where it is, without its end.
    pub(super) fn line(&mut self, source: &Arc<Source>, byte: u32) -> (usize, Range<usize>) {
        let text = source.text.as_bytes();
        let (_, starts) = self.starts.entry(Arc::as_ptr(source)).or_insert_with(|| {
            let further = memchr::memchr_iter(b'\n', text).map(|end| end + 1);
            (
                Arc::clone(source),
                std::iter::once(0).chain(further).collect(),
            )
        });
        let byte = (byte as usize).min(text.len());
        let after = starts.partition_point(|start| *start <= byte);
        let index = after.saturating_sub(1);
        let start = starts.get(index).copied().unwrap_or_default();
        let mut end = starts.get(after).map_or(text.len(), |next| next - 1);
        while end > start && text[end - 1] == b'\r' {
            end -= 1;
        }
        (index, start..end)
    }
}

/// The text of a value: its lines without their indent and without the comment lines between them. It maps places in
/// this text to places in the source.
#[derive(Debug, Default)]
pub struct Fragment {
    text: String,
    /// Where each line begins in `text`, and where in the source.
    pieces: Vec<(usize, usize)>,
}

impl Fragment {
    /// A fragment of one line.
    #[must_use]
    pub fn new(text: &str, offset: usize) -> Self {
        Self {
            text: text.to_owned(),
            pieces: vec![(0, offset)],
        }
    }

    /// Adds a further line.
    pub fn push_line(&mut self, text: &str, offset: usize) {
        self.text.push('\n');
        self.pieces.push((self.text.len(), offset));
        self.text.push_str(text);
    }

    /// Removes blanks and line ends at the end.
    pub fn trim_end(&mut self) {
        let length = self.text.trim_end().len();
        self.text.truncate(length);
        let kept = self.pieces.iter().take_while(|piece| piece.0 <= length);
        let kept = kept.count().max(1);
        self.pieces.truncate(kept);
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place in the source of a range of the text.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        let start = self.offset(start);
        // The end is mapped with the last byte: the next line may be elsewhere in the source.
        let end = self.offset(end.saturating_sub(1)) + usize::from(end > 0);
        Span::new(start, end.max(start))
    }

    fn offset(&self, position: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.0 <= position);
        let Some(&(begin, offset)) = self.pieces.get(after.saturating_sub(1)) else {
            return position;
        };
        offset + position.saturating_sub(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Fragment, Lines, Source, Span};

    #[test]
    fn positions_are_counted_in_characters() {
        let source = Arc::new(Source {
            name: String::new(),
            text: "é = 1\n\nab".to_owned(),
        });
        let mut lines = Lines::default();
        let cases = [
            (0, 1, 1),
            (2, 1, 2),
            (6, 1, 6),
            (7, 2, 1),
            (8, 3, 1),
            (10, 3, 3),
            (99, 3, 3),
        ];
        for (byte, line, column) in cases {
            assert_eq!(lines.position(&source, byte), (line, column), "{byte}");
        }
    }

    #[test]
    fn a_fragment_knows_where_its_lines_stood() {
        let source = "a = 1,\n# comment\n    22,\n\n";
        let mut value = Fragment::new("1,", 4);
        value.push_line("22,", source.find("22").expect("is there"));
        value.push_line("", 25);
        value.trim_end();
        assert_eq!(value.text(), "1,\n22,");
        assert_eq!(value.span(0, 1), Span::new(4, 5));
        assert_eq!(value.span(3, 5), Span::new(21, 23));
        assert_eq!(value.span(0, 6), Span::new(4, 24));
        assert_eq!(value.span(6, 6), Span::new(24, 24));
    }
}
