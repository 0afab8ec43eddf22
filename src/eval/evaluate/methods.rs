//! Calls of methods.

use std::sync::Arc;

use super::attributes::of_type;
use super::templates;
use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::{CallArguments, bounds, by_position, wrong_number};
use crate::eval::evaluator::Evaluator;
use crate::eval::text::encodings::decode;
use crate::eval::text::str_methods;
use crate::eval::value::compare::equal;
use crate::eval::value::namespace;
use crate::eval::value::repr::Repr;
use crate::eval::value::{Table, Value, View};

/// `value.name(arguments)`
pub(super) fn call(
    evaluator: &mut Evaluator<'_>,
    value: &Value,
    name: &str,
    arguments: CallArguments,
) -> Result<Value> {
    match value {
        Value::Function(function) => {
            let (receiver, arguments) = received(function.name, name, arguments)?;
            return call(evaluator, &receiver, name, arguments);
        }
        Value::Str(text) if name == "format" => {
            return templates::format(evaluator, text, &arguments);
        }
        Value::Str(text) => {
            return str_methods::call(
                text,
                name,
                arguments,
                evaluator.properties,
                evaluator.budget,
            );
        }
        Value::Bytes(bytes) => {
            let arguments = by_position(name, &["encoding", "errors"], arguments)?;
            return match arguments.len() <= 2 {
                true => decode(bytes, &arguments, evaluator.budget),
                false => Err(wrong_number(name, 0..=2, arguments.len())),
            };
        }
        _ => {}
    }
    let arguments = &by_position(name, &[], arguments)?[..];
    match value {
        Value::Dict(table) => of_dict(evaluator, table, name, arguments),
        Value::Namespace(prefix) => of_namespace(evaluator, prefix, name, arguments),
        other => of_sequence(evaluator, other, name, arguments),
    }
}

/// For `str.upper('a')`: the value that the method is called on, which is the first argument, and the other arguments.
fn received(
    type_name: &str,
    name: &str,
    mut arguments: CallArguments,
) -> Result<(Value, CallArguments)> {
    let wanted = of_type(type_name).unwrap_or(Value::None).kind();
    if arguments.positional.is_empty() {
        let message = format!("`{type_name}.{name}` takes {wanted} first but got no arguments");
        return Err(Fault::new("type/arguments", message));
    }
    let receiver = arguments.positional.remove(0);
    if receiver.type_name() != type_name {
        let kind = receiver.kind();
        let message = format!("`{type_name}.{name}` takes {wanted} first but got {kind}");
        return Err(Fault::wrong_type(message));
    }
    Ok((receiver, arguments))
}

fn of_dict(
    evaluator: &mut Evaluator<'_>,
    table: &Arc<Table>,
    name: &str,
    arguments: &[Value],
) -> Result<Value> {
    match (name, arguments) {
        ("get", [key, rest @ ..]) if rest.len() <= 1 => {
            let found = table.get(key, evaluator.budget)?.or(rest.first());
            Ok(found.cloned().unwrap_or(Value::None))
        }
        ("fromkeys", [keys, rest @ ..]) if rest.len() <= 1 => {
            let mut made = Table::default();
            for key in evaluator.elements(keys)? {
                let value = rest.first().cloned().unwrap_or(Value::None);
                made.insert(key, value, evaluator.budget)?;
            }
            Ok(Value::Dict(Arc::new(made)))
        }
        ("get" | "fromkeys", _) => Err(wrong_number(name, 1..=2, arguments.len())),
        ("copy", []) => Ok(Value::Dict(Arc::clone(table))),
        ("keys", []) => Ok(Value::View(View::Keys, Arc::clone(table))),
        ("values", []) => Ok(Value::View(View::Values, Arc::clone(table))),
        ("items", []) => Ok(Value::View(View::Items, Arc::clone(table))),
        _ => Err(wrong_number(name, 0..=0, arguments.len())),
    }
}

fn of_namespace(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
    name: &str,
    arguments: &[Value],
) -> Result<Value> {
    match (name, arguments) {
        ("get", [Value::Str(key), rest @ ..]) if rest.len() <= 1 => {
            let whole = namespace::full_name(prefix, key);
            let found = evaluator.properties.lookup(&whole, evaluator.budget)?;
            Ok(found.or(rest.first().cloned()).unwrap_or(Value::None))
        }
        ("get", [other, ..]) => {
            let message = format!("a namespace is indexed by a name, not by {}", other.kind());
            Err(Fault::wrong_type(message))
        }
        ("get", []) => Err(wrong_number(name, 1..=2, 0)),
        _ => {
            let table = namespace::table(prefix, evaluator.properties, evaluator.budget)?;
            of_dict(evaluator, &table, name, arguments)
        }
    }
}

/// Methods of lists, tuples and ranges.
fn of_sequence(
    evaluator: &mut Evaluator<'_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value> {
    let takes = match name {
        "copy" if arguments.is_empty() => return Ok(value.clone()),
        "copy" => 0..=0,
        "count" => 1..=1,
        _ => 1..=3,
    };
    let (wanted, range) = match arguments.split_first() {
        Some(split) if takes.contains(&arguments.len()) => split,
        Some(_) | None => return Err(wrong_number(name, takes, arguments.len())),
    };
    let items = evaluator.elements(value)?;
    let mut places = Vec::new();
    for (place, item) in items.iter().enumerate() {
        if equal(item, wanted, evaluator.budget)? {
            places.push(place);
        }
    }
    if name == "count" {
        return Ok(Value::from(places.len()));
    }
    let (start, stop) = bounds(range, items.len())?;
    let first = places.into_iter().find(|at| (start..stop).contains(at));
    first.map(Value::from).ok_or_else(|| {
        let (shown, kind) = (wanted.shown(), value.kind());
        Fault::bad_value(format!("{shown} is not in {kind}"))
    })
}
