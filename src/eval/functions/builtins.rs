//! The functions of Python that configurations use, and those that only `runner` has.

use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use crate::eval::binary_operators::binary;
use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::{Bound, CallArguments, wants};
use crate::eval::evaluator::{Evaluate, Evaluator};
use crate::eval::text::encodings::{decode, encode};
use crate::eval::value::compare::compare;
use crate::eval::value::elements::{as_list, set_of};
use crate::eval::value::repr::Repr;
use crate::eval::value::{Items, Table, Value, namespace, range_length};
use crate::syntax::ast::{Binary, Comparison};

/// The elements of an argument; none if it was not given.
fn spread(evaluator: &mut Evaluator<'_>, bound: &Bound, place: usize) -> Result<Vec<Value>> {
    match bound.get(place) {
        Some(value) => evaluator.elements(value),
        None => Ok(Vec::new()),
    }
}

fn tupled(evaluator: &mut Evaluator<'_>, values: Vec<Value>) -> Result<Value> {
    Ok(Value::Tuple(Items::new(values, evaluator.budget)?))
}

pub(crate) fn abs(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    match bound.or_none(0) {
        Value::Float(number) => Ok(Value::Float(number.abs())),
        other => match other.as_integer() {
            Some(number) => Ok(Value::Int(number.abs())),
            None => Err(wants("a number", &other)),
        },
    }
}

pub(crate) fn all(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(Value::Bool(
        spread(evaluator, bound, 0)?.iter().all(Value::truth),
    ))
}

pub(crate) fn any(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(Value::Bool(
        spread(evaluator, bound, 0)?.iter().any(Value::truth),
    ))
}

pub(crate) fn bytes(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let how = [bound.or_none(1), bound.or_none(2)];
    let encodes = how.iter().any(|given| *given != Value::None);
    match bound.get(0) {
        None => Ok(Value::Bytes([].into())),
        Some(Value::Str(text)) if bound.get(1).is_some() => encode(text, &how, evaluator.budget),
        Some(Value::Str(_)) => Err(
            Fault::wrong_type("a string needs an encoding to become bytes")
                .with_hint_if(Some("write `bytes(text, 'utf-8')`".to_owned())),
        ),
        Some(other) if encodes => Err(wants("a string with the encoding", other)),
        Some(count @ (Value::Int(_) | Value::Bool(_))) => {
            let count = count.as_integer().unwrap_or_default();
            let count = count.to_usize().unwrap_or(match count.is_negative() {
                true => return Err(Fault::bad_value("the number of bytes is negative")),
                false => usize::MAX,
            });
            evaluator.budget.allocate(count)?;
            Ok(Value::Bytes(vec![0; count].into()))
        }
        Some(values) => {
            let values = evaluator.elements(values)?;
            evaluator.budget.allocate(values.len())?;
            let bytes = values.iter().map(byte);
            Ok(Value::Bytes(bytes.collect::<Result<Vec<u8>>>()?.into()))
        }
    }
}

/// One byte, from a number.
fn byte(value: &Value) -> Result<u8> {
    let Some(number) = value.as_integer() else {
        let message = format!("bytes are made of whole numbers but got {}", value.kind());
        return Err(Fault::wrong_type(message));
    };
    number
        .to_u8()
        .ok_or_else(|| Fault::bad_value("a byte is a number from 0 to 255"))
}

pub(crate) fn dict(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut table = Table::default();
    match bound.get(0) {
        None => {}
        Some(Value::Dict(other)) => {
            for (key, value) in other.entries() {
                table.insert(key.clone(), value.clone(), evaluator.budget)?;
            }
        }
        Some(Value::Namespace(prefix)) => {
            let own = namespace::table(prefix, evaluator.properties, evaluator.budget)?;
            table = Arc::unwrap_or_clone(own);
        }
        Some(pairs) => {
            for pair in evaluator.elements(pairs)? {
                let pair = evaluator.elements(&pair)?;
                let Ok([key, value]) = <[Value; 2]>::try_from(pair) else {
                    return Err(Fault::bad_value(
                        "a dict is made of pairs of a key and a value",
                    ));
                };
                table.insert(key, value, evaluator.budget)?;
            }
        }
    }
    for (name, value) in &bound.more {
        table.insert(
            Value::Str(Arc::clone(name)),
            value.clone(),
            evaluator.budget,
        )?;
    }
    Ok(Value::Dict(Arc::new(table)))
}

