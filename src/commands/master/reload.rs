//! `reload FILE`: has a running server read its configuration and application anew.

use crate::commands::master::locate_master::locate;
use crate::graph::entry::{Entry, EntryKind, Options, no_options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::supervisor::control::order::Order;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "reload",
    usage: "[FILE]",
    summary: "Has a running server read its configuration and application anew",
    help: "\
The new version is started beside the old one, and takes over when it is ready:
no request is lost. If it cannot be started, the old one goes on; what is wrong
is printed, and the exit status is 1. SIGHUP to the server does the same.

FILE is what `status` takes.",
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
