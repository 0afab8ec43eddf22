//! Connections by HTTP/2 and how they end: clients that are slow, leave, or flood the server, and the end of the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use bytes::Bytes;
use frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    RawClient, SETTINGS, WAIT, WINDOW_UPDATE, ask, client, frame, request, text,
};
use h2::Reason;
use http::StatusCode;
use mirror::{ENOUGH, Server, in_time};
use runner::gateway::graceful_stop::Manner;
use runner::gateway::http::HttpOptions;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

#[path = "support/frames.rs"]
mod frames;
#[path = "support/mirror.rs"]
mod mirror;

const SHORT: Duration = Duration::from_millis(100);
const WHOLE: u8 = END_HEADERS | END_STREAM;

#[tokio::test]
async fn a_client_that_takes_a_request_back_ends_the_work_on_it_alone() {
    let server = Server::start(HttpOptions::default());
    let mut client = RawClient::begin(&server).await;
    for stream in [1, 3] {
        client.send(&frame(HEADERS, WHOLE, stream, WAIT)).await;
        in_time(server.mirror.waiting.notified()).await;
    }
    let cancel = 8_u32.to_be_bytes();
    client.send(&frame(RST_STREAM, 0, 1, &cancel)).await;
    in_time(server.mirror.given_up.notified()).await;
    server.mirror.go_on.notify_one();
    assert_eq!(client.next_of(HEADERS).await.stream, 3);
    // A response that has begun is no longer wanted, either.
    let later = b"\x82\x04\x06/later\x86\x41\x01a";
    client.send(&frame(HEADERS, WHOLE, 5, later)).await;
    in_time(server.mirror.waiting.notified()).await;
    client.send(&frame(RST_STREAM, 0, 5, &cancel)).await;
    in_time(server.mirror.gone.notified()).await;
    // And all of them when the client leaves.
    client.send(&frame(HEADERS, WHOLE, 7, WAIT)).await;
    in_time(server.mirror.waiting.notified()).await;
    drop(client);
    in_time(server.mirror.given_up.notified()).await;
    server.stop().await;
}

/// What a reload turns off ends, after what is under way.
#[tokio::test]
async fn connections_end_where_http_2_is_not_spoken_any_more() {
    let server = Server::start(HttpOptions::default());
    let mut idle = RawClient::begin(&server).await;
    idle.send(&frame(HEADERS, WHOLE, 1, GET)).await;
    idle.next_of(DATA).await;
    let mut busy = RawClient::begin(&server).await;
    busy.send(&frame(HEADERS, WHOLE, 1, WAIT)).await;
    in_time(server.mirror.waiting.notified()).await;
    // Other changes leave connections alone.
    server
        .options
        .send_modify(|options| options.max_streams = 7);
    idle.send(&frame(HEADERS, WHOLE, 3, GET)).await;
    idle.next_of(DATA).await;
    server.options.send_modify(|options| options.http2 = false);
    assert_eq!(idle.goes_away().await, Reason::NO_ERROR);
    assert_eq!(busy.next_of(GOAWAY).await.reason(), Some(Reason::NO_ERROR));
    server.mirror.go_on.notify_one();
    assert_eq!(busy.next_of(DATA).await.payload, b"waited");
    while busy.next().await.is_some() {}
    server.stop().await;
}

/// A client that only sends no more gets its response all the same.
#[tokio::test]
async fn a_client_that_has_ended_its_side_gets_its_response() {
    let server = Server::start(HttpOptions::default());
    let mut client = RawClient::begin(&server).await;
    client.send(&frame(HEADERS, WHOLE, 1, WAIT)).await;
    in_time(server.mirror.waiting.notified()).await;
    client.0.shutdown().await.unwrap();
    server.mirror.go_on.notify_one();
    assert_eq!(client.next_of(DATA).await.payload, b"waited");
    while client.next().await.is_some() {}
    // One that waits for longer than a client is waited for is taken for one that has left.
    let mut client = RawClient::begin(&server).await;
    client.send(&frame(HEADERS, WHOLE, 1, WAIT)).await;
    in_time(server.mirror.waiting.notified()).await;
    client.0.shutdown().await.unwrap();
    in_time(server.mirror.given_up.notified()).await;
    server.stop().await;
}

