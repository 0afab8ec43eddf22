//! `reload FILE`: reloads the configuration and application of a running server.

use crate::commands::master::locate_master::locate;
use crate::graph::entry::{Entry, EntryKind, Options, no_options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::supervisor::control::order::Order;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "reload",
    usage: "[FILE]",
    summary: "Reloads the configuration and application of a running server",
    help: "\
The new version starts beside the old one and takes over once it is ready, so no
request is lost. If it cannot start, the old version continues, the reason is
printed, and the exit status is 1. SIGHUP to the server does the same.

FILE is the same as for `status`.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: no_options,
        resolve: |scope, arguments| {
            let master = locate(scope, arguments)?;
            Ok(action(ENTRY.name, move || {
                master.order(Order::Reload)?;
                let text = format!("{} serves the new version\n", master.shown());
                Ok(print(&text))
            }))
        },
    },
};
