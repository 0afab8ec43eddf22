//! The answer by which an authority of certificates checks that the server has its name.

use http::{HeaderValue, StatusCode, header};

use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::request_head::CheckedHead;
use crate::interface::{Response, ResponseBody};
use crate::protocol::cgi::path_info::split_query;

/// The beginning of the path by which an authority checks a name (RFC 8555 §8.3). A token follows.
const BEGIN: &[u8] = b"/.well-known/acme-challenge/";

/// The token in the path of such a request.
pub(super) fn token(path: &[u8]) -> Option<&str> {
    let token = path.strip_prefix(BEGIN)?;
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_token = !token.is_empty() && token.iter().all(is_of_token);
    is_token.then(|| std::str::from_utf8(token).ok()).flatten()
}

/// The response to a request of the authority that the server has asked for a certificate.
pub(in crate::gateway::http) fn answer(
    state: &ConnectionState,
    head: &CheckedHead,
) -> Option<Response> {
    let store = state.gateway.options.tls.as_ref()?.acme()?;
    let (path, _) = split_query(&head.target);
    let answer = store.answer_by_http(token(path)?)?;
    let mut response = Response::plain(StatusCode::OK);
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers.insert(header::CONTENT_TYPE, kind);
    let length = HeaderValue::from(answer.len());
    response.headers.insert(header::CONTENT_LENGTH, length);
    response.body = ResponseBody::Bytes(answer.into());
    Some(response)
}
