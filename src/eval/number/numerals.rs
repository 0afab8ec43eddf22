//! Numbers in digits, for both ways of formatting.

use num_bigint::{BigInt, Sign};

use crate::eval::budget::Result;
use crate::eval::value::digits::{LONGEST_DECIMAL, shortest, too_long};

/// A number's sign and digits.
pub(crate) struct Numeral {
    /// Whether a `-` belongs before it.
    pub(crate) negative: bool,
    /// Its digits, with point and exponent.
    pub(crate) digits: String,
}

impl Numeral {
    /// A whole number to a base of at most 36.
    pub(crate) fn of(number: &BigInt, base: u32) -> Self {
        Self {
            negative: number.sign() == Sign::Minus,
            digits: number.magnitude().to_str_radix(base),
        }
    }

    /// With capital letters.
    pub(crate) fn upper(mut self) -> Self {
        self.digits.make_ascii_uppercase();
        self
    }
}

/// A whole number in decimal.
///
/// # Errors
/// It has more than [`LONGEST_DECIMAL`] digits.
pub(crate) fn decimal(number: &BigInt) -> Result<Numeral> {
    // A digit takes 3.32 bits.
    if number.bits() > 4 * LONGEST_DECIMAL as u64 {
        return Err(too_long());
    }
    let numeral = Numeral::of(number, 10);
    if numeral.digits.len() > LONGEST_DECIMAL {
        return Err(too_long());
    }
    Ok(numeral)
}

/// A float by one of the letters `e E f F g G`.
pub(crate) fn float(number: f64, letter: char, precision: usize, alternate: bool) -> Numeral {
    let negative = number.is_sign_negative() && !number.is_nan();
    let magnitude = number.abs();
    let mut digits = if !magnitude.is_finite() {
        shortest(magnitude)
    } else {
        match letter.to_ascii_lowercase() {
            'e' => exponent(magnitude, precision, alternate),
            'f' => fixed(magnitude, precision, alternate),
            _ => general(magnitude, precision.max(1), alternate),
        }
    };
    if letter.is_ascii_uppercase() {
        digits.make_ascii_uppercase();
    }
    Numeral { negative, digits }
}

/// Digits of a float behind which there are only zeros: the smallest float has 1074 behind the point.
const MOST_DIGITS: usize = 1100;

fn fixed(number: f64, precision: usize, alternate: bool) -> String {
    let exact = precision.min(MOST_DIGITS);
    let mut text = format!("{number:.exact$}");
    text.push_str(&"0".repeat(precision - exact));
    if precision == 0 && alternate {
        text.push('.');
    }
    text
}

fn exponent(number: f64, precision: usize, alternate: bool) -> String {
    let exact = precision.min(MOST_DIGITS);
    let text = format!("{number:.exact$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if precision == 0 && alternate { "." } else { "" };
    let zeros = "0".repeat(precision - exact);
    format!(
        "{digits}{zeros}{point}e{}",
        power_text(power.parse().unwrap_or_default())
    )
}

fn power_text(power: i32) -> String {
    let sign = if power < 0 { '-' } else { '+' };
    format!("{sign}{:02}", power.abs())
}

/// `g`: a number of digits in all, with an exponent if the number is very large or very small.
fn general(number: f64, precision: usize, alternate: bool) -> String {
    let exact = precision.min(MOST_DIGITS);
    let scientific = format!("{number:.*e}", exact - 1);
    let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    let strip = |text: &str| {
        if alternate {
            let point = if text.contains('.') { "" } else { "." };
            format!("{text}{point}")
        } else if !text.contains('.') {
            text.to_owned()
        } else {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    if power < -4 || i64::from(power) >= i64::try_from(precision).unwrap_or(i64::MAX) {
        return format!("{}e{}", strip(digits), power_text(power));
    }
    let decimals = i64::try_from(exact).unwrap_or(i64::MAX) - 1 - i64::from(power);
    let decimals = usize::try_from(decimals).unwrap_or_default();
    strip(&format!("{number:.decimals$}"))
}
