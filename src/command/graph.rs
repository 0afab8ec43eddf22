//! Resolves words to a graph: through shortcuts and aliases, down to a command, its gateway, and the
//! application behind it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::command::arguments;
use crate::command::call::Call;
use crate::command::cgi::Cgi;
use crate::command::check::Check;
use crate::command::completions::Completions;
use crate::command::exit::Exit;
use crate::command::failure::Failure;
use crate::command::fastcgi::FastCgi;
use crate::command::format::Format;
use crate::command::help::Help;
use crate::command::init::Init;
use crate::command::line::{Line, Origin, Scope, Step, Word};
use crate::command::report::Report;
use crate::command::run_ini::RunIni;
use crate::command::serve::Serve;
use crate::command::status::Status;
use crate::command::stop::Told;
use crate::command::supervise::Supervise;
use crate::command::target::{InvalidTarget, SCHEME, Target};
use crate::command::tree::Tree;
use crate::command::{self, Entry, Kind, names};
use crate::eval::Value;

/// How deep names may stand for one another.
const DEEPEST: usize = 100;

/// Below which property names are defined.
pub const SHORTCUTS: &str = "peak.running.shortcuts.";

/// What a command line runs.
#[derive(Debug)]
pub enum Node {
    /// `runIni FILE`: what the file runs.
    RunIni(Box<RunIni>),
    /// `serve` and `launch`: HTTP.
    Serve(Box<Serve>),
    /// `FastCGI`.
    FastCgi(Box<FastCgi>),
    /// `supervise`.
    Supervise(Box<Supervise>),
    /// `CGI`.
    Cgi(Box<Cgi>),
    /// A Python function.
    Call(Box<Call>),
    /// `graph FILE`.
    Tree(Box<Tree>),
    /// `init`.
    Init(Box<Init>),
    /// `fmt FILE…`.
    Format(Box<Format>),
    /// `completions SHELL`.
    Completions(Completions),
    /// A command that only prints: `show`, `eval`, `explain`.
    Report(Report),
    /// `status`.
    Status(Status),
    /// `stop` and `reload`.
    Order(Told),
    /// `check FILE…`.
    Check(Box<Check>),
    /// `help`.
    Help(Help),
    /// `true` and `false`.
    Exit(Exit),
}

impl Node {
    /// Runs it to its end.
    ///
    /// # Errors
    /// It could not be started, or ended badly.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::RunIni(node) => node.run(),
            Self::Serve(node) => node.run(),
            Self::FastCgi(node) => node.run(),
            Self::Supervise(node) => node.run(),
            Self::Cgi(node) => node.run(),
            Self::Call(node) => node.run(),
            Self::Tree(node) => Ok(node.run()),
            Self::Init(node) => node.run(),
            Self::Format(node) => Ok(node.run()),
            Self::Completions(node) => Ok(node.run()),
            Self::Report(node) => Ok(node.run()),
            Self::Status(node) => node.run(),
            Self::Order(node) => node.run(),
            Self::Check(node) => Ok(node.run()),
            Self::Help(node) => Ok(node.run()),
            Self::Exit(node) => Ok(node.run()),
        }
    }
}

/// An application, as it is named.
#[derive(Clone, Debug)]
pub enum Application {
    /// The built-in demonstration.
    Demo {
        /// Where its name was written.
        origin: Origin,
    },
    /// A Python object.
    Wsgi {
        /// The object.
        target: Target,
        /// Where its name was written.
        origin: Origin,
        /// Where the word `WSGI` was written, if it was.
        adapter: Option<Origin>,
    },
}

