//! The variable in the environment by which the processes of an application are known.

use std::sync::atomic::{AtomicU32, Ordering};

/// The value of the variable in the environment of one application's processes.
#[derive(Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// The name of the variable.
    pub(crate) const VARIABLE: &str = "RUNNER_WORKER";

    /// A value that no other application has.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}.{count}", std::process::id()))
    }

    /// The value for a worker, or for processes that no worker in particular has started.
    pub(crate) fn of(&self, worker: Option<u32>) -> String {
        let Self(all) = self;
        worker.map_or_else(|| all.clone(), |worker| format!("{all}.{worker}"))
    }

    /// The value that a process was started with (proc(5)).
    pub(crate) fn read(pid: i32) -> Option<String> {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environment.split(|&byte| byte == 0);
        variables.find_map(|variable| {
            let value = variable.strip_prefix(Self::VARIABLE.as_bytes())?;
            let value = value.strip_prefix(b"=")?;
            String::from_utf8(value.to_vec()).ok()
        })
    }
}
