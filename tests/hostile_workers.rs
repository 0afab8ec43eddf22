//! A worker may write anything into its ring, its lane or its pipe of tokens: it costs at most its own requests. The
//! master continues in bounded time and memory, and stops when told to.

mod support;

use std::fs;

use support::http::Waits;
use support::usage::memory;
use support::{Folder, Server, project};

/// The application's list of its bad habits.
fn habits() -> Vec<String> {
    let source = fs::read_to_string(project("tests/apps/hostile.py")).expect("the application");
    let (_, table) = source.split_once("HABITS = {\n").expect("the table");
    let (table, _) = table.split_once("\n}").expect("its end");
    let name = |line: &str| line.trim().split('"').nth(1).map(str::to_owned);
    table.lines().filter_map(name).collect()
}

fn server() -> Server {
    let file = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:hostile.application'])
url = 'tcp://127.0.0.1:0'
runner.stop_timeout = '1s'
[runner.request]
timeout = '200ms'
[runner.workers]
min = 2
max = 2
";
    Folder::new()
        .copy("tests/apps/hostile.py")
        .file("app.ini", file)
        .runner(["runIni", "app.ini"])
        .start()
}

#[test]
fn a_worker_that_sends_garbage_costs_no_more_than_itself() {
    let server = server();
    assert_eq!(server.get("/").status, 200);
    let before = memory(server.pid(), "VmHWM");
    let habits = habits();
    assert!(habits.len() > 20, "{habits:?}");
    let targets = habits
        .iter()
        .flat_map(|it| [format!("/{it}"), format!("/{it}?stays")]);
    for target in targets {
        let reply = server.get(&target);
        assert!(
            [200, 500, 502, 504].contains(&reply.status),
            "{target}: {}\n{}",
            reply.status,
            server.log()
        );
        // The next requests may still go to the worker whose fault is about to be found.
        let mut waits = Waits::new();
        let mut in_a_row = 0;
        while in_a_row < 5 {
            match server.get("/").status {
                200 => in_a_row += 1,
                _ => {
                    in_a_row = 0;
                    waits.wait(|| format!("after {target}:\n{}", server.log()));
                }
            }
        }
    }
    let grown = memory(server.pid(), "VmHWM").saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    let log = server.log();
    assert!(
        log.contains(" broke the worker protocol; it is killed\n"),
        "{log}"
    );
    assert!(!log.contains("panic"), "{log}");
    assert_eq!(server.stop().status, 0);
}
