//! `runIni FILE ARGS…`: runs the command that a file defines. It is what makes an INI file a program.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::graph::{self, Node};
use crate::command::line::{Origin, RunFile, Scope, Step, Word};
use crate::command::{Entry, Kind, no_options};
use crate::config::Layer;

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
const APP: &str = "peak.running.app";

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
    let path = path(&scope, &word);
    let mut line = arguments.line;
    // What cannot be found has no other name; reading it will say what is wrong.
    let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
    if let Err(chain) = line.enter(Step::File(identity)) {
        let message = format!("`{}` runs itself: {chain}", word.text);
        return Err(scope.mistake(&word.origin, message, None));
    }
    let scope = read(scope, &word)?;
    let file = RunFile {
        written: word.text,
        path,
    };
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

/// The path of a file, as it was written where that is possible: so it is shown in messages.
fn path(scope: &Scope, word: &Word) -> PathBuf {
    match word.origin {
        Origin::CommandLine => PathBuf::from(&word.text),
        Origin::Property(_) => scope.folder(&word.origin).join(&word.text),
    }
}

/// The settings of a file over those that are in force.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn read(scope: Scope, word: &Word) -> Result<Scope, Failure> {
    let file = RunFile {
        written: word.text.clone(),
        path: path(&scope, word),
    };
    let mut layers = scope.layers;
    layers.push(Layer::File(file.path.clone()));
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
