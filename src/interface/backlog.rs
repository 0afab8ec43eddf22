//! What its client has not taken yet of a response: how much of it is in memory, how much in a file, and whether there is
//! room for more. Pure; who fills and empties it is [`crate::interface::blocks`].
//!
//! In the order of the response: what is `ready` in memory, what is `kept` in the file, what is `waiting` to be written
//! there. A client that is about as quick as memory never has a file: the application waits for it instead, but for
//! no longer than [`GRACE`] and the time that it takes at the pace [`QUICK`].

use std::collections::VecDeque;
use std::ops::Range;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::interface::body_file::BodyFile;

/// How many bytes of a response may be ready in memory, and how many may wait to be written to its file.
pub(super) const IN_MEMORY: usize = 256 * 1024;
/// Blocks that are smaller are put together: each may keep a buffer from being freed that is as large as this four times.
const SMALL: usize = 16 * 1024;
/// How much is put together at most, and written to the file at least.
const PIECE: usize = 64 * 1024;

/// How long the application waits for any client before its response goes to a file.
const GRACE: Duration = Duration::from_millis(10);
/// How many bytes a second a client takes for which the application waits longer.
const QUICK: u64 = 100_000_000;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// What goes out next.
    pub(super) ready: ByteQueue,
    /// What follows is in the file, from here to there.
    pub(super) kept: Range<u64>,
    pub(super) file: Option<BodyFile>,
    /// Something is on its way into the file: what follows.
    pub(super) writing: bool,
    /// What follows that.
    pub(super) waiting: ByteQueue,
    /// New blocks go to `waiting`. Begins when the application has waited long enough, ends when all is taken.
    pub(super) overflowing: bool,
    /// The file cannot be written any more.
    pub(super) unwritable: bool,
    pub(super) ending: BodyEnd,
    pub(super) recipient: Recipient,
    /// Who waits for the next block.
    pub(super) reader: Option<Waker>,
    /// How many bytes were taken.
    pub(super) taken: u64,
    /// How long the application has waited for the client.
    pub(super) waited: Duration,
    /// Counted among what is being delivered.
    pub(super) counted: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// It does not yet.
    #[default]
    Open,
    Whole,
    Truncated,
}

/// Who receives a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Recipient {
    #[default]
    Listening,
    /// It has all that was announced, and the application may come to its end.
    Satisfied,
    Gone,
}

/// Whether a block may be sent.
pub(super) enum BacklogRoom {
    Yes,
    /// Not before something is taken, or the application has waited for so long.
    Full(Option<Duration>),
}

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    whole: VecDeque<Bytes>,
    /// Small ones put together, behind all others.
    last: BytesMut,
    pub(super) length: usize,
}

impl ByteQueue {
    pub(super) fn push(&mut self, block: Bytes) {
        let alone = self.length == 0;
        self.length += block.len();
        if block.len() < SMALL && !alone {
            self.last.extend_from_slice(&block);
            if self.last.len() >= PIECE {
                self.whole
                    .push_back(std::mem::take(&mut self.last).freeze());
            }
        } else {
            if !self.last.is_empty() {
                self.whole
                    .push_back(std::mem::take(&mut self.last).freeze());
            }
            self.whole.push_back(block);
        }
    }

    pub(super) fn put_back(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.whole.push_front(piece);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.length == 0 {
            return None;
        }
        let first = self.whole.pop_front();
        let piece = first.unwrap_or_else(|| std::mem::take(&mut self.last).freeze());
        self.length -= piece.len();
        Some(piece)
    }
}

impl Backlog {
    /// Takes a block; whether somebody is to write from now on what waits for it.
    pub(super) fn push(&mut self, block: Bytes) -> bool {
        if !self.overflowing {
            self.ready.push(block);
            self.wake_reader();
            return false;
        }
        self.waiting.push(block);
        let begins = !self.writing && !self.unwritable && self.waiting.length >= PIECE;
        self.writing |= begins;
        if !begins {
            // Where nothing is before it, it goes out as it is.
            self.wake_reader();
        }
        begins
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.length == 0 && self.waiting.length == 0 && self.kept.is_empty() && !self.writing
    }

    pub(super) fn room(&mut self, limit: u64) -> BacklogRoom {
        if self.recipient != Recipient::Listening {
            return BacklogRoom::Yes;
        }
        if self.overflowing {
            return match self.waiting.length < IN_MEMORY {
                true => BacklogRoom::Yes,
                false => BacklogRoom::Full(None),
            };
        }
        if self.ready.length < IN_MEMORY {
            return BacklogRoom::Yes;
        }
        if limit == 0 || self.unwritable {
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

    /// The next piece that is to be written to the file, and where, if one is.
    pub(super) fn next_to_write(&mut self, limit: u64) -> Option<(Bytes, u64)> {
        if self.unwritable || self.waiting.length < PIECE {
            return None;
        }
        let piece = self.waiting.pop()?;
        if self.kept.end.saturating_add(piece.len() as u64) > limit {
            // When all is taken, the file begins anew.
            self.waiting.put_back(piece);
            return None;
        }
        Some((piece, self.kept.end))
    }

    /// Gives up a file of which all was taken, and so its place on the disk.
    pub(super) fn give_back(&mut self) {
        if self.kept.is_empty() && !self.writing {
            self.file = None;
            self.kept = 0..0;
        }
    }

    /// Forgets what nobody will take.
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
