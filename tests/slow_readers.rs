//! Clients that take their response slowly, or not to its end, cost an unnamed file, little memory, no worker, and
//! other clients nothing.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use runner::protocol::fastcgi::record::{RecordKind, put_records, take_record};
use rustix::process::Signal;
use support::http::{Address, Connection};
use support::usage::{descriptors, memory};
use support::{DEADLINE, Folder, Server, Waits};

const MIB: usize = 1 << 20;

/// Far more than the system buffers for a client that takes nothing.
const LARGE: usize = 24 * MIB;

/// The body that the application sends.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

/// A server whose responses are kept in the folder `kept`, with some more settings and this way to start it.
fn folder(gateway: &str, settings: &str) -> Folder {
    let folder = Folder::new().copy("tests/apps/blocks.py");
    fs::create_dir(folder.path("kept")).expect("a folder");
    folder.file(
        "app.ini",
        format!(
            "app = commands.Alias(command=[{gateway}, 'WSGI', 'import:blocks.application'])\n\
             url = 'tcp://127.0.0.1:0'\n\
             runner.tmp = 'kept'\n\
             runner.status.url = 'unix:control'\n\
             {settings}"
        ),
    )
}

fn serve(settings: &str) -> Server {
    folder("'serve'", settings)
        .runner(["runIni", "app.ini"])
        .start()
}

/// Sends a request, and reads the head of the response and only what arrives with it.
fn ask(server: &Server, target: &str) -> Connection {
    let mut client = Connection::open(server.address());
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.send(request.as_bytes());
    client
}

/// A number in the output of `runner status`.
fn status(server: &Server) -> serde_json::Value {
    let asked = ["status", "--format", "json", "app.ini"];
    let outcome = server.folder().runner(asked).run();
    serde_json::from_str(outcome.success()).expect("JSON")
}

fn delivering(server: &Server, wanted: u64) {
    Waits::until(
        || status(server)["delivering"] == wanted,
        || format!("{:#}", status(server)),
    );
}

/// The server's open files whose name contains this.
fn open(server: &Server, like: &str) -> Vec<PathBuf> {
    let open = descriptors(server.pid()).into_iter();
    let open = open.filter(|(_, target)| target.contains(like));
    open.map(|(path, _)| path).collect()
}

/// Waits until nothing is kept for any client.
fn keeps_nothing(server: &Server) {
    Waits::until(
        || open(server, "/kept/").is_empty(),
        || format!("{:?}", open(server, "/kept/")),
    );
}

