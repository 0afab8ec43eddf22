//! A master's status as a text for people: aligned columns, readable units, no control characters.

use std::fmt::Write;

use crate::commands::text_table::aligned;
use crate::interface::amounts::{short, significant, size, time};
use crate::interface::master_status::{
    ConnectionCounts, CurrentRequest, LastMinute, ProgramStatus, RecentFailure, Status, Totals,
    WorkerState, WorkerStatus,
};

/// The most failures that are shown.
const FAILURES: usize = 5;

/// Characters of a line without a terminal. A failure may contain a traceback.
const WIDTH: usize = 120;

/// The columns of the table of workers, and whether they are aligned to the right.
const COLUMNS: [(&str, bool); 10] = [
    ("PID", true),
    ("STATE", false),
    ("AGE", true),
    ("REQUESTS", true),
    ("IN FLIGHT", true),
    ("WEBSOCKETS", true),
    ("LAG", true),
    ("MEMORY", true),
    ("FOR", true),
    ("REQUEST", false),
];

/// What the master does, its age, and whether requests are answered. The age is not how long it has been reloading.
fn activity(status: &Status) -> String {
    let (state, uptime) = (plain(&status.state), time(status.uptime));
    let trouble = match &*status.state {
        "serving" | "reloading" if !status.can_answer() => ", but cannot answer requests",
        _ => "",
    };
    match &*status.state {
        "starting" | "serving" => format!("{state} for {uptime}{trouble}"),
        _ => format!("{state}, started {uptime} ago{trouble}"),
    }
}

/// The status as a text. `now` is in seconds since 1970; `width` is the terminal's, in characters.
#[must_use]
pub fn text(status: &Status, now: f64, width: Option<usize>) -> String {
    let mut lines = vec![format!(
        "runner {}, process {}, {}",
        plain(&status.version),
        status.pid,
        activity(status)
    )];
    let sockets = status.sockets.iter();
    lines.extend(sockets.map(|socket| format!("  {}", plain(socket))));
    lines.extend([String::new(), crowd(status)]);
    let ConnectionCounts { open, idle, most } = status.connections;
    if most > 0 {
        let open = counted(open as u64, "connection", "connections");
        lines.push(format!("{open} of at most {most}, {idle} idle"));
    }
    if status.delivering > 0 {
        lines.push(counted(
            status.delivering as u64,
            "response is on its way to its client",
            "responses are on their way to their clients",
        ));
    }
    if let Some(back_off) = &status.back_off {
        let what = match back_off.early_deaths {
            1 => "the last worker died before its first answer".to_owned(),
            count => format!("the last {count} workers died before their first answers"),
        };
        let when = match back_off.until - now {
            left if left > 0.0 => format!("next attempt in {}", time(left)),
            _ => "trying again".to_owned(),
        };
        lines.push(format!("{what}; {when}"));
    }
    let mut section = |heading: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            lines.push(String::new());
            lines.extend(Some(heading.to_owned()).filter(|heading| !heading.is_empty()));
            lines.extend(rows);
        }
    };
    section("", table(&status.workers));
    section("programs", status.programs.iter().map(kept).collect());
    let traffic = traffic(&status.last_minute);
    // A server that listens nowhere gets no requests.
    let traffic = (!status.sockets.is_empty()).then_some(traffic);
    let totals = [totals(&status.totals)];
    section("", traffic.into_iter().chain(totals).collect());
    let failures = status.failures.iter().rev().take(FAILURES);
    section(
        "last failures",
        failures.map(|failure| failed(failure, now)).collect(),
    );
    let width = width.unwrap_or(WIDTH).max(20);
    lines.iter().map(|line| cut(line, width) + "\n").collect()
}

/// The workers by state, and the requests that wait for one.
fn crowd(status: &Status) -> String {
    let mut text = match status.workers.len() {
        0 => "no worker processes".to_owned(),
        count => counted(count as u64, "worker", "workers"),
    };
    use WorkerState::{Busy, Doomed, Idle, Leaving, Starting};
    let states: Vec<String> = [Busy, Idle, Starting, Doomed, Leaving]
        .into_iter()
        .filter_map(|state| {
            let of_it = |worker: &&WorkerStatus| worker.state == state;
            match status.workers.iter().filter(of_it).count() {
                0 => None,
                count => Some(format!("{count} {}", state.as_str())),
            }
        })
        .collect();
    if !states.is_empty() {
        let _ = write!(text, ": {}", states.join(", "));
    }
    match (status.queue.length, status.queue.oldest) {
        (0, _) => text.push_str("; no request waits"),
        (count, oldest) => {
            let _ = write!(
                text,
                "; {} for a worker",
                counted(count as u64, "request waits", "requests wait")
            );
            if let Some(oldest) = oldest {
                let _ = write!(text, ", the first for {}", time(oldest));
            }
        }
    }
    text
}

