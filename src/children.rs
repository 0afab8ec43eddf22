//! The children of this process, and who waits for them: those that we have started, and what loses its parent and is
//! left to us. And the programs that could become one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group,
    test_kill_process, waitid, waitpid,
};

use crate::unix;

/// Makes this process the one that inherits orphaned descendants, so that workers whose template died can
/// still be waited for. A convenience where the system has none: their end is seen on their sockets too.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// The processes that somebody in this process waits for, and how many do.
static AWAITED: Mutex<BTreeMap<i32, usize>> = Mutex::new(BTreeMap::new());

/// Says that somebody waits for a process, until it is dropped.
#[derive(Debug)]
pub struct Awaited(i32);

impl Awaited {
    /// Somebody waits for this process.
    #[must_use]
    pub fn new(pid: i32) -> Self {
        Self::among(&mut awaited(), pid)
    }

    fn among(all: &mut BTreeMap<i32, usize>, pid: i32) -> Self {
        *all.entry(pid).or_default() += 1;
        Self(pid)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = awaited().entry(self.0) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn awaited() -> MutexGuard<'static, BTreeMap<i32, usize>> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process that somebody will wait for, and says so, with its number, before anybody can bury it. That goes for
/// one, too, that cannot be run: whoever starts it waits for it.
///
/// # Errors
/// It cannot be run.
pub fn start<C>(
    spawn: impl FnOnce() -> io::Result<C>,
    number: impl FnOnce(&C) -> Option<u32>,
) -> io::Result<(C, Option<Awaited>)> {
    let mut all = awaited();
    let child = spawn()?;
    let pid = number(&child).and_then(|pid| i32::try_from(pid).ok());
    let awaited = pid.map(|pid| Awaited::among(&mut all, pid));
    Ok((child, awaited))
}

/// Waits for those of our children that have ended and that nobody else waits for: descendants of workers that
/// were left to us when their parent ended.
pub fn bury_orphans() {
    let Some(children) = children() else {
        // One that somebody waits for hides those behind it, until somebody has.
        while ended_child().is_some_and(bury_orphan) {}
        return;
    };
    for pid in children {
        bury_orphan(pid);
    }
}

/// Waits for a child if it has ended and nobody else waits for it; whether that was so.
fn bury_orphan(pid: i32) -> bool {
    let all = awaited();
    let orphan = Pid::from_raw(pid).filter(|_| !all.contains_key(&pid));
    // Its status is nobody's business.
    orphan.is_some_and(|pid| matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}

/// A child that has ended and has not been waited for, if there is one.
fn ended_child() -> Option<i32> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let pid = waitid(Id::All, look).ok()?.pid()?;
        Some(pid.as_raw())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Our children; `None` where the system does not tell, for want of `/proc`.
fn children() -> Option<impl Iterator<Item = i32>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.flatten().flat_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children.split_whitespace();
        pids.filter_map(|pid| pid.parse().ok())
            .collect::<Vec<i32>>()
    }))
}

/// The children that are left to us, and that nobody waits for, as far as they are meant. Those that have ended are
/// buried. None, where the system does not tell.
pub fn orphans(is_meant: impl Fn(i32) -> bool) -> Vec<i32> {
    let children = children().into_iter().flatten();
    let lives = |&pid: &i32| {
        let is_awaited = awaited().contains_key(&pid);
        !is_awaited && !bury_orphan(pid)
    };
    children
        .filter(lives)
        .filter(|&pid| is_meant(pid))
        .collect()
}

