//! The heads of messages between runner and an HTTP server behind it: the request as that server gets it, and what of its
//! response goes on to the client. Neither carries what is about a connection (RFC 9110 §7.6.1), and neither leaves open
//! where a body ends (RFC 9112 §6.3).
//!
//! What a client says of other clients is not passed on: `Forwarded` (RFC 7239), `X-Forwarded-For`, `-Host` and `-Proto` are
//! set to what the gateway knows, with what it believes of proxies in front.

use core::net::IpAddr;
use std::fmt::Write;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::interface::{Request, Scheme};
use crate::protocol::cgi::path_info::{absolute_form, decode, encode, split_query};
use crate::protocol::hop_by_hop::is_hop_by_hop;
use crate::protocol::proxy::forwarded::{self, ForwardedField};

/// `Keep-Alive: timeout=5`, which RFC 2068 §19.7.1.1 has and Node sends.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Bytes that clients may send in a target and the `http` crate takes in none.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'#');

/// The target of a request for the server. `strips_prefix` if it is to see the path below the mount only. `None` if that is
/// no target of HTTP.
#[must_use]
pub fn target(request: &Request, strips_prefix: bool) -> Option<Uri> {
    let absolute = absolute_form(&request.target);
    let sent = match &absolute {
        Some(absolute) => Bytes::copy_from_slice(&absolute.origin_form),
        None => request.target.clone(),
    };
    let target = match strips_prefix && !request.script_name.is_empty() && sent != "*" {
        true => below_mount(&sent, request),
        false => sent,
    };
    Uri::from_maybe_shared(target.clone())
        .or_else(|_| Uri::from_maybe_shared(percent_encode(&target, ESCAPED).to_string()))
        .ok()
}

/// Path and query without the mount, as the client has written them where that can be told.
fn below_mount(target: &Bytes, request: &Request) -> Bytes {
    let (path, _) = split_query(target);
    let mount = encode(&request.script_name);
    if let Some(rest) = path.strip_prefix(mount.as_bytes())
        && rest.first() == Some(&b'/')
        && decode(target.slice_ref(rest)).as_ref() == Some(&request.path_info)
    {
        return target.slice(mount.len()..);
    }
    let mut below = encode(&request.path_info).into_bytes();
    if below.first() != Some(&b'/') {
        below.insert(0, b'/');
    }
    below.extend_from_slice(&target[path.len()..]);
    below.into()
}

/// The fields of a request for the server, without those of its body.
#[must_use]
pub fn request_fields(request: &Request, strips_prefix: bool) -> HeaderMap {
    let mut fields = request.headers.clone();
    remove_connection_fields(&mut fields);
    for name in [header::CONTENT_LENGTH, header::EXPECT] {
        fields.remove(name);
    }
    remove_claims(&mut fields);
    let length = request.body.length();
    let announces =
        length > 0 || matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    if announces {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !fields.contains_key(header::HOST)
        && let Some(host) = own_host(request)
    {
        fields.insert(header::HOST, host);
    }
    forward(request, strips_prefix, &mut fields);
    fields
}

/// Removes what a client says of other clients, also in names that some servers take for the same: CGI's variables have one
/// character for `-` and `_`, and PHP's also for `.`.
fn remove_claims(fields: &mut HeaderMap) {
    forwarded::remove(fields);
    let is_claim = |name: &&HeaderName| {
        let name = name.as_str();
        name.contains(['_', '.']) && {
            let name = name.replace(['_', '.'], "-");
            name.starts_with("x-forwarded-") || matches!(&*name, "forwarded" | "x-real-ip")
        }
    };
    let claims: Vec<HeaderName> = fields.keys().filter(is_claim).cloned().collect();
    for name in claims {
        fields.remove(name);
    }
}

/// The host that a client of HTTP/1.0 has not named.
fn own_host(request: &Request) -> Option<HeaderValue> {
    let connection = &request.connection;
    let name = match connection.server_name.is_empty() {
        true => "localhost",
        false => &connection.server_name,
    };
    let default = match connection.scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    let host = match &*connection.server_port {
        "" => name.to_owned(),
        port if port == default => name.to_owned(),
        port => format!("{name}:{port}"),
    };
    HeaderValue::try_from(host).ok()
}

/// Adds what is known of the client.
fn forward(request: &Request, strips_prefix: bool, fields: &mut HeaderMap) {
    let connection = &request.connection;
    let scheme = connection.scheme.as_str();
    let host = fields.get(header::HOST).cloned();
    let mut element = String::with_capacity(64);
    // Writing to a string does not fail.
    let _ = match connection.remote_addr.ip() {
        Some(IpAddr::V6(address)) => write!(element, "for=\"[{address}]\""),
        Some(IpAddr::V4(address)) => write!(element, "for={address}"),
        None => write!(element, "for=unknown"),
    };
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok())
        && !host.contains(['"', '\\'])
    {
        let _ = write!(element, ";host=\"{host}\"");
    }
    let _ = write!(element, ";proto={scheme}");
    let mut set = |field: ForwardedField, value: Result<HeaderValue, _>| {
        if let Ok(value) = value {
            fields.insert(field.name(), value);
        }
    };
    set(ForwardedField::Forwarded, HeaderValue::try_from(element));
    match connection.remote_addr.as_str() {
        "" => {}
        address => set(ForwardedField::For, HeaderValue::try_from(address)),
    }
    set(ForwardedField::Proto, Ok(HeaderValue::from_static(scheme)));
    if let Some(host) = host {
        set(ForwardedField::Host, Ok(host));
    }
    if strips_prefix && !request.script_name.is_empty() {
        let prefix = HeaderValue::try_from(encode(&request.script_name));
        set(ForwardedField::Prefix, prefix);
    }
}

