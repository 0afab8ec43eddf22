//! The arguments of a call: how they match the parameters of functions, lambdas and methods, and the errors if they do not.

use std::ops::RangeInclusive;
use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use num_traits::ToPrimitive;

use super::budget::{Budget, Fault, Result};
use super::value::closure::{Closure, Names};
use super::value::signature::{KEYWORD_ONLY, POSITIONAL_ONLY, Signature};
use super::value::{Items, Table, Value};
use crate::syntax::ast::Parameter;
use crate::syntax::did_you_mean;

/// The arguments of one call.
#[derive(Debug, Default)]
pub(super) struct CallArguments {
    /// Those by position.
    pub positional: Vec<Value>,
    /// Those by name.
    pub named: Names<Value>,
}

impl CallArguments {
    /// A single argument.
    pub(crate) fn one(value: Value) -> Self {
        let positional = vec![value];
        Self {
            positional,
            ..Self::default()
        }
    }

    /// Adds an argument by its name, which no other one may have.
    pub(crate) fn add(&mut self, name: &Arc<str>, value: Value, budget: &mut Budget) -> Result<()> {
        budget.step(self.named.len() / 16)?;
        if self.named.iter().any(|(given, _)| given == name) {
            return Err(mismatch(format!("argument `{name}` is given twice")));
        }
        self.named.push((Arc::clone(name), value));
        Ok(())
    }
}

/// The arguments of a call of a function, in the order of its parameters.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// One value for each parameter, if it was given.
    pub values: Vec<Option<Value>>,
    /// The further arguments by position, which `*` takes.
    pub rest: Vec<Value>,
    /// The further arguments by name, which `**` takes.
    pub more: Names<Value>,
}

impl Bound {
    /// The argument of a parameter; `None` if it was not given.
    #[must_use]
    pub(super) fn get(&self, place: usize) -> Option<&Value> {
        self.values.get(place).and_then(Option::as_ref)
    }

    /// The same, with Python's `None` for an argument that was not given.
    #[must_use]
    pub(super) fn or_none(&self, place: usize) -> Value {
        self.get(place).cloned().unwrap_or(Value::None)
    }

    /// An argument that is a string.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn text(&self, place: usize) -> Result<Arc<str>> {
        match self.or_none(place) {
            Value::Str(text) => Ok(text),
            other => Err(wants("a string", &other)),
        }
    }
}

/// The error for arguments that do not match the parameters.
fn mismatch(message: String) -> Fault {
    Fault::new("type/arguments", message)
}

/// The error for an argument of the wrong type.
pub(crate) fn wants(wanted: &str, got: &Value) -> Fault {
    Fault::wrong_type(format!("expected {wanted} but got {}", got.kind()))
}

/// `1 argument`, `2 arguments`
fn counted(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        other => format!("{other} arguments"),
    }
}

/// How many arguments are accepted: `2 arguments`, `at most 1 argument`, `1 to 3 arguments`.
fn counts(accepted: RangeInclusive<usize>) -> String {
    let (least, most) = accepted.into_inner();
    match least {
        _ if least == most => counted(most),
        0 => format!("at most {}", counted(most)),
        _ => format!("{least} to {}", counted(most)),
    }
}

