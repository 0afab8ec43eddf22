//! How values look: `repr()` and `str()` as Python has them.

use std::fmt::Write;
use std::sync::Arc;

use super::Value;
use super::characters::printable;
use super::digits::{shortest, too_long};
use crate::eval::budget::{BYTES, Budget, Fault, Result};

/// Bits of the largest number that is written in decimal: 4300 digits, as in Python since 3.11.
const LONGEST_DECIMAL_BITS: u64 = 14_284;

/// Text whose length is bounded.
struct Limited {
    text: String,
    steps: usize,
    /// Whether whole numbers that are too long in decimal are an error; otherwise they are shown in hexadecimal.
    decimal: bool,
}

/// What is too long.
enum TooLong {
    Text,
    Number,
}

impl Limited {
    fn push(&mut self, text: &str) -> Result<(), TooLong> {
        self.steps += 1;
        if self.text.len() + text.len() > BYTES || self.steps > 10_000_000 {
            return Err(TooLong::Text);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// The text, as far as it could be written.
fn written(value: &Value, decimal: bool) -> (String, Result<(), TooLong>) {
    let mut out = Limited {
        text: String::new(),
        steps: 0,
        decimal,
    };
    let result = write(value, &mut out);
    (out.text, result)
}

/// The texts of a value.
pub trait Repr {
    /// As Python's `repr()` shows it; cut with `…` beyond 64 MiB.
    #[must_use]
    fn repr(&self) -> String;

    /// `repr()` in an expression, where a text that is too long is an error.
    ///
    /// # Errors
    /// The text is too long.
    fn checked_repr(&self) -> Result<String>;

    /// `str()` in an expression.
    ///
    /// # Errors
    /// The text is too long.
    fn checked_str(&self) -> Result<String>;

    /// The beginning of its `repr()`, for messages.
    #[must_use]
    fn shown(&self) -> String;
}

impl Repr for Value {
    fn repr(&self) -> String {
        match written(self, false) {
            (text, Ok(())) => text,
            (text, Err(_)) => text + "…",
        }
    }

    fn checked_repr(&self) -> Result<String> {
        match written(self, true) {
            (text, Ok(())) => Ok(text),
            (_, Err(TooLong::Number)) => Err(too_long()),
            (_, Err(TooLong::Text)) => {
                let message = format!("the text of the value has more than {} MiB", BYTES >> 20);
                Err(Fault::new("limit/memory", message))
            }
        }
    }

    fn checked_str(&self) -> Result<String> {
        match self {
            Self::Str(text) => Ok(text.as_ref().to_owned()),
            other => other.checked_repr(),
        }
    }

    fn shown(&self) -> String {
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

fn write(value: &Value, out: &mut Limited) -> Result<(), TooLong> {
    match value {
        Value::None => out.push("None"),
        Value::Bool(true) => out.push("True"),
        Value::Bool(false) => out.push("False"),
        Value::Int(number) if number.bits() > LONGEST_DECIMAL_BITS => {
            if out.decimal {
                return Err(TooLong::Number);
            }
            out.push(&format!("0x{number:x}").replace("0x-", "-0x"))
        }
        Value::Int(number) => out.push(&number.to_string()),
        Value::Float(number) => out.push(&shortest(*number)),
        Value::Str(text) => out.push(&quoted(text)),
        Value::Bytes(bytes) => {
            out.push("b")?;
            let characters = bytes.iter().map(|byte| char::from(*byte));
            out.push(&in_quotes(characters, |c| matches!(c, ' '..='~')))
        }
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
        Value::View(view, table) => {
            let elements = view.elements(table, &mut Budget::default());
            let elements = elements.map_err(|_| TooLong::Text)?;
            out.push(value.type_name())?;
            out.push("([")?;
            separated(elements.iter(), out)?;
            out.push("])")
        }
        Value::Iterator(kind, _) => out.push(&format!("<{kind} object>")),
        Value::Range(start, stop, 1) => out.push(&format!("range({start}, {stop})")),
        Value::Range(start, stop, step) => out.push(&format!("range({start}, {stop}, {step})")),
        Value::Alias(alias) => {
            let words: Vec<String> = alias.words.iter().map(|word| quoted(word)).collect();
            out.push(&format!("commands.Alias(command=[{}]", words.join(", ")))?;
            if let Some(prefix) = &alias.settings {
                out.push(&format!(", settings={}", quoted(prefix)))?;
            }
            out.push(")")
        }
        Value::Routes(table) => {
            out.push("commands.Routes(")?;
            write(&Value::Dict(Arc::clone(table)), out)?;
            out.push(")")
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

fn separated<'a>(
    values: impl Iterator<Item = &'a Value>,
    out: &mut Limited,
) -> Result<(), TooLong> {
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(", ")?;
        }
        write(value, out)?;
    }
    Ok(())
}

/// A string in quotes, with escapes.
fn quoted(text: &str) -> String {
    in_quotes(text.chars(), printable)
}

/// Characters in quotes: those for which `plain` holds as they are, the others as escapes.
fn in_quotes(characters: impl Iterator<Item = char> + Clone, plain: fn(char) -> bool) -> String {
    let has = |wanted: char| characters.clone().any(|c| c == wanted);
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in characters {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote || c == '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if plain(c) => out.push(c),
            c => escape(c, &mut out),
        }
    }
    out.push(quote);
    out
}

/// A character by its number: `\x1b`, `\u2028`, `\U000e0001`.
fn escape(character: char, out: &mut String) {
    let code = u32::from(character);
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// The text with escapes for all characters outside ASCII.
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
