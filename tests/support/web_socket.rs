//! A server of WebSockets in the test's own process, whose application is the test, and a client that sends any bytes.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of this, and a test that cannot go on fails"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use runner::gateway::graceful_stop::{Manner, Stop};
use runner::gateway::http::{HttpOptions, serve};
use runner::gateway::socket::listener::Listener;
use runner::gateway::socket::url::SocketUrl;
use runner::interface::{
    Application, CloseReason, Correspondent, Pending, Request, Response, ResponseBody,
    WebSocketMessage, WebSocketSender, web_socket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a test waits before it fails.
pub const ENOUGH: Duration = Duration::from_secs(20);

/// What a client may send until the application grants more.
pub const WINDOW: usize = 1000;

pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(ENOUGH, future).await.expect("nothing happened")
}

/// What an application learns of a client.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    Taken(usize),
    Text(String),
    Binary(Bytes),
    Left(u16, String),
}

struct Ear(UnboundedSender<News>);

impl Correspondent for Ear {
    fn taken(&self, bytes: usize) {
        let _ = self.0.send(News::Taken(bytes));
    }

    fn received(&self, message: WebSocketMessage) {
        let _ = self.0.send(match message {
            WebSocketMessage::Text(text) => News::Text(String::from_utf8(text.to_vec()).unwrap()),
            WebSocketMessage::Binary(bytes) => News::Binary(bytes),
        });
    }

    fn left(&self, reason: Option<CloseReason>) {
        let reason = reason.unwrap();
        let _ = self.0.send(News::Left(reason.code, reason.text));
    }
}

/// The application's end of a WebSocket.
pub struct Accepted {
    pub sender: WebSocketSender,
    pub news: UnboundedReceiver<News>,
}

impl Accepted {
    /// The next thing that is no [`News::Taken`].
    pub async fn heard(&mut self) -> News {
        loop {
            match in_time(self.news.recv())
                .await
                .expect("the gateway has gone")
            {
                News::Taken(_) => {}
                news => return news,
            }
        }
    }

    pub async fn left(&mut self) -> u16 {
        match self.heard().await {
            News::Left(code, _) => code,
            other => panic!("{other:?}"),
        }
    }

    pub fn say(&self, text: &str) {
        self.sender
            .send(WebSocketMessage::Text(Bytes::copy_from_slice(
                text.as_bytes(),
            )));
    }

    pub fn close(&self, code: u16) {
        self.sender.close(CloseReason::of(code));
    }
}

/// Accepts each offer, with the header fields that the query names (`name=value&…`), or as the path says.
pub struct Acceptor {
    accepted: UnboundedSender<Accepted>,
    /// The header fields of the last request, and whether it offered a WebSocket.
    pub last: Mutex<Option<(HeaderMap, bool)>>,
    /// A request waits in `/wait`.
    pub waiting: Notify,
    /// Lets it continue.
    pub go_on: Notify,
}

impl Application for Acceptor {
    fn takes_web_sockets(&self) -> bool {
        true
    }

    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move {
            *self.last.lock().unwrap() = Some((request.headers, request.offers_web_socket));
            match &*request.path_info {
                b"/wait" => {
                    self.waiting.notify_one();
                    self.go_on.notified().await;
                }
                b"/refuse" => return Response::plain(StatusCode::FORBIDDEN),
                b"/bare" => return with_status(101, Response::plain(StatusCode::OK)),
                _ => {}
            }
            let mut headers = HeaderMap::new();
            for pair in request.query.split(|byte| *byte == b'&') {
                let text = std::str::from_utf8(pair).unwrap();
                if let Some((name, value)) = text.split_once('=') {
                    let name = HeaderName::try_from(name).unwrap();
                    headers.append(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let (ear, news) = unbounded_channel();
            let (sender, socket) = web_socket(Arc::new(Ear(ear)), WINDOW);
            let _ = self.accepted.send(Accepted { sender, news });
            let body = ResponseBody::WebSocket(socket);
            let response = Response {
                status: StatusCode::OK,
                reason: None,
                about: None,
                headers,
                body,
            };
            match &*request.path_info {
                b"/two-hundred" => response,
                _ => with_status(101, response),
            }
        })
    }
}

fn with_status(status: u16, response: Response) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        ..response
    }
}

