//! The methods of strings.

use std::sync::Arc;

use num_traits::ToPrimitive;

use super::budget::Fault;
use super::calls::Arguments;
use super::interpreter::Evaluator;
use super::methods::wrong_number;
use super::sequences::elements;
use super::templates;
use super::value::{Items, Value};

type Result<T> = std::result::Result<T, Fault>;

/// Their names, sorted.
pub(super) const METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// What methods call their arguments, where they can be given by name.
const NAMED: &[(&str, &[&str])] = &[
    ("split", &["sep", "maxsplit"]),
    ("rsplit", &["sep", "maxsplit"]),
    ("splitlines", &["keepends"]),
    ("expandtabs", &["tabsize"]),
    ("encode", &["encoding"]),
];

/// `text.name(arguments)`
pub(super) fn call(
    evaluator: &mut Evaluator<'_>,
    text: &Arc<str>,
    name: &str,
    arguments: Arguments,
) -> Result<Value> {
    if name == "format" {
        return templates::format(evaluator, text, &arguments);
    }
    evaluator.budget.step(text.len() / 64)?;
    let arguments = by_position(name, arguments)?;
    match name {
        "join" => return join(evaluator, text, &arguments),
        "replace" => return replace(evaluator, text, &arguments),
        "split" | "rsplit" => return split(evaluator, text, name == "rsplit", &arguments),
        "partition" | "rpartition" => return partition(evaluator, text, name, &arguments),
        "startswith" | "endswith" => return starts(text, name, &arguments),
        "find" | "rfind" | "index" | "rindex" | "count" => return find(text, name, &arguments),
        "strip" | "lstrip" | "rstrip" => return strip(text, name, &arguments),
        "center" | "ljust" | "rjust" | "zfill" => {
            return justify(evaluator, text, name, &arguments);
        }
        "encode" => return encode(evaluator, text, &arguments),
        "splitlines" => return split_lines(evaluator, text, &arguments),
        "expandtabs" => return expand_tabs(evaluator, text, &arguments),
        "format_map" => return format_map(evaluator, text, &arguments),
        "removeprefix" | "removesuffix" => {
            let [part] = exactly(name, &arguments)?;
            let part = string(name, part)?;
            let rest = if name == "removeprefix" {
                text.strip_prefix(part)
            } else {
                text.strip_suffix(part)
            };
            return Ok(Value::text(rest.unwrap_or(text)));
        }
        _ => {}
    }
    if !arguments.is_empty() {
        return Err(wrong_number(name, "no arguments", arguments.len()));
    }
    evaluator.budget.allocate(3 * text.len())?;
    Ok(plain(text, name))
}

/// The methods without arguments.
fn plain(text: &str, name: &str) -> Value {
    let every = |test: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(test));
    match name {
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "capitalize" => Value::from(capitalized(text)),
        "title" => Value::from(titled(text)),
        "swapcase" => Value::from(swapped(text)),
        "isalnum" => every(char::is_alphanumeric),
        "isalpha" => every(char::is_alphabetic),
        "isascii" => Value::Bool(text.is_ascii()),
        "isdecimal" | "isdigit" => {
            every(|c| c.is_ascii_digit() || c.is_numeric() && c.is_alphanumeric() && decimal(c))
        }
        "isnumeric" => every(char::is_numeric),
        "isspace" => every(char::is_whitespace),
        "isidentifier" => Value::Bool(is_identifier(text)),
        "islower" => Value::Bool(cased(text, char::is_lowercase)),
        _ => Value::Bool(cased(text, char::is_uppercase)),
    }
}

/// Decimal digits outside ASCII stand in blocks of ten that begin at a multiple of 16 or at 6 beyond one.
fn decimal(c: char) -> bool {
    matches!(c, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' | '\u{966}'..='\u{96f}' | '\u{ff10}'..='\u{ff19}')
}

fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_')
}

fn cased(text: &str, test: fn(char) -> bool) -> bool {
    let mut letters = text
        .chars()
        .filter(|c| c.is_lowercase() || c.is_uppercase())
        .peekable();
    letters.peek().is_some() && letters.all(test)
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first
            .to_uppercase()
            .chain(characters.as_str().to_lowercase().chars())
            .collect(),
        None => String::new(),
    }
}

fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_lowercase() || c.is_uppercase();
    }
    out
}

fn swapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

