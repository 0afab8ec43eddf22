//! What a client sends, heard on its way to hyper, to see what hyper hides: of `Content-Length` beside
//! `Transfer-Encoding` it drops the one and closes the connection after the answer, which RFC 9112 §6.1 allows; but such a
//! request is an attack, and is to be refused. And of the first line of a head it gets only what it lets through
//! ([`RequestLine`]).
//!
//! For that the messages are told apart here, too. A second reader that disagrees with the first would be a way for
//! smugglers: so whatever hyper reads is compared with what was heard, and a connection ends where they differ.

mod chunked;
pub mod framing;
mod request_line;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memchr::memchr;

use crate::gateway::http::shadow_parser::chunked::{Chunks, Malformed};
use crate::gateway::http::shadow_parser::framing::{Fields, Framing};
use crate::gateway::http::shadow_parser::request_line::RequestLine;

/// A longer line is hyper's to refuse.
const LINE_LIMIT: usize = 256 * 1024;

/// What hyper does not tell of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// It is of another major version of HTTP.
    Foreign,
    /// It has a `Content-Length` beside `Transfer-Encoding`.
    Ambiguous,
    /// Where the message ends is not clear.
    Unclear,
    /// The target, where hyper has got another one.
    Target(Bytes),
}

/// A head as it was heard.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    framing: Framing,
    odd: Option<Odd>,
}

/// What was heard on a connection.
#[derive(Debug, Default)]
pub struct RawHeads {
    /// How often something was received.
    count: u64,
    place: Place,
    line: RequestLine,
    fields: Fields,
    /// The heads that hyper has not read yet.
    heads: VecDeque<Heard>,
    /// How many messages have begun for hyper, and how many have ended here.
    begun: u64,
    ended: u64,
    /// What is wrong with the body of the message that has not ended.
    malformed: Option<&'static str>,
}

#[derive(Debug, Default)]
enum Place {
    /// In the first line of a head, or before it.
    #[default]
    First,
    /// In its fields.
    Fields,
    /// In a body, of which so much is to come.
    Length(u64),
    Chunks(Chunks),
    /// Nobody knows. hyper refuses what comes here, or we do.
    Lost,
}

impl RawHeads {
    /// Something came in, and is made ready for hyper; how much of it is left at the beginning.
    ///
    /// hyper does not get the empty lines between requests, which do not count (RFC 9112 §2.2): it would take a connection
    /// on which nothing else has come for one in the middle of a head.
    pub fn received(&mut self, part: &mut [u8]) -> usize {
        self.count += 1;
        let (mut at, mut end) = (0, part.len());
        while at < end {
            let rest = &mut part[at..end];
            at += match &mut self.place {
                Place::First if self.line.is_empty() && matches!(rest[0], b'\r' | b'\n') => {
                    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
                    let blank = rest.iter().position(is_text).unwrap_or(rest.len());
                    rest.copy_within(blank.., 0);
                    end -= blank;
                    0
                }
                Place::First => self.first_line(rest),
                Place::Fields => self.field(rest),
                Place::Length(left) => {
                    let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    if *left == 0 {
                        self.end();
                    }
                    used
                }
                Place::Chunks(chunks) => match chunks.follow(rest) {
                    Ok(None) => rest.len(),
                    Ok(Some(used)) => {
                        self.end();
                        used
                    }
                    Err(Malformed(reason)) => {
                        self.malformed = Some(reason);
                        self.place = Place::Lost;
                        rest.len()
                    }
                },
                Place::Lost => rest.len(),
            };
        }
        end
    }

    /// A message has ended.
    fn end(&mut self) {
        self.ended += 1;
        self.place = Place::First;
    }

    fn first_line(&mut self, rest: &mut [u8]) -> usize {
        let (used, is_whole) = line_length(rest);
        self.line.receive(&mut rest[..used]);
        if is_whole {
            self.place = Place::Fields;
        } else if self.line.length() > LINE_LIMIT {
            self.place = Place::Lost;
        }
        used
    }

    fn field(&mut self, rest: &mut [u8]) -> usize {
        let (used, is_whole) = line_length(rest);
        let is_last = self.fields.receive(&mut rest[..used], is_whole);
        if self.fields.is_too_long() {
            self.place = Place::Lost;
        }
        if is_last {
            self.head_heard();
        }
        used
    }

    /// All of a head is there.
    fn head_heard(&mut self) {
        let fields = std::mem::take(&mut self.fields);
        let odd = match self.line.target() {
            _ if self.line.is_foreign() => Some(Odd::Foreign),
            _ if fields.is_ambiguous() => Some(Odd::Ambiguous),
            target => target.map(|target| Odd::Target(Bytes::copy_from_slice(target))),
        };
        self.line.clear();
        let framing = fields.framing();
        let is_refused = matches!(odd, Some(Odd::Foreign | Odd::Ambiguous));
        self.place = match framing {
            _ if is_refused || fields.is_unclear() => Place::Lost,
            Framing::Length(0) => {
                self.ended += 1;
                Place::First
            }
            Framing::Length(length) => Place::Length(length),
            Framing::Chunked => Place::Chunks(Chunks::default()),
        };
        self.heads.push_back(Heard { framing, odd });
    }

