//! The frames that the server and a worker exchange.
//!
//! A **lane** is one thread of a worker. It has
//! - a stream socket: requests go out; what wakes the server comes back, and answers that find no room in the ring;
//! - a pipe of one-byte **tokens**, one for each request sent, written *before* the request. A token is the low byte of the
//!   request's number. The worker begins a request only if the next token in the pipe is its own; otherwise it drops the
//!   request. So reading a token decides who has a request: the worker claims the oldest one not begun, and the server takes
//!   back all that are left by reading the same pipe;
//! - a **ring** in shared memory for answers: its counters ([`RING_HEAD`] to [`RING_LOST`]), then records. A record is never
//!   split: where it does not fit before the end, a [`Kind::Wake`] header (or too little room for one) says to go on at the
//!   beginning;
//! - a **stream** in the same memory for answers that come in parts, because the application makes them in blocks or because
//!   they do not fit the ring. Its payloads may go on at the beginning, its headers are never split;
//! - **slots** in the same memory for large blocks, which clients get from there, without a copy: a [`Kind::Slot`] in the
//!   stream takes the place of the block. A slot is free as long as its bit is the same in [`SLOTS_CLAIMED`], which the worker
//!   changes, and in [`SLOTS_RETURNED`], which the server changes when the block is sent. Slots come back in any order, and
//!   where none is free, or there are none, blocks go through the stream;
//! - a pipe of **room**: while the stream is full, or all slots are taken, the worker waits for a byte there;
//! - a datagram-like socket for descriptors in both directions, in the order of the frames that announce them.
//!
//! A frame and a record are a header of [`HEADER`] bytes, little-endian: length of the payload, number of the request,
//! service time in nanoseconds (answers), kind, flags, 16 bits for a known head (requests) or the number of header fields
//! (answers), length of the head (answers); then the payload. The head of an answer is the status, and name and value of each
//! field, separated by zero bytes: if one of them contains a zero byte itself, the number of fields is wrong.
//!
//! Neither side of the stream wakes the other needlessly, and no wake-up is missed: it says that it waits
//! ([`STREAM_AWAKE`], [`STREAM_FULL`]) before it looks whether it has to, and the other looks at that after each change. So
//! blocks that are made quickly cost no system call of the worker.
//!
//! Requests of one client mostly differ in little more than their path, while decoding all variables is the largest part
//! of the cost of a small request in the worker. So a request is sent in two parts, the variables that requests of a
//! client have in common ([`environ::common_variables`]) and its own, and the first is left out where the worker has it
//! from an earlier request ([`KnownHeads`]).
//!
//! Since tokens carry the number, taking requests back needs no handshake: requests sent afterwards cannot be mistaken for
//! those taken back, as long as fewer than 256 requests are sent and not known to have been read. The worker tells in its ring
//! which request it has read last ([`RING_READ`]). An answer tells it too, but requests taken back have none; a
//! [`Kind::Wake`] proves nothing, since it can come from the middle of a batch.

use std::time::Duration;

use crate::interface::{Errors, Request, RequestBody};
use crate::protocol::cgi::environ;
use crate::protocol::worker::asgi_scope;
use crate::protocol::worker::known_heads::{KnownHeads, Sight};
use crate::protocol::worker::marshal::{Malformed, Writer};

/// The size of a header in bytes.
pub const HEADER: usize = 20;

/// The position of the first record of a ring, in bytes; before it are the counters, of 64 bits each.
pub const RING_START: usize = 128;
/// The bytes of records in a ring: some 25 answers of 10 KB, and small enough to stay in a processor's cache.
pub const RING_CAPACITY: usize = 256 * 1024;
/// The counter of bytes that the worker has written.
pub const RING_HEAD: usize = 0;
/// The counter of bytes that the server has read.
pub const RING_TAIL: usize = 1;
/// The number of a request whose answer is not wanted any more.
pub const RING_CANCELLED: usize = 2;
/// The thread of the lane, by the number that `faulthandler` gives it.
pub const RING_THREAD: usize = 3;
/// The number of the last request that the worker has read, begun or dropped; written at the end of each batch, before the
/// worker clears [`RING_WAITING`].
pub const RING_READ: usize = 4;
/// 1 while the worker waits for requests, else 0.
pub const RING_WAITING: usize = 5;
/// The number of lines that the worker could not write to the log and has not reported; in the ring of its first lane.
pub const RING_LOST: usize = 6;

