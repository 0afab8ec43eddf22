//! The state of a master and of the application that it serves, as `runner status` shows it.
//!
//! It goes over the control socket as JSON, whose names are part of the manual. All times are in seconds, moments are
//! counted from 1970 (UTC). A field that a master of another version does not send has its default, so that
//! `runner status` works during an upgrade.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use crate::interface::master_status::certificate_status::CertificateStatus;

mod certificate_status;

/// The state of a master. An application fills in what it knows, and has the default of the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The version of `runner`.
    pub version: String,
    /// The master's process id.
    pub pid: u32,
    /// `starting`, `serving`, `reloading` or `stopping`.
    pub state: String,
    /// The time since the master was started.
    pub uptime: f64,
    /// The moment at which the master was started.
    pub started: f64,
    /// The addresses at which the master listens.
    pub sockets: Vec<String>,
    /// The certificates by which the master serves https.
    pub certificates: Vec<CertificateStatus>,
    /// The connections to these addresses.
    pub connections: ConnectionCounts,
    /// The workers of the application, oldest first.
    pub workers: Vec<WorkerStatus>,
    /// The servers that applications pass requests on to, but for those that runner starts: these are workers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerStatus>,
    /// The applications, if there are several; `queue`, `totals` and `back_off` are then of all together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<ApplicationStatus>,
    /// The programs that are kept running beside the application.
    pub programs: Vec<ProgramStatus>,
    /// The requests that wait for a worker.
    pub queue: QueueStatus,
    /// Complete responses that clients have not received yet. No worker waits for these.
    pub delivering: usize,
    /// Bytes of responses in the master's memory that clients have not received yet.
    pub response_memory: u64,
    /// The requests of the last minute, over all reloads.
    pub last_minute: LastMinute,
    /// What has happened since the master was started, over all reloads.
    pub totals: Totals,
    /// The requests that the gateway has refused before the application saw them, by the status of their responses.
    pub refused: BTreeMap<u16, u64>,
    /// The reloads of this master.
    pub reloads: ReloadCounts,
    /// Why no worker is started at the moment.
    pub back_off: Option<BackOff>,
    /// The latest failures, oldest first; at most [`Status::FAILURES`].
    pub failures: Vec<RecentFailure>,
}

impl Status {
    /// How many failures are remembered.
    pub const FAILURES: usize = 20;

    /// Whether requests can be answered, at once or when a worker is free. They cannot where the master has not begun to
    /// serve or ends, where no worker is there and starts fail, or where what is kept running without an application is
    /// down.
    #[must_use]
    pub fn can_answer(&self) -> bool {
        let is_open = !matches!(&*self.state, "starting" | "stopping");
        // A server that listens nowhere is there for its first program.
        let first = self.programs.first().filter(|_| self.sockets.is_empty());
        let is_down = first.is_some_and(|program| program.down.is_some());
        is_open && !is_down && (self.back_off.is_none() || self.has_ready_worker())
    }

    /// Whether requests should be sent here rather than to another server: they can be answered, and no start of a worker
    /// has to be waited for, unless workers are started for requests only (`runner.workers.min = 0`).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.can_answer() && (self.workers.is_empty() || self.has_ready_worker())
    }

    fn has_ready_worker(&self) -> bool {
        self.workers.iter().any(|worker| match worker.state {
            WorkerState::Idle | WorkerState::Busy | WorkerState::Unknown => true,
            WorkerState::Starting | WorkerState::Doomed | WorkerState::Leaving => false,
        })
    }

    /// The state of two applications that one master serves beside each other.
    #[must_use]
    pub fn beside(mut self, mut other: Self) -> Self {
        self.applications.append(&mut other.applications);
        self.add_history(&other);
        self.workers.append(&mut other.workers);
        self.servers.append(&mut other.servers);
        self.queue.length += other.queue.length;
        let oldest = [self.queue.oldest, other.queue.oldest];
        self.queue.oldest = oldest.into_iter().flatten().reduce(f64::max);
        self.delivering += other.delivering;
        // The next attempt is that of the one which has failed more often.
        let back_off = [self.back_off, other.back_off];
        let back_off = back_off.into_iter().flatten();
        self.back_off = back_off.max_by_key(|one| one.early_deaths);
        self
    }

    /// The state of an application that has a name, since there are several.
    #[must_use]
    pub fn of_application(mut self, name: &str) -> Self {
        let label = || Some(name.to_owned());
        for worker in &mut self.workers {
            worker.application = label();
        }
        for server in &mut self.servers {
            server.application = label();
        }
        for failure in &mut self.failures {
            failure.application = label();
        }
        self.applications = vec![ApplicationStatus {
            name: name.to_owned(),
            queue: self.queue.clone(),
            totals: self.totals.clone(),
            back_off: self.back_off.clone(),
        }];
        self
    }

    /// Adds what happened to another version of the application.
    pub fn add_history(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        for other in &other.applications {
            let mut known = self.applications.iter_mut();
            match known.find(|known| known.name == other.name) {
                Some(known) => known.totals.add(&other.totals),
                // It has no workers any more.
                None => self.applications.push(ApplicationStatus {
                    name: other.name.clone(),
                    totals: other.totals.clone(),
                    ..ApplicationStatus::default()
                }),
            }
        }
        self.failures.extend_from_slice(&other.failures);
        self.failures.sort_by(|one, two| one.at.total_cmp(&two.at));
        let surplus = self.failures.len().saturating_sub(Self::FAILURES);
        self.failures.drain(..surplus);
    }
}

