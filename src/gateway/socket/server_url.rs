//! URLs that a server listens on: a socket, and the scheme that is spoken there. `https://host:port` is TLS on
//! `tcp://host:port`, `https+unix:path` TLS on `unix:path`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::gateway::socket::url::{Host, InvalidSocketUrl, SocketUrl, parse_address};
use crate::interface::Scheme;

/// Where a server listens, and whether it speaks TLS there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// The scheme.
    pub scheme: Scheme,
    /// The socket.
    pub socket: SocketUrl,
}

/// Beginnings of a socket URL that give it a scheme.
const PREFIXES: [(&str, Scheme); 2] = [("http+", Scheme::Http), ("https+", Scheme::Https)];

impl ServerUrl {
    /// A URL in clear text.
    pub fn clear(socket: SocketUrl) -> Self {
        Self {
            scheme: Scheme::Http,
            socket,
        }
    }

    /// Whether a text begins like such a URL, rather than like the name of an application.
    pub fn is_begun_by(text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let is_socket = |text: &str| {
            let schemes = [
                "tcp:",
                "udp:",
                "unix:",
                "unix.dg:",
                "fd.socket:",
                "http:",
                "https:",
            ];
            schemes.iter().any(|scheme| text.starts_with(scheme))
        };
        let rest = |(prefix, _): &(&str, Scheme)| text.strip_prefix(*prefix);
        is_socket(&text) || PREFIXES.iter().filter_map(rest).any(is_socket)
    }

    /// The same URL, with a relative path made relative to a folder.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        Self {
            socket: self.socket.relative_to(folder),
            ..self
        }
    }

    /// Whether both cannot be listened on at a time: they have an address in common.
    pub fn collides_with(&self, other: &Self) -> bool {
        match (&self.socket, &other.socket) {
            (
                SocketUrl::Tcp { host, port },
                SocketUrl::Tcp {
                    host: other_host,
                    port: other_port,
                },
            ) => *port > 0 && port == other_port && overlap(host, other_host),
            (one, other) => one == other,
        }
    }
}

/// Whether two hosts have an address in common, as far as it can be known without asking for their addresses.
fn overlap(one: &Host, other: &Host) -> bool {
    let is_localhost =
        |host: &Host| matches!(host, Host::Name(name) if name.eq_ignore_ascii_case("localhost"));
    // RFC 6761 §6.3: it is these two.
    let is_of_localhost = |host: &Host| match host {
        Host::Any => true,
        Host::Name(name) => name == "127.0.0.1" || is_localhost(host),
        Host::Ipv6(address) => address == "::1",
    };
    one == other
        || [one, other].contains(&&Host::Any)
        || is_localhost(one) && is_of_localhost(other)
        || is_localhost(other) && is_of_localhost(one)
}

impl FromStr for ServerUrl {
    type Err = InvalidSocketUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSocketUrl> {
        let lower = text.to_ascii_lowercase();
        for (prefix, scheme) in PREFIXES {
            if lower.starts_with(prefix) {
                let socket = text[prefix.len()..].parse()?;
                return Ok(Self { scheme, socket });
            }
        }
        for (scheme, port) in [(Scheme::Http, 80), (Scheme::Https, 443)] {
            let name = scheme.as_str();
            if let Some(rest) = lower.strip_prefix(name)
                && rest.starts_with(':')
            {
                let rest = &text[name.len() + 1..];
                let socket = parse_address(text, rest, name, Some(port))?;
                return Ok(Self { scheme, socket });
            }
        }
        Ok(Self::clear(text.parse()?))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scheme, &self.socket) {
            (Scheme::Http, socket) => socket.fmt(formatter),
            (Scheme::Https, SocketUrl::Tcp { host, port }) => {
                write!(formatter, "https://{host}:{port}")
            }
            (Scheme::Https, socket) => write!(formatter, "https+{socket}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_a_socket_and_whether_tls_is_spoken_there() {
        for (text, scheme, socket, shown) in [
            ("http://h", Scheme::Http, "tcp://h:80", "tcp://h:80"),
            ("HTTP://h:8/", Scheme::Http, "tcp://h:8", "tcp://h:8"),
            ("tcp://h:1", Scheme::Http, "tcp://h:1", "tcp://h:1"),
            ("https://*", Scheme::Https, "tcp://*:443", "https://*:443"),
            (
                "https://[::1]/",
                Scheme::Https,
                "tcp://[::1]:443",
                "https://[::1]:443",
            ),
            ("https+unix:/s", Scheme::Https, "unix:/s", "https+unix:/s"),
            ("http+unix:/s", Scheme::Http, "unix:/s", "unix:/s"),
            (
                "https+fd.socket:a",
                Scheme::Https,
                "fd.socket:a",
                "https+fd.socket:a",
            ),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert!(ServerUrl::is_begun_by(text), "{text}");
            assert_eq!(url.scheme, scheme, "{text}");
            assert_eq!(url.socket, socket.parse().unwrap(), "{text}");
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse(), Ok(url));
        }
        for wrong in [
            "https:h",
            "https://h:x",
            "https://h/a",
            "https://",
            "https://[::1]1",
            "https+http://h",
        ] {
            assert!(wrong.parse::<ServerUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_in_common_are_found() {
        for (one, other, collides) in [
            ("http://*:80", "https://*:443", false),
            ("http://*:80", "https://*:80", true),
            ("http://*:80", "http://h:80", true),
            ("http://a:80", "http://b:80", false),
            ("http://localhost:80", "http://127.0.0.1:80", true),
            ("http://[::1]:80", "http://LOCALHOST:80", true),
            ("http://[::1]:80", "http://127.0.0.1:80", false),
            ("http://localhost:80", "http://127.0.0.2:80", false),
            ("http://a:0", "http://a:0", false),
            ("unix:/a", "https+unix:/a", true),
            ("unix:/a", "unix:/b", false),
            ("fd.socket:a", "fd.socket:a", true),
        ] {
            let (one, other): (ServerUrl, ServerUrl) =
                (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.collides_with(&other), collides, "{one} {other}");
            assert_eq!(other.collides_with(&one), collides, "{other} {one}");
        }
    }
}
