//! The streams of one connection: they begin and end here, and the connection with them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::gateway::connection_limit::stream_permit::StreamPermit;
use crate::gateway::graceful_stop::{CROSSED, Manner, OWED};
use crate::gateway::http::connection::{self, note_unread};
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::http2::frame_meter::{self, FrameMeter};
use crate::gateway::http::http2::metered_transport::MeteredTransport;
use crate::gateway::http::http2::stream_body::StreamBody;
use crate::gateway::http::http2::stream_head;
use crate::gateway::http::http2::stream_response::{StreamExchange, StreamShare};
use crate::gateway::http::request_timer::{AwaitedRequest, Overdue, RequestTimer};
use crate::gateway::http::transport::LINGER;
use crate::gateway::slow_client::Pace;
use crate::log::LogKind;
use crate::panics::caught_call;

/// A connection and its streams.
pub(super) struct Streams {
    connection: Connection<MeteredTransport, Bytes>,
    state: Arc<ConnectionState>,
    meter: Arc<Mutex<FrameMeter>>,
    exchanges: JoinSet<()>,
    /// The connection's share of the limit of connections. A stream that has it holds a clone.
    own_share: Arc<()>,
    /// The number of requests since the beginning.
    begun: u64,
    timer: RequestTimer,
    ending: Option<AnnouncedEnd>,
}

/// A connection whose client knows that it takes no more requests.
struct AnnouncedEnd {
    since: Instant,
    /// The number of reads, and since when it is the same.
    heard: (u64, Instant),
    /// Until the next look.
    look: Pin<Box<Sleep>>,
}

/// What happens on a connection beside its requests.
enum Happening {
    /// The connection has ended.
    End(Result<(), h2::Error>),
    /// Too many frames of no use.
    Flood,
    Overdue(Overdue),
    /// The gateway is to stop, or another connection waits for the permit.
    Interrupted,
    /// It is time to see whether an ending connection has to end.
    Look,
}

impl Streams {
    /// A connection that has just begun.
    pub(super) fn new(
        connection: Connection<MeteredTransport, Bytes>,
        state: Arc<ConnectionState>,
        meter: Arc<Mutex<FrameMeter>>,
    ) -> Self {
        let options = &state.gateway.options;
        Self {
            timer: RequestTimer::new(options.head_timeout, options.keep_alive),
            connection,
            state,
            meter,
            exchanges: JoinSet::new(),
            own_share: Arc::default(),
            begun: 0,
            ending: None,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let state = Arc::clone(&self.state);
        let mut interruption = pin!(async {
            tokio::select! {
                biased;
                _ = state.gateway.generation.stop.begun() => {}
                () = state.permit.close_asked() => {}
            }
        });
        loop {
            let happening = poll_fn(|context| {
                if let Poll::Ready(happening) = self.poll_connection(context) {
                    return Poll::Ready(happening);
                }
                match &mut self.ending {
                    None => interruption
                        .as_mut()
                        .poll(context)
                        .map(|()| Happening::Interrupted),
                    Some(ending) => ending.look.as_mut().poll(context).map(|()| Happening::Look),
                }
            });
            match happening.await {
                Happening::End(ended) => return self.log_end(ended),
                Happening::Interrupted => self.end_gracefully(),
                Happening::Flood => {
                    self.log("it sends frames that no response comes of");
                    return self.end_at_once(Reason::ENHANCE_YOUR_CALM).await;
                }
                Happening::Overdue(Overdue::Head) => {
                    self.state
                        .log_refusal("its head took too long (408, runner.http.head_timeout)");
                    note_unread(&self.state, StatusCode::REQUEST_TIMEOUT);
                    return self.end_at_once(Reason::ENHANCE_YOUR_CALM).await;
                }
                Happening::Overdue(Overdue::Idle) => {
                    return self.end_at_once(Reason::NO_ERROR).await;
                }
                Happening::Look => {
                    if self.is_over() {
                        return self.end_at_once(Reason::NO_ERROR).await;
                    }
                }
            }
        }
    }

    fn poll_connection(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        loop {
            let polled = self.connection.poll_accept(context);
            if frame_meter::lock(&self.meter).is_exhausted() {
                return Poll::Ready(Happening::Flood);
            }
            match polled {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Happening::End(Err(error))),
                Poll::Ready(None) => return Poll::Ready(Happening::End(Ok(()))),
                Poll::Pending => {}
            }
            let mut has_ended = false;
            while let Poll::Ready(Some(ended)) = self.exchanges.poll_join_next(context) {
                has_ended = true;
                if let Err(error) = ended {
                    crate::log_of!(
                        LogKind::Closed,
                        about = self.state.subject(),
                        "a stream failed: {error}"
                    );
                }
            }
            if !has_ended {
                return self.poll_overdue(context);
            }
            let is_at_work = !self.exchanges.is_empty();
            frame_meter::lock(&self.meter).set_at_work(is_at_work);
            // At the limit, other clients wait for this connection to end.
            if self.exchanges.is_empty()
                && self.ending.is_none()
                && self.state.permit.is_limit_reached()
            {
                self.end_gracefully();
            }
        }
    }

