//! Failures: aborted and truncated requests, web servers that go away, stall, or send something else.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use runner::gateway::body::spool::SpoolOptions;
use runner::gateway::fastcgi::{FastCgiOptions, web_servers};
use runner::protocol::fastcgi::record::{BeginRequest, ProtocolStatus, RecordKind};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::sample::{Server, in_time, pattern};
use crate::web_server::{Answer, COMPLETE, begin, get, params, post, record, stdin};

#[tokio::test]
async fn an_aborted_request_is_given_up_and_ended() {
    let mut server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    client.send(get(1, "/wait")).await;
    assert_eq!(server.event().await, "waiting");
    let answer = client
        .ask(record(RecordKind::AbortRequest as u8, 1, b""))
        .await;
    assert_eq!((answer.stdout.len(), answer.end), (0, Some(COMPLETE)));
    assert_eq!(server.event().await, "given up");

    // In the middle of a body, and of the variables; and for a request that does not exist.
    for sent in [16, 24] {
        let whole = post(1, "/echo", b"body");
        let mut some = BytesMut::from(&whole[..sent]);
        if sent == 24 {
            some = begin(1, true);
            some.unsplit(params(1, &[]));
        }
        some.unsplit(record(RecordKind::AbortRequest as u8, 1, b""));
        assert_eq!(client.ask(some).await.end, Some(COMPLETE));
    }
    client
        .send(record(RecordKind::AbortRequest as u8, 9, b""))
        .await;
    assert_eq!(
        client.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
}

#[tokio::test]
async fn a_web_server_that_goes_away_leaves_nothing_running() {
    let mut server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    client.send(get(1, "/wait")).await;
    assert_eq!(server.event().await, "waiting");
    drop(client);
    assert_eq!(server.event().await, "given up");

    let mut client = server.connect().await;
    client.send(get(1, "/endless")).await;
    client.next().await.unwrap();
    drop(client);
    assert_eq!(server.event().await, "nobody wants more");
}

#[tokio::test]
async fn a_truncated_answer_is_never_taken_for_whole() {
    let mut server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let answer = client.ask(get(1, "/truncated")).await;
    assert_eq!(answer.body(), b"half");
    assert_eq!((answer.end, answer.stdout_ended), (None, false));
    assert!(answer.aborted);
    assert_eq!(client.next().await, None);

    // Others on the same connection are finished first.
    let mut client = server.connect().await;
    client.send(get(1, "/wait")).await;
    assert_eq!(server.event().await, "waiting");
    let answer = client.ask(get(2, "/truncated")).await;
    assert!(answer.aborted);
    assert_eq!(
        client.ask(get(3, "/x")).await.end,
        Some(ProtocolStatus::Overloaded as u8)
    );
    server.application.gate.notify_one();
    assert_eq!(client.answer(1).await.is_whole().body(), b"waited");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_panic_ends_the_connection_only() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let broken_off = Answer {
        aborted: true,
        ..Answer::default()
    };
    assert_eq!(client.ask(get(1, "/panic")).await, broken_off);
    assert_eq!(client.next().await, None);
    let mut client = server.connect().await;
    assert_eq!(
        client.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
}

#[tokio::test]
async fn what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(FastCgiOptions {
        requests: 2,
        params: 100_000,
        spool: Arc::new(SpoolOptions {
            folder: folder.path().to_owned(),
            limit: 10,
            ..SpoolOptions::default()
        }),
        ..FastCgiOptions::default()
    });
    let with = |more: &[(&str, &str)], body: &[u8]| {
        let mut records = begin(1, true);
        records.unsplit(params(1, more));
        records.unsplit(stdin(1, body));
        records
    };
    let many: Vec<String> = (0..1000).map(|number| format!("X_{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "")).collect();
    let long = "x".repeat(100_000);
    #[rustfmt::skip]
    let cases = [
        (with(&[], b"12345678901"), "Status: 413 Payload Too Large\r\n"),
        (with(&[("HTTP_X", &long)], b""), "Status: 431 Request Header Fields Too Large\r\n"),
        (with(&many, b""), "Status: 431 Request Header Fields Too Large\r\n"),
        (with(&[("CONTENT_LENGTH", "5")], b"1234"), "Status: 400 Bad Request\r\n"),
        (with(&[("CONTENT_LENGTH", "4x")], b"1234"), "Status: 400 Bad Request\r\n"),
        (with(&[("REQUEST_METHOD", "G T")], b""), "Status: 400 Bad Request\r\n"),
        // As HTTP refuses `%00`.
        (with(&[("PATH_INFO", "/a\0b")], b""), "Status: 400 Bad Request\r\n"),
        (with(&[("QUERY_STRING", "a\0b")], b""), "Status: 400 Bad Request\r\n"),
        (with(&[("HTTP_X", "a\0b")], b""), "Status: 400 Bad Request\r\n"),
        (with(&[("X", "a\0b")], b""), "Status: 400 Bad Request\r\n"),
        (with(&[("CONTENT_LENGTH", "4")], b"123456"), "Status: 200 OK\r\n"),
    ];
    let mut client = server.connect().await;
    for (request, status) in cases {
        let answer = client.ask(request).await;
        let (head, _) = answer.is_whole().head_and_body();
        assert!(head.starts_with(status), "{head}");
    }
    let mut authorizer = BytesMut::new();
    let role = 2;
    BeginRequest { role, keep: true }.put(&mut authorizer, 1);
    assert_eq!(
        client.ask(authorizer).await.end,
        Some(ProtocolStatus::UnknownRole as u8)
    );

    client.send(begin(1, true)).await;
    client.send(begin(2, true)).await;
    assert_eq!(
        client.ask(begin(3, true)).await.end,
        Some(ProtocolStatus::Overloaded as u8)
    );
}

/// Each request may need a descriptor for its body, so those that share a connection count like connections.
#[tokio::test]
async fn requests_beside_others_take_places_of_their_own() {
    let server = Server::start(FastCgiOptions {
        connections: 3,
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    let unfinished = |id| {
        let mut records = begin(id, true);
        records.unsplit(params(id, &[("CONTENT_LENGTH", "9")]));
        records
    };
    for _ in 0..3 {
        for id in 1..=3 {
            client.send(unfinished(id)).await;
        }
        for id in [4, 5] {
            let answer = client.ask(unfinished(id)).await;
            assert_eq!(answer.end, Some(ProtocolStatus::Overloaded as u8));
        }
        // A request that ends makes room, whichever way it ends.
        for id in [2, 1, 3] {
            let abort = record(RecordKind::AbortRequest as u8, id, b"");
            client.send(abort).await;
            let answer = client.answer(id).await;
            assert_eq!(answer.end, Some(ProtocolStatus::Complete as u8));
        }
    }
    let answer = client.ask(get(1, "/x")).await;
    assert_eq!(answer.is_whole().body(), b"hello from /x");
}

#[tokio::test]
async fn a_web_server_that_is_still_sending_gets_to_read_the_refusal() {
    let server = Server::start(FastCgiOptions {
        spool: Arc::new(SpoolOptions {
            limit: 10,
            ..SpoolOptions::default()
        }),
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    let mut records = begin(1, false);
    records.unsplit(params(1, &[]));
    let part = record(RecordKind::Stdin as u8, 1, &pattern(60_000));
    records.extend_from_slice(&part);
    client.send(records).await;
    client.send(part).await;
    let answer = client.answer(1).await;
    let (head, _) = answer.is_whole().head_and_body();
    assert!(head.starts_with("Status: 413 "), "{head}");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn what_is_not_fastcgi_is_hung_up_on() {
    let server = Server::start(FastCgiOptions::default());
    for bytes in [
        BytesMut::from(&b"GET / HTTP/1.1\r\n\r\n"[..]),
        record(RecordKind::BeginRequest as u8, 1, b"short"[..2].as_ref()),
        record(RecordKind::GetValues as u8, 0, b"\x05\0cut"),
    ] {
        let mut client = server.connect().await;
        client.send(bytes).await;
        // Unread bytes turn the close into a reset.
        let mut rest = Vec::new();
        let read = in_time(client.stream.read_to_end(&mut rest)).await;
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    let mut client = server.connect().await;
    assert_eq!(
        client.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = Server::start(FastCgiOptions {
        connections: 1,
        ..FastCgiOptions::default()
    });
    let mut first = server.connect().await;
    assert_eq!(
        first.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
    let mut second = server.connect().await;
    second.send(get(1, "/y")).await;
    // The first is served while the second waits.
    assert_eq!(
        first.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
    assert!(second.received.is_empty());
    drop(first);
    assert_eq!(second.answer(1).await.is_whole().body(), b"hello from /y");
}

/// Web servers keep connections for later requests; the kept connections of one must not lock out another.
#[tokio::test]
async fn the_longest_idle_connection_makes_room_for_a_new_one() {
    let server = Server::start(FastCgiOptions {
        connections: 2,
        ..FastCgiOptions::default()
    });
    // One keeps it after a request, the other never completes a request.
    let mut first = server.connect().await;
    let answer = first.ask(get(1, "/x")).await;
    assert_eq!(answer.is_whole().body(), b"hello from /x");
    let mut second = server.connect().await;
    second.send(begin(1, true)).await;
    let mut kept = Vec::new();
    for mut left in [first, second] {
        let mut new = server.connect().await;
        let answer = new.ask(get(1, "/y")).await;
        assert_eq!(answer.is_whole().body(), b"hello from /y");
        assert_eq!(left.next().await, None);
        kept.push(new);
    }
}

#[tokio::test]
async fn a_web_server_that_stalls_is_hung_up_on() {
    let timeout = Duration::from_millis(20);
    let server = Server::start(FastCgiOptions {
        read_timeout: timeout,
        ..FastCgiOptions::default()
    });
    let mut idle = server.connect().await;
    assert_eq!(
        idle.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
    for some in [begin(1, true), BytesMut::from(&b"\x01"[..])] {
        let mut client = server.connect().await;
        client.send(some).await;
        assert_eq!(in_time(end_of(client.stream)).await, 0);
    }
    // Idle between requests all that time.
    assert_eq!(
        idle.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );

    let mut server = Server::start(FastCgiOptions {
        write_timeout: timeout,
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    client.send(get(1, "/endless")).await;
    assert_eq!(server.event().await, "nobody wants more");
}

/// The web server reads what fits into its socket long before the server's socket has room again.
#[tokio::test]
async fn a_slow_web_server_is_waited_for_as_long_as_it_reads() {
    let mut server = Server::start(FastCgiOptions {
        write_timeout: Duration::from_millis(500),
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    client.send(get(1, "/endless")).await;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let mut part = vec![0; 10_000];
    for _ in 0..150 {
        tokio::select! {
            event = server.event() => panic!("{event}"),
            _ = beat.tick() => {
                let read = in_time(client.stream.read(&mut part)).await;
                assert!(read.unwrap() > 0);
            }
        }
    }
    assert_eq!(server.event().await, "nobody wants more");
}

/// Reads until the connection is closed, however long that takes.
async fn end_of(mut stream: TcpStream) -> usize {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap()
}

#[tokio::test]
async fn only_web_servers_that_are_named_may_connect() {
    let server = Server::start(FastCgiOptions {
        web_servers: web_servers("192.0.2.1").unwrap(),
        ..FastCgiOptions::default()
    });
    let client = server.connect().await;
    assert_eq!(in_time(end_of(client.stream)).await, 0);

    let server = Server::start(FastCgiOptions {
        web_servers: web_servers("192.0.2.1, ::ffff:127.0.0.1").unwrap(),
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    assert_eq!(
        client.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
}

#[test]
fn the_list_of_web_servers() {
    assert_eq!(web_servers("").unwrap(), None);
    assert_eq!(
        web_servers("127.0.0.1,::1").unwrap().map(|list| list.len()),
        Some(2)
    );
    assert_eq!(
        web_servers("127.0.0.1,localhost").unwrap_err().to_string(),
        "`FCGI_WEB_SERVER_ADDRS` holds `localhost`, which is not an IP address"
    );
}
