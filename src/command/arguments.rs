//! The options and words of one command, by clap; each word keeps the place where it was written.

use clap::{Arg, ArgAction, ArgMatches};

use crate::command::failure::Failure;
use crate::command::line::{Line, Word};
use crate::command::usage::Usage;
use crate::command::{Entry, Kind};

/// The name under which clap keeps the words that are no options.
pub const WORDS: &str = "words";

/// What stands behind a command's name.
#[derive(Debug)]
pub struct Arguments {
    /// The command.
    pub entry: &'static Entry,
    /// Its options.
    pub options: ArgMatches,
    /// The other words.
    pub line: Line,
    /// What stands behind a `--`, if the command's options may stand anywhere before it.
    pub behind: Vec<Word>,
}

/// Where a command's options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Options {
    /// Before its first word only: everything behind it belongs to somebody else.
    BeforeWords,
    /// Anywhere before a `--`, so that `./app -p 9000` works through an alias.
    BeforeDashes,
}

/// A command as clap, help and man page know it.
#[must_use]
pub fn clap_command(entry: &Entry) -> clap::Command {
    let name = format!("runner {}", entry.name);
    let command = clap::Command::new(entry.name)
        .display_name(name.clone())
        .bin_name(name.clone())
        .about(entry.about)
        .after_help(entry.help)
        .override_usage(usage(entry))
        .disable_help_flag(true)
        // What an alias says is overridden by what is typed behind it.
        .args_override_self(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .help("Print help")
                .action(ArgAction::HelpShort),
        )
        .arg(
            Arg::new(WORDS)
                .num_args(0..)
                .hide(true)
                .trailing_var_arg(options(entry) == Options::BeforeWords),
        );
    match entry.kind {
        Kind::Command { arguments, .. } => arguments(command),
        Kind::Adapter | Kind::Application => command,
    }
}

/// How a command is used, in one line.
fn usage(entry: &Entry) -> String {
    let usage = format!("runner {} {}", entry.name, entry.usage);
    usage.trim_end().to_owned()
}

fn options(entry: &Entry) -> Options {
    match entry.kind {
        Kind::Command { options, .. } => options,
        Kind::Adapter | Kind::Application => Options::BeforeWords,
    }
}

/// Takes the words behind a command's name apart.
///
/// # Errors
/// Wrong usage, and `--help`.
pub fn parse(entry: &'static Entry, mut line: Line) -> Result<Arguments, Failure> {
    let behind = match options(entry) {
        Options::BeforeWords => Vec::new(),
        Options::BeforeDashes => match line.words.iter().position(|word| word.text == "--") {
            Some(dashes) => line.words.split_off(dashes).split_off(1),
            None => Vec::new(),
        },
    };
    let texts = line.words.iter().map(|word| word.text.clone());
    let mut matches = clap_command(entry)
        .no_binary_name(true)
        .try_get_matches_from(texts)
        .map_err(|error| Failure::of_options(error, &line.words, usage(entry)))?;
    let mut given = std::mem::take(&mut line.words).into_iter();
    line.words = matches
        .remove_many::<String>(WORDS)
        .into_iter()
        .flatten()
        // Clap keeps the order, so each word is found among those that were not looked at yet.
        .filter_map(|text| given.by_ref().find(|word| word.text == text))
        .collect();
    Ok(Arguments {
        entry,
        options: matches,
        line,
        behind,
    })
}

impl Arguments {
    /// Wrong usage of this command.
    #[must_use]
    pub fn wrong(&self, message: impl Into<String>, hint: Option<String>) -> Failure {
        Usage::wrong(message, hint, usage(self.entry)).into()
    }

    /// Wrong usage of this command that further words could mend.
    #[must_use]
    pub fn missing(&self, wanted: &str) -> Failure {
        Usage::missing(wanted, usage(self.entry)).into()
    }

    /// A word that nobody takes.
    #[must_use]
    pub fn unexpected(&self, word: &Word, hint: Option<String>) -> Failure {
        let message = format!("unexpected argument `{}`", word.text);
        let wrong = Usage::wrong(message, hint, usage(self.entry));
        wrong.at(word).into()
    }

    /// Takes the first word.
    ///
    /// # Errors
    /// There is none: wrong usage, since `wanted` is missing.
    pub fn first(&mut self, wanted: &str) -> Result<Word, Failure> {
        if self.line.words.is_empty() {
            return Err(self.missing(wanted));
        }
        Ok(self.line.words.remove(0))
    }

    /// Makes sure that there are no more words.
    ///
    /// # Errors
    /// There is one: wrong usage.
    pub fn finish(&self) -> Result<(), Failure> {
        let Some(word) = self.line.words.first() else {
            return Ok(());
        };
        let hint = match options(self.entry) {
            Options::BeforeWords => None,
            Options::BeforeDashes => {
                Some("arguments for the application stand behind `--`".to_owned())
            }
        };
        Err(self.unexpected(word, hint))
    }
}
