//! Where a server listens: as typed, as set, or as a service manager passes it.

use std::path::Path;
use std::str::FromStr;

use crate::eval::Value;
use crate::gateway::socket::activation;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{ALL_PASSED, Host, InvalidSocketUrl, SocketUrl};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::{Line, Origin, Word};
use crate::syntax::{Diagnostic, Diagnostics};

/// The property with the URLs of a server.
pub const URL: &str = "peak.tools.server.url";

/// A URL as a word of a command line.
pub trait ListenUrl: FromStr<Err = InvalidSocketUrl> {
    /// The same URL, with a relative path made relative to a folder.
    #[must_use]
    fn relative_to(self, folder: &Path) -> Self;
}

impl ListenUrl for SocketUrl {
    fn relative_to(self, folder: &Path) -> Self {
        self.relative_to(folder)
    }
}

impl ListenUrl for ServerUrl {
    fn relative_to(self, folder: &Path) -> Self {
        self.relative_to(folder)
    }
}

/// A URL that a server listens on, and where it was written.
#[derive(Clone, Debug)]
pub struct PlacedUrl {
    /// The URL.
    pub url: ServerUrl,
    /// Where it was written.
    pub origin: Origin,
}

/// Takes the first word of a line if it is the URL of a socket. A server's own URL may have a scheme, that of a plain socket
/// may not.
///
/// # Errors
/// It begins like one but is not valid.
pub fn take_socket_url<T: ListenUrl>(
    scope: &Scope,
    line: &mut Line,
) -> Result<Option<(T, Origin)>, Failure> {
    let is_url = |word: &Word| ServerUrl::is_begun_by(&word.text);
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

/// Takes the words at the beginning of a line that are URLs of sockets.
///
/// # Errors
/// One begins like a socket URL but is not valid, or two have an address in common.
pub fn take_urls(scope: &Scope, line: &mut Line) -> Result<Vec<PlacedUrl>, Failure> {
    let mut urls = Vec::new();
    while let Some((url, origin)) = take_socket_url(scope, line)? {
        urls.push(PlacedUrl { url, origin });
    }
    match collisions(scope, &urls).into_iter().next() {
        Some(collision) => Err(collision.into()),
        None => Ok(urls),
    }
}

/// Whether sockets that a service manager passes are served where these URLs were written: one that is not typed, those of
/// several that listen there, and those that name passed sockets.
#[must_use]
pub fn takes_passed(urls: &[PlacedUrl]) -> bool {
    match urls {
        [PlacedUrl { url, origin }] => match &url.socket {
            SocketUrl::Passed(_) => true,
            SocketUrl::Descriptor(descriptor) => descriptor.number > 2,
            socket @ (SocketUrl::Tcp { .. } | SocketUrl::Unix(_)) => {
                is_replaced_by_passed(socket, origin)
            }
        },
        several => !several.is_empty(),
    }
}

/// The sockets that a service manager passes, if it passes any, in place of a configured URL: the manager has opened
/// what the URL says, or its replacement. A typed URL, and one that names passed sockets, stays.
#[must_use]
pub fn unless_passed(socket: SocketUrl, origin: &Origin) -> SocketUrl {
    match is_replaced_by_passed(&socket, origin) && activation::is_there() {
        true => ALL_PASSED,
        false => socket,
    }
}

fn is_replaced_by_passed(socket: &SocketUrl, origin: &Origin) -> bool {
    match (socket, origin) {
        (_, Origin::CommandLine | Origin::Script | Origin::Place(_))
        | (SocketUrl::Descriptor(_) | SocketUrl::Passed(_), _) => false,
        (
            SocketUrl::Tcp { .. } | SocketUrl::Unix(_),
            Origin::Property(_) | Origin::Element(..) | Origin::Route { .. },
        ) => true,
    }
}

fn parse_url<T: ListenUrl>(scope: &Scope, text: &str, origin: &Origin) -> Result<T, Diagnostic> {
    let url: T = text.parse().map_err(|invalid: InvalidSocketUrl| {
        scope.diagnose(origin, invalid.message, invalid.hint)
    })?;
    Ok(url.relative_to(&scope.folder(origin)))
}

/// Each URL that has an address in common with one before it.
fn collisions(scope: &Scope, urls: &[PlacedUrl]) -> Vec<Diagnostic> {
    let numbered = urls.iter().enumerate();
    let collisions = numbered.filter_map(|(number, second)| {
        let before = urls[..number].iter().map(|first| &first.url);
        collision(scope, before, second)
    });
    collisions.collect()
}

/// The mistake that a URL has an address in common with another one.
pub fn collision<'a>(
    scope: &Scope,
    others: impl IntoIterator<Item = &'a ServerUrl>,
    PlacedUrl { url, origin }: &PlacedUrl,
) -> Option<Diagnostic> {
    let mut others = others.into_iter();
    let first = others.find(|first| first.collides_with(url))?;
    let message = match first == url {
        true => format!("`{url}` is listened on twice"),
        false => format!("`{first}` and `{url}` have an address in common"),
    };
    Some(scope.diagnose(origin, message, None))
}

