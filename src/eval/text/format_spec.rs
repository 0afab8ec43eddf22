//! Format specifications: `>10.2f`
//! (<https://docs.python.org/3/library/string.html#format-specification-mini-language>).

use crate::eval::budget::{Budget, Fault, Result};
use crate::eval::number::arithmetic::float_of;
use crate::eval::number::numerals::{self, Numeral};
use crate::eval::value::Value;
use crate::eval::value::digits::shortest;
use crate::eval::value::repr::Repr;

/// The parts of a specification.
#[derive(Clone, Copy, Default)]
pub(crate) struct Specification {
    pub(crate) fill: Option<char>,
    pub(crate) align: Option<char>,
    /// Whether the alignment comes from a `0` before the width.
    zeros: bool,
    pub(crate) sign: Option<char>,
    /// `z`: no negative zero.
    unsigned_zero: bool,
    pub(crate) alternate: bool,
    pub(crate) width: usize,
    grouping: Option<char>,
    pub(crate) precision: Option<usize>,
    kind: Option<char>,
}

/// Formats a value.
///
/// # Errors
/// A specification that is wrong or does not fit the value.
pub(crate) fn apply(value: &Value, text: &str, budget: &mut Budget) -> Result<String> {
    if text.is_empty() {
        return value.checked_str();
    }
    let bad = || Fault::bad_value(format!("`{text}` is not a format for {}", value.kind()));
    let how = parse(text).ok_or_else(bad)?;
    // The precision of a text only shortens it.
    let digits = how.precision.filter(|_| value.as_str().is_none());
    budget.allocate(how.width.saturating_add(digits.unwrap_or_default()))?;
    let formatted = match value {
        Value::Str(text) => text_with(&how, text),
        Value::Float(number) => float_with(&how, *number),
        Value::Int(_) | Value::Bool(_) => match how.kind {
            Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => float_with(&how, float_of(value)?),
            _ => integer_with(&how, value)?,
        },
        _ => None,
    };
    formatted.ok_or_else(bad)
}