    /// Ready when the client is late with a request.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        let (in_head, begun) = {
            let meter = frame_meter::lock(&self.meter);
            (meter.is_in_head(), meter.heads())
        };
        if !in_head && !self.is_idle() {
            self.timer.stop();
            return Poll::Pending;
        }
        let late = self.timer.poll(AwaitedRequest { begun, in_head }, context);
        late.map(|()| Happening::Overdue(self.timer.overdue().unwrap_or(Overdue::Idle)))
    }

    /// Whether neither side owes the other anything.
    fn is_idle(&self) -> bool {
        self.exchanges.is_empty() && !self.connection.has_streams()
    }

    fn begin(&mut self, mut request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let options = &self.state.gateway.options;
        let share = match Arc::strong_count(&self.own_share) {
            1 => StreamShare::OfConnection(Arc::clone(&self.own_share)),
            _ => match StreamPermit::of(&self.state.permit) {
                Some(permit) => StreamShare::Own(permit),
                None => return self.refuse(respond),
            },
        };
        let state = Arc::new(self.state.of_stream());
        state.permit.set_working();
        let is_web_socket = stream_head::asks_for_web_socket(&request);
        let fault = stream_head::convert(&mut request, &options.head_limits);
        let (parts, stream) = request.into_parts();
        let (receive, (body, asked_for)) = match is_web_socket {
            true => (Some(stream), (StreamBody::none(), None)),
            false => (None, StreamBody::new(stream, &parts.headers)),
        };
        let request = Request::from_parts(parts, body);
        let begun = caught_call("a request", || {
            connection::begin(&state, request, fault.as_ref(), is_web_socket)
        });
        self.begun += 1;
        let (is_last, limit) = (options.keep_alive.is_zero(), options.keep_alive_requests);
        // The windows of a connection are shared: a stream gets its part of them.
        let rate = options.min_rate.div_ceil(self.exchanges.len() as u64 + 1);
        let exchange = StreamExchange {
            pace: Pace::new(options.write_timeout, rate),
            state,
            begun,
            respond,
            asked_for,
            receive,
            meter: Arc::clone(&self.meter),
            share,
        };
        self.exchanges.spawn(exchange.answer());
        frame_meter::lock(&self.meter).set_at_work(true);
        if (is_last || self.begun >= limit) && self.ending.is_none() {
            self.end_gracefully();
        }
    }

    /// Refuses a request of which nothing was done, so that the client may send it again (RFC 9113 §8.7).
    fn refuse(&self, mut respond: SendResponse<Bytes>) {
        respond.send_reset(Reason::REFUSED_STREAM);
        frame_meter::lock(&self.meter).note_refusal();
        crate::log_of!(
            LogKind::Refused,
            about = self.state.subject(),
            "refused a request from {}: too many are under way by HTTP/2 (runner.http.max_connections)",
            self.state.client_name()
        );
    }

    /// Tells the client that the connection takes no more requests (RFC 9113 §6.8). Those that are on the way are answered.
    fn end_gracefully(&mut self) {
        self.connection.graceful_shutdown();
        let now = Instant::now();
        self.ending = Some(AnnouncedEnd {
            since: now,
            heard: (frame_meter::lock(&self.meter).reads(), now),
            look: Box::pin(sleep(CROSSED)),
        });
    }

    /// Whether a client that knows of the end has had its time. Once its requests are answered and it has said that it knows,
    /// `h2` ends the connection.
    fn is_over(&mut self) -> bool {
        let is_idle = self.is_idle();
        let manner = self.state.gateway.generation.stop.manner();
        let reads = frame_meter::lock(&self.meter).reads();
        let Some(ending) = &mut self.ending else {
            return false;
        };
        ending.look.as_mut().reset(Instant::now() + CROSSED);
        if ending.heard.0 != reads {
            ending.heard = (reads, Instant::now());
        }
        let permit = &self.state.permit;
        if manner == Some(Manner::Drain) && permit.is_waiting() && ending.heard.1.elapsed() >= OWED
        {
            // The rest of a request is not waited for.
            permit.ask_to_close();
        }
        is_idle && ending.since.elapsed() >= manner.map_or(Duration::ZERO, Manner::linger)
    }

    /// Ends the connection: the client learns the reason, and which of its requests were not begun.
    async fn end_at_once(mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
        let closed = poll_fn(|context| self.connection.poll_closed(context));
        // Whatever comes of it, the connection closes.
        let _ = timeout(2 * LINGER, closed).await;
    }

    fn log_end(&self, ended: Result<(), h2::Error>) {
        if let Err(error) = ended
            && error.is_go_away()
            && error.is_library()
        {
            let fault = connection_fault(error.reason().unwrap_or(Reason::PROTOCOL_ERROR));
            self.log(&format!("{fault} ({error})"));
        }
    }

    fn log(&self, why: &str) {
        let client = self.state.client_name();
        crate::log_of!(
            LogKind::Closed,
            about = self.state.subject(),
            "closed the HTTP/2 connection from {client}: {why}"
        );
    }
}

/// What a client has done for which `h2` ends its connection (RFC 9113 §7).
fn connection_fault(reason: Reason) -> &'static str {
    match reason {
        Reason::PROTOCOL_ERROR => {
            "it sends a frame, or the name or value of a field, that HTTP/2 does not allow"
        }
        Reason::FLOW_CONTROL_ERROR => "it exceeds a window of HTTP/2",
        Reason::FRAME_SIZE_ERROR => "it sends a frame of HTTP/2 of a wrong size",
        Reason::COMPRESSION_ERROR => "it sends a head that cannot be decompressed",
        Reason::STREAM_CLOSED => "it sends something behind the end of a request",
        Reason::ENHANCE_YOUR_CALM => "it costs too much",
        _ => "it does not keep to HTTP/2",
    }
}
