//! Where an application is mounted: what `SCRIPT_NAME`, `PATH_INFO` and `REQUEST_URI` say together.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// A request target without the scheme and host that an absolute one has (RFC 9112 §3.2.2).
pub(super) fn origin_form(target: &[u8]) -> Cow<'_, [u8]> {
    let scheme = target.iter().position(|byte| *byte == b':');
    let Some(rest) = scheme
        .filter(|_| target.first().is_some_and(u8::is_ascii_alphabetic))
        .and_then(|scheme| target[scheme..].strip_prefix(b"://"))
    else {
        return target.into();
    };
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(path) if rest[path] == b'/' => rest[path..].into(),
        Some(query) => [b"/", &rest[query..]].concat().into(),
        None => b"/".into(),
    }
}

/// Path and query of a request target in origin form (RFC 9112 §3.2.1).
pub(super) fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, b""),
    }
}

/// `SCRIPT_NAME` and `PATH_INFO`, as [`request`](crate::protocol::cgi::environ::request) says.
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

/// What stands for itself in the path of a request target (RFC 3986 §3.3).
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

/// The target in origin form that leads to these.
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
