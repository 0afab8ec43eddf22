//! The two directions as inverses, and the heads that programs really write.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use crate::interface::{Response, ResponseBody};
use crate::protocol::cgi::response_head::{BadHead, HEAD_LIMIT, Head, parse_head, write_head};

fn response(status: u16, reason: Option<&'static str>, headers: &[(&str, &str)]) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        reason: reason.map(|reason| Bytes::from_static(reason.as_bytes())),
        headers: map,
        body: ResponseBody::Bytes(Bytes::new()),
    }
}

fn written(response: &Response) -> String {
    let mut bytes = BytesMut::new();
    write_head(response, &mut bytes);
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn heads_as_they_are_written() {
    #[rustfmt::skip]
    let cases = [
        (response(200, None, &[("Content-Type", "text/plain")]), "Status: 200 OK\r\ncontent-type: text/plain\r\n\r\n"),
        (response(302, None, &[("Location", "/x")]), "Status: 302 Found\r\nlocation: /x\r\n\r\n"),
        (response(200, None, &[("Set-Cookie", "a"), ("Set-Cookie", "b")]), "Status: 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n"),
        (response(404, Some("Nope"), &[]), "Status: 404 Nope\r\n\r\n"),
        (response(404, Some("a\r\nX: y"), &[]), "Status: 404 Not Found\r\n\r\n"),
        (response(599, None, &[]), "Status: 599\r\n\r\n"),
        (response(200, None, &[("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Status", "500 x")]), "Status: 200 OK\r\n\r\n"),
    ];
    for (response, expected) in cases {
        assert_eq!(written(&response), expected);
    }
}

fn document(response: Response) -> Head {
    Head::Document {
        status: response.status,
        reason: response.reason,
        headers: response.headers,
    }
}

#[test]
fn heads_as_programs_write_them() {
    let plain = [("content-type", "text/plain")];
    #[rustfmt::skip]
    let cases = [
        ("Content-Type: text/plain\n\n", document(response(200, None, &plain))),
        ("Content-Type: text/plain\r\n\r\n", document(response(200, None, &plain))),
        ("content-TYPE:text/plain  \r\nSTATUS: 404 Not Found\n\r\n", document(response(404, None, &plain))),
        ("Status: 404\n\n", document(response(404, None, &[]))),
        ("Status: 404 Nope\n\n", document(response(404, Some("Nope"), &[]))),
        ("HTTP/1.1 404 Nope\nA: b:c\n\n", document(response(404, Some("Nope"), &[("a", "b:c")]))),
        ("Location: http://h/x\n\n", document(response(302, None, &[("location", "http://h/x")]))),
        ("Location: //h/x\n\n", document(response(302, None, &[("location", "//h/x")]))),
        ("Status: 303 See Other\nLocation: /x\n\n", document(response(303, None, &[("location", "/x")]))),
        ("Location: /x?y\n\n", Head::LocalRedirect(Bytes::from_static(b"/x?y"))),
    ];
    for (text, expected) in cases {
        let with_body = format!("{text}body\n\n");
        let (head, length) = parse_head(with_body.as_bytes()).unwrap().unwrap();
        assert_eq!(head, expected, "{text:?}");
        assert_eq!(length, text.len(), "{text:?}");
        for end in 0..text.len() {
            assert_eq!(
                parse_head(&text.as_bytes()[..end]),
                Ok(None),
                "{text:?} cut at {end}"
            );
        }
    }
}

#[test]
fn heads_that_are_none() {
    let endless = "A: b\n".repeat(HEAD_LIMIT / 5 + 1);
    let no_line = "a".repeat(HEAD_LIMIT);
    #[rustfmt::skip]
    let cases = [
        ("\n", BadHead::Empty),
        ("\r\nbody", BadHead::Empty),
        ("<html>\n", BadHead::Line),
        ("A b: c\n\n", BadHead::Line),
        ("A : c\n\n", BadHead::Line),
        ("A: b\n c\n\n", BadHead::Line),
        ("A: b\0\n\n", BadHead::Line),
        ("Status: fine\n\n", BadHead::Status),
        ("Status: 100 Continue\n\n", BadHead::Status),
        ("Status: 99\n\n", BadHead::Status),
        ("Status: 1000\n\n", BadHead::Status),
        ("Status: 200\nStatus: 404\n\n", BadHead::Status),
        ("HTTP/1.1\n\n", BadHead::Status),
        (&endless, BadHead::TooLong),
        (&no_line, BadHead::TooLong),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_head(text.as_bytes()), Err(expected), "{text:.20}");
    }
}

fn any_response() -> impl Strategy<Value = Response> {
    let reason = proptest::option::of("[A-Z][a-z\u{e9} ]{0,10}[a-z]");
    let headers = proptest::collection::vec(
        (
            "x-[a-z-]{1,8}|location|set-cookie",
            "([!-~\u{e9}]([ -~]{0,9}[!-~])?)?",
        ),
        0..6,
    );
    (200..1000_u16, reason, headers).prop_map(|(status, reason, headers)| {
        let pairs: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let mut response = response(status, None, &[]);
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            response.headers.append(name, value);
        }
        response.reason = reason
            .filter(|reason| Some(&**reason) != response.status.canonical_reason())
            .map(Bytes::from);
        response
    })
}

proptest! {
    #[test]
    fn the_directions_are_inverses(response in any_response()) {
        let mut bytes = BytesMut::new();
        write_head(&response, &mut bytes);
        let length = bytes.len();
        prop_assert_eq!(parse_head(&bytes), Ok(Some((document(response), length))));
    }

    #[test]
    fn any_bytes_are_answered(text in "(Status: |Location: |[A-Z]{1,3}: )?.{0,6}(\r\n|\n){0,2}.{0,3}\n{0,2}",
                              bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        for bytes in [text.as_bytes(), &bytes] {
            if let Ok(Some((_, length))) = parse_head(bytes) {
                assert!(length <= bytes.len());
            }
        }
    }
}