/// One of several applications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplicationStatus {
    /// Its name: that of its settings, or of the first route that leads to it.
    pub name: String,
    /// Its requests that wait for a worker.
    pub queue: QueueStatus,
    /// What has happened to it since the master was started, over all reloads.
    pub totals: Totals,
    /// Why no worker of it is started at the moment.
    pub back_off: Option<BackOff>,
}

/// The connections of clients, or of web servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionCounts {
    /// All open connections.
    pub open: usize,
    /// Open connections without a request.
    pub idle: usize,
    /// The limit of open connections.
    pub most: usize,
    /// Those that ended before their time, since the master was started.
    pub turned_away: TurnedAway,
}

/// Connections that the master has ended, or not taken, before they had a request to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnedAway {
    /// Refused, since their client has too many (`runner.http.max_per_address`).
    pub max_per_address: u64,
    /// Closed while they were idle, to make room for new ones (`runner.http.max_connections`).
    pub max_connections: u64,
    /// Ended, since their client did not come to an agreement on TLS.
    pub handshake: u64,
}

impl TurnedAway {
    /// The reasons, and how many there were for each; `None` if there were none.
    #[must_use]
    pub fn by_reason(&self) -> Option<String> {
        let reasons = [
            (self.max_per_address, "runner.http.max_per_address"),
            (self.max_connections, "runner.http.max_connections"),
            (self.handshake, "no agreement on TLS"),
        ];
        let counts = reasons.into_iter().filter(|(count, _)| *count > 0);
        let shown: Vec<_> = counts
            .map(|(count, reason)| format!("{count} × {reason}"))
            .collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}

/// A process that answers requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerStatus {
    /// The name of its application, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Its number, which is never used again by this application.
    pub id: u32,
    /// Its process id; `None` until it has one.
    pub pid: Option<i32>,
    /// What it does.
    pub state: WorkerState,
    /// The time since its start was ordered.
    pub age: f64,
    /// How many requests it has answered.
    pub requests: u64,
    /// How many requests it has to answer, WebSockets not counted.
    pub in_flight: usize,
    /// How many WebSockets are open.
    pub web_sockets: usize,
    /// ASGI: how late its event loop is, or for how long it has been blocked; `None` where it has none.
    pub lag: Option<f64>,
    /// Its memory (resident set) in bytes; `None` where the system does not tell.
    pub rss: Option<u64>,
    /// The request that each of its threads works on; ASGI: the one that it has worked on longest.
    pub current: Vec<Option<CurrentRequest>>,
}

impl WorkerStatus {
    /// Whether it has many requests at a time, as an event loop has, or a program, of which single ones are not known.
    #[must_use]
    pub fn has_many_requests(&self) -> bool {
        let serves = matches!(self.state, WorkerState::Idle | WorkerState::Busy)
            || self.in_flight + self.web_sockets > 0;
        self.lag.is_some() || self.current.is_empty() && serves
    }
}

