//! `runIni FILE ARGS…`: runs the command that a file defines. It is what makes an INI file a program.

use std::process::ExitCode;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::graph::{self, Node};
use crate::command::line::{Line, Origin, RunFile, Scope, Step, Word};
use crate::command::{Entry, Kind, no_options};
use crate::config::{self, Format, Layer};
use crate::syntax::quoted;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "runIni",
    usage: "FILE [ARGS]...",
    about: "Runs the command that an INI file defines as `app`",
    help: "\
FILE is read over the layers below it, and the command in its
`peak.running.app` (`app` for short) is run with ARGS. With `#!invoke runner
runIni` or `#!/usr/bin/env -S runner runIni` as its first line, an executable
file is a program of its own.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let run_ini = resolve(scope, arguments)?;
            Ok(Node::RunIni(Box::new(run_ini)))
        },
    },
};

/// The property that says what a file runs.
pub const APP: &str = "peak.running.app";

/// How many files may run one another: each is read over all those before it.
const DEEPEST: usize = 16;

/// A file and what it runs.
#[derive(Debug)]
pub struct RunIni {
    /// The file.
    pub file: RunFile,
    /// Where the file's name was written.
    pub origin: Origin,
    /// What it runs.
    pub node: Node,
}

/// Finds out what a file runs: the first word names it, the others are arguments.
///
/// # Errors
/// There is no such file, it has mistakes, or it defines nothing that can be run.
pub fn resolve(scope: Scope, mut arguments: Arguments) -> Result<RunIni, Failure> {
    let word = arguments.first("FILE")?;
    let file = run_file(&scope, &word);
    let mut line = arguments.line;
    if config::format(&file.path) == Some(Format::Keys) {
        let message = format!("{} is a file for `supervise`", quoted(&word.text));
        let hint = format!("write `supervise {}`", word.text);
        return Err(scope.mistake(&word.origin, message, Some(hint)));
    }
    enter(&scope, &mut line, &word, &file)?;
    let scope = read(scope, &word)?;
    let Some(value) = scope.get(APP)? else {
        return Err(Failure::mistake(
            format!("`{}` does not say what to run", file.written),
            Some(
                "add `app = commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])`"
                    .to_owned(),
            ),
        ));
    };
    Ok(RunIni {
        node: graph::run_value(scope, APP, value, line)?,
        origin: word.origin,
        file,
    })
}

/// Adds a file to the chain of those that run one another.
///
/// # Errors
/// It is there already, or there are too many.
pub fn enter(scope: &Scope, line: &mut Line, word: &Word, file: &RunFile) -> Result<(), Failure> {
    if let Err(chain) = line.enter(step(file)) {
        let message = format!("`{}` runs itself: {chain}", word.text);
        return Err(scope.mistake(&word.origin, message, None));
    }
    let files = line
        .chain
        .iter()
        .filter(|step| matches!(step, Step::File(_)));
    if files.count() > DEEPEST {
        let message = format!("files run one another more than {DEEPEST} deep");
        return Err(scope.mistake(&word.origin, message, None));
    }
    Ok(())
}

/// The command itself, as if it had been written somewhere.
#[must_use]
pub fn word(origin: &Origin) -> Word {
    Word {
        text: ENTRY.name.to_owned(),
        exact: ENTRY.name.into(),
        origin: origin.clone(),
    }
}

/// The file that a word names, its path as it was written where that is possible: so it is shown in messages.
#[must_use]
pub fn run_file(scope: &Scope, word: &Word) -> RunFile {
    RunFile {
        written: word.text.clone(),
        exact: word.exact.clone(),
        path: scope.path(word),
    }
}

/// A file as a step of a chain.
fn step(file: &RunFile) -> Step {
    // What cannot be found has no other name; reading it will say what is wrong.
    let identity = file.path.canonicalize();
    Step::File(identity.unwrap_or_else(|_| file.path.clone()))
}

/// No words yet, behind the file of a scope.
#[must_use]
pub fn line(scope: &Scope) -> Line {
    Line {
        chain: scope.file.iter().map(step).collect(),
        ..Line::default()
    }
}

/// The settings of a file over those that are in force, but for the keys of a file for `supervise`.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn read(scope: Scope, word: &Word) -> Result<Scope, Failure> {
    let file = run_file(&scope, word);
    let mut layers = scope.layers;
    let keys = layers.iter().rev();
    let keys = keys.take_while(|layer| matches!(layer, Layer::Keys(_)));
    let below = layers.len() - keys.count();
    layers.insert(below, Layer::File(file.path.clone()));
    Scope::load(layers, Some(file))
}

impl RunIni {
    /// Runs what the file runs.
    ///
    /// # Errors
    /// Those of what it runs.
    pub fn run(self) -> Result<ExitCode, Failure> {
        self.node.run()
    }
}
