//! The frames between us and a worker, and what they carry.
//!
//! A **lane** is one thread of a worker. It has
//! - a stream socket: requests go out, and what does not fit the ring comes back;
//! - a pipe of one-byte **tokens**, one for each request sent, written *before* the request. A token is the
//!   low byte of the request's number. The worker begins a request only if the next token in the pipe is its
//!   own; otherwise it drops the request. So whoever reads a token decides: the worker claims the oldest
//!   request not begun, and we take back all that are left by reading the same pipe.
//! - a **ring** in shared memory for answers: two counters (`head`, written by the worker; `tail`, by us), the
//!   number of a request whose answer nobody wants any more, the lane's thread, then records. A record is never split: where
//!   it does not fit before the end, a [`Kind::Wake`] header (or too little room for one) says to go on at the beginning;
//! - a datagram-like socket for descriptors in both directions, in the order of the frames that speak of them.
//!
//! A frame and a record are a header of [`HEADER`] bytes, little-endian: length of the payload, number of the
//! request, service time in nanoseconds (answers), kind, flags, 16 bits for a known head (requests) or the number of
//! header fields (answers), the length of the head (answers); then the payload. The head of an answer is the
//! status, and name and value of each field, with zero bytes between them: what contains one itself is found out by
//! their number.
//!
//! Requests of one connection mostly differ in little more than their path, while decoding all variables and putting
//! them together is the largest part of what a small request costs in the worker. So a request is sent in two parts, the
//! variables that requests of a connection have in common ([`environ::common_variables`]) and its own, and the first is
//! left out where the worker has it from an earlier request ([`KnownHeads`]).
//!
//! That tokens carry the number makes a hand-shake after taking requests back needless: what is sent
//! afterwards cannot be mistaken for what was taken.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memchr;

use super::environ;
use super::known_heads::{KnownHeads, Sight};
use super::marshal::{Malformed, Writer};
use crate::application::{Errors, Request, RequestBody};

/// The size of a header in bytes.
pub const HEADER: usize = 20;

/// Where the records of a ring begin; before that are its counters, of 64 bits each.
pub const RING_START: usize = 64;
/// The counter of bytes that the worker has written.
pub const RING_HEAD: usize = 0;
/// The counter of bytes that we have read.
pub const RING_TAIL: usize = 1;
/// The number of a request whose answer nobody wants any more.
pub const RING_CANCELLED: usize = 2;
/// The thread that the lane has, by the number that `faulthandler` gives it.
pub const RING_THREAD: usize = 3;

/// Request flag: the body is a file, sent over the socket for descriptors.
const BODY_IN_FILE: u8 = 1;
/// Request flag: `wsgi.errors` goes to the gateway.
const ERRORS_TO_GATEWAY: u8 = 2;
/// Request flag: the common variables are left out, the worker has them.
const HEAD_KNOWN: u8 = 4;
/// Request flag: the worker is to keep the common variables.
const HEAD_TO_KEEP: u8 = 8;

/// Bytes that a request usually takes at most: what the system's allocator has at hand.
const USUAL_REQUEST: usize = 1024;

/// What a frame from a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is something in the ring. In the ring: go on at its beginning.
    Wake,
    /// A whole answer.
    Answer,
    /// The head of an answer whose body follows in blocks.
    Head,
    /// A block of a body.
    Block,
    /// The end of a body.
    End {
        /// The application failed: the body is not whole.
        truncated: bool,
    },
    /// A whole answer whose body is a file, sent over the socket for descriptors.
    File,
    /// Text that the application wrote to `wsgi.errors`.
    Errors,
}

/// The header of a frame from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The payload's length in bytes.
    pub length: usize,
    /// Which request it is about; 0 for none.
    pub number: u32,
    /// How long the worker was busy with it.
    pub service: Duration,
    /// What follows.
    pub kind: Kind,
    /// How many header fields the head has with which the payload begins.
    pub fields: usize,
    /// How long that head is, in bytes.
    pub head: usize,
}

impl Header {
    /// Reads a header, `None` if there are too few bytes.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of ours would send it.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(bytes) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let field = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let kind = match bytes[12] {
            0 => Kind::Wake,
            1 => Kind::Answer,
            2 => Kind::Head,
            3 => Kind::Block,
            4 => Kind::End {
                truncated: bytes[13] != 0,
            },
            5 => Kind::File,
            6 => Kind::Errors,
            _ => return Err(Malformed),
        };
        let size = |field: u32| usize::try_from(field).map_err(|_| Malformed);
        let (length, head) = (size(field(0))?, size(field(16))?);
        if head > length {
            return Err(Malformed);
        }
        Ok(Some(Self {
            length,
            number: field(4),
            service: Duration::from_nanos(u64::from(field(8))),
            kind,
            fields: usize::from(u16::from_le_bytes([bytes[14], bytes[15]])),
            head,
        }))
    }
}

