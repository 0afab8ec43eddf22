//! Whether the kernel has killed for lack of memory: it says so by a counter, and to nobody by name.

use std::fs;
use std::path::PathBuf;

/// What the counter is called, both in a control group's `memory.events` (cgroup v2) and in `/proc/vmstat`.
const COUNTER: &str = "oom_kill";

/// Watches the counter.
#[derive(Debug)]
pub struct Shortage {
    /// The control group's own, which counts whatever was the reason; else the whole system's.
    sources: [PathBuf; 2],
    seen: Option<u64>,
}

impl Shortage {
    /// From now on.
    #[must_use]
    pub fn watch() -> Self {
        // cgroups(7): `0::/path` names the group in version 2.
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let folder = PathBuf::from("/sys/fs/cgroup").join(group.unwrap_or_default());
        Self::of([folder.join("memory.events"), "/proc/vmstat".into()])
    }

    fn of(sources: [PathBuf; 2]) -> Self {
        let mut shortage = Self {
            sources,
            seen: None,
        };
        shortage.has_killed();
        shortage
    }

    /// Whether a process has been killed for lack of memory since the last time.
    pub fn has_killed(&mut self) -> bool {
        let count = self.sources.iter().find_map(|source| {
            let text = fs::read_to_string(source).ok()?;
            text.lines()
                .find_map(|line| line.strip_prefix(COUNTER)?.trim().parse().ok())
        });
        let seen = std::mem::replace(&mut self.seen, count);
        seen.zip(count).is_some_and(|(before, now)| now > before)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Shortage;

    #[test]
    fn each_kill_is_seen_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let group = folder.path().join("memory.events");
        let system = folder.path().join("vmstat");
        fs::write(&system, "nr_free_pages 7\noom_kill 3\n").expect("written");
        let mut shortage = Shortage::of([group.clone(), system.clone()]);
        assert!(!shortage.has_killed());
        fs::write(&system, "nr_free_pages 7\noom_kill 4\n").expect("written");
        assert!(shortage.has_killed());
        assert!(!shortage.has_killed());
        // The group's counter is the better one.
        fs::write(&group, "low 0\noom 9\noom_kill 1\noom_group_kill 0\n").expect("written");
        let mut shortage = Shortage::of([group.clone(), system]);
        fs::write(&group, "low 0\noom 9\noom_kill 2\noom_group_kill 0\n").expect("written");
        assert!(shortage.has_killed());
    }

    #[test]
    fn a_system_that_says_nothing_says_nothing() {
        let nowhere = std::path::PathBuf::from("/nonexistent");
        let mut shortage = Shortage::of([nowhere.clone(), nowhere]);
        assert!(!shortage.has_killed());
    }
}
