//! Whether a client is on this machine: pages with source code are for its user only.

use std::net::IpAddr;

use http::header;

use crate::interface::Request;

/// Fields by which a proxy says that it passes a request on for another client.
const OF_PROXIES: [&str; 20] = [
    "forwarded",
    "forwarded-for",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-original-forwarded-for",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-azure-clientip",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "tailscale-user-login",
    "cdn-loop",
    "via",
];

/// Ends of names that lead to this machine whatever the network says (RFC 6761 §6.3), or to no machine of another owner
/// (§6.2).
const LOCAL_NAMES: [&str; 2] = ["localhost", "test"];

/// Whether a request comes from this machine, and not through a proxy. Its host must be of this machine, too: a page
/// of another site can have its own name lead here for a moment, and would read the response (DNS rebinding).
pub(super) fn is_local(request: &Request) -> bool {
    let address = request.connection.remote_addr.ip();
    let is_loopback = address.is_some_and(|address| address.to_canonical().is_loopback());
    let is_passed_on = OF_PROXIES
        .iter()
        .any(|name| request.headers.contains_key(*name));
    let host = request.headers.get(header::HOST);
    let is_own_host = host.is_none_or(|host| {
        let host = host.to_str().unwrap_or_default();
        is_own(host_name(host), &request.connection.server_name)
    });
    is_loopback && !is_passed_on && is_own_host
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_own(host: &str, configured: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.is_loopback();
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    LOCAL_NAMES.contains(&last) || host == configured.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderName, HeaderValue, header};

    use super::{OF_PROXIES, is_local};
    use crate::interface::{Connection, Request};

    #[test]
    fn only_the_user_of_this_machine_is_local() {
        for (address, name, value, is) in [
            ("127.0.0.1", header::HOST, "localhost:8000", true),
            ("127.0.0.1", header::HOST, "shop.localhost", true),
            ("127.0.0.1", header::HOST, "shop.test:8000", true),
            ("127.0.0.1", header::HOST, "127.0.0.1:8000", true),
            ("127.0.0.1", header::HOST, "dev.example.com", true),
            ("::1", header::HOST, "[::1]:8000", true),
            ("::ffff:127.0.0.1", header::ACCEPT, "*/*", true),
            ("127.0.0.1", header::HOST, "evil.example", false),
            ("127.0.0.1", header::HOST, "localhost.evil.example", false),
            ("127.0.0.1", header::HOST, "192.0.2.1:8000", false),
            ("127.0.0.1", header::HOST, "\u{e9}", false),
            ("192.0.2.1", header::HOST, "localhost", false),
            ("", header::HOST, "localhost", false),
            (
                "127.0.0.1",
                HeaderName::from_static("x-forwarded-for"),
                "127.0.0.1",
                false,
            ),
            (
                "127.0.0.1",
                HeaderName::from_static("forwarded"),
                "for=_a",
                false,
            ),
            (
                "127.0.0.1",
                HeaderName::from_static("cf-connecting-ip"),
                "192.0.2.1",
                false,
            ),
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            let request = Request {
                headers: [(name.clone(), value.clone())].into_iter().collect(),
                connection: Arc::new(Connection {
                    remote_addr: address.to_owned().into(),
                    server_name: "dev.example.com".to_owned(),
                    ..Connection::default()
                }),
                ..Request::default()
            };
            assert_eq!(is_local(&request), is, "{address} {name} {value:?}");
        }
    }

    #[test]
    fn a_field_of_any_proxy_shows_that_a_request_is_passed_on() {
        for name in OF_PROXIES {
            let (name, value) = (name.parse::<HeaderName>(), HeaderValue::from_static("x"));
            let request = Request {
                headers: [(name.expect("a name"), value)].into_iter().collect(),
                connection: Arc::new(Connection {
                    remote_addr: "127.0.0.1".to_owned().into(),
                    ..Connection::default()
                }),
                ..Request::default()
            };
            assert!(!is_local(&request), "{:?}", request.headers);
        }
    }
}
