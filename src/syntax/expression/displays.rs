//! Everything in brackets: displays, comprehensions, arguments, subscripts; and the parameters of lambdas.

use std::collections::HashSet;
use std::sync::Arc;

use pest::iterators::Pair;

use super::ast::{
    Argument, Clause, Comprehension, DictEntry, Element, Expression, ExpressionKind, Item,
    LoopTarget, Parameter, TrailerKind,
};
use super::builder::{Builder, Nested};
use crate::syntax::diagnostic::{Diagnostic, quoted};
use crate::syntax::grammar::expression::Rule;
use crate::syntax::source::Span;

/// `a` or `*a`
pub(super) fn item(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Item, Diagnostic> {
    if pair.as_rule() == Rule::star {
        let inner = pair.clone().into_inner().next().unwrap_or(pair);
        return Ok(Item::Star(spread(builder, inner)?));
    }
    Ok(Item::One(builder.expression(pair)?))
}

/// The value after `*` or `**` in a display. As in Python, a comparison needs parentheses there.
fn spread(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let several = pair.clone().into_inner().nth(1).is_some();
    let value = builder.expression(pair)?;
    if several && matches!(value.kind, ExpressionKind::Comparison(..)) {
        let message = "a comparison after `*` must be in parentheses";
        return Err(builder.error(value.span, message));
    }
    Ok(value)
}

const STARRED_ELEMENT: &str = "a comprehension makes one element at a time, without `*`";

/// The contents of a display's brackets.
enum Elements {
    Items { items: Vec<Item>, commas: bool },
    Comprehension(Expression, Vec<Clause>),
}

fn elements(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Elements, Diagnostic> {
    let span = builder.span(&pair);
    let mut items = Vec::new();
    let mut clauses = Vec::new();
    let mut commas = false;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::comma => commas = true,
            Rule::for_clause => clauses.push(clause(builder, part)?),
            _ => items.push(item(builder, part)?),
        }
    }
    if clauses.is_empty() {
        return Ok(Elements::Items { items, commas });
    }
    match items.pop() {
        Some(Item::One(element)) => Ok(Elements::Comprehension(element, clauses)),
        _ => Err(builder.error(span, STARRED_ELEMENT)),
    }
}

/// `(…)`: parentheses around an expression, a tuple, or a generator.
pub(super) fn group(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let inside = sequence(builder, pair)?;
    Ok(Expression { span, ..inside })
}

/// The contents of parentheses, or a whole value: an expression, a tuple, or a generator.
pub(super) fn sequence(
    builder: Builder<'_>,
    pair: Pair<'_, Rule>,
) -> Result<Expression, Diagnostic> {
    let span = builder.span(&pair);
    let kind = match elements(builder, pair)? {
        Elements::Comprehension(element, clauses) => {
            comprehension(Element::Generator(element), clauses)
        }
        Elements::Items { mut items, commas } => match (items.pop(), commas) {
            (Some(Item::One(only)), false) if items.is_empty() => return Ok(only),
            (Some(Item::Star(starred)), false) if items.is_empty() => {
                let message =
                    "`*` gives several elements, which only a list, tuple or set can hold";
                return Err(builder.error(starred.span, message));
            }
            (last, _) => {
                items.extend(last);
                ExpressionKind::Tuple(items)
            }
        },
    };
    Ok(Expression { kind, span })
}

/// `[…]`
pub(super) fn list(
    builder: Builder<'_>,
    pair: Pair<'_, Rule>,
) -> Result<ExpressionKind, Diagnostic> {
    Ok(match elements(builder, pair)? {
        Elements::Items { items, .. } => ExpressionKind::List(items),
        Elements::Comprehension(element, clauses) => comprehension(Element::List(element), clauses),
    })
}

fn comprehension(element: Element, clauses: Vec<Clause>) -> ExpressionKind {
    ExpressionKind::Comprehension(Box::new(Comprehension { element, clauses }))
}

