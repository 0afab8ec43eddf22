//! `import FILE`: writes an executable INI file from a file, or from the command line, of another server.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction};
use serde::Deserialize;

use crate::commands::edit::import_trial;
use crate::commands::edit::init::{PROGRAM, first_line, write_new};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::import::ImportKind;
use crate::import::imported_site::{ImportedApplication, ImportedSite, Placed};
use crate::import::imported_text::ImportedText;
use crate::import::section_lines::{broken, whole};
use crate::import::servers::command_words::CommandWords;
use crate::import::servers::gunicorn_names::SETTINGS;
use crate::import::servers::said::{Facts, Said, SaidValue};
use crate::import::servers::server_program;
use crate::import::shell_command::shell_quoted;
use crate::import::written_site::{shown, written};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::log::{self, Level};
use crate::plan::python::python_for_sources;
use crate::syntax::{Diagnostic, Place, Source, Span};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "import",
    usage: "[-o FILE] [--check] FILE [-- NAME] | -- COMMAND...",
    summary: "Writes an executable INI file from another server's configuration",
    help: "\
Reads `uwsgi.ini`, `gunicorn.conf.py`, a Procfile, NGINX Unit's JSON,
`supervisord.conf`, or a unit of systemd; or, behind `--`, a command line of
gunicorn, uvicorn, granian, hypercorn, daphne, waitress, flask or uwsgi:

  runner import uwsgi.ini -o app.ini
  runner import -- gunicorn -w 4 shop.wsgi:application

Above each value stands the line that it comes from. What is always so here is
left out; what there is no equivalent for is listed at the end of the file and
on standard error. Values of environment variables and of the number of
processors stay expressions. A file of gunicorn's is executed by the Python of
the application; it seldom names the application, which stands behind `--` then:
`runner import gunicorn.conf.py -- shop.wsgi:application`.

Paths are relative to the file that is written: put it beside the other one. A
file that is there already is never overwritten.

`--check` finds what `runner check` finds in the file, certificates too, and
starts the application once at a free port: the other server may still have its
address.

Exit status: 0 if the file will run, 2 if something essential is missing in it,
1 if the other file is broken, or the command line wrong.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let import = resolve(&scope, arguments)?;
            Ok(action(ENTRY.name, move || import.run(&scope)))
        },
    },
};

/// The exit status where something essential is missing.
const INCOMPLETE: u8 = 2;

const OUTPUT: &str = "output";
const CHECK: &str = "check";
const SECTION: &str = "section";
const FROM: &str = "from";

/// The name of a command line in messages.
const COMMAND_LINE: &str = "<command line>";

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Runs in the application's Python. It limits its time.
const SCRIPT: &str = include_str!("gunicorn_file.py");

fn options(command: clap::Command) -> clap::Command {
    let kinds = ImportKind::ALL.map(|(name, _)| name);
    command
        .arg(
            Arg::new(OUTPUT)
                .short('o')
                .long(OUTPUT)
                .value_name("FILE")
                .help("The file to write, which must not be there; else standard output"),
        )
        .arg(
            Arg::new(FROM)
                .long(FROM)
                .value_name("KIND")
                .value_parser(PossibleValuesParser::new(kinds))
                .help("The kind of FILE, if its name does not say it"),
        )
        .arg(
            Arg::new(SECTION)
                .long(SECTION)
                .value_name("NAME")
                .help("The section, program or application of FILE that is meant"),
        )
        .arg(
            Arg::new(CHECK)
                .long(CHECK)
                .help("Also check it, start it once, and ask for `/`")
                .action(ArgAction::SetTrue),
        )
}

/// What to import.
struct Import {
    input: ImportInput,
    output: Option<PathBuf>,
    section: Option<String>,
    check: bool,
}

/// Where it is written what to import.
enum ImportInput {
    /// In a file; an application may be named beside it.
    File {
        path: PathBuf,
        kind: Option<ImportKind>,
        application: Option<String>,
    },
    /// On the command line.
    Line(Vec<Word>),
}

fn resolve(scope: &Scope, mut arguments: Arguments) -> Result<Import, Failure> {
    let text = |name: &str| arguments.options.get_one::<String>(name).cloned();
    let kind = text(FROM).and_then(|name| {
        let mut kinds = ImportKind::ALL.into_iter();
        kinds.find(|(it, _)| *it == name).map(|(_, kind)| kind)
    });
    let (output, section) = (text(OUTPUT).map(PathBuf::from), text(SECTION));
    let check = arguments.options.get_flag(CHECK);
    let behind = std::mem::take(&mut arguments.behind);
    let input = if arguments.line.words.is_empty() && !behind.is_empty() {
        ImportInput::Line(behind)
    } else {
        let file = arguments.first("FILE")?;
        let mut behind = behind.into_iter();
        let application = behind.next().map(|word| word.text);
        if let Some(surplus) = behind.next() {
            let hint = "a command line stands behind `--` without a file before it";
            return Err(arguments.unexpected(&surplus, Some(hint.to_owned())));
        }
        ImportInput::File {
            path: scope.path(&file),
            kind,
            application,
        }
    };
    arguments.finish()?;
    Ok(Import {
        input,
        output,
        section,
        check,
    })
}

