//! WebSockets on streams of HTTP/2 (RFC 8441). Frames, limits and pings are those of HTTP/1.1, and have their tests there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use runner::gateway::graceful_stop::Manner;
use runner::gateway::http::HttpOptions;
use support::{CLOSE, News, PING, PONG, Server, TEXT, closing, frame, in_time};
use tokio::net::TcpStream;

#[path = "support/web_socket.rs"]
mod support;

/// A client, which knows that it may ask for WebSockets.
async fn client(server: &Server) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let (status, _, _) = ask(&send, "GET", None, "/refuse", "13").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(send.is_extended_connect_protocol_enabled());
    send
}

type Opened = (StatusCode, HeaderMap, Stream);

async fn ask(
    send: &SendRequest<Bytes>,
    method: &str,
    protocol: Option<&'static str>,
    path: &str,
    version: &str,
) -> Opened {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(format!("http://a{path}"))
        .header("sec-websocket-version", version)
        .body(())
        .unwrap();
    if let Some(protocol) = protocol {
        request
            .extensions_mut()
            .insert(Protocol::from_static(protocol));
    }
    let mut send = in_time(send.clone().ready()).await.unwrap();
    let (response, send) = send.send_request(request, method == "GET").unwrap();
    let (head, receive) = in_time(response).await.unwrap().into_parts();
    let got = BytesMut::new();
    let stream = Stream { send, receive, got };
    (head.status, head.headers, stream)
}

async fn open(send: &SendRequest<Bytes>, path: &str) -> Opened {
    ask(send, "CONNECT", Some("websocket"), path, "13").await
}

/// The client's end of a stream.
struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    got: BytesMut,
}

impl Stream {
    fn say(&mut self, first: u8, payload: &[u8]) {
        let frame = frame(first, payload).into();
        self.send.send_data(frame, false).unwrap();
    }

    /// The next short frame; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<(u8, Bytes)>, Option<Reason>> {
        loop {
            if let [first, length, ..] = *self.got
                && self.got.len() >= 2 + usize::from(length)
            {
                let payload = self.got.split_to(2 + usize::from(length)).freeze();
                return Ok(Some((first, payload.slice(2..))));
            }
            match in_time(self.receive.data()).await {
                Some(part) => {
                    let part = part.map_err(|error| error.reason())?;
                    let _ = self.receive.flow_control().release_capacity(part.len());
                    self.got.extend_from_slice(&part);
                }
                None => return Ok(None),
            }
        }
    }
}

#[tokio::test]
async fn messages_go_both_ways_beside_other_requests() {
    let mut server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    let (status, headers, mut first) = open(&send, "/?x-own=1&sec-websocket-accept=x").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["x-own"], "1");
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    let mut other = server.accepted().await;
    let (_, _, mut second) = open(&send, "/").await;
    let mut another = server.accepted().await;
    first.say(TEXT, b"one");
    second.say(TEXT, b"two");
    assert_eq!(other.heard().await, News::Text("one".to_owned()));
    assert_eq!(another.heard().await, News::Text("two".to_owned()));
    other.say("three");
    let said = Bytes::from_static(b"three");
    assert_eq!(first.next().await, Ok(Some((TEXT, said))));
    first.say(PING, b"?");
    let said = Bytes::from_static(b"?");
    assert_eq!(first.next().await, Ok(Some((PONG, said))));
    let (status, _, _) = ask(&send, "GET", None, "/refuse", "13").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    // The application closes one, the client another one.
    other.close(1000);
    let (kind, said) = first.next().await.unwrap().unwrap();
    assert_eq!((kind, &said[..2]), (CLOSE, &1000_u16.to_be_bytes()[..]));
    first.say(CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(first.next().await, Ok(None));
    second.say(CLOSE, &1001_u16.to_be_bytes());
    assert_eq!(another.left().await, 1001);
    assert_eq!(second.next().await.unwrap().unwrap().0, CLOSE);
    assert_eq!(second.next().await, Ok(None));
}

#[tokio::test]
async fn an_offer_that_is_not_accepted_has_another_status() {
    let server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    for (protocol, path, version, status) in [
        ("websocket", "/refuse", "13", 403),
        ("websocket", "/", "8", 426),
        ("connect-udp", "/", "13", 501),
    ] {
        let (found, headers, _) = ask(&send, "CONNECT", Some(protocol), path, version).await;
        assert_eq!(found.as_u16(), status, "{protocol} {path}");
        assert!(!headers.contains_key("connection"));
    }
    let (status, headers, _) = ask(&send, "CONNECT", Some("websocket"), "/", "8").await;
    assert_eq!(status, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(headers["sec-websocket-version"], "13");
}

#[tokio::test]
async fn a_client_that_leaves_and_an_application_that_breaks_off_are_told_apart() {
    let mut server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    let (_, _, mut stream) = open(&send, "/").await;
    let mut accepted = server.accepted().await;
    stream.send.send_reset(Reason::CANCEL);
    assert_eq!(accepted.left().await, 1006);
    let (_, _, mut stream) = open(&send, "/").await;
    drop(server.accepted().await);
    let said = Bytes::from(closing(1011, ""));
    assert_eq!(stream.next().await, Ok(Some((CLOSE, said))));
}

#[tokio::test]
async fn a_stop_waits_for_the_application_to_close() {
    let mut server = Server::start(HttpOptions::default());
    let send = client(&server).await;
    let (_, _, mut stream) = open(&send, "/").await;
    let mut accepted = server.accepted().await;
    server.stop.begin(Manner::Drain);
    stream.say(TEXT, b"still");
    assert_eq!(accepted.heard().await, News::Text("still".to_owned()));
    accepted.close(1001);
    assert_eq!(stream.next().await.unwrap().unwrap().0, CLOSE);
    stream.say(CLOSE, &1001_u16.to_be_bytes());
    assert_eq!(stream.next().await, Ok(None));
    drop((stream, send));
    in_time(server.task).await.unwrap();
}
