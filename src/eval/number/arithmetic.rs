//! `+ - * / // % ** << >> & | ^ ~` with Python's semantics.

use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use crate::eval::budget::{Budget, Fault};
use crate::eval::text::percent;
use crate::eval::value::subscripts::own_elements;
use crate::eval::value::views;
use crate::eval::value::views::makes_sets;
use crate::eval::value::{Items, Table, Value};
use crate::syntax::ast::{Binary, Unary};

/// Bits of the largest whole number.
pub const LARGEST_INTEGER_BITS: u64 = 1 << 20;

/// The whole part of a float; `None` for infinity and NaN.
#[must_use]
pub fn truncated(number: f64) -> Option<BigInt> {
    BigInt::from_f64(number.trunc())
}

/// A whole number as a float.
///
/// # Errors
/// It is too large.
pub fn to_float(number: &BigInt) -> Result<f64, Fault> {
    match number.to_f64() {
        Some(float) if float.is_finite() => Ok(float),
        _ => Err(Fault::bad_value(
            "the whole number is too large for a float",
        )),
    }
}

/// Applies a sign.
///
/// # Errors
/// It is no number.
pub fn sign(operator: Unary, value: &Value) -> Result<Value, Fault> {
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

/// Applies an operator.
///
/// # Errors
/// Types that it does not work with, division by zero, a result that is too large.
pub fn binary(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    budget.step(1)?;
    match (operator, left, right) {
        (Binary::Modulo, Value::Str(format), _) => {
            return percent::format(format, right, budget).map(Value::from);
        }
        (Binary::Modulo, Value::Bytes(format), _) => {
            return percent::format_bytes(format, right, budget);
        }
        (Binary::Add, _, _) => {
            if let Some(joined) = concatenated(left, right, budget)? {
                return Ok(joined);
            }
        }
        (Binary::Multiply, _, _) => {
            if let Some(repeated) = repeated(left, right, budget)? {
                return Ok(repeated);
            }
        }
        (
            Binary::Subtract | Binary::And | Binary::Or | Binary::Xor,
            Value::Set(a),
            Value::Set(b),
        ) => {
            return sets(operator, a, b, budget);
        }
        (Binary::Subtract | Binary::And | Binary::Or | Binary::Xor, _, _)
            if makes_sets(left) || makes_sets(right) =>
        {
            return views::combine(operator, left, right, budget);
        }
        (Binary::Or, Value::Dict(a), Value::Dict(b)) => {
            let mut merged = Table::default();
            for (key, value) in a.entries().iter().chain(b.entries()) {
                merged.insert(key.clone(), value.clone(), budget)?;
            }
            return Ok(Value::Dict(Arc::new(merged)));
        }
        (Binary::And | Binary::Or | Binary::Xor, Value::Bool(a), Value::Bool(b)) => {
            return Ok(Value::Bool(match operator {
                Binary::And => *a && *b,
                Binary::Or => *a || *b,
                _ => a != b,
            }));
        }
        _ => {}
    }
    let wrong = || {
        Fault::wrong_type(format!(
            "`{}` does not work with {} and {}",
            operator.symbol(),
            left.kind(),
            right.kind()
        ))
    };
    let text_and_number =
        operator == Binary::Add && (left.as_str().is_some() || right.as_str().is_some());
    match (left, right) {
        (Value::Float(_), Value::Float(_) | Value::Int(_) | Value::Bool(_))
        | (Value::Int(_) | Value::Bool(_), Value::Float(_)) => {
            let (a, b) = (float_of(left)?, float_of(right)?);
            floats(operator, a, b).unwrap_or_else(|| Err(wrong()))
        }
        _ => match (left.as_integer(), right.as_integer()) {
            (Some(a), Some(b)) => integers(operator, &a, &b, budget),
            _ if text_and_number => {
                Err(wrong().with_hint_if(Some("`str(…)` makes a string of anything".to_owned())))
            }
            _ => Err(wrong()),
        },
    }
}

/// A number as a float.
///
/// # Errors
/// It is too large, or no number.
pub fn float_of(value: &Value) -> Result<f64, Fault> {
    match (value, value.as_integer()) {
        (Value::Float(number), _) => Ok(*number),
        (_, Some(number)) => to_float(&number),
        (other, None) => Err(Fault::wrong_type(format!(
            "expected a number but got {}",
            other.kind()
        ))),
    }
}

fn concatenated(left: &Value, right: &Value, budget: &mut Budget) -> Result<Option<Value>, Fault> {
    Ok(Some(match (left, right) {
        (Value::Str(a), Value::Str(b)) => {
            budget.allocate(a.len() + b.len())?;
            Value::Str([a.as_ref(), b.as_ref()].concat().into())
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            budget.allocate(a.len() + b.len())?;
            Value::Bytes([a.as_ref(), b.as_ref()].concat().into())
        }
        (Value::List(a), Value::List(b)) => {
            budget.step(a.len() + b.len())?;
            Value::List(Items::new([&***a, &***b].concat(), budget)?)
        }
        (Value::Tuple(a), Value::Tuple(b)) => {
            budget.step(a.len() + b.len())?;
            Value::Tuple(Items::new([&***a, &***b].concat(), budget)?)
        }
        _ => return Ok(None),
    }))
}

fn repeated(left: &Value, right: &Value, budget: &mut Budget) -> Result<Option<Value>, Fault> {
    let (sequence, count) = match (left.as_integer(), right.as_integer()) {
        (None, Some(count)) => (left, count),
        (Some(count), None) => (right, count),
        _ => return Ok(None),
    };
    let count = if count.sign() == Sign::Minus {
        0
    } else {
        count.to_usize().unwrap_or(usize::MAX)
    };
    Ok(Some(match sequence {
        Value::Str(text) => {
            budget.allocate(text.len().saturating_mul(count))?;
            Value::from(text.repeat(if text.is_empty() { 0 } else { count }))
        }
        Value::Bytes(bytes) => {
            budget.allocate(bytes.len().saturating_mul(count))?;
            Value::Bytes(
                bytes
                    .repeat(if bytes.is_empty() { 0 } else { count })
                    .into(),
            )
        }
        Value::List(items) => Value::List(repeat_items(items, count, budget)?),
        Value::Tuple(items) => Value::Tuple(repeat_items(items, count, budget)?),
        _ => return Ok(None),
    }))
}

fn repeat_items(items: &[Value], count: usize, budget: &mut Budget) -> Result<Arc<Items>, Fault> {
    let length = items.len().saturating_mul(count);
    let copied: usize = items.iter().map(Value::copied).sum();
    let bytes = length.saturating_mul(size_of::<Value>());
    budget.allocate(bytes.saturating_add(copied.saturating_mul(count)))?;
    let all = items.iter().cycle().take(length).cloned().collect();
    Items::new(all, budget)
}

/// A set of the elements of a value.
///
/// # Errors
/// It has none, or some that cannot be in a set.
pub(crate) fn set_of(value: &Value, budget: &mut Budget) -> Result<Table, Fault> {
    let mut set = Table::default();
    for element in own_elements(value, budget)? {
        set.insert(element, Value::None, budget)?;
    }
    Ok(set)
}

pub(crate) fn sets(
    operator: Binary,
    a: &Table,
    b: &Table,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    let mut result = Table::default();
    // Of equal elements, `1` and `True`, Python keeps those of the smaller set, or of the second.
    let (a, b) = match operator {
        Binary::And if b.entries().len() <= a.entries().len() => (b, a),
        _ => (a, b),
    };
    for key in a.keys() {
        let in_both = b.get(key, budget)?.is_some();
        let kept = match operator {
            Binary::And => in_both,
            Binary::Or => true,
            _ => !in_both,
        };
        if kept {
            result.insert(key.clone(), Value::None, budget)?;
        }
    }
    if matches!(operator, Binary::Or | Binary::Xor) {
        for key in b.keys() {
            if a.get(key, budget)?.is_none() {
                result.insert(key.clone(), Value::None, budget)?;
            }
        }
    }
    Ok(Value::Set(Arc::new(result)))
}

fn zero_division() -> Fault {
    Fault::bad_value("division by zero")
}

/// `None` where the operator does not work with floats.
fn floats(operator: Binary, a: f64, b: f64) -> Option<Result<Value, Fault>> {
    let divides = matches!(operator, Binary::Divide | Binary::Floor | Binary::Modulo);
    if divides && b == 0.0 {
        return Some(Err(zero_division()));
    }
    let result = match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Floor => floor_and_modulo(a, b).0,
        Binary::Modulo => floor_and_modulo(a, b).1,
        Binary::Power => {
            if a == 0.0 && b < 0.0 {
                return Some(Err(zero_division()));
            }
            if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
                return Some(Err(Fault::bad_value("the result is not a real number")));
            }
            let result = a.powf(b);
            if result.is_infinite() && a.is_finite() && b.is_finite() {
                return Some(Err(Fault::bad_value("the result is too large for a float")));
            }
            result
        }
        Binary::Left | Binary::Right | Binary::And | Binary::Or | Binary::Xor => return None,
    };
    Some(Ok(Value::Float(result)))
}

