//! A response as an application gives it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::mpsc;

use crate::body_file::BodyFile;

/// The answer to a request. Gateways add what their protocol needs (`Date`, `Connection`, chunks) and
/// leave out what it forbids (the body of an answer to `HEAD`, of a 204 or a 304).
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase where it is not the standard one.
    pub reason: Option<Bytes>,
    /// The header fields. `Content-Length`, where present, is what the application said.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
}

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// All of it.
    Bytes(Bytes),
    /// Block by block, as the application makes them.
    Stream(Blocks),
    /// A part of a file, which the gateway sends itself.
    File {
        /// Open for reading.
        file: BodyFile,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes to send.
        length: u64,
    },
}

impl Response {
    /// A short plain text answer of our own, for a status that speaks for itself. The reason
    /// belongs into the log, not here.
    #[must_use]
    pub fn plain(status: StatusCode) -> Self {
        let text = format!(
            "{} {}\n",
            status.as_str(),
            status.canonical_reason().unwrap_or_default()
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        Self {
            status,
            reason: None,
            headers,
            body: ResponseBody::Bytes(text.into()),
        }
    }
}

/// How many blocks may wait for a slow client before the application is held back.
const WAITING_BLOCKS: usize = 8;

/// A response body's receiving end. Dropping it tells the application that nobody wants the rest.
#[derive(Debug)]
pub struct Blocks(mpsc::Receiver<Result<Bytes, Truncated>>);

/// A response body's sending end: bounded, so that a slow client holds back the application rather
/// than filling memory.
#[derive(Clone, Debug)]
pub struct BlockSender(mpsc::Sender<Result<Bytes, Truncated>>);

/// The application failed in the middle of its body. The gateway must break off in a way that
/// lets nobody take the body for whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the application's response ended early")
    }
}

impl std::error::Error for Truncated {}

impl Blocks {
    /// A bounded channel of blocks.
    #[must_use]
    pub fn channel() -> (BlockSender, Self) {
        let (sender, receiver) = mpsc::channel(WAITING_BLOCKS);
        (BlockSender(sender), Self(receiver))
    }

    /// The next block; `None` at the regular end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Truncated>> {
        self.0.recv().await
    }

    /// The same for code that polls.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Truncated>>> {
        Pin::new(&mut self.0).poll_recv(context)
    }
}

impl BlockSender {
    /// Hands over a block, or the bad end; waits while the client is slow.
    ///
    /// # Errors
    /// [`Gone`] if nobody wants it any more.
    pub async fn send(&self, block: Result<Bytes, Truncated>) -> Result<(), Gone> {
        self.0.send(block).await.map_err(|_| Gone)
    }

    /// Waits until nobody wants any more blocks.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

/// Nobody wants the response any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;
