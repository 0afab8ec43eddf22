//! `runIni FILE ARGS…`: runs the command that an INI file defines, which makes the file a program.

use crate::config::{self, FileFormat};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, no_options};
use crate::graph::node::{Branch, Job, Node, Served, Supervised};
use crate::graph::resolve;
use crate::line::failure::Failure;
use crate::line::run_file::{enter, read, run_file};
use crate::line::scope::{RunFile, Scope};
use crate::line::word::{Origin, Word};
use crate::supervisor::supervision::Supervision;
use crate::syntax::{Diagnostic, quoted};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "runIni",
    usage: "FILE [ARGS]...",
    summary: "Runs the command that an INI file defines as `app`",
    help: "\
Reads FILE over the configuration layers below it, and runs the command in its
setting `peak.running.app` (`app` for short) with ARGS.

An executable file whose first line is `#!/usr/bin/env -S runner runIni` or
`#!invoke runner runIni` is a program of its own.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments)?)),
    },
};

/// The setting with the command that a file runs.
pub const APP: &str = "peak.running.app";

/// A file and its command.
pub struct RunIni {
    file: RunFile,
    /// The command.
    pub node: Box<dyn Node>,
}

/// Resolves the command of the file that the first word names; the other words are its arguments.
///
/// # Errors
/// The file does not exist or has mistakes, or its command cannot be run.
pub fn resolve(scope: Scope, mut arguments: Arguments) -> Result<RunIni, Failure> {
    let commands = arguments.commands;
    let word = arguments.first("FILE")?;
    let file = run_file(&scope, &word);
    let mut line = arguments.line;
    if config::format(&file.path) == Some(FileFormat::Keys) {
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
        node: resolve::run_value(commands, scope, APP, value, line)?,
        file,
    })
}

/// The word `runIni`, as if it were written at the origin.
#[must_use]
pub fn word(origin: &Origin) -> Word {
    Word {
        text: ENTRY.name.to_owned(),
        exact: ENTRY.name.into(),
        origin: origin.clone(),
    }
}

impl Node for RunIni {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        self.node.job(supervision)
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, ENTRY.name));
        self.draw_file(depth + 1, tree);
    }

    fn draw_file(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, &self.file.written));
        self.node.draw(depth + 1, tree);
    }

    fn supervisable(&self) -> Option<&Scope> {
        self.node.supervisable()
    }

    fn address_problems(&self) -> Option<Vec<Diagnostic>> {
        self.node.address_problems()
    }

    fn served(&self) -> Option<Served> {
        self.node.served()
    }

    fn supervised(&self) -> Option<&Supervised> {
        self.node.supervised()
    }
}
