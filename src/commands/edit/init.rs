//! `init [DIR]`: writes an executable INI file for the application in a folder.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;

use crate::commands::edit::find_applications::{
    Applications, FoundApplication, Framework, find_applications,
};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, no_options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::PythonInterface;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "init",
    usage: "[DIR]",
    summary: "Writes an executable INI file for the application in a folder",
    help: "\
Writes `app.ini` into DIR, or into the current folder. An `app.ini` that is there
already is never overwritten. The comments in the file say what to change.

Finds the application by reading the Python files in DIR and its packages. It
looks for `application`, `app` and `create_app`, and for Django's `manage.py`.
Applications that FastAPI, Starlette, Quart, Litestar or BlackSheep makes are
served by `ASGI`, others by `WSGI`; those of Django by `ASGI` if its settings
have `ASGI_APPLICATION` or use Channels. A Python interpreter parses the files,
but none of their code runs.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let folder = folder(&scope, arguments)?;
            Ok(action(ENTRY.name, move || init(&scope, &folder)))
        },
    },
};

/// The file that is written.
const FILE: &str = "app.ini";

/// Starts a program that it finds on `PATH`.
const ENV: &str = "/usr/bin/env";

/// Bytes of a first line that every kernel reads (Linux before 5.1: 127).
const LONGEST_FIRST_LINE: usize = 127;

/// Other applications that the file names in a comment.
const MOST_OTHERS: usize = 8;

/// The file's introduction if no application was found.
const NO_APPLICATION: &str = "\
# Shows each request, since no application was found here. Put the name of yours into `app`, behind 'WSGI' or 'ASGI':
#
#   app = commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])
#
";

fn folder(scope: &Scope, mut arguments: Arguments) -> Result<PathBuf, Failure> {
    let folder = match arguments.line.words.is_empty() {
        true => PathBuf::new(),
        false => scope.path(&arguments.first("DIR")?),
    };
    arguments.finish()?;
    Ok(folder)
}

/// Searches the folder, writes the file, and prints what was written.
fn init(scope: &Scope, folder: &Path) -> Result<ExitCode, Failure> {
    let path = folder.join(FILE);
    if path.symlink_metadata().is_ok() {
        return Err(already_exists(&path));
    }
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let found = find_applications(scope, folder)?;
    write_new(&path, &text(&first_line(), &found), PROGRAM)?;
    Ok(print(&report(&path, &found)))
}

fn already_exists(path: &Path) -> Failure {
    Failure::mistake(
        format!("`{}` already exists", path.display()),
        Some("remove it first, or run it".to_owned()),
    )
}

/// The mode of files that can be executed, before the umask.
pub(super) const PROGRAM: u32 = 0o777;

/// Creates the file, unless there is one.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = new.and_then(|mut file| {
        file.write_all(text.as_bytes()).inspect_err(|_| {
            // Half a file is worse than none. The first error is the one to report.
            let _ = std::fs::remove_file(path);
        })
    });
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(already_exists(path)),
        other => Ok(other.with_context(|| format!("cannot write `{}`", path.display()))?),
    }
}

/// A `#!` line that works here: through `PATH` if `runner` is there, else with this program's path.
pub(super) fn first_line() -> String {
    let by_path = format!("#!{ENV} -S runner runIni");
    let answer = Command::new(ENV)
        .args(["-S", "runner --version"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    if answer.is_ok_and(|answer| answer.status.success() && answer.stdout.starts_with(b"runner ")) {
        return by_path;
    }
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::to_str);
    own.filter(|path| !path.contains(char::is_whitespace))
        .map(|path| format!("#!{path} runIni"))
        .filter(|line| line.len() <= LONGEST_FIRST_LINE)
        .unwrap_or(by_path)
}

/// The text of the file, in the layout of `fmt`.
fn text(first_line: &str, found: &Applications) -> String {
    let (introduction, command, others) = match &found.applications[..] {
        [] => (NO_APPLICATION, "'serve', 'demo'".to_owned(), String::new()),
        [first, others @ ..] => {
            let others: Vec<String> = others
                .iter()
                .take(MOST_OTHERS)
                .map(FoundApplication::to_string)
                .collect();
            let others = match others.is_empty() {
                true => String::new(),
                false => format!("# Also found: {}\n", others.join(", ")),
            };
            let word = first.interface.word();
            let command = format!("'serve', '{word}', '{}'", first.url);
            ("", command, others)
        }
    };
    let site = site(found);
    let mut text = format!(
        "\
{first_line}
#
{introduction}# Run it: ./app.ini                 on a port of your choice: ./app.ini -p 8000
# See what it would run: runner graph app.ini

{others}{site}app = commands.Alias(command=[{command}])

# Any free port, reachable from this machine only. From everywhere, on port 8000: \"tcp://*:8000\"
url = \"tcp://localhost:0\"
"
    );
    let Some(first) = found.applications.first() else {
        return text;
    };
    if let Some(environment) = &found.environment {
        let quoted = environment.replace('\\', "\\\\").replace('\'', "\\'");
        text.push_str(&format!(
            "\n[runner]\n# The virtual environment beside this file.\npython = '{quoted}'\n"
        ));
    }
    text.push_str(
        "
[runner.workers]
# Worker processes: `min` are always ready, and up to `max` run under load.
min = 1
max = 4
",
    );
    let (why, threads) = match (first.interface, found.framework) {
        // One thread handles many requests at the same time.
        (PythonInterface::Asgi, _) => return text,
        (PythonInterface::Wsgi, Some(Framework::Django)) => ("Django supports several.", 4),
        (PythonInterface::Wsgi, Some(Framework::Flask)) => ("Flask supports several.", 4),
        (PythonInterface::Wsgi, None) => ("Use 1 unless the application is thread-safe.", 1),
    };
    text.push_str(&format!(
        "\
# Requests that one process handles at the same time. {why}
threads = {threads}
"
    ));
    text
}

/// How Django's static files are served, too, as a comment.
fn site(found: &Applications) -> String {
    let (Some(Framework::Django), Some(first)) = (found.framework, found.applications.first())
    else {
        return String::new();
    };
    let (word, url) = (first.interface.word(), &first.url);
    format!(
        "\
# With the static files that `manage.py collectstatic` copies to STATIC_ROOT, if that is `static`:
#
#   site = commands.Routes({{
#       '/': ['{word}', '{url}'],
#       '/static/': ['files', 'static'],
#   }})
#   app = commands.Alias(command=['serve', 'site'])
#
"
    )
}

/// What is printed once the file is written.
fn report(path: &Path, found: &Applications) -> String {
    let shown = path.display();
    let (served, others) = match &found.applications[..] {
        [] => ("`demo`: no application was found".to_owned(), &[][..]),
        [first, others @ ..] => (format!("`{first}`"), others),
    };
    let mut text = format!("wrote `{shown}`, which serves {served}\n");
    for other in others {
        text.push_str(&format!("also found `{other}`\n"));
    }
    let program = match path.is_absolute() || path.starts_with("..") {
        true => shown.to_string(),
        false => format!("./{shown}"),
    };
    text + &format!("run it: {}\n", shell_words::quote(&program))
}
