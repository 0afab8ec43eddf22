//! Words to a node: through shortcuts and aliases, down to a command, its gateway, and the application behind it.

use std::sync::Arc;

use crate::eval::{Table, Value};
use crate::graph::entry::{self, Commands, Entry, EntryKind, Options};
use crate::graph::node::Node;
use crate::graph::object_url;
use crate::graph::routes::{self, RouteValue, ValuePlace};
use crate::graph::shortcuts::{self, SHORTCUTS, Wanted};
use crate::line::failure::Failure;
use crate::line::run_file::run_file;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::{Line, Origin, SettingsPrefix, Step, Word};
use crate::plan::application::{ApplicationName, PythonInterface};
use crate::syntax::quoted;

/// How deep aliases may be nested.
const DEEPEST: usize = 100;

/// What a name stands for once all aliases are resolved.
#[derive(Debug)]
enum Named {
    /// Something built in.
    Entry(&'static Entry, Word),
    /// A Python object.
    Import(Target, Origin),
    /// Applications by host and path.
    Routes(Arc<Table>, ValuePlace),
}

/// The word that says how the Python object behind it is called.
struct Adapter {
    entry: &'static Entry,
    interface: PythonInterface,
    /// Where it was written.
    origin: Origin,
}

/// Resolves a command line.
///
/// # Errors
/// A name in it is unknown, or of the wrong kind at its place.
pub fn command(commands: Commands, scope: Scope, line: Line) -> Result<Box<dyn Node>, Failure> {
    let (named, line) = expand(commands, &scope, line, Wanted::Command)?;
    node(commands, scope, named, line)
}

/// Resolves the value of a property with further words behind it.
///
/// # Errors
/// The value cannot be run, or a name in it is unknown.
pub fn run_value(
    commands: Commands,
    scope: Scope,
    property: &str,
    value: Value,
    line: Line,
) -> Result<Box<dyn Node>, Failure> {
    let place = ValuePlace::Property(property.into());
    let (named, line) = match substitute(&scope, &place, value, line)? {
        Substitute::Words(line) => expand(commands, &scope, line, Wanted::Command)?,
        Substitute::Named(named, line) => (named, line),
    };
    node(commands, scope, named, line)
}

fn node(
    commands: Commands,
    scope: Scope,
    named: Named,
    mut line: Line,
) -> Result<Box<dyn Node>, Failure> {
    match named {
        Named::Entry(entry, word) => match entry.kind {
            EntryKind::Command { resolve, .. } => {
                let is_typed = |word: &Word| word.origin == Origin::CommandLine;
                let in_alias = |failure: Failure| scope.in_alias(failure, &word.origin);
                let appended = line.words.iter().any(is_typed);
                if appended && !is_typed(&word) {
                    let mut own = line.clone();
                    own.words.retain(|word| !is_typed(word));
                    entry::parse(commands, entry, own).map_err(in_alias)?;
                }
                let resolved = entry::parse(commands, entry, line).and_then(|arguments| {
                    let scope = of_script(scope.clone(), arguments.script.as_ref());
                    resolve(scope, arguments)
                });
                match appended || is_typed(&word) {
                    true => resolved,
                    false => resolved.map_err(in_alias),
                }
            }
            EntryKind::Adapter(_) | EntryKind::Application { .. } => {
                Err(not_a_command(&scope, entry, &word, &line))
            }
        },
        Named::Import(target, origin) => {
            let scope = of_script(scope, line.take_script().as_ref());
            let scope = scope.of_application(&line.settings)?;
            let arguments = line.words.into_iter().map(|word| word.exact);
            Ok((commands.call)(scope, target, origin, arguments.collect()))
        }
        Named::Routes(_, place) => {
            let message = "these routes are an application, not a command".to_owned();
            let name = place.property();
            let name = name.strip_prefix(SHORTCUTS).unwrap_or(name);
            let hint = match name.contains('.') {
                true => "name them in `[peak.running.shortcuts]`, and put a gateway before the name: `serve NAME`".to_owned(),
                false => format!("put a gateway before them: `serve {name}`"),
            };
            Err(scope.mistake(&place.whole(), message, Some(hint)))
        }
    }
}

/// The scope in which the file whose `#!` line is the command is the one that is run.
fn of_script(mut scope: Scope, script: Option<&Word>) -> Scope {
    if let (None, Some(script)) = (&scope.file, script) {
        scope.file = Some(run_file(&scope, script));
    }
    scope
}

/// `WSGI import:x` and `demo` need a gateway in front.
fn not_a_command(scope: &Scope, entry: &Entry, word: &Word, line: &Line) -> Failure {
    let mut words = vec![entry.name.to_owned()];
    words.extend(line.words.iter().map(|word| word.text.clone()));
    if matches!(entry.kind, EntryKind::Adapter(_)) && words.len() == 1 {
        words.push("NAME_OR_URL".to_owned());
    }
    let message = match entry.kind {
        EntryKind::Adapter(_) => format!(
            "`{}` is not a command: it names an application for a gateway",
            entry.name
        ),
        EntryKind::Application { .. } | EntryKind::Command { .. } => {
            format!("`{}` is an application, not a command", entry.name)
        }
    };
    let hint = format!("put a gateway before it: `serve {}`", words.join(" "));
    scope.mistake(&word.origin, message, Some(hint))
}

/// Checks that the first word is a name.
///
/// # Errors
/// It is no name, or an alias that leads back to itself.
pub fn expands(commands: Commands, scope: &Scope, line: Line) -> Result<(), Failure> {
    expand(commands, scope, line, Wanted::Command).map(|_| ())
}

/// Resolves the first words to an application, whose own options may stand at a place. Returns the words behind it, too.
///
/// # Errors
/// They name no application.
pub fn application(
    commands: Commands,
    scope: &Scope,
    mut line: Line,
    place: Options,
) -> Result<(ApplicationName, Line), Failure> {
    // What is set for the words around it counts for it, too, and less than what is set for itself.
    let around = std::mem::take(&mut line.settings);
    let within = Within { place, around };
    named_application(commands, scope, line, Wanted::Application, &within)
}

/// Where the words of an application stand.
struct Within {
    /// Where its options may stand.
    place: Options,
    /// The prefixes of settings that the words around it have.
    around: Vec<SettingsPrefix>,
}

fn named_application(
    commands: Commands,
    scope: &Scope,
    line: Line,
    wanted: Wanted,
    within: &Within,
) -> Result<(ApplicationName, Line), Failure> {
    let (named, line) = expand(commands, scope, line, wanted)?;
    application_of(commands, scope, named, line, within)
}

fn application_of(
    commands: Commands,
    scope: &Scope,
    named: Named,
    mut line: Line,
    within: &Within,
) -> Result<(ApplicationName, Line), Failure> {
    let settings = || [&line.settings[..], &within.around].concat();
    match named {
        Named::Routes(table, routes) => {
            let inside = Within {
                place: Options::BeforeDashes,
                around: settings(),
            };
            let one = |value: RouteValue| route(commands, scope, value, &line, &inside);
            let application = ApplicationName::BuiltIn {
                what: routes::of(scope, &table, &routes, &one)?,
                options: Vec::new(),
                origin: routes.whole(),
                settings: inside.around,
            };
            Ok((application, line))
        }
        Named::Import(target, origin) => Ok((
            ApplicationName::Python {
                interface: PythonInterface::Wsgi,
                target,
                origin,
                adapter: None,
                settings: settings(),
            },
            line,
        )),
        Named::Entry(entry, word) => match entry.kind {
            EntryKind::Application { name, .. } => {
                let in_alias = |failure: Failure| scope.in_alias(failure, &word.origin);
                let settings = settings();
                line.settings.clone_from(&settings);
                let parsed = entry::parse_application(commands, entry, within.place, line);
                let own = scope.of_application(&settings)?;
                let built_in = parsed.and_then(|mut arguments| {
                    let what = name(&own, &mut arguments)?;
                    let application = ApplicationName::BuiltIn {
                        options: arguments.options_of(what.name()),
                        what,
                        origin: word.origin.clone(),
                        settings,
                    };
                    Ok((application, arguments.line))
                });
                match word.origin {
                    Origin::CommandLine => built_in,
                    _ => built_in.map_err(in_alias),
                }
            }
            EntryKind::Adapter(interface) => {
                let adapter = Adapter {
                    entry,
                    interface,
                    origin: word.origin,
                };
                adapted(commands, scope, adapter, line, within)
            }
            EntryKind::Command { .. } => Err(scope.mistake(
                &word.origin,
                format!(
                    "`{}` is a command, but an application is needed here",
                    word.text
                ),
                Some("name one as in `WSGI import:package.module.object`".to_owned()),
            )),
        },
    }
}

/// The application of one route, in the table that a line names.
fn route(
    commands: Commands,
    scope: &Scope,
    RouteValue { value, place }: RouteValue,
    line: &Line,
    within: &Within,
) -> Result<ApplicationName, Failure> {
    let line = Line {
        chain: line.chain.clone(),
        ..Line::default()
    };
    let (named, line) = match substitute(scope, &place, value, line)? {
        Substitute::Words(line) => expand(commands, scope, line, Wanted::Application)?,
        Substitute::Named(named, line) => (named, line),
    };
    let (application, rest) = application_of(commands, scope, named, line, within)
        .map_err(|failure| scope.in_alias(failure, &place.whole()))?;
    match rest.words.first() {
        None => Ok(application),
        Some(word) => {
            let message = format!("unexpected word {}", quoted(&word.text));
            Err(scope.mistake(&word.origin, message, None))
        }
    }
}

/// Whether the first words name an application, for others to stand before them.
#[must_use]
pub fn is_application(commands: Commands, scope: &Scope, line: Line) -> bool {
    match expand(commands, scope, line, Wanted::Command) {
        Ok((Named::Entry(entry, _), _)) => !matches!(entry.kind, EntryKind::Command { .. }),
        Ok((Named::Routes(..), _)) => true,
        Ok((Named::Import(..), _)) | Err(_) => false,
    }
}

/// The built-in name that a word stands for.
///
/// # Errors
/// It stands for no built-in name.
pub fn built_in(commands: Commands, scope: &Scope, line: Line) -> Result<&'static Entry, Failure> {
    match expand(commands, scope, line, Wanted::Command)? {
        (Named::Entry(entry, _), _) => Ok(entry),
        (Named::Import(target, origin), _) => {
            Err(scope.mistake(&origin, format!("there is no help for `{target}`"), None))
        }
        (Named::Routes(_, place), _) => {
            let message = "there is no help for routes".to_owned();
            Err(scope.mistake(&place.whole(), message, None))
        }
    }
}

