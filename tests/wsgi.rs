//! PEP 3333 from the client's side: every way in which an application may answer and read.
//!
//! The application is `tests/apps/answers.py`, inside `wsgiref.validate.validator` wherever it is correct.

mod support;

use support::http::{self, Connection, Reply};
use support::{Folder, Server, project};

fn answers() -> Server {
    Folder::new()
        .copy("tests/apps/answers.py")
        .runner(["serve", "WSGI", "import:answers.application"])
        .start()
}

/// Ends a server, whose log must contain only what the test expects.
#[track_caller]
fn stop(server: Server) {
    let outcome = server.stop();
    assert!(
        outcome.status == 0 && outcome.stdout.is_empty(),
        "{outcome:#?}"
    );
}

#[test]
fn bodies_arrive_as_they_were_made() {
    let server = answers();
    for (name, body) in [
        ("block", "one block"),
        ("blocks", "one two three"),
        ("empty", ""),
        ("generator", "one two"),
        ("write", "written by hand and returned"),
        ("length", "one block"),
        ("closes", "onetwo"),
        ("prints", "quiet"),
    ] {
        let reply = server.get(&format!("/{name}"));
        assert_eq!(reply.ok(), body, "{name}\n{}", server.log());
        assert_eq!(reply.reason, "OK");
        assert_eq!(reply.header("content-type"), Some("text/plain"), "{name}");
        assert_eq!(reply.all("date").len(), 1, "{name}");
    }
    stop(server);
}

#[test]
fn a_body_in_one_block_has_a_length() {
    let server = answers();
    for (name, length) in [("block", "9"), ("empty", "0"), ("length", "9")] {
        // The validator hides the number of blocks.
        let reply = server.get(&format!("/{name}?unchecked"));
        assert_eq!(reply.header("content-length"), Some(length), "{name}");
        assert_eq!(reply.header("transfer-encoding"), None, "{name}");
    }
    stop(server);
}

#[test]
fn statuses_and_header_fields_arrive_as_they_were_given() {
    let server = answers();
    let reply = server.get("/reason");
    assert_eq!(
        (reply.status, reply.reason.as_str()),
        (299, "Something Of Our Own")
    );

    let mut connection = Connection::open(server.address());
    connection.send(b"GET /repeated HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let bytes = connection.rest();
    let has = |part: &[u8]| {
        bytes
            .windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part))
    };
    assert!(
        has(b"x-latin: \xe9\r\n"),
        "{}",
        String::from_utf8_lossy(&bytes)
    );
    let reply = server.get("/repeated");
    assert_eq!(reply.all("set-cookie"), ["a=1", "b=2"]);

    let reply = server.get("/replaced");
    assert_eq!((reply.status, reply.reason.as_str()), (503, "Sorry"));
    assert_eq!(
        (reply.header("x-first"), reply.header("x-second")),
        (None, Some("yes"))
    );
    assert_eq!(reply.text(), "sorry");
    stop(server);
}

/// They concern the server and its client, not the application (PEP 3333).
#[test]
fn hop_by_hop_fields_of_an_application_are_dropped() {
    let server = answers();
    let reply = server.get("/hop_by_hop?unchecked");
    assert_eq!(reply.ok(), "0\r\n\r\n");
    assert_eq!(reply.header("content-length"), Some("5"));
    stop(server);
}

