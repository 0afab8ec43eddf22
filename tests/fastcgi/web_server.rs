//! A web server that is part of the tests: the other side of a FastCGI connection.

use std::collections::HashMap;

use bytes::BytesMut;
use runner::protocol::fastcgi::record::{
    BeginRequest, ProtocolStatus, RESPONDER, Record, RecordKind, put_pair, put_records, take_record,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::sample::in_time;

/// The other side of a connection.
pub struct WebServer<S> {
    pub stream: S,
    pub received: BytesMut,
    pub answers: HashMap<u16, Answer>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub stdout_ended: bool,
    /// The connection was broken off.
    pub aborted: bool,
    pub end: Option<u8>,
}

impl Answer {
    pub fn head_and_body(&self) -> (&str, &[u8]) {
        let blank = self.stdout.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = self.stdout.split_at(blank.unwrap() + 4);
        (std::str::from_utf8(head).unwrap(), body)
    }

    pub fn body(&self) -> &[u8] {
        self.head_and_body().1
    }

    #[track_caller]
    pub fn is_whole(&self) -> &Self {
        assert_eq!(self.end, Some(COMPLETE));
        assert!(self.stdout_ended);
        self
    }
}

pub const COMPLETE: u8 = ProtocolStatus::Complete as u8;

pub fn begin(id: u16, keep: bool) -> BytesMut {
    let mut records = BytesMut::new();
    let role = RESPONDER;
    BeginRequest { role, keep }.put(&mut records, id);
    records
}

pub fn params(id: u16, more: &[(&str, &str)]) -> BytesMut {
    let mut pairs = BytesMut::new();
    for (name, value) in [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "")]
        .iter()
        .chain(more)
    {
        put_pair(&mut pairs, name.as_bytes(), value.as_bytes());
    }
    let mut records = BytesMut::new();
    put_records(&mut records, RecordKind::Params, id, pairs);
    put_records(&mut records, RecordKind::Params, id, &b""[..]);
    records
}

pub fn stdin(id: u16, body: &[u8]) -> BytesMut {
    let mut records = BytesMut::new();
    if !body.is_empty() {
        put_records(&mut records, RecordKind::Stdin, id, body);
    }
    put_records(&mut records, RecordKind::Stdin, id, &b""[..]);
    records
}

pub fn get(id: u16, path: &str) -> BytesMut {
    let mut records = begin(id, true);
    records.unsplit(params(id, &[("PATH_INFO", path)]));
    records.unsplit(stdin(id, b""));
    records
}

pub fn post(id: u16, path: &str, body: &[u8]) -> BytesMut {
    let length = body.len().to_string();
    let more = [("PATH_INFO", path), ("CONTENT_LENGTH", &length)];
    let mut records = begin(id, true);
    records.unsplit(params(id, &more));
    records.unsplit(stdin(id, body));
    records
}

pub fn record(kind: u8, id: u16, content: &[u8]) -> BytesMut {
    let mut records = BytesMut::new();
    put_records(&mut records, RecordKind::Stdin, id, content);
    records[1] = kind;
    records
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebServer<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
            answers: HashMap::new(),
        }
    }

    pub async fn send(&mut self, records: BytesMut) {
        in_time(self.stream.write_all(&records)).await.unwrap();
    }

    /// The next record; `None` if the connection was closed.
    pub async fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = take_record(&mut self.received).unwrap() {
                return Some(record);
            }
            let read = self.stream.read_buf(&mut self.received);
            match in_time(read).await {
                Ok(0) => {
                    assert!(self.received.is_empty(), "a record is cut off");
                    return None;
                }
                Ok(_) => (),
                Err(error) => panic!("cannot read: {error}"),
            }
        }
    }

    /// Reads until a request is answered, its response is broken off, or the connection is closed.
    pub async fn answer(&mut self, id: u16) -> Answer {
        loop {
            let answer = self.answers.entry(id).or_default();
            if answer.end.is_some() || answer.aborted {
                return self.answers.remove(&id).unwrap();
            }
            let Some(record) = self.next().await else {
                return self.answers.remove(&id).unwrap_or_default();
            };
            let answer = self.answers.entry(record.id).or_default();
            assert_eq!(answer.end, None, "a record after the end: {record:?}");
            match RecordKind::from_number(record.kind) {
                Some(RecordKind::Stdout) => {
                    assert!(!answer.stdout_ended);
                    answer.stdout_ended = record.content.is_empty();
                    answer.stdout.extend_from_slice(&record.content);
                }
                Some(RecordKind::Stderr) => answer.stderr.extend_from_slice(&record.content),
                Some(RecordKind::EndRequest) => {
                    assert_eq!(record.content[..4], [0; 4], "the exit status");
                    answer.end = Some(record.content[4]);
                }
                Some(RecordKind::AbortRequest) => answer.aborted = true,
                other => panic!("a record of kind {other:?}"),
            }
        }
    }

    pub async fn ask(&mut self, request: BytesMut) -> Answer {
        let id = u16::from_be_bytes([request[2], request[3]]);
        self.send(request).await;
        self.answer(id).await
    }
}
