//! What a worker's lane is known to have kept of earlier requests, so that it need not be sent again.
//!
//! Both sides have a table of the same size. We decide what stands where and say so with each request; the lane
//! reads all that we write, in order, and so has what we believe it has.

/// How many heads a lane keeps.
pub const SLOTS: usize = 512;
/// Larger ones are not kept: a bound for the memory of both sides.
const LARGEST: usize = 2048;

/// Whether a head was sent to a lane before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Not that we knew: send it.
    New,
    /// The connection sends more than one request: send it to be kept.
    Again,
    /// It was kept.
    Known,
}

/// The heads that a lane has kept.
#[derive(Debug, Default)]
pub struct KnownHeads {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// The connection that was here last: until it comes again, keeping its head is not worth it.
    connection: usize,
    kept: Vec<u8>,
}

impl KnownHeads {
    /// Whether a head is known, or becomes known now, and in which slot. The connection only says where to look: what
    /// counts is that the bytes are the same.
    pub fn look_at(&mut self, connection: usize, head: &[u8]) -> (Sight, u16) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        let index = place(connection);
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

/// Spreads addresses, which are multiples of a power of two and often of each other, over the slots.
fn place(connection: usize) -> usize {
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

    /// A lane as worker.py has it sees for each request the head that was meant, whatever connections share slots.
    #[test]
    fn a_lane_has_what_we_believe_it_has() {
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
