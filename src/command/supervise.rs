//! `supervise FILE ARGS…`: an application kept running by one master.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::front::Gateway;
use crate::command::graph::{self, Node};
use crate::command::line::{Line, Origin, RunFile, Scope, Word};
use crate::command::plan::{Announcement, Plan, Recipe};
use crate::command::serve::Audience;
use crate::command::target::SCHEME;
use crate::command::{self, Entry, Kind, names, no_options, run_ini, serving, settings};
use crate::config::{self, COMMAND, Format, Layer, PID_FILE, SUPERVISED};
use crate::eval::Value;
use crate::gateway::socket::url::SocketUrl;
use crate::here;
use crate::supervisor::lifetime::Lifetime;
use crate::supervisor::seat::SeatOptions;
use crate::supervisor::seat::lock::{InvalidLockUrl, LockUrl};
use crate::supervisor::supervision::{SideProgram, Supervision};
use crate::syntax::{Diagnostic, Diagnostics, quoted};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "supervise",
    usage: "[FILE | NAME] [ARGS]...",
    about: "Keeps an application running: one master, a pid file, restarts without a lost request",
    help: "\
FILE has a key and a value a line, of which `Command` and `PidFile` are needed;
runner.supervise(5) describes them. With `#!invoke runner supervise` or
`#!/usr/bin/env -S runner supervise` as its first line, an executable file is a
program of its own. FILE may be an INI file, too: what its `app` runs is
supervised, as its settings `runner.supervise.*` say. So it is with the name of
a command: `supervise serve WSGI import:my_app.application`; and without any,
`runner.supervise.command` counts. ARGS are appended to the command, which is
`serve`, `FastCGI`, a name or a file that stands for one of these, or `exec:`
and a program.

Starting the same file again is a warm restart: the new master gets ready, takes
over the sockets of the old one, and tells it to finish what it is doing and
end. SIGTERM and SIGINT end the master gracefully, SIGHUP reloads the file and
the application.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Node::Supervise(Box::new(resolve(scope, arguments)?))),
    },
};

/// What stands before a program that is no application.
const EXEC: &str = "exec:";

/// The setting that names programs that are kept running, too.
pub const PROGRAMS: &str = "runner.supervise.programs";

const STARTUP_LOCK: &str = "runner.supervise.startup_lock";
const PID_LOCK: &str = "runner.supervise.pid_lock";

/// Something that is supervised.
#[derive(Debug)]
pub struct Supervise {
    /// The file with keys that says how, if there is one.
    pub file: Option<RunFile>,
    /// The settings.
    pub scope: Scope,
    /// How it is supervised.
    pub supervision: Supervision,
    /// What is supervised.
    pub what: Supervised,
}

/// What can be supervised.
#[derive(Debug)]
pub enum Supervised {
    /// `serve` or `FastCGI`, perhaps by way of INI files.
    Application(Node),
    /// A program that is no application.
    Program(SideProgram, Origin),
}

/// Finds out what is supervised, and how.
///
/// # Errors
/// There is no such file or command, it has mistakes, or it cannot be supervised.
pub fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Supervise, Failure> {
    let mut line = std::mem::take(&mut arguments.line);
    let named = line.words.first().filter(|word| !is_command(&scope, word));
    let Some(word) = named.cloned() else {
        let scope = with_defaults(scope)?;
        if line.words.is_empty() {
            if scope.get(COMMAND)?.is_none() {
                return Err(arguments.missing("FILE"));
            }
            prepend(&mut line, command(&scope)?);
        }
        return supervised(scope, None, line);
    };
    line.words.remove(0);
    let file = run_ini::run_file(&scope, &word);
    if !file.path.exists() && names::is_nearly_one(&scope, &word.text) {
        return Err(names::unknown(&scope, &word));
    }
    match config::format(&file.path) {
        Some(Format::Ini) => {
            prepend(&mut line, vec![run_ini::word(&word.origin), word]);
            supervised(with_defaults(scope)?, None, line)
        }
        Some(Format::Keys) | None => {
            run_ini::enter(&scope, &mut line, &word, &file)?;
            of_keys(read(scope, file)?, line)
        }
    }
}

