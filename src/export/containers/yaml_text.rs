//! JSON values as YAML for people: blocks, with every text in double quotes unless no YAML can misread it. YAML reads the
//! strings of JSON (YAML 1.2.2 §1.2).

use serde_json::Value;

/// A document.
#[must_use]
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let margin = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                text.push_str(&format!("{margin}{}:", scalar(name)));
                below(value, depth + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, depth + 1, &mut inner);
                // The first line of the item stands behind the dash.
                text.push_str(&format!("{margin}- {}", inner.trim_start_matches(' ')));
            }
        }
        _ => text.push_str(&format!("{margin}{}\n", leaf(value))),
    }
}

/// A value behind a name.
fn below(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            block(value, depth, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, depth, text);
        }
        _ => text.push_str(&format!(" {}\n", leaf(value))),
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            value.to_string()
        }
    }
}

/// A text. Without quotes are only words that no version of YAML takes for a number, a truth value, a date or nothing.
fn scalar(text: &str) -> String {
    const TAKEN: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    match is_word {
        true => text.to_owned(),
        false => quoted_text(text),
    }
}

/// A string of JSON in which nothing stands that YAML calls unprintable (YAML 1.2.2 §5.1) or takes for an end of a line.
#[must_use]
pub(super) fn quoted_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
