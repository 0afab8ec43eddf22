//! Records of a connection and the events for the gateway.

use bytes::{Bytes, BytesMut};
use proptest::prelude::{any, prop_assert, proptest};

use crate::protocol::fastcgi::record::{
    BeginRequest, MalformedRecord, ProtocolStatus, RESPONDER, Record, RecordKind, put_pair,
    put_records, put_unknown_type, take_record,
};
use crate::protocol::fastcgi::responder::{Responder, ResponderEvent, ResponderLimits};

const LIMITS: ResponderLimits = ResponderLimits {
    connections: 100,
    requests: 2,
    params: 20,
};

fn record(kind: RecordKind, id: u16, content: &'static [u8]) -> Record {
    Record {
        kind: kind as u8,
        id,
        content: Bytes::from_static(content),
    }
}

fn begin(id: u16, role: u8, keep: bool) -> Record {
    Record {
        kind: RecordKind::BeginRequest as u8,
        id,
        content: Bytes::copy_from_slice(&[0, role, u8::from(keep), 0, 0, 0, 0, 0]),
    }
}

fn reply(write: impl FnOnce(&mut BytesMut)) -> Option<ResponderEvent> {
    let mut bytes = BytesMut::new();
    write(&mut bytes);
    Some(ResponderEvent::Reply(bytes))
}

fn ended(id: u16, status: ProtocolStatus) -> Option<ResponderEvent> {
    reply(|into| status.put_end(into, id))
}

fn part(id: u16, part: &'static [u8]) -> Option<ResponderEvent> {
    let part = Bytes::from_static(part);
    Some(ResponderEvent::Body { id, part })
}

fn params(id: u16, params: &'static [u8]) -> Option<ResponderEvent> {
    let params = Bytes::from_static(params);
    Some(ResponderEvent::Begin { id, params })
}

/// Gives records to a new connection and compares the events.
fn converse(steps: Vec<(Record, Option<ResponderEvent>)>) -> Responder {
    let mut responder = Responder::new(LIMITS);
    for (record, expected) in steps {
        let event = responder.receive(record.clone()).unwrap();
        assert_eq!(event, expected, "{record:?}");
    }
    responder
}

#[test]
fn a_request() {
    let mut responder = converse(vec![
        (begin(1, 1, true), None),
        (record(RecordKind::Params, 1, b"\x01\x02a"), None),
        (record(RecordKind::Params, 1, b"bc"), None),
        (
            record(RecordKind::Params, 1, b""),
            params(1, b"\x01\x02abc"),
        ),
        (record(RecordKind::Stdin, 1, b"body"), part(1, b"body")),
        (
            record(RecordKind::Stdin, 1, b""),
            Some(ResponderEvent::BodyEnd { id: 1 }),
        ),
        (record(RecordKind::Stdin, 1, b"more"), None),
    ]);
    assert!(!responder.is_idle() && !responder.is_receiving() && !responder.is_last());
    responder.end(1);
    assert!(responder.is_idle());
}

#[test]
fn requests_in_turn() {
    let responder = converse(vec![
        (begin(1, 1, true), None),
        (begin(0x102, 1, true), None),
        (record(RecordKind::Params, 0x102, b"\0\0"), None),
        (record(RecordKind::Params, 1, b""), params(1, b"")),
        (record(RecordKind::Stdin, 1, b"1"), part(1, b"1")),
        (
            record(RecordKind::Params, 0x102, b""),
            params(0x102, b"\0\0"),
        ),
        (
            record(RecordKind::Stdin, 1, b""),
            Some(ResponderEvent::BodyEnd { id: 1 }),
        ),
        (begin(3, 1, true), ended(3, ProtocolStatus::Overloaded)),
    ]);
    assert!(responder.is_receiving());
}

