//! One master at a time, even if several start together, and whatever others left behind.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::process::Command;

use rustix::process::{Pid, Signal};
use support::http::{Connection, Waits};
use support::{Folder, Server};

/// A file for `supervise` that serves without Python, which is quick.
const FILE: &str = "\
Command serve unix:web demo
PidFile app.pid
";

fn folder() -> Folder {
    Folder::new().file("app.conf", FILE)
}

/// Starts a master without waiting for it.
fn begin(folder: &Folder) -> Server {
    let nothing = File::open("/dev/null").expect("a device");
    folder
        .runner(["supervise", "app.conf"])
        .start_with(nothing.into())
}

fn start(folder: &Folder) -> Server {
    begin(folder).serving()
}

/// Asserts that this process is the master for all commands.
#[track_caller]
fn reigns(server: &Server) {
    let folder = server.folder();
    let pid = server.pid().as_raw_nonzero();
    assert_eq!(
        folder.read("app.pid"),
        format!("{pid}\n"),
        "{}",
        server.log()
    );
    let status = folder.runner(["status", "app.conf"]).run();
    let said = format!("process {pid}, serving for");
    assert!(status.success().contains(&said), "{status:?}");
    let web = folder.path("web");
    let web = web.to_string_lossy();
    let page = folder.curl(["--unix-socket", &web, "http://localhost/"]);
    assert!(page.success().contains("PATH_INFO=/\n"));
}

/// Stops a master, which leaves nothing behind but its lock files.
#[track_caller]
fn stop(server: Server) {
    let folder = server.folder().clone();
    assert_eq!(server.stop().status, 0);
    let mut left: Vec<String> = fs::read_dir(folder.path(""))
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.ends_with(".lock") && !name.ends_with(".start"))
        .collect();
    left.sort();
    assert_eq!(left, ["app.conf"]);
}

#[test]
fn one_of_two_simultaneous_starts_serves() {
    let folder = folder();
    let mut too_early = 0;
    for round in 0..100 {
        let mut two = [begin(&folder), begin(&folder)];
        let mut waits = Waits::new();
        let loser = loop {
            if let Some(ended) = two.iter_mut().position(Server::has_ended) {
                break ended;
            }
            waits.wait(|| {
                format!(
                    "round {round}: both go on:\n{}{}",
                    two[0].log(),
                    two[1].log()
                )
            });
        };
        let [first, second] = two;
        let (winner, loser) = match loser {
            0 => (second, first),
            _ => (first, second),
        };
        let outcome = loser.wait();
        match outcome.status {
            // It was the second one.
            1 => {
                too_early += 1;
                outcome.is(
                    1,
                    "",
                    "error: another `runner` is starting with the pid file `[folder]/app.pid` \
                     (`flockfile:[folder]/app.pid.start` is locked)\n",
                );
            }
            // It was the first one, was ready before the second one began, and has handed over.
            status => assert_eq!(status, 0, "round {round}: {outcome:?}"),
        }
        let winner = winner.serving();
        reigns(&winner);
        stop(winner);
    }
    assert!(too_early > 0, "the instants were never the same");
}

#[test]
fn a_stale_pid_file_does_not_prevent_a_start() {
    let mut child = Command::new("true").spawn().expect("a program");
    let dead = Pid::from_child(&child).as_raw_nonzero();
    child.wait().expect("our own child");
    // A signal to this number would end the test.
    let stranger = std::process::id();
    for (contents, why) in [
        (String::new(), "it is empty".to_owned()),
        (format!("{dead}\n"), format!("process {dead} has ended")),
        (
            format!("{stranger}\n"),
            format!("process {stranger} is another program"),
        ),
    ] {
        let folder = folder().file("app.pid", contents);
        // And a socket on which no process listens.
        drop(UnixListener::bind(folder.path("app.pid.socket")));
        let server = start(&folder);
        let said = format!("app.pid` is stale: {why}\n");
        assert!(server.log().contains(&said), "{}", server.log());
        reigns(&server);
        stop(server);
    }
}

#[test]
fn a_master_that_was_killed_is_no_hindrance() {
    let folder = folder();
    for _ in 0..3 {
        let server = start(&folder);
        reigns(&server);
        server.signal(Signal::KILL);
        assert_eq!(server.wait().status, -9);
        assert!(folder.path("app.pid").exists());
    }
    let server = start(&folder);
    reigns(&server);
    stop(server);
}

