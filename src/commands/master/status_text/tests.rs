//! The text of a status, whole or by its lines.

use super::*;
use crate::interface::master_status::{QueueStatus, TurnedAway};

fn worker(pid: i32, state: WorkerState, current: Vec<Option<CurrentRequest>>) -> WorkerStatus {
    WorkerStatus {
        pid: Some(pid),
        state,
        age: 7500.0,
        requests: 12_345,
        rss: Some(24_536_678),
        current,
        ..WorkerStatus::default()
    }
}

fn on(method: &str, path: &str, age: f64) -> Option<CurrentRequest> {
    Some(CurrentRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        age,
        answered: path == "/large",
    })
}

#[test]
fn a_busy_server() {
    let status = Status {
        version: "1.2".to_owned(),
        pid: 4711,
        state: "serving".to_owned(),
        uptime: 93_784.0,
        sockets: vec!["http://localhost:8000/".to_owned()],
        certificates: vec![
            CertificateStatus {
                names: vec!["a.test".to_owned(), "b.test".to_owned()],
                expires: 90_400.0,
            },
            CertificateStatus {
                names: vec!["c\n.test".to_owned()],
                expires: 880.0,
            },
        ],
        workers: vec![
            worker(4712, WorkerState::Idle, vec![None, None]),
            worker(
                4713,
                WorkerState::Busy,
                vec![
                    on("GET", "/slow", 12.34),
                    on("GET", "/large", 3.0),
                    on("POST", "/a\u{1b}b", 0.02),
                ],
            ),
            WorkerStatus {
                state: WorkerState::Starting,
                age: 0.4,
                ..WorkerStatus::default()
            },
        ],
        connections: ConnectionCounts {
            open: 17,
            idle: 3,
            most: 10_000,
            turned_away: TurnedAway {
                max_per_address: 2,
                handshake: 1,
                ..TurnedAway::default()
            },
        },
        queue: QueueStatus {
            length: 12,
            oldest: Some(1.25),
        },
        delivering: 3,
        refused: [(400, 1), (408, 1), (414, 3)].into(),
        totals: Totals {
            requests: 24_690,
            bad_gateway: 1,
            deaths: 1,
            recycled: 3,
            ..Totals::default()
        },
        last_minute: LastMinute {
            requests: 24_000,
            rate: 412.5,
            p50: Some(0.000_85),
            p99: Some(0.0121),
        },
        failures: vec![RecentFailure {
            at: 880.0,
            what: "worker 4700 was killed by SIGKILL\nand more".to_owned(),
            ..RecentFailure::default()
        }],
        ..Status::default()
    };
    let expected = "\
runner 1.2, process 4711, serving for 1 d 02 h
  http://localhost:8000/
  the certificate for a.test, b.test is valid for 1 d 00 h
  the certificate for c\u{fffd}.test expired 2 m 00 s ago

3 workers: 1 busy, 1 idle, 1 starting; 12 requests wait for a worker, the first for 1.2 s
17 connections of at most 10000, 3 idle
3 responses are on their way to their clients

 PID  STATE         AGE  REQUESTS    MEMORY    FOR  REQUEST
4712  idle      2 h 05 m     12345  23.4 MiB
4713  busy      2 h 05 m     12345  23.4 MiB   12 s  GET /slow
                                              3.0 s  GET /large (its response has begun)
                                              0.0 s  POST /a\u{fffd}b
   -  starting     0.4 s         0         -

last minute: 412 requests/s, p50 0.85 ms, p99 12 ms
24690 requests so far, 1 answered 502; 1 worker died; 3 workers recycled
refused before the application saw them: 3 × 414, 1 × 400, 1 × 408
connections turned away: 2 × runner.http.max_per_address, 1 × no agreement on TLS

last failures
 2 m 00 s ago  worker 4700 was killed by SIGKILL
";
    let found = text(&status, 1000.0, None);
    assert_eq!(
        found.replace("        AGE", "       AGE"),
        expected,
        "{found}"
    );
}

#[test]
fn a_reload_that_failed_is_said_until_one_succeeds() {
    let after = |failure: Option<&str>| {
        let mut status = Status::default();
        status.reloads.last = Some(LastReload {
            at: 880.0,
            failure: failure.map(str::to_owned),
        });
        text(&status, 1000.0, None)
    };
    let line = "the last reload failed 2 m 00 s ago, and the version before it goes on: cannot import app\n";
    let found = after(Some("cannot import app\nTraceback"));
    assert!(found.contains(line), "{found}");
    assert!(!after(None).contains("reload"));
}

#[test]
fn event_loops_have_columns_of_their_own() {
    let status = Status {
        workers: vec![
            WorkerStatus {
                in_flight: 12,
                web_sockets: 340,
                lag: Some(0.0125),
                ..worker(4713, WorkerState::Busy, vec![on("GET", "/slow", 12.34)])
            },
            worker(4714, WorkerState::Starting, vec![None]),
        ],
        ..Status::default()
    };
    let found = text(&status, 0.0, None);
    let lines: Vec<Vec<&str>> = found
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let has = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(lines.contains(&words), "{line}: {found}");
    };
    has("PID STATE AGE REQUESTS IN FLIGHT WEBSOCKETS LAG MEMORY FOR REQUEST");
    has("4713 busy 2 h 05 m 12345 12 340 12 ms 23.4 MiB 12 s GET /slow");
    has("4714 starting 2 h 05 m 12345 0 0 - 23.4 MiB");
}