/// However many requests a connection begins and does not end, the memory for them has a limit.
#[test]
fn the_variables_of_all_requests_together_are_limited() {
    let mut responder = Responder::new(ResponderLimits {
        requests: 100,
        ..LIMITS
    });
    for id in 1..=100 {
        assert_eq!(responder.receive(begin(id, 1, true)), Ok(None));
        let event = responder
            .receive(record(RecordKind::Params, id, &[0; 20]))
            .unwrap();
        // Requests whose bodies are incomplete count like those whose variables are.
        let expected = (id > 4).then_some(ResponderEvent::TooLarge { id });
        assert_eq!(event, expected);
        if id % 2 == 0 {
            responder
                .receive(record(RecordKind::Params, id, b""))
                .unwrap();
        }
        assert!(responder.kept() <= 80);
    }
    // A request that ends makes room.
    responder.end(2);
    assert_eq!(responder.receive(begin(2, 1, true)), Ok(None));
    assert_eq!(
        responder.receive(record(RecordKind::Params, 2, &[0; 20])),
        Ok(None)
    );
}

#[test]
fn an_aborted_request_is_forgotten_at_its_end() {
    let mut responder = converse(vec![
        (record(RecordKind::AbortRequest, 1, b""), None),
        (begin(1, 1, true), None),
        (
            record(RecordKind::AbortRequest, 1, b""),
            Some(ResponderEvent::Abort { id: 1 }),
        ),
        (record(RecordKind::Params, 1, b""), None),
        (record(RecordKind::Stdin, 1, b"late"), None),
    ]);
    assert!(!responder.is_idle() && !responder.is_receiving());
    responder.end(1);
    assert_eq!(
        responder.receive(record(RecordKind::AbortRequest, 1, b"")),
        Ok(None)
    );
    assert_eq!(responder.receive(begin(1, 1, true)), Ok(None));
    let event = responder.receive(record(RecordKind::Params, 1, b""));
    assert_eq!(event.unwrap(), params(1, b""));
}

#[test]
fn a_connection_that_is_not_kept() {
    let responder = converse(vec![
        (begin(1, 1, false), None),
        (begin(2, 1, true), ended(2, ProtocolStatus::Overloaded)),
    ]);
    assert!(responder.is_last() && !responder.is_idle());
}

#[test]
fn other_roles_are_refused() {
    let responder = converse(vec![
        (begin(1, 2, true), ended(1, ProtocolStatus::UnknownRole)),
        (begin(1, 3, true), ended(1, ProtocolStatus::UnknownRole)),
        (record(RecordKind::Data, 1, b"x"), None),
        (begin(1, 9, true), ended(1, ProtocolStatus::UnknownRole)),
    ]);
    assert!(responder.is_idle() && !responder.is_last());
}

#[test]
fn too_many_variables() {
    let responder = converse(vec![
        (begin(1, 1, true), None),
        (record(RecordKind::Params, 1, b"12345678901234567890"), None),
        (
            record(RecordKind::Params, 1, b"1"),
            Some(ResponderEvent::TooLarge { id: 1 }),
        ),
        (record(RecordKind::Params, 1, b"1"), None),
        (record(RecordKind::Params, 1, b""), None),
        (record(RecordKind::Stdin, 1, b""), None),
    ]);
    assert!(!responder.is_idle());
}

#[test]
fn get_values() {
    let values = |pairs: &'static [(&'static str, &'static str)]| {
        reply(|into| {
            let mut content = BytesMut::new();
            for (name, value) in pairs {
                put_pair(&mut content, name.as_bytes(), value.as_bytes());
            }
            put_records(into, RecordKind::GetValuesResult, 0, content);
        })
    };
    converse(vec![
        (
            record(
                RecordKind::GetValues,
                0,
                b"\x0e\0FCGI_MAX_CONNS\x0f\0FCGI_MPXS_CONNS\x0d\0FCGI_MAX_REQS\x05\0OTHER",
            ),
            values(&[
                ("FCGI_MAX_CONNS", "100"),
                ("FCGI_MAX_REQS", "2"),
                ("FCGI_MPXS_CONNS", "1"),
            ]),
        ),
        (
            record(
                RecordKind::GetValues,
                0,
                b"\x0d\0FCGI_MAX_REQS\x0d\0FCGI_MAX_REQS",
            ),
            values(&[("FCGI_MAX_REQS", "2")]),
        ),
        (record(RecordKind::GetValues, 0, b""), values(&[])),
    ]);
}

