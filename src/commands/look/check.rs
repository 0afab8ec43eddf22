//! `check FILE…`: every mistake in files that can be found without running them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Arg, ArgAction};
use serde_json::{Value as Json, json};

use crate::commands::json;
use crate::commands::look::check_programs::{self, CheckedFile};
use crate::commands::look::imports::Imports;
use crate::commands::run::{run_ini, supervise};
use crate::config::{self, BooleanOrText, COMMAND, Layer, PID_FILE, sort_by_place};
use crate::graph::entry::{Arguments, Commands, Entry, EntryKind, Options, format_option};
use crate::graph::first_line;
use crate::graph::node::{Branch, Job, Node, Served};
use crate::graph::report::print;
use crate::graph::resolve;
use crate::graph::shortcuts;
use crate::line::failure::Failure;
use crate::line::run_file;
use crate::line::scope::Scope;
use crate::line::script;
use crate::line::word::{Line, Origin, Word};
use crate::log;
use crate::plan::address::{URL, configured_urls};
use crate::plan::application::circles::redirect_circles;
use crate::plan::gateway_options::{ACCESS_FILE, access_file_problem};
use crate::plan::surroundings::missing;
use crate::plan::tls::{self, TlsPlaces};
use crate::plan::user::unknown_accounts;
use crate::plan::{pages, seating, supervised};
use crate::supervisor::supervision::Supervision;
use crate::syntax::{Diagnostic, Diagnostics, Lines, MaskedSources, Severity, render_all};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "check",
    usage: "[--import] [--format FORMAT] FILE...",
    summary: "Finds mistakes in files, without running them",
    help: "\
Prints all problems of all files: wrong syntax, values that cannot be computed,
unknown names (even in expressions that are never evaluated), unknown settings,
settings of the wrong type or form, missing files, and aliases and commands that
do not resolve. A rule for several names is checked as far as its value is the
same for all of them.

Warnings are for a doubled `=`, a setting that the same file overrides, a
default (`name?`) that never applies in its file, a setting that is read but
never set, `runner.log.access` where a web server logs requests, a name that
nothing reads and that is nearly the name of a setting (`ulr`, `[workers] min`),
settings that contradict each other, a certificate that clients do not accept
(expired, or for other names), and a user or group that this machine does not
have.
The exit status is 1 if there are errors.

Programs that a file keeps running, or runs before its start, must exist and be
executable; a script of theirs that is missing (`python manage.py`) is a
warning. Those that are configuration files, by their first line or as in
`runner runIni FILE`, are checked too. So are commands in them, as in `runner
serve NAME_OR_URL`, and the command in the first line of a file:
`#!/usr/bin/env -S runner FastCGI …`.

A file is one for `supervise` if its first line says so, or if its first line
that is no comment is a key with its value.

With `--import`, each application that the files name is imported, in its own
Python and with its own settings, as for one CGI request; it has
`runner.start_timeout` for that. Thus modules that are missing, errors in them,
and objects that are no such applications are found, too. What applications
write goes to standard error. Threads and exit handlers that they leave are not
waited for. No event loop runs, and no `lifespan` begins: what an ASGI
application connects to at its start is not tried.

With `--format json`, each problem has a stable code, the severity, the file,
lines and columns (counted from 1, in characters), a message, a hint, and
related places.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: |command| {
            command.arg(format_option(&["text", "json"])).arg(
                Arg::new(IMPORT)
                    .long(IMPORT)
                    .help("Import the applications that the files name")
                    .action(ArgAction::SetTrue),
            )
        },
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments)?)),
    },
};

const IMPORT: &str = "import";

/// Errors in a file after which its further commands are not checked.
const MOST_ERRORS: usize = 1000;

/// Files to check.
struct Check {
    commands: Commands,
    scope: Scope,
    files: Vec<Word>,
    as_json: bool,
    imports: bool,
}

