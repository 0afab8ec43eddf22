//! The time of simulations, each in a thread of its own.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A worker that has worked on a batch for this long announces the answers in its ring.
pub(in crate::workers::pool) const MILLISECOND: Duration = Duration::from_millis(1);

thread_local! {
    static START: Instant = Instant::now();
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Lets time pass.
pub(in crate::workers::pool) fn pass(time: Duration) {
    TIME.set(TIME.get() + time);
}

/// The simulated time.
pub(in crate::workers::pool) fn now() -> Instant {
    START.with(|start| *start) + TIME.get()
}

/// The time since the simulation began.
pub(in crate::workers::pool) fn elapsed() -> Duration {
    TIME.get()
}

/// Begins anew.
pub(in crate::workers::pool) fn restart() {
    TIME.set(Duration::ZERO);
}
