//! HTTP/2 without TLS: what requests become, which are refused, and how responses are sent. What is shared with HTTP/1 is in
//! the tests of that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use bytes::Bytes;
use frames::{
    Answer, END_HEADERS, END_STREAM, GET, HEADERS, RST_STREAM, RawClient, SETTINGS, ask, client,
    frame, request, text,
};
use h2::Reason;
use http::{HeaderValue, Request, StatusCode};
use mirror::{Server, in_time};
use runner::gateway::body::spool::SpoolOptions;
use runner::gateway::http::HttpOptions;

#[path = "support/frames.rs"]
mod frames;
#[path = "support/mirror.rs"]
mod mirror;

fn body(answer: Result<Answer, Option<Reason>>) -> String {
    answer.unwrap().body.unwrap()
}

#[tokio::test]
async fn a_request_is_the_same_as_by_http_1() {
    let server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    let mut asked = request("GET", "/a%20b?c=d");
    for cookie in ["a=1", "b=2", "c=3"] {
        asked
            .headers_mut()
            .append("cookie", HeaderValue::from_static(cookie));
    }
    asked
        .headers_mut()
        .append("x-a", HeaderValue::from_static("1"));
    assert_eq!(
        body(ask(&send, asked, b"").await),
        "GET /a%20b?c=d HTTP/2.0\npath /a b\nquery c=d\ncookie: a=1; b=2; c=3\nx-a: 1\nhost: a\nno body"
    );
    let said = body(ask(&send, request("POST", "/"), b"some").await);
    assert_eq!(said, "POST / HTTP/2.0\npath /\nquery \nhost: a\nbody some");
    // Without a length, and larger than the windows.
    let large = &*vec![b'x'; 3_000_000].leak();
    let (response, mut stream) = in_time(send.clone().ready())
        .await
        .unwrap()
        .send_request(request("PUT", "/"), false)
        .unwrap();
    let sent = tokio::spawn(async move {
        let mut left = Bytes::from_static(large);
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
            let part = left.split_to(room.unwrap().unwrap().min(left.len()));
            stream.send_data(part, left.is_empty()).unwrap();
        }
    });
    let said = text(in_time(response).await.unwrap().into_body())
        .await
        .unwrap();
    assert!(
        said.ends_with("3000000 bytes in a file of 3000000"),
        "{said}"
    );
    sent.await.unwrap();
    server.stop().await;
}

/// A refusal costs its stream and no other.
#[tokio::test]
async fn faults_are_refused_and_the_connection_goes_on() {
    let server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    let long = |count| "a".repeat(count);
    let with = |fields: &[(&'static str, &str)]| {
        let mut asked = request("GET", "/");
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            asked.headers_mut().append(*name, value);
        }
        asked
    };
    for (asked, status) in [
        (with(&[("host", "a")]), 200),
        (with(&[("host", "A")]), 200),
        (with(&[("host", "b")]), 400),
        (with(&[("host", "a"), ("host", "b")]), 400),
        (
            with(&[("content-length", "0"), ("content-length", "0")]),
            400,
        ),
        (with(&[("x-a", " b")]), 400),
        (with(&[("x-a", "b\t")]), 400),
        (with(&[("authorization", "a"), ("authorization", "b")]), 400),
        (with(&[("expect", "something")]), 417),
        (with(&[("x-a", &long(16_384))]), 431),
        (with(&[("x-a", &long(16_379))]), 200),
        (with(&[("x-a", long(14_000).as_str()); 5]), 431),
        (with(&[("x-a", "b"); 101]), 431),
        (with(&[("x-a", "b"); 99]), 200),
        (request("GET", &format!("/{}", long(16_384))), 414),
        (request("get", "/"), 400),
        (request(&long(33).to_uppercase(), "/"), 400),
        (request("CONNECT", ""), 501),
        (request("GET", "/%00"), 400),
    ] {
        let shown = format!("{asked:?}");
        let answer = ask(&send, asked, b"").await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{shown:.200}");
        assert!(!answer.headers.contains_key("connection"));
    }
    let reason = ask(&send, with(&[("content-length", "3")]), b"four").await;
    assert_eq!(reason.unwrap_err(), Some(Reason::PROTOCOL_ERROR));
    assert_eq!(ask(&send, with(&[]), b"").await.unwrap().status, 200);
    server.stop().await;
}

