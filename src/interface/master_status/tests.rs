//! The status on the control socket, and what follows from it.

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
  "certificates": [{"names": ["localhost"], "expires": 1769225600.0}],
  "connections": {"open": 3, "idle": 1, "most": 1000,
    "turned_away": {"max_per_address": 2, "max_connections": 3, "handshake": 4}},
  "workers": [
    {"id": 7, "pid": 4712, "state": "busy", "age": 60.0, "requests": 9,
      "in_flight": 2, "web_sockets": 1, "lag": 0.25, "rss": 1048576,
      "current": [null, {"method": "GET", "path": "/", "age": 0.5, "answered": true}]}
  ],
  "programs": [
    {"command": "./worker", "pid": null, "state": "waiting", "age": null, "wait": 0.2, "early_ends": 2,
      "down": "it exited with status 1"}
  ],
  "queue": {"length": 1, "oldest": 0.125},
  "delivering": 2,
  "response_memory": 786432,
  "last_minute": {"requests": 6, "rate": 0.1, "p50": 0.0012, "p99": 0.25},
  "totals": {"requests": 12, "bad_gateway": 1, "unavailable": 2, "gateway_timeout": 3, "deaths": 4, "recycled": 5},
  "refused": {"400": 3, "414": 1},
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
