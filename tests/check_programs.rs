//! `check` and the programs that a file keeps running: whether they can be run, and the files of ours among them.

mod support;

use support::Folder;

const KEYS: &str = "Command serve demo\nPidFile app.pid\n";
const OURS: &str =
    "#!/usr/bin/env -S runner runIni\napp = commands.Alias(command=['serve', 'demo'])\n";

/// The places of problems, with their messages.
fn problems(folder: &Folder, files: &[&str]) -> (Vec<String>, String) {
    let check = folder.runner(["check"]).arguments(files).run();
    let here = format!("{}/", folder.path("").display());
    let text = check.stdout.replace(&here, "").replace("[folder]/", "");
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2) {
        if let Some((_, place)) = pair[1].split_once("┌─ ") {
            found.push(format!("{place}: {}", pair[0]));
        }
    }
    (found, lines.last().copied().unwrap_or_default().to_owned())
}

#[test]
fn programs_that_cannot_be_run_are_problems_at_their_places() {
    let folder = Folder::new()
        .executable("good", "#!/bin/sh\n")
        .file("text", "no program\n")
        .file("folder/x", "")
        .file(
            "app.conf",
            format!(
                "{KEYS}Program ./good\nProgram ./gone --x\nProgram ./text\nProgram ./folder\n\
                 Program sh -c true\nProgram no-such-program-here\n"
            ),
        )
        .file(
            "app.ini",
            "app = commands.Alias(command=['supervise', 'exec:', './gone'])\n[runner.supervise]\n\
             pid_file = 'x'\nprograms = ['./good', './missing']\n",
        )
        .file(
            "served.ini",
            "app = commands.Alias(command=['serve', 'upstream', 'http', 'exec:', 'no-such-program-here'])\n\
             [peak.running.shortcuts]\n\
             none = commands.Alias(command=['upstream', 'fastcgi', 'exec:'])\n",
        );
    let (found, last) = problems(&folder, &["app.conf", "app.ini", "served.ini"]);
    assert_eq!(
        found,
        [
            "app.conf:4:9: error: there is no program `gone`",
            "app.conf:5:9: error: `text` is not executable",
            "app.conf:6:9: error: `folder` is not a file",
            "app.conf:8:9: warning: there is no program `no-such-program-here` in `PATH`",
            "app.ini:1:44: error: there is no program `gone`",
            "app.ini:4:23: error: there is no program `missing`",
            "served.ini:1:40: warning: there is no program `no-such-program-here` in `PATH`",
            "served.ini:3:55: error: `exec:` lacks the name of a program",
        ]
    );
    assert_eq!(last, "3 files: 6 errors, 2 warnings");
}

/// Only words count that are evidently the name of a script.
#[test]
fn scripts_that_are_not_there_are_warnings_at_their_places() {
    let missing = [
        "python3 gone.py",
        "python3 -u gone.py --x",
        "python3 bin/gone",
        "sh ./gone --x a/b",
        "sh -e gone.sh",
    ];
    let there = [
        "python3 there.py gone.py",
        "python3 -m gone",
        "python3 -um gone.py",
        "python3 -c pass gone.py",
        "python3 - gone.py",
        "python3 -X dev gone",
        "python3 folder",
        "python3 folder/there.py",
        "sh -c ./gone.sh",
        "sh -ec 'test -f x && ./gone.sh'",
        "sh gone",
        "sh -x a/gone",
        "tail -f gone.py a/gone.py",
    ];
    let lines = missing.iter().chain(&there);
    let lines: String = lines.map(|line| format!("Program {line}\n")).collect();
    let folder = Folder::new()
        .file("there.py", "")
        .file("folder/there.py", "")
        .file("app.conf", format!("{KEYS}{lines}"))
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n\
             runner.before_start = ['python3 there.py', 'python3 gone.py migrate']\n",
        );
    let (found, last) = problems(&folder, &["app.conf", "app.ini"]);
    let gone =
        |file: &str, program: &str| format!("warning: there is no file `{file}` for `{program}`");
    assert_eq!(
        found,
        [
            format!("app.conf:3:9: {}", gone("gone.py", "python3")),
            format!("app.conf:4:9: {}", gone("gone.py", "python3")),
            format!("app.conf:5:9: {}", gone("bin/gone", "python3")),
            format!("app.conf:6:9: {}", gone("gone", "sh")),
            format!("app.conf:7:9: {}", gone("gone.sh", "sh")),
            format!("app.ini:2:44: {}", gone("gone.py", "python3")),
        ]
    );
    assert_eq!(last, "2 files: 0 errors, 6 warnings");
}

