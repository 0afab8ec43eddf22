//! The canonical blanks between the tokens of a value, line by line. Line ends stay where the author put them. The value
//! has been parsed before, and has no mistakes.

use std::ops::Range;

use crate::syntax::expression::nesting::{in_word, opening_quote, string_end, word_length};

/// The grammar's blanks.
const BLANKS: &[u8] = b" \t\x0c\r";

/// A token, as far as the blanks around it depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// `(` where an operand is expected: parentheses or a display.
    Open,
    /// `(` after an operand: a call or a subscript.
    OpenBehind,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `:` of a dict or a lambda.
    Colon,
    /// `:` of a slice.
    Bound,
    /// `.` before an attribute.
    Dot,
    /// `=` of a keyword or a default.
    Assign,
    /// `-x`, `*rest`
    Sign,
    /// `+`
    Operator,
    /// `not`: a word that is followed by an operand.
    Keyword,
    /// `12`
    Number,
    /// A name, a constant, a string.
    Operand,
    /// `\` at the end of a line.
    Backslash,
}

impl Token {
    /// Whether an operator may follow.
    fn is_operand(self) -> bool {
        matches!(self, Self::Close | Self::Number | Self::Operand)
    }
}

/// Whether a blank separates two tokens of one line.
fn are_apart(before: Token, after: Token) -> bool {
    match (before, after) {
        (_, Token::Close | Token::Comma | Token::Colon | Token::Bound) => false,
        (_, Token::Assign | Token::OpenBehind) => false,
        // Without a blank, `1 .real` would be a malformed number.
        (_, Token::Dot) => before == Token::Number,
        (Token::Open | Token::OpenBehind | Token::Dot, _) => false,
        (Token::Assign | Token::Sign | Token::Bound, _) => false,
        (..) => true,
    }
}

/// An open bracket.
struct Bracket {
    /// The indent level of its line.
    level: usize,
    /// Whether it opens a subscript.
    subscript: bool,
    /// Lambdas in it whose colon has not come yet.
    lambdas: usize,
}

/// Reads a value line by line.
#[derive(Default)]
pub(super) struct ValueSpacing {
    /// The quote of the open string, and how many quotes end it.
    quote: Option<(u8, usize)>,
    open: Vec<Bracket>,
    /// The last token, of this line or one before.
    before: Option<Token>,
}

/// A line of a value.
pub(super) struct Spaced<'a> {
    /// Its tokens with the canonical blanks between them; may be empty.
    pub code: String,
    /// The comment after them; may be empty.
    pub comment: &'a str,
}

impl ValueSpacing {
    /// Whether a string continues in the next line.
    pub(super) fn in_string(&self) -> bool {
        self.quote.is_some()
    }

    /// The indent level of a further line of the value: one more than that of the line with the innermost open bracket,
    /// or the same if the line begins by closing it; at least 1, since a line in column 1 would not continue the value.
    pub(super) fn level(&self, line: &str) -> usize {
        let closing = match self.quote {
            Some(_) => 0,
            None => line
                .bytes()
                .take_while(|byte| b")]}".contains(byte) || BLANKS.contains(byte))
                .filter(|byte| b")]}".contains(byte))
                .count(),
        };
        let level = match closing {
            0 => self.open.last().map_or(1, |open| open.level + 1),
            _ => {
                let opened = self.open.len().saturating_sub(closing);
                self.open.get(opened).map_or(0, |open| open.level)
            }
        };
        level.max(1)
    }

