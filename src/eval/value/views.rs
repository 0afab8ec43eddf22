//! Views of a dict, what its `keys`, `values` and `items` give
//! (<https://docs.python.org/3/library/stdtypes.html#dictionary-view-objects>): those of keys and items are as good as sets.

use std::sync::Arc;

use crate::eval::budget::{Budget, Fault};
use crate::eval::number::arithmetic::{set_of, sets};
use crate::eval::value::compare::{contains, equal};
use crate::eval::value::subscripts::own_elements;
use crate::eval::value::{Items, Table, Value};
use crate::syntax::ast::Binary;

/// A view.
#[derive(Debug)]
pub struct View {
    /// What of the dict.
    pub of: Part,
    /// The dict.
    pub table: Arc<Table>,
}

/// What of a dict can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `keys()`
    Keys,
    /// `values()`
    Values,
    /// `items()`: pairs of a key and a value.
    Items,
}

impl View {
    /// The name of its type in Python.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.of {
            Part::Keys => "dict_keys",
            Part::Values => "dict_values",
            Part::Items => "dict_items",
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.of {
            Part::Keys => "the keys of a dict",
            Part::Values => "the values of a dict",
            Part::Items => "the items of a dict",
        }
    }

    /// Its elements.
    ///
    /// # Errors
    /// More than the budget allows.
    pub fn elements(&self, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
        budget.allocate(self.table.entries().len() * size_of::<Value>())?;
        let element = |(key, value): &(Value, Value)| {
            Ok(match self.of {
                Part::Keys => key.clone(),
                Part::Values => value.clone(),
                Part::Items => Value::Tuple(Items::new(vec![key.clone(), value.clone()], budget)?),
            })
        };
        self.table.entries().iter().map(element).collect()
    }

    /// The same of another dict.
    #[must_use]
    pub fn over(&self, table: Arc<Table>) -> Value {
        let of = self.of;
        Value::View(Arc::new(Self { of, table }))
    }

    /// Whether a value is one of its elements.
    ///
    /// # Errors
    /// A key that cannot be one, or more than the budget allows.
    pub fn contains(&self, element: &Value, budget: &mut Budget) -> Result<bool, Fault> {
        match (self.of, element) {
            (Part::Keys, key) => Ok(self.table.get(key, budget)?.is_some()),
            (Part::Values, wanted) => {
                for (_, value) in self.table.entries() {
                    if equal(value, wanted, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Part::Items, Value::Tuple(pair)) => match &pair[..] {
                [key, wanted] => match self.table.get(key, budget)? {
                    Some(value) => equal(value, wanted, budget),
                    None => Ok(false),
                },
                _ => Ok(false),
            },
            (Part::Items, _) => Ok(false),
        }
    }
}

/// How many elements a value has, if it is a set or as good as one.
pub(crate) fn size_of_set(value: &Value) -> Option<usize> {
    match value {
        Value::Set(table) => Some(table.entries().len()),
        Value::View(view) if view.of != Part::Values => Some(view.table.entries().len()),
        _ => None,
    }
}

/// Whether operators of sets make a set of the value and of any elements beside it.
pub(crate) fn makes_sets(value: &Value) -> bool {
    matches!(value, Value::View(view) if view.of != Part::Values)
}

/// `-`, `&`, `|` or `^` where one of the two is as good as a set.
///
/// # Errors
/// What has no elements, or some that cannot be in a set.
pub(crate) fn combine(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Value, Fault> {
    if operator == Binary::And {
        return common(left, right, budget);
    }
    let (a, b) = (set_of(left, budget)?, set_of(right, budget)?);
    sets(operator, &a, &b, budget)
}

/// `&`: the values of a dict's items need not be possible elements of a set unless they are in the result.
fn common(left: &Value, right: &Value, budget: &mut Budget) -> Result<Value, Fault> {
    let (view, other) = if makes_sets(left) {
        (left, right)
    } else {
        (right, left)
    };
    let shorter = size_of_set(other).is_some_and(|size| size_of_set(view) < Some(size));
    let (from, within) = if shorter {
        (view, other)
    } else {
        (other, view)
    };
    let mut both = Table::default();
    for element in own_elements(from, budget)? {
        if contains(within, &element, budget)? {
            both.insert(element, Value::None, budget)?;
        }
    }
    Ok(Value::Set(Arc::new(both)))
}
