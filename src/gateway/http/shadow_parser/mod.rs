//! A second parser of what a client sends, beside hyper's, that sees what hyper hides. Of `Content-Length` beside
//! `Transfer-Encoding`, hyper drops the former and closes the connection after the answer, which RFC 9112 §6.1 allows; but
//! such a request is an attack, and is refused here. And hyper gets only those first lines that it accepts
//! ([`RequestLine`]).
//!
//! Two parsers that disagree about where a request ends would allow request smuggling. So each head that hyper reads is
//! compared with the one that was seen here, and the connection ends where they differ.

mod chunked;
pub(super) mod framing;
mod request_line;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memchr::memchr;

use crate::gateway::http::shadow_parser::chunked::{Chunks, MalformedChunk};
use crate::gateway::http::shadow_parser::framing::{Framing, FramingFields, LINE_LIMIT};
use crate::gateway::http::shadow_parser::request_line::RequestLine;

/// What a head has that hyper hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Another major version of HTTP.
    Version,
    /// A `Content-Length` beside `Transfer-Encoding`.
    TwoFramings,
    /// An end that hyper and this parser do not agree on.
    UnclearEnd,
    /// A target for which hyper got another one.
    Target(Bytes),
}

/// A head that hyper has not read yet.
#[derive(Debug, PartialEq, Eq)]
struct SeenHead {
    framing: Framing,
    hidden: Option<Hidden>,
}

/// The parser of one connection.
#[derive(Debug, Default)]
pub(super) struct ShadowParser {
    /// The number of reads that brought something.
    reads: u64,
    position: Position,
    line: RequestLine,
    fields: FramingFields,
    heads: VecDeque<SeenHead>,
    /// The number of messages that have begun for hyper.
    begun: u64,
    /// The number of messages that have ended here.
    ended: u64,
    /// The fault in the body of the message that has not ended.
    malformed: Option<&'static str>,
}

#[derive(Debug, Default)]
enum Position {
    /// In the first line of a head, or before it.
    #[default]
    FirstLine,
    /// In the fields of a head.
    Fields,
    /// In a body, before this number of bytes.
    Body(u64),
    /// In a chunked body.
    Chunks(Chunks),
    /// Behind a request for a WebSocket: either its frames follow, or the connection ends with the answer.
    Upgrade,
    /// Behind a message without a clear end: hyper or the gateway refuses it and closes the connection.
    Lost,
}

impl ShadowParser {
    /// Parses what was read, and changes it into what hyper gets: the number of bytes that are left of it.
    ///
    /// Empty lines between requests, which do not count (RFC 9112 §2.2), are taken out: hyper would take a connection on
    /// which only these have come for one in the middle of a head.
    pub(super) fn received(&mut self, part: &mut [u8]) -> usize {
        self.reads += 1;
        let (mut at, mut end) = (0, part.len());
        while at < end {
            let rest = &mut part[at..end];
            at += match &mut self.position {
                Position::FirstLine if self.line.is_empty() && matches!(rest[0], b'\r' | b'\n') => {
                    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
                    let blank = rest.iter().position(is_text).unwrap_or(rest.len());
                    rest.copy_within(blank.., 0);
                    end -= blank;
                    0
                }
                Position::FirstLine => self.first_line(rest),
                Position::Fields => self.field(rest),
                Position::Body(left) => {
                    let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    if *left == 0 {
                        self.end();
                    }
                    used
                }
                Position::Chunks(chunks) => match chunks.follow(rest) {
                    Ok(None) => rest.len(),
                    Ok(Some(used)) => {
                        self.end();
                        used
                    }
                    Err(MalformedChunk(reason)) => {
                        self.malformed = Some(reason);
                        self.position = Position::Lost;
                        rest.len()
                    }
                },
                Position::Upgrade | Position::Lost => rest.len(),
            };
        }
        end
    }

    fn end(&mut self) {
        self.ended += 1;
        self.position = Position::FirstLine;
    }

