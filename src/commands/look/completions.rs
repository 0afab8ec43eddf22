//! `completions SHELL`: a script by which a shell completes command lines.

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::{Shell, generate};

use crate::commands::look::help;
use crate::graph::entry::{
    Arguments, Commands, Entry, EntryKind, Options, WORDS, clap_command, no_options,
};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::program_options;
use crate::syntax::did_you_mean;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "completions",
    usage: "SHELL",
    summary: "Prints the command-line completions for a shell",
    help: "\
SHELL is `bash`, `elvish`, `fish`, `powershell` or `zsh`. Save the output for
bash as `~/.local/share/bash-completion/completions/runner`, for fish as
`~/.config/fish/completions/runner.fish`, and for zsh as `_runner` in a folder
of `fpath`. `make install` installs these three for all users.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |_, arguments| {
            let commands = arguments.commands;
            let shell = shell(arguments)?;
            Ok(action(ENTRY.name, move || {
                Ok(print(&script(commands, shell)))
            }))
        },
    },
};

/// What stands in the usage of commands behind which an application is named.
const APPLICATION: &str = "NAME_OR_URL";

fn shell(mut arguments: Arguments) -> Result<Shell, Failure> {
    let word = arguments.first("SHELL")?;
    arguments.finish()?;
    let Ok(shell) = Shell::from_str(&word.text, false) else {
        let names = shells();
        let hint = did_you_mean(&word.text, names.iter().map(String::as_str))
            .unwrap_or_else(|| format!("the shells are `{}`", names.join("`, `")));
        let message = format!("unknown shell `{}`", word.text);
        return Err(arguments.wrong(message, Some(hint)));
    };
    Ok(shell)
}

/// The completions for a shell.
fn script(commands: Commands, shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut whole_command(commands), "runner", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn shells() -> Vec<String> {
    Shell::value_variants()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// All commands with what may stand behind them.
fn whole_command(commands: Commands) -> clap::Command {
    let subcommands = commands.entries.iter();
    let subcommands = subcommands.filter(|entry| matches!(entry.kind, EntryKind::Command { .. }));
    program_options::options()
        .disable_help_subcommand(true)
        .subcommands(subcommands.map(|entry| with_words(commands, entry)))
}

/// A command that knows the words which may stand behind it, if they are few.
fn with_words(commands: Commands, entry: &Entry) -> clap::Command {
    let command = clap_command(entry);
    let name = |entry: &Entry| PossibleValue::new(entry.name);
    let words: Vec<PossibleValue> = if entry.usage.contains(APPLICATION) {
        let application = |entry: &&Entry| !matches!(entry.kind, EntryKind::Command { .. });
        commands
            .entries
            .iter()
            .filter(application)
            .map(name)
            .collect()
    } else if entry.name == ENTRY.name {
        let shells = Shell::value_variants().iter();
        shells.filter_map(ValueEnum::to_possible_value).collect()
    } else if entry.name == help::ENTRY.name {
        commands.entries.iter().map(name).collect()
    } else {
        // Files, which shells complete by themselves.
        return command.mut_arg(WORDS, |words| words.value_hint(clap::ValueHint::AnyPath));
    };
    command.mut_arg(WORDS, |arg| {
        arg.value_parser(PossibleValuesParser::new(words))
    })
}
