//! A message of which some has come in: joined, decompressed and checked as far as it goes.

use bytes::Bytes;

use crate::interface::WebSocketMessage;

use super::frame_head::WebSocketFault;
use super::inflater::Inflater;

/// The most bytes that are allocated on the word of a client, before they come in.
const MOST_AHEAD: u64 = 1 << 16;

const TOO_BIG: WebSocketFault = WebSocketFault::too_big("a message that is too big");

/// A message of which some has come in.
pub(super) struct PartialMessage {
    is_text: bool,
    is_compressed: bool,
    /// The most bytes of the message.
    limit: usize,
    /// How many bytes the heads of its frames have announced.
    announced: u64,
    /// What the message is so far.
    bytes: Vec<u8>,
    /// How many of the bytes are known to be UTF-8. A sequence that is not complete follows.
    checked: usize,
    /// From the first compressed byte on.
    inflater: Option<Box<Inflater>>,
}

impl PartialMessage {
    pub(super) fn new(is_text: bool, is_compressed: bool, limit: usize) -> Self {
        Self {
            is_text,
            is_compressed,
            limit,
            announced: 0,
            bytes: Vec::new(),
            checked: 0,
            inflater: None,
        }
    }

    /// A frame of so many bytes begins.
    pub(super) fn announce(&mut self, length: u64) -> Result<(), WebSocketFault> {
        self.announced = self.announced.saturating_add(length);
        let limit = self.limit as u64;
        // What cannot be compressed becomes a little longer, and blocks may be empty, but not without end.
        let allowance = if self.is_compressed {
            limit / 8 + 1024
        } else {
            0
        };
        if self.announced > limit.saturating_add(allowance) {
            return Err(TOO_BIG);
        }
        if !self.is_compressed {
            let ahead = length.min(MOST_AHEAD);
            self.bytes
                .reserve_exact(usize::try_from(ahead).unwrap_or_default());
        }
        Ok(())
    }

    /// The most bytes that are to be added at once: each may become a thousand.
    pub(super) fn step(&self) -> usize {
        if self.is_compressed { 512 } else { usize::MAX }
    }

    /// Bytes of a frame, without mask. By how many bytes the message has grown.
    pub(super) fn add(&mut self, payload: &[u8]) -> Result<usize, WebSocketFault> {
        let before = self.bytes.len();
        if self.is_compressed && !payload.is_empty() {
            self.inflate(payload)?;
        } else {
            self.bytes.extend_from_slice(payload);
            self.check()?;
        }
        Ok(self.bytes.len() - before)
    }

    fn inflate(&mut self, payload: &[u8]) -> Result<(), WebSocketFault> {
        let inflater = self
            .inflater
            .get_or_insert_with(|| Box::new(Inflater::new()));
        let inflated = inflater.inflate(payload, &mut self.bytes, self.limit);
        self.check()?;
        inflated.map_err(|_| NOT_DEFLATED)
    }

    /// The message is complete.
    pub(super) fn finish(mut self) -> Result<WebSocketMessage, WebSocketFault> {
        // Without any byte it is empty.
        if let Some(mut inflater) = self.inflater.take() {
            let finished = inflater.finish(&mut self.bytes, self.limit);
            self.check()?;
            finished.map_err(|_| NOT_DEFLATED)?;
            self.bytes.shrink_to_fit();
        }
        let is_whole = !self.is_text || self.checked == self.bytes.len();
        let bytes = Bytes::from(self.bytes);
        match (self.is_text, is_whole) {
            (true, true) => Ok(WebSocketMessage::Text(bytes)),
            (true, false) => Err(NOT_UTF_8),
            (false, _) => Ok(WebSocketMessage::Binary(bytes)),
        }
    }

    /// Checks what is new. The first fault of the bytes decides, so that it does not matter in what parts they came.
    fn check(&mut self) -> Result<(), WebSocketFault> {
        let end = self.bytes.len().min(self.limit);
        if self.is_text {
            match std::str::from_utf8(&self.bytes[self.checked..end]) {
                Ok(_) => self.checked = end,
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(NOT_UTF_8),
            }
        }
        if self.bytes.len() > self.limit {
            return Err(TOO_BIG);
        }
        Ok(())
    }
}

const NOT_UTF_8: WebSocketFault = WebSocketFault::data("a text that is not UTF-8");
const NOT_DEFLATED: WebSocketFault = WebSocketFault::data("a message that cannot be decompressed");
