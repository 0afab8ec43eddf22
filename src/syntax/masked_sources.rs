//! Diagnostics without the secrets of the lines that they point at.

use std::collections::HashMap;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::excerpt::floor_boundary;
use super::source::{Place, Source};
use crate::secrets::{HIDDEN, hidden, masked, spans_below};

/// Bytes before and behind a place in which secrets are looked for.
const AROUND: usize = 4096;

/// Bytes of the shortest secret that is looked for in messages; shorter ones may be part of any word.
const SHORTEST: usize = 4;

/// Sources with their secrets masked, each masked once.
#[derive(Debug, Default)]
pub struct MaskedSources {
    /// By address; the source is kept so that its address is not used again.
    sources: HashMap<*const Source, (Arc<Source>, Arc<Source>)>,
}

impl MaskedSources {
    /// A diagnostic that points into masked sources, at the same places, and whose texts repeat no secret of the lines there.
    pub fn without_secrets(&mut self, one: &Diagnostic) -> Diagnostic {
        let places = one.labels.iter().map(|label| &label.place);
        let mut secrets: Vec<&str> = places.flat_map(around).collect();
        secrets.retain(|secret| secret.len() >= SHORTEST);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let hide = |text: &str| {
            let shown = hidden(text);
            secrets
                .iter()
                .fold(shown, |text, secret| without(&text, secret))
        };
        let mut shown = one.clone();
        shown.message = hide(&one.message);
        shown.hint = one.hint.as_deref().map(hide);
        for label in &mut shown.labels {
            label.text = hide(&label.text);
            label.place.source = self.masked(&label.place.source);
        }
        shown
    }

    fn masked(&mut self, source: &Arc<Source>) -> Arc<Source> {
        let sources = self.sources.entry(Arc::as_ptr(source));
        let (_, masked) = sources.or_insert_with(|| {
            let text = masked(&source.text);
            let masked = match text == source.text {
                true => Arc::clone(source),
                false => Arc::new(Source {
                    name: source.name.clone(),
                    text,
                }),
            };
            (Arc::clone(source), masked)
        });
        Arc::clone(masked)
    }
}

/// The secrets on the lines of a place.
fn around(place: &Place) -> Vec<&str> {
    let text = place.source.text.as_str();
    let start = floor_boundary(text, place.span.start as usize);
    let end = floor_boundary(text, place.span.end as usize);
    let before = &text[..start];
    let begin = before.rfind('\n').map_or(0, |line| line + 1);
    let begin = floor_boundary(text, begin.max(start.saturating_sub(AROUND)));
    let behind = text[end..].find('\n').map_or(text.len(), |line| end + line);
    let behind = floor_boundary(text, behind.min(end + AROUND));
    let lines = &text[begin..behind.max(begin)];
    spans_below(section_above(&text[..begin]), lines)
        .into_iter()
        .map(|span| &lines[span])
        .collect()
}

/// The name in the last head of a section.
fn section_above(text: &str) -> &str {
    let head = text.rfind("\n[").map_or(text, |at| &text[at + 1..]);
    let name = head
        .strip_prefix('[')
        .and_then(|head| head.split(']').next());
    name.unwrap_or_default()
}

/// A text without a secret, or without its beginning where a message has cut it.
fn without(text: &str, secret: &str) -> String {
    const CUT: usize = 16;
    let cut = secret
        .char_indices()
        .nth(CUT)
        .map_or(secret.len(), |(end, _)| end);
    let beginning = &secret[..cut];
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(beginning) {
        shown.push_str(before);
        shown.push_str(HIDDEN);
        let more = behind.chars().zip(secret[cut..].chars());
        let more = more.take_while(|(found, wanted)| found == wanted);
        rest = &behind[more.map(|(found, _)| found.len_utf8()).sum()..];
    }
    shown + rest
}
