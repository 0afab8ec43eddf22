//! What a process uses, according to `/proc`.

use std::fs;
use std::path::PathBuf;

use rustix::process::Pid;

/// Its open descriptors, each with the file, socket or pipe behind it.
pub fn descriptors(pid: Pid) -> Vec<(PathBuf, String)> {
    let folder = format!("/proc/{}/fd", pid.as_raw_nonzero());
    let entries = fs::read_dir(folder).expect("it runs").flatten();
    let descriptor = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some((entry.path(), target.display().to_string()))
    };
    entries.filter_map(descriptor).collect()
}

/// A size in its status (`VmRSS`: resident memory, `VmHWM`: the peak of that), in bytes.
pub fn memory(pid: Pid, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    let kibibytes: usize = number.and_then(|text| text.parse().ok()).expect("a number");
    kibibytes * 1024
}
