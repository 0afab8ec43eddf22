//! Masters that are killed: no process outlives them, and none complains.

mod support;

use rustix::process::{Signal, kill_process};
use support::http::Connection;
use support::process::children;
use support::{Folder, Server, Waits, serve};

/// Sends a request, and returns when the application waits at the gate.
fn waiting(server: &Server) -> Connection {
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_for_log(|log| log.contains("waiting\n"));
    connection
}

/// Workers have as much time to finish as in an orderly stop.
#[test]
fn nothing_outlives_its_master() {
    let server = Folder::new()
        .copy("tests/apps/gated.py")
        .file("settings.ini", "runner.stop_timeout = '200ms'\n")
        .gated(serve("gated"))
        .start();
    let mut connection = waiting(&server);
    server.signal(Signal::KILL);
    assert_eq!(connection.rest(), b"");
    // No process is left, though the application would wait for ever.
    assert_eq!(server.wait().status, -9);
}

/// Not even if the master never read the last messages, which resets the connection to it.
#[test]
fn hanging_workers_do_not_outlive_a_master_that_did_not_read() {
    let server = Folder::new()
        .copy("tests/apps/stuck.py")
        .file("settings.ini", "runner.workers.max = 2\n")
        .gated(serve("stuck"))
        .start();
    let template = children(server.pid())[0];
    let stuck = children(template);
    let mut held = Connection::open(server.address());
    held.send(b"GET /hold_the_interpreter HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_for_log(|log| log.contains("began /hold_the_interpreter\n"));
    server.get("/");
    let idle = || {
        let mut others = children(template);
        others.retain(|pid| !stuck.contains(pid));
        others
    };
    server.signal(Signal::STOP);
    kill_process(idle()[0], Signal::KILL).expect("our own process");
    Waits::until(
        || idle().is_empty(),
        || format!("its end was not noticed: {:?}", server.processes()),
    );
    server.signal(Signal::KILL);
    let said = server.wait();
    assert_eq!(said.status, -9);
    assert!(!said.stderr.contains("Traceback"), "{}", said.stderr);
}

/// A worker leaves silently, too, if a part of its response stays unread.
#[test]
fn a_response_that_a_killed_master_did_not_read_is_no_error() {
    let source = "\
import os
gate = os.open(os.environ['GATE'], os.O_RDWR)

class Answer:
    def __iter__(self):
        return iter([b'sent'])

    def close(self):
        os.write(2, b'closed\\n')

def application(environ, start_response):
    os.write(2, b'waiting\\n')
    os.read(gate, 1)
    start_response('200 OK', [])
    return Answer()
";
    let folder = Folder::new().file("app.py", source);
    let server = folder
        .gated(["serve", "WSGI", "import:app.application"])
        .start();
    let _unanswered = waiting(&server);
    server.signal(Signal::STOP);
    server.folder().open_gate();
    server.wait_for_log(|log| log.contains("closed\n"));
    server.signal(Signal::KILL);
    let said = server.wait();
    assert_eq!(said.status, -9);
    assert!(!said.stderr.contains("Traceback"), "{}", said.stderr);
}

/// The folder of the sockets of programs is removed, too.
#[test]
fn no_folder_of_sockets_outlives_its_master() {
    let words = "serve tcp://127.0.0.1:0 upstream http exec: ./program.py {socket}";
    let folder = Folder::new()
        .copy("tests/apps/program.py")
        .file("tmp/keep", "")
        .file("settings.ini", "runner.tmp = 'tmp'\n");
    let server = folder
        .runner(["-c", "settings.ini"].into_iter().chain(words.split(' ')))
        .start();
    server.get("/").ok();
    let count = || std::fs::read_dir(folder.path("tmp")).map_or(0, Iterator::count);
    assert_eq!(count(), 2);
    server.signal(Signal::KILL);
    assert_eq!(server.wait().status, -9);
    Waits::until(|| count() == 1, || "the folder is left".to_owned());
}

/// A program that ignores SIGTERM, as does what it has started, in a session of its own too.
const HANGS: &str = "\
#!/bin/sh
trap '' TERM
setsid sleep 1000 &
sleep 1000 &
echo waiting >&2
wait
";

#[test]
fn no_program_of_a_request_outlives_its_master() {
    let server = Folder::new()
        .executable("hang", HANGS)
        .file("settings.ini", "runner.stop_timeout = '200ms'\n")
        .runner(["-c", "settings.ini", "serve", "cgi-bin", "hang"])
        .start();
    let mut connection = Connection::open(server.address());
    connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_for_log(|log| log.contains("hang: waiting "));
    server.signal(Signal::KILL);
    assert_eq!(connection.rest(), b"");
    assert_eq!(server.wait().status, -9);
}

#[test]
fn no_command_before_the_start_outlives_its_master() {
    let settings = "runner.stop_timeout = '200ms'\nrunner.before_start = './hang'\n";
    let server = Folder::new()
        .executable("hang", HANGS)
        .file("settings.ini", settings)
        .runner(["-c", "settings.ini", "serve", "demo"])
        .begin();
    server.wait_for_log(|log| log.contains("waiting\n"));
    server.signal(Signal::KILL);
    assert_eq!(server.wait().status, -9);
}
