//! Processes that an application has started, and that are left when its worker has ended: they end with it.
//!
//! Whoever loses its parent is left to us (see [`crate::children::adopt_orphans`]). Whose it was is seen by its process
//! group, which each worker has of its own; and by a variable, since what calls `setsid` leaves the group: the process
//! was started with it, unless it was only forked. What can be seen by neither ends when the whole application does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid};

use crate::children;
use crate::log;
use crate::workers::options::MOMENT;
use crate::workers::python::mark::Mark;

/// How long a process that was told to end may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// What is left of a worker, of a template, or of everything, until it has ended.
#[derive(Debug)]
pub(crate) struct LeftBehind {
    whose: Whose,
    /// Those that were told to end.
    told: BTreeSet<i32>,
    /// When those are ended that have not.
    pub(crate) by: Instant,
}

#[derive(Debug)]
enum Whose {
    /// The process of this number, and this mark, if it had one.
    One(i32, Option<String>),
    /// All that begins with this mark.
    All(String),
}

impl LeftBehind {
    /// What a process has started that had this number, and perhaps a mark.
    pub(crate) fn by(pid: i32, mark: Option<String>, by: Instant) -> Self {
        Self::new(Whose::One(pid, mark), by)
    }

    /// What any process has started.
    pub(crate) fn by_any(mark: &Mark, by: Instant) -> Self {
        Self::new(Whose::All(mark.of(None)), by)
    }

    fn new(whose: Whose, by: Instant) -> Self {
        let told = BTreeSet::new();
        Self { whose, told, by }
    }

    /// Whether it is what the process of this number has started.
    pub(crate) fn is_by(&self, pid: i32) -> bool {
        matches!(self.whose, Whose::One(leader, _) if leader == pid)
    }

    /// When to look again, if nothing happens before.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        match now < self.by {
            true => self.by,
            false => self.by + MOMENT,
        }
    }

    /// Tells those to end that were not told so yet, and ends them when their time is over. Whether any is left.
    pub(crate) fn end(&mut self, now: Instant) -> bool {
        let found = children::orphans(|pid| self.whose.has(pid));
        if now >= self.by + MOMENT {
            for pid in &found {
                log!("process {pid}, which the application has started, does not end");
            }
            return false;
        }
        for &pid in &found {
            if now >= self.by {
                children::signal_orphan(pid, Signal::KILL);
            } else if self.told.insert(pid) {
                children::signal_orphan(pid, Signal::TERM);
                // One that is stopped does not see it before it goes on.
                children::signal_orphan(pid, Signal::CONT);
            }
        }
        !found.is_empty()
    }
}

impl Whose {
    /// Whether a child of ours is one of them.
    fn has(&self, child: i32) -> bool {
        match self {
            Self::One(leader, mark) => {
                let group = Pid::from_raw(child).and_then(|child| getpgid(Some(child)).ok());
                group == Pid::from_raw(*leader) || mark.is_some() && mark_of(child) == *mark
            }
            Self::All(all) => mark_of(child).is_some_and(|mark| {
                let rest = mark.strip_prefix(all.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }),
        }
    }
}

/// The mark that a process was started with (proc(5)).
fn mark_of(pid: i32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|&byte| byte == 0);
    variables.find_map(|variable| {
        let value = variable.strip_prefix(Mark::VARIABLE.as_bytes())?;
        let value = value.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}