#[test]
fn a_master_that_does_not_answer_is_left_alone() {
    let folder = folder();
    let server = start(&folder);
    server.signal(Signal::STOP);
    let second = folder.runner(["supervise", "app.conf"]).run();
    assert_eq!(second.status, 1);
    assert!(
        second.stderr.contains("the master does not answer"),
        "{second:?}"
    );
    server.signal(Signal::CONT);
    reigns(&server);
    // The control socket was removed.
    fs::remove_file(folder.path("app.pid.socket")).expect("a socket");
    let second = folder.runner(["supervise", "app.conf"]).run();
    assert_eq!(second.status, 1);
    assert!(
        second.stderr.contains("but its control socket is gone"),
        "{second:?}"
    );
    for command in ["status", "reload", "stop"] {
        let told = folder.runner([command, "app.conf"]).run();
        assert_eq!(told.status, 1);
        assert!(told.stderr.contains("is the master of `"), "{told:?}");
    }
    assert_eq!(server.get("/").status, 200);
    // The master creates it again, and its pid file, even if other files are in their place.
    for harm in [
        "rm -f app.pid.socket",
        "rm app.pid",
        "rm app.pid app.pid.socket",
        "rm app.pid; echo 1 >app.pid",
        "rm app.pid; : >app.pid",
    ] {
        folder.program("sh", ["-c", harm]).run().success();
        let reloaded = |log: &str| log.matches("runner: reloaded\n").count();
        let before = reloaded(&server.log());
        server.signal(Signal::HUP);
        server.wait_for_log(|log| reloaded(log) > before);
        reigns(&server);
    }
    // It does not touch files that are not its own.
    fs::remove_file(folder.path("app.pid")).expect("a file");
    fs::write(folder.path("app.pid"), "my thesis").expect("a file");
    let told = folder.runner(["reload", "app.conf"]).run();
    told.is(0, "app.conf serves the new version\n", "");
    server.wait_for_log(|log| log.contains("app.pid` is not a pid file, and is not overwritten\n"));
    assert_eq!(folder.read("app.pid"), "my thesis");
    fs::remove_file(folder.path("app.pid")).expect("a file");
    folder.runner(["reload", "app.conf"]).run().success();
    // A socket on which no process listens belongs to no successor.
    fs::remove_file(folder.path("app.pid.socket")).expect("a socket");
    drop(UnixListener::bind(folder.path("app.pid.socket")));
    server.signal(Signal::HUP);
    // The socket is made anew when the reload begins; the master reigns again when it is done.
    server.wait_for_log(|log| {
        log.matches("app.pid.socket` anew").count() == 3 && log.ends_with("runner: reloaded\n")
    });
    reigns(&server);
    stop(server);
}

