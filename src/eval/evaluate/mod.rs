//! Evaluates the tree of an expression.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::eval::budget::{Budget, Fault};
use crate::eval::functions::configuration;
use crate::eval::number::arithmetic::{binary, sign};
use crate::eval::value::subscripts::{elements, index, slice};
use crate::eval::value::{Items, Table, Value};
use crate::syntax::ast::{
    Binary, ConditionalBranch, DictEntry, Expression, ExpressionKind, Item, Lambda, Parameter,
    Signed, Trailer, TrailerKind,
};
use crate::syntax::{Diagnostic, Source};

/// What expressions can ask for.
pub trait Properties {
    /// The value of a property.
    ///
    /// # Errors
    /// What goes wrong while its rule is evaluated.
    fn lookup(&self, name: &str, budget: &mut Budget) -> Result<Option<Value>, Fault>;

    /// The names of the properties below a prefix that have rules of their own, sorted.
    fn names(&self, prefix: &str) -> Vec<String>;

    /// Whether a wrong name may be compared with all others: not if that was done very often.
    fn may_suggest(&self) -> bool {
        true
    }

    /// The environment as a dict.
    fn environment(&self) -> Value;

    /// The folder of a user of this system.
    fn home_of(&self, user: &str) -> Option<String>;
}

/// The file that an expression stands in, as the expression sees it.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its text.
    pub source: Arc<Source>,
    /// Its folder, absolute; `None` for what stands in no file.
    pub folder: Option<PathBuf>,
    /// The last part of its path.
    pub file_name: String,
    /// What `[Import on Demand]` named so far.
    pub shortcuts: HashMap<Arc<str>, Arc<str>>,
}

/// What a rule's expression knows of the lookup that it serves.
#[derive(Debug)]
pub struct Variables {
    /// The rule's name as written.
    pub rule_name: Arc<str>,
    /// The property's name as looked up.
    pub property_name: Arc<str>,
}

/// Bytes of stack that one level of an evaluation takes at most, with what it calls.
const STACK_LEFT: usize = 128 << 10;

/// Bytes of stack that are added where there are less.
const STACK_MORE: usize = 2 << 20;

/// Evaluates an expression.
///
/// # Errors
/// What goes wrong, with its place.
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
        locals: None,
    };
    evaluator.eval(expression).map_err(Fault::into_diagnostic)
}

/// Names that a lambda or a comprehension binds, and those around it.
#[derive(Debug)]
pub struct Scope {
    names: Vec<(Arc<str>, Value)>,
    depth: u16,
    around: Option<Arc<Scope>>,
    /// Of a comprehension: what its names stand for when it has ended.
    last: Option<Last>,
}

/// What the names of a comprehension stand for at its end.
pub(crate) type Last = Arc<OnceLock<Vec<(Arc<str>, Value)>>>;

impl Scope {
    pub(crate) fn new(
        names: Vec<(Arc<str>, Value)>,
        around: Option<Arc<Self>>,
    ) -> Result<Arc<Self>, Fault> {
        let inside = crate::eval::value::below(names.iter().map(|(_, value)| value))?;
        let depth = around.as_ref().map_or(0, |scope| scope.depth).max(inside);
        Ok(Arc::new(Self {
            names,
            depth,
            around,
            last: None,
        }))
    }

    /// The same for one turn of a comprehension.
    pub(crate) fn of_turn(
        names: Vec<(Arc<str>, Value)>,
        around: Option<Arc<Self>>,
        last: &Last,
    ) -> Result<Arc<Self>, Fault> {
        let mut scope = Self::new(names, around)?;
        if let Some(scope) = Arc::get_mut(&mut scope) {
            scope.last = Some(Arc::clone(last));
        }
        Ok(scope)
    }

    /// What is bound here, not around it.
    pub(crate) fn own(&self) -> &[(Arc<str>, Value)] {
        &self.names
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            let last = here.last.as_ref().and_then(|last| last.get());
            let mut last = last.into_iter().flatten();
            if let Some((_, value)) = last.find(|(own, _)| &**own == name) {
                return Some(value);
            }
            if let Some((_, value)) = here.names.iter().rev().find(|(own, _)| &**own == name) {
                return Some(value);
            }
            scope = here.around.as_deref();
        }
        None
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut all = Vec::new();
        let mut scope = Some(self);
        while let Some(here) = scope {
            all.extend(here.names.iter().map(|(name, _)| &**name));
            scope = here.around.as_deref();
        }
        all
    }
}

/// A lambda with what it knows from where it stands.
#[derive(Debug)]
pub struct Closure {
    /// Its parameters and body.
    pub(crate) lambda: Arc<Lambda>,
    /// The defaults of its parameters, in their order.
    pub(crate) defaults: Vec<Option<Value>>,
    pub(crate) locals: Option<Arc<Scope>>,
    pub(crate) home: Arc<Home>,
    pub(crate) variables: Option<Arc<Variables>>,
    /// How deep the values stand that it holds.
    pub(crate) depth: u16,
}