/// What was found.
#[derive(Default)]
struct Findings {
    problems: Vec<Diagnostic>,
    imports: Imports,
    /// How many files were checked.
    files: usize,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Check, Failure> {
    arguments.line.words.append(&mut arguments.behind);
    let mut files = vec![arguments.first("FILE")?];
    files.append(&mut arguments.line.words);
    Ok(Check {
        as_json: arguments.format() == "json",
        imports: arguments.options.get_flag(IMPORT),
        commands: arguments.commands,
        scope,
        files,
    })
}

impl Node for Check {
    fn job(&self, _: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        let mut found = self.look();
        if !self.imports {
            return Ok(Job::Run(Box::new(move || Ok(self.report(&found)))));
        }
        let requests = found.imports.requests();
        let report = move |imported| {
            found.problems.extend(found.imports.problems(imported));
            sort_by_place(&mut found.problems);
            self.report(&found)
        };
        Ok(Job::Import(requests, Box::new(report)))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, ENTRY.name));
    }
}

impl Check {
    /// Checks the files, without running them.
    fn look(&self) -> Findings {
        let mut all = Findings::default();
        // A problem in a lower layer, or in a file that several files include, is printed once.
        let mut known = HashSet::new();
        let given = |word: &Word| CheckedFile {
            scope: self.scope.clone(),
            word: word.clone(),
        };
        let mut files: Vec<CheckedFile> = self.files.iter().map(given).collect();
        // Programs that run one another end here.
        let mut seen: HashSet<PathBuf> = files.iter().map(identity_of).collect();
        while let Some(file) = files.get(all.files) {
            all.files += 1;
            let (found, programs) = problems_of(self.commands, file, &mut all.imports);
            let new = found.into_iter().filter(|one| known.insert(identity(one)));
            all.problems.extend(new);
            let programs = programs.into_iter();
            files.extend(programs.filter(|file| seen.insert(identity_of(file))));
        }
        all
    }

    /// Prints the problems.
    fn report(&self, found: &Findings) -> ExitCode {
        let problems = &found.problems;
        let text = match self.as_json {
            false => self.text(found),
            true => {
                let mut lines = Lines::default();
                let mut sources = MaskedSources::default();
                let object = |one| object(&sources.without_secrets(one), &mut lines);
                let problems: Vec<Json> = problems.iter().map(object).collect();
                json::document(&json!({ "problems": problems }))
            }
        };
        let status = print(&text);
        match count(problems, Severity::Error) {
            0 => status,
            _ => ExitCode::FAILURE,
        }
    }

    /// The problems as diagnostics, and how many there are.
    fn text(&self, found: &Findings) -> String {
        let files = number(found.files, "file");
        let applications = number(found.imports.count(), "application");
        let problems = &found.problems;
        let imported = match (found.imports.count(), self.imports) {
            (0, _) => String::new(),
            (_, false) => format!("; {applications} not imported (--import)"),
            (_, true) if problems.is_empty() => format!("; {applications} imported"),
            (_, true) => String::new(),
        };
        if problems.is_empty() {
            return format!("{files}: no problems{imported}\n");
        }
        let drawn = render_all(problems, log::colour_on(&std::io::stdout()));
        let errors = number(count(problems, Severity::Error), "error");
        let warnings = number(count(problems, Severity::Warning), "warning");
        format!("{drawn}\n{files}: {errors}, {warnings}{imported}\n")
    }
}

fn count(problems: &[Diagnostic], severity: Severity) -> usize {
    let same = problems.iter().filter(|one| one.severity == severity);
    same.count()
}