/// The rate and the times of the last minute.
fn traffic(last_minute: &LastMinute) -> String {
    match (last_minute.p50, last_minute.p99) {
        (Some(p50), Some(p99)) => format!(
            "last minute: {} requests/s, p50 {}, p99 {}",
            significant(last_minute.rate),
            short(p50),
            short(p99)
        ),
        _ => "last minute: no requests".to_owned(),
    }
}

/// Totals, without those that are zero.
fn totals(totals: &Totals) -> String {
    let mut text = format!("{} so far", counted(totals.requests, "request", "requests"));
    for (count, status) in [
        (totals.bad_gateway, 502),
        (totals.unavailable, 503),
        (totals.gateway_timeout, 504),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} answered {status}");
        }
    }
    for (count, what) in [(totals.deaths, "died"), (totals.recycled, "recycled")] {
        if count > 0 {
            let _ = write!(text, "; {} {what}", counted(count, "worker", "workers"));
        }
    }
    text
}

/// One line for a program.
fn kept(program: &ProgramStatus) -> String {
    let command = plain(&program.command);
    match (program.pid, program.age, program.wait) {
        (Some(pid), Some(age), _) => format!("  {command}: process {pid}, for {}", time(age)),
        (_, _, Some(wait)) => format!(
            "  {command}: ended soon after its start, {} in a row; next attempt in {}",
            counted(u64::from(program.early_ends), "time", "times"),
            time(wait)
        ),
        _ => format!("  {command}: {}", plain(&program.state)),
    }
}

fn failed(failure: &RecentFailure, now: f64) -> String {
    let first = failure.what.lines().next().unwrap_or_default();
    format!("{:>9} ago  {}", time(now - failure.at), plain(first))
}

/// One line for each worker, and one for each further request that it works on.
fn table(workers: &[WorkerStatus]) -> Vec<String> {
    if workers.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![COLUMNS.map(|(name, _)| name.to_owned())];
    for worker in workers {
        let mut current = worker.current.iter().flatten().map(now_on);
        let [age, request] = current.next().unwrap_or_default();
        rows.push([
            worker.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            worker.state.as_str().to_owned(),
            time(worker.age),
            worker.requests.to_string(),
            worker.in_flight.to_string(),
            worker.web_sockets.to_string(),
            worker.lag.map_or("-".to_owned(), short),
            worker.rss.map_or("-".to_owned(), size),
            age,
            request,
        ]);
        for [age, request] in current {
            let mut row = COLUMNS.map(|_| String::new());
            [row[8], row[9]] = [age, request];
            rows.push(row);
        }
    }
    let right = COLUMNS.map(|(_, right)| right);
    match workers.iter().any(|worker| worker.lag.is_some()) {
        true => aligned(&rows, right),
        false => {
            let rows: Vec<_> = rows.into_iter().map(without_loops).collect();
            aligned(&rows, without_loops(right))
        }
    }
}

/// A row without the columns of event loops.
fn without_loops<T>(row: [T; 10]) -> [T; 7] {
    let [pid, state, age, requests, _, _, _, memory, since, request] = row;
    [pid, state, age, requests, memory, since, request]
}

/// The age of a request, and its method and path.
fn now_on(current: &CurrentRequest) -> [String; 2] {
    let (method, path) = (plain(&current.method), plain(&current.path));
    [time(current.age), format!("{method} {path}")]
}

/// A line, cut at the width of the terminal.
fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        Some(_) => line.chars().take(width - 1).chain(['…']).collect(),
        None => line.to_owned(),
    }
}

/// A text without control characters, which could change the terminal.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::master_status::{BackOff, QueueStatus};

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
            workers: vec![
                worker(4712, WorkerState::Idle, vec![None, None]),
                worker(
                    4713,
                    WorkerState::Busy,
                    vec![
                        on("GET", "/slow", 12.34),
                        None,
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
            },
            queue: QueueStatus {
                length: 12,
                oldest: Some(1.25),
            },
            delivering: 3,
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
            }],
            ..Status::default()
        };
        let expected = "\
runner 1.2, process 4711, serving for 1 d 02 h
  http://localhost:8000/

3 workers: 1 busy, 1 idle, 1 starting; 12 requests wait for a worker, the first for 1.2 s
17 connections of at most 10000, 3 idle
3 responses are on their way to their clients

 PID  STATE         AGE  REQUESTS    MEMORY    FOR  REQUEST
4712  idle      2 h 05 m     12345  23.4 MiB
4713  busy      2 h 05 m     12345  23.4 MiB   12 s  GET /slow
                                              0.0 s  POST /a\u{fffd}b
   -  starting     0.4 s         0         -

last minute: 412 requests/s, p50 0.85 ms, p99 12 ms
24690 requests so far, 1 answered 502; 1 worker died; 3 workers recycled

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
}
