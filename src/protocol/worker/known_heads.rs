//! The heads of earlier requests that a worker's lane has kept, so that they need not be sent again.
//!
//! Server and lane have tables of the same size. The server decides which head is in which slot and says so with each
//! request; the lane reads all requests in order, so that both tables are the same.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// The number of heads that a lane keeps.
pub const SLOTS: usize = 512;
/// The largest head that is kept, in bytes; it bounds the memory of both sides.
const LARGEST: usize = 2048;

/// Whether a lane has a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No: send it.
    New,
    /// No, but it has come before: send it to be kept.
    Again,
    /// Yes.
    Known,
}

/// The table of a lane.
#[derive(Debug, Default)]
pub struct KnownHeads {
    slots: Vec<HeadSlot>,
}

#[derive(Clone, Debug, Default)]
struct HeadSlot {
    /// The hash of the last head that was not the one kept: until it comes again, it is not worth keeping.
    seen: u64,
    /// The head that is kept, and its hash.
    kept: Vec<u8>,
    hash: u64,
}

impl KnownHeads {
    /// Whether the lane has a head, and in which slot. The hash decides the slot; heads are compared by their bytes, so that
    /// a client that makes hashes collide gains nothing.
    pub fn look_at(&mut self, head: &[u8]) -> (Sight, u16) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, HeadSlot::default());
        }
        let hash = FixedState::default().hash_one(head);
        let index = (hash >> 32) as usize % SLOTS;
        // There are fewer than 65536.
        let number = index as u16;
        let slot = &mut self.slots[index];
        if slot.hash == hash && slot.kept == head {
            return (Sight::Known, number);
        }
        if slot.seen != hash || head.len() > LARGEST {
            slot.seen = hash;
            return (Sight::New, number);
        }
        slot.hash = hash;
        slot.kept.clear();
        slot.kept.extend_from_slice(head);
        (Sight::Again, number)
    }
}

#[cfg(test)]
mod tests {
    use super::{KnownHeads, LARGEST, Sight};

    #[test]
    fn a_head_is_kept_when_it_comes_again() {
        let mut heads = KnownHeads::default();
        let mut look = |head: &[u8]| heads.look_at(head).0;
        assert_eq!(look(b"a"), Sight::New);
        assert_eq!(look(b"a"), Sight::Again);
        assert_eq!(look(b"a"), Sight::Known);
        let large = vec![0; LARGEST + 1];
        for _ in 0..3 {
            assert_eq!(look(&large), Sight::New);
        }
        assert_eq!(look(b"a"), Sight::Known, "it was left alone");
    }

    /// A lane, as worker.py has it, sees the right head for each request, whatever heads share slots.
    #[test]
    fn a_lane_has_the_heads_that_the_server_counts_on() {
        for clients in [1, 100, 3000] {
            let mut heads = KnownHeads::default();
            let mut lane = std::collections::HashMap::new();
            let mut known = 0;
            for round in 0..20 {
                for client in 0..clients {
                    let head = format!("{client} {}", round / 5);
                    let (sight, slot) = heads.look_at(head.as_bytes());
                    match sight {
                        Sight::New => {}
                        Sight::Again => drop(lane.insert(slot, head)),
                        Sight::Known => {
                            known += 1;
                            assert_eq!(lane.get(&slot), Some(&head));
                        }
                    }
                }
            }
            assert!(known > 0, "{clients}");
        }
    }
}
