//! Tests of the codec: the examples of the RFCs byte for byte, and any messages in any fragments, split anywhere.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::interface::{CloseReason, WebSocketMessage};

use super::decoder::{Decoder, WebSocketEvent};
use super::encoder::{Encoder, WebSocketFrame};
use super::frame_head::{FrameHead, Opcode, WebSocketFault, mask};
use super::inflater::Inflater;
use super::permessage_deflate::DeflateParameters;

mod messages_in_context;
mod outcome;
mod tricky_frames;
mod tricky_messages;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMIT: usize = 1 << 20;

/// A frame of a client.
struct ClientFrame {
    is_final: bool,
    is_compressed: bool,
    opcode: Opcode,
    payload: Vec<u8>,
}

impl ClientFrame {
    fn new(opcode: Opcode, payload: &[u8]) -> Self {
        Self {
            is_final: true,
            is_compressed: false,
            opcode,
            payload: payload.to_vec(),
        }
    }

    fn unfinished(self) -> Self {
        Self {
            is_final: false,
            ..self
        }
    }

    fn compressed(self) -> Self {
        Self {
            is_compressed: true,
            ..self
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let head = FrameHead {
            is_final: self.is_final,
            is_compressed: self.is_compressed,
            opcode: self.opcode,
            mask: Some(KEY),
            length: self.payload.len() as u64,
        };
        let mut bytes = head.written().to_vec();
        let mut payload = self.payload.clone();
        mask(&mut payload, &mut KEY.clone());
        bytes.extend(payload);
        bytes
    }
}

/// What a decoder makes of bytes that come in these parts, but for [`WebSocketEvent::Progress`], which depends on them.
fn decoded<'a>(
    decoder: &mut Decoder,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<WebSocketEvent, WebSocketFault>> {
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    for part in parts {
        input.extend_from_slice(part);
        while let Some(event) = decoder.next(&mut input).transpose() {
            if event != Ok(WebSocketEvent::Progress) {
                events.push(event);
            }
        }
    }
    events
}

/// A decoder of messages that stand for themselves.
fn new_decoder(limit: usize, takes_compressed: bool) -> Decoder {
    Decoder::new(limit, takes_compressed.then(DeflateParameters::default))
}

fn all(bytes: &[u8], takes_compressed: bool) -> Vec<Result<WebSocketEvent, WebSocketFault>> {
    decoded(&mut new_decoder(LIMIT, takes_compressed), [bytes])
}

fn text(text: &str) -> WebSocketMessage {
    WebSocketMessage::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn binary(bytes: &[u8]) -> WebSocketMessage {
    WebSocketMessage::Binary(Bytes::copy_from_slice(bytes))
}

fn message(message: WebSocketMessage) -> Result<WebSocketEvent, WebSocketFault> {
    Ok(WebSocketEvent::Message(message))
}

fn written(frame: &WebSocketFrame) -> Vec<u8> {
    [&*frame.head, &frame.payload].concat()
}

/// What a client sends if it masks the frames of a server.
fn mirrored(frames: impl IntoIterator<Item = WebSocketFrame>) -> Vec<u8> {
    let mirror = |frame: WebSocketFrame| {
        let read = FrameHead::read(&frame.head).expect("a correct head");
        let (head, length) = read.expect("a whole head");
        assert_eq!(length, frame.head.len());
        assert_eq!(head.length, frame.payload.len() as u64);
        let frame = ClientFrame {
            is_final: head.is_final,
            is_compressed: head.is_compressed,
            opcode: head.opcode,
            payload: frame.payload.to_vec(),
        };
        frame.bytes()
    };
    frames.into_iter().flat_map(mirror).collect()
}

/// RFC 6455 §5.7: those of a server as they are written, those of a client as they are read.
#[test]
fn frames_of_the_standard() {
    let frames = |message| -> Vec<u8> {
        let mut encoder = Encoder::new(None);
        encoder
            .frames(message)
            .flat_map(|it| written(&it))
            .collect()
    };
    assert_eq!(frames(text("Hello")), b"\x81\x05Hello");
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(all(masked, false), [message(text("Hello"))]);
    assert_eq!(ClientFrame::new(Opcode::Text, b"Hello").bytes(), masked);
    let ping = WebSocketFrame::ping(Bytes::from_static(b"Hello"));
    assert_eq!(written(&ping), b"\x89\x05Hello");
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let expected = Ok(WebSocketEvent::Pong(Bytes::from_static(b"Hello")));
    assert_eq!(all(pong, false), [expected]);
    assert!(frames(binary(&[7; 256])).starts_with(b"\x82\x7e\x01\x00\x07"));
    let long = frames(binary(&[7; 65536]));
    assert!(long.starts_with(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00\x07"));
    // In fragments: `Hel` and `lo`.
    let first = ClientFrame::new(Opcode::Text, b"Hel").unfinished().bytes();
    assert_eq!(first[..2], [0x01, 0x83]);
    let second = ClientFrame::new(Opcode::Continuation, b"lo").bytes();
    assert_eq!(second[..2], [0x80, 0x82]);
    let both = [first, second].concat();
    assert_eq!(all(&both, false), [message(text("Hello"))]);
}

/// RFC 7692 §7.2.3, where each message stands for itself.
#[test]
fn compressed_messages_of_the_standard() {
    let compressed: [&[u8]; 4] = [
        // One block.
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",
        // No compression.
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        // A block that says it is the last one.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        // Two blocks.
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ];
    for payload in compressed {
        let frame = ClientFrame::new(Opcode::Text, payload).compressed();
        let found = all(&frame.bytes(), true);
        assert_eq!(found, [message(text("Hello"))], "{payload:x?}");
    }
    // In fragments, of which the first alone has the bit.
    let first = ClientFrame::new(Opcode::Text, b"\xf2\x48\xcd")
        .compressed()
        .unfinished();
    let second = ClientFrame::new(Opcode::Continuation, b"\xc9\xc9\x07\x00");
    let both = [first.bytes(), second.bytes()].concat();
    assert_eq!(all(&both, true), [message(text("Hello"))]);
    // Nothing, compressed and not.
    for payload in [b"\x00".as_slice(), b""] {
        let frame = ClientFrame::new(Opcode::Binary, payload).compressed();
        assert_eq!(all(&frame.bytes(), true), [message(binary(b""))]);
    }
}

#[test]
fn close_frames() {
    let close = |reason: &CloseReason| written(&WebSocketFrame::close(reason));
    let reason = |code, text: &str| CloseReason {
        code,
        text: text.to_owned(),
    };
    assert_eq!(close(&reason(1000, "bye")), b"\x88\x05\x03\xe8bye");
    // What is never sent.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        assert_eq!(close(&reason(code, "bye")), b"\x88\x00", "{code}");
    }
    // 41 × 3 bytes fit, and no part of a character is sent.
    for (long, length) in [("€".repeat(42), 123), ("ä".repeat(90), 122)] {
        let frame = close(&reason(4999, &long));
        assert_eq!(frame[1], 2 + length);
        let text = std::str::from_utf8(&frame[4..]).expect("UTF-8");
        assert!(long.starts_with(text));
    }
    for expected in [
        reason(1000, ""),
        reason(1014, "ä"),
        reason(1005, ""),
        reason(3000, "x"),
    ] {
        let frame = mirrored([WebSocketFrame::close(&expected)]);
        assert_eq!(all(&frame, false), [Ok(WebSocketEvent::Close(expected))]);
    }
}

/// Bytes without any repetition.
fn noise(length: usize) -> Vec<u8> {
    let mut random = 1_u32;
    let next = |_| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// How the beginning fares decides for the message.
#[test]
fn messages_are_compressed_if_their_beginning_is_worth_it() {
    let mut encoder = Encoder::new(Some(DeflateParameters::default()));
    let (zeros, noise) = (vec![0; 1 << 16], noise(100_000));
    for (parts, is_compressed) in [
        ([&zeros, &noise], true),
        ([&noise, &zeros], false),
        ([&zeros, &zeros], true),
    ] {
        let sent = binary(&parts.map(Vec::as_slice).concat());
        let bytes = mirrored(encoder.frames(sent.clone()));
        assert_eq!(bytes[0] & 0x40 != 0, is_compressed);
        assert_eq!(all(&bytes, true), [message(sent)]);
    }
    let tiny = mirrored(encoder.frames(text(&"a".repeat(1023))));
    assert_eq!(tiny[0] & 0x40, 0);
}

/// The window that the client asked for is kept to, whichever was used before.
#[test]
fn windows() {
    let twice = noise(1000).repeat(2);
    for _ in 0..2 {
        assert!(compressed(&twice, 15).len() < 1100);
        assert!(compressed(&twice, 9).len() > 1900);
    }
}

/// The most that a connection holds while nothing is on its way.
#[test]
fn an_idle_connection_holds_little() {
    assert!(size_of::<Decoder>() <= 232, "{}", size_of::<Decoder>());
    assert!(size_of::<Encoder>() <= 40, "{}", size_of::<Encoder>());
}

proptest! {
    /// Word by word is byte by byte, in any parts.
    #[test]
    fn masks(bytes in vec(any::<u8>(), 0..100), key: [u8; 4], cut in 0..100_usize) {
        let expected: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let mut masked = bytes.clone();
        let (left, right) = masked.split_at_mut(cut.min(bytes.len()));
        let mut turned = key;
        mask(left, &mut turned);
        mask(right, &mut turned);
        prop_assert_eq!(masked, expected);
    }

    #[test]
    fn heads(is_final: bool, is_compressed: bool, kind in 0..6_usize, mask: Option<[u8; 4]>, length in 0..u64::MAX >> 1, bits in 1..63_u32) {
        let opcode = [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong][kind];
        let length = length & ((1 << bits) - 1);
        let (is_final, length) = if opcode.is_control() { (true, length % 126) } else { (is_final, length) };
        let head = FrameHead { is_final, is_compressed, opcode, mask, length };
        let bytes = head.written();
        prop_assert_eq!(FrameHead::read(&bytes), Ok(Some((head, bytes.len()))));
        for end in 0..bytes.len() {
            prop_assert_eq!(FrameHead::read(&bytes[..end]), Ok(None));
        }
    }
}

/// A message in the fragments that these cuts make, with pings between them.
fn fragments(message: &WebSocketMessage, compressed: Option<Vec<u8>>, cuts: &[usize]) -> Vec<u8> {
    let is_compressed = compressed.is_some();
    let payload = compressed.unwrap_or_else(|| message.payload().to_vec());
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
    cuts.extend([0, payload.len()]);
    cuts.sort_unstable();
    let mut opcode = match message {
        WebSocketMessage::Text(_) => Opcode::Text,
        WebSocketMessage::Binary(_) => Opcode::Binary,
    };
    let mut bytes = Vec::new();
    let count = cuts.len() - 1;
    for (index, pair) in cuts.windows(2).enumerate() {
        let frame = ClientFrame {
            is_final: index + 1 == count,
            is_compressed: is_compressed && index == 0,
            opcode,
            payload: payload[pair[0]..pair[1]].to_vec(),
        };
        opcode = Opcode::Continuation;
        bytes.extend(frame.bytes());
        if index % 2 == 1 {
            bytes.extend(ClientFrame::new(Opcode::Ping, b"!").bytes());
        }
    }
    bytes
}

/// As a compressor without context makes it.
fn compressed(payload: &[u8], window_bits: u8) -> Vec<u8> {
    super::deflater::deflate(payload, &[], window_bits, true)
}

fn messages() -> impl Strategy<Value = WebSocketMessage> {
    prop_oneof![
        ".{0,300}".prop_map(|it| text(&it)),
        vec(any::<u8>(), 0..300).prop_map(|it| binary(&it)),
        // Long ones, with many repetitions and with few.
        ("[a-c€]{1,40}", 1..3000_usize).prop_map(|(it, count)| text(&it.repeat(count))),
        vec(any::<u8>(), 60_000..140_000).prop_map(|it| binary(&it)),
    ]
}

/// The bytes in parts.
fn parts<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A server's messages come out as they went in, compressed or not.
    #[test]
    fn messages_of_servers(sent in vec(messages(), 1..4), window_bits in proptest::option::of((9..=15_u8, any::<bool>())), cuts in vec(any::<usize>(), 0..8)) {
        let parameters = window_bits.map(|(bits, takes_over)| DeflateParameters::with_window_bits(bits, takes_over));
        let mut encoder = Encoder::new(parameters);
        let mut frames = Vec::new();
        for message in &sent {
            frames.extend(encoder.frames(message.clone()));
        }
        let bytes = mirrored(frames);
        let found = decoded(&mut Decoder::new(LIMIT, parameters), parts(&bytes, &cuts));
        let expected: Vec<_> = sent.into_iter().map(message).collect();
        prop_assert_eq!(found, expected);
    }

    /// A client's messages, in any fragments, split anywhere.
    #[test]
    fn messages_of_clients(sent in messages(), window_bits in proptest::option::of(9..=15_u8), fragmented in vec(any::<usize>(), 0..8), cuts in vec(any::<usize>(), 0..8)) {
        let deflated = window_bits.map(|bits| compressed(sent.payload(), bits));
        let bytes = fragments(&sent, deflated, &fragmented);
        let found = decoded(&mut new_decoder(LIMIT, true), parts(&bytes, &cuts));
        let pings = found.len() - 1;
        let found: Vec<_> = found.into_iter().filter(|it| !matches!(it, Ok(WebSocketEvent::Ping(_)))).collect();
        prop_assert_eq!(pings, fragmented.len().div_ceil(2));
        prop_assert_eq!(found, [message(sent)]);
    }

    /// Whatever comes, and however it is split, the events are the same, and none comes after a fault or a close frame.
    #[test]
    fn anything(sent in messages(), is_deflated: bool, fragmented in vec(any::<usize>(), 0..4), cuts in vec(any::<usize>(), 0..40), changes in vec((any::<usize>(), any::<u8>()), 0..4), limit in 0..2000_usize, end in vec(any::<u8>(), 0..30)) {
        let deflated = is_deflated.then(|| compressed(sent.payload(), 15));
        let mut bytes = fragments(&sent, deflated, &fragmented);
        bytes.extend(end);
        for (at, byte) in changes {
            // Mostly near the beginning.
            let at = at % bytes.len().min(1 + at % 200);
            bytes[at] ^= byte;
        }
        let whole = decoded(&mut new_decoder(limit, true), [bytes.as_slice()]);
        let split = decoded(&mut new_decoder(limit, true), parts(&bytes, &cuts));
        prop_assert_eq!(&whole, &split);
        let single = decoded(&mut new_decoder(limit, true), bytes.chunks(1));
        prop_assert_eq!(&whole, &single);
        let is_last = |event: &Result<_, _>| matches!(event, Err(_) | Ok(WebSocketEvent::Close(_)));
        let last = whole.iter().position(is_last);
        prop_assert!(last.is_none_or(|last| last + 1 == whole.len()));
    }
}

/// A bomb is found before it is inflated whole.
#[test]
fn bombs() {
    let bomb = compressed(&vec![0; 64 << 20], 15);
    assert!(bomb.len() < 1 << 19);
    let mut output = Vec::new();
    let inflated = Inflater::new(&[]).inflate(&bomb, &mut output, 5000);
    assert_eq!(inflated, Ok(()));
    assert_eq!(output.len(), 5001);
    assert!(output.capacity() <= 5001 * 2);
    let frame = ClientFrame::new(Opcode::Binary, &bomb).compressed();
    let too_big = WebSocketFault::too_big("a message that is too big");
    assert_eq!(all(&frame.bytes(), true), [Err(too_big)]);
    // Others have their turn meanwhile.
    let mut decoder = new_decoder(32 << 20, true);
    let mut input = BytesMut::from(frame.bytes().as_slice());
    let mut turns = 0;
    while decoder.next(&mut input) == Ok(Some(WebSocketEvent::Progress)) {
        turns += 1;
    }
    assert!((40..=128).contains(&turns), "{turns}");
    assert_eq!(decoder.next(&mut input), Ok(None));
    // Blocks without end that hold nothing.
    let nothing =
        ClientFrame::new(Opcode::Binary, &b"\x00\x00\x00\xff\xff".repeat(1000)).compressed();
    let more =
        ClientFrame::new(Opcode::Continuation, &b"\x00\x00\x00\xff\xff".repeat(1000)).unfinished();
    let mut bytes = nothing.unfinished().bytes();
    for _ in 0..LIMIT / 1000 {
        bytes.extend(more.bytes());
    }
    assert_eq!(all(&bytes, true), [Err(too_big)]);
}
