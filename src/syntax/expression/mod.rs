//! Parses the value of a setting: builds the tree from what the grammar matched.
//!
//! The grammar is recursive, and so is the building of the tree: the other files of this folder build nested expressions
//! through [`Nested`], which is implemented here.

use std::sync::Arc;

use num_bigint::BigInt;
use pest::Parser;
use pest::iterators::{Pair, Pairs};

use super::diagnostic::{Diagnostic, quoted};
use super::grammar::expression::{Grammar, Rule};
use super::source::{Fragment, Source, Span};
use ast::{
    ConditionalBranch, Expression, ExpressionKind, Lambda, Parameter, Piece, Trailer, TrailerKind,
};
use builder::{Builder, Nested};

pub mod ast;

pub(super) mod keywords;
pub(super) mod nesting;

mod builder;
mod displays;
mod formatted;
mod messages;
mod operators;
mod plain;
mod strings;

#[cfg(test)]
mod tests;

/// Digits of a decimal integer at most, as in Python since 3.11: the time to convert them grows with their square.
pub const LONGEST_INTEGER: usize = 4300;

/// Bytes of a value at most: its tree takes up to fifty times as many.
const LONGEST: usize = 1 << 20;

/// Bytes of stack that one level of brackets takes, in the parser and while the tree is built; and a reserve.
const STACK_PER_LEVEL: usize = 48 << 10;
const STACK_LEFT: usize = 256 << 10;

/// Parses the value of a setting.
///
/// # Errors
/// The first mistake in it.
pub fn parse(source: &Arc<Source>, fragment: &Fragment) -> Result<Expression, Diagnostic> {
    if fragment.text().len() > LONGEST {
        let message = format!("a value has more than {} KiB", LONGEST >> 10);
        return Err(Diagnostic::new("limit/value", message).at(source, fragment.span(0, 1)));
    }
    match plain::value(fragment) {
        Some(tree) => Ok(tree),
        None => by_grammar(source, fragment),
    }
}

/// Parses a value by the grammar, also one that [`plain`] could read.
fn by_grammar(source: &Arc<Source>, fragment: &Fragment) -> Result<Expression, Diagnostic> {
    let builder = Builder {
        source,
        fragment,
        base: 0,
        depth: 0,
    };
    build(builder, Rule::value, fragment.text())
}

/// Parses a text that begins at the builder's `base`.
fn build(builder: Builder<'_>, rule: Rule, text: &str) -> Result<Expression, Diagnostic> {
    let depth = nesting::scan(text).map_err(|found| {
        let one = Diagnostic::new(found.code, found.message)
            .at(builder.source, builder.range(found.at.start, found.at.end));
        match found.other {
            Some((at, seen)) => {
                one.with_label(builder.source, builder.range(at.start, at.end), seen)
            }
            None => one,
        }
    })?;
    let stack = STACK_LEFT + depth * STACK_PER_LEVEL;
    stacker::maybe_grow(stack, 2 * stack, || parse_balanced(builder, rule, text))
}

fn parse_balanced(builder: Builder<'_>, rule: Rule, text: &str) -> Result<Expression, Diagnostic> {
    let mut pairs =
        Grammar::parse(rule, text).map_err(|error| messages::describe(builder, text, &error))?;
    let Some(sequence) = pairs.next().and_then(|value| value.into_inner().next()) else {
        return Err(builder.unread(builder.range(0, text.len())));
    };
    displays::sequence(builder, sequence)
}

