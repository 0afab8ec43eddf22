//! What thousands of idle WebSockets cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::gateway::http::HttpOptions;
use rustix::process::{Resource, getpid, getrlimit, setrlimit};
use support::{Client, News, Server, TEXT, frame, offer};
use usage::memory;

#[path = "support/web_socket.rs"]
mod support;
#[allow(dead_code, reason = "only the memory counts here")]
#[path = "support/usage.rs"]
mod usage;

/// The number of WebSockets.
const MANY: usize = 2000;

/// The most that one of them may cost with its client, in bytes: the gateway's side is to be below it.
const MOST: usize = 20 * 1024;

#[tokio::test]
async fn an_idle_web_socket_has_no_buffers() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let resident = || memory(getpid(), "VmRSS");
    let mut server = Server::start(HttpOptions::default());
    // What is there once.
    drop(server.open().await);
    let before = resident();
    let mut open = Vec::with_capacity(MANY);
    let text = "a".repeat(50_000);
    let mut encoder = flate2::Compress::new(flate2::Compression::fast(), false);
    let mut deflated = Vec::with_capacity(1000);
    encoder
        .compress_vec(text.as_bytes(), &mut deflated, flate2::FlushCompress::Sync)
        .unwrap();
    deflated.truncate(deflated.len() - 4);
    let message = frame(0xc0 | TEXT, &deflated);
    let offer = offer(
        "/",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    );
    for _ in 0..MANY {
        let mut client = Client::connect(&server.address).await;
        client.send(offer.as_bytes()).await;
        let head = client.head().await;
        assert!(
            head.contains("permessage-deflate; client_max_window_bits=11\r\n"),
            "{head}"
        );
        let mut accepted = server.accepted().await;
        // It was not always idle, and messages may point back to these.
        client.send(&message).await;
        assert!(accepted.heard().await == News::Text(text.clone()));
        accepted.say(&text);
        assert_eq!(client.next().await.unwrap().0, 0xc0 | TEXT);
        client.forget();
        open.push((client, accepted));
    }
    let each = resident().saturating_sub(before) / MANY;
    assert!(each < MOST, "{each} bytes");
    // They are open.
    for (client, accepted) in &mut open {
        client.send(&frame(TEXT, b"here")).await;
        accepted.sender.grant(100_000);
        assert_eq!(accepted.heard().await, News::Text("here".to_owned()));
    }
}
