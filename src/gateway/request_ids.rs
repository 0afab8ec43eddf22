//! Request ids: a request has the same one in the application's environ, in its response and in each line of the log.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::interface::{Request, RequestIds};

/// The field with the id, which proxies and applications know by this name.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The field with the ids of a trace (W3C Trace Context, §3.2), which is passed on as it is.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The variables in which web servers pass the ids that they have made: nginx where its file says so, Apache's
/// mod_unique_id. No field of a client becomes one of these.
const VARIABLES: [&[u8]; 2] = [b"REQUEST_ID", b"UNIQUE_ID"];

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

/// Gives a request that a web server passes on its id: the one that the web server has made, or else a new one. A field
/// that the client has sent is not believed, since the web server passes all of them on.
pub(super) fn assign_behind_server(request: &mut Request) {
    let value = |name: &[u8]| {
        let mut variables = request.variables.iter();
        variables.find_map(|(found, value)| (found == name).then_some(value))
    };
    let given = VARIABLES.into_iter().find_map(value);
    let given = given
        .filter(|id| is_sane(id))
        .and_then(|id| HeaderValue::from_bytes(id).ok());
    let is_given = given.is_some();
    if let Some(given) = given {
        // Where there is no room for a field, a new id is made.
        let _ = request.headers.try_insert(X_REQUEST_ID, given);
    }
    request.ids = Some(assign(&mut request.headers, is_given));
}

/// Puts the id of a request into the fields of its response.
pub(super) fn put(headers: &mut HeaderMap, ids: Option<&RequestIds>) {
    if let Some(ids) = ids {
        // Where there is no room for a field, the client does not see it.
        let _ = headers.try_insert(X_REQUEST_ID, ids.request.clone());
    }
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

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::{LONGEST, X_REQUEST_ID, assign, assign_behind_server, trace_id};
    use crate::interface::Request;

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
    fn behind_a_web_server_an_id_is_taken_from_its_variables_only() {
        for (variables, wanted) in [
            (
                &[("REQUEST_ID", "a-1"), ("UNIQUE_ID", "b")][..],
                Some("a-1"),
            ),
            (&[("UNIQUE_ID", "b")], Some("b")),
            (&[("REQUEST_ID", "a 1")], None),
            (&[("OTHER", "c")], None),
        ] {
            let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
            let mut request = Request {
                variables: variables
                    .iter()
                    .map(|(name, value)| (bytes(name), bytes(value)))
                    .collect(),
                ..Request::default()
            };
            let forged = HeaderValue::from_static("forged");
            request.headers.insert(X_REQUEST_ID, forged);
            assign_behind_server(&mut request);
            let ids = request.ids.unwrap();
            assert_eq!(request.headers[X_REQUEST_ID], ids.request);
            match wanted {
                Some(wanted) => assert_eq!(ids.request(), wanted),
                None => assert_eq!(ids.request().len(), 32, "{ids}"),
            }
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
