//! What proxies say of the request that their client has sent: `X-Forwarded-For` and its relatives, or `Forwarded`
//! (RFC 7239).
//!
//! - The peer of the connection must be a trusted proxy. The fields of any other peer are removed, so that an application
//!   that believes them is not lied to.
//! - A trusted proxy passes on what it does not set itself, and that is the client's. So the configuration names the
//!   fields that the proxies set ([`ForwardedField`]); the others are removed.
//! - Each proxy appends its own client, so that the chain is read from its end: trusted proxies are stepped over, and the
//!   first other address is the client (RFC 7239 §5.2). If all are trusted, the first one of the chain is the client. What
//!   stands before the client has come from it, and is removed.
//! - Scheme and host are those that the proxy nearest to the client has written: in `Forwarded` those of the client's
//!   element; of the other fields, which may be lists, the element that is as far from the end as the client is. A shorter
//!   list, usually of one element, has been written by fewer proxies: its first element counts.

use core::net::IpAddr;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::interface::Scheme;
use crate::protocol::proxy::forwarded_element::{ForwardedNode, elements};
use crate::protocol::proxy::trusted_proxies::TrustedProxies;

/// A field that proxies set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedField {
    /// `Forwarded` (RFC 7239), in place of the next three.
    Forwarded,
    /// `X-Forwarded-For`: the client's address.
    For,
    /// `X-Forwarded-Proto`: the scheme that the client used.
    Proto,
    /// `X-Forwarded-Host`: the `Host` field that the client sent.
    Host,
    /// `X-Forwarded-Prefix`: the beginning of the path, which the proxy has taken away.
    Prefix,
}

/// RFC 9110 §5.6.3.
const BLANKS: [char; 2] = [' ', '\t'];

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

impl ForwardedField {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Forwarded,
        Self::For,
        Self::Proto,
        Self::Host,
        Self::Prefix,
    ];

    /// The name of the field.
    #[must_use]
    pub fn name(self) -> HeaderName {
        match self {
            Self::Forwarded => header::FORWARDED,
            Self::For => FOR,
            Self::Proto => PROTO,
            Self::Host => HOST,
            Self::Prefix => PREFIX,
        }
    }
}

/// Who is believed, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyTrust {
    /// The proxies whose fields are read.
    pub proxies: TrustedProxies,
    /// The fields that they set.
    pub fields: Vec<ForwardedField>,
}

/// The client of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OriginalClient {
    /// The peer of the connection.
    #[default]
    Peer,
    /// An address, and its port if it is known.
    At(IpAddr, Option<u16>),
    /// The proxies do not know or do not tell, or it is a process on the machine of one of them.
    Unknown,
}

/// What the proxies say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// The client.
    pub client: OriginalClient,
    /// The scheme that it used, if they say so.
    pub scheme: Option<Scheme>,
    /// The `Host` field that it sent, if they say so; not empty, but not checked.
    pub host: Option<HeaderValue>,
    /// The beginning of the path that they have taken away, percent-encoded; empty if there is none. It begins with one
    /// slash, does not end with one, and has neither dots nor empty segments, also when it is decoded.
    pub prefix: String,
}

/// A field of a trusted proxy is malformed, which deserves a 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadForwarded(pub ForwardedField);

impl fmt::Display for BadForwarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            ForwardedField::Forwarded => "Forwarded",
            ForwardedField::For => "X-Forwarded-For",
            ForwardedField::Proto => "X-Forwarded-Proto",
            ForwardedField::Host => "X-Forwarded-Host",
            ForwardedField::Prefix => "X-Forwarded-Prefix",
        };
        write!(
            formatter,
            "the `{name}` field of a trusted proxy is malformed"
        )
    }
}

impl std::error::Error for BadForwarded {}

/// Removes what proxies set, as a peer that is no trusted proxy has sent it: every `X-Forwarded-…`, `X-Real-IP` and
/// `Forwarded`.
pub fn remove(headers: &mut HeaderMap) {
    let is_set_by_proxies = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
    };
    let names: Vec<HeaderName> = headers.keys().filter(is_set_by_proxies).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Reads the fields of a trusted proxy. Only what trusted proxies have written stays in them.
