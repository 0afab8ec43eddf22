//! What the texts of lines have in common: system errors without their numbers, requests with their ids.

use std::borrow::Cow;

/// A text without the numbers that the standard library adds to system errors: `(os error 2)` tells users nothing that
/// the words before it do not.
#[must_use]
pub fn without_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, behind)) if number.parse::<i32>().is_ok() => out.push_str(behind),
            Some(_) | None => {
                out.push_str(MARK);
                out.push_str(part);
            }
        }
    }
    out
}

/// A text with the ids of the request that it is about. Most texts have them where they name the request; others get them
/// behind their first line.
pub(super) fn with_ids<'a>(
    text: &'a str,
    request: Option<&str>,
    trace: Option<&str>,
) -> Cow<'a, str> {
    let Some(id) = request.filter(|id| !text.contains(id)) else {
        return text.into();
    };
    let trace = trace.map_or_else(String::new, |trace| format!(", trace {trace}"));
    let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
    format!("{first} (request {id}{trace}){rest}").into()
}

#[cfg(test)]
mod tests {
    use super::{with_ids, without_numbers};

    #[test]
    fn a_text_names_its_request_once() {
        for (text, named) in [
            ("it failed", "it failed (request a-1, trace b)"),
            ("it failed\nhere", "it failed (request a-1, trace b)\nhere"),
            ("GET / (request a-1) failed", "GET / (request a-1) failed"),
        ] {
            assert_eq!(with_ids(text, Some("a-1"), Some("b")), named);
        }
        assert_eq!(with_ids("one", None, None), "one");
    }

    #[test]
    fn reasons_without_numbers() {
        for (text, plain) in [
            ("a: No such file (os error 2)", "a: No such file"),
            ("a (os error 2): b (os error 13), c", "a: b, c"),
            ("a (os error x) (os error ", "a (os error x) (os error "),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }
}