impl Import {
    fn run(&self, scope: &Scope) -> Result<ExitCode, Failure> {
        let (mut site, name, folder) = match &self.input {
            ImportInput::File {
                path,
                kind,
                application,
            } => self.of_file(scope, path, *kind, application.as_deref())?,
            ImportInput::Line(words) => of_line(scope, words)?,
        };
        let trial = self
            .check
            .then(|| import_trial::text(&site, &first_line(), &name));
        let text = written(&mut site, &first_line(), &name);
        let done = match &self.output {
            Some(path) => {
                write_new(path, &text, PROGRAM)?;
                ExitCode::SUCCESS
            }
            None => print(&text),
        };
        report(&site);
        if !site.is_whole() {
            return Ok(ExitCode::from(INCOMPLETE));
        }
        // A file that only keeps programs running has no address to ask.
        if let Some(trial) = trial.filter(|_| site.is_served()) {
            let folder = match &self.output {
                Some(path) => path.parent().map(Path::to_owned).unwrap_or_default(),
                None => folder,
            };
            import_trial::try_out(&folder, self.output.as_deref(), &text, &trial)?;
        }
        Ok(done)
    }

    /// The site that a file describes, its name, and its folder.
    fn of_file(
        &self,
        scope: &Scope,
        path: &Path,
        kind: Option<ImportKind>,
        application: Option<&str>,
    ) -> Result<(ImportedSite, String, PathBuf), Failure> {
        let source = source(path)?;
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let Some(kind) = kind.or_else(|| ImportKind::of(&name, &source.text)) else {
            let names = ImportKind::ALL.map(|(name, _)| name).join(", ");
            let message = format!("it is not known what kind of file `{name}` is");
            let hint = format!("say it by `--from`: {names}");
            return Err(Failure::mistake(message, Some(hint)));
        };
        let execute = |path: &str| execute(scope, &folder, path);
        let read = |path: &str| other_file(&folder, path);
        let facts = Facts {
            gunicorn: &execute,
            file: &read,
        };
        let mut site = kind.read(&source, self.section.as_deref(), &facts)?;
        if let Some(named) = application {
            let is_asgi = site.is_asgi;
            let place = whole(&source);
            let application = ImportedApplication::imported(is_asgi, named, None);
            site.name_application(Placed::new(application, &place));
        }
        Ok((site, name, folder))
    }
}

fn source(path: &Path) -> Result<Arc<Source>, Failure> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        std::fs::File::open(path)?
            .take(LARGEST)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Arc::new(Source {
        name: path.display().to_string(),
        text: String::from_utf8_lossy(&text).into_owned(),
    }))
}

/// A file that another one names, or a command line; `None` if it is not there.
fn other_file(folder: &Path, path: &str) -> Result<Option<Arc<Source>>, Diagnostic> {
    let path = folder.join(path);
    match path.exists() {
        false => Ok(None),
        true => source(&path).map(Some).map_err(|failure| {
            let message = failure.to_string();
            Diagnostic::new("import/broken", message)
        }),
    }
}

/// The site that a typed command line describes.
fn of_line(scope: &Scope, words: &[Word]) -> Result<(ImportedSite, String, PathBuf), Failure> {
    let text: Vec<String> = words.iter().map(|word| shell_word(&word.text)).collect();
    let source = Arc::new(Source {
        name: COMMAND_LINE.to_owned(),
        text: text.join(" "),
    });
    let place = whole(&source);
    let words = words.iter().map(|word| ImportedText::known(&*word.text));
    let command = CommandWords::of(words.collect());
    let execute = |path: &str| execute(scope, Path::new(""), path);
    let read = |path: &str| other_file(Path::new(""), path);
    let facts = Facts {
        gunicorn: &execute,
        file: &read,
    };
    let site = server_program::site(&command, &place, &facts)?;
    let Some(site) = site else {
        let message = "the command is of no server that is known";
        let hint = format!("it can be one of {}", server_program::SERVERS.join(", "));
        return Err(broken(&place, message).with_hint(hint).into());
    };
    Ok((site, "a command line".to_owned(), PathBuf::new()))
}

/// A word as it would be typed.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => shell_quoted(word),
    }
}

