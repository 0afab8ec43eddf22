//! Clients that have ended their side of the connection, and so have probably gone away, while their requests wait: those of
//! clients that are there come first, and have room in a full queue.

mod support;

use std::fs::OpenOptions;
use std::io::{Read, Write};

use serde_json::Value;

use support::http::{Connection, Waits};
use support::scripted::{self, Scripted};
use support::{Folder, Outcome, Server, project};

/// The requests that fill the queue.
const FULL: usize = 20;

/// Each application writes down the requests that it begins, and has one place, which `/held` keeps until the gate opens.
const APPLICATION: &str = "\
import asyncio

GATE = open('gate', 'rb+', buffering=0)

def begin(path):
    with open('begun', 'a') as file:
        file.write(path + '\\n')
    return path == '/held'

def by_wsgi(environ, start_response):
    if begin(environ['PATH_INFO']):
        GATE.read(1)
    start_response('200 OK', [('Content-Length', '6')])
    return [b'served']

async def by_asgi(scope, receive, send):
    if scope['type'] == 'lifespan':
        return
    if begin(scope['path']):
        await asyncio.get_running_loop().run_in_executor(None, GATE.read, 1)
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'6')]})
    await send({'type': 'http.response.body', 'body': b'served'})
";

const SCRIPT: &str = "\
#!/bin/sh
exec 3<>../gate
echo \"$PATH_INFO\" >>../begun
if [ \"$PATH_INFO\" = /held ]; then head -c 1 <&3 >/dev/null; fi
printf 'Content-Length: 6\\n\\nserved'
";

const SETTINGS: &str = "\
[runner.workers]
min = 1
max = 1

[runner.asgi]
concurrency = 1

[runner]
request.queue_length = 20
status.url = 'unix:status'
";

fn folder() -> Folder {
    let folder = Folder::new()
        .file("held.py", APPLICATION)
        .executable("cgi-bin/held", SCRIPT)
        .file("settings.ini", SETTINGS)
        .file("begun", "");
    folder
        .program("mkfifo", [folder.path("gate")])
        .run()
        .is(0, "", "");
    folder
}

fn start(folder: &Folder, application: &[&str]) -> Server {
    let words = ["-c", "settings.ini", "serve", "tcp://127.0.0.1:0"];
    let words = words.iter().chain(application);
    let program = folder.runner(words);
    program.env("VIRTUAL_ENV", project("target/venv")).start()
}

/// Waits until so many requests have come to the application, or its queue.
#[track_caller]
fn come(server: &Server, count: usize) {
    let words = ["status", "--format", "json", "status"];
    let come = || {
        let status = server.folder().runner(words).run();
        let status: Value = serde_json::from_str(status.success()).expect("JSON");
        status["totals"]["requests"].as_u64()
    };
    Waits::until(|| come() == Some(count as u64), || server.log());
}

fn ask(server: &Server, path: &str) -> Connection {
    let mut connection = Connection::open(server.address());
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.send(head.as_bytes());
    connection
}

/// A connection for each request.
fn by_http(server: &Server, path: &str) -> Vec<Connection> {
    (0..FULL).map(|_| ask(server, path)).collect()
}

/// One connection for all of them.
fn by_http_2(server: &Server, path: &str) -> Vec<Connection> {
    let length = |text: &[u8]| u8::try_from(text.len()).expect("a short one");
    // A frame of `SETTINGS`, with none.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // Method, path, scheme and host, by the static table of HPACK (RFC 7541 §A) and literals.
    let path = path.as_bytes();
    let head = [&b"\x82\x04"[..], &[length(path)], path, b"\x86\x41\x01a"].concat();
    for stream in (1..).step_by(2).take(FULL) {
        // `HEADERS`, with the ends of the head and of the stream.
        bytes.extend([0, 0, length(&head), 1, 4 | 1, 0, 0, 0, stream]);
        bytes.extend(&head);
    }
    let mut connection = Connection::open(server.address());
    connection.send(&bytes);
    vec![connection]
}

/// One request is worked on, and others fill the queue, when the clients of these end their side. Then one comes that stays.
#[track_caller]
fn who_stays_comes_first(
    folder: &Folder,
    application: &[&str],
    prefix: &str,
    leave: fn(&Server, &str) -> Vec<Connection>,
) -> Outcome {
    let server = start(folder, application);
    let path = |name: &str| format!("{prefix}/{name}");
    let begun = || folder.read("begun");
    let mut held = ask(&server, &path("held"));
    Waits::until(|| begun() == "/held\n", || server.log());
    let mut leave = leave(&server, &path("left"));
    come(&server, 1 + FULL);
    leave.iter_mut().for_each(Connection::end_writing);
    // The ends have arrived by the time that another connection has come and gone.
    let mut other = Connection::open(server.address());
    other.send(b"NONE\r\n\r\n");
    other.rest();
    let mut stays = ask(&server, &path("stays"));
    come(&server, 2 + FULL);
    folder.open_gate();
    assert_eq!(held.reply("GET").ok(), "served");
    let reply = stays.reply("GET");
    assert_eq!(reply.status, 200, "{reply:?}\n{}", server.log());
    let begun = begun();
    assert!(
        begun.starts_with("/held\n/stays\n"),
        "{application:?}: {begun}"
    );
    drop(leave);
    server.stop()
}

#[test]
fn in_the_queue_of_wsgi() {
    for leave in [by_http, by_http_2] {
        let application = ["WSGI", "import:held.by_wsgi"];
        let log = who_stays_comes_first(&folder(), &application, "", leave).stderr;
        let says = "503 for GET /left: too many requests wait, and its client has closed its side of the connection (runner.request.queue_length)";
        assert!(log.contains(says), "{log}");
    }
}

#[test]
fn in_the_queue_of_asgi() {
    for leave in [by_http, by_http_2] {
        who_stays_comes_first(&folder(), &["ASGI", "import:held.by_asgi"], "", leave);
    }
}

#[test]
fn in_the_queue_of_programs() {
    let words = ["cgi-bin", "cgi-bin", "--processes", "1"];
    who_stays_comes_first(&folder(), &words, "/held", by_http);
}

#[test]
fn in_the_queue_of_servers() {
    let folder = folder();
    let (gate, begun) = (folder.path("gate"), folder.path("begun"));
    let servers = Scripted::answering(move |head| {
        let path = head.split(' ').nth(1).expect("a target");
        let open = |path| OpenOptions::new().read(true).append(true).open(path);
        let mut gate = open(&gate).expect("a FIFO");
        let mut begun = open(&begun).expect("a file");
        let line = format!("{path}\n");
        begun.write_all(line.as_bytes()).expect("room");
        if path == "/held" {
            gate.read_exact(&mut [0]).expect("it is opened");
        }
        scripted::text("served")
    });
    let url = servers.url();
    let words = ["upstream", &url, "--connections", "1"];
    who_stays_comes_first(&folder, &words, "", by_http);
}
