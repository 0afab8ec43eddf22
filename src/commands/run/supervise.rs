//! `supervise FILE ARGS…`: one master keeps an application or a program running.

use std::time::Duration;

use crate::commands::run::run_ini;
use crate::config::{self, COMMAND, FileFormat, Layer, PID_FILE};
use crate::graph::entry::{Arguments, Commands, Entry, EntryKind, Options, no_options};
use crate::graph::node::{Branch, Job, KeptRunning, Node, Served, Supervised};
use crate::graph::resolve;
use crate::graph::shortcuts::{self, Wanted};
use crate::line::failure::Failure;
use crate::line::run_file::{self, defaults, enter, run_file, with_defaults};
use crate::line::scope::{RunFile, Scope};
use crate::line::target::{FILE_SCHEME, SCHEME};
use crate::line::word::{Line, Origin, Word};
use crate::plan::Plan;
use crate::plan::application::recipe::Recipe;
use crate::plan::gateway::{Audience, Gateway};
use crate::plan::gateway_options;
use crate::plan::supervised::{command, program, program_origin, supervision};
use crate::supervisor::programs::side_program::SideProgram;
use crate::supervisor::supervision::Supervision;
use crate::syntax::{Diagnostic, quoted};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "supervise",
    usage: "[FILE | NAME] [ARGS]...",
    summary: "Keeps an application running, with one master and a pid file",
    help: "\
FILE has one key and its value on each line, and needs `Command` and `PidFile`;
see runner.supervise(5). An executable file whose first line is
`#!/usr/bin/env -S runner supervise` or `#!invoke runner supervise` is a program
of its own.

FILE may also be an INI file, whose `app` is then supervised as its settings
`runner.supervise.*` say. In place of FILE, a command may stand: `supervise
serve WSGI import:my_app.application`. Without either, the command is in the
setting `runner.supervise.command`.

The command is `serve`, `FastCGI`, `uwsgi`, a name or file that stands for one of these,
or `exec:` and a program. ARGS are appended to it.

Starting the same file again is a warm restart: the new master gets ready, takes
over the sockets of the old one, and tells the old one to finish its requests
and end. SIGTERM and SIGINT stop the master gracefully. SIGHUP reloads the file
and the application.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments)?)),
    },
};

/// Precedes a program that is not an application.
const EXEC: &str = "exec:";

/// A command or program with its supervision.
pub struct Supervise {
    /// The file of keys, if one was read.
    file: Option<RunFile>,
    supervised: Supervised,
}

/// Resolves the command or program, and how it is supervised.
///
/// # Errors
/// The file or command does not exist, has mistakes, or cannot be supervised.
pub fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Supervise, Failure> {
    let commands = arguments.commands;
    let mut line = std::mem::take(&mut arguments.line);
    let first = line.words.first();
    let named = first.filter(|word| !is_command(commands, &scope, word));
    let Some(word) = named.cloned() else {
        let scope = with_defaults(scope)?;
        if line.words.is_empty() {
            if scope.get(COMMAND)?.is_none() {
                return Err(arguments.missing("FILE"));
            }
            prepend(&mut line, command(&scope)?);
        }
        return supervised(commands, scope, None, line);
    };
    line.words.remove(0);
    let file = run_file(&scope, &word);
    if !file.path.exists() && shortcuts::is_nearly_one(commands, &scope, &word.text) {
        return Err(shortcuts::unknown(commands, &scope, &word, Wanted::Command));
    }
    match config::format(&file.path) {
        Some(FileFormat::Ini) => {
            prepend(&mut line, vec![run_ini::word(&word.origin), word]);
            supervised(commands, with_defaults(scope)?, None, line)
        }
        Some(FileFormat::Keys) | None => {
            enter(&scope, &mut line, &word, &file)?;
            of_keys(commands, read(scope, file)?, line)
        }
    }
}

/// Resolves the command of the file of keys that the scope was read from. Further words are appended to it.
///
/// # Errors
/// The command has mistakes, or cannot be supervised.
pub fn of_keys(commands: Commands, scope: Scope, mut line: Line) -> Result<Supervise, Failure> {
    prepend(&mut line, command(&scope)?);
    let file = scope.file.clone();
    supervised(commands, scope, file, line)
}

/// Whether a word begins a command, rather than names a file.
fn is_command(commands: Commands, scope: &Scope, word: &Word) -> bool {
    let text = word.text.as_str();
    let known =
        || commands.find(text).is_some() || shortcuts::is_defined(&scope.configuration, text);
    let is_url = [SCHEME, FILE_SCHEME, EXEC]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    is_url || shortcuts::is_name(text) && known()
}

/// The settings of a file, of keys or INI, over those in force.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn read_settings(scope: Scope, word: &Word) -> Result<Scope, Failure> {
    match config::format(&scope.path(word)) {
        Some(FileFormat::Keys) => {
            let file = run_file(&scope, word);
            read(scope, file)
        }
        Some(FileFormat::Ini) | None => run_file::read(scope, word),
    }
}

/// The settings of a file of keys over those in force.
fn read(scope: Scope, file: RunFile) -> Result<Scope, Failure> {
    let mut layers = defaults(scope.layers.clone());
    layers.push(Layer::Keys(file.path.clone()));
    scope.with_layers(layers, Some(file))
}

fn prepend(line: &mut Line, words: Vec<Word>) {
    line.words.splice(0..0, words);
}