fn number(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn identity(problem: &Diagnostic) -> (String, Option<(String, u32)>) {
    let place = problem.labels.first().map(|label| &label.place);
    let place = place.map(|place| (place.source.name.clone(), place.span.start));
    (problem.message.clone(), place)
}

/// The file itself, whatever its name is.
fn identity_of(file: &CheckedFile) -> PathBuf {
    let path = file.scope.path(&file.word);
    path.canonicalize().unwrap_or(path)
}

/// All problems of a file over the layers below it, and the files of ours that it keeps running as programs.
fn problems_of(
    commands: Commands,
    CheckedFile { scope, word }: &CheckedFile,
    imports: &mut Imports,
) -> (Vec<Diagnostic>, Vec<CheckedFile>) {
    let below = scope;
    let file = run_file::run_file(scope, word);
    let first_line = script::command(&file.path);
    let keys = config::format(&file.path) == Some(config::FileFormat::Keys);
    let mut layers = scope.layers.clone();
    if keys {
        layers = run_file::defaults(layers);
        layers.push(Layer::Keys(file.path.clone()));
    } else {
        layers.push(Layer::File(file.path.clone()));
    }
    let inspection = config::inspect(&layers);
    // Without a valid pid file, nothing that is supervised can be resolved.
    let complete = !inspection.configuration.is_wrong(PID_FILE);
    let mut problems = inspection.problems;
    let scope = Scope {
        layers,
        configuration: Rc::new(inspection.configuration),
        file: Some(file),
        is_elsewhere: false,
    };
    problems.extend(missing(&scope.configuration));
    problems.extend(unread(&scope));
    problems.extend(unknown_accounts(&scope));
    let mut errors = count(&problems, Severity::Error);
    for name in shortcuts::defined(&scope.configuration) {
        if errors >= MOST_ERRORS {
            break;
        }
        let found = match shortcut(commands, &scope, &name, complete) {
            Ok(Some(served)) => import(&served, imports),
            Ok(None) => Vec::new(),
            Err(found) => found,
        };
        errors += count(&found, Severity::Error);
        problems.extend(found);
    }
    let mut node = None;
    if complete {
        let (property, resolved) = match keys {
            true => (COMMAND, resolve_supervised(commands, &scope)),
            false => (run_ini::APP, resolve_app(commands, &scope)),
        };
        match resolved {
            Ok(resolved) => node = resolved,
            Err(failure) => problems.extend(unresolved(&scope, property, failure)),
        }
    }
    if let Some(first) = first_line {
        let origin = first.words.first().map(|word| word.origin.clone());
        let place =
            |message| scope.diagnose(origin.as_ref().unwrap_or(&word.origin), message, None);
        match first_line::resolve(commands, below, word, first, Line::default()) {
            Ok(resolved) => node = Some(resolved),
            Err(failure) => problems.extend(failure.problems(place)),
        }
    }
    let of_addresses = node.as_ref().and_then(|node| node.address_problems());
    problems.extend(of_addresses.unwrap_or_else(|| unread_addresses(&scope)));
    let served = node.as_ref().and_then(|node| node.served());
    problems.extend(served.as_ref().and_then(unlogged));
    if let Some(served) = served {
        problems.extend(served.circles());
        problems.extend(import(&served, imports));
    }
    let supervised = node.as_ref().and_then(|node| node.supervised());
    let (found, files) = check_programs::check(commands, &scope, supervised);
    problems.extend(found);
    sort_by_place(&mut problems);
    (problems, files)
}

/// Has an application imported, or gives the problems of the settings of its own.
fn import(served: &Served, imports: &mut Imports) -> Vec<Diagnostic> {
    let mut problems = served.application.problems(&served.scope);
    problems.extend(redirect_circles(&served.scope, &served.application));
    if count(&problems, Severity::Error) == 0 {
        imports.add(served);
    }
    problems
}

/// A warning for an access log that there will not be.
fn unlogged(served: &Served) -> Option<Diagnostic> {
    let settings = &served.scope.configuration;
    let is_wanted = |name: &&'static str| match settings.boolean_or_text(name) {
        Some(BooleanOrText::Boolean(is_wanted)) => is_wanted,
        Some(BooleanOrText::Text(_)) => true,
        None => false,
    };
    let wanted = ["runner.log.access", "runner.log.access_syslog"]
        .iter()
        .find(|name| is_wanted(name));
    let file = settings.path(ACCESS_FILE).map(|_| ACCESS_FILE);
    let name = wanted.copied().or(file)?;
    served.is_behind_web_server.then(|| {
        let message = "nothing logs requests here: the web server does".to_owned();
        let mut warning = settings.complain(name, message, None).warning();
        warning.code = "setting/ignored";
        warning
    })
}

/// Mistakes in settings that the command of the file may never read.
fn unread(scope: &Scope) -> Vec<Diagnostic> {
    let urls = configured_urls(scope);
    let status = seating::socket(scope).err();
    let mut problems = supervised::mistakes(scope);
    problems.extend(supervised::command(scope).err());
    problems.extend(access_file_problem(&scope.configuration));
    for failure in urls.err().into_iter().chain(status) {
        if let Failure::Mistakes(Diagnostics(mistakes)) = failure {
            problems.extend(mistakes);
        }
    }
    problems
}

