//! From what the expression grammar matched to the tree.

use std::sync::Arc;

use num_bigint::BigInt;
use pest::Parser;
use pest::iterators::{Pair, Pairs};

use super::ast::{Branch, Expression, Item, Kind, Lambda, Parameter, Piece, Trailer, TrailerKind};
use super::diagnostic::{Diagnostic, quoted};
use super::grammar::expression::{Grammar, Rule};
use super::nesting;
use super::operators::climb;
use super::source::{Fragment, Source, Span};
use super::{displays, formatted, messages, plain, strings};

/// Digits of a decimal integer; more take long to read (as in Python since 3.11).
pub const LONGEST_INTEGER: usize = 4300;

/// Bytes of a value: its tree takes up to fifty times as many.
const LONGEST: usize = 1 << 20;

/// Bytes of stack that one level of brackets takes, in the parser and in what builds the tree; and what is left beside.
const STACK_PER_LEVEL: usize = 48 << 10;
const STACK_LEFT: usize = 256 << 10;

/// What is said of what the grammar does not let through, and so never.
const UNREAD: &str = "this cannot be read";

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

/// The same, without a look at what is plain.
pub(super) fn by_grammar(
    source: &Arc<Source>,
    fragment: &Fragment,
) -> Result<Expression, Diagnostic> {
    Builder {
        source,
        fragment,
        base: 0,
        depth: 0,
    }
    .parse(Rule::value, fragment.text())
}

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
    /// Parses a text that begins at `base` of the fragment.
    pub fn parse(self, rule: Rule, text: &str) -> Result<Expression, Diagnostic> {
        let depth = nesting::scan(text).map_err(|found| {
            let one = Diagnostic::new(found.code, found.message)
                .at(self.source, self.range(found.at.start, found.at.end));
            match found.other {
                Some((at, seen)) => one.with_label(self.source, self.range(at.start, at.end), seen),
                None => one,
            }
        })?;
        let stack = STACK_LEFT + depth * STACK_PER_LEVEL;
        stacker::maybe_grow(stack, 2 * stack, || self.parse_balanced(rule, text))
    }

    fn parse_balanced(self, rule: Rule, text: &str) -> Result<Expression, Diagnostic> {
        let mut pairs =
            Grammar::parse(rule, text).map_err(|error| messages::describe(self, text, &error))?;
        let Some(sequence) = pairs.next().and_then(|value| value.into_inner().next()) else {
            return Err(self.unread(self.range(0, text.len())));
        };
        self.sequence(sequence)
    }

    pub fn range(self, start: usize, end: usize) -> Span {
        self.fragment.span(self.base + start, self.base + end)
    }

    pub fn span(self, pair: &Pair<'_, Rule>) -> Span {
        self.range(pair.as_span().start(), end(pair))
    }

    pub fn error(self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new("syntax/expression", message).at(self.source, span)
    }

    /// The mistake of what the grammar does not let through: the trees that it makes have all their parts.
    pub fn unread(self, span: Span) -> Diagnostic {
        self.error(span, UNREAD)
    }

    /// One item, or a tuple.
    fn sequence(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let span = self.span(&pair);
        let mut items = Vec::new();
        let mut commas = false;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::comma => commas = true,
                _ => items.push(displays::item(self, inner)?),
            }
        }
        match (items.pop(), commas) {
            (Some(Item::One(only)), false) if items.is_empty() => Ok(only),
            (Some(Item::Star(starred)), false) if items.is_empty() => Err(self.error(
                starred.span,
                "`*` stands for several elements, which only a list, tuple or set can take",
            )),
            (last, _) => {
                items.extend(last);
                Ok(Expression {
                    kind: Kind::Tuple(items),
                    span,
                })
            }
        }
    }

    pub fn expression(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        match pair.as_rule() {
            Rule::expression => self.conditional(pair),
            Rule::lambda => self.lambda(pair),
            Rule::disjunction => self.disjunction(pair),
            Rule::chain => climb(self, pair),
            Rule::operand => self.operand(pair),
            _ => self.atom(pair),
        }
    }

    fn conditional(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let span = self.span(&pair);
        let mut parts = pair
            .into_inner()
            .filter(|part| !matches!(part.as_rule(), Rule::if_word | Rule::else_word))
            .map(|part| self.expression(part));
        let missing = || self.unread(span);
        let mut value = parts.next().ok_or_else(missing)??;
        let mut branches = Vec::new();
        while let Some(condition) = parts.next() {
            let condition = condition?;
            let next = parts.next().ok_or_else(missing)??;
            branches.push(Branch { value, condition });
            value = next;
        }
        if branches.is_empty() {
            return Ok(value);
        }
        Ok(Expression {
            kind: Kind::Conditional(branches, Box::new(value)),
            span,
        })
    }

    fn disjunction(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let span = self.span(&pair);
        let mut alternatives = Vec::new();
        let mut conjunction = Vec::new();
        let mut nots = 0;
        let mut not_at = span;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::not_word => {
                    if nots == 0 {
                        not_at = self.span(&part);
                    }
                    nots += 1;
                }
                Rule::and_word => {}
                Rule::or_word => {
                    alternatives.push(joined(std::mem::take(&mut conjunction), Kind::And));
                }
                _ => {
                    let value = self.expression(part)?;
                    let count = std::mem::take(&mut nots);
                    conjunction.push(if count == 0 {
                        value
                    } else {
                        Expression {
                            span: not_at.to(value.span),
                            kind: Kind::Not(count, Box::new(value)),
                        }
                    });
                }
            }
        }
        alternatives.push(joined(conjunction, Kind::And));
        Ok(joined(alternatives, Kind::Or))
    }

    /// An atom with its trailers; signs are the business of [`climb`].
    pub fn operand(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let whole = self.span(&pair);
        let mut parts = pair.into_inner().peekable();
        while parts
            .peek()
            .is_some_and(|part| part.as_rule() == Rule::sign)
        {
            parts.next();
        }
        let Some(atom) = parts.next() else {
            return Err(self.unread(whole));
        };
        let base = self.atom(atom)?;
        let trailers: Vec<Trailer> = parts
            .map(|part| self.trailer(part))
            .collect::<Result<_, _>>()?;
        if trailers.is_empty() {
            return Ok(base);
        }
        let span = Span {
            start: base.span.start,
            end: whole.end,
        };
        Ok(Expression {
            kind: Kind::Trailers(Box::new(base), trailers),
            span,
        })
    }

    fn trailer(self, pair: Pair<'_, Rule>) -> Result<Trailer, Diagnostic> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::attribute => {
                let name = pair.into_inner().next();
                TrailerKind::Attribute(name.map_or("", |name| name.as_str()).into())
            }
            Rule::call => TrailerKind::Call(displays::arguments(self, pair)?),
            _ => displays::subscript(self, pair)?,
        };
        Ok(Trailer { kind, span })
    }

    fn atom(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::strings => return self.strings(pair),
            Rule::number => self.number(pair.as_str(), span)?,
            Rule::constant => match pair.as_str() {
                "None" => Kind::None,
                word => Kind::Bool(word == "True"),
            },
            Rule::name => Kind::Name(pair.as_str().into()),
            Rule::group => return displays::group(self, pair),
            Rule::list => displays::list(self, pair)?,
            _ => displays::braces(self, pair)?,
        };
        Ok(Expression { kind, span })
    }

    fn number(self, text: &str, span: Span) -> Result<Kind, Diagnostic> {
        let digits = text.replace('_', "").to_ascii_lowercase();
        let based = match digits.get(..2) {
            Some("0x") => Some(16),
            Some("0o") => Some(8),
            Some("0b") => Some(2),
            _ => None,
        };
        if let Some(base) = based {
            let parsed = BigInt::parse_bytes(&digits.as_bytes()[2..], base);
            return parsed.map(Kind::Integer).ok_or_else(|| self.unread(span));
        }
        if digits.contains(['.', 'e']) {
            let parsed = digits.parse().map(Kind::Float);
            return parsed.map_err(|_| self.unread(span));
        }
        if digits.len() > LONGEST_INTEGER {
            let message = format!("a number has at most {LONGEST_INTEGER} digits");
            return Err(Diagnostic::new("limit/integer", message).at(self.source, span));
        }
        if digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') {
            let hint = format!(
                "write `0o{}` if it is octal",
                digits.trim_start_matches('0')
            );
            let message = format!("the number {} begins with a zero", quoted(text));
            return Err(self.error(span, message).with_hint(hint));
        }
        let parsed = digits.parse().map(Kind::Integer);
        parsed.map_err(|_| self.unread(span))
    }

    /// Strings side by side are one.
    fn strings(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let span = self.span(&pair);
        let mut bytes: Option<Vec<u8>> = None;
        let mut pieces: Vec<Piece> = Vec::new();
        for (index, token) in pair.into_inner().enumerate() {
            let at = token.as_span().start();
            let literal = strings::decode(token.as_str()).map_err(|bad| {
                let place = self.range(at + bad.at.start, at + bad.at.end);
                Diagnostic::new("syntax/string", bad.message).at(self.source, place)
            })?;
            let is_bytes = matches!(literal, strings::Literal::Bytes(_));
            if index > 0 && is_bytes != bytes.is_some() {
                return Err(self.error(span, "bytes and text stand side by side"));
            }
            match literal {
                strings::Literal::Bytes(more) => bytes.get_or_insert_default().extend(more),
                strings::Literal::Text(text) => formatted::push_text(&mut pieces, &text),
                strings::Literal::Formatted { body, raw } => {
                    let body = at + body.start..at + body.end;
                    pieces.extend(formatted::pieces(self, token.get_input(), body, raw)?);
                    // Even without braces: `f''` is text like any other.
                }
            }
        }
        let kind = match bytes {
            Some(bytes) => Kind::Bytes(bytes.into()),
            None if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) => {
                let mut whole = String::new();
                for piece in &pieces {
                    if let Piece::Text(text) = piece {
                        whole.push_str(text);
                    }
                }
                Kind::Text(whole.into())
            }
            None => Kind::Formatted(pieces),
        };
        Ok(Expression { kind, span })
    }

    fn lambda(self, pair: Pair<'_, Rule>) -> Result<Expression, Diagnostic> {
        let span = self.span(&pair);
        let mut parameters = Vec::new();
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::lambda_word => {}
                Rule::parameter => parameters.push(self.parameter(part.into_inner())?),
                _ => body = Some(self.expression(part)?),
            }
        }
        let body = body.ok_or_else(|| self.unread(span))?;
        displays::check_parameters(self, &parameters, span)?;
        Ok(Expression {
            kind: Kind::Lambda(Arc::new(Lambda { parameters, body })),
            span,
        })
    }

    fn parameter(self, mut parts: Pairs<'_, Rule>) -> Result<Parameter, Diagnostic> {
        let Some(first) = parts.next() else {
            return Ok(Parameter::Slash);
        };
        let second = parts.next();
        Ok(match first.as_rule() {
            Rule::only_positional => Parameter::Slash,
            Rule::single_star => Parameter::Star(second.map(|name| name.as_str().into())),
            Rule::double_star => {
                Parameter::DoubleStar(second.map_or("", |name| name.as_str()).into())
            }
            _ => {
                let default = second.map(|value| self.expression(value)).transpose()?;
                Parameter::One(first.as_str().into(), default)
            }
        })
    }
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

/// Several expressions under one operator, or the only one as it is.
fn joined(mut several: Vec<Expression>, kind: fn(Vec<Expression>) -> Kind) -> Expression {
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
