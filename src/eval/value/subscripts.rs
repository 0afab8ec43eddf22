//! Indexes and slices.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use super::elements::as_list;
use super::namespace::{full_name, property};
use super::properties::Properties;
use super::repr::Repr;
use super::{Items, Value, range_length};
use crate::eval::budget::{Budget, Fault, Result};
use crate::syntax::did_you_mean;

/// `value[at]`
pub(crate) fn index(
    value: &Value,
    at: &Value,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Value> {
    match value {
        Value::Dict(table) => match table.get(at, budget)? {
            Some(found) => Ok(found.clone()),
            None => {
                let keys = table.keys().filter_map(Value::as_str);
                let hint = at.as_str().and_then(|key| did_you_mean(key, keys));
                let message = format!("the dict has no key {}", at.shown());
                Err(Fault::new("name/key", message).with_hint_if(hint))
            }
        },
        Value::Namespace(prefix) => match at {
            Value::Str(name) => property(&full_name(prefix, name), properties, budget),
            other => Err(wrong_index("a namespace", "a name", other)),
        },
        Value::List(items) | Value::Tuple(items) => {
            let place = place(value, at, items.len())?;
            Ok(items.get(place).cloned().unwrap_or(Value::None))
        }
        Value::Str(text) => {
            budget.step(text.len() / 64)?;
            let place = place(value, at, text.chars().count())?;
            Ok(Value::from(
                text.chars()
                    .nth(place)
                    .map(String::from)
                    .unwrap_or_default(),
            ))
        }
        Value::Bytes(bytes) => {
            let place = place(value, at, bytes.len())?;
            Ok(Value::from(i64::from(
                bytes.get(place).copied().unwrap_or_default(),
            )))
        }
        Value::Range(start, stop, step) => {
            let length = usize::try_from(range_length(*start, *stop, *step)).unwrap_or(usize::MAX);
            let place = i64::try_from(place(value, at, length)?).unwrap_or_default();
            Ok(Value::from(start + step * place))
        }
        other => Err(
            Fault::wrong_type(format!("{} cannot be indexed", other.kind()))
                .with_hint_if(as_list(other)),
        ),
    }
}

fn wrong_index(container: &str, wanted: &str, at: &Value) -> Fault {
    Fault::wrong_type(format!(
        "{container} is indexed by {wanted}, not by {}",
        at.kind()
    ))
}

/// The place of an index, which counts from the end if it is negative.
fn place(container: &Value, at: &Value, length: usize) -> Result<usize> {
    let Some(index) = at.as_integer() else {
        return Err(wrong_index(container.kind(), "a whole number", at));
    };
    let from_start = if index.is_negative() {
        &index + length
    } else {
        index.clone()
    };
    match from_start.to_usize() {
        Some(place) if place < length => Ok(place),
        _ => {
            let count = match length {
                0 => "no elements".to_owned(),
                1 => "1 element".to_owned(),
                other => format!("{other} elements"),
            };
            let shown = Value::Int(index).shown();
            let message = format!("index {shown} is outside {} with {count}", container.kind());
            Err(Fault::new("type/index", message))
        }
    }
}

/// `value[start:stop:step]`
pub(crate) fn slice(value: &Value, bounds: &[Value; 3], budget: &mut Budget) -> Result<Value> {
    match value {
        Value::List(items) => {
            let picked = pick(items, &places(bounds, items.len())?, budget)?;
            Ok(Value::List(Items::new(picked, budget)?))
        }
        Value::Tuple(items) => {
            let picked = pick(items, &places(bounds, items.len())?, budget)?;
            Ok(Value::Tuple(Items::new(picked, budget)?))
        }
        Value::Bytes(bytes) => {
            let picked = pick(bytes, &places(bounds, bytes.len())?, budget)?;
            Ok(Value::Bytes(picked.into()))
        }
        Value::Str(text) => {
            budget.allocate(text.len() * 4)?;
            let characters: Vec<char> = text.chars().collect();
            let picked = pick(&characters, &places(bounds, characters.len())?, budget)?;
            Ok(Value::from(picked.into_iter().collect::<String>()))
        }
        Value::Range(start, stop, step) => {
            let length = usize::try_from(range_length(*start, *stop, *step)).unwrap_or(usize::MAX);
            let places = places(bounds, length)?;
            let at = |place: i64| start.saturating_add(step.saturating_mul(place));
            Ok(Value::Range(
                at(places.start),
                at(places.stop),
                step.saturating_mul(places.step),
            ))
        }
        other => Err(Fault::wrong_type(format!("{} has no slices", other.kind()))
            .with_hint_if(as_list(other))),
    }
}

/// The indexes of a slice, clipped to a length.
struct Places {
    start: i64,
    stop: i64,
    step: i64,
}

fn places(bounds: &[Value; 3], length: usize) -> Result<Places> {
    let number = |bound: &Value| match bound {
        Value::None => Ok(None),
        other => match other.as_integer() {
            Some(number) => Ok(Some(clipped(&number))),
            None => Err(wrong_index("a slice", "whole numbers", other)),
        },
    };
    let step = number(&bounds[2])?.unwrap_or(1);
    if step == 0 {
        return Err(Fault::bad_value("the step of a slice cannot be zero"));
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (lowest, highest) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let bound = |given: Option<i64>, default: i64| match given {
        None => default,
        Some(place) if place < 0 => (place.saturating_add(length)).max(lowest),
        Some(place) => place.min(highest),
    };
    let (first, last) = if step > 0 {
        (0, length)
    } else {
        (length - 1, -1)
    };
    Ok(Places {
        start: bound(number(&bounds[0])?, first),
        stop: bound(number(&bounds[1])?, last),
        step,
    })
}

/// A number that fits an index: numbers far outside any sequence all mean the same.
fn clipped(number: &BigInt) -> i64 {
    const FAR: i64 = i64::MAX / 4;
    match number.to_i64() {
        Some(number) => number.clamp(-FAR, FAR),
        None if number.is_negative() => -FAR,
        None => FAR,
    }
}

fn pick<T: Clone>(items: &[T], places: &Places, budget: &mut Budget) -> Result<Vec<T>> {
    let count = range_length(places.start, places.stop, places.step);
    let count = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .min(items.len());
    budget.allocate(count * size_of::<T>())?;
    let mut picked = Vec::with_capacity(count);
    let mut at = places.start;
    while picked.len() < count {
        match usize::try_from(at).ok().and_then(|at| items.get(at)) {
            Some(item) => picked.push(item.clone()),
            None => break,
        }
        at = at.saturating_add(places.step);
    }
    Ok(picked)
}
