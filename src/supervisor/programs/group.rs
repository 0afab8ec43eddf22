//! The processes of a program: a group of their own, which its first process leads.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::children::{self, Awaited};

/// How long a program that was killed may take to be gone.
pub(super) const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// A program's process and all that it has started. Dropped, all of it is killed.
pub(super) struct Group {
    child: Child,
    /// Until it is, its number is nobody else's, nor that of its group.
    buried: bool,
    _awaited: Option<Awaited>,
}

impl Group {
    /// That of a child of ours that leads it.
    pub(super) fn new(child: Child, awaited: Option<Awaited>) -> Self {
        Self {
            child,
            buried: false,
            _awaited: awaited,
        }
    }

    /// The process that leads it.
    pub(super) fn leader(&self) -> u32 {
        self.child.id()
    }

    /// Whether its leader has ended. It keeps its number until [`Group::bury`].
    pub(super) fn is_over(&self) -> bool {
        children::has_ended(self.child.id())
    }

    /// Whether anything else of it runs.
    pub(super) fn has_others(&self) -> bool {
        children::bury_orphans();
        children::has_children_in_group(self.child.id())
    }

    /// Tells all of it to end.
    pub(super) fn terminate(&self) {
        children::signal_group(self.child.id(), rustix::process::Signal::TERM);
    }

    /// Kills all of it.
    pub(super) fn kill(&self) {
        children::signal_group(self.child.id(), rustix::process::Signal::KILL);
    }

    /// Kills what is left of it once its leader has ended, and forgets it.
    pub(super) fn bury(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.buried = true;
        self.child.wait()
    }
}

impl Drop for Group {
    /// However we end, nothing stays behind.
    fn drop(&mut self) {
        if self.buried {
            return;
        }
        self.kill();
        let until = Instant::now() + LAST_MOMENTS;
        while !self.is_over() && Instant::now() < until {
            // Whoever is killed ends in a moment, and there is no loop any more that could wait for it.
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.is_over() {
            // There is nobody left to tell.
            let _ = self.bury();
        }
    }
}
