//! `status`, `stop` and `reload`: what a running server reports, and what it can be told.

mod support;

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use support::http::{Connection, Waits, get};
use support::scripted::{Scripted, wait_for};
use support::{Address, Folder, Server, free_port};

/// A server with a control socket.
const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:gated.application'])
url = 'tcp://127.0.0.1:0'
runner.status.url = 'unix:control'
[runner.workers]
max = 1
";

fn server() -> Server {
    Folder::new()
        .copy("tests/apps/gated.py")
        .file("app.ini", FILE)
        .gated(["runIni", "app.ini"])
        .start()
}

/// Sends a request that waits at the gate.
fn send(server: &Server) -> Connection {
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /wait?a=%1b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection
}

fn status(server: &Server) -> Json {
    let asked = server
        .folder()
        .runner(["status", "--format", "json", "app.ini"]);
    serde_json::from_str(asked.run().success()).expect("JSON")
}

#[test]
fn it_answers_while_every_worker_is_busy() {
    let server = server();
    let mut first = send(&server);
    server.wait_for_log(|log| log.contains("waiting\n"));
    let mut second = send(&server);
    let mut waits = Waits::new();
    let found = loop {
        let found = status(&server);
        if found["queue"]["length"] == 1 {
            break found;
        }
        waits.wait(|| format!("nothing waits: {found:#}"));
    };
    assert_eq!(found["pid"], server.pid().as_raw_nonzero().get());
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["state"], "serving");
    assert_eq!(found["sockets"], json!([server.url()]));
    assert_eq!(found["totals"]["requests"], 2);
    assert_eq!(found["connections"]["open"], 2);
    assert_eq!(found["connections"]["idle"], 0);
    assert!(found["connections"]["most"].as_u64().expect("a number") > 2);
    assert!(found["queue"]["oldest"].is_number());
    let worker = &found["workers"][0];
    assert_eq!(worker["state"], "busy");
    assert_eq!(worker["current"][0]["method"], "GET");
    assert_eq!(worker["current"][0]["path"], "/wait?a=%1b");
    assert!(worker["rss"].as_u64().expect("this is Linux") > 1 << 20);

    let asked = server.folder().runner(["status", "app.ini"]).run();
    let text = asked.success();
    for said in [
        format!(", process {}, serving for ", server.pid().as_raw_nonzero()),
        format!("\n  {}\n", server.url()),
        "\n1 worker: 1 busy; 1 request waits for a worker, the first for ".to_owned(),
        "  GET /wait?a=%1b\n".to_owned(),
        "\n2 requests so far\n".to_owned(),
        "\n2 connections of at most ".to_owned(),
    ] {
        assert!(text.contains(&said), "{said:?} is missing:\n{text}");
    }
    for connection in [&mut first, &mut second] {
        server.folder().open_gate();
        assert_eq!(connection.reply("GET").status, 200);
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn totals_and_failures_outlive_a_reload() {
    let server = server();
    let folder = server.folder();
    let reload = || folder.runner(["reload", "app.ini"]).run();
    for round in 1..3 {
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.get("/exit").status, 502);
        reload().is(0, "app.ini serves the new version\n", "");
        let found = status(&server);
        assert_eq!(found["totals"]["requests"], 2 * round);
        assert_eq!(found["totals"]["bad_gateway"], round);
    }
    // Requests of an old version count, too.
    let mut request = send(&server);
    server.wait_for_log(|log| log.contains("waiting\n"));
    reload().is(0, "app.ini serves the new version\n", "");
    let found = status(&server);
    assert_eq!(found["totals"]["requests"], 5);
    assert_eq!(found["totals"]["deaths"], 2);
    let failures = found["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 2, "{failures:#?}");
    folder.open_gate();
    assert_eq!(request.reply("GET").status, 200);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_server_has_many_names() {
    let server = server();
    let folder = server.folder();
    let pid = format!("process {},", server.pid().as_raw_nonzero());
    let file = folder.path("app.ini").to_string_lossy().into_owned();
    for words in [
        &["status", "app.ini"][..],
        &["status", &file],
        &["status", "control"],
        &["status", "unix:control"],
        &["-c", "app.ini", "status"],
    ] {
        let asked = folder.runner(words).run();
        assert!(asked.success().contains(&pid), "{words:?}: {asked:?}");
    }
    let elsewhere = Folder::new();
    let asked = elsewhere.runner(["status", &file]).run();
    assert!(asked.success().contains(&pid));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_server_that_is_not_there() {
    let folder = Folder::new()
        .file("app.ini", FILE)
        .file(
            "other.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n",
        )
        .file("tcp.ini", "runner.status.url = 'tcp://localhost:1'\n")
        .file("app.pid", "1\n");
    for command in ["status", "stop", "reload"] {
        // What is reloaded is thought to run: elsewhere, perhaps.
        let of_settings = match command {
            "reload" => concat!(
                "error: `app.ini` is not running\n",
                " = hint: a server keeps the control socket that it was started with; if `runner.status.url` has changed, ",
                "write `runner reload unix:PATH` with the old one\n",
            ),
            _ => "error: `app.ini` is not running\n",
        };
        for (file, said) in [
            ("app.ini", of_settings),
            (
                "unix:nowhere",
                "error: there is no file `unix:nowhere`\n = hint: a server has it as long as it runs\n",
            ),
            // Process 1 runs, but is no master.
            ("app.pid", "error: `app.pid` is not running\n"),
            (
                "gone.pid",
                "error: there is no file `gone.pid`\n = hint: a server has it as long as it runs\n",
            ),
            (
                "other.ini",
                "error: `other.ini` does not say how its master can be reached\n \
                 = hint: set `runner.status.url = 'unix:PATH'`, or name a pid file\n",
            ),
        ] {
            // A file that does not say how to reach the server says nothing of its state.
            let status = match command == "status" && file != "other.ini" {
                true => 3,
                false => 1,
            };
            folder.runner([command, file]).run().is(status, "", said);
        }
        let wrong = folder.runner([command, "tcp.ini"]).run();
        assert_eq!(wrong.status, 1);
        assert!(wrong.stderr.contains("tcp.ini:1:"), "{wrong:?}");
        assert!(
            wrong
                .stderr
                .contains("hint: write `runner.status.url = 'unix:PATH'`")
        );
        assert_eq!(folder.runner([command]).run().status, 2);
        assert_eq!(folder.runner([command, "app.ini", "more"]).run().status, 2);
    }
    let both = ["status", "--watch", "--format", "json", "app.ini"];
    assert_eq!(folder.runner(both).run().status, 2);
}

#[test]
fn a_server_that_cannot_answer_has_status_3() {
    const GOOD: &str = "\
import os

def application(environ, start_response):
    if environ['PATH_INFO'] == '/exit':
        os._exit(1)
    start_response('200 OK', [])
    return [b'hello']
";
    let folder = Folder::new()
        .file(
            "app.ini",
            FILE.replace("gated", "app") + "preload = False\n",
        )
        .file("app.py", GOOD);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let asked = |words: &[&str]| {
        let words = ["status"].iter().chain(words).chain(&["app.ini"]);
        folder.runner(words).run()
    };
    let until = |expected: i32| {
        let mut waits = Waits::new();
        loop {
            let asked = asked(&[]);
            match asked.status == expected {
                true => return asked.stdout,
                false => waits.wait(|| format!("{asked:?}")),
            }
        }
    };
    assert!(!until(0).contains("cannot answer"));
    fs::write(folder.path("app.py"), "import nothing_of_that_name\n").expect("a file");
    assert_eq!(server.get("/exit").status, 502);
    let text = until(3);
    assert!(text.contains(", but cannot answer requests\n"), "{text}");
    assert!(text.contains("before its first answer"), "{text}");
    let as_json = asked(&["--format", "json"]);
    assert_eq!(as_json.status, 3);
    let found: Json = serde_json::from_str(&as_json.stdout).expect("JSON");
    assert!(found["back_off"]["early_deaths"].as_u64() > Some(0));
    // The mended application is tried by itself.
    fs::write(folder.path("app.py"), GOOD).expect("a file");
    until(0);
    assert_eq!(server.get("/").ok(), "hello");
    assert_eq!(server.stop().status, 0);
    assert_eq!(asked(&[]).status, 3);
}

#[test]
fn a_supervised_program_that_is_down_has_status_3() {
    for (program, expected) in [("tail -f /dev/null", 0), ("false", 3)] {
        let keys = format!("Command exec: {program}\nPidFile app.pid\n");
        let folder = Folder::new().file("app.conf", keys);
        let server = folder.runner(["supervise", "app.conf"]).begin();
        let mut waits = Waits::new();
        loop {
            let asked = folder.runner(["status", "app.conf"]).run();
            if asked.status == expected && asked.stdout.contains(program) {
                break;
            }
            waits.wait(|| format!("{program}: {asked:?}"));
        }
        assert_eq!(server.stop().status, 0);
    }
}

/// What the status says of the last minute.
#[test]
fn it_shows_the_rate_and_how_long_requests_take() {
    let server = server();
    let asked = || server.folder().runner(["status", "app.ini"]).run();
    assert!(asked().success().contains("\nlast minute: no requests\n"));
    assert_eq!(status(&server)["last_minute"]["p50"], Json::Null);
    let mut slow = send(&server);
    server.wait_for_log(|log| log.contains("waiting\n"));
    // Not a request that is still being answered.
    assert_eq!(status(&server)["last_minute"]["requests"], 0);
    let is_old = || {
        let current = &status(&server)["workers"][0]["current"][0];
        current["age"].as_f64().is_some_and(|age| age >= 0.3)
    };
    Waits::until(is_old, || "no request grows old".to_owned());
    server.folder().open_gate();
    assert_eq!(slow.reply("GET").status, 200);
    for _ in 0..9 {
        assert_eq!(server.get("/").status, 200);
    }
    let found = status(&server)["last_minute"].take();
    assert_eq!(found["requests"], 10);
    let number = |name| found[name].as_f64().expect("a number");
    assert!((0.1..=10.0).contains(&number("rate")), "{found}");
    assert!(number("p50") < number("p99"), "{found}");
    assert!(number("p99") >= 0.29, "{found}");
    let text = asked();
    assert!(text.success().contains(" requests/s, p50 "), "{text:?}");
    // Another version goes on counting.
    let reload = server.folder().runner(["reload", "app.ini"]).run();
    reload.is(0, "app.ini serves the new version\n", "");
    assert_eq!(status(&server)["last_minute"]["requests"], 10);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn stop_waits_for_the_end() {
    let server = server();
    let mut request = send(&server);
    server.wait_for_log(|log| log.contains("waiting\n"));
    let folder = server.folder().clone();
    let stop = thread::spawn(move || folder.runner(["stop", "app.ini"]).run());
    Waits::until(
        || !server.address().accepts(),
        || "it still accepts".to_owned(),
    );
    assert!(!stop.is_finished());
    server.folder().open_gate();
    assert_eq!(request.reply("GET").status, 200);
    stop.join()
        .expect("it ran")
        .is(0, "app.ini has ended\n", "");
    let folder = server.folder().clone();
    assert_eq!(server.wait().status, 0);
    assert!(!folder.path("control").exists());
    folder
        .runner(["stop", "app.ini"])
        .run()
        .is(1, "", "error: `app.ini` is not running\n");
}

#[test]
fn reload_says_how_it_went() {
    const ANSWER: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'NUMBER']
";
    let folder = Folder::new()
        .file("app.ini", FILE.replace("gated", "app"))
        .file("app.py", ANSWER.replace("NUMBER", "one"));
    let server = folder.runner(["runIni", "app.ini"]).start();
    let reload = || folder.runner(["reload", "app.ini"]).run();
    assert_eq!(server.get("/").ok(), "one");

    fs::write(folder.path("app.py"), ANSWER.replace("NUMBER", "two")).expect("a file");
    reload().is(0, "app.ini serves the new version\n", "");
    assert_eq!(server.get("/").ok(), "two");

    fs::write(folder.path("app.py"), "import nothing_of_that_name\n").expect("a file");
    let failed = reload();
    assert_eq!((failed.status, failed.stdout.as_str()), (1, ""));
    let why = "ModuleNotFoundError: No module named 'nothing_of_that_name'";
    assert!(
        failed.stderr.starts_with("error: ") && failed.stderr.contains(why),
        "{failed:?}"
    );
    assert_eq!(server.get("/").ok(), "two");

    fs::write(folder.path("app.ini"), "ap = 1\n").expect("a file");
    let failed = folder.runner(["reload", "control"]).run();
    assert_eq!(failed.status, 1);
    assert!(
        failed.stderr.contains("`app.ini` does not say what to run"),
        "{failed:?}"
    );
    assert_eq!(server.get("/").ok(), "two");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn its_socket_is_its_own() {
    let server = server();
    let folder = server.folder().clone();
    let found = fs::metadata(folder.path("control")).expect("a socket");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let second = folder
        .runner(["runIni", "app.ini"])
        .env("GATE", folder.path("gate"));
    second.run().is(
        1,
        "",
        "error: cannot make the control socket `[folder]/control`: another process listens there\n",
    );
    // A server that is killed leaves it behind, which does not prevent the next one from starting.
    server.signal(Signal::KILL);
    assert_eq!(server.wait().status, -9);
    assert!(folder.path("control").exists());
    let program = folder.runner(["runIni", "app.ini"]);
    let server = program.env("GATE", folder.path("gate")).start();
    status(&server);
    assert_eq!(server.stop().status, 0);
    assert!(!folder.path("control").exists());
}

/// The bytes written to the terminal, and the terminal's modes before and after.
const IN_TERMINAL: &str = "\
exec >&2
script --quiet --return --command \"exec sh -c 'trap : INT QUIT; stty -a >before; runner status --watch app.ini; \
echo status $?; stty -a >after'\" /dev/null";

#[test]
fn watching_leaves_the_terminal_as_it_was() {
    const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
    const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
    let server = server();
    let folder = server.folder();
    for key in [&b"q"[..], b"\x03", b"\x1c"] {
        let (mut keyboard, input) = UnixStream::pair().expect("a pair of sockets");
        let program = folder.program("sh", ["-c", IN_TERMINAL]);
        let terminal = program.start_with(OwnedFd::from(input));
        // The second picture shows that there is more than one.
        terminal.wait_for_log(|shown| shown.matches("1 worker: 1 idle").count() > 1);
        keyboard.write_all(key).expect("it reads");
        let shown = terminal.wait().stderr;
        let (_, picture) = shown.split_once(ENTER).expect("a second screen");
        let (_, after) = picture.rsplit_once(LEAVE).expect("the first screen again");
        assert_eq!(after.trim(), "status 0", "{key:?}");
        assert_eq!(folder.read("before"), folder.read("after"));
    }
    let plain = folder.runner(["status", "--watch", "app.ini"]).run();
    plain.is(1, "", "error: `--watch` needs a terminal\n");
    assert_eq!(server.stop().status, 0);
}

/// The address is shown as it was configured: a browser cannot use it.
#[test]
fn a_socket_for_fastcgi_is_not_said_to_be_one_for_browsers() {
    let port = free_port();
    let folder = Folder::new().file("app.ini", "runner.status.url = 'unix:control'\n");
    let url = format!("tcp://127.0.0.1:{port}");
    let server = folder
        .runner(["-c", "app.ini", "FastCGI", &url, "demo"])
        .start_at(Address::port(port));
    // It listens and takes orders before it serves.
    let serves = || folder.runner(["status", "app.ini"]).run().status == 0;
    Waits::until(serves, || server.log());
    assert_eq!(status(&server)["sockets"], json!([url]));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_status_has_a_row_for_each_server() {
    let (held, port) = (Arc::new(AtomicUsize::new(0)), free_port());
    let counted = Arc::clone(&held);
    let server = Scripted::start(move |_, mut client| {
        while client.head().is_some() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let urls = [format!("http://127.0.0.1:{port}"), server.url()];
    let words = [
        "-c",
        "settings.ini",
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
    ];
    let words = words.into_iter().chain(urls.iter().map(String::as_str));
    let settings = "runner.status.url = 'unix:control'\nrunner.status.http = 'unix:pages'\n";
    let folder = Folder::new().file("settings.ini", settings);
    let runner = folder.runner(words).start();
    let mut waiting = Connection::open(runner.address());
    waiting.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&held, 1);
    let status = |format| {
        let words = ["-c", "settings.ini", "status", "--format", format];
        folder.runner(words).run().success().to_owned()
    };
    let found: Json = serde_json::from_str(&status("json")).expect("JSON");
    let [first, second] = &found["servers"].as_array().expect("a list")[..] else {
        panic!("{found}");
    };
    assert_eq!(first["failures"], 1, "{found}");
    assert!(first["failing_for"].is_number(), "{found}");
    assert_eq!(
        (&second["in_flight"], &second["requests"]),
        (&1.into(), &1.into()),
        "{found}"
    );
    assert_eq!(second["failing_for"], Json::Null);
    let shown = status("text");
    assert!(
        shown.contains("SERVER") && shown.contains("down for"),
        "{shown}"
    );
    let metrics = get(&Address::Unix(folder.path("pages")), "/metrics").text();
    let line = format!("runner_upstream_server_up{{server=\"127.0.0.1:{port}\"}} 0.0");
    assert!(metrics.contains(&line), "{metrics}");
    drop(waiting);
    assert_eq!(runner.stop().status, 0);
}
