//! How an application is: its processes, what they are on, what waits, what went wrong lately. Plain
//! values; whoever shows them decides how they look.

use std::time::{Duration, SystemTime};

/// What [`crate::interface::Application::status`] says. An application without processes has the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Its workers, oldest first.
    pub workers: Vec<Worker>,
    /// The requests that wait for a worker.
    pub queue: Queue,
    /// Responses that are made, whose workers do something else, and whose clients have not taken them yet.
    pub delivering: usize,
    /// What happened since its first version was started.
    pub totals: Totals,
    /// What went wrong lately, oldest first; at most [`Status::FAILURES`].
    pub failures: Vec<Failure>,
    /// Workers die before their first answer, or cannot be started: they are replaced ever more slowly.
    pub back_off: Option<BackOff>,
}

impl Status {
    /// How many failures are remembered.
    pub const FAILURES: usize = 20;

    /// Adds what happened to another version of the application.
    pub fn add_history(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.failures.extend_from_slice(&other.failures);
        self.failures.sort_by_key(|failure| failure.at);
        let surplus = self.failures.len().saturating_sub(Self::FAILURES);
        self.failures.drain(..surplus);
    }
}

/// A process that answers requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// Its number, which is never used again.
    pub id: u32,
    /// Its process; `None` as long as it has none.
    pub pid: Option<i32>,
    /// What it does.
    pub state: WorkerState,
    /// The time since it was ordered.
    pub age: Duration,
    /// How many requests it has answered.
    pub requests: u64,
    /// The memory that it takes (resident set), in bytes; `None` where the system does not say.
    pub rss: Option<u64>,
    /// For each of its threads the request that it is on.
    pub lanes: Vec<Option<Current>>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It imports the application, or is about to be forked.
    Starting,
    /// It waits for requests.
    Idle,
    /// It answers requests.
    Busy,
    /// It has a request that is overdue; it is ended when it has finished what else it is on.
    Doomed,
    /// It finishes what it has, and gets no more.
    Leaving,
}

impl WorkerState {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Doomed => "doomed",
            Self::Leaving => "leaving",
        }
    }
}

/// A request that a worker is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its method.
    pub method: String,
    /// Its target, path and query, fit to be printed.
    pub path: String,
    /// How long the worker has been on it.
    pub age: Duration,
}

/// The requests that wait for a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many there are.
    pub length: usize,
    /// How long the first of them has waited.
    pub oldest: Option<Duration>,
}

/// What happened since the first version of the application was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that came in.
    pub requests: u64,
    /// Of these, those whose worker died: answered 502.
    pub bad_gateway: u64,
    /// Those that found no place in the queue, or waited there for too long: answered 503.
    pub unavailable: u64,
    /// Those that took too long: answered 504.
    pub gateway_timeout: u64,
    /// Workers that died without being told to leave.
    pub deaths: u64,
    /// Workers that were replaced because they were old, or large, or had answered so many requests.
    pub recycled: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        let Self {
            requests,
            bad_gateway,
            unavailable,
            gateway_timeout,
            deaths,
            recycled,
        } = other;
        self.requests += requests;
        self.bad_gateway += bad_gateway;
        self.unavailable += unavailable;
        self.gateway_timeout += gateway_timeout;
        self.deaths += deaths;
        self.recycled += recycled;
    }
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: SystemTime,
    /// What, as the log has it.
    pub what: String,
}

/// Why and until when no worker is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The next attempt; in the past while that is under way.
    pub until: SystemTime,
    /// How many times in a row workers could not be started, or died before their first answer.
    pub early_deaths: u32,
}
