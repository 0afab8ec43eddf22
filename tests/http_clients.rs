//! The HTTP gateway and its clients: large, slow, vanishing and many.

use std::sync::Arc;
use std::time::Duration;

use runner::gateway::body::spool::SpoolOptions;
use runner::gateway::http::HttpOptions;
use support::{ENOUGH, Server, in_time, say, until, until_end};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

#[path = "support/mirror.rs"]
mod support;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let server = Server::start_at(&format!("unix:{}", path.display()), HttpOptions::default());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    say(&mut stream, GET).await;
    let received = until(&mut stream, "no body").await;
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn each_response_is_dated_once() {
    let server = Server::start(HttpOptions::default());
    for path in ["/", "/own", "/204", "/stream"] {
        let mut stream = server.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        say(&mut stream, &request).await;
        let mut received = String::new();
        in_time(stream.read_to_string(&mut received)).await.unwrap();
        assert_eq!(received.matches("\r\ndate: ").count(), 1, "{received}");
    }
}

#[tokio::test]
async fn the_application_knows_both_ends_of_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let ask = "GET /connection HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    let server = Server::start_at("tcp://LOCALHOST:0", HttpOptions::default());
    let mut stream = server.connect().await;
    let local = stream.local_addr().unwrap();
    say(&mut stream, ask).await;
    let received = until_end(&mut stream).await;
    let expected = format!("LOCALHOST {} 127.0.0.1 {}", server.port, local.port());
    assert!(received.ends_with(&expected), "{received}");

    let server = Server::start_at("tcp://*:0", HttpOptions::default());
    let received = server.ask(ask).await;
    let expected = format!("\r\n\r\n127.0.0.1 {} 127.0.0.1 ", server.port);
    assert!(received.contains(&expected), "{received}");

    let _server = Server::start_at(&format!("unix:{}", path.display()), HttpOptions::default());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    say(&mut stream, ask).await;
    let received = until_end(&mut stream).await;
    assert!(received.ends_with("\r\n\r\nlocalhost 80  "), "{received}");
}

#[tokio::test]
async fn large_bodies_become_files() {
    let server = Server::start(HttpOptions::default());
    for (size, expected) in [
        (65_536, "65536 bytes in memory"),
        (65_537, "65537 bytes in a file of 65537"),
        (3_000_000, "3000000 bytes in a file of 3000000"),
    ] {
        let body = "b".repeat(size);
        let received = server.ask(&(post(size) + &body)).await;
        assert!(received.ends_with(expected), "{received}");
        let chunks =
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let half = size / 2;
        let request = format!(
            "{chunks}{half:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &body[..half],
            size - half,
            &body[half..]
        );
        let received = server.ask(&request).await;
        assert!(received.ends_with(expected), "{received}");
    }
}

/// The response to a large upload.
async fn upload(spool: SpoolOptions, length: usize) -> String {
    let server = Server::start(HttpOptions {
        spool: Arc::new(spool),
        ..HttpOptions::default()
    });
    server.ask(&(post(length) + &"b".repeat(length))).await
}

#[tokio::test]
async fn a_body_that_cannot_be_kept_is_an_error_of_the_server() {
    let spool = SpoolOptions {
        folder: "/no/such/folder".into(),
        ..SpoolOptions::default()
    };
    let received = upload(spool, 2_000_000).await;
    let failed = "HTTP/1.1 500 Internal Server Error\r\n";
    assert!(received.starts_with(failed), "{received}");
}

/// Simple clients send all of a refused request before they read.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_keeps_sending() {
    let spool = SpoolOptions {
        limit: 1000,
        ..SpoolOptions::default()
    };
    let received = upload(spool, 5_000_000).await;
    let refused = "HTTP/1.1 413 Payload Too Large\r\n";
    assert!(received.starts_with(refused), "{received}");
}

