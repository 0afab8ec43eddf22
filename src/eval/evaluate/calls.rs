//! Calls: arguments to parameters, of functions of the table and of lambdas.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::eval::budget::{Budget, Fault};
use crate::eval::evaluate::methods;
use crate::eval::evaluate::{Closure, Evaluator, Scope};
use crate::eval::functions::configuration;
use crate::eval::functions::{BY_NAME, BY_PLACE, Function};
use crate::eval::value::{Items, Table, Value};
use crate::syntax::ast::{Argument, Parameter};
use crate::syntax::did_you_mean;

/// The arguments of one call.
#[derive(Debug, Default)]
pub struct Arguments {
    /// By position.
    pub positional: Vec<Value>,
    /// By name.
    pub named: Vec<(Arc<str>, Value)>,
}

impl Arguments {
    /// Adds an argument by its name, which only one can have.
    fn name(&mut self, name: &Arc<str>, value: Value, budget: &mut Budget) -> Result<(), Fault> {
        budget.step(self.named.len() / 16)?;
        if self.named.iter().any(|(given, _)| given == name) {
            let message = format!("argument `{name}` is given twice");
            return Err(Fault::new("type/arguments", message));
        }
        self.named.push((Arc::clone(name), value));
        Ok(())
    }
}

/// Arguments in the order of a function's parameters.
#[derive(Debug, Default)]
pub struct Bound {
    /// A value a parameter, where one was given.
    pub values: Vec<Option<Value>>,
    /// What `*rest` takes.
    pub rest: Vec<Value>,
    /// What `**more` takes.
    pub more: Vec<(Arc<str>, Value)>,
}

impl Bound {
    /// The argument of a parameter that has no default, or of one that was given.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Value> {
        self.values.get(place).and_then(Option::as_ref)
    }

    /// The same, `None` where it was not given.
    #[must_use]
    pub fn or_none(&self, place: usize) -> Value {
        self.get(place).cloned().unwrap_or(Value::None)
    }

    /// A string.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, place: usize) -> Result<Arc<str>, Fault> {
        match self.get(place) {
            Some(Value::Str(text)) => Ok(Arc::clone(text)),
            other => {
                let kind = other.map_or("nothing", Value::kind);
                Err(Fault::wrong_type(format!(
                    "expected a string but got {kind}"
                )))
            }
        }
    }
}

/// Evaluates the arguments of a call, in order.
pub(crate) fn evaluate_arguments(
    evaluator: &mut Evaluator<'_>,
    arguments: &[Argument],
) -> Result<Arguments, Fault> {
    let mut evaluated = Arguments::default();
    for argument in arguments {
        match argument {
            Argument::One(value) => evaluated.positional.push(evaluator.eval(value)?),
            Argument::Star(value) => evaluated.positional.extend(evaluator.spread(value)?),
            Argument::Named(name, value) => {
                let value = evaluator.eval(value)?;
                evaluated.name(name, value, evaluator.budget)?;
            }
            Argument::DoubleStar(value) => {
                let span = value.span;
                match configuration::mapping(evaluator, value)? {
                    Value::Dict(more) => {
                        for (key, value) in more.entries() {
                            let Value::Str(name) = key else {
                                let message = format!(
                                    "`**` takes names that are strings, not {}",
                                    key.kind()
                                );
                                return Err(
                                    Fault::wrong_type(message).at(&evaluator.home.source, span)
                                );
                            };
                            evaluated.name(name, value.clone(), evaluator.budget)?;
                        }
                    }
                    other => {
                        let message = format!("`**` takes a dict but got {}", other.kind());
                        return Err(Fault::wrong_type(message).at(&evaluator.home.source, span));
                    }
                }
            }
        }
    }
    Ok(evaluated)
}