impl Nested for Builder<'_> {
    fn expression(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        match pair.as_rule() {
            Rule::expression => conditional(self, pair),
            Rule::lambda => lambda(self, pair),
            Rule::disjunction => disjunction(self, pair),
            Rule::chain => operators::climb(self, pair),
            Rule::operand => self.operand(pair),
            _ => atom(self, pair),
        }
    }

    fn operand(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let whole = self.span(&pair);
        let mut parts = pair.into_inner().peekable();
        while parts
            .peek()
            .is_some_and(|part| part.as_rule() == Rule::sign)
        {
            parts.next();
        }
        let Some(first) = parts.next() else {
            return Err(self.unread(whole));
        };
        let base = atom(self, first)?;
        let trailers: Vec<Trailer> = parts
            .map(|part| trailer(self, part))
            .collect::<Result<_, _>>()?;
        if trailers.is_empty() {
            return Ok(base);
        }
        let span = Span {
            start: base.span.start,
            end: whole.end,
        };
        Ok(Expression {
            kind: ExpressionKind::Trailers(Box::new(base), trailers),
            span,
        })
    }

    fn embedded(self, text: &str) -> Result<Expression, Diagnostic> {
        build(self, Rule::embedded, text)
    }
}

fn conditional(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let mut parts = pair
        .into_inner()
        .filter(|part| !matches!(part.as_rule(), Rule::if_word | Rule::else_word))
        .map(|part| builder.expression(part));
    let missing = || builder.unread(span);
    let mut value = parts.next().ok_or_else(missing)??;
    let mut branches = Vec::new();
    while let Some(condition) = parts.next() {
        let condition = condition?;
        let next = parts.next().ok_or_else(missing)??;
        branches.push(ConditionalBranch { value, condition });
        value = next;
    }
    if branches.is_empty() {
        return Ok(value);
    }
    Ok(Expression {
        kind: ExpressionKind::Conditional(branches, Box::new(value)),
        span,
    })
}

fn disjunction(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let mut alternatives = Vec::new();
    let mut conjunction = Vec::new();
    let mut nots = 0;
    let mut not_at = span;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::not_word => {
                if nots == 0 {
                    not_at = builder.span(&part);
                }
                nots += 1;
            }
            Rule::and_word => {}
            Rule::or_word => {
                alternatives.push(joined(
                    std::mem::take(&mut conjunction),
                    ExpressionKind::And,
                ));
            }
            _ => {
                let value = builder.expression(part)?;
                let count = std::mem::take(&mut nots);
                conjunction.push(if count == 0 {
                    value
                } else {
                    Expression {
                        span: not_at.to(value.span),
                        kind: ExpressionKind::Not(count, Box::new(value)),
                    }
                });
            }
        }
    }
    alternatives.push(joined(conjunction, ExpressionKind::And));
    Ok(joined(alternatives, ExpressionKind::Or))
}

