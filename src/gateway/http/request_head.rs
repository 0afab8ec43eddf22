//! What the head of a request means, once its syntax is good ([`shadow_parser`](crate::gateway::http::shadow_parser)): checks of
//! method, `Host` and other fields, and the target in its four forms.

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

impl CheckedHead {
    /// What the log knows a request by.
    pub(super) fn known(&self) -> (&Method, &[u8], &HeaderMap) {
        (&self.method, &self.target, &self.headers)
    }
}

/// The refusal of a request whose end this parser and hyper do not agree on.
pub(super) fn unclear_end() -> Refusal {
    Refusal::malformed("it is not clear where the request ends")
}

/// Checks a head but for its target.
///
/// # Errors
/// The refusal of a head with a fault.
pub(super) fn check(
    parts: &request::Parts,
    hidden: Option<&Hidden>,
    has_body: bool,
) -> Result<(), Refusal> {
    match hidden {
        Some(Hidden::Refused(refusal, _)) => return Err(refusal.clone()),
        Some(Hidden::UnclearEnd) => return Err(unclear_end()),
        Some(Hidden::Target(_)) | None => {}
    }
    check_method(&parts.method, has_body)?;
    check_host(&parts.headers, parts.version)?;
    check_single(&parts.headers)?;
    check_expect(&parts.headers, parts.version)
}

/// Takes a head apart that was checked. `sent` is a target that hyper does not accept.
///
/// # Errors
/// The refusal of a target with a fault.
pub(super) fn take_apart(
    parts: request::Parts,
    sent: Option<Bytes>,
) -> Result<CheckedHead, Refusal> {
    let request::Parts {
        method,
        uri,
        version,
        mut headers,
        ..
    } = parts;
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
fn check_method(method: &Method, has_body: bool) -> Result<(), Refusal> {
    match *method {
        Method::GET
        | Method::POST
        | Method::HEAD
        | Method::PUT
        | Method::DELETE
        | Method::PATCH
        | Method::OPTIONS => return Ok(()),
        Method::TRACE => {
            return match has_body {
                // RFC 9110 §9.3.8
                true => Err(Refusal::malformed(
                    "there is a body with the method `TRACE`",
                )),
                false => Ok(()),
            };
        }
        Method::CONNECT => {
            // RFC 9110 §9.3.6: for proxies.
            let reason = "the method `CONNECT` is for proxies";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
        }
        _ => {}
    }
    let is_good = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    match method.as_str().bytes().all(is_good) {
        true => Ok(()),
        false => Err(Refusal::malformed("the method is not in upper case")),
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
            Some((b':', port)) => is_port(port),
            Some(_) => false,
        }
}

/// A port in digits, or none (RFC 3986 §3.2.3), which TCP can have.
fn is_port(text: &[u8]) -> bool {
    let number = std::str::from_utf8(text).map(str::parse::<u16>);
    text.is_empty() || text.iter().all(u8::is_ascii_digit) && matches!(number, Ok(Ok(_)))
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// RFC 9110 §10.1.1: a client of HTTP/1.0 has no expectations.
fn check_expect(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut wanted = headers.get_all(header::EXPECT).iter();
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if version == Version::HTTP_10 || wanted.all(is_known) {
        return Ok(());
    }
    let reason = "the `Expect` field is not `100-continue`";
    Err(Refusal::new(StatusCode::EXPECTATION_FAILED, reason))
}

/// Path and query of the request's target (RFC 9112 §3.2), or `*`. `sent` is a target that hyper does not accept.
fn read_target(
    method: &Method,
    uri: Uri,
    sent: Option<Bytes>,
    headers: &mut HeaderMap,
) -> Result<Bytes, Refusal> {
    let target = match sent {
        Some(sent) => sent,
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

/// Path and query of an absolute target. RFC 9112 §3.2.2 has its host replace that of the `Host` field; since a proxy in front
/// may go by the field, the two have to be the same.
fn read_absolute(target: &[u8], headers: &mut HeaderMap) -> Result<Bytes, Refusal> {
    let Some(absolute) = path_info::absolute_form(target) else {
        return Err(Refusal::malformed("the target is not a path"));
    };
    let default_port = match absolute.scheme {
        scheme if scheme.eq_ignore_ascii_case(b"http") => b":80".as_slice(),
        scheme if scheme.eq_ignore_ascii_case(b"https") => b":443",
        _ => {
            let reason = "the scheme of the target is not `http` or `https`";
            return Err(Refusal::malformed(reason));
        }
    };
    let host = HeaderValue::from_bytes(absolute.authority).ok();
    let Some(host) = host.filter(|_| is_authority(absolute.authority)) else {
        return Err(Refusal::malformed("the target's host is malformed"));
    };
    let without_port = |host: &[u8]| {
        let end = [default_port, b":"]
            .iter()
            .find_map(|port| host.strip_suffix(*port));
        end.unwrap_or(host).to_ascii_lowercase()
    };
    if let Some(field) = headers.get(header::HOST)
        && without_port(field.as_bytes()) != without_port(absolute.authority)
    {
        let reason = "the target's host is not that of the `Host` field";
        return Err(Refusal::malformed(reason));
    }
    headers.insert(header::HOST, host);
    Ok(absolute.origin_form.into_owned().into())
}

/// hyper's copy of the target, which [`Bytes`] refer to without another copy.
struct BorrowedTarget(PathAndQuery);

impl AsRef<[u8]> for BorrowedTarget {
    fn as_ref(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}