fn parse(text: &str) -> Option<Specification> {
    let mut how = Specification::default();
    let mut rest = text;
    let mut characters = text.chars();
    let (first, second) = (characters.next(), characters.next());
    let is_align = |c: Option<char>| matches!(c, Some('<' | '>' | '=' | '^'));
    if is_align(second) {
        (how.fill, how.align) = (first, second);
        rest = characters.as_str();
    } else if is_align(first) {
        how.align = first;
        rest = &rest[1..];
    }
    let mut take = |wanted: &[char]| {
        let found = rest.chars().next().filter(|c| wanted.contains(c));
        if let Some(c) = found {
            rest = &rest[c.len_utf8()..];
        }
        found
    };
    how.sign = take(&['+', '-', ' ']);
    how.unsigned_zero = take(&['z']).is_some();
    how.alternate = take(&['#']).is_some();
    if take(&['0']).is_some() {
        how.fill = how.fill.or(Some('0'));
        how.zeros = how.align.is_none();
        how.align = how.align.or(Some('='));
    }
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    let width = digits(rest);
    if width > 0 {
        how.width = rest[..width].parse().unwrap_or(usize::MAX);
        rest = &rest[width..];
    }
    if rest.starts_with([',', '_']) {
        how.grouping = rest.chars().next();
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('.') {
        let length = digits(after);
        if length == 0 {
            return None;
        }
        how.precision = Some(after[..length].parse().unwrap_or(usize::MAX));
        rest = &after[length..];
    }
    let mut last = rest.chars();
    how.kind = last.next();
    last.next().is_none().then_some(how)
}

fn text_with(how: &Specification, text: &str) -> Option<String> {
    // A `0` before the width fills a text without changing its alignment.
    let align = how.align.filter(|_| !how.zeros);
    let how = &Specification { align, ..*how };
    if !matches!(how.kind, None | Some('s'))
        || how.sign.is_some()
        || how.alternate
        || how.unsigned_zero
        || how.grouping.is_some()
        || align == Some('=')
    {
        return None;
    }
    Some(padded(how, "", cut(text, how.precision), '<'))
}

/// The beginning of a text, of at most this many characters.
pub(crate) fn cut(text: &str, length: Option<usize>) -> &str {
    match length.and_then(|length| text.char_indices().nth(length)) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn integer_with(how: &Specification, value: &Value) -> Result<Option<String>> {
    let number = value.as_integer().unwrap_or_default();
    if how.precision.is_some() || how.unsigned_zero {
        return Ok(None);
    }
    let (numeral, prefix, every) = match how.kind {
        None | Some('d') => (numerals::decimal(&number)?, "", 3),
        Some('n') if how.grouping.is_none() => (numerals::decimal(&number)?, "", 3),
        Some('x') => (Numeral::of(&number, 16), "0x", 4),
        Some('X') => (Numeral::of(&number, 16).upper(), "0X", 4),
        Some('o') => (Numeral::of(&number, 8), "0o", 4),
        Some('b') => (Numeral::of(&number, 2), "0b", 4),
        Some('c') => {
            let character = u32::try_from(&number).ok().and_then(char::from_u32);
            let plain = how.sign.is_none() && how.grouping.is_none() && !how.alternate;
            return Ok(character
                .filter(|_| plain)
                .map(|c| padded(how, "", &c.to_string(), '>')));
        }
        Some(_) => return Ok(None),
    };
    if how.grouping == Some(',') && every != 3 {
        return Ok(None);
    }
    let prefix = if how.alternate { prefix } else { "" };
    Ok(Some(number_with(how, &numeral, prefix, every)))
}

fn float_with(how: &Specification, number: f64) -> Option<String> {
    let mut numeral = match how.kind {
        None => plain_float(how, number),
        Some(letter @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G')) => {
            numerals::float(number, letter, how.precision.unwrap_or(6), how.alternate)
        }
        Some('n') if how.grouping.is_none() => {
            numerals::float(number, 'g', how.precision.unwrap_or(6), how.alternate)
        }
        Some('%') => {
            let percent = number * 100.0;
            let mut numeral =
                numerals::float(percent, 'f', how.precision.unwrap_or(6), how.alternate);
            numeral.digits.push('%');
            numeral
        }
        Some(_) => return None,
    };
    let zero = |c: char| !c.is_ascii_digit() || c == '0';
    let mantissa = numeral.digits.split(['e', 'E']).next();
    if how.unsigned_zero
        && number.is_finite()
        && mantissa.is_some_and(|text| text.chars().all(zero))
    {
        numeral.negative = false;
    }
    Some(number_with(how, &numeral, "", 3))
}

/// Without a letter: as `repr`; with a precision as `g`, with at least one digit behind the point.
fn plain_float(how: &Specification, number: f64) -> Numeral {
    let Some(precision) = how.precision else {
        return Numeral {
            negative: number.is_sign_negative() && !number.is_nan(),
            digits: shortest(number.abs()),
        };
    };
    let precision = precision.max(1);
    let mut numeral = numerals::float(number, 'g', precision, how.alternate);
    let whole = numeral.digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole && number.is_finite() {
        if numeral.digits.len() < precision {
            numeral.digits.push_str(".0");
        } else {
            // The precision leaves no digit for behind the point, so Python adds an exponent.
            let exponent = numerals::float(number, 'e', precision - 1, how.alternate).digits;
            let (digits, power) = exponent.split_once('e').unwrap_or((&exponent, "+00"));
            let digits = if digits.contains('.') {
                digits.trim_end_matches('0').trim_end_matches('.')
            } else {
                digits
            };
            numeral.digits = format!("{digits}e{power}");
        }
    }
    numeral
}

/// A number with its sign, prefix and separators; `every` digits make a group.
pub(crate) fn number_with(
    how: &Specification,
    numeral: &Numeral,
    prefix: &str,
    every: usize,
) -> String {
    let sign = match (numeral.negative, how.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        (false, _) => "",
    };
    let start = format!("{sign}{prefix}");
    let Some(separator) = how.grouping else {
        return padded(how, &start, &numeral.digits, '>');
    };
    let whole = numeral
        .digits
        .bytes()
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let whole = if every == 3 {
        numeral
            .digits
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count()
            .min(whole)
    } else {
        whole
    };
    let (digits, rest) = numeral.digits.split_at(whole);
    // Zeros that fill the width are grouped, too: digits and separators together fill it.
    let filled = how.fill == Some('0') && how.align == Some('=') && !digits.is_empty();
    let room = how.width.saturating_sub(start.len() + rest.len());
    let mut count = digits.len();
    if filled {
        count = count.max(room - room.div_ceil(every + 1));
        while count + count.saturating_sub(1) / every < room {
            count += 1;
        }
    }
    let digits = format!("{}{digits}", "0".repeat(count - whole));
    let grouped = group(&digits, separator, every);
    padded(how, &start, &format!("{grouped}{rest}"), '>')
}

fn group(digits: &str, separator: char, every: usize) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(every) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// Fills the width; `start`, a sign and prefix, stands before filling zeros.
pub(crate) fn padded(how: &Specification, start: &str, text: &str, default: char) -> String {
    let length = start.chars().count() + text.chars().count();
    let missing = how.width.saturating_sub(length);
    let fill = |count: usize| how.fill.unwrap_or(' ').to_string().repeat(count);
    match how.align.unwrap_or(default) {
        '<' => format!("{start}{text}{}", fill(missing)),
        '^' => format!(
            "{}{start}{text}{}",
            fill(missing / 2),
            fill(missing - missing / 2)
        ),
        '=' => format!("{start}{}{text}", fill(missing)),
        _ => format!("{}{start}{text}", fill(missing)),
    }
}
