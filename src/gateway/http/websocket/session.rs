//! An open WebSocket from its first frame to the end of its connection.
//!
//! Nothing waits for anything else here: what the client sends is read while the application has room and answers to pings
//! are taken; what the application sends is taken while the client takes what is there.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::gateway::graceful_stop::{CROSSED, Manner};
use crate::gateway::http::access_log::LogLine;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::seldom::Seldom;
use crate::gateway::http::transport::LINGER;
use crate::gateway::http::websocket::acceptance::AcceptedWebSocket;
use crate::gateway::http::websocket::carrier::Carrier;
use crate::gateway::http::websocket::heartbeat::{Beat, Heartbeat};
use crate::gateway::http::websocket::inflow::{Inflow, Interrupted};
use crate::gateway::http::websocket::outflow::Outflow;
use crate::gateway::http::websocket::patience::Patience;
use crate::gateway::slow_client::StallTimer;
use crate::interface::{CloseReason, Outgoing, RequestName, WebSocket, WebSocketMessage};
use crate::log::{LogKind, LogSubject};
use crate::protocol::websocket::decoder::WebSocketEvent;
use crate::protocol::websocket::encoder::{Encoder, MessageFrames, WebSocketFrame};
use crate::protocol::websocket::frame_head::WebSocketFault;

/// How often a client is looked for of which nothing is read, since the application has no room.
const LOOK: Duration = Duration::from_secs(1);

/// How many bytes are read and written until other connections have their turn.
const TURN: u64 = 256 * 1024;

/// The status code for a client that does not keep to a rule of the server (RFC 6455 §7.4.1).
const POLICY: u16 = 1008;

const UNACCEPTABLE: &str = "since a reload, the client is not accepted any more";

const TOO_SLOW: &str = "the rest of a frame comes too slowly";

const MIN_RATE: &str = "runner.http.min_rate";

/// The setting that a client came up against which did something wrong.
fn limit_of(fault: &WebSocketFault) -> Option<&'static str> {
    (fault.code == CloseReason::TOO_BIG).then_some("runner.websocket.max_message")
}

/// An open WebSocket.
pub(super) struct Session<'a, C> {
    state: &'a ConnectionState,
    carrier: C,
    phase: Closing,
    encoder: Encoder,
    inflow: Inflow,
    outflow: Outflow,
    /// A message of the application.
    sending: Option<Sending>,
    /// A message for which the application has no room yet. Nothing is read behind it.
    held: Option<WebSocketMessage>,
    look: StallTimer,
    heartbeat: Option<Heartbeat>,
    /// Once only the client is waited for, renewed with each part that it takes.
    patience: Option<Patience>,
    /// Over TLS: ready when a reload has come since which the client is not accepted any more.
    unacceptable: Option<Seldom<Unacceptable<'a>>>,
    /// The bytes that the heartbeat knows of.
    heard: u64,
    /// More could be read or taken if more had been written.
    is_held_up: bool,
    /// The path of its request, for the log.
    path: Box<str>,
    about: Option<RequestName>,
    log_line: Option<Box<LogLine>>,
}

type Unacceptable<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A message that is being written.
struct Sending {
    frames: MessageFrames,
    /// What the application is told when all of it is written.
    cost: usize,
    has_begun: bool,
}

/// How far the closing handshake is (RFC 6455 §7).
enum Closing {
    /// Messages go both ways.
    Open(WebSocket),
    /// The application has closed the WebSocket, and the client has not yet.
    Closed(WebSocket),
    /// The application knows that the client has left. What there is for the client is written, and nothing is read.
    Left,
}

/// How the connection ends.
#[derive(Debug)]
enum Ending {
    /// The client gets all that was written.
    Orderly,
    /// The client is gone, or has had its time.
    Gone,
    /// The client has not taken all that there is for it.
    Cut,
}

impl<'a, C: Carrier> Session<'a, C> {
    /// Begins to speak with a client that has sent these bytes already.
    pub(super) fn new(
        carrier: C,
        early: &[u8],
        accepted: AcceptedWebSocket,
        state: &'a ConnectionState,
    ) -> Self {
        let options = &state.gateway.options;
        let unacceptable =
            |_| -> Unacceptable<'a> { Box::pin(state.gateway.not_accepted(&state.connection)) };
        let tls = state.connection.tls.as_ref();
        Self {
            unacceptable: tls.map(unacceptable).map(Seldom::new),
            state,
            carrier,
            phase: Closing::Open(accepted.socket),
            encoder: accepted.encoder,
            inflow: Inflow::new(accepted.decoder, early, options),
            outflow: Outflow::default(),
            sending: None,
            held: None,
            look: StallTimer::new(LOOK),
            heartbeat: Heartbeat::new(&options.web_sockets),
            patience: None,
            heard: 0,
            is_held_up: false,
            path: accepted.path,
            about: accepted.about,
            log_line: accepted.log_line,
        }
    }