#[test]
fn slow_readers_hold_no_worker() {
    let server = serve("[runner.workers]\nmin = 2\nmax = 2\n[runner.request]\nqueue_timeout = 5\n");
    for kind in ["stream", "whole"] {
        let mut slow: Vec<Connection> = (0..4)
            .map(|_| ask(&server, &format!("/{kind}/{LARGE}")))
            .collect();
        delivering(&server, 4);
        let workers = status(&server)["workers"].clone();
        let states = workers.as_array().expect("workers").iter();
        assert!(
            states.into_iter().all(|worker| worker["state"] == "idle"),
            "{workers:#}"
        );
        assert_eq!(server.get("/").ok(), "hello");
        let said = server.folder().runner(["status", "app.ini"]).run();
        assert!(
            said.success()
                .contains("\n4 responses are on their way to their clients\n"),
            "{said:?}"
        );
        for client in &mut slow {
            let reply = client.reply("GET");
            assert!(
                reply.complete && reply.body == pattern(LARGE),
                "{}",
                reply.body.len()
            );
        }
        delivering(&server, 0);
        keeps_nothing(&server);
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_large_answer_is_never_in_memory_as_a_whole() {
    const READERS: usize = 20;
    let server = serve("[runner.workers]\nmin = 2\nmax = 2\n");
    assert_eq!(server.get(&format!("/whole/{LARGE}")).body, pattern(LARGE));
    let before = memory(server.pid(), "VmRSS");
    let slow: Vec<Connection> = (0..READERS)
        .map(|_| ask(&server, &format!("/announced/{LARGE}")))
        .collect();
    delivering(&server, READERS as u64);
    let most = memory(server.pid(), "VmHWM").saturating_sub(before);
    assert!(
        most < READERS * 2 * MIB,
        "{most} bytes for {READERS} readers"
    );
    drop(slow);
    delivering(&server, 0);
    keeps_nothing(&server);
    assert_eq!(server.get("/").ok(), "hello");
    // The buffers for any client, and what the C library keeps for later ones.
    let left = || memory(server.pid(), "VmRSS").saturating_sub(before);
    Waits::until(
        || left() < READERS * MIB / 4,
        || format!("{} bytes stay after {READERS} readers", left()),
    );
    assert_eq!(server.stop().status, 0);
}

/// What clients do not read takes no more memory than is set, however many they are; others are served meanwhile.
#[test]
fn clients_that_do_not_read_use_up_no_memory() {
    const READERS: usize = 120;
    const LENGTH: usize = 3 * MIB;
    let settings = "[runner.workers]\nmin = 2\nmax = 2\n[runner.response]\nmax_memory = '4M'\n";
    // For a client of a Unix socket the system takes little.
    let folder = folder("'serve', 'unix:app.socket'", settings);
    let socket = folder.path("app.socket");
    let program = folder.runner(["runIni", "app.ini"]);
    let server = program.start_at(Address::Unix(socket));
    assert_eq!(
        server.get(&format!("/stream/{LENGTH}")).body,
        pattern(LENGTH)
    );
    let before = memory(server.pid(), "VmRSS");
    let kinds = ["stream", "whole", "announced"].iter().cycle();
    let mut slow: Vec<Connection> = kinds
        .take(READERS)
        .map(|kind| ask(&server, &format!("/{kind}/{LENGTH}")))
        .collect();
    delivering(&server, READERS as u64);
    let held = status(&server)["response_memory"].as_u64();
    let held = held.expect("a number");
    let least = (4 * MIB) as u64;
    assert!((least..3 * least).contains(&held), "{held}");
    assert_eq!(server.get("/").ok(), "hello");
    assert_eq!(
        server.get(&format!("/stream/{LENGTH}")).body,
        pattern(LENGTH)
    );
    let most = memory(server.pid(), "VmHWM").saturating_sub(before);
    assert!(
        most < 4 * MIB + READERS * MIB / 5,
        "{most} bytes for {READERS} readers"
    );
    for client in slow.iter_mut().step_by(10) {
        let reply = client.reply("GET");
        assert!(reply.complete && reply.body == pattern(LENGTH));
    }
    drop(slow);
    delivering(&server, 0);
    keeps_nothing(&server);
    assert_eq!(server.stop().status, 0);
}

/// Responses of a known length announce it, even if they arrive in pieces.
#[test]
fn a_large_answer_has_a_length() {
    let server = serve("");
    for kind in ["whole", "announced"] {
        let mut client = ask(&server, &format!("/{kind}/1000000"));
        let reply = client.reply("GET");
        assert_eq!(reply.header("content-length"), Some("1000000"));
        assert!(reply.body == pattern(1_000_000));
        let mut client = Connection::open(server.address());
        client.send(format!("HEAD /{kind}/1000000 HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(
            client.reply("HEAD").header("content-length"),
            Some("1000000")
        );
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.reply("GET").ok(), "hello");
    }
    assert_eq!(server.stop().status, 0);
}

/// A client that takes this many bytes at a time for a number of times, and everything else as it arrives.
fn take(stream: &mut impl Read, steps: usize, mut got: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 256 * 1024];
    let mut turn = 0;
    loop {
        turn += 1;
        // A few bytes at a time, then many at once, again and again.
        let most = if turn % (2 * steps) < steps {
            700
        } else {
            buffer.len()
        };
        match stream.read(&mut buffer[..most]) {
            Ok(0) => return,
            Ok(count) if got(&buffer[..count]) => {}
            Ok(_) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The body of an HTTP/1.0 response.
fn by_http(server: &Server, target: &str, steps: usize) -> Vec<u8> {
    let Address::Unix(path) = server.address() else {
        panic!("a Unix socket");
    };
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time");
    stream
        .write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())
        .expect("written");
    let mut received = Vec::new();
    take(&mut stream, steps, |bytes| {
        received.extend_from_slice(bytes);
        true
    });
    body_of(&received)
}

fn body_of(response: &[u8]) -> Vec<u8> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n");
    response[end.expect("a head") + 4..].to_vec()
}

/// The body of a FastCGI response.
fn by_fastcgi(server: &Server, target: &str, steps: usize) -> Vec<u8> {
    let Address::Unix(path) = server.address() else {
        panic!("a Unix socket");
    };
    let (path_info, query) = target.split_once('?').unwrap_or((target, ""));
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time");
    let mut params = BytesMut::new();
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("PATH_INFO", path_info),
        ("QUERY_STRING", query),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
    ] {
        let length = |text: &str| u8::try_from(text.len()).expect("short");
        params.extend([length(name), length(value)]);
        params.extend(name.bytes().chain(value.bytes()));
    }
    let mut request = BytesMut::new();
    // The responder role, without keeping the connection.
    let begin = Bytes::from_static(&[0, 1, 0, 0, 0, 0, 0, 0]);
    put_records(&mut request, RecordKind::BeginRequest, 1, begin);
    for (kind, content) in [
        (RecordKind::Params, params.freeze()),
        (RecordKind::Params, Bytes::new()),
        (RecordKind::Stdin, Bytes::new()),
    ] {
        put_records(&mut request, kind, 1, content);
    }
    stream.write_all(&request).expect("written");
    let (mut buffer, mut response) = (BytesMut::new(), Vec::new());
    let mut ended = false;
    take(&mut stream, steps, |bytes| {
        buffer.extend_from_slice(bytes);
        while let Some(record) = take_record(&mut buffer).expect("FastCGI") {
            match RecordKind::from_number(record.kind) {
                Some(RecordKind::Stdout) => response.extend_from_slice(&record.content),
                Some(RecordKind::EndRequest) => ended = true,
                _ => {}
            }
        }
        !ended
    });
    assert!(ended, "no end after {} bytes", response.len());
    body_of(&response)
}

/// Whatever the size of blocks, the pace and the protocol, the content is the same.
#[test]
fn content_is_the_same_however_it_is_taken() {
    const TOTAL: usize = 5 * MIB;
    for gateway in ["serve", "FastCGI"] {
        let socket = "'unix:app.socket'";
        let command = format!("'{gateway}', {socket}");
        let settings = "[runner.workers]\nthreads = 3\n[runner.response]\nmax_buffer = '2M'\n";
        let folder = folder(&command, settings);
        let socket = folder.path("app.socket");
        let program = folder.runner(["runIni", "app.ini"]);
        let server = program.start_at(Address::Unix(socket));
        let clients: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let clients: Vec<_> = [1, 40, 2000]
                .into_iter()
                .flat_map(|steps| [(steps, "random"), (steps, "stream"), (steps, "whole")])
                .map(|(steps, kind)| {
                    let server = &server;
                    scope.spawn(move || {
                        let target = format!("/{kind}/{TOTAL}?{steps}");
                        match gateway {
                            "serve" => by_http(server, &target, steps),
                            _ => by_fastcgi(server, &target, steps),
                        }
                    })
                })
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().expect("an answer"))
                .collect()
        });
        let expected = pattern(TOTAL);
        for (number, body) in clients.into_iter().enumerate() {
            assert!(
                body == expected,
                "{gateway}: client {number} has {} bytes",
                body.len()
            );
        }
        keeps_nothing(&server);
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn a_client_that_leaves_ends_its_response_wherever_that_is() {
    let server = serve("[runner.workers]\nmax = 1\n[runner.response]\nmax_buffer = '12M'\n");
    for read in [0, 1000, 2 * MIB, 8 * MIB] {
        let mut client = ask(&server, "/endless");
        client.until("\r\n\r\n");
        let mut taken = 0;
        while taken < read {
            taken += client.until("\r\n").len();
        }
        let closed = server.log().matches("closed\n").count();
        drop(client);
        server.wait_for_log(|log| log.matches("closed\n").count() > closed);
        assert_eq!(server.get("/").ok(), "hello");
        keeps_nothing(&server);
    }
    assert_eq!(server.stop().status, 0);
}

