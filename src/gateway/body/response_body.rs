//! The body of a response on its way out, piece by piece, the same for every protocol: cut off where the announced
//! `Content-Length` ends, truncated where it is not reached.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::gateway::body::held_pieces::HeldPieces;
use crate::interface::body_file::BodyFile;
use crate::interface::response_memory::LEAST;
use crate::interface::{Blocks, RequestName, ResponseBody, Truncated, log_response};
use crate::log::LogKind;

/// Whether a response with this status may have a body (RFC 9110 §15.3.5, §15.4.5).
pub(crate) fn may_have_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The `Content-Length` that the application announced. A malformed one is removed; a repeated one is kept once.
pub(crate) fn announced(headers: &mut HeaderMap, about: Option<&RequestName>) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = values.next()?;
    let number = first
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    let mut is_repeated = false;
    let agree = values.all(|other| {
        is_repeated = true;
        other == first
    });
    match number {
        Some(number) if agree => {
            if is_repeated {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(number));
            }
            Some(number)
        }
        Some(_) | None => {
            let what =
                "the application gave a `Content-Length` that is not a number: it is left out";
            log_misfit(about, what);
            headers.remove(header::CONTENT_LENGTH);
            None
        }
    }
}

/// The length of a body, in bytes, where it is known before all of it is there.
pub(crate) fn known_length(body: &ResponseBody) -> Option<u64> {
    match body {
        ResponseBody::Bytes(bytes) => Some(bytes.len() as u64),
        ResponseBody::File { length, .. } => Some(*length),
        ResponseBody::Stream(blocks) => blocks.length(),
        ResponseBody::WebSocket(_) => None,
    }
}

/// Writes the line in the log about a response that is not as it should be.
pub(crate) fn log_misfit(about: Option<&RequestName>, what: impl std::fmt::Display) {
    log_response(LogKind::InvalidAnswer, about, format_args!("{what}"));
}

/// No body has this length.
const UNKNOWN: u64 = u64::MAX;

/// What is still to be sent of a body.
pub(crate) struct Body {
    pieces: PieceSource,
    /// Those that were given out and are not sent.
    held: HeldPieces,
    /// In bytes; [`UNKNOWN`] where that is not known. A body is in the future of each request, and so is an `Option`.
    left: u64,
    /// The log has a line about a wrong length already.
    logged: bool,
}

enum PieceSource {
    Bytes(Bytes),
    Stream(Blocks),
    File {
        file: BodyFile,
        offset: u64,
        left: u64,
        reading: Option<PieceRead>,
    },
    Ended,
}

type PieceRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// A part of a file.
pub(crate) struct FilePart {
    pub file: BodyFile,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// Writes the line in the log about a file that cannot be sent to its end.
pub(crate) fn log_unreadable(file: &BodyFile, error: &io::Error) {
    match file.subject() {
        Some(subject) => crate::log_of!(
            LogKind::NotReadable,
            about = subject.log_subject(),
            "cannot send {subject} to its end: {error}"
        ),
        None => log_misfit(
            None,
            format_args!("cannot read a file that the application wants to be sent: {error}"),
        ),
    }
}

impl Body {
    /// All of the body of the response to a request, and the length that was announced for it, in bytes.
    pub(crate) fn new(
        body: ResponseBody,
        announced: Option<u64>,
        about: Option<&RequestName>,
    ) -> Self {
        let known = known_length(&body);
        if let (Some(announced), Some(known)) = (announced, known)
            && announced != known
        {
            log_misfit(
                about,
                format_args!("the application announced {announced} bytes and gave {known}"),
            );
        }
        let pieces = match body {
            ResponseBody::Bytes(bytes) => PieceSource::Bytes(bytes),
            ResponseBody::Stream(blocks) => PieceSource::Stream(blocks),
            ResponseBody::File {
                file,
                offset,
                length,
            } => PieceSource::File {
                file,
                offset,
                left: length,
                reading: None,
            },
            // Only the gateway that has made an offer gets one, and does not come here with it.
            ResponseBody::WebSocket(_) => PieceSource::Bytes(Bytes::new()),
        };
        Self {
            pieces,
            held: HeldPieces::default(),
            left: announced.or(known).unwrap_or(UNKNOWN),
            logged: known.is_some(),
        }
    }

