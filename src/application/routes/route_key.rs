//! A key of `commands.Routes({…})`: an optional host, and the beginning of a path.

use std::fmt;
use std::str::FromStr;

use crate::application::routes::normal_path::NormalPath;

/// Which requests a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKey {
    /// The hosts.
    pub host: RouteHost,
    /// The path, decoded and without a slash at its end; empty for all paths.
    pub path: String,
    /// The key ends in a slash: the route is for what is below the path, and the path alone is sent there.
    pub is_folder: bool,
}

/// Which hosts a route is for. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteHost {
    /// All.
    Any,
    /// One, by its name or address.
    Exact(String),
    /// All names below a domain: `*.example.org`.
    Below(String),
}

/// Why a text is no key of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRoute {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl RouteKey {
    /// Whether both are for the same requests.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.host == other.host && self.path == other.path
    }
}

impl RouteKey {
    /// The route that one within this one is for the client.
    #[must_use]
    pub fn join(&self, inner: &Self) -> Self {
        Self {
            host: match inner.host {
                RouteHost::Any => self.host.clone(),
                RouteHost::Exact(_) | RouteHost::Below(_) => inner.host.clone(),
            },
            path: format!("{}{}", self.path, inner.path),
            is_folder: inner.is_folder,
        }
    }
}

impl RouteHost {
    /// Whether a host can be one of these and of others, too: otherwise a route for the one within a route for the other is
    /// for no request.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let is_below = |name: &str, domain: &str| {
            let label = name.strip_suffix(domain);
            label.is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        };
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Exact(one), Self::Exact(two)) => one == two,
            (Self::Exact(name), Self::Below(domain)) | (Self::Below(domain), Self::Exact(name)) => {
                is_below(name, domain)
            }
            (Self::Below(one), Self::Below(two)) => {
                one == two || is_below(one, two) || is_below(two, one)
            }
        }
    }
}

/// As it is best written.
impl fmt::Display for RouteKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            RouteHost::Any => {}
            RouteHost::Exact(name) => formatter.write_str(name)?,
            RouteHost::Below(domain) => write!(formatter, "*.{domain}")?,
        }
        formatter.write_str(&self.path)?;
        match self.is_folder {
            true => formatter.write_str("/"),
            false => Ok(()),
        }
    }
}

impl FromStr for RouteKey {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let invalid = |message: String, hint: String| InvalidRoute {
            message,
            hint: Some(hint),
        };
        if text.is_empty() {
            let message = "an empty string is no route".to_owned();
            return Err(invalid(message, "write `/` for all paths".to_owned()));
        }
        if let Some((scheme, rest)) = text.split_once("://")
            && !scheme.contains('/')
        {
            return Err(invalid(
                format!("the route `{text}` has a scheme"),
                format!("write `{rest}`: a route is for both http and https"),
            ));
        }
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let host = host_of(host)?;
        if let RouteHost::Exact(name) = &host
            && path.is_empty()
            && name != "localhost"
            && !name.contains(['.', ':'])
        {
            return Err(invalid(
                format!("the route `{text}` can be a path or a host"),
                format!("write `/{text}/` for a path, `{text}/` for a host"),
            ));
        }
        // A host alone is for all of its paths.
        let path = if path.is_empty() { "/" } else { path };
        if let Some(mark) = path.find(['?', '#']) {
            return Err(invalid(
                format!("the route `{text}` has more than a path"),
                format!("write `{}`: a route is for any query", &path[..mark]),
            ));
        }
        if let Some(star) = path.find('*') {
            return Err(invalid(
                format!("the route `{text}` has a `*` in its path"),
                format!(
                    "write `{}`: a route is for all that is below its path",
                    &path[..star]
                ),
            ));
        }
        if is_encoded(path) {
            let message = format!("the route `{text}` is percent-encoded");
            let hint = "write the path as the application sees it, with the characters themselves";
            return Err(invalid(message, hint.to_owned()));
        }
        if path.contains(char::is_control) {
            let message = format!(
                "the route `{}` has a control character",
                text.escape_debug()
            );
            return Err(InvalidRoute {
                message,
                hint: None,
            });
        }
        let normal = NormalPath::of(path.as_bytes());
        if normal != NormalPath::Same {
            let normal = String::from_utf8_lossy(normal.path(path.as_bytes())).into_owned();
            return Err(invalid(
                format!("no path is like the route `{text}` when it is looked up"),
                format!("write `{normal}`"),
            ));
        }
        let is_folder = path.ends_with('/');
        let path = path.strip_suffix('/').unwrap_or(path).to_owned();
        Ok(Self {
            host,
            path,
            is_folder,
        })
    }
}