/// An endless response is kept up to the limit; then the application waits.
#[test]
fn a_response_without_end_is_kept_up_to_the_limit() {
    const LIMIT: u64 = 3 * MIB as u64;
    let server =
        serve("[runner.workers]\nmax = 2\nmin = 2\n[runner.response]\nmax_buffer = '3M'\n");
    let mut client = ask(&server, "/endless");
    client.until("\r\n\r\n");
    let size = || {
        let open = open(&server, "/kept/");
        let sizes = open
            .iter()
            .map(|path| fs::metadata(path).map_or(0, |about| about.len()));
        sizes.max().unwrap_or_default()
    };
    Waits::until(
        || size() >= LIMIT - 64 * 1024,
        || format!("{} bytes are kept", size()),
    );
    // The other worker answers.
    for _ in 0..50 {
        assert_eq!(server.get("/").ok(), "hello");
    }
    assert!(size() <= LIMIT, "{}", size());
    // As its client continues, so does the response: three times as much as may be kept at once.
    let mut taken = 0;
    while taken < 9 * MIB + LARGE {
        taken += client.until("\r\n").len();
        assert!(size() <= LIMIT);
    }
    drop(client);
    server.wait_for_log(|log| log.contains("closed\n"));
    assert_eq!(server.stop().status, 0);
}