/// What a file with keys, whose settings these are, keeps running with further words.
///
/// # Errors
/// Its command has mistakes, or cannot be supervised.
pub fn of_keys(scope: Scope, mut line: Line) -> Result<Supervise, Failure> {
    prepend(&mut line, command(&scope)?);
    let file = scope.file.clone();
    supervised(scope, file, line)
}

/// Whether a word is the beginning of a command rather than the name of a file.
fn is_command(scope: &Scope, word: &Word) -> bool {
    let text = word.text.as_str();
    let known = || command::find(text).is_some() || names::is_defined(&scope.configuration, text);
    text.starts_with(SCHEME) || text.starts_with(EXEC) || names::is_name(text) && known()
}

/// The settings of a file with keys over those that are in force.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn read(scope: Scope, file: RunFile) -> Result<Scope, Failure> {
    let mut layers = defaults(scope.layers);
    layers.push(Layer::Keys(file.path.clone()));
    Scope::load(layers, Some(file))
}

/// The same settings, over what is different in `supervise` where they say nothing.
fn with_defaults(scope: Scope) -> Result<Scope, Failure> {
    let layers = defaults(scope.layers.clone());
    match layers.len() == scope.layers.len() {
        true => Ok(scope),
        false => Scope::load(layers, scope.file),
    }
}

/// Layers over the defaults of `supervise`, which they may stand over already.
#[must_use]
pub fn defaults(mut layers: Vec<Layer>) -> Vec<Layer> {
    let known =
        |layer: &Layer| matches!(layer, Layer::Option { origin, .. } if origin == ENTRY.name);
    if !layers.iter().any(known) {
        let rows = SUPERVISED.iter().map(|(name, seconds)| Layer::Option {
            name: format!("{name}?"),
            value: Value::from(*seconds),
            origin: ENTRY.name.to_owned(),
        });
        layers.splice(0..0, rows);
    }
    layers
}

fn prepend(line: &mut Line, words: Vec<Word>) {
    line.words.splice(0..0, words);
}

/// The words of the command that is set.
///
/// # Errors
/// A quote in it is never closed.
pub fn command(scope: &Scope) -> Result<Vec<Word>, Diagnostic> {
    let text = scope.configuration.text(COMMAND).unwrap_or_default();
    words(scope, COMMAND, &text)
}

/// Words with quotes as shells have them, from the value of a setting.
fn words(scope: &Scope, setting: &'static str, text: &str) -> Result<Vec<Word>, Diagnostic> {
    let origin = Origin::Property(setting.into());
    let split = shell_words::split(text).map_err(|_| {
        let message = format!("a quote is never closed in {}", quoted(text));
        let hint = "write `\\'` for a quote that is none".to_owned();
        wrong(scope, setting, "syntax/quote", message).with_hint(hint)
    })?;
    let word = |text: String| Word {
        exact: text.clone().into(),
        text,
        origin: origin.clone(),
    };
    Ok(split.into_iter().map(word).collect())
}

