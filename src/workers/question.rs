//! Why and how the log shows the stack of a request.

use std::time::Duration;

use crate::interface::RequestName;
use crate::log::{self, Level, LogSubject};
use crate::protocol::worker::frame::LaneOrder;
use crate::workers::id::LaneId;
use crate::workers::pending_request::seconds;

/// A request whose stack the log is to show.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The lane that it runs on.
    pub(crate) lane: LaneId,
    /// Its number there; 0 if it has none.
    pub(crate) number: u32,
    /// The lane's thread, if the stack is that of a thread.
    pub(crate) thread: u64,
    pub(crate) about: RequestName,
    /// How long it has been running.
    pub(crate) age: Duration,
    pub(crate) reason: Reason,
    /// The requests that a blocked event loop has begun, in words; otherwise empty.
    pub(crate) begun: String,
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
    /// The task of an ASGI request is overdue: the request was answered 504, and the task is cancelled.
    Cancelled,
    /// The same, where the event loop is blocked, so that the task cannot be reached.
    Unheard,
    /// The task of an ASGI request takes long.
    SlowTask,
    /// The time to stop is over. The request of a task was answered 504.
    StoppedTask,
    /// The time to stop is over, and the response of a task is cut off.
    CutTask,
    /// Most of the time to stop is over, and the response of a task is broken off.
    BrokenOff,
    /// The time to stop is over, and a WebSocket of the worker is still open.
    StoppedWebSocket,
    /// A signal asked for the stacks of all requests, and this one is a task.
    AskedTask,
    /// The event loop of a worker is blocked.
    Blocked,
    /// The event loop of a worker was blocked for too long. The worker ends.
    BlockedTooLong,
    /// A signal asked for the stacks of all requests of a worker whose event loop is blocked.
    AskedLoop,
}

impl Reason {
    /// Whether the worker ends because of it: then the stack is urgent, and nothing is spoilt by asking for it.
    pub(crate) fn ends_worker(self) -> bool {
        match self {
            Self::Overdue | Self::Lingering | Self::Stopped | Self::Cut | Self::BlockedTooLong => {
                true
            }
            Self::Slow | Self::Asked | Self::Blocked | Self::AskedLoop => false,
            Self::Cancelled | Self::Unheard | Self::SlowTask | Self::AskedTask => false,
            Self::StoppedTask | Self::CutTask | Self::StoppedWebSocket | Self::BrokenOff => false,
        }
    }

    /// How the event loop of the worker is told to log the stack of a task. `None` if the stack is that of a thread, or is
    /// not shown.
    pub(crate) fn order(self) -> Option<LaneOrder> {
        match self {
            Self::Cancelled => Some(LaneOrder::Cancel),
            Self::SlowTask | Self::AskedTask => Some(LaneOrder::Show),
            Self::Overdue | Self::Lingering | Self::Stopped | Self::Cut | Self::BlockedTooLong => {
                None
            }
            Self::Slow | Self::Asked | Self::Blocked | Self::AskedLoop | Self::Unheard => None,
            // The worker is told to leave, and reads no more orders.
            Self::StoppedTask | Self::CutTask | Self::StoppedWebSocket => None,
            // It is told that the client has left.
            Self::BrokenOff => None,
        }
    }

    /// How serious it is.
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Overdue | Self::Lingering | Self::Stopped | Self::Cut => Level::Error,
            Self::Cancelled | Self::Unheard | Self::StoppedTask | Self::CutTask => Level::Error,
            Self::BlockedTooLong | Self::StoppedWebSocket => Level::Error,
            Self::Slow | Self::SlowTask | Self::Blocked | Self::BrokenOff => Level::Warning,
            Self::Asked | Self::AskedTask | Self::AskedLoop => Level::Info,
        }
    }
}

impl Question {
    /// Logs its heading alone, about the application or one of its workers.
    pub(crate) fn log(&self, about: LogSubject<'_>) {
        let shown = about
            .worker
            .map_or_else(String::new, |pid| format!(" {pid}"));
        let heading = self.heading(&shown);
        log::write(
            self.reason.level(),
            self.subject(about),
            format_args!("{heading}"),
        );
    }

    /// What a line of the log about it is about, beside the application and the worker.
    pub(crate) fn subject<'a>(&'a self, about: LogSubject<'a>) -> LogSubject<'a> {
        LogSubject {
            application: about.application,
            worker: about.worker,
            ..self.about.subject()
        }
    }

    /// The line before the stack. `worker` is the process id behind a space, or empty if it is not known. About a task it is
    /// the worker that writes the line, with its process id before it.
    pub(crate) fn heading(&self, worker: &str) -> String {
        let Self { about, lane, .. } = self;
        let age = seconds(self.age);
        let begun = match self.begun.as_str() {
            "" => String::new(),
            begun => format!("; it has begun {begun}"),
        };
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
            Reason::SlowTask => {
                format!("{about} has been running for {age} (runner.request.slow)")
            }
            Reason::Cancelled => format!(
                "504 for {about}: no answer for {age} (runner.request.timeout); its task is cancelled"
            ),
            Reason::Unheard => format!(
                "504 for {about}: no answer for {age} (runner.request.timeout); the event loop of worker{worker} is blocked"
            ),
            Reason::StoppedTask => format!(
                "504 for {about}: no answer for {age} when the time to stop was over (runner.stop_timeout); its worker is ended"
            ),
            Reason::CutTask => format!(
                "the answer to {about} is cut off: it was not complete after {age}, when the time to stop was over (runner.stop_timeout); its worker is ended"
            ),
            Reason::BrokenOff => format!(
                "the answer to {about} is broken off: it was not complete after {age}, when three quarters of the time to stop were over (runner.stop_timeout)"
            ),
            Reason::StoppedWebSocket => format!(
                "the WebSocket of {about} is closed with code 1001: it was open for {age} when the time to stop was over (runner.stop_timeout); worker{worker} is ended"
            ),
            Reason::AskedTask => format!("{about} for {age}"),
            Reason::Blocked => format!(
                "the event loop of worker{worker} has been blocked for {age} (runner.request.slow){begun}"
            ),
            Reason::BlockedTooLong => format!(
                "the event loop of worker{worker} has been blocked for {age} (runner.request.timeout): its requests are answered 504, and it is ended{begun}"
            ),
            Reason::AskedLoop => {
                format!("worker{worker}: its event loop has been blocked for {age}{begun}")
            }
            Reason::Asked => format!("worker{worker}, lane {}: {about} for {age}", lane.1 + 1),
        }
    }
}
