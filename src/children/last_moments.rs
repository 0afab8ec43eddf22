//! Whether a process is about to end: it was killed or is exiting, but the system has not come to closing its files. Its
//! sockets take connections until then, though nothing will ever read from them.

use std::fs;
use std::path::{Path, PathBuf};

/// Flags of a thread (`PF_EXITING` and `PF_SIGNALED`, `include/linux/sched.h`): it is exiting, or a signal has killed it.
const EXITING: u64 = 0x4 | 0x400;

/// SIGKILL in the set of signals that a thread is still to get. Whatever kills a process, the system sends it to each
/// thread, before the call that kills returns.
const KILLED: u64 = 1 << (9 - 1);

/// Where the flags and the signals are in a line of `/proc/PID/task/TID/stat` (proc_pid_stat(5)), counted from the state of the
/// thread, which is behind the name.
const FLAGS: usize = 9 - 3;
const PENDING: usize = 31 - 3;

/// Whether the last moments of a process have come. Reads a file for its first thread and, if that ends, for each. `false` where
/// there is no `/proc`.
pub(super) fn have_come(pid: i32) -> bool {
    let threads = PathBuf::from(format!("/proc/{pid}/task"));
    // The first thread may have ended long ago in a process that goes on.
    ends(&threads.join(pid.to_string())) == Some(true)
        && fs::read_dir(threads).is_ok_and(|threads| {
            let mut threads = threads.flatten();
            threads.all(|thread| ends(&thread.path()) != Some(false))
        })
}

/// Whether the thread of a folder in `/proc` ends; `None` if it is not there any more.
fn ends(thread: &Path) -> Option<bool> {
    let ends = || {
        let line = fs::read(thread.join("stat")).ok()?;
        Some(is_ending(&String::from_utf8_lossy(&line)))
    };
    // A line has the flags before the signals: it shows neither if the thread takes its SIGKILL in between.
    Some(ends()? || ends()?)
}

/// Whether a line says that its thread ends.
fn is_ending(line: &str) -> bool {
    // The name of the program may have blanks and parentheses.
    let (_, fields) = line.rsplit_once(')').unwrap_or_default();
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let has = |field: usize, bits: u64| {
        let number = fields.get(field).and_then(|text| text.parse().ok());
        number.is_some_and(|number: u64| number & bits > 0)
    };
    has(FLAGS, EXITING) || has(PENDING, KILLED)
}

#[cfg(test)]
mod tests {
    use super::is_ending;

    #[test]
    fn a_line_shows_whether_its_thread_ends() {
        let between = "96 0 0 0 0 0 0 0 20 0 1 0 2187 5865472 418 18446744073709551615 1 1 0 0 0";
        for (state, flags, pending, ends) in [
            ('S', 0x0040_0000, 0, false),
            // It is stopped, and to get SIGTERM.
            ('T', 0x0040_0000, 1 << 14, false),
            ('T', 0x0040_0000, 1 << 8, true),
            // It dumps its core.
            ('D', 0x0040_0600, 0, true),
            ('R', 0x0040_0004, 0, true),
            ('Z', 0x0040_000c, 0, true),
        ] {
            let line = format!(
                "7 (a) b (c)) {state} 1 1 1 0 -1 {flags} {between} {pending} 0 4096 17642 1 0 0 17 1"
            );
            assert_eq!(is_ending(&line), ends, "{line}");
        }
        for none in ["", "7 (a) S 1", "rubbish"] {
            assert!(!is_ending(none), "{none}");
        }
    }
}
