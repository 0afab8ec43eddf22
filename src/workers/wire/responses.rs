//! Answers of workers as responses.

use std::fmt;
use std::fs::File;
use std::io;

use bytes::Bytes;
use http::{HeaderValue, header};

use crate::interface::body_file::{BodyFile, FileSubject};
use crate::interface::{RequestName, Response, ResponseBody};
use crate::log;
use crate::log::LogSubject;
use crate::log_of;
use crate::protocol::worker::answer_head::{self, AnswerHead, BadAnswer};
use crate::protocol::worker::frame::Header;
use crate::workers::pending_request::PendingRequest;

/// A response.
pub(crate) fn of(head: AnswerHead, body: ResponseBody) -> Response {
    Response {
        status: head.status,
        reason: head.reason,
        about: None,
        headers: head.headers,
        body,
    }
}

/// A response whose body is a file that the worker has sent.
pub(crate) fn of_file(
    pending: &PendingRequest,
    header: Header,
    payload: &Bytes,
    file: io::Result<File>,
) -> Response {
    let (mut head, offset, length) = match answer_head::file(header, payload) {
        Ok(parts) => parts,
        Err(error) => return bad(pending, &error),
    };
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            let reason = format!("the file did not come: {error}");
            return bad(pending, &BadAnswer::Malformed(reason));
        }
    };
    let announced = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        // The parser knows a sign, HTTP does not.
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<u64>().ok());
    let length = announced.map_or(length, |announced| announced.min(length));
    if announced.is_none() {
        let value = HeaderValue::from(length);
        head.headers.insert(header::CONTENT_LENGTH, value);
    }
    let body = ResponseBody::File {
        file: BodyFile::about(file, None, SentByApplication(pending.about.clone())),
        offset,
        length,
    };
    of(head, body)
}

/// A file that an application wants to be sent for a request.
#[derive(Debug)]
struct SentByApplication(RequestName);

impl fmt::Display for SentByApplication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the application's file for {}", self.0)
    }
}

impl FileSubject for SentByApplication {
    fn log_subject(&self) -> LogSubject<'_> {
        self.0.subject()
    }
}

/// What the client gets in place of an answer that cannot be sent.
pub(crate) fn bad(pending: &PendingRequest, error: &BadAnswer) -> Response {
    let status = error.status();
    log_of!(
        log::LogKind::InvalidAnswer,
        about = pending.about.subject(),
        "{} for {}: the application's answer cannot be sent: {error}",
        status.as_u16(),
        pending.about
    );
    Response::plain(status)
}
