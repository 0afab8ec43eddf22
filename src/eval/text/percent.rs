//! `'%s' % value`: printf-style formatting
//! (<https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting>), of bytes, too (PEP 461).

use num_bigint::BigInt;

use crate::eval::budget::{Budget, Fault};
use crate::eval::number::arithmetic::{float_of, truncated};
use crate::eval::number::numerals;
use crate::eval::number::numerals::Numeral;
use crate::eval::text::byte_methods::{byte, bytes_of, stand_in};
use crate::eval::value::Value;
use crate::eval::value::repr::escape;

/// One conversion: `%-10.3s`.
#[derive(Default)]
struct Conversion {
    left: bool,
    plus: bool,
    blank: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// What is formatted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Text,
    /// Bytes, as a text that stands for them.
    Bytes,
}

/// Where the values come from.
struct Values<'a> {
    of: Of,
    all: &'a Value,
    items: &'a [Value],
    next: usize,
    named: bool,
}

impl<'a> Values<'a> {
    fn next(&mut self) -> Result<&'a Value, Fault> {
        // Behind a name there are only names.
        let value = self.items.get(self.next).filter(|_| !self.named);
        self.next += 1;
        value.ok_or_else(|| Fault::bad_value("there are fewer values than the format takes"))
    }
}

/// Formats.
///
/// # Errors
/// A format that is wrong, or values that do not fit it.
pub fn format(format: &str, value: &Value, budget: &mut Budget) -> Result<String, Fault> {
    filled(Of::Text, format, value, budget)
}

/// Formats bytes.
///
/// # Errors
/// The same.
pub fn format_bytes(format: &[u8], value: &Value, budget: &mut Budget) -> Result<Value, Fault> {
    budget.allocate(3 * format.len())?;
    let text = filled(Of::Bytes, &stand_in(format, |_| false), value, budget)?;
    budget.allocate(text.len())?;
    Ok(bytes_of(&text))
}

fn filled(of: Of, format: &str, value: &Value, budget: &mut Budget) -> Result<String, Fault> {
    let items = match value {
        Value::Tuple(items) => &items[..],
        other => std::slice::from_ref(other),
    };
    let mut values = Values {
        of,
        all: value,
        items,
        next: 0,
        named: false,
    };
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        budget.allocate(at)?;
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        rest = conversion(rest, &mut values, &mut out, budget)?;
    }
    budget.allocate(rest.len())?;
    out.push_str(rest);
    let unused = values.next < values.items.len() && !values.named;
    // What could be indexed may hold more than is asked for.
    let indexed = match value {
        Value::Dict(_) | Value::List(_) | Value::Range(..) => true,
        Value::Bytes(_) => of == Of::Text,
        _ => false,
    };
    if unused && !indexed {
        return Err(Fault::bad_value(
            "there are more values than the format takes",
        ));
    }
    Ok(out)
}

/// Reads one conversion behind its `%`, and gives what follows it.
fn conversion<'f>(
    mut rest: &'f str,
    values: &mut Values<'_>,
    out: &mut String,
    budget: &mut Budget,
) -> Result<&'f str, Fault> {
    budget.step(1)?;
    if let Some(rest) = rest.strip_prefix('%') {
        out.push('%');
        return Ok(rest);
    }
    let mut named = None;
    if rest.starts_with('(') {
        let end =
            name_end(rest).ok_or_else(|| Fault::bad_value("a name in the format has no `)`"))?;
        let Value::Dict(table) = values.all else {
            let kind = values.all.kind();
            let message = format!("a format with names takes a dict but got {kind}");
            return Err(Fault::wrong_type(message));
        };
        let name = &rest[1..end];
        values.named = true;
        let key = match values.of {
            Of::Text => Value::text(name),
            Of::Bytes => bytes_of(name),
        };
        let value = table.get(&key, budget)?;
        let missing = || {
            let shown = match &key {
                Value::Bytes(_) => key.shown(),
                _ => format!("`{name}`"),
            };
            Fault::new("name/key", format!("the dict has no key {shown}"))
        };
        named = Some(value.ok_or_else(missing)?);
        rest = &rest[end + 1..];
    }
    let mut how = Conversion::default();
    loop {
        match rest.as_bytes().first() {
            Some(b'-') => how.left = true,
            Some(b'+') => how.plus = true,
            Some(b' ') => how.blank = true,
            Some(b'0') => how.zero = true,
            Some(b'#') => how.alternate = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let (width, after) = count(rest, values)?;
    rest = after;
    if let Some(width) = width {
        how.left |= width < 0;
        how.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    }
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = count(after, values)?;
        let precision = precision.unwrap_or_default().max(0);
        how.precision = Some(usize::try_from(precision).unwrap_or(usize::MAX));
        rest = after;
    }
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let Some(letter) = rest.chars().next() else {
        return Err(Fault::bad_value(
            "the format ends in the middle of a conversion",
        ));
    };
    rest = &rest[letter.len_utf8()..];
    // Of text, a precision only takes away.
    let digits = how.precision.filter(|_| !"abrs".contains(letter));
    budget.allocate(how.width.saturating_add(digits.unwrap_or_default()))?;
    let value = match named {
        Some(value) => value,
        None => values.next()?,
    };
    budget.step(value.weight() / 64)?;
    let text = match (values.of, value, letter) {
        (Of::Bytes, Value::Bytes(bytes), 'b' | 's') => {
            budget.allocate(3 * bytes.len())?;
            padded(&how, cut(stand_in(bytes, |_| false), how.precision))
        }
        (Of::Bytes, _, 'b' | 's') => return Err(wants(letter, "bytes", value)),
        (Of::Bytes, _, 'c') => padded(&how, stand_in(&[one_byte(value)?], |_| false)),
        // As `repr` may have what no byte stands for.
        (Of::Bytes, _, 'r') => convert('a', &how, value)?,
        (Of::Bytes | Of::Text, _, _) => convert(letter, &how, value)?,
    };
    budget.allocate(text.len())?;
    out.push_str(&text);
    Ok(rest)
}

