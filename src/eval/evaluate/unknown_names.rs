//! Names without a meaning, found without evaluation: also in expressions that are never evaluated.

use std::sync::Arc;

use super::identifiers;
use crate::eval::budget::Fault;
use crate::eval::value::closure::Home;
use crate::syntax::Diagnostic;
use crate::syntax::ast::{
    Argument, Clause, Comprehension, ConditionalBranch, DictEntry, Element, Expression,
    ExpressionKind, Item, Lambda, LoopTarget, Parameter, Piece, Trailer, TrailerKind,
};

/// Every name in an expression that has no meaning in its file.
#[must_use]
pub fn unknown_names(expression: &Expression, home: &Home) -> Vec<Diagnostic> {
    let mut checker = NameChecker {
        home,
        locals: Vec::new(),
        found: Vec::new(),
    };
    checker.expression(expression);
    checker.found
}

/// Mistakes in one value, after which no more are reported.
const MOST_FOUND: usize = 200;

struct NameChecker<'a> {
    home: &'a Home,
    /// The names that lambdas and comprehensions around define.
    locals: Vec<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> NameChecker<'a> {
    fn expression(&mut self, expression: &'a Expression) {
        match &expression.kind {
            ExpressionKind::None
            | ExpressionKind::Bool(_)
            | ExpressionKind::Integer(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Text(_)
            | ExpressionKind::Bytes(_) => {}
            ExpressionKind::Formatted(pieces) => self.pieces(pieces),
            ExpressionKind::Name(name) => {
                if !self.knows(name) {
                    self.fault(|checker| {
                        let fault = identifiers::no_name(checker.home, &checker.locals, name);
                        fault.at(&checker.home.source, expression.span)
                    });
                }
            }
            ExpressionKind::Tuple(items)
            | ExpressionKind::List(items)
            | ExpressionKind::Set(items) => {
                for Item::One(value) | Item::Star(value) in items {
                    self.expression(value);
                }
            }
            ExpressionKind::Dict(entries) => {
                for entry in entries {
                    match entry {
                        DictEntry::Pair(key, value) => {
                            self.expression(key);
                            self.expression(value);
                        }
                        DictEntry::Star(value) => self.expression(value),
                    }
                }
            }
            ExpressionKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExpressionKind::Trailers(base, trailers) => self.trailers(base, trailers),
            ExpressionKind::Not(_, value) => self.expression(value),
            ExpressionKind::Power(operands) => {
                for operand in operands {
                    self.expression(&operand.value);
                }
            }
            ExpressionKind::Arithmetic(first, rest) => {
                self.expression(first);
                rest.iter().for_each(|(_, value)| self.expression(value));
            }
            ExpressionKind::Comparison(first, rest) => {
                self.expression(first);
                rest.iter().for_each(|(_, value)| self.expression(value));
            }
            ExpressionKind::And(several) | ExpressionKind::Or(several) => {
                several.iter().for_each(|value| self.expression(value));
            }
            ExpressionKind::Conditional(branches, otherwise) => {
                for ConditionalBranch { value, condition } in branches {
                    self.expression(value);
                    self.expression(condition);
                }
                self.expression(otherwise);
            }
            ExpressionKind::Lambda(lambda) => self.lambda(lambda),
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.locals.contains(&name)
            || self.home.shortcuts.contains_key(name)
            || identifiers::all().any(|known| known == name)
    }

    fn fault(&mut self, fault: impl FnOnce(&Self) -> Fault) {
        if self.found.len() < MOST_FOUND {
            self.found.push(fault(self).into_diagnostic());
        }
    }

    fn pieces(&mut self, pieces: &'a [Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(_) => {}
                Piece::Value {
                    value,
                    specification,
                    ..
                } => {
                    self.expression(value);
                    self.pieces(specification);
                }
            }
        }
    }

    fn comprehension(&mut self, comprehension: &'a Comprehension) {
        let outside = self.locals.len();
        for Clause {
            target,
            values,
            conditions,
        } in &comprehension.clauses
        {
            self.expression(values);
            self.bind(target);
            conditions.iter().for_each(|one| self.expression(one));
        }
        match &comprehension.element {
            Element::List(value) | Element::Generator(value) | Element::Set(value) => {
                self.expression(value);
            }
            Element::Dict(key, value) => {
                self.expression(key);
                self.expression(value);
            }
        }
        self.locals.truncate(outside);
    }

    fn bind(&mut self, target: &'a LoopTarget) {
        match target {
            LoopTarget::Name(name) => self.locals.push(name),
            LoopTarget::Star(rest) => self.bind(rest),
            LoopTarget::Several(targets, _) => targets.iter().for_each(|one| self.bind(one)),
        }
    }

    fn lambda(&mut self, lambda: &'a Arc<Lambda>) {
        let outside = self.locals.len();
        // Defaults are evaluated where the lambda stands.
        for parameter in &lambda.parameters {
            if let Parameter::One(_, Some(default)) = parameter {
                self.expression(default);
            }
        }
        for parameter in &lambda.parameters {
            match parameter {
                Parameter::One(name, _)
                | Parameter::Star(Some(name))
                | Parameter::DoubleStar(name) => self.locals.push(name),
                Parameter::Star(None) | Parameter::Slash => {}
            }
        }
        self.expression(&lambda.body);
        self.locals.truncate(outside);
    }

    fn trailers(&mut self, base: &'a Expression, trailers: &'a [Trailer]) {
        self.expression(base);
        let mut module = match &base.kind {
            ExpressionKind::Name(name) if !self.locals.contains(&&**name) => {
                identifiers::module(self.home, name)
            }
            _ => None,
        };
        for trailer in trailers {
            let inside = module.take();
            match &trailer.kind {
                TrailerKind::Attribute(name) => {
                    let Some(inside) = inside else { continue };
                    let whole = format!("{inside}.{name}");
                    if !identifiers::all().any(|known| known == whole) {
                        self.fault(|checker| {
                            let fault = identifiers::no_member(inside, name);
                            fault.at(&checker.home.source, trailer.span)
                        });
                    }
                    module = identifiers::module(self.home, &whole);
                }
                TrailerKind::Call(arguments) => {
                    for argument in arguments {
                        match argument {
                            Argument::One(value)
                            | Argument::Star(value)
                            | Argument::Named(_, value)
                            | Argument::DoubleStar(value) => self.expression(value),
                        }
                    }
                }
                TrailerKind::Index(index) => self.expression(index),
                TrailerKind::Slice(bounds) => {
                    bounds
                        .iter()
                        .flatten()
                        .for_each(|bound| self.expression(bound));
                }
            }
        }
    }
}
