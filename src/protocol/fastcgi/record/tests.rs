//! Records by the bytes of the specification, and both directions as inverses, however the bytes arrive.

use bytes::{Buf, Bytes, BytesMut};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use crate::protocol::fastcgi::record::{
    BeginRequest, HEADER, MAX_CONTENT, MalformedRecord, Pairs, ProtocolStatus, RESPONDER, Record,
    RecordKind, put_pair, put_records, put_unknown_type, take_record,
};

fn bytes(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut into = BytesMut::new();
    write(&mut into);
    into.to_vec()
}

#[test]
fn records_as_bytes() {
    let keep = BeginRequest {
        role: RESPONDER,
        keep: true,
    };
    #[rustfmt::skip]
    let cases: [(Vec<u8>, &[u8]); 6] = [
        (bytes(|into| put_records(into, RecordKind::Stdout, 0x0102, &b"hello"[..])), b"\x01\x06\x01\x02\0\x05\x03\0hello\0\0\0"),
        (bytes(|into| put_records(into, RecordKind::Stdout, 1, &b"8 bytes."[..])), b"\x01\x06\0\x01\0\x08\0\08 bytes."),
        (bytes(|into| put_records(into, RecordKind::Params, 1, &b""[..])), b"\x01\x04\0\x01\0\0\0\0"),
        (bytes(|into| keep.put(into, 1)), b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0"),
        (bytes(|into| ProtocolStatus::Overloaded.put_end(into, 1)), b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x02\0\0\0"),
        (bytes(|into| put_unknown_type(into, 77)), b"\x01\x0b\0\0\0\x08\0\0\x4d\0\0\0\0\0\0\0"),
    ];
    for (written, expected) in cases {
        assert_eq!(written, expected);
    }
}

#[test]
fn pairs_as_bytes() {
    let long = [b'v'; 128];
    let mut long_pair = b"\x01\x80\0\0\x80n".to_vec();
    long_pair.extend_from_slice(&long);
    #[rustfmt::skip]
    let cases: [(&[u8], &[u8], &[u8]); 4] = [
        (b"", b"", b"\0\0"),
        (b"NAME", b"value", b"\x04\x05NAMEvalue"),
        (&long[1..], b"", &[b"\x7f\0", &long[1..]].concat()),
        (b"n", &long, &long_pair),
    ];
    for (name, value, expected) in cases {
        assert_eq!(bytes(|into| put_pair(into, name, value)), expected);
        let read: Vec<_> = Pairs::new(expected).collect();
        assert_eq!(read, [Ok((name, value))]);
    }
}

#[test]
fn pairs_that_are_cut_off() {
    let whole = b"\x01\x80\0\0\x02nvv\x01\x01ab";
    for end in 1..whole.len() {
        let read: Result<Vec<_>, _> = Pairs::new(&whole[..end]).collect();
        match end {
            8 => assert_eq!(read, Ok(vec![(&b"n"[..], &b"vv"[..])])),
            _ => assert_eq!(read, Err(MalformedRecord::Pair), "cut at {end}"),
        }
    }
    assert_eq!(Pairs::new(b"\xff\xff\xff\xff\xff\xff\xff\xffa").count(), 1);
}

#[test]
fn contents_that_are_too_short() {
    assert_eq!(
        BeginRequest::read(b"\0\x01"),
        Err(MalformedRecord::Short(RecordKind::BeginRequest))
    );
}

#[test]
fn what_is_not_fastcgi() {
    for text in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"G",
        b"\0",
        b"\x02\x01\0\x01\0\0\0\0",
    ] {
        let mut buffer = BytesMut::from(text);
        assert_eq!(
            take_record(&mut buffer),
            Err(MalformedRecord::Version(text[0]))
        );
    }
}

#[test]
fn long_content_becomes_several_records() {
    let content: Bytes = (0..2 * MAX_CONTENT + 3).map(|place| place as u8).collect();
    let mut buffer = BytesMut::new();
    let halves = content
        .slice(..MAX_CONTENT / 2)
        .chain(content.slice(MAX_CONTENT / 2..));
    put_records(&mut buffer, RecordKind::Stdin, 9, halves);
    assert_eq!(buffer.len(), 3 * HEADER + 2 * MAX_CONTENT + 8);
    let mut joined = Vec::new();
    while let Some(record) = take_record(&mut buffer).unwrap() {
        assert_eq!((record.kind, record.id), (RecordKind::Stdin as u8, 9));
        joined.extend_from_slice(&record.content);
    }
    assert_eq!(joined, content);
}

fn any_record() -> impl Strategy<Value = Record> {
    (
        1..=11_u8,
        any::<u16>(),
        proptest::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(kind, id, content)| Record {
            kind,
            id,
            content: content.into(),
        })
}

proptest! {
    #[test]
    fn records_survive_any_splitting(records in proptest::collection::vec(any_record(), 0..8),
                                     pieces in proptest::collection::vec(1..200_usize, 1..20)) {
        let mut stream = BytesMut::new();
        for record in &records {
            let kind = RecordKind::from_number(record.kind).unwrap();
            put_records(&mut stream, kind, record.id, record.content.clone());
        }
        prop_assert!(stream.len().is_multiple_of(8));
        let mut read = Vec::new();
        let mut buffer = BytesMut::new();
        for piece in pieces.iter().cycle() {
            if !stream.has_remaining() {
                break;
            }
            buffer.extend_from_slice(&stream.split_to((*piece).min(stream.len())));
            while let Some(record) = take_record(&mut buffer).unwrap() {
                read.push(record);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(read, records);
    }

    #[test]
    fn pairs_are_read_as_written(pairs in proptest::collection::vec(
        (proptest::collection::vec(any::<u8>(), 0..200), proptest::collection::vec(any::<u8>(), 0..200)), 0..8)) {
        let mut content = BytesMut::new();
        for (name, value) in &pairs {
            put_pair(&mut content, name, value);
        }
        let read: Vec<_> = Pairs::new(&content).map(|pair| {
            let (name, value) = pair.unwrap();
            (name.to_vec(), value.to_vec())
        }).collect();
        prop_assert_eq!(read, pairs);
    }

    #[test]
    fn begins_are_read_as_written(role: u16, keep: bool) {
        let mut buffer = BytesMut::new();
        BeginRequest { role, keep }.put(&mut buffer, 1);
        let begin = take_record(&mut buffer).unwrap().unwrap();
        prop_assert_eq!(BeginRequest::read(&begin.content), Ok(BeginRequest { role, keep }));
    }

    #[test]
    fn any_bytes_are_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), valid: bool) {
        if valid && !bytes.is_empty() {
            bytes[0] = crate::protocol::fastcgi::record::VERSION;
        }
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(record)) = take_record(&mut buffer) {
            let _ = BeginRequest::read(&record.content);
            prop_assert!(Pairs::new(&record.content).count() <= record.content.len());
        }
    }
}
