//! What the process of the master takes of the system, as Prometheus' own clients report it (`process_*`).

use std::fs;

/// What a process takes. Where the system does not tell, a field is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessUsage {
    /// CPU time, of the user and of the system, in seconds.
    pub cpu_seconds: Option<f64>,
    /// The resident set, in bytes.
    pub resident: Option<u64>,
    /// The address space, in bytes.
    pub virtual_memory: Option<u64>,
    /// The number of open files.
    pub open_files: Option<u64>,
    /// The limit of open files.
    pub most_files: Option<u64>,
    /// The number of threads.
    pub threads: Option<u64>,
}

/// What this process takes. Its time grows with the number of open files.
pub(super) fn read() -> ProcessUsage {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    ProcessUsage {
        open_files: fs::read_dir("/proc/self/fd")
            .ok()
            // Without the one that lists them.
            .map(|files| (files.count() as u64).saturating_sub(1)),
        most_files: limit.current,
        ..of(&stat, rustix::param::clock_ticks_per_second())
    }
}

/// What a line of proc_pid_stat(5) says.
fn of(stat: &str, ticks: u64) -> ProcessUsage {
    // The name of the program may have spaces and brackets in it. The third field is the first one behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let page = rustix::param::page_size() as u64;
    ProcessUsage {
        cpu_seconds: number(14)
            .zip(number(15))
            .map(|(user, system)| (user + system) as f64 / ticks as f64),
        threads: number(20),
        virtual_memory: number(23),
        resident: number(24).map(|pages| pages * page),
        ..ProcessUsage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_can_have_any_name() {
        let numbers: Vec<String> = (4..=52).map(|number| (number * 10).to_string()).collect();
        let found = of(&format!("7 (a) b (c)) S {}\n", numbers.join(" ")), 100);
        assert_eq!(found.cpu_seconds, Some(2.9));
        assert_eq!(
            (found.threads, found.virtual_memory),
            (Some(200), Some(230))
        );
        assert_eq!(of("", 100), ProcessUsage::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_takes_something() {
        let found = read();
        assert!(
            found.resident.is_some_and(|bytes| bytes > 1 << 20),
            "{found:?}"
        );
        assert!(
            found.open_files.is_some_and(|files| files >= 3),
            "{found:?}"
        );
        assert!(
            found.threads.is_some_and(|threads| threads >= 1),
            "{found:?}"
        );
    }
}