    /// Reads a line at an indent level.
    pub(super) fn read<'a>(&mut self, line: &'a str, level: usize) -> Spaced<'a> {
        let mut code = String::with_capacity(line.len() + 8);
        let mut at = self.rest_of_string(line, 0);
        code.push_str(&line[..at]);
        // The end of a string from the line before is an operand.
        let mut last = (at > 0).then_some(Token::Operand);
        while let Some(byte) = line.as_bytes().get(at) {
            match byte {
                byte if BLANKS.contains(byte) => at += 1,
                b'#' => {
                    let comment = line[at..].trim_end();
                    return Spaced { code, comment };
                }
                _ => {
                    let (token, range) = self.token(line, at, level);
                    if last.is_some_and(|last| are_apart(last, token)) {
                        code.push(' ');
                    }
                    at = range.end;
                    code.push_str(&line[range]);
                    last = Some(token);
                    if token != Token::Backslash {
                        self.before = last;
                    }
                }
            }
        }
        Spaced { code, comment: "" }
    }

    /// Where the open string ends, or else the end of the line.
    fn rest_of_string(&mut self, line: &str, start: usize) -> usize {
        let Some((quote, width)) = self.quote else {
            return start;
        };
        let end = string_end(line.as_bytes(), start, quote, width);
        if end.is_some() {
            self.quote = None;
        }
        end.unwrap_or(line.len())
    }

    /// The token that begins there.
    fn token(&mut self, line: &str, start: usize, level: usize) -> (Token, Range<usize>) {
        let bytes = &line.as_bytes()[start..];
        let operand = self.before.is_some_and(Token::is_operand);
        let (token, length) = match bytes[0] {
            b'(' | b'[' | b'{' => {
                self.open.push(Bracket {
                    level,
                    subscript: operand && bytes[0] == b'[',
                    lambdas: 0,
                });
                (
                    if operand {
                        Token::OpenBehind
                    } else {
                        Token::Open
                    },
                    1,
                )
            }
            b')' | b']' | b'}' => {
                self.open.pop();
                (Token::Close, 1)
            }
            b',' => (Token::Comma, 1),
            b':' => (self.colon(), 1),
            b'\\' => (Token::Backslash, 1),
            b'\'' | b'"' => (Token::Operand, self.string(line, start) - start),
            b'0'..=b'9' => (Token::Number, number_length(bytes)),
            b'.' if bytes.get(1).is_some_and(u8::is_ascii_digit) => {
                (Token::Number, number_length(bytes))
            }
            b'.' => (Token::Dot, 1),
            b'=' if bytes.get(1) != Some(&b'=') => (Token::Assign, 1),
            byte if in_word(byte) => self.word(line, start),
            _ if operand => (Token::Operator, operator_length(bytes)),
            _ => (Token::Sign, operator_length(bytes)),
        };
        (token, start..start + length)
    }

    /// What a `:` is: the innermost bracket decides.
    fn colon(&mut self) -> Token {
        match self.open.last_mut() {
            Some(open) if open.lambdas > 0 => {
                open.lambdas -= 1;
                Token::Colon
            }
            Some(open) if open.subscript => Token::Bound,
            Some(_) | None => Token::Colon,
        }
    }

    /// A word, or a string with this prefix, and its length.
    fn word(&mut self, line: &str, start: usize) -> (Token, usize) {
        let rest = &line[start..];
        let length = word_length(rest.as_bytes());
        let token = match &rest[..length] {
            "lambda" => {
                if let Some(open) = self.open.last_mut() {
                    open.lambdas += 1;
                }
                Token::Keyword
            }
            "and" | "else" | "for" | "if" | "in" | "is" | "not" | "or" => Token::Keyword,
            _ if rest[length..].starts_with(['\'', '"']) => {
                let end = self.string(line, start + length);
                return (Token::Operand, end - start);
            }
            _ => Token::Operand,
        };
        (token, length)
    }

    /// Where the string ends that begins there, or else the end of the line.
    fn string(&mut self, line: &str, quote: usize) -> usize {
        let opening = opening_quote(line.as_bytes(), quote);
        self.quote = Some(opening);
        self.rest_of_string(line, quote + opening.1)
    }
}

/// `0x1F`, `1_000`, `2.5e-3`
fn number_length(bytes: &[u8]) -> usize {
    let digits = |from: usize| {
        let rest = bytes.iter().skip(from);
        from + rest.take_while(|byte| in_word(**byte)).count()
    };
    let mut end = digits(0);
    if matches!(bytes, [b'0', b'x' | b'X', ..]) {
        return end;
    }
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    match bytes.get(end.saturating_sub(1)..) {
        Some([b'e' | b'E', b'+' | b'-', ..]) => digits(end + 1),
        _ => end,
    }
}

/// `**`, `!=`, `-`
fn operator_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'*', b'*', ..] | [b'/', b'/', ..] | [b'<', b'<' | b'=', ..] => 2,
        [b'>', b'>' | b'=', ..] | [b'=' | b'!', b'=', ..] => 2,
        _ => 1,
    }
}
