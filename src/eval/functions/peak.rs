//! The functions of PEAK's configuration, which Python lacks: `commands.*`, `config.*`, `naming.*`, `importString`.

use std::sync::Arc;

use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::Bound;
use crate::eval::evaluator::Evaluator;
use crate::eval::value::alias::Alias;
use crate::eval::value::elements::elements;
use crate::eval::value::namespace::{self, check_name};
use crate::eval::value::{Items, Value, View};
use crate::syntax::quoted;

/// `commands.Alias(command=[…], settings='prefix')`
pub(crate) fn alias(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
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
        // An argument of a program cannot contain a zero byte.
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
    let settings = match bound.or_none(1) {
        Value::None => None,
        Value::Str(prefix) => {
            check_name(&prefix)?;
            Some(prefix)
        }
        other => {
            let message = format!(
                "`Alias` takes a string as `settings` but got {}",
                other.kind()
            );
            return Err(Fault::wrong_type(message));
        }
    };
    Ok(Value::Alias(Arc::new(Alias { words, settings })))
}

/// `commands.Routes({…})`
pub(crate) fn routes(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let routes = bound.or_none(0);
    let Value::Dict(table) = &routes else {
        let message = format!("`Routes` takes a dict but got {}", routes.kind());
        return Err(Fault::wrong_type(message));
    };
    if table.entries().is_empty() {
        return Err(Fault::bad_value("`Routes` takes at least one route"));
    }
    evaluator.budget.step(table.entries().len())?;
    for (key, value) in table.entries() {
        let Some(key) = key.as_str() else {
            let message = format!(
                "`Routes` takes strings as keys but got {} as one",
                key.kind()
            );
            let hint = "write `'/static/'`, or `'example.org/static/'`".to_owned();
            return Err(Fault::wrong_type(message).with_hint_if(Some(hint)));
        };
        let wrong = |got: &str| {
            let message = format!(
                "`Routes` takes the words of an application for {} but got {got}",
                quoted(key)
            );
            let hint = "write `['files', 'public']`, or a name as a string".to_owned();
            Fault::wrong_type(message).with_hint_if(Some(hint))
        };
        match value {
            Value::Alias(_) | Value::Import(_) | Value::Link(_) | Value::Routes(_) => {}
            Value::Str(name) if !name.is_empty() && !name.contains('\0') => {}
            Value::List(words) | Value::Tuple(words) if !words.is_empty() => {
                evaluator.budget.step(words.len())?;
                let is_word = |word: &&Value| word.as_str().is_some_and(|it| !it.contains('\0'));
                if let Some(other) = words.iter().find(|word| !is_word(word)) {
                    return Err(wrong(&format!("{} in them", other.kind())));
                }
            }
            Value::List(_) | Value::Tuple(_) => {
                let message = format!("`Routes` takes at least one word for {}", quoted(key));
                return Err(Fault::bad_value(message));
            }
            other => return Err(wrong(other.kind_shown())),
        }
    }
    Ok(Value::Routes(Arc::clone(table)))
}

/// `importString('pkg.mod:attr')`
pub(crate) fn import_string(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let name = bound.text(0)?;
    check_import(&name)?;
    Ok(Value::Import(name))
}

/// `importObject(…)`
pub(crate) fn import_object(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    match bound.or_none(0) {
        Value::Str(_) => import_string(evaluator, bound),
        other => Ok(other),
    }
}

/// Checks the name of a Python object: `package.module.attribute`, `package.module:attribute.attribute`.
pub fn check_import(name: &str) -> Result<()> {
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
    let message = format!("{} is not the name of a Python object", quoted(name));
    let hint = "write `package.module.attribute` or `package.module:attribute`".to_owned();
    Err(Fault::bad_value(message).with_hint_if(Some(hint)))
}

/// `naming.lookup('url')`, also with the object to look it up for before it.
pub(crate) fn naming_lookup(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
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
pub(crate) fn lookup(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let name = bound.text(usize::from(bound.get(1).is_some()))?;
    match bound.get(2) {
        None => namespace::property(&name, evaluator.properties, evaluator.budget),
        Some(default) => {
            check_name(&name)?;
            let found = evaluator.properties.lookup(&name, evaluator.budget)?;
            Ok(found.unwrap_or_else(|| default.clone()))
        }
    }
}

/// `PropertyName('…')`
pub(crate) fn property_name(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
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
pub(crate) fn namespace(_: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let prefix = bound.text(0)?;
    let plain = prefix.strip_suffix('*').unwrap_or(&prefix);
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    if !plain.is_empty() {
        check_name(plain)?;
    }
    Ok(Value::Namespace(plain.into()))
}

/// `Items(mapping, name=value)`
pub(crate) fn items(evaluator: &mut Evaluator<'_>, bound: &Bound) -> Result<Value> {
    let Evaluator {
        properties, budget, ..
    } = evaluator;
    let mut pairs = match bound.or_none(0) {
        Value::None => Vec::new(),
        Value::Dict(table) => View::Items.elements(&table, budget)?,
        Value::Namespace(prefix) => {
            let table = namespace::table(&prefix, *properties, budget)?;
            View::Items.elements(&table, budget)?
        }
        other => elements(&other, *properties, budget)?,
    };
    for (name, value) in &bound.more {
        let pair = vec![Value::Str(Arc::clone(name)), value.clone()];
        pairs.push(Value::Tuple(Items::new(pair, budget)?));
    }
    Ok(Value::List(Items::new(pairs, budget)?))
}
