//! Applies the precedence of operators to the flat list that the grammar matches.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};

use super::ast::{Binary, Comparison, Expression, ExpressionKind, Signed, Unary};
use super::builder::{Builder, Nested};
use crate::syntax::diagnostic::Diagnostic;
use crate::syntax::grammar::expression::Rule;

/// An operator of a chain.
#[derive(Clone, Copy)]
enum Operator {
    Computes(Binary),
    Compares(Comparison),
}

/// The tree of `operand operator operand …`.
pub(super) fn climb(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let mut parts = pair.into_inner().peekable();
    // Most chains have no operator.
    if parts.len() == 1 {
        return power(builder, &mut parts);
    }
    let first = arithmetic(builder, &mut parts, 1)?;
    let mut rest = Vec::new();
    while let Some(Operator::Compares(operator)) = parts.peek().and_then(operator) {
        parts.next();
        rest.push((operator, arithmetic(builder, &mut parts, 1)?));
    }
    Ok(match rest.last() {
        None => first,
        Some((_, last)) => Expression {
            span: first.span.to(last.span),
            kind: ExpressionKind::Comparison(Box::new(first), rest),
        },
    })
}

type ChainParts<'i> = Peekable<Pairs<'i, Rule>>;

/// Operators of one precedence and those that bind tighter.
fn arithmetic(
    builder: Builder<'_>,
    parts: &mut ChainParts<'_>,
    precedence: u8,
) -> Result<Expression, Diagnostic> {
    if precedence == Binary::Power.precedence() {
        return power(builder, parts);
    }
    let first = arithmetic(builder, parts, precedence + 1)?;
    let mut rest = Vec::new();
    while let Some(Operator::Computes(operator)) = parts.peek().and_then(operator) {
        if operator.precedence() != precedence {
            break;
        }
        parts.next();
        rest.push((operator, arithmetic(builder, parts, precedence + 1)?));
    }
    Ok(match rest.last() {
        None => first,
        Some((_, last)) => Expression {
            span: first.span.to(last.span),
            kind: ExpressionKind::Arithmetic(Box::new(first), rest),
        },
    })
}

/// `-a ** -b ** c`
fn power(builder: Builder<'_>, parts: &mut ChainParts<'_>) -> Result<Expression, Diagnostic> {
    let mut operands: Vec<Signed> = Vec::new();
    let mut start = None;
    while let Some(operand) = parts.next() {
        let at = builder.span(&operand);
        start.get_or_insert(at);
        let signs = operand
            .clone()
            .into_inner()
            .take_while(|part| part.as_rule() == Rule::sign)
            .map(|sign| match sign.as_str() {
                "-" => Unary::Minus,
                "+" => Unary::Plus,
                _ => Unary::Invert,
            })
            .collect();
        let value = builder.operand(operand)?;
        operands.push(Signed { signs, value });
        match parts.peek().and_then(operator) {
            Some(Operator::Computes(Binary::Power)) => {
                parts.next();
            }
            _ => break,
        }
    }
    match operands.pop() {
        Some(only) if operands.is_empty() && only.signs.is_empty() => Ok(only.value),
        Some(last) => {
            let span = start.unwrap_or(last.value.span).to(last.value.span);
            operands.push(last);
            Ok(Expression {
                kind: ExpressionKind::Power(operands),
                span,
            })
        }
        None => Err(builder.unread(builder.range(0, 0))),
    }
}

fn operator(pair: &Pair<'_, Rule>) -> Option<Operator> {
    let inner = match pair.as_rule() {
        Rule::operator => pair.clone().into_inner().next()?,
        _ => return None,
    };
    Some(match inner.as_rule() {
        Rule::not_in => Operator::Compares(Comparison::NotIn),
        Rule::in_word => Operator::Compares(Comparison::In),
        Rule::is_not => Operator::Compares(Comparison::IsNot),
        Rule::is_word => Operator::Compares(Comparison::Is),
        _ => {
            let symbol = inner.as_str();
            let compares = || Comparison::of(symbol).map(Operator::Compares);
            return Binary::of(symbol).map(Operator::Computes).or_else(compares);
        }
    })
}
