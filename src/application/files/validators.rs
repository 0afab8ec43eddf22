//! By what a client tells whether it has a file already: entity tags and dates (RFC 9110 §13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use crate::clock::{http_date, parse_http_date};

/// What tells a version of a file from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// `ETag`. It is weak: a file can be changed twice in the time that its clock tells apart.
    pub tag: String,
    /// `Last-Modified`, in whole seconds.
    modified: SystemTime,
}

/// What becomes of a request under its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// The file is sent.
    Met,
    /// The client has it (304).
    NotModified,
    /// The client wants another version (412).
    Failed,
}

impl Validators {
    /// Those of a file that was changed at a time and has a length. `coding` tells its compressed forms apart.
    pub(super) fn new(modified: SystemTime, length: u64, coding: Option<&str>) -> Self {
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let coding = coding
            .map(|coding| format!("-{coding}"))
            .unwrap_or_default();
        // A time in the future would not be believed (RFC 9110 §8.8.2.1).
        let seconds = Duration::from_secs(since.as_secs());
        let modified = (UNIX_EPOCH + seconds).min(SystemTime::now());
        Self {
            tag: format!("W/\"{:x}-{length:x}{coding}\"", since.as_nanos()),
            modified,
        }
    }

    /// The value of `Last-Modified`.
    pub(super) fn last_modified(&self) -> String {
        http_date(self.modified)
    }

    /// Looks at the conditions of a `GET` or `HEAD`, in the order of RFC 9110 §13.2.2.
    pub(super) fn condition(&self, headers: &HeaderMap) -> Precondition {
        if headers.contains_key(header::IF_MATCH) {
            // Weak tags are never equal in the strong comparison that this field demands (§13.1.1).
            if !self.lists(headers, &header::IF_MATCH, false) {
                return Precondition::Failed;
            }
        } else if let Some(date) = date(headers, &header::IF_UNMODIFIED_SINCE)
            && self.modified > date
        {
            return Precondition::Failed;
        }
        let has_it = match headers.contains_key(header::IF_NONE_MATCH) {
            true => self.lists(headers, &header::IF_NONE_MATCH, true),
            false => {
                date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date)
            }
        };
        match has_it {
            true => Precondition::NotModified,
            false => Precondition::Met,
        }
    }

    /// Whether a range of this version may be sent (`If-Range`, RFC 9110 §13.1.5): the client has the rest of the same one.
    pub(super) fn allow_range(&self, headers: &HeaderMap) -> bool {
        // A tag would have to be a strong one.
        !headers.contains_key(header::IF_RANGE)
            || date(headers, &header::IF_RANGE).is_some_and(|date| date == self.modified)
    }

    /// Whether a field lists this version: `*` means any. Weak tags count in a weak comparison alone (§8.8.3.2).
    fn lists(&self, headers: &HeaderMap, name: &HeaderName, weakly: bool) -> bool {
        let own = self.tag.trim_start_matches("W/");
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().trim_ascii();
            value == b"*" || (weakly && tags(value).any(|tag| tag == own.as_bytes()))
        })
    }
}

/// The tags in a list, with their quotation marks. A comma may stand between these.
fn tags(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let begin = list.iter().position(|byte| *byte == b'"')?;
        let inside = list.get(begin + 1..)?;
        let length = inside.iter().position(|byte| *byte == b'"')?;
        let tag = list.get(begin..begin + length + 2)?;
        list = inside.get(length + 1..)?;
        Some(tag)
    })
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    parse_http_date(headers.get(name)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::{Precondition, Validators};

    const SAME: &str = "Tue, 10 Oct 2000 13:55:36 GMT";
    const BEFORE: &str = "Tue, 10 Oct 2000 13:55:35 GMT";
    const AFTER: &str = "Tue, 10 Oct 2000 13:55:37 GMT";

    fn validators() -> Validators {
        let modified = UNIX_EPOCH + Duration::from_millis(971_186_136_500);
        Validators::new(modified, 0x20, None)
    }

    fn fields(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a value");
        let fields = fields.iter();
        fields
            .map(|(name, text)| (name.clone(), value(text)))
            .collect()
    }

    #[test]
    fn conditions_are_looked_at_in_the_order_of_the_standard() {
        let tag = validators().tag;
        let listed = format!("\"a,b\", {tag} , \"c\"");
        let strong = tag.trim_start_matches("W/");
        let (if_match, unless) = (header::IF_MATCH, header::IF_NONE_MATCH);
        let (since, not_since) = (header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE);
        let cases: &[(&[(HeaderName, &str)], Precondition)] = &[
            (&[], Precondition::Met),
            (&[(unless.clone(), &tag)], Precondition::NotModified),
            (&[(unless.clone(), strong)], Precondition::NotModified),
            (&[(unless.clone(), &listed)], Precondition::NotModified),
            (&[(unless.clone(), "*")], Precondition::NotModified),
            (&[(unless.clone(), "\"a\"")], Precondition::Met),
            (&[(unless.clone(), "W/\"")], Precondition::Met),
            // The tag counts, and the date does not.
            (
                &[(unless.clone(), "\"a\""), (since.clone(), AFTER)],
                Precondition::Met,
            ),
            (
                &[(unless, &tag), (since.clone(), BEFORE)],
                Precondition::NotModified,
            ),
            (&[(since.clone(), SAME)], Precondition::NotModified),
            (&[(since.clone(), AFTER)], Precondition::NotModified),
            (&[(since.clone(), BEFORE)], Precondition::Met),
            (&[(since.clone(), "yesterday")], Precondition::Met),
            (&[(not_since.clone(), SAME)], Precondition::Met),
            (&[(not_since.clone(), BEFORE)], Precondition::Failed),
            (
                &[(if_match.clone(), "*"), (not_since, BEFORE)],
                Precondition::Met,
            ),
            (&[(if_match.clone(), &tag)], Precondition::Failed),
            (&[(if_match, "\"a\""), (since, AFTER)], Precondition::Failed),
        ];
        for (given, condition) in cases {
            assert_eq!(
                validators().condition(&fields(given)),
                *condition,
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_range_is_of_the_version_that_the_client_has() {
        let tag = validators().tag;
        for (value, allows) in [
            (SAME, true),
            (BEFORE, false),
            (AFTER, false),
            (&*tag, false),
        ] {
            let headers = fields(&[(header::IF_RANGE, value)]);
            assert_eq!(validators().allow_range(&headers), allows, "{value}");
        }
        assert!(validators().allow_range(&HeaderMap::new()));
    }

    #[test]
    fn each_change_and_coding_has_a_tag_of_its_own() {
        let modified = UNIX_EPOCH + Duration::from_nanos(1);
        let tags = [
            Validators::new(UNIX_EPOCH, 1, None).tag,
            Validators::new(modified, 1, None).tag,
            Validators::new(modified, 2, None).tag,
            Validators::new(modified, 2, Some("br")).tag,
            Validators::new(modified, 2, Some("gzip")).tag,
        ];
        for (index, tag) in tags.iter().enumerate() {
            assert!(!tags[..index].contains(tag), "{tag}");
        }
    }

    #[test]
    fn a_file_from_the_future_is_from_now() {
        let future = std::time::SystemTime::now() + Duration::from_secs(86_400);
        let soon = std::time::SystemTime::now() + Duration::from_secs(60);
        assert!(Validators::new(future, 1, None).modified < soon);
    }
}
