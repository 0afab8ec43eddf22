//! `completions SHELL`: prints a script with which a shell completes command lines.

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
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

/// Part of the usage of each command that takes an application.
const APPLICATION: &str = "NAME_OR_URL";

const SHELLS: &[&str] = &["bash", "elvish", "fish", "powershell", "zsh"];

fn shell(mut arguments: Arguments) -> Result<Shell, Failure> {
    let word = arguments.first("SHELL")?;
    arguments.finish()?;
    let Ok(shell) = Shell::from_str(&word.text, false) else {
        let hint = did_you_mean(&word.text, SHELLS.iter().copied())
            .unwrap_or_else(|| format!("the shells are `{}`", SHELLS.join("`, `")));
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

/// All commands with the words that may follow them.
fn whole_command(commands: Commands) -> clap::Command {
    let subcommands = commands.entries.iter();
    let subcommands = subcommands.filter(|entry| matches!(entry.kind, EntryKind::Command { .. }));
    program_options::options()
        .disable_help_subcommand(true)
        .subcommands(subcommands.map(|entry| with_words(commands, entry)))
}

/// A command with the words that may follow it, if they are known.
fn with_words(commands: Commands, entry: &Entry) -> clap::Command {
    let command = clap_command(entry);
    let all = commands.entries.iter();
    let words: Vec<&str> = if entry.usage.contains(APPLICATION) {
        let application = |entry: &&Entry| !matches!(entry.kind, EntryKind::Command { .. });
        all.filter(application).map(|entry| entry.name).collect()
    } else if entry.name == ENTRY.name {
        SHELLS.to_vec()
    } else if entry.name == help::ENTRY.name {
        all.map(|entry| entry.name).collect()
    } else {
        // Shells complete files by themselves.
        return command.mut_arg(WORDS, |words| words.value_hint(clap::ValueHint::AnyPath));
    };
    command.mut_arg(WORDS, |arg| {
        arg.value_parser(PossibleValuesParser::new(words))
    })
}
