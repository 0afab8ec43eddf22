//! `completions SHELL`: a script by which a shell completes command lines.

use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::{Shell, generate};

use crate::cli;
use crate::command::arguments::{Arguments, Options, WORDS, clap_command};
use crate::command::failure::Failure;
use crate::command::graph::Node;
use crate::command::{COMMANDS, Entry, Kind, help, no_options};
use crate::syntax::did_you_mean;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "completions",
    usage: "SHELL",
    about: "Prints the completions of command lines for a shell",
    help: "\
SHELL is `bash`, `elvish`, `fish`, `powershell` or `zsh`. Where they belong: for
bash in `~/.local/share/bash-completion/completions/runner`, for fish in
`~/.config/fish/completions/runner.fish`, for zsh as `_runner` in a folder of its
`fpath`. `make install` installs these three for everybody.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |_, arguments| Ok(Node::Completions(resolve(arguments)?)),
    },
};

/// What stands in the usage of commands behind which an application is named.
const APPLICATION: &str = "NAME_OR_URL";

/// The completions for a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completions(Shell);

fn resolve(mut arguments: Arguments) -> Result<Completions, Failure> {
    let word = arguments.first("SHELL")?;
    arguments.finish()?;
    let Ok(shell) = Shell::from_str(&word.text, false) else {
        let names = shells();
        let hint = did_you_mean(&word.text, names.iter().map(String::as_str))
            .unwrap_or_else(|| format!("the shells are `{}`", names.join("`, `")));
        let message = format!("unknown shell `{}`", word.text);
        return Err(arguments.wrong(message, Some(hint)));
    };
    Ok(Completions(shell))
}

impl Completions {
    /// Prints them.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut script = Vec::new();
        generate(self.0, &mut whole_command(), "runner", &mut script);
        crate::command::print(&String::from_utf8_lossy(&script))
    }
}

fn shells() -> Vec<String> {
    Shell::value_variants()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// All commands with what may stand behind them.
fn whole_command() -> clap::Command {
    let commands = COMMANDS
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::Command { .. }));
    cli::options()
        .disable_help_subcommand(true)
        .subcommands(commands.map(with_words))
}

/// A command that knows the words which may stand behind it, if they are few.
fn with_words(entry: &Entry) -> clap::Command {
    let command = clap_command(entry);
    let name = |entry: &Entry| PossibleValue::new(entry.name);
    let words: Vec<PossibleValue> = if entry.usage.contains(APPLICATION) {
        let application = |entry: &&Entry| !matches!(entry.kind, Kind::Command { .. });
        COMMANDS.iter().filter(application).map(name).collect()
    } else if entry.name == ENTRY.name {
        let shells = Shell::value_variants().iter();
        shells.filter_map(ValueEnum::to_possible_value).collect()
    } else if entry.name == help::ENTRY.name {
        COMMANDS.iter().map(name).collect()
    } else {
        // Files, which shells complete by themselves.
        return command.mut_arg(WORDS, |words| words.value_hint(clap::ValueHint::AnyPath));
    };
    command.mut_arg(WORDS, |arg| {
        arg.value_parser(PossibleValuesParser::new(words))
    })
}
