//! `+ - * / // % ** << >> & | ^ ~` of numbers, with Python's semantics.

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};

use crate::eval::budget::{Budget, Fault, Result};
use crate::eval::value::Value;
use crate::eval::value::digits::to_float;
use crate::syntax::ast::{Binary, Unary};

/// Bits of the largest whole number.
pub(crate) const LARGEST_INTEGER_BITS: u64 = 1 << 20;

/// Applies a sign.
///
/// # Errors
/// It is not a number.
pub(crate) fn sign(operator: Unary, value: &Value) -> Result<Value> {
    match (operator, value) {
        (Unary::Minus, Value::Float(number)) => Ok(Value::Float(-number)),
        (Unary::Plus, Value::Float(number)) => Ok(Value::Float(*number)),
        _ => match (operator, value.as_integer()) {
            (Unary::Minus, Some(number)) => Ok(Value::Int(-number)),
            (Unary::Plus, Some(number)) => Ok(Value::Int(number)),
            (Unary::Invert, Some(number)) => Ok(Value::Int(-number - 1)),
            (_, None) => {
                let (symbol, wanted) = match operator {
                    Unary::Minus => ("-", "a number"),
                    Unary::Plus => ("+", "a number"),
                    Unary::Invert => ("~", "a whole number"),
                };
                let message = format!("`{symbol}` takes {wanted} but got {}", value.kind());
                Err(Fault::wrong_type(message))
            }
        },
    }
}

/// Applies an operator to two numbers; `None` if it does not work with them.
///
/// # Errors
/// Division by zero, a result that is too large.
pub(crate) fn binary(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Option<Value>> {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) if operator == Binary::And => {
            Ok(Some(Value::Bool(*a && *b)))
        }
        (Value::Bool(a), Value::Bool(b)) if operator == Binary::Or => {
            Ok(Some(Value::Bool(*a || *b)))
        }
        (Value::Bool(a), Value::Bool(b)) if operator == Binary::Xor => {
            Ok(Some(Value::Bool(a != b)))
        }
        (Value::Float(_), Value::Float(_) | Value::Int(_) | Value::Bool(_))
        | (Value::Int(_) | Value::Bool(_), Value::Float(_)) => {
            floats(operator, float_of(left)?, float_of(right)?)
        }
        _ => match (left.as_integer(), right.as_integer()) {
            (Some(a), Some(b)) => integers(operator, &a, &b, budget).map(Some),
            _ => Ok(None),
        },
    }
}

/// A number as a float.
///
/// # Errors
/// It is too large, or no number.
pub(crate) fn float_of(value: &Value) -> Result<f64> {
    match (value, value.as_integer()) {
        (Value::Float(number), _) => Ok(*number),
        (_, Some(number)) => to_float(&number),
        (other, None) => Err(Fault::wrong_type(format!(
            "expected a number but got {}",
            other.kind()
        ))),
    }
}

fn zero_division() -> Fault {
    Fault::bad_value("division by zero")
}

/// `None` if the operator does not work with floats.
fn floats(operator: Binary, a: f64, b: f64) -> Result<Option<Value>> {
    let divides = matches!(operator, Binary::Divide | Binary::Floor | Binary::Modulo);
    if divides && b == 0.0 {
        return Err(zero_division());
    }
    Ok(Some(Value::Float(match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Floor => floor_and_modulo(a, b).0,
        Binary::Modulo => floor_and_modulo(a, b).1,
        Binary::Power => float_power(a, b)?,
        Binary::Left | Binary::Right | Binary::And | Binary::Or | Binary::Xor => return Ok(None),
    })))
}

fn float_power(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 {
        return Err(zero_division());
    }
    let finite = a.is_finite() && b.is_finite();
    if a < 0.0 && finite && b.fract() != 0.0 {
        return Err(Fault::bad_value("the result is not a real number"));
    }
    let result = a.powf(b);
    match result.is_infinite() && finite {
        true => Err(too_large()),
        false => Ok(result),
    }
}

fn too_large() -> Fault {
    Fault::bad_value("the result is too large for a float")
}

/// `(a // b, a % b)` as in CPython's `float_divmod`.
fn floor_and_modulo(a: f64, b: f64) -> (f64, f64) {
    let mut modulo = a % b;
    let mut quotient = (a - modulo) / b;
    if modulo == 0.0 {
        modulo = 0.0f64.copysign(b);
    } else if (b < 0.0) != (modulo < 0.0) {
        modulo += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0f64.copysign(a / b), modulo);
    }
    let floor = quotient.floor();
    let floor = if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    };
    (floor, modulo)
}

fn words(number: &BigInt) -> usize {
    1 + (number.bits() / 64) as usize
}