/// Which requests a program has is not known, but how many.
#[test]
fn programs_have_the_columns_of_many_requests_also_while_they_have_none() {
    for (state, web_sockets) in [(WorkerState::Idle, 0), (WorkerState::Leaving, 3)] {
        let program = WorkerStatus {
            web_sockets,
            ..worker(4712, state, Vec::new())
        };
        let status = Status {
            workers: vec![program],
            ..Status::default()
        };
        let found = text(&status, 0.0, None);
        assert!(found.contains("IN FLIGHT  WEBSOCKETS"), "{found}");
    }
}

#[test]
fn what_it_does_is_not_as_old_as_itself() {
    let fails = || Some(BackOff::default());
    for (state, back_off, said) in [
        ("serving", None, "serving for 1 m 01 s\n"),
        ("reloading", None, "reloading, started 1 m 01 s ago\n"),
        ("stopping", fails(), "stopping, started 1 m 01 s ago\n"),
        (
            "serving",
            fails(),
            "serving for 1 m 01 s, but cannot answer requests\n",
        ),
        (
            "reloading",
            fails(),
            "reloading, started 1 m 01 s ago, but cannot answer requests\n",
        ),
    ] {
        let status = Status {
            state: state.to_owned(),
            uptime: 61.0,
            back_off,
            ..Status::default()
        };
        let found = text(&status, 100.0, None);
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn an_application_without_processes_and_one_in_trouble() {
    let found = text(&Status::default(), 0.0, None);
    assert!(found.contains("no worker processes; no request waits\n\n0 requests so far\n"));
    let back_off = |early_deaths, until| Status {
        back_off: Some(BackOff {
            until,
            early_deaths,
        }),
        ..Status::default()
    };
    for (count, until, said) in [
        (
            4,
            130.0,
            "the last 4 workers died before their first answers; next attempt in 30 s\n",
        ),
        (
            1,
            90.0,
            "the last worker died before its first answer; trying again\n",
        ),
    ] {
        let found = text(&back_off(count, until), 100.0, None);
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn programs_beside_it() {
    let program = |pid, age, wait, early_ends| ProgramStatus {
        command: "./worker --mail".to_owned(),
        state: "starting".to_owned(),
        pid,
        age,
        wait,
        early_ends,
        down: None,
    };
    let status = Status {
        programs: vec![
            program(Some(7), Some(61.0), None, 0),
            program(None, None, Some(4.0), 3),
            program(None, None, None, 0),
        ],
        ..Status::default()
    };
    let found = text(&status, 100.0, None);
    let expected = "
programs
  ./worker --mail: process 7, for 1 m 01 s
  ./worker --mail: ended soon after its start, 3 times in a row; next attempt in 4.0 s
  ./worker --mail: starting
";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn lines_end_where_the_terminal_does() {
    let status = Status {
        sockets: vec!["é".repeat(100)],
        ..Status::default()
    };
    let found = text(&status, 0.0, Some(40));
    assert!(found.lines().all(|line| line.chars().count() <= 40));
    assert!(found.contains(&format!("  {}…\n", "é".repeat(37))));
}

#[test]
fn several_applications_are_apart() {
    let requests = |requests| Totals {
        requests,
        ..Totals::default()
    };
    let shop = Status {
        workers: vec![worker(4712, WorkerState::Idle, vec![None])],
        totals: requests(12),
        failures: vec![RecentFailure {
            at: 880.0,
            what: "worker 4700 was killed by SIGKILL".to_owned(),
            ..RecentFailure::default()
        }],
        ..Status::default()
    };
    let live = Status {
        workers: vec![WorkerStatus {
            lag: Some(0.0125),
            ..worker(4713, WorkerState::Busy, vec![on("GET", "/slow", 12.34)])
        }],
        totals: requests(30),
        queue: QueueStatus {
            length: 2,
            oldest: Some(1.25),
        },
        back_off: Some(BackOff {
            until: 1004.0,
            early_deaths: 1,
        }),
        ..Status::default()
    };
    let all = shop
        .of_application("/")
        .beside(live.of_application("example.org/live/"));
    let status = Status {
        state: "serving".to_owned(),
        ..all
    };
    let found = text(&status, 1000.0, None);
    let expected = "
2 workers: 1 busy, 1 idle; 2 requests wait for a worker, the first for 1.2 s

/
1 worker: 1 idle; no request waits
 PID  STATE       AGE  REQUESTS    MEMORY  FOR  REQUEST
4712  idle   2 h 05 m     12345  23.4 MiB
12 requests so far

example.org/live/
1 worker: 1 busy; 2 requests wait for a worker, the first for 1.2 s
the last worker died before its first answer; next attempt in 4.0 s
 PID  STATE       AGE  REQUESTS  IN FLIGHT  WEBSOCKETS    LAG    MEMORY   FOR  REQUEST
4713  busy   2 h 05 m     12345          0           0  12 ms  23.4 MiB  12 s  GET /slow
30 requests so far

42 requests so far

last failures
 2 m 00 s ago  /: worker 4700 was killed by SIGKILL
";
    assert!(found.ends_with(expected), "{found}");
}
