//! Commands that run before an application starts (`runner.before_start`), and files whose change reloads a server
//! (`runner.touch_reload`).

mod support;

use std::fs;

use rustix::process::Signal;
use support::{Folder, version};

fn folder(settings: &str) -> Folder {
    Folder::new()
        .file("app.py", version(1))
        .executable(
            "say",
            "#!/bin/sh\necho \"said $1 $NAME\" >&2\necho $1 >>said\n",
        )
        .executable("fail", "#!/bin/sh\nexit 3\n")
        .executable("hang", "#!/bin/sh\ntrap '' TERM\nsleep 1000 & sleep 1000\n")
        .file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\n\
                 url = 'tcp://127.0.0.1:0'\n[runner]\n{settings}\n"
            ),
        )
}

#[test]
fn they_run_in_order_before_each_version() {
    let folder =
        folder("environment = {'NAME': 'me'}\nbefore_start = ['./say one', \"./say 'two words'\"]");
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(folder.read("said"), "one\ntwo words\n");
    let log = server.log();
    assert!(log.contains("said two words me\n"), "{log}");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded"));
    assert_eq!(folder.read("said").lines().count(), 4);
    // One that fails keeps the old version.
    folder.clone().executable("say", "#!/bin/sh\nkill -9 $$\n");
    fs::write(folder.path("app.py"), version(2)).expect("a file");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| {
        log.contains("/say one` (runner.before_start, app.ini:5) was killed by SIGKILL")
    });
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn one_that_fails_or_hangs_fails_the_start_and_leaves_nothing() {
    for (settings, reason) in [
        (
            "before_start = ['./say one', './fail', './say two']",
            "error: `./fail` (runner.before_start, app.ini:4) exited with status 3\n",
        ),
        (
            "before_start = './hang'\nstart_timeout = 0.2",
            "error: `./hang` (runner.before_start, app.ini:4) did not end within 0.2 s (runner.start_timeout)\n",
        ),
    ] {
        let folder = folder(settings);
        let outcome = folder.runner(["runIni", "app.ini"]).run();
        let stderr = outcome.stderr.replace("[folder]", ".");
        assert!(
            outcome.status == 1 && stderr.ends_with(reason),
            "{settings}: {outcome:#?}"
        );
    }
}

#[test]
fn a_stop_ends_a_command_that_runs() {
    let folder = folder("before_start = './hang'");
    let server = folder.runner(["runIni", "app.ini"]).begin();
    support::Waits::until(
        || {
            server
                .processes()
                .iter()
                .any(|(_, words)| words.contains("sleep"))
        },
        || "the command does not run".to_owned(),
    );
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_touched_file_reloads() {
    let folder = folder("touch_reload = ['reload.txt', 'other.txt']");
    let server = folder.runner(["runIni", "app.ini"]).start();
    let reloads = |log: &str| log.matches("runner: reloaded").count();
    for (number, file) in ["reload.txt", "reload.txt", "other.txt"].iter().enumerate() {
        fs::write(folder.path("app.py"), version(10 + number as u32)).expect("a file");
        // Neither the code nor the configuration is watched.
        fs::write(folder.path(file), "").expect("a file");
        server.wait_for_log(|log| reloads(log) == number + 1);
        assert_eq!(server.get("/").ok(), format!("version {}", 10 + number));
        let log = server.log();
        assert!(log.contains(&format!("s: {file} has changed")), "{log}");
    }
    assert_eq!(server.stop().status, 0);
}
