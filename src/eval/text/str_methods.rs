//! The methods of strings: one table. `format` is not in it, since it needs the evaluator.

use crate::eval::budget::{Budget, Fault, Result};
use crate::eval::call_arguments::{
    CallArguments, bounds, by_position, exactly, string, whole, wrong_number,
};
use crate::eval::text::encodings::encode;
use crate::eval::value::characters::{
    all_cased, alphabetic, alphanumeric, blank, capitalized, digit, titled,
};
use crate::eval::value::elements::elements;
use crate::eval::value::properties::Properties;
use crate::eval::value::repr::Repr;
use crate::eval::value::{Items, Value};

/// A call of a method.
struct StrCall<'a> {
    text: &'a str,
    name: &'static str,
    arguments: &'a [Value],
    properties: &'a dyn Properties,
    budget: &'a mut Budget,
}

/// The name of a method, the names that its arguments can have, and its code.
type StrMethod = (
    &'static str,
    &'static [&'static str],
    fn(&mut StrCall<'_>) -> Result<Value>,
);

/// Every method, sorted by name.
const METHODS: &[StrMethod] = &[
    ("capitalize", &[], |call| call.changed(capitalized)),
    ("center", &[], justify),
    ("count", &[], find),
    ("encode", &["encoding", "errors"], |call| {
        if call.arguments.len() > 2 {
            return Err(call.wrong_number(0, 2));
        }
        encode(call.text, call.arguments, call.budget)
    }),
    ("endswith", &[], starts),
    ("find", &[], find),
    ("index", &[], find),
    ("isalnum", &[], |call| call.every(alphanumeric)),
    ("isalpha", &[], |call| call.every(alphabetic)),
    ("isascii", &[], |call| call.test(str::is_ascii)),
    ("isdigit", &[], |call| call.every(digit)),
    ("islower", &[], |call| {
        call.test(|text| all_cased(text, char::is_lowercase))
    }),
    ("isspace", &[], |call| call.every(blank)),
    ("isupper", &[], |call| {
        call.test(|text| all_cased(text, char::is_uppercase))
    }),
    ("join", &[], join),
    ("ljust", &[], justify),
    ("lower", &[], |call| call.changed(str::to_lowercase)),
    ("lstrip", &[], strip),
    ("partition", &[], partition),
    ("removeprefix", &[], |call| {
        let [prefix] = exactly(call.name, call.arguments)?;
        let rest = call.text.strip_prefix(string(call.name, prefix)?);
        Ok(Value::text(rest.unwrap_or(call.text)))
    }),
    ("removesuffix", &[], |call| {
        let [suffix] = exactly(call.name, call.arguments)?;
        let rest = call.text.strip_suffix(string(call.name, suffix)?);
        Ok(Value::text(rest.unwrap_or(call.text)))
    }),
    ("replace", &[], replace),
    ("rfind", &[], find),
    ("rindex", &[], find),
    ("rjust", &[], justify),
    ("rpartition", &[], partition),
    ("rsplit", &["sep", "maxsplit"], split),
    ("rstrip", &[], strip),
    ("split", &["sep", "maxsplit"], split),
    ("splitlines", &["keepends"], split_lines),
    ("startswith", &[], starts),
    ("strip", &[], strip),
    ("title", &[], |call| call.changed(titled)),
    ("upper", &[], |call| call.changed(str::to_uppercase)),
    ("zfill", &[], justify),
];

/// The names of all methods but `format`.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|row| row.0)
}

/// `text.name(arguments)`, for one of the [`names`].
pub(crate) fn call(
    text: &str,
    name: &str,
    arguments: CallArguments,
    properties: &dyn Properties,
    budget: &mut Budget,
) -> Result<Value> {
    let known = METHODS.iter().find(|row| row.0 == name);
    let Some((name, named, run)) = known else {
        // Only names of the table become methods.
        return Ok(Value::None);
    };
    budget.step(text.len() / 64)?;
    let arguments = &by_position(name, named, arguments)?;
    run(&mut StrCall {
        text,
        name,
        arguments,
        properties,
        budget,
    })
}

