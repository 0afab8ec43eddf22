//! `translate` and `maketrans`: characters and bytes for others.

use std::sync::Arc;

use num_traits::ToPrimitive;

use super::budget::Fault;
use super::interpreter::Evaluator;
use super::methods::wrong_number;
use super::texts::string;
use super::value::{Table, Value};

type Result<T> = std::result::Result<T, Fault>;

/// `text.translate(table)`: a dict from characters' numbers to text, numbers or `None`.
pub(super) fn translate(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let [Value::Dict(table)] = arguments else {
        return Err(match arguments {
            [other] => Fault::wrong_type(format!(
                "method `translate` takes a dict but got {}",
                other.kind()
            )),
            _ => wrong_number("translate", "1 argument", arguments.len()),
        });
    };
    let mut out = String::new();
    for c in text.chars() {
        let key = Value::from(u64::from(u32::from(c)));
        let found = table.get(&key, evaluator.budget)?;
        let length = out.len();
        match found {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Str(part)) => {
                evaluator.budget.allocate(part.len())?;
                out.push_str(part);
            }
            Some(other) => out.push(character(other)?),
        }
        evaluator.budget.allocate(out.len() - length)?;
    }
    Ok(Value::from(out))
}

fn character(value: &Value) -> Result<char> {
    let Some(number) = value.as_integer() else {
        let message = format!(
            "a character is translated to text, a number or `None`, not to {}",
            value.kind()
        );
        return Err(Fault::wrong_type(message));
    };
    let character = number.to_u32().and_then(char::from_u32);
    character.ok_or_else(|| Fault::bad_value(format!("{} is no character", value.shown())))
}

/// `str.maketrans(dict)`, `str.maketrans(from, to[, without])`
pub(super) fn make_table(evaluator: &mut Evaluator<'_>, arguments: &[Value]) -> Result<Value> {
    let number = |c: char| Value::from(u64::from(u32::from(c)));
    let mut made = Table::default();
    match arguments {
        [Value::Dict(table)] => {
            for (key, value) in table.entries() {
                let key = match key {
                    Value::Str(text) => {
                        let mut characters = text.chars();
                        match (characters.next(), characters.next()) {
                            (Some(only), None) => number(only),
                            _ => return Err(Fault::bad_value("a key is one character")),
                        }
                    }
                    Value::Int(_) | Value::Bool(_) => key.clone(),
                    other => {
                        let message = format!("a key is one character, not {}", other.kind());
                        return Err(Fault::wrong_type(message));
                    }
                };
                made.insert(key, value.clone(), evaluator.budget)?;
            }
        }
        [other] => {
            return Err(Fault::wrong_type(format!(
                "method `maketrans` takes a dict but got {}",
                other.kind()
            )));
        }
        [from, to, rest @ ..] if rest.len() <= 1 => {
            let (from, to) = (string("maketrans", from)?, string("maketrans", to)?);
            if from.chars().count() != to.chars().count() {
                return Err(Fault::bad_value("both strings are equally long"));
            }
            for (from, to) in from.chars().zip(to.chars()) {
                made.insert(number(from), number(to), evaluator.budget)?;
            }
            if let Some(without) = rest.first() {
                for c in string("maketrans", without)?.chars() {
                    made.insert(number(c), Value::None, evaluator.budget)?;
                }
            }
        }
        _ => {
            return Err(wrong_number(
                "maketrans",
                "1 to 3 arguments",
                arguments.len(),
            ));
        }
    }
    Ok(Value::Dict(Arc::new(made)))
}

/// `bytes.maketrans(from, to)`: a byte for each of the 256.
pub(super) fn make_byte_table(arguments: &[Value]) -> Result<Value> {
    let [from, to] = arguments else {
        return Err(wrong_number("maketrans", "2 arguments", arguments.len()));
    };
    let (Value::Bytes(from), Value::Bytes(to)) = (from, to) else {
        return Err(Fault::wrong_type("method `maketrans` takes bytes"));
    };
    if from.len() != to.len() {
        return Err(Fault::bad_value("both are equally long"));
    }
    let mut table: Vec<u8> = (0..=u8::MAX).collect();
    for (from, to) in from.iter().zip(to.iter()) {
        table[usize::from(*from)] = *to;
    }
    Ok(Value::Bytes(table.into()))
}
