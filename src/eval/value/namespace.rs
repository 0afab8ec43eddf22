//! Namespaces: views of the properties below a prefix.

use std::sync::Arc;

use super::properties::Properties;
use super::{Table, Value};
use crate::eval::budget::{Budget, Fault, Result};
use crate::syntax::{did_you_mean, quoted};

/// The full name of a property in a namespace.
pub(crate) fn full_name(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Checks that a text could name a property.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.split('.').any(str::is_empty) {
        let message = format!("{} is not the name of a setting", quoted(name));
        return Err(Fault::bad_value(message));
    }
    Ok(())
}

/// The error for a property that has no value.
pub(crate) fn not_set(name: &str, properties: &dyn Properties) -> Fault {
    let prefix = match name.starts_with("environ.") {
        true => "environ.",
        false => "",
    };
    let near = match properties.may_suggest() {
        true => properties.names(prefix),
        false => Vec::new(),
    };
    let hint = did_you_mean(name, near.iter().map(String::as_str));
    let message = format!("setting {} is not set", quoted(name));
    Fault::new("name/property", message).with_hint_if(hint)
}

/// The value of a property.
///
/// # Errors
/// It is not set, or the name is not one of a property.
pub(crate) fn property(
    name: &str,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Value> {
    check_name(name)?;
    let value = properties.lookup(name, budget)?;
    value.ok_or_else(|| not_set(name, properties))
}

/// The names in a namespace, as elements.
pub(crate) fn elements(
    prefix: &str,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Vec<Value>> {
    let start = full_name(prefix, "");
    let names = properties.names(&start);
    budget.allocate(names.len() * size_of::<Value>())?;
    let short = names.iter().map(|name| Value::text(&name[start.len()..]));
    Ok(short.collect())
}

/// `namespace.name`: the value of a property, or else the namespace below that name.
pub(crate) fn attribute(
    prefix: &str,
    name: &str,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Value> {
    let whole = full_name(prefix, name);
    if let Some(value) = properties.lookup(&whole, budget)? {
        return Ok(value);
    }
    if properties.names(&format!("{whole}.")).is_empty() {
        return Err(not_set(&whole, properties));
    }
    Ok(Value::Namespace(whole.into()))
}

/// `name in namespace`
pub(crate) fn contains(
    prefix: &str,
    name: &Value,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<bool> {
    let Value::Str(name) = name else {
        let message = format!("a namespace holds names, not {}", name.kind());
        return Err(Fault::wrong_type(message));
    };
    let name = full_name(prefix, name);
    check_name(&name)?;
    Ok(properties.lookup(&name, budget)?.is_some())
}

/// The properties in a namespace, as a dict by their names below the prefix.
pub(crate) fn table(
    prefix: &str,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Arc<Table>> {
    let start = full_name(prefix, "");
    let mut table = Table::default();
    for name in properties.names(&start) {
        budget.step(1)?;
        if let Some(value) = properties.lookup(&name, budget)? {
            let short = Value::text(&name[start.len()..]);
            table.insert(short, value, budget)?;
        }
    }
    Ok(Arc::new(table))
}

/// The value behind `**`: a namespace serves as a dict.
///
/// # Errors
/// Any other value.
pub(crate) fn mapping(
    value: &Value,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Arc<Table>> {
    match value {
        Value::Dict(table) => Ok(Arc::clone(table)),
        Value::Namespace(prefix) => table(prefix, properties, budget),
        other => {
            let message = format!("`**` takes a dict but got {}", other.kind());
            Err(Fault::wrong_type(message))
        }
    }
}
