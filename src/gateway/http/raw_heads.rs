//! The heads of requests as they came in, to see what hyper hides: of `Content-Length` beside
//! `Transfer-Encoding` it drops the one and closes the connection after the answer, which RFC 9112 §6.1
//! allows; but such a request is an attack, and is to be refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memchr_iter;

/// More than this is not remembered.
const LIMIT: usize = 256 * 1024;

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes, or none.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// What was received on a connection and is not yet known to belong to a body.
///
/// What follows a chunked body in the same segment, pipelined, is not seen.
#[derive(Debug, Default)]
pub struct RawHeads {
    /// How often something was received.
    count: u64,
    bytes: Vec<u8>,
    /// How much of a body is still to come.
    body: u64,
    in_chunks: bool,
    ambiguous: bool,
}

impl RawHeads {
    /// Something came in.
    pub fn received(&mut self, part: &[u8]) {
        self.count += 1;
        if self.in_chunks {
            return;
        }
        let skipped = part
            .len()
            .min(usize::try_from(self.body).unwrap_or(usize::MAX));
        self.body -= skipped as u64;
        let part = &part[skipped..];
        if self.bytes.len() + part.len() <= LIMIT {
            self.bytes.extend_from_slice(part);
        }
    }

    /// hyper has read a head.
    pub fn head_ended(&mut self, framing: Framing) {
        let end = end_of_head(&self.bytes);
        self.ambiguous = false;
        match framing {
            Framing::Length(length) => {
                let received = self.bytes.len() - end;
                let skipped = received.min(usize::try_from(length).unwrap_or(usize::MAX));
                self.body = length - skipped as u64;
                self.bytes.drain(..end + skipped);
            }
            Framing::Chunked => {
                self.ambiguous = has_content_length(&self.bytes[..end]);
                self.in_chunks = true;
                self.bytes.clear();
            }
        }
    }

    /// The chunks are over.
    pub fn chunks_ended(&mut self) {
        self.in_chunks = false;
    }

    /// How often something was received, if what was received last ended a request, or nothing was: the client
    /// owes us nothing. Empty lines between requests count for nothing (RFC 9112 §2.2).
    pub fn between_requests(&self) -> Option<u64> {
        let blank = self.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        (blank && self.is_whole()).then_some(self.count)
    }

    /// Whether nothing of a body is still to come.
    pub fn is_whole(&self) -> bool {
        self.body == 0 && !self.in_chunks
    }

    /// Whether the last head had a `Content-Length` beside its `Transfer-Encoding`.
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }
}

/// The heads, which only the connection's own task touches, a moment at a time.
pub fn lock(heads: &Mutex<RawHeads>) -> MutexGuard<'_, RawHeads> {
    heads.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Behind the empty line; empty lines at the start do not count (RFC 9112 §2.2).
fn end_of_head(bytes: &[u8]) -> usize {
    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    let start = bytes.iter().position(is_text).unwrap_or_default();
    for end in memchr_iter(b'\n', &bytes[start..]) {
        let rest = &bytes[start + end + 1..];
        if rest.starts_with(b"\r\n") {
            return start + end + 3;
        }
        if rest.starts_with(b"\n") {
            return start + end + 2;
        }
    }
    bytes.len()
}

fn has_content_length(head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length:";
    memchr_iter(b'\n', head).any(|end| {
        let line = &head[end + 1..];
        line.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })
}

#[cfg(test)]
mod tests {
    use super::{Framing, RawHeads};

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n";
    const BODY: &str = "Transfer-Encoding: a\r\nContent-Length: 1\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    const AMBIGUOUS: &str =
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-LENGTH: 1\r\n\r\n";

    /// Whether the last head is ambiguous, if all comes in parts of this size.
    fn is_ambiguous(requests: &[(&str, &str, Framing)], size: usize) -> bool {
        let mut heads = RawHeads::default();
        for (head, body, framing) in requests {
            for part in head.as_bytes().chunks(size) {
                heads.received(part);
            }
            heads.head_ended(*framing);
            for part in body.as_bytes().chunks(size) {
                heads.received(part);
            }
            heads.chunks_ended();
        }
        heads.is_ambiguous()
    }

    #[test]
    fn only_the_head_itself_counts() {
        let none = Framing::Length(0);
        for size in [1, 7, 1000] {
            let cases: [(&[_], bool); 6] = [
                (&[(AMBIGUOUS, "", Framing::Chunked)], true),
                (&[(CHUNKED, BODY, Framing::Chunked)], false),
                (&[(GET, "", none), (AMBIGUOUS, "", Framing::Chunked)], true),
                (
                    &[
                        (POST, BODY, Framing::Length(40)),
                        (CHUNKED, "", Framing::Chunked),
                    ],
                    false,
                ),
                (
                    &[
                        (POST, BODY, Framing::Length(40)),
                        (AMBIGUOUS, "", Framing::Chunked),
                    ],
                    true,
                ),
                (
                    &[
                        (AMBIGUOUS, "", Framing::Chunked),
                        (CHUNKED, "", Framing::Chunked),
                    ],
                    false,
                ),
            ];
            for (requests, expected) in cases {
                assert_eq!(
                    is_ambiguous(requests, size),
                    expected,
                    "{requests:?} {size}"
                );
            }
        }
    }

    #[test]
    fn requests_that_come_at_once_are_told_apart() {
        let mut heads = RawHeads::default();
        let all = ["\r\n\r\n", GET, GET, POST, BODY, "\r\n", CHUNKED].concat();
        heads.received(all.as_bytes());
        for framing in [
            Framing::Length(0),
            Framing::Length(0),
            Framing::Length(40),
            Framing::Chunked,
        ] {
            heads.head_ended(framing);
            assert!(!heads.is_ambiguous());
        }
        heads.chunks_ended();
        heads.received(AMBIGUOUS.replace("\r\n", "\n").as_bytes());
        heads.head_ended(Framing::Chunked);
        assert!(heads.is_ambiguous());
    }
}
