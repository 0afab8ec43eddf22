//! FastCGI records on their way to the web server: those of all requests of a connection in turn, all that have gathered since
//! the last write in one write.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore};
use tokio::task::yield_now;

use crate::protocol::fastcgi::record::{MAX_CONTENT, RecordKind, put_records};

/// The most that waits for a slow web server before applications are held back, in bytes.
const ROOM: usize = 256 * 1024;

/// The records that wait to be sent on one connection.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Mutex<UnsentRecords>,
    /// In bytes. Requests that wait for room get it in the order in which they asked, one record at a time, so that none
    /// starves another.
    room: Semaphore,
    /// Records are waiting, or the outbox was closed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct UnsentRecords {
    records: BytesMut,
    /// The room that the records take up.
    taken: usize,
    closed: bool,
}

impl Outbox {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            room: Semaphore::new(ROOM),
            changed: Notify::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, UnsentRecords> {
        // No operation under the lock leaves it half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a part of a stream, where an empty part sends nothing; waits while there is no room.
    pub(super) async fn send(&self, kind: RecordKind, id: u16, mut content: Bytes) {
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(MAX_CONTENT));
            let taken = self.take_room(piece.len()).await;
            self.put(taken, |records| put_records(records, kind, id, piece));
            if !content.is_empty() {
                // Otherwise one request would take all the room.
                yield_now().await;
            }
        }
    }

    /// Sends records that answer records; waits while there is no room.
    pub(super) async fn reply(&self, reply: BytesMut) {
        let taken = self.take_room(reply.len().min(ROOM)).await;
        self.put(taken, |records| records.extend_from_slice(&reply));
    }

    async fn take_room(&self, length: usize) -> usize {
        // At most ROOM, which fits 32 bits; the semaphore is never closed.
        if let Ok(permit) = self.room.acquire_many(length as u32).await {
            permit.forget();
        }
        length
    }

    /// Sends the end of a stream or a request without waiting: it is small, and no more frequent than their beginnings.
    pub(super) fn put_end(&self, write: impl FnOnce(&mut BytesMut)) {
        self.put(0, write);
    }

    fn put(&self, taken: usize, write: impl FnOnce(&mut BytesMut)) {
        let mut waiting = self.waiting();
        write(&mut waiting.records);
        waiting.taken += taken;
        drop(waiting);
        self.changed.notify_one();
    }

    /// Ends [`Outbox::drain`] once all is written.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_one();
    }

    /// Writes the records to the connection until [`Outbox::close`].
    ///
    /// # Errors
    /// The web server is gone, or has taken nothing for too long.
    pub(super) async fn drain(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        loop {
            let (mut records, taken) = {
                let mut waiting = self.waiting();
                if waiting.records.is_empty() && waiting.closed {
                    return Ok(());
                }
                (waiting.records.split(), std::mem::take(&mut waiting.taken))
            };
            if records.is_empty() {
                self.changed.notified().await;
            }
            while records.has_remaining() {
                if writer.write_buf(&mut records).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            self.room.add_permits(taken);
        }
    }
}
