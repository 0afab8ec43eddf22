//! Python's own functions, as far as configuration has a use for them.

use std::cmp::Ordering;
use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::{Num, Signed, ToPrimitive};

use super::arithmetic::{binary, float_of, truncated};
use super::budget::Fault;
use super::byte_methods::byte;
use super::calls::{self, Arguments, Bound};
use super::compare::order;
use super::encodings::{decode, encode};
use super::interpreter::Evaluator;
use super::lookups;
use super::numerals::{self, LONGEST_DECIMAL};
use super::sequences::elements;
use super::value::{Items, Table, Value, range_length};
use crate::syntax::ast::Binary;

type Result<T> = std::result::Result<T, Fault>;

pub(super) fn wants(wanted: &str, got: &Value) -> Fault {
    Fault::wrong_type(format!("expected {wanted} but got {}", got.kind()))
}

/// The elements of a parameter; none where it was not given.
fn spread(evaluator: &mut Evaluator<'_>, bound: &Bound, place: usize) -> Result<Vec<Value>> {
    match bound.get(place) {
        Some(value) => elements(value, evaluator.properties, evaluator.budget),
        None => Ok(Vec::new()),
    }
}

fn listed(evaluator: &mut Evaluator<'_>, values: Vec<Value>) -> Result<Value> {
    Ok(Value::List(Items::new(values, evaluator.budget)?))
}

fn tupled(evaluator: &mut Evaluator<'_>, values: Vec<Value>) -> Result<Value> {
    Ok(Value::Tuple(Items::new(values, evaluator.budget)?))
}

pub(super) fn abs(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    match bound.or_none(0) {
        Value::Float(number) => Ok(Value::Float(number.abs())),
        other => match other.as_integer() {
            Some(number) => Ok(Value::Int(number.abs())),
            None => Err(wants("a number", &other)),
        },
    }
}

pub(super) fn all(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(Value::Bool(
        spread(evaluator, bound, 0)?.iter().all(Value::truth),
    ))
}

pub(super) fn any(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(Value::Bool(
        spread(evaluator, bound, 0)?.iter().any(Value::truth),
    ))
}

pub(super) fn bool(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(Value::Bool(bound.or_none(0).truth()))
}

pub(super) fn bytes(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let how = [bound.or_none(1), bound.or_none(2)];
    let encodes = how.iter().any(|given| *given != Value::None);
    match bound.get(0) {
        None => Ok(Value::Bytes([].into())),
        Some(Value::Str(text)) if bound.get(1).is_some() => encode(text, &how, evaluator.budget),
        Some(Value::Str(_)) => Err(Fault::wrong_type("a string becomes bytes by an encoding")
            .with_hint_if(Some("write `bytes(text, 'utf-8')`".to_owned()))),
        Some(other) if encodes => Err(wants("a string beside an encoding", other)),
        Some(count @ (Value::Int(_) | Value::Bool(_))) => {
            let count = count.as_integer().unwrap_or_default();
            let count = count.to_usize().unwrap_or(match count.is_negative() {
                true => return Err(Fault::bad_value("there is no negative number of bytes")),
                false => usize::MAX,
            });
            evaluator.budget.allocate(count)?;
            Ok(Value::Bytes(vec![0; count].into()))
        }
        Some(values) => {
            let values = elements(values, evaluator.properties, evaluator.budget)?;
            evaluator.budget.allocate(values.len())?;
            let bytes = values.iter().map(byte);
            Ok(Value::Bytes(bytes.collect::<Result<Vec<u8>>>()?.into()))
        }
    }
}

