//! The head of a request (RFC 9112 §2 to §6), line by line as it comes: each line is checked once, whole, and nothing is
//! passed on before the empty line. What is wrong is found out as soon as the line with the fault has ended, or is too long.

use bytes::Bytes;
use memchr::memchr;

use crate::gateway::http::shadow_parser::field_text::{is_token, is_value};
use crate::gateway::http::shadow_parser::framing::{Framing, FramingFields};
use crate::gateway::http::shadow_parser::head_limits::HeadLimits;
use crate::gateway::http::shadow_parser::request_line::{self, METHOD_LIMIT, RequestLine};
use crate::gateway::refusal::Refusal;

/// The longest part of a first line beside the target: a method, two spaces, a version.
const AROUND_TARGET: usize = METHOD_LIMIT + " HTTP/1.1 ".len();

/// What a client of `https` sends first (RFC 8446 §5.1): the record type of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A head, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The number of bytes in which the end of a line was looked for.
    scanned: usize,
    /// Where the line begins that has not ended.
    line: usize,
    first: Option<RequestLine>,
    /// The number of fields.
    count: usize,
    fields: FramingFields,
}

/// A head that has come whole, and has no fault that this parser looks for.
#[derive(Debug)]
pub(super) struct WholeHead {
    /// The number of its bytes.
    pub length: usize,
    pub framing: Framing,
    /// The client may be asking for a WebSocket.
    pub is_upgrade: bool,
}

impl Head {
    /// Whether nothing of it has been looked at.
    pub(super) fn is_new(&self) -> bool {
        self.scanned == 0
    }

    /// Goes on with a head of which this text is all that has come, or more than that: the head if that is whole.
    ///
    /// # Errors
    /// Its first fault.
    pub(super) fn advance(
        &mut self,
        text: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<WholeHead>, Refusal> {
        while let Some(at) = memchr(b'\n', &text[self.scanned..]) {
            let end = self.scanned + at + 1;
            let line = &text[self.line..end];
            self.check_size(line.len(), end, limits)?;
            self.check_begun(&line[..line.len() - 1])?;
            let Some(line) = line.strip_suffix(b"\r\n") else {
                // RFC 9112 §2.2 allows to take it for the end of a line: others may not.
                let reason = "a line of the head ends in a line feed without a carriage return";
                return Err(Refusal::malformed(reason));
            };
            match &self.first {
                None => self.first = Some(RequestLine::parse(line, limits)?),
                Some(first) if line.is_empty() => {
                    return Ok(Some(WholeHead {
                        length: end,
                        framing: self.fields.framing(first.minor)?,
                        is_upgrade: first.minor > 0 && self.fields.may_offer_web_socket(),
                    }));
                }
                Some(_) => self.field(line, limits)?,
            }
            (self.line, self.scanned) = (end, end);
        }
        self.check_size(text.len() - self.line, text.len(), limits)?;
        self.check_begun(&text[self.line..])?;
        self.scanned = text.len();
        Ok(None)
    }

    /// Changes the head into what hyper gets: the target as the client sent it, if hyper gets another one.
    pub(super) fn prepare(&self, head: &mut [u8]) -> Option<Bytes> {
        self.first.as_ref().and_then(|first| first.prepare(head))
    }

    /// What hyper gets instead of a head with a fault, so that the refusal is sent when its turn comes, behind the answers to
    /// earlier requests: the first line alone, if that has no fault. Then the target, too, if hyper gets another one.
    pub(super) fn stand_in(&self, text: &[u8]) -> (Vec<u8>, Option<StandIn>) {
        const END: &[u8] = b"\r\n\r\n";
        match (&self.first, memchr(b'\r', text)) {
            (Some(first), Some(end)) => {
                let mut line = text[..end].to_vec();
                let sent = first.prepare(&mut line);
                line.extend_from_slice(END);
                (line, Some(StandIn { sent }))
            }
            // RFC 9110 §9.3.2: no body answers a `HEAD`.
            _ if text.starts_with(b"HEAD ") => (b"HEAD / HTTP/1.1\r\n\r\n".to_vec(), None),
            _ => (b"GET / HTTP/1.1\r\n\r\n".to_vec(), None),
        }
    }

    /// Checks the length of a line with its end, and of all up to it.
    fn check_size(&self, line: usize, all: usize, limits: &HeadLimits) -> Result<(), Refusal> {
        if self.first.is_none() {
            return match line > limits.target + AROUND_TARGET + 2 {
                true => Err(request_line::too_long(limits)),
                false => Ok(()),
            };
        }
        limits.check_field(line.saturating_sub(2))?;
        limits.check_head(all)
    }

    /// Finds out what is no HTTP at all before a line of it ends, which may be never.
    fn check_begun(&self, line: &[u8]) -> Result<(), Refusal> {
        if self.first.is_some() {
            return Ok(());
        }
        if line.first() == Some(&TLS_HANDSHAKE) {
            let reason = "the client speaks TLS (https), and this is a port for plain HTTP";
            return Err(Refusal::malformed(reason));
        }
        let method = memchr(b' ', line).unwrap_or(line.len());
        let is_known = method < line.len();
        let method = &line[..method];
        // The last byte may begin the end of the line.
        let method = match is_known {
            true => method,
            false => method.strip_suffix(b"\r").unwrap_or(method),
        };
        match method.len() > METHOD_LIMIT || !method.is_empty() && !is_token(method) {
            true => Err(Refusal::malformed("the method is malformed")),
            false => Ok(()),
        }
    }

    /// Checks a field (RFC 9112 §5).
    fn field(&mut self, line: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        self.count += 1;
        limits.check_count(self.count)?;
        let malformed = |reason| Err(Refusal::malformed(reason));
        if matches!(line.first(), Some(b' ' | b'\t')) {
            // §2.2 behind the first line, §5.2 elsewhere.
            return malformed("a line of the head begins with a blank");
        }
        let Some(colon) = memchr(b':', line) else {
            return malformed("a line of the head has no colon");
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) {
            return malformed(match name.last() {
                None => "a field has no name",
                // §5.1
                Some(b' ' | b'\t') => "there is a blank before the colon of a field",
                Some(_) => "the name of a field is malformed",
            });
        }
        if !is_value(value) {
            return malformed("the value of a field contains a control character");
        }
        self.fields.read(name, value.trim_ascii())
    }
}

/// The first line of a head with a fault, which hyper gets without its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway::http) struct StandIn {
    /// The target as it was sent, if hyper gets another one.
    pub sent: Option<Bytes>,
}