/// What a command line is once it is supervised.
fn supervised(scope: Scope, file: Option<RunFile>, mut line: Line) -> Result<Supervise, Failure> {
    let Some(first) = line.words.first().cloned() else {
        // Only what is set has no words: who types none is told how it is used.
        let message = "there is no command in it".to_owned();
        return Err(scope.mistake(&Origin::Property(COMMAND.into()), message, None));
    };
    if let Some(rest) = first.text.strip_prefix(EXEC) {
        line.words.remove(0);
        if !rest.is_empty() {
            let attached = Word {
                text: rest.to_owned(),
                exact: rest.into(),
                origin: first.origin.clone(),
            };
            prepend(&mut line, vec![attached]);
        }
        let Some(program) = program(&scope, line.words) else {
            let message = format!("`{EXEC}` lacks the name of a program");
            let hint = format!("write `{EXEC} ./program ARGUMENTS`");
            return Err(scope.mistake(&first.origin, message, Some(hint)));
        };
        return Ok(Supervise {
            supervision: supervision(&scope)?,
            what: Supervised::Program(program, first.origin),
            scope,
            file,
        });
    }
    if first.text.contains('/') && !first.text.contains(':') {
        let path = scope.path(&first);
        let message = if !path.exists() {
            format!("there is no file {}", quoted(&first.text))
        } else if config::format(&path) == Some(Format::Keys) {
            let file = quoted(&first.text);
            format!("{file} cannot be supervised: it is a file for `supervise` itself")
        } else {
            String::new()
        };
        if !message.is_empty() {
            return Err(scope.mistake(&first.origin, message, None));
        }
        prepend(&mut line, vec![run_ini::word(&first.origin)]);
    }
    let mut node = match own(graph::command(scope.clone(), line)?) {
        // An INI file that is to be supervised may say so itself.
        Ok(own) => return Ok(Supervise { file, ..own }),
        Err(node) => *node,
    };
    let Some((inner, place)) = gateway(&mut node) else {
        let message = format!("{} cannot be supervised", quoted(&first.text));
        let hint = "`serve`, `FastCGI`, what stands for one of them, and `exec: PROGRAM` can";
        return Err(scope.mistake(&first.origin, message, Some(hint.to_owned())));
    };
    let supervision = supervision(&inner)?;
    *place = Some(supervision.clone());
    Ok(Supervise {
        scope: inner,
        file,
        supervision,
        what: Supervised::Application(node),
    })
}

/// What a command keeps running if it is `supervise` itself, without a further file of keys; else the command.
fn own(node: Node) -> Result<Supervise, Box<Node>> {
    match node {
        Node::RunIni(run_ini) if is_own(&run_ini.node) => own(run_ini.node),
        Node::Supervise(own) if own.file.is_none() => Ok(*own),
        other => Err(Box::new(other)),
    }
}

fn is_own(node: &Node) -> bool {
    match node {
        Node::Supervise(own) => own.file.is_none(),
        Node::RunIni(run_ini) => is_own(&run_ini.node),
        other => matches!(other, Node::Supervise(own) if own.file.is_none()),
    }
}

/// The settings of the gateway in which a command ends, and the place for how it is supervised; `None` for a command
/// that is over soon.
fn gateway(node: &mut Node) -> Option<(Scope, &mut Option<Supervision>)> {
    match node {
        Node::RunIni(node) => gateway(&mut node.node),
        Node::Serve(node) if node.audience == Audience::Anybody => {
            Some((node.scope.clone(), &mut node.supervision))
        }
        Node::FastCgi(node) => Some((node.scope.clone(), &mut node.supervision)),
        Node::Serve(_)
        | Node::Supervise(_)
        | Node::Cgi(_)
        | Node::Call(_)
        | Node::Tree(_)
        | Node::Init(_)
        | Node::Format(_)
        | Node::Completions(_)
        | Node::Report(_)
        | Node::Check(_)
        | Node::Status(_)
        | Node::Order(_)
        | Node::Help(_)
        | Node::Exit(_) => None,
    }
}

/// A mistake in the value of a setting.
fn wrong(scope: &Scope, setting: &str, code: &'static str, message: String) -> Diagnostic {
    let mut mistake = scope.configuration.complain(setting, message, None);
    mistake.code = code;
    mistake
}

/// Everything that is wrong with the settings that say how an application is supervised.
#[must_use]
pub fn mistakes(scope: &Scope) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    let pid_file = scope.configuration.path(PID_FILE);
    let folder = pid_file.as_deref().and_then(Path::parent);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let message = format!("there is no folder `{}`", folder.display());
        mistakes.push(wrong(scope, PID_FILE, "setting/missing", message));
    }
    mistakes.extend(lock(scope, STARTUP_LOCK).err());
    mistakes.extend(lock(scope, PID_LOCK).err());
    let lines = scope.configuration.texts(PROGRAMS);
    mistakes.extend(
        lines
            .iter()
            .filter_map(|line| side_program(scope, line).err()),
    );
    mistakes
}

