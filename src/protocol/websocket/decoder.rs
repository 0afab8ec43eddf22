//! What the other side sends, as messages and control frames (RFC 6455 §5 and §6.2), however the bytes come. It is a client,
//! or a server that runner is the client of.

use bytes::{Buf, Bytes, BytesMut};

use crate::interface::{CloseReason, WebSocketMessage};

use super::frame_head::{self, FrameHead, Opcode, WebSocketFault};
use super::history::History;
use super::partial_message::PartialMessage;
use super::permessage_deflate::DeflateParameters;

/// How much a message may grow until other connections have their turn.
const TURN: usize = 256 * 1024;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketEvent {
    /// A message, complete.
    Message(WebSocketMessage),
    /// Part of a compressed message, so much that other connections are to have their turn before the next event is taken.
    Progress,
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// The answer to a ping of this payload, or unasked.
    Pong(Bytes),
    /// The last frame, with the code 1005 if it had none.
    Close(CloseReason),
}

/// Decodes the frames of the other side. Between messages it holds only what the next one may point back to.
pub struct Decoder {
    /// The frames of clients are masked, those of servers are not (RFC 6455 §5.1).
    is_of_server: bool,
    takes_compressed: bool,
    max_message: usize,
    position: FramePosition,
    message: Option<PartialMessage>,
    history: History,
}

/// Where in the frames the decoder is.
enum FramePosition {
    /// Before a head.
    Head,
    /// In the payload of a frame that is no control frame.
    Payload {
        mask: [u8; 4],
        remaining: u64,
        is_final: bool,
    },
    /// Behind a close frame or a fault: what follows is ignored (RFC 6455 §1.4).
    End,
}

impl Decoder {
    /// A decoder for messages of a client, of at most so many bytes, decompressed. `deflate` is what was
    /// negotiated about compression.
    #[must_use]
    pub fn new(max_message: usize, deflate: Option<DeflateParameters>) -> Self {
        Self {
            is_of_server: false,
            takes_compressed: deflate.is_some(),
            max_message,
            position: FramePosition::Head,
            message: None,
            history: History::new(deflate.and_then(DeflateParameters::client_history)),
        }
    }

    /// A decoder for messages of a server, of at most so many bytes, with which no compression was negotiated.
    #[must_use]
    pub fn of_server(max_message: usize) -> Self {
        Self {
            is_of_server: true,
            ..Self::new(max_message, None)
        }
    }