/// A client that opens no window costs its stream, and the others go on.
#[tokio::test]
async fn a_response_that_is_not_taken_is_given_up() {
    let server = Server::start(HttpOptions {
        write_timeout: SHORT,
        ..HttpOptions::default()
    });
    let mut client = RawClient::begin(&server).await;
    // No window for streams (SETTINGS_INITIAL_WINDOW_SIZE).
    client
        .send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]))
        .await;
    let endless = b"\x82\x04\x08/endless\x86\x41\x01a";
    client.send(&frame(HEADERS, WHOLE, 1, endless)).await;
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!(reset.reason(), Some(Reason::CANCEL));
    in_time(server.mirror.gone.notified()).await;
    let none = b"\x82\x04\x0b/bytes/none\x86\x41\x01a";
    client.send(&frame(HEADERS, WHOLE, 3, none)).await;
    assert_eq!(client.next_of(HEADERS).await.stream, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let server = Server::start(HttpOptions {
        body_timeout: SHORT,
        ..HttpOptions::default()
    });
    let send = client(&server).await;
    let mut ready = in_time(send.clone().ready()).await.unwrap();
    let (response, _stream) = ready.send_request(request("POST", "/"), false).unwrap();
    let status = in_time(response).await.unwrap().status();
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    let answer = ask(&send, request("GET", "/file"), b"").await.unwrap();
    assert_eq!(answer.body.as_deref(), Ok("23456"));
    server.stop().await;
}

#[tokio::test]
async fn a_head_has_its_time_and_so_has_a_connection_without_one() {
    let short_heads = HttpOptions {
        head_timeout: SHORT,
        ..HttpOptions::default()
    };
    let server = Server::start(short_heads);
    // Nothing but the preface; a part of a frame; a head without its end; its end without the last byte.
    let head = frame(HEADERS, END_STREAM, 1, GET);
    let whole = [head.clone(), frame(CONTINUATION, END_HEADERS, 1, b"")].concat();
    for (sent, reason) in [
        (&b""[..], Reason::NO_ERROR),
        (&head[..5], Reason::ENHANCE_YOUR_CALM),
        (&head, Reason::ENHANCE_YOUR_CALM),
        (&whole[..whole.len() - 1], Reason::ENHANCE_YOUR_CALM),
    ] {
        let mut client = RawClient::begin(&server).await;
        client.send(sent).await;
        assert_eq!(client.goes_away().await, reason, "{} bytes", sent.len());
    }
    server.stop().await;
    let server = Server::start(HttpOptions {
        keep_alive: SHORT,
        ..HttpOptions::default()
    });
    let mut client = RawClient::begin(&server).await;
    client.send(&frame(HEADERS, WHOLE, 1, WAIT)).await;
    in_time(server.mirror.waiting.notified()).await;
    // While it is answered, a request is not idle.
    let silence = tokio::time::timeout(3 * SHORT, client.next_of(GOAWAY)).await;
    assert!(silence.is_err(), "{silence:?}");
    server.mirror.go_on.notify_one();
    assert_eq!(client.goes_away().await, Reason::NO_ERROR);
    server.stop().await;
}

#[tokio::test]
async fn after_its_requests_a_connection_takes_no_more() {
    for (keep_alive, requests) in [(Duration::from_secs(75), 2), (Duration::ZERO, 1)] {
        let server = Server::start(HttpOptions {
            keep_alive,
            keep_alive_requests: 2,
            ..HttpOptions::default()
        });
        let (send, connection) = h2::client::handshake(server.connect().await).await.unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..requests {
            let answer = ask(&send, request("GET", "/file"), b"").await.unwrap();
            assert_eq!(answer.body.as_deref(), Ok("23456"));
        }
        drop(send);
        in_time(connection).await.unwrap().unwrap();
        server.stop().await;
    }
}

