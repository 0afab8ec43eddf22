//! The canonical blanks between the tokens of a value, line by line: where lines end is the author's business.
//! Values are known to have no mistakes.

use std::ops::Range;

/// What separates tokens, as the grammar has it.
const BLANKS: &[u8] = b" \t\x0c\r";

/// What blanks depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    /// `(`, where an operand is expected: a display or parentheses.
    Open,
    /// `(`, behind an operand: a call or a subscript.
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
    /// `not`: a word that wants an operand.
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
        // `1.real` would be no number.
        (_, Token::Dot) => before == Token::Number,
        (Token::Open | Token::OpenBehind | Token::Dot, _) => false,
        (Token::Assign | Token::Sign | Token::Bound, _) => false,
        (..) => true,
    }
}

/// A bracket that is open.
struct Bracket {
    /// The level of the line in which it was opened.
    level: usize,
    /// Whether it is a subscript's.
    subscript: bool,
    /// Lambdas in it whose colon is still to come.
    lambdas: usize,
}

/// A value that is read line by line, and how far: the brackets and the string that are open.
#[derive(Default)]
pub(super) struct ValueSpacing {
    /// The quote of the string, and how often it stands at its end.
    quote: Option<(u8, usize)>,
    open: Vec<Bracket>,
    /// The last token, of whatever line.
    before: Option<Token>,
}

/// A line of a value.
pub(super) struct Spaced<'a> {
    /// Its tokens with the canonical blanks between them; may be empty.
    pub code: String,
    /// The comment behind them; may be empty.
    pub comment: &'a str,
}

impl ValueSpacing {
    /// Whether a string goes on in the next line.
    pub fn in_string(&self) -> bool {
        self.quote.is_some()
    }

    /// The level at which a further line of the value stands: below the line that opens the innermost bracket,
    /// or with it if the line begins by closing that. Column 1 is no place for either.
    pub fn level(&self, line: &str) -> usize {
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

    /// Reads a line that stands at a level.
    pub fn read<'a>(&mut self, line: &'a str, level: usize) -> Spaced<'a> {
        let mut code = String::with_capacity(line.len() + 8);
        let mut at = self.rest_of_string(line, 0);
        code.push_str(&line[..at]);
        // Behind a string of the line before there is one.
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

    /// Where the string that is open ends, if it does in this line.
    fn rest_of_string(&mut self, line: &str, start: usize) -> usize {
        let Some((quote, width)) = self.quote else {
            return start;
        };
        let bytes = line.as_bytes();
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            if byte == b'\\' {
                at += 2;
            } else if bytes[at..].starts_with(&[quote; 3][..width]) {
                self.quote = None;
                return at + width;
            } else {
                at += 1;
            }
        }
        line.len()
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

    /// What a `:` is, which the innermost bracket decides.
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

    /// A word, or the string that it is the prefix of, and its length.
    fn word(&mut self, line: &str, start: usize) -> (Token, usize) {
        let rest = &line[start..];
        let length = rest.bytes().take_while(|byte| in_word(*byte)).count();
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

    /// Where the string ends whose quote stands there, if it does in this line.
    fn string(&mut self, line: &str, quote: usize) -> usize {
        let bytes = &line.as_bytes()[quote..];
        let triple = bytes.starts_with(&[bytes[0]; 3]);
        let width = if triple { 3 } else { 1 };
        self.quote = Some((bytes[0], width));
        self.rest_of_string(line, quote + width)
    }
}

/// What names, words and further digits consist of.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
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
