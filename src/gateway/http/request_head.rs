//! The head of a request: checks that RFC 9112 demands and hyper does not make, and the target in its four forms.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Parts, PathAndQuery};
use http::{Method, StatusCode, Uri, Version, request};
use memchr::memchr;

use crate::gateway::http::shadow_parser::Hidden;
use crate::gateway::refusal::Refusal;
use crate::protocol::cgi::path_info;

/// A head without a fault.
pub(super) struct CheckedHead {
    pub method: Method,
    pub target: Bytes,
    pub path_info: Bytes,
    pub query: Bytes,
    pub version: Version,
    pub headers: HeaderMap,
}

/// The refusal of a request whose end this parser and hyper do not agree on.
pub(super) fn unclear_end() -> Refusal {
    Refusal::malformed("it is not clear where the request ends")
}

/// The longest method, in bytes. The longest registered one has 17.
const METHOD_LIMIT: usize = 32;

/// Checks a head and takes it apart.
///
/// # Errors
/// The refusal of a head with a fault.
pub(super) fn check(
    parts: request::Parts,
    hidden: Option<Hidden>,
    has_body: bool,
) -> Result<CheckedHead, Refusal> {
    let request::Parts {
        method,
        uri,
        version,
        mut headers,
        ..
    } = parts;
    let sent = match hidden {
        Some(Hidden::Version) => {
            let reason = "the version of HTTP is not 1.0 or 1.1";
            return Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, reason));
        }
        Some(Hidden::TwoFramings) => {
            let reason = "there is a `Content-Length` beside `Transfer-Encoding`";
            return Err(Refusal::malformed(reason));
        }
        Some(Hidden::UnclearEnd) => return Err(unclear_end()),
        Some(Hidden::Target(target)) => Some(target),
        None => None,
    };
    check_method(&method)?;
    check_host(&headers, version)?;
    check_single(&headers)?;
    if has_body {
        check_framing(&headers)?;
    }
    let target = read_target(&method, uri, sent, &mut headers)?;
    let (path, query) = path_info::split_query(&target);
    let path_info = path_info::decode(target.slice_ref(path));
    Ok(CheckedHead {
        path_info: path_info.ok_or(Refusal::malformed("the path contains a zero byte"))?,
        query: target.slice_ref(query),
        target,
        method,
        version,
        headers,
    })
}

/// RFC 9110 §9.1 allows any token, but all methods are upper case, and other ones come from scanners.
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
        // RFC 9110 §9.3.6: for proxies.
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

/// Fields that are no lists, of which other servers refuse a second one (nginx; gunicorn that of `Content-Type`): a proxy in
/// front, or the application, may use the other one. RFC 9110 §5.3 forbids to send them twice.
const REFUSED_TWICE: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
];

/// Refuses two of these fields that differ; the same one twice is one.
fn check_single(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    for name in REFUSED_TWICE {
        let mut values = headers.get_all(&name).iter();
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            return Err(Refusal::malformed(format!(
                "there are several `{name}` fields"
            )));
        }
    }
    Ok(())
}

/// Whether this is `host[:port]` (RFC 3986 §3.2.2), without the punctuation that the standard allows in names, but that no
/// name has, and that joins or separates names elsewhere.
pub(super) fn is_authority(text: &[u8]) -> bool {
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

/// Path and query of the request's target (RFC 9112 §3.2), or `*`. `sent` is a target that hyper does not accept.
fn read_target(
    method: &Method,
    uri: Uri,
    sent: Option<Bytes>,
    headers: &mut HeaderMap,
) -> Result<Bytes, Refusal> {
    let target = match sent {
        Some(sent) => check_sent(&sent)?,
        None => match uri.into_parts() {
            Parts {
                scheme: None,
                authority: None,
                path_and_query: Some(path),
                ..
            } => Bytes::from_owner(BorrowedTarget(path)),
            parts => Uri::from_parts(parts).map_or(Bytes::new(), |uri| uri.to_string().into()),
        },
    };
    match target.first() {
        Some(b'/') => Ok(target),
        Some(b'*') if target == "*" && *method == Method::OPTIONS => Ok(target),
        _ => read_absolute(&target, headers),
    }
}

/// A target that hyper does not accept, without its fragment. RFC 3986 allows none of `" < > \ ^ ` { | }`, but clients send
/// them, and all servers take them. Some servers take bytes beyond ASCII too, but their encoding is unknown.
fn check_sent(target: &Bytes) -> Result<Bytes, Refusal> {
    if let Some(byte) = target.iter().find(|byte| !byte.is_ascii_graphic()) {
        let reason = format!(
            "the target contains the byte {byte:#04x}, which is to be encoded as %{byte:02X}"
        );
        return Err(Refusal::malformed(reason));
    }
    Ok(target.slice(..memchr(b'#', target).unwrap_or(target.len())))
}

/// Path and query of an absolute target, whose host replaces that of the `Host` field.
fn read_absolute(target: &[u8], headers: &mut HeaderMap) -> Result<Bytes, Refusal> {
    let Some(absolute) = path_info::absolute_form(target) else {
        return Err(Refusal::malformed("the target is not a path"));
    };
    let known = ["http", "https"].map(str::as_bytes);
    if !known
        .iter()
        .any(|one| one.eq_ignore_ascii_case(absolute.scheme))
    {
        return Err(Refusal::malformed(
            "the scheme of the target is not `http` or `https`",
        ));
    }
    let host = HeaderValue::from_bytes(absolute.authority).ok();
    match host.filter(|_| is_authority(absolute.authority)) {
        Some(host) => headers.insert(header::HOST, host),
        None => return Err(Refusal::malformed("the target's host is malformed")),
    };
    Ok(absolute.origin_form.into_owned().into())
}

/// hyper's copy of the target, which [`Bytes`] refer to without another copy.
struct BorrowedTarget(PathAndQuery);

impl AsRef<[u8]> for BorrowedTarget {
    fn as_ref(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}
