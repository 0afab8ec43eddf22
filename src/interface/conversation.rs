//! A WebSocket between a gateway, which speaks its protocol with the client (RFC 6455), and an application.
//!
//! The gateway has a [`WebSocket`], the application a [`WebSocketSender`] and, to learn of what the client does, a
//! [`Correspondent`]. Both directions are bounded in bytes by credit: the application may send what the client has room
//! for, and the gateway reads from the client only what the application has room for. Neither side ever waits for the other
//! in any other way, so that one slow client holds up nobody else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// The application's side of what goes on after the head of a response: it is told what the client does. Its methods may be
/// called from anywhere, also while locks are held: they only take note.
pub trait Correspondent: Send + Sync {
    /// The client has taken so many bytes of the body, or of the payload of messages.
    fn taken(&self, bytes: usize);

    /// The client of a WebSocket has sent a message.
    fn received(&self, message: WebSocketMessage);

    /// The client is gone. Called once. `reason` is `None` where the response is no WebSocket.
    fn left(&self, reason: Option<CloseReason>);
}

/// A message of a WebSocket, joined and decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketMessage {
    /// UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

impl WebSocketMessage {
    /// Its payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// What it counts against credit, in bytes: its payload, and something for itself, so that empty messages are bounded,
    /// too.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.payload().len() + Self::OVERHEAD
    }

    /// What any message counts besides its payload, in bytes.
    pub const OVERHEAD: usize = 64;
}

/// Why a WebSocket was closed (RFC 6455 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// The status code. 1005 stands for a close frame without one, 1006 for a connection that broke; neither is ever sent.
    pub code: u16,
    /// At most 123 bytes.
    pub text: String,
}

impl CloseReason {
    /// The client goes on elsewhere, or the application has nothing more to say.
    pub const NORMAL: u16 = 1000;
    /// The server ends.
    pub const GOING_AWAY: u16 = 1001;
    /// The other side breaks the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A close frame without a code.
    pub const NO_CODE: u16 = 1005;
    /// The connection broke.
    pub const BROKEN: u16 = 1006;
    /// A text that is not UTF-8, or a message that cannot be decompressed.
    pub const BAD_DATA: u16 = 1007;
    /// A message that is too big.
    pub const TOO_BIG: u16 = 1009;
    /// The application failed.
    pub const FAILED: u16 = 1011;
    /// The server begins anew: the client may come back at once.
    pub const RESTART: u16 = 1012;

    /// Whether a code may stand in a close frame (RFC 6455 §7.4, and IANA's registry, which added 1012 to 1014).
    #[must_use]
    pub fn may_be_sent(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// A reason without words.
    #[must_use]
    pub fn of(code: u16) -> Self {
        Self {
            code,
            text: String::new(),
        }
    }
}

/// What an application sends over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(WebSocketMessage),
    /// The end: nothing follows.
    Close(CloseReason),
}

/// The gateway's end of a WebSocket. Dropping it tells the application that the connection broke, if it was not told that
/// the client has left.
pub struct WebSocket {
    shared: Arc<Shared>,
    correspondent: Arc<dyn Correspondent>,
    has_left: bool,
}

