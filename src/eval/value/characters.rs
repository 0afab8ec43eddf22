//! The classes of characters as Python has them, and their cases, by Unicode.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_casemap::options::TitlecaseOptions;
use icu_locale_core::LanguageIdentifier;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// A letter.
pub(crate) fn alphabetic(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphabetic(),
        false => GeneralCategoryGroup::Letter.contains(category(c)),
    }
}

/// A decimal digit of any script.
pub(crate) fn decimal(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_digit(),
        false => category(c) == GeneralCategory::DecimalNumber,
    }
}

/// The value of a decimal digit: the ten digits of a script follow one another.
fn number(digit: char) -> u32 {
    let before = (1..).map_while(|back| char::from_u32(u32::from(digit).checked_sub(back)?));
    let before = before.take_while(|c| decimal(*c)).count() % 10;
    u32::try_from(before).unwrap_or_default()
}

/// The text with ASCII digits instead of those of other scripts, as numbers are read.
pub(crate) fn with_ascii_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let plain = |c: char| match !c.is_ascii() && decimal(c) {
        true => char::from_digit(number(c), 10).unwrap_or(c),
        false => c,
    };
    text.chars().map(plain).collect()
}

/// A decimal digit, or one in superscript, in subscript, in a circle or with a full stop (Unicode's numeric type).
pub(crate) fn digit(c: char) -> bool {
    let other = matches!(c,
        '\u{b2}'..='\u{b3}' | '\u{b9}' | '\u{1369}'..='\u{1371}' | '\u{19da}' | '\u{2070}' | '\u{2074}'..='\u{2079}'
        | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}'
        | '\u{24ea}' | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}' | '\u{2780}'..='\u{2788}'
        | '\u{278a}'..='\u{2792}' | '\u{10a40}'..='\u{10a43}' | '\u{10e60}'..='\u{10e68}' | '\u{11052}'..='\u{1105a}'
        | '\u{1f100}'..='\u{1f10a}');
    other || decimal(c)
}

/// A letter or a number.
pub(crate) fn alphanumeric(c: char) -> bool {
    alphabetic(c) || GeneralCategoryGroup::Number.contains(category(c))
}

/// A character that `repr` shows as it is: no control, no separator but the space, nothing invisible, for private use or
/// unassigned.
pub(crate) fn printable(c: char) -> bool {
    let hidden = GeneralCategoryGroup::Other.union(GeneralCategoryGroup::Separator);
    match c.is_ascii() {
        true => matches!(c, ' '..='~'),
        false => !hidden.contains(category(c)),
    }
}

/// White space, which includes the separators of ASCII (28 to 31).
pub(crate) fn blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// One character for a capital and a small letter, such as `ǅ`.
fn both_cases(c: char) -> bool {
    category(c) == GeneralCategory::TitlecaseLetter
}

/// A letter that has a case.
fn cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || both_cases(c)
}

/// Whether all letters that have a case pass a test, and there are some.
pub(crate) fn all_cased(text: &str, test: fn(char) -> bool) -> bool {
    let mut letters = text.chars().filter(|c| cased(*c)).peekable();
    letters.peek().is_some() && letters.all(test)
}

/// Each character with its small letters. They come from the whole text, since a final sigma differs from others.
fn with_lower<'a>(text: &'a str, lower: &'a str) -> impl Iterator<Item = (char, &'a str)> {
    let mut rest = lower;
    text.chars().map(move |c| {
        let length = c.to_lowercase().map(char::len_utf8).sum();
        let (small, others) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = others;
        (c, small)
    })
}

/// Adds a character as the first one of a title: of `ǆ`, only the first letter becomes a capital.
fn push_title(out: &mut String, c: char) {
    if c.is_ascii() {
        out.push(c.to_ascii_uppercase());
        return;
    }
    let alone = c.to_string();
    let title = CaseMapper::new().titlecase_segment_with_only_case_data_to_string(
        &alone,
        &LanguageIdentifier::UNKNOWN,
        TitlecaseOptions::default(),
    );
    out.push_str(&title);
}

/// The text with a capital at its beginning and small letters behind.
pub(crate) fn capitalized(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, (c, lower)) in with_lower(text, &text.to_lowercase()).enumerate() {
        match place {
            0 => push_title(&mut out, c),
            _ => out.push_str(lower),
        }
    }
    out
}

/// The text with a capital at the beginning of each word.
pub(crate) fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for (c, lower) in with_lower(text, &text.to_lowercase()) {
        match inside {
            true => out.push_str(lower),
            false => push_title(&mut out, c),
        }
        inside = cased(c);
    }
    out
}