    /// hyper has read a head: what it does not tell of it.
    pub fn head_ended(&mut self, framing: Framing) -> Option<Odd> {
        self.begun += 1;
        let heard = self.heads.pop_front();
        if self.heads.is_empty() {
            // Many at once are rare.
            self.heads.shrink_to(4);
        }
        match heard {
            Some(heard) if heard.framing == framing => heard.odd,
            Some(_) | None => Some(Odd::Unclear),
        }
    }

    /// Whether each message that hyper has begun to read has ended here, too: asked when hyper has read all of it.
    pub fn is_in_step(&self) -> bool {
        self.ended >= self.begun
    }

    /// What is wrong with the body that hyper is reading.
    pub fn fault(&self) -> Option<&'static str> {
        self.malformed.filter(|_| !self.is_in_step())
    }

    /// How often something was received, if what was received last ended a request, or nothing was: the client
    /// owes us nothing, and we owe it nothing.
    pub fn between_requests(&self) -> Option<u64> {
        let nothing = matches!(self.place, Place::First) && self.line.is_empty();
        (nothing && self.heads.is_empty()).then_some(self.count)
    }

    /// How often something was received.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether a head has begun to come in, and there is nothing before it that hyper has not read yet.
    pub fn is_in_head(&self) -> bool {
        let begun = match self.place {
            Place::First => !self.line.is_empty(),
            Place::Fields => true,
            Place::Length(_) | Place::Chunks(_) | Place::Lost => false,
        };
        begun && self.heads.is_empty()
    }
}

/// The length of a line at the beginning of a text, or of the text, and whether the line ends in it.
fn line_length(text: &[u8]) -> (usize, bool) {
    match memchr(b'\n', text) {
        Some(end) => (end + 1, true),
        None => (text.len(), false),
    }
}

/// The heads, which only the connection's own task touches, a moment at a time.
pub fn lock(heads: &Mutex<RawHeads>) -> MutexGuard<'_, RawHeads> {
    heads.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{Framing, Odd, Place, RawHeads};

    /// A message, how hyper reads where it ends, and what is odd about it.
    type Message = (&'static str, Framing, Option<Odd>);

    /// Messages behind which others may come.
    fn messages() -> Vec<Message> {
        let none = Framing::Length(0);
        let target = Some(Odd::Target(Bytes::from_static(b"/?q=\"<`>\"")));
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
                Some(Odd::Ambiguous),
            ),
            (
                "POST / HTTP/1.1\nContent-Length: x\nTransfer-Encoding: chunked\n\n0\r\n\r\n",
                Framing::Chunked,
                Some(Odd::Ambiguous),
            ),
            (
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                Framing::Length(0),
                Some(Odd::Foreign),
            ),
            (
                "GET / HTTP/0.9\r\nContent-Length: 1\r\n\r\na",
                one,
                Some(Odd::Foreign),
            ),
        ]
    }

    fn step(heads: &mut RawHeads, (text, framing, odd): &Message, size: usize) {
        let mut bytes = text.as_bytes().to_vec();
        for part in bytes.chunks_mut(size) {
            let _ = heads.received(part);
        }
        assert_eq!(heads.head_ended(*framing), *odd, "{text:?}");
    }

    #[test]
    fn whatever_is_last_ends_the_connection() {
        for size in [1, 7, 1000] {
            for first in messages() {
                for last in last_messages() {
                    let mut heads = RawHeads::default();
                    step(&mut heads, &first, size);
                    assert!(heads.is_in_step() && heads.between_requests().is_some());
                    step(&mut heads, &last, size);
                    assert!(matches!(heads.place, Place::Lost));
                    assert!(heads.between_requests().is_none());
                    // Whatever hyper might find behind it is refused.
                    assert_eq!(heads.head_ended(Framing::Length(0)), Some(Odd::Unclear));
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
            let mut heads = RawHeads::default();
            step(&mut heads, &(text, framing, Some(Odd::Unclear)), 1000);
        }
        let mut heads = RawHeads::default();
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n";
        step(&mut heads, &(chunked, Framing::Chunked, None), 1000);
        assert!(!heads.is_in_step());
    }

    proptest! {
        /// However many messages come together, and however they are cut: each head is the one that was sent, and of all
        /// bytes only those of odd targets and versions change.
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
            let mut heads = RawHeads::default();
            let mut rest = &mut bytes[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, behind) = rest.split_at_mut((*size).min(rest.len()));
                let left = heads.received(part);
                got.extend_from_slice(&part[..left]);
                rest = behind;
            }
            for (text, framing, odd) in &picked {
                prop_assert!(heads.between_requests().is_none());
                prop_assert_eq!(heads.head_ended(*framing), odd.clone(), "{:?}", text);
            }
            prop_assert!(heads.is_in_step());
            prop_assert!(heads.between_requests().is_some());
            let expected: String = picked.iter().map(|(text, _, _)| text.trim_start()).collect();
            let expected = expected.replace("GET /?q=\"<`>\"", "GET /?q=_____");
            prop_assert_eq!(String::from_utf8(got).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_heard(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        ) {
            let mut heads = RawHeads::default();
            for mut part in parts {
                prop_assert!(heads.received(&mut part) <= part.len());
            }
        }
    }
}