/// One evaluation at one place.
pub struct Evaluator<'a> {
    /// Where properties come from.
    pub(crate) properties: &'a dyn Properties,
    /// What is left.
    pub(crate) budget: &'a mut Budget,
    pub(crate) home: Arc<Home>,
    pub(crate) variables: Option<Arc<Variables>>,
    pub(crate) locals: Option<Arc<Scope>>,
}

impl Evaluator<'_> {
    /// Evaluates an expression; what goes wrong is placed at the innermost one.
    pub(crate) fn eval(&mut self, expression: &Expression) -> Result<Value, Fault> {
        let entered = self.budget.step(1).and_then(|()| self.budget.enter());
        let result = entered.and_then(|()| {
            // The budget bounds the depth; the stack has to be large enough for it in any thread.
            let value = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || self.eval_kind(expression));
            self.budget.leave();
            value?.paid(self.budget)
        });
        result.map_err(|fault| fault.at(&self.home.source, expression.span))
    }

    fn eval_kind(&mut self, expression: &Expression) -> Result<Value, Fault> {
        match &expression.kind {
            ExpressionKind::None => Ok(Value::None),
            ExpressionKind::Bool(truth) => Ok(Value::Bool(*truth)),
            ExpressionKind::Integer(number) => Ok(Value::Int(number.clone())),
            ExpressionKind::Float(number) => Ok(Value::Float(*number)),
            ExpressionKind::Text(text) => Ok(Value::Str(Arc::clone(text))),
            ExpressionKind::Bytes(bytes) => Ok(Value::Bytes(Arc::clone(bytes))),
            ExpressionKind::Formatted(pieces) => {
                crate::eval::evaluate::templates::formatted(self, pieces)
            }
            ExpressionKind::Name(name) => self.name(name),
            ExpressionKind::Tuple(items) => {
                let items = self.items(items)?;
                Ok(Value::Tuple(Items::new(items, self.budget)?))
            }
            ExpressionKind::List(items) => {
                let items = self.items(items)?;
                Ok(Value::List(Items::new(items, self.budget)?))
            }
            ExpressionKind::Set(items) => self.set(items),
            ExpressionKind::Dict(entries) => self.dict(entries),
            ExpressionKind::Comprehension(comprehension) => {
                comprehensions::evaluate(self, comprehension)
            }
            ExpressionKind::Trailers(base, trailers) => self.trailers(base, trailers),
            ExpressionKind::Not(count, value) => {
                let truth = self.eval(value)?.truth();
                Ok(Value::Bool(truth == (count % 2 == 0)))
            }
            ExpressionKind::Power(operands) => self.power(operands),
            ExpressionKind::Arithmetic(first, rest) => self.arithmetic(first, rest),
            ExpressionKind::Comparison(first, rest) => {
                let mut left = self.eval(first)?;
                for (operator, right) in rest {
                    let right = self.eval(right)?;
                    if !configuration::compare(self, *operator, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            ExpressionKind::And(several) => self.first_that(several, false),
            ExpressionKind::Or(several) => self.first_that(several, true),
            ExpressionKind::Conditional(branches, otherwise) => {
                for ConditionalBranch { value, condition } in branches {
                    if self.eval(condition)?.truth() {
                        return self.eval(value);
                    }
                }
                self.eval(otherwise)
            }
            ExpressionKind::Lambda(lambda) => self.lambda(lambda),
        }
    }

    /// The first value with this truth, or the last.
    fn first_that(&mut self, several: &[Expression], truth: bool) -> Result<Value, Fault> {
        let mut value = Value::None;
        for one in several {
            value = self.eval(one)?;
            if value.truth() == truth {
                break;
            }
        }
        Ok(value)
    }

    fn name(&mut self, name: &Arc<str>) -> Result<Value, Fault> {
        if let Some(value) = self.locals.as_ref().and_then(|scope| scope.get(name)) {
            return Ok(value.clone());
        }
        match identifiers::resolve(self, name) {
            Some(value) => Ok(value),
            None => Err(identifiers::unknown(self, name)),
        }
    }

    fn arithmetic(
        &mut self,
        first: &Expression,
        rest: &[(Binary, Expression)],
    ) -> Result<Value, Fault> {
        let mut value = self.eval(first)?;
        for (operator, right) in rest {
            let operand = self.eval(right)?;
            value = binary(*operator, &value, &operand, self.budget)
                .map_err(|fault| fault.at(&self.home.source, first.span.to(right.span)))?;
        }
        Ok(value)
    }

    fn power(&mut self, operands: &[Signed]) -> Result<Value, Fault> {
        let bases: Vec<Value> = operands
            .iter()
            .map(|operand| self.eval(&operand.value))
            .collect::<Result<_, _>>()?;
        let mut value: Option<Value> = None;
        for (operand, base) in operands.iter().zip(bases).rev() {
            let mut here = match value {
                None => base,
                Some(exponent) => binary(Binary::Power, &base, &exponent, self.budget)?,
            };
            for operator in operand.signs.iter().rev() {
                self.budget.step(1)?;
                here = sign(*operator, &here)?;
            }
            value = Some(here);
        }
        Ok(value.unwrap_or(Value::None))
    }

    fn items(&mut self, items: &[Item]) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::One(value) => values.push(self.eval(value)?),
                Item::Star(value) => values.extend(self.spread(value)?),
            }
        }
        Ok(values)
    }

    /// The elements of `*value`.
    pub(crate) fn spread(&mut self, value: &Expression) -> Result<Vec<Value>, Fault> {
        let several = self.eval(value)?;
        let spread = elements(&several, self.properties, self.budget);
        spread.map_err(|fault| fault.at(&self.home.source, value.span))
    }

    fn set(&mut self, items: &[Item]) -> Result<Value, Fault> {
        let mut table = Table::default();
        for value in self.items(items)? {
            table.insert(value, Value::None, self.budget)?;
        }
        Ok(Value::Set(Arc::new(table)))
    }

    fn dict(&mut self, entries: &[DictEntry]) -> Result<Value, Fault> {
        let mut table = Table::default();
        for entry in entries {
            match entry {
                DictEntry::Pair(key, value) => {
                    let at = key.span;
                    let key = self.eval(key)?;
                    let value = self.eval(value)?;
                    table
                        .insert(key, value, self.budget)
                        .map_err(|fault| fault.at(&self.home.source, at))?;
                }
                DictEntry::Star(value) => match configuration::mapping(self, value)? {
                    Value::Dict(more) => {
                        for (key, value) in more.entries() {
                            table.insert(key.clone(), value.clone(), self.budget)?;
                        }
                    }
                    other => {
                        let message = format!("`**` takes a dict but got {}", other.kind());
                        return Err(Fault::wrong_type(message).at(&self.home.source, value.span));
                    }
                },
            }
        }
        Ok(Value::Dict(Arc::new(table)))
    }

    fn lambda(&mut self, lambda: &Arc<Lambda>) -> Result<Value, Fault> {
        let mut defaults = Vec::with_capacity(lambda.parameters.len());
        for parameter in &lambda.parameters {
            defaults.push(match parameter {
                Parameter::One(_, Some(default)) => Some(self.eval(default)?),
                Parameter::One(_, None)
                | Parameter::Star(_)
                | Parameter::DoubleStar(_)
                | Parameter::Slash => None,
            });
        }
        let held = crate::eval::value::below(defaults.iter().flatten())?;
        let around = self.locals.as_ref().map_or(0, |scope| scope.depth);
        let depth = crate::eval::value::deeper(around.max(held))?;
        Ok(Value::Closure(Arc::new(Closure {
            lambda: Arc::clone(lambda),
            defaults,
            locals: self.locals.clone(),
            home: Arc::clone(&self.home),
            variables: self.variables.clone(),
            depth,
        })))
    }

    fn trailers(&mut self, base: &Expression, trailers: &[Trailer]) -> Result<Value, Fault> {
        let mut value = self.eval(base)?;
        for trailer in trailers {
            self.budget.step(1)?;
            value = self
                .trailer(value, trailer)
                .map_err(|fault| fault.at(&self.home.source, base.span.to(trailer.span)))?;
        }
        Ok(value)
    }

    fn trailer(&mut self, value: Value, trailer: &Trailer) -> Result<Value, Fault> {
        match &trailer.kind {
            TrailerKind::Attribute(name) => methods::attribute(self, value, name)
                .map_err(|fault| fault.at(&self.home.source, trailer.span)),
            TrailerKind::Call(arguments) => {
                let arguments = calls::evaluate_arguments(self, arguments)?;
                calls::call(self, &value, arguments)
            }
            TrailerKind::Index(expression) => {
                let at = self.eval(expression)?;
                index(self, &value, &at).map_err(|fault| fault.at(&self.home.source, trailer.span))
            }
            TrailerKind::Slice(bounds) => {
                let mut values = [Value::None, Value::None, Value::None];
                for (value, bound) in values.iter_mut().zip(bounds.iter()) {
                    if let Some(bound) = bound {
                        *value = self.eval(bound)?;
                    }
                }
                slice(&value, &values, self.budget)
                    .map_err(|fault| fault.at(&self.home.source, trailer.span))
            }
        }
    }
}

pub mod calls;
pub mod comprehensions;
pub mod identifiers;
pub mod methods;
pub mod templates;
pub mod unknown_names;
