//! Attributes and methods: those of Python's types that read and do not change.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls;
use crate::eval::evaluate::calls::Arguments;
use crate::eval::evaluate::identifiers;
use crate::eval::functions::configuration;
use crate::eval::number::{arithmetic, number_methods};
use crate::eval::text::{byte_methods, str_methods};
use crate::eval::value::compare;
use crate::eval::value::views::{Part, View, makes_sets};
use crate::eval::value::{Table, Value};
use crate::syntax::ast::{Binary, Comparison};
use crate::syntax::{nearest, quoted};

/// `value.name`
pub(crate) fn attribute(
    evaluator: &mut Evaluator<'_>,
    value: Value,
    name: &Arc<str>,
) -> Result<Value, Fault> {
    match &value {
        Value::Module(module) => return identifiers::member(evaluator, module, name),
        Value::Import(target) => {
            return Ok(Value::Import(format!("{target}.{name}").into()));
        }
        Value::Namespace(prefix) if !NAMESPACE_METHODS.contains(&&**name) => {
            return configuration::namespace_attribute(evaluator, prefix, name);
        }
        Value::Function(function) if CALLED_ON_TYPES.contains(&&**name) => {
            let example = of_type(function.name).filter(|on| methods_of(on).contains(&&**name));
            if let Some(on) = example {
                return Ok(Value::Method(Arc::new((on, Arc::clone(name)))));
            }
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            if let Some(part) = number_methods::part(&value, name) {
                return Ok(part);
            }
        }
        Value::Range(start, stop, step) => match &**name {
            "start" => return Ok(Value::from(*start)),
            "stop" => return Ok(Value::from(*stop)),
            "step" => return Ok(Value::from(*step)),
            _ => {}
        },
        _ => {}
    }
    let known = methods_of(&value);
    if known.contains(&&**name) {
        return Ok(Value::Method(Arc::new((value, Arc::clone(name)))));
    }
    let parts = match &value {
        Value::Bool(_) | Value::Int(_) => number_methods::INTEGER_PARTS,
        Value::Float(_) => number_methods::FLOAT_PARTS,
        Value::Range(..) => RANGE_PARTS,
        _ => &[],
    };
    let hint = match &value {
        Value::Dict(table) if table.get_text(name).is_some() => {
            Some(format!("what a dict holds is read by `['{name}']`"))
        }
        _ => nearest(name, known.iter().chain(parts).copied())
            .map(|meant| format!("did you mean `{meant}`?")),
    };
    let message = match &value {
        Value::Function(function) if of_type(function.name).is_some() => {
            format!("type `{}` has no attribute {}", function.name, quoted(name))
        }
        other => format!("{} has no attribute {}", other.kind(), quoted(name)),
    };
    Err(Fault::new("name/attribute", message).with_hint_if(hint))
}

const NAMESPACE_METHODS: &[&str] = &["get", "items", "keys", "values"];
const DICT_METHODS: &[&str] = &["copy", "fromkeys", "get", "items", "keys", "values"];
const LIST_METHODS: &[&str] = &["copy", "count", "index"];
const TUPLE_METHODS: &[&str] = &["count", "index"];
const SET_METHODS: &[&str] = &[
    "copy",
    "difference",
    "intersection",
    "isdisjoint",
    "issubset",
    "issuperset",
    "symmetric_difference",
    "union",
];

const RANGE_PARTS: &[&str] = &["start", "step", "stop"];
const VIEW_METHODS: &[&str] = &["isdisjoint"];

/// Methods that take no value of their type: `dict.fromkeys('ab')`.
const CALLED_ON_TYPES: &[&str] = &["fromhex", "fromkeys", "maketrans"];

/// A value of the type that a function stands for, if it does.
fn of_type(function: &str) -> Option<Value> {
    Some(match function {
        "bytes" => Value::Bytes([].into()),
        "dict" => Value::Dict(Arc::default()),
        "float" => Value::Float(0.0),
        // A truth value has its methods from whole numbers.
        "bool" | "int" => Value::from(0i64),
        "list" => Value::List(Arc::default()),
        "range" => Value::Range(0, 0, 1),
        "set" => Value::Set(Arc::default()),
        "str" => Value::text(""),
        "tuple" => Value::Tuple(Arc::default()),
        _ => return None,
    })
}

