//! The methods of bytes: those of strings, of a text that stands for the bytes. Bytes that are ASCII stand for themselves;
//! each other one is a character for private use, which is neither letter nor digit nor blank, as it is to Python.

use std::sync::Arc;

use num_traits::ToPrimitive;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::calls::Arguments;
use crate::eval::evaluate::methods::{wrong_argument, wrong_number};
use crate::eval::text::encodings::decode;
use crate::eval::text::str_methods;
use crate::eval::text::str_methods::{exactly, whole};
use crate::eval::text::translation::make_byte_table;
use crate::eval::value::subscripts::elements;
use crate::eval::value::{Items, Value};

type Result<T> = std::result::Result<T, Fault>;

/// Their names, sorted.
pub(crate) const METHODS: &[&str] = &[
    "capitalize",
    "center",
    "count",
    "decode",
    "endswith",
    "expandtabs",
    "find",
    "fromhex",
    "hex",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
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

/// Where the characters begin that stand for bytes (Unicode's first private use area).
const PRIVATE: u32 = 0xe000;

/// What separates for strings but not for bytes.
fn only_for_text(byte: u8) -> bool {
    matches!(byte, 0x1c..=0x1f)
}

/// A text that stands for bytes; those that are hidden are no characters in it.
pub(crate) fn stand_in(bytes: &[u8], hidden: fn(u8) -> bool) -> String {
    let character = |byte: &u8| match *byte {
        byte if byte.is_ascii() && !hidden(byte) => char::from(byte),
        byte => char::from_u32(PRIVATE + u32::from(byte)).unwrap_or_default(),
    };
    bytes.iter().map(character).collect()
}

/// The bytes that a text stands for.
pub(crate) fn bytes_of(text: &str) -> Value {
    let byte = |c: char| {
        let code = u32::from(c);
        u8::try_from(code.checked_sub(PRIVATE).unwrap_or(code)).unwrap_or_default()
    };
    Value::Bytes(text.chars().map(byte).collect())
}

/// `bytes.name(arguments)`
pub(crate) fn call(
    evaluator: &mut Evaluator<'_>,
    bytes: &Arc<[u8]>,
    name: &str,
    arguments: Arguments,
) -> Result<Value> {
    evaluator.budget.allocate(3 * bytes.len())?;
    let given = str_methods::by_position(name, arguments)?;
    match name {
        "decode" if given.len() <= 2 => return decode(bytes, &given, evaluator.budget),
        "decode" => return Err(wrong_number(name, 0..=2, given.len())),
        "hex" => return hexadecimal(evaluator, bytes, &given),
        "fromhex" => {
            let [text] = exactly(name, &given)?;
            return from_hexadecimal(evaluator, str_methods::string(name, text)?);
        }
        "translate" => return translate(bytes, &given),
        "maketrans" => return make_byte_table(&given),
        "isascii" if given.is_empty() => return Ok(Value::Bool(bytes.is_ascii())),
        _ => {}
    }
    let searches = matches!(name, "find" | "rfind" | "index" | "rindex" | "count");
    let mut positional = Vec::with_capacity(given.len());
    for (place, argument) in given.iter().enumerate() {
        positional.push(match argument {
            Value::Str(_) => return Err(takes_bytes(name, argument)),
            parts if name == "join" => {
                let parts = elements(parts, evaluator.properties, evaluator.budget)?;
                all_stand_in(evaluator, name, &parts)?
            }
            Value::Bytes(part) => Value::from(stand_in(part, only_for_text)),
            Value::Int(_) | Value::Bool(_) if searches && place == 0 => {
                Value::from(stand_in(&[byte(argument)?], only_for_text))
            }
            Value::Tuple(parts) if matches!(name, "startswith" | "endswith") && place == 0 => {
                all_stand_in(evaluator, name, parts)?
            }
            other => other.clone(),
        });
    }
    let text = if name == "splitlines" {
        stand_in(bytes, |byte| {
            only_for_text(byte) || matches!(byte, 0x0b | 0x0c)
        })
    } else {
        stand_in(bytes, only_for_text)
    };
    let arguments = Arguments {
        positional,
        named: Vec::new(),
    };
    // Not found is said of the bytes as they are.
    if name.ends_with("index") {
        let search = if name == "index" { "find" } else { "rfind" };
        let found =
            str_methods::call(evaluator, &text.into(), search, arguments).map_err(of_bytes)?;
        return match found == Value::from(-1i64) {
            false => Ok(found),
            true => {
                let part = given.first().map(Value::shown).unwrap_or_default();
                Err(Fault::bad_value(format!("{part} is not in the bytes")))
            }
        };
    }
    let result = str_methods::call(evaluator, &text.into(), name, arguments).map_err(of_bytes)?;
    let back = |item: &Value| item.as_str().map_or_else(|| item.clone(), bytes_of);
    Ok(match &result {
        Value::List(items) => Value::List(Items::new(
            items.iter().map(back).collect(),
            evaluator.budget,
        )?),
        Value::Tuple(items) => Value::Tuple(Items::new(
            items.iter().map(back).collect(),
            evaluator.budget,
        )?),
        other => back(other),
    })
}

fn all_stand_in(evaluator: &mut Evaluator<'_>, name: &str, parts: &[Value]) -> Result<Value> {
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        let Value::Bytes(part) = part else {
            return Err(takes_bytes(name, part));
        };
        evaluator.budget.allocate(3 * part.len())?;
        texts.push(Value::from(stand_in(part, only_for_text)));
    }
    Ok(Value::Tuple(Items::new(texts, evaluator.budget)?))
}

