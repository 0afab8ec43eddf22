//! Hides secrets in values that are shown: the values of settings whose names say so, those of keys in dicts and options in
//! words, passwords in URLs, and each repetition of these in another value.

use std::sync::Arc;

use crate::eval::{Alias, Budget, Items, Repr, Table, Value};
use crate::secrets::{HIDDEN, hidden, hidden_words, is_option, is_secret, spans};

/// Characters of the shortest secret that is searched for in other values; shorter ones may be ordinary words.
const SHORTEST: usize = 6;

/// The secrets that other values may repeat.
#[derive(Debug, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Knows the secrets among these settings.
    #[must_use]
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut redactor = Self::default();
        for (name, value) in settings {
            redactor.learn_within(Some(name), value);
        }
        // A secret may contain another one, so the longer one is replaced first.
        redactor
            .secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        redactor.secrets.dedup();
        redactor
    }

    /// Learns a value with the name of a secret, or the secrets within another.
    fn learn_within(&mut self, name: Option<&str>, value: &Value) {
        if name.is_some_and(is_secret) {
            return self.learn(value);
        }
        match value {
            Value::Dict(table) | Value::Routes(table) => {
                for (key, value) in table.entries() {
                    self.learn_within(key.as_str(), value);
                }
            }
            Value::Str(text) | Value::Link(text) => self.learn_parts(text),
            Value::Bytes(bytes) => self.learn_parts(&String::from_utf8_lossy(bytes)),
            Value::Alias(alias) => {
                let words = &alias.words;
                for (at, word) in words.iter().enumerate() {
                    match at
                        .checked_sub(1)
                        .is_some_and(|before| is_option(&words[before]))
                    {
                        true => self.learn_text(word),
                        false => self.learn_parts(word),
                    }
                }
            }
            other => {
                let items = other.as_items();
                let items = items.as_ref().map_or(&[][..], |items| &items[..]);
                for (at, item) in items.iter().enumerate() {
                    match is_named(items, at) {
                        true => self.learn(item),
                        false => self.learn_within(None, item),
                    }
                }
            }
        }
    }

    fn learn_parts(&mut self, text: &str) {
        for span in spans(text) {
            self.learn_text(&text[span]);
        }
    }

    fn learn(&mut self, value: &Value) {
        match value {
            Value::Bytes(bytes) => self.learn_text(&String::from_utf8_lossy(bytes)),
            Value::Dict(table) | Value::Routes(table) => {
                let values = table.entries().iter().map(|(_, value)| value);
                values.for_each(|value| self.learn(value));
            }
            Value::Set(table) => table.keys().for_each(|element| self.learn(element)),
            Value::Alias(alias) => alias.words.iter().for_each(|word| self.learn_text(word)),
            Value::Link(text) => self.learn_text(text),
            Value::Str(text) => self.learn_text(text),
            Value::Int(_) => self.learn_text(&value.repr()),
            other => {
                let items = other.as_items();
                items
                    .iter()
                    .flat_map(|items| items.iter())
                    .for_each(|item| self.learn(item));
            }
        }
    }

    fn learn_text(&mut self, text: &str) {
        if text.chars().count() < SHORTEST {
            return;
        }
        self.secrets.push(text.to_owned());
        // With the escapes of `repr`, and as `bytes.hex` writes it.
        let shown = Value::text(text).repr();
        let inside = &shown[1..shown.len() - 1];
        if inside != text {
            self.secrets.push(inside.to_owned());
        }
        let digits = text.bytes().map(|byte| format!("{byte:02x}"));
        self.secrets.push(digits.collect());
    }

    /// A value without secrets.
    #[must_use]
    pub fn over(&self, value: &Value) -> Value {
        let several = |items: &Items| {
            let over = |(at, item)| match is_named(items, at) {
                true => Value::text(HIDDEN),
                false => self.over(item),
            };
            let items = items.iter().enumerate().map(over).collect();
            Items::new(items, &mut Budget::default())
        };
        // A value that equals only itself is shown whole or not at all.
        let whole = |content: Value| match self.over(&content) == content {
            true => value.clone(),
            false => Value::text(HIDDEN),
        };
        let shown = match value {
            Value::Str(text) => return Value::from(self.text(text)),
            Value::Link(url) => return Value::Link(self.text(url).into()),
            Value::Alias(alias) => {
                let words = hidden_words(alias.words.iter().map(String::as_str));
                return Value::Alias(Arc::new(Alias {
                    words: words.iter().map(|word| self.text(word)).collect(),
                    settings: alias.settings.clone(),
                }));
            }
            Value::List(items) => several(items).map(Value::List),
            Value::Tuple(items) => several(items).map(Value::Tuple),
            Value::Set(table) => self.table(table).map(Value::Set),
            Value::Dict(table) => self.table(table).map(Value::Dict),
            Value::Routes(table) => self.table(table).map(Value::Routes),
            Value::Iterator(_, items) => return whole(Value::List(items.clone())),
            Value::View(_, table) => return whole(Value::Dict(Arc::clone(table))),
            other if self.hides(&other.repr()) => return Value::text(HIDDEN),
            other => return other.clone(),
        };
        // If the budget is too small for the redacted value, none of it is shown.
        shown.unwrap_or_else(|_| Value::text(HIDDEN))
    }

    fn table(&self, table: &Table) -> Result<Arc<Table>, crate::eval::Fault> {
        let mut shown = Table::default();
        let mut budget = Budget::default();
        for (key, value) in table.entries() {
            let value = match key {
                Value::Str(name) if is_secret(name) => concealed(value),
                Value::Bytes(name) if is_secret(&String::from_utf8_lossy(name)) => concealed(value),
                _ => self.over(value),
            };
            shown.insert(self.over(key), value, &mut budget)?;
        }
        Ok(Arc::new(shown))
    }

    /// Whether a text holds a secret.
    #[must_use]
    pub fn hides(&self, text: &str) -> bool {
        self.text(text) != text
    }

    /// A text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = hidden(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// What is shown of a secret. Truth values are none, whatever their names: `auth.enabled = True`.
