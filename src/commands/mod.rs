//! The commands: a row of [`COMMANDS`] and a file each. `run` starts something, `applications` names what answers, `look` reads and prints, `master` asks a
//! running server, `edit` writes files.

use crate::graph::entry::{Commands, Entry};
use applications::{application_words, cgi_bin, files, fixed, upstream};
use edit::{export, fmt, import, init};
use look::{check, completions, eval, explain, graph, help, show};
use master::{reload, status, stop};
use run::{call, cgi, fastcgi, launch, run_ini, serve, supervise, true_false, uwsgi};

pub mod applications;
pub mod edit;
pub mod json;
pub mod look;
pub mod master;
pub mod run;
pub mod text_table;

/// The built-in names, in the order of the help.
pub static ENTRIES: &[Entry] = &[
    launch::ENTRY,
    serve::ENTRY,
    fastcgi::ENTRY,
    uwsgi::ENTRY,
    cgi::ENTRY,
    run_ini::ENTRY,
    supervise::ENTRY,
    status::ENTRY,
    reload::ENTRY,
    stop::ENTRY,
    graph::ENTRY,
    init::ENTRY,
    import::ENTRY,
    export::ENTRY,
    fmt::ENTRY,
    check::ENTRY,
    show::ENTRY,
    eval::ENTRY,
    explain::ENTRY,
    application_words::WSGI,
    application_words::ASGI,
    files::ENTRY,
    cgi_bin::ENTRY,
    fixed::REDIRECT,
    fixed::RESPOND,
    upstream::ENTRY,
    application_words::DEMO,
    true_false::TRUE,
    true_false::FALSE,
    completions::ENTRY,
    help::ENTRY,
];

/// Everything that can be run.
pub const COMMANDS: Commands = Commands {
    entries: ENTRIES,
    call: call::node,
};