    fn first_line(&mut self, rest: &mut [u8]) -> usize {
        let (used, is_whole) = line_length(rest);
        self.line.receive(&mut rest[..used]);
        if is_whole {
            self.position = Position::Fields;
        } else if self.line.length() > LINE_LIMIT {
            self.position = Position::Lost;
        }
        used
    }

    fn field(&mut self, rest: &mut [u8]) -> usize {
        let (used, is_whole) = line_length(rest);
        let is_last = self.fields.receive(&mut rest[..used], is_whole);
        if self.fields.is_too_long() {
            self.position = Position::Lost;
        }
        if is_last {
            self.head_seen();
        }
        used
    }

    /// Called at the end of a head.
    fn head_seen(&mut self) {
        let fields = std::mem::take(&mut self.fields);
        let hidden = match self.line.target() {
            _ if self.line.is_other_version() => Some(Hidden::Version),
            _ if fields.is_ambiguous() => Some(Hidden::TwoFramings),
            target => target.map(|target| Hidden::Target(Bytes::copy_from_slice(target))),
        };
        self.line.clear();
        let framing = fields.framing();
        let is_refused = matches!(hidden, Some(Hidden::Version | Hidden::TwoFramings));
        self.position = match framing {
            _ if is_refused || fields.is_unclear() => Position::Lost,
            Framing::Length(0) => {
                self.ended += 1;
                match fields.may_offer_web_socket() {
                    true => Position::Upgrade,
                    false => Position::FirstLine,
                }
            }
            Framing::Length(length) => Position::Body(length),
            Framing::Chunked => Position::Chunks(Chunks::default()),
        };
        self.heads.push_back(SeenHead { framing, hidden });
    }

    /// Called when hyper has read a head: what it hides.
    pub(super) fn head_ended(&mut self, framing: Framing) -> Option<Hidden> {
        self.begun += 1;
        let seen = self.heads.pop_front();
        if self.heads.is_empty() {
            // Many pipelined requests at once are rare.
            self.heads.shrink_to(4);
        }
        match seen {
            Some(seen) if seen.framing == framing => seen.hidden,
            Some(_) | None => Some(Hidden::UnclearEnd),
        }
    }

    /// Whether each message that hyper has begun to read has ended here too. To be called when hyper has read all of it.
    pub(super) fn is_in_step(&self) -> bool {
        self.ended >= self.begun
    }

    /// Whether the message that hyper has begun to read last may ask for a WebSocket: what follows it is that, or nothing.
    pub(super) fn is_at_upgrade(&self) -> bool {
        self.heads.is_empty() && matches!(self.position, Position::Upgrade)
    }

    /// The fault in the body that hyper is reading.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.malformed.filter(|_| !self.is_in_step())
    }

    /// The number of reads, if the last one ended a request that hyper has read, or there was none: neither side owes the
    /// other anything.
    pub(super) fn between_requests(&self) -> Option<u64> {
        let nothing = matches!(self.position, Position::FirstLine) && self.line.is_empty();
        (nothing && self.heads.is_empty()).then_some(self.reads)
    }

    /// The number of reads that brought something.
    pub(super) fn reads(&self) -> u64 {
        self.reads
    }

    /// Whether hyper waits for the rest of a head.
    pub(super) fn is_in_head(&self) -> bool {
        let begun = match self.position {
            Position::FirstLine => !self.line.is_empty(),
            Position::Fields => true,
            Position::Body(_) | Position::Chunks(_) | Position::Upgrade | Position::Lost => false,
        };
        begun && self.heads.is_empty()
    }
}

/// The length of the first line of a text, and whether the line ends in it.
fn line_length(text: &[u8]) -> (usize, bool) {
    match memchr(b'\n', text) {
        Some(end) => (end + 1, true),
        None => (text.len(), false),
    }
}

