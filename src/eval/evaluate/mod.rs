//! The evaluation of expressions. [`Evaluate`] is implemented here, above everything that can have expressions evaluated.

use std::sync::Arc;

use self::attributes::attribute;
use super::binary_operators::binary;
use super::budget::{Budget, Fault, Result};
use super::call_arguments::CallArguments;
use super::evaluator::{Evaluate, Evaluator};
use super::number::arithmetic::sign;
use super::value::closure::{Closure, Home, Variables};
use super::value::compare::compare;
use super::value::elements::set_of;
use super::value::properties::Properties;
use super::value::subscripts::{index, slice};
use super::value::{Items, Table, Value, depth_above, namespace, one_deeper};
use crate::syntax::Diagnostic;
use crate::syntax::ast::{
    Binary, Comparison, ConditionalBranch, DictEntry, Expression, ExpressionKind, Item, Lambda,
    Parameter, Signed, Trailer, TrailerKind,
};

pub(super) mod attributes;
pub(super) mod calls;
pub(super) mod comprehensions;
pub(super) mod identifiers;
pub(super) mod methods;
pub(super) mod templates;
pub(super) mod unknown_names;

/// Bytes of stack that one level of an evaluation takes at most, with the functions that it calls.
const STACK_LEFT: usize = 128 << 10;

/// Bytes of stack that are added when fewer are left.
const STACK_MORE: usize = 2 << 20;

/// Evaluates an expression.
///
/// # Errors
/// Errors of the evaluation, with their places.
pub fn evaluate(
    properties: &dyn Properties,
    home: &Arc<Home>,
    variables: Option<Variables>,
    expression: &Expression,
    budget: &mut Budget,
) -> Result<Value, Diagnostic> {
    let mut evaluator = Evaluator {
        properties,
        budget,
        home: Arc::clone(home),
        variables: variables.map(Arc::new),
        bindings: None,
    };
    evaluator.eval(expression).map_err(Fault::into_diagnostic)
}

impl Evaluate for Evaluator<'_> {
    fn eval(&mut self, expression: &Expression) -> Result<Value> {
        let entered = self.budget.step(1).and_then(|()| self.budget.enter());
        let result = entered.and_then(|()| {
            // The budget bounds the depth; the stack has to be large enough for it in any thread.
            let value = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || by_kind(self, expression));
            self.budget.leave();
            value?.paid(self.budget)
        });
        result.map_err(|fault| fault.at(&self.home.source, expression.span))
    }

    fn call(&mut self, callee: &Value, arguments: CallArguments) -> Result<Value> {
        calls::call(self, callee, arguments)
    }
}

fn by_kind(evaluator: &mut Evaluator<'_>, expression: &Expression) -> Result<Value> {
    match &expression.kind {
        ExpressionKind::None => Ok(Value::None),
        ExpressionKind::Bool(truth) => Ok(Value::Bool(*truth)),
        ExpressionKind::Integer(number) => Ok(Value::Int(number.clone())),
        ExpressionKind::Float(number) => Ok(Value::Float(*number)),
        ExpressionKind::Text(text) => Ok(Value::Str(Arc::clone(text))),
        ExpressionKind::Bytes(bytes) => Ok(Value::Bytes(Arc::clone(bytes))),
        ExpressionKind::Formatted(pieces) => templates::formatted(evaluator, pieces),
        ExpressionKind::Name(name) => by_name(evaluator, name),
        ExpressionKind::Tuple(several) => {
            let several = items(evaluator, several)?;
            Ok(Value::Tuple(Items::new(several, evaluator.budget)?))
        }
        ExpressionKind::List(several) => {
            let several = items(evaluator, several)?;
            Ok(Value::List(Items::new(several, evaluator.budget)?))
        }
        ExpressionKind::Set(several) => {
            let several = items(evaluator, several)?;
            Ok(Value::Set(Arc::new(set_of(several, evaluator.budget)?)))
        }
        ExpressionKind::Dict(entries) => dict(evaluator, entries),
        ExpressionKind::Comprehension(comprehension) => {
            comprehensions::evaluate(evaluator, comprehension)
        }
        ExpressionKind::Trailers(base, several) => trailers(evaluator, base, several),
        ExpressionKind::Not(count, value) => {
            let truth = evaluator.eval(value)?.truth();
            Ok(Value::Bool(truth == (count % 2 == 0)))
        }
        ExpressionKind::Power(operands) => power(evaluator, operands),
        ExpressionKind::Arithmetic(first, rest) => arithmetic(evaluator, first, rest),
        ExpressionKind::Comparison(first, rest) => comparison(evaluator, first, rest),
        ExpressionKind::And(several) => first_with(evaluator, several, false),
        ExpressionKind::Or(several) => first_with(evaluator, several, true),
        ExpressionKind::Conditional(branches, otherwise) => {
            for ConditionalBranch { value, condition } in branches {
                if evaluator.eval(condition)?.truth() {
                    return evaluator.eval(value);
                }
            }
            evaluator.eval(otherwise)
        }
        ExpressionKind::Lambda(one) => lambda(evaluator, one),
    }
}

/// The first value with this truth, or the last value.
fn first_with(evaluator: &mut Evaluator<'_>, several: &[Expression], truth: bool) -> Result<Value> {
    let mut value = Value::None;
    for one in several {
        value = evaluator.eval(one)?;
        if value.truth() == truth {
            break;
        }
    }
    Ok(value)
}

fn by_name(evaluator: &Evaluator<'_>, name: &str) -> Result<Value> {
    let bound = evaluator.bindings.as_ref();
    if let Some(value) = bound.and_then(|bindings| bindings.get(name)) {
        return Ok(value.clone());
    }
    match identifiers::resolve(evaluator, name) {
        Some(value) => Ok(value),
        None => Err(identifiers::unknown(evaluator, name)),
    }
}

