//! The body of a request on a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

/// A body, whose parts are received as soon as they are asked for: the client may then send as much again.
pub(super) struct StreamBody {
    /// `None` if there is no body.
    stream: Option<RecvStream>,
    /// As announced, in bytes.
    length: Option<u64>,
    /// The client waits until its body is asked for (RFC 9110 §10.1.1): set when it is.
    asked_for: Option<Arc<AtomicBool>>,
}

impl StreamBody {
    /// No body.
    pub(super) fn none() -> Self {
        Self {
            stream: None,
            length: None,
            asked_for: None,
        }
    }

    /// The body of a request with these fields; and whether it is asked for, if the client waits for that.
    pub(super) fn new(stream: RecvStream, headers: &HeaderMap) -> (Self, Option<Arc<AtomicBool>>) {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let waits = headers.contains_key(header::EXPECT) && !stream.is_end_stream();
        let asked_for = waits.then(Arc::default);
        let body = Self {
            stream: Some(stream),
            length,
            asked_for: asked_for.clone(),
        };
        (body, asked_for)
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        let polled = stream.poll_data(context);
        if let Some(asked_for) = &this.asked_for
            && polled.is_pending()
        {
            asked_for.store(true, Ordering::Relaxed);
        }
        Poll::Ready(match ready!(polled) {
            Some(Ok(part)) => {
                // Fails where the stream has ended.
                let _ = stream.flow_control().release_capacity(part.len());
                Some(Ok(Frame::data(part)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
