//! `int` and `float`: numbers from text and from other numbers.

use num_bigint::BigInt;
use num_traits::{Num, ToPrimitive};

use super::arithmetic::float_of;
use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::wants;
use crate::eval::value::Value;
use crate::eval::value::characters::with_ascii_digits;
use crate::eval::value::digits::{LONGEST_DECIMAL, too_long, truncated};
use crate::eval::value::repr::Repr;

/// `float(value)`
pub(crate) fn float(value: &Value) -> Result<f64> {
    let Some(text) = digits_of(value) else {
        return float_of(value).map_err(|fault| match value {
            Value::Int(_) => fault,
            other => wants("a number or a string", other),
        });
    };
    let bad = || Fault::bad_value(format!("{} is not a number", value.shown()));
    let plain = with_ascii_digits(text.trim());
    let plain = without_underscores(&plain).ok_or_else(bad)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !plain.chars().all(good) {
        return Err(bad());
    }
    plain.parse().map_err(|_| bad())
}

/// The text of a number, from a string or from bytes in ASCII.
fn digits_of(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) => Some(text),
        Value::Bytes(bytes) => Some(std::str::from_utf8(bytes).unwrap_or("?")),
        _ => None,
    }
}

/// The text without the `_` between its digits; `None` if one stands elsewhere.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let digit = |place: Option<usize>| {
            place
                .and_then(|place| bytes.get(place))
                .is_some_and(u8::is_ascii_alphanumeric)
        };
        if *byte == b'_' && !(digit(at.checked_sub(1)) && digit(Some(at + 1))) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// `int(value, base)`
pub(crate) fn int(value: &Value, base: Option<&Value>) -> Result<BigInt> {
    match (value, base) {
        (Value::Str(_) | Value::Bytes(_), base) => {
            let text = digits_of(value).unwrap_or_default();
            let base = match base {
                None => 10,
                Some(base) => base
                    .as_integer()
                    .and_then(|base| base.to_u32())
                    .filter(|base| *base == 0 || (2..=36).contains(base))
                    .ok_or_else(|| Fault::bad_value("the base of a number is 0 or 2 to 36"))?,
            };
            parse_integer(&with_ascii_digits(text.trim()), base)?.ok_or_else(|| {
                let shown = value.shown();
                Fault::bad_value(format!("{shown} is not a whole number to base {base}"))
            })
        }
        (other, Some(_)) => Err(wants("a string with the base", other)),
        (Value::Float(number), None) => truncated(*number)
            .ok_or_else(|| Fault::bad_value(format!("{} is not a whole number", value.shown()))),
        (other, None) => other
            .as_integer()
            .ok_or_else(|| wants("a number or a string", other)),
    }
}

/// The number in a text; `None` if the text is none.
fn parse_integer(text: &str, base: u32) -> Result<Option<BigInt>> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |marks: [&str; 2]| {
        let rest = digits
            .strip_prefix(marks[0])
            .or_else(|| digits.strip_prefix(marks[1]))?;
        Some(rest.strip_prefix('_').unwrap_or(rest))
    };
    let (base, digits) = match base {
        16 => (16, prefixed(["0x", "0X"]).unwrap_or(digits)),
        8 => (8, prefixed(["0o", "0O"]).unwrap_or(digits)),
        2 => (2, prefixed(["0b", "0B"]).unwrap_or(digits)),
        0 => match (
            prefixed(["0x", "0X"]),
            prefixed(["0o", "0O"]),
            prefixed(["0b", "0B"]),
        ) {
            (Some(digits), _, _) => (16, digits),
            (_, Some(digits), _) => (8, digits),
            (_, _, Some(digits)) => (2, digits),
            _ if digits.starts_with('0') && digits.contains(|c| c != '0' && c != '_') => {
                return Ok(None);
            }
            _ => (10, digits),
        },
        other => (other, digits),
    };
    let Some(digits) = without_underscores(digits) else {
        return Ok(None);
    };
    let good = |c: char| c.is_digit(base);
    if digits.is_empty() || !digits.chars().all(good) {
        return Ok(None);
    }
    if !base.is_power_of_two() && digits.len() > LONGEST_DECIMAL {
        return Err(too_long());
    }
    let number = BigInt::from_str_radix(&digits, base).ok();
    Ok(number.map(|number| if negative { -number } else { number }))
}
