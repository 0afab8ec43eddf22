//! Comprehensions: `[x for x, *rest in values if condition]`.

use std::sync::Arc;

use super::budget::Fault;
use super::interpreter::{Evaluator, Scope};
use super::sequences::elements;
use super::value::{Items, Table, Value};
use crate::syntax::Span;
use crate::syntax::ast::{Clause, Comprehension, Element, Target};

/// Names and what they stand for.
type Names = Vec<(Arc<str>, Value)>;

/// What a comprehension made so far.
#[derive(Default)]
struct Made {
    list: Vec<Value>,
    table: Table,
}

/// Evaluates a comprehension.
pub(super) fn evaluate(
    evaluator: &mut Evaluator<'_>,
    comprehension: &Comprehension,
) -> Result<Value, Fault> {
    let around = evaluator.locals.clone();
    let result = inside(evaluator, comprehension);
    evaluator.locals = around;
    result
}

fn inside(evaluator: &mut Evaluator<'_>, comprehension: &Comprehension) -> Result<Value, Fault> {
    let mut made = Made::default();
    clauses(
        evaluator,
        &comprehension.clauses,
        &comprehension.element,
        &mut made,
    )?;
    Ok(match comprehension.element {
        Element::List(_) | Element::Generator(_) => {
            Value::List(Items::new(made.list, evaluator.budget)?)
        }
        Element::Set(_) => Value::Set(Arc::new(made.table)),
        Element::Dict(..) => Value::Dict(Arc::new(made.table)),
    })
}

fn clauses(
    evaluator: &mut Evaluator<'_>,
    several: &[Clause],
    element: &Element,
    made: &mut Made,
) -> Result<(), Fault> {
    let Some((clause, rest)) = several.split_first() else {
        return one_more(evaluator, element, made);
    };
    let around = evaluator.locals.clone();
    for value in evaluator.spread(&clause.values)? {
        evaluator.budget.step(1)?;
        let mut bound = Vec::new();
        bind(evaluator, &clause.target, value, &mut bound)
            .map_err(|fault| fault.at(&evaluator.home.source, clause.values.span))?;
        evaluator.locals = Some(Scope::new(bound, around.clone())?);
        let mut wanted = true;
        for condition in &clause.conditions {
            wanted = wanted && evaluator.eval(condition)?.truth();
        }
        if wanted {
            evaluator.budget.enter()?;
            let result = clauses(evaluator, rest, element, made);
            evaluator.budget.leave();
            result?;
        }
    }
    evaluator.locals = around;
    Ok(())
}

fn one_more(
    evaluator: &mut Evaluator<'_>,
    element: &Element,
    made: &mut Made,
) -> Result<(), Fault> {
    match element {
        Element::List(value) | Element::Generator(value) => {
            let value = evaluator.eval(value)?;
            evaluator.budget.allocate(size_of::<Value>())?;
            made.list.push(value);
            Ok(())
        }
        Element::Set(value) => {
            let key = evaluator.eval(value)?;
            made.table.insert(key, Value::None, evaluator.budget)
        }
        Element::Dict(key, value) => {
            let key = evaluator.eval(key)?;
            let value = evaluator.eval(value)?;
            made.table.insert(key, value, evaluator.budget)
        }
    }
}

/// Binds one element to its names.
fn bind(
    evaluator: &mut Evaluator<'_>,
    target: &Target,
    value: Value,
    bound: &mut Names,
) -> Result<(), Fault> {
    match target {
        Target::Name(name) => bound.push((Arc::clone(name), value)),
        Target::Several(targets, span) => bind_several(evaluator, targets, *span, &value, bound)?,
        // Where it stands among others, it got a list of what they leave.
        Target::Star(rest) => bind(evaluator, rest, value, bound)?,
    }
    Ok(())
}

fn bind_several(
    evaluator: &mut Evaluator<'_>,
    targets: &[Target],
    span: Span,
    value: &Value,
    bound: &mut Names,
) -> Result<(), Fault> {
    let mut values = elements(value, evaluator.properties, evaluator.budget)?;
    let star = targets
        .iter()
        .position(|target| matches!(target, Target::Star(_)));
    let fits = match star {
        Some(_) => values.len() + 1 >= targets.len(),
        None => values.len() == targets.len(),
    };
    if !fits {
        let names = match star {
            Some(_) => format!("{} names or more", targets.len() - 1),
            None => format!("{} names", targets.len()),
        };
        let message = format!("{names} stand for {} values", values.len());
        return Err(Fault::bad_value(message).at(&evaluator.home.source, span));
    }
    if let Some(place) = star {
        let behind = values.len() - (targets.len() - 1 - place);
        let rest: Vec<Value> = values.drain(place..behind).collect();
        let rest = Value::List(Items::new(rest, evaluator.budget)?);
        values.insert(place, rest);
    }
    for (target, value) in targets.iter().zip(values) {
        bind(evaluator, target, value, bound)?;
    }
    Ok(())
}
