//! Answers as applications send them, and requests as a responder reads them.

use bytes::{Bytes, BytesMut};
use proptest::prelude::{any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{Answered, BadAnswerRecord, put_begin, put_body, put_body_end, take_answer};
use crate::protocol::fastcgi::record::{
    MalformedRecord, Pairs, ProtocolStatus, RecordKind, RequestEnd, put_pair, put_records,
    put_unknown_type, take_record,
};
use crate::protocol::fastcgi::responder::{Responder, ResponderEvent, ResponderLimits};

const LIMITS: ResponderLimits = ResponderLimits {
    connections: 1,
    requests: 1,
    params: 1 << 20,
};

fn records(records: &[(RecordKind, u16, &[u8])]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for (kind, id, content) in records {
        put_records(&mut bytes, *kind, *id, *content);
    }
    bytes
}

fn end(bytes: &mut BytesMut) {
    ProtocolStatus::Complete.put_end(bytes, 1);
}

fn all(bytes: &mut BytesMut) -> Result<Vec<Answered>, BadAnswerRecord> {
    let mut found = Vec::new();
    while let Some(answer) = take_answer(bytes)? {
        found.push(answer);
    }
    Ok(found)
}

fn output(text: &'static [u8]) -> Answered {
    Answered::Output(Bytes::from_static(text))
}

const COMPLETE: Answered = Answered::End(RequestEnd {
    application: 0,
    protocol: 0,
});

#[test]
fn empty_records_and_those_about_other_things_are_left_out() {
    let mut bytes = records(&[
        (RecordKind::Stdout, 1, b""),
        (RecordKind::Stderr, 1, b"warning"),
        (RecordKind::Stdout, 1, b"a"),
        (RecordKind::Stdout, 1, b""),
        (RecordKind::GetValuesResult, 0, b"x"),
        (RecordKind::Data, 1, b"x"),
        (RecordKind::Stdout, 1, b"b"),
        (RecordKind::Stderr, 1, b""),
    ]);
    put_unknown_type(&mut bytes, 77);
    end(&mut bytes);
    let warning = Answered::Errors(Bytes::from_static(b"warning"));
    let expected = vec![warning, output(b"a"), output(b"b"), COMPLETE];
    assert_eq!(all(&mut bytes), Ok(expected));
}

#[test]
fn what_follows_the_end_stays_in_the_buffer() {
    let mut bytes = BytesMut::new();
    end(&mut bytes);
    bytes.extend_from_slice(b"more");
    assert_eq!(take_answer(&mut bytes), Ok(Some(COMPLETE)));
    assert_eq!(&bytes[..], b"more");
}

#[test]
fn the_end_tells_how_it_came() {
    let mut bytes = records(&[(RecordKind::EndRequest, 1, &[1, 2, 3, 4, 2, 0, 0, 0])]);
    let overloaded = RequestEnd {
        application: 0x0102_0304,
        protocol: ProtocolStatus::Overloaded as u8,
    };
    assert_eq!(take_answer(&mut bytes), Ok(Some(Answered::End(overloaded))));
}

#[test]
fn answers_that_are_none() {
    for (mut bytes, expected) in [
        (
            records(&[(RecordKind::Stdout, 2, b"a")]),
            BadAnswerRecord::OtherRequest(2),
        ),
        (
            records(&[(RecordKind::EndRequest, 1, b"short")]),
            MalformedRecord::Short(RecordKind::EndRequest).into(),
        ),
        (
            BytesMut::from(&b"HTTP/1.1 200 OK"[..]),
            MalformedRecord::Version(b'H').into(),
        ),
    ] {
        assert_eq!(all(&mut bytes), Err(expected));
    }
}

proptest! {
    /// The responder's side reads what this side writes.
    #[test]
    fn a_responder_reads_the_request(
        pairs in prop::collection::vec(("[A-Z_]{1,200}", prop::collection::vec(any::<u8>(), 0..300)), 0..300),
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100_000), 0..3),
        keep in any::<bool>(),
    ) {
        let mut params = BytesMut::new();
        for (name, value) in &pairs {
            put_pair(&mut params, name.as_bytes(), value);
        }
        let mut bytes = BytesMut::new();
        put_begin(&mut bytes, keep, &params);
        for part in &parts {
            put_body(&mut bytes, &part[..]);
        }
        put_body_end(&mut bytes);

        let mut responder = Responder::new(LIMITS);
        let mut found = Vec::new();
        let mut body = Vec::new();
        let mut ended = false;
        while let Some(record) = take_record(&mut bytes).unwrap() {
            match responder.receive(record).unwrap() {
                Some(ResponderEvent::Begin { params, .. }) => {
                    found.extend(Pairs::new(&params).map(|pair| {
                        let (name, value) = pair.unwrap();
                        (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())
                    }));
                }
                Some(ResponderEvent::Body { part, .. }) => body.extend_from_slice(&part),
                Some(ResponderEvent::BodyEnd { .. }) => ended = true,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
        prop_assert_eq!(found, pairs);
        prop_assert_eq!(body, parts.concat());
        prop_assert!(ended && bytes.is_empty());
        prop_assert_eq!(responder.is_last(), !keep);
    }
}