/// The application behind the word `WSGI` or `ASGI`.
fn adapted(
    commands: Commands,
    scope: &Scope,
    adapter: Adapter,
    line: Line,
    within: &Within,
) -> Result<(ApplicationName, Line), Failure> {
    let entry = adapter.entry;
    let word = entry.name;
    if line.words.is_empty() {
        let hint = format!("write `{word} {}`", entry.usage);
        let message = format!("`{word}` lacks the name of an application");
        return Err(scope.mistake(&adapter.origin, message, Some(hint)));
    }
    if let [next, ..] = &line.words[..]
        && next.text == word
        && next.origin.property() == adapter.origin.property()
    {
        let message = format!("`{word} {word}`: one `{word}` is enough");
        let hint = format!("write `{word}` once");
        return Err(scope.mistake(&adapter.origin, message, Some(hint)));
    }
    match named_application(commands, scope, line, Wanted::Object, within)? {
        (
            ApplicationName::Python {
                interface,
                adapter: Some(_),
                ..
            },
            _,
        ) => {
            let inner = interface.word();
            let message = format!("`{word}` stands before a name that includes `{inner}`");
            let hint = match inner == word {
                true => format!("write `{word}` once"),
                false => "write one of the two, that which the application is".to_owned(),
            };
            Err(scope.mistake(&adapter.origin, message, Some(hint)))
        }
        (
            ApplicationName::Python {
                target,
                origin,
                settings,
                ..
            },
            line,
        ) => Ok((
            ApplicationName::Python {
                interface: adapter.interface,
                target,
                origin,
                adapter: Some(adapter.origin),
                settings,
            },
            line,
        )),
        (ApplicationName::BuiltIn { what, origin, .. }, _) => {
            let article = match adapter.interface {
                PythonInterface::Wsgi => "a",
                PythonInterface::Asgi => "an",
            };
            Err(scope.mistake(
                &origin,
                format!("`{}` is not {article} {word} application", what.name()),
                Some(format!("leave out `{word}`")),
            ))
        }
    }
}

