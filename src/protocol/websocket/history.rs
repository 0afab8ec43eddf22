//! What compressed messages may point back to in earlier ones of their direction (RFC 7692 §7.2, context takeover).
//!
//! A compressor that is kept for each connection takes hundreds of KiB. All that it knows of earlier messages is their last
//! bytes: here these alone are kept, and given to a compressor or decompressor of the thread when the next message comes.

/// The window bits of what is kept: twice 2 KiB for a connection, once it has had as much to say.
pub(super) const HISTORY_BITS: u8 = 11;

/// The last bytes of the compressed messages of one direction, before their compression.
#[derive(Clone, Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    /// The most bytes: a power of two, or 0 where each message stands for itself.
    limit: usize,
}

impl History {
    /// The history of a direction for which these window bits were agreed on; of none, nothing is kept.
    pub(super) fn new(window_bits: Option<u8>) -> Self {
        Self {
            bytes: Vec::new(),
            limit: window_bits.map_or(0, |bits| 1 << bits),
        }
    }

    /// Whether messages may point back to earlier ones.
    pub(super) fn is_kept(&self) -> bool {
        self.limit > 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// These bytes were compressed, and the other side decompresses them before what comes next.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.limit)..];
        let length = self.bytes.len() + bytes.len();
        self.bytes.drain(..length.saturating_sub(self.limit));
        let length = length.min(self.limit);
        if length > self.bytes.capacity() {
            let room = length.next_power_of_two().min(self.limit);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::History;

    proptest! {
        /// It is the end of all that was appended, and takes no more memory than that may.
        #[test]
        fn the_end_is_kept(parts in vec(vec(any::<u8>(), 0..1500), 0..12), bits in proptest::option::of(9..=12_u8)) {
            let mut history = History::new(bits);
            let mut all = Vec::new();
            let limit = bits.map_or(0, |bits| 1 << bits);
            for part in parts {
                history.append(&part);
                all.extend(part);
                prop_assert_eq!(history.bytes(), &all[all.len().saturating_sub(limit)..]);
                prop_assert!(history.bytes.capacity() <= limit);
            }
        }
    }
}
