//! What the tasks of one application's workers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

use crate::interface::Depot;
use crate::log::LogSubject;
use crate::workers::client_notes::ClientNotes;
use crate::workers::event::WorkerEvent;
use crate::workers::pool::Pool;
use crate::workers::roster::Roster;

/// The state that all tasks share.
#[derive(Debug)]
pub(crate) struct Hub {
    /// The name of the application in lines of the log, where a server has several.
    pub(crate) application: Option<String>,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) roster: Mutex<Roster>,
    /// Requests are to be written to a worker, or what clients did.
    pub(crate) written: Arc<Notify>,
    /// What clients did after their responses began.
    pub(crate) clients: Arc<ClientNotes>,
    /// Requests are under way: the clock is to tick.
    pub(crate) busy: Notify,
    pub(crate) events: mpsc::UnboundedSender<WorkerEvent>,
    /// Stores responses until their clients have received them.
    pub(crate) depot: Arc<Depot>,
    /// The tasks that ask workers for stacks, which are to be logged before runner ends.
    pub(crate) attendants: TaskTracker,
}

impl Hub {
    /// What a line of the log about the application is about.
    pub(crate) fn subject(&self) -> LogSubject<'_> {
        LogSubject::application(self.application.as_deref())
    }

    /// What a line of the log about one of its workers is about.
    pub(crate) fn subject_of(&self, worker: i32) -> LogSubject<'_> {
        LogSubject {
            worker: Some(worker),
            ..self.subject()
        }
    }

    /// Has requests written at the end of this turn of the event loop: all that are ready by then leave in one write. The
    /// clock ticks from then on, since an answer may come without an announcement.
    pub(crate) fn wake(&self) {
        self.wake_for(&lock(&self.pool));
    }

    /// The same where the pool is locked.
    pub(crate) fn wake_for(&self, pool: &Pool) {
        if pool.is_dirty() {
            self.written.notify_one();
        }
        if pool.is_dirty() || pool.is_curious() {
            self.busy.notify_one();
        }
    }

    pub(crate) fn tell(&self, event: WorkerEvent) {
        // The staff does not listen any more once it has stopped.
        let _ = self.events.send(event);
    }
}

/// Locks. After a panic elsewhere, the state is still the best that there is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
