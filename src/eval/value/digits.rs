//! Floats and long whole numbers: how they look in decimal, and how one becomes the other.

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};

use crate::eval::budget::{Fault, Result};

/// Digits of the longest whole number that is written or read in decimal, as in Python since 3.11.
pub(crate) const LONGEST_DECIMAL: usize = 4300;

/// The error for a whole number with more digits than [`LONGEST_DECIMAL`].
pub(crate) fn too_long() -> Fault {
    let message = format!("a whole number in decimal has at most {LONGEST_DECIMAL} digits");
    Fault::new("limit/integer", message)
}

/// The whole part of a float; `None` for infinity and NaN.
pub(crate) fn truncated(number: f64) -> Option<BigInt> {
    BigInt::from_f64(number.trunc())
}

/// A whole number as a float.
///
/// # Errors
/// The number is too large.
pub(crate) fn to_float(number: &BigInt) -> Result<f64> {
    match number.to_f64() {
        Some(float) if float.is_finite() => Ok(float),
        _ => Err(Fault::bad_value(
            "the whole number is too large for a float",
        )),
    }
}

/// A float as Python shows it: the shortest digits that read back as the same number.
pub(crate) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let places = digits.trim_start_matches('-').len().saturating_sub(2);
    let is_fixed = (-4..16).contains(&exponent);
    // Of two shortest forms that are equally near, Python writes the even one.
    let (even, either) = if is_fixed {
        let decimals = places.saturating_add_signed(-(exponent as isize));
        (format!("{number:.decimals$}"), format!("{number}"))
    } else {
        (format!("{number:.places$e}"), scientific)
    };
    let text = match even.parse() == Ok(number) {
        true => even,
        false => either,
    };
    if is_fixed {
        let point = if text.contains('.') { "" } else { ".0" };
        return format!("{text}{point}");
    }
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