#[must_use]
pub fn concealed(secret: &Value) -> Value {
    match secret {
        Value::None | Value::Bool(_) => secret.clone(),
        _ => Value::text(HIDDEN),
    }
}

/// Whether the item before this one says that this is a secret: an option in a list of words, or the name in a pair.
fn is_named(items: &[Value], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| items[before].as_str());
    let is_pair = items.len() == 2;
    before.is_some_and(|name| {
        is_option(name) || is_pair && !name.contains(char::is_whitespace) && is_secret(name)
    })
}

#[cfg(test)]
mod tests {
    use super::Redactor;
    use crate::eval::{Repr, Value};

    fn redactor(values: &[Value]) -> Redactor {
        Redactor::new(values.iter().map(|value| ("password", value)))
    }

    #[test]
    fn secrets_that_other_values_repeat() {
        let redactor = redactor(&["hunter2!", "abc"].map(Value::text));
        assert_eq!(redactor.text("x=hunter2!, abc"), "x=********, abc");
    }

    #[test]
    fn secrets_of_other_types() {
        let redactor = redactor(&[
            Value::from(12_345_678_i64),
            Value::Bytes((*b"it's \xff secret").into()),
            Value::text("back\\slash"),
        ]);
        for shown in [
            Value::text("12345678"),
            Value::from(12_345_678_i64),
            Value::Bytes((*b"pin=12345678").into()),
            Value::Import("app:f12345678".into()),
        ] {
            assert_eq!(
                redactor.over(&shown).repr().replace("pin=", ""),
                "'********'"
            );
        }
        // The text of a value has escapes.
        assert_eq!(redactor.text(r"['back\\slash']"), "['********']");
    }
}
