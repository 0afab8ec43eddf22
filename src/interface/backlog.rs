//! The part of a response that its client has not received yet: how much of it is in memory, how much in a file, and
//! whether there is room for more. Pure; [`crate::interface::blocks`] fills and empties it.
//!
//! In the order of the response: the bytes that are `ready` in memory, those that are `kept` in the file, those that are
//! `waiting` to be written there. A fast client never has a file: the application waits for it instead, but for no longer
//! than [`GRACE`] and the time that the received bytes take at the pace [`QUICK`]. Where the memory of all responses is used up,
//! less of each is in memory, and the file is written in smaller pieces.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::interface::body_file::BodyFile;
use crate::interface::response_memory::LEAST;

/// How many bytes of a response may be ready in memory. So many at once keep a fast client busy while the application makes
/// the next ones.
pub(super) const IN_MEMORY: usize = 384 * 1024;
/// How many bytes may wait to be written to its file.
const IN_TRANSIT: usize = 128 * 1024;
/// Smaller blocks are joined: each may keep a buffer of four times this size from being freed.
const SMALL: usize = 16 * 1024;
/// The most bytes that are joined, and the least that are written to the file at once.
pub(super) const PIECE: usize = 64 * 1024;

/// How long the application waits for any client before its response goes to a file.
const GRACE: Duration = Duration::from_millis(10);
/// The pace of a fast client, in bytes a second.
const QUICK: u64 = 100_000_000;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The next bytes of the response.
    pub(super) ready: ByteQueue,
    /// The range of the file with the bytes after those.
    pub(super) kept: Range<u64>,
    pub(super) file: Option<BodyFile>,
    /// How much of the file has been used, or is about to be: what the limit on all files counts, in bytes.
    pub(super) charged: u64,
    /// The bytes after those are being written to the file.
    pub(super) writing: bool,
    /// How many these are.
    pub(super) in_transit: usize,
    /// The bytes after those.
    pub(super) waiting: ByteQueue,
    /// New blocks go to `waiting`: from when the application has waited long enough until the client has received all.
    pub(super) overflowing: bool,
    /// The file cannot be written any more.
    pub(super) unwritable: bool,
    pub(super) ending: BodyEnd,
    pub(super) recipient: Recipient,
    /// The task that waits for the next block.
    pub(super) reader: Option<Waker>,
    /// How many bytes the client has received.
    pub(super) taken: u64,
    /// How many bytes of blocks that are lent the gateway has taken and not sent.
    pub(super) lent: usize,
    /// How long the application has waited for the client.
    pub(super) waited: Duration,
    /// How long of that since no more is kept, and whether the log has said so.
    pub(super) held_up: Duration,
    pub(super) is_reported: bool,
    /// How many bytes of it are counted as being in memory.
    pub(super) in_memory: usize,
    /// It is counted as complete and not yet received.
    pub(super) counted: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// It goes on.
    #[default]
    Open,
    Whole,
    Truncated,
}

/// Whether the client receives the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Recipient {
    #[default]
    Listening,
    /// It has received all that was announced. The application may finish.
    Satisfied,
    Gone,
}

/// What a response may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseAllowance {
    /// How much of it may be in its file, in bytes.
    pub(super) file: u64,
    /// The memory of all responses is used up.
    pub(super) is_short: bool,
}

impl ResponseAllowance {
    fn in_memory(self) -> usize {
        if self.is_short { LEAST } else { IN_MEMORY }
    }

    /// The least that is written to the file at once, in bytes.
    fn piece(self) -> usize {
        if self.is_short { LEAST } else { PIECE }
    }
}

/// Whether a block may be sent.
pub(super) enum BacklogRoom {
    Yes,
    /// Not before the client has received more, or the application has waited for this long.
    Full(Option<Duration>),
}

/// A block of a response.
#[derive(Debug)]
pub(super) struct QueuedBlock {
    pub(super) bytes: Bytes,
    /// They are in memory whose owner waits for it.
    pub(super) is_lent: bool,
}

impl QueuedBlock {
    pub(super) fn new(bytes: Bytes) -> Self {
        let is_lent = false;
        Self { bytes, is_lent }
    }

    pub(super) fn lent(bytes: Bytes) -> Self {
        let is_lent = true;
        Self { bytes, is_lent }
    }

    /// The bytes in memory of their own.
    pub(super) fn into_own(self) -> Bytes {
        match self.is_lent {
            true => Bytes::copy_from_slice(&self.bytes),
            false => self.bytes,
        }
    }
}

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    whole: VecDeque<QueuedBlock>,
    /// Small blocks, joined, after all others.
    last: BytesMut,
    pub(super) length: usize,
}

