//! The methods of strings.

use std::sync::Arc;

use num_traits::ToPrimitive;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::Arguments;
use crate::eval::evaluate::methods::{wrong_argument, wrong_number};
use crate::eval::evaluate::templates;
use crate::eval::text::encodings::encode;
use crate::eval::text::split::{
    expand_tabs, find, format_map, join, justify, partition, replace, split, split_lines, starts,
    strip,
};
use crate::eval::text::translation::{make_table, translate};
use crate::eval::value::Value;
use crate::eval::value::characters::{
    all_cased, alphabetic, alphanumeric, blank, capitalized, decimal, digit, folded, is_identifier,
    is_titled, numeric, printable, swapped, titled,
};

type Result<T> = std::result::Result<T, Fault>;

/// Their names, sorted.
pub(crate) const METHODS: &[&str] = &[
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
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
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
    "translate",
    "upper",
    "zfill",
];

/// What methods call their arguments, where they can be given by name.
const NAMED: &[(&str, &[&str])] = &[
    ("split", &["sep", "maxsplit"]),
    ("rsplit", &["sep", "maxsplit"]),
    ("splitlines", &["keepends"]),
    ("expandtabs", &["tabsize"]),
    ("encode", &["encoding", "errors"]),
    ("decode", &["encoding", "errors"]),
    ("hex", &["sep", "bytes_per_sep"]),
    ("translate", &["table", "delete"]),
];

/// `text.name(arguments)`
pub(crate) fn call(
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
        "encode" if arguments.len() <= 2 => return encode(text, &arguments, evaluator.budget),
        "encode" => return Err(wrong_number(name, 0..=2, arguments.len())),
        "translate" => return translate(evaluator, text, &arguments),
        "maketrans" => return make_table(evaluator, &arguments),
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
        return Err(wrong_number(name, 0..=0, arguments.len()));
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
        "casefold" => Value::from(folded(text)),
        "capitalize" => Value::from(capitalized(text)),
        "title" => Value::from(titled(text)),
        "swapcase" => Value::from(swapped(text)),
        "isalnum" => every(alphanumeric),
        "isalpha" => every(alphabetic),
        "isascii" => Value::Bool(text.is_ascii()),
        "isdecimal" => every(decimal),
        "isdigit" => every(digit),
        "isnumeric" => every(numeric),
        "isprintable" => Value::Bool(text.chars().all(printable)),
        "isspace" => every(blank),
        "istitle" => Value::Bool(is_titled(text)),
        "isidentifier" => Value::Bool(is_identifier(text)),
        "islower" => Value::Bool(all_cased(text, char::is_lowercase)),
        _ => Value::Bool(all_cased(text, char::is_uppercase)),
    }
}

pub(crate) fn by_position(name: &str, arguments: Arguments) -> Result<Vec<Value>> {
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

pub(crate) fn exactly<'a, const N: usize>(
    name: &str,
    arguments: &'a [Value],
) -> Result<&'a [Value; N]> {
    <&[Value; N]>::try_from(arguments).map_err(|_| wrong_number(name, N..=N, arguments.len()))
}

pub(crate) fn string<'a>(name: &str, value: &'a Value) -> Result<&'a str> {
    let text = value.as_str();
    text.ok_or_else(|| wrong_argument(name, "a string", value))
}

pub(crate) fn whole(name: &str, value: &Value) -> Result<i64> {
    let number = value.as_integer();
    let number = number.ok_or_else(|| wrong_argument(name, "a whole number", value))?;
    Ok(number
        .to_i64()
        .unwrap_or(if number.sign() == num_bigint::Sign::Minus {
            i64::MIN
        } else {
            i64::MAX
        }))
}

/// Start and stop, as `find` and `index` take them, in a sequence of some length.
pub(crate) fn bounds(arguments: &[Value], length: usize) -> Result<(usize, usize)> {
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
