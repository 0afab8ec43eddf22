//! A master's status as a text for people: aligned columns, readable units, no control characters.

use std::fmt::Write;

use crate::commands::text_table::aligned;
use crate::interface::amounts::{by_status, short, significant, size, time};
use crate::interface::master_status::{
    ApplicationStatus, BackOff, CertificateStatus, ConnectionCounts, CurrentRequest, LastMinute,
    LastReload, ProgramStatus, RecentFailure, ServerStatus, Status, Totals, WorkerState,
    WorkerStatus,
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
    let certificates = status.certificates.iter();
    lines.extend(certificates.map(|certificate| validity(certificate, now)));
    let reload = status.reloads.last.as_ref();
    lines.extend(reload.and_then(|last| old_version(last, now)));
    lines.extend([String::new(), crowd(status)]);
    let ConnectionCounts {
        open,
        idle,
        most,
        turned_away,
    } = status.connections;
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
    let is_one = status.applications.is_empty();
    let back_off = status.back_off.iter().filter(|_| is_one);
    lines.extend(back_off.map(|one| delayed(one, now)));
    let mut section = |heading: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            lines.push(String::new());
            lines.extend(Some(heading.to_owned()).filter(|heading| !heading.is_empty()));
            lines.extend(rows);
        }
    };
    if is_one {
        section("", table(&status.workers));
        section("", servers(&status.servers));
    }
    for application in &status.applications {
        section(
            &plain(&application.name),
            one_of_several(application, status, now),
        );
    }
    section("programs", status.programs.iter().map(kept).collect());
    let traffic = traffic(&status.last_minute);
    // A server that listens nowhere gets no requests.
    let traffic = (!status.sockets.is_empty()).then_some(traffic);
    let totals = [totals(&status.totals)];
    let refused = (!status.refused.is_empty()).then(|| by_status(&status.refused));
    let refused =
        refused.map(|counts| format!("refused before the application saw them: {counts}"));
    let turned_away = turned_away.by_reason();
    let turned_away = turned_away.map(|counts| format!("connections turned away: {counts}"));
    section(
        "",
        traffic
            .into_iter()
            .chain(totals)
            .chain(refused)
            .chain(turned_away)
            .collect(),
    );
    let failures = status.failures.iter().rev().take(FAILURES);
    section(
        "last failures",
        failures.map(|failure| failed(failure, now)).collect(),
    );
    let width = width.unwrap_or(WIDTH).max(20);
    lines.iter().map(|line| cut(line, width) + "\n").collect()
}

/// Why the version that serves is not the newest.
fn old_version(last: &LastReload, now: f64) -> Option<String> {
    let first = last.failure.as_ref()?.lines().next().unwrap_or_default();
    let age = time(now - last.at);
    Some(format!(
        "the last reload failed {age} ago, and the version before it goes on: {}",
        plain(first)
    ))
}

/// Why no worker is started at the moment.
fn delayed(back_off: &BackOff, now: f64) -> String {
    let what = match back_off.early_deaths {
        1 => "the last worker died before its first answer".to_owned(),
        count => format!("the last {count} workers died before their first answers"),
    };
    let when = match back_off.until - now {
        left if left > 0.0 => format!("next attempt in {}", time(left)),
        _ => "trying again".to_owned(),
    };
    format!("{what}; {when}")
}

/// One of several applications: its workers, its queue and its totals.
fn one_of_several(application: &ApplicationStatus, status: &Status, now: f64) -> Vec<String> {
    let is_its = |worker: &&WorkerStatus| worker.application.as_ref() == Some(&application.name);
    let its = status.servers.iter();
    let its = its.filter(|server| server.application.as_ref() == Some(&application.name));
    let own = Status {
        servers: its.cloned().collect(),
        workers: status.workers.iter().filter(is_its).cloned().collect(),
        queue: application.queue.clone(),
        ..Status::default()
    };
    let mut lines = vec![crowd(&own)];
    let back_off = application.back_off.iter();
    lines.extend(back_off.map(|one| delayed(one, now)));
    lines.extend(table(&own.workers));
    lines.extend(servers(&own.servers));
    lines.push(totals(&application.totals));
    lines
}

/// How long a certificate is valid.
fn validity(certificate: &CertificateStatus, now: f64) -> String {
    let names = plain(&certificate.names.join(", "));
    let validity = certificate.validity(now);
    format!("  the certificate for {names} {validity}")
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
    let name = failure.application.as_ref();
    let name = name.map_or(String::new(), |name| format!("{}: ", plain(name)));
    format!("{:>9} ago  {name}{}", time(now - failure.at), plain(first))
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
    match workers.iter().any(WorkerStatus::has_many_requests) {
        true => aligned(&rows, right),
        false => {
            let rows: Vec<_> = rows.into_iter().map(without_loops).collect();
            aligned(&rows, without_loops(right))
        }
    }
}

/// One line for each server that requests are passed on to.
fn servers(servers: &[ServerStatus]) -> Vec<String> {
    if servers.is_empty() {
        return Vec::new();
    }
    let heading = ["SERVER", "STATE", "IN FLIGHT", "REQUESTS", "FAILURES"].map(str::to_owned);
    let row = |server: &ServerStatus| {
        let state = server
            .failing_for
            .map(|since| format!("down for {}", time(since)));
        [
            plain(&server.address),
            state.unwrap_or_else(|| "up".to_owned()),
            server.in_flight.to_string(),
            server.requests.to_string(),
            server.failures.to_string(),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading)
        .chain(servers.iter().map(row))
        .collect();
    aligned(&rows, [false, false, true, true, true])
}

/// A row without the columns of workers with many requests.
fn without_loops<T>(row: [T; 10]) -> [T; 7] {
    let [pid, state, age, requests, _, _, _, memory, since, request] = row;
    [pid, state, age, requests, memory, since, request]
}

/// The age of a request, and its method and path.
fn now_on(current: &CurrentRequest) -> [String; 2] {
    let (method, path) = (plain(&current.method), plain(&current.path));
    let begun = match current.answered {
        true => " (its response has begun)",
        false => "",
    };
    [time(current.age), format!("{method} {path}{begun}")]
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
mod tests;