fn host_of(text: &str) -> Result<RouteHost, InvalidRoute> {
    let invalid = |message: String, hint: &str| {
        Err(InvalidRoute {
            message,
            hint: Some(hint.to_owned()),
        })
    };
    if text.is_empty() {
        return Ok(RouteHost::Any);
    }
    let bracketed = text.strip_prefix('[');
    let address = bracketed.and_then(|rest| rest.split_once(']'));
    let (name, port) = match address {
        Some((address, rest)) => (&text[..address.len() + 2], rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if port.is_some() {
        let hint = "a route is for all ports: leave it out";
        return invalid(format!("the host `{text}` of a route has a port"), hint);
    }
    if let Some((address, rest)) = address {
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(_) if rest.is_empty() => Ok(RouteHost::Exact(text.to_ascii_lowercase())),
            Ok(_) | Err(_) => invalid(
                format!("`{text}` is no host"),
                "an IPv6 address is written as in `[::1]/`",
            ),
        };
    }
    if !name.is_ascii() {
        let hint = "write it as DNS has it: `xn--…`";
        return invalid(format!("the host `{text}` of a route is not ASCII"), hint);
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(allowed)
    };
    let (is_wildcard, domain) = match name.strip_prefix("*.") {
        Some(domain) => (true, domain.to_owned()),
        None => (false, name),
    };
    if !domain.split('.').all(is_label) {
        let hint = "write `example.org/path/`, `*.example.org/path/` for all names below that, or `/path/` for any host";
        return invalid(format!("`{text}` is no host"), hint);
    }
    Ok(match is_wildcard {
        true => RouteHost::Below(domain),
        false => RouteHost::Exact(domain),
    })
}

/// Whether there are bytes in a path as URLs have them: `%20`.
fn is_encoded(path: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = path.as_bytes();
    memchr::memchr_iter(b'%', bytes)
        .any(|at| is_digit(bytes.get(at + 1)) && is_digit(bytes.get(at + 2)))
}

#[cfg(test)]
mod tests {
    use super::{RouteHost, RouteKey};

    fn key(text: &str) -> RouteKey {
        text.parse().expect("a route")
    }

    #[test]
    fn a_key_is_written_in_several_ways() {
        for (text, shown) in [
            ("/", "/"),
            ("/static/", "/static/"),
            ("/api", "/api"),
            ("/ä b/", "/ä b/"),
            ("/100%/", "/100%/"),
            ("example.org", "example.org/"),
            ("Example.ORG./x", "example.org/x"),
            ("*.Example.org/x/", "*.example.org/x/"),
            ("127.0.0.1/", "127.0.0.1/"),
            ("[::1]/x", "[::1]/x"),
            ("localhost", "localhost/"),
            ("intranet/", "intranet/"),
            ("[::1]", "[::1]/"),
            ("/.well-known/", "/.well-known/"),
        ] {
            assert_eq!(key(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_route_says_why() {
        for (text, message, hint) in [
            ("", "an empty string is no route", "write `/` for all paths"),
            (
                "https://example.org/",
                "the route `https://example.org/` has a scheme",
                "write `example.org/`: a route is for both http and https",
            ),
            (
                "example.org:8000/",
                "the host `example.org:8000` of a route has a port",
                "a route is for all ports: leave it out",
            ),
            (
                "[::1]:80/",
                "the host `[::1]:80` of a route has a port",
                "a route is for all ports: leave it out",
            ),
            (
                "[1]/",
                "`[1]` is no host",
                "an IPv6 address is written as in `[::1]/`",
            ),
            (
                "bücher.example/",
                "the host `bücher.example` of a route is not ASCII",
                "write it as DNS has it: `xn--…`",
            ),
            (
                "www.*.org/",
                "`www.*.org` is no host",
                "write `example.org/path/`, `*.example.org/path/` for all names below that, or `/path/` for any host",
            ),
            (
                "static",
                "the route `static` can be a path or a host",
                "write `/static/` for a path, `static/` for a host",
            ),
            (
                "/search?q=",
                "the route `/search?q=` has more than a path",
                "write `/search`: a route is for any query",
            ),
            (
                "/static/*",
                "the route `/static/*` has a `*` in its path",
                "write `/static/`: a route is for all that is below its path",
            ),
            (
                "/a%20b/",
                "the route `/a%20b/` is percent-encoded",
                "write the path as the application sees it, with the characters themselves",
            ),
            (
                "/a/../b",
                "no path is like the route `/a/../b` when it is looked up",
                "write `/b`",
            ),
            (
                "//a",
                "no path is like the route `//a` when it is looked up",
                "write `/a`",
            ),
        ] {
            let invalid = text.parse::<RouteKey>().expect_err(text);
            assert_eq!(invalid.message, message);
            assert_eq!(invalid.hint.as_deref(), Some(hint), "{text}");
        }
        assert!("/a\n".parse::<RouteKey>().is_err());
    }

    #[test]
    fn keys_for_the_same_requests_are_the_same() {
        for (one, two) in [
            ("/a", "/a/"),
            ("a.org", "A.org./"),
            ("*.a.org/x", "*.a.ORG/x/"),
        ] {
            assert!(key(one).is_same(&key(two)), "{one} {two}");
        }
        for (one, two) in [("/a", "/A"), ("a.org/", "*.a.org/"), ("a.org/", "/")] {
            assert!(!key(one).is_same(&key(two)), "{one} {two}");
        }
    }

    #[test]
    fn hosts_have_names_in_common_or_not() {
        let host = |text: &str| -> RouteHost { key(text).host };
        for (one, two, meets) in [
            ("/", "a.org/", true),
            ("a.org/", "a.org/", true),
            ("a.org/", "b.org/", false),
            ("a.org/", "*.a.org/", false),
            ("x.a.org/", "*.a.org/", true),
            ("xa.org/", "*.a.org/", false),
            ("*.a.org/", "*.x.a.org/", true),
            ("*.a.org/", "*.b.org/", false),
        ] {
            assert_eq!(host(one).meets(&host(two)), meets, "{one} {two}");
            assert_eq!(host(two).meets(&host(one)), meets, "{two} {one}");
        }
    }
}
