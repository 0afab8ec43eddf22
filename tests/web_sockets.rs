//! WebSockets of the HTTP gateway, by frames as they are on the wire: handshakes, messages, pings and closing handshakes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use runner::gateway::http::{HttpOptions, WebSocketOptions};
use runner::interface::WebSocketMessage;
use support::{BINARY, CLOSE, Client, News, PING, PONG, Server, TEXT, closing, frame, offer};

#[path = "support/web_socket.rs"]
mod support;

/// The status of the response to a request, and whether the connection stays open.
async fn status(server: &Server, request: &str) -> (String, bool) {
    let mut client = Client::connect(&server.address).await;
    client.send(request.as_bytes()).await;
    let head = client.head().await;
    let status = head.split(' ').nth(1).unwrap().to_owned();
    let is_open = !head.contains("connection: close\r\n") && status != "426";
    if !is_open {
        client.rest().await;
    }
    (status, is_open)
}

#[tokio::test]
async fn the_response_to_an_offer_is_that_of_the_standard() {
    let mut server = Server::start(HttpOptions::default());
    let mut client = Client::connect(&server.address).await;
    client
        .send(offer("/?x-own=1&x-own=2&connection=close&upgrade=h2c&content-length=3&sec-websocket-accept=x&sec-websocket-extensions=y&transfer-encoding=chunked", "").as_bytes())
        .await;
    let head = client.head().await;
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    lines.retain(|line| !line.starts_with("date: "));
    assert_eq!(lines.remove(0), "HTTP/1.1 101 Switching Protocols");
    lines.sort_unstable();
    let expected = [
        "connection: Upgrade",
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "upgrade: websocket",
        "x-own: 1",
        "x-own: 2",
    ];
    assert_eq!(lines, expected);
    assert_eq!(head.matches("date: ").count(), 1);
    drop(server.accepted().await);
    assert_eq!(client.next().await, Some((CLOSE, closing(1011, ""))));
}

#[tokio::test]
async fn the_application_sees_the_fields_of_the_handshake() {
    let server = Server::start(HttpOptions::default());
    let fields = "Sec-WebSocket-Protocol: a, b\r\nOrigin: http://b\r\n";
    let answer = status(&server, &offer("/refuse", fields)).await;
    assert_eq!(answer, ("403".to_owned(), false));
    let (headers, offers) = server.application.last.lock().unwrap().take().unwrap();
    assert!(offers);
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "a, b"),
        ("origin", "http://b"),
    ] {
        assert_eq!(headers[name], value);
    }
}

#[tokio::test]
async fn an_offer_that_is_wrong_does_not_reach_the_application() {
    let server = Server::start(HttpOptions::default());
    let good = offer("/refuse", "");
    let host = "Host: a\r\n";
    for (from, to, expected) in [
        ("GET", "POST", "400"),
        ("Version: 13", "Version: 8", "426"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", "400"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", "400"),
        (
            host,
            "Host: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "400",
        ),
        (host, "Host: a\r\nSec-WebSocket-Extensions: ;\r\n", "400"),
    ] {
        let request = good.replace(from, to);
        assert_ne!(request, good);
        let answer = status(&server, &request).await;
        assert_eq!(answer, (expected.to_owned(), false), "{request}");
        assert!(
            server.application.last.lock().unwrap().is_none(),
            "{request}"
        );
    }
    let mut client = Client::connect(&server.address).await;
    client.send(good.replace("13", "7").as_bytes()).await;
    let head = client.head().await;
    for field in [
        "upgrade: websocket\r\n",
        "connection: upgrade, close\r\n",
        "sec-websocket-version: 13\r\n",
    ] {
        assert!(head.contains(field), "{head}");
    }
}

