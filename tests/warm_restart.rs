//! Starting a supervised file a second time: the new master gets ready, takes over the old one's sockets, and lets it
//! finish its requests. No request is lost, in a reload neither.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, kill_process};
use support::http::Waits;
use support::load::Load;
use support::{Folder, Program, Server, version};

const FILE: &str = "\
Command serve tcp://127.0.0.1:0 WSGI import:app.application
PidFile app.pid
MinProcesses 2
MaxProcesses 2
";

fn folder(file: &str) -> Folder {
    Folder::new().file("app.py", version(1)).file("app", file)
}

fn master(folder: &Folder) -> Program {
    folder.runner(["supervise", "app"])
}

/// The number in the pid file.
fn pid(folder: &Folder) -> String {
    folder.read("app.pid").trim().to_owned()
}

fn number(server: &Server) -> String {
    server.pid().as_raw_nonzero().to_string()
}

/// Puts a version in place.
fn install(folder: &Folder, number: u32) {
    fs::write(folder.path("app.py"), version(number)).expect("a file");
}

/// Waits until a version answers new clients.
fn until_it_answers(server: &Server, number: u32) {
    let mut waits = Waits::new();
    while server.get("/").ok() != format!("version {number}") {
        waits.wait(|| server.log());
    }
}

#[test]
fn the_second_master_takes_the_place_of_the_first() {
    for file in [
        FILE.to_owned(),
        FILE.replace("tcp://127.0.0.1:0", "unix:app.sock"),
    ] {
        let folder = folder(&file);
        let first = master(&folder).start();
        assert_eq!(first.get("/").ok(), "version 1");
        install(&folder, 2);
        let second = master(&folder).start();
        assert_eq!(second.url(), first.url());
        assert_eq!(pid(&folder), number(&second));
        let says = format!(
            "runner: serving {}\n",
            first
                .url()
                .replace(&*folder.path("").to_string_lossy(), "[folder]")
        );
        let heir = number(&second);
        let taken = format!("{says}runner: stopped: process {heir} has taken over\n");
        first.wait().is(0, "", &taken);
        assert_eq!(second.get("/").ok(), "version 2");
        assert_eq!(pid(&folder), number(&second));
        second.stop().is(0, "", &format!("{says}runner: stopped\n"));
        for left in ["app.pid", "app.pid.socket", "app.sock"] {
            assert!(!folder.path(left).exists(), "{left}");
        }
    }
}

/// A process manager passes its socket each time; a user at a terminal has none to pass.
#[test]
fn a_socket_that_was_handed_over_is_handed_on() {
    let folder = folder(&FILE.replace("tcp://127.0.0.1:0", "fd.socket:stdin"));
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let again = OwnedFd::from(socket.try_clone().expect("a duplicate"));
    let first = master(&folder).start_with(socket.into()).serving();
    install(&folder, 2);
    let second = master(&folder).start_with(again).serving();
    assert_eq!(first.wait().status, 0);
    assert_eq!(second.get("/").ok(), "version 2");
    install(&folder, 3);
    let third = master(&folder).start();
    assert_eq!(third.url(), second.url());
    assert_eq!(second.wait().status, 0);
    assert_eq!(third.get("/").ok(), "version 3");
    assert_eq!(third.stop().status, 0);
}

#[test]
fn a_removed_socket_file_is_created_again() {
    let file = FILE.replace("tcp://127.0.0.1:0", "unix:app.sock");
    let folder = folder(&file);
    let socket = folder.path("app.sock");
    let first = master(&folder).start();
    fs::remove_file(&socket).expect("the socket");
    let reload = folder.runner(["reload", "app"]).run();
    reload.is(0, "app serves the new version\n", "");
    assert_eq!(first.get("/").ok(), "version 1");
    first.wait_for_log(|log| log.contains(", which was removed\n"));
    fs::remove_file(&socket).expect("the socket");
    install(&folder, 2);
    let second = master(&folder).start();
    assert_eq!(first.wait().status, 0);
    assert_eq!(second.get("/").ok(), "version 2");
    // An existing socket file is not made again.
    let reload = folder.runner(["reload", "app"]).run();
    reload.is(0, "app serves the new version\n", "");
    let log = second.log();
    assert_eq!(log.matches(", which was removed\n").count(), 1, "{log}");
    assert_eq!(second.stop().status, 0);
    assert!(!socket.exists());
}

#[test]
fn a_second_master_may_serve_another_address() {
    let at = |name: &str| FILE.replace("tcp://127.0.0.1:0", name);
    let folder = folder(&at("unix:old.sock"));
    let first = master(&folder).start();
    assert_eq!(first.get("/").ok(), "version 1");
    fs::write(folder.path("app"), at("unix:new.sock")).expect("a file");
    let second = master(&folder).start();
    assert_eq!(first.wait().status, 0);
    assert!(!folder.path("old.sock").exists());
    assert_eq!(second.get("/").ok(), "version 1");
    assert_eq!(second.stop().status, 0);
    assert!(!folder.path("new.sock").exists());
}

#[test]
fn a_second_master_that_cannot_serve_changes_nothing() {
    let folder = folder(FILE);
    let first = master(&folder).start();
    let cases = [
        ("import nosuchmodule\n", "No module named 'nosuchmodule'"),
        (
            "import os\nos._exit(3)\n",
            "Python exited with status 3 while it imported",
        ),
        ("def (\n", "SyntaxError"),
    ];
    for (text, reason) in cases {
        fs::write(folder.path("app.py"), text).expect("a file");
        let outcome = master(&folder).run();
        assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
        assert!(outcome.stderr.contains(reason), "{outcome:#?}");
        assert_eq!(first.get("/").ok(), "version 1");
        assert_eq!(pid(&folder), number(&first));
    }
    let says = format!("runner: serving {}\nrunner: stopped\n", first.url());
    first.stop().is(0, "", &says);
}

