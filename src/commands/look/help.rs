//! `help`, `--help` and the usage: which names can be run.

use std::io::Write;
use std::process::ExitCode;

use crate::commands::text_table;
use crate::graph::entry::{
    Arguments, Commands, Entry, EntryKind, Options, clap_command, no_options,
};
use crate::graph::node::action;
use crate::graph::report;
use crate::graph::{resolve, shortcuts};
use crate::line::failure::{Failure, WRONG_USAGE};
use crate::line::program_options;
use crate::line::scope::Scope;
use crate::line::word::Line;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "help",
    usage: "[NAME]",
    summary: "Prints help for all names that can be run, or for one of them",
    help: "\
Also lists the names that configuration files define, with what they stand for.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let text = requested(&scope, arguments)?;
            Ok(action(ENTRY.name, move || Ok(report::print(&text))))
        },
    },
};

fn requested(scope: &Scope, mut arguments: Arguments) -> Result<String, Failure> {
    let commands = arguments.commands;
    if arguments.line.words.is_empty() {
        return Ok(text(commands, Some(scope)));
    }
    let word = arguments.first("NAME")?;
    arguments.finish()?;
    let line = Line {
        words: vec![word],
        ..Line::default()
    };
    let entry = resolve::built_in(commands, scope, line)?;
    Ok(clap_command(entry).render_help().to_string())
}

/// The usage, the options and all names, with those of configuration files if they could be read.
fn text(commands: Commands, scope: Option<&Scope>) -> String {
    let mut text = program_options::command().render_help().to_string();
    let shortcuts = scope.map(|scope| shortcuts::shortcuts(&scope.configuration));
    let shortcuts = shortcuts.unwrap_or_default();
    // A redefined name is shown with its new meaning.
    let built_in = commands
        .entries
        .iter()
        .filter(|entry| shortcuts.iter().all(|shortcut| shortcut.name != entry.name))
        .map(|entry| [entry.name, entry.summary]);
    let defined = shortcuts
        .iter()
        .map(|shortcut| [shortcut.name.as_str(), shortcut.about.as_str()]);
    text.push_str("\nNames:\n");
    text.push_str(&text_table::names(&built_in.collect::<Vec<_>>()));
    if !shortcuts.is_empty() {
        text.push_str("\nNames from configuration files:\n");
        text.push_str(&text_table::names(&defined.collect::<Vec<_>>()));
    }
    text.push_str("\n`runner help NAME` says more about a name.\n");
    text
}

/// `--help`: printed even if the configuration files have mistakes, which are reported after it.
#[must_use]
pub fn print(commands: Commands, scope: Result<Scope, Failure>) -> ExitCode {
    let status = report::print(&text(commands, scope.as_ref().ok()));
    match scope {
        Ok(_) => status,
        Err(failure) => failure.report(),
    }
}

/// `runner` without arguments: the same on standard error, as wrong usage.
#[must_use]
pub fn complain(commands: Commands, scope: Result<Scope, Failure>) -> ExitCode {
    // If standard error is closed, the exit status remains.
    let _ = std::io::stderr()
        .lock()
        .write_all(text(commands, scope.as_ref().ok()).as_bytes());
    match scope {
        Ok(_) => ExitCode::from(WRONG_USAGE),
        Err(failure) => failure.report(),
    }
}
