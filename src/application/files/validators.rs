//! By what a client tells whether it has a file already: entity tags and dates (RFC 9110 §13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use crate::clock::{http_date, parse_http_date};

/// A file that was changed in this time may be changed again without another time of change: clocks of file systems tick
/// as slowly as that (FAT).
const UNSETTLED: Duration = Duration::from_secs(2);

/// What tells a version of a file from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// The value of `ETag`.
    pub tag: String,
    /// `Last-Modified`, in whole seconds.
    modified: SystemTime,
    /// The file was changed long enough ago that the next change will show: its tag is a strong one (RFC 9110 §8.8.1), and so is
    /// its date (§8.8.2.2).
    is_settled: bool,
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
        let now = SystemTime::now();
        let is_settled = now
            .duration_since(modified)
            .is_ok_and(|age| age >= UNSETTLED);
        let weak = if is_settled { "" } else { "W/" };
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let coding = coding
            .map(|coding| format!("-{coding}"))
            .unwrap_or_default();
        // A time in the future would not be believed (RFC 9110 §8.8.2.1).
        let seconds = Duration::from_secs(since.as_secs());
        let modified = (UNIX_EPOCH + seconds).min(now);
        Self {
            tag: format!("{weak}\"{:x}-{length:x}{coding}\"", since.as_nanos()),
            modified,
            is_settled,
        }
    }

    /// The value of `Last-Modified`.
    pub(super) fn last_modified(&self) -> String {
        http_date(self.modified)
    }

    /// Looks at the conditions of a `GET` or `HEAD`, in the order of RFC 9110 §13.2.2.
    pub(super) fn condition(&self, headers: &HeaderMap) -> Precondition {
        if headers.contains_key(header::IF_MATCH) {
            // This field demands a strong comparison (§13.1.1).
            if !self.lists(headers, &header::IF_MATCH, Comparison::Strong) {
                return Precondition::Failed;
            }
        } else if let Some(date) = date(headers, &header::IF_UNMODIFIED_SINCE)
            && self.modified > date
        {
            return Precondition::Failed;
        }
        let has_it = match headers.contains_key(header::IF_NONE_MATCH) {
            true => self.lists(headers, &header::IF_NONE_MATCH, Comparison::Weak),
            false => {
                date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date)
            }
        };
        match has_it {
            true => Precondition::NotModified,
            false => Precondition::Met,
        }
    }

    /// Whether a range of this version may be sent (`If-Range`, RFC 9110 §13.1.5): the client has the rest of the same one,
    /// which only strong validators say.
    pub(super) fn allow_range(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(header::IF_RANGE) {
            return true;
        }
        self.is_settled
            && match date(headers, &header::IF_RANGE) {
                Some(date) => date == self.modified,
                None => {
                    let value = headers.get(header::IF_RANGE);
                    value.is_some_and(|value| value.as_bytes().trim_ascii() == self.tag.as_bytes())
                }
            }
    }

    /// Whether a field lists this version: `*` means any.
    fn lists(&self, headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> bool {
        let own = EntityTag {
            is_weak: !self.is_settled,
            opaque: self.tag.trim_start_matches("W/").as_bytes(),
        };
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().trim_ascii();
            value == b"*" || tags(value).any(|tag| tag.equals(&own, comparison))
        })
    }
}

/// How tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// The same version to the last byte: no weak tag is equal to another.
    Strong,
    /// As good as the same.
    Weak,
}

/// A tag (RFC 9110 §8.8.3).
#[derive(Clone, Copy, Debug)]
struct EntityTag<'a> {
    is_weak: bool,
    /// With its quotation marks.
    opaque: &'a [u8],
}

impl EntityTag<'_> {
    fn equals(&self, other: &EntityTag<'_>, comparison: Comparison) -> bool {
        let counts = match comparison {
            Comparison::Strong => !self.is_weak && !other.is_weak,
            Comparison::Weak => true,
        };
        counts && self.opaque == other.opaque
    }
}

/// The tags in a list. A comma may stand between their quotation marks.
fn tags(mut list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    std::iter::from_fn(move || {
        let begin = list.iter().position(|byte| *byte == b'"')?;
        let inside = list.get(begin + 1..)?;
        let length = inside.iter().position(|byte| *byte == b'"')?;
        let tag = EntityTag {
            is_weak: list[..begin].ends_with(b"W/"),
            opaque: list.get(begin..begin + length + 2)?,
        };
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
        let weak = format!("W/{tag}");
        let (if_match, unless) = (header::IF_MATCH, header::IF_NONE_MATCH);
        let (since, not_since) = (header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE);
        let cases: &[(&[(HeaderName, &str)], Precondition)] = &[
            (&[], Precondition::Met),
            (&[(unless.clone(), &tag)], Precondition::NotModified),
            (&[(unless.clone(), &weak)], Precondition::NotModified),
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
            (&[(if_match.clone(), &tag)], Precondition::Met),
            (&[(if_match.clone(), &listed)], Precondition::Met),
            (&[(if_match.clone(), &weak)], Precondition::Failed),
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
            (&*tag, true),
            (&format!("W/{tag}"), false),
            ("\"a\"", false),
            ("*", false),
        ] {
            let headers = fields(&[(header::IF_RANGE, value)]);
            assert_eq!(validators().allow_range(&headers), allows, "{value}");
        }
        assert!(validators().allow_range(&HeaderMap::new()));
    }

    /// Another change may leave its time as it is.
    #[test]
    fn a_file_that_was_just_changed_has_weak_validators() {
        let now = std::time::SystemTime::now();
        // Nothing that takes long here makes it older.
        let young = Validators::new(now + Duration::from_secs(60), 0x20, None);
        assert!(young.tag.starts_with("W/\""), "{}", young.tag);
        let (tag, date) = (young.tag.clone(), young.last_modified());
        let strong = tag.trim_start_matches("W/");
        for value in [&tag, &date, strong] {
            assert!(!young.allow_range(&fields(&[(header::IF_RANGE, value)])));
        }
        for (field, condition) in [
            (header::IF_MATCH, Precondition::Failed),
            (header::IF_NONE_MATCH, Precondition::NotModified),
        ] {
            for value in [&*tag, strong] {
                let found = young.condition(&fields(&[(field.clone(), value)]));
                assert_eq!(found, condition, "{field}: {value}");
            }
        }
        let old = now - Duration::from_secs(3);
        let old = Validators::new(old, 0x20, None);
        assert!(old.tag.starts_with('"'), "{}", old.tag);
        assert!(old.allow_range(&fields(&[(header::IF_RANGE, &old.tag)])));
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
