//! The head of a request: what RFC 9112 demands and hyper does not check.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version, request};
use memchr::{memchr, memchr2, memmem};
use percent_encoding::percent_decode;

use crate::gateway::http::shadow_parser::Odd;

/// A head that was found good.
pub struct Head {
    pub method: Method,
    pub target: Bytes,
    pub path_info: Bytes,
    pub query: Bytes,
    pub version: Version,
    pub headers: HeaderMap,
}

/// Why a request is not passed on. The connection is closed after the answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the client.
    pub status: StatusCode,
    /// For the log.
    pub reason: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a reason for the log.
    pub fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    /// What the client sent is nothing that it may send.
    pub fn malformed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// Nobody knows for certain where a request ends.
    pub fn unclear() -> Self {
        Self::malformed("it is not clear where the request ends")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.reason, self.status.as_u16())
    }
}

/// The longest method, in bytes. The longest registered one has 17.
const METHOD_LIMIT: usize = 32;

/// Checks a head and takes it apart.
///
/// # Errors
/// The refusal that the request deserves.
pub fn check(parts: request::Parts, has_body: bool) -> Result<Head, Refusal> {
    let request::Parts {
        method,
        uri,
        version,
        mut headers,
        mut extensions,
        ..
    } = parts;
    let sent = match extensions.remove() {
        Some(Odd::Foreign) => {
            let reason = "the version of HTTP is none that is spoken here";
            return Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, reason));
        }
        Some(Odd::Ambiguous) => {
            let reason = "there is a `Content-Length` beside `Transfer-Encoding`";
            return Err(Refusal::malformed(reason));
        }
        Some(Odd::Unclear) => return Err(Refusal::unclear()),
        Some(Odd::Target(target)) => Some(target),
        None => None,
    };
    check_method(&method)?;
    check_host(&headers, version)?;
    check_single(&headers)?;
    if has_body {
        check_framing(&headers)?;
    }
    let target = match sent {
        Some(target) => read_sent_target(&target, &mut headers)?,
        None => read_target(&method, uri, &mut headers)?,
    };
    let path = match memchr(b'?', &target) {
        Some(mark) => target.slice(..mark),
        None => target.clone(),
    };
    let query = target.slice((path.len() + 1).min(target.len())..);
    Ok(Head {
        path_info: decode(path)?,
        query,
        target,
        method,
        version,
        headers,
    })
}

/// RFC 9110 §9.1: any token would do, but methods are upper case, and what is not comes from probes.
fn check_method(method: &Method) -> Result<(), Refusal> {
    if matches!(
        *method,
        Method::GET
            | Method::POST
            | Method::HEAD
            | Method::PUT
            | Method::DELETE
            | Method::PATCH
            | Method::OPTIONS
            | Method::TRACE
    ) {
        return Ok(());
    }
    if *method == Method::CONNECT {
        // RFC 9110 §9.3.6: this is no proxy.
        let reason = "the method `CONNECT` is for proxies";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
    }
    let method = method.as_str();
    let is_good = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    match method.len() <= METHOD_LIMIT && method.bytes().all(is_good) {
        true => Ok(()),
        false => Err(Refusal::malformed("the method is malformed")),
    }
}

/// RFC 9112 §3.2: exactly one `Host`, which HTTP/1.0 may leave out.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Refusal::malformed("there is no `Host` field")),
        (Some(_), Some(_)) => Err(Refusal::malformed("there are several `Host` fields")),
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Refusal::malformed("the `Host` field is malformed")),
    }
}

/// Fields that are no lists, of which others refuse a second one (nginx; gunicorn that of `Content-Type`): who looks at
/// the request before us, or behind us, may take the other one. RFC 9110 §5.3 forbids to send them.
const REFUSED_TWICE: [(HeaderName, &str); 6] = [
    (
        header::AUTHORIZATION,
        "there are several `Authorization` fields",
    ),
    (
        header::CONTENT_RANGE,
        "there are several `Content-Range` fields",
    ),
    (
        header::CONTENT_TYPE,
        "there are several `Content-Type` fields",
    ),
    (
        header::IF_MODIFIED_SINCE,
        "there are several `If-Modified-Since` fields",
    ),
    (header::IF_RANGE, "there are several `If-Range` fields"),
    (
        header::IF_UNMODIFIED_SINCE,
        "there are several `If-Unmodified-Since` fields",
    ),
];

/// That there are no two of them that differ: the same one twice is one.
fn check_single(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    for (name, reason) in REFUSED_TWICE {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            return Err(Refusal::malformed(reason));
        }
    }
    Ok(())
}

