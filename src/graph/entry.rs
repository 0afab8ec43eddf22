//! The rows of the table of commands, and the words behind the name of a command, parsed by clap. Each word keeps the
//! place where it was written.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use crate::graph::node::Node;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::usage::Usage;
use crate::line::word::{Line, Origin, Word};
use crate::plan::application::{BuiltIn, PythonInterface};

/// A built-in name. Any layer of configuration can redefine it (`peak.running.shortcuts.NAME`).
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// The words behind the name, for usage.
    pub usage: &'static str,
    /// What it does, in one line of at most 70 characters.
    pub summary: &'static str,
    /// The rest of its help, in paragraphs of at most 80 columns.
    pub help: &'static str,
    /// What the name can be used for.
    pub kind: EntryKind,
}

/// What a built-in name can be used for.
#[derive(Debug)]
pub enum EntryKind {
    /// It can be run.
    Command {
        /// Where its options may stand.
        options: Options,
        /// Adds its options.
        arguments: fn(clap::Command) -> clap::Command,
        /// Makes the node of the graph.
        resolve: fn(Scope, Arguments) -> Result<Box<dyn Node>, Failure>,
    },
    /// It says what kind of application the name behind it is.
    Adapter(PythonInterface),
    /// It is an application.
    Application {
        /// Adds its options.
        arguments: fn(clap::Command) -> clap::Command,
        /// Makes the application of the words behind it, and leaves those that are not its own.
        name: fn(&Scope, &mut Arguments) -> Result<BuiltIn, Failure>,
    },
}

/// All that can be run.
#[derive(Clone, Copy, Debug)]
pub struct Commands {
    /// The built-in names, in the order in which they are shown.
    pub entries: &'static [Entry],
    /// Makes the node that calls a Python object with arguments: `import:package.module.object ARGS…`. The name of the
    /// object was written at the origin.
    pub call: fn(Scope, Target, Origin, Vec<OsString>) -> Box<dyn Node>,
}

impl Commands {
    /// The row of a name.
    #[must_use]
    pub fn find(self, name: &str) -> Option<&'static Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// The name under which clap keeps the words that are no options.
pub const WORDS: &str = "words";

/// The word before those of a program that runner is to start.
pub const EXEC: &str = "exec:";

/// The option for the format of what a command prints.
const FORMAT: &str = "format";

/// The options and words behind the name of a command.
#[derive(Debug)]
pub struct Arguments {
    /// All commands.
    pub commands: Commands,
    /// The command.
    pub entry: &'static Entry,
    /// Its options.
    pub options: ArgMatches,
    /// The other words.
    pub line: Line,
    /// The file whose `#!` line has these words. If that line has the command alone, the file is the first word instead.
    pub script: Option<Word>,
    /// The words behind `--`, if options may stand anywhere before it.
    pub behind: Vec<Word>,
    /// All words as they were given, but for those.
    given: Vec<Word>,
}

/// Where a command's options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Options {
    /// Before its first word only: the words behind it belong to another command or to the application.
    BeforeWords,
    /// Anywhere before a `--`, so that `./app -p 9000` works through an alias.
    BeforeDashes,
}

/// A command for the parser, for help and for the man page.
#[must_use]
pub fn clap_command(entry: &Entry) -> clap::Command {
    let name = format!("runner {}", entry.name);
    let command = clap::Command::new(entry.name)
        .display_name(name.clone())
        .bin_name(name.clone())
        .about(entry.summary)
        .after_help(entry.help)
        .override_usage(usage(entry))
        .disable_help_flag(true)
        // Typed options override those of an alias.
        .args_override_self(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .help("Print help")
                .action(ArgAction::HelpShort),
        )
        .arg(Arg::new(WORDS).num_args(0..).hide(true));
    match entry.kind {
        EntryKind::Command { arguments, .. } | EntryKind::Application { arguments, .. } => {
            arguments(command)
        }
        EntryKind::Adapter(_) => command,
    }
}

/// The usage line of a command.
fn usage(entry: &Entry) -> String {
    let usage = format!("runner {} {}", entry.name, entry.usage);
    usage.trim_end().to_owned()
}

fn options(entry: &Entry) -> Options {
    match entry.kind {
        EntryKind::Command { options, .. } => options,
        EntryKind::Adapter(_) => Options::BeforeWords,
        EntryKind::Application { .. } => Options::BeforeDashes,
    }
}

/// Parses the words behind the name of a command.
///
/// # Errors
/// Wrong usage, and `--help`.
pub fn parse(commands: Commands, entry: &'static Entry, line: Line) -> Result<Arguments, Failure> {
    parse_where(commands, entry, options(entry), line)
}

