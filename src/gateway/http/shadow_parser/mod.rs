//! The parser of what a client sends, before hyper's: it alone decides what is a request, and where that ends (RFC 9112).
//! hyper gets only heads that this parser has found whole and without a fault; instead of one with a fault, it gets the first
//! line alone ([`Hidden::Refused`]), so that the refusal is sent when its turn comes. So a client's mistake has the same
//! status, body and log line, whatever is wrong.
//!
//! Two parsers that disagree about where a request ends would allow request smuggling. So each head that hyper reads is
//! compared with the one that was seen here, and the connection ends where they differ.

mod chunked;
mod field_text;
pub(super) mod framing;
mod head;
pub(super) mod head_limits;
pub(super) mod request_line;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;

use crate::gateway::body::spool::SpoolError;
use crate::gateway::http::request_timer::AwaitedRequest;
use crate::gateway::http::shadow_parser::chunked::{ChunkFault, Chunks, MalformedChunk};
use crate::gateway::http::shadow_parser::framing::Framing;
use crate::gateway::http::shadow_parser::head::{Head, StandIn, WholeHead};
use crate::gateway::http::shadow_parser::head_limits::HeadLimits;
use crate::gateway::refusal::Refusal;

/// What a head has that hyper hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// A fault: hyper got the first line alone, or a line of ours where that has the fault.
    Refused(Refusal, Option<StandIn>),
    /// An end that hyper and this parser do not agree on.
    UnclearEnd,
    /// A target for which hyper got another one.
    Target(Bytes),
}

impl Hidden {
    /// The target as it was sent, if hyper got another one.
    pub(super) fn sent(&self) -> Option<&Bytes> {
        match self {
            Self::Target(target) => Some(target),
            Self::Refused(_, Some(line)) => line.sent.as_ref(),
            Self::Refused(_, None) | Self::UnclearEnd => None,
        }
    }

    /// A fault that was found in a head which is whole for hyper.
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self::Refused(refusal, Some(StandIn { sent: None }))
    }
}

/// How a client of HTTP/2 begins (RFC 9113 §3.4): with the head of a request that HTTP/1 cannot have.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A head that hyper has not read yet.
#[derive(Debug, PartialEq, Eq)]
struct SeenHead {
    framing: Framing,
    hidden: Option<Hidden>,
}

/// The parser of one connection.
#[derive(Debug, Default)]
pub(super) struct ShadowParser {
    limits: HeadLimits,
    /// The largest chunked body, in bytes; `None` for any. That of another body is checked when it is received.
    max_body: Option<u64>,
    /// Whether a connection may begin with HTTP/2.
    takes_http2: bool,
    /// The number of reads that brought something.
    reads: u64,
    position: Position,
    head: Head,
    /// The head that is being read, as far as it has come.
    held: Vec<u8>,
    /// What hyper is to get before the next read.
    queued: Bytes,
    heads: VecDeque<SeenHead>,
    /// The number of messages that have begun for hyper.
    begun: u64,
    /// The number of messages that have ended here.
    ended: u64,
    /// The fault in the body of the message that has not ended.
    body_fault: Option<ChunkFault>,
}

#[derive(Debug, Default)]
enum Position {
    /// In a head, or before it.
    #[default]
    Head,
    /// In a body, before this number of bytes.
    Body(u64),
    /// In a chunked body.
    Chunks(Chunks),
    /// Behind a request for a WebSocket: either its frames follow, or the connection ends with the answer.
    Upgrade,
    /// In HTTP/2. All that has come is held.
    Http2,
    /// Behind a fault. What follows is dropped: the gateway answers and closes the connection.
    Lost,
}

/// What becomes of a part that was read.
#[derive(Debug, Default)]
struct PassedBytes {
    /// The number of bytes, from the beginning, for hyper.
    for_hyper: usize,
    /// The number of bytes behind them that are held back.
    held: usize,
    /// What hyper gets behind the former.
    stand_in: Vec<u8>,
}

impl ShadowParser {
    /// The parser of a new connection, whose bodies have at most `max_body` bytes, and which may begin with HTTP/2 if
    /// `takes_http2`.
    pub(super) fn new(limits: HeadLimits, max_body: u64, takes_http2: bool) -> Self {
        Self {
            limits,
            max_body: Some(max_body),
            takes_http2,
            ..Self::default()
        }
    }