#[test]
fn unknown_types() {
    let unknown = |id, kind| Record {
        kind,
        id,
        content: Bytes::new(),
    };
    converse(vec![
        (unknown(0, 12), reply(|into| put_unknown_type(into, 12))),
        (unknown(7, 255), reply(|into| put_unknown_type(into, 255))),
        (begin(0, 1, true), reply(|into| put_unknown_type(into, 1))),
        (record(RecordKind::Stdout, 1, b"x"), None),
    ]);
}

#[test]
fn malformed_records_end_a_connection() {
    let cases = [
        (
            vec![begin(1, 1, true), begin(1, 1, true)],
            MalformedRecord::Twice(1),
        ),
        (
            vec![record(RecordKind::BeginRequest, 1, b"\0")],
            MalformedRecord::Short(RecordKind::BeginRequest),
        ),
        (
            vec![record(RecordKind::GetValues, 0, b"\x05\0abc")],
            MalformedRecord::Pair,
        ),
    ];
    for (records, expected) in cases {
        let mut responder = Responder::new(LIMITS);
        let outcome: Result<Vec<_>, _> = records
            .into_iter()
            .map(|record| responder.receive(record))
            .collect();
        assert_eq!(outcome, Err(expected));
    }
}

proptest! {
    #[test]
    fn any_records_are_answered(records in proptest::collection::vec(
        (0..14_u8, 0..4_u16, proptest::collection::vec(0..4_u8, 0..12)), 0..60)) {
        let mut responder = Responder::new(LIMITS);
        for (kind, id, content) in records {
            let Ok(event) = responder.receive(Record { kind, id, content: content.into() }) else {
                break;
            };
            match event {
                Some(ResponderEvent::Reply(mut bytes)) => {
                    while let Some(record) = take_record(&mut bytes).unwrap() {
                        prop_assert!(record.content.len() <= 64);
                    }
                }
                Some(ResponderEvent::TooLarge { id }) => responder.end(id),
                Some(_) | None => (),
            }
            prop_assert!(responder.requests.len() <= LIMITS.requests);
        }
    }

    #[test]
    fn a_request_survives_any_splitting(text in proptest::collection::vec(any::<u8>(), 1..20),
                                        body in proptest::collection::vec(any::<u8>(), 0..40),
                                        piece in 1..9_usize) {
        let mut stream = BytesMut::new();
        BeginRequest { role: RESPONDER, keep: true }.put(&mut stream, 5);
        for piece in text.chunks(piece) {
            put_records(&mut stream, RecordKind::Params, 5, piece);
        }
        put_records(&mut stream, RecordKind::Params, 5, &b""[..]);
        for piece in body.chunks(piece) {
            put_records(&mut stream, RecordKind::Stdin, 5, piece);
        }
        put_records(&mut stream, RecordKind::Stdin, 5, &b""[..]);
        let mut responder = Responder::new(LIMITS);
        let mut received = Vec::new();
        let mut ended = false;
        while let Some(record) = take_record(&mut stream).unwrap() {
            match responder.receive(record).unwrap() {
                Some(ResponderEvent::Begin { params, .. }) => prop_assert!(params == text),
                Some(ResponderEvent::Body { part, .. }) => received.extend_from_slice(&part),
                Some(ResponderEvent::BodyEnd { .. }) => ended = true,
                other => prop_assert!(other.is_none()),
            }
        }
        prop_assert!(ended && received == body);
    }
}
