//! What a client of a WebSocket sends: its handshake and its frames.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, Version, header};

use runner::interface::WebSocketMessage;
use runner::protocol::websocket::decoder::{Decoder, WebSocketEvent};
use runner::protocol::websocket::encoder::{Encoder, WebSocketFrame};
use runner::protocol::websocket::frame_head::WebSocketFault;
use runner::protocol::websocket::handshake::{Handshake, check};
use runner::protocol::websocket::permessage_deflate::{DeflateParameters, DeflatePolicy};

type Events = Vec<Result<WebSocketEvent, WebSocketFault>>;

/// A handshake with this value of some fields, and with a correct key if the value is none. What it agrees on about
/// compression.
pub fn handshake(field: &[u8]) -> Option<DeflateParameters> {
    let field = HeaderValue::from_bytes(field).ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
    headers.insert(header::SEC_WEBSOCKET_KEY, field.clone());
    let policy = DeflatePolicy::ContextTakeover;
    let asked = |headers: &HeaderMap| check(&Method::GET, Version::HTTP_11, headers, policy);
    assert_ne!(asked(&headers), Handshake::NotAnOffer);
    let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, field.clone());
    headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, field.clone());
    let Handshake::Offer(offer) = asked(&headers) else {
        return None;
    };
    let mut names = field.as_bytes().split(|byte| *byte == b',');
    assert!(
        names.all(|name| name.trim_ascii().is_empty() || offer.has_protocol(name.trim_ascii()))
    );
    let mut answer = HeaderMap::new();
    offer.accept_with(&mut answer);
    assert_eq!(answer[header::SEC_WEBSOCKET_ACCEPT].len(), 28);
    offer.deflate
}

fn events<'a>(decoder: &mut Decoder, parts: impl Iterator<Item = &'a [u8]>) -> Events {
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    for part in parts {
        input.extend_from_slice(part);
        while let Some(event) = decoder.next(&mut input).transpose() {
            // Where it comes depends on the parts.
            if event != Ok(WebSocketEvent::Progress) {
                events.push(event);
            }
        }
        assert!(input.len() < 131, "more is left than a control frame");
    }
    events
}

/// A frame of a server as a client would send it.
fn masked(frame: &WebSocketFrame) -> BytesMut {
    let mut output = BytesMut::new();
    frame.put_masked([1, 2, 3, 254], &mut output);
    output
}

/// A frame as a server sends it.
fn unmasked(frame: &WebSocketFrame) -> BytesMut {
    BytesMut::from(&[&*frame.head, &frame.payload].concat()[..])
}

/// Frames, whole and cut: the events are the same. The first two bytes say how large a message may be and where to cut.
/// What is a message is sent back and comes again.
pub fn decode(bytes: &[u8], deflate: Option<DeflateParameters>) {
    let [size, cut, frames @ ..] = bytes else {
        return;
    };
    let limit = usize::from(*size) * usize::from(*size) * 8;
    let decoder = || Decoder::new(limit, deflate);
    let whole = events(&mut decoder(), [frames].into_iter());
    let cut = events(&mut decoder(), frames.chunks(1 + usize::from(*cut)));
    assert_eq!(whole, cut);
    // As if a server had sent them, with which no compression is negotiated.
    let of_server = || Decoder::of_server(limit);
    assert_eq!(
        events(&mut of_server(), [frames].into_iter()),
        events(&mut of_server(), frames.chunks(1 + usize::from(bytes[1])))
    );
    let mut encoder = Encoder::new(deflate);
    let mut client = Decoder::new(limit, deflate.map(DeflateParameters::mirrored));
    for event in whole.into_iter().flatten() {
        let (sent, kept): (Vec<_>, _) = match event {
            WebSocketEvent::Message(message) => {
                assert!(message.payload().len() <= limit);
                if let WebSocketMessage::Text(text) = &message {
                    assert!(std::str::from_utf8(text).is_ok());
                }
                (
                    encoder.frames(message.clone()).collect(),
                    WebSocketEvent::Message(message),
                )
            }
            WebSocketEvent::Progress => continue,
            WebSocketEvent::Ping(payload) => (
                vec![WebSocketFrame::ping(payload.clone())],
                WebSocketEvent::Ping(payload),
            ),
            WebSocketEvent::Pong(payload) => (
                vec![WebSocketFrame::pong(payload.clone())],
                WebSocketEvent::Pong(payload),
            ),
            WebSocketEvent::Close(reason) => (
                vec![WebSocketFrame::close(&reason)],
                WebSocketEvent::Close(reason),
            ),
        };
        let back: Vec<u8> = sent.iter().flat_map(masked).collect();
        assert_eq!(
            events(&mut client, [back.as_slice()].into_iter()),
            [Ok(kept.clone())]
        );
        if deflate.is_none() {
            let back: Vec<u8> = sent.iter().flat_map(unmasked).collect();
            assert_eq!(
                events(&mut of_server(), [back.as_slice()].into_iter()),
                [Ok(kept)]
            );
        }
    }
}
