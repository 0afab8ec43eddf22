//! `import`: files of other servers, what they become, and that `check` accepts what was written: `tests/import/*.case`.
//!
//! A case is a title (`== TITLE`), a command (`$ runner …`), its files (each after a line `-- NAME`), a line of dashes,
//! and what the command writes: to standard output, behind `--- standard error` to standard error, and behind `--- exit`
//! its status. `RUNNER_UPDATE=1 cargo test --test import` writes the current output; read it before you commit it.

#[path = "import/known_keys.rs"]
mod known_keys;
mod support;

use std::ffi::OsStr;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::{env, fs};

use rustix::process::{Pid, Signal, kill_process};
use support::http::Waits;
use support::{Folder, project};

/// The first line of a file that is written depends on where `runner` is.
const FIRST_LINE: &str = "#!/usr/bin/env -S runner runIni";

struct ImportCase {
    title: String,
    input: String,
    expected: String,
}

fn cases(text: &str) -> (String, Vec<ImportCase>) {
    let mut parts = text.split("\n== ");
    let opening = parts.next().unwrap_or_default().to_owned();
    let case = |part: &str| {
        let (title, rest) = part.split_once('\n').expect("a title");
        let (input, expected) = rest.split_once("\n----\n").unwrap_or((rest, ""));
        ImportCase {
            title: title.to_owned(),
            input: input.trim_end_matches("\n----").to_owned(),
            expected: expected.to_owned(),
        }
    };
    (opening, parts.map(case).collect())
}

/// A folder with the files of a case, and the words of its command.
fn prepared(case: &ImportCase) -> (Folder, Vec<String>) {
    let mut parts = case.input.split("\n-- ");
    let command = parts.next().and_then(|it| it.strip_prefix("$ runner "));
    let words = shell_words(command.expect("a command"));
    let mut folder = Folder::new();
    for part in parts {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        folder = folder.file(name, format!("{text}\n"));
    }
    (folder, words)
}

/// Words with quotes, and nothing else of a shell.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Whether `check` says that something is wrong, but for folders, files, certificates and programs that are not on this machine.
fn is_mistake(line: &str) -> bool {
    let is_elsewhere = [
        "there is no file",
        "there is no folder",
        "there is no program",
        "there is no such file",
        "No such file",
        "needs a certificate",
    ];
    line.starts_with("error") && !is_elsewhere.iter().any(|it| line.contains(it))
}

