//! ASGI applications and raw clients of their WebSockets: for each message of either side, what the other one gets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web_socket.rs"]
mod web_socket;

use rustix::process::Signal;
use support::{Folder, Server};
use web_socket::{BINARY, CLOSE, Client, PING, PONG, TEXT, closing, frame, offer};

const SETTINGS: &str = "[runner.workers]\nmax = 1\n[runner.websocket]\nmax_message = '64k'\n";

fn start() -> Server {
    let words = [
        "-c",
        "settings.ini",
        "serve",
        "ASGI",
        "import:talks.application",
    ];
    Folder::new()
        .copy("tests/apps/talks.py")
        .file("settings.ini", SETTINGS)
        .runner(words)
        .start()
}

/// Sends an offer with these header fields. Returns the head of the response.
async fn ask(server: &Server, path: &str, fields: &str) -> (Client, String) {
    let mut client = Client::connect(&server.address().to_string()).await;
    client.send(offer(path, fields).as_bytes()).await;
    let head = client.head().await;
    (client, head)
}

async fn open(server: &Server, path: &str) -> Client {
    let (client, head) = ask(server, path, "").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{path}: {head}");
    client
}

/// The next message, a text.
async fn text(client: &mut Client) -> String {
    let (first, payload) = client.next().await.unwrap();
    assert_eq!(first, TEXT);
    String::from_utf8(payload).unwrap()
}

/// Waits until the application has said of a WebSocket how it was left.
#[track_caller]
fn is_told(server: &Server, path: &str, end: &str) {
    let line = format!("{path}: left with {end}");
    server.wait_for_log(|log| log.contains(&line));
}

#[tokio::test]
async fn an_application_sees_the_offer_and_shapes_its_acceptance() {
    let server = start();
    let fields = "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n";
    let (mut client, head) = ask(&server, "/scope?x=%20", fields).await;
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
    let wanted = "[('asgi', {'version': '3.0', 'spec_version': '2.5'}), \
        ('extensions', {'websocket.http.response': {}}), ('http_version', '1.1'), ('path', '/scope'), \
        ('raw_path', b'/scope'), ('query_string', b'x=%20'), ('scheme', 'ws'), \
        ('subprotocols', ['a', 'b', 'c']), ('type', 'websocket'), False]";
    assert_eq!(text(&mut client).await, wanted);
    let (_, head) = ask(&server, "/chosen", fields).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for field in [
        "sec-websocket-protocol: b\r\n",
        "set-cookie: x=1\r\n",
        "set-cookie: y=2\r\n",
    ] {
        assert_eq!(head.matches(field).count(), 1, "{head}");
    }
    server.stop();
}

