//! Frames that codecs get wrong, each whole and split at every place; in the order of the rules in RFC 6455 §5 and §7.

use crate::protocol::websocket::frame_head::Opcode::{
    Binary, Close, Continuation, Ping, Pong, Text,
};

use super::outcome::{
    BROKEN_CONTROL, LIMIT, LONG_CONTROL, NOT_BEGUN, NOT_ENDED, OPCODE, RESERVED, TOO_BIG, UNMASKED,
    check, fragment, frame, outcome, with_bits,
};

/// RFC 6455 §5.2: lengths on both sides of each form.
#[test]
fn lengths() {
    for length in [0, 1, 124, 125, 126, 127, 128, LIMIT - 1, LIMIT] {
        let payload = "*".repeat(length);
        let expected = match length {
            0..50 => format!("text {payload}"),
            _ => format!("text of {length}"),
        };
        let frames = [frame(Text, &payload), frame(Binary, &payload)];
        let expected = format!("{expected}, binary of {length}");
        assert_eq!(outcome(false, &frames), expected);
    }
    // Too long forms, and the top bit.
    let more = "1002: a frame whose length is written with more bytes than it needs";
    let top = "1002: a frame whose length has its top bit set";
    check(&[
        (&[b"\x82\xfe\x00\x7d1234".to_vec()], more),
        (&[b"\x82\xfe\x00\x001234".to_vec()], more),
        (
            &[b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff1234".to_vec()],
            more,
        ),
        (
            &[b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x001234".to_vec()],
            top,
        ),
        (
            &[b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff1234".to_vec()],
            top,
        ),
        (
            &[b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234".to_vec()],
            TOO_BIG,
        ),
    ]);
}

/// RFC 6455 §5.1: a client masks, also with a mask of zeros, and also what is empty.
#[test]
fn unmasked_frames() {
    check(&[
        (&[b"\x81\x05Hello".to_vec()], UNMASKED),
        (&[b"\x89\x00".to_vec()], UNMASKED),
        (&[b"\x88\x00".to_vec()], UNMASKED),
        (
            &[frame(Text, "a"), b"\x81\x00".to_vec()],
            &format!("text a, {UNMASKED}"),
        ),
        (&[b"\x81\x85\0\0\0\0Hello".to_vec()], "text Hello"),
    ]);
}

/// RFC 6455 §5.2.
#[test]
fn reserved_bits_and_opcodes() {
    for bits in [0x20, 0x10, 0x30, 0x50, 0x60, 0x70] {
        for opcode in [Text, Binary, Close, Ping, Pong] {
            let bad = with_bits(frame(opcode, "ab"), bits);
            check(&[
                (
                    &[frame(Text, "Hello"), bad.clone(), frame(Ping, "")],
                    &format!("text Hello, {RESERVED}"),
                ),
                (
                    &[fragment(Text, "Hel"), frame(Ping, ""), bad],
                    &format!("ping of 0, {RESERVED}"),
                ),
            ]);
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let bad = vec![0x80 | opcode, 0x80, 1, 2, 3, 4];
        let unfinished = vec![opcode, 0x80, 1, 2, 3, 4];
        check(&[
            (&[bad.clone(), frame(Ping, "")], OPCODE),
            (&[frame(Text, "a"), bad], &format!("text a, {OPCODE}")),
            (&[fragment(Text, "a"), unfinished], OPCODE),
        ]);
    }
}

/// RFC 6455 §5.4.
#[test]
fn fragments() {
    let end = frame(Continuation, "");
    check(&[
        (
            &[fragment(Text, ""), fragment(Continuation, ""), end.clone()],
            "text ",
        ),
        (
            &[
                fragment(Binary, ""),
                fragment(Continuation, "abc"),
                end.clone(),
            ],
            "binary of 3",
        ),
        (
            &[
                fragment(Text, "a"),
                frame(Ping, "1"),
                frame(Pong, "12"),
                fragment(Continuation, "b"),
                frame(Ping, ""),
                frame(Continuation, "c"),
            ],
            "ping of 1, pong of 2, ping of 0, text abc",
        ),
        (
            &[
                fragment(Text, "a"),
                frame(Continuation, "b"),
                frame(Text, "c"),
            ],
            "text ab, text c",
        ),
        (&[frame(Continuation, "")], NOT_BEGUN),
        (&[fragment(Continuation, "a"), end.clone()], NOT_BEGUN),
        (
            &[frame(Text, "a"), frame(Continuation, "b")],
            &format!("text a, {NOT_BEGUN}"),
        ),
        (
            &[
                fragment(Text, "a"),
                frame(Continuation, "b"),
                frame(Continuation, "c"),
            ],
            &format!("text ab, {NOT_BEGUN}"),
        ),
        (&[fragment(Text, "a"), frame(Text, "b")], NOT_ENDED),
        (&[fragment(Text, "a"), fragment(Text, "b")], NOT_ENDED),
        (
            &[fragment(Binary, "a"), frame(Ping, ""), frame(Text, "b")],
            &format!("ping of 0, {NOT_ENDED}"),
        ),
        // It never ends.
        (&[fragment(Text, "a"), frame(Ping, "")], "ping of 0"),
    ]);
}

/// RFC 6455 §5.5: control frames.
#[test]
fn control_frames() {
    let every: Vec<u8> = (0..125).map(|byte| byte ^ 0xff).collect();
    let long = "a".repeat(126);
    check(&[
        (
            &[frame(Ping, ""), frame(Ping, &every), frame(Pong, &every)],
            "ping of 0, ping of 125, pong of 125",
        ),
        (&[frame(Pong, "unasked")], "pong of 7"),
        (&[frame(Ping, &long)], LONG_CONTROL),
        (&[frame(Pong, &long)], LONG_CONTROL),
        (&[frame(Close, &long)], LONG_CONTROL),
        // Also if the length that follows is short.
        (&[b"\x89\xfe\x00\x011234a".to_vec()], LONG_CONTROL),
        (
            &[b"\x89\xff\x00\x00\x00\x00\x00\x00\x00\x011234a".to_vec()],
            LONG_CONTROL,
        ),
        (
            &[fragment(Ping, "a"), frame(Continuation, "b")],
            BROKEN_CONTROL,
        ),
        (&[fragment(Pong, "a")], BROKEN_CONTROL),
        (&[fragment(Close, "")], BROKEN_CONTROL),
    ]);
}

/// RFC 6455 §5.5.1 and §7.4: nothing is read behind a close frame.
#[test]
fn close_frames() {
    let close = |code: u16, reason: &[u8]| frame(Close, [&code.to_be_bytes(), reason].concat());
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        let expected = format!("close {code} bye");
        check(&[(&[close(code, b"bye"), frame(Text, "late")], &expected)]);
    }
    let bad_code = "1002: a close frame with a code that is not sent";
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        check(&[
            (&[close(code, b"")], bad_code),
            (&[close(code, b"\xff")], bad_code),
        ]);
    }
    let bad_reason = "1007: a close frame whose reason is not UTF-8";
    let long = "a".repeat(123);
    check(&[
        (&[frame(Close, ""), frame(Ping, "")], "close 1005 "),
        (&[frame(Close, "a")], "1002: a close frame of one byte"),
        (
            &[close(1000, long.as_bytes())],
            &format!("close 1000 {long}"),
        ),
        (&[close(1000, "a".repeat(124).as_bytes())], LONG_CONTROL),
        (
            &[close(
                1000,
                b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
            )],
            bad_reason,
        ),
        (&[close(1000, b"\xe2\x82")], bad_reason),
        (&[fragment(Text, "a"), close(1000, b"")], "close 1000 "),
        // Whatever it is: a second close frame, a fault.
        (
            &[frame(Close, ""), frame(Close, "a"), b"\xff\xff".to_vec()],
            "close 1005 ",
        ),
        (
            &[frame(Close, "a"), frame(Text, "late")],
            "1002: a close frame of one byte",
        ),
    ]);
}
