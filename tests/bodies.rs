//! Where bodies that are too large for memory are kept, and what receiving them costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Signal, geteuid};
use support::http::{Connection, request};
use support::{Folder, Program, Server};

/// Answers with the length of the request body.
const LENGTH: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'%d' % len(environ['wsgi.input'].read())]
";

/// A server of that application with these settings, not started.
fn serve(folder: &Folder, settings: &str) -> Program {
    let alias = "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])";
    let folder = folder
        .clone()
        .file("app.py", LENGTH)
        .file("app.ini", format!("{alias}\n{settings}"));
    folder.runner(["runIni", "app.ini"])
}

/// Sends a body that is too large for memory; returns the response body, or its status.
fn post(server: &Server) -> String {
    let body = server.folder().path("body");
    fs::write(&body, vec![b'x'; 3_000_000]).unwrap();
    let at = format!("@{}", body.display());
    let curl = ["--fail", "--data-binary", &at, server.url()];
    server.folder().curl(curl).stdout
}

#[test]
fn a_folder_that_was_set_and_cannot_be_written_fails_the_start_and_a_reload() {
    let folder = Folder::new();
    let refused =
        "cannot write in the folder `[folder]/none` (runner.tmp): No such file or directory\n";
    let started = serve(&folder, "runner.tmp = 'none'\n").run();
    started.is(1, "", &format!("error: {refused}"));
    fs::create_dir(folder.path("there")).unwrap();
    let server = serve(&folder, "runner.tmp = 'there'\n").start();
    assert_eq!(post(&server), "3000000");
    serve(&folder, "runner.tmp = 'none'\n");
    server.signal(Signal::HUP);
    let shown = refused.replace("[folder]", folder.path("").to_str().unwrap());
    server.wait_for_log(|log| log.contains(&format!("\nrunner: error: {shown}")));
    assert_eq!(post(&server), "3000000");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn without_a_setting_the_first_writable_folder_is_used() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let server = serve(&folder, "").env("TMPDIR", &missing).start();
    assert_eq!(post(&server), "3000000");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn it_is_looked_for_as_the_user_that_the_server_is_to_be() {
    if !geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    let public = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), public).unwrap();
    let of_root = folder.path("of_root");
    fs::create_dir(&of_root).unwrap();
    let settings = "runner.python = '/usr/bin/python3'\nrunner.user = 'nobody'\n";
    let server = serve(&folder, settings).env("TMPDIR", &of_root).start();
    assert_eq!(post(&server), "3000000");
    assert_eq!(server.stop().status, 0);
    let set = format!("{settings}runner.tmp = 'of_root'\n");
    let refused = "user `nobody` (runner.user) cannot write in the folder `[folder]/of_root` (runner.tmp): \
                   Permission denied\n";
    let started = serve(&folder, &set).run();
    started.is(1, "", &format!("error: {refused}"));
}

/// The number of write system calls of a process.
fn writes(server: &Server) -> u64 {
    let pid = server.pid().as_raw_nonzero();
    let counts = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let count = counts.lines().find_map(|line| line.strip_prefix("syscw: "));
    count.unwrap().parse().unwrap()
}

#[test]
fn many_small_parts_are_gathered() {
    let server = serve(&Folder::new(), "").start();
    let before = writes(&server);
    let mut connection = Connection::open(server.address());
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head.as_bytes());
    for _ in 0..100 {
        connection.send("1\r\nx\r\n".repeat(1000).as_bytes());
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.reply("POST").text(), "100000");
    let made = writes(&server) - before;
    assert!(made < 1000, "{made}");
    assert_eq!(server.stop().status, 0);
}

