//! The limits of the HTTP gateway that are settings: what a client gets beyond each of them. Those by the defaults are in
//! `tests/http/requests/limits.txt`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use runner::gateway::http::{HeadLimits, HttpOptions, ProxyOptions};
use support::{ENOUGH, Server, in_time, say, until, until_end};
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

#[path = "support/mirror.rs"]
mod support;

const GET: &str = "GET /bytes/none HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const LAST_ANSWER: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn larger_limits_of_heads_are_kept_to_the_byte() {
    let server = Server::start(HttpOptions {
        head_limits: HeadLimits {
            head: 300_000,
            fields: 2000,
            field: 60_000,
            target: 60_000,
        },
        ..HttpOptions::default()
    });
    let long = |count| "a".repeat(count);
    for (target, fields, status) in [
        (long(59_999), String::new(), "200 OK"),
        (long(60_000), String::new(), "414 URI Too Long"),
        (String::new(), "X: y\r\n".repeat(1998), "200 OK"),
        (
            String::new(),
            "X: y\r\n".repeat(1999),
            "431 Request Header Fields Too Large",
        ),
        (String::new(), format!("X: {}\r\n", long(59_997)), "200 OK"),
        (
            String::new(),
            format!("X: {}\r\n", long(59_998)),
            "431 Request Header Fields Too Large",
        ),
        (
            String::new(),
            format!("X: {}\r\n", long(49_000)).repeat(6),
            "200 OK",
        ),
        (
            String::new(),
            format!("X: {}\r\n", long(49_000)).repeat(7),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let request =
            format!("GET /{target} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n");
        let received = server.ask(&request).await;
        let (found, _) = received.split_once("\r\n").unwrap();
        assert_eq!(
            found,
            format!("HTTP/1.1 {status}"),
            "{} and {} bytes",
            target.len(),
            fields.len()
        );
    }
}

/// A proxy in front has to keep idle connections for a shorter time than this server.
#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let server = Server::start(HttpOptions {
        head_timeout: ENOUGH * 2,
        keep_alive: SHORT,
        ..HttpOptions::default()
    });
    let mut stream = server.connect().await;
    for _ in 0..3 {
        say(&mut stream, GET).await;
        assert_eq!(until(&mut stream, "\r\n\r\n").await, ANSWER);
    }
    let since = Instant::now();
    assert_eq!(until_end(&mut stream).await, "");
    // The response was there a little before it was read.
    assert!(since.elapsed() >= SHORT / 2, "{:?}", since.elapsed());
    // A head that has begun has more time: here, as long as it likes.
    let mut stream = server.connect().await;
    say(&mut stream, GET).await;
    assert_eq!(until(&mut stream, "\r\n\r\n").await, ANSWER);
    let (begun, rest) = GET.split_at(5);
    say(&mut stream, begun).await;
    let mut silence = [0; 1];
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut silence);
    assert!(tokio::time::timeout(4 * SHORT, read).await.is_err());
    say(&mut stream, rest).await;
    assert_eq!(until(&mut stream, "\r\n\r\n").await, ANSWER);
}

#[tokio::test]
async fn without_keep_alive_each_response_is_the_last() {
    let server = Server::start(HttpOptions {
        keep_alive: Duration::ZERO,
        ..HttpOptions::default()
    });
    assert_eq!(server.ask(GET).await, LAST_ANSWER);
}

#[tokio::test]
async fn after_its_requests_a_connection_is_closed() {
    let server = Server::start(HttpOptions {
        keep_alive_requests: 3,
        ..HttpOptions::default()
    });
    let expected = format!("{ANSWER}{ANSWER}{LAST_ANSWER}");
    assert_eq!(server.ask(&GET.repeat(3)).await, expected);
    assert_eq!(server.ask(&GET.repeat(5)).await, expected);
}

async fn connect_from(server: &Server, client: &str) -> TcpStream {
    let socket = match server.address.contains('[') {
        true => TcpSocket::new_v6(),
        false => TcpSocket::new_v4(),
    };
    let socket = socket.unwrap();
    socket.bind(format!("{client}:0").parse().unwrap()).unwrap();
    let address = server.address.parse().unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn an_address_has_its_share_of_connections() {
    let server = Server::start(HttpOptions {
        connections_per_address: 2,
        ..HttpOptions::default()
    });
    let mut kept = Vec::new();
    for client in ["127.0.0.1", "127.0.0.2"] {
        for _ in 0..2 {
            let mut stream = connect_from(&server, client).await;
            say(&mut stream, GET).await;
            assert_eq!(until(&mut stream, "\r\n\r\n").await, ANSWER);
            kept.push(stream);
        }
    }
    let mut refused = connect_from(&server, "127.0.0.2").await;
    assert_eq!(
        until_end(&mut refused).await,
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 24\r\nconnection: close\r\n\r\n503 Service Unavailable\n"
    );
    // Those that are there are served, and one that ends makes room.
    for stream in &mut kept {
        say(stream, GET).await;
        assert_eq!(until(stream, "\r\n\r\n").await, ANSWER);
    }
    drop(kept.pop());
    let answered = async {
        loop {
            let mut stream = connect_from(&server, "127.0.0.2").await;
            if tokio::io::AsyncWriteExt::write_all(&mut stream, GET.as_bytes())
                .await
                .is_ok()
                && read_some(&mut stream).await == ANSWER
            {
                break;
            }
        }
    };
    in_time(answered).await;
}

/// The connections of a trusted proxy are those of many clients: each is counted for the client that it announces.
#[tokio::test]
async fn a_trusted_proxy_is_not_counted_but_its_clients_are() {
    let proxy = |announces| ProxyOptions::new(&["127.0.0.1/32".to_owned()], &[], announces);
    let options = |announces| HttpOptions {
        connections_per_address: 1,
        proxies: proxy(announces),
        ..HttpOptions::default()
    };
    let server = Server::start(options(false));
    let mut kept = Vec::new();
    for client in ["127.0.0.1", "127.0.0.1", "127.0.0.2"] {
        let mut stream = connect_from(&server, client).await;
        say(&mut stream, GET).await;
        assert_eq!(until(&mut stream, "\r\n\r\n").await, ANSWER);
        kept.push(stream);
    }
    let server = Server::start(options(true));
    let connect = async |client: &str| {
        let mut stream = connect_from(&server, "127.0.0.1").await;
        let head = format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n{GET}");
        say(&mut stream, &head).await;
        stream
    };
    for client in ["192.0.2.1", "192.0.2.2"] {
        let mut stream = connect(client).await;
        assert_eq!(until(&mut stream, "\r\n\r\n").await, ANSWER);
        kept.push(stream);
    }
    let mut refused = connect("192.0.2.2").await;
    let answer = read_some(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(kept.pop());
    let answered = async { while read_some(&mut connect("192.0.2.2").await).await != ANSWER {} };
    in_time(answered).await;
}

/// Reads up to the end of a head, or of the connection.
async fn read_some(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        match tokio::io::AsyncReadExt::read_buf(stream, &mut received).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    let text = String::from_utf8(received).unwrap();
    let lines = text
        .split("\r\n")
        .filter(|line| !line.starts_with("date: "));
    lines.collect::<Vec<_>>().join("\r\n")
}
