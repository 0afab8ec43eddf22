//! What the tasks of one application's workers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

use crate::interface::Depot;
use crate::workers::event::WorkerEvent;
use crate::workers::pool::Pool;
use crate::workers::roster::Roster;

/// What all tasks of a pool share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) pool: Mutex<Pool>,
    pub(crate) roster: Mutex<Roster>,
    /// Something is to be written to a worker.
    pub(crate) written: Notify,
    /// Something is under way: the clock is to tick.
    pub(crate) busy: Notify,
    pub(crate) events: mpsc::UnboundedSender<WorkerEvent>,
    /// Responses until their clients take them.
    pub(crate) depot: Arc<Depot>,
    /// Those who ask workers: what they were told is to be logged before we end.
    pub(crate) attendants: TaskTracker,
}

impl Hub {
    /// Has what was sent written, at the end of this turn of the event loop: all that is ready by then
    /// leaves in one write. The clock ticks from then on: an answer may come without being announced.
    pub(crate) fn wake(&self) {
        let pool = lock(&self.pool);
        if pool.is_dirty() {
            self.written.notify_one();
        }
        if pool.is_dirty() || pool.is_curious() {
            self.busy.notify_one();
        }
    }

    pub(crate) fn tell(&self, event: WorkerEvent) {
        // Nobody listens once everything has stopped.
        let _ = self.events.send(event);
    }
}

/// Locks; a panic elsewhere leaves a pool that is still the best that there is.
pub(crate) fn lock<T>(hub: &Mutex<T>) -> MutexGuard<'_, T> {
    hub.lock().unwrap_or_else(PoisonError::into_inner)
}