/// The configured URLs, at least one. There is always one, unless a file sets it to `None`.
///
/// # Errors
/// All that is wrong with them: one is not valid, or two have an address in common.
pub fn configured_urls(scope: &Scope) -> Result<Vec<PlacedUrl>, Failure> {
    let all = Origin::Property(URL.into());
    let value = scope.get(URL)?;
    let text = |value: &Value| match value {
        Value::Str(text) | Value::Link(text) => Some(text.to_string()),
        _ => None,
    };
    let texts = match value.as_ref().map(|value| (value, value.as_items())) {
        Some((_, Some(items))) => items
            .iter()
            .enumerate()
            .map(|(number, item)| Some((text(item)?, Origin::Element(URL.into(), number))))
            .collect(),
        Some((value, None)) => text(value).map(|text| vec![(text, all.clone())]),
        None => None,
    };
    let Some(texts) = texts.filter(|texts: &Vec<_>| !texts.is_empty()) else {
        return Err(scope.mistake(
            &all,
            format!("the value of `{URL}` is neither a string nor a list of strings"),
            Some("write `url = 'tcp://localhost:8000'`".to_owned()),
        ));
    };
    let mut urls = Vec::new();
    let mut wrong = Vec::new();
    for (text, origin) in texts {
        match parse_url(scope, &text, &origin) {
            Ok(url) => urls.push(PlacedUrl { url, origin }),
            Err(mistake) => wrong.push(mistake),
        }
    }
    wrong.extend(collisions(scope, &urls));
    match wrong.is_empty() {
        true => Ok(urls),
        false => Err(Diagnostics(wrong).into()),
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
///
/// # Errors
/// The host is none.
pub fn override_url(
    url: ServerUrl,
    port: Option<u16>,
    host: Option<String>,
) -> Result<ServerUrl, InvalidSocketUrl> {
    let (old_host, old_port) = match url.socket {
        SocketUrl::Tcp { host, port } => (host, port),
        SocketUrl::Unix(_) | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => {
            (Host::Name("localhost".to_owned()), 0)
        }
    };
    let port = port.unwrap_or(old_port);
    let scheme = url.scheme;
    let Some(host) = host else {
        let host = old_host;
        let socket = SocketUrl::Tcp { host, port };
        return Ok(ServerUrl { scheme, socket });
    };
    let needs_brackets = host.contains(':') && !host.starts_with('[');
    let socket = match needs_brackets {
        true => format!("tcp://[{host}]:{port}"),
        false => format!("tcp://{host}:{port}"),
    };
    let socket = socket.parse();
    socket
        .map(|socket| ServerUrl { scheme, socket })
        .map_err(|_: InvalidSocketUrl| InvalidSocketUrl {
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
            ("https://h", Some(2), None, "https://h:2"),
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
