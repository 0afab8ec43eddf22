//! What a look at the clock finds out about workers and their requests.

use std::fmt;
use std::time::{Duration, Instant};

use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::Limits;
use crate::workers::question::Question;

/// How often a lane that has requests is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// What the pool has found out about a worker; [`crate::workers::staff`] acts on it.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The worker broke the protocol. It is to be killed.
    Rejected(WorkerId),
    /// The worker was idle while requests waited, which is a bug of runner. The text says how all lanes were.
    Neglected(WorkerId, String),
    /// A request is overdue or slow: its stack is to be logged. If it is overdue, its worker gets no more requests.
    Stuck(Question),
    /// The time to stop was over, and the worker still had so much, which was given up.
    GivenUp(WorkerId, GivenUp),
    /// Only overdue requests are left to the worker. It is to be told to leave.
    Hopeless(WorkerId),
    /// All workers are to leave, and what this one still had was given up. It is to be told to leave.
    Dismissed(WorkerId),
    /// The worker has answered this many requests, which is its quota.
    Spent(WorkerId, u64),
    /// The worker had nothing left to do, and its lanes are closed: it leaves.
    Released(WorkerId),
    /// A task of the worker was cancelled long ago and has not ended. The worker is to be replaced.
    Clinging(WorkerId),
    /// A request was answered since [`crate::workers::pool::Pool::watch`].
    Active,
    /// Requests wait, and no lane is free.
    Crowded,
}

/// How much a worker still had when the time to stop was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenUp {
    /// Requests without an answer.
    pub(crate) unanswered: usize,
    /// Answers that were not complete.
    pub(crate) cut: usize,
    pub(crate) web_sockets: usize,
}

impl GivenUp {
    pub(crate) fn all(self) -> usize {
        self.unanswered + self.cut + self.web_sockets
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.unanswered, "without an answer"),
            (self.cut, "with an answer that was not complete"),
            (self.web_sockets, "with an open WebSocket"),
        ];
        let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = kinds
            .map(|(number, kind)| format!("{number} {kind}"))
            .collect();
        formatter.write_str(&parts.join(", "))
    }
}

/// One look at the clock.
#[derive(Debug)]
pub(crate) struct Checkup {
    pub(crate) limits: Limits,
    /// How long a lane may finish nothing before it is stuck.
    pub(crate) stall: Duration,
    pub(crate) now: Instant,
    pub(crate) findings: Vec<Finding>,
    /// Lanes with something to write.
    pub(crate) touched: Vec<LaneId>,
    /// When to look again; `None` if nothing is under way.
    pub(crate) next: Option<Instant>,
}

impl Checkup {
    pub(crate) fn new(limits: Limits, stall: Duration, now: Instant) -> Self {
        Self {
            limits,
            stall,
            now,
            findings: Vec::new(),
            touched: Vec::new(),
            next: None,
        }
    }

    /// Notes something that was found.
    pub(crate) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Asks for the next look at this time at the latest.
    pub(crate) fn again_by(&mut self, time: Option<Instant>) {
        self.next = match (self.next, time) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// Whether a time limit that began at `since` is over. A limit of zero never is.
pub(crate) fn is_over(limit: Duration, since: Instant, now: Instant) -> bool {
    limit > Duration::ZERO && now.saturating_duration_since(since) >= limit
}

/// When a time limit that began at `since` will be over.
pub(crate) fn deadline(limit: Duration, since: Instant) -> Option<Instant> {
    (limit > Duration::ZERO).then_some(since + limit)
}
