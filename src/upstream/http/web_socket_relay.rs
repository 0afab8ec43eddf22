//! A WebSocket between the gateway and a server: messages go both ways, as fast as the slower side takes them. Pings are
//! answered on each side; the gateway pings the client. When one side closes the WebSocket, the other one gets the same code
//! and reason. A server that breaks off closes it with 1014 (bad gateway), a reload with 1012 once
//! `runner.asgi.drain` is over.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Sleep, sleep};

use crate::interface::RequestName;
use crate::interface::{
    CloseReason, Correspondent, WebSocket, WebSocketMessage, WebSocketSender, web_socket,
};
use crate::log::LogKind;
use crate::log_of;
use crate::protocol::websocket::decoder::{Decoder, WebSocketEvent};
use crate::protocol::websocket::encoder::{Encoder, WebSocketFrame};
use crate::upstream::http::counted_stream::CountedStream;
use crate::upstream::http::http_connection::HttpConnection;
use crate::upstream::servers::lease::{EndlessKind, Lease};

/// How much either side may send before the other one has taken it, in bytes.
const WINDOW: usize = 64 * 1024;

/// The longest message of a server, in bytes.
const LONGEST_MESSAGE: usize = 64 << 20;

/// The most that is read at once, in bytes.
const READ: usize = 16 * 1024;

/// How many bytes go through until other tasks have their turn.
const TURN: usize = 256 * 1024;

/// How long a server may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// The server has broken off or broken the protocol (IANA's registry of close codes).
const BAD_GATEWAY: u16 = 1014;

/// 16 random bytes, for a key.
pub(super) fn nonce() -> [u8; 16] {
    let random = RandomState::new();
    let halves = [0, 1].map(|half| random.hash_one(half).to_ne_bytes());
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&halves[0]);
    nonce[8..].copy_from_slice(&halves[1]);
    nonce
}

/// What the client has done that is not passed on yet.
#[derive(Debug, Default)]
struct ClientEvents(Mutex<ClientState>);

#[derive(Debug, Default)]
struct ClientState {
    messages: VecDeque<WebSocketMessage>,
    /// Bytes of messages of the server that it has taken.
    taken: usize,
    left: Option<CloseReason>,
    waker: Option<Waker>,
}

impl ClientEvents {
    fn lock(&self) -> MutexGuard<'_, ClientState> {
        // No change under the lock can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut ClientState)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Correspondent for ClientEvents {
    fn taken(&self, bytes: usize) {
        self.change(|state| state.taken += bytes);
    }

    fn received(&self, message: WebSocketMessage) {
        self.change(|state| state.messages.push_back(message));
    }

    fn left(&self, reason: Option<CloseReason>) {
        let broken = CloseReason::of(CloseReason::BROKEN);
        self.change(|state| state.left = Some(reason.unwrap_or(broken)));
    }
}

/// Both connections of a WebSocket.
pub(super) struct WebSocketRelay {
    client: WebSocketSender,
    events: Arc<ClientEvents>,
    /// Bytes of messages that the client has not taken.
    ahead: usize,
    server: CountedStream,
    decoder: Decoder,
    /// What the server has sent and is not decoded.
    input: BytesMut,
    /// What is to be written to the server.
    output: BytesMut,
    /// The bytes written to the server.
    written: u64,
    /// Where messages end, counted as `written` is, and what each of them costs.
    costs: VecDeque<(u64, usize)>,
    masks: (RandomState, u64),
    phase: RelayPhase,
    name: RequestName,
    lease: Lease<HttpConnection>,
}

/// How far the closing handshake with the server is.
enum RelayPhase {
    Open,
    /// What there is for the server is written.
    Ending {
        /// How long that may take, and its answer.
        time: Pin<Box<Sleep>>,
        /// Nothing more is waited for from the server.
        is_closed: bool,
    },
}

impl WebSocketRelay {
    /// A relay to a server that has accepted the WebSocket, and sent these bytes already; and the gateway's end.
    pub(super) fn new(
        server: CountedStream,
        early: &[u8],
        name: RequestName,
        mut lease: Lease<HttpConnection>,
    ) -> (WebSocket, Self) {
        lease.becomes_endless(EndlessKind::WebSocket);
        let events = Arc::new(ClientEvents::default());
        let (client, socket) = web_socket(Arc::clone(&events) as _, WINDOW);
        let relay = Self {
            client,
            events,
            ahead: 0,
            server,
            decoder: Decoder::of_server(LONGEST_MESSAGE),
            input: BytesMut::from(early),
            output: BytesMut::new(),
            written: 0,
            costs: VecDeque::new(),
            masks: (RandomState::new(), 0),
            phase: RelayPhase::Open,
            name,
            lease,
        };
        (socket, relay)
    }

    /// Passes messages on until either side closes the WebSocket, or until it is `drained`: whether the client may come back
    /// at once then.
    pub(super) async fn run(mut self, drained: impl Future<Output = bool>) {
        let mut drained = pin!(drained);
        poll_fn(|context| {
            if matches!(self.phase, RelayPhase::Open)
                && let Poll::Ready(returns) = drained.as_mut().poll(context)
            {
                self.client.close(CloseReason::of(match returns {
                    true => CloseReason::RESTART,
                    false => CloseReason::GOING_AWAY,
                }));
                self.push(&WebSocketFrame::close(&CloseReason::of(
                    CloseReason::GOING_AWAY,
                )));
                self.end(false);
            }
            self.poll(context)
        })
        .await;
    }

