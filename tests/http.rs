//! The HTTP gateway, spoken to over real sockets: the case files in `tests/http/`, and what needs more
//! than one request and one answer.
//!
//! A case is `=== name`, the request, `---`, the answer, and `--- open` or `--- closed` for what becomes of
//! the connection. Lines end in CR LF on the wire, unless they end in `\`, which stands for nothing at all.
//! `\r`, `\n`, `\\` and `\x00` are what they are in Rust. `date` fields are left out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use runner::application::{
    Application, Blocks, Pending, Request, RequestBody, Response, ResponseBody, Truncated,
};
use runner::gateway::http::{HttpOptions, serve};
use runner::gateway::listener::Listener;
use runner::gateway::socket_url::SocketUrl;
use runner::gateway::spool::SpoolOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a test waits before it fails.
const ENOUGH: Duration = Duration::from_secs(20);

/// Answers with what it was asked, or with what the path names.
#[derive(Default)]
struct Mirror {
    /// Somebody is waiting in `/wait`.
    waiting: Arc<Notify>,
    /// Lets them go on.
    go_on: Arc<Notify>,
    /// Somebody in `/wait` was given up.
    given_up: Notify,
    /// Nobody wants the rest of `/endless`.
    gone: Arc<Notify>,
}

impl Application for Mirror {
    fn respond(&self, request: Request) -> Pending<'_, Response> {
        Box::pin(async move {
            let path = String::from_utf8_lossy(&request.path_info).into_owned();
            match path.as_str() {
                "/wait" => {
                    let guard = Guard(Some(self));
                    self.waiting.notify_one();
                    self.go_on.notified().await;
                    guard.disarm();
                    answer(&[], ResponseBody::Bytes(Bytes::from_static(b"waited")))
                }
                "/endless" => {
                    let (sender, blocks) = Blocks::channel();
                    let gone = Arc::clone(&self.gone);
                    tokio::spawn(async move {
                        while sender.send(Ok(vec![b'x'; 65_536].into())).await.is_ok() {}
                        gone.notify_one();
                    });
                    answer(&[], ResponseBody::Stream(blocks))
                }
                "/after" => {
                    let (sender, blocks) = Blocks::channel();
                    let (go_on, waiting) = (Arc::clone(&self.go_on), Arc::clone(&self.waiting));
                    tokio::spawn(async move {
                        let _ = sender.send(Ok(Bytes::from_static(b"one"))).await;
                        go_on.notified().await;
                        if sender.send(Ok(Bytes::new())).await.is_ok() {
                            waiting.notify_one();
                        }
                    });
                    answer(&[("content-length", "3")], ResponseBody::Stream(blocks))
                }
                path => named(path, &request),
            }
        })
    }
}

/// Tells when it is dropped early.
struct Guard<'a>(Option<&'a Mirror>);

impl Guard<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(mirror) = self.0 {
            mirror.given_up.notify_one();
        }
    }
}

fn answer(headers: &[(&'static str, &'static str)], body: ResponseBody) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_static(name);
        map.append(name, HeaderValue::from_static(value));
    }
    Response {
        status: StatusCode::OK,
        reason: None,
        headers: map,
        body,
    }
}

fn bytes(text: &'static str) -> ResponseBody {
    ResponseBody::Bytes(Bytes::from_static(text.as_bytes()))
}

fn stream(blocks: &'static [Result<&'static str, Truncated>]) -> ResponseBody {
    let (sender, receiver) = Blocks::channel();
    tokio::spawn(async move {
        for block in blocks {
            let block = block.map(|text| Bytes::from_static(text.as_bytes()));
            if sender.send(block).await.is_err() {
                return;
            }
        }
    });
    ResponseBody::Stream(receiver)
}

fn file(content: &str, offset: u64, length: u64) -> ResponseBody {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    ResponseBody::File {
        file,
        offset,
        length,
    }
}

