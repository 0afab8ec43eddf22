//! `status FILE`: shows the state of a running server.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{Arg, ArgAction};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::commands::json;
use crate::commands::master::locate_master::{NamedMaster, NotRunning, locate};
use crate::commands::master::{status_text, status_watch};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, format_option};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::interface::master_status::Status;
use crate::line::failure::Failure;
use crate::supervisor::control::order::Order;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "status",
    usage: "[--format FORMAT | --watch] [FILE]",
    summary: "Shows the state of a running server: workers, requests and queue",
    help: "\
FILE is what the server was started with: a file for `supervise`, or one that
sets `runner.supervise.pid_file` or `runner.status.url`. FILE may also be its
pid file or its control socket. Without FILE, the settings of `-c` and
`PEAK_CONFIG` count. The server answers at once, even if all its workers are
busy.

The exit status is 0 if requests can be answered, also while the server reloads
or all its workers are busy. It is 3 if they cannot: the server is not running,
not yet serving, or stopping; it has no worker and cannot start one; or it is a
program that `supervise` keeps running, and is down. It is 1 if FILE has
mistakes or the server does not reply.

With `--format json`, durations are in seconds, and points in time (`started`,
`at`, `until`, `expires`) are seconds since 1970. `version`, `pid`, `state`
(`starting`, `serving`, `reloading`, `stopping`), `started`, `uptime` and
`sockets` describe the master. Each of the `certificates` has its `names` and
when it `expires`. `connections` counts those that are `open`, the `idle` ones
among them, the `most` that may be open, and those that were `turned_away`, by
the reason (`max_per_address`, `max_connections`, `handshake`).

Each of the `workers` has `id`, `pid`, `state`, `age`, `requests` (answered so
far), `rss` (memory in bytes), `in_flight` (requests that it has to answer),
`web_sockets` (open ones), `lag` (how late its event loop is, by ASGI) and
`current`: the `method`, `path` and `age` of the request in each of its threads,
by ASGI of the oldest one, and whether it is `answered`: its response has begun,
and may wait for its client. Its state is `starting`, `idle`, `busy`,
`doomed` (its request is overdue) or `leaving`. Each of the `servers` behind an
`upstream` has `address`, `requests`, `in_flight`, and, while it does not
answer, how often in a row (`failures`) and for how long (`failing_for`). Where
there are several `applications`, each has `name`, `queue`, `totals` and
`back_off`, and workers, servers and failures say whose they are
(`application`). Each of the `programs` that are kept running has `command`,
`state` (`starting`, `running`, `waiting`), `pid` and `age` while it runs,
`wait` and `early_ends` while it waits for its next start, and `down`, the
reason, from its end until it works again.

`queue` has the `length` and the age of the `oldest` request that waits.
`delivering` counts finished responses that clients are still reading; no worker
is busy with them. `response_memory` is what responses take of the master's
memory, in bytes. `last_minute` has the number of `requests` that were answered,
their `rate` a second, and the times within which half (`p50`) and 99 % (`p99`)
of them were answered, from the arrival of the complete request to the head of
the response; the wait for a worker counts, the transfer to the client does not.
`totals` counts `requests`, those answered `bad_gateway` (502), `unavailable`
(503) and `gateway_timeout` (504), and the `deaths` and `recycled` of workers.
`refused` counts the requests that no application saw, by their status.
`reloads` counts those that `succeeded` and `failed`; the `last` one has `at`
and `failure`, the reason, if it failed. `back_off` has the time `until` which
no worker is started, and the number of `early_deaths` before it. `failures` are
the latest ones, with `at` and `what`. Totals and failures cover all reloads of
a master. They begin anew with a master that takes over from another: in a warm
restart, or when `runner` was replaced.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let format = format(&arguments)?;
            let master = locate(scope, arguments)?;
            Ok(action(ENTRY.name, move || show(&master, format)))
        },
    },
};

fn options(command: clap::Command) -> clap::Command {
    command.arg(format_option(&["text", "json"])).arg(
        Arg::new("watch")
            .short('w')
            .long("watch")
            .help("Update it each second, until q or Ctrl-C is pressed")
            .action(ArgAction::SetTrue),
    )
}

