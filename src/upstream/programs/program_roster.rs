//! The processes of an application as the status shows them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::interface::master_status::{
    BackOff, RecentFailure, Status, WorkerState, WorkerStatus, moment, seconds,
};
use crate::upstream::servers::UpstreamServer;
use crate::workers::id::WorkerId;
use crate::workers::memory::resident_memory;
use crate::workers::staff::life_stage::LifeStage;

/// The longest description of a failure that is kept, in characters.
const LONGEST: usize = 4096;

/// What is known of the processes: copied after each event.
#[derive(Debug)]
pub(super) struct ProgramRoster<C> {
    pub(super) entries: Vec<ProgramEntry<C>>,
    /// How many ended without being told to.
    pub(super) deaths: u64,
    /// How many were replaced though nothing was wrong with them.
    pub(super) recycled: u64,
    /// How many in a row could not be started.
    pub(super) failures: u32,
    /// The next attempt is not before.
    pub(super) not_before: Instant,
    /// When the last attempt failed.
    pub(super) failed_at: Instant,
    latest: VecDeque<RecentFailure>,
}

/// A process.
#[derive(Debug)]
pub(super) struct ProgramEntry<C> {
    pub(super) id: WorkerId,
    pub(super) pid: i32,
    /// When it was started.
    pub(super) since: Instant,
    pub(super) stage: LifeStage,
    /// `None` until it is ready.
    pub(super) server: Option<Arc<UpstreamServer<C>>>,
}

/// The requests of a process.
#[derive(Default)]
struct ProgramCounts {
    /// It has answered them.
    answered: u64,
    /// It has them now.
    in_flight: usize,
    /// They have become WebSockets that are open.
    web_sockets: usize,
}

impl<C> ProgramRoster<C> {
    /// One without processes.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            entries: Vec::new(),
            deaths: 0,
            recycled: 0,
            failures: 0,
            not_before: now,
            failed_at: now,
            latest: VecDeque::new(),
        }
    }

    /// Remembers a failure that has cost a process.
    pub(super) fn died(&mut self, what: &str) {
        self.deaths += 1;
        self.failed(what);
    }

    /// Remembers a failure.
    pub(super) fn failed(&mut self, what: &str) {
        if self.latest.len() == Status::FAILURES {
            self.latest.pop_front();
        }
        self.latest.push_back(RecentFailure {
            at: moment(SystemTime::now()),
            what: what.chars().take(LONGEST).collect(),
            ..RecentFailure::default()
        });
    }

    /// Whether a process that was started after the last failed attempt has answered: the cause is gone.
    pub(super) fn has_recovered(&self) -> bool {
        let newer = |entry: &&ProgramEntry<C>| entry.since > self.failed_at;
        self.entries
            .iter()
            .filter(newer)
            .any(|entry| entry.counts().answered > 0)
    }

    /// Adds the processes to a status.
    pub(super) fn show(&self, status: &mut Status) {
        let now = Instant::now();
        let age = |since| seconds(now.saturating_duration_since(since));
        status.workers.extend(self.entries.iter().map(|entry| {
            let ProgramCounts {
                answered,
                in_flight,
                web_sockets,
            } = entry.counts();
            WorkerStatus {
                id: entry.id,
                pid: Some(entry.pid),
                state: entry.state(in_flight + web_sockets),
                age: age(entry.since),
                requests: answered,
                in_flight,
                web_sockets,
                rss: resident_memory(entry.pid),
                ..WorkerStatus::default()
            }
        }));
        status.totals.deaths += self.deaths;
        status.totals.recycled += self.recycled;
        status.failures.extend(self.latest.iter().cloned());
        if self.failures > 0 && !self.has_recovered() {
            let wait: Duration = self.not_before.saturating_duration_since(now);
            status.back_off = Some(BackOff {
                until: moment(SystemTime::now() + wait),
                early_deaths: self.failures,
            });
        }
    }
}

impl<C> ProgramEntry<C> {
    fn counts(&self) -> ProgramCounts {
        let counts = self.server.as_ref().map(|server| server.counts());
        counts.map_or(ProgramCounts::default(), |counts| ProgramCounts {
            answered: counts.requests.saturating_sub(counts.outstanding as u64),
            in_flight: counts.outstanding.saturating_sub(counts.web_sockets),
            web_sockets: counts.web_sockets,
        })
    }

    /// What it does, with so many requests and WebSockets.
    fn state(&self, in_flight: usize) -> WorkerState {
        match self.stage {
            LifeStage::Beginning(_) => WorkerState::Starting,
            LifeStage::Serving if in_flight > 0 => WorkerState::Busy,
            LifeStage::Serving => WorkerState::Idle,
            LifeStage::Overdue => WorkerState::Doomed,
            LifeStage::Retiring | LifeStage::Released | LifeStage::Lost => WorkerState::Leaving,
        }
    }
}
