//! Reads simple values without the grammar, which is slower: strings, numbers, constants, products of numbers, and lists,
//! tuples and dicts of them. Most values are so simple; all others are left to the grammar, and a test compares both.

use super::ast::{Binary, DictEntry, Expression, ExpressionKind, Item};
use crate::syntax::source::Fragment;

/// Digits of a number that always fits 64 bits.
const DIGITS: usize = 18;

/// How deep brackets may be nested here.
const DEEPEST: usize = 8;

/// The tree of a fragment, if it is simple.
pub(super) fn value(fragment: &Fragment) -> Option<Expression> {
    let text = fragment.text();
    if let Some(kind) = literal(text) {
        let span = fragment.span(0, text.len());
        return Some(Expression { kind, span });
    }
    let mut reader = PlainReader { fragment, at: 0 };
    let first = reader.element(0)?;
    if reader.next().is_none() {
        return Some(first);
    }
    // `'a.ini', 'prefix.*'`
    let mut items = vec![Item::One(first)];
    while reader.take(b',') {
        reader.skip();
        items.push(Item::One(reader.element(0)?));
    }
    let span = match (items.first()?, items.last()?) {
        (Item::One(first), Item::One(last)) => first.span.to(last.span),
        _ => return None,
    };
    let kind = ExpressionKind::Tuple(items);
    (reader.at == text.len()).then_some(Expression { kind, span })
}

/// The literal that a whole text is.
fn literal(text: &str) -> Option<ExpressionKind> {
    match text.as_bytes() {
        b"None" => Some(ExpressionKind::None),
        b"True" => Some(ExpressionKind::Bool(true)),
        b"False" => Some(ExpressionKind::Bool(false)),
        [quote @ (b'\'' | b'"'), inside @ .., last] if quote == last => {
            let plain = |byte: &u8| byte != quote && !matches!(byte, b'\\' | b'\n');
            let inside = inside.iter().all(plain).then(|| &text[1..text.len() - 1])?;
            Some(ExpressionKind::Text(inside.into()))
        }
        [b'0'..=b'9', ..] => number(text),
        _ => None,
    }
}

/// `12`, `1.5`
fn number(text: &str) -> Option<ExpressionKind> {
    if text.len() > DIGITS {
        return None;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((whole, part)) = text.split_once('.') {
        let plain = digits(whole) && digits(part);
        return plain.then(|| text.parse().ok().map(ExpressionKind::Float))?;
    }
    if !digits(text) || text.len() > 1 && text.starts_with('0') {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    Some(ExpressionKind::Integer(number.into()))
}

struct PlainReader<'a> {
    fragment: &'a Fragment,
    /// The position of the next byte.
    at: usize,
}

impl PlainReader<'_> {
    fn rest(&self) -> &str {
        // `at` is always at the boundary of a character.
        self.fragment.text().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.fragment.text().as_bytes().get(self.at).copied()
    }

    /// Skips blanks, line ends and comments.
    fn skip(&mut self) {
        let text = self.fragment.text().as_bytes();
        while let Some(byte) = text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'#' => {
                    let rest = &text[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// The next byte after blanks and comments.
    fn next(&mut self) -> Option<u8> {
        self.skip();
        self.peek()
    }

    /// Whether the next byte is this one, which is then skipped.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.next() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A display, a literal or a product, with nothing after it that could continue the expression.
    fn element(&mut self, depth: usize) -> Option<Expression> {
        let element = match self.peek()? {
            _ if depth == DEEPEST => return None,
            b'(' => self.tuple(depth)?,
            b'[' => self.list(depth)?,
            b'{' => self.dict(depth)?,
            b'0'..=b'9' => self.product()?,
            _ => self.word()?,
        };
        matches!(self.next(), None | Some(b',' | b':' | b')' | b']' | b'}')).then_some(element)
    }

    fn from(&self, start: usize, kind: ExpressionKind) -> Expression {
        let span = self.fragment.span(start, self.at);
        Expression { kind, span }
    }

    /// A string, a number or a constant.
    fn word(&mut self) -> Option<Expression> {
        let rest = self.rest();
        let length = match rest.as_bytes().first()? {
            quote @ (b'\'' | b'"') => 2 + memchr::memchr(*quote, &rest.as_bytes()[1..])?,
            _ => {
                let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
                rest.bytes().take_while(|byte| part(*byte)).count()
            }
        };
        let kind = literal(rest.get(..length)?)?;
        let start = self.at;
        self.at += length;
        Some(self.from(start, kind))
    }

    /// `64 * 1024`, or a number alone.
    fn product(&mut self) -> Option<Expression> {
        let first = self.word()?;
        let mut end = self.at;
        let mut factors = Vec::new();
        while self.take(b'*') {
            self.skip();
            self.peek()?.is_ascii_digit().then_some(())?;
            let factor = self.word()?;
            end = self.at;
            factors.push((Binary::Multiply, factor));
        }
        self.at = end;
        Some(match factors.last() {
            None => first,
            Some((_, last)) => Expression {
                span: first.span.to(last.span),
                kind: ExpressionKind::Arithmetic(Box::new(first), factors),
            },
        })
    }

    /// The elements up to a closing bracket, and whether there was a comma.
    fn items(&mut self, close: u8, depth: usize) -> Option<(Vec<Item>, bool)> {
        let mut items = Vec::new();
        let mut commas = false;
        self.at += 1;
        while !self.take(close) {
            items.push(Item::One(self.element(depth + 1)?));
            if !self.take(b',') {
                return self.take(close).then_some((items, commas));
            }
            commas = true;
        }
        Some((items, commas))
    }

    fn list(&mut self, depth: usize) -> Option<Expression> {
        let start = self.at;
        let (items, _) = self.items(b']', depth)?;
        Some(self.from(start, ExpressionKind::List(items)))
    }

    /// `(1, 2)`, or `(1)`, which is `1`.
    fn tuple(&mut self, depth: usize) -> Option<Expression> {
        let start = self.at;
        let (mut items, commas) = self.items(b')', depth)?;
        let kind = match (items.pop(), commas) {
            (Some(Item::One(only)), false) => only.kind,
            (last, _) => {
                items.extend(last);
                ExpressionKind::Tuple(items)
            }
        };
        Some(self.from(start, kind))
    }

    fn dict(&mut self, depth: usize) -> Option<Expression> {
        let start = self.at;
        let mut entries = Vec::new();
        self.at += 1;
        while !self.take(b'}') {
            let key = self.element(depth + 1)?;
            self.take(b':').then_some(())?;
            self.skip();
            entries.push(DictEntry::Pair(key, self.element(depth + 1)?));
            if !self.take(b',') {
                self.take(b'}').then_some(())?;
                break;
            }
        }
        Some(self.from(start, ExpressionKind::Dict(entries)))
    }
}