#[tokio::test]
async fn a_client_that_waits_for_the_go_ahead_gets_it() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    say(&mut stream, head).await;
    assert_eq!(
        until(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    say(&mut stream, "one").await;
    assert!(
        until(&mut stream, "body one")
            .await
            .starts_with("HTTP/1.1 200 OK\r\n")
    );
}

#[tokio::test]
async fn a_client_that_waits_for_the_go_ahead_of_too_large_a_body_does_not_get_it() {
    let server = Server::start(HttpOptions {
        spool: Arc::new(SpoolOptions {
            limit: 1000,
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    });
    let received = server
        .ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n")
        .await;
    assert!(
        received.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{received}"
    );
}

#[tokio::test]
async fn a_client_that_stops_sending_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let server = Server::start(HttpOptions {
        head_timeout: short,
        body_timeout: short,
        ..HttpOptions::default()
    });
    for (request, expected) in [
        ("", ""),
        (
            "GET / HTTP/1.1\r\nHost:",
            "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 20\r\nconnection: close\r\n\r\n408 Request Timeout\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\none",
            "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 20\r\nconnection: close\r\n\r\n408 Request Timeout\n",
        ),
    ] {
        assert_eq!(server.ask(request).await, expected, "{request:?}");
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_keep_the_application() {
    let server = Server::start(HttpOptions {
        write_timeout: Duration::from_millis(50),
        ..HttpOptions::default()
    });
    let mut stream = server.connect().await;
    say(&mut stream, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    in_time(server.mirror.gone.notified()).await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_worked_for_no_longer() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server.connect().await;
    say(&mut stream, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    in_time(server.mirror.waiting.notified()).await;
    drop(stream);
    in_time(server.mirror.given_up.notified()).await;

    let mut stream = server.connect().await;
    say(&mut stream, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stream.read_exact(&mut [0; 100_000]).await.unwrap();
    drop(stream);
    in_time(server.mirror.gone.notified()).await;
}

/// Whatever else it has sent: a body in any form, and empty lines.
#[tokio::test]
async fn a_client_that_goes_away_is_noticed_whatever_it_has_sent() {
    let server = Server::start(HttpOptions::default());
    let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    let body = "b".repeat(200_000);
    let post = "POST /wait HTTP/1.1\r\nHost: a\r\n";
    for sent in [
        format!("{post}Content-Length: 200000\r\n\r\n{body}"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n30d40\r\n{body}\r\n0\r\n\r\n"),
        format!("{wait}\r\n"),
    ] {
        let mut stream = server.connect().await;
        tokio::select! {
            () = say(&mut stream, &sent) => in_time(server.mirror.waiting.notified()).await,
            // The server need not take all of it.
            () = in_time(server.mirror.waiting.notified()) => {}
        }
        drop(stream);
        let given_up = timeout(ENOUGH, server.mirror.given_up.notified()).await;
        let about = sent.get(..80).unwrap_or(&sent);
        assert!(given_up.is_ok(), "{} bytes, {about:?}", sent.len());
    }
}

#[tokio::test]
async fn a_broken_response_without_a_length_is_reset() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server.connect().await;
    say(&mut stream, "GET /stream/broken HTTP/1.0\r\n\r\n").await;
    let error = in_time(stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_application_may_do_something_after_its_last_block() {
    let server = Server::start(HttpOptions::default());
    let received = server
        .ask("GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(received.ends_with("\r\n\r\none"), "{received}");
    // The client can still receive.
    server.mirror.go_on.notify_one();
    in_time(server.mirror.waiting.notified()).await;
}

#[tokio::test]
async fn many_slow_clients_cost_the_others_nothing() {
    let server = Server::start(HttpOptions::default());
    let mut slow = Vec::new();
    for _ in 0..400 {
        let mut stream = server.connect().await;
        say(&mut stream, &post(1000)).await;
        say(&mut stream, "b").await;
        slow.push(stream);
    }
    for stream in &mut slow {
        say(stream, "b").await;
        let received = server
            .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert!(received.ends_with("no body"), "{received}");
    }
    for mut stream in slow {
        say(&mut stream, &"b".repeat(998)).await;
        let received = until_end(&mut stream).await;
        assert!(received.ends_with("1000 bytes in memory"), "{received}");
    }
}

/// At most two connections.
fn crowded() -> Server {
    Server::start(HttpOptions {
        connections: 2,
        ..HttpOptions::default()
    })
}

/// Connections for which the server waits are closed, the one idle longest first: idle ones, and those in the middle of
/// a head or a body.
#[tokio::test]
async fn the_longest_idle_connection_makes_room_for_a_new_one() {
    let cases = [
        (GET, "no body", ""),
        (
            "GET / HTTP/1.1\r\nHost:",
            "",
            "HTTP/1.1 408 Request Timeout\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 408 Request Timeout\r\n",
        ),
        ("", "", ""),
    ];
    for (first, answer, end) in cases {
        let server = crowded();
        let mut longest = server.connect().await;
        say(&mut longest, first).await;
        if !answer.is_empty() {
            until(&mut longest, answer).await;
        }
        let mut other = server.connect().await;
        let mut new = server.connect().await;
        say(&mut new, GET).await;
        until(&mut new, "no body").await;
        let received = until_end(&mut longest).await;
        assert!(received.starts_with(end), "{first:?}: {received}");
        assert_eq!(received.is_empty(), end.is_empty(), "{first:?}: {received}");
        // No other connection was closed.
        say(&mut other, GET).await;
        until(&mut other, "no body").await;
    }
}

/// Busy connections are not closed for new ones: their responses say that the connection closes, so that others get
/// their turn.
#[tokio::test]
async fn new_connections_wait_while_all_are_at_work() {
    let server = crowded();
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        say(&mut client, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
        in_time(server.mirror.waiting.notified()).await;
        busy.push(client);
    }
    let mut new = server.connect().await;
    say(&mut new, GET).await;
    // Unless the limit is higher by now.
    server
        .options
        .send_modify(|options| options.connections = 3);
    until(&mut new, "no body").await;
    drop(new);
    server
        .options
        .send_modify(|options| options.connections = 2);
    let mut new = server.connect().await;
    say(&mut new, GET).await;
    server.mirror.go_on.notify_one();
    // Only one of them has ended, and this one has taken its place.
    let received = until(&mut new, "no body").await;
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    server.mirror.go_on.notify_one();
    let mut busy = busy.into_iter();
    let received = until_end(&mut busy.next().unwrap()).await;
    assert!(received.ends_with("waited"), "{received}");
    assert!(received.contains("\r\nconnection: close\r\n"), "{received}");
    until(&mut busy.next().unwrap(), "waited").await;
}
