//! By which names the pages may be asked for. A web site can have its own name resolve to the address of the pages, and
//! its script then read them in the browser of a user who can reach them (DNS rebinding). It cannot do so with a name that is
//! not its own, nor with an address.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, header};

/// The names by which the pages may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// IP addresses, `localhost`, and this host.
    Known(String),
    /// Any: no browser connects to a Unix socket.
    Any,
}

impl AllowedHosts {
    /// Whether the request has the right name (`Host`, RFC 9110 §7.2), or none: a browser always sends one.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let Self::Known(known) = self else {
            return true;
        };
        headers.get_all(header::HOST).iter().all(|host| {
            let host = host.to_str().unwrap_or_default();
            host.is_empty() || is_known(name_of(host), known)
        })
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

fn is_known(name: &str, known: &str) -> bool {
    let bracketed = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_address = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<IpAddr>().is_ok(),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    is_address || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(known)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_that_no_stranger_can_have_are_allowed() {
        let known = AllowedHosts::Known("Status.example.com".to_owned());
        for (host, allowed) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9090", true),
            ("10.1.2.3", true),
            ("[::1]:9090", true),
            ("[fe80::1]", true),
            ("localhost", true),
            ("LOCALHOST.:9090", true),
            ("status.example.com:9090", true),
            ("", true),
            ("evil.example:9090", false),
            ("status.example.com.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.1", false),
            ("2130706433", false),
            ("[::1].evil.example", false),
            ("[evil.example]", false),
            ("evil.example:x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(known.allow(&headers), allowed, "{host}");
            assert!(AllowedHosts::Any.allow(&headers));
        }
        assert!(known.allow(&HeaderMap::new()));
    }

    #[test]
    fn no_name_is_known_where_the_url_has_none() {
        let any_address = AllowedHosts::Known(String::new());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!any_address.allow(&headers));
    }
}
