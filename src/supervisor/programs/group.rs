//! A program's process group, which its first process leads.

use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::children::{self, Awaited};

/// How long a program that was killed may take to end.
pub(super) const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// A program's first process, and all that it has started. Dropped, all of them are killed.
pub(super) struct ProcessGroup {
    leader: Child,
    /// Whether the leader has been waited for. Until then, its number is not given to another process or group.
    reaped: bool,
    _awaited: Option<Awaited>,
}

impl ProcessGroup {
    /// The group that a child of ours leads.
    pub(super) fn new(leader: Child, awaited: Option<Awaited>) -> Self {
        Self {
            leader,
            reaped: false,
            _awaited: awaited,
        }
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
