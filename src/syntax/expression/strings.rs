//! String literals: prefixes, quotes and escapes
//! (<https://docs.python.org/3/reference/lexical_analysis.html#string-and-bytes-literals>).

use std::ops::Range;

/// A string literal, decoded as far as it can be without its neighbours.
#[derive(Debug, PartialEq)]
pub enum Literal {
    /// `'text'`
    Text(String),
    /// `b'bytes'`
    Bytes(Vec<u8>),
    /// `f'{value}'`: where its body stands in the token, and whether backslashes mean themselves.
    Formatted {
        /// Between the quotes.
        body: Range<usize>,
        /// Of an `rf` string.
        raw: bool,
    },
}

/// What is wrong with a literal, and where in the token.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLiteral {
    /// The message.
    pub message: String,
    /// The place.
    pub at: Range<usize>,
}

/// Decodes one literal as the grammar found it: prefix, quotes, body.
///
/// # Errors
/// An escape that stands for nothing, or a character that bytes cannot hold.
pub fn decode(token: &str) -> Result<Literal, BadLiteral> {
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
    if prefix.contains('f') {
        return Ok(Literal::Formatted { body, raw });
    }
    let shift = |bad: BadLiteral| BadLiteral {
        at: bad.at.start + body.start..bad.at.end + body.start,
        ..bad
    };
    if prefix.contains('b') {
        return bytes(text, raw).map(Literal::Bytes).map_err(shift);
    }
    if raw || !text.contains('\\') {
        return Ok(Literal::Text(text.to_owned()));
    }
    unescape(text).map(Literal::Text).map_err(shift)
}

/// Replaces the escapes of a text.
///
/// # Errors
/// An escape that stands for no character.
pub fn unescape(text: &str) -> Result<String, BadLiteral> {
    let mut decoded = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        decoded.push_str(&text[at..at + found]);
        at += found;
        let (character, length) = escape(&text[at..]).map_err(|(message, length)| BadLiteral {
            message,
            at: at..at + length,
        })?;
        match character {
            Escaped::Character(code) => match char::from_u32(code) {
                Some(character) => decoded.push(character),
                None => {
                    return Err(BadLiteral {
                        message: format!("`{}` is no character", &text[at..at + length]),
                        at: at..at + length,
                    });
                }
            },
            Escaped::Nothing => {}
            Escaped::Itself => decoded.push_str(&text[at..at + length]),
        }
        at += length;
    }
    decoded.push_str(&text[at..]);
    Ok(decoded)
}

enum Escaped {
    Character(u32),
    /// A line end behind a backslash.
    Nothing,
    /// An escape that means nothing stays as it is.
    Itself,
}

/// Reads the escape at the start of a text: what it stands for and its length in bytes.
fn escape(text: &str) -> Result<(Escaped, usize), (String, usize)> {
    let Some(letter) = text[1..].chars().next() else {
        return Ok((Escaped::Itself, 1));
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
            let digits = text[1..]
                .bytes()
                .take(3)
                .take_while(|b| (b'0'..=b'7').contains(b));
            let length = digits.count();
            let code = u32::from_str_radix(&text[1..=length], 8).unwrap_or_default();
            return Ok((Escaped::Character(code), 1 + length));
        }
        'x' => return hexadecimal(text, 2),
        'u' => return hexadecimal(text, 4),
        'U' => return hexadecimal(text, 8),
        'N' => {
            let length = text.find('}').map_or(2, |end| end + 1);
            let message = "characters cannot be given by their name here".to_owned();
            return Err((message, length));
        }
        other => return Ok((Escaped::Itself, 1 + other.len_utf8())),
    };
    Ok((Escaped::Character(code), 2))
}

fn hexadecimal(text: &str, digits: usize) -> Result<(Escaped, usize), (String, usize)> {
    let found = text[2..]
        .bytes()
        .take(digits)
        .take_while(u8::is_ascii_hexdigit)
        .count();
    if found < digits {
        let letter = &text[..2];
        let message = format!("`{letter}` takes {digits} hexadecimal digits but got {found}");
        return Err((message, 2 + found));
    }
    let code = u32::from_str_radix(&text[2..2 + digits], 16).unwrap_or(u32::MAX);
    Ok((Escaped::Character(code), 2 + digits))
}

fn bytes(text: &str, raw: bool) -> Result<Vec<u8>, BadLiteral> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if !character.is_ascii() {
            return Err(BadLiteral {
                message: format!("bytes hold ASCII characters only, not `{character}`"),
                at: at..at + character.len_utf8(),
            });
        }
        // In bytes `\u` and `\N` are no escapes.
        let plain = character != '\\' || raw || text[at + 1..].starts_with(['u', 'U', 'N']);
        if plain {
            decoded.push(character as u8);
            at += 1;
            continue;
        }
        let (escaped, length) = escape(&text[at..]).map_err(|(message, length)| BadLiteral {
            message,
            at: at..at + length,
        })?;
        match escaped {
            // `\777` is more than a byte; Python drops the upper bits.
            Escaped::Character(code) => decoded.push((code & 0xff) as u8),
            Escaped::Nothing => {}
            Escaped::Itself => {
                // The backslash alone: what follows it must still be looked at.
                decoded.push(b'\\');
                at += 1;
                continue;
            }
        }
        at += length;
    }
    Ok(decoded)
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
            (r"'\ud800'", r"`\ud800` is no character"),
            ("b'ä'", "bytes hold ASCII characters only, not `ä`"),
        ] {
            assert_eq!(decode(token).expect_err(token).message, message);
        }
    }
}
