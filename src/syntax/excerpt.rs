//! The lines of a source that a diagnostic shows. A long line is cut to a window around each place in it, so that what
//! is drawn stays short, whatever a file contains.

use std::ops::Range;
use std::sync::Arc;

use codespan_reporting::files::{Error, Files};
use unicode_width::UnicodeWidthChar;

use super::harmless::harmless;
use super::source::{Lines, Place, Source};

/// Columns of the longest line that is shown whole.
const WIDEST: usize = 140;

/// Columns that are shown at least for each place in a line that is cut. A third of them are before the place.
const NARROWEST: usize = 48;

/// Windows with a smaller gap, in bytes, are one.
const GAP: usize = 3;

const CUT: &str = "…";

/// The lines of one source.
pub(super) struct Excerpt {
    source: Arc<Source>,
    name: String,
    text: String,
    /// In the order of the source.
    lines: Vec<ShownLine>,
}

struct ShownLine {
    /// Its number in the source, counted from 0.
    index: usize,
    /// Where it is in the text of the excerpt.
    range: Range<usize>,
    pieces: Vec<ShownPiece>,
}

/// A part of a line that is shown.
struct ShownPiece {
    /// Where it is in the source.
    from: Range<usize>,
    /// Where it begins in the text of the excerpt.
    to: usize,
    /// Its column in the source, counted from 1.
    column: usize,
}

impl Excerpt {
    /// The excerpt of a source with these places in it.
    pub(super) fn new(source: &Arc<Source>, places: &[&Place], lines: &mut Lines) -> Self {
        let mut excerpt = Self {
            source: Arc::clone(source),
            name: harmless(&source.name).into_owned(),
            text: String::new(),
            lines: Vec::new(),
        };
        let mut shown: Vec<(usize, Range<usize>, Vec<Range<usize>>)> = Vec::new();
        for place in places {
            let (index, line) = lines.line(source, place.span.start);
            let inside = within(&source.text, place, &line);
            match shown.iter_mut().find(|(known, ..)| *known == index) {
                Some((.., ranges)) => ranges.push(inside),
                None => shown.push((index, line, vec![inside])),
            }
        }
        shown.sort_by_key(|(index, ..)| *index);
        let mut before: Option<(usize, usize)> = None;
        for (index, line, ranges) in shown {
            // A single line between two others is drawn instead of a gap.
            if let Some((last, end)) = before
                && index == last + 2
            {
                let (between, range) =
                    lines.line(source, u32::try_from(end + 1).unwrap_or(u32::MAX));
                excerpt.push(between, range, Vec::new(), lines);
            }
            before = Some((index, line_end(&source.text, &line)));
            excerpt.push(index, line, ranges, lines);
        }
        excerpt
    }

    fn push(
        &mut self,
        index: usize,
        line: Range<usize>,
        places: Vec<Range<usize>>,
        lines: &mut Lines,
    ) {
        let source = Arc::clone(&self.source);
        let start = self.text.len();
        let mut pieces = Vec::new();
        let mut end = line.start;
        for window in windows(&source.text, &line, places) {
            if window.start > end {
                self.text.push_str(CUT);
            }
            end = window.end;
            let at = u32::try_from(window.start).unwrap_or(u32::MAX);
            pieces.push(ShownPiece {
                to: self.text.len(),
                column: lines.position(&source, at).1,
                from: window.clone(),
            });
            self.text.push_str(&harmless(&source.text[window]));
        }
        if end < line.end {
            self.text.push_str(CUT);
        }
        self.text.push('\n');
        let range = start..self.text.len();
        self.lines.push(ShownLine {
            index,
            range,
            pieces,
        });
    }

    /// Whether it is of this source.
    pub(super) fn is_of(&self, source: &Arc<Source>) -> bool {
        Arc::ptr_eq(&self.source, source)
    }

    /// The visible part of a place, in the text of the excerpt.
    pub(super) fn visible(&self, place: &Place) -> Range<usize> {
        let (start, end) = (place.span.start as usize, place.span.end as usize);
        let pieces = || self.lines.iter().flat_map(|line| &line.pieces);
        let start = start.min(self.source.text.len());
        let piece = pieces().rfind(|piece| piece.from.start <= start);
        let Some(piece) = piece else { return 0..0 };
        let inside = |at: usize| {
            let at = floor_boundary(
                &self.source.text,
                at.clamp(piece.from.start, piece.from.end),
            );
            piece.to + at - piece.from.start
        };
        inside(start)..inside(end.max(start))
    }
}

