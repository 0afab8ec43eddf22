//! Programs that are HTTP servers, and that runner starts (`upstream http exec: COMMAND`): as many as there is need for, none
//! too long, and none that stays behind, as each test asserts when its server ends.

mod support;

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use support::http::Connection;
use support::{Folder, Load, Server, Waits, free_port};

/// A file that serves a program, with these words of the program and these settings.
fn file(words: &str, settings: &str) -> String {
    format!(
        "app = commands.Alias(command=['serve', 'upstream', 'http', {words}])\n\
         url = 'tcp://127.0.0.1:0'\n{settings}\n"
    )
}

/// A folder with the program, and such a file.
fn folder(words: &str, settings: &str) -> Folder {
    Folder::new()
        .copy("tests/apps/program.py")
        .file("app.ini", file(words, settings))
}

/// A server of the program with these settings.
fn served(words: &str, settings: &str) -> Server {
    folder(words, settings)
        .runner(["runIni", "app.ini"])
        .start()
}

/// The same with a gate, and a control socket for `status`.
fn gated(words: &str, settings: &str) -> Server {
    let settings = format!("runner.status.url = 'unix:control'\n{settings}");
    let folder = folder(words, &settings);
    folder.gated(["runIni", "app.ini"]).start()
}

fn status(server: &Server) -> Json {
    let folder = server.folder();
    let status = folder
        .runner(["status", "--format", "json", "app.ini"])
        .run();
    serde_json::from_str(status.success()).expect("JSON")
}

/// The processes of the program that the status shows in a state.
fn workers(server: &Server, state: &str) -> Vec<i64> {
    let status = status(server);
    let workers = status["workers"].as_array().expect("a list");
    let workers = workers.iter().filter(|worker| worker["state"] == state);
    workers
        .map(|worker| worker["pid"].as_i64().expect("a process"))
        .collect()
}

/// Waits until so many processes are in a state.
#[track_caller]
fn until(server: &Server, state: &str, count: usize) {
    Waits::until(
        || workers(server, state).len() == count,
        || format!("never {count} {state}: {}", status(server)),
    );
}

/// Sends a request, and leaves its answer for later.
fn asked(server: &Server, target: &str) -> Connection {
    let mut connection = Connection::open(server.address());
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.send(request.as_bytes());
    connection
}

fn kill(process: &str) {
    let pid = Pid::from_raw(process.parse().expect("a number")).expect("a process");
    kill_process(pid, Signal::KILL).expect("it runs");
}

#[test]
fn a_program_is_told_where_to_listen_and_finds_what_it_needs() {
    let server = served("'exec:', './program.py', '--flag', '-p'", "");
    assert_eq!(server.get("/words").ok(), "--flag -p");
    let folder = server.folder().path("").display().to_string();
    assert_eq!(server.get("/folder").ok(), folder);
    let environment = server.get("/environment").ok();
    let has = |variable: &str| environment.lines().any(|line| line == variable);
    assert!(
        has("HOST=127.0.0.1") && has(&format!("PWD={folder}")),
        "{environment}"
    );
    assert!(!environment.contains("RUNNER_KEPT"), "{environment}");
    let pid = server.get("/").ok();
    let log = server.log();
    assert!(
        log.contains(&format!("program.py[{pid}]: listening\n")),
        "{log}"
    );
    let said = server.stop();
    assert_eq!(said.status, 0);
    assert!(!said.stderr.contains("killed"), "{}", said.stderr);
}

#[test]
fn its_words_can_name_a_unix_socket_or_the_port() {
    for (words, expected) in [
        ("'exec:', './program.py', '{socket}'", ".socket"),
        ("'exec:', './program.py', 'port={port}'", "port="),
    ] {
        let server = served(words, "");
        let words = server.get("/words").ok();
        assert!(words.contains(expected), "{words}");
        assert!(!words.contains('{'), "{words}");
        let socket = fs::metadata(&words).is_ok();
        assert_eq!(socket, expected == ".socket", "{words}");
        assert_eq!(server.stop().status, 0);
        assert!(fs::metadata(&words).is_err(), "{words} is left");
    }
}

