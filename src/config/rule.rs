//! A rule: gives a value to a property, or to all properties below a prefix.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::eval::{Home, Value};
use crate::syntax::ast::{Argument, Expression, ExpressionKind, Item, TrailerKind};
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

    /// The place of a word, counted from 0, if the rule is an alias itself: `commands.Alias(command=['a', 'b'])`.
    pub(super) fn word(&self, number: usize) -> Option<Span> {
        let RuleBody::Expression(expression, _) = &self.body else {
            return None;
        };
        let ExpressionKind::Trailers(_, trailers) = &expression.kind else {
            return None;
        };
        let [function, call] = &trailers[..] else {
            return None;
        };
        let (TrailerKind::Attribute(function), TrailerKind::Call(arguments)) =
            (&function.kind, &call.kind)
        else {
            return None;
        };
        let [Argument::One(words) | Argument::Named(_, words)] = &arguments[..] else {
            return None;
        };
        let (ExpressionKind::List(items) | ExpressionKind::Tuple(items)) = &words.kind else {
            return None;
        };
        // A `*` gives an unknown number of words, so that those after it cannot be counted.
        let mut spans = items.iter().map_while(|item| match item {
            Item::One(value) => Some(value.span),
            Item::Star(_) => None,
        });
        spans.nth(number).filter(|_| &**function == "Alias")
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
