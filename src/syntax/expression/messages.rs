//! Messages for values that the grammar does not match.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::builder::Builder;
use super::keywords::FOREIGN;
use super::nesting::{closing, open_at};
use crate::syntax::diagnostic::{Diagnostic, INVISIBLE_HINT, invisible, quoted};
use crate::syntax::grammar::expression::Rule;

/// Turns the parser's error into a diagnostic: what was found, what was wanted, and a hint.
pub(super) fn describe(builder: Builder<'_>, text: &str, error: &Error<Rule>) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at.min(text.len()),
    };
    let wanted = wanted(error, text, at);
    if text
        .lines()
        .all(|line| matches!(line.trim_start().as_bytes().first(), None | Some(b'#')))
    {
        return Diagnostic::new("syntax/expression", "expected an expression, found nothing")
            .at(builder.source, builder.range(0, text.len()))
            .with_hint("write `None` or `''` for nothing");
    }
    let found = token(&text[at..]);
    let strange = found.chars().next().and_then(invisible);
    let seen = match &strange {
        _ if found.is_empty() => "the end of the value".to_owned(),
        Some(strange) => strange.clone(),
        None => quoted(found),
    };
    let end = at + found.len();
    let start = if found.is_empty() {
        at.saturating_sub(last_width(&text[..at]))
    } else {
        at
    };
    Diagnostic::new(
        "syntax/expression",
        format!("expected {wanted}, found {seen}"),
    )
    .at(builder.source, builder.range(start, end))
    .with_hint_if(match strange {
        Some(_) => Some(INVISIBLE_HINT.to_owned()),
        None => hint(text, at, found),
    })
}

fn last_width(text: &str) -> usize {
    text.chars().next_back().map_or(0, char::len_utf8)
}

fn wanted(error: &Error<Rule>, text: &str, at: usize) -> String {
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        return "an expression".to_owned();
    };
    let any = |rules: &[Rule]| positives.iter().any(|rule| rules.contains(rule));
    let operand = [
        Rule::value,
        Rule::embedded,
        Rule::sequence,
        Rule::star,
        Rule::expression,
        Rule::disjunction,
        Rule::chain,
        Rule::operand,
        Rule::sign,
        Rule::strings,
        Rule::number,
        Rule::constant,
        Rule::group,
        Rule::slice,
    ];
    if any(&operand) {
        return "an expression".to_owned();
    }
    if any(&[Rule::name, Rule::targets, Rule::parameter]) {
        return "a name".to_owned();
    }
    if any(&[Rule::else_word]) && !any(&[Rule::comma, Rule::EOI]) {
        return "`else`".to_owned();
    }
    if any(&[Rule::in_word]) && !any(&[Rule::operator]) {
        return "`in`".to_owned();
    }
    match open_at(text, at) {
        Some(open) => format!("an operator, `,` or `{}`", closing(open)),
        None => "an operator or the end of the value".to_owned(),
    }
}

/// The word or the character at the start of a text; nothing for a blank, which the grammar skips.
fn token(text: &str) -> &str {
    let word = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    if word > 0 {
        return &text[..word];
    }
    let length = text.chars().next().map_or(0, char::len_utf8);
    match text[..length].trim_matches([' ', '\t', '\n', '\r', '\u{c}']) {
        "" => "",
        _ => &text[..length],
    }
}

fn hint(text: &str, at: usize, found: &str) -> Option<String> {
    let before = text[..at].trim_end();
    if found == "=" && before.is_empty() {
        return Some("one `=` is enough".to_owned());
    }
    if found == "=" {
        return Some("write `==` to compare".to_owned());
    }
    if found == "&" && before.ends_with('&') {
        return Some("write `and`".to_owned());
    }
    if found == "|" && before.ends_with('|') {
        return Some("write `or`".to_owned());
    }
    if found.starts_with(['“', '”', '„', '‘', '’', '«', '»']) {
        return Some("put text in straight quotes: `'…'` or `\"…\"`".to_owned());
    }
    if found == "!" {
        return Some("write `not`".to_owned());
    }
    if let Some((_, meant)) = FOREIGN.iter().find(|(word, _)| *word == before) {
        return Some(format!("did you mean `{meant}`?"));
    }
    // Text without quotes: `tcp://localhost`, `two words`, `/var/run`.
    let looks_like_text = !found.is_empty() && !text.contains(|c| "'\"([{\n#+*<>=%&|!".contains(c));
    (looks_like_text && text.len() <= 80)
        .then(|| format!("put text in quotes: `'{}'`", text.trim()))
}
