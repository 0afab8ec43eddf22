//! Why and how the log shows the stack of a request.

use std::time::Duration;

use crate::log::Level;
use crate::workers::id::LaneId;
use crate::workers::pending_request::{About, seconds};

/// A request whose stack the log is to show.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The lane that it runs on.
    pub(crate) lane: LaneId,
    /// Its number there.
    pub(crate) number: u32,
    /// The lane's thread.
    pub(crate) thread: u64,
    pub(crate) about: About,
    /// How long it has been running.
    pub(crate) age: Duration,
    pub(crate) reason: Reason,
}

/// Why the log is to show a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The request is overdue and was answered 504. Its worker ends.
    Overdue,
    /// The request was answered, but code that runs after the response does not end. Its worker ends.
    Lingering,
    /// The time to stop is over. The request was answered 504. Its worker ends.
    Stopped,
    /// The time to stop is over, and the response is cut off. Its worker ends.
    Cut,
    /// The request takes long.
    Slow,
    /// A signal asked for the stacks of all requests.
    Asked,
}

impl Reason {
    /// Whether the worker ends because of it: then the stack is urgent, and nothing is spoilt by asking for it.
    pub(crate) fn ends_worker(self) -> bool {
        match self {
            Self::Overdue | Self::Lingering | Self::Stopped | Self::Cut => true,
            Self::Slow | Self::Asked => false,
        }
    }

    /// How serious it is.
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Overdue | Self::Lingering | Self::Stopped | Self::Cut => Level::Error,
            Self::Slow => Level::Warning,
            Self::Asked => Level::Info,
        }
    }
}

impl Question {
    /// The line before the stack. `worker` is the process id behind a space, or empty if it is not known.
    pub(crate) fn heading(&self, worker: &str) -> String {
        let Self { about, lane, .. } = self;
        let age = seconds(self.age);
        match self.reason {
            Reason::Overdue => format!(
                "504 for {about}: no answer for {age} (runner.request.timeout); worker{worker} is ended"
            ),
            Reason::Lingering => format!(
                "code that runs after the answer to {about} has not ended for {age} (runner.request.timeout); worker{worker} is ended"
            ),
            Reason::Stopped => format!(
                "504 for {about}: no answer for {age} when the time to stop was over (runner.stop_timeout); worker{worker} is ended"
            ),
            Reason::Cut => format!(
                "the answer to {about} is cut off: it was not complete after {age}, when the time to stop was over (runner.stop_timeout); worker{worker} is ended"
            ),
            Reason::Slow => {
                format!(
                    "{about} has been running for {age} (runner.request.slow) in worker{worker}"
                )
            }
            Reason::Asked => format!("worker{worker}, lane {}: {about} for {age}", lane.1 + 1),
        }
    }
}
