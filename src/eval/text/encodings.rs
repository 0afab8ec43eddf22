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

/// The name of an encoding as Python writes it, and its other names.
type EncodingRow = (&'static str, &'static [&'static str], Encoding);

const ENCODINGS: &[EncodingRow] = &[
    ("ascii", &["646", "us_ascii"], Encoding::SingleByte(0x7f)),
    (
        "latin-1",
        &[
            "8859",
            "cp819",
            "iso8859",
            "iso8859_1",
            "iso_8859_1",
            "l1",
            "latin",
            "latin1",
        ],
        Encoding::SingleByte(0xff),
    ),
    ("utf-16", &["u16", "utf16"], Encoding::Utf16(None)),
    ("utf-16-be", &["utf_16be"], Encoding::Utf16(Some(true))),
    ("utf-16-le", &["utf_16le"], Encoding::Utf16(Some(false))),
    ("utf-8", &["u8", "utf", "utf8"], Encoding::Utf8),
];

const MARK: char = '\u{feff}';

/// What happens to a character or byte that the encoding lacks.
#[derive(Clone, Copy)]
enum OnError {
    Strict,
    Ignore,
    Replace,
}

/// An encoding's name with `_` wherever its parts are separated.
fn normalized(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

fn encoding(name: &str) -> Result<&'static EncodingRow> {
    let wanted = normalized(name);
    let called =
        |row: &&EncodingRow| normalized(row.0) == wanted || row.1.contains(&wanted.as_str());
    ENCODINGS.iter().find(called).ok_or_else(|| {
        let names = ENCODINGS.iter().map(|row| row.0);
        let hint = match nearest(name, names.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are `{}`", names.collect::<Vec<_>>().join("`, `")),
        };
        Fault::bad_value(format!("there is no encoding {}", quoted(name))).with_hint_if(Some(hint))
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
fn options(method: &str, arguments: &[Value]) -> Result<(&'static EncodingRow, OnError)> {
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
    let ((name, _, encoding), errors) = options("encode", arguments)?;
    // No character takes more than four bytes.
    budget.allocate(4 * text.len())?;
    let mut bytes = Vec::with_capacity(text.len());
    match *encoding {
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
    let ((name, _, encoding), errors) = options("decode", arguments)?;
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
    match *encoding {
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