/// Whether this is `host[:port]` (RFC 3986 §3.2.2), without the punctuation that the standard allows
/// in names but no name has, and that joins or separates names elsewhere.
fn is_authority(text: &[u8]) -> bool {
    let (host_is_good, rest) = match text.strip_prefix(b"[") {
        Some(text) => match memchr(b']', text) {
            Some(end) => (is_ipv6(&text[..end]), &text[end + 1..]),
            None => return false,
        },
        None => {
            let end = memchr(b':', text).unwrap_or(text.len());
            let is_good = |byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'%')
            };
            (end > 0 && text[..end].iter().all(is_good), &text[end..])
        }
    };
    host_is_good
        && match rest.split_first() {
            None => true,
            // RFC 3986 §3.2.3: the port may be empty.
            Some((b':', port)) => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
            Some(_) => false,
        }
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// RFC 9112 §6: hyper takes any list of codings that ends in `chunked` and decodes only that.
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        (Some(_), None) => {
            let reason = "the transfer coding is not `chunked`";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
        }
        (Some(_), Some(_)) => {
            let reason = "there are several `Transfer-Encoding` fields";
            return Err(Refusal::malformed(reason));
        }
    }
    match headers.get(header::EXPECT) {
        Some(wanted) if !wanted.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            let reason = "the `Expect` field is not `100-continue`";
            Err(Refusal::new(StatusCode::EXPECTATION_FAILED, reason))
        }
        _ => Ok(()),
    }
}

/// The path and query of the request's target (RFC 9112 §3.2), or `*`. The host of an absolute target
/// replaces that of the `Host` field.
fn read_target(method: &Method, uri: Uri, headers: &mut HeaderMap) -> Result<Bytes, Refusal> {
    let parts = uri.into_parts();
    let Some(path) = parts.path_and_query else {
        return Err(Refusal::malformed("the target has no path"));
    };
    match (parts.scheme, parts.authority) {
        (None, None) => {}
        (Some(scheme), Some(authority)) => {
            check_scheme(scheme.as_str().as_bytes())?;
            set_host(headers, authority.as_str().as_bytes())?;
        }
        (None, Some(_)) | (Some(_), None) => {
            return Err(Refusal::malformed("the target is only a host"));
        }
    }
    let text = path.as_str();
    match text.as_bytes().first() {
        Some(b'/') => Ok(Bytes::from_owner(Target(path))),
        Some(b'*') if text == "*" && *method == Method::OPTIONS => Ok(Bytes::from_static(b"*")),
        // `http://host?query`
        Some(b'?') => Ok(format!("/{text}").into()),
        _ => Err(Refusal::malformed("the target is no path")),
    }
}

/// The same of a target that hyper would not let through. RFC 3986 allows none of `" < > \ ^ ` { | }`, but clients send
/// them, and all servers take them. What is not ASCII they take or not; which text it is, nobody says.
fn read_sent_target(target: &Bytes, headers: &mut HeaderMap) -> Result<Bytes, Refusal> {
    if let Some(byte) = target.iter().find(|byte| !byte.is_ascii_graphic()) {
        let reason = format!(
            "the target contains the byte {byte:#04x}, which is to be encoded as %{byte:02X}"
        );
        return Err(Refusal::malformed(reason));
    }
    let end = memchr(b'#', target).unwrap_or(target.len());
    let target = target.slice(..end);
    if target.starts_with(b"/") {
        return Ok(target);
    }
    let Some(scheme) = memmem::find(&target, b"://") else {
        return Err(Refusal::malformed("the target is no path"));
    };
    check_scheme(&target[..scheme])?;
    let behind = target.slice(scheme + 3..);
    let end = memchr2(b'/', b'?', &behind).unwrap_or(behind.len());
    set_host(headers, &behind[..end])?;
    match behind.get(end) {
        Some(b'/') => Ok(behind.slice(end..)),
        Some(_) | None => Ok([b"/", &behind[end..]].concat().into()),
    }
}

fn check_scheme(scheme: &[u8]) -> Result<(), Refusal> {
    let known = ["http", "https"].map(str::as_bytes);
    match known.iter().any(|one| one.eq_ignore_ascii_case(scheme)) {
        true => Ok(()),
        false => Err(Refusal::malformed("the target is no address of a web page")),
    }
}

/// The host of an absolute target replaces that of the `Host` field.
fn set_host(headers: &mut HeaderMap, authority: &[u8]) -> Result<(), Refusal> {
    let malformed = || Refusal::malformed("the target's host is malformed");
    if !is_authority(authority) {
        return Err(malformed());
    }
    let host = HeaderValue::from_bytes(authority).map_err(|_| malformed())?;
    headers.insert(header::HOST, host);
    Ok(())
}

/// Lends hyper's copy of the target.
struct Target(PathAndQuery);

impl AsRef<[u8]> for Target {
    fn as_ref(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}

/// `PATH_INFO`. That of `*` is empty: PEP 3333 wants a slash or nothing.
fn decode(path: Bytes) -> Result<Bytes, Refusal> {
    if path == "*" {
        return Ok(Bytes::new());
    }
    if memchr(b'%', &path).is_none() {
        return Ok(path);
    }
    let decoded: Vec<u8> = percent_decode(&path).collect();
    match decoded.contains(&0) {
        // RFC 3875 §4.1.5: nothing could be passed on.
        true => Err(Refusal::malformed("the path contains a zero byte")),
        false => Ok(decoded.into()),
    }
}
