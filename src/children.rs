//! The children of this process: those that it has started, and orphans that the system has made its children; how they end,
//! and which code waits for them. Also the search for programs in `PATH`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group,
    test_kill_process, test_kill_process_group, waitid, waitpid,
};

use crate::unix;

mod last_moments;
pub(crate) mod left_behind;
pub(crate) mod left_groups;
pub(crate) mod mark;
pub(crate) mod orphan_guard;
pub mod search_path;

/// Makes orphaned descendants children of this process, so that workers whose template has died can still be waited for. Not
/// all systems support that; the end of a worker is also seen on its socket.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok() {
        ADOPTS.store(true, Relaxed);
    }
}

/// Whether orphaned processes become children of this process.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// Whether orphaned processes become children of this process, as they do of process 1, in a container for example.
#[must_use]
pub fn adopts_orphans() -> bool {
    ADOPTS.load(Relaxed) || std::process::id() == 1
}

/// The processes that code of ours waits for.
static AWAITED: Mutex<AwaitedProcesses> = Mutex::new(AwaitedProcesses {
    numbers: BTreeMap::new(),
    starting: 0,
});

#[derive(Debug)]
struct AwaitedProcesses {
    /// Their numbers, and in how many places each is waited for.
    numbers: BTreeMap<i32, usize>,
    /// How many are being started, whose numbers are not known yet.
    starting: usize,
}

/// A start that is under way.
struct StartUnderWay;

impl StartUnderWay {
    fn begin() -> Self {
        awaited().starting += 1;
        Self
    }
}

impl Drop for StartUnderWay {
    fn drop(&mut self) {
        awaited().starting -= 1;
    }
}

/// Registers that a process is waited for, until it is dropped.
#[derive(Debug)]
pub struct Awaited(i32);

impl Awaited {
    /// Registers a process.
    #[must_use]
    pub fn new(pid: i32) -> Self {
        Self::among(&mut awaited(), pid)
    }

    fn among(all: &mut AwaitedProcesses, pid: i32) -> Self {
        *all.numbers.entry(pid).or_default() += 1;
        Self(pid)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = awaited().numbers.entry(self.0) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn awaited() -> MutexGuard<'static, AwaitedProcesses> {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process that the caller will wait for, and registers its number before [`bury_orphans`] can wait for it. This
/// also holds for a process that cannot run its program: `spawn` waits for it. As long as a process is being started, no
/// orphan is waited for; nothing waits for the start itself.
///
/// # Errors
/// It cannot be run.
pub fn start<C>(
    spawn: impl FnOnce() -> io::Result<C>,
    number: impl FnOnce(&C) -> Option<u32>,
) -> io::Result<(C, Option<Awaited>)> {
    let _under_way = StartUnderWay::begin();
    let child = spawn()?;
    let pid = number(&child).and_then(|pid| i32::try_from(pid).ok());
    let awaited = pid.map(Awaited::new);
    Ok((child, awaited))
}

/// Waits for those of our children that have ended and that no other code waits for: descendants of workers whose parent has
/// ended.
pub fn bury_orphans() {
    let Some(children) = children() else {
        // A child that other code waits for hides those behind it, until it has been waited for.
        while ended_child().is_some_and(bury_orphan) {}
        return;
    };
    for pid in children {
        bury_orphan(pid);
    }
}

/// Waits for a child if it has ended and no other code waits for it. Returns whether that was so.
fn bury_orphan(pid: i32) -> bool {
    let all = awaited();
    let orphan =
        Pid::from_raw(pid).filter(|_| all.starting == 0 && !all.numbers.contains_key(&pid));
    // Nothing needs its status.
    orphan.is_some_and(|pid| matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}

/// A child that has ended and has not been waited for.
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

/// The children of this process; `None` on systems without `/proc`.
fn children() -> Option<impl Iterator<Item = i32>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.flatten().flat_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children.split_whitespace();
        pids.filter_map(|pid| pid.parse().ok())
            .collect::<Vec<i32>>()
    }))
}

/// The orphans among our children that a function selects. Those that have ended are waited for. Empty on systems without
/// `/proc`.
pub fn orphans(is_meant: impl Fn(i32) -> bool) -> Vec<i32> {
    loop {
        let mut have_ended = false;
        let lives = |pid: &i32| {
            let has_ended = bury_orphan(*pid);
            have_ended |= has_ended;
            !has_ended && !awaited().numbers.contains_key(pid)
        };
        let living = children().into_iter().flatten().filter(lives);
        let found = living.filter(|&pid| is_meant(pid)).collect();
        // The children of one that has ended are ours since then.
        if !have_ended {
            return found;
        }
    }
}