/// A request as it is sent to a worker, but for what depends on the lane.
#[derive(Debug)]
pub struct RequestFrame {
    /// The dictionary of common variables, then the tuple of the request's own and its body.
    payload: Vec<u8>,
    /// Where the second begins.
    own: usize,
    flags: u8,
    /// Which connection it came in on: a hint, see [`KnownHeads`].
    connection: usize,
}

/// The payload that has both parts.
const PAIR: [u8; 2] = [b')', 2];

impl RequestFrame {
    /// A request's frame.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        let mut writer = Writer::with_capacity(USUAL_REQUEST);
        writer.dict();
        let announced = environ::common_variables(request, &mut |name, value| {
            writer.key(name);
            writer.latin1(value);
        });
        writer.key(b"wsgi.url_scheme");
        writer.string(request.connection.scheme.as_str());
        writer.end_dict();
        let own = writer.length();
        writer.tuple(7);
        for value in environ::own_variables(request) {
            writer.latin1(value);
        }
        match environ::content_length_variable(request, announced) {
            Some(length) => writer.string(&length.to_string()),
            None => writer.none(),
        }
        let mut flags = 0;
        match &request.body {
            RequestBody::Empty => writer.bytes(b""),
            RequestBody::Bytes(bytes) => writer.bytes(bytes),
            RequestBody::File { .. } => {
                flags |= BODY_IN_FILE;
                writer.none();
            }
        }
        if matches!(request.errors, Errors::Gateway(_)) {
            flags |= ERRORS_TO_GATEWAY;
        }
        Self {
            payload: writer.into_bytes(),
            own,
            flags,
            connection: Arc::as_ptr(&request.connection).addr(),
        }
    }

    /// Appends the request to what is to be written to a lane.
    pub fn write(&self, number: u32, heads: &mut KnownHeads, frames: &mut Vec<u8>) {
        let (head, own) = self.payload.split_at(self.own);
        let (sight, slot) = heads.look_at(self.connection, head);
        let (flag, parts) = match sight {
            Sight::New => (0, [&PAIR, head, own]),
            Sight::Again => (HEAD_TO_KEEP, [&PAIR, head, own]),
            Sight::Known => (HEAD_KNOWN, [&[][..], &[], own]),
        };
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        // Gateways limit heads, and what is in a frame of a body, far below 4 GiB.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        frames.extend_from_slice(&length.to_le_bytes());
        frames.extend_from_slice(&number.to_le_bytes());
        frames.extend_from_slice(&[0, 0, 0, 0, 0, self.flags | flag]);
        frames.extend_from_slice(&slot.to_le_bytes());
        frames.extend_from_slice(&[0; 4]);
        for part in parts {
            frames.extend_from_slice(part);
        }
    }
}

/// The token of a request.
#[must_use]
pub fn token(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

/// An answer's status and header fields.
#[derive(Debug)]
pub struct Head {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase, where it is not the standard one.
    pub reason: Option<Bytes>,
    /// The header fields.
    pub headers: HeaderMap,
}

/// Why an answer of the application cannot be sent to a client; in words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAnswer(pub String);

impl From<Malformed> for BadAnswer {
    fn from(_: Malformed) -> Self {
        Self("it makes no sense".to_owned())
    }
}

/// Reads a whole answer: head and body.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn answer(header: Header, payload: &Bytes) -> Result<(Head, Bytes), BadAnswer> {
    let head = head(header, payload)?;
    Ok((head, payload.slice(header.head..)))
}

/// Reads an answer whose body is a file: head, offset and length.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn file(header: Header, payload: &Bytes) -> Result<(Head, u64, u64), BadAnswer> {
    let head = head(header, payload)?;
    let rest = payload.slice(header.head..);
    let number = |at: usize| {
        let bytes = rest.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u64::from_le_bytes(*bytes))
    };
    Ok((
        head,
        number(0).ok_or(Malformed)?,
        number(8).ok_or(Malformed)?,
    ))
}

