//! Text that may come from anywhere, made harmless to a terminal.

use std::borrow::Cow;

/// The text without control characters, which could change the terminal, and without those that change the order of the
/// text. Each is replaced by a character of as many bytes, so that places stay right.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let harm = |c: char| {
        c.is_control() && c != '\n' && c != '\t' && c != '\r'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harm) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match (harm(c), c.len_utf8()) {
        (false, _) => c,
        (true, 1) => '?',
        (true, 2) => '¿',
        (true, _) => '\u{fffd}',
    };
    Cow::Owned(text.chars().map(replace).collect())
}