#[test]
fn each_file_becomes_what_its_case_says() {
    let mut wrong = String::new();
    for entry in fs::read_dir(project("tests/import")).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        if path.extension() != Some(OsStr::new("case")) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a file of cases");
        let (opening, cases) = cases(&text);
        let mut now = opening;
        for case in cases {
            let (folder, words) = prepared(&case);
            let outcome = folder.runner(&words).current_folder(folder.path("")).run();
            let status = outcome.status;
            let written = match outcome.stdout.split_once('\n') {
                Some((first, rest)) if first.starts_with("#!") => format!("{FIRST_LINE}\n{rest}"),
                _ => outcome.stdout.clone(),
            };
            let mut said = written.clone();
            if !outcome.stderr.is_empty() {
                let _ = write!(said, "--- standard error\n{}", outcome.stderr);
            }
            let _ = writeln!(said, "--- exit {status}");
            // It is accepted, whether something is missing in it or not, and has the layout of `fmt`.
            let is_nothing_written = written.is_empty();
            let is_right = status != i32::from(!is_nothing_written);
            assert!(is_right, "{}: {status}", case.title);
            if !is_nothing_written {
                let folder = folder.clone().file("written.ini", &written);
                let check = folder.runner(["check", "written.ini"]).run();
                let said = format!("{}{}", check.stdout, check.stderr);
                for mistake in said.lines().filter(|line| is_mistake(line)) {
                    let _ = writeln!(wrong, "{}: {mistake}", case.title);
                }
                let layout = folder.runner(["fmt", "--check", "written.ini"]).run();
                if layout.status != 0 {
                    let _ = writeln!(wrong, "{}: fmt\n{}", case.title, layout.stdout);
                }
            }
            let (title, expected) = (&case.title, &case.expected);
            if said != *expected && env::var_os("RUNNER_UPDATE").is_none() {
                let _ = writeln!(wrong, "{title}\n--- expected\n{expected}--- got\n{said}");
            }
            let _ = write!(now, "\n== {title}\n{}\n----\n{said}", case.input);
        }
        if env::var_os("RUNNER_UPDATE").is_some() {
            fs::write(&path, now).expect("a writable file of cases");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const HELLO: &str = "\
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']
";

/// What was written starts and answers, and a file that is there is left alone.
#[test]
fn what_is_written_runs() {
    let folder = Folder::new().file("hello.py", HELLO).file(
        "uwsgi.ini",
        "[uwsgi]\nmodule = nowhere\nsocket = /nowhere/uwsgi.sock\n",
    );
    let words = "import -o app.ini --check -- gunicorn -b 127.0.0.1:0 hello:app";
    let words = words.split(' ');
    let here = folder.path("");
    let outcome = folder.runner(words.clone()).current_folder(&here).run();
    outcome.success();
    assert!(
        outcome.stderr.contains("answers `GET /` with 200"),
        "{}",
        outcome.stderr
    );
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(server.get("/").ok(), "hello");
    let folder = server.folder().clone();
    server.stop().success();
    let again = folder.runner(words).current_folder(&here).run();
    assert_eq!(again.status, 1);
    assert!(
        again.stderr.contains("`app.ini` already exists"),
        "{}",
        again.stderr
    );
    // Its module is not there: nothing is left of the trial.
    let broken = folder
        .runner(["import", "--check", "uwsgi.ini"])
        .current_folder(&here)
        .run();
    assert_eq!(broken.status, 1);
    assert!(
        broken.stderr.contains("what was written does not start"),
        "{}",
        broken.stderr
    );
    let left = fs::read_dir(&here).expect("the folder").flatten();
    let names: Vec<String> = left
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        !names.iter().any(|name| name.starts_with(".import")),
        "{names:?}"
    );
}

/// The names of a folder's files that a trial has made.
fn left_of_trials(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path("")).expect("the folder").flatten();
    let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".import")).collect()
}

/// A trial that is stopped leaves nothing behind.
#[test]
fn a_trial_ends_at_signals() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let folder = Folder::new().file("slow.py", "import signal\nsignal.pause()\n");
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args("import --check -- gunicorn slow:app".split(' '));
        let command = command.current_dir(folder.path(""));
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Waits::until(
            || !left_of_trials(&folder).is_empty(),
            || "no trial".to_owned(),
        );
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), signal).expect("it is there");
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{signal:?}");
        assert_eq!(left_of_trials(&folder), Vec::<String>::new(), "{signal:?}");
    }
}

/// An application that only fails is no success.
#[test]
fn a_trial_finds_mistakes_in_what_it_does_not_try() {
    let folder = Folder::new().file(
        "hello.py",
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n",
    );
    let words = "import --check -- gunicorn -b 127.0.0.1:0 --certfile gone.pem hello:app";
    let outcome = folder.runner(words.split(' ')).run();
    assert_eq!(outcome.status, 1, "{outcome:?}");
    let said = "error: what was written has mistakes:\nerror: cannot read ";
    assert!(outcome.stderr.contains(said), "{outcome:?}");
    assert!(outcome.stderr.contains("gone.pem"), "{outcome:?}");
    let left = fs::read_dir(folder.path("")).expect("a folder").count();
    assert_eq!(left, 1, "nothing is left of the trial");
}

#[test]
fn a_trial_that_is_answered_by_an_error_fails() {
    let folder = Folder::new().file("broken.py", "def app(environ, start):\n    1 / 0\n");
    let words = "import --check -- gunicorn broken:app".split(' ');
    let outcome = folder.runner(words).current_folder(folder.path("")).run();
    assert_eq!(outcome.status, 1);
    let said = &outcome.stderr;
    assert!(said.contains("answers `GET /` with 500"), "{said}");
}
