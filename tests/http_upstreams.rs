//! `upstream http://…`: requests that go on to servers, and what becomes of their answers, good and bad.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::http::{Connection, request};
use support::scripted::{Scripted, field, text, wait_for};
use support::{Address, Folder, Server};

/// `runner` before servers.
#[track_caller]
fn before(servers: &[&Scripted]) -> Server {
    before_with(servers, "")
}

/// The same with settings.
#[track_caller]
fn before_with(servers: &[&Scripted], settings: &str) -> Server {
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    let words = [
        "-c",
        "settings.ini",
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
    ];
    Folder::new()
        .file("settings.ini", settings)
        .runner(words.into_iter().chain(urls.iter().map(String::as_str)))
        .start()
}

#[test]
fn a_request_reaches_the_server_with_what_is_known_of_its_client() {
    let server = Scripted::answering(|head| text(&head.to_ascii_lowercase()));
    let runner = before(&[&server]);
    let fields = [
        "X-Forwarded-For: 10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
        "TE: trailers",
        "Cookie: a=b",
    ];
    let head = request(runner.address(), "POST", "/a%20b?c=%2F", &fields, b"12345").ok();
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "post /a%20b?c=%2f http/1.1");
    lines.sort_unstable();
    // The name is another one each time.
    let others = lines.len() - 1;
    lines.retain(|line| !line.starts_with("via: 1.1 runner-"));
    assert_eq!(lines.len(), others, "{head}");
    assert_eq!(
        lines,
        [
            "content-length: 5",
            "cookie: a=b",
            "forwarded: for=127.0.0.1;host=\"localhost\";proto=http",
            "host: localhost",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: localhost",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn an_answer_reaches_the_client_however_its_end_is_marked() {
    let server = Scripted::start(|_, mut client| {
        while let Some(head) = client.head() {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let answer: &[u8] = match target {
                "/length" => b"HTTP/1.1 201 Made\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello",
                "/chunks" => {
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"
                }
                "/interim" => {
                    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
                }
                "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
                "/none" => b"HTTP/1.1 204 No Content\r\n\r\n",
                "/same" => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
                _ => {
                    client.send(b"HTTP/1.0 200 OK\r\nConnection: close, x-b\r\nX-B: 1\r\n\r\nhello");
                    return client.close();
                }
            };
            client.send(answer);
        }
    });
    let runner = before(&[&server]);
    let ask = |method: &str, target: &str| request(runner.address(), method, target, &[], b"");
    let reply = ask("GET", "/length");
    assert_eq!(
        (reply.status, &*reply.reason, &*reply.text()),
        (201, "Made", "hello")
    );
    assert_eq!(reply.header("x-a"), Some("1"));
    assert_eq!(ask("GET", "/chunks").ok(), "hello");
    assert_eq!(ask("GET", "/chunks").header("trailer"), None);
    assert_eq!(ask("GET", "/interim").ok(), "hello");
    assert_eq!(ask("HEAD", "/head").header("content-length"), Some("500"));
    assert_eq!(ask("GET", "/none").status, 204);
    let same = ask("GET", "/same");
    assert_eq!((same.status, same.header("etag")), (304, Some("\"a\"")));
    // One connection was enough so far.
    assert_eq!(server.connections(), 1);
    let closed = ask("GET", "/closed");
    assert_eq!((&*closed.ok(), closed.header("x-b")), ("hello", None));
    assert_eq!(ask("GET", "/length").status, 201);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_request_is_repeated_only_where_that_is_safe() {
    // Each connection is closed instead of a second answer, which the client cannot see coming.
    let server = Scripted::start(|_, mut client| {
        let mut is_first = true;
        while let Some(head) = client.head() {
            client.body_of(&head);
            if !std::mem::take(&mut is_first) {
                return client.close();
            }
            client.send(&text("once"));
        }
    });
    let runner = before(&[&server]);
    for _ in 0..3 {
        assert_eq!(request(runner.address(), "GET", "/", &[], b"").ok(), "once");
    }
    assert_eq!(server.connections(), 3);
    let refused = request(runner.address(), "POST", "/order", &[], b"12345");
    assert_eq!(refused.status, 502);
    let log = runner.wait_for_log(|log| log.contains("502 for"));
    assert!(log.contains("502 for POST /order: 127.0.0.1:"), "{log}");
    // Nor where an answer has begun.
    let server = Scripted::start(|_, mut client| {
        client.head();
        client.send(&text("once"));
        client.head();
        client.send(b"HTTP/1.1 2");
        client.close();
    });
    let runner = before(&[&server]);
    assert_eq!(runner.get("/").ok(), "once");
    assert_eq!(runner.get("/").status, 502);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_body_goes_on_whole_and_an_early_answer_comes_back() {
    let server = Scripted::start(|_, mut client| {
        while let Some(head) = client.head() {
            if head.starts_with("POST /refused ") {
                // The rest is read only after that, so that it may have been sent or not when the answer comes.
                client.send(
                    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                );
                return client.closed();
            }
            let body = client.body_of(&head);
            let sum: u64 = body.iter().copied().map(u64::from).sum();
            client.send(&text(&format!("{} bytes, {sum}", body.len())));
        }
    });
    let runner = before(&[&server]);
    let large: Vec<u8> = (0..5_000_003_usize)
        .map(|number| (number % 251) as u8)
        .collect();
    let sum: u64 = large.iter().copied().map(u64::from).sum();
    let reply = request(runner.address(), "PUT", "/", &[], &large);
    assert_eq!(reply.ok(), format!("5000003 bytes, {sum}"));
    assert_eq!(
        request(runner.address(), "POST", "/refused", &[], &large).status,
        413
    );
    assert_eq!(
        request(runner.address(), "PUT", "/", &[], b"1").ok(),
        "1 bytes, 49"
    );
    // A body without bytes is announced where servers ask for a length.
    let server = Scripted::answering(|head| text(field(head, "content-length").unwrap_or("none")));
    let runner = before(&[&server]);
    for (method, expected) in [("POST", "0"), ("GET", "none"), ("DELETE", "none")] {
        assert_eq!(
            request(runner.address(), method, "/", &[], b"").ok(),
            expected
        );
    }
}

/// The head of an empty response with so many fields.
fn head_of(fields: usize) -> Vec<u8> {
    let others: String = (1..fields).map(|it| format!("X-{it}: a\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{others}\r\n").into_bytes()
}

#[test]
fn what_is_wrong_with_a_server_has_its_status_and_its_line() {
    let deaf = Arc::new(AtomicUsize::new(0));
    let given_up = Arc::clone(&deaf);
    let server = Scripted::start(move |_, mut client| {
        let Some(head) = client.head() else { return };
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer: &[u8] = match &*target {
            "/rubbish" => b"220 ftp.example.org ready\r\n",
            "/both" => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            }
            "/coding" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            "/lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "/switch" => b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd",
            "/status" => b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
            "/fields" => {
                client.send(&head_of(1001));
                return client.closed();
            }
            "/silence" => return client.closed(),
            // Nothing of the body is read before the client gives up.
            "/deaf" => return wait_for(&given_up, 1),
            "/refuse" => return,
            "/half" => {
                client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd");
                return client.closed();
            }
            _ => b"",
        };
        client.send(answer);
        client.close();
    });
    let runner = before_with(&[&server], "[runner.request]\ntimeout = '1s'\n");
    let silent = server.url().replace("http://", "");
    for (target, status, why) in [
        ("/rubbish", 502, "sent what is no response of HTTP: "),
        (
            "/both",
            502,
            "sent both `Transfer-Encoding` and `Content-Length`",
        ),
        (
            "/coding",
            502,
            "sent a transfer coding other than `chunked`",
        ),
        ("/lengths", 502, "sent what is no response of HTTP: "),
        ("/switch", 502, "sent status 101 unasked"),
        ("/short", 502, "broke off in the body of its response: "),
        (
            "/closed",
            502,
            "broke off before the head of its response was complete: ",
        ),
        ("/status", 502, "sent a status that is none of 100 to 599"),
        ("/fields", 502, "with more than 1000 fields"),
        (
            "/silence",
            504,
            &format!("{silent} gave no answer within 1 s (runner.request.timeout)"),
        ),
        (
            "/half",
            504,
            "did not send the whole body of its response within 1 s",
        ),
        ("/deaf", 504, "did not take the whole request within 1 s"),
        ("/refuse", 502, "before it had taken the whole request"),
    ] {
        // More than the system takes for a server that reads nothing.
        let (method, body) = match target {
            "/deaf" | "/refuse" => ("PUT", vec![b'a'; 32 << 20]),
            _ => ("GET", Vec::new()),
        };
        let reply = request(runner.address(), method, target, &[], &body);
        assert_eq!(reply.status, status, "{target}");
        let begins = format!("{status} for {method} {target}: ");
        let log = runner.wait_for_log(|log| log.contains(&begins));
        let line = log.lines().find(|line| line.contains(&begins));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{target}: {log}"
        );
    }
    deaf.store(1, Ordering::SeqCst);
}

#[test]
fn a_server_that_is_down_is_told_and_asked_again_once_it_is_there() {
    let folder = Folder::new();
    let socket = folder.path("app.sock");
    let runner = folder
        .runner([
            "serve",
            "tcp://127.0.0.1:0",
            "upstream",
            "http+unix:app.sock",
        ])
        .start();
    assert_eq!(runner.get("/").status, 502);
    let log = runner.wait_for_log(|log| log.contains("502 for"));
    assert!(log.contains("502 for GET /: unix:"), "{log}");
    assert!(log.contains("app.sock cannot be reached: "), "{log}");
    let server = folder
        .runner(["serve", "unix:app.sock", "respond", "200", "here"])
        .start_at(Address::Unix(socket));
    assert_eq!(runner.get("/").ok(), "here\n");
    server.stop();
}

#[test]
fn a_response_that_breaks_off_later_is_broken_off_and_one_whose_client_leaves_is_closed() {
    let left = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&left);
    let server = Scripted::start(move |_, mut client| {
        let Some(head) = client.head() else { return };
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        if head.starts_with("GET /endless ") {
            client.closed();
            seen.fetch_add(1, Ordering::SeqCst);
        } else {
            client.send(&[b"40000\r\n", &[b'a'; 0x40000][..], b"\r\n"].concat());
            client.close();
        }
    });
    let runner = before(&[&server]);
    let broken = runner.get("/broken");
    assert_eq!((broken.status, broken.complete), (200, false));
    runner.wait_for_log(|log| log.contains("the response to GET /broken is broken off"));
    let mut client = Connection::open(runner.address());
    client.send(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.until("first");
    drop(client);
    wait_for(&left, 1);
    // Before the head, too.
    let server = Scripted::start({
        let left = Arc::clone(&left);
        move |_, mut client| {
            client.head();
            left.fetch_add(1, Ordering::SeqCst);
            client.closed();
            left.fetch_add(1, Ordering::SeqCst);
        }
    });
    let runner = before(&[&server]);
    let mut client = Connection::open(runner.address());
    client.send(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for(&left, 2);
    drop(client);
    wait_for(&left, 3);
}

#[test]
fn events_come_at_once_and_a_slow_client_holds_up_no_server() {
    let done = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&done);
    let server = Scripted::start(move |_, mut client| {
        let Some(head) = client.head() else { return };
        if head.starts_with("GET /events ") {
            client.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
            wait_for(&seen, 1);
            client.send(b"data: 2\n\n");
            return client.close();
        }
        let length = 32 << 20;
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        client.send(&vec![b'a'; length]);
        seen.fetch_add(1, Ordering::SeqCst);
        client.closed();
    });
    let runner = before(&[&server]);
    let mut events = Connection::open(runner.address());
    events.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    events.until("data: 1\n\n");
    done.fetch_add(1, Ordering::SeqCst);
    events.until("data: 2\n\n");
    let mut slow = Connection::open(runner.address());
    slow.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow.until("\r\n\r\n");
    // The server has given all of it, of which the client has read nothing.
    wait_for(&done, 2);
    assert!(slow.rest_of(32 << 20));
}

#[test]
fn requests_go_on_while_one_of_two_servers_is_down() {
    let first = Scripted::answering(|_| text("first"));
    let folder = Folder::new();
    let port = support::free_port();
    let second = format!("http://127.0.0.1:{port}");
    let runner = folder
        .runner([
            "serve",
            "tcp://127.0.0.1:0",
            "upstream",
            &second,
            &first.url(),
        ])
        .start();
    for _ in 0..10 {
        assert_eq!(runner.get("/").ok(), "first");
    }
    let log = runner.log();
    let tried = log.matches("another server is tried").count();
    assert_eq!(tried, 1, "it rests afterwards: {log}");
}

#[test]
fn a_mount_is_kept_or_stripped() {
    let server = Scripted::answering(|head| {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let prefix = field(head, "x-forwarded-prefix").unwrap_or("none");
        text(&format!("{target} {prefix}"))
    });
    let folder = Folder::new().file(
        "settings.ini",
        "[runner.http]\ntrusted_proxies = ['127.0.0.1']\nforwarded = ['X-Forwarded-Prefix']\n",
    );
    let url = server.url();
    for (options, expected) in [
        (&[][..], "/shop/a%2Fb?c none"),
        (&["--strip-prefix"], "/a%2Fb?c /shop"),
    ] {
        let words = [
            "-c",
            "settings.ini",
            "serve",
            "tcp://127.0.0.1:0",
            "upstream",
            &url,
        ];
        let runner = folder.runner(words.iter().chain(options)).start();
        let fields = ["X-Forwarded-Prefix: /shop"];
        let reply = request(runner.address(), "GET", "/a%2Fb?c", &fields, b"");
        assert_eq!(reply.ok(), expected);
    }
}

#[test]
fn servers_answer_behind_every_gateway() {
    let server = Scripted::answering(|head| {
        let line = head.lines().next().unwrap_or_default();
        let host = field(head, "host").unwrap_or("none");
        let client = field(head, "x-forwarded-for").unwrap_or("none");
        text(&format!("{line} {host} {client}"))
    });
    let folder = Folder::new();
    let url = server.url();
    let socket = folder.path("socket").display().to_string();
    let fastcgi = folder
        .runner(["FastCGI", "unix:socket", "upstream", &url])
        .start_at(Address::Unix(folder.path("socket")));
    for program in [
        folder.runner(["CGI", "upstream", &url]),
        folder.program("cgi-fcgi", ["-bind", "-connect", &socket]),
    ] {
        let outcome = [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", "/a%20b?c"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "c"),
            ("SERVER_NAME", "localhost"),
            ("SERVER_PORT", "80"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_SOFTWARE", "the tests"),
            ("REMOTE_ADDR", "10.1.2.3"),
            ("HTTP_HOST", "shop.example"),
        ]
        .into_iter()
        .fold(program, |program, (name, value)| program.env(name, value))
        .run();
        let body = outcome.stdout.split("\r\n\r\n").nth(1);
        assert_eq!(
            body,
            Some("GET /a%20b?c HTTP/1.1 shop.example 10.1.2.3"),
            "{outcome:#?}"
        );
    }
    fastcgi.stop();
}
