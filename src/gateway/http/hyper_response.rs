//! Responses: what an application answered, as hyper sends it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::Response as HttpResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request};
use http_body::{Frame, SizeHint};
use hyper::ext::ReasonPhrase;

use crate::gateway::body::response_body;
use crate::gateway::body::response_body::Body as OutgoingBody;
use crate::gateway::http::Client;
use crate::gateway::http::access_log::Entry;
use crate::interface::{Response, ResponseBody, Truncated};
use crate::log::LogKind;

/// What the way of a response depends on.
pub struct Exchange {
    client: Arc<Client>,
    method: Method,
    version: Version,
    /// Whether the connection ends with this response.
    pub close: bool,
    /// The line in the access log.
    pub entry: Option<Box<Entry>>,
}

impl Exchange {
    /// The exchange that a request begins.
    pub fn new(client: &Arc<Client>, parts: &request::Parts) -> Self {
        Self {
            client: Arc::clone(client),
            method: parts.method.clone(),
            version: parts.version,
            close: false,
            entry: None,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // The next request is the client's affair.
        self.client.seat.waits();
    }
}

/// Makes a response ready to be sent.
pub fn reply(mut response: Response, mut exchange: Exchange) -> HttpResponse {
    if response.status.is_informational() {
        // PEP 3333 knows final responses only; 101 would end HTTP on this connection.
        crate::log_of!(
            LogKind::InvalidAnswer,
            "the application answered with the status {}, which is not final",
            response.status.as_u16()
        );
        response = Response::plain(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let Response {
        status,
        reason,
        mut headers,
        body,
    } = response;
    remove_hop_by_hop(&mut headers);
    if let Some(entry) = &mut exchange.entry {
        entry.status = Some(status);
    }
    let announced = response_body::announced(&mut headers);
    // RFC 9112 §9.3: without a length, and without chunks, a body ends with the connection.
    let is_old = exchange.version == Version::HTTP_10;
    let endless = announced.is_none() && response_body::known(&body).is_none();
    let close = exchange.close || is_old && endless && has_body(status, &exchange.method);
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let body = match status {
        // RFC 9110 §15.3.5, §15.4.5. §8.6 forbids a length in one and makes it optional in the other.
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
            headers.remove(header::CONTENT_LENGTH);
            Body::empty()
        }
        _ if exchange.method == Method::HEAD => {
            if announced.is_none()
                && let Some(length) = known_length(&body)
            {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            Body::empty()
        }
        _ => Body::new(ReplyBody {
            body: OutgoingBody::new(body, announced),
            exchange,
            flushed: false,
        }),
    };
    let mut reply = HttpResponse::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    if close && is_old {
        // Else hyper adds that the connection is kept, if the client wants that.
        *reply.version_mut() = Version::HTTP_10;
    }
    if let Some(reason) = reason
        && status.canonical_reason().map(str::as_bytes) != Some(&reason)
        && let Ok(reason) = ReasonPhrase::try_from(reason)
    {
        reply.extensions_mut().insert(reason);
    }
    reply
}

/// RFC 9110 §6.4.1.
fn has_body(status: StatusCode, method: &Method) -> bool {
    let none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !none && *method != Method::HEAD
}

/// The answer where we ourselves have failed. What else the client sends may not have been read.
pub fn failed() -> HttpResponse {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let ours = Response::plain(status);
    let body = match ours.body {
        ResponseBody::Bytes(text) => Body::from(text),
        ResponseBody::Stream(_) | ResponseBody::File { .. } => Body::empty(),
    };
    let mut reply = HttpResponse::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = ours.headers;
    let close = HeaderValue::from_static("close");
    reply.headers_mut().insert(header::CONNECTION, close);
    reply
}

/// The length of a body that an answer to `HEAD` may tell: an application that gives none at all has
/// left it out for that answer.
fn known_length(body: &ResponseBody) -> Option<u64> {
    let left_out = matches!(body, ResponseBody::Bytes(bytes) if bytes.is_empty());
    response_body::known(body).filter(|_| !left_out)
}

/// Fields about the connection, which is the gateway's, not the application's (PEP 3333, *Other HTTP
/// Features*).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 9] = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    // Almost never is there one, and walking over the names is quicker than looking each up.
    let suspect = |name: &HeaderName| {
        matches!(
            name.as_str().as_bytes()[0],
            b'c' | b'k' | b'p' | b't' | b'u'
        )
    };
    let found = headers
        .keys()
        .any(|name| suspect(name) && NAMES.contains(name));
    if found {
        for name in NAMES {
            headers.remove(name);
        }
    }
}

/// A body on its way out by HTTP.
struct ReplyBody {
    body: OutgoingBody,
    exchange: Exchange,
    /// What was sent before is on its way, and the connection may be broken off.
    flushed: bool,
}

impl ReplyBody {
    /// Lets hyper write what it has, then makes it break off the connection.
    fn poll_break(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.exchange.version == Version::HTTP_10 && self.body.left().is_none() {
            self.exchange.client.broken.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Some(Err(Truncated)))
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let this = self.get_mut();
        if this.flushed {
            return this.poll_break(context);
        }
        if this.body.left() == Some(0) {
            // What the application does after its last byte is nothing to wait for.
            return Poll::Ready(None);
        }
        match ready!(this.body.poll_next(context)) {
            Some(Ok(part)) => {
                if let Some(entry) = &mut this.exchange.entry {
                    entry.bytes += part.len() as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
            None => Poll::Ready(None),
            Some(Err(Truncated)) => this.poll_break(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.left() {
            Some(due) => SizeHint::with_exact(due),
            None => SizeHint::default(),
        }
    }
}
