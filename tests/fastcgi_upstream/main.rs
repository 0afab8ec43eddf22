//! `upstream fastcgi+unix:…` and an application that behaves well, badly, or not at all.

use runner::protocol::fastcgi::record::{ProtocolStatus, RecordKind, put_records};

use crate::fake_application::{
    Event, FakeApplication, Processes, Reaction, end, error_text, output, page, whole,
};
use crate::support::http::{Connection, request};
use crate::support::{Folder, Load, Server};

#[path = "../support/mod.rs"]
mod support;

mod fake_application;

/// `runner` in front of an application at `app.sock`.
fn serve(folder: &Folder, settings: &str, words: &[&str]) -> Server {
    let folder = folder.clone().file("settings.ini", settings);
    let serve = [
        "-c",
        "settings.ini",
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
    ];
    let words = serve.iter().chain(&["fastcgi+unix:app.sock"]).chain(words);
    folder.runner(words).start()
}

#[test]
fn requests_and_answers_are_whole() {
    let folder = Folder::new();
    let _application = FakeApplication::start(&folder.path("app.sock"), Processes::Many, |asked| {
        let names = [
            "REQUEST_METHOD",
            "SCRIPT_NAME",
            "PATH_INFO",
            "QUERY_STRING",
            "REQUEST_URI",
            "CONTENT_LENGTH",
            "CONTENT_TYPE",
            "HTTP_X_Y",
            "HTTP_PROXY",
            "HTTP_TRANSFER_ENCODING",
            "SERVER_ADDR",
            "APP_ENV",
        ];
        let params: Vec<_> = names.iter().map(|name| asked.param(name)).collect();
        let sum: usize = asked.body.iter().map(|byte| usize::from(*byte)).sum();
        page(&format!(
            "{}\n{} bytes, sum {sum}",
            params.join("|"),
            asked.body.len()
        ))
    });
    let server = serve(&folder, "", &["--param", "APP_ENV=prod"]);
    let fields = ["X-Y: z", "Proxy: evil", "Content-Type: text/x"];
    let reply = request(server.address(), "PUT", "/a%20b?c", &fields, b"\x01\x02");
    assert_eq!(
        reply.ok(),
        "PUT||/a b|c|/a%20b?c|2|text/x|z|||127.0.0.1|prod\n2 bytes, sum 3"
    );
    // Larger than memory takes, and in chunks: the application is told the length.
    let body = vec![1; 3_000_000];
    let reply = request(
        server.address(),
        "POST",
        "/",
        &["Content-Type: text/x"],
        &body,
    );
    assert!(
        reply.ok().ends_with("3000000 bytes, sum 3000000"),
        "{reply:?}"
    );
    let mut connection = Connection::open(server.address());
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(b"3\r\n\x01\x01\x01\r\n0\r\n\r\n");
    let reply = connection.reply("POST").ok();
    assert_eq!(reply, "POST||/||/|3|||||127.0.0.1|prod\n3 bytes, sum 3");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn responses_as_applications_write_them() {
    let folder = Folder::new();
    let _application =
        FakeApplication::start(
            &folder.path("app.sock"),
            Processes::Many,
            |asked| match asked.param("PATH_INFO") {
                "/status" => whole("Status: 404 Not Here\r\nX: y\r\n\r\nnothing"),
                "/away" => whole("Location: https://example.org/\r\n\r\n"),
                "/other" => whole("Location: /page?x=1\n\n"),
                "/around" => whole("Location: /around\n\n"),
                "/page" => page(&format!("page {}", asked.param("QUERY_STRING"))),
                "/long" => whole(&format!("X: {}\n\nbody", "y".repeat(200_000))),
                "/pieces" => vec![
                    Reaction::Send(output("Content-Type: te")),
                    Reaction::Send(output("")),
                    Reaction::Send(error_text("PHP Warning:  first\nsecond")),
                    Reaction::Send(output("xt/plain\r\n\r\none")),
                    Reaction::Send(error_text(" line\n")),
                    Reaction::Send(output(" two")),
                    Reaction::Send([end(ProtocolStatus::Complete), output("junk")].concat()),
                ],
                other => panic!("{other}"),
            },
        );
    let server = serve(&folder, "", &[]);
    let reply = server.get("/status");
    assert_eq!((reply.status, &*reply.reason), (404, "Not Here"));
    assert_eq!((reply.header("x"), &*reply.text()), (Some("y"), "nothing"));
    let reply = server.get("/away");
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("https://example.org/"))
    );
    assert_eq!(server.get("/other").ok(), "page x=1");
    assert_eq!(server.get("/around").status, 502);
    let reply = server.get("/long");
    assert_eq!(reply.header("x").map(str::len), Some(200_000));
    assert_eq!(reply.ok(), "body");
    assert_eq!(server.get("/pieces").ok(), "one two");
    let log = server.stop().stderr;
    for line in [
        "GET /pieces: PHP Warning:  first\n",
        "GET /pieces: second line\n",
        "502 for GET /around: the application redirects it within itself more than 10 times\n",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
}