    /// Serves the WebSocket to the end of the connection.
    pub(super) async fn run(mut self) {
        let ending = poll_fn(|context| self.poll(context)).await;
        if let Some(line) = &mut self.log_line {
            line.bytes = self.outflow.written();
        }
        drop(self.log_line);
        // If it is there, it is told that the connection broke.
        drop(self.phase);
        match ending {
            Ending::Orderly => {
                let time = match self.state.gateway.generation.stop.manner() {
                    Some(Manner::Drain) => CROSSED,
                    Some(Manner::Retire | Manner::HandOver) | None => LINGER,
                };
                self.carrier.linger(time).await;
            }
            Ending::Cut => self.carrier.reset(),
            Ending::Gone => {}
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        let turn = self.moved() + TURN;
        if !matches!(self.phase, Closing::Left)
            && let Some(unacceptable) = &mut self.unacceptable
            && Pin::new(unacceptable).poll(context).is_ready()
        {
            self.unacceptable = None;
            self.fail(POLICY, UNACCEPTABLE, None);
        }
        loop {
            self.is_held_up = false;
            while self.moved() < turn && self.may_read(context) {
                match self.inflow.poll_next(&mut self.carrier, context) {
                    Poll::Ready(Ok(event)) => self.receive(event),
                    Poll::Ready(Err(Interrupted::Broken)) => return Poll::Ready(Ending::Gone),
                    Poll::Ready(Err(Interrupted::TooSlow)) => {
                        let has_rate = self.state.gateway.options.min_rate > 0;
                        self.fail(POLICY, TOO_SLOW, has_rate.then_some(MIN_RATE));
                    }
                    Poll::Ready(Err(Interrupted::Fault(fault))) => {
                        self.fail(fault.code, fault.what, limit_of(&fault));
                    }
                    Poll::Pending => break,
                }
            }
            let is_turn_over = self.take_outgoing(context);
            match self.poll_write(context) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Poll::Ready(Ending::Gone),
                Poll::Ready(Ok(())) if self.is_over() => return Poll::Ready(Ending::Orderly),
                Poll::Ready(Ok(())) => {}
            }
            if is_turn_over || self.moved() >= turn {
                context.waker().wake_by_ref();
                break;
            }
            if !self.is_held_up {
                break;
            }
        }
        self.poll_timers(context)
    }