fn named(path: &str, request: &Request) -> Response {
    let with_status = |status: u16, mut response: Response| {
        response.status = StatusCode::from_u16(status).unwrap();
        response
    };
    match path {
        "/stream" => answer(&[], stream(&[Ok("one"), Ok(""), Ok("two")])),
        "/stream/of-six" => answer(&[("content-length", "6")], stream(&[Ok("one"), Ok("two")])),
        "/stream/broken" => answer(&[], stream(&[Ok("one"), Err(Truncated)])),
        "/stream/short" => answer(&[("content-length", "10")], stream(&[Ok("one")])),
        "/stream/long" => answer(
            &[("content-length", "4")],
            stream(&[Ok("one"), Ok("two"), Ok("three")]),
        ),
        "/bytes/short" => answer(&[("content-length", "10")], bytes("one")),
        "/bytes/long" => answer(&[("content-length", "2")], bytes("one")),
        "/bytes/none" => answer(&[], bytes("")),
        "/length/bad" => answer(&[("content-length", "+3")], bytes("one")),
        "/length/twice" => answer(
            &[("content-length", "3"), ("content-length", "3")],
            bytes("one"),
        ),
        "/length/differs" => answer(
            &[("content-length", "3"), ("content-length", "4")],
            bytes("one"),
        ),
        "/file" => answer(&[], file("0123456789", 2, 5)),
        "/file/short" => answer(&[], file("0123456789", 2, 50)),
        "/reason" => Response {
            reason: Some(Bytes::from_static(b"Sehr gut \xfc")),
            ..with_status(299, answer(&[], bytes("")))
        },
        "/reason/usual" => Response {
            reason: Some(Bytes::from_static(b"Fine")),
            ..answer(&[], bytes(""))
        },
        "/reason/bad" => Response {
            reason: Some(Bytes::from_static(b"A\r\nB: C")),
            ..answer(&[], bytes(""))
        },
        "/repeated" => answer(
            &[
                ("set-cookie", "a=1"),
                ("x-other", "1"),
                ("set-cookie", "b=2"),
            ],
            bytes(""),
        ),
        "/hop-by-hop" => answer(
            &[
                ("connection", "close"),
                ("keep-alive", "timeout=5"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("te", "trailers"),
                ("trailer", "x-a"),
                ("cache-control", "no-store"),
            ],
            bytes("one"),
        ),
        "/own" => answer(
            &[
                ("server", "mine"),
                ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ],
            bytes("one"),
        ),
        "/101" => with_status(101, answer(&[], bytes(""))),
        "/204" => with_status(204, answer(&[("content-length", "3")], bytes("one"))),
        "/304" => with_status(
            304,
            answer(
                &[("content-length", "3"), ("etag", "\"a\"")],
                stream(&[Ok("one")]),
            ),
        ),
        "/404" => Response::plain(StatusCode::NOT_FOUND),
        "/connection" => {
            let connection = &request.connection;
            let text = format!(
                "{} {} {} {}",
                connection.server_name,
                connection.server_port,
                connection.remote_addr,
                connection.remote_port
            );
            answer(&[], ResponseBody::Bytes(text.into()))
        }
        _ => mirror(request),
    }
}

/// The request as text.
fn mirror(request: &Request) -> Response {
    let mut text = String::new();
    let lossy = |bytes: &[u8]| bytes.escape_ascii().to_string();
    text.push_str(&format!(
        "{} {} {:?}\npath {}\nquery {}\n",
        request.method,
        lossy(&request.target),
        request.version,
        lossy(&request.path_info),
        lossy(&request.query),
    ));
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {}\n", lossy(value.as_bytes())));
    }
    match &request.body {
        RequestBody::Empty => text.push_str("no body"),
        RequestBody::Bytes(bytes) if bytes.len() < 100 => {
            text.push_str(&format!("body {}", lossy(bytes)));
        }
        RequestBody::Bytes(bytes) => text.push_str(&format!("{} bytes in memory", bytes.len())),
        RequestBody::File { file, length } => {
            let size = file.metadata().unwrap().len();
            text.push_str(&format!("{length} bytes in a file of {size}"));
        }
    }
    answer(&[], ResponseBody::Bytes(text.into()))
}

/// A server that is stopped with the test.
struct Server {
    mirror: Arc<Mirror>,
    address: String,
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    fn start(options: HttpOptions) -> Self {
        Self::start_at("tcp://127.0.0.1:0", options)
    }

