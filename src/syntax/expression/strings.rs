//! String literals: prefixes, quotes and escapes
//! (<https://docs.python.org/3/reference/lexical_analysis.html#string-and-bytes-literals>).

use std::ops::Range;

/// A string literal. The body of an f-string is not decoded yet.
#[derive(Debug, PartialEq)]
pub(super) enum Literal {
    /// `'text'`
    Text(String),
    /// `b'bytes'`
    Bytes(Vec<u8>),
    /// `f'{value}'`
    Formatted {
        /// The range in the token between the quotes.
        body: Range<usize>,
        /// Whether backslashes stand for themselves, as in an `rf` string.
        raw: bool,
    },
}

/// What is wrong with a literal, and where in the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLiteral {
    pub message: String,
    pub at: Range<usize>,
}

/// Decodes a literal: prefix, quotes, body.
///
/// # Errors
/// An escape that is malformed or not a character, or a character that bytes cannot hold.
pub(super) fn decode(token: &str) -> Result<Literal, BadLiteral> {
    let quote_at = token.find(['\'', '"']).unwrap_or(0);
    let prefix = token[..quote_at].to_ascii_lowercase();
    let rest = &token[quote_at..];
    let width = if rest.len() >= 6 && (rest.starts_with("'''") || rest.starts_with("\"\"\"")) {
        3
    } else {
        1
    };
    let body = quote_at + width..token.len().saturating_sub(width).max(quote_at + width);
    let text = token.get(body.clone()).unwrap_or_default();
    let raw = prefix.contains('r');
    let shift = |bad: BadLiteral| BadLiteral {
        at: bad.at.start + body.start..bad.at.end + body.start,
        ..bad
    };
    if prefix.contains('f') {
        return Ok(Literal::Formatted { body, raw });
    }
    if prefix.contains('b') {
        return bytes(text, raw).map(Literal::Bytes).map_err(shift);
    }
    if raw {
        return Ok(Literal::Text(text.to_owned()));
    }
    unescape(text).map(Literal::Text).map_err(shift)
}

/// Replaces the escapes of a text.
///
/// # Errors
/// An escape that is malformed or not a character.
pub(super) fn unescape(text: &str) -> Result<String, BadLiteral> {
    let mut decoded = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        decoded.push_str(&text[at..at + found]);
        at += found;
        let (character, length) = escape(text, at)?;
        let written = &text[at..at + length];
        match character {
            Escaped::Character(code) => {
                let wrong = || bad_escape(at, length, format!("`{written}` is not a character"));
                decoded.push(char::from_u32(code).ok_or_else(wrong)?);
            }
            Escaped::Nothing => {}
            Escaped::Itself => decoded.push_str(written),
        }
        at += length;
    }
    decoded.push_str(&text[at..]);
    Ok(decoded)
}

/// Bytes of the ASCII characters of a text, with escapes unless it is raw.
fn bytes(text: &str, raw: bool) -> Result<Vec<u8>, BadLiteral> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if !character.is_ascii() {
            let message = format!("bytes hold ASCII characters only, not `{character}`");
            return Err(bad_escape(at, character.len_utf8(), message));
        }
        // In bytes, `\u` and `\N` are not escapes.
        if character != '\\' || raw || text[at + 1..].starts_with(['u', 'U', 'N']) {
            decoded.push(character as u8);
            at += 1;
            continue;
        }
        let (escaped, length) = escape(text, at)?;
        at += match escaped {
            Escaped::Character(code) => {
                // `\777` is more than a byte; Python drops the upper bits.
                decoded.push((code & 0xff) as u8);
                length
            }
            Escaped::Nothing => length,
            Escaped::Itself => {
                // Only the backslash: the character after it may be one that bytes cannot hold.
                decoded.push(b'\\');
                1
            }
        };
    }
    Ok(decoded)
}

/// What an escape stands for.
enum Escaped {
    Character(u32),
    /// A backslash before a line end.
    Nothing,
    /// Python keeps an unknown escape as it is written.
    Itself,
}

fn bad_escape(at: usize, length: usize, message: String) -> BadLiteral {
    BadLiteral {
        message,
        at: at..at + length,
    }
}

/// The escape at a position, and its length in bytes.
fn escape(text: &str, at: usize) -> Result<(Escaped, usize), BadLiteral> {
    let rest = &text[at + 1..];
    let Some(letter) = rest.chars().next() else {
        return Ok((Escaped::Itself, 1));
    };
    let digits = |most: usize, radix: u32| {
        let digits = rest[letter.len_utf8()..].chars().take(most);
        digits.take_while(|c| c.is_digit(radix)).count()
    };
    let code = match letter {
        '\n' => return Ok((Escaped::Nothing, 2)),
        '\\' | '\'' | '"' => u32::from(letter),
        'a' => 7,
        'b' => 8,
        't' => 9,
        'n' => 10,
        'v' => 11,
        'f' => 12,
        'r' => 13,
        '0'..='7' => {
            let length = 1 + digits(2, 8);
            let code = u32::from_str_radix(&rest[..length], 8).unwrap_or_default();
            return Ok((Escaped::Character(code), 1 + length));
        }
        'x' | 'u' | 'U' => {
            let wanted = match letter {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let found = digits(wanted, 16);
            if found < wanted {
                let message =
                    format!("`\\{letter}` takes {wanted} hexadecimal digits but got {found}");
                return Err(bad_escape(at, 2 + found, message));
            }
            let code = u32::from_str_radix(&rest[1..=wanted], 16).unwrap_or(u32::MAX);
            return Ok((Escaped::Character(code), 2 + wanted));
        }
        'N' => {
            let length = rest.find('}').map_or(2, |end| end + 2);
            let message = "characters cannot be given by name".to_owned();
            return Err(bad_escape(at, length, message));
        }
        other => return Ok((Escaped::Itself, 1 + other.len_utf8())),
    };
    Ok((Escaped::Character(code), 2))
}

#[cfg(test)]
mod tests {
    use super::{Literal, decode};

    #[test]
    fn texts() {
        for (token, text) in [
            ("''", ""),
            (r"'a\tb\x41\u00e4\U0001F600\101\0'", "a\tbAä😀A\0"),
            (r"r'\d\''", r"\d\'"),
            (r"'\d\q'", r"\d\q"),
            ("'a\\\nb'", "ab"),
            ("'''a\n'b'''", "a\n'b"),
            ("u\"ü\"", "ü"),
        ] {
            assert_eq!(decode(token), Ok(Literal::Text(text.to_owned())), "{token}");
        }
    }

    #[test]
    fn bytes() {
        for (token, bytes) in [
            (r"b'a\xff\n'", &b"a\xff\n"[..]),
            (r"rb'\x'", br"\x"),
            (r"b'\u00e4\777'", b"\\u00e4\xff"),
        ] {
            assert_eq!(decode(token), Ok(Literal::Bytes(bytes.to_vec())), "{token}");
        }
    }

    #[test]
    fn mistakes() {
        for (token, message) in [
            (r"'\x4'", r"`\x` takes 2 hexadecimal digits but got 1"),
            (r"'\ud800'", r"`\ud800` is not a character"),
            ("b'ä'", "bytes hold ASCII characters only, not `ä`"),
        ] {
            assert_eq!(decode(token).expect_err(token).message, message);
        }
    }
}
