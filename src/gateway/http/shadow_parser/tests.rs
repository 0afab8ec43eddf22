//! Messages, good and bad, in parts of any size: what hyper gets of them, and what is hidden.

use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::{Framing, Hidden, Position, ShadowParser};

/// A message, how hyper reads where it ends, and what is hidden about it.
type Message = (&'static str, Framing, Option<Hidden>);

/// Messages behind which others may come.
fn messages() -> Vec<Message> {
    let none = Framing::Length(0);
    let target = Some(Hidden::Target(Bytes::from_static(b"/?q=\"<`>\"")));
    vec![
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", none, None),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost:a\r\n\r\n", none, None),
        (
            "GET /?q=\"<`>\" HTTP/1.0\r\nX: \"<`>\"\r\n\r\n",
            none,
            target,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length:  4 \r\n\r\nbody",
            Framing::Length(4),
            None,
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: 03\r\nX:\r\n\r\n\r\n\"",
            Framing::Length(3),
            None,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 41\r\n\r\nTransfer-Encoding: a\r\n\r\nContent-Length: 1",
            Framing::Length(41),
            None,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"\\\"\"\r\n<\r\n\r\n\r\n0\r\nContent-Length: 7\r\n\r\n",
            Framing::Chunked,
            None,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n0\r\n\r\n",
            Framing::Chunked,
            None,
        ),
    ]
}

/// Heads with a fault, the status of the refusal, and what hyper gets instead.
fn faulty_heads() -> Vec<(&'static str, u16, &'static str)> {
    vec![
        (
            "PUT /a HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-LENGTH: 1\r\n\r\n1\r\na\r\n0\r\n\r\n",
            400,
            "PUT /a HTTP/1.1\r\n\r\n",
        ),
        (
            "PUT / HTTP/1.1\r\nContent-Length: x\r\n",
            400,
            "PUT / HTTP/1.1\r\n\r\n",
        ),
        (
            "HEAD a HTTP/1.2\r\n X: y\r\n\r\n",
            400,
            "HEAD / HTTP/1.1\r\n\r\n",
        ),
        ("HEAD / HTTP\r\n\r\n", 400, "HEAD / HTTP/1.1\r\n\r\n"),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            505,
            "GET / HTTP/1.1\r\n\r\n",
        ),
        ("GET / HTTP/1.1\n\n", 400, "GET / HTTP/1.1\r\n\r\n"),
        ("\n", 400, "GET / HTTP/1.1\r\n\r\n"),
        ("\r\r\n", 400, "GET / HTTP/1.1\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            400,
            "GET / HTTP/1.1\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            400,
            "GET / HTTP/1.1\r\n\r\n",
        ),
        ("\x16\x03\x01\x02", 400, "GET / HTTP/1.1\r\n\r\n"),
    ]
}

/// What hyper gets of a text that comes in parts of these sizes.
fn given(parser: &mut ShadowParser, text: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    let mut rest = &mut bytes[..];
    let mut got = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, behind) = rest.split_at_mut((*size).min(rest.len()));
        let left = parser.received(part);
        got.extend_from_slice(&part[..left]);
        let mut room = [0; 5];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            if !parser.take_queued(&mut buffer) {
                break;
            }
            got.extend_from_slice(buffer.filled());
        }
        rest = behind;
    }
    got
}

fn step(parser: &mut ShadowParser, (text, framing, hidden): &Message, size: usize) {
    let _ = given(parser, text.as_bytes(), &[size]);
    assert_eq!(parser.head_ended(*framing), *hidden, "{text:?}");
}

#[test]
fn a_fault_is_answered_in_its_turn_and_ends_the_connection() {
    for size in [1, 2, 7, 1000] {
        for first in messages() {
            for (fault, status, instead) in faulty_heads() {
                let mut parser = ShadowParser::default();
                step(&mut parser, &first, size);
                assert!(parser.is_in_step() && parser.between_requests().is_some());
                let text = format!("{fault}GET /b HTTP/1.1\r\nHost: b\r\n\r\n");
                let mut got = given(&mut parser, text.as_bytes(), &[size]);
                // A target that is no path has a stand-in, too.
                got.retain(|byte| *byte != b'_');
                assert_eq!(
                    String::from_utf8(got).unwrap(),
                    instead,
                    "{fault:?} by {size}"
                );
                let hidden = parser.head_ended(Framing::Length(0));
                let Some(Hidden::Refused(refusal, _)) = hidden else {
                    panic!("{fault:?}: {hidden:?}");
                };
                assert_eq!(refusal.status.as_u16(), status, "{fault:?}: {refusal}");
                assert!(matches!(parser.position, Position::Lost));
                assert!(parser.is_in_step() && parser.between_requests().is_none());
                // Whatever hyper might find behind it is refused.
                assert_eq!(
                    parser.head_ended(Framing::Length(0)),
                    Some(Hidden::UnclearEnd)
                );
            }
        }
    }
}

#[test]
fn nothing_is_given_before_the_head_is_whole() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for cut in 0..text.len() {
        let mut parser = ShadowParser::default();
        assert_eq!(given(&mut parser, &text[..cut], &[1000]), b"");
        assert_eq!(parser.is_in_head(), cut > 0);
        assert_eq!(parser.between_requests().is_some(), cut == 0);
        assert_eq!(given(&mut parser, &text[cut..], &[1000]), text);
        assert!(!parser.is_in_head());
    }
    let mut parser = ShadowParser::default();
    assert_eq!(given(&mut parser, b"\r\n\r", &[1]), b"");
    assert!(!parser.is_in_head() && parser.between_requests().is_some());
}

