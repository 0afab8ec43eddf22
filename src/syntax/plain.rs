//! Values that need no grammar to be understood, as most are: one string, one number, one word. A test holds them
//! to what the grammar makes of them.

use super::ast::{Expression, Item, Kind};
use super::source::Fragment;

/// Digits of a number that fits 64 bits whatever they are.
const DIGITS: usize = 18;

/// The literal that is all of a text, if it is a plain one.
pub(super) fn literal(text: &str) -> Option<Kind> {
    match text.as_bytes() {
        b"None" => Some(Kind::None),
        b"True" => Some(Kind::Bool(true)),
        b"False" => Some(Kind::Bool(false)),
        [quote @ (b'\'' | b'"'), inside @ .., last] if quote == last => {
            let plain = |byte: &u8| byte != quote && !matches!(byte, b'\\' | b'\n');
            let inside = inside.iter().all(plain).then(|| &text[1..text.len() - 1])?;
            Some(Kind::Text(inside.into()))
        }
        [b'1'..=b'9', rest @ ..] if rest.len() < DIGITS && rest.iter().all(u8::is_ascii_digit) => {
            let number: i64 = text.parse().ok()?;
            Some(Kind::Integer(number.into()))
        }
        _ => None,
    }
}

/// The list that is all of a text, if its elements are plain literals.
pub(super) fn list(fragment: &Fragment) -> Option<Kind> {
    let text = fragment.text();
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let end = text.len() - 1;
    let blanks = |from: usize| {
        text[from..end]
            .bytes()
            .take_while(|byte| *byte == b' ')
            .count()
    };
    let mut items = Vec::new();
    let mut at = 1;
    // Few texts that hold no comma are lists worth the trouble.
    while inside.contains(',') {
        at += blanks(at);
        let rest = &text[at..end];
        let length = match rest.as_bytes().first()? {
            quote @ (b'\'' | b'"') => 2 + rest[1..].bytes().position(|byte| byte == *quote)?,
            _ => rest
                .bytes()
                .position(|byte| matches!(byte, b',' | b' '))
                .unwrap_or(rest.len()),
        };
        let kind = literal(&rest[..length])?;
        let span = fragment.span(at, at + length);
        items.push(Item::One(Expression { kind, span }));
        at += length;
        at += blanks(at);
        match text.as_bytes()[at] {
            b',' => at += 1,
            _ if at == end => return Some(Kind::List(items)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{list, literal};
    use crate::syntax::{Fragment, Source, expression};

    const TEXTS: &str = r#"None|True|False|none|''|""|'a'|"it's"|'say "x"'|'a' 'b'|'a'b'|'a|'|'''|''''''|'''a'''|'a\n'|'ä☃ # x'|r'a'|
b'a'|f'{1}'|'{a}'|[]|[1]|[1, 2]|[1,]|["a" , 'b',3]|['a' 'b', 1]|[ 'x, y', "]" ]|[1, [2, 3]]|[1,,2]|[''', 1]|[True,
None]|[1, x]|['a', 'b]|[1, 2][0, 1]|['a','b']+['c', 'd']|[, 1]|['ä', '☃']|0|00|1|12345|1_000|123456789012345678|1234567890123456789012|1.5|-1|1e5|1 |+1||''a|a''"#;

    #[test]
    fn a_plain_literal_is_what_the_grammar_says() {
        let mut plain = Vec::new();
        for text in TEXTS.split('|') {
            let source = Arc::new(Source {
                name: "x.ini".to_owned(),
                text: text.to_owned(),
            });
            let fragment = Fragment::new(text, 0);
            let Some(kind) = literal(text).or_else(|| list(&fragment)) else {
                continue;
            };
            plain.push(text);
            let full = expression::by_grammar(&source, &fragment).expect(text);
            assert_eq!(kind, full.kind, "{text}");
            let fast = expression::parse(&source, &fragment).expect(text);
            assert_eq!(fast, full, "{text}");
        }
        assert_eq!(
            plain.join("|"),
            r#"None|True|False|''|""|'a'|"it's"|'say "x"'|'ä☃ # x'|'{a}'|[1, 2]|["a" , 'b',3]|[ 'x, y', "]" ]|['ä', '☃']|1|12345|123456789012345678"#
        );
    }
}
