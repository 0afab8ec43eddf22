//! When a worker is added because requests wait (`runner.workers.start_interval`).

use std::time::{Duration, Instant};

/// The pace at which workers are added beyond the least number.
pub(crate) struct Growth {
    interval: Duration,
    /// Requests wait and no lane is free.
    pub(crate) is_wanted: bool,
    /// When a worker was last added.
    last: Option<Instant>,
}

impl Growth {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            is_wanted: false,
            last: None,
        }
    }

    /// When one more worker may be added: when the last one has had time to show whether it helps, and not before the
    /// pause after failed starts is over. The first worker of all waits for no interval.
    pub(crate) fn next(&self, at_work: usize, not_before: Instant) -> Instant {
        match self.last {
            Some(last) if at_work > 0 => (last + self.interval).max(not_before),
            Some(_) | None => not_before,
        }
    }

    /// A worker is added to those at work. The first one does not count: without it the application does not work at all.
    pub(crate) fn added(&mut self, at_work: usize, now: Instant) {
        if at_work > 0 {
            self.last = Some(now);
        }
    }
}
