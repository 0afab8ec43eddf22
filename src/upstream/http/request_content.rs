//! The body of a request on its way to a server: from memory, or read from its file as the server takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::interface::RequestBody;
use crate::interface::body_file::BodyFile;
use crate::upstream::exchange_phase::{ExchangePhase, ExchangeProgress};

/// What is left to send of a body.
pub(super) enum RequestContent {
    /// Bytes in memory; none at the end.
    Memory(Bytes, ExchangeProgress),
    /// A part of a file.
    File {
        file: BodyFile,
        /// Where it begins, in bytes.
        offset: u64,
        /// Its length.
        left: u64,
        /// A read that is under way.
        reading: Option<FileRead>,
        progress: ExchangeProgress,
    },
}

type FileRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

impl RequestContent {
    /// A body from its start, as often as it is wanted. From now on the request is sent, up to the last part of the body.
    pub(super) fn of(body: &RequestBody, progress: &ExchangeProgress) -> Self {
        progress.enter(match body.length() {
            0 => ExchangePhase::Head,
            _ => ExchangePhase::Send,
        });
        let progress = progress.clone();
        match body {
            RequestBody::Empty => Self::Memory(Bytes::new(), progress),
            RequestBody::Bytes(bytes) => Self::Memory(bytes.clone(), progress),
            RequestBody::File { file, length } => Self::File {
                file: file.clone(),
                offset: 0,
                left: *length,
                reading: None,
                progress,
            },
        }
    }

    fn left(&self) -> u64 {
        match self {
            Self::Memory(bytes, _) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        }
    }
}

impl Body for RequestContent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Memory(bytes, _) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes, progress) => {
                progress.enter(ExchangePhase::Head);
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File {
                file,
                offset,
                left,
                reading,
                progress,
            } => {
                let pending = reading.get_or_insert_with(|| Box::pin(file.read(*offset, *left)));
                let read = ready!(pending.as_mut().poll(context));
                *reading = None;
                let piece = read?;
                *offset += piece.len() as u64;
                *left -= piece.len() as u64;
                if *left == 0 {
                    progress.enter(ExchangePhase::Head);
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
