//! Requests that hang, each in another way: a 504 at the deadline, the stack in the log, and a replaced worker.

mod support;

use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use support::http::{self, Connection, Waits};
use support::nginx::{nginx_keeping_connections, start_nginx};
use support::{Address, Folder, Server, free_port, serve};

/// `tests/apps/stuck.py` with settings.
fn stuck(settings: &str) -> Server {
    Folder::new()
        .copy("tests/apps/stuck.py")
        .file("settings.ini", settings)
        .gated(serve("stuck"))
        .start()
}

/// Sends a request, and returns when the application has announced that it works on it.
fn begin(server: &Server, path: &str, says: &str) -> Connection {
    let before = server.log().matches(says).count();
    let mut connection = Connection::open(server.address());
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.send(request.as_bytes());
    server.wait_for_log(|log| log.matches(says).count() > before);
    connection
}

/// Neither of them notices anything.
#[test]
fn hanging_workers_do_not_outlive_a_killed_server() {
    let settings = "runner.workers.preload = False\n";
    let server = stuck(settings);
    let path = "/hold_the_interpreter";
    let _held = begin(&server, path, &format!("began {path}\n"));
    server.signal(Signal::KILL);
    assert_eq!(server.wait().status, -9);
    const IMPORT: &str = "\
import os
os.write(2, b'importing\\n')
os.read(os.open(os.environ['GATE'], os.O_RDWR), 1)
";
    for settings in ["", settings] {
        let folder = Folder::new()
            .file("app.py", IMPORT)
            .file("settings.ini", settings);
        let serve = serve("app");
        let server = folder.gated(serve).begin();
        server.wait_for_log(|log| log.contains("importing\n"));
        server.signal(Signal::KILL);
        assert_eq!(server.wait().status, -9);
    }
}

/// The log lines about a request, from the one that begins with `heading` to the end of its stack.
#[track_caller]
fn told(server: &Server, heading: &str) -> String {
    let heading = format!("runner: {heading}");
    let tale = |log: &str| -> Option<String> {
        let from = log.find(&heading)?;
        let mut lines = log[from..].split_inclusive('\n');
        let first = lines.next().filter(|line| line.ends_with('\n'))?;
        // All of it was written at once.
        let stack = lines.take_while(|line| line.starts_with("runner:   "));
        Some(first.to_owned() + &stack.collect::<String>())
    };
    let log = server.wait_for_log(|log| tale(log).is_some());
    tale(&log).expect("just seen")
}

/// How late a request was answered according to the log: seconds after a deadline of half a second.
#[track_caller]
fn lateness(tale: &str) -> f64 {
    let age = tale.split("no answer for ").nth(1).expect("an age");
    let age = age.split(' ').next().expect("a number");
    age.parse::<f64>().expect("a number") - 0.5
}

const DEADLINE: &str = "[runner.request]\ntimeout = '500ms'\n";

/// Ways to hang, and the end of the stack that the log shows for each.
const HANGING: [(&str, &str); 5] = [
    ("sleep_for_ever", "in sleep_for_ever\nrunner:     time."),
    ("spin", "in spin\nrunner:     "),
    ("catastrophe", "in match\nrunner:     return _compile("),
    (
        "hold_the_interpreter",
        "in hold_the_interpreter\nrunner:     ctypes.PyDLL(None)",
    ),
    ("tidy_up", "in tidy_up\nrunner:     time."),
];