    fn start_at(url: &str, options: HttpOptions) -> Self {
        let listener = Listener::bind(&url.parse::<SocketUrl>().unwrap()).unwrap();
        let mirror = Arc::new(Mirror::default());
        let port = listener.port().unwrap_or_default();
        let stop = CancellationToken::new();
        let application = Arc::<Mirror>::clone(&mirror);
        Self {
            mirror,
            address: format!("127.0.0.1:{port}"),
            port,
            task: tokio::spawn(serve(listener, application, options, stop.clone())),
            stop,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        in_time(self.task).await.unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// What comes back until the connection ends.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        until_end(&mut stream).await
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(ENOUGH, future).await.expect("nothing happened")
}

async fn until_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut received = Vec::new();
    // A reset ends it as well as a regular end; what came before counts.
    let _ = in_time(stream.read_to_end(&mut received)).await;
    without_date(&received)
}

/// Reads until this is the end of what was received.
async fn until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        let count = in_time(stream.read_buf(&mut received)).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&received));
    }
    without_date(&received)
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn without_date(received: &[u8]) -> String {
    let text: String = received.iter().map(|byte| char::from(*byte)).collect();
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    lines.retain(|line| {
        !(line.starts_with("date: ") && line.ends_with(" GMT") && !line.contains("1970"))
    });
    lines.join("\r\n")
}

/// A case file's lines as they go over the wire.
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
                // The connection is good for another request.
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
async fn requests() {
    run_cases("requests.txt").await;
}

#[tokio::test]
async fn refusals() {
    run_cases("refusals.txt").await;
}

#[tokio::test]
async fn bodies() {
    run_cases("bodies.txt").await;
}

#[tokio::test]
async fn responses() {
    run_cases("responses.txt").await;
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let server = Server::start_at(&format!("unix:{}", path.display()), HttpOptions::default());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    say(&mut stream, GET).await;
    let received = until(&mut stream, "no body").await;
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn the_application_knows_both_ends_of_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let ask = "GET /connection HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    let server = Server::start_at("tcp://LOCALHOST:0", HttpOptions::default());
    let mut stream = server.connect().await;
    let local = stream.local_addr().unwrap();
    say(&mut stream, ask).await;
    let received = until_end(&mut stream).await;
    let expected = format!("LOCALHOST {} 127.0.0.1 {}", server.port, local.port());
    assert!(received.ends_with(&expected), "{received}");

    let server = Server::start_at("tcp://*:0", HttpOptions::default());
    let received = server.ask(ask).await;
    let expected = format!("\r\n\r\n127.0.0.1 {} 127.0.0.1 ", server.port);
    assert!(received.contains(&expected), "{received}");

    let _server = Server::start_at(&format!("unix:{}", path.display()), HttpOptions::default());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    say(&mut stream, ask).await;
    let received = until_end(&mut stream).await;
    assert!(received.ends_with("\r\n\r\nlocalhost 80  "), "{received}");
}

