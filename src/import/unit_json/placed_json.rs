//! Values in JSON, with their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::syntax::{Place, Source, Span};

/// A value and its place.
#[derive(Clone)]
pub(super) struct PlacedJson<'a> {
    pub(super) source: &'a Arc<Source>,
    /// The value as it is written, in `text`.
    pub(super) raw: &'a str,
    /// The whole text, without comments.
    pub(super) text: &'a str,
}

impl<'a> PlacedJson<'a> {
    pub(super) fn place(&self) -> Place {
        let start = self.raw.as_ptr() as usize - self.text.as_ptr() as usize;
        let first = self.raw.lines().next().unwrap_or_default();
        Place {
            source: Arc::clone(self.source),
            span: Span::new(start, start + first.len()),
        }
    }

    /// The place of the line that begins with the key.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let place = self.place();
        let value = place.span.start as usize;
        let before = &self.text[..value.min(self.text.len())];
        let start = before.rfind(&format!("\"{key}\"")).unwrap_or(value);
        let behind = self.text[start..].lines().next().unwrap_or_default();
        let end = start + behind.trim_end_matches([',', '{', ' ']).len();
        Place {
            span: Span::new(start, end),
            ..place
        }
    }

    pub(super) fn with(&self, raw: &'a RawValue) -> Self {
        Self {
            raw: raw.get(),
            ..self.clone()
        }
    }

    pub(super) fn object(&self) -> Option<BTreeMap<String, Self>> {
        let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(self.raw).ok()?;
        let members = members.into_iter();
        Some(members.map(|(name, raw)| (name, self.with(raw))).collect())
    }

    pub(super) fn member(&self, name: &str) -> Option<Self> {
        self.object()?.remove(name)
    }

    pub(super) fn array(&self) -> Option<Vec<Self>> {
        let values: Vec<&'a RawValue> = serde_json::from_str(self.raw).ok()?;
        Some(values.into_iter().map(|raw| self.with(raw)).collect())
    }

    pub(super) fn text(&self) -> Option<String> {
        serde_json::from_str(self.raw).ok()
    }

    pub(super) fn number(&self) -> Option<u64> {
        serde_json::from_str(self.raw).ok()
    }

    /// One text, or each of several.
    pub(super) fn texts(&self) -> Vec<String> {
        match self.text() {
            Some(text) => vec![text],
            None => {
                let values = self.array().unwrap_or_default();
                values.iter().filter_map(Self::text).collect()
            }
        }
    }
}

/// The text with blanks in place of its comments, which Unit allows: every byte stays where it was.
pub(super) fn without_comments(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let (mut at, mut is_in_text) = (0, false);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) if is_in_text => at + 2,
            (b'"', _) => {
                is_in_text = !is_in_text;
                at + 1
            }
            (b'/', Some(b'/')) if !is_in_text => {
                let rest = bytes[at..].iter().position(|byte| *byte == b'\n');
                let end = rest.map_or(bytes.len(), |rest| at + rest);
                bytes[at..end].fill(b' ');
                end
            }
            (b'/', Some(b'*')) if !is_in_text => {
                let rest = bytes[at..].windows(2).position(|pair| pair == b"*/");
                let end = rest.map_or(bytes.len(), |rest| at + rest + 2);
                for byte in &mut bytes[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                end
            }
            _ => at + 1,
        };
        at = end;
    }
    // Whole comments were replaced, so that no character was cut.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn comments_are_blanks() {
        let text = "{\"a\": \"//x\\\"\", // é\n /* b\n */ \"c\": 1}";
        let masked = without_comments(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked, "{\"a\": \"//x\\\"\",      \n     \n    \"c\": 1}");
    }
}
