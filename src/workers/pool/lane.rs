//! One lane of a worker, what connects us with it, and whether it gets on.

use std::time::{Duration, Instant};

use crate::workers::id::LaneId;
use crate::workers::pool::chooser::LaneView;
use crate::workers::pool::in_flight::{Confused, Lane};
use crate::workers::pool::watchdog::Vigil;
use crate::workers::question::{Question, Reason};
use crate::workers::task::{About, Task};
use crate::workers::wire::Wire;
use crate::workers::wire::link::Link;

/// A lane that has finished nothing for so long is not waited for: others may have what it has not begun. It is
/// given longer ([`Post::patience`]) as long as that turns out to be too soon.
const STALL: Duration = Duration::from_micros(1000);
/// The longest that a lane may make no progress until it is stuck.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// Whether a lane that is at work gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It does, or has nothing to do.
    Steady,
    /// It has made no progress for a while: it gets nothing more until it does.
    Stuck,
    /// The same, and what it had not begun was taken back.
    Emptied,
}

/// One lane and what connects us with it.
#[derive(Debug)]
pub(crate) struct Post<W = Link> {
    pub(crate) lane: Lane<Task>,
    pub(crate) link: W,
    /// Among those to be written to.
    pub(crate) dirty: bool,
    /// Waiting for the worker to read.
    pub(crate) blocked: bool,
    /// When it last finished something, or began while idle.
    pub(crate) progress: Instant,
    pub(crate) pace: Pace,
    /// How long it may make no progress until it is stuck. That is doubled each time that the worker comes for its
    /// requests and finds that they were taken back: on a machine that is slow to wake processes up they would be taken back
    /// for ever. Each answer halves it.
    pub(crate) patience: Duration,
    /// For how long it has been idle while requests wait.
    pub(crate) vigil: Vigil,
    /// When it became idle, as a count: the highest is the most recent.
    pub(crate) idle_since: u64,
    /// What it answered last.
    pub(crate) last: Option<About>,
}

impl<W: Wire> Post<W> {
    /// A lane that has had nothing to do yet.
    pub(crate) fn new(link: W, now: Instant) -> Self {
        Self {
            lane: Lane::default(),
            link,
            dirty: false,
            blocked: false,
            progress: now,
            pace: Pace::Steady,
            patience: STALL,
            vigil: Vigil::default(),
            idle_since: 0,
            last: None,
        }
    }

    /// Whether it has been at a request for so long that others may have what waits behind that.
    pub(crate) fn is_stuck(&mut self, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.progress);
        if self.pace == Pace::Steady && self.lane.load() > 0 && quiet >= self.patience {
            self.pace = Pace::Stuck;
        }
        self.pace == Pace::Stuck
    }

    /// Notes that the oldest request is answered, and returns it.
    ///
    /// # Errors
    /// [`Confused`] if it is not that request's turn.
    pub(crate) fn answered(&mut self, number: u32, now: Instant) -> Result<Task, Confused> {
        let task = self.lane.answered(number)?;
        self.progress = now;
        self.pace = Pace::Steady;
        self.patience = (self.patience / 2).max(STALL);
        self.last = Some(task.about.clone());
        Ok(task)
    }

    /// Whether the worker waits and has read all that it was sent, or has not been sent what is to be written.
    pub(crate) fn is_idle(&self) -> bool {
        let (sent, _) = self.lane.marks();
        let is_forgotten = self.link.has_unwritten() && !self.blocked;
        self.link.is_waiting() && (self.link.last_read() == sent || is_forgotten)
    }

    /// Notes how far the worker has read. If that is everything, and it has nothing to answer, it is free again.
    pub(crate) fn note_read(&mut self) {
        self.lane.has_read(self.link.last_read());
        if self.lane.is_drained() {
            if self.pace == Pace::Emptied {
                self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
            }
            self.pace = Pace::Steady;
        }
    }

    /// As it is seen by the chooser.
    pub(crate) fn view(&self, seat: LaneId) -> LaneView {
        let stuck = self.pace != Pace::Steady;
        LaneView {
            seat,
            load: self.lane.load(),
            free: !stuck && self.lane.has_room(),
            stuck,
            idle_since: self.idle_since,
        }
    }

    /// A question about the request that a lane is on, or else about the last one.
    pub(crate) fn question(&self, seat: LaneId, reason: Reason, now: Instant) -> Option<Question> {
        Some(Question {
            seat,
            // 0 is "no request".
            number: self.lane.oldest_number().unwrap_or(0),
            thread: self.link.thread(),
            about: match self.lane.oldest() {
                Some(task) => task.about.clone(),
                None => self.last.clone()?,
            },
            age: now.saturating_duration_since(self.progress),
            reason,
        })
    }

    /// For the log of the watchdog.
    pub(crate) fn described(&self, now: Instant) -> String {
        let (sent, read) = self.lane.marks();
        let age = now.saturating_duration_since(self.progress).as_secs_f64();
        format!(
            "{} requests, {:?} for {age:.3} s, sent up to {sent}, read up to {read}, says {}; waiting: {}, dirty: {}, blocked: {}",
            self.lane.load(),
            self.pace,
            self.link.last_read(),
            self.link.is_waiting(),
            self.dirty,
            self.blocked
        )
    }
}
