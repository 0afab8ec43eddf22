//! `explain [NAME]`: explains a setting, a function, a name of the language or a command. Its texts come from the tables
//! that the program itself uses.

use textwrap::Options as Wrap;

use crate::commands::text_table;
use crate::config::{KEYS, SETTINGS, SHORT, SPECIAL, is_of_applications};
use crate::eval::{CONSTANTS, FUNCTIONS};
use crate::graph::entry::{
    Arguments, Commands, Entry, EntryKind, Options, clap_command, no_options,
};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::graph::shortcuts::{Shortcut, shortcuts};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::syntax::{KEYWORDS, nearest};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "explain",
    usage: "[NAME]",
    summary: "Explains a setting, function, section or command, or lists all",
    help: "\
For a setting: what it takes, its default and an example. For a function: its
parameters and an example. NAME may also be a special section (`Load Settings
From`) or a keyword of expressions (`lambda`), or its own last part.

Other words are searched: all that has them in its name is listed, then all that
has them in its text.

The exit status is 1 if nothing is found.",
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
struct Topic<'a> {
    /// The heading of all topics of this kind.
    heading: &'static str,
    name: &'a str,
    /// What it is, in one line.
    summary: &'a str,
    /// All that is said about it.
    help: &'a str,
    /// Whether upper and lower case are the same.
    any_case: bool,
    /// Writes the explanation.
    explain: Box<dyn Fn() -> String + 'a>,
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
    // Names of sections contain spaces.
    let further = std::mem::take(&mut arguments.line.words);
    let words = std::iter::once(&word).chain(&further);
    let name = words.map(|word| word.text.as_str()).collect::<Vec<_>>();
    let name = name.join(" ");
    let Found { named, about } = find(&topics, &name);
    if named.is_empty() && about.is_empty() {
        let message = format!("nothing is called `{name}`");
        let hint = Some(suggest(&topics, &name));
        return Err(scope.mistake(&word.origin, message, hint));
    }
    let texts = named.iter().map(|topic| (topic.explain)());
    let mut text = texts.collect::<Vec<_>>().join("\n");
    if !about.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &list(&about);
    }
    Ok(text)
}

/// All topics, in the order of the list.
fn topics(commands: Commands, shortcuts: &[Shortcut]) -> Vec<Topic<'_>> {
    let mut topics = Vec::new();
    topics.extend(SETTINGS.iter().map(|row| {
        Topic::new("Settings", row.name, [row.summary, row.help], || {
            let rows = [
                ("takes", row.kind.written()),
                ("default", or_unset(row.default_text())),
                ("example", row.example.to_owned()),
            ];
            page(&format!("setting `{}`", row.name), row.help, &rows)
        })
    }));
    topics.extend(KEYS.iter().map(|row| {
        let setting = row.setting();
        let heading = "Keys of files for `supervise`";
        let topic = Topic::new(heading, row.name, [setting.summary, setting.help], || {
            let rows = [
                ("takes", row.written()),
                ("default", or_unset(row.default_text())),
                ("setting", row.setting.to_owned()),
                ("example", row.example.to_owned()),
            ];
            page(&format!("key `{}`", row.name), row.setting().help, &rows)
        });
        topic.in_any_case()
    }));
    let example = |(example, result): (&str, &str)| {
        [("example", example.to_owned()), ("is", result.to_owned())]
    };
    topics.extend(FUNCTIONS.iter().map(|row| {
        Topic::new("Functions", row.name, [row.summary, row.help], move || {
            let title = format!("function `{}`", row.signature());
            page(&title, row.help, &example(row.example))
        })
    }));
    topics.extend(CONSTANTS.iter().map(|row| {
        let heading = "Names in expressions";
        Topic::new(heading, row.name, [row.summary, row.help], || {
            page(&format!("name `{}`", row.name), row.help, &[])
        })
    }));
    topics.extend(KEYWORDS.iter().map(|row| {
        let heading = "Words in expressions";
        Topic::new(heading, row.name, [row.summary, row.help], move || {
            let title = format!("`{}` in expressions", row.name);
            page(&title, row.help, &example(row.example))
        })
    }));
    topics.extend(SPECIAL.iter().map(|row| {
        let heading = "Special sections";
        let topic = Topic::new(heading, row.name, [row.summary, row.help], || {
            let example = format!("[{}]\n{}", row.name, row.example);
            let title = format!("section `[{}]`", row.name);
            page(&title, row.help, &[("example", example)])
        });
        topic.in_any_case()
    }));
    let redefined = |entry: &&Entry| shortcuts.iter().any(|own| own.name == entry.name);
    let built_in = commands.entries.iter().filter(|entry| !redefined(entry));
    topics.extend(built_in.map(|row| {
        Topic::new("Commands", row.name, [row.summary, row.help], || {
            let help = clap_command(row).render_help();
            format!("command `{}`\n\n{help}", row.name)
        })
    }));
    topics.extend(shortcuts.iter().map(|row| {
        let heading = "Names from configuration files";
        Topic::new(heading, &row.name, [&row.about, ""], || {
            page(&format!("command `{}`", row.name), &row.about, &[])
        })
    }));
    topics
}

