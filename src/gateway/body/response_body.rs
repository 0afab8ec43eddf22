//! The body of a response on its way out, the same for every protocol: piece by piece, wherever it comes from, cut off
//! where the announced length ends, broken off where that is not reached.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::interface::body_file::BodyFile;
use crate::interface::{Blocks, ResponseBody, Truncated};
use crate::log::LogKind;

/// What is still to be sent of a body.
#[derive(Debug)]
pub struct Body {
    source: Source,
    due: Due,
}

enum Source {
    Bytes(Bytes),
    Stream(Blocks),
    File {
        file: BodyFile,
        offset: u64,
        left: u64,
        reading: Option<Reading>,
    },
    Ended,
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

impl Body {
    /// All of a body, of which so many bytes were announced, if it was said.
    #[must_use]
    pub fn new(body: ResponseBody, announced: Option<u64>) -> Self {
        let due = Due::new(announced, &body);
        let source = match body {
            ResponseBody::Bytes(bytes) => Source::Bytes(bytes),
            ResponseBody::Stream(blocks) => Source::Stream(blocks),
            ResponseBody::File {
                file,
                offset,
                length,
            } => Source::File {
                file,
                offset,
                left: length,
                reading: None,
            },
        };
        Self { source, due }
    }

    /// How many bytes are still to come, where that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.due.left()
    }

    /// The next piece, never empty; `None` at the end. What exceeds the announced length is dropped, what falls short
    /// of it counts as truncated.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Truncated>>> {
        loop {
            let ended = match ready!(self.source.poll_next(context)) {
                Some(Ok(piece)) => {
                    let piece = self.due.take(piece);
                    if piece.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                None if matches!(self.source, Source::Ended) => return Poll::Ready(None),
                None => self.due.ends_well(),
                Some(Err(Truncated)) => self.due.left() == Some(0),
            };
            self.source = Source::Ended;
            return Poll::Ready((!ended).then_some(Err(Truncated)));
        }
    }
}

impl Source {
    /// The next piece as it comes; none at the end, whatever was announced.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Truncated>>> {
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
                let read = reading.get_or_insert_with(|| Box::pin(file.read(*offset, *left)));
                let piece = ready!(read.as_mut().poll(context));
                *reading = None;
                if let Ok(piece) = &piece {
                    *offset += piece.len() as u64;
                    *left -= piece.len() as u64;
                }
                Poll::Ready(Some(piece.map_err(|error| {
                    crate::log_of!(
                        LogKind::InvalidAnswer,
                        "cannot read a file that the application wants to be sent: {error}"
                    );
                    Truncated
                })))
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Nobody wants more than was announced. Yet the application may be about to do something after its last block.
        if self.due.left() == Some(0)
            && let Source::Stream(blocks) = std::mem::replace(&mut self.source, Source::Ended)
        {
            blocks.satisfied();
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::Stream(_) => "Stream",
            Self::File { .. } => "File",
            Self::Ended => "Ended",
        })
    }
}

/// The length that the application announced. What is no length is removed; one that is said twice is said once.
pub fn announced(headers: &mut HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = values.next()?;
    let number = first
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    if let Some(number) = number
        && values.all(|other| other == first)
    {
        if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(number));
        }
        return Some(number);
    }
    crate::log_of!(
        LogKind::InvalidAnswer,
        "the application gave a `Content-Length` that is no length: it is left out"
    );
    headers.remove(header::CONTENT_LENGTH);
    None
}

/// The length of a body, in bytes, where it is known before all of it is there.
pub fn known(body: &ResponseBody) -> Option<u64> {
    match body {
        ResponseBody::Bytes(bytes) => Some(bytes.len() as u64),
        ResponseBody::File { length, .. } => Some(*length),
        ResponseBody::Stream(blocks) => blocks.length(),
    }
}

/// What is still to come of a body.
#[derive(Debug)]
pub struct Due {
    /// In bytes, where that is known.
    left: Option<u64>,
    /// What there is too much or too little of was said already.
    said: bool,
}

impl Due {
    /// All of a body.
    pub fn new(announced: Option<u64>, body: &ResponseBody) -> Self {
        let known = known(body);
        if let (Some(announced), Some(known)) = (announced, known)
            && announced != known
        {
            crate::log_of!(
                LogKind::InvalidAnswer,
                "the application announced {announced} bytes and gave {known}"
            );
        }
        Self {
            left: announced.or(known),
            said: known.is_some(),
        }
    }

    /// How many bytes are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// What of a part may be sent: no more than was announced.
    pub fn take(&mut self, mut part: Bytes) -> Bytes {
        if let Some(left) = &mut self.left {
            if part.len() as u64 > *left {
                if !std::mem::replace(&mut self.said, true) {
                    crate::log_of!(
                        LogKind::InvalidAnswer,
                        "the application gave more bytes than it announced"
                    );
                }
                // Smaller than the length of a part, which is a usize.
                part.truncate(*left as usize);
            }
            *left -= part.len() as u64;
        }
        part
    }

    /// Whether a body that the application has ended here is whole.
    pub fn ends_well(&mut self) -> bool {
        let whole = self.left.is_none_or(|left| left == 0);
        if !whole && !std::mem::replace(&mut self.said, true) {
            crate::log_of!(
                LogKind::InvalidAnswer,
                "the application gave fewer bytes than it announced"
            );
        }
        whole
    }
}