#[tokio::test]
async fn what_is_no_offer_is_an_ordinary_request() {
    let server = Server::start(HttpOptions::default());
    let good = offer("/refuse", "");
    for (from, to, is_open) in [
        ("Upgrade: websocket", "Upgrade: h2c", true),
        ("Upgrade: websocket\r\n", "", true),
        // What follows might be anything.
        ("Connection: Upgrade\r\n", "", false),
        ("Connection: Upgrade", "Connection: xUpgrade", false),
        ("Upgrade: websocket", "Upgrade: websockets", false),
    ] {
        let request = good.replace(from, to);
        assert_ne!(request, good);
        let answer = status(&server, &request).await;
        assert_eq!(answer, ("403".to_owned(), is_open), "{request}");
        let (_, offers) = server.application.last.lock().unwrap().take().unwrap();
        assert!(!offers, "{request}");
    }
    // What follows the head is a body, and what follows that is HTTP.
    let fields = "Content-Length: 4\r\n";
    let mut client = Client::connect(&server.address).await;
    let request = offer("/refuse", fields) + "body";
    client.send(request.repeat(2).as_bytes()).await;
    for _ in 0..2 {
        assert!(client.head().await.contains("HTTP/1.1 403 "));
    }
}

#[tokio::test]
async fn tokens_are_found_in_lists_and_in_any_case() {
    let mut server = Server::start(HttpOptions::default());
    for (from, to) in [
        ("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
        (
            "Connection: Upgrade",
            "Connection: keep-alive\r\nConnection: upgrade",
        ),
        ("Upgrade: websocket", "Upgrade: h2c, WebSocket"),
        ("Upgrade: websocket", "UPGRADE: h2c\r\nupgrade:WEBSOCKET"),
    ] {
        let request = offer("/", "").replace(from, to);
        assert_eq!(status(&server, &request).await.0, "101", "{request}");
        server.accepted().await;
    }
}

#[tokio::test]
async fn an_application_accepts_only_what_is_offered() {
    let mut server = Server::start(HttpOptions::default());
    // Without an offer, with a wrong status, and without a WebSocket.
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in [plain, &offer("/two-hundred", "")] {
        assert_eq!(status(&server, request).await.0, "500", "{request}");
        assert_eq!(server.accepted().await.left().await, 1006);
    }
    assert_eq!(status(&server, &offer("/bare", "")).await.0, "500");
}

#[tokio::test]
async fn only_a_subprotocol_that_is_offered_is_chosen() {
    let mut server = Server::start(HttpOptions::default());
    let fields = "Sec-WebSocket-Protocol: chat, Mail\r\nSec-WebSocket-Protocol: news\r\n";
    for (query, expected) in [
        ("", None),
        ("?sec-websocket-protocol=chat", Some("chat")),
        ("?sec-websocket-protocol=news", Some("news")),
        ("?sec-websocket-protocol=mail", None),
        (
            "?sec-websocket-protocol=chat&sec-websocket-protocol=Mail",
            None,
        ),
    ] {
        let mut client = Client::connect(&server.address).await;
        client
            .send(offer(&format!("/{query}"), fields).as_bytes())
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut lines = head.lines();
        let chosen = lines.find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(chosen, expected, "{query}");
        server.accepted().await;
    }
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_not_lost() {
    let mut server = Server::start(HttpOptions::default());
    // They look like the end of a head, or like requests with a fault.
    let texts = [
        "\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "\0\u{80}",
    ];
    let mut bytes = offer("/wait", "").into_bytes();
    for text in texts {
        bytes.extend(frame(TEXT, text.as_bytes()));
    }
    for size in [1, 100, 10_000] {
        let mut client = Client::connect(&server.address).await;
        for part in bytes.chunks(size) {
            client.send(part).await;
        }
        server.application.waiting.notified().await;
        server.application.go_on.notify_one();
        assert!(client.head().await.starts_with("HTTP/1.1 101 "));
        let mut accepted = server.accepted().await;
        for text in texts {
            assert_eq!(accepted.heard().await, News::Text(text.to_owned()));
        }
    }
}

#[tokio::test]
async fn requests_before_and_behind_one_another_stay_in_order() {
    let mut server = Server::start(HttpOptions::default());
    let mut client = Client::connect(&server.address).await;
    let first = "GET /refuse HTTP/1.1\r\nHost: a\r\n\r\n";
    client
        .send((first.to_owned() + &offer("/", "")).as_bytes())
        .await;
    client.send(&frame(TEXT, b"early")).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 403 ") && !head.contains("close"),
        "{head}"
    );
    let body = "403 Forbidden\n";
    let head = client.head().await;
    assert!(head.starts_with(&format!("{body}HTTP/1.1 101 ")), "{head}");
    let mut accepted = server.accepted().await;
    assert_eq!(accepted.heard().await, News::Text("early".to_owned()));
}

#[tokio::test]
async fn messages_go_both_ways() {
    let mut server = Server::start(HttpOptions::default());
    let (mut client, mut accepted) = server.open().await;
    for size in [0, 1, 125, 126, 2048, 2049, 65_535, 65_536, 3_000_000] {
        let text = "a".repeat(size);
        client.send(&frame(TEXT, text.as_bytes())).await;
        assert!(accepted.heard().await == News::Text(text.clone()), "{size}");
        accepted.sender.grant(size + WebSocketMessage::OVERHEAD);
        accepted.say(&text);
        let (first, payload) = client.next().await.unwrap();
        assert_eq!((first, payload.len()), (TEXT, size));
        assert!(payload == text.as_bytes(), "{size}");
        let taken = support::in_time(accepted.news.recv()).await;
        assert_eq!(taken, Some(News::Taken(size + WebSocketMessage::OVERHEAD)));
    }
    client.send(&frame(0x02, b"in ")).await;
    client.send(&frame(PING, b"between")).await;
    client.send(&frame(0x80, b"parts")).await;
    assert_eq!(client.next().await, Some((PONG, b"between".to_vec())));
    assert_eq!(accepted.heard().await, News::Binary("in parts".into()));
    let many = (0..1000_u16).map(|number| Bytes::copy_from_slice(&number.to_be_bytes()));
    for bytes in many.clone() {
        accepted.sender.send(WebSocketMessage::Binary(bytes));
    }
    for bytes in many {
        assert_eq!(client.next().await, Some((BINARY, bytes.to_vec())));
    }
}

#[tokio::test]
async fn messages_are_compressed_where_the_client_can_do_so() {
    for (compression, context_takeover, answer) in [
        (true, true, Some("client_max_window_bits=11")),
        (
            true,
            false,
            Some("server_no_context_takeover; client_no_context_takeover"),
        ),
        (false, true, None),
    ] {
        let web_sockets = WebSocketOptions {
            compression,
            context_takeover,
            ..WebSocketOptions::default()
        };
        let mut server = Server::start(HttpOptions {
            web_sockets,
            ..HttpOptions::default()
        });
        let mut client = Client::connect(&server.address).await;
        let fields = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        client.send(offer("/", fields).as_bytes()).await;
        let head = client.head().await;
        let (_, rest) = head.split_once("sec-websocket-extensions: ").unzip();
        let line = answer.map(|answer| format!("permessage-deflate; {answer}\r\n"));
        assert_eq!(
            rest.map(|rest| rest.starts_with(line.as_ref().unwrap())),
            answer.map(|_| true),
            "{head}"
        );
        let mut accepted = server.accepted().await;
        let text = "again and ".repeat(1_000);
        accepted.say(&text);
        let (first, payload) = client.next().await.unwrap();
        assert_eq!(first & 0x40 != 0, compression);
        assert_eq!(payload.len() < text.len() / 10, compression);
        // RFC 7692 §7.2.3.1: "Hello".
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        client.send(&frame(0xc1, &hello)).await;
        if compression {
            assert_eq!(accepted.heard().await, News::Text("Hello".to_owned()));
            // RFC 7692 §7.2.3.2: the same, in the context of the first. It is an error where there is none.
            client
                .send(&frame(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00]))
                .await;
            if context_takeover {
                assert_eq!(accepted.heard().await, News::Text("Hello".to_owned()));
            } else {
                assert_eq!(accepted.left().await, 1007);
            }
        } else {
            assert_eq!(accepted.left().await, 1002);
        }
    }
}

