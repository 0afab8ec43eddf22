//! What a FastCGI application has to say about a request (`FCGI_STDERR`): to the log line by line, or on to the web server in
//! front.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::interface::Errors;
use crate::interface::RequestName;
use crate::log::{self, Level};

/// The longest line, in bytes. A longer one is several.
const LONGEST: usize = 64 * 1024;

/// The lines about one request.
#[derive(Debug)]
pub(super) struct StderrLines {
    request: RequestName,
    errors: Errors,
    /// A line whose end has not come.
    begun: BytesMut,
}

impl StderrLines {
    /// None yet.
    pub(super) fn new(request: RequestName, errors: Errors) -> Self {
        Self {
            request,
            errors,
            begun: BytesMut::new(),
        }
    }

    /// Adds what the application has sent.
    pub(super) fn add(&mut self, text: Bytes) {
        let text = match &self.errors {
            Errors::Gateway(gateway) => match gateway.try_send(text) {
                Ok(()) => return,
                // It is full, or has ended: nothing waits for it.
                Err(unsent) => unsent.into_inner(),
            },
            Errors::Log => text,
        };
        self.begun.extend_from_slice(&text);
        loop {
            let end = memchr(b'\n', &self.begun);
            let length = match end {
                Some(length) => length.min(LONGEST),
                None if self.begun.len() >= LONGEST => LONGEST,
                None => return,
            };
            let line = self.begun.split_to(length);
            if end == Some(length) {
                self.begun.advance(1);
            }
            self.write(&line);
        }
    }

    fn write(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            let text = String::from_utf8_lossy(line);
            let about = self.request.subject();
            log::write(
                Level::Error,
                about,
                format_args!("{}: {text}", self.request),
            );
        }
    }
}

impl Drop for StderrLines {
    fn drop(&mut self) {
        let last = std::mem::take(&mut self.begun);
        self.write(&last);
    }
}
