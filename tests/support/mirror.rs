//! An HTTP server in the test's own process, and clients that send any bytes.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of this, and a test that cannot go on fails"
)]

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use runner::gateway::graceful_stop::{Manner, Stop};
use runner::gateway::http::{HttpOptions, serve};
use runner::gateway::socket::listener::Listener;
use runner::gateway::socket::url::SocketUrl;
use runner::interface::body_file::BodyFile;
use runner::interface::{
    Application, Blocks, Pending, Request, RequestBody, Response, ResponseBody, Truncated,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a test waits before it fails.
pub const ENOUGH: Duration = Duration::from_secs(20);

/// Answers with the request, or as the path says.
#[derive(Default)]
pub struct Mirror {
    /// A request waits in `/wait`.
    pub waiting: Arc<Notify>,
    /// Lets waiting requests continue.
    pub go_on: Arc<Notify>,
    /// A request in `/wait` was dropped.
    pub given_up: Notify,
    /// The rest of `/endless` or `/later` is no longer wanted.
    pub gone: Arc<Notify>,
}

impl Application for Mirror {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move {
            let path = String::from_utf8_lossy(&request.path_info).into_owned();
            match path.as_str() {
                "/wait" => {
                    let guard = Guard(Some(&self));
                    self.waiting.notify_one();
                    self.go_on.notified().await;
                    guard.disarm();
                    answer(&[], ResponseBody::Bytes(Bytes::from_static(b"waited")))
                }
                "/endless" => {
                    let (sender, blocks) = Blocks::channel();
                    let gone = Arc::clone(&self.gone);
                    tokio::spawn(async move {
                        while sender.send(vec![b'x'; 65_536].into()).await.is_ok() {}
                        gone.notify_one();
                    });
                    answer(&[], ResponseBody::Stream(blocks))
                }
                "/later" => {
                    let (sender, blocks) = Blocks::channel();
                    let (go_on, waiting) = (Arc::clone(&self.go_on), Arc::clone(&self.waiting));
                    let gone = Arc::clone(&self.gone);
                    tokio::spawn(async move {
                        let _ = sender.send(Bytes::from_static(b"now")).await;
                        waiting.notify_one();
                        tokio::select! {
                            () = sender.gone() => return gone.notify_one(),
                            () = go_on.notified() => {}
                        }
                        let _ = sender.send(Bytes::from_static(b"later")).await;
                        sender.end();
                    });
                    answer(&[("content-length", "8")], ResponseBody::Stream(blocks))
                }
                "/after" => {
                    let (sender, blocks) = Blocks::channel();
                    let (go_on, waiting) = (Arc::clone(&self.go_on), Arc::clone(&self.waiting));
                    tokio::spawn(async move {
                        let _ = sender.send(Bytes::from_static(b"one")).await;
                        go_on.notified().await;
                        if sender.send(Bytes::new()).await.is_ok() {
                            waiting.notify_one();
                        }
                        sender.end();
                    });
                    answer(&[("content-length", "3")], ResponseBody::Stream(blocks))
                }
                path => named(path, &request),
            }
        })
    }
}

/// Sends a message if it is dropped early.
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
        about: None,
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
            let Ok(text) = block else { return };
            let block = Bytes::from_static(text.as_bytes());
            if sender.send(block).await.is_err() {
                return;
            }
        }
        sender.end();
    });
    ResponseBody::Stream(receiver)
}

fn file(content: &str, offset: u64, length: u64) -> ResponseBody {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    ResponseBody::File {
        file: BodyFile::of_application(file),
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
        "/reason/none" => with_status(599, answer(&[], bytes(""))),
        "/reason/invalid" => Response {
            reason: Some(Bytes::from_static(b"A\r\nB: C")),
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
                connection.remote_addr.as_str(),
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
            let size = rustix::fs::fstat(file.descriptor().unwrap())
                .unwrap()
                .st_size;
            text.push_str(&format!("{length} bytes in a file of {size}"));
        }
    }
    answer(&[], ResponseBody::Bytes(text.into()))
}

/// A server that stops when the test drops it.
pub struct Server {
    pub mirror: Arc<Mirror>,
    pub address: String,
    pub port: u16,
    pub options: watch::Sender<HttpOptions>,
    pub stop: Stop,
    pub task: JoinHandle<()>,
}

impl Server {
    pub fn start(options: HttpOptions) -> Self {
        Self::start_at("tcp://127.0.0.1:0", options)
    }

    pub fn start_at(url: &str, options: HttpOptions) -> Self {
        let listener = Listener::bind(&url.parse::<SocketUrl>().unwrap()).unwrap();
        let mirror = Arc::new(Mirror::default());
        let port = listener.port().unwrap_or_default();
        let (sender, options) = watch::channel(options);
        let stop = Stop::new();
        let application = Arc::<Mirror>::clone(&mirror);
        Self {
            mirror,
            address: format!("127.0.0.1:{port}"),
            port,
            task: tokio::spawn(serve(listener, application, options, stop.clone())),
            options: sender,
            stop,
        }
    }

    pub async fn stop(self) {
        self.stop.begin(Manner::Drain);
        in_time(self.task).await.unwrap();
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Receives until the connection ends.
    pub async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        until_end(&mut stream).await
    }
}

pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(ENOUGH, future).await.expect("nothing happened")
}

pub async fn until_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut received = Vec::new();
    // A reset ends it as a regular close does; what arrived before counts.
    let _ = in_time(stream.read_to_end(&mut received)).await;
    without_date(&received)
}

/// Receives until the received bytes end with this text.
pub async fn until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        let count = in_time(stream.read_buf(&mut received)).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&received));
    }
    without_date(&received)
}

pub async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
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
