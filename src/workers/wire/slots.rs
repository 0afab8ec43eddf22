//! The slots of a lane: places in its shared memory for large blocks, which are lent to whatever sends them, and not copied.
//!
//! A client that takes nothing keeps the slots of its blocks for as long as it stays. So at most [`MOST_LENT`] are lent:
//! blocks in the others are copied, and these come back at once.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use bytes::{Bytes, BytesMut};

use crate::protocol::worker::frame::{
    SLOT_PAYLOAD, SLOT_SIZE, SLOTS, SLOTS_CLAIMED, SLOTS_RETURNED, SLOTS_START, STREAM_CAPACITY,
    STREAM_FULL, STREAM_HEAD, STREAM_TAIL, WAITS_FOR_SLOT,
};
use crate::protocol::worker::marshal::Malformed;
use crate::unix::{SharedBytes, SharedMemory};

/// How many slots may be lent at a time.
const MOST_LENT: u32 = 8;
/// A worker that waits for a slot is told of them when so many are free, so that it is not woken up for each. The others may
/// be lent for long.
const MANY_FREE: u32 = SLOTS - MOST_LENT;
/// A worker that waits for room in the stream is told of it when there is this much, in bytes.
const MUCH_ROOM: usize = STREAM_CAPACITY / 4 * 3;

/// The slots of a lane, and what tells its worker of room.
#[derive(Debug)]
pub(super) struct Slots {
    memory: Arc<SharedMemory>,
    /// The writing end of the pipe of room; writing there never waits.
    room: OwnedFd,
    /// A bit for each slot that there is.
    all: u64,
    /// A bit for each slot with a block that was taken from the stream and is not sent.
    held: AtomicU64,
}

/// A block in a slot, which comes back when this is dropped.
#[derive(Debug)]
struct SlotBlock {
    bytes: SharedBytes,
    slots: Arc<Slots>,
    bit: u64,
}

/// A block that was in a slot.
pub(super) enum TakenBlock {
    /// It still is there.
    Lent(Bytes),
    Copied(Bytes),
}

impl Slots {
    pub(super) fn new(memory: Arc<SharedMemory>, room: OwnedFd) -> Self {
        let fit = memory.size().saturating_sub(SLOTS_START) / SLOT_SIZE;
        let count = u32::try_from(fit).map_or(SLOTS, |fit| fit.min(SLOTS));
        Self {
            memory,
            room,
            all: (1 << count) - 1,
            held: AtomicU64::new(0),
        }
    }

    /// Takes the block that a payload of the stream names.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of runner's would name it.
    pub(super) fn take(self: &Arc<Self>, payload: &[u8]) -> Result<TakenBlock, Malformed> {
        let payload: &[u8; SLOT_PAYLOAD] = payload.try_into().map_err(|_| Malformed)?;
        let [a, b, c, d, rest @ ..] = *payload;
        let slot = u32::from_le_bytes([a, b, c, d]);
        let length = u32::from_le_bytes(rest);
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let bit = 1_u64.checked_shl(slot).unwrap_or(0) & self.all;
        let is_block = (1..=SLOT_SIZE).contains(&length);
        if bit == 0 || !is_block || self.held.load(Ordering::Acquire) & bit != 0 {
            return Err(Malformed);
        }
        let start = SLOTS_START + slot as usize * SLOT_SIZE;
        let bytes = self.memory.view(start, length).ok_or(Malformed)?;
        let held = self.held.fetch_or(bit, Ordering::AcqRel) | bit;
        let block = SlotBlock {
            bytes,
            slots: Arc::clone(self),
            bit,
        };
        if held.count_ones() <= MOST_LENT {
            return Ok(TakenBlock::Lent(Bytes::from_owner(block)));
        }
        let mut copy = BytesMut::with_capacity(length);
        let copied = self.memory.append_to(&mut copy, start, length);
        copied.ok_or(Malformed)?;
        Ok(TakenBlock::Copied(copy.freeze()))
    }

    /// Tells the worker if it waits for room, and there is enough. To be called after each change of that.
    pub(super) fn tell_of_room(&self) {
        // Between the change and the look at whether the worker waits; the worker has the same between the two.
        fence(Ordering::SeqCst);
        let is_enough = match self.memory.load(STREAM_FULL) {
            0 => return,
            WAITS_FOR_SLOT => self.has_many_free(),
            _ => self.unread() <= (STREAM_CAPACITY - MUCH_ROOM) as u64,
        };
        if is_enough {
            self.memory.store(STREAM_FULL, 0);
            // If the pipe is full, bytes enough are on their way.
            let _ = rustix::io::write(&self.room, &[0]);
        }
    }

    /// Whether there are slots enough for a worker that waits for some: no others may become free if all that it has sent
    /// was read.
    fn has_many_free(&self) -> bool {
        let taken = self.memory.load(SLOTS_CLAIMED) ^ self.memory.load(SLOTS_RETURNED);
        let free = (!taken & self.all).count_ones();
        free >= MANY_FREE || free > 0 && self.unread() == 0
    }

    /// How many bytes of the stream are not read. A hostile worker may write anything.
    fn unread(&self) -> u64 {
        let read = self.memory.load(STREAM_TAIL);
        self.memory.load(STREAM_HEAD).wrapping_sub(read)
    }
}

impl AsRef<[u8]> for SlotBlock {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for SlotBlock {
    fn drop(&mut self) {
        let Self { slots, bit, .. } = self;
        slots.held.fetch_and(!*bit, Ordering::AcqRel);
        slots.memory.flip(SLOTS_RETURNED, *bit);
        slots.tell_of_room();
    }
}
