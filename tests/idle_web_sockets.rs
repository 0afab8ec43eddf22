//! What thousands of idle WebSockets cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runner::gateway::http::HttpOptions;
use rustix::process::{Resource, getpid, getrlimit, setrlimit};
use support::{News, Server, TEXT, frame};
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
    let message = frame(TEXT, text.as_bytes());
    for _ in 0..MANY {
        let (mut client, mut accepted) = server.open().await;
        // It was not always idle.
        client.send(&message).await;
        assert!(accepted.heard().await == News::Text(text.clone()));
        accepted.say(&text);
        assert!(client.next().await.is_some());
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
