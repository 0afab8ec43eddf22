//! The head of a CGI response (RFC 3875 §6), as the CGI and FastCGI gateways write it.

use bytes::{BufMut, BytesMut};

use crate::interface::Response;
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// Writes the head of a response: `Status:` first, since web servers take a `Location` before it for a local redirect, then
/// the fields, then the blank line.
///
/// Left out are fields about the connection, which belongs to the web server (RFC 3875 §6.3.4), and a field named `Status`. A
/// reason phrase with control characters is replaced by the standard one.
pub fn write_head(response: &Response, into: &mut BytesMut) {
    let reason = match &response.reason {
        Some(reason) if is_reason(reason) => reason,
        Some(_) | None => response
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    };
    into.put_slice(b"Status: ");
    into.put_slice(response.status.as_str().as_bytes());
    if !reason.is_empty() {
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

    use super::write_head;
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
}
