//! Messages that point back to earlier ones of their direction (RFC 7692 §7.1.1 and §7.2.3.2).

use crate::protocol::websocket::decoder::Decoder;
use crate::protocol::websocket::deflater::deflate;
use crate::protocol::websocket::encoder::Encoder;
use crate::protocol::websocket::frame_head::{Opcode, WebSocketFault};
use crate::protocol::websocket::permessage_deflate::DeflateParameters;

use super::{ClientFrame, LIMIT, binary, compressed, decoded, message, mirrored, noise, text};

const NOT_DEFLATED: WebSocketFault = WebSocketFault::data("a message that cannot be decompressed");

/// What both sides may send where messages point back to earlier ones.
fn in_context() -> Option<DeflateParameters> {
    Some(DeflateParameters::with_window_bits(15, true))
}

/// RFC 7692 §7.2.3.2.
#[test]
fn a_message_may_point_back_to_earlier_ones_that_were_compressed() {
    let first = ClientFrame::new(Opcode::Text, b"\xf2\x48\xcd\xc9\xc9\x07\x00").compressed();
    let plain = ClientFrame::new(Opcode::Text, b"other");
    let second = ClientFrame::new(Opcode::Text, b"\xf2\x00\x11\x00\x00").compressed();
    let bytes = [first.bytes(), plain.bytes(), second.bytes()].concat();
    let found = decoded(&mut Decoder::new(LIMIT, in_context()), [&*bytes]);
    assert_eq!(
        found,
        ["Hello", "other", "Hello"].map(|it| message(text(it)))
    );
}

/// What points back further than 2 KiB was not agreed on, and nothing else is put in its place.
#[test]
fn what_is_not_kept_any_more_is_not_pointed_back_to() {
    let first = noise(8000);
    for (at, is_kept) in [(0, false), (5800, false), (6000, true), (7900, true)] {
        let again = &first[at..at + 100];
        let frames = [compressed(&first, 15), deflate(again, &first, 15, true)];
        assert!(frames[1].len() < 20);
        let bytes = frames.map(|it| ClientFrame::new(Opcode::Binary, &it).compressed().bytes());
        let found = decoded(&mut Decoder::new(LIMIT, in_context()), [&*bytes.concat()]);
        let second = match is_kept {
            true => message(binary(again)),
            false => Err(NOT_DEFLATED),
        };
        assert_eq!(found, [message(binary(&first)), second], "{at}");
    }
}

/// Short messages that resemble one another become a few bytes each; bytes that do not stay as they are.
#[test]
fn short_messages_are_compressed_together() {
    let mut encoder = Encoder::new(in_context());
    let mut decoder = Decoder::new(LIMIT, in_context());
    let mut sent = 0;
    let noise = noise(200 * 200);
    for (number, secret) in noise.chunks(200).enumerate() {
        let json = format!(
            r#"{{"тип":"тик","символ":"АБВГД","price":{number},"time":"12:00:{number}","volume":1000}}"#
        );
        let bytes = mirrored(encoder.frames(text(&json)));
        sent += bytes.len();
        assert_eq!(decoded(&mut decoder, [&*bytes]), [message(text(&json))]);
        let bytes = mirrored(encoder.frames(binary(secret)));
        assert_eq!(bytes[0], 0x82);
        assert_eq!(decoded(&mut decoder, [&*bytes]), [message(binary(secret))]);
    }
    assert!(sent < 200 * 25, "{sent}");
}
