//! Receiving the body of a request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, Sleep, sleep};

use crate::application::RequestBody;
use crate::gateway::http::HttpOptions;
use crate::gateway::http::head::Refusal;
use crate::gateway::spool::{IN_MEMORY, Spool, SpoolError, in_one_piece};

/// Receives all of a body. Trailers are dropped: RFC 9110 §6.5.1 allows it, and CGI has no place for them.
///
/// # Errors
/// The body is malformed or cut off (400), comes too slowly (408), is too large (413) or cannot be kept (500).
pub async fn receive(mut body: Body, options: &HttpOptions) -> Result<RequestBody, Refusal> {
    if body.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    if body.size_hint().lower() > options.spool.limit {
        return Err(SpoolError::TooLarge.into());
    }
    let mut patience = Patience::new(options.body_timeout);
    let mut spool = None;
    while let Some(part) = next(&mut body, &mut patience).await? {
        if spool.is_none() && body.is_end_stream() && part.len() <= IN_MEMORY {
            return Ok(in_one_piece(part));
        }
        spool
            .get_or_insert_with(|| Spool::new(&options.spool))
            .push(&part)?;
    }
    match spool {
        Some(spool) => Ok(spool.finish()?),
        None => Ok(RequestBody::Empty),
    }
}

/// The next part of a body, or none at its end.
async fn next(body: &mut Body, patience: &mut Patience) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = std::future::poll_fn(|context| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
                patience.renew();
                return Poll::Ready(Ok(frame));
            }
            ready!(patience.poll_end(context));
            Poll::Ready(Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "the client stopped sending the body",
            )))
        });
        match frame.await? {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(part) => return Ok(Some(part)),
                Err(_trailers) => {}
            },
            Some(Err(error)) => {
                let reason = format!("the body is malformed or incomplete: {error}");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
            }
        }
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        let status = match error {
            SpoolError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            SpoolError::Unwritable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// A time limit for waiting, which needs no timer as long as nothing has to be waited for.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    /// Kept for the next time.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Patience {
    /// Waits no longer than this for each step.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            waiting: false,
        }
    }

    /// There was progress: nobody waits.
    pub fn renew(&mut self) {
        self.waiting = false;
    }

    /// Begins to wait, or goes on. Ready when there was no progress for too long.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        timer.as_mut().poll(context)
    }
}
