//! For `check`: the programs that a file keeps running, whether they can be run, and which of them are files of ours, to be
//! checked as well.

use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;

use crate::commands::run::{run_ini, supervise};
use crate::config::{self, Layer};
use crate::graph::node::{KeptRunning, Supervised};
use crate::line::program_options::{self, Wish};
use crate::line::scope::Scope;
use crate::line::word::{Origin, Word};
use crate::plan::supervised::programs;
use crate::supervisor::programs::side_program::SideProgram;
use crate::syntax::Diagnostic;

/// A file that a program runs, and the settings below it.
pub struct CheckedFile {
    /// The settings.
    pub scope: Scope,
    /// The name of the file.
    pub word: Word,
}

/// The problems of the programs that a file keeps running, and the files of ours among them. `supervised` is what the
/// file's command supervises.
pub fn check(
    scope: &Scope,
    supervised: Option<&Supervised>,
) -> (Vec<Diagnostic>, Vec<CheckedFile>) {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let mut look = |scope: &Scope, origin: &Origin, program: &SideProgram| {
        problems.extend(problem(scope, origin, program));
        files.extend(file_of(scope, program));
    };
    for (origin, program) in programs(scope) {
        look(scope, &origin, &program);
    }
    if let Some(Supervised {
        scope,
        what: KeptRunning::Program(program, origin),
        ..
    }) = supervised
    {
        look(scope, origin, program);
    }
    (problems, files)
}

/// Why a program cannot be run.
fn problem(scope: &Scope, origin: &Origin, program: &SideProgram) -> Option<Diagnostic> {
    let wrong = |message: String, hint: Option<String>| {
        let mut mistake = scope.diagnose(origin, message, hint);
        mistake.code = "setting/program";
        mistake
    };
    program.find().err()?;
    let name = program.program.to_string_lossy();
    if !name.contains('/') {
        // `PATH` may be another one where the file runs.
        let hint = "write a `/` in the name of a file, as in `./program`".to_owned();
        let message = format!("there is no program `{name}` in `PATH`");
        return Some(wrong(message, Some(hint)).warning());
    }
    let path = Path::new(&program.program);
    Some(match path.metadata() {
        Err(_) => wrong(format!("there is no program `{name}`"), None),
        Ok(found) if !found.is_file() => wrong(format!("`{name}` is not a file"), None),
        Ok(_) => {
            let hint = format!("`chmod +x {name}` makes it a program");
            wrong(format!("`{name}` is not executable"), Some(hint))
        }
    })
}

/// The file of ours that a program is, by its first line, or that `runner` runs.
fn file_of(scope: &Scope, program: &SideProgram) -> Option<CheckedFile> {
    let path = Path::new(&program.program);
    if config::is_program(path) {
        return Some(below(scope, Vec::new(), program.program.clone()));
    }
    if path.file_name()? != "runner" {
        return None;
    }
    let words = std::iter::once(&program.program).chain(&program.arguments);
    let Ok(Wish::Run(line)) = program_options::parse(words.cloned()) else {
        return None;
    };
    let [command, file, ..] = &line.words[..] else {
        return None;
    };
    let runs_file = [run_ini::ENTRY.name, supervise::ENTRY.name].iter();
    let runs_file = runs_file.copied().any(|name| *command == *name);
    let layers = line.files.into_iter().map(Layer::Named);
    (runs_file && Path::new(file).is_file()).then(|| below(scope, layers.collect(), file.clone()))
}

/// A file over the layers that a process of its own reads: those of the environment, and what its own `-c` names.
fn below(scope: &Scope, named: Vec<Layer>, file: OsString) -> CheckedFile {
    let inherited = scope.layers.iter();
    let inherited = inherited.filter(|layer| matches!(layer, Layer::Own(_) | Layer::Listed(_)));
    CheckedFile {
        scope: Scope {
            layers: inherited.cloned().chain(named).collect(),
            configuration: Rc::clone(&scope.configuration),
            file: None,
        },
        word: Word {
            text: file.to_string_lossy().into_owned(),
            exact: file,
            origin: Origin::CommandLine,
        },
    }
}