/// Removes fields about the connection: those that a standard names, and those that `Connection` does.
pub fn remove_connection_fields(fields: &mut HeaderMap) {
    if fields.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = fields
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            // What no message can do without is not about the connection, whatever the list says.
            .filter(|name| ![header::HOST, header::CONTENT_LENGTH].contains(name))
            .collect();
        for name in named {
            fields.remove(name);
        }
    }
    let own = fields.keys().filter(|name| is_hop_by_hop(name.as_str()));
    for name in own.cloned().collect::<Vec<_>>() {
        fields.remove(name);
    }
}

/// How long a server says that it keeps a connection, in seconds.
#[must_use]
pub fn keep_alive_seconds(fields: &HeaderMap) -> Option<u64> {
    let text = fields.get(KEEP_ALIVE)?.to_str().ok()?;
    let mut parts = text.split(',').map(str::trim);
    parts.find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok())
}

/// Makes the fields of a server's response those for the client.
///
/// # Errors
/// What is wrong with them: the response has to be dropped, since others on the way may find another end of its body
/// (RFC 9112 §6.3, §11.2).
pub fn response_fields(status: StatusCode, fields: &mut HeaderMap) -> Result<(), &'static str> {
    // RFC 9110 §15: no client knows what to make of another.
    if status.as_u16() > 599 {
        return Err("a status that is none of 100 to 599");
    }
    let codings: Vec<&HeaderValue> = fields.get_all(header::TRANSFER_ENCODING).iter().collect();
    if let [first, rest @ ..] = &codings[..] {
        if !rest.is_empty() || !first.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("a transfer coding other than `chunked`");
        }
        if fields.contains_key(header::CONTENT_LENGTH) {
            return Err("both `Transfer-Encoding` and `Content-Length`");
        }
    }
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    if let Some(first) = lengths.next() {
        if lengths.next().is_some() {
            return Err("several `Content-Length` fields");
        }
        let is_number = |length: &[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        if !is_number(first.as_bytes()) {
            return Err("a `Content-Length` that is no number");
        }
    }
    remove_connection_fields(fields);
    // RFC 9110 §8.6: a 204 has none, and what that of a 1xx would mean is open.
    if status == StatusCode::NO_CONTENT {
        fields.remove(header::CONTENT_LENGTH);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

    use super::{keep_alive_seconds, request_fields, response_fields, target};
    use crate::interface::{Connection, Request, RequestBody, Scheme};

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        lines.collect()
    }

    fn shown(fields: &HeaderMap) -> Vec<String> {
        let shown = fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")));
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        shown
    }

    fn request(
        target: &'static str,
        script_name: &'static str,
        path_info: &'static str,
    ) -> Request {
        Request {
            target: Bytes::from_static(target.as_bytes()),
            script_name: Bytes::from_static(script_name.as_bytes()),
            path_info: Bytes::from_static(path_info.as_bytes()),
            ..Request::default()
        }
    }

    #[test]
    fn a_target_is_kept_or_loses_the_mount() {
        for (sent, script_name, path_info, kept, stripped) in [
            ("/a?b=%2F", "", "/a", "/a?b=%2F", "/a?b=%2F"),
            ("/m/a%2Fb?c", "/m", "/a/b", "/m/a%2Fb?c", "/a%2Fb?c"),
            ("/m", "/m", "", "/m", "/"),
            ("/m?a", "/m", "", "/m?a", "/?a"),
            ("/%6d/a%20b?c", "/m", "/a b", "/%6d/a%20b?c", "/a%20b?c"),
            ("/m//a", "/m", "//a", "/m//a", "//a"),
            ("http://host/m/a?b", "/m", "/a", "/m/a?b", "/a?b"),
            ("*", "", "", "*", "*"),
            (
                "/a\"<>`b",
                "",
                "/a\"<>`b",
                "/a%22%3C%3E%60b",
                "/a%22%3C%3E%60b",
            ),
        ] {
            let request = request(sent, script_name, path_info);
            let of = |strips| target(&request, strips).expect("a target").to_string();
            // What the `http` crate takes is not escaped.
            assert_eq!(of(false).replace('"', "%22"), kept, "{sent}");
            assert_eq!(of(true).replace('"', "%22"), stripped, "{sent}");
        }
    }

    #[test]
    fn a_server_learns_of_the_client_what_the_gateway_knows() {
        let mut request = request("/m/a", "/m", "/a");
        request.method = Method::POST;
        request.body = RequestBody::Bytes(Bytes::from_static(b"12345"));
        request.connection = Arc::new(Connection {
            scheme: Scheme::Https,
            remote_addr: "2001:db8::1".to_owned().into(),
            ..Connection::default()
        });
        request.headers = fields(&[
            ("host", "shop.example:8443"),
            ("connection", "keep-alive, x-one, host"),
            ("connection", "X-Two"),
            ("keep-alive", "timeout=5"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-prefix", "/evil"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x.real.ip", "10.0.0.1"),
            ("x_api_key", "stays"),
            ("cookie", "a=b"),
        ]);
        assert_eq!(
            shown(&request_fields(&request, true)),
            [
                "content-length: 5",
                "cookie: a=b",
                "forwarded: for=\"[2001:db8::1]\";host=\"shop.example:8443\";proto=https",
                "host: shop.example:8443",
                "x-forwarded-for: 2001:db8::1",
                "x-forwarded-host: shop.example:8443",
                "x-forwarded-prefix: /m",
                "x-forwarded-proto: https",
                "x-three: 3",
                "x_api_key: stays",
            ]
        );
    }

    #[test]
    fn a_client_that_names_no_host_or_has_no_address_is_told_of_as_well() {
        let mut request = request("/", "", "/");
        request.connection = Arc::new(Connection {
            server_name: "localhost".to_owned(),
            server_port: "8000".to_owned(),
            ..Connection::default()
        });
        assert_eq!(
            shown(&request_fields(&request, false)),
            [
                "forwarded: for=unknown;host=\"localhost:8000\";proto=http",
                "host: localhost:8000",
                "x-forwarded-host: localhost:8000",
                "x-forwarded-proto: http",
            ]
        );
    }

    #[test]
    fn a_response_whose_end_is_unclear_is_refused() {
        for (lines, refused) in [
            (&[("content-length", "5")][..], None),
            (&[("transfer-encoding", "Chunked")], None),
            (
                &[("content-length", "5"), ("transfer-encoding", "chunked")],
                Some("both `Transfer-Encoding` and `Content-Length`"),
            ),
            (
                &[("transfer-encoding", "gzip, chunked")],
                Some("a transfer coding other than `chunked`"),
            ),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                Some("a transfer coding other than `chunked`"),
            ),
            (
                &[("content-length", "5"), ("content-length", "5")],
                Some("several `Content-Length` fields"),
            ),
            (
                &[("content-length", "+5")],
                Some("a `Content-Length` that is no number"),
            ),
        ] {
            let mut fields = fields(lines);
            let checked = response_fields(StatusCode::OK, &mut fields);
            assert_eq!(checked.err(), refused, "{lines:?}");
        }
    }

    #[test]
    fn a_response_loses_what_is_about_its_connection() {
        let mut some = fields(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("trailer", "x"),
            ("proxy-authenticate", "Basic"),
            ("transfer-encoding", "chunked"),
            ("content-type", "text/plain"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
        ]);
        assert_eq!(response_fields(StatusCode::OK, &mut some), Ok(()));
        assert_eq!(
            shown(&some),
            [
                "content-type: text/plain",
                "set-cookie: a=b",
                "set-cookie: c=d"
            ]
        );
        let mut none = fields(&[("content-length", "0")]);
        assert_eq!(response_fields(StatusCode::NO_CONTENT, &mut none), Ok(()));
        assert!(none.is_empty());
    }

    #[test]
    fn a_server_says_how_long_it_keeps_a_connection() {
        for (text, expected) in [
            ("timeout=5", Some(5)),
            ("max=100, timeout=72", Some(72)),
            ("max=100", None),
            ("timeout=x", None),
        ] {
            assert_eq!(
                keep_alive_seconds(&fields(&[("keep-alive", text)])),
                expected
            );
        }
    }
}
