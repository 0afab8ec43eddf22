//! The head of a request on a stream, as the head of a request by HTTP/1 (RFC 9113 §8.3): what is checked and what becomes of it
//! is the same from here on.

use h2::ext::Protocol;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};

use crate::gateway::http::request_head;
use crate::gateway::http::shadow_parser::head_limits::HeadLimits;
use crate::gateway::http::shadow_parser::{Hidden, request_line};
use crate::gateway::refusal::Refusal;

/// The bytes of a field beside its name and value, as HTTP/1 has them.
const SEPARATORS: usize = ": ".len();
const LINE_END: usize = 2;

/// The bytes of a first line beside method and target.
const AROUND_TARGET: usize = "  HTTP/1.1\r\n".len();

/// Whether a request asks for a WebSocket: an extended `CONNECT` (RFC 8441 §4).
pub(super) fn asks_for_web_socket<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Changes a head into that of HTTP/1: `:authority` is `Host`, the target is the path, and there is one field `Cookie`. One
/// that asks for a WebSocket is that of a `GET`. The result is its first fault.
pub(super) fn convert<B>(request: &mut Request<B>, limits: &HeadLimits) -> Option<Hidden> {
    let fault = check(request, limits).and_then(|()| {
        if asks_for_web_socket(request) {
            *request.method_mut() = Method::GET;
        } else if request.extensions().get::<Protocol>().is_some() {
            let reason = "the only protocol of an extended `CONNECT` is `websocket`";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
        }
        let authority = request.uri().authority().map(|authority| {
            let text = authority.as_str().as_bytes();
            HeaderValue::from_bytes(text).map_err(|_| malformed_authority())
        });
        if let Some(authority) = authority {
            name_host(request.headers_mut(), authority?)?;
        }
        join_cookies(request.headers_mut())
    });
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, PathAndQuery::into);
    fault.err().map(Hidden::refused)
}

/// Checks the limits, and what `h2` leaves open.
fn check<B>(request: &Request<B>, limits: &HeadLimits) -> Result<(), Refusal> {
    let target = request.uri().path_and_query();
    let target = target.map_or(b"".as_slice(), |target| target.as_str().as_bytes());
    if request.method().as_str().len() > request_line::METHOD_LIMIT {
        return Err(Refusal::malformed("the method is malformed"));
    }
    request_line::check_target(target, limits)?;
    // §8.3.1: that of another protocol is for a gateway to it.
    let scheme = request.uri().scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        let reason = "the `:scheme` is not `http` or `https`";
        return Err(Refusal::malformed(reason));
    }
    let headers = request.headers();
    limits.check_count(headers.len())?;
    let mut length = request.method().as_str().len() + target.len() + AROUND_TARGET;
    for (name, value) in headers {
        let field = name.as_str().len() + SEPARATORS + value.len();
        limits.check_field(field)?;
        length += field + LINE_END;
        // §8.2.1
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last()) {
            let reason = "the value of a field begins or ends with a blank";
            return Err(Refusal::malformed(reason));
        }
    }
    limits.check_head(length + LINE_END)?;
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        let reason = "there are several `Content-Length` fields";
        return Err(Refusal::malformed(reason));
    }
    Ok(())
}

fn malformed_authority() -> Refusal {
    Refusal::malformed("the `:authority` is malformed")
}

/// §8.3.1: a `Host` beside `:authority` has to be the same.
fn name_host(headers: &mut HeaderMap, authority: HeaderValue) -> Result<(), Refusal> {
    if !request_head::is_authority(authority.as_bytes()) {
        return Err(malformed_authority());
    }
    let others = headers.get_all(header::HOST);
    let is_same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    if !others.iter().all(is_same) {
        let reason = "the `:authority` is not that of the `Host` field";
        return Err(Refusal::malformed(reason));
    }
    match headers.try_insert(header::HOST, authority) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::malformed("there is no room for the `Host` field")),
    }
}

/// §8.2.3: a client may split its cookies.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let cookies = headers.get_all(header::COOKIE);
    if cookies.iter().nth(1).is_none() {
        return Ok(());
    }
    let cookies: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..]));
    let joined = joined.map_err(|_| Refusal::malformed("the cookies are malformed"))?;
    headers.insert(header::COOKIE, joined);
    Ok(())
}
