//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692): what a handshake offers, and the frames of both directions.
//!
//! Our own codec, since the maintained crates leave out what is needed here: tungstenite and fastwebsockets have no
//! permessage-deflate, and those that have it own the socket, check text only when all of it is there, or keep a compressor
//! for each connection. Here a connection that is idle has a [`decoder::Decoder`] of some hundred bytes, and of its compressed
//! messages the last few KiB that the next ones may point back to.
//!
//! A gateway asks [`handshake::check`] about a request; feeds a [`decoder::Decoder`] with what the client sends; and writes
//! the frames that an [`encoder::Encoder`] makes of messages. Frames of clients are masked, those of servers are not. Where
//! runner is the client itself, [`client_handshake::ClientOffer`] is its part of the handshake, and
//! [`encoder::WebSocketFrame::put_masked`] masks what it sends.

pub mod client_handshake;
pub mod decoder;
mod deflater;
pub mod encoder;
pub mod frame_head;
pub mod handshake;
mod history;
mod inflater;
mod partial_message;
pub mod permessage_deflate;
#[cfg(test)]
mod tests;
