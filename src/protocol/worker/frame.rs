//! The frames between us and a worker, and what they carry.
//!
//! A **lane** is one thread of a worker. It has
//! - a stream socket: requests go out, and what does not fit the ring comes back;
//! - a pipe of one-byte **tokens**, one for each request sent, written *before* the request. A token is the
//!   low byte of the request's number. The worker begins a request only if the next token in the pipe is its
//!   own; otherwise it drops the request. So whoever reads a token decides: the worker claims the oldest
//!   request not begun, and we take back all that are left by reading the same pipe.
//! - a **ring** in shared memory for answers: two counters (`head`, written by the worker; `tail`, by us), the
//!   number of a request whose answer nobody wants any more, the lane's thread, how far it has read, whether it waits, how many lines of its log are lost; then records. A record is never split: where
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
//! afterwards cannot be mistaken for what was taken, as long as fewer than 256 requests are in sight: sent, and not
//! known to have been read. The worker says in its ring how far it has read ([`RING_READ`]). An answer says it
//! too, but of requests that were taken back there is none; and a [`Kind::Wake`] proves nothing by itself, since
//! it can come from the middle of a batch.

use std::sync::Arc;
use std::time::Duration;

use crate::interface::{Errors, Request, RequestBody};
use crate::protocol::cgi::environ;
use crate::protocol::worker::known_heads::{KnownHeads, Sight};
use crate::protocol::worker::marshal::{Malformed, Writer};

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
/// The number of the last request that the worker has read, whether it began it or dropped it; written at the end of
/// each batch, before the worker says that it is awake.
pub const RING_READ: usize = 4;
/// 1 while the worker waits for requests, else 0.
pub const RING_WAITING: usize = 5;
/// How many lines the worker could not write to the log and has not said so; in the ring of its first lane.
pub const RING_LOST: usize = 6;

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
