//! `PATH_INFO` and `SCRIPT_NAME` (RFC 3875 §4.1.5, §4.1.13): decoded from a request target, derived from the variables of a
//! web server, and made into a target again.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr, memchr2, memmem};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// The `PATH_INFO` of a target's path where the application is at the root. `None` if it contains an encoded zero byte,
/// which no environment variable can hold. The target `*` has an empty one: PEP 3333 wants a slash or nothing.
pub fn decode(path: Bytes) -> Option<Bytes> {
    if path == "*" {
        return Some(Bytes::new());
    }
    if memchr(b'%', &path).is_none() {
        return Some(path);
    }
    let decoded: Vec<u8> = percent_decode(&path).collect();
    (!decoded.contains(&0)).then(|| decoded.into())
}

/// A request target with scheme and host (RFC 9112 §3.2.2).
#[derive(Debug)]
pub struct AbsoluteForm<'a> {
    /// `http` or another scheme.
    pub scheme: &'a [u8],
    /// Host and port.
    pub authority: &'a [u8],
    /// Path and query, which begin with a slash.
    pub origin_form: Cow<'a, [u8]>,
}

/// The parts of a target in absolute form; `None` for another form.
pub fn absolute_form(target: &[u8]) -> Option<AbsoluteForm<'_>> {
    let scheme = memmem::find(target, b"://")?;
    let rest = &target[scheme + 3..];
    let (authority, path) = rest.split_at(memchr2(b'/', b'?', rest).unwrap_or(rest.len()));
    Some(AbsoluteForm {
        scheme: &target[..scheme],
        authority,
        origin_form: match path.first() {
            Some(b'/') => path.into(),
            Some(_) | None => [b"/", path].concat().into(),
        },
    })
}

/// A request target without the scheme and host that an absolute one has.
pub(super) fn origin_form(target: &[u8]) -> Cow<'_, [u8]> {
    match absolute_form(target) {
        Some(absolute) if absolute.scheme.first().is_some_and(u8::is_ascii_alphabetic) => {
            absolute.origin_form
        }
        Some(_) | None => target.into(),
    }
}

/// Path and query of a request target in origin form (RFC 9112 §3.2.1).
pub fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'?', target) {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, b""),
    }
}

/// `SCRIPT_NAME` and `PATH_INFO`, by the rules of [`request`](crate::protocol::cgi::environ::request).
pub(super) fn mount(
    script_name: Option<&[u8]>,
    path_info: Option<&[u8]>,
    document_uri: Option<&[u8]>,
    target_path: Option<&[u8]>,
    proxied: bool,
) -> (Bytes, Bytes) {
    let whole: Cow<'_, [u8]> = document_uri
        .map(Cow::from)
        .or_else(|| target_path.map(|path| percent_decode(path).into()))
        .unwrap_or_default();
    let (script_name, path_info) = match (script_name.unwrap_or_default(), path_info) {
        (script_name, Some(path_info)) if script_name == path_info && *path_info == *whole => {
            (&b""[..], path_info)
        }
        (script_name, Some(path_info)) => (script_name, path_info),
        (script_name, None) if proxied => (&b""[..], script_name),
        (script_name, None) => match whole.strip_prefix(script_name) {
            Some(b"") if document_uri.is_some() => (&b""[..], &*whole),
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => (script_name, rest),
            Some(_) | None => (script_name, &b""[..]),
        },
    };
    (
        Bytes::copy_from_slice(script_name),
        Bytes::copy_from_slice(path_info),
    )
}

/// All bytes but those that need no encoding in the path of a request target (RFC 3986 §3.3).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// A decoded path as it stands in a URL.
pub fn encode(path: &[u8]) -> String {
    percent_encode(path, PATH).to_string()
}

/// The target in origin form that has these parts.
pub(super) fn made_up_target(script_name: &[u8], path_info: &[u8], query: &[u8]) -> Bytes {
    let mut target: Vec<u8> = percent_encode(script_name, PATH)
        .chain(percent_encode(path_info, PATH))
        .flat_map(str::bytes)
        .collect();
    if target.is_empty() {
        target.push(b'/');
    }
    if !query.is_empty() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    target.into()
}
