//! `help`, `--help`, and usage: what can be run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::cli;
use crate::command::arguments::{Arguments, Options, clap_command};
use crate::command::failure::{Failure, WRONG_USAGE};
use crate::command::graph::Node;
use crate::command::line::{Line, Scope};
use crate::command::{COMMANDS, Entry, Kind, graph, names, no_options};
use crate::config::Configuration;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "help",
    usage: "[NAME]",
    about: "Prints help, with all names that are available, or help for one of them",
    help: "\
Names that configuration files define are shown with what they stand for.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Node::Help(resolve(&scope, arguments)?)),
    },
};

/// Text for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help(String);

fn resolve(scope: &Scope, mut arguments: Arguments) -> Result<Help, Failure> {
    if arguments.line.words.is_empty() {
        return Ok(Help(text(Some(&scope.configuration))));
    }
    let word = arguments.first("NAME")?;
    arguments.finish()?;
    let line = Line {
        words: vec![word],
        ..Line::default()
    };
    let entry = graph::built_in(scope, line)?;
    Ok(Help(clap_command(entry).render_help().to_string()))
}

/// Usage, options and all names; those of configuration files too, if they could be read.
#[must_use]
pub fn text(configuration: Option<&Configuration>) -> String {
    let mut text = cli::command().render_help().to_string();
    let shortcuts = configuration.map(names::shortcuts).unwrap_or_default();
    // A name that is defined anew is shown with its new meaning.
    let built_in = COMMANDS
        .iter()
        .filter(|entry| shortcuts.iter().all(|shortcut| shortcut.name != entry.name))
        .map(|entry| (entry.name, entry.about));
    let defined = shortcuts
        .iter()
        .map(|shortcut| (shortcut.name.as_str(), shortcut.about.as_str()));
    text.push_str("\nNames:\n");
    table(&mut text, &built_in.collect::<Vec<_>>());
    if !shortcuts.is_empty() {
        text.push_str("\nNames from configuration files:\n");
        table(&mut text, &defined.collect::<Vec<_>>());
    }
    text.push_str("\n`runner help NAME` says more about a name.\n");
    text
}

/// Two columns.
pub fn table(text: &mut String, rows: &[(&str, &str)]) {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or_default();
    for (name, about) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:width$}  {about}");
    }
}

/// `--help`: works with configuration files that do not, too, and says what is wrong with them.
#[must_use]
pub fn print(scope: Result<Scope, Failure>) -> ExitCode {
    let status = crate::command::print(&text_of(&scope));
    match scope {
        Ok(_) => status,
        Err(failure) => failure.report(),
    }
}

/// `runner` alone: the same on standard error, as wrong usage.
#[must_use]
pub fn complain(scope: Result<Scope, Failure>) -> ExitCode {
    // Nobody reads it: the exit status has to do.
    let _ = std::io::stderr()
        .lock()
        .write_all(text_of(&scope).as_bytes());
    match scope {
        Ok(_) => ExitCode::from(WRONG_USAGE),
        Err(failure) => failure.report(),
    }
}

fn text_of(scope: &Result<Scope, Failure>) -> String {
    text(scope.as_ref().ok().map(|scope| &*scope.configuration))
}

impl Help {
    /// Prints it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        crate::command::print(&self.0)
    }
}
