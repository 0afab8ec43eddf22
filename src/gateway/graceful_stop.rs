//! How a gateway is told to end, and what it owes to its clients then.

use std::time::Duration;

use tokio::sync::watch;

/// How long a connection on which nothing happens stays open when nobody will serve after us. What a client had
/// sent by the time we were told to stop is on its way to us no longer than this, and is answered.
const LAST_CALL: Duration = Duration::from_millis(100);

/// How long it stays open when somebody else serves from now on. A client that is at work uses its connection
/// within this time and is told with the answer that it closes; only that is free of the race between its next
/// request and our closing (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(5);

/// How long a client may send nothing of the rest of a request when nobody will serve after us: what it has begun is
/// answered if it goes on, and else holds up our end no longer.
pub const OWED: Duration = Duration::from_secs(5);

/// How long we read on, after the answer that told the client of the end, what it had sent before it knew: closing
/// with something unread resets the connection and takes the answer away.
pub const CROSSED: Duration = LAST_CALL;

/// Why a gateway ends. In each case what the system has accepted for us is accepted and answered, requests under
/// way are finished, and clients are told with every answer that the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nobody serves after us: idle connections are closed soon.
    Drain,
    /// This address is given up, another one is served: idle connections get time for one more request.
    Retire,
    /// Another process has taken over our sockets: as [`Manner::Retire`], and the file of a Unix socket is
    /// its own now. It gets connections, too, whose clients cannot be told that they close.
    HandOver,
}

impl Manner {
    /// How long a client may send nothing of the rest of a request, where that is so long at other times.
    #[must_use]
    pub fn patience(self, usual: Duration) -> Duration {
        match self {
            Self::Drain => usual.min(OWED),
            Self::Retire | Self::HandOver => usual,
        }
    }

    /// How long a connection on which nothing happens stays open.
    #[must_use]
    pub fn linger(self) -> Duration {
        match self {
            Self::Drain => LAST_CALL,
            Self::Retire | Self::HandOver => LINGER,
        }
    }
}

/// Tells gateways to end. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<Option<Manner>>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Nobody is to end yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Tells to end. [`Manner::Drain`] after another manner makes it quicker; nothing makes it slower.
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

    /// The manner in which to end; `None` until then.
    #[must_use]
    pub fn manner(&self) -> Option<Manner> {
        *self.0.borrow()
    }

    /// Waits until somebody says to end.
    pub async fn begun(&self) -> Manner {
        let mut phase = self.0.subscribe();
        loop {
            if let Some(manner) = *phase.borrow_and_update() {
                return manner;
            }
            // The sender is our own.
            let _ = phase.changed().await;
        }
    }

    /// Waits until it is [`Manner::Drain`].
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