/// An answer that cannot be used has a status and a line in the log that says why.
#[test]
fn what_is_no_answer_is_told() {
    let folder = Folder::new();
    let _application = FakeApplication::start(&folder.path("app.sock"), Processes::Many, |asked| {
        let send = |bytes: &[u8]| Reaction::Send(bytes.to_vec());
        match asked.param("PATH_INFO") {
            "/closes" => vec![Reaction::Close],
            "/rubbish" => vec![send(b"HTTP/1.1 200 OK\r\n\r\n"), Reaction::Close],
            "/other" => {
                let mut bytes = bytes::BytesMut::new();
                put_records(&mut bytes, RecordKind::Stdout, 2, &b"X: y\n\n"[..]);
                vec![send(&bytes), Reaction::Hang]
            }
            "/text" => whole("Fatal error: x\n\n"),
            "/nothing" => vec![send(&end(ProtocolStatus::Complete))],
            "/head" => vec![send(&output("X: y")), send(&end(ProtocolStatus::Complete))],
            "/overloaded" => vec![send(&end(ProtocolStatus::Overloaded))],
            "/role" => vec![send(&end(ProtocolStatus::UnknownRole))],
            "/hangs" => vec![send(&output("X: y")), Reaction::Hang],
            other => panic!("{other}"),
        }
    });
    let server = serve(&folder, "runner.request.timeout = '300ms'\n", &[]);
    for (path, status, reason) in [
        (
            "/closes",
            502,
            "it has closed the connection before the head of its response was complete",
        ),
        (
            "/rubbish",
            502,
            "found byte 72 where the FastCGI version, 1, was expected",
        ),
        ("/other", 502, "a record is about request 2, not 1"),
        ("/text", 502, "`Fatal error"),
        ("/nothing", 502, "it wrote nothing"),
        (
            "/head",
            502,
            "it wrote no blank line behind its head, which begins with `X: y`",
        ),
        ("/overloaded", 503, "it is overloaded (FCGI_OVERLOADED)"),
        ("/role", 502, "it does not take the request (status 3)"),
        (
            "/hangs",
            504,
            "no answer within 0.3 s (runner.request.timeout)",
        ),
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(
            reply.header("retry-after").is_some(),
            status == 503,
            "{path}"
        );
        let line = |line: &str| {
            line.contains(&format!("{status} for GET {path}: ")) && line.contains(reason)
        };
        server.wait_for_log(|log| log.lines().any(line));
    }
    let status = server.stop().status;
    assert_eq!(status, 0);
}

