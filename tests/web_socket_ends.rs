//! WebSockets whose clients or applications are slow, leave or do too much, and the end of a gateway that has some.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use runner::gateway::graceful_stop::Manner;
use runner::gateway::http::{HttpOptions, WebSocketOptions};
use runner::interface::WebSocketMessage;
use rustix::net::sockopt::set_socket_linger;
use support::{
    CLOSE, Client, News, PING, PONG, Server, TEXT, WINDOW, closing, frame, in_time, offer,
};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

#[path = "support/web_socket.rs"]
mod support;

const SHORT: Duration = Duration::from_millis(300);

fn with_pings(interval: Duration, patience: Duration) -> HttpOptions {
    HttpOptions {
        web_sockets: WebSocketOptions {
            ping_interval: interval,
            ping_timeout: patience,
            ..WebSocketOptions::default()
        },
        ..HttpOptions::default()
    }
}

/// Ends a connection with a reset.
fn reset(client: Client) {
    set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
    drop(client);
}

/// Sends until nothing more is taken: the number of bytes that were sent, at most `limit`.
async fn flood(client: &mut Client, bytes: &[u8], limit: usize) -> usize {
    let mut sent = 0;
    while sent < limit
        && let Ok(count) = timeout(SHORT, client.stream.write(&bytes[sent % bytes.len()..])).await
    {
        sent += count.unwrap();
    }
    sent
}

