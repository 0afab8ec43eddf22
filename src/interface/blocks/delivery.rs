//! What both ends of the body of a response share: the part that its client has not received, and who is told of it.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::timeout;

use crate::clients::ClientNetwork;
use crate::interface::backlog::{Backlog, BodyEnd, PIECE, Recipient, ResponseAllowance};
use crate::interface::blocks::depot::Depot;
use crate::interface::body_file::BodyFile;
use crate::interface::conversation::Correspondent;
use crate::interface::request::{RequestName, log_response};
use crate::log::LogKind;

/// How long a client may take nothing of a response that cannot be stored, since the client has its share of all that is.
const WITHOUT_SHARE: Duration = Duration::from_secs(5);

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

    /// The client, if its share is counted.
    fn client(&self) -> Option<ClientNetwork> {
        self.about.as_ref().and_then(RequestName::client)
    }

    /// What the response may take now. It takes long to find out how much of its file.
    pub(super) fn allowance(&self, backlog: &Backlog) -> ResponseAllowance {
        let limits = &self.depot.limits;
        limits.allowance(backlog.kept.end, self.client())
    }

    /// Whether no more of the response is stored since its client has its share of all that is.
    fn has_no_share(&self) -> bool {
        let used = lock(&self.backlog).kept.end;
        let limits = &self.depot.limits;
        let client = self.client();
        let has_some = client.is_some_and(|client| limits.stored().of(client) > 0);
        // Less is not written.
        has_some && used < limits.file && limits.room(client) < PIECE as u64
    }

    /// Waits while no more of the response is stored, until its client takes some of it. A worker is busy for as long: while
    /// requests wait for one, a client that has its share, and takes nothing, is not waited for.
    pub(super) async fn wait_without_room(&self, taken: Notified<'_>) {
        let mut taken = pin!(taken);
        loop {
            let begun = Instant::now();
            let has_taken = timeout(WITHOUT_SHARE, taken.as_mut()).await.is_ok();
            if !has_taken && self.depot.is_crowded() && self.has_no_share() {
                self.log(LogKind::NotStored, format_args!(
                    "broke off the response, since other requests wait: its client takes nothing of it, and has its share of what is kept for slow clients (runner.response.max_buffers)"
                ));
                return self.break_off();
            }
            self.note_held_up(begun.elapsed());
            if has_taken {
                return;
            }
        }
    }

    /// Notes that the application has waited for the client. The log says it once, if other requests wait as well.
    fn note_held_up(&self, time: Duration) {
        let mut backlog = lock(&self.backlog);
        let left = self.allowance(&backlog).file;
        // Otherwise it was the disk that was waited for.
        if left.saturating_sub(backlog.kept.end) < PIECE as u64 || backlog.unwritable {
            backlog.held_up += time;
        }
        let is_long = backlog.held_up >= WITHOUT_SHARE && !backlog.is_reported;
        if is_long && self.depot.is_crowded() && backlog.recipient == Recipient::Listening {
            backlog.is_reported = true;
            drop(backlog);
            self.log(LogKind::NotStored, format_args!(
                "other requests wait, since its client takes the response slowly, and no more of it is kept (runner.response.max_buffer, runner.response.max_buffers)"
            ));
        }
    }

    /// Ends the response before its end, for the application and its client.
    fn break_off(&self) {
        let mut backlog = lock(&self.backlog);
        backlog.ending = BodyEnd::Truncated;
        self.leave(&mut backlog);
        backlog.wake_reader();
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
                    self.depot.limits.stored().add(self.client(), length);
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
        if charged > 0 {
            self.depot.limits.stored().subtract(self.client(), charged);
        }
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
        let in_memory = {
            let mut backlog = lock(&self.backlog);
            self.release(&mut backlog);
            backlog.in_memory
        };
        self.depot.limits.memory.subtract(in_memory);
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