#[test]
fn a_request_that_hangs_is_answered_504_and_the_log_says_where_it_stood() {
    for (path, stack) in HANGING {
        // The worker that the first request woke gets the second one as well.
        let server = stuck(&format!("{DEADLINE}[runner.workers]\nmax = 1\n"));
        let pid = server.get("/").ok();
        let reply = server.get(&format!("/{path}"));
        assert_eq!(reply.status, 504, "{path}");
        let tale = told(&server, &format!("504 for GET /{path}: no answer for "));
        assert!(lateness(&tale) < 0.5, "{tale}");
        assert!(tale.contains(stack), "{tale}");
        let first = tale.lines().nth(1).expect("a stack");
        assert!(first.ends_with(", in application"), "{tale}");
        assert!(!tale.contains("\"runner/"), "{tale}");
        // Its replacement answers, and the worker itself has gone.
        assert_ne!(server.get("/").ok(), pid);
        let ended = format!("worker {}, which had", &pid["pid ".len()..]);
        let log = server.wait_for_log(|log| log.contains(&ended));
        assert_eq!(log.contains("tidied up"), path == "tidy_up", "{log}");
        assert_eq!(server.stop().status, 0);
    }
}

/// Each kind of Python writes its own stacks.
#[test]
fn pypy_says_where_a_request_stood() {
    for path in ["sleep_for_ever", "spin"] {
        let server = stuck(&format!("runner.python = 'pypy3'\n{DEADLINE}"));
        assert_eq!(server.get(&format!("/{path}")).status, 504);
        let tale = told(&server, &format!("504 for GET /{path}: "));
        assert!(tale.contains(&format!(", in {path}\n")), "{tale}");
        assert!(server.get("/").ok().starts_with("pid "));
        assert_eq!(server.stop().status, 0);
    }
}

/// An import that hangs, in Python code and in C code, and where. PyPy knows the place only roughly.
const IMPORTS: [(&str, &str, &str); 4] = [
    ("python3", "sleep_for_ever", "in sleep_for_ever\n    time."),
    ("python3", "spin", "in spin\n    "),
    (
        "python3",
        "hold_the_interpreter",
        "in hold_the_interpreter\n    ctypes.PyDLL(None)",
    ),
    ("pypy3", "spin", "in spin"),
];

#[test]
fn an_import_that_hangs_is_given_up_and_the_error_says_where_it_stood() {
    thread::scope(|scope| {
        for (python, name, stack) in IMPORTS {
            scope.spawn(move || {
                // The interpreter itself must have started by then.
                let settings =
                    format!("runner.python = '{python}'\nrunner.start_timeout = '5s'\n");
                let outcome = Folder::new()
                    .copy("tests/apps/stuck.py")
                    .file("settings.ini", settings)
                    .file("app.py", "import hangs\n")
                    .file("hangs.py", format!("import stuck\nstuck.{name}()\n"))
                    .gated(["-c", "settings.ini", "serve", "import:app.application"])
                    .run();
                let said = "\
error: `app.application` was not imported within 5 s (runner.start_timeout). Stack (most recent call last):
  File \"[folder]/app.py\", line 1, in <module>
    import hangs
  File \"[folder]/hangs.py\", line ";
                assert!(outcome.stderr.starts_with(said), "{outcome:#?}");
                assert!(outcome.stderr.contains(stack), "{outcome:#?}");
                assert_eq!(outcome.status, 1, "{outcome:#?}");
            });
        }
    });
}

/// A process that cannot tell its stack is given up in the same way.
#[test]
fn an_interpreter_that_does_not_start_is_given_up() {
    let outcome = Folder::new()
        .executable("hangs", "#!/bin/sh\nexec tail -f /dev/null\n")
        .file(
            "settings.ini",
            "[runner]\npython = './hangs'\nstart_timeout = '300ms'\n",
        )
        .runner(["-c", "settings.ini", "serve", "import:app.application"])
        .run();
    let said = "error: `app.application` was not imported within 0.3 s (runner.start_timeout)\n";
    outcome.is(1, "", said);
}

