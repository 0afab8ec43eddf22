//! The methods of strings that take arguments: searching, splitting, joining, padding, encoding.

use std::sync::Arc;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::Arguments;
use crate::eval::evaluate::methods::{wrong_argument, wrong_number};
use crate::eval::evaluate::templates;
use crate::eval::text::str_methods::{bounds, exactly, string, whole};
use crate::eval::value::characters::blank;
use crate::eval::value::subscripts::elements;
use crate::eval::value::{Items, Value};

type Result<T> = std::result::Result<T, Fault>;

fn listed(evaluator: &mut Evaluator<'_>, parts: &[&str]) -> Result<Value> {
    let bytes: usize = parts.iter().map(|part| part.len() + 24).sum();
    evaluator.budget.allocate(bytes)?;
    let parts = parts.iter().map(|part| Value::text(part)).collect();
    Ok(Value::List(Items::new(parts, evaluator.budget)?))
}

/// Pays for a list of parts of a text before it is made.
fn room_for(evaluator: &mut Evaluator<'_>, parts: usize) -> Result<()> {
    evaluator
        .budget
        .allocate(parts.saturating_mul(size_of::<&str>()))
}

pub(crate) fn join(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let [values] = exactly("join", arguments)?;
    let values = elements(values, evaluator.properties, evaluator.budget)?;
    let mut joined = String::new();
    for (place, value) in values.iter().enumerate() {
        let Value::Str(part) = value else {
            let message = format!(
                "method `join` takes strings but got {} among them",
                value.kind()
            );
            return Err(Fault::wrong_type(message));
        };
        evaluator.budget.allocate(part.len() + text.len())?;
        if place > 0 {
            joined.push_str(text);
        }
        joined.push_str(part);
    }
    Ok(Value::from(joined))
}

pub(crate) fn replace(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let (old, new, count) = match arguments {
        [old, new] => (old, new, -1),
        [old, new, count] => (old, new, whole("replace", count)?),
        _ => return Err(wrong_number("replace", 2..=3, arguments.len())),
    };
    let (old, new) = (string("replace", old)?, string("replace", new)?);
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let found = if old.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(old).count()
    };
    evaluator.budget.allocate(
        text.len()
            .saturating_add(found.min(most).saturating_mul(new.len())),
    )?;
    Ok(Value::from(text.replacen(old, new, most)))
}

pub(crate) fn split(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    right: bool,
    arguments: &[Value],
) -> Result<Value> {
    let name = if right { "rsplit" } else { "split" };
    if arguments.len() > 2 {
        return Err(wrong_number(name, 0..=2, arguments.len()));
    }
    let most = match arguments.get(1) {
        None | Some(Value::None) => usize::MAX,
        Some(most) => usize::try_from(whole(name, most)?).unwrap_or(usize::MAX),
    };
    let parts: Vec<&str> = match arguments.first() {
        None | Some(Value::None) => {
            let found = text.split(blank).filter(|word| !word.is_empty()).count();
            room_for(evaluator, found.min(most))?;
            words(text, right, most)
        }
        Some(separator) => {
            let separator = string(name, separator)?;
            if separator.is_empty() {
                return Err(Fault::bad_value("an empty string separates nothing"));
            }
            room_for(evaluator, text.matches(separator).count().min(most))?;
            let most = most.saturating_add(1);
            if right {
                let mut parts: Vec<&str> = text.rsplitn(most, separator).collect();
                parts.reverse();
                parts
            } else {
                text.splitn(most, separator).collect()
            }
        }
    };
    listed(evaluator, &parts)
}

/// Split at runs of white space; what is left over keeps its inner white space.
fn words(text: &str, right: bool, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = if right {
        text.trim_end_matches(blank)
    } else {
        text.trim_start_matches(blank)
    };
    while !rest.is_empty() {
        let end = if right {
            rest.rfind(blank)
        } else {
            rest.find(blank)
        };
        let Some(end) = end.filter(|_| parts.len() < most) else {
            parts.push(rest);
            break;
        };
        if right {
            let width = rest[end..].chars().next().map_or(1, char::len_utf8);
            parts.push(&rest[end + width..]);
            rest = rest[..end].trim_end_matches(blank);
        } else {
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start_matches(blank);
        }
    }
    if right {
        parts.reverse();
    }
    parts
}

pub(crate) fn partition(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    name: &str,
    arguments: &[Value],
) -> Result<Value> {
    let [separator] = exactly(name, arguments)?;
    let separator = string(name, separator)?;
    if separator.is_empty() {
        return Err(Fault::bad_value("an empty string separates nothing"));
    }
    let parts = match (
        name,
        text.split_once(separator),
        text.rsplit_once(separator),
    ) {
        ("partition", Some((before, after)), _) | ("rpartition", _, Some((before, after))) => {
            [before, separator, after]
        }
        ("partition", None, _) => [text, "", ""],
        _ => ["", "", text],
    };
    evaluator.budget.allocate(text.len())?;
    let parts = parts.iter().map(|part| Value::text(part)).collect();
    Ok(Value::Tuple(Items::new(parts, evaluator.budget)?))
}

