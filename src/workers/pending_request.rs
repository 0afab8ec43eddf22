//! A request on its way to a worker, and the promise of its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::clients::{ClientNetwork, Queued};
use crate::interface::body_file::BodyFile;
use crate::interface::{Errors, Request, RequestBody, RequestName, RequestNotes, Response};
use crate::log;
use crate::protocol::worker::frame::RequestFrame;

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    /// The request as the worker gets it.
    pub(crate) frame: RequestFrame,
    /// Its body, if that is a file.
    pub(crate) file: Option<BodyFile>,
    /// Where `wsgi.errors` goes.
    pub(crate) errors: Errors,
    /// When it came in.
    pub(crate) entered: Instant,
    /// Its client offers a WebSocket.
    pub(crate) offers_web_socket: bool,
    /// Its method and target, for the log.
    pub(crate) about: RequestName,
    /// Where its times are noted, if they are to be seen.
    notes: Option<Arc<RequestNotes>>,
    /// Since when it has been running, if the log has reported it as slow (`runner.request.slow`).
    pub(crate) slow_since: Option<Instant>,
    progress: Progress,
}

/// Whether a request is answered.
#[derive(Debug)]
enum Progress {
    /// No. Its client waits, or has gone away.
    Waiting(oneshot::Sender<Response>),
    /// The client was given the application's answer, or its head.
    Answered,
    /// The client was given a status of runner's own.
    Refused,
}

impl Queued for PendingRequest {
    fn client(&self) -> Option<ClientNetwork> {
        self.about.client()
    }

    fn entered(&self) -> Instant {
        self.entered
    }

    fn has_ended(&self) -> bool {
        self.about.has_ended()
    }
}

/// What became of requests whose worker is gone.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// In words.
    pub(crate) texts: Vec<String>,
    /// The first of them.
    pub(crate) first: Option<RequestName>,
}

impl Losses {
    /// Adds what became of a request.
    pub(crate) fn add(&mut self, about: &RequestName, text: String) {
        self.first.get_or_insert_with(|| about.clone());
        self.texts.push(text);
    }
}

impl PendingRequest {
    /// A request for WSGI, and the receiver of its answer.
    #[must_use]
    pub(crate) fn new(request: Request) -> (Self, oneshot::Receiver<Response>) {
        Self::with_frame(RequestFrame::new(&request), request)
    }

    /// The same for ASGI.
    #[must_use]
    pub(crate) fn asgi(request: Request) -> (Self, oneshot::Receiver<Response>) {
        Self::with_frame(RequestFrame::asgi(&request), request)
    }

    fn with_frame(frame: RequestFrame, request: Request) -> (Self, oneshot::Receiver<Response>) {
        let (reply, answer) = oneshot::channel();
        let about = RequestName::of(&request);
        let file = match request.body {
            RequestBody::File { file, .. } => Some(file),
            RequestBody::Empty | RequestBody::Bytes(_) => None,
        };
        let pending = Self {
            frame,
            file,
            errors: request.errors,
            entered: Instant::now(),
            offers_web_socket: request.offers_web_socket,
            about,
            notes: request.notes,
            slow_since: None,
            progress: Progress::Waiting(reply),
        };
        (pending, answer)
    }

    /// Notes how long its worker was at it, up to now, and so how long it had waited for that.
    pub(crate) fn note_service(&self, service: Duration, now: Instant) {
        if let Some(notes) = &self.notes {
            let all = now.saturating_duration_since(self.entered);
            notes.set(all.saturating_sub(service), service);
        }
    }

    /// Frees what is needed only until a worker has begun it.
    pub(crate) fn begin(&mut self) {
        self.frame.forget();
        self.file = None;
    }

    /// Whether its client still waits.
    #[must_use]
    pub(crate) fn is_wanted(&self) -> bool {
        match &self.progress {
            Progress::Waiting(reply) => !reply.is_closed(),
            Progress::Answered | Progress::Refused => false,
        }
    }

    /// Whether the client was given the answer, or its head.
    #[must_use]
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self.progress, Progress::Waiting(_))
    }

    /// Whether it was answered with a status of runner's own.
    #[must_use]
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.progress, Progress::Refused)
    }

    /// Gives the answer to the client.
    ///
    /// # Errors
    /// The answer, if the client does not wait any more.
    pub(crate) fn answer(&mut self, mut response: Response) -> Result<(), Box<Response>> {
        response.about = Some(self.about.clone());
        if let Some(since) = self.slow_since.take() {
            let (status, age) = (response.status.as_u16(), seconds(since.elapsed()));
            log!(
                about = self.about.subject(),
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

    /// Answers with a response of runner's own, if the request is not answered yet.
    pub(crate) fn refuse(&mut self, response: Response) {
        // The refusal is logged elsewhere.
        self.slow_since = None;
        if !self.is_answered() {
            // The client may have gone away.
            let _ = self.answer(response);
            self.progress = Progress::Refused;
        }
    }
}

/// A time for the log.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
