//! Values and places as JSON, for editors and scripts.

use num_traits::ToPrimitive;
use serde_json::{Map, Value as Json, json};

use crate::eval::{Repr, Value};
use crate::syntax::{Lines, Place};

/// A value as JSON. A value that JSON does not have is a string, written as Python prints it.
#[must_use]
pub fn value(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => match (number.to_i64(), number.to_u64()) {
            (Some(number), _) => json!(number),
            (None, Some(number)) => json!(number),
            (None, None) => json!(value.repr()),
        },
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Str(text) => json!(&**text),
        Value::List(items) | Value::Tuple(items) | Value::Iterator(_, items) => {
            items.iter().map(self::value).collect()
        }
        Value::Set(table) => table.keys().map(self::value).collect(),
        Value::Dict(table) => {
            let pair = |(key, value): &(Value, Value)| {
                Some((key.as_str()?.to_owned(), self::value(value)))
            };
            let object: Option<Map<String, Json>> = table.entries().iter().map(pair).collect();
            object.map_or_else(|| json!(value.repr()), Json::Object)
        }
        Value::Float(_)
        | Value::Bytes(_)
        | Value::Range(..)
        | Value::View(..)
        | Value::Alias(_)
        | Value::Routes(_)
        | Value::Import(_)
        | Value::Link(_)
        | Value::Namespace(_)
        | Value::Module(_)
        | Value::Function(_)
        | Value::Method(_)
        | Value::Closure(_) => json!(value.repr()),
    }
}

/// Adds the fields of a place to an object: the file, lines and columns counted from 1, columns in characters, the end
/// beyond the last character.
pub fn place(object: &mut Json, place: &Place, lines: &mut Lines) {
    let (line, column) = lines.position(&place.source, place.span.start);
    let (end_line, end_column) = lines.position(&place.source, place.span.end);
    object["file"] = json!(place.source.name);
    object["line"] = json!(line);
    object["column"] = json!(column);
    object["end_line"] = json!(end_line);
    object["end_column"] = json!(end_column);
}

/// A document, indented.
#[must_use]
pub fn document(json: &Json) -> String {
    format!("{json:#}\n")
}
