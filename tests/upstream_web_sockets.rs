//! WebSockets of servers behind `upstream`.

mod support;

use support::http::{Connection, request};
use support::scripted::{Scripted, text};
use support::{Address, Folder, Server, free_port, project, python};

/// A browser that prints what a page contains once its time is over.
const BROWSER: [&str; 12] = [
    "--headless",
    "--ignore-certificate-errors",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--dump-dom",
    "--virtual-time-budget=5000",
];

#[test]
fn messages_go_both_ways_and_each_end_learns_how_the_other_one_ends() {
    let port = free_port();
    let folder = Folder::new();
    let url = format!("http://127.0.0.1:{port}");
    let runner = folder
        .runner(["serve", "tcp://127.0.0.1:0", "upstream", &url])
        .start();
    let script = project("tests/apps/drive_relay.py");
    let outcome = folder
        .program(python(), [script])
        .arguments([runner.url().to_owned(), port.to_string()])
        .arguments([runner.pid().as_raw_nonzero().to_string()])
        .env("NO_PROXY", "*")
        .run();
    let log = runner.log();
    assert!(outcome.status == 0, "{outcome:#?}\n{log}");
    assert_eq!(outcome.stdout, "all messages went both ways\n");
    assert!(
        log.contains("closed the WebSocket of GET /break with code 1014: 127.0.0.1:"),
        "{log}"
    );
}

/// What goes on for as long as its client likes takes no place from others.
#[test]
fn requests_are_answered_beside_streams_of_events() {
    let server = Scripted::start(|_, mut client| {
        let Some(head) = client.head() else { return };
        if head.starts_with("GET /events ") {
            let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
            client.send(events.as_bytes());
            return client.closed();
        }
        client.send(&text("here"));
    });
    let words = ["serve", "tcp://127.0.0.1:0", "upstream"];
    let url = server.url();
    let runner = Folder::new()
        .runner(words.into_iter().chain([&*url, "--connections", "1"]))
        .start();
    let streams = [(); 3].map(|()| {
        let mut client = Connection::open(runner.address());
        client.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.until("data: 1");
        client
    });
    assert_eq!(runner.get("/").ok(), "here");
    drop(streams);
}

/// A server of Node with `express` and `ws`.
#[track_caller]
fn chat(folder: &Folder) -> (Server, String) {
    let port = free_port();
    let node = folder
        .program("node", ["chat.js", &port.to_string()])
        .env("NODE_PATH", project("target/node/node_modules"))
        .start_at(Address::port(port));
    (node, format!("http://127.0.0.1:{port}"))
}

/// What a browser shows of its page once it has heard of all.
fn shown(folder: &Folder, url: &str) -> String {
    let mut page = String::new();
    // The time of the page can be over before a busy machine has answered.
    for attempt in 0..5 {
        let profile = format!("--user-data-dir=profile-{attempt}");
        let browser = folder
            .program("chromium", BROWSER)
            .arguments([profile.as_str(), url])
            .run();
        page = browser.stdout;
        if page.contains("<li>you said") && page.contains("<li>event") {
            break;
        }
    }
    page
}

#[test]
fn a_browser_chats_with_a_server_of_node() {
    let folder = Folder::new().copy("tests/apps/node/chat.js");
    let (node, url) = chat(&folder);
    let runner = folder
        .runner(["serve", "tcp://127.0.0.1:0", "upstream", &url])
        .start();
    assert_eq!(
        runner.get("/client").ok(),
        r#"["127.0.0.1","http","localhost"]"#
    );
    let large: Vec<u8> = (0..3_000_000_usize)
        .map(|number| (number % 251) as u8)
        .collect();
    let echo = request(runner.address(), "POST", "/echo", &[], &large);
    assert!(echo.status == 200 && echo.body == large, "{}", echo.status);
    let page = shown(&folder, runner.url());
    assert!(
        page.contains("<li>you said: hello from a browser</li>"),
        "{page}"
    );
    assert!(page.contains("<li>event one</li>"), "{page}");
    runner.stop();
    node.stop();
}

#[test]
fn a_browser_chats_with_it_by_http2() {
    let folder = Folder::new()
        .copy("tests/apps/node/chat.js")
        .executable("browser", "#!/bin/sh\n");
    let (node, url) = chat(&folder);
    let runner = folder
        .runner(["launch", "--tls", "tcp://localhost:0", "upstream", &url])
        .env("BROWSER", folder.path("browser"))
        .start();
    let page = shown(&folder, runner.url());
    assert!(
        page.contains("<li>you said: hello from a browser</li>"),
        "{page}"
    );
    // The WebSocket is a stream, too (RFC 8441). Its line comes when it has ended.
    runner.wait_for_log(|log| log.contains("/chat HTTP/2.0"));
    runner.stop();
    node.stop();
}
