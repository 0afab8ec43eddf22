//! Texts in files of other servers, of which parts are known only where the server runs, such as `$PORT`.

use std::fmt;

/// The variable by which platforms say where to listen, and the port where there is no such platform.
pub const PORT: &str = "PORT";
const DEFAULT_PORT: &str = "8000";

/// A text, in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedText(Vec<ImportedPiece>);

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedPiece {
    /// As it is.
    Literal(String),
    /// The value of an environment variable.
    Variable {
        /// Its name.
        name: String,
        /// Its value if it is not set, where one is said; else it is empty.
        default: Option<String>,
    },
    /// What an expression of our language gives, as text.
    Expression(String),
    /// The same of an expression that gives a text.
    TextExpression(String),
}

impl ImportedText {
    /// A text that is known.
    #[must_use]
    pub fn known(text: impl Into<String>) -> Self {
        let mut known = Self::default();
        known.push(ImportedPiece::Literal(text.into()));
        known
    }

    /// A text that an expression gives.
    #[must_use]
    pub fn of_expression(expression: impl Into<String>) -> Self {
        Self(vec![ImportedPiece::Expression(expression.into())])
    }

    /// The value of an environment variable.
    #[must_use]
    pub fn of_variable(name: &str, default: Option<&str>) -> Self {
        Self(vec![ImportedPiece::Variable {
            name: name.to_owned(),
            default: default.map(str::to_owned),
        }])
    }

    /// A text that an expression gives which gives no other type.
    #[must_use]
    pub fn of_text_expression(expression: impl Into<String>) -> Self {
        Self(vec![ImportedPiece::TextExpression(expression.into())])
    }

    /// Adds a part.
    pub fn push(&mut self, piece: ImportedPiece) {
        match (self.0.last_mut(), piece) {
            (_, ImportedPiece::Literal(text)) if text.is_empty() => {}
            (Some(ImportedPiece::Literal(before)), ImportedPiece::Literal(text)) => {
                before.push_str(&text);
            }
            (_, piece) => self.0.push(piece),
        }
    }

    /// Adds a text in front.
    #[must_use]
    pub fn after(self, text: &str) -> Self {
        self.joined_after(&Self::known(text))
    }

    /// The same with another piece in place of an environment variable.
    #[must_use]
    pub fn with_variable(self, variable: &str, text: &str) -> Self {
        let mut whole = Self::default();
        for piece in self.0 {
            whole.push(match piece {
                ImportedPiece::Variable { name, .. } if name == variable => {
                    ImportedPiece::Literal(text.to_owned())
                }
                other => other,
            });
        }
        whole
    }

    /// Adds another text in front.
    #[must_use]
    pub fn joined_after(self, first: &Self) -> Self {
        let mut whole = first.clone();
        for piece in self.0 {
            whole.push(piece);
        }
        whole
    }

    /// Adds a text behind.
    #[must_use]
    pub fn before(mut self, text: &str) -> Self {
        self.push(ImportedPiece::Literal(text.to_owned()));
        self
    }

    /// The text, if all of it is known.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [ImportedPiece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// What is known at its beginning.
    #[must_use]
    pub fn beginning(&self) -> &str {
        match self.0.first() {
            Some(ImportedPiece::Literal(text)) => text,
            Some(_) | None => "",
        }
    }

    /// The same without something at its beginning.
    #[must_use]
    pub fn without_beginning(&self, beginning: &str) -> Option<Self> {
        let mut rest = self.clone();
        let Some(ImportedPiece::Literal(first)) = rest.0.first_mut() else {
            return None;
        };
        *first = first.strip_prefix(beginning)?.to_owned();
        if first.is_empty() {
            rest.0.remove(0);
        }
        Some(rest)
    }

    /// Whether it is an environment variable and nothing else.
    #[must_use]
    pub fn is_variable(&self) -> bool {
        matches!(&*self.0, [ImportedPiece::Variable { .. }])
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.literal() == Some("")
    }

    /// As an expression that gives the text.
    #[must_use]
    pub fn expression(&self) -> String {
        match &*self.0 {
            [] => "''".to_owned(),
            pieces => {
                let parts: Vec<String> = pieces.iter().map(ImportedPiece::expression).collect();
                parts.join(" + ")
            }
        }
    }

    /// As an expression that gives a whole number.
    #[must_use]
    pub fn number(&self) -> Option<String> {
        match &*self.0 {
            [ImportedPiece::Expression(expression)] => Some(expression.clone()),
            // Nothing is no number.
            [ImportedPiece::Variable { name, default }]
                if default.as_deref().unwrap_or_default() == "" =>
            {
                Some(format!("int(os.environ.get({}, 1))", quoted_text(name)))
            }
            [ImportedPiece::Variable { .. } | ImportedPiece::TextExpression(_)] => {
                Some(format!("int({})", self.expression()))
            }
            _ => leading_number(self.literal()?).map(|number| number.to_string()),
        }
    }
}

/// As a person would write it in a message.
impl fmt::Display for ImportedText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            ImportedPiece::Literal(text)
            | ImportedPiece::Expression(text)
            | ImportedPiece::TextExpression(text) => formatter.write_str(text),
            ImportedPiece::Variable { name, .. } => write!(formatter, "${name}"),
        })
    }
}

impl ImportedPiece {
    fn expression(&self) -> String {
        match self {
            Self::Literal(text) => quoted_text(text),
            Self::Variable { name, default } => {
                let default = default.as_deref().unwrap_or_default();
                let default = match (name.as_str(), default) {
                    (PORT, "") => DEFAULT_PORT,
                    (_, default) => default,
                };
                let (name, default) = (quoted_text(name), quoted_text(default));
                format!("os.environ.get({name}, {default})")
            }
            Self::TextExpression(expression) if expression.contains(" if ") => {
                format!("({expression})")
            }
            Self::TextExpression(expression) => expression.clone(),
            Self::Expression(expression) => format!("str({expression})"),
        }
    }
}

/// A text as it is written in our language.
#[must_use]
pub fn quoted_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        match character {
            '\\' => quoted.push_str("\\\\"),
            '\'' => quoted.push_str("\\'"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(other)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// The number that a text begins with, as C's `atoi` reads it; `None` if it begins with none.
#[must_use]
pub fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{ImportedPiece, ImportedText, leading_number, quoted_text};

    #[test]
    fn parts_become_one_expression() {
        let mut text = ImportedText::known(":");
        text.push(ImportedPiece::Variable {
            name: "PORT".to_owned(),
            default: Some("80".to_owned()),
        });
        let text = text.after("tcp://*");
        assert_eq!(
            text.expression(),
            "'tcp://*:' + os.environ.get('PORT', '80')"
        );
        assert_eq!(text.to_string(), "tcp://*:$PORT");
        assert_eq!(text.literal(), None);
        assert_eq!(text.beginning(), "tcp://*:");
        let port = text.without_beginning("tcp://*:").expect("begins so");
        let number = "int(os.environ.get('PORT', '80'))";
        assert_eq!(port.number().as_deref(), Some(number));
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, number) in [("12", Some(12)), (" 4 ; four", Some(4)), ("x", None)] {
            assert_eq!(leading_number(text), number, "{text}");
        }
        assert_eq!(quoted_text("a'b\\\n"), r"'a\'b\\\n'");
    }
}