impl<'a> Topic<'a> {
    fn new(
        heading: &'static str,
        name: &'a str,
        [summary, help]: [&'a str; 2],
        explain: impl Fn() -> String + 'a,
    ) -> Self {
        Self {
            heading,
            name,
            summary,
            help,
            any_case: false,
            explain: Box::new(explain),
        }
    }

    fn in_any_case(self) -> Self {
        Self {
            any_case: true,
            ..self
        }
    }

    /// Whether a word is its name, rather than a part of it.
    fn is_called(&self, word: &str) -> bool {
        let plain = word.trim_start_matches('[').trim_end_matches(']');
        self.name == word || self.any_case && self.name.eq_ignore_ascii_case(plain)
    }
}

/// What there is for a word.
struct Found<'a> {
    /// The topics that it names, which are explained.
    named: Vec<&'a Topic<'a>>,
    /// Topics that are listed by their headings: those with the word in their names first.
    about: Vec<&'a Topic<'a>>,
}

/// The topics with this name; or else those whose names or texts have all its words.
fn find<'a>(topics: &'a [Topic<'a>], word: &str) -> Found<'a> {
    let long = SHORT
        .iter()
        .find(|(short, _)| *short == word)
        .map_or(word, |(_, long)| long);
    let exact: Vec<&Topic> = topics
        .iter()
        .filter(|topic| topic.is_called(long))
        .collect();
    if !exact.is_empty() {
        return Found {
            named: exact,
            about: Vec::new(),
        };
    }
    let mut named: Vec<&Topic> = topics
        .iter()
        .filter(|topic| last_part(topic.name) == word || is_of_application(topic, word))
        .collect();
    if named.len() > 1 {
        named.clear();
    }
    let mut about = match word.contains('.') {
        true => below(topics, word),
        false => search(topics, word),
    };
    about.retain(|topic| !named.iter().any(|known| std::ptr::eq(*known, *topic)));
    Found { named, about }
}

/// Whether a word is the setting of a topic for one application: `shop.workers.min`.
fn is_of_application(topic: &Topic<'_>, word: &str) -> bool {
    let short = topic.name.strip_prefix("runner.");
    let prefix = short.and_then(|short| word.strip_suffix(short));
    prefix.is_some_and(|prefix| prefix.ends_with('.')) && is_of_applications(topic.name)
}

/// The topics whose names begin with some parts: `runner.workers`, `os.*`.
fn below<'a>(topics: &'a [Topic<'a>], parts: &str) -> Vec<&'a Topic<'a>> {
    let prefix = parts.trim_end_matches('*').trim_end_matches('.');
    let is_below = |topic: &&Topic| {
        let rest = topic.name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    topics.iter().filter(is_below).collect()
}

/// The topics that have all these words: under each heading, those with them in their names first.
fn search<'a>(topics: &'a [Topic<'a>], wanted: &str) -> Vec<&'a Topic<'a>> {
    let wanted = words(wanted);
    if wanted.is_empty() {
        return Vec::new();
    }
    let has = |text: &str| wanted.iter().all(|word| has_word(text, word));
    let (mut found, others): (Vec<&Topic>, Vec<&Topic>) =
        topics.iter().partition(|topic| has(topic.name));
    let in_text = |topic: &&Topic| {
        let whole = [topic.name, topic.summary, topic.help].join(" ");
        has(&whole)
    };
    found.extend(others.into_iter().filter(in_text));
    let heading = |topic: &&Topic| topics.iter().position(|one| one.heading == topic.heading);
    found.sort_by_key(heading);
    found
}

/// The words of a text, in lower case.
fn words(text: &str) -> Vec<String> {
    let separate = |c: char| !c.is_alphanumeric();
    let words = text.split(separate).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Whether a word of the text begins with this one: `log` is in `logged`, and not in `backlog`. A plural finds the
/// singular.
fn has_word(text: &str, word: &str) -> bool {
    let word = match word.strip_suffix('s') {
        Some(singular) if singular.len() > 2 => singular,
        Some(_) | None => word,
    };
    words(text).iter().any(|known| known.starts_with(word))
}

/// A hint for a word that is no name.
fn suggest(topics: &[Topic<'_>], word: &str) -> String {
    let names = || topics.iter().map(|topic| topic.name);
    let by_last_part = || {
        let meant = nearest(last_part(word), names().map(last_part))?;
        names().find(|name| last_part(name) == meant)
    };
    match nearest(word, names()).or_else(by_last_part) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`runner explain` lists all names".to_owned(),
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Tables of several topics, one for each heading.
fn list(topics: &[&Topic<'_>]) -> String {
    let mut text = String::new();
    for same in topics.chunk_by(|one, next| one.heading == next.heading) {
        let rows: Vec<_> = same
            .iter()
            .map(|topic| [topic.name, topic.summary])
            .collect();
        let (heading, rows) = (same[0].heading, text_table::names(&rows));
        text.push_str(&format!("{heading}:\n{rows}\n"));
    }
    text.push_str("`runner explain NAME` says more about a name.\n");
    text
}

fn or_unset(default: Option<String>) -> String {
    default.unwrap_or_else(|| "not set".to_owned())
}

/// A title, a paragraph, and rows of names and values.
fn page(title: &str, about: &str, rows: &[(&str, String)]) -> String {
    let mut text = format!("{title}\n\n{}\n", textwrap::fill(about, WIDTH));
    if !rows.is_empty() {
        text.push('\n');
    }
    for (name, value) in rows {
        let first = format!("{:9}", format!("{name}:"));
        let wrap = Wrap::new(WIDTH)
            .initial_indent(&first)
            .subsequent_indent("         ");
        // Examples can be copied, so they are not wrapped.
        text += &match *name {
            "takes" => textwrap::fill(value, wrap),
            _ => format!("{first}{}", value.replace('\n', "\n         ")),
        };
        text.push('\n');
    }
    text
}
