//! `check FILE…`: everything that is wrong with files and can be known without running them.

use std::collections::HashSet;
use std::fmt::Write;
use std::process::ExitCode;
use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::graph::{self, Node, SHORTCUTS};
use crate::command::line::{Line, Origin, Scope, Word};
use crate::command::report::{End, Report};
use crate::command::show::format_option;
use crate::command::usage::{INCOMPLETE, Usage};
use crate::command::{Entry, Kind, json, master, names, run_ini, serve, supervise};
use crate::config::{self, COMMAND, Configuration, Layer, PID_FILE, sort_by_place};
use crate::eval::Value;
use crate::log;
use crate::syntax::{Diagnostic, Diagnostics, Lines, Severity, render_all};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "check",
    usage: "[--format FORMAT] FILE...",
    about: "Finds what is wrong with files, without running them",
    help: "\
All problems of all files are shown: syntax, values that cannot be computed,
unknown names even in expressions that nobody reads, unknown settings and
settings of the wrong type or form even where nothing uses them, files that are
missing, aliases and commands that do not resolve. A rule for several names is
looked at as far as its value is the same for all of them. Warnings are for a
doubled `=`, a setting that the same file overrides, a default (`name?`) that
never applies in its file, and a setting that is read but set nowhere. The exit
status is 1 if there are errors.

A file for `supervise` is one whose first line says so, or whose first line that
is no comment is a key with its value.

With `--format json` each problem has a stable code, the severity, file, lines
and columns (counted from 1, in characters), message, hint and further places.",
    kind: Kind::Command {
        options: Options::BeforeDashes,
        arguments: |command| command.arg(format_option(&["text", "json"])),
        resolve: |scope, arguments| Ok(Node::Check(Box::new(resolve(scope, arguments)?))),
    },
};

/// Errors in a file beyond which no more of its commands are looked at.
const MOST_ERRORS: usize = 1000;

/// Files that are checked.
#[derive(Debug)]
pub struct Check {
    scope: Scope,
    files: Vec<Word>,
    format: Format,
}

/// How problems are written.
#[derive(Clone, Copy, Debug)]
enum Format {
    Text,
    Json,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Check, Failure> {
    arguments.line.words.append(&mut arguments.behind);
    let mut files = vec![arguments.first("FILE")?];
    files.append(&mut arguments.line.words);
    let format = arguments.options.get_one::<String>("format");
    Ok(Check {
        format: match format.is_some_and(|format| format == "json") {
            true => Format::Json,
            false => Format::Text,
        },
        scope,
        files,
    })
}

impl Check {
    /// Checks the files and prints what is wrong with them.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let mut problems: Vec<Diagnostic> = Vec::new();
        // What stands in a layer below, or in a file that several include, is said once.
        let mut known = HashSet::new();
        for file in &self.files {
            let found = problems_of(&self.scope, file);
            problems.extend(found.into_iter().filter(|one| known.insert(described(one))));
        }
        let text = match self.format {
            Format::Text => self.text(&problems),
            Format::Json => {
                let mut lines = Lines::default();
                let object = |one| object(one, &mut lines);
                let problems: Vec<Json> = problems.iter().map(object).collect();
                json::document(&json!({ "problems": problems }))
            }
        };
        let errors = count(&problems, Severity::Error);
        let end = if errors == 0 { End::Well } else { End::Badly };
        let name = ENTRY.name;
        Report { name, text, end }.run()
    }