/// Parses the words behind the name of an application, whose options may stand at a place.
///
/// # Errors
/// Wrong usage, and `--help`.
pub fn parse_application(
    commands: Commands,
    entry: &'static Entry,
    place: Options,
    line: Line,
) -> Result<Arguments, Failure> {
    if has_options(entry) {
        return parse_where(commands, entry, place, line);
    }
    Ok(Arguments {
        commands,
        entry,
        options: ArgMatches::default(),
        line,
        script: None,
        behind: Vec::new(),
        given: Vec::new(),
    })
}

/// Whether there are options behind a name besides `--help`.
fn has_options(entry: &Entry) -> bool {
    let of_all = ["help", WORDS];
    let command = clap_command(entry);
    command
        .get_arguments()
        .any(|argument| !of_all.contains(&argument.get_id().as_str()))
}

fn parse_where(
    commands: Commands,
    entry: &'static Entry,
    place: Options,
    mut line: Line,
) -> Result<Arguments, Failure> {
    let is_application = matches!(entry.kind, EntryKind::Application { .. });
    let program = take_program(commands, is_application, &mut line.words);
    let behind = match place {
        Options::BeforeWords => Vec::new(),
        Options::BeforeDashes => match line.words.iter().position(|word| word.text == "--") {
            Some(dashes) => line.words.split_off(dashes).split_off(1),
            None => Vec::new(),
        },
    };
    let command = clap_command(entry).mut_arg(WORDS, |words| {
        words.trailing_var_arg(place == Options::BeforeWords)
    });
    let others = match place {
        Options::BeforeWords => Vec::new(),
        // Behind an application of its own options stands no other: `cgi-bin cgi-bin` names a folder.
        Options::BeforeDashes if is_application => Vec::new(),
        Options::BeforeDashes => take_options_of_application(commands, &command, &mut line.words),
    };
    let texts = joined_numbers(&command, &line.words);
    let mut matches = command
        .no_binary_name(true)
        .try_get_matches_from(texts)
        .map_err(|error| Failure::of_options(error, &line.words, usage(entry)))?;
    let given = std::mem::take(&mut line.words);
    let mut rest = given.iter();
    line.words = matches
        .remove_many::<String>(WORDS)
        .into_iter()
        .flatten()
        // clap keeps the order, so each word is found among the words that were not looked at yet.
        .filter_map(|text| rest.by_ref().find(|word| word.text == text).cloned())
        .chain(others)
        .chain(program)
        .collect();
    let is_first = line
        .words
        .first()
        .is_some_and(|word| word.origin == Origin::Script);
    let script = (!is_first).then(|| line.take_script()).flatten();
    Ok(Arguments {
        commands,
        entry,
        options: matches,
        line,
        script,
        behind,
        given,
    })
}

/// Takes out the word [`EXEC`] behind the name of an application, and the words of the program behind it, in which nothing is
/// an option of ours. The words of the program end where the alias does that has them: `./app.ini -p 9000` is about the server.
fn take_program(commands: Commands, is_application: bool, words: &mut Vec<Word>) -> Vec<Word> {
    let Some(exec) = words.iter().position(|word| word.text == EXEC) else {
        return Vec::new();
    };
    let mut before = words[..exec].iter();
    if !is_application && !before.any(|word| is_application_with_options(commands, word)) {
        return Vec::new();
    }
    let alias = words[exec].origin.property();
    let own = words[exec..].iter();
    let count = own
        .take_while(|word| word.origin.property() == alias)
        .count();
    words.drain(exec..exec + count).collect()
}

/// Whether a word is the name of an application that has options.
fn is_application_with_options(commands: Commands, word: &Word) -> bool {
    let entry = commands.find(&word.text);
    entry.is_some_and(|entry| {
        matches!(entry.kind, EntryKind::Application { .. }) && has_options(entry)
    })
}

/// Takes out the words behind the name of an application that has options: they are the application's, but for those that
/// are options of the command, which may stand anywhere.
fn take_options_of_application(
    commands: Commands,
    command: &clap::Command,
    words: &mut Vec<Word>,
) -> Vec<Word> {
    let is_application = |word: &Word| is_application_with_options(commands, word);
    let Some(at) = words.iter().position(is_application) else {
        return Vec::new();
    };
    let mut others = Vec::new();
    let mut behind = words.split_off(at + 1).into_iter();
    while let Some(word) = behind.next() {
        let Some(takes_next) = own_option(command, &word.text) else {
            others.push(word);
            continue;
        };
        words.push(word);
        if takes_next {
            words.extend(behind.next());
        }
    }
    others
}

/// The texts of words for clap, which takes no word with a dash for a value: `--health-interval -1s` is given to it as
/// `--health-interval=-1s`, since no option begins with a digit.
fn joined_numbers(command: &clap::Command, words: &[Word]) -> Vec<String> {
    let is_number = |word: &Word| {
        let digits = word.text.strip_prefix('-');
        digits.is_some_and(|digits| digits.starts_with(|first: char| first.is_ascii_digit()))
    };
    let mut texts: Vec<String> = Vec::new();
    let mut wants_value = false;
    for word in words {
        let name = texts
            .last_mut()
            .filter(|name| wants_value && is_number(word) && name.starts_with("--"));
        wants_value = name.is_none() && own_option(command, &word.text) == Some(true);
        match name {
            Some(name) => *name = format!("{name}={}", word.text),
            None => texts.push(word.text.clone()),
        }
    }
    texts
}

