//! What the clients of responses that have begun did, on its way to ASGI workers. Gateways take note of it, under whatever
//! locks they hold; the task that writes to workers passes it on, once a turn of the event loop.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::interface::{CloseReason, Correspondent, WebSocketMessage};
use crate::workers::id::LaneId;

/// The notes of all clients, in their order.
#[derive(Debug)]
pub(crate) struct ClientNotes {
    notes: Mutex<Vec<ClientNote>>,
    /// There is something to write to a worker.
    written: Arc<Notify>,
}

/// What the client of a request did.
#[derive(Debug)]
pub(crate) struct ClientNote {
    pub(crate) lane: LaneId,
    pub(crate) number: u32,
    pub(crate) what: ClientDeed,
}

/// What a client does.
#[derive(Debug)]
pub(crate) enum ClientDeed {
    /// It has taken so many bytes.
    Takes(usize),
    /// It has sent a message.
    Sends(WebSocketMessage),
    /// It has left.
    Leaves(Option<CloseReason>),
}

impl ClientNotes {
    pub(crate) fn new(written: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            notes: Mutex::default(),
            written,
        })
    }

    /// What is to be told of the client of a request that a lane has begun.
    pub(crate) fn of(self: &Arc<Self>, lane: LaneId, number: u32) -> Arc<dyn Correspondent> {
        Arc::new(NotedClient {
            notes: Arc::clone(self),
            lane,
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ClientNote>> {
        // No change under the lock can be left half done.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all notes.
    pub(crate) fn take(&self) -> Vec<ClientNote> {
        std::mem::take(&mut *self.lock())
    }
}

struct NotedClient {
    notes: Arc<ClientNotes>,
    lane: LaneId,
    number: u32,
}

impl NotedClient {
    fn note(&self, what: ClientDeed) {
        let Self {
            ref notes,
            lane,
            number,
        } = *self;
        let mut all = notes.lock();
        let is_first = all.is_empty();
        match (all.last_mut(), what) {
            // A response of many small blocks makes one note a turn.
            (
                Some(ClientNote {
                    lane: earlier_lane,
                    number: earlier,
                    what: ClientDeed::Takes(taken),
                }),
                ClientDeed::Takes(bytes),
            ) if *earlier_lane == lane && *earlier == number => *taken += bytes,
            (_, what) => all.push(ClientNote { lane, number, what }),
        }
        drop(all);
        if is_first {
            notes.written.notify_one();
        }
    }
}

impl Correspondent for NotedClient {
    fn taken(&self, bytes: usize) {
        self.note(ClientDeed::Takes(bytes));
    }

    fn received(&self, message: WebSocketMessage) {
        self.note(ClientDeed::Sends(message));
    }

    fn left(&self, reason: Option<CloseReason>) {
        self.note(ClientDeed::Leaves(reason));
    }
}

impl fmt::Debug for NotedClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NotedClient")
            .finish_non_exhaustive()
    }
}
