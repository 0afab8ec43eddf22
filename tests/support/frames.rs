//! Clients of HTTP/2: one that keeps to the protocol, and one that sends any frames.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of this, and a test that cannot go on fails"
)]

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mirror::{Server, in_time};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// `GET /` for the host `a`, and `GET /wait`, by the static table of HPACK and literals.
pub const GET: &[u8] = b"\x82\x84\x86\x41\x01a";
pub const WAIT: &[u8] = b"\x82\x04\x05/wait\x86\x41\x01a";

/// A client that keeps to the protocol.
pub async fn client(server: &Server) -> SendRequest<Bytes> {
    let (send, connection) = h2::client::handshake(server.connect().await).await.unwrap();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            println!("the client's connection: {error}");
        }
    });
    send
}

pub fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://a{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

/// A response, and its body or why there is none.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<String, Option<Reason>>,
}

/// The answer to a request.
pub async fn ask(
    send: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static [u8],
) -> Result<Answer, Option<Reason>> {
    let mut send = in_time(send.clone().ready())
        .await
        .map_err(|error| error.reason())?;
    let (response, mut stream) = send
        .send_request(request, body.is_empty())
        .map_err(|error| error.reason())?;
    if !body.is_empty() {
        stream
            .send_data(Bytes::from_static(body), true)
            .map_err(|error| error.reason())?;
    }
    let response = in_time(response).await.map_err(|error| error.reason())?;
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: text(body).await,
    })
}

/// All of a body.
pub async fn text(mut body: RecvStream) -> Result<String, Option<Reason>> {
    let mut text = String::new();
    while let Some(part) = in_time(body.data()).await {
        let part = part.map_err(|error| error.reason())?;
        body.flow_control().release_capacity(part.len()).unwrap();
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
    Ok(text)
}

/// A frame, as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [high, middle, low, kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A client that sends any frames.
pub struct RawClient(pub TcpStream);

/// A frame that was received.
#[derive(Debug)]
pub struct Received {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Received {
    /// The reason in a `RST_STREAM` or `GOAWAY`.
    pub fn reason(&self) -> Option<Reason> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let code = self.payload.get(at..at + 4)?.try_into().ok()?;
        Some(Reason::from(u32::from_be_bytes(code)))
    }
}

impl RawClient {
    /// Begins a connection.
    pub async fn begin(server: &Server) -> Self {
        let mut client = Self(server.connect().await);
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    /// Sends any bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Received> {
        let mut head = [0; 9];
        in_time(self.0.read_exact(&mut head)).await.ok()?;
        let [high, middle, low, kind, flags, a, b, c, d] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let mut payload = vec![0; length as usize];
        in_time(self.0.read_exact(&mut payload)).await.ok()?;
        Some(Received {
            kind,
            flags,
            stream: u32::from_be_bytes([a, b, c, d]),
            payload,
        })
    }

    /// The next frame of a kind.
    pub async fn next_of(&mut self, kind: u8) -> Received {
        loop {
            let next = self.next().await.expect("the connection has ended");
            if next.kind == kind {
                return next;
            }
        }
    }

    /// The reason for which the connection ends.
    pub async fn goes_away(&mut self) -> Reason {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                last = frame.reason();
            }
        }
        last.expect("the connection ended without a reason")
    }
}
