//! Clients that send a byte now and then cost a descriptor and a little memory each, no worker, and other clients
//! nothing.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use runner::protocol::fastcgi::record::{
    BeginRequest, RESPONDER, RecordKind, put_pair, put_records,
};
use serde_json::Value as Json;
use support::http::{self, Address, Connection};
use support::usage::{descriptors, memory};
use support::{Folder, Load, Server, Waits};

/// The number of clients that send the head of a request slowly, and of those that send a body slowly.
const SLOW: usize = 100;

const HELLO: &str = "\
def application(environ, start_response):
    body = environ['wsgi.input'].read() or b'hello'
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn clients_that_dribble_cost_the_others_nothing() {
    let server = Folder::new()
        .file("hello.py", HELLO)
        .file("one.ini", "[runner.workers]\nmax = 1\n")
        .runner(["-c", "one.ini", "serve", "import:hello.application"])
        .start();
    let load = Load::new(server.address()).fresh(4).kept(4).start();
    load.more(200);
    let open = || descriptors(server.pid()).len();
    let resident = || memory(server.pid(), "VmRSS");
    let (open_before, resident_before) = (open(), resident());

    let head = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let body = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n";
    let mut clients: Vec<Connection> = [head, body]
        .iter()
        .flat_map(|beginning| std::iter::repeat_n(beginning, SLOW))
        .map(|beginning| {
            let mut client = Connection::open(server.address());
            client.send(beginning.as_bytes());
            client
        })
        .collect();
    for byte in "x-slow: very slow indeed, bye".bytes() {
        for client in &mut clients {
            client.send(&[byte]);
        }
        // There is one worker with one thread: if it waited for one of them, no other client would be answered.
        load.more(20);
    }
    let connections = 2 * SLOW + 8;
    let more = open().saturating_sub(open_before);
    assert!(
        more <= connections,
        "{more} descriptors for {connections} connections"
    );
    let grown = resident().saturating_sub(resident_before) / (2 * SLOW);
    assert!(grown <= 64 * 1024, "{grown} bytes for each connection");

    for (number, client) in clients.iter_mut().enumerate() {
        let is_head = number < SLOW;
        client.send(if is_head { b"\r\n\r\n" } else { b"!" });
        let reply = client.reply("GET");
        match is_head {
            true => assert_eq!(reply.ok(), "hello"),
            false => assert_eq!(reply.ok(), "x-slow: very slow indeed, bye!"),
        }
    }
    drop(clients);
    load.stop().is_whole();
    Waits::until(
        || open() <= open_before,
        || format!("{} descriptors stay open", open()),
    );
    assert_eq!(server.stop().status, 0);
}

/// Each has sent much of a body, and sends no more: the bodies are in files, which cost less than memory.
#[test]
fn clients_that_stall_within_a_body_take_little_memory() {
    let server = Folder::new()
        .file("hello.py", HELLO)
        .runner(["serve", "import:hello.application"])
        .start();
    assert_eq!(server.get("/").ok(), "hello");
    let resident = || memory(server.pid(), "VmRSS");
    let before = resident();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n";
    let part = vec![b'x'; 1_000_000];
    let clients: Vec<Connection> = (0..50)
        .map(|_| {
            let mut client = Connection::open(server.address());
            client.send(head.as_bytes());
            client.send(&part);
            client
        })
        .collect();
    // All that they have sent, but for what is gathered for the next write.
    let stored = |size: &u64| *size >= part.len() as u64 - 64 * 1024;
    Waits::until(
        || {
            body_files(&server)
                .iter()
                .filter(|size| stored(size))
                .count()
                >= clients.len()
        },
        || format!("bodies in files: {:?}", body_files(&server)),
    );
    let grown = resident().saturating_sub(before) / clients.len();
    // Read buffers, write buffers, and a share of the threads that write the files.
    assert!(grown <= 750 * 1024, "{grown} bytes for each client");
    drop(clients);
    Waits::until(
        || body_files(&server).is_empty(),
        || format!("bodies in files: {:?}", body_files(&server)),
    );
    assert_eq!(server.stop().status, 0);
}

/// There are 256 descriptors, and idle clients could take all of them: none would be left for other clients, bodies,
/// workers and a reload.
#[test]
fn idle_connections_never_take_all_descriptors() {
    let settings = "runner.status.url = 'unix:control'\n[runner.workers]\nmax = 1\n";
    let folder = Folder::new()
        .file("hello.py", HELLO)
        .file("one.ini", settings);
    let program = env!("CARGO_BIN_EXE_runner");
    let script = format!("ulimit -n 256; exec {program} -c one.ini serve import:hello.application");
    let server = folder.program("sh", ["-c", &script]).start();
    let mut idle: Vec<Connection> = (0..400)
        .map(|_| Connection::open(server.address()))
        .collect();
    let large = vec![b'x'; 3_000_000];
    for _ in 0..3 {
        assert_eq!(server.get("/").ok(), "hello");
        let reply = http::request(server.address(), "POST", "/", &[], &large);
        assert!(reply.status == 200 && reply.body == large);
        let reload = server.folder().runner(["-c", "one.ini", "reload"]).run();
        assert_eq!(reload.status, 0, "{reload:?}");
        idle.extend((0..50).map(|_| Connection::open(server.address())));
    }
    let status = server.folder().runner(["-c", "one.ini", "status"]).run();
    let text = status.success();
    assert!(text.contains(" connections of at most 86, "), "{text}");
    let said = "all 86 connections are in use (runner.http.max_connections), and the one that was idle for the longest time is closed for each new one";
    let log = server.wait_for_log(|log| log.contains(said));
    // The log has no line for each of them.
    assert!(log.matches(said).count() < 10, "{log}");
    drop(idle);
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(
        !outcome.stderr.contains("Too many open files"),
        "{}",
        outcome.stderr
    );
}

