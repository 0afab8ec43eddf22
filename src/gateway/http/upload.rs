//! Receiving the body of a request.

use std::error::Error;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;

use crate::gateway::body::spool::{IN_MEMORY, Spool, SpoolError, from_bytes};
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::shadow_parser;
use crate::gateway::refusal::Refusal;
use crate::gateway::slow_client::Pace;
use crate::interface::{Connection, RequestBody};

/// The body of a request as it comes in.
pub(super) trait ReceivedBody:
    Body<Data = Bytes, Error: Error + 'static> + Send + Unpin + 'static
{
}

impl<B: Body<Data = Bytes, Error: Error + 'static> + Send + Unpin + 'static> ReceivedBody for B {}

/// Receives a whole body, of a client that may be behind a proxy. Trailers are dropped, which RFC 9110 §6.5.1 allows: CGI has no place for them.
///
/// # Errors
/// The body is malformed or cut off (400), comes too slowly (408), is too large (413), has no space (507) or cannot be kept (500).
pub(super) async fn receive(
    mut body: impl ReceivedBody,
    state: &ConnectionState,
    connection: &Connection,
) -> Result<RequestBody, Refusal> {
    let options = &state.gateway.options;
    if body.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    if body.size_hint().lower() > options.spool.limit {
        return Err(SpoolError::TooLarge.into());
    }
    let mut pace = Pace::new(options.body_timeout, options.min_rate);
    let mut spool = None;
    let client = || connection.remote_addr.network();
    let mut asked = pin!(state.permit.close_asked());
    while let Some(part) = next(&mut body, &mut pace, asked.as_mut(), state).await? {
        let is_small = part.len() <= IN_MEMORY && part.len() as u64 <= options.spool.limit;
        if spool.is_none() && body.is_end_stream() && is_small {
            return Ok(from_bytes(part));
        }
        spool
            .get_or_insert_with(|| Spool::new(&options.spool, client()))
            .push(part)
            .await?;
    }
    match spool {
        Some(spool) => Ok(spool.finish().await?),
        None => Ok(RequestBody::Empty),
    }
}

/// Checks for a fault that the shadow parser has found in the body.
///
/// # Errors
/// The fault (400), or a chunk that is too large (413).
pub(super) fn check(state: &ConnectionState) -> Result<(), Refusal> {
    match shadow_parser::lock(&state.parser).fault() {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// The next part of a body; `None` at its end.
async fn next(
    body: &mut impl ReceivedBody,
    pace: &mut Pace,
    mut asked: Pin<&mut impl Future<Output = ()>>,
    state: &ConnectionState,
) -> Result<Option<Bytes>, Refusal> {
    let permit = &state.permit;
    loop {
        let frame = std::future::poll_fn(|context| {
            let polled = Pin::new(&mut *body).poll_frame(context);
            // hyper may wait for more of a malformed body, or give a vaguer reason.
            check(state)?;
            if let Poll::Ready(frame) = polled {
                permit.set_working();
                return Poll::Ready(Ok(frame));
            }
            let late = |reason| Poll::Ready(Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason)));
            if asked.as_mut().poll(context).is_ready() {
                return late("the rest of the body is not waited for any longer");
            }
            if !pace.is_waiting() {
                permit.set_waiting();
            }
            ready!(pace.poll_late(context));
            late("the client sends the body too slowly")
        });
        match frame.await? {
            None => return Ok(None),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(part) => {
                    pace.moved(part.len() as u64);
                    return Ok(Some(part));
                }
                Err(_trailers) => pace.moved(0),
            },
            Some(Err(error)) => {
                let reason = format!("the body is malformed or incomplete: {}", cause(&error));
                return Err(Refusal::malformed(reason));
            }
        }
    }
}

/// The root cause of an error: hyper itself only says that a body could not be read.
fn cause(mut error: &dyn Error) -> &dyn Error {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}