pub(super) fn dict(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut table = Table::default();
    match bound.get(0) {
        None => {}
        Some(Value::Dict(other)) => {
            for (key, value) in other.entries() {
                table.insert(key.clone(), value.clone(), evaluator.budget)?;
            }
        }
        Some(Value::Namespace(prefix)) => {
            table = Arc::unwrap_or_clone(lookups::namespace_table(evaluator, prefix)?);
        }
        Some(pairs) => {
            for pair in elements(pairs, evaluator.properties, evaluator.budget)? {
                let pair = elements(&pair, evaluator.properties, evaluator.budget)?;
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

pub(super) fn enumerate(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
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
    listed(evaluator, pairs)
}

pub(super) fn float(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let Some(value) = bound.get(0) else {
        return Ok(Value::Float(0.0));
    };
    let Some(text) = digits_of(value) else {
        return float_of(value)
            .map(Value::Float)
            .map_err(|fault| match value {
                Value::Int(_) => fault,
                other => wants("a number or a string", other),
            });
    };
    let bad = || Fault::bad_value(format!("{} is no number", value.shown()));
    let plain = without_underscores(text.trim()).ok_or_else(bad)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !plain.chars().all(good) {
        return Err(bad());
    }
    plain.parse().map(Value::Float).map_err(|_| bad())
}

/// The text of a number: bytes that are ASCII are as good as a string.
fn digits_of(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) => Some(text),
        Value::Bytes(bytes) => Some(std::str::from_utf8(bytes).unwrap_or("?")),
        _ => None,
    }
}

/// Digits may have `_` between them.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let digit = |place: Option<usize>| {
            place
                .and_then(|place| bytes.get(place))
                .is_some_and(u8::is_ascii_alphanumeric)
        };
        if *byte == b'_' && !(digit(at.checked_sub(1)) && digit(Some(at + 1))) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

pub(super) fn int(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let Some(value) = bound.get(0) else {
        return Ok(Value::Int(BigInt::ZERO));
    };
    match (value, bound.get(1)) {
        (Value::Str(_) | Value::Bytes(_), base) => {
            let text = digits_of(value).unwrap_or_default();
            let base = match base {
                None => 10,
                Some(base) => base
                    .as_integer()
                    .and_then(|base| base.to_u32())
                    .filter(|base| *base == 0 || (2..=36).contains(base))
                    .ok_or_else(|| Fault::bad_value("the base of a number is 0 or 2 to 36"))?,
            };
            let bad = || {
                Fault::bad_value(format!(
                    "{} is no whole number to base {base}",
                    value.shown()
                ))
            };
            parse_integer(text.trim(), base)?
                .ok_or_else(bad)
                .map(Value::Int)
        }
        (other, Some(_)) => Err(wants("a string beside a base", other)),
        (Value::Float(number), None) => match truncated(*number) {
            Some(number) => Ok(Value::Int(number)),
            None => Err(Fault::bad_value(format!(
                "{} is no whole number",
                value.shown()
            ))),
        },
        (other, None) => match other.as_integer() {
            Some(number) => Ok(Value::Int(number)),
            None => Err(wants("a number or a string", other)),
        },
    }
}

fn parse_integer(text: &str, base: u32) -> Result<Option<BigInt>> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |marks: [&str; 2]| {
        let rest = digits
            .strip_prefix(marks[0])
            .or_else(|| digits.strip_prefix(marks[1]))?;
        Some(rest.strip_prefix('_').unwrap_or(rest))
    };
    let (base, digits) = match base {
        16 => (16, prefixed(["0x", "0X"]).unwrap_or(digits)),
        8 => (8, prefixed(["0o", "0O"]).unwrap_or(digits)),
        2 => (2, prefixed(["0b", "0B"]).unwrap_or(digits)),
        0 => match (
            prefixed(["0x", "0X"]),
            prefixed(["0o", "0O"]),
            prefixed(["0b", "0B"]),
        ) {
            (Some(digits), _, _) => (16, digits),
            (_, Some(digits), _) => (8, digits),
            (_, _, Some(digits)) => (2, digits),
            _ if digits.starts_with('0') && digits.contains(|c| c != '0' && c != '_') => {
                return Ok(None);
            }
            _ => (10, digits),
        },
        other => (other, digits),
    };
    let Some(digits) = without_underscores(digits) else {
        return Ok(None);
    };
    let good = |c: char| c.is_digit(base);
    if digits.is_empty() || !digits.chars().all(good) {
        return Ok(None);
    }
    if !base.is_power_of_two() && digits.len() > LONGEST_DECIMAL {
        return Err(numerals::too_long());
    }
    let number = BigInt::from_str_radix(&digits, base).ok();
    Ok(number.map(|number| if negative { -number } else { number }))
}

pub(super) fn len(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    Ok(match bound.or_none(0) {
        Value::Str(text) => {
            evaluator.budget.step(text.len() / 64)?;
            Value::from(text.chars().count())
        }
        Value::Bytes(bytes) => Value::from(bytes.len()),
        Value::List(items) | Value::Tuple(items) => Value::from(items.len()),
        Value::Set(table) | Value::Dict(table) => Value::from(table.entries().len()),
        Value::Range(start, stop, step) => Value::from(range_length(start, stop, step)),
        Value::Namespace(_) => Value::from(spread(evaluator, bound, 0)?.len()),
        other => return Err(wants("something with elements", &other)),
    })
}

