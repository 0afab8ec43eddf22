//! f-strings: text with expressions in braces (PEP 498).

use std::ops::Range;

use super::ast::Piece;
use super::builder::{Builder, Nested};
use super::strings;
use crate::syntax::diagnostic::Diagnostic;

/// How deep f-strings and format specifications may be nested.
const DEEPEST: usize = 4;

/// Appends text to the pieces, to the last one if that is text.
pub(super) fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if let Some(Piece::Text(last)) = pieces.last_mut() {
        last.push_str(text);
    } else if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Splits an f-string's body, a range of `text`, into pieces.
pub(super) fn pieces(
    builder: Builder<'_>,
    text: &str,
    body: Range<usize>,
    raw: bool,
) -> Result<Vec<Piece>, Diagnostic> {
    Scanner {
        builder,
        text,
        at: body.start,
        end: body.end,
        raw,
    }
    .pieces(0)
}

struct Scanner<'a> {
    builder: Builder<'a>,
    text: &'a str,
    at: usize,
    end: usize,
    raw: bool,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn error(&self, start: usize, message: &str) -> Diagnostic {
        let span = self.builder.range(start, self.end.min(start + 1));
        Diagnostic::new("syntax/string", message).at(self.builder.source, span)
    }

    /// Text and values up to the end, or inside a specification (`nested` > 0) up to its `}`.
    fn pieces(&mut self, nested: usize) -> Result<Vec<Piece>, Diagnostic> {
        let mut pieces = Vec::new();
        loop {
            let start = self.at;
            let length = self.rest().find(['{', '}']).unwrap_or(self.rest().len());
            let plain = &self.rest()[..length];
            let decoded = if self.raw {
                plain.to_owned()
            } else {
                strings::unescape(plain).map_err(|bad| self.builder.bad_literal(start, bad))?
            };
            push_text(&mut pieces, &decoded);
            self.at += length;
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(pieces);
            }
            if nested == 0 && (rest.starts_with("{{") || rest.starts_with("}}")) {
                let brace = rest[..1].to_owned();
                push_text(&mut pieces, &brace);
                self.at += 2;
            } else if rest.starts_with('{') {
                self.value(nested, &mut pieces)?;
            } else if nested > 0 {
                return Ok(pieces);
            } else {
                return Err(self.error(
                    self.at,
                    "a single `}` in an f-string; write `}}` for the character",
                ));
            }
        }
    }

    /// `{expression!r:specification}`
    fn value(&mut self, nested: usize, pieces: &mut Vec<Piece>) -> Result<(), Diagnostic> {
        let open = self.at;
        if nested >= DEEPEST || self.builder.depth >= DEEPEST {
            let message = format!("f-strings nested more than {DEEPEST} deep");
            let span = self.builder.range(open, open + 1);
            return Err(Diagnostic::new("limit/depth", message).at(self.builder.source, span));
        }
        self.at += 1;
        let start = self.at;
        let (length, comment) = expression_length(self.rest());
        let expression = self.text.get(start..start + length).unwrap_or_default();
        self.at += length;
        if let Some(backslash) = expression.find('\\') {
            return Err(self.error(
                start + backslash,
                "a backslash cannot be inside the braces of an f-string",
            ));
        }
        if let Some(comment) = comment {
            return Err(self.error(
                start + comment,
                "a comment cannot be inside the braces of an f-string",
            ));
        }
        if expression.trim().is_empty() {
            return Err(self.error(open, "expected an expression between `{` and `}`"));
        }
        let inner = Builder {
            base: self.builder.base + start,
            depth: self.builder.depth + 1,
            ..self.builder
        };
        let mut shown = false;
        if self.rest().starts_with('=') {
            // `{name=}` shows the expression itself, too.
            self.at += 1;
            let blanks = self.rest().len() - self.rest().trim_start().len();
            self.at += blanks;
            let written = self.text.get(start..self.at).unwrap_or_default();
            push_text(pieces, written);
            shown = true;
        }
        let value = inner.embedded(expression)?;
        let mut conversion = None;
        if self.rest().starts_with('!') {
            self.at += 1;
            conversion = self.rest().chars().next();
            if !matches!(conversion, Some('r' | 's' | 'a')) {
                return Err(self.error(self.at, "expected `r`, `s` or `a` after `!`"));
            }
            self.at += 1;
        }
        let mut specification = Vec::new();
        if self.rest().starts_with(':') {
            self.at += 1;
            specification = self.pieces(nested + 1)?;
        } else if shown && conversion.is_none() {
            conversion = Some('r');
        }
        if !self.rest().starts_with('}') {
            return Err(self.error(open, "`{` is never closed"));
        }
        self.at += 1;
        pieces.push(Piece::Value {
            value,
            conversion,
            specification,
        });
        Ok(())
    }
}

/// The length of the expression at the start of a text: up to a `}`, `!`, `:` or `=` outside brackets and strings. And the
/// position of a `#` in it, outside strings.
fn expression_length(text: &str) -> (usize, Option<usize>) {
    let bytes = text.as_bytes();
    let mut comment = None;
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' => {
                let ahead = &bytes[at + 1..];
                at += 1 + ahead
                    .iter()
                    .position(|&next| next == byte)
                    .unwrap_or(ahead.len());
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' if depth > 0 => depth -= 1,
            b'}' | b':' if depth == 0 => break,
            b'!' | b'=' | b'<' | b'>' if depth == 0 && bytes.get(at + 1) == Some(&b'=') => at += 1,
            b'!' | b'=' if depth == 0 => break,
            b'#' => comment = comment.or(Some(at)),
            _ => {}
        }
        at += 1;
    }
    (at.min(text.len()), comment)
}
