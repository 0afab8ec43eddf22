//! A rule: gives a value to a property, or to all properties below a prefix.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::eval::{Home, Value};
use crate::syntax::ast::{
    Argument, DictEntry, Expression, ExpressionKind, Item, Trailer, TrailerKind,
};
use crate::syntax::{Diagnostic, Place, Span};

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its full name as written.
    pub name: Arc<str>,
    /// Its value.
    pub body: RuleBody,
    /// Where it comes from.
    pub origin: RuleOrigin,
    /// The layer that it comes from, counted from 0.
    pub layer: usize,
    /// Whether its value has been read.
    pub read: AtomicBool,
    /// Where the elements of its value come from, if each was written for itself.
    pub elements: Vec<RuleOrigin>,
}

/// The value of a rule.
#[derive(Debug)]
pub(super) enum RuleBody {
    /// The value of an expression in a file.
    Expression(Expression, Arc<Home>),
    /// A value that is already known: from a command-line option, or from a file in another format.
    Value(Value),
}

/// Where a rule comes from.
#[derive(Clone, Debug)]
pub(super) enum RuleOrigin {
    /// A file, and the place of the name in it.
    File(Arc<Home>, Span),
    /// A command-line option, as it was typed.
    Option(String),
}

impl RuleOrigin {
    /// The place, if it is in a file.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Self::File(home, span) => Some(Place {
                source: Arc::clone(&home.source),
                span: *span,
            }),
            Self::Option(_) => None,
        }
    }

    /// Adds this place to a diagnostic, with a text; nothing if it is not in a file.
    pub(super) fn label(&self, diagnostic: Diagnostic, seen: &str) -> Diagnostic {
        match self {
            Self::File(home, span) => diagnostic.with_label(&home.source, *span, seen),
            Self::Option(_) => diagnostic,
        }
    }
}

impl Rule {
    /// A rule whose value has not been read.
    pub(super) fn new(name: &str, body: RuleBody, origin: RuleOrigin, layer: usize) -> Self {
        Self {
            name: name.into(),
            body,
            origin,
            layer,
            read: AtomicBool::new(false),
            elements: Vec::new(),
        }
    }

    /// The expression as it is written; `None` if the value comes from elsewhere.
    pub(super) fn written(&self) -> Option<&str> {
        let RuleBody::Expression(expression, home) = &self.body else {
            return None;
        };
        let span = expression.span;
        home.source.text.get(span.start as usize..span.end as usize)
    }

    /// Whether the value stands in the rule as it is: a string, a number, a list.
    pub(super) fn is_literal(&self) -> bool {
        let RuleBody::Expression(expression, _) = &self.body else {
            return false;
        };
        match expression.kind {
            ExpressionKind::None
            | ExpressionKind::Bool(_)
            | ExpressionKind::Integer(_)
            | ExpressionKind::Float(_)
            | ExpressionKind::Text(_)
            | ExpressionKind::Bytes(_)
            | ExpressionKind::List(_)
            | ExpressionKind::Tuple(_)
            | ExpressionKind::Set(_)
            | ExpressionKind::Dict(_) => true,
            ExpressionKind::Formatted(_)
            | ExpressionKind::Name(_)
            | ExpressionKind::Comprehension(_)
            | ExpressionKind::Trailers(..)
            | ExpressionKind::Not(..)
            | ExpressionKind::Power(_)
            | ExpressionKind::Arithmetic(..)
            | ExpressionKind::Comparison(..)
            | ExpressionKind::And(_)
            | ExpressionKind::Or(_)
            | ExpressionKind::Conditional(..)
            | ExpressionKind::Lambda(_) => false,
        }
    }

    /// The place of a part of its value; `None` if it is not written as it is.
    pub(super) fn part(&self, part: Part<'_>) -> Option<RuleOrigin> {
        match (&self.body, part) {
            (RuleBody::Expression(expression, home), part) => {
                let span = match part {
                    Part::Element(number) => element(expression, number)?,
                    Part::Route { key, word } => route(expression, key, word)?,
                };
                Some(RuleOrigin::File(Arc::clone(home), span))
            }
            (RuleBody::Value(_), Part::Element(number)) => self.elements.get(number).cloned(),
            (RuleBody::Value(_), Part::Route { .. }) => None,
        }
    }