/// What `h2` refuses for us, and what clients of its kind do not send.
#[tokio::test]
async fn malformed_heads_reset_their_stream_or_end_the_connection() {
    let server = Server::start(HttpOptions::default());
    let mut client = RawClient::begin(&server).await;
    let literal = |name: &str, value: &str| {
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        [
            &[0, length(name)],
            name.as_bytes(),
            &[length(value)],
            value.as_bytes(),
        ]
        .concat()
    };
    for (stream, fields) in (1..).step_by(2).zip([
        literal("connection", "close"),
        literal("transfer-encoding", "chunked"),
        literal("upgrade", "h2c"),
        literal("keep-alive", "1"),
        literal("te", "gzip"),
        literal(":path", "/b"),
        literal(":status", "200"),
    ]) {
        let head = [GET, &fields].concat();
        let flags = END_HEADERS | END_STREAM;
        client.send(&frame(HEADERS, flags, stream, &head)).await;
        let reset = client.next_of(RST_STREAM).await;
        assert_eq!(reset.stream, stream);
        assert_eq!(reset.reason(), Some(Reason::PROTOCOL_ERROR), "{fields:?}");
    }
    // A port that there is not, and a scheme that is not HTTP's, literally, with an authority.
    let flags = END_HEADERS | END_STREAM;
    for (stream, other) in [
        (97, &b"\x82\x84\x86\x41\x07a:65536"[..]),
        (99, b"\x82\x84\x06\x03ftp\x41\x01a"),
    ] {
        client.send(&frame(HEADERS, flags, stream, other)).await;
        let head = client.next_of(HEADERS).await;
        // `:status 400` of the static table (RFC 7541, appendix A).
        assert_eq!((head.stream, head.payload[0]), (stream, 0x8c));
    }
    // `OPTIONS *`
    let asked = b"\x02\x07OPTIONS\x04\x01*\x86\x41\x01a";
    let flags = END_HEADERS | END_STREAM;
    client.send(&frame(HEADERS, flags, 101, asked)).await;
    assert_eq!(client.next_of(HEADERS).await.stream, 101);
    for fields in [
        literal("X-Upper", "a"),
        literal("x-a", "a\nb"),
        literal(":other", "a"),
    ] {
        let mut client = RawClient::begin(&server).await;
        let head = [GET, &fields].concat();
        client.send(&frame(HEADERS, flags, 1, &head)).await;
        assert_eq!(client.goes_away().await, Reason::PROTOCOL_ERROR);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = Server::start(HttpOptions {
        spool: Arc::new(SpoolOptions {
            limit: 10,
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    });
    let send = client(&server).await;
    let mut announced = request("POST", "/");
    announced
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("11"));
    for asked in [announced, request("POST", "/")] {
        let answer = ask(&send, asked, b"hello world").await.unwrap();
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let answer = ask(&send, request("POST", "/"), b"hello").await;
    assert!(body(answer).ends_with("body hello"));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_waits_for_it_is_told_to_send_its_body() {
    let server = Server::start(HttpOptions::default());
    let mut send = in_time(client(&server).await.ready()).await.unwrap();
    let mut asked = request("POST", "/");
    let expected = HeaderValue::from_static("100-continue");
    asked.headers_mut().insert("expect", expected);
    let (mut response, mut stream) = send.send_request(asked, false).unwrap();
    let told = std::future::poll_fn(|context| response.poll_informational(context));
    let told = in_time(told).await.unwrap().unwrap();
    assert_eq!(told.status(), StatusCode::CONTINUE);
    stream.send_data(Bytes::from_static(b"some"), true).unwrap();
    let said = text(in_time(response).await.unwrap().into_body()).await;
    assert!(said.unwrap().ends_with("body some"));
    server.stop().await;
}

#[tokio::test]
async fn responses_have_their_fields_and_no_body_where_none_belongs() {
    let server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    for (method, path, status, length, text) in [
        ("GET", "/stream", 200, None, "onetwo"),
        ("GET", "/stream/of-six", 200, Some("6"), "onetwo"),
        ("GET", "/stream/long", 200, Some("4"), "onet"),
        ("GET", "/bytes/none", 200, Some("0"), ""),
        ("GET", "/file", 200, Some("5"), "23456"),
        ("HEAD", "/file", 200, Some("5"), ""),
        ("GET", "/204", 204, None, ""),
        ("GET", "/304", 304, None, ""),
        (
            "GET",
            "/101",
            500,
            Some("26"),
            "500 Internal Server Error\n",
        ),
        ("GET", "/hop-by-hop", 200, Some("3"), "one"),
        ("GET", "/reason", 299, Some("0"), ""),
    ] {
        let answer = ask(&send, request(method, path), b"").await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{path}");
        let found = answer.headers.get("content-length");
        let found = found.map(|length| length.to_str().unwrap());
        assert_eq!(found, length, "{path}");
        assert_eq!(answer.body.as_deref(), Ok(text), "{path}");
        assert!(answer.headers.contains_key("date"), "{path}");
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!answer.headers.contains_key(name), "{path}: {name}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn no_part_of_a_response_is_taken_for_the_whole() {
    let server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    for path in [
        "/stream/broken",
        "/stream/short",
        "/bytes/short",
        "/file/short",
    ] {
        let answer = ask(&send, request("GET", path), b"").await;
        let reason = match answer {
            Ok(answer) => answer.body.unwrap_err(),
            Err(reason) => reason,
        };
        assert_eq!(reason, Some(Reason::INTERNAL_ERROR), "{path}");
    }
    assert_eq!(
        body(ask(&send, request("GET", "/file"), b"").await),
        "23456"
    );
    server.stop().await;
}

#[tokio::test]
async fn many_requests_are_under_way_at_a_time_and_no_more_than_the_limit() {
    let server = Server::start(HttpOptions {
        max_streams: 3,
        ..HttpOptions::default()
    });
    let mut client = RawClient::begin(&server).await;
    let settings = client.next_of(SETTINGS).await.payload;
    assert!(
        settings
            .chunks(6)
            .any(|setting| setting == [0, 3, 0, 0, 0, 3]),
        "{settings:?}"
    );
    // The client knows the limit once it says so.
    client.send(&frame(SETTINGS, 1, 0, &[])).await;
    for stream in [1, 3, 5, 7] {
        let flags = END_HEADERS | END_STREAM;
        client
            .send(&frame(HEADERS, flags, stream, frames::WAIT))
            .await;
    }
    let refused = client.next_of(RST_STREAM).await;
    assert_eq!(refused.stream, 7);
    assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
    for _ in 0..3 {
        server.mirror.go_on.notify_one();
        client.next_of(HEADERS).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn without_http_2_its_beginning_is_an_unknown_version() {
    let server = Server::start(HttpOptions {
        http2: false,
        ..HttpOptions::default()
    });
    let said = server.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(
        said.starts_with("HTTP/1.1 505 HTTP Version Not Supported\r\n"),
        "{said}"
    );
    let get = "GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert!(server.ask(get).await.ends_with("23456"));
    server.stop().await;
}

/// The beginning may come in any parts, and is one only at the beginning.
#[tokio::test]
async fn http_2_is_recognised_by_its_first_line() {
    let server = Server::start(HttpOptions::default());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for at in [1, 3, 15, 16, 17, 23] {
        let mut client = RawClient(server.connect().await);
        client.0.set_nodelay(true).unwrap();
        client.send(&preface[..at]).await;
        if at >= 16 {
            // The server's settings are there before the rest of it is.
            client.next_of(SETTINGS).await;
        }
        client.send(&preface[at..]).await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        let flags = END_HEADERS | END_STREAM;
        client.send(&frame(HEADERS, flags, 1, GET)).await;
        assert_eq!(client.next_of(HEADERS).await.stream, 1);
    }
    let said = server
        .ask("GET /file HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await;
    assert!(said.contains("23456HTTP/1.1 505 "), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_begins_with_no_frame_is_sent_away() {
    let server = Server::start(HttpOptions::default());
    let mut client = RawClient(server.connect().await);
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send(&frame(HEADERS, END_HEADERS, 2, GET)).await;
    assert_eq!(client.goes_away().await, Reason::PROTOCOL_ERROR);
    let asked = Request::builder().uri("http://a/file").body(()).unwrap();
    let send = frames::client(&server).await;
    assert_eq!(body(ask(&send, asked, b"").await), "23456");
    server.stop().await;
}
