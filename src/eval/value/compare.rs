//! Comparison: `==`, `<`, `in`, `is`.

use std::cmp::Ordering;
use std::sync::Arc;

use num_bigint::BigInt;

use super::digits::truncated;
use super::elements::{own_elements, size_of_set};
use super::{Items, Table, Value, View};
use crate::eval::budget::{Budget, Fault, Result};
use crate::syntax::ast::Comparison;

/// Equality as `==` has it. Values that are too large to compare are unequal.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        equal(self, other, &mut Budget::default()).unwrap_or(false)
    }
}

/// Applies a comparison.
///
/// # Errors
/// Values that have no order or no elements.
pub(crate) fn compare(
    operator: Comparison,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<bool> {
    match operator {
        Comparison::Equal => equal(left, right, budget),
        Comparison::Unequal => equal(left, right, budget).map(|same| !same),
        Comparison::In => contains(right, left, budget),
        Comparison::NotIn => contains(right, left, budget).map(|found| !found),
        Comparison::Is => identity(left, right, budget),
        Comparison::IsNot => identity(left, right, budget).map(|same| !same),
        Comparison::Less | Comparison::AtMost | Comparison::Greater | Comparison::AtLeast => {
            ordered(operator, left, right, budget)
        }
    }
}

/// `left == right`
///
/// # Errors
/// The values are too large.
pub(crate) fn equal(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool> {
    pay(left, right, budget)?;
    Ok(match (left, right) {
        (
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
        ) => numbers(left, right) == Some(Ordering::Equal),
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            equal_items(a, b, budget)?
        }
        (Value::Set(a), Value::Set(b))
        | (Value::Dict(a), Value::Dict(b))
        | (Value::Routes(a), Value::Routes(b)) => equal_tables(a, b, budget)?,
        (Value::Range(..), Value::Range(..)) => left.key(budget)? == right.key(budget)?,
        _ => match (size_of_set(left), size_of_set(right)) {
            (Some(a), Some(b)) => a == b && all_in(left, right, budget)?,
            _ => identical(left, right, budget)?,
        },
    })
}

/// Takes the steps for a comparison of two values; their elements are paid for one by one.
fn pay(left: &Value, right: &Value, budget: &mut Budget) -> Result<()> {
    budget.step(1 + left.weight().min(right.weight()) / 1024)
}

fn equal_items(a: &Arc<Items>, b: &Arc<Items>, budget: &mut Budget) -> Result<bool> {
    if Arc::ptr_eq(a, b) {
        return Ok(true);
    }
    if a.len() != b.len() {
        return Ok(false);
    }
    for (one, other) in a.iter().zip(b.iter()) {
        if !equal(one, other, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_tables(a: &Arc<Table>, b: &Arc<Table>, budget: &mut Budget) -> Result<bool> {
    if Arc::ptr_eq(a, b) {
        return Ok(true);
    }
    if a.entries().len() != b.entries().len() {
        return Ok(false);
    }
    for (key, value) in a.entries() {
        match b.get(key, budget)? {
            Some(other) if equal(value, other, budget)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn identity(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool> {
    pay(left, right, budget)?;
    identical(left, right, budget)
}

/// `left is right`: equality of the same type for values of which Python may keep only one copy.
fn identical(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool> {
    Ok(match (left, right) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            Arc::ptr_eq(a, b) || a.is_empty() && b.is_empty() && matches!(left, Value::Tuple(_))
        }
        (Value::Set(a), Value::Set(b))
        | (Value::Dict(a), Value::Dict(b))
        | (Value::Routes(a), Value::Routes(b)) => Arc::ptr_eq(a, b),
        (Value::View(a, of), Value::View(b, other)) => a == b && Arc::ptr_eq(of, other),
        (Value::Range(..), Value::Range(..)) => false,
        _ => left.type_name() == right.type_name() && left.key(budget)? == right.key(budget)?,
    })
}

/// The order of two numbers; `None` if one is NaN or no number.
pub(crate) fn numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), _) => float_and_integer(*a, &right.as_integer()?),
        (_, Value::Float(b)) => float_and_integer(*b, &left.as_integer()?).map(Ordering::reverse),
        _ => Some(left.as_integer()?.cmp(&right.as_integer()?)),
    }
}

fn float_and_integer(float: f64, integer: &BigInt) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    match truncated(float) {
        None => Some(if float > 0.0 {
            Ordering::Greater
        } else {
            Ordering::Less
        }),
        Some(whole) => Some(
            whole
                .cmp(integer)
                .then_with(|| float.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal)),
        ),
    }
}

fn ordered(operator: Comparison, left: &Value, right: &Value, budget: &mut Budget) -> Result<bool> {
    if let (Some(a), Some(b)) = (size_of_set(left), size_of_set(right)) {
        return match operator {
            Comparison::Less => Ok(a < b && all_in(left, right, budget)?),
            Comparison::AtMost => Ok(a <= b && all_in(left, right, budget)?),
            Comparison::Greater => Ok(a > b && all_in(right, left, budget)?),
            _ => Ok(a >= b && all_in(right, left, budget)?),
        };
    }
    let order = order(operator.symbol(), left, right, budget)?;
    Ok(match operator {
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// Whether all elements of a value are in another one.
fn all_in(few: &Value, many: &Value, budget: &mut Budget) -> Result<bool> {
    for element in own_elements(few, budget)? {
        if !contains(many, &element, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The order of two values; `None` if NaN decides it.
///
/// # Errors
/// Values that have no order.
fn order(
    symbol: &str,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Option<Ordering>> {
    pay(left, right, budget)?;
    match (left, right) {
        (
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
            Value::Bool(_) | Value::Int(_) | Value::Float(_),
        ) => Ok(numbers(left, right)),
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Some(a.cmp(b))),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            for (one, other) in a.iter().zip(b.iter()) {
                if !equal(one, other, budget)? {
                    return order(symbol, one, other, budget);
                }
            }
            Ok(Some(a.len().cmp(&b.len())))
        }
        _ => Err(Fault::wrong_type(format!(
            "`{symbol}` cannot compare {} with {}",
            left.kind(),
            right.kind()
        ))),
    }
}

/// `element in dict.values()` and the like.
fn in_view(view: View, table: &Table, element: &Value, budget: &mut Budget) -> Result<bool> {
    match (view, element) {
        (View::Keys, key) => Ok(table.get(key, budget)?.is_some()),
        (View::Values, wanted) => {
            for (_, value) in table.entries() {
                if equal(value, wanted, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (View::Items, Value::Tuple(pair)) => match &pair[..] {
            [key, wanted] => match table.get(key, budget)? {
                Some(value) => equal(value, wanted, budget),
                None => Ok(false),
            },
            _ => Ok(false),
        },
        (View::Items, _) => Ok(false),
    }
}

/// `element in container`
pub(crate) fn contains(container: &Value, element: &Value, budget: &mut Budget) -> Result<bool> {
    match (container, element) {
        (Value::Str(text), Value::Str(part)) => {
            budget.step(text.len() / 64)?;
            Ok(text.contains(part.as_ref()))
        }
        (Value::Bytes(bytes), Value::Bytes(part)) => {
            budget.step(1 + bytes.len() * part.len().min(64) / 64)?;
            Ok(part.is_empty()
                || bytes
                    .windows(part.len())
                    .any(|window| window == part.as_ref()))
        }
        (Value::Bytes(bytes), Value::Int(_) | Value::Bool(_)) => {
            budget.step(bytes.len() / 256)?;
            match u8::try_from(element.as_integer().unwrap_or_default()) {
                Ok(byte) => Ok(bytes.contains(&byte)),
                Err(_) => Err(Fault::bad_value("a byte is a number from 0 to 255")),
            }
        }
        (Value::List(items) | Value::Tuple(items) | Value::Iterator(_, items), _) => {
            for item in items.iter() {
                if equal(item, element, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        // No set holds a set, since sets are no keys.
        (Value::Set(_), Value::Set(_)) => Ok(false),
        (Value::Set(table) | Value::Dict(table), _) => Ok(table.get(element, budget)?.is_some()),
        (Value::View(view, table), _) => in_view(*view, table, element, budget),
        (Value::Range(start, stop, step), _) => {
            let whole = match element {
                // `2.0 in range(3)`
                Value::Float(number) if number.fract() == 0.0 => truncated(*number),
                other => other.as_integer(),
            };
            let Some(number) = whole.and_then(|number| i64::try_from(&number).ok()) else {
                return Ok(false);
            };
            let (start, stop, number) = (i128::from(*start), i128::from(*stop), i128::from(number));
            let inside = if *step > 0 {
                (start..stop).contains(&number)
            } else {
                number <= start && number > stop
            };
            Ok(inside && (number - start) % i128::from(*step) == 0)
        }
        (Value::Str(_), _) => Err(Fault::wrong_type(format!(
            "`in` looks for a string in a string, not for {}",
            element.kind()
        ))),
        _ => Err(Fault::wrong_type(format!(
            "{} has no elements",
            container.kind()
        ))),
    }
}
