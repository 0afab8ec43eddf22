//! Requests whose stacks are wanted, and how they are introduced in the log.

use std::time::Duration;

use crate::workers::id::LaneId;
use crate::workers::task::{About, seconds};

/// A request whose stack is wanted.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where it runs.
    pub seat: LaneId,
    /// Its number there.
    pub number: u32,
    /// The lane's thread.
    pub thread: u64,
    /// What it is.
    pub about: About,
    /// How long it has been running.
    pub age: Duration,
    /// Why it is wanted.
    pub reason: Reason,
}

/// Why the stack of a request is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is overdue, was answered 504, and its worker is to end.
    Overdue,
    /// It was answered, but what the application does afterwards does not end: the same.
    Lingering,
    /// Everything is to end, and the time for it is over: the same.
    Stopped,
    /// The same, but its answer had begun.
    Cut,
    /// It takes long.
    Slow,
    /// Somebody asked.
    Asked,
}

impl Reason {
    /// Whether its worker ends for it: there is no time to lose, and nothing to be spoilt.
    pub(crate) fn is_last(self) -> bool {
        match self {
            Self::Overdue | Self::Lingering | Self::Stopped | Self::Cut => true,
            Self::Slow | Self::Asked => false,
        }
    }
}

impl Question {
    /// What is said before the stack.
    /// `worker` is its process id behind a space, or nothing if that is not known.
    pub(crate) fn heading(&self, worker: &str) -> String {
        let Self { about, seat, .. } = self;
        let age = seconds(self.age);
        match self.reason {
            Reason::Overdue => format!(
                "504 for {about}: no answer for {age} (runner.request.timeout); worker{worker} is ended"
            ),
            Reason::Lingering => format!(
                "what the application does after its answer to {about} has not ended for {age} (runner.request.timeout); worker{worker} is ended"
            ),
            Reason::Stopped => format!(
                "504 for {about}: no answer for {age} when time was over (runner.stop_timeout); worker{worker} is ended"
            ),
            Reason::Cut => format!(
                "the answer to {about} ends early: it goes on after {age}, when time was over (runner.stop_timeout); worker{worker} is ended"
            ),
            Reason::Slow => {
                format!(
                    "{about} has been running for {age} (runner.request.slow) in worker{worker}"
                )
            }
            Reason::Asked => format!("worker{worker}, lane {}: {about} for {age}", seat.1 + 1),
        }
    }
}