/// At most twenty connections, and floods of clients that send nothing, or half a head: after each flood a client with
/// a request is answered long before the others time out, and the limit always holds.
fn floods(command: &str, url: &str, beginning: &[u8], ask: impl Fn(&Address)) {
    let settings = format!(
        "app = commands.Alias(command=[{command}'WSGI', 'import:hello.application'])\n\
         url = '{url}'\n\
         runner.http.max_connections = 20\n\
         runner.status.url = 'unix:control'\n\
         [runner.workers]\n\
         max = 1\n"
    );
    let folder = Folder::new()
        .file("hello.py", HELLO)
        .file("app.ini", settings);
    let address = Address::Unix(folder.path("socket"));
    let program = folder.runner(["runIni", "app.ini"]);
    let server = match url {
        "unix:unused" => program.start_at(address),
        _ => program.start(),
    };
    for flood in [30, 30, 60, 200, 30] {
        let clients: Vec<Connection> = (0..flood)
            .map(|_| {
                let mut client = Connection::open(server.address());
                client.send(beginning);
                client
            })
            .collect();
        let began = Instant::now();
        ask(server.address());
        let took = began.elapsed();
        // None times out before 30 seconds. If all have just connected, each gets a moment.
        assert!(took < Duration::from_secs(6), "{flood}: {took:?}");
        let (open, limit) = connections_now(&server);
        assert!(open <= limit && limit == 20, "{open} of {limit}");
        drop(clients);
        Waits::until(
            || connections_now(&server).0 == 0,
            || format!("{} connections stay open", connections_now(&server).0),
        );
    }
    assert_eq!(server.stop().status, 0);
}

fn ask_by_http(address: &Address) {
    assert_eq!(http::get(address, "/").ok(), "hello");
}

/// The variables that every request needs, and no body.
fn ask_by_fastcgi(address: &Address) {
    let mut records = bytes::BytesMut::new();
    let role = RESPONDER;
    BeginRequest { role, keep: false }.put(&mut records, 1);
    let mut pairs = bytes::BytesMut::new();
    for (name, value) in [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/")] {
        put_pair(&mut pairs, name.as_bytes(), value.as_bytes());
    }
    put_records(&mut records, RecordKind::Params, 1, pairs);
    put_records(&mut records, RecordKind::Params, 1, &b""[..]);
    put_records(&mut records, RecordKind::Stdin, 1, &b""[..]);
    let mut client = Connection::open(address);
    client.send(&records);
    let answer = client.rest();
    assert!(String::from_utf8_lossy(&answer).contains("hello"));
}

#[test]
fn repeated_idle_floods_lock_out_no_client() {
    floods("'serve', ", "tcp://127.0.0.1:0", b"", ask_by_http);
}

#[test]
fn repeated_floods_of_half_heads_lock_out_no_client() {
    let half = b"GET / HTTP/1.1\r\nX: ";
    floods("'serve', ", "tcp://127.0.0.1:0", half, ask_by_http);
}

#[test]
fn repeated_idle_floods_by_fastcgi_lock_out_no_client() {
    floods(
        "'FastCGI', 'unix:socket', ",
        "unix:unused",
        b"",
        ask_by_fastcgi,
    );
}

/// The number of connections and the limit, according to the server.
fn connections_now(server: &Server) -> (u64, u64) {
    let asked = server
        .folder()
        .runner(["status", "--format", "json", "app.ini"]);
    let found: Json = serde_json::from_str(asked.run().success()).expect("JSON");
    let count = |name: &str| found["connections"][name].as_u64().expect("a number");
    (count("open"), count("most"))
}

/// The sizes in bytes of the unnamed files that the server has open, except those in memory.
fn body_files(server: &Server) -> Vec<u64> {
    let is_file = |target: &str| target.ends_with(" (deleted)") && !target.starts_with("/memfd:");
    let descriptors = descriptors(server.pid());
    let files = descriptors.iter().filter(|(_, target)| is_file(target));
    // One that was closed meanwhile is none.
    files
        .filter_map(|(path, _)| Some(fs::metadata(path).ok()?.len()))
        .collect()
}
