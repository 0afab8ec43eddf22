//! Panics of the server: each ends only the task in which it happens, and delays neither other requests nor a stop.
//!
//! The programs under test panic where `RUNNER_FAULT` says (src/faults.rs); installed programs cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use rustix::process::Signal;
use support::http::Connection;
use support::{Folder, Server, Waits};

/// Answers with the number of its process.
const PID: &str = "\
import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

/// A server that will panic at a certain place.
fn faulty(fault: &str) -> Server {
    let folder = Folder::new().file("app.py", PID);
    let serve = [
        "serve",
        "tcp://127.0.0.1:0",
        "WSGI",
        "import:app.application",
    ];
    folder.runner(serve).env("RUNNER_FAULT", fault).start()
}

/// The status of the response; `None` if there is none.
fn ask(server: &Server) -> Option<u16> {
    let address = server.address();
    if !address.accepts() {
        return None;
    }
    let mut connection = Connection::open(address);
    connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8(connection.rest()).unwrap();
    answer.split(' ').nth(1)?.parse().ok()
}

/// The line of the log that tells the place of a panic.
fn has_place(log: &str) -> bool {
    log.lines().any(|line| {
        line.starts_with("runner: a fault in runner itself, at src/panics.rs:")
            && line.ends_with(": wanted by a test")
    })
}

#[test]
fn a_request_that_fails_by_it_is_answered_500_and_the_next_one_is_not() {
    let server = faulty("a request:1");
    assert_eq!(ask(&server), Some(500));
    assert_eq!(ask(&server), Some(200));
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(has_place(&outcome.stderr), "{}", outcome.stderr);
}

#[test]
fn a_worker_whose_lane_fails_by_it_is_replaced_and_holds_up_no_stop() {
    let server = faulty("a lane:5");
    let mut waits = Waits::new();
    while !has_place(&server.log()) {
        assert!(matches!(ask(&server), Some(200 | 502)));
        waits.wait(|| server.log());
    }
    while ask(&server) != Some(200) {
        waits.wait(|| server.log());
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_task_that_panics_is_restarted() {
    for task in ["the clock", "the task that writes to workers"] {
        let server = faulty(&format!("{task}:5"));
        let mut waits = Waits::new();
        while !server
            .log()
            .contains(&format!("runner: {task} is restarted\n"))
        {
            assert_eq!(ask(&server), Some(200));
            waits.wait(|| server.log());
        }
        assert_eq!(ask(&server), Some(200));
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn a_server_that_cannot_continue_stops_in_good_order() {
    for task in [
        "the task that keeps workers",
        "the task that accepts connections",
    ] {
        let mut server = faulty(&format!("{task}:40"));
        let mut waits = Waits::new();
        while !server.has_ended() {
            // The event that makes the task run. The request may arrive when the gate is closed.
            let _ = ask(&server);
            server.signal(Signal::QUIT);
            waits.wait(|| server.log());
        }
        let outcome = server.wait();
        assert_eq!(outcome.status, 1, "{}", outcome.stderr);
        assert!(has_place(&outcome.stderr), "{}", outcome.stderr);
        let said = format!("runner: {task} has failed: the server ends\n");
        assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    }
}