pub(crate) fn enumerate(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let start = match bound.get(1) {
        None => BigInt::ZERO,
        Some(start) => start
            .as_integer()
            .ok_or_else(|| wants("a whole number", start))?,
    };
    let mut pairs = Vec::new();
    for (place, value) in spread(evaluator, bound, 0)?.into_iter().enumerate() {
        let pair = vec![Value::Int(&start + place), value];
        pairs.push(tupled(evaluator, pair)?);
    }
    let pairs = Items::new(pairs, evaluator.budget)?;
    Ok(Value::Iterator("enumerate", pairs))
}

pub(crate) fn len(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(match bound.or_none(0) {
        Value::Str(text) => {
            evaluator.budget.step(text.len() / 64)?;
            Value::from(text.chars().count())
        }
        Value::Bytes(bytes) => Value::from(bytes.len()),
        Value::List(items) | Value::Tuple(items) => Value::from(items.len()),
        Value::Set(table) | Value::Dict(table) | Value::View(_, table) => {
            Value::from(table.entries().len())
        }
        Value::Range(start, stop, step) => Value::from(range_length(start, stop, step)),
        Value::Namespace(_) => Value::from(spread(evaluator, bound, 0)?.len()),
        other => {
            return Err(wants("something with elements", &other).with_hint_if(as_list(&other)));
        }
    })
}

pub(crate) fn list(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let values = spread(evaluator, bound, 0)?;
    Ok(Value::List(Items::new(values, evaluator.budget)?))
}

pub(crate) fn tuple(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let values = spread(evaluator, bound, 0)?;
    tupled(evaluator, values)
}

pub(crate) fn set(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let values = spread(evaluator, bound, 0)?;
    Ok(Value::Set(Arc::new(set_of(values, evaluator.budget)?)))
}

/// `max`, `min`: the value that compares so to all others.
pub(crate) fn extreme(
    evaluator: &mut Evaluator<'_>,
    bound: &Bound,
    wanted: Comparison,
) -> Result<Value> {
    let values = match bound.rest.as_slice() {
        [only] => evaluator.elements(only)?,
        _ if bound.get(1).is_some() => {
            let message = "`default` needs a single argument, whose elements are compared";
            return Err(Fault::wrong_type(message));
        }
        several => several.to_vec(),
    };
    let mut best: Option<(Value, Value)> = None;
    for value in values {
        let key = sort_key(evaluator, bound.get(0), &value)?;
        let better = match &best {
            None => true,
            Some((_, best)) => compare(wanted, &key, best, evaluator.budget)?,
        };
        if better {
            best = Some((value, key));
        }
    }
    match (best, bound.get(1)) {
        (Some((value, _)), _) => Ok(value),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => Err(Fault::bad_value("there are no values to choose from")),
    }
}

fn sort_key(evaluator: &mut Evaluator<'_>, key: Option<&Value>, value: &Value) -> Result<Value> {
    match key {
        None | Some(Value::None) => Ok(value.clone()),
        Some(function) => evaluator.call(function, CallArguments::one(value.clone())),
    }
}

pub(crate) fn sorted(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let reverse = match bound.get(2) {
        None => false,
        Some(given) if given.as_integer().is_some() => given.truth(),
        Some(other) => return Err(wants("a truth value", other)),
    };
    let values = spread(evaluator, bound, 0)?;
    // Room for the values with their keys, and for the halves that are merged.
    evaluator
        .budget
        .allocate(2 * values.len() * size_of::<(Value, Value)>())?;
    let mut keyed = Vec::with_capacity(values.len());
    for value in values {
        keyed.push((sort_key(evaluator, bound.get(1), &value)?, value));
    }
    // Equal elements keep their order, also when reversed.
    if reverse {
        keyed.reverse();
    }
    let mut keyed = merge_sort(evaluator, keyed)?;
    if reverse {
        keyed.reverse();
    }
    let values = keyed.into_iter().map(|(_, value)| value).collect();
    Ok(Value::List(Items::new(values, evaluator.budget)?))
}