/// Typed words behind the name of a file are about the server, though the alias ends with those of the program.
#[test]
fn options_follow_the_name_of_the_file() {
    let folder = folder("'exec:', './program.py', '-p', '1'", "");
    let port = free_port().to_string();
    let server = folder.runner(["runIni", "app.ini", "-p", &port]).start();
    assert_eq!(server.url(), format!("http://127.0.0.1:{port}/"));
    assert_eq!(server.get("/words").ok(), "-p 1");
    assert_eq!(server.stop().status, 0);

    let typed = [
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
        "http",
        "exec:",
        "./program.py",
        "-p",
        "--",
        "x",
    ];
    let server = folder.runner(typed).start();
    assert_eq!(server.get("/words").ok(), "-p -- x");
    assert_eq!(server.stop().status, 0);
}

/// The clients of a load, each with one request at a time.
const CLIENTS: u64 = 8;

#[test]
fn a_program_that_dies_is_replaced_and_takes_only_what_it_had_begun() {
    for least in [1, 2] {
        let settings = format!("runner.workers.min = {least}\n");
        let server = served("'exec:', './program.py'", &settings);
        let load = Load::new(server.address()).fresh(4).kept(4).start();
        let mut killed = BTreeSet::new();
        for _ in 0..5 {
            load.more(50);
            let pid = server.get("/").ok();
            kill(&pid);
            killed.insert(pid);
        }
        load.more(50);
        let report = load.stop();
        report.answers(&[200, 502]);
        let lost = report.statuses.get(&502).copied().unwrap_or_default();
        assert!(lost <= CLIENTS * killed.len() as u64, "{report:#?}");
        let is_told = |log: &str| log.matches("was killed by SIGKILL").count() == killed.len();
        let log = server.wait_for_log(is_told);
        let next = ["it is replaced", "the next attempt"].map(|next| log.matches(next).count());
        assert_eq!(next.iter().sum::<usize>(), killed.len(), "{log}");
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn reloads_lose_nothing_and_kills_between_them_nothing_else() {
    let server = served("'exec:', './program.py'", "runner.workers.min = 2\n");
    let load = Load::new(server.address()).fresh(4).kept(4).start();
    let first = server.get("/").ok();
    let reload = |number| {
        load.more(100);
        server.signal(Signal::HUP);
        server.wait_for_log(|log| log.matches("runner: reloaded\n").count() == number);
    };
    (1..3).for_each(reload);
    load.report().is_whole();
    assert_ne!(server.get("/").ok(), first);
    for number in 3..5 {
        kill(&server.get("/").ok());
        reload(number);
    }
    load.more(100);
    let report = load.stop();
    report.answers(&[200, 502]);
    let lost = report.statuses.get(&502).copied().unwrap_or_default();
    assert!(lost <= 2 * CLIENTS, "{report:#?}");
    assert_eq!(server.stop().status, 0);
}

/// While the only process is being replaced, requests wait for the next one: also if another version begins meanwhile.
#[test]
fn a_request_that_waits_for_a_process_outlives_a_reload() {
    let settings = "runner.status.url = 'unix:control'";
    let folder = folder("'exec:', './program.py', 'gate'", settings);
    let server = folder.gated(["runIni", "app.ini"]).begin();
    server.wait_for_log(|log| log.contains("at the gate"));
    folder.open_gate();
    let server = server.serving();
    kill(&server.get("/").ok());
    server.wait_for_log(|log| log.matches("at the gate").count() == 2);
    let mut waiting = asked(&server, "/words");
    let mut other = asked(&server, "/words");
    Waits::until(
        || status(&server)["queue"]["length"] == 2,
        || status(&server).to_string(),
    );
    let next = file("'exec:', './program.py', 'next'", settings);
    let folder = folder.file("app.ini", next);
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_eq!(server.get("/words").ok(), "next");
    folder.open_gate();
    assert_eq!(waiting.reply("GET").ok(), "gate");
    assert_eq!(other.reply("GET").ok(), "gate");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn one_that_never_listens_fails_the_start_with_its_last_output() {
    let folder = folder(
        "'exec:', './program.py', 'silent'",
        "runner.start_timeout = '2s'\n",
    );
    let said = folder.runner(["runIni", "app.ini"]).run();
    assert_eq!(said.status, 1);
    let error = said
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("error"));
    let error: Vec<&str> = error.collect();
    assert!(
        error[0].starts_with(
            "error: cannot start `[folder]/program.py silent`: it was not ready at 127.0.0.1:"
        ),
        "{error:?}"
    );
    assert!(
        error[0]
            .contains(" within 2 s (runner.start_timeout): it does not listen; its last output:"),
        "{error:?}"
    );
    assert_eq!(error[1..], ["  I do not listen", "  What is its name?"]);
}

#[test]
fn one_that_ends_at_once_fails_the_start_with_its_last_output() {
    for (habit, how) in [
        (
            "exit",
            "exited with status 7 before it was ready; its last output:\n  what is wrong\n  and where\n",
        ),
        (
            "leave",
            "left before it was ready (a server must stay in the foreground); it has written nothing\n",
        ),
    ] {
        let folder = folder(&format!("'exec:', './program.py', '{habit}'"), "");
        let said = folder.runner(["runIni", "app.ini"]).run();
        assert_eq!(said.status, 1);
        assert!(said.stderr.contains(how), "{}", said.stderr);
    }
}

#[test]
fn a_program_that_cannot_be_run_is_told() {
    for (program, why) in [
        (
            "./missing",
            "error: there is no program `[folder]/missing`\n",
        ),
        (
            "no-such-program-here",
            "cannot run `no-such-program-here`: it is not found in `PATH`",
        ),
        ("./app.ini", "error: `[folder]/app.ini` is not executable\n"),
    ] {
        let folder = folder(&format!("'exec:', '{program}'"), "");
        let said = folder.runner(["runIni", "app.ini"]).run();
        assert_eq!(said.status, 1);
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
}

/// After the first start, there is always a next attempt, ever later; requests wait for it.
#[test]
fn a_program_that_cannot_be_started_again_is_tried_at_growing_intervals() {
    let server = served("'exec:', './program.py'", "");
    let program = server.folder().path("program.py");
    let good = server.folder().read("program.py");
    let broken = "#!/bin/sh\necho broken\nexit 3\n";
    fs::write(&program, broken).expect("an owned file");
    kill(&server.get("/").ok());
    server.wait_for_log(|log| log.contains("the next attempt is in 0.4 s"));
    let mut waiting = asked(&server, "/words");
    server.wait_for_log(|log| log.contains("the next attempt is in 0.8 s"));
    fs::write(&program, good).expect("an owned file");
    assert_eq!(waiting.reply("GET").status, 200);
    assert_eq!(server.stop().status, 0);
}

/// It ignores SIGTERM, and so does a process that it has started, which is in a group of its own.
#[test]
fn what_ignores_sigterm_is_killed() {
    let server = served(
        "'exec:', './program.py', 'stubborn'",
        "runner.stop_timeout = '0.2s'\n",
    );
    server.wait_for_log(|log| log.contains("]: stays\n"));
    let said = server.stop();
    assert_eq!(said.status, 0);
    let killed = "was told to leave and has not (runner.stop_timeout); it is ended\n";
    assert!(said.stderr.contains(killed), "{}", said.stderr);
}

#[test]
fn nothing_outlives_a_master_that_is_killed() {
    let server = served(
        "'exec:', './program.py', 'x'",
        "runner.stop_timeout = '0.2s'\n",
    );
    server.signal(Signal::KILL);
    assert_eq!(server.wait().status, -9);

    // It ignores SIGTERM.
    let stubborn = "#!/bin/sh\ntrap '' TERM\n./program.py &\nwait\nwait\n";
    let folder = folder("'exec:', './stubborn'", "runner.stop_timeout = '0.2s'\n");
    let folder = folder.executable("stubborn", stubborn);
    let server = folder.runner(["runIni", "app.ini"]).start();
    server.signal(Signal::KILL);
    assert_eq!(server.wait().status, -9);
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let server = served("'exec:', './program.py'", "");
    assert_eq!(server.get("/stay").status, 200);
    server.wait_for_log(|log| log.contains("]: stays\n"));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_flood_of_output_holds_up_nothing() {
    let server = served("'exec:', './program.py'", "runner.workers.min = 2\n");
    let mut flooding = asked(&server, "/flood");
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
    }
    assert_eq!(flooding.reply("GET").status, 200);
    server.wait_for_log(|log| {
        log.contains("line 99999 of a flood") || log.contains("lines of the log")
    });
    assert_eq!(server.stop().status, 0);
}

#[test]
fn there_are_more_while_requests_wait_and_fewer_when_they_are_idle() {
    let settings =
        "[runner.workers]\nmin = 1\nmax = 3\nstart_interval = 0\nidle_timeout = '0.3s'\n";
    let server = gated("'--connections', '1', 'exec:', './program.py'", settings);
    until(&server, "idle", 1);
    let mut waiting: Vec<Connection> = (0..4).map(|_| asked(&server, "/wait")).collect();
    until(&server, "busy", 3);
    let shown = server.folder().runner(["status", "app.ini"]).run();
    let columns = shown.success().lines().find(|line| line.contains("PID"));
    assert!(
        columns.is_some_and(|line| line.contains("IN FLIGHT")),
        "{shown:?}"
    );
    // The fourth one waits.
    Waits::until(
        || status(&server)["queue"]["length"] == 1,
        || status(&server).to_string(),
    );
    for _ in 0..4 {
        server.folder().open_gate();
    }
    let pids = waiting
        .iter_mut()
        .map(|connection| connection.reply("GET").ok());
    assert_eq!(pids.collect::<BTreeSet<_>>().len(), 3);
    until(&server, "idle", 1);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_first_one_can_wait_for_the_first_request() {
    let settings = "[runner.workers]\nmin = 0\nidle_timeout = '0.2s'\n";
    let server = gated("'exec:', './program.py'", settings);
    assert!(workers(&server, "idle").is_empty());
    assert_eq!(server.get("/").status, 200);
    until(&server, "idle", 0);
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_program_is_replaced_after_its_quota_of_requests() {
    let server = served(
        "'exec:', './program.py'",
        "runner.workers.max_requests = 50\n",
    );
    let load = Load::new(server.address()).fresh(2).kept(2).start();
    load.until("three processes have answered", |report| {
        report.bodies.len() >= 3
    });
    load.stop().is_whole();
    let log = server.log();
    assert!(log.contains("is replaced: it has answered "), "{log}");
    assert_eq!(server.stop().status, 0);
}

/// Requests that the old processes have end there; the new ones are ready before that.
#[test]
fn a_reload_waits_for_what_is_ready_and_for_what_has_begun() {
    let folder = folder("'--ready', '/ready', 'exec:', './program.py'", "").file("ready", "");
    let server = folder.gated(["runIni", "app.ini"]).start();
    let first = server.get("/").ok();
    let mut begun = asked(&server, "/wait");
    server.wait_for_log(|log| log.contains("]: waiting\n"));
    fs::remove_file(folder.path("ready")).expect("it is there");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.matches("]: listening\n").count() == 2);
    // It is not ready.
    assert_eq!(server.get("/").ok(), first);
    let folder = folder.file("ready", "");
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_ne!(server.get("/").ok(), first);
    folder.open_gate();
    assert_eq!(begun.reply("GET").ok(), first);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_reload_that_fails_leaves_the_old_ones() {
    let server = served("'exec:', './program.py'", "");
    let first = server.get("/").ok();
    let folder = server.folder().clone();
    let folder = folder.file("app.ini", file("'exec:', './program.py', 'exit'", ""));
    server.signal(Signal::HUP);
    let log = server.wait_for_log(|log| log.contains("the reload failed"));
    assert!(log.contains("what is wrong"), "{log}");
    assert_eq!(server.get("/").ok(), first);
    drop(folder);
    assert_eq!(server.stop().status, 0);
}
