//! Processes that an application has started and that outlive the process of ours which has started them, a worker or a
//! program: they end with it, or later ([`crate::children::left_groups`]).
//!
//! A process whose parent ends becomes a child of runner (see [`crate::children::adopt_orphans`]). Whose it was is seen
//! by its process group, since each worker leads one; and by a variable, since `setsid` leaves the group: the process was
//! started with it, unless it was only forked. Processes that can be seen by neither end when the whole application does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid};

use crate::children;
use crate::children::left_groups::LeftGroups;
use crate::children::mark::Mark;

/// How long a process may take to end that was killed.
const GRACE: Duration = Duration::from_millis(500);

/// How often they are looked for while their end is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// How long a process that was told to end may take.
pub(crate) const END_TIMEOUT: Duration = Duration::from_secs(5);

/// All processes that were left behind.
#[derive(Debug, Default)]
pub(crate) struct LeftBehind {
    groups: Vec<Leftover>,
    /// At the end, the processes that any worker has left were looked for.
    swept: bool,
}

/// The processes that one worker or template has left, or all that are left.
#[derive(Debug)]
struct Leftover {
    by: LeftBy,
    /// The processes that were told to end.
    told: BTreeSet<i32>,
    /// The others are killed then.
    kill_at: Instant,
}

#[derive(Debug)]
enum LeftBy {
    /// The process of this number, with this mark if it had one.
    One(i32, Option<String>),
    /// Any process whose mark begins like this.
    Any(String),
}

impl LeftBehind {
    /// Begins to end the processes of a worker or template that has ended itself.
    pub(crate) fn by(&mut self, pid: i32, mark: Option<String>, now: Instant) {
        let is_known = |it: &Leftover| matches!(it.by, LeftBy::One(leader, _) if leader == pid);
        if !self.groups.iter().any(is_known) {
            self.begin(LeftBy::One(pid, mark), now);
        }
    }

    /// Begins to end what goes on in groups that were left.
    pub(crate) fn groups(&mut self, left: &LeftGroups, now: Instant) {
        for group in left.take() {
            self.by(group.cast_signed(), None, now);
        }
    }

    /// Begins to end all processes that are left, once.
    pub(crate) fn sweep(&mut self, mark: &Mark, now: Instant) {
        if !std::mem::replace(&mut self.swept, true) {
            children::bury_orphans();
            self.begin(LeftBy::Any(mark.of(None)), now);
        }
    }

    fn begin(&mut self, by: LeftBy, now: Instant) {
        let mut leftover = Leftover {
            by,
            told: BTreeSet::new(),
            kill_at: now + END_TIMEOUT,
        };
        if leftover.end(now) {
            self.groups.push(leftover);
        }
    }

    /// Goes on ending processes.
    pub(crate) fn end(&mut self, now: Instant) {
        self.groups.retain_mut(|leftover| leftover.end(now));
    }

    /// Whether the sweep at the end is done and no process is left.
    pub(crate) fn is_over(&self) -> bool {
        self.swept && self.groups.is_empty()
    }

    /// Ends them, and waits until none is left.
    pub(crate) async fn ended(mut self) {
        while !self.groups.is_empty() {
            tokio::time::sleep(LOOK).await;
            self.end(Instant::now());
        }
    }

    /// When to look again, if nothing happens before.
    pub(crate) fn deadlines(&self, now: Instant) -> impl Iterator<Item = Instant> {
        self.groups.iter().map(move |it| match now < it.kill_at {
            true => it.kill_at,
            false => it.kill_at + GRACE,
        })
    }
}

impl Leftover {
    /// Tells processes to end, and kills them when their time is over. Returns whether any is left.
    fn end(&mut self, now: Instant) -> bool {
        let found = children::orphans(|pid| self.by.has_left(pid));
        if now >= self.kill_at + GRACE {
            for pid in &found {
                crate::log_warning!(
                    "process {pid}, which the application has started, does not end"
                );
            }
            return false;
        }
        for &pid in &found {
            if now >= self.kill_at {
                children::signal_orphan(pid, Signal::KILL);
            } else if self.told.insert(pid) {
                children::signal_orphan(pid, Signal::TERM);
                // A stopped process does not see the signal before it continues.
                children::signal_orphan(pid, Signal::CONT);
            }
        }
        !found.is_empty()
    }
}

impl LeftBy {
    /// Whether a child of runner's was left by it.
    fn has_left(&self, child: i32) -> bool {
        match self {
            Self::One(leader, mark) => {
                let group = Pid::from_raw(child).and_then(|child| getpgid(Some(child)).ok());
                group == Pid::from_raw(*leader) || mark.is_some() && Mark::read(child) == *mark
            }
            Self::Any(all) => Mark::read(child).is_some_and(|mark| {
                let rest = mark.strip_prefix(all.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }),
        }
    }
}