/// A few KiB become megabytes: whole, though other connections have their turns meanwhile.
#[tokio::test]
async fn messages_that_were_much_compressed_arrive() {
    let mut server = Server::start(HttpOptions::default());
    let mut client = Client::connect(&server.address).await;
    let fields = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    client.send(offer("/", fields).as_bytes()).await;
    client.head().await;
    let mut accepted = server.accepted().await;
    let zeros = Bytes::from(vec![0; 8 << 20]);
    accepted
        .sender
        .send(WebSocketMessage::Binary(zeros.clone()));
    let mut sent = Vec::new();
    loop {
        let (first, payload) = client.next().await.unwrap();
        sent.extend(frame(first, &payload));
        if first & 0x80 != 0 {
            break;
        }
    }
    assert!(sent.len() < 1 << 16);
    client.send(&sent).await;
    assert!(accepted.heard().await == News::Binary(zeros));
}

#[tokio::test]
async fn the_client_closes() {
    for (payload, echo, code, text) in [
        (closing(1000, ""), closing(1000, ""), 1000, ""),
        (closing(1001, "away"), closing(1001, ""), 1001, "away"),
        (closing(4999, "own"), closing(4999, ""), 4999, "own"),
        (Vec::new(), Vec::new(), 1005, ""),
    ] {
        let mut server = Server::start(HttpOptions::default());
        let (mut client, mut accepted) = server.open().await;
        client.send(&frame(TEXT, b"last")).await;
        client.send(&frame(CLOSE, &payload)).await;
        // What follows is ignored.
        client.send(&frame(TEXT, b"more")).await;
        assert_eq!(accepted.heard().await, News::Text("last".to_owned()));
        assert_eq!(accepted.heard().await, News::Left(code, text.to_owned()));
        assert_eq!(client.next().await, Some((CLOSE, echo)));
        // The server ends the connection (RFC 6455 §7.1.1).
        assert_eq!(client.next().await, None);
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn the_application_closes() {
    let mut server = Server::start(HttpOptions::default());
    let (mut client, mut accepted) = server.open().await;
    accepted.say("before");
    accepted.close(1000);
    accepted.say("behind");
    assert_eq!(client.next().await, Some((TEXT, b"before".to_vec())));
    assert_eq!(client.next().await, Some((CLOSE, closing(1000, ""))));
    // The client may not know yet. Nothing is answered behind a close frame.
    client.send(&frame(TEXT, b"crossing")).await;
    client.send(&frame(PING, b"crossing")).await;
    client.send(&frame(CLOSE, &closing(1000, ""))).await;
    assert_eq!(client.next().await, None);
    assert_eq!(accepted.heard().await, News::Left(1000, String::new()));
}

#[tokio::test]
async fn an_application_that_vanishes_closes_with_its_failure() {
    let mut server = Server::start(HttpOptions::default());
    let (mut client, accepted) = server.open().await;
    accepted.say("before");
    drop(accepted.sender);
    assert_eq!(client.next().await, Some((TEXT, b"before".to_vec())));
    assert_eq!(client.next().await, Some((CLOSE, closing(1011, ""))));
}

#[tokio::test]
async fn a_client_that_does_not_keep_to_the_protocol_learns_why() {
    let too_big = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
    let cases: &[(&[u8], u16)] = &[
        (&[0x81, 0x01, b'a'], 1002),
        (&frame(0xc1, b"a"), 1002),
        (&frame(0x83, b"a"), 1002),
        (&frame(0x80, b"a"), 1002),
        (&frame(0x09, b"a"), 1002),
        (&frame(CLOSE, b"a"), 1002),
        (&frame(CLOSE, &closing(1006, "")), 1002),
        (&frame(TEXT, b"\xff"), 1007),
        (&too_big, 1009),
    ];
    for (bytes, code) in cases {
        let web_sockets = WebSocketOptions {
            max_message: 65_535,
            ..WebSocketOptions::default()
        };
        let mut server = Server::start(HttpOptions {
            web_sockets,
            ..HttpOptions::default()
        });
        let (mut client, mut accepted) = server.open().await;
        client.send(bytes).await;
        let (first, payload) = client.next().await.unwrap();
        assert_eq!((first, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]));
        assert!(payload.len() > 2, "{bytes:?} is not explained");
        assert_eq!(client.next().await, None);
        let text = String::from_utf8(payload[2..].to_vec()).unwrap();
        assert_eq!(accepted.heard().await, News::Left(*code, text));
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn ten_thousand_pings_are_answered_in_their_order() {
    let mut server = Server::start(HttpOptions::default());
    let (client, _accepted) = server.open().await;
    let (mut receiving, mut sending) = client.twice();
    let all = (0..10_000_u32).flat_map(|number| frame(PING, &number.to_be_bytes()));
    let all: Vec<u8> = all.collect();
    let sent = tokio::spawn(async move {
        sending.send(&all).await;
        sending
    });
    for number in 0..10_000_u32 {
        let pong = (PONG, number.to_be_bytes().to_vec());
        assert_eq!(receiving.next().await, Some(pong));
    }
    drop(sent.await.unwrap());
}
