//! Hides secrets in values that are shown: the values of settings whose names say so, passwords in URLs, and each
//! repetition of these in another value.

use std::sync::Arc;

use crate::eval::{Budget, Items, Repr, Table, Value};

/// Replaces a secret.
pub const HIDDEN: &str = "********";

/// Parts of the names of secrets, in any case.
const WORDS: &[&str] = &["password", "secret", "token", "key"];

/// Characters of the shortest secret that is searched for in other values; shorter ones may be ordinary words.
const SHORTEST: usize = 6;

/// Whether a name or an expression mentions a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// The secrets that other values may repeat.
#[derive(Debug, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Knows the texts of these secret values.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut redactor = Self::default();
        for value in secrets {
            redactor.learn(value);
        }
        // A secret may contain another one, so the longer one is replaced first.
        redactor
            .secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        redactor.secrets.dedup();
        redactor
    }

    fn learn(&mut self, value: &Value) {
        match value {
            Value::Bytes(bytes) => self.learn_text(&String::from_utf8_lossy(bytes)),
            Value::Dict(table) => {
                let values = table.entries().iter().map(|(_, value)| value);
                values.for_each(|value| self.learn(value));
            }
            Value::Set(table) => table.keys().for_each(|element| self.learn(element)),
            Value::Alias(words) => words.iter().for_each(|word| self.learn_text(word)),
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
            let items = items.iter().map(|item| self.over(item)).collect();
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
            Value::Alias(words) => {
                let words: Vec<String> = words.iter().map(|word| self.text(word)).collect();
                return Value::Alias(words.into());
            }
            Value::List(items) => several(items).map(Value::List),
            Value::Tuple(items) => several(items).map(Value::Tuple),
            Value::Set(table) => self.table(table).map(Value::Set),
            Value::Dict(table) => self.table(table).map(Value::Dict),
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
                Value::Str(name) if is_secret(name) => Value::text(HIDDEN),
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
        let mut text = without_passwords(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// `scheme://user:password@host` without the password.
fn without_passwords(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || "/?#'\"".contains(c))
            .unwrap_or(after.len());
        let (authority, others) = after.split_at(end);
        // A password may contain `@`; the last one ends it.
        match authority
            .rsplit_once('@')
            .map(|(user, host)| (user.split_once(':'), host))
        {
            Some((Some((user, _)), host)) => {
                shown.push_str(&format!("{user}:{HIDDEN}@{host}"));
            }
            Some((None, _)) | None => shown.push_str(authority),
        }
        rest = others;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::{Redactor, is_secret, without_passwords};
    use crate::eval::{Repr, Value};

    #[test]
    fn names_of_secrets() {
        for name in ["db.password", "SECRET_KEY", "api.Token", "a.keys"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["runner.workers.max", "user", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn passwords_in_urls() {
        let cases = [
            ("postgres://me:pw@host/db", "postgres://me:********@host/db"),
            ("a://b:c@d@e f://g:h@i", "a://b:********@e f://g:********@i"),
            ("tcp://localhost:80", "tcp://localhost:80"),
            ("http://me@host:1/x:y@z", "http://me@host:1/x:y@z"),
            ("://", "://"),
        ];
        for (text, shown) in cases {
            assert_eq!(without_passwords(text), shown);
        }
    }

    #[test]
    fn secrets_that_other_values_repeat() {
        let redactor = Redactor::new(&["hunter2!", "abc"].map(Value::text));
        assert_eq!(redactor.text("x=hunter2!, abc"), "x=********, abc");
    }

    #[test]
    fn secrets_of_other_types() {
        let redactor = Redactor::new(&[
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
