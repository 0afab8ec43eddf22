//! Where a server listens: as typed, as set, or as a service manager passes it.

use crate::eval::Value;
use crate::gateway::socket::activation;
use crate::gateway::socket::url::{ALL_PASSED, Host, InvalidSocketUrl, SocketUrl};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::{Line, Origin, Word};

/// The property with the URL of a server.
const URL: &str = "peak.tools.server.url";

/// Takes the first word of a line if it is a socket URL.
///
/// # Errors
/// It begins like a socket URL but is not valid.
pub fn take_socket_url(
    scope: &Scope,
    line: &mut Line,
) -> Result<Option<(SocketUrl, Origin)>, Failure> {
    let is_url = |word: &Word| {
        let text = word.text.to_ascii_lowercase();
        ["http://", "tcp:", "udp:", "unix:", "unix.dg:", "fd.socket:"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    };
    if !line.words.first().is_some_and(is_url) {
        return Ok(None);
    }
    let word = line.words.remove(0);
    if word.exact.to_str().is_none() {
        let message = format!("the socket URL `{}` is not UTF-8", word.text);
        return Err(scope.mistake(&word.origin, message, None));
    }
    let url = parse_url(scope, &word.text, &word.origin)?;
    Ok(Some((url, word.origin)))
}

/// The sockets that a service manager passes, if it passes any, in place of a configured URL: the manager has opened
/// what the URL says, or its replacement. A typed URL, and one that names passed sockets, stays.
#[must_use]
pub fn unless_passed(url: SocketUrl, origin: &Origin) -> SocketUrl {
    match (&url, origin) {
        (_, Origin::CommandLine | Origin::Script | Origin::Place(_))
        | (SocketUrl::Descriptor(_) | SocketUrl::Passed(_) | SocketUrl::Nowhere, _) => url,
        (SocketUrl::Tcp { .. } | SocketUrl::Unix(_), Origin::Property(_) | Origin::Element(..)) => {
            match activation::is_there() {
                true => ALL_PASSED,
                false => url,
            }
        }
    }
}

fn parse_url(scope: &Scope, text: &str, origin: &Origin) -> Result<SocketUrl, Failure> {
    let url: SocketUrl = text.parse().map_err(|invalid: InvalidSocketUrl| {
        scope.mistake(origin, invalid.message, invalid.hint)
    })?;
    Ok(url.relative_to(&scope.folder(origin)))
}

/// The configured URL. There is always one, unless a file sets it to `None`.
///
/// # Errors
/// It is not a valid URL.
pub fn configured_url(scope: &Scope) -> Result<(SocketUrl, Origin), Failure> {
    let origin = Origin::Property(URL.into());
    match scope.get(URL)? {
        Some(Value::Str(text) | Value::Link(text)) => {
            Ok((parse_url(scope, &text, &origin)?, origin))
        }
        Some(_) | None => Err(scope.mistake(
            &origin,
            format!("the value of `{URL}` is not a string"),
            Some("write `url = 'tcp://localhost:8000'`".to_owned()),
        )),
    }
}

/// The value of `-p`.
///
/// # Errors
/// What is wanted, for the message.
pub fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "a number from 0 to 65535".to_owned())
}

/// A URL with another port or host. Only TCP has these, so the result is a TCP URL.
pub fn override_url(
    url: SocketUrl,
    port: Option<u16>,
    host: Option<String>,
) -> Result<SocketUrl, InvalidSocketUrl> {
    let (old_host, old_port) = match url {
        SocketUrl::Tcp { host, port } => (host, port),
        SocketUrl::Unix(_)
        | SocketUrl::Descriptor(_)
        | SocketUrl::Passed(_)
        | SocketUrl::Nowhere => (Host::Name("localhost".to_owned()), 0),
    };
    let port = port.unwrap_or(old_port);
    let Some(host) = host else {
        return Ok(SocketUrl::Tcp {
            host: old_host,
            port,
        });
    };
    let needs_brackets = host.contains(':') && !host.starts_with('[');
    let url = match needs_brackets {
        true => format!("tcp://[{host}]:{port}"),
        false => format!("tcp://{host}:{port}"),
    };
    url.parse().map_err(|_: InvalidSocketUrl| InvalidSocketUrl {
        message: format!("`{host}` is not a host"),
        hint: match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => {
                Some(format!("write `--host {name} -p {port}`"))
            }
            Some(_) | None => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_change_a_part_of_the_url() {
        let cases = [
            ("tcp://h:1", Some(2), None, "tcp://h:2"),
            ("tcp://h:1", None, Some("g"), "tcp://g:1"),
            ("tcp://h:1", Some(2), Some("g"), "tcp://g:2"),
            ("tcp://h:1", None, Some("::1"), "tcp://[::1]:1"),
            ("tcp://h:1", None, Some("[::1]"), "tcp://[::1]:1"),
            ("tcp://h:1", None, Some("*"), "tcp://*:1"),
            ("unix:/s", Some(2), None, "tcp://localhost:2"),
            ("fd.socket:3", None, Some("g"), "tcp://g:0"),
        ];
        for (url, port, host, expected) in cases {
            let url = url.parse().unwrap();
            let changed = override_url(url, port, host.map(str::to_owned)).unwrap();
            assert_eq!(changed.to_string(), expected);
        }
        let url = "tcp://h:1".parse().unwrap();
        assert!(override_url(url, None, Some("a/b".to_owned())).is_err());
    }
}