/// The end of the available part arrives, late as it is, and no client takes it for complete.
#[test]
fn a_response_that_ends_early_never_looks_whole() {
    let server = serve("[runner.workers]\nmin = 2\n");
    for kind in ["raises", "dies"] {
        let mut client = ask(&server, &format!("/{kind}/{LARGE}"));
        delivering(&server, 1);
        let reply = client.reply("GET");
        assert!(!reply.complete, "{kind}");
        assert!(reply.body.len() <= LARGE && reply.body == pattern(reply.body.len()));
        assert!(reply.body.len() > LARGE - MIB, "{}", reply.body.len());
        delivering(&server, 0);
        keeps_nothing(&server);
    }
    assert_eq!(server.stop().status, 0);
}

/// Files of this process may not exceed 1 MiB, as if the disk became full in the middle of a response.
#[test]
fn if_the_disk_is_full_the_application_waits_and_nothing_is_lost() {
    let folder = folder("'serve'", "[runner.workers]\nmin = 1\nmax = 1\n");
    let limited = "trap '' XFSZ; ulimit -f 1024; exec runner runIni app.ini";
    let server = folder.program("bash", ["-c", limited]).start();
    let mut slow = ask(&server, &format!("/stream/{LARGE}"));
    let said = server.wait_for_log(|log| log.contains("cannot store the response in"));
    let line = said
        .lines()
        .find(|line| line.contains("cannot store"))
        .expect("said");
    let kept = server.folder().path("kept").display().to_string();
    assert_eq!(
        line,
        format!(
            "runner: GET /stream/{LARGE}: cannot store the response in `{kept}`: File too large; the application waits for its client (runner.tmp)"
        )
    );
    let reply = slow.reply("GET");
    assert!(
        reply.complete && reply.body == pattern(LARGE),
        "{}",
        reply.body.len()
    );
    assert_eq!(server.get("/").ok(), "hello");
    keeps_nothing(&server);
    let outcome = server.stop();
    assert_eq!(
        outcome.stderr.matches("cannot store").count(),
        1,
        "{outcome:?}"
    );
    assert_eq!(outcome.status, 0);
}

/// Its worker has left by then, because the server stops or because it has answered enough requests.
#[test]
fn a_response_in_delivery_outlives_its_worker_and_a_stop() {
    let server = serve("[runner.workers]\nmax_requests = 1\nmin = 1\nmax = 1\n");
    let target = format!("/whole/{LARGE}");
    let mut slow: Vec<Connection> = (0..2).map(|_| ask(&server, &target)).collect();
    delivering(&server, 2);
    let reload = server.folder().runner(["reload", "app.ini"]).run();
    reload.is(0, "app.ini serves the new version\n", "");
    delivering(&server, 2);
    slow.push(ask(&server, &target));
    delivering(&server, 3);
    server.signal(Signal::TERM);
    for client in &mut slow {
        let reply = client.reply("GET");
        assert!(
            reply.complete && reply.body == pattern(LARGE),
            "{}",
            reply.body.len()
        );
    }
    let outcome = server.wait();
    assert_eq!(outcome.status, 0, "{outcome:?}");
}