/// The place of a command that `runner` is to run is that of the program, whatever it runs.
#[test]
fn commands_of_programs_are_checked_where_they_are_written() {
    let folder = Folder::new()
        .file("wrong.ini", "app = commands.Alias(command=['serv'])\n")
        .file("empty.ini", "x = 1\n")
        .file(
            "app.conf",
            format!(
                "{KEYS}Program runner runIni nofile.ini\nProgram runner supervise nofile.conf\n\
                 Program runner frobnicate\nProgram runner serve demo -p 0\n\
                 Program runner runIni wrong.ini\nProgram runner runIni empty.ini\n\
                 Program runner serve\n"
            ),
        );
    let (found, last) = problems(&folder, &["app.conf"]);
    assert_eq!(
        found,
        [
            "app.conf:3:9: error: cannot read `nofile.ini`: there is no such file",
            "app.conf:4:9: error: cannot read `nofile.conf`: there is no such file",
            "app.conf:5:9: error: unknown name `frobnicate`",
            "app.conf:8:9: error: `empty.ini` does not say what to run",
            "app.conf:9:9: error: NAME_OR_URL is missing",
            "wrong.ini:1:31: error: unknown name `serv`",
        ]
    );
    assert_eq!(last, "3 files: 6 errors, 0 warnings");
}

/// Each file once, though programs run one another.
#[test]
fn programs_that_are_files_of_ours_are_checked_once() {
    let circle = "#!/usr/bin/env -S runner supervise\n".to_owned() + KEYS;
    let folder = Folder::new()
        .executable(
            "app.conf",
            format!("{circle}Program ./web.ini\nProgram ./web.ini -p 1\nProgram ./other.conf\n"),
        )
        .executable(
            "other.conf",
            format!(
                "{circle}Program ./app.conf\nProgram ./script.py\nProgram runner runIni plain.ini\n"
            ),
        )
        .executable("web.ini", format!("{OURS}[runner.workers]\nmni = 2\n"))
        .executable(
            "script.py",
            "#!/usr/bin/env python3\nulr = 'tcp://localhost:80'\n",
        )
        .file("plain.ini", format!("{OURS}ulr = 'tcp://localhost:80'\n"));
    let (found, last) = problems(&folder, &["app.conf"]);
    assert_eq!(
        found,
        [
            "web.ini:4:1: error: there is no setting `runner.workers.mni`",
            "plain.ini:3:1: warning: nothing reads `ulr`",
        ]
    );
    assert_eq!(last, "4 files: 1 error, 1 warning");
    // A file that is named as well is not checked twice.
    let (found, last) = problems(&folder, &["app.conf", "web.ini"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(last, "4 files: 1 error, 1 warning");
}

/// A process of its own does not read the files that `-c` names for its parent.
#[test]
fn a_program_has_the_layers_of_its_own_process() {
    let folder = Folder::new()
        .file("named.ini", "b.x = 1\n")
        .file("listed.ini", "c.x = 1\n")
        .executable(
            "web.ini",
            format!(
                "{OURS}b = config.lookup(targetObj, 'b.x')\nc = config.lookup(targetObj, 'c.x')\n"
            ),
        )
        .file("app.conf", format!("{KEYS}Program ./web.ini\n"));
    let check = folder
        .runner(["-c", "named.ini", "check", "app.conf"])
        .env("PEAK_CONFIG", "listed.ini")
        .run();
    assert!(
        check.stdout.contains("setting `b.x` is not set"),
        "{}",
        check.stdout
    );
    assert!(
        check.stdout.ends_with("2 files: 0 errors, 1 warning\n"),
        "{}",
        check.stdout
    );
}