pub(super) fn list(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let values = spread(evaluator, bound, 0)?;
    listed(evaluator, values)
}

pub(super) fn tuple(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let values = spread(evaluator, bound, 0)?;
    tupled(evaluator, values)
}

pub(super) fn set(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut table = Table::default();
    for value in spread(evaluator, bound, 0)? {
        table.insert(value, Value::None, evaluator.budget)?;
    }
    Ok(Value::Set(Arc::new(table)))
}

pub(super) fn max(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    extreme(evaluator, bound, Ordering::Greater)
}

pub(super) fn min(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    extreme(evaluator, bound, Ordering::Less)
}

fn extreme(evaluator: &mut Evaluator<'_>, bound: &Bound, wanted: Ordering) -> Result<Value> {
    let values = match bound.rest.as_slice() {
        [only] => elements(only, evaluator.properties, evaluator.budget)?,
        several => several.to_vec(),
    };
    let symbol = if wanted == Ordering::Less { "<" } else { ">" };
    let mut best: Option<(Value, Value)> = None;
    for value in values {
        let key = sort_key(evaluator, bound.get(0), &value)?;
        let better = match &best {
            None => true,
            Some((_, best)) => order(symbol, &key, best, evaluator.budget)? == Some(wanted),
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
        Some(function) => {
            let arguments = Arguments {
                positional: vec![value.clone()],
                named: Vec::new(),
            };
            calls::call(evaluator, function, arguments)
        }
    }
}

pub(super) fn sorted(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let reverse = bound.or_none(2).truth();
    let values = spread(evaluator, bound, 0)?;
    // The values with their keys, and the halves that are merged.
    evaluator
        .budget
        .allocate(2 * values.len() * size_of::<(Value, Value)>())?;
    let mut keyed = Vec::with_capacity(values.len());
    for value in values {
        keyed.push((sort_key(evaluator, bound.get(1), &value)?, value));
    }
    // Stable also when reversed: equal elements keep their order.
    if reverse {
        keyed.reverse();
    }
    let mut keyed = merge_sort(evaluator, keyed)?;
    if reverse {
        keyed.reverse();
    }
    let values = keyed.into_iter().map(|(_, value)| value).collect();
    listed(evaluator, values)
}

type Keyed = Vec<(Value, Value)>;

/// The library's sort may panic where the order is none (NaN); this one does not.
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
        let later_first = order("<", &b.0, &a.0, evaluator.budget)? == Some(Ordering::Less);
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

pub(super) fn cpu_count(_: &mut Evaluator<'_>, _: &Bound) -> Result<Value> {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Value::from(count))
}

pub(super) fn range(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut numbers = [None, None, None];
    for (number, value) in numbers.iter_mut().zip(&bound.values) {
        let Some(value) = value else { continue };
        let whole = value
            .as_integer()
            .ok_or_else(|| wants("a whole number", value))?;
        // Half the range, so that no sum of two of them overflows.
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

pub(super) fn repr(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let text = bound.or_none(0).checked_repr()?;
    evaluator.budget.allocate(text.len())?;
    Ok(Value::from(text))
}

pub(super) fn str(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let how = [bound.or_none(1), bound.or_none(2)];
    let decodes = how.iter().any(|given| *given != Value::None);
    match bound.get(0) {
        None => Ok(Value::text("")),
        Some(Value::Bytes(bytes)) if decodes => decode(bytes, &how, evaluator.budget),
        Some(other) if decodes => Err(wants("bytes beside an encoding", other)),
        Some(Value::Str(text)) => Ok(Value::Str(Arc::clone(text))),
        Some(_) => repr(evaluator, bound),
    }
}

pub(super) fn reversed(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    if let Some(Value::Set(_)) = bound.get(0) {
        return Err(Fault::wrong_type("a set has no order to reverse"));
    }
    let mut values = spread(evaluator, bound, 0)?;
    values.reverse();
    listed(evaluator, values)
}

pub(super) fn sum(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
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

pub(super) fn zip(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let mut columns = Vec::new();
    for value in &bound.rest {
        columns.push(elements(value, evaluator.properties, evaluator.budget)?);
    }
    let rows = columns.iter().map(Vec::len).min().unwrap_or_default();
    let mut tuples = Vec::new();
    for row in 0..rows {
        let tuple = columns
            .iter()
            .filter_map(|column| column.get(row).cloned())
            .collect();
        tuples.push(tupled(evaluator, tuple)?);
    }
    listed(evaluator, tuples)
}
