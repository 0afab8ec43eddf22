//! `explain [NAME]`: what a setting, a function, a name of the language or a command is. It reads the tables
//! that the program itself works by.

use std::fmt::Write;

use textwrap::Options as Wrap;

use crate::commands::text_table;
use crate::config::{KEYS, Key, SETTINGS, SHORT, SPECIAL, Setting, Special};
use crate::eval::{CONSTANTS, Constant, FUNCTIONS, Function};
use crate::graph::entry::{
    Arguments, Commands, Entry, EntryKind, Options, clap_command, no_options,
};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::graph::shortcuts::{Shortcut, shortcuts};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::syntax::{self as grammar, KEYWORDS, nearest};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "explain",
    usage: "[NAME]",
    summary: "Explains a setting, function, section or command, or lists them all",
    help: "\
For a setting: what it takes, its default and an example. For a function: its
parameters and an example. NAME may also be a special section (`Load Settings
From`) or a word of expressions (`lambda`), the last part of a name (`timeout`),
or its beginning (`runner.workers`), which lists what there is.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let text = explanation(&scope, arguments)?;
            Ok(action(ENTRY.name, move || Ok(print(&text))))
        },
    },
};

/// Something that has a name.
enum Topic<'a> {
    Setting(&'static Setting),
    /// A key of a file for `supervise`.
    Key(&'static Key),
    Function(&'static Function),
    Constant(&'static Constant),
    Word(&'static grammar::Keyword),
    Section(&'static Special),
    Command(&'static Entry),
    /// A name that configuration files define.
    Shortcut(&'a Shortcut),
}

/// Columns of the text.
const WIDTH: usize = 80;

fn explanation(scope: &Scope, mut arguments: Arguments) -> Result<String, Failure> {
    let shortcuts = shortcuts(&scope.configuration);
    let topics = topics(arguments.commands, &shortcuts);
    if arguments.line.words.is_empty() {
        return Ok(list(&topics.iter().collect::<Vec<_>>()));
    }
    let word = arguments.first("NAME")?;
    // The names of sections have blanks.
    let further = std::mem::take(&mut arguments.line.words);
    let words = std::iter::once(&word).chain(&further);
    let name = words.map(|word| word.text.as_str()).collect::<Vec<_>>();
    let name = name.join(" ");
    match &find(&topics, &name)[..] {
        [] => {
            let message = format!("nothing is called `{name}`");
            let hint = Some(suggest(&topics, &name));
            Err(scope.mistake(&word.origin, message, hint))
        }
        [only] => Ok(only.explain()),
        // The same name for several things.
        several if several.iter().all(|topic| is_whole(topic, &name)) => {
            let texts = several.iter().map(|topic| topic.explain());
            Ok(texts.collect::<Vec<_>>().join("\n"))
        }
        several => Ok(list(several)),
    }
}

/// Whether a topic is called so, rather than a part of its name.
fn is_whole(topic: &Topic<'_>, word: &str) -> bool {
    match topic {
        Topic::Key(key) => key.name.eq_ignore_ascii_case(word),
        Topic::Section(section) => {
            let plain = word.trim_start_matches('[').trim_end_matches(']');
            section.name.eq_ignore_ascii_case(plain)
        }
        other => other.name() == word,
    }
}

/// Everything that has a name, in the order in which it is listed.
fn topics(commands: Commands, shortcuts: &[Shortcut]) -> Vec<Topic<'_>> {
    let redefined = |entry: &&Entry| shortcuts.iter().all(|own| own.name != entry.name);
    let settings = SETTINGS.iter().map(Topic::Setting);
    settings
        .chain(KEYS.iter().map(Topic::Key))
        .chain(FUNCTIONS.iter().map(Topic::Function))
        .chain(CONSTANTS.iter().map(Topic::Constant))
        .chain(KEYWORDS.iter().map(Topic::Word))
        .chain(SPECIAL.iter().map(Topic::Section))
        .chain(
            commands
                .entries
                .iter()
                .filter(redefined)
                .map(Topic::Command),
        )
        .chain(shortcuts.iter().map(Topic::Shortcut))
        .collect()
}

/// What a word may mean: what is called so; or else what ends or begins so.
fn find<'a>(topics: &'a [Topic<'a>], word: &str) -> Vec<&'a Topic<'a>> {
    let long = SHORT
        .iter()
        .find(|(short, _)| *short == word)
        .map_or(word, |(_, long)| long);
    let exact: Vec<&Topic> = topics
        .iter()
        .filter(|topic| is_whole(topic, long))
        .collect();
    if !exact.is_empty() {
        return exact;
    }
    let prefix = word.trim_end_matches('*').trim_end_matches('.');
    let part = |topic: &&Topic| {
        let name = topic.name();
        let rest = name.strip_prefix(prefix);
        name.rsplit('.').next() == Some(word) || rest.is_some_and(|rest| rest.starts_with('.'))
    };
    topics.iter().filter(part).collect()
}

fn suggest(topics: &[Topic<'_>], word: &str) -> String {
    let names = || topics.iter().map(Topic::name);
    if let Some(meant) = nearest(word, names()) {
        return format!("did you mean `{meant}`?");
    }
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let parts: Vec<String> = names().filter_map(last).collect();
    let meant = last(word).and_then(|word| {
        let meant = nearest(&word, parts.iter().map(String::as_str))?;
        names().find(|name| name.rsplit('.').next() == Some(meant))
    });
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`runner explain` lists all names".to_owned(),
    }
}

/// Tables of several topics, one a kind.
fn list(topics: &[&Topic<'_>]) -> String {
    let mut text = String::new();
    let mut start = 0;
    while let Some(first) = topics.get(start) {
        let heading = first.heading();
        let same = topics[start..]
            .iter()
            .take_while(|topic| topic.heading() == heading);
        let rows: Vec<[&str; 2]> = same.map(|topic| [topic.name(), topic.about()]).collect();
        start += rows.len();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{heading}:");
        text.push_str(&text_table::names(&rows));
        text.push('\n');
    }
    text.push_str("`runner explain NAME` says more about a name.\n");
    text
}

impl Topic<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Setting(setting) => setting.name,
            Self::Key(key) => key.name,
            Self::Function(function) => function.name,
            Self::Constant(constant) => constant.name,
            Self::Word(word) => word.name,
            Self::Section(section) => section.name,
            Self::Command(entry) => entry.name,
            Self::Shortcut(shortcut) => &shortcut.name,
        }
    }

    fn heading(&self) -> &'static str {
        match self {
            Self::Setting(_) => "Settings",
            Self::Key(_) => "Keys of files for `supervise`",
            Self::Function(_) => "Functions",
            Self::Constant(_) => "Names in expressions",
            Self::Word(_) => "Words in expressions",
            Self::Section(_) => "Special sections",
            Self::Command(_) => "Commands",
            Self::Shortcut(_) => "Names from configuration files",
        }
    }

    /// In one line.
    fn about(&self) -> &str {
        match self {
            Self::Setting(setting) => setting.summary,
            Self::Key(key) => key.setting().summary,
            Self::Function(function) => first_sentence(function.help),
            Self::Constant(constant) => first_sentence(constant.help),
            Self::Word(word) => first_sentence(word.help),
            Self::Section(section) => first_sentence(section.help),
            Self::Command(entry) => entry.summary,
            Self::Shortcut(shortcut) => &shortcut.about,
        }
    }

    fn explain(&self) -> String {
        let mut rows: Vec<(&str, String)> = Vec::new();
        let (title, about) = match self {
            Self::Setting(setting) => {
                rows.push(("takes", setting.kind.written()));
                rows.push((
                    "default",
                    setting
                        .default_text()
                        .unwrap_or_else(|| "not set".to_owned()),
                ));
                rows.push(("example", setting.example.to_owned()));
                (format!("setting `{}`", setting.name), setting.help)
            }
            Self::Key(key) => {
                let default = key.default_text();
                rows.push(("takes", key.written()));
                rows.push(("default", default.unwrap_or_else(|| "not set".to_owned())));
                rows.push(("setting", key.setting.to_owned()));
                rows.push(("example", key.example.to_owned()));
                (format!("key `{}`", key.name), key.setting().help)
            }
            Self::Function(function) => {
                let (example, result) = function.example;
                rows.push(("example", example.to_owned()));
                rows.push(("is", result.to_owned()));
                (
                    format!("function `{}`", function.signature()),
                    function.help,
                )
            }
            Self::Constant(constant) => (format!("name `{}`", constant.name), constant.help),
            Self::Word(word) => {
                let (example, result) = word.example;
                rows.push(("example", example.to_owned()));
                rows.push(("is", result.to_owned()));
                (format!("`{}` in expressions", word.name), word.help)
            }
            Self::Section(section) => {
                rows.push((
                    "example",
                    format!("[{}]\n{}", section.name, section.example),
                ));
                (format!("section `[{}]`", section.name), section.help)
            }
            Self::Command(entry) => {
                let help = clap_command(entry).render_help();
                return format!("command `{}`\n\n{help}", entry.name);
            }
            Self::Shortcut(shortcut) => {
                return format!("command `{}`\n\n{}\n", shortcut.name, shortcut.about);
            }
        };
        let mut text = format!("{title}\n\n{}\n", textwrap::fill(about, WIDTH));
        if !rows.is_empty() {
            text.push('\n');
        }
        for (name, value) in rows {
            let first = format!("{:9}", format!("{name}:"));
            let wrap = Wrap::new(WIDTH)
                .initial_indent(&first)
                .subsequent_indent("         ");
            // What is to be copied stays whole.
            match name {
                "takes" => text.push_str(&textwrap::fill(&value, wrap)),
                _ => text.push_str(&format!("{first}{}", value.replace('\n', "\n         "))),
            }
            text.push('\n');
        }
        text
    }
}

/// The first sentence, without its full stop.
fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}
