//! Where a server listens, as a command line names it: `http://127.0.0.1:3000`, `http+unix:/run/app.sock`,
//! `fastcgi+tcp://127.0.0.1:9000`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// A host and a port. A name is looked up for each new connection.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// Not 0.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The protocol that a server speaks, as its address begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamScheme {
    /// HTTP/1.1 (RFC 9112).
    Http,
    /// FastCGI.
    FastCgi,
}

impl UpstreamScheme {
    /// Its word in a command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::FastCgi => "fastcgi",
        }
    }

    /// An address with it, as a command line has it.
    #[must_use]
    pub fn url(self, address: &ServerAddress) -> String {
        match (self, address) {
            (Self::Http, ServerAddress::Tcp { .. }) => format!("http://{address}"),
            (Self::FastCgi, ServerAddress::Tcp { .. }) => format!("fastcgi+tcp://{address}"),
            (scheme, ServerAddress::Unix(_)) => format!("{}+{address}", scheme.word()),
        }
    }
}

/// Why a text is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAddress {
    /// What was found and what was wanted.
    pub message: String,
    /// The correction.
    pub hint: Option<String>,
}

impl InvalidAddress {
    fn new(message: String, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self { message, hint }
    }
}

/// What is said of a text that names no protocol.
const FORMS: &str = "write `http://127.0.0.1:3000`, `http+unix:/run/app.sock`, `fastcgi+tcp://127.0.0.1:9000` or `fastcgi+unix:/run/php/php-fpm.sock`";

impl ServerAddress {
    /// Reads an address with its protocol.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<(UpstreamScheme, Self), InvalidAddress> {
        let no_address =
            || InvalidAddress::new(format!("`{text}` is no address of a server"), FORMS);
        let (scheme, rest) = text.split_once(':').ok_or_else(no_address)?;
        let lower = scheme.to_ascii_lowercase();
        let (scheme, address) = match lower.as_str() {
            "http" | "http+tcp" => (UpstreamScheme::Http, tcp(text, rest, Some(80))?),
            "http+unix" => (UpstreamScheme::Http, unix(text, rest)?),
            "fastcgi" | "fastcgi+tcp" => (UpstreamScheme::FastCgi, tcp(text, rest, None)?),
            "fastcgi+unix" => (UpstreamScheme::FastCgi, unix(text, rest)?),
            "https" | "https+tcp" | "https+unix" => {
                let message =
                    format!("`{text}`: servers behind `upstream` are not spoken to by TLS");
                let hint = "let the server listen on a Unix socket or on 127.0.0.1 and write `http:`, or put a tunnel before it (stunnel)";
                return Err(InvalidAddress::new(message, hint));
            }
            "tcp" | "unix" => {
                let message = format!("`{text}` does not say which protocol the server speaks");
                let hint = match lower.as_str() {
                    "tcp" => format!("write `http:{rest}` or `fastcgi+tcp:{rest}`"),
                    _ => format!("write `http+unix:{rest}` or `fastcgi+unix:{rest}`"),
                };
                return Err(InvalidAddress::new(message, hint));
            }
            _ => return Err(no_address()),
        };
        Ok((scheme, address))
    }

    /// The same, with a relative path made relative to a folder.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(folder.join(path)),
            Self::Tcp { .. } => self,
        }
    }
}

/// As in messages, without the protocol.
impl fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => {
                write!(formatter, "[{host}]:{port}")
            }
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