fn integers(operator: Binary, a: &BigInt, b: &BigInt, budget: &mut Budget) -> Result<Value> {
    if matches!(operator, Binary::Divide | Binary::Floor | Binary::Modulo) && b.is_zero() {
        return Err(zero_division());
    }
    // The time of a multiplication or division grows with the product of the lengths.
    budget.step(words(a).saturating_mul(words(b)) / 64)?;
    let result = match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => {
            bounded(a.bits() + b.bits())?;
            a * b
        }
        Binary::Divide => return true_division(a, b).map(Value::Float),
        Binary::Floor => floor_division(a, b).0,
        Binary::Modulo => floor_division(a, b).1,
        Binary::Power => {
            if b.is_negative() {
                return float_power(to_float(a)?, to_float(b)?).map(Value::Float);
            }
            return power(a, b, budget).map(Value::Int);
        }
        Binary::Left => {
            let count = shift(b)?;
            if a.is_zero() {
                return Ok(Value::Int(BigInt::ZERO));
            }
            bounded(a.bits().saturating_add(count))?;
            a << count
        }
        Binary::Right => {
            let count = shift(b)?;
            if count > a.bits() {
                BigInt::from(if a.is_negative() { -1 } else { 0 })
            } else {
                a >> count
            }
        }
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
    };
    bounded(result.bits())?;
    budget.allocate(result.bits() as usize / 8)?;
    Ok(Value::Int(result))
}

fn shift(count: &BigInt) -> Result<u64> {
    if count.is_negative() {
        return Err(Fault::bad_value("cannot shift by a negative number"));
    }
    Ok(count.to_u64().unwrap_or(u64::MAX))
}

fn bounded(bits: u64) -> Result<()> {
    if bits > LARGEST_INTEGER_BITS {
        let message = format!("the whole number has more than {LARGEST_INTEGER_BITS} bits");
        return Err(Fault::new("limit/integer", message));
    }
    Ok(())
}

/// Quotient and remainder, rounded down.
pub(crate) fn floor_division(a: &BigInt, b: &BigInt) -> (BigInt, BigInt) {
    let (quotient, remainder) = (a / b, a % b);
    if !remainder.is_zero() && (remainder.is_negative() != b.is_negative()) {
        (quotient - 1, remainder + b)
    } else {
        (quotient, remainder)
    }
}

fn power(base: &BigInt, exponent: &BigInt, budget: &mut Budget) -> Result<BigInt> {
    if base.abs() <= BigInt::from(1) {
        let odd = exponent.bit(0);
        return Ok(match (base.sign(), exponent.is_zero()) {
            (_, true) | (Sign::Plus, _) => BigInt::from(1),
            (Sign::NoSign, _) => BigInt::ZERO,
            (Sign::Minus, _) => BigInt::from(if odd { -1 } else { 1 }),
        });
    }
    // A lower bound: the base is at least the power of two with one bit less.
    let bits = (base.bits() - 1).saturating_mul(exponent.to_u64().unwrap_or(u64::MAX));
    bounded(bits)?;
    let length = (bits / 64) as usize;
    budget.step(length.saturating_mul(length) / 64)?;
    budget.allocate(bits as usize / 8)?;
    let result = base.pow(exponent.to_u32().unwrap_or(u32::MAX));
    bounded(result.bits())?;
    Ok(result)
}

/// `a / b`, correctly rounded.
fn true_division(a: &BigInt, b: &BigInt) -> Result<f64> {
    const EXACT: u64 = 53;
    if a.bits() <= EXACT && b.bits() <= EXACT {
        return Ok(to_float(a)? / to_float(b)?);
    }
    // A quotient of 63 or 64 bits, more than a float has, whose last bit also stands for the remainder: it rounds as the
    // exact quotient would. Behind 1076 bits of fraction, no float has any more.
    let length = |number: &BigInt| i64::try_from(number.bits()).unwrap_or(i64::MAX);
    let up = (63 + length(b) - length(a)).min(1076);
    let (dividend, divisor) = match up < 0 {
        true => (a.abs(), b.abs() << -up),
        false => (a.abs() << up, b.abs()),
    };
    let inexact = !(&dividend % &divisor).is_zero();
    let quotient = (dividend / divisor).to_u64().unwrap_or(u64::MAX);
    let mut quotient = quotient | u64::from(inexact);
    if up == 1076 && quotient < 1 << 54 {
        // Subnormal numbers have two bits less: they are rounded here, halves to even, and not again below.
        let odd = (quotient >> 2) & 1;
        quotient = ((quotient + 1 + odd) >> 2) << 2;
    }
    // In two steps, since a float holds half of the exponent.
    let exponent = i32::try_from(-up).unwrap_or(i32::MAX);
    let half = exponent / 2;
    let magnitude = quotient as f64 * 2f64.powi(half) * 2f64.powi(exponent - half);
    if magnitude.is_infinite() {
        return Err(too_large());
    }
    Ok(match a.is_negative() == b.is_negative() {
        true => magnitude,
        false => -magnitude,
    })
}
