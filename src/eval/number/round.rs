//! `round`: halves go to the even neighbour.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};

use super::arithmetic::floor_division;
use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::{clamped, wants};
use crate::eval::value::Value;
use crate::eval::value::digits::{LONGEST_DECIMAL, truncated};
use crate::eval::value::repr::Repr;

/// `round(value, digits)`
pub(crate) fn round(value: &Value, digits: Option<&Value>) -> Result<Value> {
    let digits = match digits {
        None | Some(Value::None) => None,
        Some(other) => {
            let digits = other.as_integer();
            let digits = digits.ok_or_else(|| wants("a whole number", other))?;
            Some(clamped(&digits))
        }
    };
    match (value, digits) {
        (Value::Float(number), None) => match truncated(number.round_ties_even()) {
            Some(number) => Ok(Value::Int(number)),
            None => Err(Fault::bad_value(format!(
                "{} cannot be rounded",
                value.shown()
            ))),
        },
        (Value::Float(number), Some(digits)) => Ok(Value::Float(rounded(*number, digits))),
        (other, digits) => {
            let number = other.as_integer().ok_or_else(|| wants("a number", other))?;
            match digits {
                Some(digits) if digits < 0 => {
                    Ok(Value::Int(round_integer(&number, digits.unsigned_abs())))
                }
                _ => Ok(Value::Int(number)),
            }
        }
    }
}

fn rounded(number: f64, digits: i64) -> f64 {
    if !number.is_finite() || digits > 323 {
        return number;
    }
    if digits < -308 {
        return 0.0f64.copysign(number);
    }
    if let Ok(decimals) = usize::try_from(digits) {
        // Formatting rounds the exact value, halves to even, as Python does.
        return format!("{number:.decimals$}").parse().unwrap_or(number);
    }
    let whole = truncated(number).unwrap_or_default();
    let exact = whole.to_f64() == Some(number);
    let twice = if exact {
        whole * 2
    } else {
        whole * 2 + number.signum() as i64
    };
    let rounded: BigInt = round_integer(&(twice * 5), digits.unsigned_abs() + 1) / 10;
    rounded.to_f64().unwrap_or(number).copysign(number)
}

/// The nearest multiple of a power of ten, halves to the even one.
fn round_integer(number: &BigInt, zeros: u64) -> BigInt {
    if zeros > 2 * LONGEST_DECIMAL as u64 {
        return BigInt::zero();
    }
    let unit = BigInt::from(10).pow(u32::try_from(zeros).unwrap_or(u32::MAX));
    let (quotient, remainder) = floor_division(number, &unit);
    let up = match (&remainder * 2u8).cmp(&unit) {
        Ordering::Less => false,
        Ordering::Equal => quotient.bit(0),
        Ordering::Greater => true,
    };
    (if up { quotient + 1 } else { quotient }) * unit
}
