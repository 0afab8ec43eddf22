//! What `h2` says to a client of its own accord: it refuses a malformed request by `RST_STREAM` with `PROTOCOL_ERROR`
//! (RFC 9113 §8.1.1), and tells nobody else. The log learns of it here, from the frames as they are sent.

use crate::gateway::http::http2::frame_meter::{FRAME_HEAD, RST_STREAM};

/// The payload of a `RST_STREAM`: its reason (§6.4).
const REASON: usize = 4;

/// Reads the frames that a server sends, of which only resets are looked into.
#[derive(Debug, Default)]
pub(super) struct SentFrames {
    /// Bytes of a payload that are to come and are of no interest.
    left: usize,
    /// What was sent of the head of a frame, and of the payload of a reset.
    begun: [u8; FRAME_HEAD + REASON],
    have: usize,
}

impl SentFrames {
    /// Follows what was sent. Returns the number of streams that were reset because of an error in their protocol.
    pub(super) fn sent(&mut self, mut part: &[u8]) -> usize {
        let mut faults = 0;
        while !part.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(part.len());
                self.left -= passed;
                part = &part[passed..];
                continue;
            }
            let wanted = match self.have < FRAME_HEAD {
                true => FRAME_HEAD,
                false => FRAME_HEAD + REASON,
            };
            let count = (wanted - self.have).min(part.len());
            self.begun[self.have..self.have + count].copy_from_slice(&part[..count]);
            self.have += count;
            part = &part[count..];
            if self.have == wanted {
                faults += usize::from(self.step());
            }
        }
        faults
    }

    /// The head of a frame is there, or all of a reset. Returns whether that is one for an error.
    fn step(&mut self) -> bool {
        let [high, middle, low, kind, ..] = self.begun;
        let is_reset = kind == RST_STREAM;
        if is_reset && self.have == FRAME_HEAD {
            return false;
        }
        let reason = &self.begun[FRAME_HEAD..];
        let is_fault = is_reset && reason == u32::from(h2::Reason::PROTOCOL_ERROR).to_be_bytes();
        if !is_reset {
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        }
        self.have = 0;
        is_fault
    }
}

#[cfg(test)]
mod tests {
    use super::SentFrames;

    /// However the bytes are sent, the same resets are seen in them.
    #[test]
    fn resets_for_errors_are_found_among_other_frames() {
        let reset = |reason| [&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0][..], &[reason]].concat();
        // Data that looks like a reset.
        let data = [&[0, 0, 13, 0, 1, 0, 0, 0, 1][..], &reset(1)].concat();
        let empty = [0, 0, 0, 4, 1, 0, 0, 0, 0].to_vec();
        let all = [data, reset(8), empty, reset(1), reset(1), reset(0)].concat();
        for size in 1..all.len() {
            let mut frames = SentFrames::default();
            let faults: usize = all.chunks(size).map(|part| frames.sent(part)).sum();
            assert_eq!(faults, 2, "{size}");
        }
    }
}
