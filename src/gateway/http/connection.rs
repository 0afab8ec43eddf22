//! One HTTP connection from its first byte to its end: hyper reads and writes, the application answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::clock::http_date;
use crate::gateway::graceful_stop::CROSSED;
use crate::gateway::http::access_log::LogLine;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::hyper_response::{self, Exchange, ReplyBody};
use crate::gateway::http::request_head::{self, CheckedHead};
use crate::gateway::http::shadow_parser::Hidden;
use crate::gateway::http::shadow_parser::framing::Framing;
use crate::gateway::http::transport::{self, Transport};
use crate::gateway::http::{keep_alive, shadow_parser, upload};
use crate::gateway::refusal::Refusal;
use crate::gateway::socket::stream::Stream;
use crate::interface::{Errors, Request, Response};
use crate::log::LogKind;
use crate::panics::{Panicked, caught};

/// The largest head of a request, in bytes: hyper answers 431 beyond it. Also the most of a body that is read at once.
const HEAD_LIMIT: usize = 128 * 1024;

/// The answer to a head that takes too long, for which hyper has none.
fn late() -> String {
    let date = http_date(SystemTime::now());
    format!(
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\ndate: {date}\r\n\r\n"
    )
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: Stream, state: ConnectionState) {
    let state = Arc::new(state);
    let transport = Transport::new(stream, &state);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(state.gateway.options.head_timeout)
        .max_buf_size(HEAD_LIMIT);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        state.permit.set_working();
        let framing = request.body().size_hint().exact();
        let framing = framing.map_or(Framing::Chunked, Framing::Length);
        let hidden = shadow_parser::lock(&state.parser).head_ended(framing);
        let response = answer(Arc::clone(&state), request, hidden);
        async {
            // The panic itself is in the log.
            let response = caught("a request", response).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|Panicked| hyper_response::failed()))
        }
    });
    let mut conversation = builder.serve_connection(TokioIo::new(transport), service);
    let ended = tokio::select! {
        biased;
        ended = &mut conversation => Some(ended),
        () = keep_alive::may_close(&state) => None,
        () = state.permit.close_asked() => {
            if shadow_parser::lock(&state.parser).is_in_head() {
                log_refusal(&state, "its head is not waited for any longer");
                let transport = conversation.into_parts().io.into_inner();
                return transport.refuse_at_once(late().as_bytes());
            }
            None
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut conversation).graceful_shutdown();
            (&mut conversation).await
        }
    };
    let parts = conversation.into_parts();
    let transport = parts.io.into_inner();
    let mut unread = state.unread.load(Ordering::Relaxed);
    if let Err(error) = ended {
        if error.is_parse() {
            unread = true;
            log_refusal(&state, error);
        } else if error.is_timeout() && !parts.read_buf.is_empty() {
            log_refusal(&state, "its head took too long");
            return transport.refuse(late().as_bytes()).await;
        }
    }
    let is_stopping = state.gateway.stop.manner().is_some();
    if state.broken.load(Ordering::Relaxed) {
        transport.reset();
    } else if state.permit.should_close() && !is_stopping {
        // Another connection waits for the permit.
    } else if unread || !parts.read_buf.is_empty() || transport.has_unread() {
        transport.linger(transport::LINGER).await;
    } else if is_stopping {
        // The client's next request may have crossed with the answer that announced the end of the connection.
        transport.linger(CROSSED).await;
    }
}

fn log_refusal(state: &ConnectionState, reason: impl std::fmt::Display) {
    let client = state.client_name();
    crate::log_of!(
        LogKind::Refused,
        "refused a request from {client}: {reason}"
    );
}

/// Answers one request.
async fn answer(
    state: Arc<ConnectionState>,
    request: hyper::Request<Incoming>,
    hidden: Option<Hidden>,
) -> hyper::Response<ReplyBody> {
    let gateway = &state.gateway;
    let (parts, body) = request.into_parts();
    let mut exchange = Exchange::new(&state, &parts);
    if gateway.options.access_log {
        exchange.log_line = Some(Box::new(LogLine::new(&state.connection, &parts)));
    }
    let response = match receive(&state, parts, hidden, body).await {
        Ok(request) => {
            let response = gateway.application.respond(request).await;
            // At the limit, other clients wait for this connection to end.
            let permit = &state.permit;
            exchange.close = gateway.stop.manner().is_some()
                || permit.should_close()
                || permit.is_limit_reached();
            response
        }
        Err(refusal) => {
            exchange.close = true;
            state.unread.store(true, Ordering::Relaxed);
            log_refusal(&state, &refusal);
            Response::plain(refusal.status)
        }
    };
    hyper_response::convert(response, exchange)
}

/// The request, once all of it is there.
async fn receive(
    state: &ConnectionState,
    parts: http::request::Parts,
    hidden: Option<Hidden>,
    body: Incoming,
) -> Result<Request, Refusal> {
    let CheckedHead {
        method,
        target,
        path_info,
        query,
        version,
        headers,
    } = request_head::check(parts, hidden, !body.is_end_stream())?;
    let body = upload::receive(body, state).await?;
    // hyper may have read beyond the end of a body in which the shadow parser has found a fault.
    upload::check(state)?;
    if !shadow_parser::lock(&state.parser).is_in_step() {
        return Err(request_head::unclear_end());
    }
    Ok(Request {
        method,
        target,
        script_name: Bytes::new(),
        path_info,
        query,
        version,
        headers,
        body,
        connection: Arc::clone(&state.connection),
        variables: Vec::new(),
        errors: Errors::Log,
    })
}
