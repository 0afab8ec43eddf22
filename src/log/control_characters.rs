//! Control characters, which a terminal obeys and which forge lines of a log, made visible. Pure.
//!
//! Text that comes from clients, applications or files can hold any of them: `ESC [2J` clears a screen, and a carriage
//! return lets a line cover another one.

use std::borrow::Cow;
use std::fmt::Write;

/// A text whose control characters (C0 without line ends and tabs, DEL, and C1: ECMA-48 §5.3) are escaped: `\x1b`. So are
/// those that change the order of text.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |_| None)
}

/// The same, but colours stay.
#[must_use]
pub(super) fn escaped_but_colours(text: &str) -> Cow<'_, str> {
    replaced(text, colour)
}

/// Escapes but for what `kept` finds at the beginning of a text: its length, if there is something.
fn replaced(text: &str, kept: impl Fn(&str) -> Option<usize>) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(is_plain) || !text.contains(is_refused) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(is_refused) {
        let (before, found) = rest.split_at(at);
        shown.push_str(before);
        let length = kept(found);
        let (first, behind) = match length {
            Some(length) => found.split_at(length),
            None => found.split_at(found.chars().next().map_or(0, char::len_utf8)),
        };
        match first.chars().next() {
            Some('\r') => shown.push_str("\\r"),
            // Writing to a string cannot fail.
            Some(c) if length.is_none() => {
                let _ = match u32::from(c) {
                    code @ ..0x100 => write!(shown, "\\x{code:02x}"),
                    code => write!(shown, "\\u{code:04x}"),
                };
            }
            Some(_) | None => shown.push_str(first),
        }
        rest = behind;
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Whether it must be escaped. Those of more than a byte in Latin-1 change the order of a line's text (Unicode, UAX #9).
fn is_refused(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of the colour at the beginning of a text: SGR (ECMA-48 §8.3.117), `ESC [1;31m`.
fn colour(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\x1b[")?;
    let is_parameter = |c: char| c.is_ascii_digit() || c == ';' || c == ':';
    let behind = inside.trim_start_matches(is_parameter);
    let rest = behind.strip_prefix('m')?;
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_seen_and_colours_stay_where_they_may() {
        for (text, plain, coloured) in [
            ("", "", ""),
            ("é\n\t one", "é\n\t one", "é\n\t one"),
            ("\x1b[2Ja", "\\x1b[2Ja", "\\x1b[2Ja"),
            (
                "\x1b[1;31mé\x1b[m",
                "\\x1b[1;31mé\\x1b[m",
                "\x1b[1;31mé\x1b[m",
            ),
            ("\x1b[31", "\\x1b[31", "\\x1b[31"),
            ("\x1b[3é1m", "\\x1b[3é1m", "\\x1b[3é1m"),
            (
                "\x1b]0;title\x07",
                "\\x1b]0;title\\x07",
                "\\x1b]0;title\\x07",
            ),
            ("\u{9b}2J\x7f\0", "\\x9b2J\\x7f\\x00", "\\x9b2J\\x7f\\x00"),
            ("a\u{202e}b", "a\\u202eb", "a\\u202eb"),
            ("one\rtwo", "one\\rtwo", "one\\rtwo"),
        ] {
            assert_eq!(escaped(text), plain);
            assert_eq!(escaped_but_colours(text), coloured);
        }
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(text in "[\x00-\x20m\\[;1\x7f-\u{a0}\u{202e}é]{0,20}") {
            prop_assert!(!escaped(&text).contains(is_refused));
            let mut coloured = &*escaped_but_colours(&text).into_owned();
            while let Some(at) = coloured.find(is_refused) {
                let length = colour(&coloured[at..]);
                prop_assert!(length.is_some(), "{:?}", coloured);
                coloured = &coloured[at + length.unwrap()..];
            }
        }
    }
}
