//! The access log: a line for each response, and for each request that gets none. [`access_form`] writes it in one of
//! several forms.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use crate::gateway::http::shadow_parser::Hidden;
use crate::interface::{Connection, RequestIds, RequestNotes};
use crate::log;

use access_form::AccessRecord;

pub use access_form::AccessForm;

mod access_form;

/// Which requests are logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogOptions {
    /// The form of the lines.
    pub form: AccessForm,
    /// The least status that is logged.
    pub from: u16,
    /// Paths whose requests are not logged, unless they fail (a status from 400 on).
    pub without: Vec<String>,
}

/// The status from which on a request has failed.
const FAILED: u16 = 400;

/// The status in the line about a client that went away before it had a response, as nginx has it.
const CLIENT_LEFT: u16 = 499;

impl AccessLogOptions {
    /// Logs a request whose head is malformed, or did not come to an end: nothing but the client is known of it.
    pub(super) fn write_unread(&self, client: &str, status: StatusCode) {
        if self.admits(b"", status.as_u16()) {
            let record = AccessRecord::unread(client, SystemTime::now(), status);
            self.form.write(&record);
        }
    }

    /// Whether a request for this target is logged.
    fn admits(&self, target: &[u8], status: u16) -> bool {
        let path = target.split(|byte| *byte == b'?').next();
        let is_left_out = || {
            let path = path.unwrap_or_default();
            self.without
                .iter()
                .any(|left_out| left_out.as_bytes() == path)
        };
        status >= self.from && (status >= FAILED || !is_left_out())
    }
}

/// The line about a request. It is written when the response has ended, well or badly; for a client that went away before,
/// with the status 499.
pub(super) struct LogLine {
    options: Arc<AccessLogOptions>,
    connection: Arc<Connection>,
    begun: (SystemTime, Instant),
    method: Method,
    target: Uri,
    /// The target as it was sent, where hyper got another one.
    sent: Option<Bytes>,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    /// The status of the response, and when it was known.
    answered: Option<(StatusCode, Instant)>,
    /// What the request is known by, if it has an id.
    pub ids: Option<Arc<RequestIds>>,
    /// The application that would have answered it, if it is refused.
    pub application: Option<Arc<str>>,
    /// What becomes of it, if the form shows that.
    pub notes: Option<Arc<RequestNotes>>,
    /// How many bytes of the body were given to the connection.
    pub bytes: u64,
}

impl LogLine {
    /// Begins the line of a request that has just come in.
    pub(super) fn new<B>(
        options: &Arc<AccessLogOptions>,
        connection: &Arc<Connection>,
        request: &Request<B>,
        hidden: Option<&Hidden>,
    ) -> Self {
        let headers = request.headers();
        Self {
            options: Arc::clone(options),
            connection: Arc::clone(connection),
            begun: (SystemTime::now(), Instant::now()),
            method: request.method().clone(),
            target: request.uri().clone(),
            sent: hidden.and_then(Hidden::sent).cloned(),
            version: request.version(),
            host: headers.get(header::HOST).cloned(),
            referer: headers.get(header::REFERER).cloned(),
            agent: headers.get(header::USER_AGENT).cloned(),
            answered: None,
            ids: None,
            application: None,
            notes: (options.form == AccessForm::Json || log::has_objects()).then(Arc::default),
            bytes: 0,
        }
    }

    /// The response begins, with this status.
    pub(super) fn answer(&mut self, status: StatusCode) {
        self.answered = Some((status, Instant::now()));
    }

    fn write(&self) {
        let status = match self.answered {
            Some((status, _)) => status.as_u16(),
            // [`crate::panics`] answers.
            None if std::thread::panicking() => StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            None => CLIENT_LEFT,
        };
        let target;
        let target = match &self.sent {
            Some(sent) => sent.as_ref(),
            None => {
                target = self.target.to_string();
                target.as_bytes()
            }
        };
        if !self.options.admits(target, status) {
            return;
        }
        let (time, begun) = self.begun;
        let notes = self.notes.as_deref();
        let application = notes.and_then(RequestNotes::application);
        let answered = self.answered.map(|(_, at)| at.duration_since(begun));
        self.options.form.write(&AccessRecord {
            client: self.connection.remote_addr.as_str(),
            time,
            line: Some((self.method.as_str(), target, self.version)),
            status,
            bytes: self.bytes,
            duration: begun.elapsed(),
            answered,
            queued: notes.and_then(RequestNotes::queued),
            worker: notes.and_then(RequestNotes::service),
            host: bytes_of(self.host.as_ref()),
            referer: bytes_of(self.referer.as_ref()),
            agent: bytes_of(self.agent.as_ref()),
            ids: self.ids.as_deref(),
            application: application.or(self.application.as_deref()),
        });
    }
}

fn bytes_of(value: Option<&HeaderValue>) -> Option<&[u8]> {
    value.map(HeaderValue::as_bytes)
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.write();
    }
}
