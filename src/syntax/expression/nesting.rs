//! A look at a value before it is parsed: brackets that match, strings that end, and no deeper than the
//! parser, which recurses, can go.

use std::ops::Range;

/// How deep brackets and lambdas may stand in one another.
pub const DEEPEST: usize = 200;

/// What is wrong, and where in the text.
#[derive(Debug, PartialEq, Eq)]
pub struct Unbalanced {
    /// The diagnostic's code.
    pub code: &'static str,
    /// The message.
    pub message: String,
    /// The place.
    pub at: Range<usize>,
    /// The second place and what is to be seen there.
    pub other: Option<(Range<usize>, &'static str)>,
}

/// Checks brackets, strings and depth, and gives the depth.
///
/// # Errors
/// The first thing that is wrong.
pub fn scan(text: &str) -> Result<usize, Unbalanced> {
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut lambdas = 0;
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'#' => at += line_length(&bytes[at..]),
            b'\'' | b'"' => at = string_end(text, at)?,
            b'(' | b'[' | b'{' => {
                open.push(at);
                at += 1;
            }
            b')' | b']' | b'}' => {
                close(text, &mut open, at)?;
                at += 1;
            }
            _ if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                let word = word_length(&bytes[at..]);
                if &bytes[at..at + word] == b"lambda" {
                    lambdas += 1;
                }
                at += word;
            }
            _ => at += 1,
        }
        depth = depth.max(open.len() + lambdas);
        if depth > DEEPEST {
            let start = at.saturating_sub(1);
            return Err(Unbalanced {
                code: "limit/depth",
                message: format!("nested more than {DEEPEST} deep"),
                at: start..at,
                other: None,
            });
        }
    }
    match open.last() {
        None => Ok(depth),
        Some(&start) => Err(Unbalanced {
            code: "syntax/unclosed",
            message: format!("`{}` is never closed", &text[start..=start]),
            at: start..start + 1,
            other: None,
        }),
    }
}

/// The innermost bracket that is open at a position of a text that [`scan`] found in order.
pub fn open_at(text: &str, position: usize) -> Option<char> {
    let bytes = &text.as_bytes()[..position.min(text.len())];
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'#' => at += line_length(&bytes[at..]),
            b'\'' | b'"' => match string_end(text, at) {
                Ok(end) => at = end,
                Err(_) => return None,
            },
            b'(' | b'[' | b'{' => {
                open.push(byte);
                at += 1;
            }
            b')' | b']' | b'}' => {
                open.pop();
                at += 1;
            }
            _ => at += 1,
        }
    }
    open.last().map(|&byte| char::from(byte))
}

/// The bracket that closes another.
pub fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn close(text: &str, open: &mut Vec<usize>, at: usize) -> Result<(), Unbalanced> {
    let found = &text[at..=at];
    let Some(start) = open.pop() else {
        return Err(Unbalanced {
            code: "syntax/unopened",
            message: format!("`{found}` closes nothing"),
            at: at..at + 1,
            other: None,
        });
    };
    let opening = char::from(text.as_bytes()[start]);
    if found.starts_with(closing(opening)) {
        return Ok(());
    }
    Err(Unbalanced {
        code: "syntax/unclosed",
        message: format!("expected `{}`, found `{found}`", closing(opening)),
        at: at..at + 1,
        other: Some((start..start + 1, "opened here")),
    })
}

/// Where the string that begins with the quote at `start` ends, one beyond its last quote.
fn string_end(text: &str, start: usize) -> Result<usize, Unbalanced> {
    let bytes = text.as_bytes();
    let quote = bytes[start];
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let width = if triple { 3 } else { 1 };
    let mut at = start + width;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' {
            at += 2;
        } else if byte == b'\n' && !triple {
            break;
        } else if bytes[at..].starts_with(&[quote; 3][..width]) {
            return Ok(at + width);
        } else {
            at += 1;
        }
    }
    Err(Unbalanced {
        code: "syntax/string",
        message: format!(
            "the string that begins with `{}` has no end",
            &text[start..start + width]
        ),
        at: start..start + width,
        other: None,
    })
}

fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| byte != b'\n').count()
}

fn word_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80)
        .count()
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
            ("a)", "`)` closes nothing", 1),
            ("(a]", "expected `)`, found `]`", 2),
            ("f('a", "the string that begins with `'` has no end", 2),
            ("'a\nb'", "the string that begins with `'` has no end", 0),
            ("'''a'", "the string that begins with `'''` has no end", 0),
            (r"'\", "the string that begins with `'` has no end", 0),
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
