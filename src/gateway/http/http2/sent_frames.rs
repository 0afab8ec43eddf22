//! What `h2` says to a client of its own accord: it refuses a malformed request by `RST_STREAM` with `PROTOCOL_ERROR`
//! (RFC 9113 §8.1.1), and others likewise, and tells nobody else. The log learns of it here, from the frames as they are sent.

use h2::Reason;

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
    /// Follows what was sent: the reasons for which streams were reset.
    pub(super) fn sent(&mut self, mut part: &[u8]) -> Vec<Reason> {
        let mut resets = Vec::new();
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
                resets.extend(self.step());
            }
        }
        resets
    }

    /// The head of a frame is there, or all of a reset: the reason for that.
    fn step(&mut self) -> Option<Reason> {
        let [high, middle, low, kind, .., first, second, third, last] = self.begun;
        let is_reset = kind == RST_STREAM;
        if is_reset && self.have == FRAME_HEAD {
            return None;
        }
        if !is_reset {
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        }
        self.have = 0;
        is_reset.then(|| u32::from_be_bytes([first, second, third, last]).into())
    }
}

/// What the log says of a request that was reset for a reason of this kind; `None` for what says nothing of a request, and for
/// what has its line elsewhere.
pub(super) fn fault(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::PROTOCOL_ERROR => Some("it is malformed (RST_STREAM with PROTOCOL_ERROR)"),
        Reason::FLOW_CONTROL_ERROR => {
            Some("a window of its stream is exceeded (RST_STREAM with FLOW_CONTROL_ERROR)")
        }
        Reason::STREAM_CLOSED => {
            Some("something comes behind its end (RST_STREAM with STREAM_CLOSED)")
        }
        Reason::REFUSED_STREAM => Some(
            "too many of its client are under way (RST_STREAM with REFUSED_STREAM, runner.http.max_streams)",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use h2::Reason;

    use super::SentFrames;

    /// However the bytes are sent, the same resets are seen in them.
    #[test]
    fn resets_are_found_among_other_frames() {
        let reset = |reason| [&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0][..], &[reason]].concat();
        // Data that looks like a reset.
        let data = [&[0, 0, 13, 0, 1, 0, 0, 0, 1][..], &reset(1)].concat();
        let empty = [0, 0, 0, 4, 1, 0, 0, 0, 0].to_vec();
        let all = [data, reset(8), empty, reset(1), reset(1), reset(0)].concat();
        for size in 1..all.len() {
            let mut frames = SentFrames::default();
            let resets: Vec<Reason> = all
                .chunks(size)
                .flat_map(|part| frames.sent(part))
                .collect();
            let expected = [8, 1, 1, 0].map(Reason::from);
            assert_eq!(resets, expected, "{size}");
        }
    }
}