/// Matches the arguments of a call with the parameters of a function.
///
/// # Errors
/// Too many, too few, unknown or repeated arguments.
pub(crate) fn bind(function: &Signature, arguments: CallArguments) -> Result<Bound> {
    let called = function.short_name();
    let marks = ["*", "**", POSITIONAL_ONLY, KEYWORD_ONLY];
    let parameters = function.parameters.iter().copied();
    let takes: Vec<&str> = parameters.filter(|one| !marks.contains(one)).collect();
    let rest = function.parameters.contains(&"*");
    let more = function.parameters.contains(&"**");
    let mut bound = Bound {
        values: vec![None; takes.len()],
        ..Bound::default()
    };
    let given = arguments.positional.len();
    let required = takes.iter().filter(|parameter| !parameter.ends_with('='));
    let least = required.count();
    // The number of parameters before one of the marks.
    let before = |marks: &[&str]| {
        let mut parameters = function.parameters.iter();
        let mark = parameters.position(|one| marks.contains(one))?;
        let parameters = function.parameters[..mark].iter();
        Some(parameters.filter(|one| **one != POSITIONAL_ONLY).count())
    };
    let by_position = before(&["*", KEYWORD_ONLY]).unwrap_or(takes.len());
    let without_name = before(&[POSITIONAL_ONLY]).unwrap_or_default();
    let wrong_count = |given: usize| {
        let wanted = match rest {
            true => format!("at least {}", counted(least)),
            false if least == takes.len() => counted(least),
            false => counts(least..=by_position),
        };
        let message = format!("function `{called}` takes {wanted} but got {given}");
        mismatch(message).with_hint_if(takes.get(by_position..given).and_then(|named| {
            let first = named.first()?.trim_end_matches('=');
            Some(format!("`{called}` takes `{first}` by its name"))
        }))
    };
    for (place, value) in arguments.positional.into_iter().enumerate() {
        match bound.values.get_mut(place) {
            Some(slot) if place < by_position => *slot = Some(value),
            Some(_) | None if rest => bound.rest.push(value),
            Some(_) | None => return Err(wrong_count(given)),
        }
    }
    for (name, value) in arguments.named {
        let mut nameable = takes.iter().enumerate().skip(without_name);
        let place = nameable.find(|(_, one)| one.trim_end_matches('=') == &*name);
        match place.and_then(|(place, _)| bound.values.get_mut(place)) {
            Some(slot @ None) => *slot = Some(value),
            Some(Some(_)) => {
                let message = format!("function `{called}` got argument `{name}` twice");
                return Err(mismatch(message));
            }
            None if more => bound.more.push((name, value)),
            None => {
                let message = format!("function `{called}` has no argument `{name}`");
                let known = takes.iter().skip(without_name);
                let known = known.map(|parameter| parameter.trim_end_matches('='));
                return Err(mismatch(message).with_hint_if(did_you_mean(&name, known)));
            }
        }
    }
    for (parameter, value) in takes.iter().zip(&bound.values) {
        if value.is_none() && !parameter.ends_with('=') {
            if bound.values.iter().flatten().count() == given {
                return Err(wrong_count(given));
            }
            let message = format!("function `{called}` needs argument `{parameter}`");
            return Err(mismatch(message));
        }
    }
    Ok(bound)
}

/// Matches the arguments of a call with the parameters of a lambda.
///
/// # Errors
/// As of [`bind`].
pub(crate) fn bind_closure(
    closure: &Closure<Value>,
    arguments: CallArguments,
    budget: &mut Budget,
) -> Result<Names<Value>> {
    let mut bound = Names::new();
    let mut positional = arguments.positional.into_iter();
    let mut named = arguments.named;
    let parameters = &closure.lambda.parameters;
    let slash = parameters.iter().position(|one| *one == Parameter::Slash);
    let mut by_position = true;
    for (place, parameter) in parameters.iter().enumerate() {
        budget.step(1)?;
        match parameter {
            Parameter::One(name, _) => {
                let nameable = slash.is_none_or(|slash| place > slash);
                let mut names = named.iter();
                let by_name = names.position(|(given, _)| nameable && given == name);
                let first = if by_position { positional.next() } else { None };
                let value = match (first, by_name) {
                    (Some(_), Some(_)) => {
                        return Err(mismatch(format!("the lambda got argument `{name}` twice")));
                    }
                    (Some(value), None) => value,
                    (None, Some(at)) => named.remove(at).1,
                    (None, None) => match closure.defaults.get(place) {
                        Some(Some(default)) => default.clone(),
                        _ => return Err(mismatch(format!("the lambda needs argument `{name}`"))),
                    },
                };
                bound.push((Arc::clone(name), value));
            }
            Parameter::Star(name) => {
                by_position = false;
                if let Some(name) = name {
                    let rest = Items::new(positional.by_ref().collect(), budget)?;
                    bound.push((Arc::clone(name), Value::Tuple(rest)));
                }
            }
            Parameter::DoubleStar(name) => {
                let mut table = Table::default();
                for (key, value) in named.drain(..) {
                    table.insert(Value::Str(key), value, budget)?;
                }
                bound.push((Arc::clone(name), Value::Dict(Arc::new(table))));
            }
            Parameter::Slash => {}
        }
    }
    if positional.next().is_some() {
        let message = "the lambda got more arguments than it takes";
        return Err(mismatch(message.to_owned()));
    }
    match named.first() {
        Some((name, _)) => Err(mismatch(format!("the lambda has no argument `{name}`"))),
        None => Ok(bound),
    }
}

