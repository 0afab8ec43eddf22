//! What becomes of processes of a program that are not well (`upstream http --health PATH exec: COMMAND`).

mod support;

use std::fs;

use support::{Folder, Server, Waits};

/// A folder with the program, and a file that serves it, with these words of the program and these settings.
fn folder(words: &str, settings: &str) -> Folder {
    let file = format!(
        "app = commands.Alias(command=['serve', 'upstream', 'http', {words}])\n\
         url = 'tcp://127.0.0.1:0'\n{settings}\n"
    );
    Folder::new()
        .copy("tests/apps/program.py")
        .file("app.ini", file)
}

/// Waits until the status shows so many processes of the program that have no requests.
fn until_idle(server: &Server, count: usize) {
    let shown = || {
        let status = server.folder().runner(["status", "app.ini"]).run();
        status.stdout
    };
    let is_so = || shown().contains(&format!(" workers: {count} idle;"));
    Waits::until(is_so, shown);
}

#[test]
fn one_that_is_not_well_is_replaced() {
    let words = "'--health', '/health', '--health-interval', '20ms', 'exec:', './program.py'";
    let server = folder(words, "").runner(["runIni", "app.ini"]).start();
    let first = server.get("/fall_ill").ok();
    let log = server.wait_for_log(|log| log.contains("is not well"));
    let said = format!(
        "worker {first} is not well, and serves until another is ready: `/health`: it has answered 503\n"
    );
    assert!(log.contains(&said), "{log}");
    Waits::until(|| server.get("/").ok() != first, || server.log());
    assert_eq!(server.stop().status, 0);
}

/// A question has the time until the next one.
#[test]
fn one_that_leaves_questions_open_is_replaced() {
    let words = "'--health', '/health', '--health-interval', '1s', 'exec:', './program.py'";
    let server = folder(words, "").runner(["runIni", "app.ini"]).start();
    let first = server.get("/fall_silent").ok();
    let said = format!(
        "worker {first} is not well, and serves until another is ready: `/health`: it has not answered within 1 s\n"
    );
    server.wait_for_log(|log| log.contains(&said));
    Waits::until(|| server.get("/").ok() != first, || server.log());
    assert_eq!(server.stop().status, 0);
}

/// One fault makes all of them unwell, and those that are to take their places do not get ready: some go on, so that requests are
/// answered.
#[test]
fn if_none_is_well_not_all_leave() {
    let words = "'--ready', '/ready', '--health', '/health', '--health-interval', '20ms', 'exec:', './program.py'";
    let settings = "runner.status.url = 'unix:control'\nrunner.workers.min = 2\n";
    let folder = folder(words, settings).file("ready", "");
    let server = folder.runner(["runIni", "app.ini"]).start();
    // Both are ready, and not listening alone.
    until_idle(&server, 2);
    assert_eq!(server.get("/words").ok(), "");
    fs::remove_file(folder.path("ready")).expect("it is there");
    let folder = folder.file("unwell", "");
    server.wait_for_log(|log| {
        log.contains(" is not well, and is replaced: ")
            && log.contains(" is not well, and serves until another is ready: ")
    });
    let last = server.get("/").ok();
    assert_eq!(server.get("/").ok(), last);
    // When the fault is mended, the one that has gone on is replaced as well.
    fs::remove_file(folder.path("unwell")).expect("it is there");
    let _folder = folder.file("ready", "");
    server.wait_for_log(|log| log.contains(" is replaced: it is not well (--health)\n"));
    assert_ne!(server.get("/").ok(), last);
    assert_eq!(server.stop().status, 0);
}