    /// Parses what was read, and changes it into what hyper gets: the number of bytes that are left of it. More may be there
    /// for [`ShadowParser::take_queued`].
    pub(super) fn received(&mut self, part: &mut [u8]) -> usize {
        self.reads += 1;
        if self.held.is_empty() && self.queued.is_empty() {
            let passed = self.pass(part);
            let held = part.get(passed.for_hyper..passed.for_hyper + passed.held);
            self.held.extend_from_slice(held.unwrap_or_default());
            self.queued = passed.stand_in.into();
            return passed.for_hyper;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(part);
        let passed = self.pass(&mut text);
        text.truncate(passed.for_hyper + passed.held);
        if passed.for_hyper == 0 {
            self.held = text;
        } else {
            self.held = text.split_off(passed.for_hyper);
            self.queue(text);
        }
        self.queue(passed.stand_in);
        0
    }

    fn queue(&mut self, text: Vec<u8>) {
        match (self.queued.is_empty(), text.is_empty()) {
            (_, true) => {}
            (true, false) => self.queued = text.into(),
            (false, false) => self.queued = [&self.queued[..], &text].concat().into(),
        }
    }

    /// Moves what hyper is to get before the next read, as far as there is room; whether there was something.
    pub(super) fn take_queued(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let length = self.queued.len().min(buffer.remaining());
        buffer.put_slice(&self.queued[..length]);
        self.queued.advance(length);
        if self.queued.is_empty() {
            self.queued = Bytes::new();
        }
        length > 0
    }

    /// Follows a text through the messages in it. Empty lines between requests do not count (RFC 9112 §2.2).
    fn pass(&mut self, part: &mut [u8]) -> PassedBytes {
        let (mut at, mut end) = (0, part.len());
        while at < end {
            let rest = &mut part[at..end];
            at += match &mut self.position {
                Position::Head if self.head.is_new() && rest.starts_with(b"\r\n") => {
                    let lines = rest.chunks_exact(2).take_while(|line| line == b"\r\n");
                    let blank = 2 * lines.count();
                    rest.copy_within(blank.., 0);
                    end -= blank;
                    0
                }
                Position::Head if self.head.is_new() && rest == b"\r" => {
                    return PassedBytes::held_from(at, end);
                }
                Position::Head => match self.head.advance(rest, &self.limits) {
                    Ok(Some(head)) => {
                        let length = head.length;
                        self.head_seen(&head, &mut rest[..length]);
                        length
                    }
                    Ok(None) => return PassedBytes::held_from(at, end),
                    Err(_) if self.takes_http2 && self.begins_http2(rest) => {
                        self.position = Position::Http2;
                        return PassedBytes::held_from(at, end);
                    }
                    Err(refusal) => {
                        return PassedBytes {
                            for_hyper: at,
                            stand_in: self.refuse(refusal, rest),
                            ..PassedBytes::default()
                        };
                    }
                },
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
                    Err(fault) => {
                        self.body_fault = Some(fault);
                        self.position = Position::Lost;
                        0
                    }
                },
                Position::Upgrade => rest.len(),
                Position::Http2 => return PassedBytes::held_from(at, end),
                Position::Lost => break,
            };
        }
        PassedBytes::held_from(at, at)
    }

    /// Whether this is the beginning of a connection by HTTP/2.
    fn begins_http2(&self, text: &[u8]) -> bool {
        self.begun == 0 && self.heads.is_empty() && text.starts_with(HTTP2_PREFACE)
    }

    /// Whether the client speaks HTTP/2.
    pub(super) fn is_at_http2(&self) -> bool {
        matches!(self.position, Position::Http2)
    }

    /// What has come if the client speaks HTTP/2, from the beginning of the connection on.
    pub(super) fn take_http2(&mut self) -> Option<Bytes> {
        self.is_at_http2()
            .then(|| std::mem::take(&mut self.held).into())
    }

    fn end(&mut self) {
        self.ended += 1;
        self.position = Position::Head;
    }

    /// Called at the end of a head without a fault.
    fn head_seen(&mut self, head: &WholeHead, text: &mut [u8]) {
        let seen = std::mem::take(&mut self.head);
        let hidden = seen.prepare(text).map(Hidden::Target);
        let framing = head.framing;
        self.position = match framing {
            Framing::Length(0) => {
                self.ended += 1;
                match head.is_upgrade {
                    true => Position::Upgrade,
                    false => Position::Head,
                }
            }
            Framing::Length(length) => Position::Body(length),
            Framing::Chunked => Position::Chunks(Chunks::new(self.max_body)),
        };
        self.heads.push_back(SeenHead { framing, hidden });
    }

    /// Called at the first fault of a head: what hyper gets instead.
    fn refuse(&mut self, refusal: Refusal, text: &[u8]) -> Vec<u8> {
        let (instead, line) = std::mem::take(&mut self.head).stand_in(text);
        self.position = Position::Lost;
        self.ended += 1;
        self.heads.push_back(SeenHead {
            framing: Framing::Length(0),
            hidden: Some(Hidden::Refused(refusal, line)),
        });
        instead
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

    /// The refusal of the body that hyper is reading, if it has a fault (400) or is too large (413).
    pub(super) fn fault(&self) -> Option<Refusal> {
        match self.body_fault.filter(|_| !self.is_in_step())? {
            ChunkFault::Malformed(MalformedChunk(reason)) => Some(Refusal::malformed(reason)),
            ChunkFault::TooLarge => Some(SpoolError::TooLarge.into()),
        }
    }

    /// The number of reads, if the last one ended a request that hyper has read, or there was none: neither side owes the
    /// other anything.
    pub(super) fn between_requests(&self) -> Option<u64> {
        let nothing = matches!(self.position, Position::Head) && !self.is_in_head();
        (nothing && self.heads.is_empty()).then_some(self.reads)
    }

    /// The number of reads that brought something.
    pub(super) fn reads(&self) -> u64 {
        self.reads
    }

    /// Whether a head has begun to come, and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        // A carriage return may end an empty line before a request.
        self.held.len() > 1 || self.held.first().is_some_and(|byte| *byte != b'\r')
    }

    /// What hyper waits for, if that is a head.
    pub(super) fn awaited(&self) -> Option<AwaitedRequest> {
        match self.position {
            Position::Head => Some(AwaitedRequest {
                begun: self.begun,
                in_head: self.is_in_head(),
            }),
            Position::Body(_)
            | Position::Chunks(_)
            | Position::Upgrade
            | Position::Http2
            | Position::Lost => None,
        }
    }

    /// The number of requests that hyper has begun to read.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }
}

impl PassedBytes {
    fn held_from(at: usize, end: usize) -> Self {
        Self {
            for_hyper: at,
            held: end - at,
            stand_in: Vec::new(),
        }
    }
}

/// Only the task of the connection locks its parser, so that it never waits.
pub(super) fn lock(parser: &Mutex<ShadowParser>) -> MutexGuard<'_, ShadowParser> {
    parser.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
