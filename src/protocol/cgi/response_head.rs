//! The head of a CGI response, in both directions (RFC 3875 §6): what the CGI and FastCGI gateways
//! write, and what CGI programs and FastCGI servers answer.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::interface::Response;
use crate::protocol::hop_by_hop::is_hop_by_hop;

#[cfg(test)]
mod tests;

/// How long a head may be, in bytes, blank line included.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// Writes the head of a response: `Status:` first, since web servers take a `Location` before it for a
/// redirect inside themselves, then the fields, then the blank line.
///
/// Left out are fields about the connection, which belongs to the web server (RFC 3875 §6.3.4), and a field
/// named `Status`. A reason phrase with control characters is replaced by the standard one.
pub fn write_head(response: &Response, into: &mut BytesMut) {
    let reason = match &response.reason {
        Some(reason) if is_reason(reason) => reason,
        Some(_) | None => response
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    };
    into.put_slice(b"Status: ");
    into.put_slice(response.status.as_str().as_bytes());
    if !reason.is_empty() {
        into.put_u8(b' ');
        into.put_slice(reason);
    }
    into.put_slice(b"\r\n");
    for (name, value) in &response.headers {
        if name != "status" && !is_hop_by_hop(name.as_str()) {
            into.put_slice(name.as_str().as_bytes());
            into.put_slice(b": ");
            into.put_slice(value.as_bytes());
            into.put_slice(b"\r\n");
        }
    }
    into.put_slice(b"\r\n");
}

/// RFC 9112 §4: tab, space, visible characters, and the upper half of latin-1.
fn is_reason(reason: &[u8]) -> bool {
    reason
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// What the head of a CGI response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A document, or a redirect for the client.
    Document {
        /// `Status`; 302 if only a `Location` is given, else 200.
        status: StatusCode,
        /// The reason phrase where it is not the standard one.
        reason: Option<Bytes>,
        /// The other fields.
        headers: HeaderMap,
    },
    /// The web server is to answer with what stands at this path and query of its own (RFC 3875 §6.2.2).
    LocalRedirect(Bytes),
}

/// A head that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// A line without a colon, or with a name that is no name, or a value with a control character.
    Line,
    /// No final status between 200 and 999, or two of them.
    Status,
    /// Nothing before the blank line.
    Empty,
    /// More than [`HEAD_LIMIT`] bytes.
    TooLong,
}

impl fmt::Display for BadHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line => {
                formatter.write_str("the response's head has a line that is no header field")
            }
            Self::Status => formatter.write_str("the response has no valid status"),
            Self::Empty => formatter.write_str("the response has no header fields"),
            Self::TooLong => write!(
                formatter,
                "the response's head has more than {HEAD_LIMIT} bytes"
            ),
        }
    }
}

impl std::error::Error for BadHead {}

/// Reads a head, whose lines end in LF or CRLF, from the beginning of a response. Gives it with its
/// length in bytes, or `None` if it is not complete yet.
///
/// A `Location` that begins with a single `/` is a local redirect if there is no `Status`. A first line such as
/// `HTTP/1.1 200 OK` counts as a `Status`, as web servers have it.
///
/// # Errors
/// [`BadHead`], which deserves a 502.
pub fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, BadHead> {
    let mut fields = HeaderMap::new();
    let mut status = None;
    let mut first = true;
    let mut position = 0;
    let window = &bytes[..bytes.len().min(HEAD_LIMIT)];
    while let Some(end) = window[position..].iter().position(|byte| *byte == b'\n') {
        let line = &window[position..position + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        position += end + 1;
        if line.is_empty() {
            return match (first, status) {
                (true, _) => Err(BadHead::Empty),
                (false, status) => Ok(Some((head(status, fields), position))),
            };
        }
        if first && line.starts_with(b"HTTP/") {
            let (_, rest) = split_at(line, b' ').ok_or(BadHead::Status)?;
            status = Some(parse_status(rest)?);
        } else {
            let (name, value) = split_at(line, b':').ok_or(BadHead::Line)?;
            let value = value.trim_ascii();
            if name.eq_ignore_ascii_case(b"status") {
                if status.replace(parse_status(value)?).is_some() {
                    return Err(BadHead::Status);
                }
            } else {
                let name = HeaderName::from_bytes(name).map_err(|_| BadHead::Line)?;
                let value = HeaderValue::from_bytes(value).map_err(|_| BadHead::Line)?;
                fields
                    .try_append(name, value)
                    .map_err(|_| BadHead::TooLong)?;
            }
        }
        first = false;
    }
    if bytes.len() >= HEAD_LIMIT {
        return Err(BadHead::TooLong);
    }
    Ok(None)
}

type Status = (StatusCode, Option<Bytes>);

fn head(status: Option<Status>, headers: HeaderMap) -> Head {
    let location = headers.get(header::LOCATION).map(HeaderValue::as_bytes);
    let (status, reason) = match (status, location) {
        (Some(status), _) => status,
        (None, Some(path)) if path.starts_with(b"/") && !path.starts_with(b"//") => {
            return Head::LocalRedirect(Bytes::copy_from_slice(path));
        }
        (None, Some(_)) => (StatusCode::FOUND, None),
        (None, None) => (StatusCode::OK, None),
    };
    Head::Document {
        status,
        reason,
        headers,
    }
}

/// `404 Not Found`, with or without the reason.
fn parse_status(text: &[u8]) -> Result<Status, BadHead> {
    let (code, reason) = split_at(text, b' ').unwrap_or((text, b""));
    let status = StatusCode::from_bytes(code).map_err(|_| BadHead::Status)?;
    if status.is_informational() || !is_reason(reason) {
        return Err(BadHead::Status);
    }
    let reason = reason.trim_ascii();
    let standard = status.canonical_reason().unwrap_or_default().as_bytes();
    let own = !reason.is_empty() && reason != standard;
    Ok((status, own.then(|| Bytes::copy_from_slice(reason))))
}

fn split_at(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == separator)?;
    Some((&text[..place], &text[place + 1..]))
}