/// `(a // b, a % b)` as CPython's `float_divmod` has them.
pub(crate) fn floor_and_modulo(a: f64, b: f64) -> (f64, f64) {
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

fn integers(operator: Binary, a: &BigInt, b: &BigInt, budget: &mut Budget) -> Result<Value, Fault> {
    if matches!(operator, Binary::Divide | Binary::Floor | Binary::Modulo) && b.is_zero() {
        return Err(zero_division());
    }
    // What multiplication and division take grows with the product of the lengths.
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
                return floats(operator, to_float(a)?, to_float(b)?)
                    .unwrap_or_else(|| Err(zero_division()));
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

fn shift(count: &BigInt) -> Result<u64, Fault> {
    if count.is_negative() {
        return Err(Fault::bad_value("cannot shift by a negative number"));
    }
    Ok(count.to_u64().unwrap_or(u64::MAX))
}

fn bounded(bits: u64) -> Result<(), Fault> {
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

fn power(base: &BigInt, exponent: &BigInt, budget: &mut Budget) -> Result<BigInt, Fault> {
    if base.abs() <= BigInt::from(1) {
        let odd = exponent.bit(0);
        return Ok(match (base.sign(), exponent.is_zero()) {
            (_, true) | (Sign::Plus, _) => BigInt::from(1),
            (Sign::NoSign, _) => BigInt::ZERO,
            (Sign::Minus, _) => BigInt::from(if odd { -1 } else { 1 }),
        });
    }
    // At least so many bits: the base has one bit more than the power of two below it.
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
fn true_division(a: &BigInt, b: &BigInt) -> Result<f64, Fault> {
    const EXACT: u64 = 53;
    if a.bits() <= EXACT && b.bits() <= EXACT {
        return Ok(to_float(a)? / to_float(b)?);
    }
    // A quotient of at least 66 bits whose last bit also stands for whatever remains: its rounding is the right one.
    let wanted = 66 + i64::try_from(b.bits()).unwrap_or(i64::MAX);
    let up = (wanted - i64::try_from(a.bits()).unwrap_or(i64::MAX)).max(0);
    let (dividend, divisor) = (a.abs() << up, b.abs());
    let mut quotient = &dividend / &divisor;
    if !(&dividend % &divisor).is_zero() {
        quotient |= BigInt::from(1);
    }
    let magnitude = scaled(&quotient, -up)?;
    Ok(if a.is_negative() == b.is_negative() {
        magnitude
    } else {
        -magnitude
    })
}

/// `number * 2**exponent` for a number of at least 66 bits or an exponent of 0.
fn scaled(number: &BigInt, exponent: i64) -> Result<f64, Fault> {
    let spare = i64::try_from(number.bits()).unwrap_or(i64::MAX) - 66;
    let sticky = spare > 0
        && number
            .trailing_zeros()
            .is_some_and(|zeros| (zeros as i64) < spare);
    let mut mantissa: BigInt = if spare > 0 {
        number >> spare
    } else {
        number.clone()
    };
    if sticky {
        mantissa |= BigInt::from(1);
    }
    let exponent = exponent + spare.max(0);
    // Bits below the smallest subnormal number are rounded here, once.
    let lowest = i64::try_from(mantissa.bits()).unwrap_or(0) + exponent;
    if lowest < -1021 {
        let drop = (-1074 - exponent).max(0);
        let half = BigInt::from(1) << (drop.max(1) - 1);
        let mut whole: BigInt = &mantissa >> drop;
        let rest: BigInt = &mantissa - (&whole << drop);
        if rest > half || (rest == half && whole.bit(0)) {
            whole += 1;
        }
        return Ok(to_float(&whole)? * f64::from_bits(1));
    }
    let float = to_float(&mantissa)?;
    let half = i32::try_from(exponent / 2).unwrap_or(i32::MAX);
    let rest = i32::try_from(exponent - exponent / 2).unwrap_or(i32::MAX);
    let result = float * 2f64.powi(half) * 2f64.powi(rest);
    if result.is_finite() {
        Ok(result)
    } else {
        Err(Fault::bad_value("the result is too large for a float"))
    }
}
