//! Text to bytes and back, by Python's names of encodings
//! (<https://docs.python.org/3/library/codecs.html#standard-encodings>).

use crate::eval::budget::{Budget, Fault};
use crate::eval::text::str_methods::string;
use crate::eval::value::Value;
use crate::syntax::{nearest, quoted};

type Result<T> = std::result::Result<T, Fault>;

/// How characters are told from bytes.
#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    /// One byte a character; those of a table apart, each up to this one stands for itself.
    Bytes(u8, &'static [(u8, Option<char>)]),
    /// Units of so many bytes, 2 or 4; `true` if the first byte is the highest.
    Units(usize, bool),
}

/// An encoding's name as Python writes it, its other names, what it is, and whether text begins with a byte-order mark.
type Row = (&'static str, &'static [&'static str], Encoding, bool);

const ENCODINGS: &[Row] = &[
    (
        "ascii",
        &["646", "us_ascii"],
        Encoding::Bytes(0x7f, &[]),
        false,
    ),
    (
        "cp1252",
        &["1252", "windows_1252"],
        Encoding::Bytes(0xff, CP1252),
        false,
    ),
    (
        "iso8859-15",
        &["iso_8859_15", "l9", "latin9", "latin_9"],
        Encoding::Bytes(0xff, ISO_8859_15),
        false,
    ),
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
        Encoding::Bytes(0xff, &[]),
        false,
    ),
    ("utf-16", &["u16", "utf16"], Encoding::Units(2, false), true),
    ("utf-16-be", &["utf_16be"], Encoding::Units(2, true), false),
    ("utf-16-le", &["utf_16le"], Encoding::Units(2, false), false),
    ("utf-32", &["u32", "utf32"], Encoding::Units(4, false), true),
    ("utf-32-be", &["utf_32be"], Encoding::Units(4, true), false),
    ("utf-32-le", &["utf_32le"], Encoding::Units(4, false), false),
    ("utf-8", &["u8", "utf", "utf8"], Encoding::Utf8, false),
    ("utf-8-sig", &[], Encoding::Utf8, true),
];

/// Where Windows-1252 is not Latin-1.
const CP1252: &[(u8, Option<char>)] = &[
    (0x80, Some('€')),
    (0x81, None),
    (0x82, Some('‚')),
    (0x83, Some('ƒ')),
    (0x84, Some('„')),
    (0x85, Some('…')),
    (0x86, Some('†')),
    (0x87, Some('‡')),
    (0x88, Some('ˆ')),
    (0x89, Some('‰')),
    (0x8a, Some('Š')),
    (0x8b, Some('‹')),
    (0x8c, Some('Œ')),
    (0x8d, None),
    (0x8e, Some('Ž')),
    (0x8f, None),
    (0x90, None),
    (0x91, Some('‘')),
    (0x92, Some('’')),
    (0x93, Some('“')),
    (0x94, Some('”')),
    (0x95, Some('•')),
    (0x96, Some('–')),
    (0x97, Some('—')),
    (0x98, Some('˜')),
    (0x99, Some('™')),
    (0x9a, Some('š')),
    (0x9b, Some('›')),
    (0x9c, Some('œ')),
    (0x9d, None),
    (0x9e, Some('ž')),
    (0x9f, Some('Ÿ')),
];

/// Where ISO 8859-15 is not Latin-1.
const ISO_8859_15: &[(u8, Option<char>)] = &[
    (0xa4, Some('€')),
    (0xa6, Some('Š')),
    (0xa8, Some('š')),
    (0xb4, Some('Ž')),
    (0xb8, Some('ž')),
    (0xbc, Some('Œ')),
    (0xbd, Some('œ')),
    (0xbe, Some('Ÿ')),
];

const MARK: char = '\u{feff}';

/// What becomes of characters or bytes that an encoding has not.
#[derive(Clone, Copy)]
enum Errors {
    Strict,
    Ignore,
    Replace,
    /// `\xff`
    Backslash,
    /// `&#255;`, of characters only.
    Xml,
}

const ERRORS: &[(&str, Errors)] = &[
    ("backslashreplace", Errors::Backslash),
    ("ignore", Errors::Ignore),
    ("replace", Errors::Replace),
    ("strict", Errors::Strict),
    ("xmlcharrefreplace", Errors::Xml),
];

/// A name as the table has it: whatever separates its parts.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

fn encoding(name: &str) -> Result<&'static Row> {
    let wanted = plain(name);
    let called = |row: &&Row| plain(row.0) == wanted || row.1.contains(&wanted.as_str());
    ENCODINGS.iter().find(called).ok_or_else(|| {
        let names = ENCODINGS.iter().map(|row| row.0);
        let hint = match nearest(name, names.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are `{}`", names.collect::<Vec<_>>().join("`, `")),
        };
        Fault::bad_value(format!("there is no encoding {}", quoted(name))).with_hint_if(Some(hint))
    })
}