/// `{…}`: a dict or a set.
pub(super) fn braces(
    builder: Builder<'_>,
    pair: Pair<'_, Rule>,
) -> Result<ExpressionKind, Diagnostic> {
    let span = builder.span(&pair);
    let mut items = Vec::new();
    let mut entries = Vec::new();
    let mut clauses = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::comma => {}
            Rule::for_clause => clauses.push(clause(builder, part)?),
            _ => {
                let mut parts: Vec<_> = part
                    .into_inner()
                    .filter(|inner| inner.as_rule() != Rule::colon)
                    .collect();
                let last = parts.pop();
                match (parts.pop(), last) {
                    (Some(mark), Some(value)) if mark.as_rule() == Rule::double_star => {
                        entries.push(DictEntry::Star(spread(builder, value)?));
                    }
                    (Some(key), Some(value)) => {
                        let key = builder.expression(key)?;
                        entries.push(DictEntry::Pair(key, builder.expression(value)?));
                    }
                    (None, Some(only)) => items.push(item(builder, only)?),
                    (_, None) => {}
                }
            }
        }
    }
    if !items.is_empty() && !entries.is_empty() {
        let message = "a dict has `key: value` for every element, a set for none";
        return Err(builder.error(span, message));
    }
    if clauses.is_empty() {
        return Ok(if items.is_empty() {
            ExpressionKind::Dict(entries)
        } else {
            ExpressionKind::Set(items)
        });
    }
    let element = match (items.pop(), entries.pop()) {
        (Some(Item::One(value)), None) => Element::Set(value),
        (None, Some(DictEntry::Pair(key, value))) => Element::Dict(key, value),
        _ => return Err(builder.error(span, STARRED_ELEMENT)),
    };
    Ok(comprehension(element, clauses))
}

fn clause(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Clause, Diagnostic> {
    let span = builder.span(&pair);
    let mut bound = None;
    let mut values = None;
    let mut conditions = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::for_word | Rule::in_word | Rule::if_word => {}
            Rule::targets => bound = Some(target(builder, part, false)?),
            _ => {
                let value = builder.expression(part)?;
                match values {
                    None => values = Some(value),
                    Some(_) => conditions.push(value),
                }
            }
        }
    }
    match (bound, values) {
        (Some(target), Some(values)) => Ok(Clause {
            target,
            values,
            conditions,
        }),
        _ => Err(builder.unread(span)),
    }
}

/// The target of a clause. In square brackets (`listed`), a single name is a sequence of one, too.
fn target(
    builder: Builder<'_>,
    pair: Pair<'_, Rule>,
    listed: bool,
) -> Result<LoopTarget, Diagnostic> {
    let span = builder.span(&pair);
    let mut several = Vec::new();
    let mut commas = listed;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::comma => commas = true,
            _ => several.push(one_target(builder, part)?),
        }
    }
    let starred = |one: &&LoopTarget| matches!(one, LoopTarget::Star(_));
    if several.iter().filter(starred).count() > 1 {
        return Err(builder.error(span, "only one target can have a `*`"));
    }
    match several.pop() {
        Some(LoopTarget::Star(_)) if several.is_empty() && !commas => {
            Err(builder.error(span, "a target with `*` must be one of several"))
        }
        Some(only) if several.is_empty() && !commas => Ok(only),
        last => {
            several.extend(last);
            Ok(LoopTarget::Several(several, span))
        }
    }
}

