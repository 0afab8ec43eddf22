//! Responses of applications as hyper sends them: which of their header fields stay, whether there is a body, and how one
//! that ends early breaks off the connection. hyper adds `Transfer-Encoding` and the `Content-Length` of a body of known
//! length.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::ext::ReasonPhrase;

use crate::clock::{PerSecond, http_date};
use crate::gateway::body::compression::{self, EncodedBody};
use crate::gateway::body::response_body::{
    Body as OutgoingBody, announced, known_length, log_misfit, may_have_body,
};
use crate::gateway::http::access_log::LogLine;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::file_parts;
use crate::gateway::http::websocket::acceptance::{self, AcceptedWebSocket, OfferedWebSocket};
use crate::gateway::request_ids;
use crate::interface::measurements::{EndedRequest, MethodName};
use crate::interface::{
    RequestIds, RequestName, Response, ResponseBody, Scheme, Truncated, WebSocket,
};
use crate::protocol::content_coding::ContentCoding;
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// A request and its response: what the latter depends on.
pub(super) struct Exchange {
    state: Arc<ConnectionState>,
    method: Method,
    version: Version,
    /// Whether the connection ends with this response.
    pub close: bool,
    /// Whether the client has sent the request by https.
    pub is_encrypted: bool,
    /// The WebSocket that the request offers.
    pub offer: Option<Box<OfferedWebSocket>>,
    /// The coding that the response is compressed by.
    pub coding: Option<ContentCoding>,
    /// What the request is known by, if that is to be seen.
    pub ids: Option<Arc<RequestIds>>,
    /// The line in the access log.
    pub log_line: Option<Box<LogLine>>,
    /// What is measured of it, if anything is.
    measured: Option<Box<MeasuredExchange>>,
}

/// When an exchange began, and how much of the response's body was sent, in bytes.
struct MeasuredExchange {
    began: Instant,
    sent: u64,
}

impl Exchange {
    /// The exchange that a request begins.
    pub(super) fn new<B>(state: &Arc<ConnectionState>, request: &Request<B>) -> Self {
        Self {
            state: Arc::clone(state),
            method: request.method().clone(),
            version: request.version(),
            close: false,
            is_encrypted: state.connection.scheme == Scheme::Https,
            offer: None,
            coding: compression::negotiated(request.headers(), &state.gateway.options.compression),
            ids: None,
            log_line: None,
            measured: state.gateway.options.measures.then(|| {
                Box::new(MeasuredExchange {
                    began: Instant::now(),
                    sent: 0,
                })
            }),
        }
    }

    /// So many bytes of the response's body are given to the connection.
    fn note_sent(&mut self, bytes: u64) {
        if let Some(line) = &mut self.log_line {
            line.bytes += bytes;
        }
        if let Some(measured) = &mut self.measured {
            measured.sent += bytes;
        }
    }

    /// The name that its method is counted by.
    pub(super) fn method_name(&self) -> MethodName {
        MethodName::of(&self.method)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // The client is waited for again, for its next request.
        self.state.permit.end_request();
        if let Some(measured) = &self.measured {
            self.state.gateway.application.note_ended(EndedRequest {
                took: measured.began.elapsed(),
                sent: measured.sent,
            });
        }
    }
}

thread_local! {
    static DATE: RefCell<PerSecond<Option<HeaderValue>>> =
        const { RefCell::new(PerSecond::new(|time| HeaderValue::try_from(http_date(time)).ok())) };
}

/// Adds `Date` (RFC 9110 §6.6.1), unless the application has. The one that hyper would add does not follow a clock that
/// is set back; it adds that only to what it refuses itself, and where there is no room for a field.
fn add_date(headers: &mut HeaderMap) {
    let date = DATE.with_borrow_mut(|date| date.at(SystemTime::now()).clone());
    if let (Some(date), Ok(entry)) = (date, headers.try_entry(header::DATE)) {
        let _ = entry.or_try_insert(date);
    }
}

