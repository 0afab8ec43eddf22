//! The functions that only configuration has: `commands.*`, `config.*`, `naming.*`, `importString`.

use std::sync::Arc;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::{Arguments, Bound};
use crate::eval::value::compare;
use crate::eval::value::subscripts::elements;
use crate::eval::value::{Items, Table, Value};
use crate::syntax::ast::{Comparison, Expression};
use crate::syntax::{did_you_mean, quoted};

/// `commands.Alias(command=[…])`
pub(crate) fn alias(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let words = bound.or_none(0);
    let Some(items) = words.as_items() else {
        let message = format!("`Alias` takes a list of strings but got {}", words.kind());
        return Err(Fault::wrong_type(message));
    };
    if items.is_empty() {
        return Err(Fault::bad_value("`Alias` takes at least one word"));
    }
    evaluator.budget.step(items.len())?;
    let word = |item: &Value| match item {
        // No argument of a program has one.
        Value::Str(text) if text.contains('\0') => Err(Fault::bad_value(
            "`Alias` takes words without `\\0` in them",
        )),
        Value::Str(text) => Ok(text.as_ref().to_owned()),
        other => Err(Fault::wrong_type(format!(
            "`Alias` takes a list of strings but got {} in it",
            other.kind()
        ))),
    };
    let words: Vec<String> = items.iter().map(word).collect::<Result<_, _>>()?;
    Ok(Value::Alias(words.into()))
}

/// `importString('pkg.mod:attr')`
pub(crate) fn import_string(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let name = bound.text(0)?;
    check_import(&name)?;
    Ok(Value::Import(name))
}

/// `importObject(…)`
pub(crate) fn import_object(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    match bound.or_none(0) {
        Value::Str(_) => import_string(evaluator, bound),
        other => Ok(other),
    }
}

/// Checks the name of a Python object: `package.module.attribute`, `package.module:attribute.attribute`.
pub fn check_import(name: &str) -> Result<(), Fault> {
    let identifier = |part: &str| {
        let part = part.strip_suffix("()").unwrap_or(part);
        let mut characters = part.chars();
        characters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
            && characters.all(|c| c.is_alphanumeric() || c == '_')
    };
    let (module, attribute) = match name.split_once(':') {
        Some((module, attribute)) => (module, Some(attribute)),
        None => (name, None),
    };
    let good = module.split('.').all(identifier)
        && attribute.is_none_or(|attribute| attribute.split('.').all(identifier));
    if good {
        return Ok(());
    }
    let message = format!("{} is no name of a Python object", quoted(name));
    let hint = "write `package.module.attribute` or `package.module:attribute`".to_owned();
    Err(Fault::bad_value(message).with_hint_if(Some(hint)))
}

/// `naming.LinkRef('url')`
pub(crate) fn link(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    Ok(Value::Link(bound.text(0)?))
}

/// `naming.lookup('url')`, also with the object to look it up for before it.
pub(crate) fn naming_lookup(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let url = bound.text(usize::from(bound.get(1).is_some()))?;
    match url.strip_prefix("import:") {
        Some(name) => {
            check_import(name)?;
            Ok(Value::Import(name.into()))
        }
        None => Ok(Value::Link(url)),
    }
}

/// `config.lookup(targetObj, 'name', default)`, also without the first.
pub(crate) fn lookup(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let name = bound.text(usize::from(bound.get(1).is_some()))?;
    check_name(&name)?;
    match (
        evaluator.properties.lookup(&name, evaluator.budget)?,
        bound.get(2),
    ) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => Err(not_set(evaluator, &name)),
    }
}

fn not_set(evaluator: &Evaluator<'_>, name: &str) -> Fault {
    let prefix = match name.starts_with("environ.") {
        true => "environ.",
        false => "",
    };
    let near = match evaluator.properties.may_suggest() {
        true => evaluator.properties.names(prefix),
        false => Vec::new(),
    };
    let hint = did_you_mean(name, near.iter().map(String::as_str));
    Fault::new(
        "name/property",
        format!("setting {} is not set", quoted(name)),
    )
    .with_hint_if(hint)
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.split('.').any(str::is_empty) {
        return Err(Fault::bad_value(format!(
            "{} is no name of a setting",
            quoted(name)
        )));
    }
    Ok(())
}

/// `PropertyName('…')`
pub(crate) fn property_name(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let name = bound.text(0)?;
    check_name(&name)?;
    let allowed = |c: char| c.is_alphanumeric() || "_.-+*?!,(){}[]".contains(c);
    match name.chars().find(|c| !allowed(*c)) {
        None => Ok(Value::Str(name)),
        Some(c) => {
            let message = format!("the name of a setting cannot contain `{c}`");
            Err(Fault::bad_value(message))
        }
    }
}