/// The arguments of a method in the order of its parameters, of which those in `names` can be given by name.
///
/// # Errors
/// Unknown or repeated names.
pub(crate) fn by_position(
    method: &str,
    names: &[&str],
    arguments: CallArguments,
) -> Result<Vec<Value>> {
    let mut all = arguments.positional;
    for (given, value) in arguments.named {
        let Some(place) = names.iter().position(|known| **known == *given) else {
            let message = format!("method `{method}` has no argument `{given}`");
            return Err(mismatch(message));
        };
        if place < all.len() && !matches!(all.get(place), Some(Value::None)) {
            let message = format!("method `{method}` got argument `{given}` twice");
            return Err(mismatch(message));
        }
        // A parameter before it that was not given has the default `None`.
        while all.len() <= place {
            all.push(Value::None);
        }
        all[place] = value;
    }
    Ok(all)
}

/// The error for a method that got the wrong number of arguments.
pub(crate) fn wrong_number(method: &str, accepted: RangeInclusive<usize>, got: usize) -> Fault {
    let wanted = counts(accepted);
    mismatch(format!("method `{method}` takes {wanted} but got {got}"))
}

/// The error for an argument of a method that has the wrong type.
pub(crate) fn wrong_argument(method: &str, wanted: &str, got: &Value) -> Fault {
    let kind = got.kind();
    Fault::wrong_type(format!("method `{method}` takes {wanted} but got {kind}"))
}

/// Exactly `N` arguments of a method.
pub(crate) fn exactly<'a, const N: usize>(
    method: &str,
    arguments: &'a [Value],
) -> Result<&'a [Value; N]> {
    <&[Value; N]>::try_from(arguments).map_err(|_| wrong_number(method, N..=N, arguments.len()))
}

/// An argument of a method that is a string.
pub(crate) fn string<'a>(method: &str, value: &'a Value) -> Result<&'a str> {
    let text = value.as_str();
    text.ok_or_else(|| wrong_argument(method, "a string", value))
}

/// An argument of a method that is a whole number.
pub(crate) fn whole(method: &str, value: &Value) -> Result<i64> {
    let number = value.as_integer();
    let number = number.ok_or_else(|| wrong_argument(method, "a whole number", value))?;
    Ok(clamped(&number))
}

/// The nearest number that 64 bits can hold.
pub(crate) fn clamped(number: &BigInt) -> i64 {
    let far = match number.sign() {
        Sign::Minus => i64::MIN,
        Sign::NoSign | Sign::Plus => i64::MAX,
    };
    number.to_i64().unwrap_or(far)
}

/// `[start[, stop]]`, as `find` and `index` take them, in a sequence of this length.
pub(crate) fn bounds(arguments: &[Value], length: usize) -> Result<(usize, usize)> {
    let bound = |value: Option<&Value>, default: usize| -> Result<usize> {
        let place = match value {
            None | Some(Value::None) => return Ok(default),
            Some(value) => whole("index", value)?,
        };
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let place = match place < 0 {
            true => place.saturating_add(length).max(0),
            false => place,
        };
        Ok(usize::try_from(place).unwrap_or(usize::MAX))
    };
    let stop = bound(arguments.get(1), length)?;
    Ok((bound(arguments.first(), 0)?, stop.min(length)))
}
