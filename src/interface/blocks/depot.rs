//! What the bodies of an application's responses have in common: their limits, and how many there are.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::interface::blocks::depot_limits::DepotLimits;
use crate::memory_release::Occupancy;

/// Stores the responses of an application until their clients have received them.
#[derive(Debug)]
pub struct Depot {
    pub(super) limits: DepotLimits,
    /// Complete responses that clients have not received yet.
    pub(super) delivering: Occupancy,
    /// How many requests wait until some response is made: for its worker, server or place.
    waiting: Arc<AtomicUsize>,
}

impl Depot {
    /// Stores bytes that do not stay in memory in files in a folder, up to `limit` bytes of each response.
    #[must_use]
    pub fn new(folder: PathBuf, limit: u64) -> Self {
        Self {
            limits: DepotLimits::new(folder, limit),
            delivering: Occupancy::default(),
            waiting: Arc::default(),
        }
    }

    /// The same with a limit on what is stored of all responses, in bytes. Beyond it, nothing more is: applications wait
    /// for their clients.
    #[must_use]
    pub fn with_total(mut self, total: u64) -> Self {
        self.limits.total = total;
        self
    }

    /// The same where requests that wait are counted elsewhere.
    #[must_use]
    pub fn with_waiting(mut self, waiting: Arc<AtomicUsize>) -> Self {
        self.waiting = waiting;
        self
    }

    /// Notes how many requests wait: what makes responses is not to wait long for clients then.
    pub fn note_waiting(&self, requests: usize) {
        self.waiting.store(requests, Relaxed);
    }

    /// Whether requests wait.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Whether a complete response of so many bytes may stay in memory; where it may not, there are files for it.
    #[must_use]
    pub fn has_memory_for(&self, length: usize) -> bool {
        self.limits.has_memory_for(length)
    }

    /// How many complete responses clients have not received yet.
    #[must_use]
    pub fn delivering(&self) -> usize {
        self.delivering.now()
    }
}
