//! How a gateway is told to end, and in which manner.

use tokio::sync::watch;

/// In which manner a gateway ends. Whichever it is, it finishes the requests that are under way, and says
/// `Connection: close` in the answers that it begins from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Somebody else serves the same sockets already: nothing more is accepted, and idle connections stay until
    /// their next request, for a while.
    HandOver,
    /// Nobody does: connections that the system has accepted for us are served, idle ones are closed.
    Drain,
}

/// An end that is to come. All clones are the same one.
#[derive(Clone, Debug)]
pub struct Ending(watch::Sender<Option<Manner>>);

impl Ending {
    /// One that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Begins it. What was handed over can still be drained, not the other way round.
    pub fn begin(&self, manner: Manner) {
        self.0.send_if_modified(|current| {
            let begins = current.is_none_or(|current| current < manner);
            if begins {
                *current = Some(manner);
            }
            begins
        });
    }

    /// Waits until it has begun. Nothing is lost if the future is dropped.
    pub async fn begun(&self) -> Manner {
        self.reached(Manner::HandOver).await
    }

    /// Waits until it has begun in this manner, or a more urgent one.
    pub async fn reached(&self, manner: Manner) -> Manner {
        let mut receiver = self.0.subscribe();
        let reached = receiver.wait_for(|current| current.is_some_and(|current| current >= manner));
        // We hold a sender ourselves: it cannot fail. If it did, the end would be near.
        let reached = reached.await.ok().and_then(|current| *current);
        reached.unwrap_or(Manner::Drain)
    }

    /// In which manner it has begun; `None` if it has not.
    #[must_use]
    pub fn manner(&self) -> Option<Manner> {
        *self.0.borrow()
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Manner};

    #[test]
    fn what_is_handed_over_can_still_be_drained() {
        let cases: &[(&[Manner], Option<Manner>)] = &[
            (&[], None),
            (&[Manner::HandOver], Some(Manner::HandOver)),
            (&[Manner::HandOver, Manner::Drain], Some(Manner::Drain)),
            (&[Manner::Drain, Manner::HandOver], Some(Manner::Drain)),
        ];
        for (begun, expected) in cases {
            let ending = Ending::new();
            for manner in *begun {
                ending.clone().begin(*manner);
            }
            assert_eq!(ending.manner(), *expected, "{begun:?}");
        }
    }
}