/// `config.Namespace('prefix')`
pub(crate) fn namespace(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let prefix = bound.text(0)?;
    let plain = prefix.strip_suffix('*').unwrap_or(&prefix);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    if !plain.is_empty() {
        check_name(plain)?;
    }
    Ok(Value::Namespace(plain.into()))
}

/// The full name of a property below a namespace.
pub(crate) fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// `namespace('default')`: the value of the property that is called as the namespace itself.
pub(crate) fn call_namespace(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
    arguments: Arguments,
) -> Result<Value, Fault> {
    check_name(prefix)?;
    match evaluator.properties.lookup(prefix, evaluator.budget)? {
        Some(value) => Ok(value),
        None => arguments
            .positional
            .into_iter()
            .next()
            .ok_or_else(|| not_set(evaluator, prefix)),
    }
}

/// `namespace['name']`
pub(crate) fn in_namespace(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
    name: &str,
) -> Result<Value, Fault> {
    let name = below(prefix, name);
    check_name(&name)?;
    match evaluator.properties.lookup(&name, evaluator.budget)? {
        Some(value) => Ok(value),
        None => Err(not_set(evaluator, &name)),
    }
}

/// Applies a comparison; a namespace has the names that have a value in it.
pub(crate) fn compare(
    evaluator: &mut Evaluator<'_>,
    operator: Comparison,
    left: &Value,
    right: &Value,
) -> Result<bool, Fault> {
    let (Comparison::In | Comparison::NotIn, Value::Namespace(prefix)) = (operator, right) else {
        return compare::compare(operator, left, right, evaluator.budget);
    };
    let Value::Str(name) = left else {
        let message = format!("a namespace has names, not {}", left.kind());
        return Err(Fault::wrong_type(message));
    };
    let name = below(prefix, name);
    check_name(&name)?;
    let found = evaluator.properties.lookup(&name, evaluator.budget)?;
    Ok(found.is_some() == (operator == Comparison::In))
}

/// `namespace.name`: a property's value, or else the namespace below.
pub(crate) fn namespace_attribute(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
    name: &str,
) -> Result<Value, Fault> {
    let whole = below(prefix, name);
    if let Some(value) = evaluator.properties.lookup(&whole, evaluator.budget)? {
        return Ok(value);
    }
    if evaluator.properties.names(&format!("{whole}.")).is_empty() {
        return Err(not_set(evaluator, &whole));
    }
    Ok(Value::Namespace(whole.into()))
}

/// `Items(mapping, name=value)`
pub(crate) fn items(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value, Fault> {
    let mut pairs = Vec::new();
    let mapping = match bound.or_none(0) {
        Value::Namespace(prefix) => Value::Dict(namespace_table(evaluator, &prefix)?),
        other => other,
    };
    match mapping {
        Value::None => {}
        Value::Dict(table) => {
            for (key, value) in table.entries() {
                let pair = Items::new(vec![key.clone(), value.clone()], evaluator.budget)?;
                pairs.push(Value::Tuple(pair));
            }
        }
        other => pairs.extend(elements(&other, evaluator.properties, evaluator.budget)?),
    }
    for (name, value) in &bound.more {
        let pair = Items::new(
            vec![Value::Str(Arc::clone(name)), value.clone()],
            evaluator.budget,
        )?;
        pairs.push(Value::Tuple(pair));
    }
    Ok(Value::List(Items::new(pairs, evaluator.budget)?))
}

/// The value behind `**`: a namespace is as good as a dict.
pub(crate) fn mapping(
    evaluator: &mut Evaluator<'_>,
    expression: &Expression,
) -> Result<Value, Fault> {
    match evaluator.eval(expression)? {
        Value::Namespace(prefix) => namespace_table(evaluator, &prefix)
            .map(Value::Dict)
            .map_err(|fault| fault.at(&evaluator.home.source, expression.span)),
        other => Ok(other),
    }
}

/// A namespace's properties as a dict, by their names below it.
pub(crate) fn namespace_table(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
) -> Result<Arc<Table>, Fault> {
    let start = if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}.")
    };
    let mut table = Table::default();
    for name in evaluator.properties.names(&start) {
        evaluator.budget.step(1)?;
        if let Some(value) = evaluator.properties.lookup(&name, evaluator.budget)? {
            let short = Value::text(&name[start.len()..]);
            table.insert(short, value, evaluator.budget)?;
        }
    }
    Ok(Arc::new(table))
}
