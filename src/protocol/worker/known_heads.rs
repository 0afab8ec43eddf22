//! The heads of earlier requests that a worker's lane has kept, so that they need not be sent again.
//!
//! Server and lane have tables of the same size. The server decides which head is in which slot and says so with each
//! request; the lane reads all requests in order, so that both tables are the same.

/// The number of heads that a lane keeps.
pub const SLOTS: usize = 512;
/// The largest head that is kept, in bytes; it bounds the memory of both sides.
const LARGEST: usize = 2048;

/// Whether a lane has a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No: send it.
    New,
    /// No, but its connection has sent a request before: send it to be kept.
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
    /// The connection that used the slot last: until it sends another request, its head is not worth keeping.
    connection: usize,
    kept: Vec<u8>,
}

impl KnownHeads {
    /// Whether the lane has a head, and in which slot. The connection only decides the slot; heads are compared by their
    /// bytes.
    pub fn look_at(&mut self, connection: usize, head: &[u8]) -> (Sight, u16) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, HeadSlot::default());
        }
        let index = slot_of(connection);
        // There are fewer than 65536.
        let number = index as u16;
        let slot = &mut self.slots[index];
        if !slot.kept.is_empty() && slot.kept == head {
            return (Sight::Known, number);
        }
        if slot.connection != connection || head.len() > LARGEST {
            slot.connection = connection;
            return (Sight::New, number);
        }
        slot.kept.clear();
        slot.kept.extend_from_slice(head);
        (Sight::Again, number)
    }
}

/// The slot for the address of a connection: addresses are multiples of a power of two, and often of each other.
fn slot_of(connection: usize) -> usize {
    let mixed = (connection as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::{KnownHeads, LARGEST, Sight};

    #[test]
    fn a_head_is_kept_when_its_connection_comes_again() {
        let mut heads = KnownHeads::default();
        let mut look = |connection, head: &[u8]| heads.look_at(connection, head).0;
        assert_eq!(look(64, b"a"), Sight::New);
        assert_eq!(look(64, b"a"), Sight::Again);
        assert_eq!(look(64, b"a"), Sight::Known);
        assert_eq!(look(64, b"b"), Sight::Again, "another head");
        assert_eq!(look(64, b"b"), Sight::Known);
        assert_eq!(look(64, b"a"), Sight::Again, "the first is forgotten");
        let large = vec![0; LARGEST + 1];
        assert_eq!(look(64, &large), Sight::New);
        assert_eq!(look(64, &large), Sight::New);
        assert_eq!(look(64, b"a"), Sight::Known, "it was left alone");
    }

    /// A lane, as worker.py has it, sees the right head for each request, whatever connections share slots.
    #[test]
    fn a_lane_has_the_heads_that_the_server_counts_on() {
        for connections in [100, 3000] {
            let mut heads = KnownHeads::default();
            let mut lane = std::collections::HashMap::new();
            let mut known = 0;
            for round in 0..20 {
                for connection in (0..connections).map(|number| number * 112) {
                    let head = format!("{connection} {}", round / 5);
                    let (sight, slot) = heads.look_at(connection, head.as_bytes());
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
            assert!(known > 0, "{connections}");
        }
    }
}