    /// How many times a route is written in its value.
    pub(super) fn times_of_route(&self, key: &str) -> usize {
        match &self.body {
            RuleBody::Expression(expression, _) => routes(expression, key).count(),
            RuleBody::Value(_) => 0,
        }
    }

    /// The warning that this rule has no effect because of another one in the same file. A rule of another file overrides
    /// it on purpose.
    pub(super) fn without_effect(
        &self,
        code: &'static str,
        message: String,
        used: &Self,
    ) -> Option<Diagnostic> {
        let (RuleBody::Expression(_, home), RuleBody::Expression(_, other)) =
            (&self.body, &used.body)
        else {
            return None;
        };
        if !Arc::ptr_eq(&home.source, &other.source) {
            return None;
        }
        let warning = Diagnostic::new(code, message).warning();
        let warning = self.origin.label(warning, "");
        Some(used.origin.label(warning, "this one is used"))
    }
}

/// A part of a property's value, which has a place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// An element, counted from 0: of a list `['a', 'b']`, of the words of an alias `commands.Alias(command=['a', 'b'])`, or of a
    /// list that several lines give.
    Element(usize),
    /// A route in `commands.Routes({'/': ['a', 'b']})`.
    Route {
        /// Its key.
        key: &'a str,
        /// The number of one of its words, counted from 0.
        word: Option<usize>,
    },
}

/// The place of a route, or of one of its words.
fn route(expression: &Expression, key: &str, word: Option<usize>) -> Option<Span> {
    // Of several the last counts.
    let (written, value) = routes(expression, key).last()?;
    let word = word.and_then(|number| match value.kind {
        ExpressionKind::Text(_) => Some(value.span),
        _ => element(value, number),
    });
    Some(word.unwrap_or(written.span))
}

/// The routes with a key in `commands.Routes({…})`, with their values.
fn routes<'a>(
    expression: &'a Expression,
    key: &'a str,
) -> impl Iterator<Item = (&'a Expression, &'a Expression)> {
    let entries = match &expression.kind {
        ExpressionKind::Trailers(_, trailers) => {
            match call(trailers, "Routes").map(|it| &it.kind) {
                Some(ExpressionKind::Dict(entries)) => &entries[..],
                _ => &[],
            }
        }
        _ => &[],
    };
    entries.iter().filter_map(move |entry| match entry {
        DictEntry::Pair(written, value) => match &written.kind {
            ExpressionKind::Text(text) if **text == *key => Some((written, value)),
            _ => None,
        },
        DictEntry::Star(_) => None,
    })
}

/// The place of an element of a list, or of a word of an alias.
fn element(expression: &Expression, number: usize) -> Option<Span> {
    let items = match &expression.kind {
        ExpressionKind::List(items) | ExpressionKind::Tuple(items) => items,
        ExpressionKind::Trailers(_, trailers) => alias_words(trailers)?,
        _ => return None,
    };
    // A `*` gives an unknown number of elements, so that those after it cannot be counted.
    let mut spans = items.iter().map_while(|item| match item {
        Item::One(value) => Some(value.span),
        Item::Star(_) => None,
    });
    spans.nth(number)
}

/// The words in `commands.Alias(command=['a', 'b'])`.
fn alias_words(trailers: &[Trailer]) -> Option<&[Item]> {
    match &call(trailers, "Alias")?.kind {
        ExpressionKind::List(items) | ExpressionKind::Tuple(items) => Some(items),
        _ => None,
    }
}

/// The argument of a call of a function of a module: `commands.Alias(…)`.
fn call<'a>(trailers: &'a [Trailer], function: &str) -> Option<&'a Expression> {
    let [called, call] = trailers else {
        return None;
    };
    let (TrailerKind::Attribute(called), TrailerKind::Call(arguments)) = (&called.kind, &call.kind)
    else {
        return None;
    };
    let named = |name: &str| name == "command" || arguments.len() == 1;
    match arguments.first()? {
        Argument::One(argument) if **called == *function => Some(argument),
        Argument::Named(name, argument) if **called == *function && named(name) => Some(argument),
        _ => None,
    }
}
