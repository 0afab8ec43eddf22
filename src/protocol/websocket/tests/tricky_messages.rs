//! Messages that codecs get wrong: texts that are not UTF-8 (RFC 6455 §8.1), what is too big, and compression (RFC 7692 §6
//! and §7).

use crate::protocol::websocket::frame_head::Opcode::{Binary, Close, Continuation, Ping, Text};

use super::outcome::{
    BROKEN_CONTROL, COMPRESSED, LIMIT, LONG_CONTROL, NOT_DEFLATED, NOT_UTF_8, OPCODE, RESERVED,
    TOO_BIG, check, check_compressed, deflated, deflated_fragment, fragment, frame, outcome,
    with_bits, words,
};
use super::{compressed, decoded, new_decoder};

/// RFC 6455 §8.1: texts, whole and in fragments that end inside a character.
#[test]
fn utf_8() {
    let good: &[&[u8]] = &[
        b"",
        "κόσμε".as_bytes(),
        b"\x00",
        b"\x7f",
        b"\xc2\x80",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbe",
        b"\xef\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xf0\x9f\xbf\xbe",
    ];
    for text in good {
        let expected = format!("text {}", String::from_utf8_lossy(text));
        check(&[(&[frame(Text, text)], &expected)]);
        let mut frames: Vec<Vec<u8>> = text
            .iter()
            .map(|byte| fragment(Continuation, [*byte]))
            .collect();
        frames.insert(0, fragment(Text, ""));
        frames.push(frame(Continuation, ""));
        check(&[(&frames, &expected)]);
    }
    let bad: &[&[u8]] = &[
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2",
        b"\xc2\x41",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x9f\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"a\xffb",
    ];
    for text in bad {
        let (first, rest) = text.split_at(1);
        check(&[
            (&[frame(Text, text), frame(Ping, "")], NOT_UTF_8),
            (
                &[fragment(Text, first), frame(Continuation, rest)],
                NOT_UTF_8,
            ),
            (&[frame(Binary, text)], &format!("binary of {}", text.len())),
        ]);
        check_compressed(&[(&[deflated(Text, compressed(text, 15))], NOT_UTF_8)]);
    }
}

/// A fault is told as soon as it can be known, not when the frame or the message has come in.
#[test]
fn faults_are_found_at_once() {
    let before_limit = b"\x82\xfe\x03\xe9\0\0\0\0".to_vec();
    let long_before_limit = b"\x02\xff\0\0\0\0\x80\0\0\0\0\0\0\0".to_vec();
    for (bytes, expected) in [
        // In a frame that goes on, and in a message that does.
        (b"\x81\xfe\x03\xe8\0\0\0\0abc\xed\xa0".to_vec(), NOT_UTF_8),
        (b"\x81\xfe\x03\xe8\0\0\0\0abc\xf4\x90".to_vec(), NOT_UTF_8),
        (b"\x01\x84\0\0\0\0abc\xff".to_vec(), NOT_UTF_8),
        (
            b"\x01\x81\0\0\0\0\xf4\x00\x81\0\0\0\0\x90".to_vec(),
            NOT_UTF_8,
        ),
        // By the head alone.
        (before_limit, TOO_BIG),
        (long_before_limit, TOO_BIG),
        (b"\xa1\x80".to_vec(), RESERVED),
        (b"\x83\x80".to_vec(), OPCODE),
        (b"\x89\xfe".to_vec(), LONG_CONTROL),
        (b"\x09\x80".to_vec(), BROKEN_CONTROL),
    ] {
        let found = |bytes: &[u8]| words(&decoded(&mut new_decoder(LIMIT, false), [bytes]));
        assert_eq!(found(&bytes), expected, "{bytes:x?}");
        assert_eq!(found(&bytes[..bytes.len() - 1]), "", "{bytes:x?}");
    }
    // In what is decompressed so far: the message would go on.
    let text = [b"a".repeat(100), b"\xff".to_vec()].concat();
    let block = compressed(&text, 15);
    let first = deflated_fragment(Text, &block);
    let unfinished = deflated_fragment(Text, [block.as_slice(), b"\x00\x00\xff\xff"].concat());
    for bytes in [first, unfinished] {
        let mut decoder = new_decoder(LIMIT, true);
        assert_eq!(words(&decoded(&mut decoder, [bytes.as_slice()])), NOT_UTF_8);
    }
}

/// The most bytes of a message: joined, and decompressed.
#[test]
fn limits() {
    let most = "a".repeat(LIMIT);
    let more = "a".repeat(LIMIT + 1);
    let half = "a".repeat(LIMIT / 2);
    check(&[
        (&[frame(Text, &most)], "text of 1000"),
        (&[frame(Text, &more)], TOO_BIG),
        (
            &[fragment(Text, &half), frame(Continuation, &half)],
            "text of 1000",
        ),
        (
            &[
                fragment(Text, &half),
                fragment(Continuation, &half),
                frame(Continuation, ""),
            ],
            "text of 1000",
        ),
        (
            &[
                fragment(Text, &half),
                fragment(Continuation, &half),
                frame(Continuation, "a"),
            ],
            TOO_BIG,
        ),
        (
            &[
                fragment(Text, "a"),
                frame(Ping, ""),
                frame(Continuation, &most),
            ],
            &format!("ping of 0, {TOO_BIG}"),
        ),
        // Each message has it anew.
        (
            &[frame(Binary, &most), frame(Binary, &most)],
            "binary of 1000, binary of 1000",
        ),
    ]);
    check_compressed(&[
        (
            &[deflated(Text, compressed(most.as_bytes(), 15))],
            "text of 1000",
        ),
        (&[deflated(Text, compressed(more.as_bytes(), 15))], TOO_BIG),
        (
            &[
                deflated(Text, compressed(&[0; 100_000], 15)),
                frame(Ping, ""),
            ],
            TOO_BIG,
        ),
        // The first fault decides.
        (
            &[deflated(
                Text,
                compressed(&[more.as_bytes(), b"\xff"].concat(), 15),
            )],
            TOO_BIG,
        ),
        (
            &[deflated(
                Text,
                compressed(&[b"\xff", more.as_bytes()].concat(), 15),
            )],
            NOT_UTF_8,
        ),
    ]);
    // What cannot be compressed is a little longer than its message.
    let mut random = 1_u32;
    let noise = |_| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random.to_be_bytes()[0]
    };
    let noise: Vec<u8> = (0..LIMIT).map(noise).collect();
    let longer = compressed(&noise, 15);
    assert!(longer.len() > LIMIT);
    check_compressed(&[(&[deflated(Binary, longer)], "binary of 1000")]);
}