/// Reads the head of an answer.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn head(header: Header, payload: &Bytes) -> Result<Head, BadAnswer> {
    let text = payload.slice(..header.head);
    let mut parts = Parts {
        text: &text,
        rest: 0..text.len(),
        missing: 1 + 2 * header.fields,
    };
    let (status, reason) = read_status(&text.slice(parts.next()?))?;
    let mut headers = HeaderMap::with_capacity(header.fields);
    for _ in 0..header.fields {
        let name = &text[parts.next()?];
        let value = text.slice(parts.next()?);
        let Ok(name) = HeaderName::from_bytes(name) else {
            return Err(BadAnswer(format!("{} is no header name", quoted(name))));
        };
        let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) else {
            return Err(BadAnswer(format!(
                "{} is no value for header `{name}`",
                quoted(&value)
            )));
        };
        if name == header::CONTENT_LENGTH && headers.contains_key(&name) {
            return Err(BadAnswer("`Content-Length` is given twice".to_owned()));
        }
        headers.append(name, value);
    }
    Ok(Head {
        status,
        reason,
        headers,
    })
}

/// The parts of a head, of which there are to be so many and no more.
struct Parts<'a> {
    text: &'a Bytes,
    rest: Range<usize>,
    missing: usize,
}

impl Parts<'_> {
    fn next(&mut self) -> Result<Range<usize>, BadAnswer> {
        self.missing -= 1;
        let start = self.rest.start;
        let length = memchr(0, &self.text[self.rest.clone()]);
        match (length, self.missing) {
            (Some(length), 1..) => {
                self.rest.start = start + length + 1;
                Ok(start..start + length)
            }
            (None, 0) => Ok(self.rest.clone()),
            _ => Err(BadAnswer(
                "its headers are not all pairs, or the status or one of them contains a zero byte"
                    .to_owned(),
            )),
        }
    }
}

/// `200 OK`: three digits, then a reason phrase, which PEP 3333 asks for and we can do without.
fn read_status(text: &Bytes) -> Result<(StatusCode, Option<Bytes>), BadAnswer> {
    let bad = || BadAnswer(format!("{} is no status", quoted(text)));
    let code = &text[..text.len().min(3)];
    let reason = match text.get(3) {
        None => Bytes::new(),
        Some(b' ') => text.slice(4..),
        Some(_) => return Err(bad()),
    };
    let status = StatusCode::from_bytes(code).map_err(|_| bad())?;
    if status.is_informational() {
        return Err(BadAnswer(format!("{} is not a final status", quoted(text))));
    }
    if reason.is_empty() || status.canonical_reason().map(str::as_bytes) == Some(&reason) {
        return Ok((status, None));
    }
    // RFC 9112 §4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
    if reason
        .iter()
        .any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
    {
        return Err(bad());
    }
    Ok((status, Some(reason)))
}

/// For the log: latin-1 as text.
fn quoted(text: &[u8]) -> String {
    let text: String = text.iter().map(|&byte| char::from(byte)).collect();
    format!("`{}`", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{BadAnswer, Header, Kind, head};

    /// The status and headers of an answer that the worker announced with so many fields, as text.
    fn read(fields: usize, text: &'static str) -> Result<String, BadAnswer> {
        let header = Header {
            length: text.len(),
            number: 1,
            service: Duration::ZERO,
            kind: Kind::Head,
            fields,
            head: text.len(),
        };
        let head = head(header, &Bytes::from_static(text.as_bytes()))?;
        Ok(format!("{} {:?}", head.status, head.headers))
    }

    #[test]
    fn nothing_in_a_head_passes_for_something_else() {
        let good = [
            (0, "204 No Content", "204 No Content {}"),
            (1, "200\0A\0b", r#"200 OK {"a": "b"}"#),
            (2, "200 OK\0A\0b\0A\0", r#"200 OK {"a": "b", "a": ""}"#),
        ];
        for (fields, text, expected) in good {
            assert_eq!(read(fields, text).as_deref(), Ok(expected), "{text:?}");
        }
        let bad = [
            (0, "", "is no status"),
            (0, "2000 OK", "is no status"),
            (0, "100 Continue", "is not a final status"),
            (0, "200 O\nK", "is no status"),
            // A value with a zero byte, and a field without a value.
            (1, "200 OK\0A\0b\0c", "zero byte"),
            (1, "200 OK\0A", "not all pairs"),
            (1, "200 OK\0A\0b\r\nC: d", "is no value"),
            (1, "200 OK\0A B\0c", "is no header name"),
        ];
        for (fields, text, expected) in bad {
            let BadAnswer(reason) = read(fields, text).expect_err(text);
            assert!(reason.contains(expected), "{text:?}: {reason}");
        }
    }
}
