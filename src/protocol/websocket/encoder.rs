//! What is sent, as frames (RFC 6455 §5 and §6.1), compressed where that was negotiated and pays (RFC 7692 §7.2.1).

use bytes::{Bytes, BytesMut};

use crate::interface::{CloseReason, WebSocketMessage};

use super::deflater;
use super::frame_head::{self, FrameHead, HeadBytes, MAX_CONTROL, Opcode};
use super::permessage_deflate::DeflateParameters;

/// The smallest message that is compressed: below, it takes one packet either way.
const WORTHWHILE: usize = 1024;

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

/// Makes frames of messages. It holds nothing between messages.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    deflate: Option<DeflateParameters>,
}

impl Encoder {
    /// An encoder for a connection on which this was negotiated.
    #[must_use]
    pub fn new(deflate: Option<DeflateParameters>) -> Self {
        Self { deflate }
    }

    /// The frames of a message, made when they are asked for: one, or several if the message is large and compressed.
    /// Control frames may be written between them, no other messages.
    #[must_use]
    pub fn message(&self, message: WebSocketMessage) -> MessageFrames {
        let (opcode, rest) = match message {
            WebSocketMessage::Text(payload) => (Opcode::Text, payload),
            WebSocketMessage::Binary(payload) => (Opcode::Binary, payload),
        };
        let window_bits = match self.deflate {
            Some(deflate) if rest.len() >= WORTHWHILE => Some(deflate.window_bits()),
            Some(_) | None => None,
        };
        MessageFrames {
            opcode: Some(opcode),
            rest,
            window_bits,
        }
    }
}

/// The frames of a message.
#[derive(Debug)]
pub struct MessageFrames {
    /// That of the next frame, if there is one.
    opcode: Option<Opcode>,
    rest: Bytes,
    /// If the message is compressed.
    window_bits: Option<u8>,
}

impl Iterator for MessageFrames {
    type Item = WebSocketFrame;

    fn next(&mut self) -> Option<WebSocketFrame> {
        let opcode = self.opcode.take()?;
        let is_first = opcode != Opcode::Continuation;
        if let Some(window_bits) = self.window_bits {
            let length = self.rest.len().min(PIECE);
            let is_last = length == self.rest.len();
            let deflated = deflater::deflate(&self.rest[..length], window_bits, is_last);
            // How the beginning fares decides for the message.
            if !is_first || deflated.len() < length - length / 8 {
                let _ = self.rest.split_to(length);
                self.opcode = (!is_last).then_some(Opcode::Continuation);
                let frame = WebSocketFrame::new(opcode, is_last, is_first, deflated.into());
                return Some(frame);
            }
        }
        let payload = std::mem::take(&mut self.rest);
        Some(WebSocketFrame::new(opcode, true, false, payload))
    }
}
