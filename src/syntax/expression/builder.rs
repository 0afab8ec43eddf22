//! What the builders of the tree share: the source, places and errors in it, and access to nested expressions.

use std::sync::Arc;

use pest::iterators::Pair;

use super::ast::Expression;
use super::strings::BadLiteral;
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::grammar::expression::Rule;
use crate::syntax::source::{Fragment, Source, Span};

/// The fragment, or the part of it, whose tree is built.
#[derive(Clone, Copy)]
pub(super) struct Builder<'a> {
    pub source: &'a Arc<Source>,
    pub fragment: &'a Fragment,
    /// Where the parsed text begins in the fragment.
    pub base: usize,
    /// The number of f-strings around it.
    pub depth: usize,
}

impl Builder<'_> {
    pub(super) fn range(self, start: usize, end: usize) -> Span {
        self.fragment.span(self.base + start, self.base + end)
    }

    pub(super) fn span(self, pair: &Pair<'_, Rule>) -> Span {
        self.range(pair.as_span().start(), end(pair))
    }

    pub(super) fn error(self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new("syntax/expression", message).at(self.source, span)
    }

    /// An error in a string literal, or in a part of one, that begins at `start`.
    pub(super) fn bad_literal(self, start: usize, bad: BadLiteral) -> Diagnostic {
        let span = self.range(start + bad.at.start, start + bad.at.end);
        Diagnostic::new("syntax/string", bad.message).at(self.source, span)
    }

    /// The error for a missing part that the grammar always supplies; it is never seen.
    pub(super) fn unread(self, span: Span) -> Diagnostic {
        self.error(span, "this cannot be read")
    }
}

/// Builds what is nested in brackets, braces and operators. The other files of this folder call it; [`super`] implements
/// it, since it calls them in turn.
pub(super) trait Nested {
    fn expression(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic>;

    /// An atom with its trailers, without its signs, which [`super::operators`] applies.
    fn operand(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic>;

    /// The expression inside the braces of an f-string.
    fn embedded(self, text: &str) -> Result<Expression, Diagnostic>;
}

/// Where a pair ends. White space and comments after it are not part of it, but pest includes them where a rule tried to
/// match more.
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
