//! f-strings and `str.format`: text with values in braces
//! (<https://docs.python.org/3/library/string.html#format-string-syntax>).

use super::attributes::attribute;
use crate::eval::budget::{Budget, Fault, Result};
use crate::eval::call_arguments::CallArguments;
use crate::eval::evaluator::{Evaluate, Evaluator};
use crate::eval::text::format_spec;
use crate::eval::value::Value;
use crate::eval::value::repr::{Repr, ascii};
use crate::eval::value::subscripts::index;
use crate::syntax::ast::Piece;

/// How deeply fields may be nested in specifications, as in Python.
const DEEPEST: usize = 2;

/// The value of an f-string.
pub(crate) fn formatted(evaluator: &mut Evaluator<'_>, pieces: &[Piece]) -> Result<Value> {
    Ok(Value::from(pieces_text(evaluator, pieces)?))
}

fn pieces_text(evaluator: &mut Evaluator<'_>, pieces: &[Piece]) -> Result<String> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                evaluator.budget.allocate(text.len())?;
                out.push_str(text);
            }
            Piece::Value {
                value,
                conversion,
                specification,
            } => {
                let evaluated = evaluator.eval(value)?;
                let specification = pieces_text(evaluator, specification)?;
                let text = field(&evaluated, *conversion, &specification, evaluator.budget)
                    .map_err(|fault| fault.at(&evaluator.home.source, value.span))?;
                out.push_str(&text);
            }
        }
    }
    Ok(out)
}

/// One value, converted and formatted.
fn field(
    value: &Value,
    conversion: Option<char>,
    specification: &str,
    budget: &mut Budget,
) -> Result<String> {
    let converted = match conversion {
        None => value.clone(),
        Some('r') => Value::from(value.checked_repr()?),
        Some('a') => Value::from(ascii(&value.checked_repr()?)),
        Some('s') => Value::from(value.checked_str()?),
        Some(other) => {
            let message = format!("there is no conversion `!{other}`, only `!r`, `!s` and `!a`");
            return Err(Fault::bad_value(message));
        }
    };
    let text = format_spec::apply(&converted, specification, budget)?;
    budget.allocate(text.len())?;
    Ok(text)
}

/// `text.format(…)`
pub(crate) fn format(
    evaluator: &mut Evaluator<'_>,
    text: &str,
    arguments: &CallArguments,
) -> Result<Value> {
    let mut fields = FormatFields {
        arguments,
        next: 0,
        numbered: None,
    };
    Ok(Value::from(fields.text(evaluator, text, 0)?))
}

struct FormatFields<'a> {
    arguments: &'a CallArguments,
    /// The place of the next `{}`.
    next: usize,
    /// Whether fields have numbers: either all do, or none.
    numbered: Option<bool>,
}

impl FormatFields<'_> {
    fn text(&mut self, evaluator: &mut Evaluator<'_>, text: &str, depth: usize) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            evaluator.budget.allocate(at + 1)?;
            evaluator.budget.step(1)?;
            out.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if rest.starts_with(brace) {
                out.push_str(brace);
                rest = &rest[1..];
                continue;
            }
            if brace == "}" {
                return Err(Fault::bad_value("a single `}` in the format")
                    .with_hint_if(Some("write `}}` for the character".to_owned())));
            }
            let end = field_end(rest).ok_or_else(|| {
                Fault::bad_value("a single `{` in the format")
                    .with_hint_if(Some("write `{{` for the character".to_owned()))
            })?;
            out.push_str(&self.field(evaluator, &rest[..end], depth)?);
            rest = &rest[end + 1..];
        }
        evaluator.budget.allocate(rest.len())?;
        out.push_str(rest);
        Ok(out)
    }

    /// `name.attribute[index]!r:specification`
    fn field(&mut self, evaluator: &mut Evaluator<'_>, text: &str, depth: usize) -> Result<String> {
        if depth >= DEEPEST {
            return Err(Fault::bad_value(
                "fields of the format are nested too deeply",
            ));
        }
        // A `:` or `!` inside `[…]` belongs to the index.
        let mut bracket = false;
        let end = text.find(|c| {
            bracket = c == '[' || bracket && c != ']';
            !bracket && (c == ':' || c == '!')
        });
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let (conversion, specification) = match rest.strip_prefix('!') {
            None => (None, rest.strip_prefix(':').unwrap_or("")),
            Some(after) => {
                let letter = after.chars().next();
                let letter =
                    letter.ok_or_else(|| Fault::bad_value("there is no conversion after `!`"))?;
                let after = &after[letter.len_utf8()..];
                match after.strip_prefix(':') {
                    Some(specification) => (Some(letter), specification),
                    None if after.is_empty() => (Some(letter), ""),
                    None => return Err(Fault::bad_value("expected `:` after the conversion")),
                }
            }
        };
        let value = self.value(evaluator, name)?;
        let specification = self.text_of_specification(evaluator, specification, depth)?;
        field(&value, conversion, &specification, evaluator.budget)
    }

    fn text_of_specification(
        &mut self,
        evaluator: &mut Evaluator<'_>,
        specification: &str,
        depth: usize,
    ) -> Result<String> {
        if specification.contains(['{', '}']) {
            self.text(evaluator, specification, depth + 1)
        } else {
            Ok(specification.to_owned())
        }
    }

    fn value(&mut self, evaluator: &mut Evaluator<'_>, name: &str) -> Result<Value> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let mut value = self.argument(first)?;
        while !rest.is_empty() {
            evaluator.budget.step(1)?;
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = attribute(evaluator, value, &after[..end].into())?;
                rest = &after[end..];
            } else if let Some((key, after)) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                let key = match key.parse::<u64>() {
                    Ok(number) => Value::from(number),
                    Err(_) => Value::text(key),
                };
                value = index(&value, &key, evaluator.properties, evaluator.budget)?;
                rest = after;
            } else {
                return Err(Fault::bad_value(
                    "expected `.` or `[…]` in a field of the format",
                ));
            }
        }
        Ok(value)
    }

    fn argument(&mut self, name: &str) -> Result<Value> {
        let number = if name.is_empty() {
            Some(self.next)
        } else {
            name.parse::<usize>().ok()
        };
        let Some(number) = number else {
            let named = self
                .arguments
                .named
                .iter()
                .find(|(given, _)| &**given == name);
            let missing = || {
                Fault::new(
                    "name/key",
                    format!("the format has a field `{name}` but no such argument"),
                )
            };
            return named.map(|(_, value)| value.clone()).ok_or_else(missing);
        };
        let numbered = !name.is_empty();
        if self.numbered.is_some_and(|before| before != numbered) {
            return Err(Fault::bad_value(
                "either all fields of a format have numbers or none",
            ));
        }
        self.numbered = Some(numbered);
        self.next += usize::from(!numbered);
        let missing = || Fault::bad_value("the format has more fields than there are arguments");
        self.arguments
            .positional
            .get(number)
            .cloned()
            .ok_or_else(missing)
    }
}

/// Where the field ends that begins behind a `{`.
fn field_end(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}