fn by_position(name: &str, arguments: Arguments) -> Result<Vec<Value>> {
    let names = NAMED
        .iter()
        .find(|(method, _)| *method == name)
        .map_or(&[][..], |row| row.1);
    let mut all = arguments.positional;
    for (given, value) in arguments.named {
        let Some(place) = names.iter().position(|known| **known == *given) else {
            let message = format!("method `{name}` has no argument `{given}`");
            return Err(Fault::new("type/arguments", message));
        };
        if place < all.len() && !matches!(all.get(place), Some(Value::None)) {
            let message = format!("method `{name}` got argument `{given}` twice");
            return Err(Fault::new("type/arguments", message));
        }
        // What stands before it and was not given has `None` for its default.
        while all.len() <= place {
            all.push(Value::None);
        }
        all[place] = value;
    }
    Ok(all)
}

fn exactly<'a, const N: usize>(name: &str, arguments: &'a [Value]) -> Result<&'a [Value; N]> {
    <&[Value; N]>::try_from(arguments).map_err(|_| {
        let wanted = if N == 1 {
            "1 argument".to_owned()
        } else {
            format!("{N} arguments")
        };
        wrong_number(name, &wanted, arguments.len())
    })
}

fn string<'a>(name: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| {
        Fault::wrong_type(format!(
            "method `{name}` takes a string but got {}",
            value.kind()
        ))
    })
}

fn whole(name: &str, value: &Value) -> Result<i64> {
    let number = value.as_integer().ok_or_else(|| {
        Fault::wrong_type(format!(
            "method `{name}` takes a whole number but got {}",
            value.kind()
        ))
    })?;
    Ok(number
        .to_i64()
        .unwrap_or(if number.sign() == num_bigint::Sign::Minus {
            i64::MIN
        } else {
            i64::MAX
        }))
}

/// Start and stop, as `find` and `index` take them, in a sequence of some length.
pub(super) fn bounds(arguments: &[Value], length: usize) -> Result<(usize, usize)> {
    let bound = |value: Option<&Value>, default: usize| -> Result<usize> {
        match value {
            None | Some(Value::None) => Ok(default),
            Some(value) => {
                let place = whole("index", value)?;
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                let place = if place < 0 {
                    place.saturating_add(length).max(0)
                } else {
                    place
                };
                Ok(usize::try_from(place).unwrap_or(usize::MAX))
            }
        }
    };
    Ok((
        bound(arguments.first(), 0)?,
        bound(arguments.get(1), length)?.min(length),
    ))
}

fn listed(evaluator: &mut Evaluator<'_>, parts: &[&str]) -> Result<Value> {
    let bytes: usize = parts.iter().map(|part| part.len() + 24).sum();
    evaluator.budget.allocate(bytes)?;
    let parts = parts.iter().map(|part| Value::text(part)).collect();
    Ok(Value::List(Items::new(parts, evaluator.budget)?))
}

