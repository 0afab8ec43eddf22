//! Checks a value before it is parsed: brackets match, strings end, and the nesting is not too deep for the parser, which
//! recurses.

use std::ops::Range;

/// How deep brackets and lambdas may be nested.
pub(crate) const DEEPEST: usize = 200;

/// What is wrong, and where in the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced {
    pub code: &'static str,
    pub message: String,
    pub at: Range<usize>,
    /// A related place, and what the message says about it.
    pub other: Option<(Range<usize>, &'static str)>,
}

fn unbalanced(code: &'static str, message: String, at: Range<usize>) -> Unbalanced {
    Unbalanced {
        code,
        message,
        at,
        other: None,
    }
}

/// Checks brackets, strings and depth, and gives the depth.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn scan(text: &str) -> Result<usize, Unbalanced> {
    let mut open = Vec::new();
    let depth = walk(text, &mut open)?;
    match open.last() {
        None => Ok(depth),
        Some(&start) => Err(unbalanced(
            "syntax/unclosed",
            format!("`{}` is never closed", &text[start..=start]),
            start..start + 1,
        )),
    }
}

/// The innermost bracket that is open at a position of a balanced text.
pub(crate) fn open_at(text: &str, position: usize) -> Option<char> {
    let mut open = Vec::new();
    // If the position is inside a string, the text up to there ends with an open string, which opens no bracket.
    let _ = walk(text.get(..position).unwrap_or(text), &mut open);
    open.last().map(|&at| char::from(text.as_bytes()[at]))
}

/// The depth of a text; `open` gets the positions of the brackets that are open at its end, or at the first error.
fn walk(text: &str, open: &mut Vec<usize>) -> Result<usize, Unbalanced> {
    let bytes = text.as_bytes();
    let mut lambdas = 0;
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'#' => at += memchr::memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at),
            b'\'' | b'"' => {
                let (quote, width) = opening_quote(bytes, at);
                at = string_end(bytes, at + width, quote, width).ok_or_else(|| {
                    let quotes = &text[at..at + width];
                    let message =
                        format!("the string that begins with `{quotes}` is not terminated");
                    unbalanced("syntax/string", message, at..at + width)
                })?;
            }
            b'(' | b'[' | b'{' => {
                open.push(at);
                at += 1;
            }
            b')' | b']' | b'}' => {
                close(text, open, at)?;
                at += 1;
            }
            _ if in_word(byte) => {
                let word = word_length(&bytes[at..]);
                lambdas += usize::from(&bytes[at..at + word] == b"lambda");
                at += word;
            }
            _ => at += 1,
        }
        depth = depth.max(open.len() + lambdas);
        if depth > DEEPEST {
            let message = format!("nested more than {DEEPEST} deep");
            return Err(unbalanced("limit/depth", message, at.saturating_sub(1)..at));
        }
    }
    Ok(depth)
}

/// The bracket that closes another.
pub(crate) fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn close(text: &str, open: &mut Vec<usize>, at: usize) -> Result<(), Unbalanced> {
    let found = &text[at..=at];
    let Some(start) = open.pop() else {
        let message = format!("unmatched `{found}`");
        return Err(unbalanced("syntax/unopened", message, at..at + 1));
    };
    let wanted = closing(char::from(text.as_bytes()[start]));
    if found.starts_with(wanted) {
        return Ok(());
    }
    let message = format!("expected `{wanted}`, found `{found}`");
    Err(Unbalanced {
        other: Some((start..start + 1, "opened here")),
        ..unbalanced("syntax/unclosed", message, at..at + 1)
    })
}

/// The quote at a position, and the number of quotes that open the string: 1 or 3.
pub(crate) fn opening_quote(bytes: &[u8], at: usize) -> (u8, usize) {
    let quote = bytes[at];
    let triple = bytes[at..].starts_with(&[quote; 3]);
    (quote, if triple { 3 } else { 1 })
}

/// Where the string ends that is open at a position: after its last quote.
pub(crate) fn string_end(bytes: &[u8], mut at: usize, quote: u8, width: usize) -> Option<usize> {
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' {
            at += 2;
        } else if byte == b'\n' && width == 1 {
            return None;
        } else if bytes[at..].starts_with(&[quote; 3][..width]) {
            return Some(at + width);
        } else {
            at += 1;
        }
    }
    None
}

/// Whether a byte can be part of a word, or of a number after its first digit.
pub(crate) fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of the word at the start.
pub(crate) fn word_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| in_word(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::{open_at, scan};

    #[test]
    fn what_is_balanced() {
        assert_eq!(scan("(a[1], lambda: {2})"), Ok(3));
        for text in [
            "",
            "(a[1], {'}': \"]\"})",
            "'''a\n'b''' # (",
            r"'\'' + '\\'",
            "''",
        ] {
            assert!(scan(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_not() {
        for (text, message, at) in [
            ("(a", "`(` is never closed", 0),
            ("a)", "unmatched `)`", 1),
            ("(a]", "expected `)`, found `]`", 2),
            (
                "f('a",
                "the string that begins with `'` is not terminated",
                2,
            ),
            (
                "'a\nb'",
                "the string that begins with `'` is not terminated",
                0,
            ),
            (
                "'''a'",
                "the string that begins with `'''` is not terminated",
                0,
            ),
            (
                r"'\",
                "the string that begins with `'` is not terminated",
                0,
            ),
        ] {
            let error = scan(text).expect_err(text);
            assert_eq!(
                (error.message.as_str(), error.at.start),
                (message, at),
                "{text}"
            );
        }
        assert_eq!(
            scan(&"(".repeat(10_000)).expect_err("deep").code,
            "limit/depth"
        );
        assert_eq!(
            scan(&"lambda:".repeat(300)).expect_err("deep").code,
            "limit/depth"
        );
    }

    #[test]
    fn the_innermost_open_bracket() {
        assert_eq!(open_at("(a['(' x", 7), Some('['));
        assert_eq!(open_at("(a) b", 4), None);
    }
}
