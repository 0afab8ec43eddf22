//! `translate` and `maketrans`: characters and bytes for others.

use std::sync::Arc;

use num_traits::ToPrimitive;

use crate::eval::budget::Fault;
use crate::eval::evaluate::Evaluator;
use crate::eval::evaluate::methods::{wrong_argument, wrong_number};
use crate::eval::text::str_methods::{exactly, string};
use crate::eval::value::{Table, Value};

type Result<T> = std::result::Result<T, Fault>;

/// `text.translate(table)`: a dict from characters' numbers to text, numbers or `None`.
pub(crate) fn translate(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &[Value],
) -> Result<Value> {
    let [Value::Dict(table)] = arguments else {
        return Err(match arguments {
            [other] => wrong_argument("translate", "a dict", other),
            _ => wrong_number("translate", 1..=1, arguments.len()),
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
pub(crate) fn make_table(evaluator: &mut Evaluator<'_>, arguments: &[Value]) -> Result<Value> {
    let number = |c: char| Value::from(u64::from(u32::from(c)));
    let mut made = Table::default();
    match arguments {
        [Value::Dict(table)] => {
            for (key, value) in table.entries() {
                let message = || format!("a key is one character, not {}", key.shown());
                let key = match key {
                    Value::Str(text) => {
                        let mut characters = text.chars();
                        match (characters.next(), characters.next()) {
                            (Some(only), None) => number(only),
                            _ => return Err(Fault::bad_value(message())),
                        }
                    }
                    Value::Int(_) | Value::Bool(_) => key.clone(),
                    _ => return Err(Fault::wrong_type(message())),
                };
                made.insert(key, value.clone(), evaluator.budget)?;
            }
        }
        [other] => return Err(wrong_argument("maketrans", "a dict", other)),
        [from, to, rest @ ..] if rest.len() <= 1 => {
            let (from, to) = (string("maketrans", from)?, string("maketrans", to)?);
            same_length(from.chars().count(), to.chars().count())?;
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
            return Err(wrong_number("maketrans", 1..=3, arguments.len()));
        }
    }
    Ok(Value::Dict(Arc::new(made)))
}

fn same_length(from: usize, to: usize) -> Result<()> {
    if from == to {
        return Ok(());
    }
    let message =
        format!("method `maketrans` takes two of the same length but got {from} and {to}");
    Err(Fault::bad_value(message))
}

/// `bytes.maketrans(from, to)`: a byte for each of the 256.
pub(crate) fn make_byte_table(arguments: &[Value]) -> Result<Value> {
    let (from, to) = match exactly("maketrans", arguments)? {
        [Value::Bytes(from), Value::Bytes(to)] => (from, to),
        [Value::Bytes(_), other] | [other, _] => {
            return Err(wrong_argument("maketrans", "bytes", other));
        }
    };
    same_length(from.len(), to.len())?;
    let mut table: Vec<u8> = (0..=u8::MAX).collect();
    for (from, to) in from.iter().zip(to.iter()) {
        table[usize::from(*from)] = *to;
    }
    Ok(Value::Bytes(table.into()))
}