/// Calls something.
pub(crate) fn call(
    evaluator: &mut Evaluator<'_>,
    callee: &Value,
    arguments: Arguments,
) -> Result<Value, Fault> {
    match callee {
        Value::Function(function) => {
            let given = arguments.positional.iter();
            let weight: usize = given.map(Value::weight).sum();
            evaluator.budget.step(weight / 64)?;
            let bound = bind(function, arguments)?;
            (function.run)(evaluator, &bound)
        }
        Value::Closure(closure) => call_closure(evaluator, closure, arguments),
        Value::Method(method) => methods::call(evaluator, &method.0, &method.1, arguments),
        Value::Namespace(prefix) => configuration::call_namespace(evaluator, prefix, arguments),
        Value::Import(name) => {
            if arguments.positional.is_empty() && arguments.named.is_empty() {
                return Ok(Value::Import(format!("{name}()").into()));
            }
            let message =
                format!("the Python object `{name}` can only be called without arguments here");
            Err(Fault::wrong_type(message))
        }
        other => {
            let message = format!("{} cannot be called", other.kind());
            Err(Fault::wrong_type(message))
        }
    }
}

/// `1 argument`, `2 arguments`
fn counted(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        other => format!("{other} arguments"),
    }
}

/// How many arguments something takes: `2 arguments`, `at most 1 argument`, `1 to 3 arguments`.
pub(crate) fn counts(takes: RangeInclusive<usize>) -> String {
    let (least, most) = takes.into_inner();
    match least {
        _ if least == most => counted(most),
        0 => format!("at most {}", counted(most)),
        _ => format!("{least} to {}", counted(most)),
    }
}

/// Sorts arguments to the parameters of a function of the table.
///
/// # Errors
/// Too many, too few, unknown or doubled arguments.
pub fn bind(function: &Function, arguments: Arguments) -> Result<Bound, Fault> {
    let called = function.short_name();
    let marks = ["*", "**", BY_PLACE, BY_NAME];
    let parameters = function.parameters.iter().copied();
    let takes: Vec<&str> = parameters.filter(|one| !marks.contains(one)).collect();
    let rest = function.parameters.contains(&"*");
    let more = function.parameters.contains(&"**");
    let mut bound = Bound {
        values: vec![None; takes.len()],
        ..Bound::default()
    };
    let given = arguments.positional.len();
    let least = takes
        .iter()
        .filter(|parameter| !parameter.ends_with('='))
        .count();
    // How many parameters stand before one of the marks.
    let before = |marks: &[&str]| {
        let mut parameters = function.parameters.iter();
        let mark = parameters.position(|one| marks.contains(one))?;
        let parameters = function.parameters[..mark].iter();
        Some(parameters.filter(|one| **one != BY_PLACE).count())
    };
    let by_position = before(&["*", BY_NAME]).unwrap_or(takes.len());
    let without_name = before(&[BY_PLACE]).unwrap_or_default();
    let wrong_number = |given: usize| {
        let wanted = match rest {
            true => format!("at least {}", counted(least)),
            false if least == takes.len() => counted(least),
            false => counts(least..=by_position),
        };
        Fault::new(
            "type/arguments",
            format!("function `{called}` takes {wanted} but got {given}"),
        )
        .with_hint_if(takes.get(by_position..given).and_then(|named| {
            let first = named.first()?.trim_end_matches('=');
            Some(format!("`{called}` takes `{first}` by its name"))
        }))
    };
    for (place, value) in arguments.positional.into_iter().enumerate() {
        match bound.values.get_mut(place) {
            Some(slot) if place < by_position => *slot = Some(value),
            Some(_) | None if rest => bound.rest.push(value),
            Some(_) | None => return Err(wrong_number(given)),
        }
    }
    for (name, value) in arguments.named {
        let mut nameable = takes.iter().enumerate().skip(without_name);
        let place = nameable.find(|(_, one)| one.trim_end_matches('=') == &*name);
        let place = place.map(|(place, _)| place);
        match place.and_then(|place| bound.values.get_mut(place)) {
            Some(slot @ None) => *slot = Some(value),
            Some(Some(_)) => {
                let message = format!("function `{called}` got argument `{name}` twice");
                return Err(Fault::new("type/arguments", message));
            }
            None if more => bound.more.push((name, value)),
            None => {
                let message = format!("function `{called}` has no argument `{name}`");
                let known = takes.iter().skip(without_name);
                let known = known.map(|parameter| parameter.trim_end_matches('='));
                return Err(
                    Fault::new("type/arguments", message).with_hint_if(did_you_mean(&name, known))
                );
            }
        }
    }
    for (parameter, value) in takes.iter().zip(&bound.values) {
        if value.is_none() && !parameter.ends_with('=') {
            if bound.values.iter().flatten().count() == given {
                return Err(wrong_number(given));
            }
            let message = format!("function `{called}` needs argument `{parameter}`");
            return Err(Fault::new("type/arguments", message));
        }
    }
    Ok(bound)
}

