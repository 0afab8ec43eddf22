//! Comprehensions: `[x for x, *rest in values if condition]`.

use std::sync::Arc;

use crate::eval::budget::Fault;
use crate::eval::evaluate::{Evaluator, Last, Scope};
use crate::eval::value::subscripts::elements;
use crate::eval::value::{Items, Table, Value};
use crate::syntax::Span;
use crate::syntax::ast::{Clause, Comprehension, Element, LoopTarget};

/// Names and what they stand for.
type Names = Vec<(Arc<str>, Value)>;

/// What a comprehension made so far.
#[derive(Default)]
struct Made {
    list: Vec<Value>,
    table: Table,
    last: Last,
    /// The last turn of each clause, that of the innermost first.
    turns: Vec<Option<Arc<Scope>>>,
}

/// Evaluates a comprehension.
pub(crate) fn evaluate(
    evaluator: &mut Evaluator<'_>,
    comprehension: &Comprehension,
) -> Result<Value, Fault> {
    let around = evaluator.locals.clone();
    let result = inside(evaluator, comprehension);
    evaluator.locals = around;
    result
}

fn inside(evaluator: &mut Evaluator<'_>, comprehension: &Comprehension) -> Result<Value, Fault> {
    let mut made = Made {
        turns: vec![None; comprehension.clauses.len()],
        ..Made::default()
    };
    clauses(
        evaluator,
        &comprehension.clauses,
        &comprehension.element,
        &mut made,
    )?;
    // The elements of a generator are used one by one, while its names stand for what they do in that turn.
    if !matches!(comprehension.element, Element::Generator(_)) {
        end(evaluator, &made)?;
    }
    Ok(match comprehension.element {
        Element::List(_) => Value::List(Items::new(made.list, evaluator.budget)?),
        Element::Generator(_) => {
            Value::Iterator("generator", Items::new(made.list, evaluator.budget)?)
        }
        Element::Set(_) => Value::Set(Arc::new(made.table)),
        Element::Dict(..) => Value::Dict(Arc::new(made.table)),
    })
}

/// Has lambdas that outlive the comprehension see the last value of each of its names, as Python's do.
fn end(evaluator: &mut Evaluator<'_>, made: &Made) -> Result<(), Fault> {
    let turns = made.turns.iter().flatten();
    if Arc::strong_count(&made.last) <= 1 + turns.clone().count() {
        return Ok(());
    }
    let mut last = Names::new();
    for (name, value) in turns.flat_map(|turn| turn.own().iter().rev()) {
        // A function could hold the comprehension that holds it, and nothing would ever let go of them.
        if holds_function(evaluator, value)? {
            return Ok(());
        }
        evaluator.budget.allocate(value.copied())?;
        last.push((Arc::clone(name), value.clone()));
    }
    // It is set once, here.
    let _ = made.last.set(last);
    Ok(())
}

fn holds_function(evaluator: &mut Evaluator<'_>, value: &Value) -> Result<bool, Fault> {
    evaluator.budget.step(1)?;
    match value {
        Value::List(items) | Value::Tuple(items) | Value::Iterator(_, items) => {
            for item in items.iter() {
                if holds_function(evaluator, item)? {
                    return Ok(true);
                }
            }
        }
        Value::Set(table) | Value::Dict(table) => return table_holds(evaluator, table),
        Value::View(view) => return table_holds(evaluator, &view.table),
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

fn table_holds(evaluator: &mut Evaluator<'_>, table: &Table) -> Result<bool, Fault> {
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
        let turn = Scope::of_turn(bound, around.clone(), &made.last)?;
        if let Some(place) = made.turns.get_mut(rest.len()) {
            *place = Some(Arc::clone(&turn));
        }
        evaluator.locals = Some(turn);
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
    target: &LoopTarget,
    value: Value,
    bound: &mut Names,
) -> Result<(), Fault> {
    match target {
        LoopTarget::Name(name) => bound.push((Arc::clone(name), value)),
        LoopTarget::Several(targets, span) => {
            bind_several(evaluator, targets, *span, &value, bound)?;
        }
        // Where it stands among others, it got a list of what they leave.
        LoopTarget::Star(rest) => bind(evaluator, rest, value, bound)?,
    }
    Ok(())
}

fn bind_several(
    evaluator: &mut Evaluator<'_>,
    targets: &[LoopTarget],
    span: Span,
    value: &Value,
    bound: &mut Names,
) -> Result<(), Fault> {
    let mut values = elements(value, evaluator.properties, evaluator.budget)?;
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