    /// Whether the other side owes nothing of a frame, apart from what is left of the input.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        matches!(self.position, FramePosition::Head)
    }

    /// Takes the next event off the bytes that have come in. `None` if more have to come: then at most the 13 bytes of an
    /// incomplete head, or an incomplete control frame, are left of `input`.
    ///
    /// # Errors
    /// The other side has done something wrong. Whatever it sends afterwards is ignored.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<WebSocketEvent>, WebSocketFault> {
        let next = self.step(input);
        match next {
            Err(_) | Ok(Some(WebSocketEvent::Close(_))) => {
                self.position = FramePosition::End;
                self.message = None;
            }
            Ok(_) => {}
        }
        next
    }

    fn step(&mut self, input: &mut BytesMut) -> Result<Option<WebSocketEvent>, WebSocketFault> {
        let mut turn = TURN;
        loop {
            match &mut self.position {
                FramePosition::Head => {
                    let Some((head, length)) = FrameHead::read(input)? else {
                        return Ok(None);
                    };
                    let mut mask = match (head.mask, self.is_of_server) {
                        (Some(mask), false) => mask,
                        // It changes nothing.
                        (None, true) => [0; 4],
                        (None, false) => {
                            return Err(WebSocketFault::protocol("a frame without a mask"));
                        }
                        (Some(_), true) => {
                            return Err(WebSocketFault::protocol("a masked frame of a server"));
                        }
                    };
                    if !head.opcode.is_control() {
                        self.begin(head)?;
                        input.advance(length);
                        self.position = FramePosition::Payload {
                            mask,
                            remaining: head.length,
                            is_final: head.is_final,
                        };
                        continue;
                    }
                    if head.is_compressed {
                        return Err(WebSocketFault::protocol("a compressed control frame"));
                    }
                    let end = length + usize::try_from(head.length).unwrap_or(usize::MAX);
                    let Some(payload) = input.get_mut(length..end) else {
                        return Ok(None);
                    };
                    frame_head::mask(payload, &mut mask);
                    let event = control(head.opcode, payload);
                    input.advance(end);
                    return event.map(Some);
                }
                FramePosition::Payload {
                    mask,
                    remaining,
                    is_final,
                } => {
                    let Some(message) = &mut self.message else {
                        return Err(NOT_BEGUN);
                    };
                    let count = usize::try_from(*remaining).unwrap_or(usize::MAX);
                    let count = count.min(input.len()).min(message.step());
                    frame_head::mask(&mut input[..count], mask);
                    let grown = message.add(&input[..count], &self.history)?;
                    input.advance(count);
                    *remaining -= count as u64;
                    if *remaining > 0 && input.is_empty() {
                        return Ok(None);
                    }
                    if *remaining == 0 {
                        let is_final = *is_final;
                        self.position = FramePosition::Head;
                        if is_final && let Some(message) = self.message.take() {
                            let message = message.finish(&mut self.history)?;
                            return Ok(Some(WebSocketEvent::Message(message)));
                        }
                    }
                    turn = turn.saturating_sub(grown);
                    if turn == 0 {
                        return Ok(Some(WebSocketEvent::Progress));
                    }
                }
                FramePosition::End => {
                    input.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// A frame that is no control frame begins.
    fn begin(&mut self, head: FrameHead) -> Result<(), WebSocketFault> {
        let is_first = head.opcode != Opcode::Continuation;
        if is_first && self.message.is_some() {
            return Err(WebSocketFault::protocol(
                "a message before the end of the last one",
            ));
        }
        if head.is_compressed && !(is_first && self.takes_compressed) {
            return Err(WebSocketFault::protocol(
                "a frame with the bit of a compression that was not agreed on",
            ));
        }
        if is_first {
            let is_text = head.opcode == Opcode::Text;
            let message = PartialMessage::new(is_text, head.is_compressed, self.max_message);
            self.message = Some(message);
        }
        let Some(message) = &mut self.message else {
            return Err(NOT_BEGUN);
        };
        message.announce(head.length)
    }
}

const NOT_BEGUN: WebSocketFault =
    WebSocketFault::protocol("a fragment of a message that has not begun");

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoder").finish_non_exhaustive()
    }
}

fn control(opcode: Opcode, payload: &[u8]) -> Result<WebSocketEvent, WebSocketFault> {
    Ok(match opcode {
        Opcode::Ping => WebSocketEvent::Ping(Bytes::copy_from_slice(payload)),
        Opcode::Pong => WebSocketEvent::Pong(Bytes::copy_from_slice(payload)),
        Opcode::Close | Opcode::Continuation | Opcode::Text | Opcode::Binary => {
            WebSocketEvent::Close(close_reason(payload)?)
        }
    })
}

/// What a close frame says (RFC 6455 §5.5.1).
fn close_reason(payload: &[u8]) -> Result<CloseReason, WebSocketFault> {
    let (code, text) = match payload {
        [] => return Ok(CloseReason::of(CloseReason::NO_CODE)),
        [_] => return Err(WebSocketFault::protocol("a close frame of one byte")),
        [high, low, text @ ..] => (u16::from_be_bytes([*high, *low]), text),
    };
    if !CloseReason::may_be_sent(code) {
        return Err(WebSocketFault::protocol(
            "a close frame with a code that is not sent",
        ));
    }
    match std::str::from_utf8(text) {
        Ok(text) => Ok(CloseReason {
            code,
            text: text.to_owned(),
        }),
        Err(_) => Err(WebSocketFault::data(
            "a close frame whose reason is not UTF-8",
        )),
    }
}
