//! The head of a CGI response (RFC 3875 §6), as the gateways behind web servers write it.

use bytes::{BufMut, BytesMut};

use crate::interface::Response;
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// How a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadForm {
    /// With the field `Status`, as CGI and FastCGI have it.
    StatusField,
    /// With a status line of HTTP, as uwsgi has it. mod_proxy_uwsgi takes nothing else.
    StatusLine,
}

/// Writes the head of a response: the status first, since web servers take a `Location` before it for a local redirect, then
/// the fields, then the blank line.
///
/// Left out are fields about the connection, which belongs to the web server (RFC 3875 §6.3.4), and a field named `Status`. A
/// reason phrase with control characters is replaced by the standard one.
pub fn write_head(response: &Response, form: HeadForm, into: &mut BytesMut) {
    let reason = match &response.reason {
        Some(reason) if is_reason(reason) => reason,
        Some(_) | None => response
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    };
    into.put_slice(match form {
        HeadForm::StatusField => b"Status: ",
        HeadForm::StatusLine => b"HTTP/1.1 ",
    });
    into.put_slice(response.status.as_str().as_bytes());
    // RFC 9112 §4: the blank stands there even if no phrase does.
    if !reason.is_empty() || form == HeadForm::StatusLine {
        into.put_u8(b' ');
        into.put_slice(reason);
    }
    into.put_slice(b"\r\n");
    for (name, value) in &response.headers {
        if name != "status" && !is_hop_by_hop(name.as_str()) {
            into.put_slice(name.as_str().as_bytes());
            into.put_slice(b": ");
            into.put_slice(value.as_bytes());
            into.put_slice(b"\r\n");
        }
    }
    into.put_slice(b"\r\n");
}

/// Whether this is a reason phrase (RFC 9112 §4): tab, space, visible characters, and the upper half of Latin-1.
pub fn is_reason(reason: &[u8]) -> bool {
    reason
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::{HeadForm, write_head};
    use crate::interface::{Response, ResponseBody};

    fn response(status: u16, reason: Option<&'static str>, headers: &[(&str, &str)]) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            reason: reason.map(|reason| Bytes::from_static(reason.as_bytes())),
            about: None,
            headers: map,
            body: ResponseBody::Bytes(Bytes::new()),
        }
    }

    fn written(response: &Response, form: HeadForm) -> String {
        let mut bytes = BytesMut::new();
        write_head(response, form, &mut bytes);
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
            assert_eq!(written(&response, HeadForm::StatusField), expected);
        }
    }

    #[test]
    fn heads_with_a_status_line() {
        for (status, reason, expected) in [
            (200, None, "HTTP/1.1 200 OK\r\nx: y\r\n\r\n"),
            (404, Some("Nope"), "HTTP/1.1 404 Nope\r\nx: y\r\n\r\n"),
            (599, None, "HTTP/1.1 599 \r\nx: y\r\n\r\n"),
        ] {
            let response = response(status, reason, &[("X", "y"), ("Connection", "close")]);
            assert_eq!(written(&response, HeadForm::StatusLine), expected);
        }
    }
}
