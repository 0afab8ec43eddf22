//! A connection on which requests are sent and answered one after the other. hyper's half of it has no task of its own: who
//! waits for an answer drives it, and a connection that is kept is not driven until it is looked at again. So a request
//! takes no turns of other tasks.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use crate::upstream::http::counted_stream::{CountedStream, StreamCounts};
use crate::upstream::http::request_content::RequestContent;
use crate::upstream::upstream_stream::UpstreamStream;

/// The most fields in the head of a response.
pub(super) const MAX_FIELDS: usize = 1000;

/// A connection to a server. It is handed from request to request, and so is small.
pub struct HttpConnection {
    sender: SendRequest<RequestContent>,
    driver: Box<Connection<TokioIo<CountedStream>, RequestContent>>,
    has_ended: bool,
    counts: StreamCounts,
}

/// Why a request was not answered.
#[derive(Debug)]
pub(super) struct SendFailure {
    /// What went wrong; `None` if the connection was closed.
    pub error: Option<hyper::Error>,
    /// The server has got nothing of it.
    pub is_unsent: bool,
    /// The server has sent something.
    pub has_begun: bool,
}

/// What of a body is there at once.
#[derive(Debug)]
pub(super) enum CollectedBody {
    /// All of it.
    Whole(Bytes),
    /// Its beginning.
    Begun(Bytes),
    /// The connection failed.
    Broken(hyper::Error),
}

impl HttpConnection {
    /// A connection on which nothing was sent yet.
    pub(super) async fn new(stream: UpstreamStream) -> hyper::Result<Self> {
        let (stream, counts) = CountedStream::new(stream);
        let handshake = Builder::new()
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake.await?;
        Ok(Self {
            sender,
            driver: Box::new(driver),
            has_ended: false,
            counts,
        })
    }

    /// Moves on what is written and read.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.has_ended {
            // An error is told to the request or to the body that it concerns.
            self.has_ended = self.driver.poll_without_shutdown(context).is_ready();
        }
    }

    /// Whether another request can be sent: the server has neither closed it nor sent what no request asked for.
    pub(super) async fn is_usable(&mut self) -> bool {
        poll_fn(|context| {
            self.drive(context);
            let is_ready = matches!(self.sender.poll_ready(context), Poll::Ready(Ok(())));
            Poll::Ready(is_ready && !self.has_ended)
        })
        .await
    }

    /// Whether it may be kept.
    pub(super) fn is_open(&self) -> bool {
        !self.has_ended && !self.sender.is_closed()
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        &mut self,
        request: http::Request<RequestContent>,
    ) -> Result<http::Response<Incoming>, SendFailure> {
        let (received, sent) = (self.counts.received(), self.counts.sent());
        let mut answer = pin!(self.sender.try_send_request(request));
        let answered = poll_fn(|context| {
            self.drive(context);
            match answer.as_mut().poll(context) {
                Poll::Pending if self.has_ended => Poll::Ready(None),
                answered => answered.map(Some),
            }
        });
        let error = match answered.await {
            Some(Ok(response)) => return Ok(response),
            Some(Err(failed)) => Some(failed.into_error()),
            None => None,
        };
        Err(SendFailure {
            error,
            is_unsent: self.counts.sent() == sent,
            has_begun: self.counts.received() > received,
        })
    }

    /// Polls for the next part of a body; `None` at its end.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Bytes>>> {
        let mut was_driven = false;
        loop {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    // Trailers are dropped: applications of runner have none.
                    Err(_) => {}
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if was_driven => return Poll::Pending,
                Poll::Pending => {
                    self.drive(context);
                    was_driven = true;
                    continue;
                }
            }
            was_driven = false;
        }
    }

    /// Takes what is there of a body, up to about `limit` bytes. Waits only for one that has said that it is no longer.
    pub(super) async fn collect(&mut self, body: &mut Incoming, limit: usize) -> CollectedBody {
        if body.is_end_stream() {
            return CollectedBody::Whole(Bytes::new());
        }
        let is_short = body
            .size_hint()
            .exact()
            .is_some_and(|length| length <= limit as u64);
        // A body in one part, as most are, is not copied.
        let mut only = Bytes::new();
        let mut joined = BytesMut::new();
        let outcome = poll_fn(|context| {
            while is_short || only.len().max(joined.len()) < limit {
                match self.poll_body(body, context) {
                    Poll::Ready(Some(Ok(part))) if only.is_empty() => only = part,
                    Poll::Ready(Some(Ok(part))) => {
                        if joined.is_empty() {
                            joined.extend_from_slice(&only);
                        }
                        joined.extend_from_slice(&part);
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending if is_short => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Some(Ok(())))
        });
        let outcome = outcome.await;
        let taken = match joined.is_empty() {
            true => only,
            false => joined.freeze(),
        };
        match outcome {
            None => CollectedBody::Whole(taken),
            Some(Ok(())) => CollectedBody::Begun(taken),
            Some(Err(error)) => CollectedBody::Broken(error),
        }
    }

    /// The connection itself, once the server has answered 101, and what it has sent already.
    pub(super) async fn into_upgraded(mut self) -> (CountedStream, Bytes) {
        poll_fn(|context| {
            self.drive(context);
            match self.has_ended {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        let parts = self.driver.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }
}

impl std::fmt::Debug for HttpConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HttpConnection")
            .finish_non_exhaustive()
    }
}

/// What lies behind an error of hyper, which names the stage only.
pub(super) fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