#[test]
fn while_one_is_starting_no_other_can() {
    let folder = folder(FILE);
    folder.program("mkfifo", ["go"]).run().success();
    let first = master(&folder).start();
    let slow = format!(
        "open('importing', 'w').close()\nopen('go').read()\n{}",
        version(2)
    );
    fs::write(folder.path("app.py"), slow).expect("a file");
    let second = master(&folder).begin();
    Waits::until(|| folder.path("importing").exists(), || second.log());
    master(&folder).run().is(
        1,
        "",
        "error: another `runner` is starting with the pid file `[folder]/app.pid` \
         (`flockfile:[folder]/app.pid.start` is locked)\n",
    );
    fs::write(folder.path("go"), "").expect("it is being read");
    assert_eq!(first.wait().status, 0);
    let second = second.serving();
    assert_eq!(second.get("/").ok(), "version 2");
    assert_eq!(second.stop().status, 0);
}

#[test]
fn one_of_two_simultaneous_starts_serves() {
    let file = "Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\n";
    let folder = folder(file);
    for _ in 0..100 {
        let mut both = [master(&folder).begin(), master(&folder).begin()];
        let mut waits = Waits::new();
        // The other one was refused, or has been replaced.
        let serves = loop {
            let ended = [both[0].has_ended(), both[1].has_ended()];
            match ended.iter().position(|ended| !ended) {
                Some(one) if ended[1 - one] && both[one].log().contains("serving") => break one,
                Some(_) | None => waits.wait(|| both.iter().map(Server::log).collect()),
            }
        };
        let [a, b] = both;
        let (ended, serves) = match serves {
            0 => (b, a),
            _ => (a, b),
        };
        let ended = ended.wait();
        assert!(
            ended.status == 0 || ended.stderr.contains("another `runner` is starting"),
            "{ended:#?}"
        );
        let serves = serves.serving();
        assert_eq!(pid(&folder), number(&serves));
        assert_eq!(serves.get("/").status, 200);
        assert_eq!(serves.stop().status, 0);
        assert!(!folder.path("app.pid").exists());
    }
}

#[test]
fn nothing_is_lost_by_reloads_and_warm_restarts() {
    let folder = folder(FILE);
    let mut server = master(&folder).start();
    let load = Load::new(server.address()).fresh(16).kept(16).start();
    let mut number = 1;
    for _ in 0..5 {
        load.more(200);
        number += 1;
        install(&folder, number);
        server.signal(Signal::HUP);
        until_it_answers(&server, number);
        load.more(200);
        number += 1;
        install(&folder, number);
        let second = master(&folder).start();
        until_it_answers(&second, number);
        let outcome = std::mem::replace(&mut server, second).wait();
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
    load.more(200);
    load.stop().is_whole();
    assert_eq!(server.stop().status, 0);
}

#[test]
fn nothing_is_lost_by_versions_that_cannot_be_started() {
    let folder = folder(FILE);
    let server = master(&folder).start();
    let load = Load::new(server.address()).fresh(8).kept(8).start();
    let cases = [
        "import nosuchmodule\n",
        "raise SystemExit\n",
        "import os\nos._exit(1)\n",
    ];
    for text in cases {
        fs::write(folder.path("app.py"), text).expect("a file");
        load.more(100);
        let reload = folder.runner(["reload", "app"]).run();
        assert_eq!(reload.status, 1, "{reload:#?}");
        let start = master(&folder).run();
        assert_eq!(start.status, 1, "{start:#?}");
        load.more(100);
    }
    let report = load.stop();
    report.is_whole();
    assert_eq!(server.stop().status, 0);
}

/// A program of the old master ends when the new one has begun; if it is `runner` itself, its replacement waits for the
/// address instead of being started in vain.
#[test]
fn runner_programs_wait_for_their_address() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    for url in [&format!("tcp://127.0.0.1:{port}"), "unix:side.sock"] {
        let side = format!(
            "#!/usr/bin/env -S runner runIni\nurl = '{url}'\nrunner.workers.max = 1\n\
             app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\n"
        );
        let folder = folder(&format!("{FILE}Program ./side.ini\n")).executable("side.ini", side);
        let first = master(&folder).start();
        let serving = |log: &str| log.matches("runner: serving ").count() == 2;
        first.wait_for_log(serving);
        let status = folder.runner(["status", "--format", "json", "app"]).run();
        let status: serde_json::Value = serde_json::from_str(status.success()).expect("JSON");
        let old = status["programs"][0]["pid"].as_i64().expect("a process");
        let old = Pid::from_raw(i32::try_from(old).expect("a process")).expect("a process");
        // It keeps its address until it is continued.
        kill_process(old, Signal::STOP).expect("it runs");
        install(&folder, 2);
        let second = master(&folder).start();
        second.wait_for_log(|log| log.contains("runner: waiting for another program to leave `"));
        assert!(!serving(&second.log()), "{}", second.log());
        kill_process(old, Signal::CONT).expect("it runs");
        second.wait_for_log(serving);
        assert_eq!(first.wait().status, 0);
        let socket = folder.path("side.sock").display().to_string();
        let page = match url.strip_prefix("tcp") {
            Some(rest) => folder.curl([format!("http{rest}/")]),
            None => folder.curl(["--unix-socket", &socket, "http://localhost/"].map(str::to_owned)),
        };
        assert_eq!(page.success(), "version 2");
        let said = second.stop();
        assert_eq!(said.status, 0);
        assert!(!said.stderr.contains("started again"), "{said:?}");
    }
}
