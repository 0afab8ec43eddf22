//! How values look: `repr()` and `str()` as Python has them.

use std::fmt::Write;

use crate::eval::budget::{BYTES, Budget, Fault};
use crate::eval::number::numerals;
use crate::eval::value::Value;
use crate::eval::value::characters::printable;

/// Bits of the largest number that is written in decimal: 4300 digits, as in Python since 3.11.
const LONGEST_DECIMAL_BITS: u64 = 14_284;

/// Text that may not become too long.
struct Limited {
    text: String,
    steps: usize,
    /// Whether whole numbers that are too long in decimal are a mistake; otherwise they are shown in hexadecimal.
    decimal: bool,
}

/// What is too long.
enum Full {
    Text,
    Number,
}

impl Limited {
    fn push(&mut self, text: &str) -> Result<(), Full> {
        self.steps += 1;
        if self.text.len() + text.len() > BYTES || self.steps > 10_000_000 {
            return Err(Full::Text);
        }
        self.text.push_str(text);
        Ok(())
    }
}

impl Value {
    /// As Python's `repr()` shows it; cut with `…` beyond 64 MiB.
    #[must_use]
    pub fn repr(&self) -> String {
        let mut out = Limited {
            text: String::new(),
            steps: 0,
            decimal: false,
        };
        if write(self, &mut out).is_err() {
            out.text.push('…');
        }
        out.text
    }

    /// As Python's `str()` shows it.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::Str(text) => text.as_ref().to_owned(),
            other => other.repr(),
        }
    }

    /// `repr()` for an expression, where too long is an error.
    ///
    /// # Errors
    /// The text would be too long.
    pub fn checked_repr(&self) -> Result<String, Fault> {
        let mut out = Limited {
            text: String::new(),
            steps: 0,
            decimal: true,
        };
        match write(self, &mut out) {
            Ok(()) => Ok(out.text),
            Err(Full::Number) => Err(numerals::too_long()),
            Err(Full::Text) => {
                let message = format!("the text of the value has more than {} MiB", BYTES >> 20);
                Err(Fault::new("limit/memory", message))
            }
        }
    }

    /// The beginning of its `repr()`, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        const SHOWN: usize = 60;
        let text = match self {
            Self::Str(text) => {
                let cut: String = text.chars().take(SHOWN + 1).collect();
                Self::from(cut).repr()
            }
            Self::Bytes(bytes) => {
                Self::Bytes(bytes.iter().take(SHOWN + 1).copied().collect()).repr()
            }
            other => other.repr(),
        };
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("`{}…`", &text[..end]),
            None => format!("`{text}`"),
        }
    }
}

fn write(value: &Value, out: &mut Limited) -> Result<(), Full> {
    match value {
        Value::None => out.push("None"),
        Value::Bool(true) => out.push("True"),
        Value::Bool(false) => out.push("False"),
        Value::Int(number) if number.bits() > LONGEST_DECIMAL_BITS => {
            if out.decimal {
                return Err(Full::Number);
            }
            out.push(&format!("0x{number:x}").replace("0x-", "-0x"))
        }
        Value::Int(number) => out.push(&number.to_string()),
        Value::Float(number) => out.push(&float(*number)),
        Value::Str(text) => out.push(&quoted(text)),
        Value::Bytes(bytes) => out.push(&quoted_bytes(bytes)),
        Value::List(items) => {
            out.push("[")?;
            separated(items.iter(), out)?;
            out.push("]")
        }
        Value::Tuple(items) => {
            out.push("(")?;
            separated(items.iter(), out)?;
            out.push(if items.len() == 1 { ",)" } else { ")" })
        }
        Value::Set(table) if table.entries().is_empty() => out.push("set()"),
        Value::Set(table) => {
            out.push("{")?;
            separated(table.keys(), out)?;
            out.push("}")
        }
        Value::Dict(table) => {
            out.push("{")?;
            for (index, (key, value)) in table.entries().iter().enumerate() {
                if index > 0 {
                    out.push(", ")?;
                }
                write(key, out)?;
                out.push(": ")?;
                write(value, out)?;
            }
            out.push("}")
        }
        Value::View(view) => {
            let elements = view
                .elements(&mut Budget::default())
                .map_err(|_| Full::Text)?;
            out.push(view.type_name())?;
            out.push("([")?;
            separated(elements.iter(), out)?;
            out.push("])")
        }
        Value::Iterator(kind, _) => out.push(&format!("<{kind} object>")),
        Value::Range(start, stop, 1) => out.push(&format!("range({start}, {stop})")),
        Value::Range(start, stop, step) => out.push(&format!("range({start}, {stop}, {step})")),
        Value::Alias(words) => {
            out.push("commands.Alias(command=[")?;
            for (index, word) in words.iter().enumerate() {
                if index > 0 {
                    out.push(", ")?;
                }
                out.push(&quoted(word))?;
            }
            out.push("])")
        }
        Value::Import(name) => out.push(&format!("importString({})", quoted(name))),
        Value::Link(url) => out.push(&format!("naming.LinkRef({})", quoted(url))),
        Value::Namespace(prefix) => out.push(&format!("config.Namespace({})", quoted(prefix))),
        Value::Module(name) => out.push(&format!("<module '{name}'>")),
        Value::Function(function) => out.push(&format!("<function {}>", function.name)),
        Value::Method(method) => out.push(&match &method.0 {
            Value::Function(of) => format!("<method '{}' of '{}' objects>", method.1, of.name),
            other => format!("<method '{}' of '{}'>", method.1, other.type_name()),
        }),
        Value::Closure(_) => out.push("<function <lambda>>"),
    }
}

fn separated<'a>(values: impl Iterator<Item = &'a Value>, out: &mut Limited) -> Result<(), Full> {
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(", ")?;
        }
        write(value, out)?;
    }
    Ok(())
}

/// A float as Python shows it: the shortest digits that give the same number again.
#[must_use]
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let shortest = format!("{number:e}");
    let places = shortest.find('e').unwrap_or(shortest.len());
    let places = places.saturating_sub(2 + usize::from(number.is_sign_negative()));
    // Of two shortest forms that are equally near, Python writes the even one.
    let even = format!("{number:.places$e}");
    let scientific = if even.parse() == Ok(number) {
        even
    } else {
        shortest
    };
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let mut fixed = format!("{number}");
        if !fixed.contains('.') {
            fixed.push_str(".0");
        }
        return fixed;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A string in quotes, with escapes, as `repr()` shows it.
#[must_use]
pub fn quoted(text: &str) -> String {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if printable(c) => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.push(quote);
    out
}

/// A character by its number: `\x1b`, `\u2028`, `\U000e0001`.
pub(crate) fn escape(character: char, out: &mut String) {
    let code = u32::from(character);
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

fn quote_for(single: bool, double: bool) -> char {
    if single && !double { '"' } else { '\'' }
}

fn quoted_bytes(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut out = String::with_capacity(bytes.len() + 3);
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => {
                if char::from(byte) == quote {
                    out.push('\\');
                }
                out.push(char::from(byte));
            }
            other => escape_byte(other, &mut out),
        }
    }
    out.push(quote);
    out
}

fn escape_byte(byte: u8, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::{float, quoted};

    #[test]
    fn floats() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "inf"),
            (2f64.powi(-25), "2.9802322387695312e-08"),
            (-(2f64.powi(-25)), "-2.9802322387695312e-08"),
        ] {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn strings() {
        for (text, shown) in [
            ("it's", "\"it's\""),
            ("'\"", r#"'\'"'"#),
            ("a\n\\\u{7f}ä\u{2028}😀", r"'a\n\\\x7fä\u2028😀'"),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