type Keyed = Vec<(Value, Value)>;

/// A stable sort. That of the standard library may panic where values have no total order (NaN).
fn merge_sort(evaluator: &mut Evaluator<'_>, mut values: Keyed) -> Result<Keyed> {
    if values.len() < 2 {
        return Ok(values);
    }
    let right = values.split_off(values.len() / 2);
    let left = merge_sort(evaluator, values)?;
    let right = merge_sort(evaluator, right)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let later_first = compare(Comparison::Less, &b.0, &a.0, evaluator.budget)?;
        merged.extend(if later_first {
            right.next()
        } else {
            left.next()
        });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

pub(crate) fn range(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut numbers = [None, None, None];
    for (number, value) in numbers.iter_mut().zip(&bound.values) {
        let Some(value) = value else { continue };
        let whole = value
            .as_integer()
            .ok_or_else(|| wants("a whole number", value))?;
        // Half of what 64 bits hold, so that no sum of two overflows.
        let near = whole
            .to_i64()
            .filter(|number| number.unsigned_abs() < 1 << 62);
        let far = || Fault::new("limit/integer", "the numbers of a range are below 2**62");
        *number = Some(near.ok_or_else(far)?);
    }
    match numbers {
        [_, _, Some(0)] => Err(Fault::bad_value("the step of a range cannot be zero")),
        [Some(stop), None, step] => Ok(Value::Range(0, stop, step.unwrap_or(1))),
        [start, stop, step] => Ok(Value::Range(
            start.unwrap_or_default(),
            stop.unwrap_or_default(),
            step.unwrap_or(1),
        )),
    }
}

pub(crate) fn repr(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let text = bound.or_none(0).checked_repr()?;
    evaluator.budget.allocate(text.len())?;
    Ok(Value::from(text))
}

pub(crate) fn str(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let how = [bound.or_none(1), bound.or_none(2)];
    let decodes = how.iter().any(|given| !matches!(given, Value::None));
    match bound.get(0) {
        None => Ok(Value::text("")),
        Some(Value::Bytes(bytes)) if decodes => decode(bytes, &how, evaluator.budget),
        Some(other) if decodes => Err(wants("bytes with the encoding", other)),
        Some(Value::Str(text)) => Ok(Value::Str(Arc::clone(text))),
        Some(_) => repr(evaluator, bound),
    }
}

pub(crate) fn reversed(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    if let Some(value @ (Value::Set(_) | Value::Iterator(..))) = bound.get(0) {
        let message = format!("{} cannot be reversed", value.kind());
        return Err(Fault::wrong_type(message).with_hint_if(as_list(value)));
    }
    let mut values = spread(evaluator, bound, 0)?;
    values.reverse();
    let values = Items::new(values, evaluator.budget)?;
    Ok(Value::Iterator("reversed", values))
}

pub(crate) fn sum(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut total = bound.get(1).cloned().unwrap_or(Value::Int(BigInt::ZERO));
    if matches!(total, Value::Str(_) | Value::Bytes(_)) {
        return Err(Fault::wrong_type(
            "strings are joined by `''.join(…)`, not summed",
        ));
    }
    for value in spread(evaluator, bound, 0)? {
        total = binary(Binary::Add, &total, &value, evaluator.budget)?;
    }
    Ok(total)
}

pub(crate) fn zip(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut columns = Vec::new();
    for value in &bound.rest {
        columns.push(evaluator.elements(value)?);
    }
    let rows = columns.iter().map(Vec::len).min().unwrap_or_default();
    if bound.or_none(0).truth() && columns.iter().any(|column| column.len() != rows) {
        return Err(Fault::bad_value("the arguments of `zip` differ in length"));
    }
    let mut tuples = Vec::new();
    for row in 0..rows {
        let tuple = columns
            .iter()
            .filter_map(|column| column.get(row).cloned())
            .collect();
        tuples.push(tupled(evaluator, tuple)?);
    }
    Ok(Value::Iterator(
        "zip",
        Items::new(tuples, evaluator.budget)?,
    ))
}
