//! Hides secrets in values that are shown: those of settings whose names say so, passwords in URLs, and wherever
//! another value repeats one of them.

use std::sync::Arc;

use crate::eval::{Budget, Items, Table, Value};

/// Stands for a secret.
pub const HIDDEN: &str = "********";

/// What the name of a secret contains, in any case.
const WORDS: &[&str] = &["password", "secret", "token", "key"];

/// Characters of the shortest secret that is looked for in other values; shorter ones are words of every day.
const SHORTEST: usize = 6;

/// Whether a name, or an expression, speaks of a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// The secrets that other values may repeat.
#[derive(Debug, Default)]
pub struct Veil {
    secrets: Vec<String>,
}

impl Veil {
    /// Remembers the texts of a secret value.
    pub fn learn(&mut self, value: &Value) {
        match value {
            Value::Str(text) if text.chars().count() >= SHORTEST => {
                self.secrets.push(text.as_ref().to_owned());
            }
            Value::List(items) | Value::Tuple(items) => {
                items.iter().for_each(|item| self.learn(item));
            }
            Value::Dict(table) => table
                .entries()
                .iter()
                .for_each(|(_, value)| self.learn(value)),
            _ => {}
        }
    }

    /// To be called when all secrets are known: longer ones are looked for first.
    pub fn ready(&mut self) {
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.secrets.dedup();
    }

    /// A value without secrets.
    #[must_use]
    pub fn over(&self, value: &Value) -> Value {
        let several = |items: &Items| {
            let items = items.iter().map(|item| self.over(item)).collect();
            Items::new(items, &mut Budget::default())
        };
        let result = match value {
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
            other => return other.clone(),
        };
        // Without room for what is shown instead, nothing is shown.
        result.unwrap_or_else(|_| Value::text(HIDDEN))
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
        // A password may hold an `@`: the last one ends it.
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
    use super::{Veil, is_secret, without_passwords};
    use crate::eval::Value;

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
        let mut veil = Veil::default();
        veil.learn(&Value::text("hunter2!"));
        veil.learn(&Value::text("abc"));
        veil.ready();
        assert_eq!(veil.text("x=hunter2!, abc"), "x=********, abc");
    }
}
