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
    let mut pace = Pace::new(options);
    let mut spool = None;
    while let Some(part) = next(&mut body, &mut pace).await? {
        if spool.is_none() && body.is_end_stream() && part.len() <= IN_MEMORY {
            return Ok(in_one_piece(part));
        }
        spool
            .get_or_insert_with(|| Spool::new(&options.spool))
            .push(part)
            .await?;
    }
    match spool {
        Some(spool) => Ok(spool.finish().await?),
        None => Ok(RequestBody::Empty),
    }
}

/// The next part of a body, or none at its end.
async fn next(body: &mut Body, pace: &mut Pace) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = std::future::poll_fn(|context| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
                pace.patience.renew();
                return Poll::Ready(Ok(frame));
            }
            ready!(pace.poll_end(context));
            Poll::Ready(Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "the client sends the body too slowly",
            )))
        });
        match frame.await? {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(part) => {
                    pace.received += part.len() as u64;
                    return Ok(Some(part));
                }
                Err(_trailers) => {}
            },
            Some(Err(error)) => {
                let reason = format!("the body is malformed or incomplete: {error}");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
            }
        }
    }
}

/// How quickly a body comes. Nothing may come for [`HttpOptions::body_timeout`] at most; and that is also how far
/// it may be behind [`HttpOptions::body_rate`], so that a byte now and then does not keep it going for ever.
struct Pace {
    timeout: Duration,
    rate: u32,
    /// In bytes.
    received: u64,
    /// When we first had to wait.
    since: Option<Instant>,
    patience: Patience,
}

impl Pace {
    fn new(options: &HttpOptions) -> Self {
        Self {
            timeout: options.body_timeout,
            rate: options.body_rate.max(1),
            received: 0,
            since: None,
            patience: Patience::new(options.body_timeout),
        }
    }

    /// Ready when it was too slow.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let earned = Duration::from_secs(self.received / u64::from(self.rate));
        let left = self
            .timeout
            .saturating_add(earned)
            .saturating_sub(now - since);
        self.patience.limit = left.min(self.timeout);
        self.patience.poll_end(context)
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