/// Sends a signal to a child that is left to us. It is a child of ours until somebody buries it: so is nobody else hit who
/// got its number later.
pub fn signal_orphan(pid: i32, signal: Signal) {
    let all = awaited();
    let is_ours = || children().is_some_and(|mut children| children.any(|child| child == pid));
    if !all.contains_key(&pid)
        && is_ours()
        && let Some(pid) = Pid::from_raw(pid)
    {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a child of ours, which has not been waited for, has ended.
#[must_use]
pub fn has_ended(child: u32) -> bool {
    let Some(pid) = process_id(child) else {
        return true;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// Sends a signal to the process group of a child of ours that has not been waited for: till then, its number is
/// nobody else's. That nothing of it is left is no error.
pub fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = process_id(leader) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Whether any child of ours but its leader is in a process group: descendants of the leader that were left to us.
/// Those that are not yet have a parent that is. No, where nobody is left to us (see [`adopt_orphans`]).
#[must_use]
pub fn has_children_in_group(leader: u32) -> bool {
    let Some(group) = process_id(leader) else {
        return false;
    };
    let children = children().into_iter().flatten();
    children
        .filter_map(Pid::from_raw)
        .any(|child| child != group && rustix::process::getpgid(Some(child)) == Ok(group))
}

fn process_id(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// A process that can be ended without ever hitting another that got its number later.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    _awaited: Awaited,
    /// `None` where the system has no such thing, or the process is dead already.
    #[cfg(target_os = "linux")]
    handle: Option<std::os::fd::OwnedFd>,
}

impl Process {
    /// Takes hold of a running process that somebody has not waited for yet; `None` if that is no process id.
    #[must_use]
    pub fn new(pid: i32) -> Option<Self> {
        let pid = Pid::from_raw(pid)?;
        Some(Self {
            pid,
            _awaited: Awaited::new(pid.as_raw_nonzero().get()),
            #[cfg(target_os = "linux")]
            handle: rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok(),
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Ends it at once. That it is dead already is no error.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends it a signal. That it is dead already is no error.
    pub fn signal(&self, signal: Signal) {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            let _ = rustix::process::pidfd_send_signal(handle, signal);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = kill_process(self.pid, signal);
    }

    /// Has it write where its threads are: sends [`unix::STACK_SIGNAL`]. That it is dead already is no error.
    pub fn show_stacks(&self) {
        self.signal(unix::stack_signal());
    }

    /// Whether it has ended, whoever waits for it: also one that is no child of ours. No, where the system cannot tell.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            return ends_within(handle, Duration::ZERO);
        }
        test_kill_process(self.pid) == Err(Errno::SRCH)
    }

    /// Its status as of `wait(2)` if it is dead.
    ///
    /// # Errors
    /// It is no child of ours.
    pub fn reap(&self) -> io::Result<Option<i32>> {
        let waited = waitpid(Some(self.pid), WaitOptions::NOHANG);
        Ok(waited?.map(|(_, status)| status.as_raw()))
    }
}

/// Waits until the process of a pidfd has ended, for this long at most. Returns whether it has.
pub(crate) fn ends_within(pidfd: impl AsFd, within: Duration) -> bool {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()) {
            Err(Errno::INTR) => {}
            polled => return polled == Ok(1),
        }
    }
}

/// How a process ended, in words.
pub(crate) fn cause(status: ExitStatus) -> String {
    const OUT_OF_TIME: i32 = Signal::XCPU.as_raw();
    match (status.signal(), status.code()) {
        (Some(OUT_OF_TIME), _) => {
            "was killed by SIGXCPU: its processor time is used up (runner.workers.limits.cpu)"
                .to_owned()
        }
        (Some(signal), _) => format!("was killed by {}", signal_name(signal)),
        (None, Some(0)) => "left".to_owned(),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => format!("ended ({status})"),
    }
}

fn signal_name(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.to_owned(),
        None => format!("signal {signal}"),
    }
}

/// The programs of this name, in the order of `PATH`: the first one is what the system would run.
pub fn on_path(name: impl AsRef<OsStr>) -> impl Iterator<Item = PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders
        .into_iter()
        .map(move |folder| folder.join(name.as_ref()))
        .filter(|path| is_program(path))
}

/// Whether there is a file that we may execute.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::cause;

    #[test]
    fn a_death_is_named_as_the_system_names_it() {
        for (status, expected) in [
            (0, "left"),
            (3 << 8, "exited with status 3"),
            (6, "was killed by SIGABRT"),
            (9, "was killed by SIGKILL"),
            (11 | 0x80, "was killed by SIGSEGV"),
            (14, "was killed by SIGALRM"),
            (63, "was killed by signal 63"),
        ] {
            assert_eq!(cause(ExitStatus::from_raw(status)), expected);
        }
    }
}
