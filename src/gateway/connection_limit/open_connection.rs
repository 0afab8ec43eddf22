//! A connection as its limit sees it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::gateway::connection_limit::request_shares::LimitedClient;

#[derive(Debug, Default)]
pub(super) struct OpenConnection {
    pub number: u64,
    /// Whose it is, if that has been counted.
    pub client: OnceLock<Arc<LimitedClient>>,
    /// Since when its client has been waited for; 0 while a request is worked on, and once the connection has ended.
    pub since: AtomicU64,
    /// The number of its streams whose requests are worked on.
    pub working_streams: AtomicUsize,
    pub asked: AtomicBool,
    pub close: Notify,
}

impl OpenConnection {
    /// Whether its client is waited for.
    pub(super) fn waits(&self) -> bool {
        self.since.load(Ordering::Relaxed) > 0
    }

    /// Since when its client has been waited for, if it is, and the connection was not asked to close yet.
    pub(super) fn waits_since(&self) -> Option<u64> {
        let since = self.since.load(Ordering::Relaxed);
        (since > 0 && !self.asked.load(Ordering::Relaxed)).then_some(since)
    }

    /// Asks it to close.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.close.notify_waiters();
    }
}
