//! The state of a master and of the application that it serves, as `runner status` shows it.
//!
//! It goes over the control socket as JSON, whose names are part of the manual. All times are in seconds, moments are
//! counted from 1970 (UTC). A field that a master of another version does not send has its default, so that
//! `runner status` works during an upgrade.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

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
    /// The connections to these addresses.
    pub connections: ConnectionCounts,
    /// The workers of the application, oldest first.
    pub workers: Vec<WorkerStatus>,
    /// The programs that are kept running beside the application.
    pub programs: Vec<ProgramStatus>,
    /// The requests that wait for a worker.
    pub queue: QueueStatus,
    /// Complete responses that clients have not received yet. No worker waits for these.
    pub delivering: usize,
    /// The requests of the last minute, over all reloads.
    pub last_minute: LastMinute,
    /// What has happened since the master was started, over all reloads.
    pub totals: Totals,
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
        let is_down = self.sockets.is_empty()
            && self
                .programs
                .first()
                .is_some_and(|program| program.down.is_some());
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

    /// Adds what happened to another version of the application.
    pub fn add_history(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.failures.extend_from_slice(&other.failures);
        self.failures.sort_by(|one, two| one.at.total_cmp(&two.at));
        let surplus = self.failures.len().saturating_sub(Self::FAILURES);
        self.failures.drain(..surplus);
    }
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
}

/// A process that answers requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerStatus {
    /// Its number, which is never used again.
    pub id: u32,
    /// Its process id; `None` until it has one.
    pub pid: Option<i32>,
    /// What it does.
    pub state: WorkerState,
    /// The time since its start was ordered.
    pub age: f64,
    /// How many requests it has answered.
    pub requests: u64,
    /// ASGI: how many requests it works on, WebSockets not counted. WSGI: how many it has to answer.
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
mod tests {
    use super::{
        BackOff, CurrentRequest, ProgramStatus, RecentFailure, Status, WorkerState, WorkerStatus,
    };

    /// What a master of an earlier version sends, field by field: masters and clients of different versions understand each
    /// other.
    const SENT: &str = r#"{
  "version": "0.1.0",
  "pid": 4711,
  "state": "serving",
  "uptime": 61.25,
  "started": 1767225600.5,
  "sockets": ["http://localhost:8000/"],
  "connections": {"open": 3, "idle": 1, "most": 1000},
  "workers": [
    {"id": 7, "pid": 4712, "state": "busy", "age": 60.0, "requests": 9,
      "in_flight": 2, "web_sockets": 1, "lag": 0.25, "rss": 1048576,
      "current": [null, {"method": "GET", "path": "/", "age": 0.5}]}
  ],
  "programs": [
    {"command": "./worker", "pid": null, "state": "waiting", "age": null, "wait": 0.2, "early_ends": 2,
      "down": "it exited with status 1"}
  ],
  "queue": {"length": 1, "oldest": 0.125},
  "delivering": 2,
  "last_minute": {"requests": 6, "rate": 0.1, "p50": 0.0012, "p99": 0.25},
  "totals": {"requests": 12, "bad_gateway": 1, "unavailable": 2, "gateway_timeout": 3, "deaths": 4, "recycled": 5},
  "reloads": {"succeeded": 2, "failed": 1, "last": {"at": 1767225640.0, "failure": "no module"}},
  "back_off": {"until": 1767225700.0, "early_deaths": 6},
  "failures": [{"at": 1767225650.0, "what": "worker 4700 was killed by SIGKILL"}]
}"#;

    #[test]
    fn the_names_on_the_control_socket_stay() {
        let status: Status = serde_json::from_str(SENT).expect("a status");
        let [worker] = &status.workers[..] else {
            panic!("{status:#?}");
        };
        assert_eq!((worker.id, worker.state), (7, WorkerState::Busy));
        assert_eq!(worker.current.iter().flatten().count(), 1);
        let sent: serde_json::Value = serde_json::from_str(SENT).expect("JSON");
        let again = serde_json::to_value(&status).expect("JSON");
        // Compared as texts, so that the order counts, too.
        assert_eq!(again.to_string(), sent.to_string());
    }

    #[test]
    fn requests_can_be_answered_or_not() {
        use WorkerState::{Busy, Doomed, Idle, Leaving, Starting};
        // The master, its workers, whether starts of workers fail, whether requests can be answered, and whether they are
        // to be sent here.
        let cases: &[(&str, &[WorkerState], bool, bool, bool)] = &[
            ("serving", &[Idle], false, true, true),
            ("reloading", &[Busy, Starting], false, true, true),
            // The first request starts the first worker.
            ("serving", &[], false, true, true),
            ("serving", &[Starting], false, true, false),
            ("serving", &[Doomed, Leaving], false, true, false),
            // The other workers go on.
            ("serving", &[Idle, Starting], true, true, true),
            ("serving", &[], true, false, false),
            (
                "reloading",
                &[Starting, Doomed, Leaving],
                true,
                false,
                false,
            ),
            ("starting", &[Idle], false, false, false),
            ("stopping", &[Idle], false, false, false),
        ];
        for (state, workers, fails, can, is_ready) in cases {
            let worker = |state: &WorkerState| WorkerStatus {
                state: *state,
                ..WorkerStatus::default()
            };
            let status = Status {
                state: (*state).to_owned(),
                sockets: vec!["http://localhost/".to_owned()],
                workers: workers.iter().map(worker).collect(),
                back_off: fails.then(BackOff::default),
                ..Status::default()
            };
            assert_eq!(status.can_answer(), *can, "{state} {workers:?} {fails}");
            assert_eq!(status.is_ready(), *is_ready, "{state} {workers:?} {fails}");
        }
    }

    #[test]
    fn a_program_that_is_down_counts_where_it_is_what_is_supervised() {
        let status = |sockets: &[&str], down: &[Option<&str>]| Status {
            state: "serving".to_owned(),
            sockets: sockets.iter().map(|&socket| socket.to_owned()).collect(),
            programs: down
                .iter()
                .map(|down| ProgramStatus {
                    down: down.map(str::to_owned),
                    ..ProgramStatus::default()
                })
                .collect(),
            ..Status::default()
        };
        let down = Some("it exited with status 1");
        assert!(status(&["http://localhost/"], &[down]).can_answer());
        assert!(status(&[], &[None, down]).can_answer());
        assert!(!status(&[], &[down, None]).can_answer());
    }

    #[test]
    fn a_missing_field_has_its_default_and_an_unknown_one_is_ignored() {
        let status = |text| serde_json::from_str::<Status>(text).expect("a status");
        assert_eq!(status("{}"), Status::default());
        let newer = status(
            r#"{"new": 1, "workers": [{"state": "dancing", "current": [{}]}], "back_off": {}, "failures": [{}]}"#,
        );
        let worker = WorkerStatus {
            current: vec![Some(CurrentRequest::default())],
            ..WorkerStatus::default()
        };
        assert_eq!(worker.state, WorkerState::Unknown);
        assert_eq!(newer.workers, [worker]);
        assert_eq!(newer.back_off, Some(BackOff::default()));
        assert_eq!(newer.failures, [RecentFailure::default()]);
    }
}
