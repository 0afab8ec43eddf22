//! A response of an application, for any gateway.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::interface::blocks::{Blocks, Depot};
use crate::interface::body_file::BodyFile;
use crate::interface::conversation::WebSocket;
use crate::interface::request::RequestName;

/// The answer to a request. Gateways add what their protocol needs (`Date`, `Connection`, chunks) and
/// leave out parts that it forbids (the body of an answer to `HEAD`, of a 204 or a 304).
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase where it is not the standard one.
    pub reason: Option<Bytes>,
    /// The request that it answers, for lines of the log about it; `None` for one of runner's own, about which there is
    /// nothing to say.
    pub about: Option<RequestName>,
    /// The header fields. `Content-Length`, where present, is the application's.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
}

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// The complete body.
    Bytes(Bytes),
    /// Blocks, as the application makes them.
    Stream(Blocks),
    /// A part of a file, which the gateway sends.
    File {
        /// Open for reading.
        file: BodyFile,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes to send.
        length: u64,
    },
    /// No body: the client's offer of a WebSocket is accepted ([`offers_web_socket`](crate::interface::Request)). The
    /// status is 101; the header fields are the application's, `Sec-WebSocket-Protocol` for the subprotocol among them. The
    /// gateway adds those of the handshake.
    WebSocket(WebSocket),
}

impl ResponseBody {
    /// A complete body of the response to a request: as it is, or in a file where all responses have used up their memory.
    #[must_use]
    pub fn stored(depot: &Arc<Depot>, body: Bytes, about: Option<&RequestName>) -> Self {
        if depot.has_memory_for(body.len()) {
            return Self::Bytes(body);
        }
        let (sender, blocks) = Blocks::of(depot, about);
        let blocks = blocks.with_length(body.len() as u64);
        // Its client cannot have gone away yet.
        let _ = sender.push(body);
        sender.end();
        Self::Stream(blocks)
    }
}

impl Response {
    /// A short plain text response of runner's own, with the status only. The reason belongs into the log.
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
            about: None,
            headers,
            body: ResponseBody::Bytes(text.into()),
        }
    }
}
