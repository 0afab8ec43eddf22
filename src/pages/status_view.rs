//! The status as the page shows it: first whether it is well, then why not, then the figures. All texts are ready to be read;
//! the template escapes them.

use serde::Serialize;

use crate::interface::amounts::{by_status, short, significant, size, time};
use crate::interface::master_status::{
    ApplicationStatus, CertificateStatus, ProgramStatus, ServerStatus, Status, Totals, WorkerState,
    WorkerStatus,
};

/// A request that has taken this many seconds is pointed out.
const SLOW: f64 = 10.0;

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Wellness {
    Ok,
    Warn,
    Bad,
}

/// What the page shows.
#[derive(Debug, Serialize)]
pub(super) struct StatusView {
    title: String,
    level: Wellness,
    verdict: &'static str,
    about: String,
    sockets: Vec<String>,
    certificates: Vec<String>,
    troubles: Vec<String>,
    figures: Vec<Figure>,
    /// Workers have many requests at a time.
    loops: bool,
    workers: Vec<WorkerCard>,
    /// The applications, if there are several.
    applications: Vec<ApplicationLine>,
    servers: Vec<ProgramLine>,
    programs: Vec<ProgramLine>,
    totals: Vec<String>,
    failures: Vec<FailureLine>,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    more: String,
}

#[derive(Debug, Serialize)]
struct ApplicationLine {
    level: Wellness,
    name: String,
    about: String,
}

#[derive(Debug, Serialize)]
struct WorkerCard {
    /// The name of its application, if there are several.
    application: Option<String>,
    level: Wellness,
    state: &'static str,
    pid: String,
    age: String,
    served: u64,
    memory: String,
    in_flight: usize,
    web_sockets: usize,
    lag: String,
    requests: Vec<RunningRequest>,
}

#[derive(Debug, Serialize)]
struct RunningRequest {
    what: String,
    age: String,
    slow: bool,
}

#[derive(Debug, Serialize)]
struct ProgramLine {
    level: Wellness,
    command: String,
    state: String,
}

#[derive(Debug, Serialize)]
struct FailureLine {
    age: String,
    what: String,
}

/// What the page shows. `now` is in seconds since 1970.
pub(super) fn view(status: &Status, now: f64) -> StatusView {
    let troubles = troubles(status, now);
    let (level, verdict) = verdict(status, !troubles.is_empty());
    StatusView {
        title: format!("{verdict} - runner"),
        level,
        verdict,
        about: format!(
            "runner {}, process {}, {} for {}",
            status.version,
            status.pid,
            match &*status.state {
                "starting" => "starting",
                _ => "up",
            },
            time(status.uptime)
        ),
        sockets: status.sockets.clone(),
        certificates: status
            .certificates
            .iter()
            .map(|it| certificate(it, now))
            .collect(),
        troubles,
        figures: figures(status),
        loops: status.workers.iter().any(WorkerStatus::has_many_requests),
        workers: status.workers.iter().map(worker).collect(),
        applications: status.applications.iter().map(application).collect(),
        servers: status.servers.iter().map(server).collect(),
        programs: status.programs.iter().map(program).collect(),
        totals: totals(status, now),
        failures: status
            .failures
            .iter()
            .rev()
            .map(|failure| FailureLine {
                age: time(now - failure.at),
                what: match &failure.application {
                    Some(name) => format!("{name}: {}", failure.what),
                    None => failure.what.clone(),
                },
            })
            .collect(),
    }
}

/// How long a certificate is valid.
fn certificate(certificate: &CertificateStatus, now: f64) -> String {
    let (names, validity) = (certificate.names.join(", "), certificate.validity(now));
    format!("The certificate for {names} {validity}.")
}

/// Whether it is well, in a word.
fn verdict(status: &Status, has_troubles: bool) -> (Wellness, &'static str) {
    match &*status.state {
        "starting" => (Wellness::Bad, "Starting"),
        "stopping" => (Wellness::Bad, "Stopping"),
        _ if !status.can_answer() => (Wellness::Bad, "Cannot answer requests"),
        _ if !status.is_ready() => (Wellness::Bad, "No worker is ready"),
        "reloading" if !has_troubles => (Wellness::Ok, "Well, reloading"),
        _ if has_troubles => (Wellness::Warn, "Works, with troubles"),
        _ => (Wellness::Ok, "Well"),
    }
}