/// How an application is supervised, as settings say it.
///
/// # Errors
/// They do not name a pid file, or what they name cannot be.
pub fn supervision(scope: &Scope) -> Result<Supervision, Failure> {
    let settings = &scope.configuration;
    let Some(pid_file) = settings.path(PID_FILE) else {
        let hint = format!("set `{PID_FILE} = '/run/my_app.pid'`");
        return Err(Failure::mistake("`supervise` needs a pid file", Some(hint)));
    };
    let mistakes = mistakes(scope);
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes).into());
    }
    let beside = |ending: &str| {
        let mut path = pid_file.clone().into_os_string();
        path.push(ending);
        LockUrl::Flock(path.into())
    };
    let lines = settings.texts(PROGRAMS);
    let programs = lines.iter().map(|line| side_program(scope, line));
    Ok(Supervision {
        seat: SeatOptions {
            startup_lock: lock(scope, STARTUP_LOCK)?.unwrap_or_else(|| beside(".start")),
            pid_lock: lock(scope, PID_LOCK)?.unwrap_or_else(|| beside(".lock")),
            pid_file,
        },
        lifetime: Lifetime {
            stop_after: settings.duration("runner.supervise.stop_after"),
            idle_timeout: settings.duration("runner.supervise.idle_timeout"),
            run_at_least: settings.duration("runner.supervise.run_at_least"),
        },
        programs: programs.collect::<Result<_, _>>()?,
    })
}

/// The lock that a setting names, if it names one.
fn lock(scope: &Scope, setting: &'static str) -> Result<Option<LockUrl>, Diagnostic> {
    let Some(text) = scope.configuration.text(setting) else {
        return Ok(None);
    };
    let url: LockUrl = text.parse().map_err(|invalid: InvalidLockUrl| {
        wrong(scope, setting, "setting/lock", invalid.message).with_hint_if(invalid.hint)
    })?;
    let folder = scope.folder(&Origin::Property(setting.into()));
    Ok(Some(url.relative_to(&folder)))
}

/// A program that is kept running beside what is supervised.
fn side_program(scope: &Scope, line: &str) -> Result<SideProgram, Diagnostic> {
    let words = words(scope, PROGRAMS, line)?;
    program(scope, words).ok_or_else(|| {
        let message = format!("there is no program in {}", quoted(line));
        wrong(scope, PROGRAMS, "setting/program", message)
    })
}

/// A program with its arguments, if it has a name.
fn program(scope: &Scope, words: Vec<Word>) -> Option<SideProgram> {
    let mut words = words.into_iter();
    let first = words.next().filter(|word| !word.text.is_empty())?;
    Some(SideProgram {
        program: match first.text.contains('/') {
            true => here::absolute(&scope.path(&first)).into(),
            false => first.exact,
        },
        arguments: words.map(|word| word.exact).collect(),
        is_served: false,
    })
}

impl Supervise {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.what {
            Supervised::Application(node) => node.run(),
            Supervised::Program(program, _) => {
                serving::run(alone(&self.scope, self.supervision, program)?)
            }
        }
    }

    /// What is to be done for that; `None` for what is no server.
    #[must_use]
    pub fn plan(self) -> Option<Result<Plan, Failure>> {
        match self.what {
            Supervised::Application(node) => node.plan(),
            Supervised::Program(program, _) => Some(alone(&self.scope, self.supervision, program)),
        }
    }
}

/// What is to be done for a program that is no application: a server that listens nowhere, and the program beside it.
fn alone(
    scope: &Scope,
    mut supervision: Supervision,
    program: SideProgram,
) -> Result<Plan, Failure> {
    let served = SideProgram {
        is_served: true,
        ..program
    };
    supervision.programs.insert(0, served);
    // Nobody asks it for anything.
    supervision.lifetime.idle_timeout = Duration::ZERO;
    let gateway = Gateway::Http(settings::http(&scope.configuration, Audience::Anybody));
    let (url, told) = (SocketUrl::Nowhere, Announcement::Nobody);
    Plan::new(scope, url, gateway, told, Recipe::Demo, Some(supervision))
}
