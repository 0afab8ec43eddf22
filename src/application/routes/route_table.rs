//! Hosts and paths in the order in which they are looked up: an exact host before `*.example.org` before none, and of each
//! the longest path that a request's path begins with, segment by segment.

use std::borrow::Cow;

use crate::application::routes::route_key::{RouteHost, RouteKey};
use crate::protocol::cgi::environ::split_port;

/// What routes lead to.
#[derive(Debug)]
pub(super) struct RouteTable<T> {
    /// By host, sorted.
    exact: Vec<(String, Prefixes<T>)>,
    /// By what a host ends with, from a dot on; sorted.
    below: Vec<(String, Prefixes<T>)>,
    any: Prefixes<T>,
}

/// What is found for a request.
#[derive(Debug)]
pub(super) struct FoundRoute<'a, T> {
    /// What the route leads to.
    pub(super) to: &'a T,
    /// How much of the path is the route's, in bytes.
    pub(super) length: usize,
    /// The route is that of a folder: a slash follows it.
    pub(super) wants_slash: bool,
}

/// The routes of one host, sorted by path.
#[derive(Debug)]
struct Prefixes<T> {
    entries: Vec<Prefix<T>>,
    /// The length of the longest path.
    longest: usize,
}

#[derive(Debug)]
struct Prefix<T> {
    /// Without a slash at its end.
    path: String,
    wants_slash: bool,
    to: T,
}

impl<T> RouteTable<T> {
    pub(super) fn new(routes: Vec<(RouteKey, T)>) -> Self {
        let mut table = Self {
            exact: Vec::new(),
            below: Vec::new(),
            any: Prefixes::default(),
        };
        for (key, to) in routes {
            let prefixes = match key.host {
                RouteHost::Any => &mut table.any,
                RouteHost::Exact(host) => prefixes_of(&mut table.exact, host),
                RouteHost::Below(domain) => prefixes_of(&mut table.below, format!(".{domain}")),
            };
            prefixes.insert(Prefix {
                path: key.path,
                wants_slash: key.is_folder,
                to,
            });
        }
        table
    }

    /// The route for the value of `Host` and a path.
    pub(super) fn find(&self, host: &[u8], path: &[u8]) -> Option<FoundRoute<'_, T>> {
        let named = (!self.exact.is_empty() || !self.below.is_empty())
            .then(|| self.find_host(&comparable(host), path))
            .flatten();
        named.or_else(|| self.any.find(path))
    }

    fn find_host(&self, host: &[u8], path: &[u8]) -> Option<FoundRoute<'_, T>> {
        let of = |hosts: &'_ [(String, Prefixes<T>)], name: &[u8]| {
            hosts
                .binary_search_by(|(host, _)| host.as_bytes().cmp(name))
                .ok()
        };
        if let Some(place) = of(&self.exact, host)
            && let Some(found) = self.exact[place].1.find(path)
        {
            return Some(found);
        }
        if self.below.is_empty() {
            return None;
        }
        // The longest ending first. An empty label is none.
        let dots = memchr::memchr_iter(b'.', host).filter(|dot| *dot > 0);
        dots.filter_map(|dot| of(&self.below, &host[dot..]))
            .find_map(|place| self.below[place].1.find(path))
    }

    /// What all routes lead to.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        let named = self.exact.iter().chain(&self.below);
        let hosts = named.map(|(_, prefixes)| prefixes).chain([&self.any]);
        hosts.flat_map(|prefixes| prefixes.entries.iter().map(|entry| &entry.to))
    }
}

fn prefixes_of<T>(hosts: &mut Vec<(String, Prefixes<T>)>, host: String) -> &mut Prefixes<T> {
    let place = match hosts.binary_search_by(|(known, _)| known.cmp(&host)) {
        Ok(place) => place,
        Err(place) => {
            hosts.insert(place, (host, Prefixes::default()));
            place
        }
    };
    &mut hosts[place].1
}

/// A host as routes have it: in lower case, without a port and without the dot of an absolute name.
fn comparable(host: &[u8]) -> Cow<'_, [u8]> {
    let (name, _) = split_port(host);
    let name = name.strip_suffix(b":").unwrap_or(name);
    let name = name.strip_suffix(b".").unwrap_or(name);
    match name.iter().any(u8::is_ascii_uppercase) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            longest: 0,
        }
    }
}