/// What is not as it should be, the worst first.
fn troubles(status: &Status, now: f64) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(back_off) = &status.back_off {
        let when = match back_off.until - now {
            left if left > 0.0 => format!("next attempt in {}", time(left)),
            _ => "trying again".to_owned(),
        };
        troubles.push(match back_off.early_deaths {
            1 => format!("The last worker died before its first answer; {when}."),
            count => format!("The last {count} workers died before their first answers; {when}."),
        });
    }
    if let Some(failure) = status.reloads.last.as_ref().and_then(|last| {
        let failure = last.failure.as_ref()?;
        Some(format!(
            "The last reload, {} ago, failed: {}",
            time(now - last.at),
            failure.strip_prefix("error: ").unwrap_or(failure)
        ))
    }) {
        troubles.push(failure);
    }
    let overdue = status.certificates.iter().filter(|it| it.is_overdue(now));
    troubles.extend(overdue.map(|it| certificate(it, now)));
    let programs = status.programs.iter();
    troubles.extend(programs.filter_map(|program| {
        let why = program.down.as_ref()?;
        Some(format!("`{}` is down: {why}", program.command))
    }));
    let servers = status.servers.iter();
    troubles.extend(servers.filter_map(|server| {
        let down = time(server.failing_for?);
        Some(format!("`{}` has been down for {down}.", server.address))
    }));
    if status.queue.length > 0 {
        let wait = status.queue.oldest.map_or(String::new(), |oldest| {
            format!(", the first for {}", time(oldest))
        });
        let wait = match status.queue.length {
            1 => format!("1 request waits for a worker{wait}."),
            count => format!("{count} requests wait for a worker{wait}."),
        };
        troubles.push(wait);
    }
    let slow = status
        .workers
        .iter()
        .flat_map(|it| it.current.iter().flatten());
    // A response takes as long as its client.
    let slow = slow.filter(|it| it.age >= SLOW && !it.answered);
    let slow: Vec<f64> = slow.map(|it| it.age).collect();
    if let Some(longest) = slow.iter().copied().reduce(f64::max) {
        troubles.push(match slow.len() {
            1 => format!("A request has been running for {}.", time(longest)),
            count => format!(
                "{count} requests have been running for up to {}.",
                time(longest)
            ),
        });
    }
    troubles
}

fn figures(status: &Status) -> Vec<Figure> {
    if status.sockets.is_empty() {
        // A server that listens nowhere gets no requests.
        return Vec::new();
    }
    let minute = &status.last_minute;
    let time_of = |time: Option<f64>| time.map_or("-".to_owned(), short);
    let workers = |state| status.workers.iter().filter(|it| it.state == state).count();
    let memory: u64 = status.workers.iter().filter_map(|worker| worker.rss).sum();
    let connections = &status.connections;
    let figure = |name, value, more| Figure { name, value, more };
    vec![
        figure(
            "Requests a second",
            significant(minute.rate),
            format!("{} in the last minute", minute.requests),
        ),
        figure(
            "Median time",
            time_of(minute.p50),
            "in the last minute".to_owned(),
        ),
        figure(
            "99 % within",
            time_of(minute.p99),
            "in the last minute".to_owned(),
        ),
        figure(
            "Waiting",
            status.queue.length.to_string(),
            match status.queue.oldest {
                Some(oldest) => format!("the first for {}", time(oldest)),
                None => "for a worker".to_owned(),
            },
        ),
        figure(
            "Workers busy",
            format!("{} of {}", workers(WorkerState::Busy), status.workers.len()),
            size(memory),
        ),
        figure(
            "Connections",
            connections.open.to_string(),
            format!("{} idle, {} at most", connections.idle, connections.most),
        ),
    ]
}

fn worker(worker: &WorkerStatus) -> WorkerCard {
    let requests = worker.current.iter().flatten();
    let requests: Vec<RunningRequest> = requests
        .map(|request| RunningRequest {
            what: match request.answered {
                true => format!(
                    "{} {} (its response has begun)",
                    request.method, request.path
                ),
                false => format!("{} {}", request.method, request.path),
            },
            age: time(request.age),
            slow: request.age >= SLOW,
        })
        .collect();
    let level = match worker.state {
        WorkerState::Doomed => Wellness::Bad,
        WorkerState::Starting | WorkerState::Leaving | WorkerState::Unknown => Wellness::Warn,
        WorkerState::Busy if requests.iter().any(|request| request.slow) => Wellness::Warn,
        WorkerState::Idle | WorkerState::Busy => Wellness::Ok,
    };
    WorkerCard {
        application: worker.application.clone(),
        level,
        state: worker.state.as_str(),
        pid: worker.pid.map_or("-".to_owned(), |pid| pid.to_string()),
        age: time(worker.age),
        served: worker.requests,
        memory: worker.rss.map_or("-".to_owned(), size),
        in_flight: worker.in_flight,
        web_sockets: worker.web_sockets,
        lag: worker.lag.map_or("-".to_owned(), short),
        requests,
    }
}