/// RFC 7692 §6: the bit RSV1.
#[test]
fn the_bit_of_compression() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    assert_eq!(outcome(true, &[deflated(Text, hello)]), "text Hello");
    assert_eq!(outcome(false, &[deflated(Text, hello)]), COMPRESSED);
    let late = deflated(Continuation, b"\xc9\xc9\x07\x00");
    check_compressed(&[
        // Messages without it are as ever, between others.
        (
            &[frame(Text, "a"), deflated(Text, hello), frame(Text, "b")],
            "text a, text Hello, text b",
        ),
        (&[fragment(Text, "a"), frame(Continuation, "b")], "text ab"),
        (
            &[fragment(Text, "a"), deflated(Continuation, "b")],
            COMPRESSED,
        ),
        (
            &[deflated_fragment(Text, b"\xf2\x48\xcd"), late],
            COMPRESSED,
        ),
        (&[deflated(Ping, "")], "1002: a compressed control frame"),
        (&[deflated(Close, "")], "1002: a compressed control frame"),
        (
            &[
                deflated_fragment(Text, b"\xf2\x48\xcd"),
                frame(Ping, "1"),
                frame(Continuation, b"\xc9\xc9\x07\x00"),
            ],
            "ping of 1, text Hello",
        ),
        (&[with_bits(frame(Text, hello), 0x50)], RESERVED),
    ]);
}

/// RFC 7692 §7.2.2.
#[test]
fn compressed_data() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    check_compressed(&[
        // The example with context takeover, which was not agreed on: it points into the last message.
        (
            &[
                deflated(Text, hello),
                deflated(Text, b"\xf2\x00\x11\x00\x00"),
            ],
            &format!("text Hello, {NOT_DEFLATED}"),
        ),
        // A reserved kind of block, and noise.
        (&[deflated(Binary, b"\x07")], NOT_DEFLATED),
        (&[deflated(Binary, b"\xff\xff\xff\xff")], NOT_DEFLATED),
        (&[deflated(Text, "Hello")], NOT_DEFLATED),
        // It ends inside a block: of no compression, and of the other kinds.
        (
            &[deflated(Binary, b"\x00\x05\x00\xfa\xffHel")],
            NOT_DEFLATED,
        ),
        (
            &[deflated(Binary, b"\x00\xff\x00\x00\xffHel")],
            NOT_DEFLATED,
        ),
        (&[deflated(Text, b"\xf2\x48\xcd\xc9")], NOT_DEFLATED),
        (&[deflated(Text, b"\xf2")], NOT_DEFLATED),
        // Lengths that do not agree.
        (
            &[deflated(Binary, b"\x00\x05\x00\x00\x00Hello\x00")],
            NOT_DEFLATED,
        ),
        // Blocks that say they are the last: at the end, with and without an empty one behind, and in the middle.
        (
            &[deflated(Text, b"\xf3\x48\xcd\xc9\xc9\x07\x00")],
            "text Hello",
        ),
        (
            &[deflated(Text, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")],
            "text Hello",
        ),
        (
            &[deflated(
                Text,
                [b"\xf3\x48\xcd\xc9\xc9\x07\x00".as_slice(), hello].concat(),
            )],
            "text HelloHello",
        ),
        (
            &[
                deflated_fragment(Text, b"\xf3\x48\xcd\xc9\xc9\x07\x00"),
                fragment(Continuation, ""),
                frame(Continuation, hello),
            ],
            "text HelloHello",
        ),
        // Of the sender's own end nothing was taken off.
        (
            &[deflated(
                Text,
                b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff",
            )],
            NOT_DEFLATED,
        ),
        (
            &[deflated(
                Text,
                b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00",
            )],
            "text Hello",
        ),
        // Empty blocks, many of them, and empty frames.
        (
            &[deflated(
                Text,
                [b"\x00\x00\x00\xff\xff".repeat(50).as_slice(), hello].concat(),
            )],
            "text Hello",
        ),
        (
            &[
                deflated_fragment(Text, ""),
                fragment(Continuation, ""),
                frame(Continuation, hello),
            ],
            "text Hello",
        ),
        (
            &[
                deflated_fragment(Text, hello),
                fragment(Continuation, ""),
                frame(Continuation, ""),
            ],
            "text Hello",
        ),
        // After a fault in one message no other is read.
        (
            &[deflated(Binary, b"\x07"), deflated(Text, hello)],
            NOT_DEFLATED,
        ),
    ]);
}
