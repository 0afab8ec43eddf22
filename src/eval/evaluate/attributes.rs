//! Attributes: the parts of values, and the methods that they have. Methods read values and never change them.

use std::sync::Arc;

use super::identifiers;
use crate::eval::budget::{Fault, Result};
use crate::eval::evaluator::Evaluator;
use crate::eval::text::str_methods;
use crate::eval::value::{Value, namespace};
use crate::syntax::{nearest, quoted};

/// `value.name`
pub(super) fn attribute(
    evaluator: &mut Evaluator<'_>,
    value: Value,
    name: &Arc<str>,
) -> Result<Value> {
    match &value {
        Value::Module(module) => return identifiers::member(evaluator, module, name),
        Value::Import(target) => return Ok(Value::Import(format!("{target}.{name}").into())),
        Value::Namespace(prefix) if !NAMESPACE_METHODS.contains(&&**name) => {
            return namespace::attribute(prefix, name, evaluator.properties, evaluator.budget);
        }
        Value::Function(function) if &**name == "fromkeys" && function.name == "dict" => {
            let empty = Value::Dict(Arc::default());
            return Ok(Value::Method(Arc::new((empty, Arc::clone(name)))));
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
        Value::Range(..) => &["start", "step", "stop"][..],
        _ => &[],
    };
    let hint = match &value {
        Value::Dict(table) if table.get_text(name).is_some() => {
            Some(format!("the value of a key is read by `['{name}']`"))
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

/// An empty value of the type that a function stands for, if it stands for one.
pub(super) fn of_type(function: &str) -> Option<Value> {
    Some(match function {
        "bytes" => Value::Bytes([].into()),
        "dict" => Value::Dict(Arc::default()),
        "float" => Value::Float(0.0),
        "bool" | "int" => Value::from(0i64),
        "list" => Value::List(Arc::default()),
        "range" => Value::Range(0, 0, 1),
        "set" => Value::Set(Arc::default()),
        "str" => Value::text(""),
        "tuple" => Value::Tuple(Arc::default()),
        _ => return None,
    })
}

fn methods_of(value: &Value) -> Vec<&'static str> {
    let methods: &[&str] = match value {
        Value::Str(_) => return str_methods::names().chain(["format"]).collect(),
        Value::Bytes(_) => &["decode"],
        Value::List(_) => &["copy", "count", "index"],
        Value::Tuple(_) | Value::Range(..) => &["count", "index"],
        Value::Dict(_) => &["copy", "fromkeys", "get", "items", "keys", "values"],
        Value::Namespace(_) => NAMESPACE_METHODS,
        Value::Function(function) => {
            return of_type(function.name).map_or(Vec::new(), |empty| methods_of(&empty));
        }
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Set(_)
        | Value::View(..)
        | Value::Iterator(..)
        | Value::Alias(_)
        | Value::Routes(_)
        | Value::Import(_)
        | Value::Link(_)
        | Value::Module(_)
        | Value::Method(_)
        | Value::Closure(_) => &[],
    };
    methods.to_vec()
}
