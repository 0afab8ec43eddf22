//! The commands: a row of [`COMMANDS`] and a file each. `run` are those that start something, `look` those that read and
//! print, `master` those that speak with a running server, `edit` those that write files.

use crate::graph::entry::{Commands, Entry};
use edit::{fmt, init};
use look::{check, completions, eval, explain, graph, help, show};
use master::{reload, status, stop};
use run::{call, cgi, demo, exit, fastcgi, launch, run_ini, serve, supervise, wsgi};

pub mod edit;
pub mod look;
pub mod master;
pub mod run;

/// The built-in names, in the order in which they are shown.
pub static ENTRIES: &[Entry] = &[
    launch::ENTRY,
    serve::ENTRY,
    fastcgi::ENTRY,
    cgi::ENTRY,
    run_ini::ENTRY,
    supervise::ENTRY,
    status::ENTRY,
    reload::ENTRY,
    stop::ENTRY,
    graph::ENTRY,
    init::ENTRY,
    fmt::ENTRY,
    check::ENTRY,
    show::ENTRY,
    eval::ENTRY,
    explain::ENTRY,
    wsgi::ENTRY,
    demo::ENTRY,
    exit::TRUE,
    exit::FALSE,
    completions::ENTRY,
    help::ENTRY,
];

/// All that can be run.
pub const COMMANDS: Commands = Commands {
    entries: ENTRIES,
    call: call::node,
};