fn one_target(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<LoopTarget, Diagnostic> {
    let span = builder.span(&pair);
    if pair.as_rule() == Rule::name {
        return Ok(LoopTarget::Name(pair.as_str().into()));
    }
    let starred = pair.as_rule() == Rule::target_star;
    let listed = pair.as_str().starts_with('[');
    let inner = pair.into_inner().next();
    let inner = inner.ok_or_else(|| builder.unread(span))?;
    if starred {
        return Ok(LoopTarget::Star(Box::new(one_target(builder, inner)?)));
    }
    target(builder, inner, listed)
}

/// `(a, *b, c=d, **e)`
pub(super) fn arguments(
    builder: Builder<'_>,
    pair: Pair<'_, Rule>,
) -> Result<Vec<Argument>, Diagnostic> {
    let mut arguments: Vec<Argument> = Vec::new();
    let mut names: HashSet<Arc<str>> = HashSet::new();
    let mut unpacked = false;
    let mut generator = None;
    for part in pair.into_inner() {
        let span = builder.span(&part);
        let mut parts = part.clone().into_inner();
        if parts.any(|part| part.as_rule() == Rule::for_clause) {
            generator = Some(span);
        }
        let one = argument(builder, part)?;
        match &one {
            Argument::Named(name, _) if !names.insert(Arc::clone(name)) => {
                let message = format!("argument {} is given twice", quoted(name));
                return Err(builder.error(span, message));
            }
            Argument::One(_) if !names.is_empty() || unpacked => {
                let message = "a positional argument follows a named one";
                return Err(builder.error(span, message));
            }
            Argument::Star(_) if unpacked => {
                return Err(builder.error(span, "`*` cannot follow `**`"));
            }
            Argument::DoubleStar(_) => unpacked = true,
            Argument::One(_) | Argument::Named(..) | Argument::Star(_) => {}
        }
        arguments.push(one);
    }
    match generator {
        Some(span) if arguments.len() > 1 => {
            let message = "a generator beside other arguments must be in parentheses";
            Err(builder.error(span, message))
        }
        Some(_) | None => Ok(arguments),
    }
}

fn argument(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<Argument, Diagnostic> {
    let span = builder.span(&pair);
    let mut parts = pair.into_inner();
    let missing = || builder.unread(span);
    let first = parts.next().ok_or_else(missing)?;
    let mut next = || builder.expression(parts.next().ok_or_else(missing)?);
    match first.as_rule() {
        Rule::double_star => Ok(Argument::DoubleStar(next()?)),
        Rule::single_star => Ok(Argument::Star(next()?)),
        Rule::keyword => {
            let name = first.into_inner().next();
            Ok(Argument::Named(
                name.map_or("", |name| name.as_str()).into(),
                next()?,
            ))
        }
        _ => {
            let value = builder.expression(first)?;
            let clauses: Vec<Clause> = parts
                .map(|part| clause(builder, part))
                .collect::<Result<_, _>>()?;
            Ok(Argument::One(if clauses.is_empty() {
                value
            } else {
                Expression {
                    kind: comprehension(Element::Generator(value), clauses),
                    span,
                }
            }))
        }
    }
}

/// `[i]`, `[a:b]`, `[i, j]`
pub(super) fn subscript(
    builder: Builder<'_>,
    pair: Pair<'_, Rule>,
) -> Result<TrailerKind, Diagnostic> {
    let span = builder.span(&pair);
    let mut slices = Vec::new();
    let mut commas = false;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::comma => commas = true,
            _ => slices.push(part),
        }
    }
    if commas {
        let items = slices
            .into_iter()
            .map(|slice| match one_slice(builder, slice)? {
                TrailerKind::Index(value) => Ok(Item::One(*value)),
                _ => Err(builder.error(span, "slices in several dimensions are not supported")),
            })
            .collect::<Result<_, _>>()?;
        return Ok(TrailerKind::Index(Box::new(Expression {
            kind: ExpressionKind::Tuple(items),
            span,
        })));
    }
    match slices.pop() {
        Some(only) => one_slice(builder, only),
        None => Err(builder.unread(span)),
    }
}

fn one_slice(builder: Builder<'_>, pair: Pair<'_, Rule>) -> Result<TrailerKind, Diagnostic> {
    let mut bounds: [Option<Expression>; 3] = [None, None, None];
    let mut position = 0;
    for part in pair.into_inner() {
        if part.as_rule() == Rule::colon {
            position += 1;
        } else if let Some(bound) = bounds.get_mut(position) {
            *bound = Some(builder.expression(part)?);
        }
    }
    match (position, bounds) {
        (0, [Some(index), _, _]) => Ok(TrailerKind::Index(Box::new(index))),
        (_, bounds) => Ok(TrailerKind::Slice(Box::new(bounds))),
    }
}

/// Checks the order of a lambda's parameters.
pub(super) fn check_parameters(
    builder: Builder<'_>,
    parameters: &[Parameter],
    span: Span,
) -> Result<(), Diagnostic> {
    let mut names = HashSet::new();
    let (mut default, mut star, mut slash, mut ended) = (false, false, false, false);
    for (index, parameter) in parameters.iter().enumerate() {
        if ended {
            return Err(builder.error(span, "no parameter can follow `**`"));
        }
        let name = match parameter {
            Parameter::One(name, value) => {
                if value.is_none() && default && !star {
                    let message = format!(
                        "parameter {} needs a default like the one before it",
                        quoted(name)
                    );
                    return Err(builder.error(span, message));
                }
                default |= value.is_some();
                Some(name)
            }
            Parameter::Star(name) => {
                let named_follow = matches!(parameters.get(index + 1), Some(Parameter::One(..)));
                if star || (name.is_none() && !named_follow) {
                    return Err(
                        builder.error(span, "`*` may appear only once, before named parameters")
                    );
                }
                star = true;
                name.as_ref()
            }
            Parameter::DoubleStar(name) => {
                ended = true;
                Some(name)
            }
            Parameter::Slash => {
                if slash || star || index == 0 {
                    return Err(builder.error(
                        span,
                        "`/` may appear only once, after positional parameters",
                    ));
                }
                slash = true;
                None
            }
        };
        if let Some(name) = name
            && !names.insert(name)
        {
            let message = format!("parameter {} appears twice", quoted(name));
            return Err(builder.error(span, message));
        }
    }
    Ok(())
}
