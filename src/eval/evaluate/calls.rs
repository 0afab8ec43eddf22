//! Calls: of functions, lambdas, methods and Python objects.

use std::sync::Arc;

use super::methods;
use crate::eval::budget::{Fault, Result};
use crate::eval::call_arguments::{CallArguments, bind, bind_closure};
use crate::eval::evaluator::{Evaluate, Evaluator, bind_names};
use crate::eval::functions;
use crate::eval::value::Value;
use crate::eval::value::closure::Closure;
use crate::eval::value::namespace;
use crate::syntax::ast::Argument;

/// Evaluates the arguments of a call, in order.
pub(super) fn evaluate_arguments(
    evaluator: &mut Evaluator<'_>,
    arguments: &[Argument],
) -> Result<CallArguments> {
    let mut evaluated = CallArguments::default();
    for argument in arguments {
        match argument {
            Argument::One(value) => evaluated.positional.push(evaluator.eval(value)?),
            Argument::Star(value) => evaluated.positional.extend(evaluator.spread(value)?),
            Argument::Named(name, value) => {
                let value = evaluator.eval(value)?;
                evaluated.add(name, value, evaluator.budget)?;
            }
            Argument::DoubleStar(value) => {
                let span = value.span;
                for (key, value) in evaluator.spread_mapping(value)?.entries() {
                    let Value::Str(name) = key else {
                        let kind = key.kind();
                        let message = format!("`**` takes names that are strings, not {kind}");
                        let fault = Fault::wrong_type(message);
                        return Err(fault.at(&evaluator.home.source, span));
                    };
                    evaluated.add(name, value.clone(), evaluator.budget)?;
                }
            }
        }
    }
    Ok(evaluated)
}

/// Calls a value.
pub(super) fn call(
    evaluator: &mut Evaluator<'_>,
    callee: &Value,
    arguments: CallArguments,
) -> Result<Value> {
    match callee {
        Value::Function(function) => {
            let given = arguments.positional.iter();
            let weight: usize = given.map(Value::weight).sum();
            evaluator.budget.step(weight / 64)?;
            let bound = bind(function, arguments)?;
            functions::run(function, evaluator, &bound)
        }
        Value::Closure(closure) => call_closure(evaluator, closure, arguments),
        Value::Method(method) => methods::call(evaluator, &method.0, &method.1, arguments),
        Value::Namespace(prefix) => call_namespace(evaluator, prefix, arguments),
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

/// `namespace('default')`: the value of the property that has the name of the namespace.
fn call_namespace(
    evaluator: &mut Evaluator<'_>,
    prefix: &str,
    arguments: CallArguments,
) -> Result<Value> {
    namespace::check_name(prefix)?;
    let found = evaluator.properties.lookup(prefix, evaluator.budget)?;
    found
        .or(arguments.positional.into_iter().next())
        .ok_or_else(|| namespace::not_set(prefix, evaluator.properties))
}

fn call_closure(
    evaluator: &mut Evaluator<'_>,
    closure: &Closure<Value>,
    arguments: CallArguments,
) -> Result<Value> {
    let names = bind_closure(closure, arguments, evaluator.budget)?;
    let bindings = bind_names(names, closure.bindings.clone(), None)?;
    let mut inside = Evaluator {
        properties: evaluator.properties,
        budget: &mut *evaluator.budget,
        home: Arc::clone(&closure.home),
        variables: closure.variables.clone(),
        bindings: Some(bindings),
    };
    inside.eval(&closure.lambda.body)
}
