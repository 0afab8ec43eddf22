//! Request ids: a request has the same one in the application's environ, in its response and in each line of the log.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::interface::RequestIds;

/// The field with the id, which proxies and applications know by this name.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The field with the ids of a trace (W3C Trace Context, §3.2), which is passed on as it is.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest id that is taken from a client, in bytes.
const LONGEST: usize = 128;

/// Gives a request its id, also in its header fields: the one that it has, if its client is trusted and the id has a sane
/// form, or else a new one.
pub(super) fn assign(headers: &mut HeaderMap, is_trusted: bool) -> Arc<RequestIds> {
    let sent = headers.get(&X_REQUEST_ID);
    let sent = sent
        .filter(|id| is_trusted && is_sane(id.as_bytes()))
        .cloned();
    let request = sent.unwrap_or_else(new_id);
    // Where there is no room for a field, the application does not see it.
    let _ = headers.try_insert(X_REQUEST_ID, request.clone());
    let trace = headers.get(&TRACEPARENT);
    Arc::new(RequestIds {
        request,
        trace: trace.and_then(|trace| trace_id(trace.as_bytes())),
    })
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// 128 random bits in hexadecimal digits: a number, hashed with keys that the system has drawn. Without a system call.
fn new_id() -> HeaderValue {
    thread_local! {
        static KEYS: [RandomState; 2] = [RandomState::new(), RandomState::new()];
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    let number = NUMBER.replace(NUMBER.get().wrapping_add(1));
    let [high, low] = KEYS.with(|keys| keys.each_ref().map(|key| key.hash_one(number)));
    HeaderValue::try_from(format!("{high:016x}{low:016x}"))
        .unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// The trace id of a `traceparent`. Unknown versions are read by their first four parts (§4.3).
fn trace_id(parent: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(parent).ok()?;
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        parts
            .next()
            .filter(|part| part.len() == length && part.bytes().all(is_hex))
    };
    let (version, trace, span, _) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let is_longer = parts.next().is_some();
    let is_wrong =
        version == "ff" || version == "00" && is_longer || is_zero(trace) || is_zero(span);
    (!is_wrong).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::{HeaderMap, HeaderValue};

    use super::{LONGEST, X_REQUEST_ID, assign, trace_id};

    #[test]
    fn an_id_is_taken_only_if_it_is_sane_and_its_sender_trusted() {
        for (sent, is_trusted, is_taken) in [
            ("a-1", true, true),
            ("a-1", false, false),
            ("a 1", true, false),
            ("", true, false),
            ("\u{e9}", true, false),
            (&"x".repeat(LONGEST), true, true),
            (&"x".repeat(LONGEST + 1), true, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                X_REQUEST_ID,
                HeaderValue::from_bytes(sent.as_bytes()).unwrap(),
            );
            let ids = assign(&mut headers, is_trusted);
            assert_eq!(headers[X_REQUEST_ID], ids.request);
            assert_eq!(ids.request() == sent, is_taken, "{sent:?}");
            assert!(is_taken || ids.request().len() == 32, "{ids}");
        }
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let ids = (0..10_000).map(|_| assign(&mut HeaderMap::new(), false).request().to_owned());
        assert_eq!(ids.collect::<HashSet<_>>().len(), 10_000);
    }

    #[test]
    fn the_trace_id_is_that_of_the_standard() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        let zeros = "0".repeat(32);
        for (parent, is_valid) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-01-x"), false),
            (format!("cc-{TRACE}-{SPAN}-01-x"), true),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{zeros}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{}-01", &zeros[..16]), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (String::new(), false),
        ] {
            let wanted = is_valid.then(|| TRACE.to_owned());
            assert_eq!(trace_id(parent.as_bytes()), wanted, "{parent}");
        }
    }
}