    /// Ready when the connection with the server is to be closed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut moved = 0;
        while moved < TURN {
            let before = moved;
            moved += self.take_client_events(context);
            let (Ok(read), Ok(written)) = (self.read(context), self.write(context)) else {
                self.lease.broken_off();
                self.fail(BAD_GATEWAY, "broke off");
                return Poll::Ready(());
            };
            moved += read + written;
            let is_written = self.output.is_empty();
            match &mut self.phase {
                RelayPhase::Ending {
                    is_closed: true, ..
                } if is_written => return Poll::Ready(()),
                RelayPhase::Ending { time, .. } if moved == before => {
                    return time.as_mut().poll(context);
                }
                RelayPhase::Open if moved == before => return Poll::Pending,
                RelayPhase::Open | RelayPhase::Ending { .. } => {}
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what the client has done while there is room for it; the bytes that came of it.
    fn take_client_events(&mut self, context: &Context<'_>) -> usize {
        let before = self.output.len();
        loop {
            let mut state = self.events.lock();
            self.ahead = self.ahead.saturating_sub(std::mem::take(&mut state.taken));
            let has_left = state.left.is_some();
            let message = match self.output.len() < WINDOW || has_left {
                true => state.messages.pop_front(),
                false => None,
            };
            let Some(message) = message else {
                let left = state.left.take();
                state.waker = Some(context.waker().clone());
                drop(state);
                if let (Some(reason), RelayPhase::Open) = (left, &self.phase) {
                    let is_broken = reason.code == CloseReason::BROKEN;
                    if !is_broken {
                        self.push(&WebSocketFrame::close(&reason));
                    }
                    self.end(is_broken);
                }
                break;
            };
            drop(state);
            if matches!(self.phase, RelayPhase::Open) {
                let cost = message.cost();
                for frame in Encoder::new(None).frames(message) {
                    self.push(&frame);
                }
                let end = self.written + self.output.len() as u64;
                self.costs.push_back((end, cost));
            }
        }
        self.output.len() - before
    }

    /// Puts a frame behind what is to be written to the server.
    fn push(&mut self, frame: &WebSocketFrame) {
        let (random, number) = &mut self.masks;
        *number += 1;
        let [a, b, c, d, ..] = random.hash_one(*number).to_ne_bytes();
        frame.put_masked([a, b, c, d], &mut self.output);
    }

    /// The WebSocket is over but for what is to be written, and for the server's close frame.
    fn end(&mut self, is_closed: bool) {
        let time = Box::pin(sleep(CLOSING));
        self.phase = RelayPhase::Ending { time, is_closed };
    }

    /// Whether the client has room for what the server sends, and the server for what answers it.
    fn may_read(&self) -> bool {
        match self.phase {
            RelayPhase::Open => self.ahead < WINDOW && self.output.len() < WINDOW,
            RelayPhase::Ending { is_closed, .. } => !is_closed,
        }
    }

    /// Reads what the server has sent while there is room for it; the number of bytes.
    ///
    /// # Errors
    /// The connection has ended.
    fn read(&mut self, context: &mut Context<'_>) -> io::Result<usize> {
        let mut count = 0;
        while self.may_read() && count < TURN {
            match self.decoder.next(&mut self.input) {
                Ok(Some(WebSocketEvent::Progress)) => return Ok(TURN),
                Ok(Some(event)) => {
                    self.receive(event);
                    continue;
                }
                Ok(None) => {}
                Err(fault) => {
                    self.fail(BAD_GATEWAY, fault.what);
                    let text = fault.what.to_owned();
                    let code = fault.code;
                    self.push(&WebSocketFrame::close(&CloseReason { code, text }));
                    self.end(true);
                    break;
                }
            }
            self.input.reserve(READ);
            let read = pin!(self.server.read_buf(&mut self.input)).poll(context);
            match read {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(Ok(length)) => count += length,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    if self.input.is_empty() {
                        // Its memory with it.
                        self.input = BytesMut::new();
                    }
                    break;
                }
            }
        }
        Ok(count)
    }

    fn receive(&mut self, event: WebSocketEvent) {
        let is_open = matches!(self.phase, RelayPhase::Open);
        match event {
            WebSocketEvent::Message(message) if is_open => {
                self.ahead += message.cost();
                self.client.send(message);
            }
            WebSocketEvent::Ping(payload) if is_open => self.push(&WebSocketFrame::pong(payload)),
            WebSocketEvent::Message(_)
            | WebSocketEvent::Ping(_)
            | WebSocketEvent::Pong(_)
            | WebSocketEvent::Progress => {}
            WebSocketEvent::Close(reason) => {
                if is_open {
                    self.push(&WebSocketFrame::close(&CloseReason::of(reason.code)));
                    self.client.close(reason);
                }
                self.end(true);
            }
        }
    }

    /// Writes what the server takes; the number of bytes.
    ///
    /// # Errors
    /// The connection has ended.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<usize> {
        let before = self.written;
        while !self.output.is_empty() {
            match Pin::new(&mut self.server).poll_write(context, &self.output) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.output.advance(count);
                    self.written += count as u64;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        let mut cost = 0;
        while let Some((end, one)) = self.costs.front()
            && *end <= self.written
        {
            cost += one;
            self.costs.pop_front();
        }
        if cost > 0 {
            self.client.grant(cost);
        }
        if self.output.is_empty() {
            // Its memory with it.
            self.output = BytesMut::new();
        }
        // Less than what there was, which is in memory.
        Ok((self.written - before) as usize)
    }

    /// Closes the WebSocket for the client, since the server has failed.
    fn fail(&self, code: u16, what: &str) {
        if !matches!(self.phase, RelayPhase::Open) {
            return;
        }
        log_of!(
            LogKind::Closed,
            about = self.name.subject(),
            "closed the WebSocket of {} with code {code}: {}: {what}",
            self.name,
            self.lease.server().address()
        );
        self.client.close(CloseReason::of(code));
    }
}
