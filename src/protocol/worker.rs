//! The frames between us and a worker, and what they carry.
//!
//! A **lane** is one thread of a worker. It has
//! - a stream socket: requests go out, and what does not fit the ring comes back;
//! - a pipe of one-byte **tokens**, one for each request sent, written *before* the request. A token is the
//!   low byte of the request's number. The worker begins a request only if the next token in the pipe is its
//!   own; otherwise it drops the request. So whoever reads a token decides: the worker claims the oldest
//!   request not begun, and we take back all that are left by reading the same pipe.
//! - a **ring** in shared memory for answers: two counters (`head`, written by the worker; `tail`, by us), the
//!   number of a request whose answer nobody wants any more, then records. A record is never split: where
//!   it does not fit before the end, a [`Kind::Wake`] header (or too little room for one) says to go on at the beginning;
//! - a datagram-like socket for descriptors in both directions, in the order of the frames that speak of them.
//!
//! A frame and a record are a header of [`HEADER`] bytes, little-endian: length of the payload, number of the
//! request, service time in nanoseconds (answers), kind, flags, and 16 bits for a known head (requests); then the payload.
//!
//! Requests of one connection mostly differ in little more than their path, while decoding all variables and putting
//! them together is the largest part of what a small request costs in the worker. So a request is sent in two parts, the
//! variables that requests of a connection have in common ([`environ::common_variables`]) and its own, and the first is
//! left out where the worker has it from an earlier request ([`KnownHeads`]).
//!
//! That tokens carry the number makes a hand-shake after taking requests back needless: what is sent
//! afterwards cannot be mistaken for what was taken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::environ;
use super::known_heads::{KnownHeads, Sight};
use super::marshal::{Malformed, Reader, Writer, latin1_of_utf8};
use crate::application::{Errors, Request, RequestBody};

/// The size of a header in bytes.
pub const HEADER: usize = 16;

/// Where the records of a ring begin; before that are its counters, of 64 bits each.
pub const RING_START: usize = 64;
/// The counter of bytes that the worker has written.
pub const RING_HEAD: usize = 0;
/// The counter of bytes that we have read.
pub const RING_TAIL: usize = 1;
/// The number of a request whose answer nobody wants any more.
pub const RING_CANCELLED: usize = 2;

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
        Ok(Some(Self {
            length: usize::try_from(field(0)).map_err(|_| Malformed)?,
            number: field(4),
            service: Duration::from_nanos(u64::from(field(8))),
            kind,
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
        Self("status and headers must be a string and a list of pairs of strings".to_owned())
    }
}

/// Reads a whole answer: head and body.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn answer(payload: &Bytes) -> Result<(Head, Bytes), BadAnswer> {
    let mut reader = Reader::new(payload);
    reader.tuple(3)?;
    let head = read_head(&mut reader, payload)?;
    let body = reader.bytes()?;
    Ok((head, payload.slice_ref(body)))
}

/// Reads the head of an answer that comes in blocks.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn head(payload: &Bytes) -> Result<Head, BadAnswer> {
    let mut reader = Reader::new(payload);
    reader.tuple(2)?;
    read_head(&mut reader, payload)
}

/// Reads an answer whose body is a file: head, offset and length.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn file(payload: &Bytes) -> Result<(Head, u64, u64), BadAnswer> {
    let mut reader = Reader::new(payload);
    reader.tuple(4)?;
    let head = read_head(&mut reader, payload)?;
    let offset = u64::try_from(reader.integer()?).map_err(|_| Malformed)?;
    let length = u64::try_from(reader.integer()?).map_err(|_| Malformed)?;
    Ok((head, offset, length))
}

fn read_head(reader: &mut Reader<'_>, payload: &Bytes) -> Result<Head, BadAnswer> {
    let (status, reason) = read_status(reader.string()?, payload)?;
    let count = reader.sequence()?;
    let mut headers = HeaderMap::with_capacity(count.min(64));
    for _ in 0..count {
        reader.tuple(2)?;
        let name = reader.string()?;
        let value = reader.string()?;
        let Ok(name) = HeaderName::from_bytes(name) else {
            return Err(BadAnswer(format!("{} is no header name", quoted(name))));
        };
        let Some(value) =
            latin1(value, payload).and_then(|bytes| HeaderValue::from_maybe_shared(bytes).ok())
        else {
            return Err(BadAnswer(format!(
                "{} is no value for header `{name}`",
                quoted(value)
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

/// `200 OK`: three digits, then a reason phrase, which PEP 3333 asks for and we can do without.
fn read_status(text: &[u8], payload: &Bytes) -> Result<(StatusCode, Option<Bytes>), BadAnswer> {
    let bad = || BadAnswer(format!("{} is no status", quoted(text)));
    let (code, reason) = match text.iter().position(|&byte| byte == b' ') {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => (text, &text[text.len()..]),
    };
    let status = StatusCode::from_bytes(code).map_err(|_| bad())?;
    if status.is_informational() {
        return Err(BadAnswer(format!("{} is not a final status", quoted(text))));
    }
    if reason.is_empty() || status.canonical_reason().map(str::as_bytes) == Some(reason) {
        return Ok((status, None));
    }
    let reason = latin1(reason, payload).ok_or_else(bad)?;
    // RFC 9112 §4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
    if reason
        .iter()
        .any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
    {
        return Err(bad());
    }
    Ok((status, Some(reason)))
}

/// The latin-1 bytes of a string; shares the payload's memory where they are ASCII.
fn latin1(text: &[u8], payload: &Bytes) -> Option<Bytes> {
    if text.is_ascii() {
        Some(payload.slice_ref(text))
    } else {
        latin1_of_utf8(text).map(Bytes::from)
    }
}

fn quoted(text: &[u8]) -> String {
    format!("`{}`", String::from_utf8_lossy(text).escape_debug())
}