impl<T> Prefixes<T> {
    fn insert(&mut self, new: Prefix<T>) {
        self.longest = self.longest.max(new.path.len());
        let place = self.entries.partition_point(|entry| entry.path < new.path);
        self.entries.insert(place, new);
    }

    /// The longest of the paths that a path begins with.
    fn find(&self, path: &[u8]) -> Option<FoundRoute<'_, T>> {
        // Segments beyond the longest route are not looked at, however many there are.
        let mut end = match path.get(..=self.longest) {
            None => path.len(),
            Some(beginning) => memchr::memrchr(b'/', beginning)?,
        };
        loop {
            let compared = |entry: &Prefix<T>| entry.path.as_bytes().cmp(&path[..end]);
            if let Ok(place) = self.entries.binary_search_by(compared) {
                let entry = &self.entries[place];
                return Some(FoundRoute {
                    to: &entry.to,
                    length: end,
                    wants_slash: entry.wants_slash,
                });
            }
            end = memchr::memrchr(b'/', &path[..end])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RouteTable;
    use crate::application::routes::route_key::RouteKey;

    /// What a table of these keys finds.
    fn found(keys: &[&str], host: &str, path: &str) -> Option<(String, String)> {
        let routes = keys.iter().map(|key| {
            let parsed: RouteKey = key.parse().expect("a route");
            (parsed, (*key).to_owned())
        });
        let table = RouteTable::new(routes.collect());
        let found = table.find(host.as_bytes(), path.as_bytes())?;
        Some((found.to.clone(), path[found.length..].to_owned()))
    }

    #[test]
    fn the_longest_path_counts_segment_by_segment() {
        let keys = ["/", "/static/", "/static/old", "/a/b/c"];
        for (path, key, rest) in [
            ("/", "/", "/"),
            ("", "/", ""),
            ("/x", "/", "/x"),
            ("/static", "/static/", ""),
            ("/static/", "/static/", "/"),
            ("/static/x/y", "/static/", "/x/y"),
            ("/statics", "/", "/statics"),
            ("/stati", "/", "/stati"),
            ("/Static/", "/", "/Static/"),
            ("/static;v=1/x", "/", "/static;v=1/x"),
            ("/static/old", "/static/old", ""),
            ("/static/old/x", "/static/old", "/x"),
            ("/static/older", "/static/", "/older"),
            ("/a/b", "/", "/a/b"),
            ("/a/b/c/d/e/f", "/a/b/c", "/d/e/f"),
            ("/a/b/cd/e", "/", "/a/b/cd/e"),
        ] {
            let expected = Some((key.to_owned(), rest.to_owned()));
            assert_eq!(found(&keys, "localhost", path), expected, "{path}");
        }
        assert_eq!(found(&keys[1..], "localhost", "/x"), None);
        // This is no path of HTTP.
        assert_eq!(found(&keys, "localhost", "x"), None);
    }

    #[test]
    fn an_exact_host_counts_before_a_wildcard_and_that_before_none() {
        let keys = [
            "example.org/",
            "example.org/long/path",
            "*.example.org/",
            "*.a.example.org/a/",
            "b.example.org/b/",
            "[::1]/",
            "/",
            "/long/path/indeed",
        ];
        for (host, path, key) in [
            ("example.org", "/x", "example.org/"),
            ("Example.ORG:8000", "/x", "example.org/"),
            ("example.org.", "/x", "example.org/"),
            ("example.org.:80", "/x", "example.org/"),
            ("example.org:", "/x", "example.org/"),
            // The host counts before the length of the path.
            ("example.org", "/long/path/indeed", "example.org/long/path"),
            ("www.example.org", "/x", "*.example.org/"),
            ("x.y.example.org", "/x", "*.example.org/"),
            ("x.a.example.org", "/a/", "*.a.example.org/a/"),
            // The longer wildcard has no such path.
            ("x.a.example.org", "/b/", "*.example.org/"),
            ("a.example.org", "/a/", "*.example.org/"),
            ("b.example.org", "/b/", "b.example.org/b/"),
            ("b.example.org", "/x", "*.example.org/"),
            ("[::1]", "/", "[::1]/"),
            ("[::1]:80", "/", "[::1]/"),
            ("notexample.org", "/", "/"),
            (".example.org", "/", "/"),
            ("", "/", "/"),
        ] {
            let found = found(&keys, host, path).map(|(key, _)| key);
            assert_eq!(found.as_deref(), Some(key), "{host} {path}");
        }
    }
}