/// The position of the stream in the shared memory, in bytes.
pub const STREAM_START: usize = RING_START + RING_CAPACITY;
/// The bytes of records in a stream: enough for the worker to go on while the server passes on what is there, so that they
/// seldom wait for each other. With the ring it takes 1 MiB, which limits of the size of files leave.
pub const STREAM_CAPACITY: usize = 1024 * 1024 - STREAM_START;
/// The counter of bytes that the worker has written to the stream.
pub const STREAM_HEAD: usize = 8;
/// The counter of bytes that the server has read from the stream.
pub const STREAM_TAIL: usize = 9;
/// 0 when the server will not look at the stream again until it is woken up. The worker then sets it to 1 and sends a
/// [`Kind::Wake`].
pub const STREAM_AWAKE: usize = 10;
/// 1 while the worker waits for room in the stream, and [`WAITS_FOR_SLOT`] while it waits for a slot. The server then sets it
/// to 0 and writes a byte to the pipe of room.
pub const STREAM_FULL: usize = 11;
/// The value of [`STREAM_FULL`] while the worker waits for a slot.
pub const WAITS_FOR_SLOT: u64 = 2;

/// The position of the first slot in the shared memory, in bytes.
pub const SLOTS_START: usize = STREAM_START + STREAM_CAPACITY;
/// The bytes of a slot: the most that applications usually give at once.
pub const SLOT_SIZE: usize = 64 * 1024;
/// How many slots there are, unless limits of the size of files leave no memory for them: then there are none.
pub const SLOTS: u32 = 16;
/// A bit for each slot, which the worker changes when it fills it.
pub const SLOTS_CLAIMED: usize = 12;
/// A bit for each slot, which the server changes when the worker may fill it again.
pub const SLOTS_RETURNED: usize = 13;
/// The size of the payload of [`Kind::Slot`], in bytes.
pub const SLOT_PAYLOAD: usize = 8;

/// Request flag: the body is a file, sent over the socket for descriptors.
const BODY_IN_FILE: u8 = 1;
/// Request flag: `wsgi.errors` goes to the gateway.
const ERRORS_TO_GATEWAY: u8 = 2;
/// Request flag: the common variables are left out, the worker has them.
const HEAD_KNOWN: u8 = 4;
/// Request flag: the worker is to keep the common variables.
const HEAD_TO_KEEP: u8 = 8;
/// Request flag: the answer is to be announced as soon as it is in the ring.
const ANNOUNCE: u8 = 16;

/// Request flag, ASGI: the client offers a WebSocket.
pub const WEB_SOCKET: u8 = 32;

/// Answer flag, ASGI: see [`Kind::Answer`].
const LAST: u8 = 2;

/// ASGI: how many bytes of a response or of the messages of a WebSocket may be on their way to the client.
pub const RESPONSE_WINDOW: usize = 256 * 1024;
/// ASGI: how many bytes of messages of a WebSocket may be on their way to the application.
pub const MESSAGE_WINDOW: usize = 64 * 1024;

/// The usual size of a request at most, in bytes: a size that the allocator has at hand.
const USUAL_REQUEST: usize = 1024;

/// The kind of a frame from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On the socket: the ring has records. In the ring: go on at its beginning.
    Wake,
    /// A whole answer.
    Answer {
        /// ASGI: the application's code for this request has ended; no [`Kind::Done`] follows.
        last: bool,
    },
    /// In the stream: the head of an answer whose body follows in blocks; behind it the length of the body if it is known.
    Head,
    /// In the stream: a block of a body.
    Block,
    /// In the stream: a block of a body that is in a slot. The payload is the number of the slot and the length of the block,
    /// of 32 bits each.
    Slot,
    /// In the stream: the end of a body.
    End {
        /// The application failed: the body is not whole.
        truncated: bool,
    },
    /// A whole answer whose body is a file, sent over the socket for descriptors.
    File,
    /// Text that the application wrote to `wsgi.errors`.
    Errors,
    /// ASGI: the offer of a WebSocket is accepted. The head has the status 101 and the application's header fields.
    Accept,
    /// ASGI: a message of a WebSocket, or a part of one.
    Message {
        /// UTF-8, which runner checks.
        text: bool,
        /// The next frame of this number goes on with the message: one that is larger than the stream comes in parts.
        more: bool,
    },
    /// ASGI: the end of a WebSocket. The payload is the code, of 16 bits, then the reason in UTF-8.
    Close,
    /// ASGI: the application has room for more messages of a WebSocket. The payload is the number of bytes, of 32 bits.
    Credit,
    /// ASGI: the application's code for this request has ended. Follows each request, behind its last other frame, unless
    /// that is an answer which says so itself.
    Done,
    /// ASGI: the worker cannot serve. The payload says why, in UTF-8; the number is 0.
    Unable,
    /// ASGI: how late the event loop was at its worst since the last report, in microseconds, of 32 bits; the number is 0.
    Lag,
}

/// The kind of a frame to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LaneOrder {
    /// A request.
    Request = 0,
    /// ASGI: a text message of a WebSocket.
    Text = 1,
    /// ASGI: a binary message of a WebSocket.
    Binary = 2,
    /// ASGI: the client has left. The payload is empty, or for a WebSocket the code, of 16 bits, then the reason in UTF-8.
    Left = 3,
    /// ASGI: the client has taken so much of a response or of messages. The payload is the number of bytes, of 32 bits.
    Credit = 4,
    /// ASGI: the request has run out of time and is answered. The worker logs the payload, a text, with the stack of the
    /// request's task, and cancels the task.
    Cancel = 5,
    /// ASGI: the worker logs the payload with the stack of the request's task, which goes on.
    Show = 6,
}

