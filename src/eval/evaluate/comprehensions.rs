//! Comprehensions: `[x for x, *rest in values if condition]`.

use std::sync::Arc;

use crate::eval::budget::{Fault, Result};
use crate::eval::evaluator::{Evaluate, Evaluator, bind_names};
use crate::eval::value::closure::{Bindings, Last, Names};
use crate::eval::value::{Items, Table, Value};
use crate::syntax::Span;
use crate::syntax::ast::{Clause, Comprehension, Element, LoopTarget};

/// What a comprehension has produced so far.
#[derive(Default)]
struct Collected {
    list: Vec<Value>,
    table: Table,
    last: Last<Value>,
    /// The last turn of each clause, the innermost clause first.
    turns: Vec<Option<Arc<Bindings<Value>>>>,
}

/// Evaluates a comprehension.
pub(super) fn evaluate(
    evaluator: &mut Evaluator<'_>,
    comprehension: &Comprehension,
) -> Result<Value> {
    let around = evaluator.bindings.clone();
    let result = inside(evaluator, comprehension);
    evaluator.bindings = around;
    result
}

fn inside(evaluator: &mut Evaluator<'_>, comprehension: &Comprehension) -> Result<Value> {
    let mut collected = Collected {
        turns: vec![None; comprehension.clauses.len()],
        ..Collected::default()
    };
    clauses(
        evaluator,
        &comprehension.clauses,
        &comprehension.element,
        &mut collected,
    )?;
    // A generator's elements are used one by one in Python, while its names have their values of that turn.
    if !matches!(comprehension.element, Element::Generator(_)) {
        end(evaluator, &collected)?;
    }
    Ok(match comprehension.element {
        Element::List(_) => Value::List(Items::new(collected.list, evaluator.budget)?),
        Element::Generator(_) => {
            Value::Iterator("generator", Items::new(collected.list, evaluator.budget)?)
        }
        Element::Set(_) => Value::Set(Arc::new(collected.table)),
        Element::Dict(..) => Value::Dict(Arc::new(collected.table)),
    })
}

/// Lets lambdas that outlive the comprehension see the last value of each name, as in Python.
fn end(evaluator: &mut Evaluator<'_>, collected: &Collected) -> Result<()> {
    let turns = collected.turns.iter().flatten();
    if Arc::strong_count(&collected.last) <= 1 + turns.clone().count() {
        return Ok(());
    }
    let mut last = Names::new();
    for (name, value) in turns.flat_map(|turn| turn.names.iter().rev()) {
        // A lambda among these values could hold the bindings that hold it: a cycle that is never freed.
        if holds_function(evaluator, value)? {
            return Ok(());
        }
        evaluator.budget.allocate(value.copied())?;
        last.push((Arc::clone(name), value.clone()));
    }
    // Nothing else sets it.
    let _ = collected.last.set(last);
    Ok(())
}

fn holds_function(evaluator: &mut Evaluator<'_>, value: &Value) -> Result<bool> {
    evaluator.budget.step(1)?;
    match value {
        Value::List(items) | Value::Tuple(items) | Value::Iterator(_, items) => {
            for item in items.iter() {
                if holds_function(evaluator, item)? {
                    return Ok(true);
                }
            }
        }
        Value::Set(table) | Value::Dict(table) | Value::Routes(table) => {
            return table_holds(evaluator, table);
        }
        Value::View(_, table) => return table_holds(evaluator, table),
        Value::Method(method) => return holds_function(evaluator, &method.0),
        Value::Closure(_) => return Ok(true),
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Range(..)
        | Value::Alias(_)
        | Value::Import(_)
        | Value::Link(_)
        | Value::Namespace(_)
        | Value::Module(_)
        | Value::Function(_) => {}
    }
    Ok(false)
}

fn table_holds(evaluator: &mut Evaluator<'_>, table: &Table) -> Result<bool> {
    for (key, value) in table.entries() {
        if holds_function(evaluator, key)? || holds_function(evaluator, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn clauses(
    evaluator: &mut Evaluator<'_>,
    several: &[Clause],
    element: &Element,
    collected: &mut Collected,
) -> Result<()> {
    let Some((clause, rest)) = several.split_first() else {
        return one_more(evaluator, element, collected);
    };
    let around = evaluator.bindings.clone();
    for value in evaluator.spread(&clause.values)? {
        evaluator.budget.step(1)?;
        let mut bound = Vec::new();
        bind(evaluator, &clause.target, value, &mut bound)
            .map_err(|fault| fault.at(&evaluator.home.source, clause.values.span))?;
        let last = Some(Arc::clone(&collected.last));
        let turn = bind_names(bound, around.clone(), last)?;
        if let Some(place) = collected.turns.get_mut(rest.len()) {
            *place = Some(Arc::clone(&turn));
        }
        evaluator.bindings = Some(turn);
        let mut wanted = true;
        for condition in &clause.conditions {
            wanted = wanted && evaluator.eval(condition)?.truth();
        }
        if wanted {
            evaluator.budget.enter()?;
            let result = clauses(evaluator, rest, element, collected);
            evaluator.budget.leave();
            result?;
        }
    }
    evaluator.bindings = around;
    Ok(())
}

fn one_more(
    evaluator: &mut Evaluator<'_>,
    element: &Element,
    collected: &mut Collected,
) -> Result<()> {
    match element {
        Element::List(value) | Element::Generator(value) => {
            let value = evaluator.eval(value)?;
            evaluator.budget.allocate(size_of::<Value>())?;
            collected.list.push(value);
            Ok(())
        }
        Element::Set(value) => {
            let key = evaluator.eval(value)?;
            collected.table.insert(key, Value::None, evaluator.budget)
        }
        Element::Dict(key, value) => {
            let key = evaluator.eval(key)?;
            let value = evaluator.eval(value)?;
            collected.table.insert(key, value, evaluator.budget)
        }
    }
}

/// Binds one element to its names.
fn bind(
    evaluator: &mut Evaluator<'_>,
    target: &LoopTarget,
    value: Value,
    bound: &mut Names<Value>,
) -> Result<()> {
    match target {
        LoopTarget::Name(name) => bound.push((Arc::clone(name), value)),
        LoopTarget::Several(targets, span) => {
            bind_several(evaluator, targets, *span, &value, bound)?;
        }
        // `bind_several` has put the list of remaining values in its place.
        LoopTarget::Star(rest) => bind(evaluator, rest, value, bound)?,
    }
    Ok(())
}

fn bind_several(
    evaluator: &mut Evaluator<'_>,
    targets: &[LoopTarget],
    span: Span,
    value: &Value,
    bound: &mut Names<Value>,
) -> Result<()> {
    let mut values = evaluator.elements(value)?;
    let star = targets
        .iter()
        .position(|target| matches!(target, LoopTarget::Star(_)));
    let fits = match star {
        Some(_) => values.len() + 1 >= targets.len(),
        None => values.len() == targets.len(),
    };
    if !fits {
        let names = match star {
            Some(_) => format!("{} names or more", targets.len() - 1),
            None => format!("{} names", targets.len()),
        };
        let count = match values.len() {
            1 => "1 value".to_owned(),
            several => format!("{several} values"),
        };
        let message = format!("{names} stand for {count}");
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