    /// The bytes that went either way.
    fn moved(&self) -> u64 {
        self.inflow.read() + self.outflow.written()
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Closing::Left) && self.outflow.is_empty()
    }

    /// Whether the client is to be read. The application gets the last message as soon as it has room.
    fn may_read(&mut self, context: &mut Context<'_>) -> bool {
        let may_read = match &mut self.phase {
            Closing::Open(socket) => {
                if self.held.is_some()
                    && socket.poll_room(context).is_ready()
                    && let Some(message) = self.held.take()
                {
                    socket.deliver(message);
                }
                let has_room = self.outflow.has_room();
                self.is_held_up |= !has_room;
                self.held.is_none() && has_room
            }
            Closing::Closed(_) => true,
            Closing::Left => false,
        };
        if !may_read {
            self.inflow.pause();
        }
        may_read
    }

    fn receive(&mut self, event: WebSocketEvent) {
        let is_open = matches!(self.phase, Closing::Open(_));
        match event {
            WebSocketEvent::Message(message) if is_open => self.held = Some(message),
            WebSocketEvent::Ping(payload) if is_open => self.push(WebSocketFrame::pong(payload)),
            // Nothing may follow a close frame (RFC 6455 §5.5.1).
            WebSocketEvent::Message(_)
            | WebSocketEvent::Ping(_)
            | WebSocketEvent::Pong(_)
            | WebSocketEvent::Progress => {}
            WebSocketEvent::Close(reason) => {
                if is_open {
                    let code = CloseReason::of(reason.code);
                    self.push(WebSocketFrame::close(&code));
                }
                self.leave(reason);
            }
        }
    }

    fn push(&mut self, frame: WebSocketFrame) {
        self.outflow.push(&frame.head, frame.payload);
    }

    /// Fails the WebSocket (RFC 6455 §7.1.7): the application gets the code that the client gets. `limits` are the settings that the client came up against.
    fn fail(&mut self, code: u16, what: &str, limits: Option<&str>) {
        match limits {
            Some(limits) => self.log_closed(format_args!("{what} (code {code}; {limits})")),
            None => self.log_closed(format_args!("{what} (code {code})")),
        }
        let text = what.to_owned();
        let mut reason = CloseReason { code, text };
        if matches!(self.phase, Closing::Open(_)) {
            self.push(WebSocketFrame::close(&reason));
        } else {
            // It has had a close frame already.
            reason.code = CloseReason::BROKEN;
        }
        self.leave(reason);
    }

    fn log_closed(&self, why: fmt::Arguments<'_>) {
        let client = self.state.client_name();
        let about = self.about.as_ref().map(RequestName::subject);
        crate::log_of!(
            LogKind::Closed,
            about = about.unwrap_or(LogSubject::CONNECTION),
            "closed the WebSocket of {client} at {}: {why}",
            self.path
        );
    }

    /// Tells the application that the client has left.
    fn leave(&mut self, reason: CloseReason) {
        match std::mem::replace(&mut self.phase, Closing::Left) {
            Closing::Open(socket) | Closing::Closed(socket) => socket.left(reason),
            Closing::Left => {}
        }
        self.patience = None;
        self.sending = None;
    }

    /// Takes what the application sends while there is room for it. Whether other connections are to have their turn.
    fn take_outgoing(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            if !self.outflow.has_room() {
                self.is_held_up = true;
                return false;
            }
            if let Some(sending) = &mut self.sending {
                match self.encoder.next_frame(&mut sending.frames) {
                    Some(frame) => {
                        self.outflow.push(&frame.head, frame.payload);
                        // Compressing takes its time.
                        if std::mem::replace(&mut sending.has_begun, true) {
                            return true;
                        }
                    }
                    None => {
                        self.outflow.end_message(sending.cost);
                        self.sending = None;
                    }
                }
                continue;
            }
            let Closing::Open(socket) = &mut self.phase else {
                return false;
            };
            match socket.poll_next(context) {
                Poll::Pending => return false,
                Poll::Ready(Some(Outgoing::Message(message))) => {
                    let cost = message.cost();
                    self.sending = Some(Sending {
                        frames: self.encoder.message(message),
                        cost,
                        has_begun: false,
                    });
                }
                Poll::Ready(Some(Outgoing::Close(reason))) => self.close(&reason),
                Poll::Ready(None) => self.close(&CloseReason::of(CloseReason::FAILED)),
            }
        }
    }

    /// Closes the WebSocket for the application.
    fn close(&mut self, reason: &CloseReason) {
        self.push(WebSocketFrame::close(reason));
        self.held = None;
        self.patience = None;
        self.phase = match std::mem::replace(&mut self.phase, Closing::Left) {
            Closing::Open(socket) => Closing::Closed(socket),
            other @ (Closing::Closed(_) | Closing::Left) => other,
        };
    }

    /// Ready when all is written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.outflow.written();
        let phase = &self.phase;
        let taken = |cost| match phase {
            Closing::Open(socket) | Closing::Closed(socket) => socket.taken(cost),
            Closing::Left => {}
        };
        let written = self.outflow.poll_write(&mut self.carrier, context, taken);
        if self.outflow.written() > before {
            self.patience = None;
        }
        ready!(written)?;
        self.carrier.poll_passed_on(context)
    }

    fn poll_timers(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        if self.is_ending(context) {
            let stop = &self.state.gateway.generation.stop;
            let patience = self.patience.get_or_insert_with(|| Patience::new(stop));
            ready!(patience.poll_over(context));
            return Poll::Ready(match self.outflow.is_empty() {
                true => Ending::Gone,
                false => Ending::Cut,
            });
        }
        if self.held.is_some() {
            while self.look.poll_late(context).is_ready() {
                self.look.renew();
                if self.carrier.has_gone(context) {
                    return Poll::Ready(Ending::Gone);
                }
            }
        } else {
            self.look.renew();
        }
        self.poll_heartbeat(context)
    }

    /// Whether only the client is waited for.
    fn is_ending(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.phase {
            // Otherwise nothing stands before what the application sends next.
            Closing::Open(socket) => {
                !self.outflow.is_empty() && socket.poll_closed(context).is_ready()
            }
            Closing::Closed(_) | Closing::Left => true,
        }
    }

    fn poll_heartbeat(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Poll::Pending;
        };
        if std::mem::replace(&mut self.heard, self.inflow.read()) != self.inflow.read() {
            heartbeat.heard();
        }
        let is_written = self.outflow.is_empty();
        let is_heard = is_written && self.held.is_none();
        match ready!(heartbeat.poll(context)) {
            Beat::Ask if is_written => {
                heartbeat.has_asked();
                self.push(WebSocketFrame::ping(Bytes::new()));
            }
            Beat::GiveUp if is_heard => {
                let why = "no answer to a ping (runner.websocket.ping_timeout)";
                self.log_closed(format_args!("{why}"));
                return Poll::Ready(Ending::Gone);
            }
            Beat::Ask | Beat::GiveUp => heartbeat.put_off(),
        }
        // The ping is to be written, and the timer has to be polled again.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