/// All excerpts of one diagnostic: the numbers of files are those of the excerpts.
pub(super) struct Excerpts(pub(super) Vec<Excerpt>);

impl Excerpts {
    fn get(&self, id: usize) -> Result<&Excerpt, Error> {
        self.0.get(id).ok_or(Error::FileMissing)
    }

    fn shown(&self, id: usize, wanted: impl Fn(&ShownLine) -> bool) -> Result<&ShownLine, Error> {
        let line = self.get(id)?.lines.iter().find(|line| wanted(line));
        line.ok_or(Error::LineTooLarge { given: 0, max: 0 })
    }
}

impl<'a> Files<'a> for Excerpts {
    type FileId = usize;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.get(id)?.name)
    }

    fn source(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.get(id)?.text)
    }

    fn line_index(&self, id: usize, byte: usize) -> Result<usize, Error> {
        Ok(self.shown(id, |line| byte < line.range.end)?.index)
    }

    fn line_range(&self, id: usize, index: usize) -> Result<Range<usize>, Error> {
        Ok(self.shown(id, |line| line.index == index)?.range.clone())
    }

    fn column_number(&self, id: usize, index: usize, byte: usize) -> Result<usize, Error> {
        let line = self.shown(id, |line| line.index == index)?;
        let piece = line.pieces.iter().rfind(|piece| piece.to <= byte);
        let Some(piece) = piece else { return Ok(1) };
        let before = self.get(id)?.text.get(piece.to..byte);
        Ok(piece.column + before.unwrap_or_default().chars().count())
    }
}

/// The part of a place that is in the line in which it begins, on character boundaries.
fn within(text: &str, place: &Place, line: &Range<usize>) -> Range<usize> {
    let inside = |at: u32| floor_boundary(text, (at as usize).clamp(line.start, line.end));
    let start = inside(place.span.start);
    start..inside(place.span.end).max(start)
}

/// The parts of a line that are shown for the places in it.
fn windows(text: &str, line: &Range<usize>, mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let content = &text[line.clone()];
    if forward(content, WIDEST) == content.len() {
        return vec![line.clone()];
    }
    if places.is_empty() {
        places.push(line.start..line.start);
    }
    let share = (WIDEST / places.len()).max(NARROWEST);
    places.sort_by_key(|place| place.start);
    let mut windows: Vec<Range<usize>> = Vec::new();
    for place in places {
        let (before, columns) = backward(&text[line.start..place.start], share / 3);
        let start = line.start + before;
        let end = place.start + forward(&text[place.start..line.end], share - columns);
        match windows.last_mut() {
            Some(last) if start <= last.end + GAP => last.end = last.end.max(end),
            _ => windows.push(start..end),
        }
    }
    windows
}

/// The end of the longest beginning of a text that fits some columns.
fn forward(text: &str, columns: usize) -> usize {
    let mut used = 0;
    let beyond = text.char_indices().find(|(_, c)| {
        used += columns_of(*c);
        used > columns
    });
    beyond.map_or(text.len(), |(at, _)| at)
}

/// The start of the longest end of a text that fits some columns, and how many columns it has.
fn backward(text: &str, columns: usize) -> (usize, usize) {
    let mut start = (text.len(), 0);
    for (at, c) in text.char_indices().rev() {
        let used = start.1 + columns_of(c);
        if used > columns {
            break;
        }
        start = (at, used);
    }
    start
}

/// The columns of a character, at least one, so that any number of characters without a width is cut as well.
fn columns_of(c: char) -> usize {
    match c {
        // As far as the next tab stop, at most.
        '\t' => 4,
        c => c.width().unwrap_or_default().max(1),
    }
}

fn line_end(text: &str, line: &Range<usize>) -> usize {
    let rest = text.as_bytes().get(line.end..).unwrap_or_default();
    line.end + rest.iter().take_while(|byte| **byte == b'\r').count()
}

/// `str::floor_char_boundary`, which Rust has since 1.91.
pub(super) fn floor_boundary(text: &str, offset: usize) -> usize {
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let offset = offset.min(text.len());
    (0..=offset).rev().find(boundary).unwrap_or_default()
}