/// What replaces a name.
enum Substitute {
    Words(Line),
    Named(Named, Line),
}

/// Replaces a name, which was the first word of a line, by a value that was written at a place.
fn substitute(
    scope: &Scope,
    place: &ValuePlace,
    value: Value,
    mut line: Line,
) -> Result<Substitute, Failure> {
    let word = |text: &str, origin: Origin| Word {
        exact: text.into(),
        text: text.to_owned(),
        origin,
    };
    match value {
        Value::Alias(alias) => {
            line.settings
                .extend(alias.settings.iter().map(|prefix| SettingsPrefix {
                    name: Arc::clone(prefix),
                    origin: place.whole(),
                }));
            let words = alias
                .words
                .iter()
                .enumerate()
                .map(|(number, text)| word(text, place.word(number)));
            line.words.splice(0..0, words);
            Ok(Substitute::Words(line))
        }
        Value::Link(url) => {
            line.words.insert(0, word(&url, place.whole()));
            Ok(Substitute::Words(line))
        }
        Value::Import(name) => {
            let target = object_url::parse(scope, &name, &place.whole())?;
            Ok(Substitute::Named(
                Named::Import(target, place.whole()),
                line,
            ))
        }
        Value::Routes(table) => {
            let routes = Named::Routes(table, place.inside());
            Ok(Substitute::Named(routes, line))
        }
        _ => Err(scope.mistake(
            &place.whole(),
            format!("the value of `{}` cannot be run", place.property()),
            Some(
                "write `commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])`"
                    .to_owned(),
            ),
        )),
    }
}

