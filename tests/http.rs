//! Responses of applications over real sockets, by the cases of `tests/http/responses.txt`. Requests: `http_requests.rs`.
//!
//! A case is `=== name`, the request, `---`, the response, and `--- open` or `--- closed` for the state of the
//! connection afterwards. Lines end with CR LF on the wire, unless they end with `\`, which is removed.
//! `\r`, `\n`, `\\` and `\x00` mean what they mean in Rust. `date` fields are left out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use runner::gateway::body::spool::SpoolOptions;
use runner::gateway::http::HttpOptions;
use support::{Server, say, until_end};
use tokio::io::AsyncWriteExt;

#[path = "support/mirror.rs"]
mod support;

/// The lines of a case file as they are sent.
fn on_the_wire(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        let mut rest = line.bytes();
        let mut ended = false;
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            match rest.next() {
                None => ended = true,
                Some(b'r') => bytes.push(b'\r'),
                Some(b'n') => bytes.push(b'\n'),
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                }
                Some(other) => bytes.push(other),
            }
        }
        if !ended {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

/// Runs the cases of a file.
async fn run_cases(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/http")
        .join(file);
    let text = fs::read_to_string(path).unwrap();
    let server = Server::start(HttpOptions {
        spool: Arc::new(SpoolOptions {
            limit: 1000,
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    });
    let mut failures = String::new();
    let mut count = 0;
    for case in text.split("\n=== ").skip(1) {
        count += 1;
        let lines: Vec<&str> = case.lines().collect();
        let name = lines[0];
        let mut parts = lines[1..].split(|line| line.starts_with("---"));
        let request = on_the_wire(parts.next().unwrap());
        let expected = parts
            .next()
            .unwrap_or_else(|| panic!("no answer in {name}"));
        let expected: String = on_the_wire(expected)
            .iter()
            .map(|byte| char::from(*byte))
            .collect();
        let end = *lines.iter().rfind(|line| line.starts_with("---")).unwrap();
        let mut stream = server.connect().await;
        stream.write_all(&request).await.unwrap();
        let received = match end {
            "--- open" => {
                // The connection can be used for another request.
                say(
                    &mut stream,
                    "GET /bytes/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                )
                .await;
                let received = until_end(&mut stream).await;
                let last = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                received.strip_suffix(last).map_or_else(
                    || format!("{received}(no answer to another request)"),
                    str::to_owned,
                )
            }
            "--- closed" => until_end(&mut stream).await,
            other => panic!("`{other}` in {name}"),
        };
        if received != expected {
            failures.push_str(&format!(
                "=== {name}\nexpected:\n{}\nreceived:\n{}\n",
                expected.escape_debug().to_string().replace("\\r\\n", "\n"),
                received.escape_debug().to_string().replace("\\r\\n", "\n")
            ));
        }
    }
    assert!(count > 0);
    assert!(failures.is_empty(), "{failures}");
}

#[tokio::test]
async fn responses() {
    run_cases("responses.txt").await;
}

/// The bytes that a target may have unencoded: those that nginx, gunicorn and waitress accept as well. Any other byte
/// is refused, and the log names it.
#[tokio::test]
async fn each_byte_of_a_target_reaches_the_application_or_is_refused() {
    let server = Server::start(HttpOptions::default());
    for byte in 0x21..=u8::MAX {
        for (before, behind) in [("/a", "b"), ("/?a", "b"), ("http://localhost/a", "?b")] {
            let request = [
                format!("GET {before}").as_bytes(),
                &[byte],
                format!("{behind} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            ]
            .concat();
            let mut stream = server.connect().await;
            stream.write_all(&request).await.unwrap();
            let received = until_end(&mut stream).await;
            let before = before.trim_start_matches("http://localhost");
            let target = format!("{before}{}{behind}", byte.escape_ascii());
            let seen = match byte {
                // No target has a fragment.
                0x21..=0x7e if byte != b'#' => format!("\r\n\r\nGET {target} HTTP/1.1\n"),
                _ => "\r\n\r\n400 Bad Request\n".to_owned(),
            };
            assert!(received.contains(&seen), "{byte:#04x}: {received}");
        }
    }
}