#[test]
fn limits_hold_as_soon_as_they_are_passed() {
    let long = |count| "a".repeat(count);
    for (text, status) in [
        (format!("GET /{}", long(17_000)), StatusCode::URI_TOO_LONG),
        (
            format!("GET /{} HTTP/1.1\r\n", long(16_400)),
            StatusCode::URI_TOO_LONG,
        ),
        (long(40), StatusCode::BAD_REQUEST),
        (
            format!("GET / HTTP/1.1\r\nX: {}", long(16_400)),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
        (
            format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(101)),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\n{}",
                format!("X: {}\r\n", long(16_000)).repeat(5)
            ),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
    ] {
        for size in [1, 1000, 100_000] {
            let mut parser = ShadowParser::default();
            let _ = given(&mut parser, text.as_bytes(), &[size]);
            let hidden = parser.head_ended(Framing::Length(0));
            let Some(Hidden::Refused(refusal, _)) = hidden else {
                panic!("{}: {hidden:?}", &text[..40]);
            };
            assert_eq!(refusal.status, status, "{refusal}");
        }
    }
}

#[test]
fn what_follows_a_request_for_a_web_socket_is_left_as_it_is() {
    for (version, field, is_upgrade) in [
        ("1.1", "Upgrade: websocket", true),
        ("1.1", "upgrade:h2c ,\tWebSocket/13", true),
        ("1.1", "Upgrade: h2c", false),
        ("1.1", "X-Upgrade: websocket", false),
        // RFC 9110 §7.8
        ("1.0", "Upgrade: websocket", false),
    ] {
        for size in [1, 7, 1000] {
            let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{field}\r\n\r\n");
            let behind = "\r\n\r\nGET /\" HTTP/1.1\r\nContent-Length: x\r\n\r\n";
            let mut parser = ShadowParser::default();
            let got = given(&mut parser, format!("{head}{behind}").as_bytes(), &[size]);
            assert_eq!(parser.head_ended(Framing::Length(0)), None);
            assert!(parser.is_in_step() || !is_upgrade);
            assert_eq!(parser.is_at_upgrade(), is_upgrade, "{field}");
            assert!(parser.between_requests().is_none());
            assert_eq!(got.ends_with(behind.as_bytes()), is_upgrade, "{field}");
            if is_upgrade {
                let next = parser.head_ended(Framing::Length(0));
                assert_eq!(next, Some(Hidden::UnclearEnd));
            }
        }
    }
}

#[test]
fn what_hyper_reads_otherwise_is_unclear() {
    for (text, framing) in [
        ("GET / HTTP/1.1\r\n\r\n", Framing::Length(1)),
        ("GET / HTTP/1.1\r\n\r\n", Framing::Chunked),
        (
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n",
            Framing::Length(3),
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::Length(0),
        ),
        ("", Framing::Length(0)),
        ("GET / HTTP/1.1\r\nHost: ", Framing::Length(0)),
    ] {
        let mut parser = ShadowParser::default();
        step(
            &mut parser,
            &(text, framing, Some(Hidden::UnclearEnd)),
            1000,
        );
    }
    let mut parser = ShadowParser::default();
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n";
    step(&mut parser, &(chunked, Framing::Chunked, None), 1000);
    assert!(!parser.is_in_step() && parser.fault().is_some());
}

proptest! {
    /// However many messages come together, and however they are cut: each head is the one that was sent, and of all
    /// bytes only those of hidden targets and versions change.
    #[test]
    fn messages_are_told_apart(
        picks in prop::collection::vec(0..messages().len(), 1..12),
        sizes in prop::collection::vec(1..200_usize, 1..20),
    ) {
        let messages = messages();
        let picked: Vec<&Message> = picks.iter().map(|&pick| &messages[pick]).collect();
        let sent: String = picked.iter().map(|(text, _, _)| *text).collect();
        let mut parser = ShadowParser::default();
        let got = given(&mut parser, sent.as_bytes(), &sizes);
        for (text, framing, hidden) in &picked {
            prop_assert!(parser.between_requests().is_none());
            prop_assert_eq!(parser.head_ended(*framing), hidden.clone(), "{:?}", text);
        }
        prop_assert!(parser.is_in_step());
        prop_assert!(parser.between_requests().is_some());
        let expected: String = picked.iter().map(|(text, _, _)| text.trim_start()).collect();
        let expected = expected.replace("GET /?q=\"<`>\"", "GET /?q=_____");
        prop_assert_eq!(String::from_utf8(got).unwrap(), expected);
    }

    /// However bytes are cut, hyper gets the same, and the same is found in them.
    #[test]
    fn any_bytes_are_heard_the_same_however_they_come(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..8),
                prop::sample::select(vec![
                    "GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "Host: a\r\n", "\r\n", "\n", "\r", " ", "0\r\n\r\n",
                    "1;a\r\nb\r\n", "Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n",
                    "Upgrade: websocket\r\n",
                ]).prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..20,
        ),
        sizes in prop::collection::vec(1..30_usize, 1..20),
    ) {
        let text = parts.concat();
        let (mut whole, mut cut) = (ShadowParser::default(), ShadowParser::default());
        let got = given(&mut whole, &text, &[usize::MAX]);
        prop_assert_eq!(given(&mut cut, &text, &sizes), got);
        prop_assert_eq!(&whole.heads, &cut.heads);
        prop_assert_eq!(whole.body_fault, cut.body_fault);
        prop_assert_eq!(whole.is_in_head(), cut.is_in_head());
    }
}