#[test]
fn a_request_that_waits_for_what_another_one_holds_is_logged_too() {
    let server = stuck(&format!(
        "{DEADLINE}[runner.workers]\nmax = 1\nthreads = 2\n"
    ));
    let mut holds = begin(&server, "/sleep_in_lock", "locked\n");
    let mut waits = begin(&server, "/wait_for_lock", "began /wait_for_lock\n");
    assert_eq!(holds.reply("GET").status, 504);
    assert_eq!(waits.reply("GET").status, 504);
    for path in ["sleep_in_lock", "wait_for_lock"] {
        let tale = told(&server, &format!("504 for GET /{path}: "));
        assert!(tale.contains(&format!(", in {path}\n")), "{tale}");
        assert!(lateness(&tale) < 0.5, "{tale}");
    }
    assert!(server.get("/").ok().starts_with("pid "));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn neighbours_of_a_request_that_hangs_finish_first() {
    for path in ["sleep_for_ever", "spin"] {
        let server = stuck(&format!(
            "{DEADLINE}[runner.workers]\nmax = 1\nthreads = 2\n"
        ));
        let mut neighbour = begin(&server, "/blocks", "waiting\n");
        server.folder().open_gate();
        server.wait_for_log(|log| log.matches("waiting\n").count() == 2);
        assert_eq!(server.get(&format!("/{path}")).status, 504);
        // Another worker serves other requests meanwhile.
        assert!(server.get("/").ok().starts_with("pid "));
        server.folder().open_gate();
        server.wait_for_log(|log| log.matches("waiting\n").count() == 3);
        let log = server.log();
        assert!(!log.contains("which had a request"), "{log}");
        assert!(neighbour.until("block\n").contains("200 OK"));
        drop(neighbour);
        // No more blocks are wanted: the iterable is closed at this block or the next, and the worker leaves.
        let mut waits = Waits::new();
        while !server.log().contains("closed\n") {
            server.folder().open_gate();
            waits.wait(|| server.log());
        }
        server.wait_for_log(|log| log.contains("which had a request that was overdue"));
        assert_eq!(server.stop().status, 0);
    }
}

/// A request that holds the interpreter's lock blocks its neighbours as well: they have as long as at a stop.
#[test]
fn neighbours_of_a_request_that_holds_the_interpreter_are_not_waited_for_for_ever() {
    let server = stuck(&format!(
        "runner.stop_timeout = '1s'\n{DEADLINE}[runner.workers]\nmax = 1\nthreads = 2\n"
    ));
    let mut neighbour = begin(&server, "/blocks", "waiting\n");
    server.folder().open_gate();
    server.wait_for_log(|log| log.matches("waiting\n").count() == 2);
    assert_eq!(server.get("/hold_the_interpreter").status, 504);
    // No client takes the partial response for complete.
    let reply = neighbour.reply("GET");
    assert_eq!(
        (reply.status, reply.text().as_str(), reply.complete),
        (200, "block\n", false)
    );
    assert!(server.get("/").ok().starts_with("pid "));
    assert_eq!(server.stop().status, 0);
}

/// The request has been answered, but its worker can do nothing else, as the next request finds out.
#[test]
fn a_request_that_hangs_after_its_response_is_logged_and_its_worker_replaced() {
    let server = stuck(&format!("{DEADLINE}[runner.workers]\nmax = 1\n"));
    let pid = server.get("/").ok();
    assert_eq!(server.get("/lingers").ok(), "whole");
    assert_ne!(server.get("/").ok(), pid);
    let heading = "code that runs after the answer to GET /lingers has not ended for ";
    let tale = told(&server, heading);
    assert!(tale.contains(", in close\n"), "{tale}");
    let ended = format!("worker {}, which had", &pid["pid ".len()..]);
    let log = server.wait_for_log(|log| log.contains(&ended));
    assert!(!log.contains("Traceback"), "{log}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_stop_does_not_wait_for_ever_for_what_hangs_after_its_answer() {
    let server = stuck("runner.stop_timeout = '300ms'\n");
    assert_eq!(server.get("/lingers").ok(), "whole");
    let outcome = server.stop();
    let said = " was told to leave and has not (runner.stop_timeout); it is ended\n";
    assert!(outcome.stderr.contains(said), "{outcome:#?}");
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

/// A stop does not wait for ever, but leaves no request without an answer.
#[test]
fn unfinished_requests_at_the_stop_timeout_are_answered_504() {
    for (path, stack) in HANGING {
        let server = stuck("runner.stop_timeout = '300ms'\n");
        let mut connection = begin(&server, &format!("/{path}"), &format!("began /{path}\n"));
        server.signal(Signal::TERM);
        let reply = connection.reply("GET");
        assert_eq!((reply.status, reply.complete), (504, true), "{path}");
        assert_eq!(reply.all("connection"), ["close"]);
        let outcome = server.wait();
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let log = outcome.stderr;
        let heading = format!("runner: 504 for GET /{path}: no answer for ");
        let tale = log.split_once(&heading).expect(&log).1;
        let (end, calls) = tale.split_once('\n').expect("a stack");
        assert!(end.contains("(runner.stop_timeout); worker "), "{log}");
        assert!(calls.contains(stack), "{log}");
        assert_eq!(log.contains("tidied up"), path == "tidy_up", "{log}");
    }
}

/// The same by FastCGI.
#[test]
fn a_web_server_gets_an_answer_when_the_time_to_stop_is_over() {
    let folder = Folder::new()
        .copy("tests/apps/stuck.py")
        .file("run/.keep", "")
        .file("settings.ini", "runner.stop_timeout = '300ms'\n");
    let arguments = [
        "-c",
        "settings.ini",
        "FastCGI",
        "unix:run/socket",
        "import:stuck.application",
    ];
    let server = folder.gated(arguments);
    let server = server.start_at(Address::Unix(folder.path("run/socket")));
    let port = free_port();
    let nginx = start_nginx(&folder, nginx_keeping_connections(&folder, port), port);
    let mut connection = Connection::open(nginx.address());
    connection.send(b"GET /sleep_for_ever HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_for_log(|log| log.contains("began /sleep_for_ever\n"));
    server.signal(Signal::TERM);
    let reply = connection.reply("GET");
    assert_eq!((reply.status, reply.complete), (504, true));
    assert_eq!(reply.text(), "504 Gateway Timeout\n");
    nginx.stop();
    let outcome = server.wait();
    let said = "runner: 504 for GET /sleep_for_ever: no answer for ";
    assert!(outcome.stderr.contains(said), "{outcome:#?}");
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

/// The same when only a version stops, because another one has replaced it.
#[test]
fn unfinished_requests_of_a_replaced_version_are_answered_504() {
    let server = stuck("runner.stop_timeout = '300ms'\n");
    let mut connection = begin(&server, "/sleep_for_ever", "began /sleep_for_ever\n");
    server.signal(Signal::HUP);
    assert_eq!(connection.reply("GET").status, 504);
    let tale = told(&server, "504 for GET /sleep_for_ever: no answer for ");
    assert!(tale.contains("(runner.stop_timeout); worker "), "{tale}");
    assert!(tale.contains(", in sleep_for_ever\n"), "{tale}");
    assert!(server.get("/").ok().starts_with("pid "));
    assert_eq!(server.stop().status, 0);
}

/// A response that has begun ends early, visibly for the client; requests that have not begun are refused.
#[test]
fn an_answer_that_does_not_end_when_the_time_to_stop_is_over_ends_early() {
    let server = stuck("runner.stop_timeout = '300ms'\nrunner.workers.max = 1\n");
    let mut streams = begin(&server, "/blocks", "waiting\n");
    server.folder().open_gate();
    assert!(streams.until("block\n").contains("200 OK"));
    let mut waits = Connection::open(server.address());
    waits.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.signal(Signal::TERM);
    assert_eq!(waits.reply("GET").status, 503);
    // No last chunk (RFC 9112 §7.1).
    assert!(!String::from_utf8_lossy(&streams.rest()).ends_with("0\r\n\r\n"));
    let outcome = server.wait();
    for said in [
        "runner: the answer to GET /blocks is cut off: ",
        "runner: 503 for GET /: it had not begun when the time to stop was over (runner.stop_timeout)\n",
    ] {
        assert!(outcome.stderr.contains(said), "{outcome:#?}");
    }
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

#[test]
fn a_slow_request_is_logged_once_and_continues() {
    // The second worker cannot be asked: what `faulthandler` writes no longer disturbs it.
    for path in ["wait_at_the_gate", "wait_and_hold_the_interpreter"] {
        let server = stuck("runner.request.slow = '100ms'\n");
        let mut connection = begin(&server, &format!("/{path}"), "waiting\n");
        let tale = told(&server, &format!("GET /{path} has been running for "));
        assert!(tale.contains("(runner.request.slow)"), "{tale}");
        assert!(tale.contains(&format!(", in {path}\n")), "{tale}");
        server.folder().open_gate();
        assert_eq!(connection.reply("GET").status, 200);
        let end = format!("200 for GET /{path} after ");
        let log = server.wait_for_log(|log| log.contains(&end));
        assert_eq!(log.matches("has been running").count(), 1, "{log}");
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn sigquit_writes_the_stacks_of_all_workers() {
    let server = stuck("[runner.workers]\nmin = 3\nmax = 3\nthreads = 2\n");
    let paths = ["wait_at_the_gate", "wait_and_hold_the_interpreter"];
    let connections = paths.map(|path| begin(&server, &format!("/{path}"), "waiting\n"));
    // One process may have two requests, and the second blocks the first one's own report.
    let mut waits = Waits::new();
    let mut wanted = vec![": idle\n".to_owned()];
    for path in paths {
        wanted.push(format!(": GET /{path} for "));
        wanted.push(format!(", in {path}\n"));
    }
    while !wanted.iter().all(|text| server.log().contains(text)) {
        server.signal(Signal::QUIT);
        waits.wait(|| server.log());
    }
    server.folder().open_gate();
    server.folder().open_gate();
    for mut connection in connections {
        assert_eq!(connection.reply("GET").status, 200);
    }
    assert_eq!(server.stop().status, 0);
}

/// Waits until the queue has this many requests, according to `runner status`.
#[track_caller]
fn queued(server: &Server, count: u64) {
    let mut waits = Waits::new();
    let length = || {
        let status = server
            .folder()
            .runner(["status", "--format", "json", "status"])
            .run();
        let status: Value = serde_json::from_str(status.success()).expect("JSON");
        status["queue"]["length"].as_u64()
    };
    while length() != Some(count) {
        waits.wait(|| server.log());
    }
}

#[test]
fn nothing_is_begun_for_a_client_that_has_gone() {
    let server = stuck("runner.status.url = 'unix:status'\nrunner.workers.max = 1\n");
    let mut busy = begin(&server, "/wait_at_the_gate", "waiting\n");
    let mut deserted = Connection::open(server.address());
    deserted.send(b"GET /spin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    queued(&server, 1);
    drop(deserted);
    queued(&server, 0);
    server.folder().open_gate();
    assert_eq!(busy.reply("GET").status, 200);
    assert!(server.get("/").ok().starts_with("pid "));
    let log = server.log();
    assert!(!log.contains("began /spin"), "{log}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_request_that_hangs_costs_others_nothing() {
    let server = stuck(&format!("{DEADLINE}[runner.workers]\nmin = 2\nmax = 2\n"));
    thread::scope(|scope| {
        let hanging = scope.spawn(|| server.get("/hold_the_interpreter"));
        while !hanging.is_finished() {
            assert_eq!(http::get(server.address(), "/").status, 200);
        }
        assert_eq!(hanging.join().expect("an answer").status, 504);
    });
    assert_eq!(server.stop().status, 0);
}

/// No client can make log lines of any length.
#[test]
fn a_long_target_is_cut_in_the_log() {
    let server = stuck("");
    let path = format!("/wait_at_the_gate?{}", "x".repeat(5000));
    let mut connection = begin(&server, &path, "waiting\n");
    server.signal(Signal::QUIT);
    let cut = format!(": GET {}… for ", &path[..200]);
    server.wait_for_log(|log| log.contains(&cut));
    server.folder().open_gate();
    assert_eq!(connection.reply("GET").status, 200);
    assert_eq!(server.stop().status, 0);
}