#[tokio::test]
async fn large_bodies_become_files() {
    let server = Server::start(HttpOptions::default());
    for (size, expected) in [
        (65_536, "65536 bytes in memory"),
        (65_537, "65537 bytes in a file of 65537"),
        (3_000_000, "3000000 bytes in a file of 3000000"),
    ] {
        let body = "b".repeat(size);
        let received = server.ask(&(post(size) + &body)).await;
        assert!(received.ends_with(expected), "{received}");
        let chunks =
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let half = size / 2;
        let request = format!(
            "{chunks}{half:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &body[..half],
            size - half,
            &body[half..]
        );
        let received = server.ask(&request).await;
        assert!(received.ends_with(expected), "{received}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_kept_is_our_trouble() {
    let server = Server::start(HttpOptions {
        spool: Arc::new(SpoolOptions {
            folder: "/no/such/folder".into(),
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    });
    let received = server
        .ask(&(post(2_000_000) + &"b".repeat(2_000_000)))
        .await;
    assert!(
        received.starts_with("HTTP/1.1 500 Internal Server Error\r\n"),
        "{received}"
    );
}

/// The client sends all of what is refused before it reads, as simple ones do.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let server = Server::start(HttpOptions {
        spool: Arc::new(SpoolOptions {
            limit: 1000,
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    });
    let received = server
        .ask(&(post(5_000_000) + &"b".repeat(5_000_000)))
        .await;
    assert!(
        received.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{received}"
    );
}

#[tokio::test]
async fn a_client_that_waits_for_the_go_ahead_gets_it() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    say(&mut stream, head).await;
    assert_eq!(
        until(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    say(&mut stream, "one").await;
    assert!(
        until(&mut stream, "body one")
            .await
            .starts_with("HTTP/1.1 200 OK\r\n")
    );
}

#[tokio::test]
async fn a_client_that_waits_for_the_go_ahead_of_too_large_a_body_does_not_get_it() {
    let server = Server::start(HttpOptions {
        spool: Arc::new(SpoolOptions {
            limit: 1000,
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    });
    let received = server
        .ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n")
        .await;
    assert!(
        received.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{received}"
    );
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = Server::start(HttpOptions::default());
    let long = "a".repeat(70_000);
    let many = "X-A: b\r\n".repeat(101);
    let endless = format!("X-A: {}\r\n", "b".repeat(200_000));
    for (request, status) in [
        (
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            "414 URI Too Long",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            "431 Request Header Fields Too Large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{endless}\r\n"),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let received = server.ask(&request).await;
        let expected =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(received, expected);
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let server = Server::start(HttpOptions {
        head_timeout: short,
        body_timeout: short,
        ..HttpOptions::default()
    });
    for (request, expected) in [
        ("", ""),
        (
            "GET / HTTP/1.1\r\nHost:",
            "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\none",
            "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 20\r\nconnection: close\r\n\r\n408 Request Timeout\n",
        ),
    ] {
        assert_eq!(server.ask(request).await, expected, "{request:?}");
    }
    let mut idle = server.connect().await;
    say(&mut idle, GET).await;
    let received = until_end(&mut idle).await;
    assert!(received.ends_with("no body"), "{received}");
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_keep_the_application() {
    let server = Server::start(HttpOptions {
        write_timeout: Duration::from_millis(50),
        ..HttpOptions::default()
    });
    let mut stream = server.connect().await;
    say(&mut stream, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    in_time(server.mirror.gone.notified()).await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_worked_for_no_longer() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server.connect().await;
    say(&mut stream, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    in_time(server.mirror.waiting.notified()).await;
    drop(stream);
    in_time(server.mirror.given_up.notified()).await;

    let mut stream = server.connect().await;
    say(&mut stream, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stream.read_exact(&mut [0; 100_000]).await.unwrap();
    drop(stream);
    in_time(server.mirror.gone.notified()).await;
}

#[tokio::test]
async fn a_broken_response_without_a_length_is_reset() {
    let server = Server::start(HttpOptions::default());
    let mut stream = server.connect().await;
    say(&mut stream, "GET /stream/broken HTTP/1.0\r\n\r\n").await;
    let error = in_time(stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_application_may_do_something_after_its_last_block() {
    let server = Server::start(HttpOptions::default());
    let received = server
        .ask("GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(received.ends_with("\r\n\r\none"), "{received}");
    // It still has somebody to talk to.
    server.mirror.go_on.notify_one();
    in_time(server.mirror.waiting.notified()).await;
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_closes_the_rest() {
    let server = Server::start(HttpOptions::default());
    let mut idle = server.connect().await;
    say(&mut idle, GET).await;
    until(&mut idle, "no body").await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    say(&mut busy, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    in_time(server.mirror.waiting.notified()).await;

    server.stop.cancel();
    assert_eq!(until_end(&mut idle).await, "");
    assert_eq!(until_end(&mut silent).await, "");
    let refused = TcpStream::connect(&server.address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!server.task.is_finished());

    server.mirror.go_on.notify_one();
    assert_eq!(
        until_end(&mut busy).await,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nwaited"
    );
    in_time(server.task).await.unwrap();
}

#[tokio::test]
async fn many_slow_clients_cost_the_others_nothing() {
    let server = Server::start(HttpOptions::default());
    let mut slow = Vec::new();
    for _ in 0..400 {
        let mut stream = server.connect().await;
        say(&mut stream, &post(1000)).await;
        say(&mut stream, "b").await;
        slow.push(stream);
    }
    for stream in &mut slow {
        say(stream, "b").await;
        let received = server
            .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert!(received.ends_with("no body"), "{received}");
    }
    for mut stream in slow {
        say(&mut stream, &"b".repeat(998)).await;
        let received = until_end(&mut stream).await;
        assert!(received.ends_with("1000 bytes in memory"), "{received}");
    }
}