/// Where the name in parentheses ends; parentheses within it count.
fn name_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// A width or precision: digits, or `*` for the next value.
fn count<'f>(rest: &'f str, values: &mut Values<'_>) -> Result<(Option<i64>, &'f str), Fault> {
    if let Some(rest) = rest.strip_prefix('*') {
        let value = values.next()?;
        let number = value
            .as_integer()
            .and_then(|number| i64::try_from(&number).ok());
        let wrong = || Fault::wrong_type("`*` in a format takes a whole number");
        return Ok((Some(number.ok_or_else(wrong)?), rest));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((None, rest));
    }
    Ok((
        Some(rest[..digits].parse().unwrap_or(i64::MAX)),
        &rest[digits..],
    ))
}

fn convert(letter: char, how: &Conversion, value: &Value) -> Result<String, Fault> {
    let text = match letter {
        's' => cut(value_text(value)?, how.precision),
        'r' => cut(value.checked_repr()?, how.precision),
        'a' => cut(ascii(&value.checked_repr()?), how.precision),
        'c' => match (value, value.as_integer()) {
            (Value::Str(text), _) if text.chars().count() == 1 => text.as_ref().to_owned(),
            (_, Some(code)) => u32::try_from(&code)
                .ok()
                .and_then(char::from_u32)
                .map(String::from)
                .ok_or_else(|| Fault::bad_value("`%c` got a number that is no character"))?,
            _ => return Err(wants(letter, "a character", value)),
        },
        'd' | 'i' | 'u' => return Ok(padded_number(how, &decimal(letter, value)?, "")),
        'x' | 'X' | 'o' => {
            let number = value
                .as_integer()
                .ok_or_else(|| wants(letter, "a whole number", value))?;
            let numeral = match letter {
                'x' => Numeral::of(&number, 16),
                'X' => Numeral::of(&number, 16).upper(),
                _ => Numeral::of(&number, 8),
            };
            let prefix = match (letter, how.alternate) {
                (_, false) => "",
                ('x', _) => "0x",
                ('X', _) => "0X",
                _ => "0o",
            };
            return Ok(padded_number(how, &numeral, prefix));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = float_of(value).map_err(|_| wants(letter, "a number", value))?;
            let precision = how.precision.unwrap_or(6);
            let numeral = numerals::float(number, letter, precision, how.alternate);
            let how = Conversion {
                precision: None,
                ..*how
            };
            return Ok(padded_number(&how, &numeral, ""));
        }
        other => {
            let message = format!("a format has no conversion `%{other}`");
            return Err(Fault::bad_value(message)
                .with_hint_if(Some("write `%%` for the character `%`".to_owned())));
        }
    };
    Ok(padded(how, text))
}

/// For `%c`: a number, or bytes of which there is one.
fn one_byte(value: &Value) -> Result<u8, Fault> {
    match value {
        Value::Bytes(bytes) if bytes.len() == 1 => Ok(bytes[0]),
        Value::Int(_) | Value::Bool(_) => byte(value),
        other => Err(wants('c', "one byte", other)),
    }
}

fn padded(how: &Conversion, text: String) -> String {
    let blanks = " ".repeat(how.width.saturating_sub(text.chars().count()));
    if how.left {
        text + &blanks
    } else {
        blanks + &text
    }
}

fn wants(letter: char, wanted: &str, value: &Value) -> Fault {
    Fault::wrong_type(format!(
        "`%{letter}` takes {wanted} but got {}",
        value.kind()
    ))
}

fn value_text(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Str(text) => Ok(text.as_ref().to_owned()),
        other => other.checked_repr(),
    }
}

fn decimal(letter: char, value: &Value) -> Result<Numeral, Fault> {
    let number: Option<BigInt> = match value {
        Value::Float(number) => truncated(*number),
        other => other.as_integer(),
    };
    let number = number.ok_or_else(|| wants(letter, "a number", value))?;
    numerals::decimal(&number)
}

fn padded_number(how: &Conversion, numeral: &Numeral, prefix: &str) -> String {
    let sign = match (numeral.negative, how.plus, how.blank) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    let mut digits = numeral.digits.clone();
    if let Some(precision) = how.precision {
        let zeros = precision.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(zeros));
    }
    let length = sign.len() + prefix.len() + digits.len();
    let missing = how.width.saturating_sub(length);
    if how.left {
        format!("{sign}{prefix}{digits}{}", " ".repeat(missing))
    } else if how.zero {
        format!("{sign}{prefix}{}{digits}", "0".repeat(missing))
    } else {
        format!("{}{sign}{prefix}{digits}", " ".repeat(missing))
    }
}

fn cut(text: String, precision: Option<usize>) -> String {
    match precision.and_then(|precision| text.char_indices().nth(precision)) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// With escapes for all that is not ASCII.
pub(crate) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            escape(character, &mut out);
        }
    }
    out
}
