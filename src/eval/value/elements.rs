//! The elements of values.

use super::namespace;
use super::properties::Properties;
use super::{Table, Value, View, range_length};
use crate::eval::budget::{Budget, Fault, Result};

/// The elements of a value; those of a namespace are its names.
///
/// # Errors
/// The value has no elements, or more than the budget allows.
pub(crate) fn elements(
    value: &Value,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Vec<Value>> {
    match value {
        Value::Namespace(prefix) => namespace::elements(prefix, properties, budget),
        other => own_elements(other, budget),
    }
}

/// The elements of a value that holds them itself.
pub(crate) fn own_elements(value: &Value, budget: &mut Budget) -> Result<Vec<Value>> {
    match value {
        Value::List(items) | Value::Tuple(items) | Value::Iterator(_, items) => {
            budget.allocate(items.len() * size_of::<Value>())?;
            Ok(items.to_vec())
        }
        Value::Set(table) | Value::Dict(table) => View::Keys.elements(table, budget),
        Value::View(view, table) => view.elements(table, budget),
        Value::Str(text) => {
            budget.allocate(text.len() * (size_of::<Value>() + 24))?;
            Ok(text.chars().map(|c| Value::from(c.to_string())).collect())
        }
        Value::Bytes(bytes) => {
            budget.allocate(bytes.len() * size_of::<Value>())?;
            let numbers = bytes.iter().map(|byte| Value::from(i64::from(*byte)));
            Ok(numbers.collect())
        }
        Value::Range(start, stop, step) => {
            let length = usize::try_from(range_length(*start, *stop, *step)).unwrap_or(usize::MAX);
            budget.allocate(length.saturating_mul(size_of::<Value>() + 8))?;
            let number =
                |place: usize| Value::from(start + step * i64::try_from(place).unwrap_or_default());
            Ok((0..length).map(number).collect())
        }
        other => {
            let message = format!("{} has no elements", other.kind());
            Err(Fault::wrong_type(message))
        }
    }
}

/// The hint for a value that has elements, but no length and index.
pub(crate) fn as_list(value: &Value) -> Option<String> {
    let listed = matches!(value, Value::View(..) | Value::Iterator(..));
    listed.then(|| "`list(…)` makes a list of it".to_owned())
}

/// A set of the elements of a value.
///
/// # Errors
/// The value has no elements, or some that cannot be in a set.
pub(crate) fn set_of(values: Vec<Value>, budget: &mut Budget) -> Result<Table> {
    let mut set = Table::default();
    for value in values {
        set.insert(value, Value::None, budget)?;
    }
    Ok(set)
}

/// The number of elements, if the value is a set or can be compared and combined like one.
pub(crate) fn size_of_set(value: &Value) -> Option<usize> {
    match value {
        Value::Set(table) | Value::View(View::Keys | View::Items, table) => {
            Some(table.entries().len())
        }
        _ => None,
    }
}