/// Follows the first word of a line, which is to be what is wanted, through aliases to a built-in name or a Python object.
fn expand(
    commands: Commands,
    scope: &Scope,
    mut line: Line,
    wanted: Wanted,
) -> Result<(Named, Line), Failure> {
    loop {
        if line.words.is_empty() {
            return Err(Failure::mistake("there is nothing to run", None));
        }
        let word = line.words.remove(0);
        if let Some(target) = object_url::of_word(scope, &word)? {
            return Ok((Named::Import(target, word.origin), line));
        }
        let property = shortcuts::property(&scope.configuration, &word.text);
        let built_in = commands.find(&word.text);
        // A rule with a wildcard does not redefine a built-in name.
        let redefined =
            built_in.is_none() || shortcuts::is_defined(&scope.configuration, &word.text);
        let value = match shortcuts::is_name(&word.text) && redefined {
            true => scope.get(&property)?,
            false => None,
        };
        let Some(value) = value else {
            return match built_in.filter(|_| !redefined) {
                Some(entry) => Ok((Named::Entry(entry, word), line)),
                None => Err(shortcuts::unknown(commands, scope, &word, wanted)),
            };
        };
        let step = Step::Name(
            word.text.clone(),
            scope.file.as_ref().map(|file| file.path.clone()),
        );
        if let Err(chain) = line.enter(step) {
            let origin = Origin::Property(property.as_str().into());
            let message = format!("`{}` stands for itself: {chain}", word.text);
            return Err(scope.mistake(&origin, message, None));
        }
        if line.chain.len() > DEEPEST {
            let origin = Origin::Property(property.as_str().into());
            let message = format!("aliases are nested more than {DEEPEST} deep");
            return Err(scope.mistake(&origin, message, None));
        }
        let place = ValuePlace::Property(property.as_str().into());
        line = match substitute(scope, &place, value, line)? {
            Substitute::Words(line) => line,
            Substitute::Named(named, line) => return Ok((named, line)),
        };
    }
}
