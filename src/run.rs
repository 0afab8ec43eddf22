//! The program, a line a stage.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use crate::commands::COMMANDS;
use crate::commands::look::help;
use crate::config::{self, Layer};
use crate::current_folder;
use crate::graph::node::{Job, Node};
use crate::graph::resolve;
use crate::line::failure::{Failure, warn};
use crate::line::program_options::{self, CommandLine, Wish};
use crate::line::scope::Scope;
use crate::line::script;
use crate::line::word::Line;
use crate::log;
use crate::plan::Plan;
use crate::server::{master, once};
use crate::supervisor::programs::parent_link;
use crate::supervisor::seat::predecessor_link;

/// The variable that names configuration files.
const FILES: &str = "PEAK_CONFIG";

/// Commands that work even if files that they do not need have mistakes.
const WITHOUT_FILES: &[&str] = &["completions", "fmt", "init"];

/// Whether the user's own file was there when this process began.
static OWN_AT_START: OnceLock<bool> = OnceLock::new();

/// Runs the program with the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    current_folder::folder();
    let _flushed = log::FlushAtExit;
    predecessor_link::inherit();
    parent_link::inherit();
    run(env::args_os()).unwrap_or_else(|failure| {
        let text = failure.text();
        let why = text.trim_start_matches("error: ");
        if predecessor_link::report_failure(why) {
            return ExitCode::FAILURE;
        }
        parent_link::report_failure(why.trim_end());
        failure.report()
    })
}

/// Arguments → layers → configuration → graph → job → server.
fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failure> {
    match parse(arguments)? {
        Wish::Run(line) => {
            let node = resolve(line)?;
            let job = node.job(None)?;
            if !matches!(job, Job::Serve(_)) {
                parent_link::close();
            }
            match job {
                Job::Serve(plan) => {
                    config::forget_pipes();
                    log::set_form(plan.line_form.clone());
                    warn(&plan.warnings);
                    master::run(*plan, reread)
                }
                Job::Answer(request) => {
                    log::set_form(request.line_form.clone());
                    once::run(*request)
                }
                Job::Import(applications, report) => Ok(report(once::import(applications)?)),
                Job::Run(run) => run(),
            }
        }
        Wish::Help(files) => Ok(help::print(COMMANDS, Scope::load(layers(files), None))),
        Wish::Usage(files) => Ok(help::complain(COMMANDS, Scope::load(layers(files), None))),
    }
}

/// The plan that the arguments of this process come to now, with the files as they are now. `None` if the command is
/// no server any more.
fn reread() -> Result<Option<Plan>, Failure> {
    match parse(env::args_os())? {
        Wish::Run(line) => match resolve(line)?.job(None)? {
            Job::Serve(plan) => {
                warn(&plan.warnings);
                Ok(Some(*plan))
            }
            Job::Answer(_) | Job::Import(..) | Job::Run(_) => Ok(None),
        },
        // They never reach a server.
        Wish::Help(_) | Wish::Usage(_) => Ok(None),
    }
}

/// Arguments → what they ask for.
///
/// # Errors
/// Wrong usage, and `--version`.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Wish, Failure> {
    program_options::parse(arguments)
        .map_err(|error| Failure::of_options(error, &[], program_options::USAGE.to_owned()))
}

/// Command line → layers → configuration → graph. A reload does it again.
///
/// # Errors
/// What is wrong with the files, or a name in them or in the command line.
pub fn resolve(line: CommandLine) -> Result<Box<dyn Node>, Failure> {
    let head = line.words.first().and_then(|word| word.to_str());
    let scope = match Scope::load(layers(line.files), None) {
        // The user needs these to repair a file.
        Err(_) if head.is_some_and(|head| WITHOUT_FILES.contains(&head)) => {
            Scope::load(Vec::new(), None)?
        }
        loaded => loaded?,
    };
    let mut line = Line::typed(line.words);
    script::mark(&mut line);
    resolve::command(COMMANDS, scope, line)
}

/// The files below the one that is run, lowest first.
fn layers(named: Vec<PathBuf>) -> Vec<Layer> {
    let own = dirs::config_dir()
        .map(|folder| folder.join("runner").join("runner.ini"))
        .filter(|file| {
            let found = file.try_exists();
            let at_start = *OWN_AT_START.get_or_init(|| found.as_ref().is_ok_and(|found| *found));
            // A server that has given up root cannot look. A file that was there at the start must not be skipped in
            // silence; one that was not is not expected.
            found.unwrap_or(at_start)
        });
    let listed = env::var_os(FILES).unwrap_or_default();
    let listed = env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty());
    own.into_iter()
        .map(Layer::Own)
        .chain(listed.map(Layer::Listed))
        .chain(named.into_iter().map(Layer::Named))
        .collect()
}
