//! Stopping a gateway, and what it owes to its clients then.

use std::time::Duration;

use tokio::sync::watch;

/// How long an idle connection stays open when no other process serves from now on. What a client had sent when the stop
/// began arrives within this time, and is answered.
const LAST_CALL: Duration = Duration::from_millis(100);

/// How long an idle connection stays open when another process serves from now on. A client that is at work uses its
/// connection within this time, and learns from the answer that it closes; only this avoids the race between its next
/// request and the close (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(5);

/// The longest time in which a client sends nothing of the rest of a request when no other process serves from now on: it
/// may not hold up the stop any longer.
pub const OWED: Duration = Duration::from_secs(5);

/// How long a connection is read after the answer that announced its end: a request may have crossed with that answer, and
/// closing with something unread resets the connection, which takes the answer away.
pub const CROSSED: Duration = LAST_CALL;

/// How a gateway stops. In each manner, connections that the system has accepted are served, requests under way are
/// finished, and every answer tells the client that the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// No other process serves from now on: idle connections are closed soon.
    Drain,
    /// This address is given up and another one served: idle connections get time for one more request.
    Retire,
    /// Another process has taken over the sockets: as [`Manner::Retire`], but the file of a Unix socket is kept for it, and
    /// connections whose clients cannot be told that they close are handed over.
    HandOver,
}

impl Manner {
    /// The longest time in which a client sends nothing of the rest of a request; `usual` is that at other times.
    pub fn read_timeout(self, usual: Duration) -> Duration {
        match self {
            Self::Drain => usual.min(OWED),
            Self::Retire | Self::HandOver => usual,
        }
    }

    /// How long an idle connection stays open.
    pub fn linger(self) -> Duration {
        match self {
            Self::Drain => LAST_CALL,
            Self::Retire | Self::HandOver => LINGER,
        }
    }
}

/// Tells gateways to stop. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<Option<Manner>>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// The gateways may go on for now.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Tells the gateways to stop. [`Manner::Drain`] after another manner makes the stop quicker; nothing makes it slower.
    pub fn begin(&self, manner: Manner) {
        self.0.send_if_modified(|current| {
            let new = match current {
                None => true,
                Some(Manner::Retire | Manner::HandOver) => manner == Manner::Drain,
                Some(Manner::Drain) => false,
            };
            if new {
                *current = Some(manner);
            }
            new
        });
    }

    /// The manner in which to stop; `None` until then.
    pub fn manner(&self) -> Option<Manner> {
        *self.0.borrow()
    }

    /// Waits until the gateways are to stop.
    pub async fn begun(&self) -> Manner {
        let mut phase = self.0.subscribe();
        loop {
            if let Some(manner) = *phase.borrow_and_update() {
                return manner;
            }
            // Never fails: `self` has a sender.
            let _ = phase.changed().await;
        }
    }

    /// Waits until the manner is [`Manner::Drain`].
    pub async fn draining(&self) {
        let mut phase = self.0.subscribe();
        let _ = phase
            .wait_for(|manner| *manner == Some(Manner::Drain))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Manner, Stop};

    #[test]
    fn nothing_makes_it_slower() {
        let cases = [
            (Manner::Drain, Manner::Retire, Manner::Drain),
            (Manner::Drain, Manner::HandOver, Manner::Drain),
            (Manner::Retire, Manner::Drain, Manner::Drain),
            (Manner::HandOver, Manner::Drain, Manner::Drain),
            (Manner::HandOver, Manner::Retire, Manner::HandOver),
        ];
        for (first, second, expected) in cases {
            let stop = Stop::new();
            assert_eq!(stop.manner(), None);
            stop.begin(first);
            stop.begin(second);
            assert_eq!(stop.manner(), Some(expected), "{first:?}, {second:?}");
        }
    }
}