fn errors(name: &str) -> Result<Errors> {
    match ERRORS.iter().find(|(known, _)| *known == name) {
        Some((_, errors)) => Ok(*errors),
        None => {
            let names: Vec<&str> = ERRORS.iter().map(|(known, _)| *known).collect();
            let hint = format!("there are `{}`", names.join("`, `"));
            let message = format!("errors cannot be handled by {}", quoted(name));
            Err(Fault::bad_value(message).with_hint_if(Some(hint)))
        }
    }
}

/// `[encoding[, errors]]`, as they were given.
fn how(called: &str, arguments: &[Value]) -> Result<(&'static Row, Errors)> {
    let name = match arguments.first() {
        None | Some(Value::None) => "utf-8",
        Some(name) => string(called, name)?,
    };
    let errors = match arguments.get(1) {
        None | Some(Value::None) => Errors::Strict,
        Some(name) => errors(string(called, name)?)?,
    };
    Ok((encoding(name)?, errors))
}

/// `text.encode([encoding[, errors]])`
pub(crate) fn encode(text: &str, arguments: &[Value], budget: &mut Budget) -> Result<Value> {
    let ((name, _, encoding, marked), errors) = how("encode", arguments)?;
    // A character may become four bytes, or what stands for it.
    budget.allocate(4 * text.len())?;
    let mut bytes = Vec::with_capacity(text.len());
    let mark = marked.then_some(MARK);
    for c in mark.into_iter().chain(text.chars()) {
        if push(*encoding, c, &mut bytes) {
            continue;
        }
        let code = u32::from(c);
        let instead = match errors {
            Errors::Strict => {
                let message = format!("`{name}` has no character `{c}`");
                return Err(Fault::bad_value(message));
            }
            Errors::Ignore => String::new(),
            Errors::Replace => "?".to_owned(),
            Errors::Backslash => crate::eval::text::percent::ascii(&c.to_string()),
            Errors::Xml => format!("&#{code};"),
        };
        budget.allocate(instead.len())?;
        bytes.extend_from_slice(instead.as_bytes());
    }
    Ok(Value::Bytes(bytes.into()))
}

/// Adds a character, if the encoding has it.
fn push(encoding: Encoding, c: char, bytes: &mut Vec<u8>) -> bool {
    match encoding {
        Encoding::Utf8 => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        Encoding::Bytes(highest, others) => {
            let byte = match others.iter().find(|(_, other)| *other == Some(c)) {
                Some((byte, _)) => Some(*byte),
                None => u8::try_from(u32::from(c)).ok().filter(|byte| {
                    *byte <= highest && others.iter().all(|(other, _)| other != byte)
                }),
            };
            bytes.extend(byte);
            return byte.is_some();
        }
        Encoding::Units(2, big) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                bytes.extend(if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                });
            }
        }
        Encoding::Units(_, big) => {
            let code = u32::from(c);
            bytes.extend(if big {
                code.to_be_bytes()
            } else {
                code.to_le_bytes()
            });
        }
    }
    true
}

