//! What a worker uses, and limits on that, which the system keeps (`setrlimit(2)`).

use std::time::Duration;

/// The limits of each worker and each process that it starts; `None` leaves one as it is.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The address space in bytes.
    pub memory: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// Processor time, in whole seconds.
    pub cpu: Option<Duration>,
    /// Processes and threads of the user.
    pub processes: Option<u64>,
    /// The size of a core file in bytes.
    pub core: Option<u64>,
}

impl Resources {
    /// Those that are set, by their names in settings and in control.py, in bytes, seconds or pieces.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, f64)> {
        #[allow(clippy::cast_precision_loss)] // settings take no more than 2^53
        let number = |value: Option<u64>| value.map(|value| value as f64);
        [
            ("memory", number(self.memory)),
            ("files", number(self.files)),
            ("cpu", self.cpu.map(|time| time.as_secs_f64().ceil())),
            ("processes", number(self.processes)),
            ("core", number(self.core)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The memory that a process takes (resident set), in bytes; `None` if there is none, or the system does not say.
#[must_use]
pub fn resident_memory(pid: i32) -> Option<u64> {
    // proc_pid_statm(5): pages; the second number is the resident set.
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