/// What a name stands for once all aliases are resolved.
#[derive(Debug)]
enum Head {
    /// Something built in.
    Entry(&'static Entry, Word),
    /// A Python object.
    Import(Target, Origin),
}

/// Finds out what a command line runs.
///
/// # Errors
/// A name in it is unknown or has no place there.
pub fn command(scope: Scope, line: Line) -> Result<Node, Failure> {
    let (head, line) = expand(&scope, line)?;
    run_head(scope, head, line)
}

/// Finds out what the value of a property runs with further words.
///
/// # Errors
/// The value is nothing that can be run, or a name in it is unknown.
pub fn run_value(scope: Scope, property: &str, value: Value, line: Line) -> Result<Node, Failure> {
    let (head, line) = match substitute(&scope, property, value, line)? {
        Substitute::Words(line) => expand(&scope, line)?,
        Substitute::Import(target, origin, line) => (Head::Import(target, origin), line),
    };
    run_head(scope, head, line)
}

fn run_head(scope: Scope, head: Head, line: Line) -> Result<Node, Failure> {
    match head {
        Head::Entry(entry, word) => match entry.kind {
            Kind::Command { resolve, .. } => {
                let is_typed = |word: &Word| word.origin == Origin::CommandLine;
                let in_alias = |failure: Failure| failure.in_alias(&scope, &word.origin);
                let appended = line.words.iter().any(is_typed);
                if appended && !is_typed(&word) {
                    let mut own = line.clone();
                    own.words.retain(|word| !is_typed(word));
                    arguments::parse(entry, own).map_err(in_alias)?;
                }
                let resolved = arguments::parse(entry, line)
                    .and_then(|arguments| resolve(scope.clone(), arguments));
                match appended || is_typed(&word) {
                    true => resolved,
                    false => resolved.map_err(in_alias),
                }
            }
            Kind::Adapter | Kind::Application => Err(not_a_command(&scope, entry, &word, &line)),
        },
        Head::Import(target, origin) => Ok(Node::Call(Box::new(Call {
            target,
            origin,
            arguments: line.words.into_iter().map(|word| word.exact).collect(),
            scope,
        }))),
    }
}

/// `WSGI import:x` and `demo` need a gateway in front.
fn not_a_command(scope: &Scope, entry: &Entry, word: &Word, line: &Line) -> Failure {
    let mut words = vec![entry.name.to_owned()];
    words.extend(line.words.iter().map(|word| word.text.clone()));
    if matches!(entry.kind, Kind::Adapter) && words.len() == 1 {
        words.push("NAME_OR_URL".to_owned());
    }
    let message = match entry.kind {
        Kind::Adapter => format!(
            "`{}` is no command but says what is to be served",
            entry.name
        ),
        Kind::Application | Kind::Command { .. } => {
            format!("`{}` is no command but an application", entry.name)
        }
    };
    let hint = format!("put a gateway before it: `serve {}`", words.join(" "));
    scope.mistake(&word.origin, message, Some(hint))
}

/// Makes sure that the first word stands for something.
///
/// # Errors
/// It does not, or in the end for itself.
pub fn expands(scope: &Scope, line: Line) -> Result<(), Failure> {
    expand(scope, line).map(|_| ())
}

/// Finds out which application the first words name. What stands behind them is left.
///
/// # Errors
/// They name none.
pub fn application(scope: &Scope, line: Line) -> Result<(Application, Line), Failure> {
    let (head, line) = expand(scope, line)?;
    match head {
        Head::Import(target, origin) => Ok((
            Application::Wsgi {
                target,
                origin,
                adapter: None,
            },
            line,
        )),
        Head::Entry(entry, word) => match entry.kind {
            Kind::Application => Ok((
                Application::Demo {
                    origin: word.origin,
                },
                line,
            )),
            Kind::Adapter => adapted(scope, entry, word.origin, line),
            Kind::Command { .. } => Err(scope.mistake(
                &word.origin,
                format!(
                    "`{}` is a command, but an application is wanted here",
                    word.text
                ),
                Some("name one as in `WSGI import:package.module.object`".to_owned()),
            )),
        },
    }
}

/// The built-in name that a word stands for.
///
/// # Errors
/// It stands for none.
pub fn built_in(scope: &Scope, line: Line) -> Result<&'static Entry, Failure> {
    match expand(scope, line)? {
        (Head::Entry(entry, _), _) => Ok(entry),
        (Head::Import(target, origin), _) => {
            Err(scope.mistake(&origin, format!("there is no help for `{target}`"), None))
        }
    }
}

