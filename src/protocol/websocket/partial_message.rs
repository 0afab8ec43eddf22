//! A message of which some has come in: joined, decompressed and checked as far as it goes.

use bytes::Bytes;

use crate::interface::WebSocketMessage;

use super::frame_head::WebSocketFault;
use super::history::History;
use super::inflater::Inflater;

/// The most bytes that are allocated on the word of a client, before they come in.
const MOST_AHEAD: u64 = 1 << 14;

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
        // Most messages are one frame and get what they need; what is longer grows by doubling.
        if !self.is_compressed && self.bytes.is_empty() {
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

    /// Bytes of a frame, without mask, and what they may point back to if they are compressed. By how many bytes the message
    /// has grown.
    pub(super) fn add(
        &mut self,
        payload: &[u8],
        history: &History,
    ) -> Result<usize, WebSocketFault> {
        let before = self.bytes.len();
        if self.is_compressed && !payload.is_empty() {
            self.inflate(payload, history)?;
        } else {
            self.bytes.extend_from_slice(payload);
            self.check()?;
        }
        Ok(self.bytes.len() - before)
    }

    fn inflate(&mut self, payload: &[u8], history: &History) -> Result<(), WebSocketFault> {
        let inflater = self
            .inflater
            .get_or_insert_with(|| Box::new(Inflater::new(history.bytes())));
        let inflated = inflater.inflate(payload, &mut self.bytes, self.limit);
        self.check()?;
        inflated.map_err(|_| NOT_DEFLATED)
    }

    /// The message is complete, and may be pointed back to if it was compressed.
    pub(super) fn finish(
        mut self,
        history: &mut History,
    ) -> Result<WebSocketMessage, WebSocketFault> {
        // Without any byte it is empty.
        if let Some(mut inflater) = self.inflater.take() {
            let finished = inflater.finish(&mut self.bytes, self.limit);
            self.check()?;
            finished.map_err(|_| NOT_DEFLATED)?;
            history.append(&self.bytes);
        }
        // It may wait for the application for long.
        self.bytes.shrink_to_fit();
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
        if self.is_text {
            match std::str::from_utf8(&self.bytes[self.checked..]) {
                Ok(_) => self.checked = self.bytes.len(),
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

#[cfg(test)]
mod tests {
    use super::{History, PartialMessage, WebSocketMessage};

    const NONE: Option<u8> = None;

    /// Else each fragment would cost as much as the whole message.
    #[test]
    fn many_fragments_move_the_message_a_few_times() {
        let mut message = PartialMessage::new(true, false, 1 << 20);
        let mut moves = 0;
        for _ in 0..1 << 20 {
            let before = message.bytes.capacity();
            message.announce(1).expect("within the limit");
            message.add(b"a", &History::new(NONE)).expect("a text");
            moves += usize::from(message.bytes.capacity() != before);
        }
        assert!(moves <= 24, "{moves}");
        let message = message.finish(&mut History::new(NONE)).expect("a text");
        assert_eq!(message.payload().len(), 1 << 20);
    }

    /// A message that is complete holds no more than it is; one that is announced holds little.
    #[test]
    fn messages_hold_what_they_are() {
        let mut announced = PartialMessage::new(false, false, 1 << 30);
        announced.announce(1 << 30).expect("within the limit");
        assert_eq!(announced.bytes.capacity(), 1 << 14);
        let fragments: [&[&[u8]]; 3] = [
            &[b"Hello"],
            &[&[0; 20_000], &[0; 20_000], b"!"],
            &[b"a", b"b", b"c"],
        ];
        for (fragments, is_compressed) in fragments
            .into_iter()
            .flat_map(|it| [(it, false), (it, true)])
        {
            let whole = fragments.concat();
            let mut message = PartialMessage::new(false, is_compressed, usize::MAX);
            let compressed = super::super::deflater::deflate(&whole, &[], 15, true);
            let parts = if is_compressed {
                &[compressed.as_slice()]
            } else {
                fragments
            };
            for part in parts {
                message.announce(part.len() as u64).expect("no limit");
                message.add(part, &History::new(NONE)).expect("no fault");
            }
            let (WebSocketMessage::Text(bytes) | WebSocketMessage::Binary(bytes)) =
                message.finish(&mut History::new(NONE)).expect("no fault");
            let bytes = bytes.try_into_mut().expect("nobody else has them");
            assert_eq!((bytes.len(), bytes.capacity()), (whole.len(), whole.len()));
        }
    }

    /// All that can be decompressed is there at once, however full the buffer was in between.
    #[test]
    fn nothing_is_held_back() {
        for length in 1..1200 {
            let compressed = super::super::deflater::deflate(&vec![b'a'; length], &[], 15, false);
            let mut message = PartialMessage::new(true, true, 1 << 20);
            message
                .add(&compressed, &History::new(NONE))
                .expect("a text");
            assert_eq!((message.bytes.len(), message.checked), (length, length));
        }
    }
}
