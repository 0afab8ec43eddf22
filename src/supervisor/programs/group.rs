//! A program's process group, which its first process leads, and what the program leaves behind.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{LazyLock, Once};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::children::left_behind::LeftBehind;
use crate::children::left_groups::LeftGroups;
use crate::children::mark::Mark;
use crate::children::orphan_guard;
use crate::children::{self, Awaited};

/// By it are known all processes that programs start: those that have left their group (`setsid(2)`) as well.
static MARK: LazyLock<Mark> = LazyLock::new(Mark::new);

/// The number of the next group.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The groups of commands that nobody waits for, in which processes go on.
static LEFT: LeftGroups = LeftGroups::new();

/// How long a program that was killed may take to end.
pub(super) const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// A program's first process, and all that it has started. Dropped, all of them are killed.
pub(super) struct ProcessGroup {
    leader: Child,
    /// Whether the leader has been waited for. Until then, its number is not given to another process or group.
    reaped: bool,
    mark: String,
    _awaited: Option<Awaited>,
}

impl ProcessGroup {
    /// Starts a command that is to lead a group.
    ///
    /// # Errors
    /// It cannot be run.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        // Orphans of the group become our children, and so can be found.
        children::adopt_orphans();
        let mark = MARK.of(Some(NEXT.fetch_add(1, Relaxed)));
        command.env(Mark::VARIABLE, &mark);
        let (leader, awaited) = children::start(|| command.spawn(), |child| Some(child.id()))?;
        Ok(Self {
            leader,
            reaped: false,
            mark,
            _awaited: awaited,
        })
    }

    /// The number of the group and of its leader.
    pub(super) fn id(&self) -> u32 {
        self.leader.id()
    }

    /// Whether the leader has ended.
    pub(super) fn has_ended(&self) -> bool {
        children::has_ended(self.id())
    }

    /// Whether other processes of the group run.
    pub(super) fn has_others(&self) -> bool {
        children::bury_orphans();
        children::has_children_in_group(self.id())
    }

    /// Sends a signal to all processes of the group.
    pub(super) fn signal(&self, signal: Signal) {
        children::signal_group(self.id(), signal);
    }

    /// Kills what is left of the group, and waits for its leader, which has ended.
    pub(super) fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.reaped = true;
        self.leader.wait()
    }

    /// Ends what its processes have left in sessions of their own. To be called when the leader was waited for.
    pub(super) async fn end_sessions(&self) {
        let mut left_behind = LeftBehind::default();
        let (leader, mark) = (self.id().cast_signed(), self.mark.clone());
        left_behind.by(leader, Some(mark), Instant::now());
        left_behind.ended().await;
    }

    /// Waits for its leader, which has ended, and leaves the others alone until [`end_all_left`].
    pub(super) fn leave(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        let status = self.leader.wait();
        LEFT.add(self.id());
        status
    }

    /// Tells all of it to end. What does not end soon is killed by [`end_all_left`].
    pub(super) fn abandon(mut self) {
        self.signal(Signal::TERM);
        self.reaped = true;
        LEFT.add(self.id());
    }
}

/// Has all that programs start end if this process is killed.
pub(super) fn guard_all() {
    static GUARDED: Once = Once::new();
    GUARDED.call_once(|| {
        if let Err(error) = orphan_guard::protect(&MARK) {
            crate::log_warning!(
                "cannot run `sh`: {error}; what a command has started stays if runner is killed"
            );
        }
    });
}

/// Ends what is left of all programs. To be called when none is kept running any more. A process that has taken over keeps it:
/// the programs that it has started may have found what they need there already.
pub async fn end_all_left(heir: Option<i32>) {
    if heir.is_none() {
        // Tasks that were aborted end first.
        tokio::task::yield_now().await;
        let (mut left_behind, now) = (LeftBehind::default(), Instant::now());
        left_behind.groups(&LEFT, now);
        left_behind.sweep(&MARK, now);
        left_behind.ended().await;
    }
    orphan_guard::end();
}

impl Drop for ProcessGroup {
    /// However this process ends, it leaves no process of the group behind.
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.signal(Signal::KILL);
        let until = Instant::now() + LAST_MOMENTS;
        while !self.has_ended() && Instant::now() < until {
            // No event loop runs any more that could wait, and `waitpid(2)` has no limit of time.
            thread::sleep(Duration::from_millis(1));
        }
        if self.has_ended() {
            let _ = self.reap();
        }
    }
}
