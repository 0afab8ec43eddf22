//! Text to bytes and back.

use super::budget::{Budget, Fault};
use super::texts::string;
use super::value::Value;
use crate::syntax::quoted;

type Result<T> = std::result::Result<T, Fault>;

/// How characters are told from bytes.
#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    /// One byte a character, up to this one.
    Bytes(u8),
}

/// What becomes of characters or bytes that an encoding has not.
#[derive(Clone, Copy)]
enum Errors {
    Strict,
    Ignore,
    Replace,
}

fn encoding(name: &str) -> Result<Encoding> {
    match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "utf8" => Ok(Encoding::Utf8),
        "ascii" => Ok(Encoding::Bytes(0x7f)),
        "latin1" | "iso88591" => Ok(Encoding::Bytes(0xff)),
        _ => Err(
            Fault::bad_value(format!("there is no encoding {}", quoted(name)))
                .with_hint_if(Some("there are `utf-8`, `ascii` and `latin-1`".to_owned())),
        ),
    }
}

fn errors(name: &str) -> Result<Errors> {
    match name {
        "strict" => Ok(Errors::Strict),
        "ignore" => Ok(Errors::Ignore),
        "replace" => Ok(Errors::Replace),
        _ => Err(
            Fault::bad_value(format!("errors cannot be handled by {}", quoted(name))).with_hint_if(
                Some("there are `strict`, `ignore` and `replace`".to_owned()),
            ),
        ),
    }
}

/// `[encoding[, errors]]`, as they were given.
fn how<'a>(called: &str, arguments: &'a [Value]) -> Result<(&'a str, Encoding, Errors)> {
    let name = match arguments.first() {
        None | Some(Value::None) => "utf-8",
        Some(name) => string(called, name)?,
    };
    let errors = match arguments.get(1) {
        None | Some(Value::None) => Errors::Strict,
        Some(name) => errors(string(called, name)?)?,
    };
    Ok((name, encoding(name)?, errors))
}

/// `text.encode([encoding[, errors]])`
pub(super) fn encode(text: &str, arguments: &[Value], budget: &mut Budget) -> Result<Value> {
    let (name, encoding, errors) = how("encode", arguments)?;
    budget.allocate(text.len())?;
    let highest = match encoding {
        Encoding::Utf8 => return Ok(Value::Bytes(text.as_bytes().into())),
        Encoding::Bytes(highest) => highest,
    };
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        let byte = u8::try_from(u32::from(c)).ok();
        match (byte.filter(|byte| *byte <= highest), errors) {
            (Some(byte), _) => bytes.push(byte),
            (None, Errors::Ignore) => {}
            (None, Errors::Replace) => bytes.push(b'?'),
            (None, Errors::Strict) => {
                let message = format!("the string has characters that {} has not", quoted(name));
                return Err(Fault::bad_value(message));
            }
        }
    }
    Ok(Value::Bytes(bytes.into()))
}

/// `bytes.decode([encoding[, errors]])`
pub(super) fn decode(bytes: &[u8], arguments: &[Value], budget: &mut Budget) -> Result<Value> {
    let (_, encoding, errors) = how("decode", arguments)?;
    budget.allocate(3 * bytes.len())?;
    let mut text = String::with_capacity(bytes.len());
    match encoding {
        Encoding::Utf8 => {
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                match errors {
                    _ if chunk.invalid().is_empty() => {}
                    Errors::Ignore => {}
                    Errors::Replace => text.push(char::REPLACEMENT_CHARACTER),
                    Errors::Strict => {
                        return Err(Fault::bad_value("the bytes are not UTF-8 text"));
                    }
                }
            }
        }
        Encoding::Bytes(highest) => {
            for byte in bytes {
                match errors {
                    _ if *byte <= highest => text.push(char::from(*byte)),
                    Errors::Ignore => {}
                    Errors::Replace => text.push(char::REPLACEMENT_CHARACTER),
                    Errors::Strict => {
                        return Err(Fault::bad_value("the bytes are not ASCII text"));
                    }
                }
            }
        }
    }
    Ok(Value::from(text))
}
