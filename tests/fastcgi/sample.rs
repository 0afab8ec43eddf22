//! The application that the tests serve, and the gateway in front of it.

use std::fs::File;
use std::io::{Read, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runner::gateway::fastcgi::{FastCgiOptions, serve};
use runner::gateway::graceful_stop::{Manner, Stop};
use runner::gateway::socket::listener::Listener;
use runner::gateway::socket::url::SocketUrl;
use runner::interface::body_file::BodyFile;
use runner::interface::{
    Application, Blocks, Errors, Pending, Request, RequestBody, Response, ResponseBody,
};
use runner::protocol::cgi::environ;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::web_server::WebServer;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An application that behaves as the path says.
pub struct Sample {
    /// `/wait` answers once for each notification.
    pub gate: Notify,
    /// Events of requests for `/wait`.
    pub events: mpsc::UnboundedSender<&'static str>,
}

/// Sends an event when a request is dropped before it is answered.
pub struct GivenUp<'a>(Option<&'a mpsc::UnboundedSender<&'static str>>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(events) = self.0.take() {
            let _ = events.send("given up");
        }
    }
}

pub fn text(text: impl Into<Bytes>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Response {
        status: StatusCode::OK,
        reason: None,
        about: None,
        headers,
        body: ResponseBody::Bytes(text.into()),
    }
}

pub fn body(body: RequestBody) -> Vec<u8> {
    match body {
        RequestBody::Empty => Vec::new(),
        RequestBody::Bytes(bytes) => bytes.to_vec(),
        RequestBody::File { file, length } => {
            let mut bytes = Vec::new();
            let file = file.descriptor().unwrap().try_clone_to_owned().unwrap();
            File::from(file).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, length);
            bytes
        }
    }
}

/// Bytes that differ from position to position.
pub fn pattern(length: usize) -> Bytes {
    (0..length).map(|place| (place % 251) as u8).collect()
}

pub fn file(content: &[u8]) -> BodyFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    BodyFile::of_application(file)
}

impl Sample {
    pub async fn answer(&self, request: Request) -> Response {
        let path = String::from_utf8(request.path_info.to_vec()).unwrap();
        match &*path {
            "/echo" => text(body(request.body)),
            "/environ" => {
                let mut lines = Vec::new();
                environ::variables(&request, |name, value| {
                    lines.push([name, b"=", value].concat());
                });
                lines.sort();
                text(lines.join(&b'\n'))
            }
            "/errors" => {
                let Errors::Gateway(errors) = &request.errors else {
                    panic!("errors do not go to the gateway");
                };
                errors.try_send(Bytes::from_static(b"first\n")).unwrap();
                let errors = errors.clone();
                let (blocks, stream) = Blocks::channel();
                tokio::spawn(async move {
                    blocks.send(Bytes::from_static(b"body")).await.unwrap();
                    errors.send(Bytes::from_static(b"second\n")).await.unwrap();
                    blocks.end();
                });
                stream_of(stream)
            }
            "/large" => text(pattern(3_000_000)),
            "/file" => {
                let mut response = text("");
                response.body = ResponseBody::File {
                    file: file(&pattern(400_000)),
                    offset: 1,
                    length: 399_999,
                };
                response
            }
            "/endless" => {
                let (blocks, stream) = Blocks::channel();
                let events = self.events.clone();
                tokio::spawn(async move {
                    while blocks.send(pattern(30_000)).await.is_ok() {}
                    let _ = events.send("nobody wants more");
                });
                stream_of(stream)
            }
            "/truncated" => {
                let (blocks, stream) = Blocks::channel();
                tokio::spawn(async move {
                    blocks.send(Bytes::from_static(b"half")).await.unwrap();
                    // Without an end.
                    drop(blocks);
                });
                stream_of(stream)
            }
            "/wait" => {
                let mut given_up = GivenUp(Some(&self.events));
                self.events.send("waiting").unwrap();
                self.gate.notified().await;
                given_up.0 = None;
                text("waited")
            }
            "/missing" => Response::plain(StatusCode::NOT_FOUND),
            "/panic" => panic!("as it was asked to"),
            other => text(format!("hello from {other}")),
        }
    }
}

pub fn stream_of(blocks: Blocks) -> Response {
    let mut response = text("");
    response.body = ResponseBody::Stream(blocks);
    response
}

impl Application for Sample {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move { self.answer(request).await })
    }
}

/// A gateway that serves the sample.
pub struct Server {
    pub port: u16,
    pub application: Arc<Sample>,
    pub events: mpsc::UnboundedReceiver<&'static str>,
    pub stop: Stop,
    pub serving: JoinHandle<()>,
}

impl Server {
    pub fn start(options: FastCgiOptions) -> Self {
        Self::at("tcp://127.0.0.1:0", options)
    }

    pub fn at(url: &str, options: FastCgiOptions) -> Self {
        let listener = Listener::bind(&SocketUrl::from_str(url).unwrap()).unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let application = Arc::new(Sample {
            gate: Notify::new(),
            events: sender,
        });
        let stop = Stop::new();
        Self {
            port: listener.port().unwrap_or_default(),
            serving: tokio::spawn(serve(
                listener,
                Arc::clone(&application) as Arc<dyn Application>,
                watch::channel(options).1,
                stop.clone(),
            )),
            application,
            events,
            stop,
        }
    }

    pub async fn connect(&self) -> WebServer<TcpStream> {
        let address = ("127.0.0.1", self.port);
        WebServer::new(TcpStream::connect(address).await.unwrap())
    }

    pub async fn event(&mut self) -> &'static str {
        in_time(self.events.recv()).await.unwrap()
    }

    /// Stops the gateway and waits until it has ended.
    pub async fn ended(self) {
        self.stop.begin(Manner::Drain);
        in_time(self.serving).await.unwrap();
    }
}

pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}