/// One connection for all: a body where none is allowed would garble the next response.
#[test]
fn responses_without_a_body_have_none() {
    let server = answers();
    let mut connection = Connection::open(server.address());
    for (method, name, status, length) in [
        ("HEAD", "length", 200, Some("9")),
        ("HEAD", "generator", 200, None),
        (
            "HEAD",
            "file",
            200,
            server.get("/file").header("content-length"),
        ),
        ("HEAD", "closes", 200, None),
        ("GET", "no_content", 204, None),
        ("GET", "not_modified", 304, None),
        ("GET", "length", 200, Some("9")),
    ] {
        let request = format!("{method} /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.send(request.as_bytes());
        let reply = connection.reply(method);
        assert_eq!(reply.status, status, "{method} {name}\n{}", server.log());
        if length.is_some() || status != 200 {
            assert_eq!(reply.header("content-length"), length, "{method} {name}");
        }
        assert_eq!(reply.body.is_empty(), (method, name) != ("GET", "length"));
    }
    drop(connection);
    server.wait_for_log(|log| log.contains("closed regular"));
    stop(server);
}

#[test]
fn files_are_sent_from_where_they_were_read_to() {
    let server = answers();
    let source =
        std::fs::read_to_string(project("tests/apps/answers.py")).expect("the application");
    let (first, rest) = source.split_once('\n').expect("a line");
    // The validator hides the wrapper, so that blocks are sent; without it, the file itself is sent.
    for checked in ["", "?unchecked"] {
        assert_eq!(server.get(&format!("/file{checked}")).ok(), rest);
        assert_eq!(
            server.get(&format!("/no_real_file{checked}")).ok(),
            "from memory ".repeat(1000)
        );
    }
    assert_eq!(server.get("/part_of_file?unchecked").ok(), first[..3]);
    stop(server);
}

#[test]
fn blocks_are_sent_when_they_are_made() {
    let server = Folder::new()
        .copy("tests/apps/gated.py")
        .gated(["serve", "WSGI", "import:gated.application"])
        .start();
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    // The second block cannot exist yet: the application waits at the gate.
    connection.until("first,");
    server.folder().open_gate();
    connection.until("second");
    stop(server);
}

#[test]
fn iterables_are_closed_whatever_happens() {
    let server = answers();
    server.get("/closes").ok();
    server.wait_for_log(|log| log.contains("closed regular\n"));

    let reply = server.get("/closes_after_failure");
    assert_eq!((reply.text().as_str(), reply.complete), ("one", false));
    let log = server.wait_for_log(|log| log.contains("closed failed\n"));
    assert!(log.contains("ValueError: in the middle"), "{log}");

    let mut connection = Connection::open(server.address());
    connection.send(b"GET /closes_for_nobody HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.until("xxxx");
    drop(connection);
    server.wait_for_log(|log| log.contains("closed abandoned\n"));
    stop(server);
}

#[test]
fn a_response_that_ends_early_is_not_complete() {
    let server = answers();
    let reply = server.get("/too_late");
    assert_eq!((reply.text().as_str(), reply.complete), ("first", false));
    server.wait_for_log(|log| log.contains("ValueError: too late to change"));

    let reply = server.get("/too_short?unchecked");
    assert_eq!((reply.text().as_str(), reply.complete), ("one", false));
    server.wait_for_log(|log| log.contains("announced 10 bytes and gave 3"));

    let reply = server.get("/too_long?unchecked");
    assert_eq!((reply.text().as_str(), reply.complete), ("one", true));
    server.wait_for_log(|log| log.contains("announced 3 bytes and gave 11"));
    stop(server);
}

#[test]
fn an_application_that_fails_is_answered_500_and_explained_in_the_log() {
    const TRACEBACK: &str = "\nTraceback (most recent call last):\n";
    for (name, reasons) in [
        ("raises", [TRACEBACK, "ZeroDivisionError: division by zero"]),
        (
            "raises_in_iteration",
            [TRACEBACK, "LookupError: before the first block"],
        ),
        (
            "text",
            [TRACEBACK, "AssertionError: Iterator yielded non-bytestring"],
        ),
        (
            "text?unchecked",
            [
                "exception while answering GET",
                "a WSGI application gives bytes, but got a str",
            ],
        ),
        (
            "never_starts?unchecked",
            [
                "exception while answering GET",
                "before it called start_response",
            ],
        ),
        (
            "nothing?unchecked",
            [
                "exception while answering GET",
                "'NoneType' object is not iterable",
            ],
        ),
        (
            "starts_twice?unchecked",
            [TRACEBACK, "start_response was called a second time"],
        ),
        (
            "bad_status?unchecked",
            ["500 for GET", "`fine` is not a status"],
        ),
        (
            "bad_header?unchecked",
            ["500 for GET", r"`a\r\nSet-Cookie: forged=1` is not a value"],
        ),
        (
            "bad_name?unchecked",
            ["500 for GET", "`X Bad` is not a header name"],
        ),
    ] {
        let server = answers();
        let reply = server.get(&format!("/{name}"));
        assert_eq!(reply.status, 500, "{name}: {reply:#?}");
        assert_eq!(reply.text(), "500 Internal Server Error\n", "{name}");
        assert_eq!(reply.header("set-cookie"), None);
        server.wait_for_log(|log| reasons.iter().all(|reason| log.contains(reason)));
        // The worker is unharmed.
        assert_eq!(server.get("/block").ok(), "one block", "{name}");
        stop(server);
    }
}

/// Sends a body in chunks (RFC 9112 §7.1).
fn chunked(server: &Server, target: &str, body: &[u8], chunk: usize) -> Reply {
    let mut connection = Connection::open(server.address());
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for part in body.chunks(chunk) {
        request.extend(format!("{:x}\r\n", part.len()).bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    connection.send(&request);
    connection.reply("POST")
}

#[test]
fn uploads_of_every_size_come_back() {
    let server = answers();
    for size in [1, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 3_000_000] {
        let body: Vec<u8> = (0..size as u32)
            .map(|number| (number % 251) as u8)
            .collect();
        let reply = http::request(server.address(), "POST", "/echo", &[], &body);
        assert!(
            reply.status == 200 && reply.body == body,
            "{size} bytes\n{}",
            server.log()
        );
        let reply = chunked(&server, "/echo", &body, 10_000);
        assert!(
            reply.status == 200 && reply.body == body,
            "{size} bytes in chunks"
        );
    }
    assert_eq!(chunked(&server, "/echo", b"", 1).ok(), "");
    stop(server);
}

#[test]
fn the_body_can_be_read_in_every_way() {
    let server = answers();
    let body = b"one\ntwo\nthree\nfour";
    let found = r"[b'one\n', b'two\n', b'th', b'ree\n', b'four', b'']";
    let reply = http::request(server.address(), "POST", "/lines?unchecked", &[], body);
    assert_eq!(reply.ok(), found);
    let large = vec![b'x'; 2_000_000];
    let reply = http::request(
        server.address(),
        "POST",
        "/real_file?unchecked",
        &[],
        &large,
    );
    assert_eq!(reply.ok(), "2000000 xxxx 2000000");
    stop(server);
}

#[test]
fn the_application_writes_to_the_log() {
    let server = answers();
    assert_eq!(server.get("/prints").ok(), "quiet");
    for line in [
        "said on stdout\n",
        "said on stderr\n",
        "written to descriptor 1\n",
        "said to wsgi.errors\n",
    ] {
        server.wait_for_log(|log| log.contains(line));
    }
    stop(server);
}