fn arithmetic(
    evaluator: &mut Evaluator<'_>,
    first: &Expression,
    rest: &[(Binary, Expression)],
) -> Result<Value> {
    let mut value = evaluator.eval(first)?;
    for (operator, right) in rest {
        let operand = evaluator.eval(right)?;
        value = binary(*operator, &value, &operand, evaluator.budget)
            .map_err(|fault| fault.at(&evaluator.home.source, first.span.to(right.span)))?;
    }
    Ok(value)
}

fn power(evaluator: &mut Evaluator<'_>, operands: &[Signed]) -> Result<Value> {
    let bases: Vec<Value> = operands
        .iter()
        .map(|operand| evaluator.eval(&operand.value))
        .collect::<Result<_>>()?;
    let mut value: Option<Value> = None;
    for (operand, base) in operands.iter().zip(bases).rev() {
        let mut here = match value {
            None => base,
            Some(exponent) => binary(Binary::Power, &base, &exponent, evaluator.budget)?,
        };
        for operator in operand.signs.iter().rev() {
            evaluator.budget.step(1)?;
            here = sign(*operator, &here)?;
        }
        value = Some(here);
    }
    Ok(value.unwrap_or(Value::None))
}

fn comparison(
    evaluator: &mut Evaluator<'_>,
    first: &Expression,
    rest: &[(Comparison, Expression)],
) -> Result<Value> {
    let mut left = evaluator.eval(first)?;
    for (operator, right) in rest {
        let right = evaluator.eval(right)?;
        let (properties, budget) = (evaluator.properties, &mut *evaluator.budget);
        let holds = match (operator, &right) {
            (Comparison::In, Value::Namespace(prefix)) => {
                namespace::contains(prefix, &left, properties, budget)?
            }
            (Comparison::NotIn, Value::Namespace(prefix)) => {
                !namespace::contains(prefix, &left, properties, budget)?
            }
            _ => compare(*operator, &left, &right, budget)?,
        };
        if !holds {
            return Ok(Value::Bool(false));
        }
        left = right;
    }
    Ok(Value::Bool(true))
}

fn items(evaluator: &mut Evaluator<'_>, items: &[Item]) -> Result<Vec<Value>> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::One(value) => values.push(evaluator.eval(value)?),
            Item::Star(value) => values.extend(evaluator.spread(value)?),
        }
    }
    Ok(values)
}

fn dict(evaluator: &mut Evaluator<'_>, entries: &[DictEntry]) -> Result<Value> {
    let mut table = Table::default();
    for entry in entries {
        match entry {
            DictEntry::Pair(key, value) => {
                let at = key.span;
                let key = evaluator.eval(key)?;
                let value = evaluator.eval(value)?;
                table
                    .insert(key, value, evaluator.budget)
                    .map_err(|fault| fault.at(&evaluator.home.source, at))?;
            }
            DictEntry::Star(value) => {
                for (key, value) in evaluator.spread_mapping(value)?.entries() {
                    table.insert(key.clone(), value.clone(), evaluator.budget)?;
                }
            }
        }
    }
    Ok(Value::Dict(Arc::new(table)))
}

fn lambda(evaluator: &mut Evaluator<'_>, lambda: &Arc<Lambda>) -> Result<Value> {
    let mut defaults = Vec::with_capacity(lambda.parameters.len());
    for parameter in &lambda.parameters {
        defaults.push(match parameter {
            Parameter::One(_, Some(default)) => Some(evaluator.eval(default)?),
            Parameter::One(_, None)
            | Parameter::Star(_)
            | Parameter::DoubleStar(_)
            | Parameter::Slash => None,
        });
    }
    let held = depth_above(defaults.iter().flatten())?;
    let around = evaluator.bindings.as_ref();
    let depth = one_deeper(around.map_or(held, |bindings| bindings.depth.max(held)))?;
    Ok(Value::Closure(Arc::new(Closure {
        lambda: Arc::clone(lambda),
        defaults,
        bindings: evaluator.bindings.clone(),
        home: Arc::clone(&evaluator.home),
        variables: evaluator.variables.clone(),
        depth,
    })))
}

fn trailers(
    evaluator: &mut Evaluator<'_>,
    base: &Expression,
    trailers: &[Trailer],
) -> Result<Value> {
    let mut value = evaluator.eval(base)?;
    for one in trailers {
        evaluator.budget.step(1)?;
        value = trailer(evaluator, value, one)
            .map_err(|fault| fault.at(&evaluator.home.source, base.span.to(one.span)))?;
    }
    Ok(value)
}

fn trailer(evaluator: &mut Evaluator<'_>, value: Value, trailer: &Trailer) -> Result<Value> {
    let result = match &trailer.kind {
        TrailerKind::Attribute(name) => attribute(evaluator, value, name),
        TrailerKind::Call(arguments) => {
            // An error of a call is placed at all that is called, not only at the parentheses.
            let arguments = calls::evaluate_arguments(evaluator, arguments)?;
            return evaluator.call(&value, arguments);
        }
        TrailerKind::Index(expression) => {
            let at = evaluator.eval(expression)?;
            index(&value, &at, evaluator.properties, evaluator.budget)
        }
        TrailerKind::Slice(bounds) => {
            let mut values = [Value::None, Value::None, Value::None];
            for (value, bound) in values.iter_mut().zip(bounds.iter()) {
                if let Some(bound) = bound {
                    *value = evaluator.eval(bound)?;
                }
            }
            slice(&value, &values, evaluator.budget)
        }
    };
    result.map_err(|fault| fault.at(&evaluator.home.source, trailer.span))
}
