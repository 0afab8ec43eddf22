//! What Python takes characters for, and their other cases, after Unicode.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_casemap::options::TitlecaseOptions;
use icu_locale_core::LanguageIdentifier;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup, XidContinue, XidStart};
use icu_properties::{CodePointMapData, CodePointSetData};

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

/// The number of a decimal digit: the digits of each script stand in their order.
fn number(digit: char) -> u32 {
    let before = (1..).map_while(|back| char::from_u32(u32::from(digit).checked_sub(back)?));
    let before = before.take_while(|c| decimal(*c)).count() % 10;
    u32::try_from(before).unwrap_or_default()
}

/// A text with ASCII digits in place of those of other scripts, as numbers are read.
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

/// A digit, also one that is raised, lowered, circled or with a stop (Unicode's numeric type).
pub(crate) fn digit(c: char) -> bool {
    let other = matches!(c,
        '\u{b2}'..='\u{b3}' | '\u{b9}' | '\u{1369}'..='\u{1371}' | '\u{19da}' | '\u{2070}' | '\u{2074}'..='\u{2079}'
        | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}'
        | '\u{24ea}' | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}' | '\u{2780}'..='\u{2788}'
        | '\u{278a}'..='\u{2792}' | '\u{10a40}'..='\u{10a43}' | '\u{10e60}'..='\u{10e68}' | '\u{11052}'..='\u{1105a}'
        | '\u{1f100}'..='\u{1f10a}');
    other || decimal(c)
}

/// Ideographs that are numbers (Unihan's numeric values).
const IDEOGRAPHS: &str = "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零\u{f96b}\u{f973}\u{f978}\u{f9b2}\u{f9d1}\u{f9d3}\u{f9fd}𠀁𠁤𠃢𠄡𠤪𠦃𠦌𠦜𠫪𠫽𠬙𢎐𢦘𣬛𦉭\u{2f890}";

/// What stands for a number.
pub(crate) fn numeric(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_digit(),
        false => GeneralCategoryGroup::Number.contains(category(c)) || IDEOGRAPHS.contains(c),
    }
}

/// A letter or a number.
pub(crate) fn alphanumeric(c: char) -> bool {
    alphabetic(c) || numeric(c)
}

/// What Python prints as it is: no controls, no blanks but the space, nothing invisible, private or without a meaning.
pub(crate) fn printable(c: char) -> bool {
    let hidden = GeneralCategoryGroup::Other.union(GeneralCategoryGroup::Separator);
    match c.is_ascii() {
        true => matches!(c, ' '..='~'),
        false => !hidden.contains(category(c)),
    }
}

/// White space: the separators of ASCII (28 to 31) as well.
pub(crate) fn blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether a text could be a name (UAX #31).
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    first.is_some_and(|c| c == '_' || CodePointSetData::new::<XidStart>().contains(c))
        && characters.all(|c| CodePointSetData::new::<XidContinue>().contains(c))
}

/// A capital and a small letter in one.
fn both_cases(c: char) -> bool {
    category(c) == GeneralCategory::TitlecaseLetter
}

/// A letter that has a case.
fn cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || both_cases(c)
}

/// Whether all letters with a case have this one, and there are some.
pub(crate) fn all_cased(text: &str, test: fn(char) -> bool) -> bool {
    let mut letters = text.chars().filter(|c| cased(*c)).peekable();
    letters.peek().is_some() && letters.all(test)
}

/// Without differences of case, for comparisons.
pub(crate) fn folded(text: &str) -> String {
    CaseMapper::new().fold_string(text).into_owned()
}

/// Each character with what stands for it in the same text of small letters: at the end of a word it may be another one.
fn with_lower<'a>(text: &'a str, lower: &'a str) -> impl Iterator<Item = (char, &'a str)> {
    let mut rest = lower;
    text.chars().map(move |c| {
        let length = c.to_lowercase().map(char::len_utf8).sum();
        let (small, others) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = others;
        (c, small)
    })
}

/// Adds a character as the first of a title: of several letters in one, only the first is a capital.
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

/// With a capital at the beginning, the rest small.
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

/// With capitals at the beginnings of words.
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

/// Whether capitals begin words, and only those.
pub(crate) fn is_titled(text: &str) -> bool {
    let (mut inside, mut any) = (false, false);
    for c in text.chars() {
        let letter = cased(c);
        if letter && c.is_lowercase() != inside {
            return false;
        }
        inside = letter;
        any |= letter;
    }
    any
}

/// With capitals for small letters and the other way round.
pub(crate) fn swapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (c, lower) in with_lower(text, &text.to_lowercase()) {
        match (c.is_uppercase(), c.is_lowercase()) {
            (true, _) => out.push_str(lower),
            (false, true) => out.extend(c.to_uppercase()),
            (false, false) => out.push(c),
        }
    }
    out
}
