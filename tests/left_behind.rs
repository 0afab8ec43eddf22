//! Processes that an application has started end with the worker that started them, or with the server.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::http::Waits;
use support::{Folder, Server, serve};

/// Starts a process in one of many ways; the process announces itself and never ends.
const APPLICATION: &str = r#"
import multiprocessing, os, signal, subprocess, sys

READY = ["sh", "-c", "echo ready; exec tail -f /dev/null"]

def stay():
    os.write(2, b"ready\n")
    while True:
        signal.pause()

def daemon(after):
    """The double fork of daemons: the remaining process is an orphan."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            after()
        os._exit(0)
    os.wait()

def program(**options):
    subprocess.Popen(READY, stdout=2, **options)

def stubborn():
    subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do tail -f /dev/null; done"], stdout=2)

def group():
    subprocess.Popen(["sh", "-c", "set -m; tail -f /dev/null & echo ready; wait"], stdout=2)

def become():
    os.dup2(2, 1)
    os.execvp(READY[0], READY)

WAYS = {
    "/program": program,
    "/session": lambda: program(start_new_session=True),
    "/process": lambda: multiprocessing.get_context("fork").Process(target=stay).start(),
    "/daemon-program": lambda: daemon(become),
    "/daemon": lambda: daemon(stay),
    "/stubborn": stubborn,
    "/group": group,
}

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if path in WAYS:
        WAYS[path]()
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"#;

fn serving(preload: &str) -> Server {
    let settings =
        format!("[runner.workers]\nmax = 1\npreload = {preload}\n[runner]\nstop_timeout = '9s'\n");
    Folder::new()
        .file("app.py", APPLICATION)
        .file("settings.ini", settings)
        .runner(serve("app"))
        .start()
}

/// Lets the application start processes, and returns when they have announced themselves.
fn start(server: &Server, ways: &[&str]) {
    let ready = |log: &str| log.matches("ready\n").count();
    for way in ways {
        let before = ready(&server.log());
        server.get(way).ok();
        server.wait_for_log(|log| ready(log) > before);
    }
}

/// Waits until a server has this many processes.
#[track_caller]
fn has(server: &Server, count: usize) {
    Waits::until(
        || server.processes().len() == count,
        || format!("{:#?}\n{}", server.processes(), server.log()),
    );
}

#[test]
fn they_end_with_a_worker_that_is_killed() {
    // A process that was only forked and has a session of its own cannot be told from other processes.
    let ways = [
        "/program",
        "/session",
        "/process",
        "/daemon-program",
        "/group",
    ];
    for (preload, processes) in [("'auto'", 3), ("False", 2)] {
        let server = serving(preload);
        start(&server, &ways);
        if preload == "'auto'" {
            // Its end takes time.
            start(&server, &["/stubborn"]);
        }
        assert_eq!(server.get("/kill").status, 502);
        has(&server, processes);
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn processes_of_other_workers_continue() {
    let server = serving("'auto'\nmin = 2\nmax = 2");
    has(&server, 4);
    start(&server, &["/program"; 8]);
    let is_program = |line: &str| line.starts_with("tail ");
    let programs = |server: &Server| -> Vec<Pid> {
        let all = server.processes().into_iter();
        let programs = all.filter(|(_, line)| is_program(line));
        programs.map(|(pid, _)| pid).collect()
    };
    // They announce themselves a moment before they execute their program.
    Waits::until(
        || programs(&server).len() == 8,
        || format!("{:#?}\n{}", server.processes(), server.log()),
    );
    // All of them belong to one worker, whichever of its processes started them.
    let worker: i32 = server.get("/").ok().parse().expect("a number");
    let worker = Pid::from_raw(worker).expect("a process");
    let group = |pid: &Pid| rustix::process::getpgid(Some(*pid)).ok() == Some(worker);
    let its = programs(&server).iter().filter(|pid| group(pid)).count();
    kill_process(worker, Signal::KILL).expect("our own process");
    Waits::until(
        || programs(&server).len() == 8 - its,
        || format!("{its}: {:#?}\n{}", server.processes(), server.log()),
    );
    has(&server, 4 + 8 - its);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn nothing_is_left_by_a_stop() {
    let ways = [
        "/program",
        "/session",
        "/process",
        "/daemon-program",
        "/daemon",
        "/group",
    ];
    for preload in ["'auto'", "False"] {
        let server = serving(preload);
        start(&server, &ways);
        if preload == "False" {
            start(&server, &["/stubborn"]);
        }
        // It asserts that no process is left.
        let outcome = server.stop();
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
}

#[test]
fn nothing_is_left_of_a_version_that_was_replaced() {
    let server = serving("'auto'");
    start(
        &server,
        &["/program", "/session", "/daemon-program", "/daemon"],
    );
    has(&server, 7);
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    has(&server, 3);
    assert_eq!(server.stop().status, 0);
}

/// The template does this. A worker without a template is killed by the system and cannot do it.
#[test]
fn the_groups_of_workers_end_with_a_master_that_is_killed() {
    let server = serving("'auto'");
    start(&server, &["/program", "/process", "/stubborn"]);
    server.signal(Signal::KILL);
    let outcome = server.wait();
    assert_eq!(outcome.status, -9, "{outcome:#?}");
}