/// Resolves a command line that is supervised.
fn supervised(
    commands: Commands,
    scope: Scope,
    file: Option<RunFile>,
    mut line: Line,
) -> Result<Supervise, Failure> {
    let Some(first) = line.words.first().cloned() else {
        // The setting is empty. Without words on the command line, the usage was printed.
        let message = "the command is empty".to_owned();
        return Err(scope.mistake(&Origin::Property(COMMAND.into()), message, None));
    };
    if let Some(attached) = first.text.strip_prefix(EXEC) {
        match attached {
            "" => drop(line.words.remove(0)),
            _ => {
                line.words[0].text = attached.to_owned();
                line.words[0].exact = attached.into();
            }
        }
        let Some(program) = program(&scope, line.words) else {
            let message = format!("`{EXEC}` lacks the name of a program");
            let hint = format!("write `{EXEC} ./program ARGUMENTS`");
            return Err(scope.mistake(&first.origin, message, Some(hint)));
        };
        let supervised = Supervised {
            supervision: supervision(&scope)?,
            what: KeptRunning::Program(program, first.origin),
            scope,
            has_keys: file.is_some(),
        };
        return Ok(Supervise { file, supervised });
    }
    if first.text.contains('/') && !first.text.contains(':') {
        let path = scope.path(&first);
        let name = quoted(&first.text);
        let message = match config::format(&path) {
            _ if !path.exists() => Some(format!("there is no file {name}")),
            Some(FileFormat::Keys) => Some(format!(
                "{name} cannot be supervised: it is a file for `supervise` itself"
            )),
            Some(FileFormat::Ini) | None => None,
        };
        if let Some(message) = message {
            return Err(scope.mistake(&first.origin, message, None));
        }
        prepend(&mut line, vec![run_ini::word(&first.origin)]);
    }
    let node = resolve::command(commands, scope.clone(), line)?;
    // The INI file may be supervised by its own command already.
    if let Some(own) = node.supervised().filter(|own| !own.has_keys) {
        let supervised = Supervised {
            has_keys: file.is_some(),
            ..own.clone()
        };
        return Ok(Supervise { file, supervised });
    }
    let Some(inner) = node.supervisable() else {
        let message = format!("{} cannot be supervised", quoted(&first.text));
        let hint = "`serve`, `FastCGI`, `uwsgi`, a name that stands for one of them, and `exec: PROGRAM` can";
        return Err(scope.mistake(&first.origin, message, Some(hint.to_owned())));
    };
    let supervised = Supervised {
        scope: inner.clone(),
        supervision: supervision(inner)?,
        has_keys: file.is_some(),
        what: KeptRunning::Application(node.into()),
    };
    Ok(Supervise { file, supervised })
}

impl Supervise {
    fn file_name(&self) -> Option<&str> {
        self.file.as_ref().map(|file| file.written.as_str())
    }

    /// Draws its file and its name, in this order or the other, and the command below them.
    fn draw_below(&self, above: [Option<&str>; 2], mut depth: usize, tree: &mut Vec<Branch>) {
        for text in above.into_iter().flatten() {
            tree.push(Branch::new(depth, text));
            depth += 1;
        }
        let Supervised {
            scope,
            supervision,
            what,
            ..
        } = &self.supervised;
        let set = |name: &str| scope.place(&Origin::Property(name.into()));
        let pid_file = format!("pid file {}", supervision.seat.pid_file.display());
        tree.push(Branch::written(depth, pid_file, set(PID_FILE)));
        for (number, program) in supervision.programs.iter().enumerate() {
            let text = format!("program {program}");
            let place = scope.place(&program_origin(number));
            tree.push(Branch::written(depth, text, place));
        }
        match what {
            KeptRunning::Program(program, origin) => {
                let text = format!("program {program}");
                tree.push(Branch::written(depth, text, scope.place(origin)));
            }
            KeptRunning::Application(node) => node.draw(depth, tree),
        }
    }
}

impl Node for Supervise {
    fn job(&self, _: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        let Supervised {
            scope,
            supervision,
            what,
            ..
        } = &self.supervised;
        match what {
            KeptRunning::Application(node) => node.job(Some(supervision)),
            KeptRunning::Program(program, _) => {
                let plan = alone(scope, supervision.clone(), program.clone())?;
                Ok(Job::Serve(Box::new(plan)))
            }
        }
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        self.draw_below([Some(ENTRY.name), self.file_name()], depth, tree);
    }

    fn draw_file(&self, depth: usize, tree: &mut Vec<Branch>) {
        self.draw_below([self.file_name(), Some(ENTRY.name)], depth, tree);
    }

    fn address_problems(&self) -> Option<Vec<Diagnostic>> {
        match &self.supervised.what {
            KeptRunning::Application(node) => node.address_problems(),
            KeptRunning::Program(..) => None,
        }
    }

    fn served(&self) -> Option<Served> {
        match &self.supervised.what {
            KeptRunning::Application(node) => node.served(),
            KeptRunning::Program(..) => None,
        }
    }

    fn supervised(&self) -> Option<&Supervised> {
        Some(&self.supervised)
    }
}

/// The plan for a program without an application: a server that listens nowhere, and the program beside it.
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
    // The server gets no requests, so it would always be idle.
    supervision.lifetime.idle_timeout = Duration::ZERO;
    let options = gateway_options::http(&scope.configuration, Audience::Nobody);
    Plan::new(
        scope,
        Vec::new(),
        Gateway::Http(options),
        Audience::Nobody,
        Recipe::demo(),
        Some(&supervision),
    )
}
