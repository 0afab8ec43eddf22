//! Sending a response on a stream, as the client opens its windows (RFC 9113 §5.2).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode, Version, header};
use http_body::Body;

use crate::gateway::connection_limit::stream_permit::StreamPermit;
use crate::gateway::http::connection;
use crate::gateway::http::connection::Begun;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::http2::frame_meter::{self, FrameMeter};
use crate::gateway::http::http2::tunnel::Tunnel;
use crate::gateway::http::hyper_response::{self, ReplyBody};
use crate::gateway::http::websocket::{self, acceptance::AcceptedWebSocket};
use crate::gateway::slow_client::Pace;
use crate::interface::Truncated;
use crate::panics::{Panicked, caught};
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// A request on a stream.
pub(super) struct StreamExchange {
    pub state: Arc<ConnectionState>,
    pub begun: Result<Begun, Panicked>,
    pub respond: SendResponse<Bytes>,
    /// Whether its body is asked for, if the client waits for that.
    pub asked_for: Option<Arc<AtomicBool>>,
    pub meter: Arc<Mutex<FrameMeter>>,
    /// How slowly the client may take the response.
    pub pace: Pace,
    /// What the client sends behind a request for a WebSocket.
    pub receive: Option<RecvStream>,
    /// Its share of the limit of connections, held until it ends.
    #[expect(dead_code, reason = "it is held")]
    pub share: StreamShare,
}

/// A stream's share of the limit of connections.
pub(super) enum StreamShare {
    /// That of the connection, which one stream at a time has.
    OfConnection(#[expect(dead_code, reason = "it is held")] Arc<()>),
    /// One of its own.
    Own(#[expect(dead_code, reason = "it is held")] StreamPermit),
}

/// Why a response is not sent to its end.
enum Ended {
    /// The client does not want it any more, or has gone away.
    Unwanted,
    /// The client takes it too slowly.
    TooSlow,
    /// The application did not give all of it.
    Truncated,
}

impl From<h2::Error> for Ended {
    fn from(_: h2::Error) -> Self {
        Self::Unwanted
    }
}

impl StreamExchange {
    /// Answers the request. The application learns at once that its client does not want the answer any more.
    pub(super) async fn answer(mut self) {
        let state = Arc::clone(&self.state);
        let begun = std::mem::replace(&mut self.begun, Err(Panicked));
        let response = {
            let mut answer = pin!(caught("a request", connection::answer(state, begun)));
            let answered = poll_fn(|context| {
                if self.respond.poll_reset(context).is_ready() {
                    return Poll::Ready(None);
                }
                let answered = answer.as_mut().poll(context);
                self.ask_for_body(answered.is_pending());
                answered.map(Some)
            });
            match answered.await {
                Some(response) => response.unwrap_or_else(|Panicked| hyper_response::failed()),
                None => return,
            }
        };
        self.send(response).await;
    }

    /// Tells a client that waits for it that its body is welcome.
    fn ask_for_body(&mut self, is_pending: bool) {
        let is_asked_for =
            |asked_for: &mut Arc<AtomicBool>| asked_for.load(Ordering::Relaxed) && is_pending;
        if self.asked_for.take_if(is_asked_for).is_some() {
            let mut head = Response::new(());
            *head.status_mut() = StatusCode::CONTINUE;
            // A client that has gone away is found out otherwise.
            let _ = self.respond.send_informational(head);
        }
    }

    async fn send(mut self, response: Response<ReplyBody>) {
        let (mut parts, body) = response.into_parts();
        parts.version = Version::HTTP_2;
        parts.extensions.clear();
        remove_fields_of_connections(&mut parts.headers);
        if let Some(accepted) = self.state.take_accepted()
            && let Some(receive) = self.receive.take()
        {
            return self
                .tunnel(Response::from_parts(parts, ()), receive, *accepted)
                .await;
        }
        if self.receive.is_some() && parts.status.is_success() {
            // Any such status would open the WebSocket (RFC 8441 §5).
            parts.status = StatusCode::FORBIDDEN;
        }
        let is_whole = body.is_end_stream();
        let head = Response::from_parts(parts, ());
        let Ok(mut stream) = self.respond.send_response(head, is_whole) else {
            return;
        };
        frame_meter::lock(&self.meter).responded();
        if is_whole {
            return;
        }
        match self.send_body(&mut stream, body).await {
            Ok(()) | Err(Ended::Unwanted) => {}
            // Never as if it were whole.
            Err(Ended::Truncated) => stream.send_reset(Reason::INTERNAL_ERROR),
            Err(Ended::TooSlow) => {
                self.state.log_slow_client("a stream");
                stream.send_reset(Reason::CANCEL);
            }
        }
    }

    /// Serves the WebSocket that the stream is from now on.
    async fn tunnel(
        mut self,
        head: Response<()>,
        receive: RecvStream,
        accepted: AcceptedWebSocket,
    ) {
        let Ok(send) = self.respond.send_response(head, false) else {
            return;
        };
        frame_meter::lock(&self.meter).responded();
        let tunnel = Tunnel {
            receive,
            send,
            rest: Bytes::new(),
            pace: self.pace,
            meter: self.meter,
            state: Arc::clone(&self.state),
        };
        Box::pin(websocket::serve(
            tunnel,
            Bytes::new(),
            accepted,
            &self.state,
        ))
        .await;
    }

    async fn send_body(
        &mut self,
        stream: &mut SendStream<Bytes>,
        mut body: ReplyBody,
    ) -> Result<(), Ended> {
        loop {
            let next = poll_fn(|context| {
                if stream.poll_reset(context).is_ready() {
                    return Poll::Ready(Err(Ended::Unwanted));
                }
                let next = Pin::new(&mut body).poll_frame(context);
                next.map(|next| next.transpose().map_err(|Truncated| Ended::Truncated))
            });
            let Some(frame) = next.await? else {
                stream.send_data(Bytes::new(), true)?;
                return Ok(());
            };
            let mut part = frame.into_data().unwrap_or_default();
            while !part.is_empty() {
                stream.reserve_capacity(part.len());
                let room = poll_fn(|context| self.poll_room(stream, context)).await?;
                let piece = part.split_to(room.min(part.len()));
                let is_last = part.is_empty() && body.is_end_stream();
                frame_meter::lock(&self.meter).sent(piece.len());
                stream.send_data(piece, is_last)?;
                if is_last {
                    return Ok(());
                }
            }
        }
    }

    /// How many bytes may be sent.
    fn poll_room(
        &mut self,
        stream: &mut SendStream<Bytes>,
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, Ended>> {
        let room = match stream.capacity() {
            0 => stream.poll_capacity(context),
            room => Poll::Ready(Some(Ok(room))),
        };
        match room {
            Poll::Ready(Some(room)) => {
                let room = room?;
                self.pace.moved(room as u64);
                Poll::Ready(Ok(room))
            }
            Poll::Ready(None) => Poll::Ready(Err(Ended::Unwanted)),
            Poll::Pending => self.pace.poll_late(context).map(|()| Err(Ended::TooSlow)),
        }
    }
}

/// §8.2.2: such fields are malformed here.
fn remove_fields_of_connections(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let names: Vec<_> = headers.keys().cloned().collect();
    for name in names.iter().filter(|name| is_hop_by_hop(name.as_str())) {
        headers.remove(name);
    }
}