/// Whether a word is an option of a command, and then whether the next word is its value.
fn own_option(command: &clap::Command, word: &str) -> Option<bool> {
    let (argument, has_value) = if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long
            .split_once('=')
            .map_or((long, None), |(name, value)| (name, Some(value)));
        let argument = command
            .get_arguments()
            .find(|it| it.get_long() == Some(name));
        (argument?, value.is_some())
    } else {
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next()?;
        let argument = command
            .get_arguments()
            .find(|it| it.get_short() == Some(letter));
        (argument?, letters.next().is_some())
    };
    Some(argument.get_action().takes_values() && !has_value)
}

impl Arguments {
    /// Wrong usage of this command.
    #[must_use]
    pub fn wrong(&self, message: impl Into<String>, hint: Option<String>) -> Failure {
        Usage::wrong(message, hint, usage(self.entry)).into()
    }

    /// Wrong usage of this command because a word is missing.
    #[must_use]
    pub fn missing(&self, wanted: &str) -> Failure {
        Usage::missing(wanted, usage(self.entry)).into()
    }

    /// A word that the command does not take.
    #[must_use]
    pub fn unexpected(&self, word: &Word, hint: Option<String>) -> Failure {
        let message = format!("unexpected argument `{}`", word.text);
        let wrong = Usage::wrong(message, hint, usage(self.entry));
        wrong.at(word).into()
    }

    /// The word with the value of an option: that behind `--option`, or all of `--option=value`.
    #[must_use]
    pub fn value(&self, option: &str, value: &str) -> Option<&Word> {
        let is_option = |word: &Word| word.text.strip_prefix("--") == Some(option);
        let joined = format!("--{option}={value}");
        let mut words = self.given.iter().zip(self.given.iter().skip(1));
        let behind = words.find(|(before, word)| is_option(before) && word.text == value);
        let behind = behind.map(|(_, word)| word);
        behind.or_else(|| self.given.iter().find(|word| word.text == joined))
    }

    /// Wrong usage of this command because of the value of an option.
    #[must_use]
    pub fn wrong_value(
        &self,
        option: &str,
        value: &str,
        wrong: (String, Option<String>),
    ) -> Failure {
        let (message, hint) = wrong;
        let wrong = Usage::wrong(message, hint, usage(self.entry));
        match self.value(option, value) {
            Some(word) => wrong.at(word).into(),
            None => wrong.into(),
        }
    }

    /// The options that were given, as they can be written, if they are those of a name.
    #[must_use]
    pub fn options_of(&self, name: &str) -> Vec<String> {
        let mut words = Vec::new();
        for argument in clap_command(self.entry).get_arguments() {
            let id = argument.get_id().as_str();
            let is_given = self.entry.name == name
                && self.options.ids().any(|known| known == id)
                && self.options.value_source(id) == Some(ValueSource::CommandLine);
            let Some(option) = argument.get_long().filter(|_| is_given) else {
                continue;
            };
            let is_joined = argument.is_require_equals_set();
            let values = self.options.get_raw(id).into_iter().flatten();
            for value in values.map(OsStr::to_string_lossy) {
                match argument.get_action().takes_values() {
                    true if is_joined => words.push(format!("--{option}={value}")),
                    true => words.extend([format!("--{option}"), value.into_owned()]),
                    false => words.push(format!("--{option}")),
                }
            }
        }
        words
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

    /// The value of `--format`, which [`format_option`] adds.
    #[must_use]
    pub fn format(&self) -> &str {
        let format = self.options.get_one::<String>(FORMAT);
        format.map_or("", String::as_str)
    }

    /// Checks that there are no more words.
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

/// For commands without options.
#[must_use]
pub fn no_options(command: clap::Command) -> clap::Command {
    command
}

/// `--format`, whose first value is the default.
#[must_use]
pub fn format_option(formats: &'static [&'static str]) -> Arg {
    Arg::new(FORMAT)
        .long(FORMAT)
        .value_name("FORMAT")
        .help("Output format")
        .value_parser(PossibleValuesParser::new(formats))
        .default_value(formats[0])
}

/// An option with a value.
#[must_use]
pub fn value_option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// An option whose value is a whole number of a range.
#[must_use]
pub fn number_option(name: &'static str, help: &'static str, range: RangeInclusive<usize>) -> Arg {
    value_option(name, "N", help).value_parser(move |text: &str| {
        let number = text.parse().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (first, last) = (range.start(), range.end());
                format!("a whole number from {first} to {last}")
            })
    })
}

/// An option without a value.
#[must_use]
pub fn flag_option(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}
