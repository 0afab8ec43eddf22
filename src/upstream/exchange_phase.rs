//! How far a request is at its server, for the log: a failure says where.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangePhase {
    /// There is no connection for it.
    Connect,
    /// Its server has not taken all of it.
    Send,
    /// The head of its response is not complete.
    Head,
    /// Its response has begun.
    Body,
}

const ALL: [ExchangePhase; 4] = [
    ExchangePhase::Connect,
    ExchangePhase::Send,
    ExchangePhase::Head,
    ExchangePhase::Body,
];

impl ExchangePhase {
    /// What a server has not done, where its time is over.
    #[must_use]
    pub fn overdue(self) -> &'static str {
        match self {
            Self::Connect => "took no connection",
            Self::Send => "did not take the whole request",
            Self::Head => "gave no answer",
            Self::Body => "did not send the whole body of its response",
        }
    }

    /// When a server broke off.
    #[must_use]
    pub fn when(self) -> &'static str {
        match self {
            Self::Connect => "before there was a connection",
            Self::Send => "before it had taken the whole request",
            Self::Head => "before the head of its response was complete",
            Self::Body => "in the body of its response",
        }
    }
}

/// The phase of one request. Clones are of the same request.
#[derive(Clone, Debug, Default)]
pub struct ExchangeProgress(Arc<AtomicU8>);

impl ExchangeProgress {
    /// Another phase begins.
    pub fn enter(&self, phase: ExchangePhase) {
        self.0.store(phase as u8, Relaxed);
    }

    /// The present phase.
    #[must_use]
    pub fn phase(&self) -> ExchangePhase {
        let phase = usize::from(self.0.load(Relaxed));
        ALL.get(phase).copied().unwrap_or(ExchangePhase::Body)
    }
}
