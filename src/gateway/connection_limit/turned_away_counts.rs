//! How many connections have ended before they had a request to answer, by the reason.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::interface::master_status::TurnedAway;

/// Counts since the start of the master.
#[derive(Debug, Default)]
pub(super) struct TurnedAwayCounts {
    max_per_address: AtomicU64,
    handshake: AtomicU64,
}

impl TurnedAwayCounts {
    /// A client has too many.
    pub(super) fn refused(&self) {
        self.max_per_address.fetch_add(1, Ordering::Relaxed);
    }

    /// A client did not come to an agreement on TLS.
    pub(super) fn disagreed(&self) {
        self.handshake.fetch_add(1, Ordering::Relaxed);
    }

    /// For the status, with the number of those that made room for others.
    pub(super) fn shown(&self, displaced: u64) -> TurnedAway {
        TurnedAway {
            max_per_address: self.max_per_address.load(Ordering::Relaxed),
            max_connections: displaced,
            handshake: self.handshake.load(Ordering::Relaxed),
        }
    }
}