/// A server that requests are passed on to.
fn server(server: &ServerStatus) -> ProgramLine {
    let (level, state) = match server.failing_for {
        Some(down) => (Wellness::Bad, format!("down for {}", time(down))),
        None => (Wellness::Ok, "up".to_owned()),
    };
    let application = server.application.iter();
    let application: String = application.map(|name| format!("{name}: ")).collect();
    ProgramLine {
        level,
        command: format!("{application}{}", server.address),
        state: format!(
            "{state}, {} in flight, {} requests",
            server.in_flight, server.requests
        ),
    }
}

fn application(application: &ApplicationStatus) -> ApplicationLine {
    let ApplicationStatus {
        name,
        queue,
        totals,
        back_off,
    } = application;
    let mut about = match totals.requests {
        1 => "1 request".to_owned(),
        count => format!("{count} requests"),
    };
    let failed = totals.bad_gateway + totals.unavailable + totals.gateway_timeout;
    for (count, what) in [(failed, "not answered"), (queue.length as u64, "waiting")] {
        if count > 0 {
            about = format!("{about}, {count} {what}");
        }
    }
    if back_off.is_some() {
        about += ", workers die before their first answers";
    }
    ApplicationLine {
        level: match back_off {
            Some(_) => Wellness::Bad,
            None => Wellness::Ok,
        },
        name: name.clone(),
        about,
    }
}

fn program(program: &ProgramStatus) -> ProgramLine {
    let state = match (program.pid, program.age, program.wait) {
        (Some(pid), Some(age), _) => format!("process {pid}, for {}", time(age)),
        (_, _, Some(wait)) => format!(
            "ended soon after its start ({} in a row), next attempt in {}",
            program.early_ends,
            time(wait)
        ),
        _ => program.state.clone(),
    };
    ProgramLine {
        level: match program.down {
            Some(_) => Wellness::Bad,
            None => Wellness::Ok,
        },
        command: program.command.clone(),
        state,
    }
}

/// Totals, without those that are zero.
fn totals(status: &Status, now: f64) -> Vec<String> {
    let Totals {
        requests,
        bad_gateway,
        unavailable,
        gateway_timeout,
        deaths,
        recycled,
    } = &status.totals;
    let counted = |count: u64, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    let mut totals = vec![counted(*requests, "request", "requests")];
    for (count, one, more) in [
        (
            *bad_gateway,
            "was answered 502: its worker died",
            "were answered 502: their workers died",
        ),
        (
            *unavailable,
            "was answered 503: no worker was free",
            "were answered 503: no worker was free",
        ),
        (
            *gateway_timeout,
            "was answered 504: it took too long",
            "were answered 504: they took too long",
        ),
        (*deaths, "worker died", "workers died"),
        (*recycled, "worker was recycled", "workers were recycled"),
    ] {
        if count > 0 {
            totals.push(counted(count, one, more));
        }
    }
    if !status.refused.is_empty() {
        let refused = by_status(&status.refused);
        totals.push(format!(
            "Refused before the application saw them: {refused}"
        ));
    }
    if let Some(turned_away) = status.connections.turned_away.by_reason() {
        totals.push(format!("Connections turned away: {turned_away}"));
    }
    let reloads = &status.reloads;
    if let Some(last) = &reloads.last {
        let all = counted(reloads.succeeded + reloads.failed, "reload", "reloads");
        let failed = match reloads.failed {
            0 => String::new(),
            count => format!(", {count} failed"),
        };
        let ago = time(now - last.at);
        totals.push(format!("{all}{failed}; the last one {ago} ago"));
    }
    if status.delivering > 0 {
        totals.push(counted(
            status.delivering as u64,
            "response is on its way to its client",
            "responses are on their way to their clients",
        ));
    }
    totals
}

#[cfg(test)]
mod tests;
