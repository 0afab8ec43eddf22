//! Responses in large blocks, which clients get from the memory that the worker fills next: each gets what was made for it,
//! whatever others do.

mod support;

use std::fs;
use std::thread;

use support::http::Connection;
use support::{Folder, Server};

/// More than the system buffers for a client that takes nothing.
const LARGE: usize = 24 << 20;

/// The body that the application sends.
fn pattern() -> Vec<u8> {
    (0..LARGE).map(|place| (place % 251) as u8).collect()
}

/// A server with one worker, so that all responses go through the same memory.
fn serve(application: &str, url: &str) -> Server {
    let tls = match url.starts_with("https:") {
        true => "[runner.tls]\ncert = 'cert.pem'\nkey = 'key.pem'\n",
        false => "",
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("names");
    Folder::new()
        .copy("tests/apps/blocks.py")
        .file("cert.pem", made.cert.pem())
        .file("key.pem", made.signing_key.serialize_pem())
        .file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['serve', {application}])\n\
                 url = '{url}'\n\
                 runner.http.compress = ['gzip']\n\
                 [runner.workers]\nmin = 1\nmax = 1\n\
                 {tls}"
            ),
        )
        .runner(["runIni", "app.ini"])
        .start()
}

/// Has curl ask for the same with each of these options at the same time, twice.
fn each_is_whole(server: &Server, options: &[&str]) {
    let whole = pattern();
    thread::scope(|scope| {
        for (number, option) in options.iter().enumerate() {
            let (folder, whole) = (server.folder(), &whole);
            let url = format!("{}/stream/{LARGE}", server.url().trim_end_matches('/'));
            scope.spawn(move || {
                for turn in 0..2 {
                    let output = format!("{number}-{turn}");
                    let ask = ["--cacert", "cert.pem", option, "--output", &output, &url];
                    folder.curl(ask).success();
                    let received = fs::read(folder.path(&output)).expect("a file");
                    assert!(received == *whole, "{option}: {} bytes", received.len());
                }
            });
        }
    });
}

fn with_clients_that_take_nothing(application: &str) {
    let server = serve(application, "tcp://127.0.0.1:0");
    let ask = || {
        let mut client = Connection::open(server.address());
        client.send(
            format!("GET /stream/{LARGE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        client
    };
    let mut idle = [ask(), ask(), ask()];
    let options = [
        "--http1.1",
        "--http1.1",
        "--http2-prior-knowledge",
        "--compressed",
    ];
    each_is_whole(&server, &options);
    // Some leave, and what they did not take comes back.
    drop([ask(), ask(), ask(), ask()]);
    each_is_whole(&server, &options);
    for client in &mut idle {
        let reply = client.reply("GET");
        assert!(
            reply.complete && reply.body == pattern(),
            "{}",
            reply.body.len()
        );
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn each_client_gets_what_wsgi_made_for_it() {
    with_clients_that_take_nothing("'WSGI', 'import:blocks.application'");
}

#[test]
fn each_client_gets_what_asgi_made_for_it() {
    with_clients_that_take_nothing("'ASGI', 'import:blocks.asgi'");
}

#[test]
fn so_does_each_over_tls() {
    for application in [
        "'WSGI', 'import:blocks.application'",
        "'ASGI', 'import:blocks.asgi'",
    ] {
        let server = serve(application, "https://localhost:0");
        each_is_whole(&server, &["--http1.1", "--http2", "--compressed"]);
        assert_eq!(server.stop().status, 0);
    }
}