fn tcp(text: &str, rest: &str, default: Option<u16>) -> Result<ServerAddress, InvalidAddress> {
    let example = match default {
        Some(_) => "write `http://127.0.0.1:3000`",
        None => "write `fastcgi+tcp://127.0.0.1:9000`",
    };
    let wrong = |message| InvalidAddress::new(message, example);
    let address = rest
        .strip_prefix("//")
        .ok_or_else(|| wrong(format!("`{text}` lacks the `//` before the host")))?;
    let address = address.strip_suffix('/').unwrap_or(address);
    if address.contains('/') {
        let message = format!("`{text}` has a path, but names a server only");
        let hint = "a request keeps its path, and with `--strip-prefix` what stands in it behind the route";
        return Err(InvalidAddress::new(message, hint));
    }
    if let Some(stranger) = address
        .chars()
        .find(|c| matches!(c, '?' | '#' | '@') || c.is_whitespace() || c.is_control())
    {
        let stranger = stranger.escape_default();
        return Err(wrong(format!("`{stranger}` has no place in `{text}`")));
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed
                .split_once(']')
                .ok_or_else(|| wrong(format!("`[` without `]` in `{text}`")))?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err(wrong(format!(
                    "`{host}` in `{text}` is not an IPv6 address"
                )));
            }
            match port.strip_prefix(':') {
                None if !port.is_empty() => {
                    return Err(wrong(format!("`{port}` has no place in `{text}`")));
                }
                port => (host, port),
            }
        }
        None if address.matches(':').count() > 1 => {
            let message = format!("the IPv6 address in `{text}` has no brackets");
            return Err(InvalidAddress::new(message, "write `http://[::1]:3000`"));
        }
        None => match address.split_once(':') {
            Some((host, port)) => (
                checked_host(host).ok_or_else(|| wrong(format!("`{text}` names no host")))?,
                Some(port),
            ),
            None => (
                checked_host(address).ok_or_else(|| wrong(format!("`{text}` names no host")))?,
                None,
            ),
        },
    };
    let port = match (port, default) {
        (None, Some(default)) => default,
        (None, None) => return Err(wrong(format!("`{text}` has no port"))),
        (Some(port), _) => match port.parse::<u16>() {
            // Rust's numbers may begin with `+`.
            Ok(number) if number > 0 && !port.starts_with('+') => number,
            _ => {
                return Err(wrong(format!(
                    "`{port}` in `{text}` is no port of a server"
                )));
            }
        },
    };
    let host = host.to_owned();
    Ok(ServerAddress::Tcp { host, port })
}

/// A name or an IPv4 address. Some resolvers take `127.1` for an address; typing errors are more likely.
fn checked_host(host: &str) -> Option<&str> {
    let is_number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_host = !host.is_empty() && host.chars().all(is_good);
    (is_host && (!is_number || host.parse::<Ipv4Addr>().is_ok())).then_some(host)
}

fn unix(text: &str, rest: &str) -> Result<ServerAddress, InvalidAddress> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) | None => rest,
    };
    if path.is_empty() || path.ends_with('/') || path.starts_with("//") || path.contains('\0') {
        let message = format!("`{}` names no socket file", text.escape_default());
        let hint = "write the path behind `unix:`: `http+unix:/run/app.sock`";
        return Err(InvalidAddress::new(message, hint));
    }
    Ok(ServerAddress::Unix(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::ServerAddress;

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for (text, shown) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("HTTP://localhost/", "http://localhost:80"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("http+unix:/run/a.sock", "http+unix:/run/a.sock"),
            ("http+unix:///run/a.sock", "http+unix:/run/a.sock"),
            ("http+unix:a.sock", "http+unix:a.sock"),
            ("fastcgi+tcp://php:9000", "fastcgi+tcp://php:9000"),
            ("fastcgi://php:9000", "fastcgi+tcp://php:9000"),
            ("fastcgi+unix:/run/fpm.sock", "fastcgi+unix:/run/fpm.sock"),
        ] {
            let (scheme, address) = ServerAddress::parse(text).expect(text);
            assert_eq!(scheme.url(&address), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_told_and_corrected() {
        for (text, message) in [
            ("localhost", "`localhost` is no address of a server"),
            (
                "127.0.0.1:3000",
                "`127.0.0.1:3000` is no address of a server",
            ),
            (
                "http:127.0.0.1",
                "`http:127.0.0.1` lacks the `//` before the host",
            ),
            (
                "http://a/b",
                "`http://a/b` has a path, but names a server only",
            ),
            ("http://a@b", "`@` has no place in `http://a@b`"),
            ("http://", "`http://` names no host"),
            ("http://127.1", "`http://127.1` names no host"),
            ("http://a:0", "`0` in `http://a:0` is no port of a server"),
            (
                "http://a:+1",
                "`+1` in `http://a:+1` is no port of a server",
            ),
            (
                "http://::1",
                "the IPv6 address in `http://::1` has no brackets",
            ),
            ("http://[::1", "`[` without `]` in `http://[::1`"),
            ("http://[1]", "`1` in `http://[1]` is not an IPv6 address"),
            ("http://[::1]80", "`80` has no place in `http://[::1]80`"),
            ("fastcgi://a", "`fastcgi://a` has no port"),
            ("http+unix:", "`http+unix:` names no socket file"),
            ("http+unix://a", "`http+unix://a` names no socket file"),
            (
                "unix:/a",
                "`unix:/a` does not say which protocol the server speaks",
            ),
            (
                "https://a",
                "`https://a`: servers behind `upstream` are not spoken to by TLS",
            ),
        ] {
            let invalid = ServerAddress::parse(text).expect_err(text);
            assert_eq!(invalid.message, message);
            assert!(invalid.hint.is_some(), "{text}");
        }
    }
}
