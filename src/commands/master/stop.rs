//! `stop FILE`: stops a running server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;

use crate::commands::master::locate_master::{NamedMaster, locate};
use crate::graph::entry::{Entry, EntryKind, Options, no_options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::supervisor::control::order::{Answer, Order};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "stop",
    usage: "[FILE]",
    summary: "Stops a running server and waits until it has ended",
    help: "\
The server finishes its requests, for `runner.stop_timeout` at most, as it does
on SIGTERM. The exit status is 1 if it was not running.

FILE is the same as for `status`.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: no_options,
        resolve: |scope, arguments| {
            let master = locate(scope, arguments)?;
            Ok(action(ENTRY.name, move || stop(&master)))
        },
    },
};

/// Time for the process to exit after it has closed its last connection.
const LAST_MOMENTS: Duration = Duration::from_secs(10);

fn stop(master: &NamedMaster) -> Result<ExitCode, Failure> {
    let mut client = master.connect()?;
    match client.ask(Order::Stop)? {
        // The process keeps the connection open until it exits.
        None => {}
        Some(Answer::Refused(reason)) => return Err(anyhow!(reason).into()),
        Some(Answer::Done(_) | Answer::Sockets(_)) => {
            return Err(anyhow!("the master's answer makes no sense").into());
        }
    }
    let gone = client.peer.is_none_or(|process| process.wait(LAST_MOMENTS));
    match gone {
        true => Ok(print(&format!("{} has ended\n", master.shown()))),
        false => Err(anyhow!("`{}` is still running", master.shown()).into()),
    }
}