fn methods_of(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Str(_) => str_methods::METHODS,
        Value::Bytes(_) => byte_methods::METHODS,
        Value::List(_) => LIST_METHODS,
        Value::Tuple(_) | Value::Range(..) => TUPLE_METHODS,
        Value::Dict(_) => DICT_METHODS,
        Value::Set(_) => SET_METHODS,
        Value::View(_) if makes_sets(value) => VIEW_METHODS,
        Value::Namespace(_) => NAMESPACE_METHODS,
        Value::Bool(_) | Value::Int(_) => number_methods::INTEGER_METHODS,
        Value::Float(_) => number_methods::FLOAT_METHODS,
        Value::Function(function) => {
            of_type(function.name).map_or(&[], |example| methods_of(&example))
        }
        Value::None
        | Value::View(_)
        | Value::Iterator(..)
        | Value::Alias(_)
        | Value::Import(_)
        | Value::Link(_)
        | Value::Module(_)
        | Value::Method(_)
        | Value::Closure(_) => &[],
    }
}

/// `value.name(arguments)`
pub(crate) fn call(
    evaluator: &mut Evaluator<'_>,
    value: &Value,
    name: &str,
    arguments: Arguments,
) -> Result<Value, Fault> {
    if let Value::Function(function) = value {
        let (receiver, arguments) = received(function.name, name, arguments)?;
        return call(evaluator, &receiver, name, arguments);
    }
    if let Value::Str(text) = value {
        return str_methods::call(evaluator, text, name, arguments);
    }
    if let Value::Bytes(bytes) = value {
        return byte_methods::call(evaluator, bytes, name, arguments);
    }
    if let Some((unknown, _)) = arguments.named.first() {
        let message = format!("method `{name}` has no argument `{unknown}`");
        return Err(Fault::new("type/arguments", message));
    }
    let arguments = arguments.positional;
    match value {
        Value::Dict(table) => of_table(evaluator, table, name, &arguments),
        Value::Namespace(prefix) => of_namespace(evaluator, prefix, name, &arguments),
        Value::Set(table) => of_set(evaluator, table, name, &arguments),
        Value::View(_) => {
            let [other] = &arguments[..] else {
                return Err(wrong_number(name, 1..=1, arguments.len()));
            };
            let both = arithmetic::binary(Binary::And, value, other, evaluator.budget)?;
            Ok(Value::Bool(!both.truth()))
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            number_methods::call(evaluator, value, name, &arguments)
        }
        other => of_sequence(evaluator, other, name, &arguments),
    }
}

/// The value that a type's method is called on, which is its first argument, and those behind it: `str.upper('a')`.
fn received(of: &str, name: &str, mut arguments: Arguments) -> Result<(Value, Arguments), Fault> {
    let example = of_type(of).unwrap_or(Value::None);
    let wanted = example.kind();
    if arguments.positional.is_empty() {
        let message = format!("`{of}.{name}` takes {wanted} first but got no arguments");
        return Err(Fault::new("type/arguments", message));
    }
    let receiver = arguments.positional.remove(0);
    let truth = matches!((&example, &receiver), (Value::Int(_), Value::Bool(_)));
    if receiver.type_name() != example.type_name() && !truth {
        let kind = receiver.kind();
        let message = format!("`{of}.{name}` takes {wanted} first but got {kind}");
        return Err(Fault::wrong_type(message));
    }
    Ok((receiver, arguments))
}

/// The mistake of a wrong number of arguments.
pub(crate) fn wrong_number(name: &str, takes: RangeInclusive<usize>, got: usize) -> Fault {
    let wanted = calls::counts(takes);
    let message = format!("method `{name}` takes {wanted} but got {got}");
    Fault::new("type/arguments", message)
}

/// The mistake of a wrong argument.
pub(crate) fn wrong_argument(name: &str, wanted: &str, got: &Value) -> Fault {
    let kind = got.kind();
    Fault::wrong_type(format!("method `{name}` takes {wanted} but got {kind}"))
}

