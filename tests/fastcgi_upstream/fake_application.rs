//! A FastCGI application that does what a test says, rightly or wrongly.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use bytes::BytesMut;
use runner::protocol::fastcgi::record::{
    Pairs, ProtocolStatus, RecordKind, put_records, take_record,
};

use crate::support::DEADLINE;

/// A request as the application sees it.
#[derive(Debug, Default)]
pub struct Asked {
    pub params: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// The number of the connection, from 0 on, and of the request on it.
    pub connection: usize,
    pub number: usize,
    /// Whether the connection is to stay open (FCGI_KEEP_CONN).
    pub keep: bool,
}

impl Asked {
    /// A variable; empty if it is not set.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }
}

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits until the other side closes the connection.
    Hang,
    /// Closes the connection.
    Close,
}

/// What happens on its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request has come.
    Asked,
    /// All that it had to send of an answer is sent.
    Sent,
    /// The other side has closed a connection while it waited for that.
    Left,
}

/// The application, which runs until the test ends.
pub struct FakeApplication {
    events: Receiver<Event>,
}

/// How many connections it takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processes {
    /// One, as a process of PHP-FPM does. The others wait.
    One,
    /// As many as come.
    Many,
}

type React = Arc<dyn Fn(&Asked) -> Vec<Reaction> + Send + Sync>;

impl FakeApplication {
    /// Listens at a path.
    pub fn start(
        path: &Path,
        processes: Processes,
        react: impl Fn(&Asked) -> Vec<Reaction> + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).expect("a new socket");
        let react: React = Arc::new(react);
        let (tell, events) = channel();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let stream = stream.expect("a connection");
                let (react, tell) = (Arc::clone(&react), tell.clone());
                let serve = move || serve(stream, connection, &react, &tell);
                match processes {
                    Processes::One => serve(),
                    Processes::Many => drop(thread::spawn(serve)),
                }
            }
        });
        Self { events }
    }

    /// Waits for what happens next.
    pub fn next(&self) -> Event {
        self.events.recv_timeout(DEADLINE).expect("an event")
    }
}

/// Serves a connection to its end.
fn serve(mut stream: UnixStream, connection: usize, react: &React, tell: &Sender<Event>) {
    let mut received = BytesMut::new();
    for number in 0.. {
        let Some(asked) = receive(&mut stream, &mut received, connection, number) else {
            return;
        };
        // The test may have ended.
        let _ = tell.send(Event::Asked);
        for reaction in react(&asked) {
            match reaction {
                Reaction::Send(bytes) => {
                    if stream.write_all(&bytes).is_err() {
                        let _ = tell.send(Event::Left);
                        return;
                    }
                }
                Reaction::Hang => {
                    let read = stream.read(&mut [0]);
                    assert!(matches!(read, Ok(0) | Err(_)), "more of the request");
                    let _ = tell.send(Event::Left);
                    return;
                }
                Reaction::Close => return,
            }
        }
        let _ = tell.send(Event::Sent);
        if !asked.keep {
            return;
        }
    }
}

/// Receives a request; `None` if the connection ends instead.
fn receive(
    stream: &mut UnixStream,
    received: &mut BytesMut,
    connection: usize,
    number: usize,
) -> Option<Asked> {
    let mut params = Vec::new();
    let mut body = Vec::new();
    let mut keep = false;
    loop {
        while let Some(record) = take_record(received).expect("records") {
            match RecordKind::from_number(record.kind) {
                Some(RecordKind::Params) => params.extend_from_slice(&record.content),
                Some(RecordKind::Stdin) if record.content.is_empty() => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let pairs = Pairs::new(&params).map(|pair| pair.expect("a pair"));
                    return Some(Asked {
                        params: pairs
                            .map(|(name, value)| (text(name), text(value)))
                            .collect(),
                        body,
                        connection,
                        number,
                        keep,
                    });
                }
                Some(RecordKind::Stdin) => body.extend_from_slice(&record.content),
                Some(RecordKind::BeginRequest) => {
                    assert_eq!(record.id, 1);
                    keep = record.content[2] & 1 == 1;
                }
                other => panic!("{other:?}"),
            }
        }
        let mut buffer = [0; 65536];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Records with a part of a response.
pub fn output(text: &str) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    put_records(&mut bytes, RecordKind::Stdout, 1, text.as_bytes());
    bytes.to_vec()
}

/// A record with a part of what goes to the log.
pub fn error_text(text: &str) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    put_records(&mut bytes, RecordKind::Stderr, 1, text.as_bytes());
    bytes.to_vec()
}

/// The record at the end of an answer.
pub fn end(status: ProtocolStatus) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    status.put_end(&mut bytes, 1);
    bytes.to_vec()
}

/// A whole answer, sent at once.
pub fn whole(text: &str) -> Vec<Reaction> {
    let end = end(ProtocolStatus::Complete);
    vec![Reaction::Send([output(text), end].concat())]
}

/// A whole answer with a text.
pub fn page(text: &str) -> Vec<Reaction> {
    whole(&format!("Content-Type: text/plain\r\n\r\n{text}"))
}