impl StrCall<'_> {
    fn wrong_number(&self, least: usize, most: usize) -> Fault {
        wrong_number(self.name, least..=most, self.arguments.len())
    }

    /// The text after a change, by a method without arguments.
    fn changed(&mut self, change: fn(&str) -> String) -> Result<Value> {
        let [] = exactly(self.name, self.arguments)?;
        self.budget.allocate(3 * self.text.len())?;
        Ok(Value::from(change(self.text)))
    }

    /// Whether the text passes a test, by a method without arguments.
    fn test(&self, test: fn(&str) -> bool) -> Result<Value> {
        let [] = exactly(self.name, self.arguments)?;
        Ok(Value::Bool(test(self.text)))
    }

    /// Whether there are characters and all of them pass a test.
    fn every(&self, test: fn(char) -> bool) -> Result<Value> {
        let [] = exactly(self.name, self.arguments)?;
        let passed = !self.text.is_empty() && self.text.chars().all(test);
        Ok(Value::Bool(passed))
    }

    /// A list of parts of the text.
    fn listed(&mut self, parts: &[&str]) -> Result<Value> {
        let bytes: usize = parts.iter().map(|part| part.len() + 24).sum();
        self.budget.allocate(bytes)?;
        let parts = parts.iter().map(|part| Value::text(part)).collect();
        Ok(Value::List(Items::new(parts, self.budget)?))
    }

    /// Pays for a list of parts of the text before it is created.
    fn room_for(&mut self, parts: usize) -> Result<()> {
        let bytes = parts.saturating_mul(size_of::<&str>());
        self.budget.allocate(bytes)
    }

    /// The part of the text in a range of characters; `None` if it begins behind the end.
    fn part(&self, range: &[Value]) -> Result<Option<&str>> {
        if range.is_empty() {
            return Ok(Some(self.text));
        }
        let length = self.text.chars().count();
        let (start, stop) = bounds(range, length)?;
        if start > stop || start > length {
            return Ok(None);
        }
        let at = |place: usize| {
            let mut places = self.text.char_indices();
            places.nth(place).map_or(self.text.len(), |(at, _)| at)
        };
        Ok(self.text.get(at(start)..at(stop)))
    }
}

