//! The Python side of ASGI workers, alone: for whatever an application does, the frames that runner gets. The cases are
//! in `tests/asgi`, where a program stands in for runner; they run on every Python that is there.

mod support;

use std::process::{Command, Stdio};

use support::project;

/// Runs all cases of a module on each Python, with asyncio's loop and, where it is installed, with uvloop's.
#[track_caller]
fn hold(module: &str) {
    let environment = project("target/venv/bin/python");
    let environment = environment.to_str().expect("UTF-8");
    let mut any = false;
    for (python, event_loop) in [
        (environment, "asyncio"),
        (environment, "uvloop"),
        ("/usr/bin/python3", "asyncio"),
        ("pypy3", "asyncio"),
        ("python3.8", "asyncio"),
        ("python3.14", "asyncio"),
    ] {
        // Not each machine has each Python; those of the suite are needed.
        if python.starts_with("python3.") && !is_there(python) {
            continue;
        }
        let outcome = Command::new(python)
            .arg(project("tests/asgi/run.py"))
            .args([module, event_loop])
            .stdin(Stdio::null())
            .output()
            .expect("a Python");
        let shown = [outcome.stdout, outcome.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        assert!(outcome.status.success(), "{python}: {shown}");
        any |= shown.contains("ok test_");
    }
    assert!(any, "no case has run");
}

fn is_there(python: &str) -> bool {
    let version = Command::new(python).arg("--version").output();
    version.is_ok_and(|outcome| outcome.status.success())
}

#[test]
fn http() {
    hold("http_cases");
}

#[test]
fn faults() {
    hold("fault_cases");
}

#[test]
fn requests_beside_each_other() {
    hold("request_cases");
}

#[test]
fn requests_whose_clients_have_left() {
    hold("departed_cases");
}

#[test]
fn web_sockets() {
    hold("websocket_cases");
}

#[test]
fn lifespan_and_loop() {
    hold("lifespan_cases");
}

#[test]
fn threads_and_tasks_that_do_not_end() {
    hold("thread_cases");
}