fn join(evaluator: &mut Evaluator<'_>, text: &str, arguments: &[Value]) -> Result<Value> {
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

fn replace(evaluator: &mut Evaluator<'_>, text: &str, arguments: &[Value]) -> Result<Value> {
    let (old, new, count) = match arguments {
        [old, new] => (old, new, -1),
        [old, new, count] => (old, new, whole("replace", count)?),
        _ => return Err(wrong_number("replace", "2 to 3 arguments", arguments.len())),
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

fn split(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    right: bool,
    arguments: &[Value],
) -> Result<Value> {
    let name = if right { "rsplit" } else { "split" };
    if arguments.len() > 2 {
        return Err(wrong_number(name, "0 to 2 arguments", arguments.len()));
    }
    let most = match arguments.get(1) {
        None | Some(Value::None) => usize::MAX,
        Some(most) => usize::try_from(whole(name, most)?).unwrap_or(usize::MAX),
    };
    let parts: Vec<&str> = match arguments.first() {
        None | Some(Value::None) => words(text, right, most),
        Some(separator) => {
            let separator = string(name, separator)?;
            if separator.is_empty() {
                return Err(Fault::bad_value("an empty string separates nothing"));
            }
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
        text.trim_end()
    } else {
        text.trim_start()
    };
    while !rest.is_empty() {
        let end = if right {
            rest.rfind(char::is_whitespace)
        } else {
            rest.find(char::is_whitespace)
        };
        let Some(end) = end.filter(|_| parts.len() < most) else {
            parts.push(rest);
            break;
        };
        if right {
            let width = rest[end..].chars().next().map_or(1, char::len_utf8);
            parts.push(&rest[end + width..]);
            rest = rest[..end].trim_end();
        } else {
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
    }
    if right {
        parts.reverse();
    }
    parts
}

fn partition(
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

fn starts(text: &str, name: &str, arguments: &[Value]) -> Result<Value> {
    let [parts, range @ ..] = arguments else {
        return Err(wrong_number(name, "1 to 3 arguments", 0));
    };
    let Some(text) = part_of(text, range)? else {
        return Ok(Value::Bool(false));
    };
    let parts = match parts {
        Value::Tuple(parts) => &parts[..],
        one => std::slice::from_ref(one),
    };
    for part in parts {
        let part = string(name, part)?;
        let found = if name == "startswith" {
            text.starts_with(part)
        } else {
            text.ends_with(part)
        };
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

fn find(text: &str, name: &str, arguments: &[Value]) -> Result<Value> {
    let [part, range @ ..] = arguments else {
        return Err(wrong_number(name, "1 to 3 arguments", 0));
    };
    if range.len() > 2 {
        return Err(wrong_number(name, "1 to 3 arguments", arguments.len()));
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

fn strip(text: &str, name: &str, arguments: &[Value]) -> Result<Value> {
    let characters = match arguments {
        [] | [Value::None] => None,
        [characters] => Some(string(name, characters)?),
        _ => return Err(wrong_number(name, "0 to 1 arguments", arguments.len())),
    };
    let unwanted = |c: char| match characters {
        None => c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'),
        Some(characters) => characters.contains(c),
    };
    Ok(Value::text(match name {
        "strip" => text.trim_matches(unwanted),
        "lstrip" => text.trim_start_matches(unwanted),
        _ => text.trim_end_matches(unwanted),
    }))
}

fn justify(
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
        _ => return Err(wrong_number(name, "1 to 2 arguments", arguments.len())),
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

fn encode(evaluator: &mut Evaluator<'_>, text: &str, arguments: &[Value]) -> Result<Value> {
    let encoding = match arguments {
        [] => "utf-8",
        [encoding] => string("encode", encoding)?,
        _ => return Err(wrong_number("encode", "0 to 1 arguments", arguments.len())),
    };
    evaluator.budget.allocate(text.len())?;
    let highest = match encoding
        .to_ascii_lowercase()
        .replace(['-', '_'], "")
        .as_str()
    {
        "utf8" => return Ok(Value::Bytes(text.as_bytes().into())),
        "ascii" => 0x7f,
        "latin1" | "iso88591" => 0xff,
        _ => {
            let message = format!("there is no encoding `{encoding}`");
            return Err(Fault::bad_value(message)
                .with_hint_if(Some("there are `utf-8`, `ascii` and `latin-1`".to_owned())));
        }
    };
    let byte = |c: char| {
        u8::try_from(u32::from(c))
            .ok()
            .filter(|byte| *byte <= highest)
    };
    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
    let wrong = || {
        Fault::bad_value(format!(
            "the string has characters that `{encoding}` has not"
        ))
    };
    bytes
        .map(|bytes| Value::Bytes(bytes.into()))
        .ok_or_else(wrong)
}

fn split_lines(evaluator: &mut Evaluator<'_>, text: &str, arguments: &[Value]) -> Result<Value> {
    let keep = match arguments {
        [] => false,
        [keep] => keep.truth(),
        _ => {
            return Err(wrong_number(
                "splitlines",
                "0 to 1 arguments",
                arguments.len(),
            ));
        }
    };
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
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

fn expand_tabs(evaluator: &mut Evaluator<'_>, text: &str, arguments: &[Value]) -> Result<Value> {
    let size = match arguments {
        [] => 8,
        [size] => usize::try_from(whole("expandtabs", size)?.max(0)).unwrap_or(usize::MAX),
        _ => {
            return Err(wrong_number(
                "expandtabs",
                "0 to 1 arguments",
                arguments.len(),
            ));
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

fn format_map(evaluator: &mut Evaluator<'_>, text: &str, arguments: &[Value]) -> Result<Value> {
    let [Value::Dict(table)] = exactly::<1>("format_map", arguments)? else {
        return Err(Fault::wrong_type("method `format_map` takes a dict"));
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