/// Wherever the body is kept: in the frame, in memory, or in a file.
#[test]
fn any_negative_size_reads_all_that_is_left() {
    const READS: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    body = environ['wsgi.input']
    size = int(environ['QUERY_STRING'])
    return [b'%d %d' % (len(body.read(10)), len(body.read(size)))]
";
    let serve = ["serve", "WSGI", "import:reads.application"];
    let folder = Folder::new().file("reads.py", READS);
    let server = folder.runner(serve).start();
    for length in [20, 100_000, 3_000_000] {
        let body = vec![b'x'; length];
        for size in ["-1", "-5", "-9223372036854775808"] {
            let reply = request(server.address(), "POST", &format!("/?{size}"), &[], &body);
            let wanted = format!("10 {}", length - 10);
            assert_eq!(reply.ok(), wanted, "{size}: {}", server.log());
        }
    }
    assert_eq!(server.stop().status, 0);
}

/// Sends these bytes after the head of a chunked request on a new connection, and returns everything received.
fn answers(server: &Server, body: &str) -> String {
    let mut connection = Connection::open(server.address());
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(format!("{head}{body}").as_bytes());
    String::from_utf8(connection.rest()).unwrap()
}

/// A malformed chunked body is refused at once, whatever follows: no later request is taken for a part of it, and no
/// more bytes are waited for.
#[test]
fn malformed_chunked_bodies_are_refused() {
    let server = serve(&Folder::new(), "").start();
    for body in [
        "x\r\n",
        "\n",
        "5\n",
        "5;a\n",
        "5;\0",
        "5\r5",
        "10000000000000000\r\n",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\r1",
        "0\r\n\n",
        "0\r\nX: 1\n\n",
        "0\r\nX: 1\r\n\n",
        "0\r\nX: 1\r\r\n",
        "0\r\nX: 1\r\n folded\r\n",
        "0\r\n folded: 1\r\n",
        "0\r\nX\r\n",
        "0\r\n: 1\r\n",
        "0\r\nX : 1\r\n",
        "0\r\nX\u{e9}: 1\r\n",
        "0\r\nX: \0\r\n",
        "0\r\nX: \x7f\r\n",
        "0\r\n\rX",
    ] {
        for behind in [
            "",
            "\r\n\r\n",
            "GET /swallowed HTTP/1.1\r\nHost: h\r\n\r\nGET /third HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            let got = answers(&server, &format!("{body}{behind}"));
            assert!(got.starts_with("HTTP/1.1 400 "), "{body:?}: {got}");
            assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{body:?}: {got}");
        }
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_log_says_what_is_wrong_with_a_body() {
    let server = serve(&Folder::new(), "").start();
    for (body, reason) in [
        ("x\r\n", "the size of a chunk is malformed"),
        (
            "5;\0",
            "an extension of a chunk is malformed, has no name, or contains a control character",
        ),
        (
            "10000000000000000\r\n",
            "the size of a chunk has too many digits",
        ),
        (
            "1\r\nab",
            "a chunk is longer than its size says, or does not end in CRLF",
        ),
        ("0\r\n\n\r\n\r\n", "a trailer is malformed"),
        ("0\r\n\rX", "the trailers do not end in CRLF"),
    ] {
        answers(&server, body);
        let said = format!("runner: refused a request from 127.0.0.1: {reason} (400), POST /\n");
        server.wait_for_log(|log| log.ends_with(&said));
    }
    let mut connection = Connection::open(server.address());
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\none");
    connection.end_writing();
    connection.rest();
    let early = "the body is malformed or incomplete: end of file before message length reached (400), POST /\n";
    server.wait_for_log(|log| log.ends_with(early));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_length_that_is_too_large_for_any_body_is_refused_as_such() {
    let server = serve(&Folder::new(), "").start();
    for (length, status) in [
        ("9223372036854775807", 413),
        ("18446744073709551613", 413),
        ("18446744073709551614", 413),
        ("18446744073709551615", 413),
        ("18446744073709551616", 413),
    ] {
        let mut connection = Connection::open(server.address());
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        connection.send(head.as_bytes());
        assert_eq!(connection.reply("POST").status, status, "{length}");
    }
    assert_eq!(server.stop().status, 0);
}