/// `startswith`, `endswith`
fn starts(call: &mut StrCall<'_>) -> Result<Value> {
    let [parts, range @ ..] = call.arguments else {
        return Err(call.wrong_number(1, 3));
    };
    if range.len() > 2 {
        return Err(call.wrong_number(1, 3));
    }
    let text = call.part(range)?;
    let parts = match parts {
        Value::Tuple(parts) => &parts[..],
        one => std::slice::from_ref(one),
    };
    for part in parts {
        let part = string(call.name, part)?;
        let found = text.is_some_and(|text| match call.name {
            "startswith" => text.starts_with(part),
            _ => text.ends_with(part),
        });
        if found {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// The number of places where a part is found: an empty one is before and behind each character.
fn occurrences(text: &str, part: &str) -> usize {
    match part.is_empty() {
        true => text.chars().count() + 1,
        false => text.matches(part).count(),
    }
}

/// `find`, `rfind`, `index`, `rindex`, `count`
fn find(call: &mut StrCall<'_>) -> Result<Value> {
    let [part, range @ ..] = call.arguments else {
        return Err(call.wrong_number(1, 3));
    };
    if range.len() > 2 {
        return Err(call.wrong_number(1, 3));
    }
    let part = string(call.name, part)?;
    let within = call.part(range)?;
    if call.name == "count" {
        return Ok(Value::from(
            within.map_or(0, |text| occurrences(text, part)),
        ));
    }
    let found = within.and_then(|within| {
        let at = match call.name.starts_with('r') {
            true => within.rfind(part),
            false => within.find(part),
        };
        Some(within[..at?].chars().count())
    });
    let start = bounds(range, call.text.chars().count())?.0;
    match found {
        Some(place) => Ok(Value::from(start + place)),
        None if call.name.ends_with("find") => Ok(Value::from(-1i64)),
        None => {
            let shown = Value::text(part).shown();
            Err(Fault::bad_value(format!("{shown} is not in the string")))
        }
    }
}

fn replace(call: &mut StrCall<'_>) -> Result<Value> {
    let (old, new, count) = match call.arguments {
        [old, new] => (old, new, -1),
        [old, new, count] => (old, new, whole(call.name, count)?),
        _ => return Err(call.wrong_number(2, 3)),
    };
    let (old, new) = (string(call.name, old)?, string(call.name, new)?);
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let found = occurrences(call.text, old).min(most);
    let bytes = found.saturating_mul(new.len());
    call.budget
        .allocate(call.text.len().saturating_add(bytes))?;
    Ok(Value::from(call.text.replacen(old, new, most)))
}

fn join(call: &mut StrCall<'_>) -> Result<Value> {
    let [values] = exactly(call.name, call.arguments)?;
    let values = elements(values, call.properties, call.budget)?;
    let mut joined = String::new();
    for (place, value) in values.iter().enumerate() {
        let Value::Str(part) = value else {
            let kind = value.kind();
            let message = format!("method `join` takes strings but got {kind} among them");
            return Err(Fault::wrong_type(message));
        };
        call.budget.allocate(part.len() + call.text.len())?;
        if place > 0 {
            joined.push_str(call.text);
        }
        joined.push_str(part);
    }
    Ok(Value::from(joined))
}

/// A string that separates parts.
fn separator<'a>(call: &StrCall<'_>, value: &'a Value) -> Result<&'a str> {
    match string(call.name, value)? {
        "" => Err(Fault::bad_value("the separator is empty")),
        separator => Ok(separator),
    }
}

/// `split`, `rsplit`
fn split(call: &mut StrCall<'_>) -> Result<Value> {
    if call.arguments.len() > 2 {
        return Err(call.wrong_number(0, 2));
    }
    let right = call.name == "rsplit";
    let most = match call.arguments.get(1) {
        None | Some(Value::None) => usize::MAX,
        Some(most) => usize::try_from(whole(call.name, most)?).unwrap_or(usize::MAX),
    };
    let parts: Vec<&str> = match call.arguments.first() {
        None | Some(Value::None) => {
            let words = call.text.split(blank).filter(|word| !word.is_empty());
            call.room_for(words.count().min(most))?;
            words_of(call.text, right, most)
        }
        Some(value) => {
            let separator = separator(call, value)?;
            call.room_for(call.text.matches(separator).count().min(most))?;
            let most = most.saturating_add(1);
            if right {
                let mut parts: Vec<&str> = call.text.rsplitn(most, separator).collect();
                parts.reverse();
                parts
            } else {
                call.text.splitn(most, separator).collect()
            }
        }
    };
    call.listed(&parts)
}

/// The parts between runs of white space; after `most` splits the rest keeps its inner white space.
fn words_of(text: &str, right: bool, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = match right {
        true => text.trim_end_matches(blank),
        false => text.trim_start_matches(blank),
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

/// `partition`, `rpartition`
fn partition(call: &mut StrCall<'_>) -> Result<Value> {
    let [value] = exactly(call.name, call.arguments)?;
    let (text, separator) = (call.text, separator(call, value)?);
    let parts = match call.name {
        "partition" => text
            .split_once(separator)
            .map_or([text, "", ""], |(before, after)| [before, separator, after]),
        _ => text
            .rsplit_once(separator)
            .map_or(["", "", text], |(before, after)| [before, separator, after]),
    };
    call.budget.allocate(text.len())?;
    let parts = parts.iter().map(|part| Value::text(part)).collect();
    Ok(Value::Tuple(Items::new(parts, call.budget)?))
}

fn split_lines(call: &mut StrCall<'_>) -> Result<Value> {
    let keep = match call.arguments {
        [] => false,
        [keep] => keep.truth(),
        _ => return Err(call.wrong_number(0, 1)),
    };
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    call.room_for(call.text.matches(ends).count())?;
    let mut lines = Vec::new();
    let mut rest = call.text;
    while !rest.is_empty() {
        let at = rest.find(ends).unwrap_or(rest.len());
        let width = match rest[at..].starts_with("\r\n") {
            true => 2,
            false => rest[at..].chars().next().map_or(0, char::len_utf8),
        };
        lines.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    call.listed(&lines)
}

/// `strip`, `lstrip`, `rstrip`
fn strip(call: &mut StrCall<'_>) -> Result<Value> {
    let characters = match call.arguments {
        [] | [Value::None] => None,
        [characters] => Some(string(call.name, characters)?),
        _ => return Err(call.wrong_number(0, 1)),
    };
    let unwanted = |c: char| match characters {
        None => blank(c),
        Some(characters) => characters.contains(c),
    };
    Ok(Value::text(match call.name {
        "strip" => call.text.trim_matches(unwanted),
        "lstrip" => call.text.trim_start_matches(unwanted),
        _ => call.text.trim_end_matches(unwanted),
    }))
}

/// `center`, `ljust`, `rjust`, `zfill`
fn justify(call: &mut StrCall<'_>) -> Result<Value> {
    let (text, name) = (call.text, call.name);
    let (width, fill) = match call.arguments {
        [width] => (width, ' '),
        [width, fill] if name != "zfill" => {
            let mut characters = string(name, fill)?.chars();
            let (Some(fill), None) = (characters.next(), characters.next()) else {
                let message = format!("method `{name}` fills with one character");
                return Err(Fault::wrong_type(message));
            };
            (width, fill)
        }
        _ => return Err(call.wrong_number(1, 2)),
    };
    let width = usize::try_from(whole(name, width)?.max(0)).unwrap_or(usize::MAX);
    let missing = width.saturating_sub(text.chars().count());
    let bytes = missing.saturating_mul(fill.len_utf8());
    call.budget.allocate(text.len().saturating_add(bytes))?;
    let blanks = |count: usize| fill.to_string().repeat(count);
    Ok(Value::from(match name {
        "ljust" => format!("{text}{}", blanks(missing)),
        "rjust" => format!("{}{text}", blanks(missing)),
        "zfill" => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        _ => {
            // As in CPython: an odd blank goes to the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", blanks(left), blanks(missing - left))
        }
    }))
}
