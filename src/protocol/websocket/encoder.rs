//! What is sent, as frames (RFC 6455 §5 and §6.1), compressed where that was negotiated and pays (RFC 7692 §7.2.1).

use std::iter;

use bytes::{Buf, Bytes, BytesMut};

use crate::interface::{CloseReason, WebSocketMessage};

use super::deflater;
use super::frame_head::{self, FrameHead, HeadBytes, MAX_CONTROL, Opcode};
use super::history::History;
use super::permessage_deflate::DeflateParameters;

/// The smallest message that is compressed where each stands for itself: below, it takes one packet either way.
const WORTHWHILE: usize = 1024;

/// The same where a message may point back to earlier ones: below, nearly nothing is saved.
const WORTHWHILE_IN_CONTEXT: usize = 16;

/// By how many bytes a message that is no text may become longer, since later ones may point back to it. What is compressed or
/// encrypted already becomes longer by more.
const LONGER: usize = 3;

/// How much of a message is compressed at once, into a frame of its own: what that takes, in time and memory, has a bound.
const PIECE: usize = 1 << 16;

/// A frame of a server: its head, then its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketFrame {
    /// The head, to be written first.
    pub head: HeadBytes,
    /// The payload. Where it is not compressed, it is that of the message, not copied.
    pub payload: Bytes,
}

impl WebSocketFrame {
    fn new(opcode: Opcode, is_final: bool, is_compressed: bool, payload: Bytes) -> Self {
        let head = FrameHead {
            is_final,
            is_compressed,
            opcode,
            mask: None,
            length: payload.len() as u64,
        };
        Self {
            head: head.written(),
            payload,
        }
    }

    /// Appends the frame as a client sends it, masked with a key (RFC 6455 §5.3), which has to be another one for each
    /// frame.
    pub fn put_masked(&self, mut key: [u8; 4], output: &mut BytesMut) {
        output.extend_from_slice(&self.head.masked(key));
        let start = output.len();
        output.extend_from_slice(&self.payload);
        frame_head::mask(&mut output[start..], &mut key);
    }

    /// A ping. Its payload is cut off at 125 bytes.
    #[must_use]
    pub fn ping(mut payload: Bytes) -> Self {
        payload.truncate(MAX_CONTROL);
        Self::new(Opcode::Ping, true, false, payload)
    }

    /// A pong, with the payload of the ping that it answers.
    #[must_use]
    pub fn pong(mut payload: Bytes) -> Self {
        payload.truncate(MAX_CONTROL);
        Self::new(Opcode::Pong, true, false, payload)
    }

    /// A close frame, the last frame of all. A code that is never sent (1005, 1006 and others, RFC 6455 §7.4.1) leaves the
    /// frame empty; a reason that is too long is cut off.
    #[must_use]
    pub fn close(reason: &CloseReason) -> Self {
        let mut payload = Vec::new();
        if CloseReason::may_be_sent(reason.code) {
            let code = reason.code.to_be_bytes();
            let mut end = reason.text.len().min(MAX_CONTROL - code.len());
            while !reason.text.is_char_boundary(end) {
                end -= 1;
            }
            payload.extend_from_slice(&code);
            payload.extend_from_slice(&reason.text.as_bytes()[..end]);
        }
        Self::new(Opcode::Close, true, false, payload.into())
    }
}

/// Makes frames of messages. Between messages it holds only what the next one may point back to.
#[derive(Clone, Debug)]
pub struct Encoder {
    deflate: Option<DeflateParameters>,
    history: History,
}

impl Encoder {
    /// An encoder for a connection on which this was negotiated.
    #[must_use]
    pub fn new(deflate: Option<DeflateParameters>) -> Self {
        Self {
            deflate,
            history: History::new(deflate.and_then(DeflateParameters::server_history)),
        }
    }

    /// Begins a message. Its frames come of [`Encoder::next_frame`], all of them before another message begins.
    #[must_use]
    pub fn message(&self, message: WebSocketMessage) -> MessageFrames {
        let (opcode, rest) = match message {
            WebSocketMessage::Text(payload) => (Opcode::Text, payload),
            WebSocketMessage::Binary(payload) => (Opcode::Binary, payload),
        };
        let smallest = match self.history.is_kept() {
            true => WORTHWHILE_IN_CONTEXT,
            false => WORTHWHILE,
        };
        let window_bits = match self.deflate {
            Some(deflate) if rest.len() >= smallest => Some(deflate.window_bits()),
            Some(_) | None => None,
        };
        MessageFrames {
            opcode: Some(opcode),
            rest,
            window_bits,
        }
    }

    /// The next frame of a message: there is one, or several if the message is large and compressed. Control frames may be
    /// written between them.
    pub fn next_frame(&mut self, message: &mut MessageFrames) -> Option<WebSocketFrame> {
        let opcode = message.opcode.take()?;
        let is_first = opcode != Opcode::Continuation;
        if let Some(window_bits) = message.window_bits {
            let length = message.rest.len().min(PIECE);
            let is_last = length == message.rest.len();
            let piece = message.rest.slice(..length);
            let deflated = deflater::deflate(&piece, self.history.bytes(), window_bits, is_last);
            // How the beginning fares decides for the message.
            if !is_first || self.is_worth_it(opcode, length, deflated.len()) {
                message.rest.advance(length);
                self.history.append(&piece);
                message.opcode = (!is_last).then_some(Opcode::Continuation);
                let frame = WebSocketFrame::new(opcode, is_last, is_first, deflated.into());
                return Some(frame);
            }
        }
        let payload = std::mem::take(&mut message.rest);
        Some(WebSocketFrame::new(opcode, true, false, payload))
    }

    /// Whether compressed bytes are to be sent, in place of so many others.
    fn is_worth_it(&self, opcode: Opcode, length: usize, deflated: usize) -> bool {
        if !self.history.is_kept() {
            return deflated < length - length / 8;
        }
        // A short text may become longer, too, in whatever script, and later ones resemble it.
        opcode == Opcode::Text || deflated <= length + LONGER
    }

    /// All frames of a message, made when they are asked for.
    pub fn frames(&mut self, message: WebSocketMessage) -> impl Iterator<Item = WebSocketFrame> {
        let mut message = self.message(message);
        iter::from_fn(move || self.next_frame(&mut message))
    }
}

/// A message of which frames are made.
#[derive(Debug)]
pub struct MessageFrames {
    /// That of the next frame, if there is one.
    opcode: Option<Opcode>,
    rest: Bytes,
    /// If the message is compressed.
    window_bits: Option<u8>,
}