impl ByteQueue {
    pub(super) fn push(&mut self, block: QueuedBlock) {
        let alone = self.length == 0;
        self.length += block.bytes.len();
        if block.bytes.len() < SMALL && !alone {
            self.last.extend_from_slice(&block.bytes);
            if self.last.len() >= PIECE {
                self.end_last();
            }
        } else {
            if !self.last.is_empty() {
                self.end_last();
            }
            self.whole.push_back(block);
        }
    }

    /// No more small blocks are joined with the last ones.
    fn end_last(&mut self) {
        let joined = std::mem::take(&mut self.last).freeze();
        self.whole.push_back(QueuedBlock::new(joined));
    }

    pub(super) fn put_back(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.whole.push_front(QueuedBlock::new(piece));
    }

    pub(super) fn pop(&mut self) -> Option<QueuedBlock> {
        if self.length == 0 {
            return None;
        }
        let first = self.whole.pop_front();
        let first =
            first.unwrap_or_else(|| QueuedBlock::new(std::mem::take(&mut self.last).freeze()));
        self.length -= first.bytes.len();
        Some(first)
    }
}

impl Backlog {
    /// Adds a block. Returns whether writing to the file is to begin.
    pub(super) fn push(&mut self, block: QueuedBlock, allowance: ResponseAllowance) -> bool {
        let is_too_much = allowance.is_short && self.ready.length + block.bytes.len() > LEAST;
        if is_too_much && self.may_overflow(allowance) {
            self.overflowing = true;
        }
        if !self.overflowing {
            self.ready.push(block);
            self.wake_reader();
            return false;
        }
        self.waiting.push(QueuedBlock::new(block.into_own()));
        let begins = !self.writing && !self.unwritable && self.waiting.length >= allowance.piece();
        self.writing |= begins;
        if !begins {
            // If no bytes are before it, the client gets it from memory.
            self.wake_reader();
        }
        begins
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.length == 0 && self.waiting.length == 0 && self.kept.is_empty() && !self.writing
    }

    pub(super) fn room(&mut self, allowance: ResponseAllowance) -> BacklogRoom {
        if self.recipient != Recipient::Listening {
            return BacklogRoom::Yes;
        }
        if self.overflowing {
            return match self.waiting.length < self.in_transit(allowance) {
                true => BacklogRoom::Yes,
                false => BacklogRoom::Full(None),
            };
        }
        if self.unsent() < allowance.in_memory() {
            return BacklogRoom::Yes;
        }
        if !self.may_overflow(allowance) {
            return BacklogRoom::Full(None);
        }
        let patience =
            GRACE + Duration::from_nanos(self.taken.saturating_mul(1_000_000_000 / QUICK));
        match patience.saturating_sub(self.waited) {
            Duration::ZERO => {
                self.overflowing = true;
                BacklogRoom::Yes
            }
            left => BacklogRoom::Full(Some(left)),
        }
    }

    /// How many bytes are ready, or lent.
    fn unsent(&self) -> usize {
        self.ready.length + self.lent
    }

    /// How many bytes may wait to be written. If none are being written, more have to come before some are.
    fn in_transit(&self, allowance: ResponseAllowance) -> usize {
        match allowance.is_short && self.writing {
            true => LEAST,
            false => IN_TRANSIT,
        }
    }

    fn may_overflow(&self, allowance: ResponseAllowance) -> bool {
        allowance.file > 0 && !self.unwritable
    }

    /// How many bytes there is room for in memory.
    pub(super) fn space(&self, allowance: ResponseAllowance) -> usize {
        match (self.recipient, self.overflowing) {
            (Recipient::Satisfied | Recipient::Gone, _) => IN_MEMORY,
            (Recipient::Listening, true) => self
                .in_transit(allowance)
                .saturating_sub(self.waiting.length),
            (Recipient::Listening, false) => allowance.in_memory().saturating_sub(self.unsent()),
        }
    }

    /// The next piece to write to the file, and its offset.
    pub(super) fn next_to_write(&mut self, allowance: ResponseAllowance) -> Option<(Bytes, u64)> {
        if self.unwritable || self.waiting.length < allowance.piece() {
            return None;
        }
        let mut piece = self.waiting.pop()?.bytes;
        let left =
            usize::try_from(allowance.file.saturating_sub(self.kept.end)).unwrap_or(usize::MAX);
        if piece.len() > left {
            // The file is used from its start again when all of it was received.
            let fits = if left < allowance.piece() { 0 } else { left };
            self.waiting.put_back(piece.split_off(fits));
        }
        if piece.is_empty() {
            return None;
        }
        Some((piece, self.kept.end))
    }

    /// Closes the file, and so frees its blocks on the disk, if all of it was received.
    pub(super) fn give_back(&mut self) {
        if self.kept.is_empty() && !self.writing {
            self.file = None;
            self.kept = 0..0;
        }
    }

    /// Drops the bytes that no client will receive.
    pub(super) fn clear(&mut self) {
        self.ready = ByteQueue::default();
        self.waiting = ByteQueue::default();
        self.kept = 0..0;
        self.file = None;
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }
}