fn trailer(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Trailer, Diagnostic> {
    let span = builder.span(&pair);
    let kind = match pair.as_rule() {
        Rule::attribute => {
            let name = pair.into_inner().next();
            TrailerKind::Attribute(name.map_or("", |name| name.as_str()).into())
        }
        Rule::call => TrailerKind::Call(displays::arguments(builder, pair)?),
        _ => displays::subscript(builder, pair)?,
    };
    Ok(Trailer { kind, span })
}

fn atom(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let kind = match pair.as_rule() {
        Rule::strings => return joined_strings(builder, pair),
        Rule::number => number(builder, pair.as_str(), span)?,
        Rule::constant => match pair.as_str() {
            "None" => ExpressionKind::None,
            word => ExpressionKind::Bool(word == "True"),
        },
        Rule::name => ExpressionKind::Name(pair.as_str().into()),
        Rule::group => return displays::group(builder, pair),
        Rule::list => displays::list(builder, pair)?,
        _ => displays::braces(builder, pair)?,
    };
    Ok(Expression { kind, span })
}

fn number(builder: Builder<'_>, text: &str, span: Span) -> Result<ExpressionKind, Diagnostic> {
    let digits = text.replace('_', "").to_ascii_lowercase();
    let based = match digits.get(..2) {
        Some("0x") => Some(16),
        Some("0o") => Some(8),
        Some("0b") => Some(2),
        _ => None,
    };
    if let Some(base) = based {
        let parsed = BigInt::parse_bytes(&digits.as_bytes()[2..], base);
        return parsed
            .map(ExpressionKind::Integer)
            .ok_or_else(|| builder.unread(span));
    }
    if digits.contains(['.', 'e']) {
        let parsed = digits.parse().map(ExpressionKind::Float);
        return parsed.map_err(|_| builder.unread(span));
    }
    if digits.len() > LONGEST_INTEGER {
        let message = format!("a number has at most {LONGEST_INTEGER} digits");
        return Err(Diagnostic::new("limit/integer", message).at(builder.source, span));
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') {
        let hint = format!(
            "write `0o{}` if it is octal",
            digits.trim_start_matches('0')
        );
        let message = format!("the number {} begins with a zero", quoted(text));
        return Err(builder.error(span, message).with_hint(hint));
    }
    let parsed = digits.parse().map(ExpressionKind::Integer);
    parsed.map_err(|_| builder.unread(span))
}

/// Adjacent strings are one, as in Python.
fn joined_strings(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let mut bytes: Option<Vec<u8>> = None;
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, token) in pair.into_inner().enumerate() {
        let at = token.as_span().start();
        let literal =
            strings::decode(token.as_str()).map_err(|bad| builder.bad_literal(at, bad))?;
        let is_bytes = matches!(literal, strings::Literal::Bytes(_));
        if index > 0 && is_bytes != bytes.is_some() {
            return Err(builder.error(span, "bytes and text literals cannot be mixed"));
        }
        match literal {
            strings::Literal::Bytes(more) => bytes.get_or_insert_default().extend(more),
            strings::Literal::Text(text) => formatted::push_text(&mut pieces, &text),
            strings::Literal::Formatted { body, raw } => {
                let body = at + body.start..at + body.end;
                pieces.extend(formatted::pieces(builder, token.get_input(), body, raw)?);
            }
        }
    }
    let kind = match bytes {
        Some(bytes) => ExpressionKind::Bytes(bytes.into()),
        None if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) => {
            let mut whole = String::new();
            for piece in &pieces {
                if let Piece::Text(text) = piece {
                    whole.push_str(text);
                }
            }
            ExpressionKind::Text(whole.into())
        }
        None => ExpressionKind::Formatted(pieces),
    };
    Ok(Expression { kind, span })
}

fn lambda(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let mut parameters = Vec::new();
    let mut body = None;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::lambda_word => {}
            Rule::parameter => parameters.push(parameter(builder, part.into_inner())?),
            _ => body = Some(builder.expression(part)?),
        }
    }
    let body = body.ok_or_else(|| builder.unread(span))?;
    displays::check_parameters(builder, &parameters, span)?;
    Ok(Expression {
        kind: ExpressionKind::Lambda(Arc::new(Lambda { parameters, body })),
        span,
    })
}

fn parameter(builder: Builder<'_>, mut parts: Pairs<'_, Rule>) -> Result<Parameter, Diagnostic> {
    let Some(first) = parts.next() else {
        return Ok(Parameter::Slash);
    };
    let second = parts.next();
    Ok(match first.as_rule() {
        Rule::only_positional => Parameter::Slash,
        Rule::single_star => Parameter::Star(second.map(|name| name.as_str().into())),
        Rule::double_star => Parameter::DoubleStar(second.map_or("", |name| name.as_str()).into()),
        _ => {
            let default = second.map(|value| builder.expression(value)).transpose()?;
            Parameter::One(first.as_str().into(), default)
        }
    })
}

/// Several expressions under one operator, or the only one itself.
fn joined(mut several: Vec<Expression>, kind: fn(Vec<Expression>) -> ExpressionKind) -> Expression {
    match (several.len(), several.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            several.extend(last);
            let span = match (several.first(), several.last()) {
                (Some(first), Some(last)) => first.span.to(last.span),
                _ => Span::default(),
            };
            Expression {
                kind: kind(several),
                span,
            }
        }
    }
}