/// The client is told at once, and what it has asked for is answered.
#[tokio::test]
async fn a_stop_finishes_what_has_begun() {
    for manner in [Manner::Drain, Manner::Retire, Manner::HandOver] {
        let server = Server::start(HttpOptions::default());
        let mut client = RawClient::begin(&server).await;
        client.send(&frame(HEADERS, WHOLE, 1, WAIT)).await;
        in_time(server.mirror.waiting.notified()).await;
        server.stop.begin(manner);
        let first = client.next_of(GOAWAY).await;
        assert_eq!(first.reason(), Some(Reason::NO_ERROR));
        assert_eq!(first.payload[..4], [0x7f, 0xff, 0xff, 0xff]);
        let ping = client.next_of(PING).await;
        // A request that has crossed with it.
        client.send(&frame(HEADERS, WHOLE, 3, GET)).await;
        client.send(&frame(PING, 1, 0, &ping.payload)).await;
        assert_eq!(client.next_of(HEADERS).await.stream, 3);
        let last = client.next_of(GOAWAY).await;
        assert_eq!(last.payload[..4], [0, 0, 0, 3]);
        server.mirror.go_on.notify_one();
        assert_eq!(client.next_of(HEADERS).await.stream, 1);
        let body = client.next_of(DATA).await;
        assert_eq!(body.payload, b"waited");
        while client.next().await.is_some() {}
        in_time(server.task).await.unwrap();
    }
}

/// A client that says nothing does not hold up the stop.
#[tokio::test]
async fn a_silent_client_is_left_at_a_stop() {
    let server = Server::start(HttpOptions::default());
    let mut idle = RawClient::begin(&server).await;
    idle.send(&frame(HEADERS, WHOLE, 1, GET)).await;
    idle.next_of(HEADERS).await;
    let begun = server.connect().await;
    server.stop.begin(Manner::Drain);
    in_time(server.task).await.unwrap();
    drop((idle, begun));
}

