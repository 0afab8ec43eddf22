//! ASGI applications under load while they are reloaded, restarted, and lose their workers: no request is lost by a
//! reload or a warm restart, and each WebSocket is closed with the right code and accepted again.

mod support;

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use support::load::Load;
use support::{Folder, Program, Server, project, python};

/// The number of WebSockets.
const SOCKETS: usize = 200;

const FILE: &str = "\
Command serve tcp://127.0.0.1:0 ASGI import:echo.application
PidFile app.pid
MinProcesses 2
MaxProcesses 2
";

/// WebSockets may stay for a moment only when their worker is to leave.
const SETTINGS: &str = "[runner.asgi]\ndrain = '100ms'\n";

fn folder() -> Folder {
    Folder::new()
        .copy("tests/apps/echo.py")
        .file("settings.ini", SETTINGS)
        .file("app", FILE)
}

fn master(folder: &Folder) -> Program {
    folder.runner(["-c", "settings.ini", "supervise", "app"])
}

/// Puts a version in place.
fn install(folder: &Folder, number: u32) {
    let text = fs::read_to_string(project("tests/apps/echo.py")).expect("the application");
    let text = text.replace("version 1", &format!("version {number}"));
    fs::write(folder.path("echo.py"), text).expect("a file");
}

/// Clients that hold WebSockets open.
struct Sockets(Server);

impl Sockets {
    #[track_caller]
    fn open(folder: &Folder, server: &Server) -> Self {
        let script = project("tests/apps/hold_sockets.py");
        let address = server
            .url()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let sockets = Self(
            folder
                .program(python(), [script])
                .arguments([address, &SOCKETS.to_string()])
                .begin(),
        );
        sockets.until(SOCKETS);
        sockets
    }

    /// Waits until so many WebSockets have been opened, and all are open.
    #[track_caller]
    fn until(&self, count: usize) {
        self.0.wait_for_log(|log| opened(log) >= count);
    }

    /// How they have ended.
    #[track_caller]
    fn ends(self) -> BTreeMap<String, usize> {
        self.0.signal(Signal::TERM);
        let outcome = self.0.wait();
        serde_json::from_str(outcome.success()).expect("JSON")
    }
}

/// The counts and processes of the lines `all are open, COUNT are new, most are of process PID`.
fn lines(log: &str) -> impl Iterator<Item = (usize, i32)> {
    log.lines().map(|line| {
        let numbers: Vec<&str> = line
            .split(|sign: char| !sign.is_ascii_digit())
            .filter(|word| !word.is_empty())
            .collect();
        let [count, process] = numbers[..] else {
            panic!("{line}");
        };
        let number = "a number";
        (count.parse().expect(number), process.parse().expect(number))
    })
}

/// How many WebSockets have been opened.
fn opened(log: &str) -> usize {
    lines(log).map(|(count, _)| count).sum()
}

#[test]
fn reloads_and_warm_restarts_lose_no_request_and_close_each_web_socket_with_1012() {
    let folder = folder();
    let mut server = master(&folder).start();
    let load = Load::new(server.address()).fresh(8).kept(8).start();
    let sockets = Sockets::open(&folder, &server);
    let mut closed = 0;
    let mut version = 1;
    for _ in 0..3 {
        for reload in [true, false] {
            version += 1;
            install(&folder, version);
            let text = format!("version {version}");
            if reload {
                server.signal(Signal::HUP);
            } else {
                let second = master(&folder).start();
                let outcome = std::mem::replace(&mut server, second).wait();
                assert_eq!(outcome.status, 0, "{outcome:#?}");
            }
            load.until(&text, |report| report.bodies.contains_key(&text));
            closed += SOCKETS;
            sockets.until(SOCKETS + closed);
        }
    }
    load.more(100);
    load.stop().is_whole();
    let ends = sockets.ends();
    // All of them; one that came to the old version at the last moment is closed once more.
    let restarted = ends.get("1012").copied().unwrap_or_default();
    assert!(ends.len() == 1 && restarted >= closed, "{closed}: {ends:?}");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

#[test]
fn a_worker_that_is_killed_costs_only_502_and_1011() {
    let folder = folder();
    let server = master(&folder).start();
    let load = Load::new(server.address()).fresh(8).kept(8).start();
    let sockets = Sockets::open(&folder, &server);
    for _ in 0..5 {
        let log = sockets.0.log();
        let (_, worker) = lines(&log).last().expect("all are open");
        let worker = Pid::from_raw(worker).expect("a process");
        kill_process(worker, Signal::KILL).expect("a worker");
        sockets.until(opened(&log) + 1);
        load.more(100);
    }
    load.stop().answers(&[200, 502]);
    let ends = sockets.ends();
    let known = ["1011", "refused 502"];
    assert!(
        ends.keys().all(|how| known.contains(&how.as_str())),
        "{ends:?}"
    );
    assert!(ends.get("1011").is_some_and(|count| *count > 0), "{ends:?}");
    assert_eq!(server.stop().status, 0);
}
