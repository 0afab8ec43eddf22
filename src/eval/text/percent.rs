//! `'%s' % value`: printf-style formatting
//! (<https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting>).

use super::format_spec::{Specification, cut, number_with, padded};
use crate::eval::budget::{Budget, Fault, Result};
use crate::eval::number::arithmetic::float_of;
use crate::eval::number::numerals::{self, Numeral};
use crate::eval::value::Value;
use crate::eval::value::digits::truncated;
use crate::eval::value::repr::{Repr, ascii};

/// The values that are formatted.
struct Values<'a> {
    all: &'a Value,
    items: &'a [Value],
    next: usize,
    /// Whether a conversion has named its value.
    named: bool,
}

impl<'a> Values<'a> {
    fn next(&mut self) -> Result<&'a Value> {
        // Once one conversion names its value, all must.
        let value = self.items.get(self.next).filter(|_| !self.named);
        self.next += 1;
        value.ok_or_else(|| Fault::bad_value("there are fewer values than the format takes"))
    }
}

/// Formats values.
///
/// # Errors
/// A format that is wrong, or values that do not fit it.
pub(crate) fn format(format: &str, value: &Value, budget: &mut Budget) -> Result<String> {
    let items = match value {
        Value::Tuple(items) => &items[..],
        other => std::slice::from_ref(other),
    };
    let mut values = Values {
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
        rest = conversion(&rest[at + 1..], &mut values, &mut out, budget)?;
    }
    budget.allocate(rest.len())?;
    out.push_str(rest);
    let unused = values.next < values.items.len() && !values.named;
    // Python ignores unused values in all that can be indexed, but for strings and tuples.
    let indexed = matches!(
        value,
        Value::Dict(_) | Value::List(_) | Value::Range(..) | Value::Bytes(_)
    );
    match unused && !indexed {
        true => Err(Fault::bad_value(
            "there are more values than the format takes",
        )),
        false => Ok(out),
    }
}

/// Applies the conversion that stands behind a `%`, and gives the rest of the format.
fn conversion<'f>(
    mut rest: &'f str,
    values: &mut Values<'_>,
    out: &mut String,
    budget: &mut Budget,
) -> Result<&'f str> {
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
        let missing = || Fault::new("name/key", format!("the dict has no key `{name}`"));
        named = Some(table.get_text(name).ok_or_else(missing)?);
        rest = &rest[end + 1..];
    }
    let mut how = Specification::default();
    how.align = Some('>');
    let mut zero = false;
    loop {
        match rest.as_bytes().first() {
            Some(b'-') => how.align = Some('<'),
            Some(b'+') => how.sign = Some('+'),
            Some(b' ') => how.sign = how.sign.or(Some(' ')),
            Some(b'0') => zero = true,
            Some(b'#') => how.alternate = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let (width, after) = count(rest, values)?;
    rest = after;
    if let Some(width) = width {
        how.align = how.align.filter(|_| width >= 0).or(Some('<'));
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
    // The precision of a text only shortens it.
    let is_number = !"acrs".contains(letter);
    let digits = how.precision.filter(|_| is_number);
    budget.allocate(how.width.saturating_add(digits.unwrap_or_default()))?;
    if zero && is_number && how.align == Some('>') {
        (how.fill, how.align) = (Some('0'), Some('='));
    }
    let value = match named {
        Some(value) => value,
        None => values.next()?,
    };
    budget.step(value.weight() / 64)?;
    let text = convert(letter, &how, value)?;
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
fn count<'f>(rest: &'f str, values: &mut Values<'_>) -> Result<(Option<i64>, &'f str)> {
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

fn convert(letter: char, how: &Specification, value: &Value) -> Result<String> {
    let text = match letter {
        's' => value.checked_str()?,
        'r' => value.checked_repr()?,
        'a' => ascii(&value.checked_repr()?),
        'c' => {
            let character = match (value, value.as_integer()) {
                (Value::Str(text), _) if text.chars().count() == 1 => text.as_ref().to_owned(),
                (_, Some(code)) => u32::try_from(&code)
                    .ok()
                    .and_then(char::from_u32)
                    .map(String::from)
                    .ok_or_else(|| Fault::bad_value("`%c` got a number that is not a character"))?,
                _ => return Err(wants(letter, "a character", value)),
            };
            return Ok(padded(how, "", &character, '>'));
        }
        'd' | 'i' | 'u' => {
            let number = match value {
                Value::Float(number) => truncated(*number),
                other => other.as_integer(),
            };
            let number = number.ok_or_else(|| wants(letter, "a number", value))?;
            return Ok(integer(how, numerals::decimal(&number)?, ""));
        }
        'x' | 'X' | 'o' => {
            let number = value.as_integer();
            let number = number.ok_or_else(|| wants(letter, "a whole number", value))?;
            let (numeral, prefix) = match letter {
                'x' => (Numeral::of(&number, 16), "0x"),
                'X' => (Numeral::of(&number, 16).upper(), "0X"),
                _ => (Numeral::of(&number, 8), "0o"),
            };
            return Ok(integer(how, numeral, prefix));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = float_of(value).map_err(|_| wants(letter, "a number", value))?;
            let precision = how.precision.unwrap_or(6);
            let numeral = numerals::float(number, letter, precision, how.alternate);
            return Ok(number_with(how, &numeral, "", 3));
        }
        other => {
            let message = format!("a format has no conversion `%{other}`");
            return Err(Fault::bad_value(message)
                .with_hint_if(Some("write `%%` for the character `%`".to_owned())));
        }
    };
    Ok(padded(how, "", cut(&text, how.precision), '>'))
}

/// A whole number, with at least as many digits as the precision says.
fn integer(how: &Specification, mut numeral: Numeral, prefix: &str) -> String {
    let zeros = how
        .precision
        .unwrap_or_default()
        .saturating_sub(numeral.digits.len());
    numeral.digits.insert_str(0, &"0".repeat(zeros));
    let prefix = if how.alternate { prefix } else { "" };
    number_with(how, &numeral, prefix, 3)
}

fn wants(letter: char, wanted: &str, value: &Value) -> Fault {
    Fault::wrong_type(format!(
        "`%{letter}` takes {wanted} but got {}",
        value.kind()
    ))
}