/// At the limit, the idle one makes room.
#[tokio::test]
async fn an_idle_connection_makes_room_for_another_one() {
    let server = Server::start(HttpOptions {
        connections: 2,
        ..HttpOptions::default()
    });
    let mut busy = RawClient::begin(&server).await;
    busy.send(&frame(HEADERS, WHOLE, 1, WAIT)).await;
    in_time(server.mirror.waiting.notified()).await;
    let mut idle = RawClient::begin(&server).await;
    idle.next_of(SETTINGS).await;
    let said = server.ask("GET /file HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(said.contains("23456"), "{said}");
    assert_eq!(idle.goes_away().await, Reason::NO_ERROR);
    server.mirror.go_on.notify_one();
    assert_eq!(busy.next_of(HEADERS).await.stream, 1);
    server.stop().await;
}

/// Whatever a flood consists of, its client has to leave, and others are served.
#[tokio::test]
async fn floods_are_ended_and_others_are_served() {
    let server = Server::start(HttpOptions::default());
    let other = client(&server).await;
    let begun = [frame(HEADERS, END_HEADERS, 1, GET), Vec::new()].concat();
    let taken_back = |stream: u32| {
        let head = frame(HEADERS, WHOLE, stream, WAIT);
        [head, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let floods: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("PING", vec![], frame(PING, 0, 0, &[7; 8]).repeat(500)),
        ("pongs", vec![], frame(PING, 1, 0, &[7; 8]).repeat(500)),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[]).repeat(500)),
        (
            "PRIORITY",
            vec![],
            frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7]).repeat(500),
        ),
        (
            "WINDOW_UPDATE",
            vec![],
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(500),
        ),
        (
            "empty DATA",
            begun.clone(),
            frame(DATA, 0, 1, &[]).repeat(500),
        ),
        ("unknown", vec![], frame(0xfa, 0, 0, &[1; 20]).repeat(500)),
        (
            "CONTINUATION",
            frame(HEADERS, END_STREAM, 1, GET),
            frame(CONTINUATION, 0, 1, b"\0\x01a\x01b").repeat(500),
        ),
        (
            "RST_STREAM",
            vec![],
            (1..2001).step_by(2).flat_map(taken_back).collect(),
        ),
    ];
    for (name, first, flood) in floods {
        let mut client = RawClient::begin(&server).await;
        client.send(&first).await;
        let (mut receiving, mut sending) = client.0.into_split();
        let sent = tokio::spawn(async move {
            // It ends when the server has closed the connection.
            while sending.write_all(&flood).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        let mut received = Vec::new();
        let _ = in_time(receiving.read_to_end(&mut received)).await;
        in_time(sent).await.unwrap();
        let reason = frame(GOAWAY, 0, 0, &[0; 8])[3..5].to_vec();
        let calm = Reason::ENHANCE_YOUR_CALM;
        let told = received
            .windows(17)
            .any(|bytes| bytes[3..5] == reason && bytes[13..17] == u32::from(calm).to_be_bytes());
        assert!(told, "{name}: {}", received.escape_ascii());
        let answer = ask(&other, request("GET", "/file"), b"").await.unwrap();
        assert_eq!(answer.body.as_deref(), Ok("23456"), "{name}");
    }
    server.stop().await;
}

/// A client at work may say as much as it likes about what it reads.
#[tokio::test]
async fn a_client_that_reads_in_small_parts_is_no_flood() {
    let server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    for _ in 0..500 {
        let answer = ask(&send, request("POST", "/"), b"some").await.unwrap();
        assert!(answer.body.unwrap().ends_with("body some"));
    }
    let mut ready = in_time(send.clone().ready()).await.unwrap();
    let (response, _) = ready
        .send_request(request("GET", "/endless"), true)
        .unwrap();
    let mut body = in_time(response).await.unwrap().into_body();
    let mut left = 50_000_000;
    while left > 0 {
        let part = in_time(body.data()).await.unwrap().unwrap();
        left -= part.len().min(left);
        for piece in part.chunks(2048) {
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
    }
    drop(body);
    let (response, mut stream) = ready.send_request(request("POST", "/"), false).unwrap();
    for _ in 0..20_000 {
        stream.reserve_capacity(10);
        let room = std::future::poll_fn(|context| stream.poll_capacity(context));
        assert!(tokio::time::timeout(ENOUGH, room).await.unwrap().is_some());
        let part = Bytes::from_static(b"0123456789");
        stream.send_data(part, false).unwrap();
    }
    stream.send_data(Bytes::new(), true).unwrap();
    let said = text(in_time(response).await.unwrap().into_body()).await;
    let said = said.unwrap();
    assert!(
        said.ends_with("200000 bytes in memory") || said.contains("200000 bytes in a file"),
        "{said}"
    );
    server.stop().await;
}

/// A client has streams at no cost: those of all clients together leave half of the limit to connections, and those of one
/// client leave some to others.
#[tokio::test]
async fn streams_leave_room_for_connections() {
    let server = Server::start(HttpOptions {
        connections: 8,
        ..HttpOptions::default()
    });
    let mut client = RawClient::begin(&server).await;
    // The first has the share of its connection.
    for stream in [1, 3, 5] {
        client.send(&frame(HEADERS, WHOLE, stream, WAIT)).await;
        in_time(server.mirror.waiting.notified()).await;
    }
    for stream in [7, 9] {
        client.send(&frame(HEADERS, WHOLE, stream, WAIT)).await;
        let reset = client.next_of(RST_STREAM).await;
        assert_eq!(reset.stream, stream);
        assert_eq!(reset.reason(), Some(Reason::REFUSED_STREAM));
    }
    let mut other = RawClient::begin(&server).await;
    other.send(&frame(HEADERS, WHOLE, 1, GET)).await;
    assert_eq!(other.next_of(HEADERS).await.stream, 1);
    // When one has its answer, there is room for another one; its stream may end a moment later.
    server.mirror.go_on.notify_one();
    client.next_of(HEADERS).await;
    for stream in (11..).step_by(2) {
        client.send(&frame(HEADERS, WHOLE, stream, WAIT)).await;
        tokio::select! {
            () = in_time(server.mirror.waiting.notified()) => break,
            reset = client.next_of(RST_STREAM) => {
                assert_eq!(reset.reason(), Some(Reason::REFUSED_STREAM));
            }
        }
    }
    drop(client);
    server.stop().await;
}