/// The application behind the word `WSGI`.
fn adapted(
    scope: &Scope,
    entry: &'static Entry,
    adapter: Origin,
    line: Line,
) -> Result<(Application, Line), Failure> {
    if line.words.is_empty() {
        let hint = format!("write `{} {}`", entry.name, entry.usage);
        let message = format!("`{}` lacks the name of an application", entry.name);
        return Err(scope.mistake(&adapter, message, Some(hint)));
    }
    if let [next, ..] = &line.words[..]
        && next.text == entry.name
        && next.origin.property() == adapter.property()
    {
        let message = format!("`{0} {0}` says the same twice", entry.name);
        let hint = format!("write `{}` once", entry.name);
        return Err(scope.mistake(&adapter, message, Some(hint)));
    }
    match application(scope, line)? {
        (
            Application::Wsgi {
                adapter: Some(_), ..
            },
            _,
        ) => {
            let message = format!("`{0}` stands before what says `{0}` itself", entry.name);
            let hint = format!("write `{}` once", entry.name);
            Err(scope.mistake(&adapter, message, Some(hint)))
        }
        (Application::Wsgi { target, origin, .. }, line) => Ok((
            Application::Wsgi {
                target,
                origin,
                adapter: Some(adapter),
            },
            line,
        )),
        (Application::Demo { origin }, _) => Err(scope.mistake(
            &origin,
            "`demo` is no WSGI application".to_owned(),
            Some("leave out `WSGI`".to_owned()),
        )),
    }
}

/// What a value puts in the place of a name.
enum Substitute {
    Words(Line),
    Import(Target, Origin, Line),
}

/// Puts the value of a property before a line.
fn substitute(
    scope: &Scope,
    property: &str,
    value: Value,
    mut line: Line,
) -> Result<Substitute, Failure> {
    let origin = Origin::Property(property.into());
    let word = |text: &str, origin: Origin| Word {
        exact: text.into(),
        text: text.to_owned(),
        origin,
    };
    match value {
        Value::Alias(words) => {
            let words = words
                .iter()
                .enumerate()
                .map(|(number, text)| word(text, Origin::Alias(property.into(), number)));
            line.words.splice(0..0, words);
            Ok(Substitute::Words(line))
        }
        Value::Link(url) => {
            line.words.insert(0, word(&url, origin));
            Ok(Substitute::Words(line))
        }
        Value::Import(name) => {
            let target = parse_target(scope, &name, &origin)?;
            Ok(Substitute::Import(target, origin, line))
        }
        _ => Err(scope.mistake(
            &origin,
            format!("the value of `{property}` is nothing that can be run"),
            Some(
                "write `commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])`"
                    .to_owned(),
            ),
        )),
    }
}

/// Resolves the first word of a line until something built in or a Python object is found.
fn expand(scope: &Scope, mut line: Line) -> Result<(Head, Line), Failure> {
    loop {
        if line.words.is_empty() {
            return Err(Failure::mistake("there is nothing to run", None));
        }
        let word = line.words.remove(0);
        if let Some(name) = word.text.strip_prefix(SCHEME) {
            let target = parse_target(scope, name, &word.origin)?;
            return Ok((Head::Import(target, word.origin), line));
        }
        let property = format!("{SHORTCUTS}{}", word.text);
        let built_in = command::find(&word.text);
        // A built-in name has a rule of its own, so to speak: rules with a wildcard do not count.
        let redefined = built_in.is_none() || names::is_defined(&scope.configuration, &word.text);
        let value = match names::is_name(&word.text) && redefined {
            true => scope.get(&property)?,
            false => None,
        };
        let Some(value) = value else {
            return match built_in.filter(|_| !redefined) {
                Some(entry) => Ok((Head::Entry(entry, word), line)),
                None => Err(names::unknown(scope, &word)),
            };
        };
        let step = Step::Name(word.text.clone(), file_of(scope));
        if let Err(chain) = line.enter(step) {
            let origin = Origin::Property(property.as_str().into());
            let message = format!("`{}` stands for itself: {chain}", word.text);
            return Err(scope.mistake(&origin, message, None));
        }
        if line.chain.len() > DEEPEST {
            let origin = Origin::Property(property.as_str().into());
            let message = format!("names stand for one another more than {DEEPEST} deep");
            return Err(scope.mistake(&origin, message, None));
        }
        line = match substitute(scope, &property, value, line)? {
            Substitute::Words(line) => line,
            Substitute::Import(target, origin, line) => {
                return Ok((Head::Import(target, origin), line));
            }
        };
    }
}

fn file_of(scope: &Scope) -> Option<PathBuf> {
    scope.file.as_ref().map(|file| file.path.clone())
}

fn parse_target(scope: &Scope, name: &str, origin: &Origin) -> Result<Target, Failure> {
    name.parse()
        .map_err(|invalid: InvalidTarget| scope.mistake(origin, invalid.message, invalid.hint))
}