pub(crate) fn starts(text: &str, name: &str, arguments: &[Value]) -> Result<Value> {
    let [parts, range @ ..] = arguments else {
        return Err(wrong_number(name, 1..=3, 0));
    };
    if range.len() > 2 {
        return Err(wrong_number(name, 1..=3, 1 + range.len()));
    }
    let text = part_of(text, range)?;
    let parts = match parts {
        Value::Tuple(parts) => &parts[..],
        one => std::slice::from_ref(one),
    };
    for part in parts {
        let part = string(name, part)?;
        let found = text.is_some_and(|text| match name {
            "startswith" => text.starts_with(part),
            _ => text.ends_with(part),
        });
        if found {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// The part of a text between two places, counted in characters; `None` if it begins beyond its end.
fn part_of<'t>(text: &'t str, range: &[Value]) -> Result<Option<&'t str>> {
    if range.is_empty() {
        return Ok(Some(text));
    }
    let (start, stop) = bounds(range, text.chars().count())?;
    if start > stop {
        return Ok(None);
    }
    let at = |place: usize| {
        text.char_indices()
            .nth(place)
            .map_or(text.len(), |(at, _)| at)
    };
    Ok(text
        .get(at(start)..at(stop))
        .filter(|_| start <= text.chars().count()))
}

pub(crate) fn find(text: &str, name: &str, arguments: &[Value]) -> Result<Value> {
    let [part, range @ ..] = arguments else {
        return Err(wrong_number(name, 1..=3, 0));
    };
    if range.len() > 2 {
        return Err(wrong_number(name, 1..=3, arguments.len()));
    }
    let part = string(name, part)?;
    let within = part_of(text, range)?;
    if name == "count" {
        let count = within.map_or(0, |text| {
            if part.is_empty() {
                text.chars().count() + 1
            } else {
                text.matches(part).count()
            }
        });
        return Ok(Value::from(count));
    }
    let found = within.and_then(|within| {
        let at = if name.starts_with('r') {
            within.rfind(part)
        } else {
            within.find(part)
        };
        Some(within[..at?].chars().count())
    });
    let start = bounds(range, text.chars().count())?.0;
    match found {
        Some(place) => Ok(Value::from(start + place)),
        None if name.ends_with("find") => Ok(Value::from(-1i64)),
        None => Err(Fault::bad_value(format!(
            "{} is not in the string",
            Value::text(part).shown()
        ))),
    }
}

pub(crate) fn strip(text: &str, name: &str, arguments: &[Value]) -> Result<Value> {
    let characters = match arguments {
        [] | [Value::None] => None,
        [characters] => Some(string(name, characters)?),
        _ => return Err(wrong_number(name, 0..=1, arguments.len())),
    };
    let unwanted = |c: char| match characters {
        None => blank(c),
        Some(characters) => characters.contains(c),
    };
    Ok(Value::text(match name {
        "strip" => text.trim_matches(unwanted),
        "lstrip" => text.trim_start_matches(unwanted),
        _ => text.trim_end_matches(unwanted),
    }))
}

pub(crate) fn justify(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    name: &str,
    arguments: &[Value],
) -> Result<Value> {
    let (width, fill) = match arguments {
        [width] => (width, ' '),
        [width, fill] if name != "zfill" => {
            let fill = string(name, fill)?;
            let mut characters = fill.chars();
            match (characters.next(), characters.next()) {
                (Some(fill), None) => (width, fill),
                _ => {
                    return Err(Fault::wrong_type(format!(
                        "method `{name}` fills with one character"
                    )));
                }
            }
        }
        _ => return Err(wrong_number(name, 1..=2, arguments.len())),
    };
    let width = usize::try_from(whole(name, width)?.max(0)).unwrap_or(usize::MAX);
    let missing = width.saturating_sub(text.chars().count());
    evaluator.budget.allocate(
        text.len()
            .saturating_add(missing.saturating_mul(fill.len_utf8())),
    )?;
    let blanks = |count: usize| fill.to_string().repeat(count);
    Ok(Value::from(match name {
        "ljust" => format!("{text}{}", blanks(missing)),
        "rjust" => format!("{}{text}", blanks(missing)),
        "zfill" => {
            let signed = usize::from(text.starts_with(['+', '-']));
            format!(
                "{}{}{}",
                &text[..signed],
                "0".repeat(missing),
                &text[signed..]
            )
        }
        _ => {
            // As CPython: the odd one goes to the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", blanks(left), blanks(missing - left))
        }
    }))
}

pub(crate) fn split_lines(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let keep = match arguments {
        [] => false,
        [keep] => keep.truth(),
        _ => {
            return Err(wrong_number("splitlines", 0..=1, arguments.len()));
        }
    };
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    room_for(evaluator, text.matches(ends).count())?;
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(ends).unwrap_or(rest.len());
        let width = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(0, char::len_utf8)
        };
        lines.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    listed(evaluator, &lines)
}

pub(crate) fn expand_tabs(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let size = match arguments {
        [] => 8,
        [size] => usize::try_from(whole("expandtabs", size)?.max(0)).unwrap_or(usize::MAX),
        _ => {
            return Err(wrong_number("expandtabs", 0..=1, arguments.len()));
        }
    };
    let tabs = text.matches('\t').count();
    evaluator
        .budget
        .allocate(text.len().saturating_add(tabs.saturating_mul(size)))?;
    let mut out = String::new();
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(Value::from(out))
}

pub(crate) fn format_map(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let [table] = exactly("format_map", arguments)?;
    let Value::Dict(table) = table else {
        return Err(wrong_argument("format_map", "a dict", table));
    };
    let named = table.entries().iter().filter_map(|(key, value)| match key {
        Value::Str(name) => Some((Arc::clone(name), value.clone())),
        _ => None,
    });
    let arguments = Arguments {
        positional: Vec::new(),
        named: named.collect(),
    };
    templates::format(evaluator, text, &arguments)
}