#[test]
fn a_body_that_breaks_off_or_has_another_length_is_not_taken_for_whole() {
    let folder = Folder::new();
    let _application =
        FakeApplication::start(
            &folder.path("app.sock"),
            Processes::Many,
            |asked| match asked.param("PATH_INFO") {
                "/breaks" => vec![Reaction::Send(output("X: y\n\nbegin")), Reaction::Close],
                "/rubbish" => vec![
                    Reaction::Send([output("X: y\n\nbegin"), b"rubbish!".to_vec()].concat()),
                    Reaction::Close,
                ],
                "/short" => whole("Content-Length: 9\n\nbegin"),
                "/long" => whole("Content-Length: 3\n\nbegin"),
                other => panic!("{other}"),
            },
        );
    let server = serve(&folder, "", &[]);
    for (path, text, complete) in [
        ("/breaks", "begin", false),
        ("/rubbish", "begin", false),
        ("/short", "begin", false),
        ("/long", "beg", true),
    ] {
        let reply = server.get(path);
        assert_eq!((&*reply.text(), reply.complete), (text, complete), "{path}");
    }
    let log = server.stop().stderr;
    assert_eq!(log.matches("was broken off").count(), 2, "{log}");
}

#[test]
fn an_application_may_come_and_go() {
    let folder = Folder::new();
    let server = serve(&folder, "", &[]);
    let reply = server.get("/");
    assert_eq!(reply.status, 502);
    server.wait_for_log(|log| log.contains("502 for GET /: ") && log.contains("cannot be reached"));
    let path = folder.path("app.sock");
    let _application = FakeApplication::start(&path, Processes::Many, |_| page("here"));
    assert_eq!(server.get("/").ok(), "here");
    assert_eq!(server.stop().status, 0);
}

/// A process of PHP-FPM has one connection, kept or not. With kept connections to fewer processes than clients, none
/// of these may wait for ever.
#[test]
fn kept_connections_do_not_hold_up_others() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let _application = FakeApplication::start(&path, Processes::One, |_| page("one"));
    let server = serve(&folder, "", &[]);
    let reads = Load::new(server.address()).fresh(4).kept(4).start();
    let writes = Load::new(server.address())
        .post(b"x")
        .fresh(2)
        .kept(2)
        .start();
    reads.more(300);
    writes.more(300);
    reads.stop().is_whole();
    writes.stop().is_whole();
    assert_eq!(server.stop().status, 0);
}

/// It closes its connection at once then, and takes the next: it need not wait until that is done here.
#[test]
fn a_process_that_others_may_wait_for_is_told_not_to_keep_its_connection() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let application = FakeApplication::start(&path, Processes::Many, |asked| {
        match asked.param("PATH_INFO") {
            "/hangs" => vec![Reaction::Hang],
            _ => page(&asked.keep.to_string()),
        }
    });
    let server = serve(&folder, "", &[]);
    let mut first = Connection::open(server.address());
    first.send(b"GET /hangs HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(application.next(), Event::Asked);
    assert_eq!(server.get("/").ok(), "false");
    drop(first);
    while application.next() != Event::Left {}
    assert_eq!(server.get("/").ok(), "true");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn connections_are_used_again() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let _application = FakeApplication::start(&path, Processes::Many, |asked| {
        page(&format!("{} {}", asked.connection, asked.number))
    });
    let server = serve(&folder, "", &[]);
    assert_eq!(server.get("/").ok(), "0 0");
    assert_eq!(server.get("/").ok(), "0 1");
    // What may not be sent twice has a connection of its own, in place of the one that was kept.
    let post = |body: &[u8]| request(server.address(), "POST", "/", &[], body).ok();
    assert_eq!(post(b"x"), "1 0");
    assert_eq!(server.get("/").ok(), "1 1");
    assert_eq!(server.stop().status, 0);
}

/// As with `pm.max_requests`: a process ends after some requests, and its kept connection with it.
#[test]
fn nothing_is_lost_with_connections_that_the_application_closes() {
    for most in 1..=3 {
        let folder = Folder::new();
        let path = folder.path("app.sock");
        let _application = FakeApplication::start(&path, Processes::One, move |asked| {
            let mut reactions = page("page");
            if asked.number + 1 >= most {
                reactions.push(Reaction::Close);
            }
            reactions
        });
        let server = serve(&folder, "", &["--connections", "1"]);
        let reads = Load::new(server.address()).fresh(2).kept(2).start();
        let writes = Load::new(server.address()).post(b"x").kept(2).start();
        reads.more(200);
        writes.more(200);
        reads.stop().is_whole();
        writes.stop().is_whole();
        assert_eq!(server.stop().status, 0);
    }
}