    /// The request, where the body comes in blocks.
    pub(super) fn about(&self) -> Option<&RequestName> {
        match &self.pieces {
            PieceSource::Stream(blocks) => blocks.about(),
            // Its length is known, and so its fault is logged from the beginning.
            PieceSource::Bytes(_) | PieceSource::File { .. } | PieceSource::Ended => None,
        }
    }

    /// Its pieces are passed on, and not looked at ([`Blocks::pass_on`]).
    pub(crate) fn pass_on(mut self) -> Self {
        if let PieceSource::Stream(blocks) = &mut self.pieces {
            blocks.pass_on();
        }
        self
    }

    /// The number of bytes still to come, where it is known.
    pub(crate) fn left(&self) -> Option<u64> {
        (self.left != UNKNOWN).then_some(self.left)
    }

    /// The next piece, never empty; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Truncated>>> {
        ready!(self.held.poll_room(context));
        let share = self.held.share();
        loop {
            let is_whole = match ready!(self.pieces.poll_next(context, share)) {
                Some(Ok(piece)) => {
                    let piece = self.cut(piece);
                    if piece.is_empty() {
                        continue;
                    }
                    // A short response is all there is of it.
                    let is_counted = piece.len() >= LEAST || self.left != 0;
                    return Poll::Ready(Some(Ok(match is_counted {
                        true => self.held.hold(piece),
                        false => piece,
                    })));
                }
                None if matches!(self.pieces, PieceSource::Ended) => return Poll::Ready(None),
                None => matches!(self.left, 0 | UNKNOWN),
                Some(Err(Truncated)) => {
                    self.logged = true;
                    self.left == 0
                }
            };
            if !is_whole {
                self.log_once("the application gave fewer bytes than it announced");
            }
            self.pieces = PieceSource::Ended;
            return Poll::Ready((!is_whole).then_some(Err(Truncated)));
        }
    }

    /// Takes a part of a file of at most `longest` bytes, if that is what comes next and the system has it in its memory.
    pub(crate) fn take_cached_part(&mut self, longest: u64) -> Option<FilePart> {
        let most = self.left.min(longest);
        let PieceSource::File {
            file,
            offset,
            left,
            reading: None,
        } = &mut self.pieces
        else {
            return None;
        };
        let length = most.min(*left);
        if length == 0 || !file.is_cached(*offset, length) {
            return None;
        }
        let part = FilePart {
            file: file.clone(),
            offset: *offset,
            length,
        };
        *offset += length;
        *left -= length;
        self.left -= length;
        Some(part)
    }

    /// The part of a piece that does not exceed the announced length.
    fn cut(&mut self, mut piece: Bytes) -> Bytes {
        if let Some(left) = self.left() {
            if piece.len() as u64 > left {
                self.log_once("the application gave more bytes than it announced");
                // Smaller than the length of a piece, which is a usize.
                piece.truncate(left as usize);
            }
            self.left = left - piece.len() as u64;
        }
        piece
    }

    fn log_once(&mut self, what: &str) {
        if !std::mem::replace(&mut self.logged, true) {
            log_misfit(self.about(), what);
        }
    }
}

impl PieceSource {
    /// The next piece as it comes; `None` at the end, whatever was announced. What is read from a file is no more than
    /// `share` bytes.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        share: usize,
    ) -> Poll<Option<Result<Bytes, Truncated>>> {
        match self {
            Self::Ended | Self::File { left: 0, .. } => Poll::Ready(None),
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Stream(blocks) => blocks.poll_next(context),
            Self::File {
                file,
                offset,
                left,
                reading,
            } => {
                let most = (*left).min(share as u64);
                let read = reading.get_or_insert_with(|| Box::pin(file.read(*offset, most)));
                let piece = ready!(read.as_mut().poll(context));
                *reading = None;
                if let Ok(piece) = &piece {
                    *offset += piece.len() as u64;
                    *left -= piece.len() as u64;
                }
                Poll::Ready(Some(piece.map_err(|error| {
                    log_unreadable(file, &error);
                    Truncated
                })))
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // All that was announced is sent, but the application may still be running code behind its last block.
        if self.left == 0
            && let PieceSource::Stream(blocks) =
                std::mem::replace(&mut self.pieces, PieceSource::Ended)
        {
            blocks.satisfied();
        }
    }
}
