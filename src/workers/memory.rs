//! What the kernel says of memory: how much a process takes, and whether it has killed processes for lack of memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The name of the counter of such kills, in `memory.events` of cgroup v2 and in `memory.oom_control` of v1.
const COUNTER: &str = "oom_kill";

/// The memory of a process (resident set) in bytes; `None` if the process has ended, or the system does not say.
#[must_use]
pub(crate) fn resident_memory(pid: i32) -> Option<u64> {
    // proc_pid_statm(5): pages; the second number is the resident set.
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

/// Watches the counter of runner's control group. The kernel does not say which process it killed.
#[derive(Debug)]
pub(crate) struct OutOfMemory {
    /// The files that may have it; the first that exists counts.
    sources: Vec<PathBuf>,
    seen: Option<u64>,
}

impl OutOfMemory {
    /// Watches from now on.
    #[must_use]
    pub(crate) fn watch() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(sources(&groups))
    }

    fn of(sources: Vec<PathBuf>) -> Self {
        let mut out_of_memory = Self {
            sources,
            seen: None,
        };
        out_of_memory.has_killed();
        out_of_memory
    }

    /// Whether a process has been killed for lack of memory since the last time.
    pub(crate) fn has_killed(&mut self) -> bool {
        let count = self.sources.iter().find_map(|source| {
            let text = fs::read_to_string(source).ok()?;
            text.lines()
                .find_map(|line| line.strip_prefix(COUNTER)?.trim().parse().ok())
        });
        let seen = std::mem::replace(&mut self.seen, count);
        seen.zip(count).is_some_and(|(before, now)| now > before)
    }
}

/// The files that may have the counter of the groups in `/proc/self/cgroup` (cgroups(7)). In a container, a path of
/// version 1 is the one outside.
fn sources(groups: &str) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for line in groups.lines() {
        if let Some(path) = line.strip_prefix("0::/") {
            let folder = Path::new("/sys/fs/cgroup").join(path);
            sources.push(folder.join("memory.events"));
        } else if let Some((_, path)) = line.split_once(":memory:/") {
            for path in [path, ""] {
                let folder = Path::new("/sys/fs/cgroup/memory").join(path);
                sources.push(folder.join("memory.oom_control"));
            }
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{OutOfMemory, sources};

    #[test]
    fn each_kill_is_seen_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let events = folder.path().join("memory.events");
        let write = |count| {
            let text = format!("low 0\noom 9\noom_kill {count}\noom_group_kill 7\n");
            fs::write(&events, text).expect("written");
        };
        write(3);
        let mut out_of_memory = OutOfMemory::of(vec!["/nonexistent".into(), events.clone()]);
        assert!(!out_of_memory.has_killed());
        write(4);
        assert!(out_of_memory.has_killed());
        assert!(!out_of_memory.has_killed());
    }

    #[test]
    fn a_system_that_says_nothing_says_nothing() {
        let mut out_of_memory = OutOfMemory::of(vec!["/nonexistent".into()]);
        assert!(!out_of_memory.has_killed());
    }

    #[test]
    fn the_counter_is_that_of_the_control_group() {
        let paths = |names: &[&str]| -> Vec<PathBuf> { names.iter().map(PathBuf::from).collect() };
        let service = "0::/system.slice/app.service\n";
        let wanted = ["/sys/fs/cgroup/system.slice/app.service/memory.events"];
        assert_eq!(sources(service), paths(&wanted));
        assert_eq!(sources("0::/\n"), paths(&["/sys/fs/cgroup/memory.events"]));
        let wanted = [
            "/sys/fs/cgroup/memory/docker/1/memory.oom_control",
            "/sys/fs/cgroup/memory/memory.oom_control",
        ];
        assert_eq!(sources("5:pids:/\n4:memory:/docker/1\n"), paths(&wanted));
        assert_eq!(sources(""), paths(&[]));
    }
}