/// What a file of gunicorn's says, as the script writes it.
#[derive(Deserialize)]
struct Executed {
    #[serde(default)]
    settings: Vec<ExecutedSetting>,
    line: Option<usize>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ExecutedSetting {
    name: String,
    line: usize,
    kind: String,
    value: serde_json::Value,
    #[serde(default)]
    expression: Option<String>,
    /// Whether the expression gives a text, and not a number.
    #[serde(default)]
    is_text: bool,
    /// Of environment variables: `NAME=VALUE`, or `NAME=` and an expression.
    #[serde(default)]
    pairs: Option<Vec<(String, Option<String>)>>,
}

/// Executes a file of gunicorn's in the application's Python.
fn execute(scope: &Scope, folder: &Path, path: &str) -> Result<Option<Vec<Said>>, Diagnostic> {
    let plain = |message: String| Diagnostic::new("import/broken", message);
    // The name of the file itself has its folder, one that it names is relative to it.
    let path = match Path::new(path).starts_with(folder) {
        true => PathBuf::from(path),
        false => folder.join(path),
    };
    if !path.exists() {
        return Ok(None);
    }
    let source = source(&path).map_err(|failure| plain(failure.to_string()))?;
    let python = python_for_sources(scope, folder).map_err(|failure| plain(failure.to_string()))?;
    let inside = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let path = path.canonicalize().unwrap_or(path);
    let output = Command::new(&python)
        .args(["-B", "-W", "ignore", "-c", SCRIPT])
        .arg(&path)
        .args(SETTINGS)
        .current_dir(inside)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", python.display()))
        .map_err(|error| plain(format!("{error:#}")))?;
    let executed: Executed = serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().next_back().map(str::to_owned);
        let why = why.unwrap_or_else(|| output.status.to_string());
        broken(&whole(&source), format!("it cannot be executed: {why}"))
    })?;
    let line = |number: usize| line_place(&source, number);
    if let Some(error) = executed.error {
        let place = line(executed.line.unwrap_or(1));
        return Err(broken(&place, format!("it cannot be executed: {error}")));
    }
    let said = executed.settings.into_iter().map(|setting| Said {
        value: value(&setting),
        place: line(setting.line),
        name: setting.name,
    });
    Ok(Some(said.collect()))
}

fn value(setting: &ExecutedSetting) -> SaidValue {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    match (&*setting.kind, &setting.expression) {
        ("nothing", _) => SaidValue::Nothing,
        ("flag", _) => SaidValue::Flag(setting.value.as_bool().unwrap_or_default()),
        // What kind of address it is must be known.
        ("text", Some(expression)) if setting.is_text => {
            let known = text(&setting.value);
            SaidValue::Text(match setting.name == "bind" {
                true if known.starts_with(':') => {
                    ImportedText::of_text_expression(expression).after("*")
                }
                true if known.starts_with(['u', '/']) => ImportedText::known(known),
                _ => ImportedText::of_text_expression(expression),
            })
        }
        ("text", Some(expression)) => SaidValue::Text(ImportedText::of_expression(expression)),
        ("text", None) => SaidValue::Text(ImportedText::known(text(&setting.value))),
        ("lost", _) => SaidValue::Lost(text(&setting.value)),
        ("list", _) if setting.pairs.is_some() => {
            let pairs = setting.pairs.iter().flatten();
            let pair = |(text, expression): &(String, Option<String>)| match expression {
                Some(value) => ImportedText::of_text_expression(value).after(text),
                None => ImportedText::known(text),
            };
            SaidValue::List(pairs.map(pair).collect())
        }
        ("list", _) => {
            let values = setting.value.as_array().into_iter().flatten();
            SaidValue::List(
                values
                    .map(|value| ImportedText::known(text(value)))
                    .collect(),
            )
        }
        _ => SaidValue::Code,
    }
}

/// The place of a line, counted from 1.
fn line_place(source: &Arc<Source>, number: usize) -> Place {
    let before = source
        .text
        .split_inclusive('\n')
        .take(number.saturating_sub(1));
    let start = before.map(str::len).sum::<usize>();
    let line = source.text[start..].lines().next().unwrap_or_default();
    Place {
        source: Arc::clone(source),
        span: Span::new(start, start + line.len()),
    }
}

/// Says what was not taken over.
fn report(site: &ImportedSite) {
    for left in &site.left {
        let level = match left.is_essential {
            true => Level::Error,
            false => Level::Warning,
        };
        log::drawn(level, &format!("{}\n  {}\n", shown(&left.place), left.why));
    }
    if !site.is_whole() {
        let message =
            "the file that was written does not run as it is: something essential is missing\n";
        log::drawn(Level::Error, message);
    }
}
