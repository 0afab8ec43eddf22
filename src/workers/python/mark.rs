//! What the processes of an application are known by: a variable in their environment.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::workers::id::WorkerId;

/// What the processes of an application are known by.
#[derive(Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// The variable that it is in.
    pub(crate) const VARIABLE: &str = "RUNNER_WORKER";

    /// One that no other has.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}.{count}", std::process::id()))
    }

    /// That of a worker, or of what none of them in particular has started.
    pub(crate) fn of(&self, worker: Option<WorkerId>) -> String {
        let Self(all) = self;
        worker.map_or_else(|| all.clone(), |worker| format!("{all}.{worker}"))
    }
}
