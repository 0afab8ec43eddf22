//! The master's end of the link to a program that it keeps running: a pair of sockets, one message a line, as on the
//! control socket.
//!
//! Every program gets its end through a variable ([`parent_link`]), but only `runner` itself makes
//! use of it. A program that answers is therefore a `runner`, whatever command has started it. It reports that it serves,
//! or why it cannot; it takes the order to reload and reports how that went. An empty line means that it still works on
//! an order. The length of a message is bounded, and an unknown message ends the link.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Command;

use serde_json::Value as Json;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::parent_link;
use crate::supervisor::control::order::{Answer, Order, decode};

/// The longest message of a program, in bytes.
const LONGEST: usize = 1 << 20;

/// The master's end of the link to one program.
#[derive(Debug)]
pub(super) struct ChildLink {
    stream: UnixStream,
    /// The part of the next message that has arrived.
    received: Vec<u8>,
}

/// A message of a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChildMessage {
    /// It still works on an order.
    Alive,
    /// It is a `runner`.
    Here,
    /// It serves.
    Serving,
    /// It cannot start, for this reason.
    Failed(String),
    /// An order was carried out, or has failed for this reason.
    Answer(Result<(), String>),
}

impl ChildLink {
    /// Makes a link, and has a program that is about to be started inherit the other end. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(super) fn to(command: &mut Command) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        parent_link::hand_down(command, parent_link::VARIABLE, theirs.into());
        Ok(Self {
            stream: UnixStream::from_std(ours)?,
            received: Vec::new(),
        })
    }

    /// The next message; `None` when the link has ended. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Option<ChildMessage> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(end + 1);
                let line = std::mem::replace(&mut self.received, rest);
                return ChildMessage::parse(&line[..end]);
            }
            let read = self.stream.read_buf(&mut self.received).await;
            if !matches!(read, Ok(1..)) || self.received.len() > LONGEST {
                return None;
            }
        }
    }

    /// Sends an order.
    ///
    /// # Errors
    /// The program does not read.
    pub(super) fn send(&self, order: Order) -> io::Result<()> {
        let line = order.line();
        match self.stream.try_write(line.as_bytes())? {
            written if written == line.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

impl ChildMessage {
    /// `None` for an unknown message.
    fn parse(line: &[u8]) -> Option<Self> {
        if line.is_empty() {
            return Some(Self::Alive);
        }
        let json: Json = serde_json::from_slice(line).ok()?;
        if let Some(why) = json["failed"].as_str() {
            return Some(Self::Failed(why.to_owned()));
        }
        match json["state"].as_str() {
            Some("here") => return Some(Self::Here),
            Some("serving") => return Some(Self::Serving),
            Some(_) => return None,
            None => {}
        }
        match decode(line, Vec::new()).ok()? {
            Answer::Done(_) => Some(Self::Answer(Ok(()))),
            Answer::Refused(why) => Some(Self::Answer(Err(why))),
            Answer::Sockets(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_messages_of_a_child() {
        let parsed = |text: &str| ChildMessage::parse(text.as_bytes());
        assert_eq!(parsed(""), Some(ChildMessage::Alive));
        assert_eq!(parsed(r#"{"state":"here"}"#), Some(ChildMessage::Here));
        assert_eq!(
            parsed(r#"{"state":"serving"}"#),
            Some(ChildMessage::Serving)
        );
        let failed = ChildMessage::Failed("no".to_owned());
        assert_eq!(parsed(r#"{"failed":"no"}"#), Some(failed));
        assert_eq!(parsed(r#"{"done":{}}"#), Some(ChildMessage::Answer(Ok(()))));
        let refused = ChildMessage::Answer(Err("no".to_owned()));
        assert_eq!(parsed(r#"{"refused":"no"}"#), Some(refused));
        for nonsense in [
            "hello",
            "{}",
            "[]",
            r#"{"state":"asleep"}"#,
            r#"{"sockets":[]}"#,
        ] {
            assert_eq!(parsed(nonsense), None, "{nonsense}");
        }
    }

    /// The messages that arrive when a child writes these bytes.
    fn receive(bytes: &[u8]) -> Vec<ChildMessage> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let (ours, mut theirs) = StdUnixStream::pair().expect("sockets");
            ours.set_nonblocking(true).expect("a socket");
            let stream = UnixStream::from_std(ours).expect("a socket");
            let mut link = ChildLink {
                stream,
                received: Vec::new(),
            };
            let bytes = bytes.to_owned();
            let writer = std::thread::spawn(move || theirs.write_all(&bytes));
            let mut messages = Vec::new();
            while let Some(message) = link.next().await {
                messages.push(message);
            }
            drop(link);
            // After an unknown message the rest is not read, so that the write may fail.
            let _ = writer.join().expect("it does not panic");
            messages
        })
    }

    #[test]
    fn a_line_that_is_too_long_ends_the_link() {
        assert_eq!(receive(&vec![b'x'; LONGEST * 2]), []);
        let mut bytes = b"\n{\"state\":\"here\"}\n".to_vec();
        bytes.extend(vec![b'['; LONGEST * 2]);
        assert_eq!(receive(&bytes), [ChildMessage::Alive, ChildMessage::Here]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            receive(&bytes);
        }

        #[test]
        fn any_line_is_parsed_without_a_panic(text in r#"(\{"(state|failed|done|refused|sockets)":.{0,40}\}|.{0,60})"#) {
            ChildMessage::parse(text.as_bytes());
        }
    }
}