///
/// # Errors
/// One of them is malformed.
pub fn read(headers: &mut HeaderMap, trust: &ProxyTrust) -> Result<Original, BadForwarded> {
    for field in ForwardedField::ALL {
        if !trust.fields.contains(&field) {
            headers.remove(field.name());
        }
    }
    let mut original = Original::default();
    let mut depth = 1;
    if let Some(chain) = text_of(headers, ForwardedField::Forwarded)? {
        let malformed = || BadForwarded(ForwardedField::Forwarded);
        let elements = elements(&chain).ok_or_else(malformed)?;
        let nodes = elements.iter().rev();
        let nodes = nodes.map(|element| Ok(element.node.unwrap_or(ForwardedNode::Hidden)));
        let (client, steps) = find_client(nodes, &trust.proxies)?;
        original.client = client;
        if let Some(element) = elements
            .len()
            .checked_sub(steps.max(1))
            .map(|at| &elements[at])
        {
            if let Some(proto) = &element.proto {
                original.scheme = Some(scheme(proto).ok_or_else(malformed)?);
            }
            if let Some(host) = &element.host {
                original.host = Some(HeaderValue::from_str(host).map_err(|_| malformed())?);
            }
            keep(headers, ForwardedField::Forwarded, &chain[element.start..]);
        }
    }
    if let Some(chain) = text_of(headers, ForwardedField::For)? {
        let malformed = || BadForwarded(ForwardedField::For);
        let items = items(&chain);
        let nodes = items.iter().rev();
        let nodes = nodes.map(|(_, item)| ForwardedNode::parse(item).ok_or_else(malformed));
        let (client, steps) = find_client(nodes, &trust.proxies)?;
        original.client = client;
        depth = steps.max(1);
        if let Some((start, _)) = items.iter().rev().nth(depth - 1) {
            keep(headers, ForwardedField::For, &chain[*start..]);
        }
    }
    if let Some(proto) = written(headers, ForwardedField::Proto, depth)? {
        let malformed = BadForwarded(ForwardedField::Proto);
        original.scheme = Some(scheme(&proto).ok_or(malformed)?);
    }
    if let Some(host) = written(headers, ForwardedField::Host, depth)? {
        let host = HeaderValue::from_str(&host);
        original.host = Some(host.map_err(|_| BadForwarded(ForwardedField::Host))?);
    }
    if let Some(prefix) = written(headers, ForwardedField::Prefix, depth)? {
        let malformed = BadForwarded(ForwardedField::Prefix);
        original.prefix = mount(&prefix).ok_or(malformed)?;
    }
    Ok(original)
}

/// The client in a chain that begins at its end, and the number of nodes up to it.
fn find_client(
    nodes: impl Iterator<Item = Result<ForwardedNode, BadForwarded>>,
    proxies: &TrustedProxies,
) -> Result<(OriginalClient, usize), BadForwarded> {
    let (mut client, mut steps) = (OriginalClient::Peer, 0);
    for node in nodes {
        steps += 1;
        let (found, is_proxy) = match node? {
            ForwardedNode::Address(address, port) => (
                OriginalClient::At(address, port),
                proxies.contains(Some(address)),
            ),
            ForwardedNode::Unix => (OriginalClient::Unknown, proxies.contains(None)),
            ForwardedNode::Hidden => (OriginalClient::Unknown, false),
        };
        client = found;
        if !is_proxy {
            break;
        }
    }
    Ok((client, steps))
}

/// The lines of a field as one list; `None` if there are none, or they are empty.
fn text_of(headers: &HeaderMap, field: ForwardedField) -> Result<Option<String>, BadForwarded> {
    let mut list = String::new();
    for value in headers.get_all(field.name()) {
        let line = value.to_str().map_err(|_| BadForwarded(field))?;
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(line);
    }
    Ok((!list.is_empty()).then_some(list))
}

/// The elements of a list that are not empty (RFC 9110 §5.6.1), and where each begins.
fn items(list: &str) -> Vec<(usize, &str)> {
    let mut next = 0;
    list.split(',')
        .map(|part| {
            let start = next + part.len() - part.trim_start_matches(BLANKS).len();
            next += part.len() + 1;
            (start, part.trim_matches(BLANKS))
        })
        .filter(|(_, part)| !part.is_empty())
        .collect()
}

/// What the proxy nearest to the client has written into a list, which is all that stays of it; `depth` is how far from the
/// end of a chain the client is.
fn written(
    headers: &mut HeaderMap,
    field: ForwardedField,
    depth: usize,
) -> Result<Option<String>, BadForwarded> {
    let Some(list) = text_of(headers, field)? else {
        return Ok(None);
    };
    let items = items(&list);
    let chosen = items.get(items.len().saturating_sub(depth));
    Ok(chosen.map(|(_, chosen)| {
        keep(headers, field, chosen);
        (*chosen).to_owned()
    }))
}

/// Leaves this of a field.
fn keep(headers: &mut HeaderMap, field: ForwardedField, text: &str) {
    // A part of a value is a value.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(field.name(), value);
    }
}

/// The scheme of a request; some proxies name WebSockets' own.
fn scheme(text: &str) -> Option<Scheme> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        Some(Scheme::Https)
    } else if is("http") || is("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// A prefix of paths without the slash at its end. Applications put it before the paths of links, decoded or not, so that
/// each of its segments is a name in both forms: two slashes at the beginning would name a host, for browsers as well a slash
/// and a backslash; dots lead to another path, and line ends into another field.
fn mount(prefix: &str) -> Option<String> {
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Some(String::new());
    }
    let is_good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    let decoded: Vec<u8> = percent_decode_str(prefix).collect();
    let mut segments = decoded.strip_prefix(b"/")?.split(|byte| *byte == b'/');
    let is_name = |segment: &[u8]| {
        let is_foreign = |byte: &u8| byte.is_ascii_control() || *byte == b'\\';
        !matches!(segment, b"" | b"." | b"..") && !segment.iter().any(is_foreign)
    };
    let is_path = prefix.starts_with('/') && prefix.bytes().all(is_good);
    (is_path && segments.all(is_name)).then(|| prefix.to_owned())
}

#[cfg(test)]
mod tests;