/// Sends a signal to an orphan among our children. As long as it is our child and has not been waited for, its number is not
/// given to another process.
pub fn signal_orphan(pid: i32, signal: Signal) {
    let all = awaited();
    let is_ours = || children().is_some_and(|mut children| children.any(|child| child == pid));
    if !all.numbers.contains_key(&pid)
        && is_ours()
        && let Some(pid) = Pid::from_raw(pid)
    {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a child of ours that has not been waited for has ended.
#[must_use]
pub fn has_ended(child: u32) -> bool {
    let Some(pid) = process_id(child) else {
        return true;
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// The status of a child of ours that has ended and has not been waited for, which stays so.
#[must_use]
pub fn status_of_ended(child: u32) -> Option<ExitStatus> {
    let pid = process_id(child)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(pid), options).ok()??;
    let code = status.exit_status().map(|code| code << 8);
    code.or(status.terminating_signal())
        .map(ExitStatus::from_raw)
}

/// Sends a signal to the process group that a child of ours leads. As long as that has not been waited for, its number is not
/// given to another group. It is no error if the group has ended.
pub fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = process_id(leader) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Whether any process is in the group of this number.
#[must_use]
pub fn is_group(leader: u32) -> bool {
    let group = process_id(leader);
    group.is_some_and(|group| test_kill_process_group(group) != Err(Errno::SRCH))
}

/// Whether a child of ours other than the leader is in a process group: an orphaned descendant of the leader. One that is not
/// orphaned yet has a parent that is. Needs [`adopt_orphans`].
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

/// A process that can be signalled without ever hitting a later one with the same number.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    _awaited: Awaited,
    /// Its pidfd; `None` if it could not be opened, since the process has ended already, for example.
    #[cfg(target_os = "linux")]
    handle: Option<std::os::fd::OwnedFd>,
}

impl Process {
    /// A process that has not been waited for; `None` if the number is not a process id.
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

    /// Sends SIGKILL. It is no error if the process has ended.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends a signal. It is no error if the process has ended.
    pub fn signal(&self, signal: Signal) {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            let _ = rustix::process::pidfd_send_signal(handle, signal);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = kill_process(self.pid, signal);
    }

    /// Has a worker write the stacks of its threads: sends [`unix::STACK_SIGNAL`].
    pub fn show_stacks(&self) {
        self.signal(unix::stack_signal());
    }

    /// Whether it has ended. It need not be a child of ours.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            return ends_within(handle, Duration::ZERO);
        }
        test_kill_process(self.pid) == Err(Errno::SRCH)
    }

    /// Whether it has ended or is about to: it was killed or is exiting, though its sockets may be open for a moment yet. Costs
    /// some microseconds.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.has_ended() || last_moments::have_come(self.id())
    }

    /// Its status as of `wait(2)` if it has ended.
    ///
    /// # Errors
    /// It is not a child of ours.
    pub fn reap(&self) -> io::Result<Option<i32>> {
        let waited = waitpid(Some(self.pid), WaitOptions::NOHANG);
        Ok(waited?.map(|(_, status)| status.as_raw()))
    }
}

/// Tells when a child of ours ends, without waiting for it: its number, and that of its group, stay its own.
#[derive(Debug)]
pub struct EndOfChild {
    child: u32,
    /// Its pidfd; `None` where there is none: then the end is looked for every now and then.
    #[cfg(target_os = "linux")]
    handle: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

/// How often the end of a child is looked for where the system does not tell of it.
const LOOK: Duration = Duration::from_millis(20);

impl EndOfChild {
    /// That of a child that has not been waited for. Must be called within a runtime.
    #[must_use]
    pub fn of(child: u32) -> Self {
        Self {
            child,
            #[cfg(target_os = "linux")]
            handle: process_id(child)
                .and_then(|pid| {
                    let flags = rustix::process::PidfdFlags::empty();
                    rustix::process::pidfd_open(pid, flags).ok()
                })
                .and_then(|handle| unix::watched(handle).ok()),
        }
    }

    /// Waits until it has ended.
    pub async fn come(&self) {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            // It stays readable, and an error means that the runtime ends.
            drop(handle.readable().await);
            return;
        }
        while !has_ended(self.child) {
            tokio::time::sleep(LOOK).await;
        }
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

/// The programs with a name, in the order of `PATH`: the system would run the first one.
pub fn on_path(name: impl AsRef<OsStr>) -> impl Iterator<Item = PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders
        .into_iter()
        .map(move |folder| folder.join(name.as_ref()))
        .filter(|path| is_program(path))
}

/// Whether there is a file at a path that this process may execute.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// The wait before the first restart of a process that has ended early.
pub(crate) const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest wait before a restart. A process that has run for as long has not ended early.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// The wait before the restart of a process that has ended early this many times in a row: doubled each time.
pub(crate) fn restart_delay(early_ends: u32) -> Duration {
    let doublings = early_ends.saturating_sub(1).min(16);
    FIRST_DELAY
        .saturating_mul(1 << doublings)
        .min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::{cause, restart_delay};

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

    #[test]
    fn delays_double_up_to_half_a_minute() {
        let delays = [1, 2, 3, 9, 10, 1000, u32::MAX].map(|ends| restart_delay(ends).as_millis());
        assert_eq!(delays, [100, 200, 400, 25_600, 30_000, 30_000, 30_000]);
    }
}
