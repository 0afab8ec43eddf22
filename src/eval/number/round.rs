//! `round`: halves go to the even neighbour.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::Bound;
use crate::eval::functions::builtins::wants;
use crate::eval::number::arithmetic::{floor_division, truncated};
use crate::eval::number::numerals::LONGEST_DECIMAL;
use crate::eval::value::Value;

type Result<T> = std::result::Result<T, Fault>;

pub(crate) fn round(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let digits = match bound.get(1) {
        None | Some(Value::None) => None,
        Some(other) => {
            let digits = other
                .as_integer()
                .ok_or_else(|| wants("a whole number", other))?;
            Some(digits.to_i64().unwrap_or(if digits.is_negative() {
                i64::MIN
            } else {
                i64::MAX
            }))
        }
    };
    let value = bound.or_none(0);
    match (&value, digits) {
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
        // The library rounds the exact value correctly, halves to even, as Python does.
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

/// To a multiple of a power of ten, halves to the even one.
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