/// A request that was read and not answered is sent again if it changes nothing, and only then.
#[test]
fn only_requests_that_change_nothing_are_sent_again() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let _application = FakeApplication::start(&path, Processes::Many, |asked| {
        match asked.connection.is_multiple_of(2) {
            true => vec![Reaction::Close],
            false => {
                let mut reactions = page(&format!("connection {}", asked.connection));
                reactions.push(Reaction::Close);
                reactions
            }
        }
    });
    let server = serve(&folder, "", &[]);
    assert_eq!(server.get("/").ok(), "connection 1");
    let reply = request(server.address(), "POST", "/", &[], b"x");
    assert_eq!(reply.status, 502);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_application_learns_that_a_client_has_left() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let application = FakeApplication::start(&path, Processes::Many, |asked| {
        match asked.param("PATH_INFO") {
            "/head" => vec![Reaction::Hang],
            _ => vec![Reaction::Send(output("X: y\n\nbegin")), Reaction::Hang],
        }
    });
    let server = serve(&folder, "", &[]);
    for (target, until) in [("/head", None), ("/body", Some("begin"))] {
        let mut connection = Connection::open(server.address());
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(application.next(), Event::Asked);
        if let Some(text) = until {
            connection.until(text);
        }
        drop(connection);
        assert_eq!(application.next(), Event::Left, "{target}");
    }
    assert_eq!(server.stop().status, 0);
}

/// The application is free when it has made a response, however slowly its client receives it.
#[test]
fn slow_clients_do_not_hold_up_the_application() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let application = FakeApplication::start(&path, Processes::One, |asked| {
        match asked.param("PATH_INFO") {
            "/large" => whole(&format!("X: y\n\n{}", "x".repeat(20_000_000))),
            _ => page("small"),
        }
    });
    let server = serve(&folder, "", &[]);
    let mut slow = Connection::open(server.address());
    slow.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(application.next(), Event::Asked);
    assert_eq!(application.next(), Event::Sent);
    assert_eq!(server.get("/").ok(), "small");
    assert_eq!(slow.reply("GET").ok().len(), 20_000_000);
    assert_eq!(server.stop().status, 0);
}

/// With no room to store a response, the application waits for the client, and no more is kept than a little.
#[test]
fn an_application_waits_for_a_slow_client_if_nothing_may_be_stored() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let application = FakeApplication::start(&path, Processes::Many, |asked| {
        match asked.param("PATH_INFO") {
            "/large" => whole(&format!("X: y\n\n{}", "x".repeat(20_000_000))),
            _ => page("small"),
        }
    });
    let server = serve(&folder, "runner.response.max_buffer = 0\n", &[]);
    let mut slow = Connection::open(server.address());
    slow.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(application.next(), Event::Asked);
    drop(slow.until("\r\n\r\n"));
    for _ in 0..50 {
        assert_eq!(server.get("/").ok(), "small");
        assert_eq!(application.next(), Event::Asked);
        assert_eq!(application.next(), Event::Sent);
    }
    drop(slow);
    assert_eq!(application.next(), Event::Left);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn requests_wait_for_a_connection_and_not_for_ever() {
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let _application = FakeApplication::start(&path, Processes::Many, |_| vec![Reaction::Hang]);
    let settings = "runner.request.queue_timeout = '100ms'\nrunner.stop_timeout = '100ms'\n";
    let server = serve(&folder, settings, &["--connections", "1"]);
    let mut first = Connection::open(server.address());
    first.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    // Whichever of both came first has the connection.
    let reply = server.get("/second");
    let other = match reply.status {
        503 => reply,
        _ => first.reply("GET"),
    };
    assert_eq!(
        (other.status, other.header("retry-after")),
        (503, Some("1"))
    );
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    for reason in [
        "app.sock` was busy for too long (runner.request.queue_timeout)",
        "the server is being stopped (runner.stop_timeout)",
    ] {
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
}
