//! A request on its way to a worker, and the promise to answer it.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::sync::oneshot;

use crate::interface::body_file::BodyFile;
use crate::interface::{Errors, Request, RequestBody, Response};
use crate::log;
use crate::protocol::worker::frame::RequestFrame;

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Task {
    /// The request for the worker.
    pub(crate) frame: RequestFrame,
    /// Its body, if that is a file.
    pub(crate) file: Option<BodyFile>,
    /// Where the application's error output goes.
    pub(crate) errors: Errors,
    /// When it came in.
    pub(crate) entered: Instant,
    /// What it was, for the log.
    pub(crate) about: About,
    /// Since when it has been running, if that was said to be long (`runner.request.slow`).
    pub(crate) slow_since: Option<Instant>,
    progress: Progress,
}

/// How far a request's answer is.
#[derive(Debug)]
enum Progress {
    /// Somebody waits for it, or has gone away by now.
    Waiting(oneshot::Sender<Response>),
    /// The application's answer, or its head, was given.
    Answered,
    /// A status of our own was given.
    Refused,
}

/// How much of a target is shown in a line of the log, in characters.
const LONGEST_TARGET: usize = 200;

/// A request's method and target.
#[derive(Clone, Debug)]
pub(crate) struct About {
    method: Method,
    target: Bytes,
}

impl fmt::Display for About {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        write!(formatter, "{} ", self.method)?;
        match target.char_indices().nth(LONGEST_TARGET) {
            Some((end, _)) => write!(formatter, "{}…", &target[..end]),
            None => formatter.write_str(&target),
        }
    }
}

impl About {
    /// The method.
    #[must_use]
    pub(crate) fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The target, fit to be printed.
    #[must_use]
    pub(crate) fn target(&self) -> String {
        let target = String::from_utf8_lossy(&self.target);
        target.escape_debug().to_string()
    }
}

impl Task {
    /// A request, and where its answer will come.
    #[must_use]
    pub(crate) fn new(request: Request) -> (Self, oneshot::Receiver<Response>) {
        let (reply, answer) = oneshot::channel();
        let frame = RequestFrame::new(&request);
        let file = match request.body {
            RequestBody::File { file, .. } => Some(file),
            RequestBody::Empty | RequestBody::Bytes(_) => None,
        };
        let task = Self {
            frame,
            file,
            errors: request.errors,
            entered: Instant::now(),
            about: About {
                method: request.method,
                target: request.target,
            },
            slow_since: None,
            progress: Progress::Waiting(reply),
        };
        (task, answer)
    }

    /// Whether somebody still waits for the answer.
    #[must_use]
    pub(crate) fn is_wanted(&self) -> bool {
        match &self.progress {
            Progress::Waiting(reply) => !reply.is_closed(),
            Progress::Answered | Progress::Refused => false,
        }
    }

    /// Whether the answer, or its head, has been given.
    #[must_use]
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self.progress, Progress::Waiting(_))
    }

    /// Whether it was answered with a status of ours.
    #[must_use]
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.progress, Progress::Refused)
    }

    /// Answers. The answer comes back if nobody wants it any more.
    pub(crate) fn answer(&mut self, response: Response) -> Result<(), Box<Response>> {
        if let Some(since) = self.slow_since.take() {
            let (status, age) = (response.status.as_u16(), seconds(since.elapsed()));
            log!(
                "{status} for {} after {age} (runner.request.slow)",
                self.about
            );
        }
        match std::mem::replace(&mut self.progress, Progress::Answered) {
            Progress::Waiting(reply) => reply.send(response).map_err(Box::new),
            earlier @ (Progress::Answered | Progress::Refused) => {
                self.progress = earlier;
                Err(Box::new(response))
            }
        }
    }

    /// Answers with a status of our own, if that can still be done.
    pub(crate) fn refuse(&mut self, status: StatusCode) {
        let mut response = Response::plain(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers.insert(header::RETRY_AFTER, soon);
        }
        // What we say ourselves is said elsewhere.
        self.slow_since = None;
        if !self.is_answered() {
            // Nobody to hear it is no matter.
            let _ = self.answer(response);
            self.progress = Progress::Refused;
        }
    }
}

/// How many requests were answered with which status of ours.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) bad_gateway: u64,
    pub(crate) unavailable: u64,
    pub(crate) gateway_timeout: u64,
}

impl Refusals {
    /// Answers with a status of ours, and counts it if that can still be done.
    pub(crate) fn refuse(&mut self, task: &mut Task, status: StatusCode) {
        if task.is_wanted() {
            match status {
                StatusCode::BAD_GATEWAY => self.bad_gateway += 1,
                StatusCode::SERVICE_UNAVAILABLE => self.unavailable += 1,
                StatusCode::GATEWAY_TIMEOUT => self.gateway_timeout += 1,
                _ => {}
            }
        }
        task.refuse(status);
    }
}

/// A time for the log.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