fn takes_bytes(name: &str, got: &Value) -> Fault {
    wrong_argument(name, "bytes", got)
}

/// What a method of strings complains about, of bytes.
fn of_bytes(fault: Fault) -> Fault {
    match fault {
        Fault::Plain {
            code,
            message,
            hint,
        } => Fault::Plain {
            code,
            message: message
                .replace("takes a string ", "takes bytes ")
                .replace("an empty string separates", "an empty separator separates")
                .replace("with one character", "with one byte"),
            hint,
        },
        placed @ Fault::Placed(_) => placed,
    }
}

/// One byte, as a number.
pub(crate) fn byte(value: &Value) -> Result<u8> {
    let number = value.as_integer();
    let Some(number) = number else {
        let message = format!("bytes are made of whole numbers but got {}", value.kind());
        return Err(Fault::wrong_type(message));
    };
    number
        .to_u8()
        .ok_or_else(|| Fault::bad_value("a byte is a number from 0 to 255"))
}

/// `hex([separator[, every]])`: counted from the end, or from the start if `every` is negative.
fn hexadecimal(evaluator: &mut Evaluator<'_>, bytes: &[u8], arguments: &[Value]) -> Result<Value> {
    let (separator, every) = match arguments {
        [] | [Value::None] => (None, 1),
        [separator] => (Some(separator), 1),
        [separator, every] => (Some(separator), whole("hex", every)?),
        _ => return Err(wrong_number("hex", 0..=2, arguments.len())),
    };
    let separator = match separator {
        None | Some(Value::None) => None,
        Some(Value::Bytes(one)) if one.len() == 1 && one.is_ascii() => Some(char::from(one[0])),
        Some(Value::Str(one)) if one.len() == 1 => Some(char::from(one.as_bytes()[0])),
        Some(Value::Bytes(_) | Value::Str(_)) => {
            return Err(Fault::bad_value("a separator is one ASCII character"));
        }
        Some(other) => return Err(takes_bytes("hex", other)),
    };
    evaluator.budget.allocate(3 * bytes.len())?;
    let group = usize::try_from(every.unsigned_abs()).unwrap_or(usize::MAX);
    let mut text = String::new();
    for (place, byte) in bytes.iter().enumerate() {
        let counted = if every < 0 {
            place
        } else {
            bytes.len() - place
        };
        if let Some(separator) = separator
            && place > 0
            && group > 0
            && counted % group == 0
        {
            text.push(separator);
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(Value::from(text))
}

/// `bytes.fromhex('00 ff')`
fn from_hexadecimal(evaluator: &mut Evaluator<'_>, text: &str) -> Result<Value> {
    evaluator.budget.allocate(text.len())?;
    let bad = || Fault::bad_value(format!("{} is not hexadecimal", Value::text(text).shown()));
    let mut bytes = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    while !rest.is_empty() {
        let pair = rest.get(..2).ok_or_else(bad)?;
        let digits = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(pair, 16).ok().filter(|_| digits);
        bytes.push(byte.ok_or_else(bad)?);
        rest = rest[2..].trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    }
    Ok(Value::Bytes(bytes.into()))
}

/// `translate(table[, delete])`: a table has a byte for each of the 256.
fn translate(bytes: &[u8], arguments: &[Value]) -> Result<Value> {
    let (table, delete) = match arguments {
        [table] => (table, None),
        [table, Value::Bytes(delete)] => (table, Some(delete)),
        [_, other] => return Err(takes_bytes("translate", other)),
        _ => {
            return Err(wrong_number("translate", 1..=2, arguments.len()));
        }
    };
    let table = match table {
        Value::None => None,
        Value::Bytes(table) if table.len() == 256 => Some(table),
        Value::Bytes(_) => return Err(Fault::bad_value("a table has 256 bytes")),
        other => return Err(takes_bytes("translate", other)),
    };
    let kept = bytes
        .iter()
        .filter(|byte| !delete.is_some_and(|delete| delete.contains(byte)));
    let translated = kept.map(|byte| match table {
        Some(table) => table.get(usize::from(*byte)).copied().unwrap_or(*byte),
        None => *byte,
    });
    Ok(Value::Bytes(translated.collect()))
}