/// The response for hyper.
pub(super) fn convert(
    mut response: Response,
    mut exchange: Exchange,
) -> hyper::Response<ReplyBody> {
    if response.status.is_informational() || matches!(response.body, ResponseBody::WebSocket(_)) {
        response = match (response, exchange.offer.take()) {
            (
                Response {
                    status: StatusCode::SWITCHING_PROTOCOLS,
                    about,
                    headers,
                    body: ResponseBody::WebSocket(socket),
                    ..
                },
                Some(offer),
            ) => return accept((socket, about), headers, *offer, exchange),
            (response, _) => response,
        };
        // PEP 3333 knows final responses only; another 101 would end HTTP on this connection.
        let status = response.status.as_u16();
        let about = response.about.as_ref();
        match response.body {
            ResponseBody::WebSocket(_) => log_misfit(
                about,
                format_args!(
                    "the application accepted a WebSocket that its client does not offer, with the status {status}"
                ),
            ),
            _ => log_misfit(
                about,
                format_args!(
                    "the application answered with the status {status}, which is not final"
                ),
            ),
        }
        response = Response::plain(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let Response {
        status,
        reason,
        about,
        mut headers,
        body,
    } = response;
    remove_hop_by_hop(&mut headers);
    request_ids::put(&mut headers, exchange.ids.as_deref());
    if exchange.is_encrypted {
        let https_only = &exchange.state.gateway.options.https_only;
        https_only.add_strict_transport(&mut headers);
    }
    if let Some(line) = &mut exchange.log_line {
        line.answer(status);
    }
    let has_body = exchange.method != Method::HEAD && may_have_body(status);
    let mut announced = announced(&mut headers, about.as_ref());
    let compresses = !exchange.state.gateway.options.compression.is_empty();
    let (body, compressor) = match compresses && may_have_body(status) {
        true => {
            let coding = exchange.coding;
            compression::encode(coding, &mut headers, &mut announced, body, has_body)
        }
        false => (body, None),
    };
    // RFC 9112 §9.3: without a length, and without chunks, a body ends with the connection.
    let is_old = exchange.version == Version::HTTP_10;
    let length = match compressor {
        Some(_) => None,
        None => announced.or_else(|| known_length(&body)),
    };
    let is_multiplexed = exchange.version == Version::HTTP_2;
    let close = !is_multiplexed && (exchange.close || is_old && length.is_none() && has_body);
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let state = Arc::clone(&exchange.state);
    let body = if has_body {
        let body = EncodedBody::new(
            OutgoingBody::new(body, announced, about.as_ref()),
            compressor,
        );
        // Of HTTP/1, hyper writes it.
        if let (true, Some(left)) = (is_multiplexed, body.left())
            && let Ok(entry) = headers.try_entry(header::CONTENT_LENGTH)
        {
            let _ = entry.or_try_insert(HeaderValue::from(left));
        }
        ReplyBody {
            body,
            exchange: Some(exchange),
            flushed: false,
        }
    } else {
        // An application that answers `HEAD` with no byte has left out the body, whose length is not known then.
        let is_left_out = matches!(&body, ResponseBody::Bytes(bytes) if bytes.is_empty());
        if !may_have_body(status) {
            // RFC 9110 §8.6 forbids a length in a 204 and makes it optional in a 304.
            headers.remove(header::CONTENT_LENGTH);
        } else if let (None, false, Some(length)) = (announced, is_left_out, length) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        ReplyBody::whole(ResponseBody::Bytes(Bytes::new()))
    };
    state.note_answered(about);
    add_date(&mut headers);
    let mut reply = hyper::Response::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    if close && is_old {
        // In a response of version 1.1 hyper would announce that the connection stays open, where the client asks for it.
        *reply.version_mut() = Version::HTTP_10;
    }
    if let Some(reason) = reason_phrase(status, reason) {
        reply.extensions_mut().insert(reason);
    }
    reply
}

/// The reason phrase, where hyper would not write it itself.
fn reason_phrase(status: StatusCode, reason: Option<Bytes>) -> Option<ReasonPhrase> {
    let standard = status.canonical_reason();
    if let Some(reason) = reason
        && standard.map(str::as_bytes) != Some(&reason)
        && let Ok(reason) = ReasonPhrase::try_from(reason)
    {
        return Some(reason);
    }
    // RFC 9112 §4: a status that has none gets an empty one. hyper would write `<none>`.
    standard.is_none().then(|| ReasonPhrase::from_static(b""))
}

/// The response 101, or 200 by HTTP/2 (RFC 8441 §5): the connection or stream becomes a WebSocket.
fn accept(
    (socket, about): (WebSocket, Option<RequestName>),
    mut headers: HeaderMap,
    offered: OfferedWebSocket,
    mut exchange: Exchange,
) -> hyper::Response<ReplyBody> {
    remove_hop_by_hop(&mut headers);
    request_ids::put(&mut headers, exchange.ids.as_deref());
    acceptance::complete(&mut headers, &offered.offer, about.as_ref());
    add_date(&mut headers);
    let status = match exchange.version {
        Version::HTTP_2 => StatusCode::OK,
        _ => StatusCode::SWITCHING_PROTOCOLS,
    };
    if let Some(line) = &mut exchange.log_line {
        // The log has one status for a WebSocket, whatever the version.
        line.answer(StatusCode::SWITCHING_PROTOCOLS);
    }
    let state = Arc::clone(&exchange.state);
    let max_message = state.gateway.options.web_sockets.max_message;
    let log_line = exchange.log_line.take();
    // A WebSocket is no response that ends.
    exchange.measured = None;
    let accepted = AcceptedWebSocket::new((socket, about), offered, max_message, log_line);
    // The client would be taken for one that is waited for, if the exchange ended later.
    drop(exchange);
    state.accept(accepted);
    let mut reply = hyper::Response::new(ReplyBody::whole(ResponseBody::Bytes(Bytes::new())));
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    reply
}

/// PEP 3333, Other HTTP Features: the connection is the server's. Almost no response has such a field.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let names = headers.keys().filter(|name| is_hop_by_hop(name.as_str()));
    for name in names.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// The answer to a request in whose handling the gateway panicked. The rest of what the client sends may be unread.
pub(super) fn failed() -> hyper::Response<ReplyBody> {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let ours = Response::plain(status);
    let mut reply = hyper::Response::new(ReplyBody::whole(ours.body));
    *reply.status_mut() = status;
    *reply.headers_mut() = ours.headers;
    add_date(reply.headers_mut());
    let close = HeaderValue::from_static("close");
    reply.headers_mut().insert(header::CONNECTION, close);
    reply
}

/// The body of a response as hyper asks for it.
pub(super) struct ReplyBody {
    body: EncodedBody,
    /// Ends with the body; `None` where it has ended before.
    exchange: Option<Exchange>,
    /// hyper has had a turn to write what it has of a truncated body.
    flushed: bool,
}

impl ReplyBody {
    /// A body of runner's own.
    fn whole(body: ResponseBody) -> Self {
        Self {
            body: EncodedBody::Plain(OutgoingBody::new(body, None, None)),
            exchange: None,
            flushed: false,
        }
    }

    /// Lets hyper write what it has, then has it break off the connection.
    fn poll_break(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(exchange) = &self.exchange
            && exchange.version == Version::HTTP_10
            && self.body.left().is_none()
        {
            exchange.state.broken.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Some(Err(Truncated)))
    }
}

impl Body for ReplyBody {
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
            // The end does not wait for code that the application runs behind its last byte.
            return Poll::Ready(None);
        }
        if let Some(exchange) = &mut this.exchange
            && let Some(parts) = &exchange.state.file_parts
            && let Some(part) = this.body.take_cached_part(file_parts::LONGEST)
        {
            let stand_in = parts.put(part);
            exchange.note_sent(stand_in.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(stand_in))));
        }
        match ready!(this.body.poll_next(context)) {
            Some(Ok(part)) => {
                if let Some(exchange) = &mut this.exchange {
                    exchange.note_sent(part.len() as u64);
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