    /// The problems as they are always drawn, and how many there are.
    fn text(&self, problems: &[Diagnostic]) -> String {
        let mut text = String::new();
        if !problems.is_empty() {
            text = render_all(problems, log::colour_on(&std::io::stdout()));
            text.push('\n');
        }
        let files = number(self.files.len(), "file");
        // Writing to a string does not fail.
        let _ = match problems {
            [] => writeln!(text, "{files}: no problems"),
            _ => writeln!(
                text,
                "{files}: {}, {}",
                number(count(problems, Severity::Error), "error"),
                number(count(problems, Severity::Warning), "warning")
            ),
        };
        text
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

fn described(problem: &Diagnostic) -> (String, Option<(String, u32)>) {
    let place = problem.labels.first().map(|label| &label.place);
    let place = place.map(|place| (place.source.name.clone(), place.span.start));
    (problem.message.clone(), place)
}

/// Everything that is wrong with a file over the layers below it.
fn problems_of(scope: &Scope, word: &Word) -> Vec<Diagnostic> {
    let file = run_ini::run_file(scope, word);
    let keys = config::format(&file.path) == Some(config::Format::Keys);
    let mut layers = scope.layers.clone();
    if keys {
        layers = supervise::defaults(layers);
        layers.push(Layer::Keys(file.path.clone()));
    } else {
        layers.push(Layer::File(file.path.clone()));
    }
    let inspection = Configuration::inspect(&layers);
    // What is to be supervised needs one.
    let complete = !inspection.configuration.is_wrong(PID_FILE);
    let mut problems = inspection.problems;
    let scope = Scope {
        layers,
        configuration: Rc::new(inspection.configuration),
        file: Some(file),
    };
    problems.extend(missing(&scope.configuration));
    problems.extend(unread(&scope));
    let mut errors = count(&problems, Severity::Error);
    for name in names::defined(&scope.configuration) {
        if errors >= MOST_ERRORS {
            break;
        }
        let found = shortcut(&scope, &name, complete);
        errors += count(&found, Severity::Error);
        problems.extend(found);
    }
    problems.extend(match keys {
        true => supervised(&scope, complete),
        false => application(&scope, complete),
    });
    sort_by_place(&mut problems);
    problems
}

/// Files that settings name and that are not there.
fn missing(configuration: &Configuration) -> Vec<Diagnostic> {
    let complain = |name: &str, what: &str, path: &std::path::Path| {
        let message = format!("there is no {what} `{}`", path.display());
        let mut mistake = configuration.complain(name, message, None);
        mistake.code = "setting/missing";
        mistake
    };
    let mut problems = Vec::new();
    if let Some(folder) = configuration
        .path("runner.tmp")
        .filter(|path| !path.is_dir())
    {
        problems.push(complain("runner.tmp", "folder", &folder));
    }
    // Without a `/` it is looked for in `PATH`, which is another one where it is run.
    let program = configuration
        .text("runner.python")
        .filter(|text| text.contains('/'));
    let program = program.and_then(|_| configuration.path("runner.python"));
    if let Some(program) = program.filter(|path| !path.exists()) {
        problems.push(complain("runner.python", "program", &program));
    }
    problems
}

/// What is wrong with settings that may not be read by what the file runs.
fn unread(scope: &Scope) -> Vec<Diagnostic> {
    let url = serve::configured_url(scope).err();
    let status = master::socket(scope).err();
    let mut problems = supervise::mistakes(scope);
    problems.extend(supervise::command(scope).err());
    for failure in url.into_iter().chain(status) {
        if let Failure::Mistakes(Diagnostics(mistakes)) = failure {
            problems.extend(mistakes);
        }
    }
    problems
}

/// What is wrong with a name that files define.
fn shortcut(scope: &Scope, name: &str, complete: bool) -> Vec<Diagnostic> {
    let property = format!("{SHORTCUTS}{name}");
    match scope.configuration.get(&property) {
        // Switched off, or wrong itself, which is said already.
        Ok(None | Some(Value::None)) | Err(_) => return Vec::new(),
        Ok(Some(_)) => {}
    }
    let line = || Line {
        words: vec![Word {
            exact: name.into(),
            text: name.to_owned(),
            origin: Origin::Property(property.as_str().into()),
        }],
        ..Line::default()
    };
    if let Err(failure) = graph::expands(scope, line()) {
        return unresolved(scope, &property, failure);
    }
    match complete.then(|| graph::command(scope.clone(), line())) {
        // What a name lacks is typed behind it.
        Some(Err(failure)) if is_incomplete(&failure) => Vec::new(),
        Some(Err(failure)) => unresolved(scope, &property, failure),
        Some(Ok(_)) | None => Vec::new(),
    }
}

/// What is wrong with the command that a file runs, if it runs one.
fn application(scope: &Scope, complete: bool) -> Vec<Diagnostic> {
    let Ok(Some(value)) = scope.configuration.get(run_ini::APP) else {
        return Vec::new();
    };
    if value == Value::None || !complete {
        return Vec::new();
    }
    match graph::run_value(scope.clone(), run_ini::APP, value, run_ini::line(scope)) {
        Ok(_) => Vec::new(),
        Err(failure) => unresolved(scope, run_ini::APP, failure),
    }
}

/// What is wrong with the command that a file for `supervise` keeps running.
fn supervised(scope: &Scope, complete: bool) -> Vec<Diagnostic> {
    let settings = &scope.configuration;
    let needed = settings.text(COMMAND).is_some() && settings.path(PID_FILE).is_some();
    if !needed || !complete {
        return Vec::new();
    }
    match supervise::of_keys(scope.clone(), run_ini::line(scope)) {
        Ok(_) => Vec::new(),
        Err(failure) => unresolved(scope, COMMAND, failure),
    }
}

/// Whether nothing is wrong with a command but that it lacks words.
fn is_incomplete(failure: &Failure) -> bool {
    match failure {
        Failure::Usage(usage) => usage.mistake.code == INCOMPLETE,
        Failure::Mistakes(Diagnostics(mistakes)) => {
            mistakes.iter().all(|mistake| mistake.code == INCOMPLETE)
        }
        Failure::Help(_) | Failure::World(_) => false,
    }
}

/// Problems with a command, at the property that holds it.
fn unresolved(scope: &Scope, property: &str, failure: Failure) -> Vec<Diagnostic> {
    let at_property = |code: &'static str, message: String| {
        let mut mistake = scope.configuration.complain(property, message, None);
        mistake.code = code;
        mistake
    };
    let incomplete = is_incomplete(&failure);
    match failure {
        Failure::Mistakes(Diagnostics(mistakes)) if incomplete => {
            mistakes.into_iter().map(Diagnostic::warning).collect()
        }
        Failure::Mistakes(Diagnostics(mistakes)) => mistakes
            .into_iter()
            .map(|mut mistake| {
                if mistake.labels.is_empty() {
                    let hint = mistake.hint.take();
                    mistake = at_property(mistake.code, mistake.message).with_hint_if(hint);
                }
                if ["setting/value", "command/line"].contains(&mistake.code) {
                    mistake.code = "name/command";
                }
                mistake
            })
            .collect(),
        Failure::Usage(usage) => {
            let Usage { mistake, .. } = *usage;
            let placed = at_property("type/command", mistake.message).with_hint_if(mistake.hint);
            match incomplete {
                true => vec![placed.warning()],
                false => vec![placed],
            }
        }
        // An alias for help is one that works.
        Failure::Help(_) => Vec::new(),
        Failure::World(error) => vec![at_property("name/command", format!("{error:#}"))],
    }
}

/// A problem for other programs.
fn object(problem: &Diagnostic, lines: &mut Lines) -> Json {
    let mut object = Map::new();
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    object.insert("code".to_owned(), json!(problem.code));
    object.insert("severity".to_owned(), json!(severity));
    if let Some(label) = problem.labels.first() {
        json::place(&mut object, &label.place, lines);
    }
    object.insert("message".to_owned(), json!(problem.message));
    object.insert("hint".to_owned(), json!(problem.hint));
    let related = problem.labels.iter().skip(1).map(|label| {
        let mut related = Map::new();
        json::place(&mut related, &label.place, lines);
        related.insert("message".to_owned(), json!(label.text));
        Json::Object(related)
    });
    object.insert("related".to_owned(), related.collect());
    Json::Object(object)
}