/// A server of WebSockets.
pub struct Server {
    pub application: Arc<Acceptor>,
    accepted: UnboundedReceiver<Accepted>,
    pub address: String,
    pub options: watch::Sender<HttpOptions>,
    pub stop: Stop,
    pub task: JoinHandle<()>,
}

impl Server {
    pub fn start(options: HttpOptions) -> Self {
        let listener = Listener::bind(&"tcp://127.0.0.1:0".parse::<SocketUrl>().unwrap()).unwrap();
        let address = format!("127.0.0.1:{}", listener.port().unwrap());
        let (sender, accepted) = unbounded_channel();
        let application = Arc::new(Acceptor {
            accepted: sender,
            last: Mutex::default(),
            waiting: Notify::new(),
            go_on: Notify::new(),
        });
        let (options_sender, options) = watch::channel(options);
        let stop = Stop::new();
        let serving = serve(
            listener,
            Arc::clone(&application) as _,
            options,
            stop.clone(),
        );
        Self {
            application,
            accepted,
            address,
            options: options_sender,
            stop,
            task: tokio::spawn(serving),
        }
    }

    /// The application's end of the WebSocket that was accepted next.
    pub async fn accepted(&mut self) -> Accepted {
        in_time(self.accepted.recv()).await.unwrap()
    }

    /// Both ends of a new WebSocket.
    pub async fn open(&mut self) -> (Client, Accepted) {
        let mut client = Client::connect(&self.address).await;
        client.send(offer("/", "").as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (client, self.accepted().await)
    }

    pub async fn stop(self) {
        self.stop.begin(Manner::Drain);
        in_time(self.task).await.unwrap();
    }
}

/// A correct offer of a WebSocket, with further header fields.
pub fn offer(target: &str, fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A frame of a client. `first` is its first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// The payload of a close frame.
pub fn closing(code: u16, text: &str) -> Vec<u8> {
    [&code.to_be_bytes(), text.as_bytes()].concat()
}

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// A client that sends any bytes.
pub struct Client {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub async fn connect(address: &str) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            received: Vec::new(),
        }
    }

    /// Two of it, so that one can receive while the other sends.
    pub fn twice(self) -> (Self, Self) {
        let one = self.stream.into_std().unwrap();
        let two = one.try_clone().unwrap();
        let [one, two] = [one, two].map(|stream| Self {
            stream: TcpStream::from_std(stream).unwrap(),
            received: Vec::new(),
        });
        (one, two)
    }

    /// Gives its buffer back.
    pub fn forget(&mut self) {
        assert_eq!(self.received, b"");
        self.received = Vec::new();
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        in_time(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Whether more has come; not at the end of the connection.
    async fn receive(&mut self) -> bool {
        // A reset ends it, too.
        let count = in_time(self.stream.read_buf(&mut self.received)).await;
        count.is_ok_and(|count| count > 0)
    }

    /// The head of a response.
    pub async fn head(&mut self) -> String {
        loop {
            let end = self
                .received
                .windows(4)
                .position(|part| part == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.received.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.receive().await, "{:?}", self.received);
        }
    }

    /// The next frame of the server: its first byte, and its payload; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if !self.receive().await {
                assert_eq!(self.received, b"");
                return None;
            }
        }
    }

    /// The same where the connection may be cut in the middle of a frame.
    pub async fn next_whole(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, second) = (*self.received.first()?, *self.received.get(1)?);
        // A server does not mask.
        let (start, length) = match second {
            0..126 => (2, usize::from(second)),
            126 => {
                let length = self.received.get(2..4)?.try_into().unwrap();
                (4, usize::from(u16::from_be_bytes(length)))
            }
            127 => {
                let length = self.received.get(2..10)?.try_into().unwrap();
                (10, u64::from_be_bytes(length) as usize)
            }
            _ => panic!("a mask"),
        };
        let payload = self.received.get(start..start + length)?.to_vec();
        self.received.drain(..start + length);
        Some((first, payload))
    }

    /// The rest of what the server sends, up to the end of the connection.
    pub async fn rest(&mut self) -> String {
        while self.receive().await {}
        let rest = std::mem::take(&mut self.received);
        rest.iter().map(|byte| char::from(*byte)).collect()
    }
}