/// The header of a frame from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The length of the payload, in bytes.
    pub length: usize,
    /// The number of the request; 0 for none.
    pub number: u32,
    /// The time that the worker was busy with the request.
    pub service: Duration,
    /// What the payload is.
    pub kind: Kind,
    /// The number of header fields of the head at the beginning of the payload.
    pub fields: usize,
    /// The length of that head, in bytes.
    pub head: usize,
}

impl Header {
    /// Reads a header, `None` if there are too few bytes.
    ///
    /// # Errors
    /// [`Malformed`] if a correct worker would not send it.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(bytes) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let field = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let kind = match bytes[12] {
            0 => Kind::Wake,
            1 => Kind::Answer {
                last: bytes[13] & LAST != 0,
            },
            2 => Kind::Head,
            3 => Kind::Block,
            4 => Kind::End {
                truncated: bytes[13] != 0,
            },
            5 => Kind::File,
            6 => Kind::Errors,
            7 => Kind::Accept,
            kind @ (8 | 9) => Kind::Message {
                text: kind == 8,
                more: bytes[13] != 0,
            },
            10 => Kind::Close,
            11 => Kind::Credit,
            12 => Kind::Done,
            13 => Kind::Unable,
            14 => Kind::Lag,
            15 => Kind::Slot,
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

/// A request as it is sent to a worker, without what depends on the lane.
#[derive(Debug)]
pub struct RequestFrame {
    /// What it has in common with others, then the tuple of what is its own, its body among it.
    payload: Vec<u8>,
    /// The position of the tuple.
    own: usize,
    flags: u8,
}

/// The beginning of a payload with both parts: a tuple of two.
const PAIR: [u8; 2] = [b')', 2];

impl RequestFrame {
    /// A request's frame for WSGI.
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
        writer.tuple(9);
        for value in environ::own_variables(request) {
            match value {
                Some(value) => writer.latin1(value),
                None => writer.none(),
            }
        }
        match environ::content_length_variable(request, announced) {
            Some(length) => writer.string(&length.to_string()),
            None => writer.none(),
        }
        match &request.body {
            RequestBody::Empty => writer.bytes(b""),
            RequestBody::Bytes(bytes) => writer.bytes(bytes),
            RequestBody::File { .. } => writer.none(),
        }
        let mut flags = body_flag(request);
        if matches!(request.errors, Errors::Gateway(_)) {
            flags |= ERRORS_TO_GATEWAY;
        }
        Self {
            payload: writer.into_bytes(),
            own,
            flags,
        }
    }

    /// The same for ASGI.
    pub fn asgi(request: &Request) -> Self {
        let mut writer = Writer::with_capacity(USUAL_REQUEST);
        let announced = asgi_scope::write_common(request, &mut writer);
        let own = writer.length();
        asgi_scope::write_own(request, announced, &mut writer);
        let mut flags = body_flag(request);
        if request.offers_web_socket {
            flags |= WEB_SOCKET;
        }
        Self {
            payload: writer.into_bytes(),
            own,
            flags,
        }
    }

    /// Frees its memory: it will not be sent again.
    pub fn forget(&mut self) {
        self.payload = Vec::new();
    }

    /// Appends the request to what is to be written to a lane. `announce` if the worker is to say at once that it has answered.
    pub fn write(&self, number: u32, announce: bool, heads: &mut KnownHeads, frames: &mut Vec<u8>) {
        let (head, own) = self.payload.split_at(self.own);
        let (sight, slot) = heads.look_at(head);
        let (mut flag, parts) = match sight {
            Sight::New => (0, [&PAIR, head, own]),
            Sight::Again => (HEAD_TO_KEEP, [&PAIR, head, own]),
            Sight::Known => (HEAD_KNOWN, [&[][..], &[], own]),
        };
        if announce {
            flag |= ANNOUNCE;
        }
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

fn body_flag(request: &Request) -> u8 {
    match request.body {
        RequestBody::File { .. } => BODY_IN_FILE,
        RequestBody::Empty | RequestBody::Bytes(_) => 0,
    }
}

/// Appends a frame that is no request to what is to be written to a lane.
pub fn write_order(order: LaneOrder, number: u32, payload: &[u8], frames: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&number.to_le_bytes());
    frames.extend_from_slice(&[0, 0, 0, 0, order as u8, 0, 0, 0, 0, 0, 0, 0]);
    frames.extend_from_slice(payload);
}

/// The token of a request.
pub fn token(number: u32) -> u8 {
    number.to_le_bytes()[0]
}
