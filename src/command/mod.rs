//! Values to graph: what the words of a command line name. Gateways and applications meet here and
//! nowhere else. One file a command; [`COMMANDS`] lists them.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::graph::Node;
use crate::command::line::Scope;

pub mod arguments;
pub mod askers;
pub mod call;
pub mod cgi;
pub mod check;
pub mod completions;
pub mod discovery;
pub mod drawing;
pub mod eval;
pub mod exit;
pub mod explain;
pub mod failure;
pub mod fastcgi;
pub mod format;
pub mod front;
pub mod graph;
pub mod help;
pub mod identity;
pub mod init;
pub mod json;
pub mod launch;
pub mod line;
pub mod master;
pub mod names;
pub mod overview;
pub mod plan;
pub mod preparation;
pub mod report;
pub mod run_ini;
pub mod seating;
pub mod serve;
pub mod service;
pub mod serving;
pub mod settings;
pub mod show;
pub mod signals;
pub mod status;
pub mod stop;
pub mod supervise;
pub mod target;
pub mod temporary;
pub mod tree;
pub mod usage;
pub mod veil;
pub mod watch;
pub mod wsgi;

/// A name that is there from the start. Any layer of configuration can define it anew
/// (`peak.running.shortcuts.NAME`).
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What stands behind the name, for usage.
    pub usage: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What else there is to know, in paragraphs.
    pub help: &'static str,
    /// What may be done with the name.
    pub kind: Kind,
}

/// What may be done with a built-in name.
#[derive(Debug)]
pub enum Kind {
    /// It can be run.
    Command {
        /// Where its options may stand.
        options: Options,
        /// Adds its options.
        arguments: fn(clap::Command) -> clap::Command,
        /// Finds out what is to be run.
        resolve: fn(Scope, Arguments) -> Result<Node, Failure>,
    },
    /// It says what kind of application the name behind it is.
    Adapter,
    /// It is an application.
    Application,
}

/// The names that are there from the start, in the order in which they are shown.
pub static COMMANDS: &[Entry] = &[
    launch::ENTRY,
    serve::ENTRY,
    fastcgi::ENTRY,
    cgi::ENTRY,
    run_ini::ENTRY,
    supervise::ENTRY,
    status::ENTRY,
    stop::RELOAD,
    stop::STOP,
    tree::ENTRY,
    init::ENTRY,
    format::ENTRY,
    check::ENTRY,
    show::ENTRY,
    eval::ENTRY,
    explain::ENTRY,
    wsgi::WSGI,
    wsgi::DEMO,
    exit::TRUE,
    exit::FALSE,
    completions::ENTRY,
    help::ENTRY,
];

/// The built-in entry of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name == name)
}

/// For commands without options.
fn no_options(command: clap::Command) -> clap::Command {
    command
}

/// Prints a text. A reader that has gone away (`runner help | head`) is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let error = anyhow::Error::from(error).context("cannot write to standard output");
            Failure::World(error).report()
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