#[tokio::test]
async fn a_client_that_leaves_without_a_word_is_reported_in_every_phase() {
    type Leave = fn(Client);
    let ways: [Leave; 2] = [drop, reset];
    let whole = frame(TEXT, b"whole");
    let part = frame(0x01, b"in the middle of a message");
    let mut server = Server::start(HttpOptions::default());
    for leave in ways {
        for bytes in [&[], &whole[..], &whole[..9], &part] {
            let (mut client, mut accepted) = server.open().await;
            client.send(bytes).await;
            if bytes == whole {
                let text = News::Text("whole".to_owned());
                assert_eq!(accepted.heard().await, text);
            }
            leave(client);
            assert_eq!(accepted.left().await, 1006);
        }
        // The application has closed it, and the client does not answer.
        let (mut client, mut accepted) = server.open().await;
        accepted.close(1000);
        assert_eq!(client.next().await, Some((CLOSE, closing(1000, ""))));
        leave(client);
        assert_eq!(accepted.left().await, 1006);
        // The application is sending.
        let (client, mut accepted) = server.open().await;
        for _ in 0..1000 {
            accepted.say(&"a".repeat(10_000));
        }
        leave(client);
        assert_eq!(accepted.left().await, 1006);
    }
    // It is accepted too late.
    let mut client = Client::connect(&server.address).await;
    client.send(offer("/wait", "").as_bytes()).await;
    in_time(server.application.waiting.notified()).await;
    drop(client);
    server.application.go_on.notify_one();
    assert_eq!(server.accepted().await.left().await, 1006);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_what_waits_for_it_is_bounded() {
    let mut server = Server::start(HttpOptions {
        write_timeout: SHORT,
        ..HttpOptions::default()
    });
    let (mut client, mut accepted) = server.open().await;
    let message = || WebSocketMessage::Binary(Bytes::from_static(&[0; 65_536]));
    let mut ahead = 0;
    let mut taken = 0;
    let code = loop {
        while ahead < 1 << 18 {
            accepted.sender.send(message());
            ahead += message().cost();
        }
        match in_time(accepted.news.recv()).await.unwrap() {
            News::Taken(cost) => {
                ahead -= cost;
                taken += cost;
            }
            News::Left(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1006);
    // What the systems of both sides have room for.
    assert!(taken < 20 << 20, "{taken}");
    // It was cut off.
    while let Some((first, _)) = client.next_whole().await {
        assert_eq!(first, 0x82);
    }
}

#[tokio::test]
async fn a_client_that_takes_no_pongs_is_not_read() {
    let mut server = Server::start(HttpOptions::default());
    let (mut client, accepted) = server.open().await;
    let pings = frame(PING, &[7; 125]);
    let sent = flood(&mut client, &pings, 64 << 20).await;
    assert!(sent < 32 << 20, "{sent}");
    let (mut receiving, mut sending) = client.twice();
    let rest = pings[sent % pings.len()..].to_vec();
    let finished = tokio::spawn(async move {
        sending.send(&rest).await;
        sending.send(&frame(CLOSE, b"")).await;
    });
    for _ in 0..sent.div_ceil(pings.len()) {
        assert_eq!(receiving.next().await, Some((PONG, vec![7; 125])));
    }
    assert_eq!(receiving.next().await, Some((CLOSE, Vec::new())));
    finished.await.unwrap();
    drop(accepted);
}

#[tokio::test]
async fn no_more_is_read_than_the_application_has_room_for() {
    let mut server = Server::start(HttpOptions::default());
    let (mut client, mut accepted) = server.open().await;
    let message = frame(TEXT, &[b'a'; 936]);
    let cost = 936 + WebSocketMessage::OVERHEAD;
    assert_eq!(cost, WINDOW);
    let sent = flood(&mut client, &message, 64 << 20).await;
    assert!(sent < 32 << 20, "{sent}");
    let mut count = 0;
    loop {
        assert!(matches!(accepted.heard().await, News::Text(_)));
        count += 1;
        assert!(accepted.news.try_recv().is_err(), "beyond the window");
        if count == sent / message.len() {
            break;
        }
        accepted.sender.grant(cost);
    }
    // A client that is gone is noticed all the same.
    accepted.sender.grant(cost);
    client.send(&message[sent % message.len()..]).await;
    client.send(&message).await;
    accepted.heard().await;
    reset(client);
    assert_eq!(accepted.left().await, 1006);
}

#[tokio::test]
async fn empty_messages_are_bounded_too() {
    let mut server = Server::start(HttpOptions::default());
    let (mut client, mut accepted) = server.open().await;
    client.send(&frame(TEXT, b"").repeat(10_000)).await;
    for _ in 0..WINDOW.div_ceil(WebSocketMessage::OVERHEAD) {
        assert_eq!(accepted.heard().await, News::Text(String::new()));
    }
    client.send(&frame(PING, b"")).await;
    // The ping is behind the rest.
    assert!(timeout(SHORT, client.next()).await.is_err());
    assert!(accepted.news.try_recv().is_err());
}

#[tokio::test]
async fn the_rest_of_a_frame_is_not_waited_for_for_ever() {
    let mut server = Server::start(HttpOptions {
        body_timeout: SHORT,
        ..HttpOptions::default()
    });
    for cut in [1, 3, 8] {
        let (mut client, mut accepted) = server.open().await;
        // Between frames, and between the parts of a message, a client may take its time.
        client.send(&frame(0x01, b"part")).await;
        assert!(timeout(2 * SHORT, client.next()).await.is_err());
        client.send(&frame(0x80, b"whole")[..cut]).await;
        let (first, payload) = client.next().await.unwrap();
        assert_eq!((first, &payload[..2]), (CLOSE, &1008_u16.to_be_bytes()[..]));
        assert_eq!(accepted.left().await, 1008);
    }
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_and_one_that_does_not_goes() {
    let patience = Duration::from_millis(1500);
    let mut server = Server::start(with_pings(Duration::from_millis(100), patience));
    let (mut client, mut accepted) = server.open().await;
    let begun = Instant::now();
    let mut pings = 0;
    while begun.elapsed() < 2 * patience {
        let (first, payload) = client.next().await.unwrap();
        assert_eq!(first, PING);
        // Whatever it sends is a sign of life.
        if pings % 2 == 0 {
            client.send(&frame(PONG, &payload)).await;
        } else {
            client.send(&frame(TEXT, b"here")).await;
            assert_eq!(accepted.heard().await, News::Text("here".to_owned()));
            accepted.sender.grant(WINDOW);
        }
        pings += 1;
    }
    assert!(pings > 3, "{pings}");
    // What the server sends is none.
    let begun = Instant::now();
    accepted.say("are you there?");
    while let Some((first, _)) = client.next().await {
        if first == TEXT {
            accepted.say("are you there?");
        }
        assert!(begun.elapsed() < support::ENOUGH);
    }
    assert_eq!(accepted.left().await, 1006);
    assert!(begun.elapsed() > patience / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_is_not_read_is_not_given_up() {
    let mut server = Server::start(with_pings(SHORT / 3, SHORT / 3));
    let (mut client, mut accepted) = server.open().await;
    let message = frame(TEXT, &[b'a'; WINDOW]);
    // The application has room for one. Behind the others stands what would be a sign of life.
    client.send(&message.repeat(2)).await;
    let mut pings = 0;
    while let Ok(ping) = timeout(5 * SHORT, client.next()).await {
        assert_eq!(ping, Some((PING, Vec::new())));
        client.send(&frame(PONG, b"")).await;
        pings += 1;
        if pings == 5 {
            break;
        }
    }
    accepted.sender.grant(2 * WINDOW);
    for _ in 0..2 {
        assert!(matches!(accepted.heard().await, News::Text(_)));
    }
    accepted.close(1000);
    while let Some((first, _)) = client.next().await {
        if first == CLOSE {
            client.send(&frame(CLOSE, b"")).await;
        } else {
            assert_eq!(first, PING);
        }
    }
    assert_eq!(accepted.left().await, 1005);
}

#[tokio::test]
async fn an_open_web_socket_is_not_idle() {
    let mut server = Server::start(HttpOptions {
        connections: 1,
        ..HttpOptions::default()
    });
    let (mut client, mut accepted) = server.open().await;
    // It waits in the system's queue, for longer than idle connections are left alone at the limit.
    let mut other = Client::connect(&server.address).await;
    other.send(offer("/refuse", "").as_bytes()).await;
    let waited = timeout(Duration::from_secs(2), other.head()).await;
    assert!(waited.is_err());
    client.send(&frame(TEXT, b"here")).await;
    assert_eq!(accepted.heard().await, News::Text("here".to_owned()));
    client.send(&frame(CLOSE, b"")).await;
    assert_eq!(client.next().await, Some((CLOSE, Vec::new())));
    drop(client);
    assert!(other.head().await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_stop_waits_for_the_application_and_not_for_the_client() {
    for manner in [Manner::Drain, Manner::Retire, Manner::HandOver] {
        let mut server = Server::start(HttpOptions::default());
        let (mut client, mut accepted) = server.open().await;
        let (mut silent, mut other) = server.open().await;
        let mut late = Client::connect(&server.address).await;
        let request = offer("/", "");
        late.send(&request.as_bytes()[..20]).await;
        let mut asking = Client::connect(&server.address).await;
        asking.send(offer("/wait", "").as_bytes()).await;
        in_time(server.application.waiting.notified()).await;
        server.stop.begin(manner);
        // An offer that comes now is refused; one that came before may still be accepted.
        late.send(&request.as_bytes()[20..]).await;
        assert!(late.head().await.starts_with("HTTP/1.1 503 "));
        server.application.go_on.notify_one();
        assert!(asking.head().await.starts_with("HTTP/1.1 101 "));
        let last = server.accepted().await;
        client.send(&frame(TEXT, b"still here")).await;
        assert_eq!(accepted.heard().await, News::Text("still here".to_owned()));
        let begun = Instant::now();
        for (one, code) in [(&accepted, 1001), (&other, 1012), (&last, 1012)] {
            one.close(code);
        }
        assert_eq!(client.next().await, Some((CLOSE, closing(1001, ""))));
        client.send(&frame(CLOSE, &closing(1001, ""))).await;
        assert_eq!(client.next().await, None);
        assert_eq!(accepted.left().await, 1001);
        assert_eq!(silent.next().await, Some((CLOSE, closing(1012, ""))));
        assert_eq!(other.left().await, 1006);
        drop(asking);
        in_time(server.task).await.unwrap();
        if manner == Manner::Drain {
            assert!(begun.elapsed() < Duration::from_secs(4), "{begun:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_the_close_frame_is_not_waited_for_either() {
    let mut server = Server::start(HttpOptions::default());
    let (client, mut accepted) = server.open().await;
    let message = || WebSocketMessage::Binary(Bytes::from_static(&[0; 1 << 20]));
    for _ in 0..64 {
        accepted.sender.send(message());
    }
    accepted.close(1001);
    server.stop.begin(Manner::Drain);
    // Before the time for a client that takes nothing of a response.
    assert_eq!(accepted.left().await, 1006);
    in_time(server.task).await.unwrap();
    drop(client);
}
