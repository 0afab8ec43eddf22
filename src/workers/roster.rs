//! The workers as the status shows them: what the staff knows, copied after each event, and what the pool knows, put
//! together to a [`Status`].

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use crate::interface::master_status::{
    BackOff, CurrentRequest, QueueStatus, RecentFailure, Status, Totals, WorkerState, WorkerStatus,
    moment, seconds,
};
use crate::workers::id::WorkerId;
use crate::workers::memory::resident_memory;
use crate::workers::pool::Pool;
use crate::workers::pool::lane::Lane;
use crate::workers::pool::lane::begun_requests::BegunRequests;
use crate::workers::pool::worker::{Duty, Worker};

/// The longest description of a failure that is kept, in characters.
const LONGEST: usize = 4096;

/// What the staff knows of the workers.
#[derive(Debug)]
pub(crate) struct Roster {
    /// All workers that exist or are to exist.
    pub(crate) entries: Vec<RosterEntry>,
    /// How many workers died without being told to leave.
    pub(crate) deaths: u64,
    /// How many workers were replaced though nothing was wrong with them.
    pub(crate) recycled: u64,
    /// How many workers in a row could not be started.
    pub(crate) early_deaths: u32,
    /// The next attempt is not before.
    pub(crate) not_before: Instant,
    /// When the last attempt failed.
    pub(crate) failed_at: Instant,
    failures: VecDeque<RecentFailure>,
}

/// A worker.
#[derive(Clone, Debug)]
pub(crate) struct RosterEntry {
    pub(crate) id: WorkerId,
    pub(crate) pid: Option<i32>,
    /// When it was ordered.
    pub(crate) since: Instant,
    /// Neither starting nor serving any more.
    pub(crate) lost: bool,
}

impl Roster {
    /// A roster without workers.
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            deaths: 0,
            recycled: 0,
            early_deaths: 0,
            not_before: Instant::now(),
            failed_at: Instant::now(),
            failures: VecDeque::new(),
        }
    }

    /// Remembers a failure.
    pub(crate) fn failed(&mut self, what: &str) {
        if self.failures.len() == Status::FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(RecentFailure {
            at: moment(SystemTime::now()),
            what: what.chars().take(LONGEST).collect(),
            ..RecentFailure::default()
        });
    }

    /// Whether a worker that was started after the last failed attempt has answered: the cause is gone.
    pub(crate) fn has_recovered(&self, pool: &Pool) -> bool {
        let answered = |id| pool.workers.all.get(&id).is_some_and(|it| it.answered > 0);
        let newer = |entry: &&RosterEntry| entry.since > self.failed_at;
        let mut newer = self.entries.iter().filter(newer);
        newer.any(|entry| answered(entry.id))
    }

    /// The state of the workers and of the queue.
    pub(crate) fn status(&self, pool: &Pool) -> Status {
        let now = Instant::now();
        let age = |since| seconds(now.saturating_duration_since(since));
        let workers = self.entries.iter().map(|entry| {
            let worker = pool.workers.all.get(&entry.id);
            WorkerStatus {
                application: None,
                id: entry.id,
                pid: entry.pid,
                state: state(entry, worker),
                age: age(entry.since),
                requests: worker.map_or(0, |worker| worker.answered),
                in_flight: worker.map_or(0, |worker| worker.counts().0),
                web_sockets: worker.map_or(0, |worker| worker.counts().1),
                lag: worker.and_then(|worker| worker.lag(now)).map(seconds),
                rss: entry.pid.and_then(resident_memory),
                current: worker.map_or_else(Vec::new, |worker| currents(worker, now)),
            }
        });
        let waiting = pool.queue.wanted();
        Status {
            workers: workers.collect(),
            queue: QueueStatus {
                length: waiting.clone().count(),
                oldest: waiting.map(|task| age(task.entered)).next(),
            },
            totals: Totals {
                requests: pool.accepted,
                bad_gateway: pool.errors.bad_gateway,
                unavailable: pool.errors.unavailable,
                gateway_timeout: pool.errors.gateway_timeout,
                deaths: self.deaths,
                recycled: self.recycled,
            },
            failures: self.failures.iter().cloned().collect(),
            back_off: (self.early_deaths > 0 && !self.has_recovered(pool)).then(|| BackOff {
                until: moment(wall_clock(self.not_before, now)),
                early_deaths: self.early_deaths,
            }),
            ..Status::default()
        }
    }
}

fn state(entry: &RosterEntry, worker: Option<&Worker>) -> WorkerState {
    match worker.map(|worker| worker.duty) {
        None if entry.lost => WorkerState::Leaving,
        None => WorkerState::Starting,
        Some(Duty::Beginning) if !entry.lost => WorkerState::Starting,
        Some(Duty::Beginning | Duty::Serving) if entry.lost => WorkerState::Leaving,
        Some(Duty::Serving) if worker.is_some_and(Worker::is_busy) => WorkerState::Busy,
        Some(Duty::Serving | Duty::Beginning) => WorkerState::Idle,
        Some(Duty::Doomed) => WorkerState::Doomed,
        Some(Duty::Retiring | Duty::Leaving | Duty::Rejected) => WorkerState::Leaving,
    }
}

/// The requests that the lanes of a worker are on.
fn currents(worker: &Worker, now: Instant) -> Vec<Option<CurrentRequest>> {
    let current = |lane: &Lane| {
        let begun = lane.running.as_ref().and_then(BegunRequests::oldest);
        let begun = begun.map(|begun| (&begun.pending, begun.since));
        let oldest = lane.in_flight.oldest().map(|it| (it, lane.progress));
        begun.or(oldest).map(|(pending, since)| CurrentRequest {
            method: pending.about.method().to_owned(),
            path: pending.about.target(),
            age: seconds(now.saturating_duration_since(since)),
            answered: pending.is_answered(),
        })
    };
    worker.lanes.iter().map(current).collect()
}

/// The time of day of an instant.
fn wall_clock(instant: Instant, now: Instant) -> SystemTime {
    let ahead = instant.saturating_duration_since(now);
    let behind = now.saturating_duration_since(instant);
    let wall = SystemTime::now() + ahead;
    wall.checked_sub(behind).unwrap_or(wall)
}
