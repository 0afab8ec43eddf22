//! Whether the client of a WebSocket is still there. A ping (RFC 6455 §5.5.2) asks for a sign of life; whatever the client
//! sends is one, while what the server sends is none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::gateway::http::http_options::WebSocketOptions;

/// When the next ping is due, or an answer to the last one.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    /// When the ping was sent that is not answered yet.
    asked: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// A ping.
    Ask,
    /// The end: the client has sent nothing since the last ping.
    GiveUp,
}

impl Heartbeat {
    /// Begins to wait; `None` if there are to be no pings.
    pub(super) fn new(options: &WebSocketOptions) -> Option<Self> {
        let interval = options.ping_interval;
        (!interval.is_zero()).then(|| Self {
            interval,
            patience: options.ping_timeout,
            timer: Box::pin(sleep_until(Instant::now() + interval)),
            asked: None,
        })
    }

    /// The client has sent something.
    pub(super) fn heard(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.timer.as_mut().reset(asked + self.interval);
        }
    }

    /// A ping was sent.
    pub(super) fn has_asked(&mut self) {
        let now = Instant::now();
        self.asked = Some(now);
        self.timer.as_mut().reset(now + self.patience);
    }

    /// What is due is not possible now: it is due again after as much time.
    pub(super) fn put_off(&mut self) {
        let time = match self.asked {
            Some(_) => self.patience,
            None => self.interval,
        };
        self.timer.as_mut().reset(Instant::now() + time);
    }

    /// Ready when something is due: until then, [`Heartbeat::has_asked`] or [`Heartbeat::put_off`] has to be called.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Beat> {
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(match self.asked {
            None => Beat::Ask,
            Some(_) => Beat::GiveUp,
        })
    }
}
