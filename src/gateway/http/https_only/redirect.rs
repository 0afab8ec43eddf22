//! Redirects from http to https.

use http::{HeaderValue, Method, StatusCode, header};

use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::https_only::acme_challenge;
use crate::gateway::http::proxies::original_request::Mount;
use crate::gateway::http::request_head::CheckedHead;
use crate::interface::{Response, Scheme};
use crate::protocol::cgi::environ::split_port;
use crate::protocol::cgi::path_info::split_query;

/// The response to a request by http that is to be made by https, at the same host with the same path. The method stays the
/// same (308), but for `GET` and `HEAD` the status is the one that each client knows (301).
pub(in crate::gateway::http) fn redirect(
    state: &ConnectionState,
    head: &CheckedHead,
    mount: &Mount,
) -> Option<Response> {
    let redirect = state.gateway.options.https_only.redirect.as_ref()?;
    let connection = &mount.connection;
    if connection.scheme == Scheme::Https {
        return None;
    }
    let is_local = state.connection.remote_addr.as_str().is_empty();
    let port = match (state.is_from_proxy, mount.names_scheme) {
        (true, true) => redirect.proxy_port,
        // A proxy that does not say what its client speaks may have had the request by https: redirects would not end. So may
        // whatever connects to a Unix socket.
        (true, false) => return None,
        (false, _) if is_local => return None,
        (false, _) => redirect.port?,
    };
    let (path, _) = split_query(&head.target);
    // An authority checks a name before there is a certificate for it.
    if acme_challenge::token(path).is_some()
        || redirect
            .without
            .iter()
            .any(|other| other.as_bytes() == path)
    {
        return None;
    }
    let host = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    // Before HTTP/1.1, a client need not name it.
    let host = host.unwrap_or(connection.server_name.as_bytes());
    let (name, _) = split_port(host);
    let name = name.strip_suffix(b":").unwrap_or(name);
    let mut location = [b"https://", name].concat();
    if port != 443 {
        location.extend(format!(":{port}").bytes());
    }
    location.extend(match head.target.starts_with(b"/") {
        true => &head.target[..],
        // The other target, `*`, is no path.
        false => b"/",
    });
    let status = match head.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    let mut response = Response::plain(status);
    let location = HeaderValue::from_maybe_shared(bytes::Bytes::from(location)).ok()?;
    response.headers.insert(header::LOCATION, location);
    Some(response)
}
