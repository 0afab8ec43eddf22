//! Objects of JSON (RFC 8259), a line each: nothing in a value ends its line or reaches a terminal as a control character.

use std::fmt::{Display, Write};

/// An object that is being written. Keys are names of ours and are not escaped.
#[derive(Debug)]
pub struct JsonObject(String);

impl Default for JsonObject {
    fn default() -> Self {
        Self("{".to_owned())
    }
}

impl JsonObject {
    /// Adds a string; `null` if there is none.
    #[must_use]
    pub fn text(mut self, key: &str, value: Option<&str>) -> Self {
        self.key(key);
        match value {
            Some(value) => put_string(&mut self.0, value),
            None => self.0.push_str("null"),
        }
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds members that are written already, separated by commas.
    #[must_use]
    pub fn members(mut self, members: &str) -> Self {
        self.comma();
        self.0.push_str(members);
        self
    }

    /// The members without the braces, for [`JsonObject::members`].
    #[must_use]
    pub fn into_members(mut self) -> String {
        self.0.remove(0);
        self.0
    }

    /// The whole object.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn comma(&mut self) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.comma();
        let _ = write!(self.0, "\"{key}\":");
    }
}

/// Appends a string, with its quotes. Escaped are, beside what RFC 8259 §7 demands, all control characters, those that end a
/// line in JavaScript, and those that change the direction of a text.
fn put_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\t' => json.push_str("\\t"),
            '\r' => json.push_str("\\r"),
            '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                put_escape(json, character);
            }
            _ if character.is_control() => put_escape(json, character),
            _ => json.push(character),
        }
    }
    json.push('"');
}

fn put_escape(json: &mut String, character: char) {
    let _ = write!(json, "\\u{:04x}", u32::from(character));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::JsonObject;

    #[test]
    fn an_object_is_json() {
        let object = JsonObject::default()
            .text("a", Some("b\n\"\\\u{1b}[2J\u{9b}\u{2028}é"))
            .text("nothing", None)
            .number("n", 1.5);
        assert_eq!(
            object.finish(),
            r#"{"a":"b\n\"\\\u001b[2J\u009b\u2028é","nothing":null,"n":1.5}"#
        );
        let members = JsonObject::default().number("n", 1).into_members();
        let object = JsonObject::default().text("a", None).members(&members);
        assert_eq!(object.finish(), r#"{"a":null,"n":1}"#);
    }

    proptest! {
        /// Any text comes back from a parser, and is one line without control characters before that.
        #[test]
        fn any_text_is_kept(text in any::<String>()) {
            let object = JsonObject::default().text("text", Some(&text)).finish();
            assert!(!object.contains(char::is_control), "{object}");
            let read: serde_json::Value = serde_json::from_str(&object).unwrap();
            assert_eq!(read["text"], *text);
        }
    }
}
