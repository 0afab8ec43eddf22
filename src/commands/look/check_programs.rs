//! For `check`: the programs that a file keeps running, whether they can be run, and which of them are files of ours, to be
//! checked as well.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::commands::run::{run_ini, supervise};
use crate::config::{self, Layer};
use crate::current_folder;
use crate::graph::entry::Commands;
use crate::graph::node::{KeptRunning, Supervised};
use crate::graph::resolve;
use crate::line::program_options::{self, CommandLine, Wish};
use crate::line::scope::Scope;
use crate::line::word::{Line, Origin, Word};
use crate::plan::supervised::{programs, unrunnable};
use crate::supervisor::programs::side_program::SideProgram;
use crate::syntax::{Diagnostic, Severity};

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
    commands: Commands,
    scope: &Scope,
    supervised: Option<&Supervised>,
) -> (Vec<Diagnostic>, Vec<CheckedFile>) {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let mut look = |scope: &Scope, origin: &Origin, program: &SideProgram| {
        problems.extend(unrunnable(scope, origin, program));
        let file = file_of(scope, program);
        problems.extend(mistakes(commands, scope, origin, program, file.is_some()));
        files.extend(file);
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

/// The file of ours that a program is, by its first line, or that `runner` runs.
fn file_of(scope: &Scope, program: &SideProgram) -> Option<CheckedFile> {
    let path = Path::new(&program.program);
    if config::is_program(path) {
        return Some(below(scope, Vec::new(), program.program.clone()));
    }
    let line = own_line(program)?;
    let [command, file, ..] = &line.words[..] else {
        return None;
    };
    let runs_file = [run_ini::ENTRY.name, supervise::ENTRY.name].iter();
    let runs_file = runs_file.copied().any(|name| *command == *name);
    let layers = line.files.into_iter();
    let layers = layers.map(|layer| Layer::Named(in_folder(program, &layer)));
    let file = in_folder(program, Path::new(file));
    (runs_file && file.is_file()).then(|| below(scope, layers.collect(), file.into()))
}

/// The path of a file that is an argument of a program: as it is written where that is the folder in which the program begins.
fn in_folder(program: &SideProgram, file: &Path) -> PathBuf {
    match current_folder::folder() == Some(&program.begins_in) {
        true => file.to_owned(),
        false => program.begins_in.join(file),
    }
}

/// The command line of a program that is `runner`.
fn own_line(program: &SideProgram) -> Option<CommandLine> {
    if Path::new(&program.program).file_name()? != "runner" {
        return None;
    }
    let words = std::iter::once(&program.program).chain(&program.arguments);
    match program_options::parse(words.cloned()) {
        Ok(Wish::Run(line)) => Some(line),
        Ok(Wish::Help(_) | Wish::Usage(_)) | Err(_) => None,
    }
}

/// Why the command of a program that is `runner` cannot be run, where the program is written. If the file that it runs is
/// checked for itself, mistakes in that are left to this check.
fn mistakes(
    commands: Commands,
    scope: &Scope,
    origin: &Origin,
    program: &SideProgram,
    is_checked: bool,
) -> Vec<Diagnostic> {
    let Some(line) = own_line(program) else {
        return Vec::new();
    };
    let written = scope.diagnose(origin, String::new(), None).labels;
    let written = written.into_iter().next();
    let origin = written.map_or_else(|| origin.clone(), |label| Origin::Place(label.place));
    let words = line.words.into_iter().map(|exact| Word {
        text: exact.to_string_lossy().into_owned(),
        exact,
        origin: origin.clone(),
    });
    let words = Line {
        words: words.collect(),
        ..Line::default()
    };
    let named = line.files.into_iter();
    let named = named.map(|layer| Layer::Named(in_folder(program, &layer)));
    let named = named.collect();
    let resolved = Scope::load(layers(scope, named), None)
        .and_then(|own| resolve::command(commands, own, words));
    let found = resolved.map_or_else(
        |failure| failure.problems(|message| scope.diagnose(&origin, message, None)),
        |_| Vec::new(),
    );
    let is_here = |one: &Diagnostic| {
        let mut labels = one.labels.iter().map(|label| label.place.clone());
        labels.next().map(Origin::Place).as_ref() == Some(&origin)
    };
    let found = found.into_iter();
    let found = found.filter(|one| !is_checked || is_here(one));
    // Nobody types words that are missing.
    let error = |one| Diagnostic {
        severity: Severity::Error,
        ..one
    };
    found.map(error).collect()
}

/// The layers that a process of its own reads: those of the environment, and what its own `-c` names.
fn layers(scope: &Scope, named: Vec<Layer>) -> Vec<Layer> {
    let inherited = scope.layers.iter();
    let inherited = inherited.filter(|layer| matches!(layer, Layer::Own(_) | Layer::Listed(_)));
    inherited.cloned().chain(named).collect()
}

/// A file over the layers that a process of its own reads.
fn below(scope: &Scope, named: Vec<Layer>, file: OsString) -> CheckedFile {
    CheckedFile {
        scope: Scope {
            layers: layers(scope, named),
            configuration: Rc::clone(&scope.configuration),
            file: None,
            is_elsewhere: false,
        },
        word: Word {
            text: file.to_string_lossy().into_owned(),
            exact: file,
            origin: Origin::CommandLine,
        },
    }
}