/// The application's end of a WebSocket. Dropped before [`WebSocketSender::close`], it closes the WebSocket with the code
/// [`CloseReason::FAILED`].
#[derive(Debug)]
pub struct WebSocketSender(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outgoing: VecDeque<Outgoing>,
    /// Nothing follows what is in the queue.
    closed: bool,
    /// How many bytes the client may send before the application has room again.
    window: i64,
    /// Wakes the gateway when there is something to send, or room.
    waker: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No change under the lock can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The ends of a WebSocket that is open. The client may send `window` bytes before the application grants more, counted by
/// [`WebSocketMessage::cost`].
#[must_use]
pub fn web_socket(
    correspondent: Arc<dyn Correspondent>,
    window: usize,
) -> (WebSocketSender, WebSocket) {
    let shared = Arc::new(Shared(Mutex::new(State {
        window: i64::try_from(window).unwrap_or(i64::MAX),
        ..State::default()
    })));
    let gateway = WebSocket {
        shared: Arc::clone(&shared),
        correspondent,
        has_left: false,
    };
    (WebSocketSender(shared), gateway)
}

impl WebSocket {
    /// Polls for what the application sends next; `None` after a [`Outgoing::Close`]. The application is told that the
    /// client has room for more when the gateway calls [`WebSocket::taken`]. The same task has to poll this and
    /// [`WebSocket::poll_room`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let mut state = self.shared.lock();
        match state.outgoing.pop_front() {
            Some(next) => Poll::Ready(Some(next)),
            None if state.closed => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ready when the application has closed the WebSocket, also if there are messages before that.
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if state.closed {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Tells the application that so many bytes ([`WebSocketMessage::cost`]) of what it has sent are written.
    pub fn taken(&self, bytes: usize) {
        self.correspondent.taken(bytes);
    }

    /// Ready when the application has room for a message of the client. Whatever the size of the message, it may be passed
    /// on then.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if state.window > 0 || state.closed {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Passes a message of the client on.
    pub fn deliver(&mut self, message: WebSocketMessage) {
        let cost = i64::try_from(message.cost()).unwrap_or(i64::MAX);
        let mut state = self.shared.lock();
        state.window = state.window.saturating_sub(cost);
        drop(state);
        self.correspondent.received(message);
    }

    /// Tells the application that the client has left.
    pub fn left(mut self, reason: CloseReason) {
        self.has_left = true;
        self.correspondent.left(Some(reason));
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        if !self.has_left {
            let broken = CloseReason::of(CloseReason::BROKEN);
            self.correspondent.left(Some(broken));
        }
    }
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

impl WebSocketSender {
    /// Sends a message. It is for the application's side to stay within what the client takes.
    pub fn send(&self, message: WebSocketMessage) {
        let mut state = self.0.lock();
        if !state.closed {
            state.outgoing.push_back(Outgoing::Message(message));
            Shared::wake(state);
        }
    }

    /// The application has room for so many bytes more, counted by [`WebSocketMessage::cost`].
    pub fn grant(&self, bytes: usize) {
        let mut state = self.0.lock();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        state.window = state.window.saturating_add(bytes);
        Shared::wake(state);
    }

    /// Closes the WebSocket, behind all messages that were sent. The first call decides.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.0.lock();
        if !state.closed {
            state.closed = true;
            state.outgoing.push_back(Outgoing::Close(reason));
            Shared::wake(state);
        }
    }
}

impl Drop for WebSocketSender {
    fn drop(&mut self) {
        self.close(CloseReason::of(CloseReason::FAILED));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::{CloseReason, Correspondent, Outgoing, WebSocketMessage, web_socket};

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Correspondent for Notes {
        fn taken(&self, bytes: usize) {
            self.note(format!("taken {bytes}"));
        }

        fn received(&self, message: WebSocketMessage) {
            self.note(format!("received {}", message.payload().len()));
        }

        fn left(&self, reason: Option<CloseReason>) {
            self.note(format!("left {}", reason.map_or(0, |it| it.code)));
        }
    }

    impl Notes {
        fn note(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }
    }

    #[test]
    fn both_directions_are_bounded_and_the_end_is_told_once() {
        let notes = Arc::new(Notes::default());
        let (sender, mut socket) = web_socket(Arc::clone(&notes) as _, 100);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(socket.poll_room(&mut context), Poll::Ready(()));
        let message =
            WebSocketMessage::Text(Bytes::from_static(b"hello, this is longer than 36 bytes"));
        socket.deliver(message.clone());
        socket.deliver(message.clone());
        assert_eq!(socket.poll_room(&mut context), Poll::Pending);
        sender.grant(message.cost());
        assert_eq!(socket.poll_room(&mut context), Poll::Ready(()));
        assert_eq!(socket.poll_next(&mut context), Poll::Pending);
        sender.send(message.clone());
        assert_eq!(socket.poll_closed(&mut context), Poll::Pending);
        sender.close(CloseReason::of(CloseReason::RESTART));
        sender.send(message.clone());
        drop(sender);
        assert_eq!(socket.poll_closed(&mut context), Poll::Ready(()));
        let sent = Some(Outgoing::Message(message));
        assert_eq!(socket.poll_next(&mut context), Poll::Ready(sent));
        let close = Some(Outgoing::Close(CloseReason::of(1012)));
        assert_eq!(socket.poll_next(&mut context), Poll::Ready(close));
        assert_eq!(socket.poll_next(&mut context), Poll::Ready(None));
        socket.taken(9);
        drop(socket);
        let expected = ["received 35", "received 35", "taken 9", "left 1006"];
        assert_eq!(*notes.0.lock().unwrap(), expected);
    }

    #[test]
    fn an_application_that_vanishes_closes_with_its_failure() {
        let (sender, mut socket) = web_socket(Arc::new(Notes::default()), 100);
        drop(sender);
        let mut context = Context::from_waker(Waker::noop());
        let close = Some(Outgoing::Close(CloseReason::of(1011)));
        assert_eq!(socket.poll_next(&mut context), Poll::Ready(close));
    }
}
