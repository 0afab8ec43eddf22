//! What happens to clients when the processes behind an application start badly, die, or are told to stop.

mod support;

use std::collections::BTreeSet;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use support::http::{self, Connection, Waits};
use support::load::Load;
use support::process::children;
use support::usage::descriptors;
use support::{Folder, Server, serve};

/// `tests/apps/gated.py` with settings of `[runner.workers]`.
fn gated(settings: &str) -> Server {
    Folder::new()
        .copy("tests/apps/gated.py")
        .file("settings.ini", settings)
        .gated(serve("gated"))
        .start()
}

const TWO: &str = "[runner.workers]\nmin = 2\nmax = 2\n";

/// Sends a request that will wait at the gate, and returns when it waits.
fn waiting(server: &Server) -> Connection {
    waiting_in(server, "/wait")
}

/// The same with a path.
fn waiting_in(server: &Server, path: &str) -> Connection {
    let before = server.log().matches("waiting\n").count();
    let mut connection = Connection::open(server.address());
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.send(request.as_bytes());
    server.wait_for_log(|log| log.matches("waiting\n").count() > before);
    connection
}

#[test]
fn a_worker_that_dies_costs_its_request_and_nothing_else() {
    for (path, said) in [("/kill", "SIGKILL"), ("/exit", "status 3")] {
        let server = gated(TWO);
        let mut neighbour = waiting(&server);
        for _ in 0..3 {
            let reply = server.get(path);
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (502, "502 Bad Gateway\n")
            );
            // Its replacement answers without a delay.
            assert!(server.get("/").ok().starts_with("pid "));
        }
        let log = server.wait_for_log(|log| log.matches(said).count() >= 3);
        server.folder().open_gate();
        assert!(neighbour.reply("GET").ok().starts_with("pid "), "{log}");
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn requests_that_had_not_begun_are_answered_by_others() {
    let server = gated(TWO);
    let replies: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = (0..40)
            .map(|number| {
                let path = if number % 10 == 5 { "/kill" } else { "/" };
                (path, scope.spawn(|| http::get(server.address(), path)))
            })
            .collect();
        let answered = |(path, thread): (_, thread::ScopedJoinHandle<'_, _>)| {
            (path, thread.join().expect("an answer"))
        };
        asked.into_iter().map(answered).collect()
    });
    for (path, reply) in replies {
        let wanted = if path == "/kill" { 502 } else { 200 };
        assert_eq!(reply.status, wanted, "{path}\n{}", server.log());
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_death_of_the_process_that_starts_workers_stops_nothing() {
    let server = gated(TWO);
    let pids = || -> BTreeSet<i32> {
        let found = server.processes().into_iter();
        found.map(|(pid, _)| pid.as_raw_nonzero().get()).collect()
    };
    let before = pids();
    assert!(before.len() >= 3, "{:?}", server.processes());
    for (pid, _) in server.processes() {
        if pid != server.pid() {
            kill_process(pid, Signal::KILL).expect("our own process");
        }
    }
    // All of them are new, and as many as before.
    let mut waits = Waits::new();
    while pids().len() < before.len() || pids().intersection(&before).count() > 1 {
        waits.wait(|| format!("{:?}\n{}", server.processes(), server.log()));
    }
    assert!(server.get("/").ok().starts_with("pid "));
    assert_eq!(server.stop().status, 0);
}

/// The process that starts workers, which has not answered with its own number.
fn template(server: &Server) -> Pid {
    let worker = server.get("/").ok();
    let mut others = server.processes().into_iter().map(|(pid, _)| pid);
    let is_it =
        |pid: &Pid| *pid != server.pid() && worker != format!("pid {}", pid.as_raw_nonzero());
    others.rfind(is_it).expect("three processes")
}

#[test]
fn a_process_that_should_start_workers_and_does_nothing_is_replaced() {
    let server = gated("[runner.workers]\nmax = 1\n[runner]\nstart_timeout = '2s'\n");
    let pid = server.get("/").ok();
    kill_process(template(&server), Signal::STOP).expect("our own process");
    assert_eq!(server.get("/kill").status, 502);
    assert_ne!(server.get("/").ok(), pid);
    let said = "runner: the template did not fork within 2 s (runner.start_timeout)\n";
    server.wait_for_log(|log| log.contains(said));
    assert_eq!(server.stop().status, 0);
}

/// It is not waited for as long as for an import.
#[test]
fn without_a_worker_such_a_process_is_not_waited_for() {
    let server = gated("[runner.workers]\nmax = 1\n[runner]\nstart_timeout = '1h'\n");
    kill_process(template(&server), Signal::STOP).expect("our own process");
    assert_eq!(server.get("/kill").status, 502);
    assert!(server.get("/").ok().starts_with("pid "));
    let said = "runner: the template did not fork within 3 s, and there is no worker\n";
    server.wait_for_log(|log| log.contains(said));
    assert_eq!(server.stop().status, 0);
}

/// A pause after each death, twice as long as the last one, would be an outage of hours here.
#[test]
fn workers_that_were_ready_are_replaced_at_once() {
    for (preload, crashes) in [("'auto'", 60), ("False", 14)] {
        let server = gated(&format!("{TWO}preload = {preload}\n"));
        for _ in 0..crashes {
            assert_eq!(server.get("/kill").status, 502);
        }
        // Other workers answer meanwhile.
        let answered = thread::scope(|scope| {
            let crashing = scope.spawn(|| {
                for _ in 0..crashes {
                    assert_eq!(server.get("/kill").status, 502);
                }
            });
            let mut answered = 0;
            while !crashing.is_finished() {
                assert!(server.get("/").ok().starts_with("pid "));
                answered += 1;
            }
            answered
        });
        assert!(answered > 0);
        let log = server.log();
        assert!(!log.contains("; it is replaced in "), "{log}");
        assert!(
            log.contains(" before its first answer; GET /kill is answered 502; it is replaced\n")
        );
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn a_process_that_should_start_workers_and_does_nothing_holds_up_no_stop() {
    let server = gated("[runner.workers]\nmax = 1\n[runner]\nstop_timeout = '300ms'\n");
    kill_process(template(&server), Signal::STOP).expect("our own process");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn stopping_finishes_what_is_running() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = gated(TWO);
        let mut first = waiting(&server);
        let mut second = waiting(&server);
        server.signal(signal);
        // New clients are not accepted, while the old ones are served to the end.
        Waits::until(
            || !server.address().accepts(),
            || format!("it still accepts\n{}", server.log()),
        );
        server.folder().open_gate();
        server.folder().open_gate();
        assert!(first.reply("GET").ok().starts_with("pid "));
        assert!(second.reply("GET").ok().starts_with("pid "));
        assert_eq!(server.wait().status, 0);
    }
}

/// Like a worker of the version that serves, but it is not replaced.
#[test]
fn the_death_of_a_worker_of_a_replaced_version_is_logged() {
    let server = gated("");
    let mut connection = waiting_in(&server, "/wait_and_kill");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    server.folder().open_gate();
    assert_eq!(connection.reply("GET").status, 502);
    let said = " was killed by SIGKILL; GET /wait_and_kill is answered 502\n";
    server.wait_for_log(|log| log.contains(said));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_request_that_does_not_end_delays_no_stop_for_ever() {
    let server = gated("[runner]\nstop_timeout = '200ms'\n");
    let mut connection = waiting(&server);
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[test]
fn a_request_that_overruns_is_answered_504() {
    let server = gated("[runner.request]\ntimeout = '300ms'\n");
    let mut connection = waiting(&server);
    assert_eq!(connection.reply("GET").status, 504);
    assert!(server.get("/").ok().starts_with("pid "), "{}", server.log());
    assert_eq!(server.stop().status, 0);
}

#[test]
fn an_application_that_cannot_be_loaded_is_one_readable_error() {
    for (source, reason) in [
        (
            "import no_such_module\n",
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            "application = 1 / 0\n",
            "ZeroDivisionError: division by zero",
        ),
        ("def application(:\n", "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit('not today')\n", "not today"),
        ("import os\nos._exit(7)\n", "7"),
    ] {
        let outcome = Folder::new()
            .file("bad.py", source)
            .runner(["serve", "WSGI", "import:bad.application"])
            .run();
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (1, ""),
            "{outcome:#?}"
        );
        assert!(
            outcome.stderr.contains(reason),
            "{source}{}",
            outcome.stderr
        );
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
        let known = outcome.stderr.contains("bad.py\", line ") || source.contains("_exit");
        assert!(known, "no place in the file:\n{}", outcome.stderr);
        assert!(
            !outcome.stderr.contains("<frozen importlib"),
            "{}",
            outcome.stderr
        );
    }
    for (name, reason) in [
        ("import:bad.nothing", "nothing"),
        ("import:bad.number", "callable"),
        ("import:no_such_module.application", "no_such_module"),
    ] {
        let outcome = Folder::new()
            .file("bad.py", "number = 1\n")
            .runner(["serve", "WSGI", name])
            .run();
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (1, ""),
            "{outcome:#?}"
        );
        assert!(
            outcome.stderr.contains(reason),
            "{name}: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    }
}

const THREADED: &str = "\
import threading
event = threading.Event()

def wait():
    event.wait()

thread = threading.Thread(target=wait, name='helper', daemon=True)
thread.start()

def application(environ, start_response):
    start_response('200 OK', [])
    return [b'alive' if thread.is_alive() else b'lost']
";

#[test]
fn threads_at_import_need_workers_that_are_started_afresh() {
    let reason = "the import of `threaded.application` leaves resources that forks cannot share: the thread `helper` (";
    for (settings, is_said) in [
        (TWO.to_owned(), true),
        (format!("{TWO}preload = False\n"), false),
    ] {
        let server = Folder::new()
            .file("threaded.py", THREADED)
            .file("settings.ini", settings)
            .runner(serve("threaded"))
            .start();
        // The thread is there, in whichever worker answers.
        for _ in 0..4 {
            assert_eq!(server.get("/").ok(), "alive");
        }
        let outcome = server.stop();
        assert_eq!(outcome.status, 0);
        assert_eq!(outcome.stderr.contains(reason), is_said, "{outcome:#?}");
        let place = "[folder]/threaded.py, in wait); each worker imports it itself";
        assert_eq!(outcome.stderr.contains(place), is_said, "{outcome:#?}");
    }
}

/// The number of workers that answer some requests at the same time.
fn answering(server: &Server, requests: usize) -> usize {
    let mut connections: Vec<Connection> = (0..requests).map(|_| waiting(server)).collect();
    for _ in &connections {
        server.folder().open_gate();
    }
    let pids: BTreeSet<String> = connections
        .iter_mut()
        .map(|connection| connection.reply("GET").ok())
        .collect();
    pids.len()
}

#[test]
fn a_worker_with_threads_answers_as_many_at_a_time() {
    let server = gated("[runner.workers]\nmin = 1\nmax = 1\nthreads = 4\n");
    assert_eq!(answering(&server, 4), 1);
    assert_eq!(server.stop().status, 0);
}

/// Only when all are busy and a request waits are there more workers than the minimum.
#[test]
fn there_are_as_many_workers_as_are_needed() {
    let server = gated("[runner.workers]\nmin = 1\nmax = 2\nstart_interval = 0\n");
    assert_eq!(answering(&server, 2), 2);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn workers_inherit_what_the_template_has_loaded() {
    let source = "\
import os
loaded_by = os.getpid()

def application(environ, start_response):
    start_response('200 OK', [])
    return [b'%d %d' % (loaded_by, os.getpid())]
";
    let server = Folder::new()
        .file("cached.py", source)
        .file("settings.ini", TWO)
        .runner(serve("cached"))
        .start();
    let body = server.get("/").ok();
    let (loaded_by, answered_by) = body.split_once(' ').expect("two numbers");
    assert_ne!(loaded_by, answered_by, "the process that loads serves");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn workers_that_are_killed_under_load_cost_one_request_of_each_lane() {
    const KILLS: usize = 10;
    let server = gated("[runner.workers]\nmin = 2\nmax = 2\nthreads = 2\n");
    let load = Load::new(server.address()).fresh(16).kept(16).start();
    for kill in 1..=KILLS {
        load.more(100);
        let template = children(server.pid())[0];
        kill_process(children(template)[0], Signal::KILL).expect("our own process");
        server.wait_for_log(|log| log.matches(" was killed by SIGKILL").count() >= kill);
    }
    let report = load.stop();
    report.answers(&[200, 502]);
    let lost = report.statuses.get(&502).copied().unwrap_or(0);
    assert!(lost <= 2 * KILLS as u64, "{report:#?}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn fifty_replacements_leave_nothing_behind() {
    let server = gated("[runner.workers]\nmax = 1\nmax_requests = 20\n");
    let replaced = |times| {
        let load = Load::new(server.address()).fresh(4).kept(4).start();
        server.wait_for_log(|log| log.matches(" is replaced: ").count() >= times);
        load.stop().is_whole();
    };
    let descriptors = || descriptors(server.pid()).len();
    // The template is a child of the server, and the worker a child of the template.
    let settled = || match &children(server.pid())[..] {
        [template] => children(*template).len() == 1,
        _ => false,
    };
    replaced(3);
    Waits::until(settled, || {
        format!("{:?}\n{}", server.processes(), server.log())
    });
    let before = descriptors();
    replaced(53);
    let mut waits = Waits::new();
    while !settled() || descriptors() > before {
        let now = descriptors();
        waits.wait(|| {
            format!(
                "{now} of {before}: {:?}\n{}",
                server.processes(),
                server.log()
            )
        });
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_limit_that_no_worker_can_keep_is_logged_once_per_worker() {
    let server = gated("[runner.workers]\nmax = 1\nmax_memory = '1M'\n");
    let pid = server.get("/").ok();
    server.wait_for_log(|log| log.contains("of memory before its first request, more than it may"));
    assert_eq!(server.get("/").ok(), pid);
    assert_eq!(server.stop().status, 0);
}
