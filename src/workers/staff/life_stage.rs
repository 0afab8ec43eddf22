//! The life of a worker that exists, as a table: what each event makes of each stage.

use std::time::Instant;

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LifeStage {
    /// It exists since this time, and has not begun to serve.
    Beginning(Instant),
    /// It gets requests.
    Serving,
    /// It gets no more requests, and leaves when it has answered those that it has.
    Retiring,
    /// It had nothing left to do, and was told to leave.
    Released,
    /// One of its requests is overdue. It ends for that.
    Overdue,
    /// It serves no more for another reason: it has died or closed a lane, is to be killed, or was idle while requests
    /// waited.
    Lost,
}

/// What happens to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It says that it has begun to serve.
    Begins,
    /// It is to leave when it has answered its requests.
    Retires,
    /// It has none left, and its lanes are closed.
    IsReleased,
    /// One of its requests is overdue.
    IsOverdue,
    /// Anything else that ends its service.
    IsLost,
}

impl LifeStage {
    /// The stage after a change. Why a worker leaves stays known until it is gone: the log says how it ended by that.
    pub(crate) fn after(self, change: Change) -> Self {
        match (self, change) {
            (Self::Beginning(_), Change::Begins) => Self::Serving,
            (_, Change::Begins) => self,
            (Self::Beginning(_) | Self::Serving, Change::Retires) => Self::Retiring,
            (_, Change::Retires) => self,
            (Self::Overdue, Change::IsReleased) => self,
            (_, Change::IsReleased) => Self::Released,
            (Self::Released, Change::IsOverdue) => self,
            (_, Change::IsOverdue) => Self::Overdue,
            (Self::Released | Self::Overdue, Change::IsLost) => self,
            (_, Change::IsLost) => Self::Lost,
        }
    }

    /// Whether it serves, or is about to.
    pub(crate) fn is_at_work(self) -> bool {
        match self {
            Self::Beginning(_) | Self::Serving => true,
            Self::Retiring | Self::Released | Self::Overdue | Self::Lost => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Change::{Begins, IsLost, IsOverdue, IsReleased, Retires};
    use super::LifeStage::{Beginning, Lost, Overdue, Released, Retiring, Serving};
    use super::*;

    #[test]
    fn each_event_in_each_stage() {
        let beginning = Beginning(Instant::now());
        let changes = [Begins, Retires, IsReleased, IsOverdue, IsLost];
        for (stage, expected) in [
            (beginning, [Serving, Retiring, Released, Overdue, Lost]),
            (Serving, [Serving, Retiring, Released, Overdue, Lost]),
            (Retiring, [Retiring, Retiring, Released, Overdue, Lost]),
            (Released, [Released; 5]),
            (Overdue, [Overdue; 5]),
            (Lost, [Lost, Lost, Released, Overdue, Lost]),
        ] {
            assert_eq!(
                changes.map(|change| stage.after(change)),
                expected,
                "{stage:?}"
            );
        }
    }
}
