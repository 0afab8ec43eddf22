//! The operators `+ - * / // % ** << >> & | ^` of all types.

use std::sync::Arc;

use num_bigint::Sign;
use num_traits::ToPrimitive;

use super::budget::{Budget, Fault, Result};
use super::number::arithmetic;
use super::text::percent;
use super::value::elements::{own_elements, set_of, size_of_set};
use super::value::{Items, Table, Value};
use crate::syntax::ast::Binary;

/// Applies an operator.
///
/// # Errors
/// Types that it does not work with, division by zero, a result that is too large.
pub(crate) fn binary(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value> {
    budget.step(1)?;
    let result = match operator {
        Binary::Add => concatenated(left, right, budget)?,
        Binary::Multiply => repeated(left, right, budget)?,
        Binary::Modulo => match left {
            Value::Str(format) => Some(percent::format(format, right, budget)?.into()),
            _ => None,
        },
        Binary::Subtract | Binary::And | Binary::Or | Binary::Xor => {
            combined(operator, left, right, budget)?
        }
        Binary::Divide | Binary::Floor | Binary::Power | Binary::Left | Binary::Right => None,
    };
    if let Some(result) = result {
        return Ok(result);
    }
    if let Some(result) = arithmetic::binary(operator, left, right, budget)? {
        return Ok(result);
    }
    let message = format!(
        "`{}` does not work with {} and {}",
        operator.symbol(),
        left.kind(),
        right.kind()
    );
    let text = left.as_str().is_some() || right.as_str().is_some();
    let hint =
        (operator == Binary::Add && text).then(|| "`str(…)` makes a string of anything".to_owned());
    Err(Fault::wrong_type(message).with_hint_if(hint))
}

fn concatenated(left: &Value, right: &Value, budget: &mut Budget) -> Result<Option<Value>> {
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

fn repeated(left: &Value, right: &Value, budget: &mut Budget) -> Result<Option<Value>> {
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

fn repeat_items(items: &[Value], count: usize, budget: &mut Budget) -> Result<Arc<Items>> {
    let length = items.len().saturating_mul(count);
    let copied: usize = items.iter().map(Value::copied).sum();
    let bytes = length.saturating_mul(size_of::<Value>());
    budget.allocate(bytes.saturating_add(copied.saturating_mul(count)))?;
    let all = items.iter().cycle().take(length).cloned().collect();
    Items::new(all, budget)
}

/// `-`, `&`, `|` or `^` of sets and dicts; the keys and items of a dict work like sets, also beside any elements.
fn combined(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Option<Value>> {
    if let (Binary::Or, Value::Dict(a), Value::Dict(b)) = (operator, left, right) {
        let mut merged = Table::default();
        for (key, value) in a.entries().iter().chain(b.entries()) {
            merged.insert(key.clone(), value.clone(), budget)?;
        }
        return Ok(Some(Value::Dict(Arc::new(merged))));
    }
    let all_sets = matches!((left, right), (Value::Set(_), Value::Set(_)));
    let is_view = |value: &Value| matches!(value, Value::View(..)) && size_of_set(value).is_some();
    if !all_sets && !is_view(left) && !is_view(right) {
        return Ok(None);
    }
    let (left, right) = (as_set(left, budget)?, as_set(right, budget)?);
    sets(operator, &left, &right, budget).map(Some)
}

fn as_set(value: &Value, budget: &mut Budget) -> Result<Arc<Table>> {
    match value {
        Value::Set(table) => Ok(Arc::clone(table)),
        other => Ok(Arc::new(set_of(own_elements(other, budget)?, budget)?)),
    }
}

pub(crate) fn sets(operator: Binary, a: &Table, b: &Table, budget: &mut Budget) -> Result<Value> {
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
