//! The resources of workers are limited; those of `runner` itself are not.

mod support;

use std::fs;

use support::{Folder, Server, serve, version};

/// `tests/apps/stuck.py` with limits of `[runner.workers.limits]`.
fn limited(limits: &str) -> Server {
    Folder::new()
        .copy("tests/apps/stuck.py")
        .file(
            "settings.ini",
            format!("[runner.workers.limits]\n{limits}\n"),
        )
        .gated(serve("stuck"))
        .start()
}

/// The limits of the server's own process.
fn own_limits(server: &Server) -> String {
    let path = format!("/proc/{}/limits", server.pid().as_raw_nonzero());
    fs::read_to_string(path).expect("it runs")
}

#[test]
fn each_limit_is_that_of_workers_only() {
    let plain = limited("");
    let unlimited = own_limits(&plain);
    assert_eq!(plain.stop().status, 0);
    let server = limited("memory = '4G'\nfiles = 64\ncpu = '1500ms'\nprocesses = 5000\ncore = 0");
    assert_eq!(server.get("/limits").ok(), "4294967296 64 2 5000 0");
    assert_eq!(own_limits(&server), unlimited);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_start_that_fails_names_the_limits() {
    let folder = Folder::new().file("app.py", version(1)).file(
        "settings.ini",
        "[runner.workers]\nthreads = 8\nlimits.memory = '24M'\n",
    );
    let outcome = folder.runner(serve("app")).run();
    let limit = "; perhaps a limit is too low (runner.workers.limits.memory, 25165824)\n";
    assert!(
        outcome.status == 1 && outcome.stderr.ends_with(limit),
        "{outcome:#?}"
    );
}

#[test]
fn what_an_application_lacks_is_its_own_affair() {
    for (limit, path, error) in [
        ("memory = '512M'", "/use_memory", "MemoryError"),
        ("files = 64", "/open_files", "Too many open files"),
    ] {
        let server = limited(limit);
        let pid = server.get("/").ok();
        assert_eq!(server.get(path).status, 500);
        server.wait_for_log(|log| log.contains(error));
        assert_eq!(server.get("/").ok(), pid);
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn a_worker_without_processor_time_is_replaced_and_the_log_says_why() {
    let server = limited("cpu = 1");
    let pid = server.get("/").ok();
    assert_eq!(server.get("/use_processor_time").status, 502);
    let said = "was killed by SIGXCPU: its processor time is used up (runner.workers.limits.cpu); GET /use_processor_time is answered 502";
    server.wait_for_log(|log| log.contains(said));
    assert_ne!(server.get("/").ok(), pid);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_limit_above_the_systems_is_reported_and_lowered() {
    // No process may have a higher limit of open files.
    let server = limited("files = 1_000_000_000");
    let limits = server.get("/limits").ok();
    let files = limits.split(' ').nth(1).expect("five numbers").to_owned();
    let said = format!(
        "runner.workers.limits.files is 1000000000, but {files} is the most that the system allows"
    );
    server.wait_for_log(|log| log.contains(&said));
    assert_eq!(server.stop().status, 0);
}