#[tokio::test]
async fn messages_of_the_client_arrive_as_they_were_sent() {
    let server = start();
    let mut client = open(&server, "/echo").await;
    let parts = [
        frame(0x01, b"in "),
        frame(PING, b"?"),
        frame(0x80, "p\u{e4}rts".as_bytes()),
    ];
    for (bytes, message) in [
        (frame(TEXT, "\u{20ac}".as_bytes()), "'text': '\u{20ac}'"),
        (frame(TEXT, b""), "'text': ''"),
        (frame(BINARY, b"\0\xff"), "'bytes': b'\\x00\\xff'"),
        (frame(BINARY, b""), "'bytes': b''"),
        (parts.concat(), "'text': 'in p\u{e4}rts'"),
    ] {
        client.send(&bytes).await;
        if bytes == parts.concat() {
            assert_eq!(client.next().await, Some((PONG, b"?".to_vec())));
        }
        let wanted = format!("{{'type': 'websocket.receive', {message}}}");
        assert_eq!(text(&mut client).await, wanted);
    }
    // What stands right behind the handshake is the first message.
    let mut client = Client::connect(&server.address().to_string()).await;
    let early = [offer("/others", "").into_bytes(), frame(TEXT, b"early")];
    client.send(&early.concat()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(text(&mut client).await, "hello");
    assert_eq!(client.next().await, Some((BINARY, b"early".to_vec())));
    server.stop();
}

#[tokio::test]
async fn an_application_learns_how_its_client_leaves() {
    let server = start();
    let mut too_large = frame(TEXT, &[b'a'; 65_537]);
    too_large.truncate(20);
    let code = |code: u16| Some(code.to_be_bytes().to_vec());
    for (bytes, answer, end) in [
        (frame(CLOSE, b""), Some(Vec::new()), "1005 ''\n"),
        (
            frame(CLOSE, &closing(4001, "b\u{ff}")),
            code(4001),
            "4001 'b\u{ff}'\n",
        ),
        (Vec::new(), None, "1006 ''\n"),
        (frame(TEXT, b"\xff"), code(1007), "1007 'a text"),
        (frame(0x83, b""), code(1002), "1002 'a frame"),
        (too_large, code(1009), "1009 'a message"),
    ] {
        let mut client = open(&server, "/echo").await;
        client.send(&bytes).await;
        if let Some(answer) = answer {
            let (first, payload) = client.next().await.unwrap();
            assert_eq!(first, CLOSE);
            assert!(payload.starts_with(&answer), "{payload:?}");
            assert_eq!(client.next().await, None);
        }
        drop(client);
        is_told(&server, "/echo", end);
    }
    // It leaves before it is accepted: that is no error. What is sent then is one, which is not logged.
    let mut client = Client::connect(&server.address().to_string()).await;
    client.send(offer("/late", "").as_bytes()).await;
    drop(client);
    is_told(&server, "/late", "1006 ''\n");
    let said = "/late: the client of the WebSocket has left\n";
    let log = server.wait_for_log(|log| log.contains(said));
    assert!(!log.contains("exception"), "{log}");
    server.stop();
}

#[tokio::test]
async fn a_client_learns_how_the_application_ends() {
    let server = start();
    let long = "\u{e9}".repeat(61);
    let told = format!("4000 '{long}'\n");
    for (path, said, end, told) in [
        ("/returns", Some("all"), closing(1000, ""), None),
        ("/mends", Some("mended"), closing(1000, ""), None),
        ("/fails", None, closing(1011, ""), None),
        ("/closes", None, closing(1000, ""), Some("1000 ''\n")),
        ("/closes/why", None, closing(4000, &long), Some(&*told)),
    ] {
        let mut client = open(&server, path).await;
        if let Some(said) = said {
            assert_eq!(text(&mut client).await, said, "{path}");
        }
        assert_eq!(client.next().await, Some((CLOSE, end.clone())), "{path}");
        // The connection is there until the client has closed it, too.
        client.send(&frame(TEXT, b"crossing")).await;
        client.send(&frame(CLOSE, &end)).await;
        assert_eq!(client.next().await, None, "{path}");
        if let Some(told) = told {
            is_told(&server, path, told);
        }
    }
    server.wait_for_log(|log| log.contains("exception while answering WebSocket /fails\n"));
    server.stop();
}

#[tokio::test]
async fn an_offer_that_is_not_accepted_gets_a_response() {
    let server = start();
    for (path, status, body, told) in [
        ("/refuses", "403 Forbidden", "403 Forbidden\n", true),
        ("/denies", "401 Unauthorized", "not you", true),
        (
            "/nothing",
            "500 Internal Server Error",
            "500 Internal Server Error\n",
            false,
        ),
        (
            "/fails/early",
            "500 Internal Server Error",
            "500 Internal Server Error\n",
            false,
        ),
    ] {
        let (mut client, head) = ask(&server, path, "").await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{head}"
        );
        assert_eq!(
            head.contains("www-authenticate: Basic\r\n"),
            path == "/denies"
        );
        let rest = client.rest().await;
        let found = match head.contains("transfer-encoding: chunked\r\n") {
            true => chunks(&rest),
            false => Some(rest),
        };
        assert_eq!(found.as_deref(), Some(body), "{path}");
        if told {
            is_told(&server, path, "1006 ''\n");
        }
    }
    // A response that the application does not end breaks off.
    let (mut client, head) = ask(&server, "/denies/partly", "").await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(chunks(&client.rest().await), None);
    server.stop();
}

/// The content of a body in chunks (RFC 9112 §7.1); `None` if the last one is missing.
fn chunks(mut rest: &str) -> Option<String> {
    let mut content = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).unwrap();
        content.push_str(behind.get(..size)?);
        rest = behind.get(size..)?.strip_prefix("\r\n")?;
        if size == 0 {
            assert_eq!(rest, "");
            return Some(content);
        }
    }
}

#[tokio::test]
async fn a_stop_is_1001_and_a_reload_1012() {
    let server = start();
    let mut client = open(&server, "/echo").await;
    server.signal(Signal::HUP);
    assert_eq!(client.next().await, Some((CLOSE, closing(1012, ""))));
    is_told(&server, "/echo", "1012 ''\n");
    let mut client = open(&server, "/echo").await;
    server.signal(Signal::TERM);
    assert_eq!(client.next().await, Some((CLOSE, closing(1001, ""))));
    drop(client);
    let outcome = server.wait();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("/echo: left with 1001 ''\n"),
        "{outcome:#?}"
    );
}
