//! `init [DIR]`: writes an executable INI file for the application that is in a folder.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;

use crate::commands::edit::discovery::{Found, Framework, look};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, no_options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::SCHEME;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "init",
    usage: "[DIR]",
    summary: "Writes an executable INI file for the application that is in a folder",
    help: "\
Asks nothing: the Python files in DIR (the current folder without it) and in its
packages are read, not run, for `application`, `app` and `create_app`, and a
Django project is found by its `manage.py`. The file is `app.ini`, with comments
that say what to change; one that is there already stays as it is.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let folder = folder(&scope, arguments)?;
            Ok(action(ENTRY.name, move || init(&folder)))
        },
    },
};

/// The file that is written.
const FILE: &str = "app.ini";

/// The program that finds others through `PATH`.
const ENV: &str = "/usr/bin/env";

/// The longest first line that every kernel reads (Linux before 5.1: 127 bytes).
const LONGEST_FIRST_LINE: usize = 127;

fn folder(scope: &Scope, mut arguments: Arguments) -> Result<PathBuf, Failure> {
    let folder = match arguments.line.words.is_empty() {
        true => PathBuf::new(),
        false => scope.path(&arguments.first("DIR")?),
    };
    arguments.finish()?;
    Ok(folder)
}

/// Looks and writes, and says what was written.
fn init(folder: &Path) -> Result<ExitCode, Failure> {
    let path = folder.join(FILE);
    if path.symlink_metadata().is_ok() {
        return Err(is_there(&path));
    }
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let found = look(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    write(&path, &text(&first_line(), &found))?;
    Ok(print(&report(&path, &found)))
}

fn is_there(path: &Path) -> Failure {
    Failure::mistake(
        format!("`{}` is there already", path.display()),
        Some("remove it first, or run it".to_owned()),
    )
}

/// Makes a new file, which never takes the place of another.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o777)
        .open(path);
    let mut file = match new {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(is_there(path)),
        other => other.with_context(|| format!("cannot write `{}`", path.display()))?,
    };
    if let Err(error) = file.write_all(text.as_bytes()) {
        // Half a file is worse than none; that it is full is what is said.
        let _ = std::fs::remove_file(path);
        return Err(anyhow::Error::new(error)
            .context(format!("cannot write `{}`", path.display()))
            .into());
    }
    Ok(())
}

/// The `#!` line that works here: by `PATH` if that finds us, else by our own path.
fn first_line() -> String {
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

/// The file.
fn text(first_line: &str, found: &Found) -> String {
    let mut text = format!("{first_line}\n#\n");
    let mut put = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let words = match found.applications.first() {
        Some(name) => format!("'serve', 'WSGI', '{SCHEME}{name}'"),
        None => {
            put(
                "# Shows what comes in, since there is no WSGI application here yet. Put the name of yours into `app`, as in",
            );
            put("#");
            put(&format!(
                "#   app = commands.Alias(command=['serve', 'WSGI', '{SCHEME}package.module.object'])"
            ));
            put("#");
            "'serve', 'demo'".to_owned()
        }
    };
    put("# Run me: ./app.ini                 on a port of your choice: ./app.ini -p 8000");
    put("# What would run, without running it: runner graph app.ini");
    put("");
    if found.applications.len() > 1 {
        let others: Vec<String> = found.applications[1..]
            .iter()
            .take(8)
            .map(|name| format!("{SCHEME}{name}"))
            .collect();
        put(&format!("# Also here: {}", others.join(", ")));
    }
    put(&format!("app = commands.Alias(command=[{words}])"));
    put("");
    put("# Any free port of this machine. For everybody, on port 8000: \"tcp://*:8000\"");
    put("url = \"tcp://localhost:0\"");
    if found.applications.is_empty() {
        return text;
    }
    put("");
    if let Some(environment) = &found.environment {
        put("[runner]");
        put("# The virtual environment beside this file.");
        put(&format!("python = {}", quoted(environment)));
        put("");
    }
    put("[runner.workers]");
    put("# Processes: so many are kept ready, and so many run when there is much to do.");
    put("min = 1");
    put("max = 4");
    let (why, threads) = match found.framework {
        Some(Framework::Django) => ("Django serves several in one process.", 4),
        Some(Framework::Flask) => ("Flask serves several in one process.", 4),
        None => ("More than one only if the application is made for it.", 1),
    };
    put(&format!(
        "# Requests that a process answers at the same time. {why}"
    ));
    put(&format!("threads = {threads}"));
    text
}

/// A string as the language has it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn report(path: &Path, found: &Found) -> String {
    let mut text = String::new();
    let shown = path.display();
    // Writing to a string does not fail.
    let _ = match found.applications.first() {
        Some(name) => writeln!(text, "wrote `{shown}`, which serves `{SCHEME}{name}`"),
        None => writeln!(
            text,
            "wrote `{shown}`, which serves `demo`: no WSGI application was found"
        ),
    };
    for other in found.applications.iter().skip(1) {
        let _ = writeln!(text, "also found `{SCHEME}{other}`");
    }
    let program = match path.is_absolute() || path.starts_with("..") {
        true => shown.to_string(),
        false => format!("./{shown}"),
    };
    let _ = writeln!(text, "run it: {}", shell_words::quote(&program));
    text
}
