//! What becomes of the frames of a client, in words, however their bytes come; for the lists of tricky ones.

use crate::interface::{CloseReason, WebSocketMessage};
use crate::protocol::websocket::decoder::WebSocketEvent;
use crate::protocol::websocket::frame_head::{Opcode, WebSocketFault};

use super::{ClientFrame, decoded, new_decoder, parts};

/// The most bytes of a message here.
pub(super) const LIMIT: usize = 1000;

pub(super) fn frame(opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    ClientFrame::new(opcode, payload.as_ref()).bytes()
}

pub(super) fn fragment(opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    ClientFrame::new(opcode, payload.as_ref())
        .unfinished()
        .bytes()
}

pub(super) fn deflated(opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    ClientFrame::new(opcode, payload.as_ref())
        .compressed()
        .bytes()
}

pub(super) fn deflated_fragment(opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let frame = ClientFrame::new(opcode, payload.as_ref());
    frame.compressed().unfinished().bytes()
}

/// A frame with other bits in its first byte.
pub(super) fn with_bits(mut frame: Vec<u8>, bits: u8) -> Vec<u8> {
    frame[0] ^= bits;
    frame
}

/// In a line: texts, the lengths of others, and the code of a fault.
pub(super) fn words(events: &[Result<WebSocketEvent, WebSocketFault>]) -> String {
    let word = |event: &Result<_, WebSocketFault>| match event {
        Ok(WebSocketEvent::Message(WebSocketMessage::Text(bytes))) if bytes.len() < 50 => {
            format!("text {}", String::from_utf8_lossy(bytes))
        }
        Ok(WebSocketEvent::Message(WebSocketMessage::Text(bytes))) => {
            format!("text of {}", bytes.len())
        }
        Ok(WebSocketEvent::Message(WebSocketMessage::Binary(bytes))) => {
            format!("binary of {}", bytes.len())
        }
        Ok(WebSocketEvent::Ping(bytes)) => format!("ping of {}", bytes.len()),
        Ok(WebSocketEvent::Pong(bytes)) => format!("pong of {}", bytes.len()),
        Ok(WebSocketEvent::Close(CloseReason { code, text })) => format!("close {code} {text}"),
        Ok(WebSocketEvent::Progress) => "progress".to_owned(),
        Err(fault) => format!("{}: {}", fault.code, fault.what),
    };
    let words: Vec<String> = events.iter().map(word).collect();
    words.join(", ")
}

/// What becomes of frames: the same, whether they come whole, in two parts, or a byte at a time.
pub(super) fn outcome(takes_compressed: bool, frames: &[Vec<u8>]) -> String {
    let bytes = frames.concat();
    let decoder = || new_decoder(LIMIT, takes_compressed);
    let whole = decoded(&mut decoder(), [bytes.as_slice()]);
    assert_eq!(decoded(&mut decoder(), bytes.chunks(1)), whole);
    for cut in 0..bytes.len() {
        assert_eq!(decoded(&mut decoder(), parts(&bytes, &[cut])), whole);
    }
    words(&whole)
}

pub(super) fn check(cases: &[(&[Vec<u8>], &str)]) {
    for (frames, expected) in cases {
        // Whether compression was agreed on does not matter to them.
        for takes_compressed in [false, true] {
            assert_eq!(outcome(takes_compressed, frames), *expected, "{frames:x?}");
        }
    }
}

pub(super) fn check_compressed(cases: &[(&[Vec<u8>], &str)]) {
    for (frames, expected) in cases {
        assert_eq!(outcome(true, frames), *expected, "{frames:x?}");
    }
}

pub(super) const RESERVED: &str = "1002: a frame with reserved bits";
pub(super) const OPCODE: &str = "1002: a frame with a reserved opcode";
pub(super) const LONG_CONTROL: &str = "1002: a control frame of more than 125 bytes";
pub(super) const BROKEN_CONTROL: &str = "1002: a control frame in fragments";
pub(super) const UNMASKED: &str = "1002: a frame without a mask";
pub(super) const NOT_BEGUN: &str = "1002: a fragment of a message that has not begun";
pub(super) const NOT_ENDED: &str = "1002: a message before the end of the last one";
pub(super) const COMPRESSED: &str =
    "1002: a frame with the bit of a compression that was not agreed on";
pub(super) const NOT_UTF_8: &str = "1007: a text that is not UTF-8";
pub(super) const NOT_DEFLATED: &str = "1007: a message that cannot be decompressed";
pub(super) const TOO_BIG: &str = "1009: a message that is too big";
