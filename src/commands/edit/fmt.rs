//! `fmt [--check] FILE…`: formats configuration files in their canonical layout.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction};
use similar::TextDiff;

use crate::config;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::syntax::{Diagnostic, Source, ini_lines, key_layout, layout};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "fmt",
    usage: "[--check] FILE...",
    summary: "Formats configuration files in one canonical layout",
    help: "\
Comments, groups of lines and the meaning of a file stay as they are. Its layout
becomes `NAME = VALUE` (`KEY VALUE` in a file for `supervise`), with one space
around operators and after commas, none inside brackets, and an indent of four
columns a bracket. Comments after values are aligned. Several blank lines become
one, and each section is preceded by one. Line breaks inside a value stay where
they are.

A file with mistakes is not changed; its mistakes are printed. `-` formats
standard input to standard output.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: |command| {
            command.arg(
                Arg::new(CHECK)
                    .long(CHECK)
                    .help("Only show what would change; exit status 1 if anything would")
                    .action(ArgAction::SetTrue),
            )
        },
        resolve: |scope, arguments| {
            let fmt = resolve(&scope, arguments)?;
            Ok(action(ENTRY.name, move || Ok(fmt.run())))
        },
    },
};

const CHECK: &str = "check";

/// The name of standard input in messages.
const STDIN: &str = "<stdin>";

/// Time to search for the smallest difference; after it, a larger one is shown.
const PATIENCE: Duration = Duration::from_secs(2);

/// Files to format.
struct Fmt {
    /// In the order given, at least one.
    inputs: Vec<Input>,
    /// Whether differences are shown instead of written.
    check: bool,
}

/// Where a configuration is read from.
#[derive(Debug)]
enum Input {
    File(PathBuf),
    Stdin,
}

fn resolve(scope: &Scope, mut arguments: Arguments) -> Result<Fmt, Failure> {
    let check = arguments.options.get_flag(CHECK);
    let input = |word: Word| match word.text.as_str() {
        "-" => Input::Stdin,
        _ => Input::File(scope.path(&word)),
    };
    let mut words = std::mem::take(&mut arguments.line.words);
    words.append(&mut arguments.behind);
    if words.is_empty() {
        return Err(arguments.missing("FILE"));
    }
    Ok(Fmt {
        inputs: words.into_iter().map(input).collect(),
        check,
    })
}

impl Fmt {
    /// Formats each file, whether or not the others fail.
    fn run(&self) -> ExitCode {
        let mut status = ExitCode::SUCCESS;
        for input in &self.inputs {
            match self.one(input) {
                Ok(true) => {}
                Ok(false) => status = ExitCode::FAILURE,
                Err(failure) => status = failure.report(),
            }
        }
        status
    }

    /// Formats one file. False if it would change.
    fn one(&self, input: &Input) -> Result<bool, Failure> {
        let source = input.read()?;
        // A longer result could not be read again.
        let largest = usize::try_from(config::LARGEST).unwrap_or(usize::MAX);
        let text = match config::format_of(&source) {
            Some(config::FileFormat::Keys) => key_layout(&source, largest)?,
            Some(config::FileFormat::Ini) | None => layout(&source, largest)?,
        };
        match (self.check, input) {
            (true, _) if text == source.text => Ok(true),
            (true, _) => {
                print(&difference(&source, &text));
                Ok(false)
            }
            (false, Input::Stdin) => Ok(print(&text) == ExitCode::SUCCESS),
            (false, Input::File(_)) if text == source.text => Ok(true),
            (false, Input::File(path)) => {
                write(path, &text).with_context(|| format!("cannot write `{}`", path.display()))?;
                Ok(true)
            }
        }
    }
}

impl Input {
    fn read(&self) -> Result<Arc<Source>, Failure> {
        match self {
            Self::File(path) => Ok(config::source(path)?),
            Self::Stdin => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .take(config::LARGEST + 1)
                    .read_to_end(&mut bytes)
                    .context("cannot read standard input")?;
                if bytes.len() as u64 > config::LARGEST {
                    let most = config::LARGEST >> 20;
                    let message = format!("standard input has more than {most} MiB");
                    return Err(Diagnostic::new("limit/file", message).into());
                }
                Ok(ini_lines::decode(STDIN, bytes)?)
            }
        }
    }
}

/// The changes, as a unified diff.
fn difference(source: &Source, text: &str) -> String {
    TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(source.text.as_str(), text)
        .unified_diff()
        .header(&source.name, &format!("{} (formatted)", source.name))
        .to_string()
}

/// Replaces the text of a file, entirely or not at all. The file keeps its mode and its owner, and a symbolic link
/// remains one.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let path = path.canonicalize()?;
    // A user who may not write the file must not replace it either.
    let old = std::fs::OpenOptions::new().write(true).open(&path)?;
    let metadata = old.metadata()?;
    anyhow::ensure!(metadata.is_file(), "it is not a regular file");
    let folder = path.parent().context("it is in no folder")?;
    let mut new = tempfile::Builder::new()
        .prefix(".runner-fmt-")
        .tempfile_in(folder)
        .context("no new file can be made beside it")?;
    new.write_all(text.as_bytes())?;
    fchown(new.as_file(), Some(metadata.uid()), Some(metadata.gid()))
        .context("its owner cannot be kept")?;
    new.as_file().set_permissions(metadata.permissions())?;
    new.as_file().sync_all()?;
    new.persist(&path)?;
    Ok(())
}