/// The same of those about addresses, which may be in another file.
fn unread_addresses(scope: &Scope) -> Vec<Diagnostic> {
    let urls = configured_urls(scope).unwrap_or_default();
    let places = TlsPlaces {
        urls: &urls,
        are_known: scope.configuration.is_named(URL),
        makes_certificate: false,
    };
    let mut problems = tls::problems(scope, places);
    problems.extend(pages::problems(scope, &urls));
    problems
}

/// What a name that files define runs, if that is complete, or its problems.
fn shortcut(
    commands: Commands,
    scope: &Scope,
    name: &str,
    complete: bool,
) -> Result<Option<Served>, Vec<Diagnostic>> {
    let property = shortcuts::property(&scope.configuration, name);
    // A name that is switched off has no problems; those of its value are known already.
    let Ok(Some(_)) = scope.get(&property) else {
        return Ok(None);
    };
    let line = || Line {
        words: vec![Word {
            exact: name.into(),
            text: name.to_owned(),
            origin: Origin::Property(property.as_str().into()),
        }],
        ..Line::default()
    };
    if let Err(failure) = resolve::expands(commands, scope, line()) {
        return Err(unresolved(scope, &property, failure));
    }
    // It may name an application, for others to name: `serve NAME`, `files FOLDER --fallback NAME`.
    let is_application = resolve::is_application(commands, scope, line());
    let resolve = || match is_application {
        true => resolve::application(commands, scope, line(), Options::BeforeDashes).map(
            |(application, _)| {
                Some(Served {
                    scope: scope.clone(),
                    application,
                    arguments: Vec::new(),
                    endpoints: Vec::new(),
                    is_behind_web_server: false,
                    takes_passed: false,
                })
            },
        ),
        false => resolve::command(commands, scope.clone(), line()).map(|node| node.served()),
    };
    match complete.then(resolve) {
        // The user can type the missing words after the name.
        Some(Err(failure)) if failure.is_incomplete() => Ok(None),
        Some(Err(failure)) => Err(unresolved(scope, &property, failure)),
        Some(Ok(served)) => Ok(served),
        None => Ok(None),
    }
}

/// Resolves the command that an INI file runs, if it runs one.
pub(super) fn resolve_app(
    commands: Commands,
    scope: &Scope,
) -> Result<Option<Box<dyn Node>>, Failure> {
    let Ok(Some(value)) = scope.get(run_ini::APP) else {
        return Ok(None);
    };
    let line = run_file::line(scope);
    resolve::run_value(commands, scope.clone(), run_ini::APP, value, line).map(Some)
}

/// Resolves the command that a file for `supervise` keeps running. Missing keys are reported elsewhere.
pub(super) fn resolve_supervised(
    commands: Commands,
    scope: &Scope,
) -> Result<Option<Box<dyn Node>>, Failure> {
    let settings = &scope.configuration;
    if settings.text(COMMAND).is_none() || settings.path(PID_FILE).is_none() {
        return Ok(None);
    }
    let supervise = supervise::of_keys(commands, scope.clone(), run_file::line(scope))?;
    Ok(Some(Box::new(supervise)))
}

/// Problems of a command, at the property that holds it.
fn unresolved(scope: &Scope, property: &str, failure: Failure) -> Vec<Diagnostic> {
    failure.problems(|message| scope.configuration.complain(property, message, None))
}

/// A problem as JSON.
fn object(problem: &Diagnostic, lines: &mut Lines) -> Json {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut object = json!({ "code": problem.code, "severity": severity });
    if let Some(label) = problem.labels.first() {
        json::place(&mut object, &label.place, lines);
    }
    object["message"] = json!(problem.message);
    object["hint"] = json!(problem.hint);
    let related = problem.labels.iter().skip(1).map(|label| {
        let mut related = json!({});
        json::place(&mut related, &label.place, lines);
        related["message"] = json!(label.text);
        related
    });
    object["related"] = related.collect();
    object
}
