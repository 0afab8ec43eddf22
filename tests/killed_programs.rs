//! What the death of a process costs that runner has started (`upstream … exec:`): the requests that it had begun, and no
//! others. A process that is stopped by a signal begins none, and dies with those that have reached it.

mod support;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use support::http::Connection;
use support::{Folder, Load, Server, Waits};

/// Answers with its process and the length of the body that it has got. With `hang`, it makes a file, and goes no further.
const PHP: &str = "\
<?php
if (isset($_GET['hang'])) { touch('begun'); stream_socket_accept(stream_socket_server('tcp://127.0.0.1:0'), 1000); }
echo getmypid(), ' ', strlen(file_get_contents('php://input'));
";

const BY_PHP: &str = "'fastcgi', '--root', 'site', 'exec:', 'php-cgi'";

/// So many processes of a program.
#[track_caller]
fn served(words: &str, count: usize) -> Server {
    let file = format!(
        "app = commands.Alias(command=['serve', 'upstream', {words}])\n\
         url = 'tcp://127.0.0.1:0'\n\
         [runner]\n\
         status.url = 'unix:control'\n\
         workers.min = {count}\n\
         workers.max = {count}\n"
    );
    let folder = Folder::new()
        .copy("tests/apps/program.py")
        .file("site/index.php", PHP)
        .file("app.ini", file);
    folder.runner(["runIni", "app.ini"]).start()
}

fn status(server: &Server) -> Json {
    let status = server
        .folder()
        .runner(["status", "--format", "json", "app.ini"])
        .run();
    serde_json::from_str(status.success()).expect("JSON")
}

/// The processes that the status shows in a state.
fn processes(status: &Json, state: &str) -> Vec<Pid> {
    let workers = status["workers"].as_array().expect("a list");
    let workers = workers.iter().filter(|worker| worker["state"] == state);
    let pids = workers.filter_map(|worker| i32::try_from(worker["pid"].as_i64()?).ok());
    pids.filter_map(Pid::from_raw).collect()
}

/// Waits until the status is as wanted.
#[track_caller]
fn until(server: &Server, is_wanted: impl Fn(&Json) -> bool) -> Json {
    let mut last = Json::Null;
    Waits::until(
        || {
            last = status(server);
            is_wanted(&last)
        },
        || server.log(),
    );
    last
}

/// Whether all threads of a process are stopped.
fn is_stopped(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).expect("it runs");
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.contains("State:\tT")
    })
}

/// Stops the processes, of which there are so many, before any has a request.
#[track_caller]
fn stopped(server: &Server, count: usize) -> Vec<Pid> {
    let idle = until(server, |status| processes(status, "idle").len() == count);
    let idle = processes(&idle, "idle");
    for pid in &idle {
        kill_process(*pid, Signal::STOP).expect("it runs");
    }
    Waits::until(|| idle.iter().all(|pid| is_stopped(*pid)), || server.log());
    idle
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("it runs");
}

/// Sends a request, and leaves its answer for later.
fn sent(server: &Server, method: &str, target: &str, body: &[u8]) -> Connection {
    let mut connection = Connection::open(server.address());
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    );
    connection.send(head.as_bytes());
    connection.send(body);
    connection
}

/// Asserts that a request was answered by another process than these, and came there whole.
#[track_caller]
fn is_answered(mut connection: Connection, body: &[u8], but: &[Pid]) {
    let said = connection.reply("POST").ok();
    let (pid, length) = said.split_once(' ').expect("two numbers");
    assert_eq!(length, body.len().to_string(), "{said}");
    let dead = but
        .iter()
        .any(|dead| dead.as_raw_nonzero().to_string() == pid);
    assert!(!dead, "{said}");
}

/// The socket of a process of PHP is runner's own: what has reached it waits there, and goes to another process.
#[test]
fn what_php_has_not_accepted_goes_to_another_process() {
    let server = served(BY_PHP, 2);
    // A large one is more than the socket takes.
    for body in [vec![b'a'; 8], vec![b'a'; 3 << 20]] {
        let dead = stopped(&server, 2);
        // One of each process, and one that waits for either.
        let orders = [0, 1, 2].map(|_| sent(&server, "POST", "/", &body));
        until(&server, |status| {
            processes(status, "busy").len() == 2 && status["queue"]["length"] == 1
        });
        dead.iter().copied().for_each(kill);
        for order in orders {
            is_answered(order, &body, &dead);
        }
    }
    let said = server.stop();
    assert_eq!(said.status, 0);
    assert!(!said.stderr.contains(" for POST "), "{}", said.stderr);
}

#[test]
fn what_php_has_begun_is_lost_with_it_alone() {
    let server = served(BY_PHP, 1);
    let mut begun = sent(&server, "POST", "/?hang", b"an order");
    let begun_file = server.folder().path("site/begun");
    Waits::until(|| begun_file.exists(), || server.log());
    let dead = processes(&status(&server), "busy");
    let order = sent(&server, "POST", "/", b"an order");
    until(&server, |status| status["queue"]["length"] == 1);
    kill(dead[0]);
    assert_eq!(begun.reply("POST").status, 502);
    is_answered(order, b"an order", &dead);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn each_process_of_php_that_is_killed_costs_one_request_at_most() {
    let server = served(BY_PHP, 2);
    let load = Load::new(server.address());
    let load = load.post(b"an order").fresh(3).kept(3).start();
    let mut killed = 0;
    for _ in 0..8 {
        load.more(30);
        let status = status(&server);
        let alive = processes(&status, "busy").into_iter();
        let mut alive = alive.chain(processes(&status, "idle"));
        // It may have ended by now.
        let kill = |pid| kill_process(pid, Signal::KILL).is_ok();
        killed += u64::from(alive.next().is_some_and(kill));
    }
    load.more(30);
    let report = load.stop();
    report.answers(&[200, 502]);
    let lost = report.statuses.get(&502).copied().unwrap_or_default();
    assert!(lost <= killed, "{killed} were killed: {report:#?}");
    assert_eq!(server.stop().status, 0);
}

/// It breaks off, and goes on all the same: it is not one that is about to end.
#[test]
fn a_process_whose_first_thread_has_ended_still_gets_requests() {
    let server = served("'http', 'exec:', './program.py', 'headless'", 1);
    let pid = server.get("/").ok();
    let first = format!("/proc/{pid}/task/{pid}/status");
    let has_ended = || fs::read_to_string(&first).is_ok_and(|it| it.contains("State:\tZ"));
    Waits::until(has_ended, || server.log());
    assert_eq!(server.get("/close").status, 502);
    assert_eq!(server.get("/").ok(), pid);
    assert_eq!(server.stop().status, 0);
}

/// What a server that has made its socket itself has read of a request cannot be known: it is sent again only if it may be
/// repeated.
#[test]
fn what_may_be_repeated_goes_to_the_next_process() {
    for words in ["'./program.py'", "'./program.py', '{socket}'"] {
        let server = served(&format!("'http', 'exec:', {words}"), 1);
        for (method, status) in [("GET", 200), ("POST", 502)] {
            let dead = stopped(&server, 1);
            let mut request = sent(&server, method, "/", b"");
            until(&server, |status| processes(status, "busy") == dead);
            dead.iter().copied().for_each(kill);
            let reply = request.reply(method);
            assert_eq!(reply.status, status, "{words}: {}", server.log());
            if status == 200 {
                let pid = dead[0].as_raw_nonzero().to_string();
                assert_ne!(reply.ok(), pid);
            }
        }
        assert_eq!(server.stop().status, 0);
    }
}