/// A master whose application waits at the gate with a request, while the master is being stopped.
fn ending() -> (Server, Connection) {
    let folder = Folder::new().copy("tests/apps/gated.py").file(
        "app.conf",
        FILE.replace("demo", "WSGI import:gated.application"),
    );
    let server = folder.gated(["supervise", "app.conf"]).start();
    let mut request = Connection::open(server.address());
    request.send(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_for_log(|log| log.contains("waiting\n"));
    server.signal(Signal::TERM);
    Waits::until(
        || !server.address().accepts(),
        || "it still accepts".to_owned(),
    );
    (server, request)
}

const WAITING: &str = "runner: waiting for the master of `";

#[test]
fn a_master_that_starts_while_another_ends_waits_for_its_end() {
    let (server, mut request) = ending();
    let folder = server.folder().clone();
    let gate = folder.path("gate");
    let nothing = File::open("/dev/null").expect("a device");
    let second = folder.runner(["supervise", "app.conf"]).env("GATE", gate);
    let second = second.start_with(nothing.into());
    second.wait_for_log(|log| log.contains(WAITING));
    folder.open_gate();
    assert_eq!(request.reply("GET").status, 200);
    assert_eq!(server.wait().status, 0);
    assert_eq!(second.serving().stop().status, 0);
}

#[test]
fn a_waiting_master_can_be_stopped() {
    let (server, mut request) = ending();
    let folder = server.folder().clone();
    let nothing = File::open("/dev/null").expect("a device");
    let second = folder
        .runner(["supervise", "app.conf"])
        .start_with(nothing.into());
    second.wait_for_log(|log| log.contains(WAITING));
    let outcome = second.stop();
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stderr.ends_with(": interrupted\n"), "{outcome:?}");
    folder.open_gate();
    assert_eq!(request.reply("GET").status, 200);
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_master_is_reached_by_each_of_its_files() {
    let folder = folder()
        .file(
            "app.ini",
            "app = commands.Alias(command=['supervise', 'app.conf'])\n",
        )
        .file("settings.ini", "runner.supervise.pid_file = 'app.pid'\n");
    for words in [
        &["app.conf"][..],
        &["app.ini"],
        &["app.pid"],
        &["app.pid.socket"],
        &["settings.ini"],
    ] {
        let server = start(&folder);
        let reload = folder.runner(["reload"]).arguments(words).run();
        reload.is(0, &format!("{} serves the new version\n", words[0]), "");
        let stop = folder.runner(["stop"]).arguments(words).run();
        stop.is(0, &format!("{} has ended\n", words[0]), "");
        assert_eq!(server.wait().status, 0);
    }
}

/// Root starts each master, which changes its user once it listens.
#[test]
fn a_master_that_is_no_longer_root_has_successors_all_the_same() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder().file("user.ini", "runner.user = 'nobody'\n");
    chown(folder.path(""), Some(65534), None).expect("root can do that");
    let home = Folder::new();
    let begin = || {
        let words = ["-c", "user.ini", "supervise", "app.conf"];
        let master = folder.runner(words).env("HOME", home.path(""));
        let nothing = File::open("/dev/null").expect("a device");
        master.start_with(nothing.into()).serving()
    };
    let mut server = begin();
    for _ in 0..3 {
        reigns(&server);
        let reload = folder.runner(["reload", "app.conf"]).run();
        reload.is(0, "app.conf serves the new version\n", "");
        let next = begin();
        assert_eq!(server.wait().status, 0);
        server = next;
    }
    reigns(&server);
    let stop = folder.runner(["stop", "app.conf"]).run();
    stop.is(0, "app.conf has ended\n", "");
    assert_eq!(server.wait().status, 0);
    assert!(!folder.path("app.pid").exists() && !folder.path("app.pid.socket").exists());
}

#[test]
fn the_folder_of_a_pid_file_may_be_deep() {
    let long = "long".repeat(30);
    let pid_file = format!("{long}/app.pid");
    let folder = Folder::new().file(&pid_file, "").file(
        "app.conf",
        format!("Command serve unix:web demo\nPidFile {pid_file}\n"),
    );
    let first = start(&folder);
    let reload = folder.runner(["reload", "app.conf"]).run();
    reload.is(0, "app.conf serves the new version\n", "");
    let second = start(&folder);
    assert_eq!(first.wait().status, 0);
    let status = folder.runner(["status", "app.conf"]).run();
    assert!(status.success().contains("serving for"), "{status:?}");
    folder.runner(["stop", &pid_file]).run().success();
    assert_eq!(second.wait().status, 0);
    assert!(!folder.path(&pid_file).exists());
    // The name of a socket is more limited in length than that of a file.
    let keys = format!("Command serve unix:web demo\nPidFile {long}.pid\n");
    let folder = folder.file("app.conf", keys);
    let outcome = folder.runner(["supervise", "app.conf"]).run();
    assert_eq!(outcome.status, 1);
    let why = ".pid.socket`: the name is too long for a socket\n";
    assert!(outcome.stderr.ends_with(why), "{outcome:?}");
}

#[test]
fn other_files_in_place_of_a_pid_file_are_not_touched() {
    for (make, said) in [
        (
            "mkdir app.pid",
            "the pid file `[folder]/app.pid` is a folder",
        ),
        (
            "ln -s app.conf app.pid",
            "the pid file `[folder]/app.pid` is a symbolic link",
        ),
        (
            "yes thesis | head -n 100 >app.pid",
            "`[folder]/app.pid` is not a pid file, and is not overwritten",
        ),
        (
            "echo Command >app.pid",
            "`[folder]/app.pid` is not a pid file, and is not overwritten",
        ),
    ] {
        let folder = folder();
        folder.program("sh", ["-c", make]).run().is(0, "", "");
        let refused = folder.runner(["supervise", "app.conf"]).run();
        refused.is(1, "", &format!("error: {said}\n"));
        assert_eq!(folder.read("app.conf"), FILE);
    }
}