/// How a status is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusFormat {
    Text,
    Json,
    Watch,
}

fn format(arguments: &Arguments) -> Result<StatusFormat, Failure> {
    let as_json = arguments.format() == "json";
    match (as_json, arguments.options.get_flag("watch")) {
        (false, false) => Ok(StatusFormat::Text),
        (true, false) => Ok(StatusFormat::Json),
        (false, true) => Ok(StatusFormat::Watch),
        (true, true) => Err(arguments.wrong("`--watch` shows text, not JSON", None)),
    }
}

/// The exit status where requests cannot be answered: that of service managers for a service that is not active (LSB,
/// systemctl(1)).
const CANNOT_ANSWER: u8 = 3;

/// Asks the master for its status and shows it.
fn show(master: &NamedMaster, format: StatusFormat) -> Result<ExitCode, Failure> {
    let shown = match format {
        StatusFormat::Text | StatusFormat::Json => once(master, format == StatusFormat::Json),
        StatusFormat::Watch => watch(master),
    };
    match shown {
        Err(error) if error.is::<NotRunning>() => {
            // Reported as any other error, but for the exit status.
            let _ = Failure::World(error).report();
            Ok(ExitCode::from(CANNOT_ANSWER))
        }
        shown => Ok(shown?),
    }
}

/// Prints the status as it is now.
fn once(master: &NamedMaster, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = master.order(Order::Status)?;
    let status = read(&answer)?;
    let printed = print(&match as_json {
        true => json::document(&answer),
        false => text(&status, None),
    });
    Ok(match status.can_answer() {
        true => printed,
        false => ExitCode::from(CANNOT_ANSWER),
    })
}

/// Shows the status until the user has seen enough.
fn watch(master: &NamedMaster) -> anyhow::Result<ExitCode> {
    // A master that does not run is an error, not a picture.
    master.connect()?;
    let master = master.clone();
    status_watch::run(move |width| Ok(text(&read(&master.order(Order::Status)?)?, width)))
}

/// The status in a master's answer.
fn read(answer: &Json) -> anyhow::Result<Status> {
    Status::deserialize(answer).context("the master's answer makes no sense")
}

/// The status as a text, for a terminal of this width.
fn text(status: &Status, width: Option<usize>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0.0, |since| since.as_secs_f64());
    status_text::text(status, now, width)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value as Json;

    use super::ENTRY;
    use crate::interface::master_status::{
        ApplicationStatus, BackOff, CertificateStatus, CurrentRequest, LastReload, ProgramStatus,
        RecentFailure, ReloadCounts, ServerStatus, Status, WorkerStatus,
    };

    /// The names of all members of an object and of those in it.
    fn members(value: &Json, names: &mut BTreeSet<String>) {
        match value {
            Json::Object(object) => {
                for (name, value) in object {
                    names.insert(name.clone());
                    members(value, names);
                }
            }
            Json::Array(elements) => elements.iter().for_each(|one| members(one, names)),
            _ => {}
        }
    }

    #[test]
    fn the_manual_has_each_member_of_the_document() {
        let application = || Some(String::new());
        let all = Status {
            certificates: vec![CertificateStatus::default()],
            workers: vec![WorkerStatus {
                application: application(),
                current: vec![Some(CurrentRequest::default())],
                ..WorkerStatus::default()
            }],
            servers: vec![ServerStatus {
                application: application(),
                ..ServerStatus::default()
            }],
            applications: vec![ApplicationStatus::default()],
            programs: vec![ProgramStatus::default()],
            reloads: ReloadCounts {
                last: Some(LastReload::default()),
                ..ReloadCounts::default()
            },
            back_off: Some(BackOff::default()),
            failures: vec![RecentFailure::default()],
            ..Status::default()
        };
        let document = serde_json::to_value(&all).expect("JSON");
        let mut names = BTreeSet::new();
        members(&document, &mut names);
        let is_absent = |name: &&String| !ENTRY.help.contains(&format!("`{name}`"));
        let absent: Vec<&String> = names.iter().filter(is_absent).collect();
        assert!(absent.is_empty(), "not in `runner help status`: {absent:?}");
    }
}