/// A server that an application passes requests on to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerStatus {
    /// The name of the application, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Where it listens.
    pub address: String,
    /// How many requests it has.
    pub in_flight: usize,
    /// How many it has had, over this version of the application.
    pub requests: u64,
    /// How many times in a row it could not be reached, or left requests without an answer.
    pub failures: u32,
    /// For how long it has been so; `None` if it is well.
    pub failing_for: Option<f64>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It imports the application, or is about to be forked.
    Starting,
    /// It waits for requests.
    Idle,
    /// It answers requests.
    Busy,
    /// One of its requests is overdue: it ends after its other requests.
    Doomed,
    /// It finishes its requests, and gets no more.
    Leaving,
    /// A master of another version says what this one does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl WorkerState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Doomed => "doomed",
            Self::Leaving => "leaving",
            Self::Unknown => "unknown",
        }
    }
}

/// A request that a worker works on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurrentRequest {
    /// Its method.
    pub method: String,
    /// Its path and query, fit to be printed.
    pub path: String,
    /// The time for which the worker has worked on it.
    pub age: f64,
    /// Whether its response has begun: it may be the client that takes long for the rest.
    pub answered: bool,
}

/// A program that is kept running.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramStatus {
    /// The program and its arguments, as they could be typed.
    pub command: String,
    /// Its process id, while it runs.
    pub pid: Option<u32>,
    /// `starting`, `running`, or `waiting` for its next start.
    pub state: String,
    /// The time since its start, while it runs.
    pub age: Option<f64>,
    /// The time until its next start, while it waits.
    pub wait: Option<f64>,
    /// How many times in a row it ended soon, while it waits.
    pub early_ends: u32,
    /// Why it does not work, from its end until it works again.
    pub down: Option<String>,
}

/// The requests that wait for a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueStatus {
    /// How many wait.
    pub length: usize,
    /// How long the first of them has waited.
    pub oldest: Option<f64>,
}

/// The requests that ended in the last minute, or since the start of the master if that is less. A request is measured
/// from the moment at which it is complete to that at which the head of its response is ready, or its client gives up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastMinute {
    /// Their number.
    pub requests: u64,
    /// Their number in a second.
    pub rate: f64,
    /// The time within which half of them were answered; `None` if there were none.
    pub p50: Option<f64>,
    /// The time within which 99 % of them were answered; `None` if there were none.
    pub p99: Option<f64>,
}

/// What has happened since the master was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// All requests.
    pub requests: u64,
    /// Requests that were answered 502: their worker died.
    pub bad_gateway: u64,
    /// Requests that were answered 503: the queue was full, or they waited there for too long.
    pub unavailable: u64,
    /// Requests that were answered 504: they took too long.
    pub gateway_timeout: u64,
    /// Workers that died without being told to end.
    pub deaths: u64,
    /// Workers that were replaced because of their age, their size or their number of requests.
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

/// The reloads since the master was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReloadCounts {
    /// How many have the new version serve.
    pub succeeded: u64,
    /// How many left the old version serving.
    pub failed: u64,
    /// The latest one.
    pub last: Option<LastReload>,
}

/// The end of a reload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastReload {
    /// The moment.
    pub at: f64,
    /// Why it failed, as in the log; `None` if the new version serves.
    pub failure: Option<String>,
}

impl ReloadCounts {
    /// Counts a reload that has ended now.
    pub fn count(&mut self, failure: Option<&str>) {
        match failure {
            None => self.succeeded += 1,
            Some(_) => self.failed += 1,
        }
        self.last = Some(LastReload {
            at: moment(SystemTime::now()),
            failure: failure.map(str::to_owned),
        });
    }
}

/// A failure of the application or of its workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecentFailure {
    /// The name of the application, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The moment.
    pub at: f64,
    /// Its description, as in the log.
    pub what: String,
}

/// Workers cannot be started, or die before their first response: they are replaced ever more slowly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackOff {
    /// The moment of the next attempt; in the past while that is under way.
    pub until: f64,
    /// How many workers in a row could not be started, or died before their first response.
    pub early_deaths: u32,
}

/// A time in seconds, to the millisecond.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A moment in seconds since 1970 (UTC), to the millisecond.
#[must_use]
pub fn moment(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, seconds)
}

#[cfg(test)]
mod tests;