fn of_table(
    evaluator: &mut Evaluator<'_>,
    table: &Arc<Table>,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Fault> {
    match (name, arguments) {
        ("get", [key]) => {
            let found = table.get(key, evaluator.budget)?;
            Ok(found.cloned().unwrap_or(Value::None))
        }
        ("get", [key, default]) => {
            let found = table.get(key, evaluator.budget)?;
            Ok(found.unwrap_or(default).clone())
        }
        ("get", _) => Err(wrong_number(name, 1..=2, arguments.len())),
        ("copy", []) => Ok(Value::Dict(Arc::clone(table))),
        ("fromkeys", [keys, rest @ ..]) if rest.len() <= 1 => {
            let mut made = Table::default();
            for key in crate::eval::value::subscripts::elements(
                keys,
                evaluator.properties,
                evaluator.budget,
            )? {
                let value = rest.first().cloned().unwrap_or(Value::None);
                made.insert(key, value, evaluator.budget)?;
            }
            Ok(Value::Dict(Arc::new(made)))
        }
        ("fromkeys", _) => Err(wrong_number(name, 1..=2, arguments.len())),
        ("keys", []) => Ok(view(Part::Keys, table)),
        ("values", []) => Ok(view(Part::Values, table)),
        ("items", []) => Ok(view(Part::Items, table)),
        _ => Err(wrong_number(name, 0..=0, arguments.len())),
    }
}

fn view(of: Part, table: &Arc<Table>) -> Value {
    let table = Arc::clone(table);
    Value::View(Arc::new(View { of, table }))
}

fn of_namespace(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Fault> {
    match (name, arguments) {
        ("get", [Value::Str(key), rest @ ..]) if rest.len() <= 1 => {
            let whole = configuration::below(prefix, key);
            let found = evaluator.properties.lookup(&whole, evaluator.budget)?;
            let default = rest.first().cloned().unwrap_or(Value::None);
            Ok(found.unwrap_or(default))
        }
        ("get", [other, ..]) => {
            let message = format!("a namespace is indexed by a name, not by {}", other.kind());
            Err(Fault::wrong_type(message))
        }
        ("get", []) => Err(wrong_number(name, 1..=2, 0)),
        _ => {
            let table = configuration::namespace_table(evaluator, prefix)?;
            of_table(evaluator, &table, name, arguments)
        }
    }
}

fn of_set(
    evaluator: &mut Evaluator<'_>,
    table: &Arc<Table>,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Fault> {
    if name == "copy" {
        return match arguments {
            [] => Ok(Value::Set(Arc::clone(table))),
            _ => Err(wrong_number(name, 0..=0, arguments.len())),
        };
    }
    let mut result = Value::Set(Arc::clone(table));
    let single = !matches!(name, "union" | "intersection" | "difference");
    if single && arguments.len() != 1 {
        return Err(wrong_number(name, 1..=1, arguments.len()));
    }
    for argument in arguments {
        let mut other = Table::default();
        for value in crate::eval::value::subscripts::elements(
            argument,
            evaluator.properties,
            evaluator.budget,
        )? {
            other.insert(value, Value::None, evaluator.budget)?;
        }
        let listed = !matches!(argument, Value::Set(_));
        let other = Value::Set(Arc::new(other));
        if name == "intersection" && listed && other.truth() && result.truth() {
            // As Python has it, the elements come from the list, not from the smaller of the two.
            let neither = arithmetic::binary(Binary::Subtract, &other, &result, evaluator.budget)?;
            result = arithmetic::binary(Binary::Subtract, &other, &neither, evaluator.budget)?;
            continue;
        }
        let operator = match name {
            "union" => Binary::Or,
            "intersection" | "isdisjoint" => Binary::And,
            "difference" => Binary::Subtract,
            "symmetric_difference" => Binary::Xor,
            subset => {
                let operator = if subset == "issubset" {
                    Comparison::AtMost
                } else {
                    Comparison::AtLeast
                };
                return compare::compare(operator, &result, &other, evaluator.budget)
                    .map(Value::Bool);
            }
        };
        result = arithmetic::binary(operator, &result, &other, evaluator.budget)?;
    }
    Ok(if name == "isdisjoint" {
        Value::Bool(!result.truth())
    } else {
        result
    })
}

fn of_sequence(
    evaluator: &mut Evaluator<'_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Fault> {
    if name == "copy" && arguments.is_empty() {
        return Ok(value.clone());
    }
    let takes = if name == "count" { 1..=1 } else { 1..=3 };
    let (wanted, bounds) = match arguments.split_first() {
        Some(split) if takes.contains(&arguments.len()) => split,
        Some(_) | None => return Err(wrong_number(name, takes, arguments.len())),
    };
    let items =
        crate::eval::value::subscripts::elements(value, evaluator.properties, evaluator.budget)?;
    let mut places = Vec::new();
    for (place, item) in items.iter().enumerate() {
        if compare::equal(item, wanted, evaluator.budget)? {
            places.push(place);
        }
    }
    if name == "count" {
        return Ok(Value::from(places.len()));
    }
    let (start, stop) = str_methods::bounds(bounds, items.len())?;
    match places
        .into_iter()
        .find(|place| (start..stop).contains(place))
    {
        Some(place) => Ok(Value::from(place)),
        None => Err(Fault::bad_value(format!(
            "{} is not in {}",
            wanted.shown(),
            value.kind()
        ))),
    }
}