fn call_closure(
    evaluator: &mut Evaluator<'_>,
    closure: &Arc<Closure>,
    arguments: Arguments,
) -> Result<Value, Fault> {
    let names = bind_closure(evaluator, closure, arguments)?;
    let scope = Scope::new(names, closure.locals.clone())?;
    let mut inside = Evaluator {
        properties: evaluator.properties,
        budget: &mut *evaluator.budget,
        home: Arc::clone(&closure.home),
        variables: closure.variables.clone(),
        locals: Some(scope),
    };
    inside.eval(&closure.lambda.body)
}

fn bind_closure(
    evaluator: &mut Evaluator<'_>,
    closure: &Closure,
    arguments: Arguments,
) -> Result<Vec<(Arc<str>, Value)>, Fault> {
    let fault = |message: String| Fault::new("type/arguments", message);
    let mut bound: Vec<(Arc<str>, Value)> = Vec::new();
    let mut positional = arguments.positional.into_iter();
    let mut named = arguments.named;
    let slash = closure
        .lambda
        .parameters
        .iter()
        .position(|one| *one == Parameter::Slash);
    let mut by_position = true;
    for (place, parameter) in closure.lambda.parameters.iter().enumerate() {
        evaluator.budget.step(1)?;
        match parameter {
            Parameter::One(name, _) => {
                let nameable = slash.is_none_or(|slash| place > slash);
                let by_name = named
                    .iter()
                    .position(|(given, _)| nameable && given == name);
                let first = if by_position { positional.next() } else { None };
                let value = match (first, by_name) {
                    (Some(_), Some(_)) => {
                        return Err(fault(format!("the lambda got argument `{name}` twice")));
                    }
                    (Some(value), None) => value,
                    (None, Some(at)) => named.remove(at).1,
                    (None, None) => match closure.defaults.get(place) {
                        Some(Some(default)) => default.clone(),
                        _ => return Err(fault(format!("the lambda needs argument `{name}`"))),
                    },
                };
                bound.push((Arc::clone(name), value));
            }
            Parameter::Star(name) => {
                by_position = false;
                if let Some(name) = name {
                    let rest = Items::new(positional.by_ref().collect(), evaluator.budget)?;
                    bound.push((Arc::clone(name), Value::Tuple(rest)));
                }
            }
            Parameter::DoubleStar(name) => {
                let mut table = Table::default();
                for (key, value) in named.drain(..) {
                    table.insert(Value::Str(key), value, evaluator.budget)?;
                }
                bound.push((Arc::clone(name), Value::Dict(Arc::new(table))));
            }
            Parameter::Slash => {}
        }
    }
    if positional.next().is_some() {
        return Err(fault(
            "the lambda got more arguments than it takes".to_owned(),
        ));
    }
    match named.first() {
        Some((name, _)) => Err(fault(format!("the lambda has no argument `{name}`"))),
        None => Ok(bound),
    }
}
