//! What is to be written to a body's file: a thread takes it from here while more of the body is received. The thread
//! ends when nothing is left, so that a client that stalls leaves nothing in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// How much of a body may wait for the disk before no more of it is received, in bytes.
const IN_TRANSIT: usize = 256 * 1024;

/// Pieces of a body, in order.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    waiting: Mutex<Waiting>,
    /// The writer has taken all pieces.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<Bytes>,
    /// Their size in bytes.
    size: usize,
    /// There is a writer, which will take them.
    has_writer: bool,
}

impl WriteQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No change under the lock can be left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds pieces. Returns whether they need a writer.
    pub(super) fn push(&self, pieces: Vec<Bytes>) -> bool {
        let mut waiting = self.lock();
        waiting.size += pieces.iter().map(Bytes::len).sum::<usize>();
        waiting.pieces.extend(pieces);
        !std::mem::replace(&mut waiting.has_writer, true)
    }

    /// All pieces, for the writer. If there are none, its work is done.
    pub(super) fn take(self: &Arc<Self>) -> Vec<Bytes> {
        let mut waiting = self.lock();
        let pieces = std::mem::take(&mut waiting.pieces);
        waiting.size = 0;
        waiting.has_writer = !pieces.is_empty();
        drop(waiting);
        self.taken.notify_one();
        pieces
    }

    /// Waits until there is room for more.
    pub(super) async fn room(&self) {
        while self.lock().size >= IN_TRANSIT {
            self.taken.notified().await;
        }
    }

    /// Whether a writer has not ended, or has failed.
    pub(super) fn has_writer(&self) -> bool {
        self.lock().has_writer
    }
}
