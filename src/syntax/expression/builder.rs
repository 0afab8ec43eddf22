//! What all that builds the tree has at hand: the source, places in it, and what is nested.

use std::sync::Arc;

use pest::iterators::Pair;

use super::ast::Expression;
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::grammar::expression::Rule;
use crate::syntax::source::{Fragment, Source, Span};

/// Builds the tree of one fragment, or of a part of it.
#[derive(Clone, Copy)]
pub(super) struct Builder<'a> {
    pub source: &'a Arc<Source>,
    pub fragment: &'a Fragment,
    /// Where the text that is parsed begins in the fragment.
    pub base: usize,
    /// How many f-strings are around it.
    pub depth: usize,
}

impl Builder<'_> {
    pub fn range(self, start: usize, end: usize) -> Span {
        self.fragment.span(self.base + start, self.base + end)
    }

    pub fn span(self, pair: &Pair<'_, Rule>) -> Span {
        self.range(pair.as_span().start(), end(pair))
    }

    pub fn error(self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new("syntax/expression", message).at(self.source, span)
    }

    /// The error for a part that the grammar always supplies: it is never reported.
    pub fn unread(self, span: Span) -> Diagnostic {
        self.error(span, "this cannot be read")
    }
}

/// Expressions inside brackets, braces and operators: what [`super`] builds for the other files of this folder.
pub(super) trait Nested {
    fn expression(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic>;

    /// An atom with its trailers, without the signs before it, which [`super::operators`] applies.
    fn operand(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic>;

    /// The expression inside the braces of an f-string.
    fn embedded(self, text: &str) -> Result<Expression, Diagnostic>;
}

/// Where what a pair matched ends. A pair that tried to go on behind white space and comments has them at its end.
fn end(pair: &Pair<'_, Rule>) -> usize {
    let text = pair.as_str();
    let trimmed = pair.as_span().start() + text.trim_end().len();
    let bracketed = [
        Rule::group,
        Rule::list,
        Rule::braces,
        Rule::call,
        Rule::subscript,
        Rule::target_group,
    ];
    if !text.contains('#') || bracketed.contains(&pair.as_rule()) {
        return trimmed;
    }
    let last = pair.clone().into_inner().last();
    last.map_or(trimmed, |last| end(&last))
}
