//! What both ends of the body of a response share: the part that its client has not received, and who is told of it.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::interface::backlog::{Backlog, BodyEnd, Recipient, ResponseAllowance};
use crate::interface::blocks::depot::Depot;
use crate::interface::body_file::BodyFile;
use crate::interface::conversation::Correspondent;
use crate::interface::request::{RequestName, log_response};
use crate::log::LogKind;

/// The part of a response that its client has not received.
pub(super) struct Delivery {
    pub(super) depot: Arc<Depot>,
    pub(super) backlog: Mutex<Backlog>,
    /// There may be room.
    pub(super) taken: Notify,
    /// The client has gone away.
    pub(super) gone: Notify,
    correspondent: Option<Arc<dyn Correspondent>>,
    /// The request, for the log.
    about: Option<RequestName>,
}

/// A block in memory that its owner waits for, until it is sent.
struct LentBlock {
    bytes: Bytes,
    delivery: Arc<Delivery>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Delivery").finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(delivery: &Mutex<T>) -> MutexGuard<'_, T> {
    // No change under the lock can be left half done.
    delivery.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Delivery {
    pub(super) fn new(
        depot: Arc<Depot>,
        correspondent: Option<Arc<dyn Correspondent>>,
        about: Option<RequestName>,
    ) -> Self {
        Self {
            depot,
            backlog: Mutex::default(),
            taken: Notify::new(),
            gone: Notify::new(),
            correspondent,
            about,
        }
    }

    pub(super) fn about(&self) -> Option<&RequestName> {
        self.about.as_ref()
    }

    pub(super) fn log(&self, kind: LogKind, what: fmt::Arguments<'_>) {
        log_response(kind, self.about.as_ref(), what);
    }

    pub(super) fn log_excess(&self) {
        let what = format_args!("the application gave more bytes than it announced");
        self.log(LogKind::InvalidAnswer, what);
    }

    pub(super) fn allowance(&self, backlog: &Backlog) -> ResponseAllowance {
        self.depot.limits.allowance(backlog.kept.end)
    }

    /// Counts what is in memory of the response, after each change of that.
    pub(super) fn account(&self, backlog: &mut Backlog) {
        let now = backlog.ready.length + backlog.waiting.length + backlog.in_transit;
        let before = std::mem::replace(&mut backlog.in_memory, now);
        self.depot.limits.memory.add(now.saturating_sub(before));
        self.depot
            .limits
            .memory
            .subtract(before.saturating_sub(now));
    }

    /// Writes the bytes that wait for it to the file, until none do.
    pub(super) async fn write(self: Arc<Self>) {
        let mut file = lock(&self.backlog).file.clone();
        loop {
            let next = {
                let mut backlog = lock(&self.backlog);
                let next = match backlog.recipient {
                    Recipient::Listening => {
                        let allowance = self.allowance(&backlog);
                        backlog.next_to_write(allowance)
                    }
                    Recipient::Satisfied | Recipient::Gone => None,
                };
                if let Some((piece, _)) = &next {
                    backlog.in_transit = piece.len();
                    backlog.charged += piece.len() as u64;
                    let length = piece.len() as u64;
                    self.depot.limits.stored.fetch_add(length, Relaxed);
                } else {
                    backlog.writing = false;
                    self.give_back(&mut backlog);
                    backlog.wake_reader();
                }
                next
            };
            let Some((piece, place)) = next else { break };
            // There is room for more.
            self.taken.notify_one();
            let written = async {
                let file = match &file {
                    Some(file) => file,
                    None => {
                        file.insert(BodyFile::in_folder(self.depot.limits.folder.clone()).await?)
                    }
                };
                file.write(place, piece.clone()).await
            };
            let written = written.await;
            let mut backlog = lock(&self.backlog);
            backlog.in_transit = 0;
            match written {
                Ok(()) if backlog.recipient == Recipient::Listening => {
                    backlog.kept.end += piece.len() as u64;
                    backlog.file.clone_from(&file);
                    backlog.wake_reader();
                }
                Ok(()) => {}
                Err(error) => {
                    backlog.waiting.put_back(piece);
                    backlog.unwritable = true;
                    let folder = self.depot.limits.folder.display();
                    self.log(LogKind::NotStored, format_args!(
                        "cannot store the response in `{folder}`: {error}; the application waits for its client (runner.tmp)"
                    ));
                }
            }
            self.account(&mut backlog);
        }
        self.taken.notify_one();
    }

    /// Notes that the application has ended the body.
    pub(super) fn end(&self, ending: BodyEnd) {
        let mut backlog = lock(&self.backlog);
        if backlog.ending == BodyEnd::Open {
            backlog.ending = ending;
            if backlog.recipient == Recipient::Listening && !backlog.is_empty() {
                backlog.counted = true;
                self.depot.delivering.enter();
            }
            backlog.wake_reader();
        }
    }

    /// Closes the file if all of it was received.
    pub(super) fn give_back(&self, backlog: &mut Backlog) {
        backlog.give_back();
        if backlog.file.is_none() && !backlog.writing {
            self.release(backlog);
        }
    }

    /// Drops the bytes that no client will receive.
    pub(super) fn clear(&self, backlog: &mut Backlog) {
        backlog.clear();
        self.account(backlog);
        self.release(backlog);
    }

    /// Nothing of the response is stored any more.
    fn release(&self, backlog: &mut Backlog) {
        let charged = std::mem::take(&mut backlog.charged);
        self.depot.limits.stored.fetch_sub(charged, Relaxed);
    }

    pub(super) fn delivered(&self, backlog: &mut Backlog) {
        if std::mem::take(&mut backlog.counted) {
            self.depot.delivering.leave();
        }
    }

    /// Tells the application's side that the gateway has taken so many bytes.
    pub(super) fn make_room(&self, length: usize) {
        self.taken.notify_one();
        if let Some(correspondent) = &self.correspondent {
            correspondent.taken(length);
        }
    }

    /// Lends a block to the gateway. It counts as being here until it is sent.
    pub(super) fn lend(self: &Arc<Self>, backlog: &mut Backlog, bytes: Bytes) -> Bytes {
        backlog.lent += bytes.len();
        Bytes::from_owner(LentBlock {
            bytes,
            delivery: Arc::clone(self),
        })
    }

    pub(super) fn leave(&self, backlog: &mut Backlog) {
        backlog.recipient = Recipient::Gone;
        self.clear(backlog);
        self.delivered(backlog);
        self.gone.notify_one();
        self.taken.notify_one();
        if let Some(correspondent) = &self.correspondent {
            correspondent.left(None);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let backlog = lock(&self.backlog);
        self.depot.limits.stored.fetch_sub(backlog.charged, Relaxed);
        self.depot.limits.memory.subtract(backlog.in_memory);
    }
}

impl AsRef<[u8]> for LentBlock {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for LentBlock {
    fn drop(&mut self) {
        let length = self.bytes.len();
        // Its owner has the memory before the application learns that there is room.
        self.bytes = Bytes::new();
        lock(&self.delivery.backlog).lent -= length;
        self.delivery.make_room(length);
    }
}
