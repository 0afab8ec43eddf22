//! How a master is, as it goes over its control socket: JSON whose names are part of the manual. All times are
//! seconds; moments are counted from 1970 (UTC).
//!
//! What a master of another version does not say has its default, so that `runner status` works while a
//! new version is being put in place.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::interface::status as application;
use crate::supervisor::programs::keeper::ProgramState;

/// How a master is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The version of `runner`.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// What it does: `serving`, `reloading` or `stopping`.
    pub state: String,
    /// For how long it has run.
    pub uptime: f64,
    /// When it was started.
    pub started: f64,
    /// Where it can be reached.
    pub sockets: Vec<String>,
    /// The connections there.
    pub connections: Connections,
    /// Its workers, oldest first.
    pub workers: Vec<Worker>,
    /// The programs that are kept running beside it.
    pub programs: Vec<Program>,
    /// The requests that wait for a worker.
    pub queue: Queue,
    /// How many responses are made, but not yet taken by their clients; no worker waits for these.
    pub delivering: usize,
    /// What happened since the master was started, over all reloads.
    pub totals: Totals,
    /// Why and until when no worker is started.
    pub back_off: Option<BackOff>,
    /// What went wrong lately, oldest first.
    pub failures: Vec<Failure>,
}

/// The connections of clients, or of web servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// How many there are.
    pub open: usize,
    /// Of these, those on which a client is waited for.
    pub idle: usize,
    /// How many there may be.
    pub most: usize,
}

/// A process that answers requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Its number, which is never used again.
    pub id: u32,
    /// Its process, once it has one.
    pub pid: Option<i32>,
    /// What it does: `starting`, `idle`, `busy`, `doomed` or `leaving`.
    pub state: String,
    /// The time since it was ordered.
    pub age: f64,
    /// How many requests it has answered.
    pub requests: u64,
    /// The memory that it takes (resident set), in bytes.
    pub rss: Option<u64>,
    /// For each of its threads the request that it is on.
    pub current: Vec<Option<Current>>,
}

/// A request that a worker is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Current {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// How long the worker has been on it.
    pub age: f64,
}

/// A program that is kept running.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// The program and its arguments, as they could be typed.
    pub command: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// What it does: `starting`, `running` or `waiting` for being started again.
    pub state: String,
    /// The time since it was started, while it runs.
    pub age: Option<f64>,
    /// The time until it is started again, while it waits.
    pub wait: Option<f64>,
    /// How many times in a row it ended soon, while it waits.
    pub early_ends: u32,
}

/// The requests that wait for a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// How many there are.
    pub length: usize,
    /// How long the first of them has waited.
    pub oldest: Option<f64>,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Requests that came in.
    pub requests: u64,
    /// Of these, those that were answered 502.
    pub bad_gateway: u64,
    /// Those that were answered 503.
    pub unavailable: u64,
    /// Those that were answered 504.
    pub gateway_timeout: u64,
    /// Workers that died without being told to leave.
    pub deaths: u64,
    /// Workers that were replaced because of their age, size or number of requests.
    pub recycled: u64,
}

/// Why no worker is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackOff {
    /// The next attempt.
    pub until: f64,
    /// How many workers in a row died before their first answer.
    pub early_deaths: u32,
}

/// Something that went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// When.
    pub at: f64,
    /// What, as the log has it.
    pub what: String,
}

/// What a master knows of itself.
#[derive(Clone, Debug)]
pub struct Master {
    /// When it was started.
    pub started: SystemTime,
    /// The same by a clock that nobody sets.
    pub since: Instant,
}

impl Master {
    /// A master that has just been started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: SystemTime::now(),
            since: Instant::now(),
        }
    }

    /// How it is.
    #[must_use]
    pub fn status(
        &self,
        state: &str,
        sockets: Vec<String>,
        application: application::Status,
        programs: Vec<Program>,
    ) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: state.to_owned(),
            uptime: seconds(self.since.elapsed()),
            started: moment(self.started),
            sockets,
            connections: Connections::default(),
            workers: application.workers.into_iter().map(worker).collect(),
            programs,
            queue: Queue {
                length: application.queue.length,
                oldest: application.queue.oldest.map(seconds),
            },
            delivering: application.delivering,
            totals: Totals {
                requests: application.totals.requests,
                bad_gateway: application.totals.bad_gateway,
                unavailable: application.totals.unavailable,
                gateway_timeout: application.totals.gateway_timeout,
                deaths: application.totals.deaths,
                recycled: application.totals.recycled,
            },
            back_off: application.back_off.map(|back_off| BackOff {
                until: moment(back_off.until),
                early_deaths: back_off.early_deaths,
            }),
            failures: application
                .failures
                .into_iter()
                .map(|failure| Failure {
                    at: moment(failure.at),
                    what: failure.what,
                })
                .collect(),
        }
    }
}

impl Default for Master {
    fn default() -> Self {
        Self::new()
    }
}

/// How a program is that is kept running, with the command that it is.
#[must_use]
pub fn program((command, state): (&str, ProgramState)) -> Program {
    let shown = Program {
        command: command.to_owned(),
        ..Program::default()
    };
    match state {
        ProgramState::Starting => Program {
            state: "starting".to_owned(),
            ..shown
        },
        ProgramState::Running { pid, since } => Program {
            state: "running".to_owned(),
            pid: Some(pid),
            age: Some(seconds(since.elapsed())),
            ..shown
        },
        ProgramState::Waiting { until, early_ends } => Program {
            state: "waiting".to_owned(),
            wait: Some(seconds(until.saturating_duration_since(Instant::now()))),
            early_ends,
            ..shown
        },
    }
}

fn worker(worker: application::Worker) -> Worker {
    let current = |current: application::Current| Current {
        method: current.method,
        path: current.path,
        age: seconds(current.age),
    };
    Worker {
        id: worker.id,
        pid: worker.pid,
        state: worker.state.as_str().to_owned(),
        age: seconds(worker.age),
        requests: worker.requests,
        rss: worker.rss,
        current: worker
            .lanes
            .into_iter()
            .map(|lane| lane.map(current))
            .collect(),
    }
}

/// A time, to the millisecond: more would only be noise.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn moment(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, seconds)
}