/// `bytes.decode([encoding[, errors]])`
pub(crate) fn decode(bytes: &[u8], arguments: &[Value], budget: &mut Budget) -> Result<Value> {
    let ((name, _, encoding, marked), errors) = how("decode", arguments)?;
    budget.allocate(4 * bytes.len())?;
    let mut text = String::with_capacity(bytes.len());
    let (encoding, mut rest) = match marked {
        true => unmarked(*encoding, bytes),
        false => (*encoding, bytes),
    };
    while !rest.is_empty() {
        let length = match next(encoding, rest) {
            Ok((c, length)) => {
                text.push(c);
                length
            }
            Err(length) => {
                let bad = rest.get(..length).unwrap_or(rest);
                match errors {
                    Errors::Strict | Errors::Xml => {
                        let shown = Value::Bytes(bad.into()).shown();
                        let message = format!("{shown} is no character of `{name}`");
                        return Err(Fault::bad_value(message));
                    }
                    Errors::Ignore => {}
                    Errors::Replace => text.push(char::REPLACEMENT_CHARACTER),
                    Errors::Backslash => {
                        bad.iter()
                            .for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
                    }
                }
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(Value::from(text))
}

/// What stands behind a byte-order mark, and the encoding that the mark tells of.
fn unmarked(encoding: Encoding, bytes: &[u8]) -> (Encoding, &[u8]) {
    let orders = match encoding {
        Encoding::Units(width, _) => {
            &[Encoding::Units(width, false), Encoding::Units(width, true)][..]
        }
        other => &[other][..],
    };
    for order in orders {
        if let Ok((MARK, length)) = next(*order, bytes) {
            return (*order, &bytes[length..]);
        }
    }
    (encoding, bytes)
}

/// The first character and its length in bytes, or how many bytes are none.
fn next(encoding: Encoding, bytes: &[u8]) -> std::result::Result<(char, usize), usize> {
    match encoding {
        Encoding::Utf8 => {
            let near = bytes.get(..4).unwrap_or(bytes);
            let Some(chunk) = near.utf8_chunks().next() else {
                return Err(1);
            };
            match chunk.valid().chars().next() {
                Some(c) => Ok((c, c.len_utf8())),
                None => Err(chunk.invalid().len()),
            }
        }
        Encoding::Bytes(highest, others) => {
            let Some(&byte) = bytes.first() else {
                return Err(1);
            };
            let c = match others.iter().find(|(other, _)| *other == byte) {
                Some((_, other)) => *other,
                None => Some(char::from(byte)).filter(|_| byte <= highest),
            };
            c.map(|c| (c, 1)).ok_or(1)
        }
        Encoding::Units(2, big) => {
            let unit = |at: usize| {
                let pair = [*bytes.get(at)?, *bytes.get(at + 1)?];
                Some(if big {
                    u16::from_be_bytes(pair)
                } else {
                    u16::from_le_bytes(pair)
                })
            };
            let first = unit(0).ok_or(bytes.len())?;
            let units = [Some(first), unit(2)];
            match char::decode_utf16(units.into_iter().flatten()).next() {
                Some(Ok(c)) => Ok((c, 2 * c.len_utf16())),
                // The first half of a pair, and the end.
                _ if (0xd800..0xdc00).contains(&first) && bytes.len() < 4 => Err(bytes.len()),
                _ => Err(2),
            }
        }
        Encoding::Units(_, big) => {
            let Some(&unit) = bytes.first_chunk::<4>() else {
                return Err(bytes.len());
            };
            let code = if big {
                u32::from_be_bytes(unit)
            } else {
                u32::from_le_bytes(unit)
            };
            char::from_u32(code).map(|c| (c, 4)).ok_or(4)
        }
    }
}