/// Only the task of the connection locks its parser, so that it never waits.
pub(super) fn lock(parser: &Mutex<ShadowParser>) -> MutexGuard<'_, ShadowParser> {
    parser.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{Framing, Hidden, Position, ShadowParser};

    /// A message, how hyper reads where it ends, and what is hidden about it.
    type Message = (&'static str, Framing, Option<Hidden>);

    /// Messages behind which others may come.
    fn messages() -> Vec<Message> {
        let none = Framing::Length(0);
        let target = Some(Hidden::Target(Bytes::from_static(b"/?q=\"<`>\"")));
        vec![
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", none, None),
            ("\r\n\r\nGET / HTTP/1.1\nHost: a\n\n", none, None),
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
                "POST / HTTP/1.1\r\ncontent-length: 3\r\nX:\r\nContent-Length: 03\r\n\r\n\r\n\"",
                Framing::Length(3),
                None,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 41\r\n\r\nTransfer-Encoding: a\r\n\r\nContent-Length: 1",
                Framing::Length(41),
                None,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;\"\r\n<\r\n\r\n\r\n0\r\nContent-Length: 7\r\n\r\n",
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

    /// Messages behind which nothing comes: the connection ends with the answer.
    fn last_messages() -> Vec<Message> {
        let one = Framing::Length(1);
        vec![
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-LENGTH: 1\r\n\r\n1\r\na\r\n0\r\n\r\n",
                Framing::Chunked,
                Some(Hidden::TwoFramings),
            ),
            (
                "POST / HTTP/1.1\nContent-Length: x\nTransfer-Encoding: chunked\n\n0\r\n\r\n",
                Framing::Chunked,
                Some(Hidden::TwoFramings),
            ),
            (
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                Framing::Length(0),
                Some(Hidden::Version),
            ),
            (
                "GET / HTTP/0.9\r\nContent-Length: 1\r\n\r\na",
                one,
                Some(Hidden::Version),
            ),
        ]
    }

    fn step(parser: &mut ShadowParser, (text, framing, hidden): &Message, size: usize) {
        let mut bytes = text.as_bytes().to_vec();
        for part in bytes.chunks_mut(size) {
            let _ = parser.received(part);
        }
        assert_eq!(parser.head_ended(*framing), *hidden, "{text:?}");
    }

    #[test]
    fn whatever_is_last_ends_the_connection() {
        for size in [1, 7, 1000] {
            for first in messages() {
                for last in last_messages() {
                    let mut parser = ShadowParser::default();
                    step(&mut parser, &first, size);
                    assert!(parser.is_in_step() && parser.between_requests().is_some());
                    step(&mut parser, &last, size);
                    assert!(matches!(parser.position, Position::Lost));
                    assert!(parser.between_requests().is_none());
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
    fn what_follows_a_request_for_a_web_socket_is_left_as_it_is() {
        let start = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (field, is_upgrade) in [
            ("Upgrade: websocket", true),
            ("upgrade:h2c ,\tWebSocket/13", true),
            ("Upgrade: h2c", false),
            ("X-Upgrade: websocket", false),
        ] {
            for size in [1, 7, 1000] {
                let head = format!("{start}{field}\r\n\r\n");
                let behind = "\r\n\r\nGET /\" HTTP/1.1\r\nContent-Length: x\r\n\r\n";
                let mut parser = ShadowParser::default();
                let mut got = Vec::new();
                for part in format!("{head}{behind}").into_bytes().chunks_mut(size) {
                    let left = parser.received(part);
                    got.extend_from_slice(&part[..left]);
                }
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
                "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
                Framing::Chunked,
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
        assert!(!parser.is_in_step());
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
            let mut bytes = sent.clone().into_bytes();
            let mut got = Vec::new();
            let mut parser = ShadowParser::default();
            let mut rest = &mut bytes[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, behind) = rest.split_at_mut((*size).min(rest.len()));
                let left = parser.received(part);
                got.extend_from_slice(&part[..left]);
                rest = behind;
            }
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

        #[test]
        fn any_bytes_are_heard(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        ) {
            let mut parser = ShadowParser::default();
            for mut part in parts {
                prop_assert!(parser.received(&mut part) <= part.len());
            }
        }
    }
}
