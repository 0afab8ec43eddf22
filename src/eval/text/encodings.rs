//! Strings to bytes and back, by Python's names of encodings
//! (<https://docs.python.org/3/library/codecs.html#standard-encodings>).

use crate::eval::budget::{Budget, Fault, Result};
use crate::eval::call_arguments::string;
use crate::eval::value::Value;
use crate::eval::value::repr::Repr;
use crate::syntax::{nearest, quoted};

#[derive(Clone, Copy)]
enum Encoding {
    /// One byte for each character up to this one.
    SingleByte(u8),
    Utf8,
    /// With the first byte the highest or not; `None`: as the byte-order mark says.
    Utf16(Option<bool>),
}

/// The names of the encodings as Python writes them.
const NAMES: [&str; 6] = [
    "ascii",
    "latin-1",
    "utf-16",
    "utf-16-be",
    "utf-16-le",
    "utf-8",
];

const MARK: char = '\u{feff}';

/// What happens to a character or byte that the encoding lacks.
#[derive(Clone, Copy)]
enum OnError {
    Strict,
    Ignore,
    Replace,
}

/// The encoding with a name, and how Python writes that name.
fn encoding(name: &str) -> Result<(&'static str, Encoding)> {
    let lower = name.to_ascii_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    Ok(match parts.join("_").as_str() {
        "ascii" | "646" | "us_ascii" => ("ascii", Encoding::SingleByte(0x7f)),
        "latin_1" | "8859" | "cp819" | "iso8859" | "iso8859_1" | "iso_8859_1" | "l1" | "latin"
        | "latin1" => ("latin-1", Encoding::SingleByte(0xff)),
        "utf_16" | "u16" | "utf16" => ("utf-16", Encoding::Utf16(None)),
        "utf_16_be" | "utf_16be" => ("utf-16-be", Encoding::Utf16(Some(true))),
        "utf_16_le" | "utf_16le" => ("utf-16-le", Encoding::Utf16(Some(false))),
        "utf_8" | "u8" | "utf" | "utf8" => ("utf-8", Encoding::Utf8),
        _ => {
            let hint = match nearest(name, NAMES) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are `{}`", NAMES.join("`, `")),
            };
            let message = format!("there is no encoding {}", quoted(name));
            return Err(Fault::bad_value(message).with_hint_if(Some(hint)));
        }
    })
}

fn on_error(name: &str) -> Result<OnError> {
    match name {
        "strict" => Ok(OnError::Strict),
        "ignore" => Ok(OnError::Ignore),
        "replace" => Ok(OnError::Replace),
        other => {
            let message = format!("there is no error handler {}", quoted(other));
            let hint = "it is `ignore`, `replace` or `strict`".to_owned();
            Err(Fault::bad_value(message).with_hint_if(Some(hint)))
        }
    }
}

/// `[encoding[, errors]]`
fn options(method: &str, arguments: &[Value]) -> Result<((&'static str, Encoding), OnError)> {
    let given = |place: usize, default: &'static str| match arguments.get(place) {
        None | Some(Value::None) => Ok(default),
        Some(name) => string(method, name),
    };
    Ok((
        encoding(given(0, "utf-8")?)?,
        on_error(given(1, "strict")?)?,
    ))
}

/// `text.encode([encoding[, errors]])`
pub(crate) fn encode(text: &str, arguments: &[Value], budget: &mut Budget) -> Result<Value> {
    let ((name, encoding), errors) = options("encode", arguments)?;
    // No character takes more than four bytes.
    budget.allocate(4 * text.len())?;
    let mut bytes = Vec::with_capacity(text.len());
    match encoding {
        Encoding::Utf8 => bytes.extend_from_slice(text.as_bytes()),
        Encoding::SingleByte(highest) => {
            for c in text.chars() {
                match u8::try_from(c).ok().filter(|byte| *byte <= highest) {
                    Some(byte) => bytes.push(byte),
                    None => match errors {
                        OnError::Strict => {
                            let message = format!("`{name}` has no character `{c}`");
                            return Err(Fault::bad_value(message));
                        }
                        OnError::Ignore => {}
                        OnError::Replace => bytes.push(b'?'),
                    },
                }
            }
        }
        Encoding::Utf16(order) => {
            let mark = order.is_none().then_some(MARK);
            let mut units = [0; 2];
            for c in mark.into_iter().chain(text.chars()) {
                for unit in c.encode_utf16(&mut units) {
                    bytes.extend(match order {
                        Some(true) => unit.to_be_bytes(),
                        Some(false) | None => unit.to_le_bytes(),
                    });
                }
            }
        }
    }
    Ok(Value::Bytes(bytes.into()))
}

/// `bytes.decode([encoding[, errors]])`
pub(crate) fn decode(bytes: &[u8], arguments: &[Value], budget: &mut Budget) -> Result<Value> {
    let ((name, encoding), errors) = options("decode", arguments)?;
    budget.allocate(4 * bytes.len())?;
    let mut text = String::with_capacity(bytes.len());
    let undecodable = |bytes: &[u8], text: &mut String| match errors {
        OnError::Strict => {
            let shown = Value::Bytes(bytes.into()).shown();
            let message = format!("{shown} is not a character of `{name}`");
            Err(Fault::bad_value(message))
        }
        OnError::Ignore => Ok(()),
        OnError::Replace => {
            text.push(char::REPLACEMENT_CHARACTER);
            Ok(())
        }
    };
    match encoding {
        Encoding::Utf8 => {
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    undecodable(chunk.invalid(), &mut text)?;
                }
            }
        }
        Encoding::SingleByte(highest) => {
            for &byte in bytes {
                match byte <= highest {
                    true => text.push(char::from(byte)),
                    false => undecodable(&[byte], &mut text)?,
                }
            }
        }
        Encoding::Utf16(order) => {
            let (order, bytes) = match (order, bytes) {
                (Some(order), bytes) => (order, bytes),
                (None, [0xfe, 0xff, rest @ ..]) => (true, rest),
                (None, [0xff, 0xfe, rest @ ..] | rest) => (false, rest),
            };
            let mut pairs = bytes.chunks_exact(2);
            let units = pairs.by_ref().map(|pair| match order {
                true => u16::from_be_bytes([pair[0], pair[1]]),
                false => u16::from_le_bytes([pair[0], pair[1]]),
            });
            for decoded in char::decode_utf16(units) {
                match decoded.map_err(|error| error.unpaired_surrogate()) {
                    Ok(c) => text.push(c),
                    Err(unit) if order => undecodable(&unit.to_be_bytes(), &mut text)?,
                    Err(unit) => undecodable(&unit.to_le_bytes(), &mut text)?,
                }
            }
            if !pairs.remainder().is_empty() {
                undecodable(pairs.remainder(), &mut text)?;
            }
        }
    }
    Ok(Value::from(text))
}
