//! One HTTP connection from its first byte to its end: hyper reads and writes, the application answers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;

use crate::gateway::graceful_stop::CROSSED;
use crate::gateway::http::access_log::LogLine;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::https_only::acme_challenge;
use crate::gateway::http::https_only::redirect::redirect;
use crate::gateway::http::hyper_response::{self, Exchange, ReplyBody};
use crate::gateway::http::opening::refused_connection::closing_answer;
use crate::gateway::http::proxies::original_request::{Mount, OriginalRequest};
use crate::gateway::http::request_head::{self, CheckedHead};
use crate::gateway::http::request_timer::{NoTimer, Overdue, READ_ON};
use crate::gateway::http::seldom::Seldom;
use crate::gateway::http::shadow_parser::Hidden;
use crate::gateway::http::shadow_parser::framing::Framing;
use crate::gateway::http::shadow_parser::head_limits::USUAL_FIELDS;
use crate::gateway::http::transport::{self, Transport};
use crate::gateway::http::upload::ReceivedBody;
use crate::gateway::http::websocket::{self, acceptance, acceptance::OfferedWebSocket};
use crate::gateway::http::{keep_alive, shadow_parser, upload};
use crate::gateway::refusal::{Refusal, RefusedHead};
use crate::gateway::request_ids;
use crate::gateway::socket::stream::Stream;
use crate::interface::measurements::{MethodName, RefusedRequest};
use crate::interface::{
    Errors, Pending, Request, RequestBody, RequestIds, RequestNotes, Response, Scheme,
};
use crate::panics::{Caught, Panicked, caught, caught_call};

/// The most of a body that is read at once, in bytes.
const READ_LIMIT: usize = 128 * 1024;

/// Why a connection closes before its client closes it.
#[derive(PartialEq, Eq)]
enum Interruption {
    /// The gateway is to stop.
    Stop,
    /// Another connection waits for its permit, or it holds up the stop.
    Asked,
}

/// A connection that its client has begun with HTTP/2.
pub(super) struct BegunHttp2 {
    pub stream: Stream,
    /// What was read of it.
    pub early: Bytes,
    pub state: Arc<ConnectionState>,
}

/// Serves one connection to its end, unless its client begins with HTTP/2.
pub(super) async fn serve(stream: Stream, state: Arc<ConnectionState>) -> Option<BegunHttp2> {
    let transport = Transport::new(stream, &state);
    let mut builder = http1::Builder::new();
    let limits = state.gateway.options.head_limits;
    // The transport gives it whole heads, in time, and with no more than the allowed number of fields.
    builder
        .timer(NoTimer(Instant::now()))
        .header_read_timeout(READ_ON)
        .max_buf_size(READ_LIMIT.max(2 * limits.head));
    if limits.fields > USUAL_FIELDS {
        builder.max_headers(limits.fields);
    }
    let service = service_fn(|request: hyper::Request<Incoming>| {
        state.permit.set_working();
        let framing = request.body().size_hint().exact();
        let framing = framing.map_or(Framing::Chunked, Framing::Length);
        let (hidden, is_upgrade) = {
            let mut parser = shadow_parser::lock(&state.parser);
            (parser.head_ended(framing), parser.is_at_upgrade())
        };
        let begun = caught_call("a request", || {
            begin(&state, request, hidden.as_ref(), is_upgrade)
        });
        Reply {
            answer: caught("a request", answer(Arc::clone(&state), begun)),
        }
    });
    let mut conversation = builder.serve_connection(TokioIo::new(transport), service);
    let interruption = pin!(async {
        tokio::select! {
            biased;
            () = keep_alive::may_close(&state) => Interruption::Stop,
            () = state.permit.close_asked() => Interruption::Asked,
        }
    });
    let ended = tokio::select! {
        biased;
        ended = &mut conversation => Some(ended),
        interruption = Seldom::new(interruption) => {
            if interruption == Interruption::Asked
                && shadow_parser::lock(&state.parser).is_in_head() {
                state.log_refusal("its head is not waited for any longer");
                note_unread(&state, StatusCode::REQUEST_TIMEOUT);
                let transport = conversation.into_parts().io.into_inner();
                transport.refuse_at_once(closing_answer(StatusCode::REQUEST_TIMEOUT).as_bytes());
                return None;
            }
            None
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            let ending = async {
                // hyper takes a connection for idle that has something left to write, and would not write it.
                let written = poll_fn(|_| match state.is_behind.load(Ordering::Relaxed) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                });
                tokio::select! {
                    biased;
                    ended = &mut conversation => return ended,
                    () = written => {}
                }
                Pin::new(&mut conversation).graceful_shutdown();
                (&mut conversation).await
            };
            Box::pin(ending).await
        }
    };
    // How a connection ends is in boxes: the future of each connection has room for it otherwise, from its beginning.
    let parts = conversation.into_parts();
    let mut transport = parts.io.into_inner();
    if let Some(accepted) = state.take_accepted()
        && ended.is_ok()
    {
        let serving = websocket::serve(transport, parts.read_buf, *accepted, &state);
        Box::pin(serving).await;
        return None;
    }
    let http2 = shadow_parser::lock(&state.parser).take_http2();
    if let Some(early) = http2 {
        return Some(BegunHttp2 {
            stream: transport.into_stream(),
            early,
            state: Arc::clone(&state),
        });
    }
    let mut unread = state.unread.load(Ordering::Relaxed);
    if let Err(error) = ended
        && error.is_parse()
    {
        // It has answered 400. The shadow parser, which is to refuse all that hyper would, has let it pass.
        unread = true;
        note_unread(&state, StatusCode::BAD_REQUEST);
        state.log_refusal(error);
    }
    match transport.overdue() {
        Some(Overdue::Head) => {
            state.log_refusal("its head took too long (408, runner.http.head_timeout)");
            note_unread(&state, StatusCode::REQUEST_TIMEOUT);
            let answer = closing_answer(StatusCode::REQUEST_TIMEOUT);
            Box::pin(transport.refuse(answer.as_bytes())).await;
            return None;
        }
        Some(Overdue::Idle) => return None,
        None => {}
    }
    let is_stopping = state.gateway.generation.stop.manner().is_some();
    if state.broken.load(Ordering::Relaxed) {
        transport.reset();
    } else if state.permit.should_close() && !is_stopping {
        // Another connection waits for the permit.
    } else if unread || !parts.read_buf.is_empty() || transport.has_unread() {
        Box::pin(transport.linger(transport::LINGER)).await;
    } else if is_stopping {
        // The client's next request may have crossed with the answer that announced the end of the connection.
        Box::pin(transport.linger(CROSSED)).await;
    }
    None
}

/// Counts a request that was not understood, and writes its line in the access log.
pub(super) fn note_unread(state: &ConnectionState, status: StatusCode) {
    let method = MethodName::OTHER;
    let refused = RefusedRequest { method, status };
    state.gateway.application.note_refused(refused);
    log_unread(state, status);
}

/// Writes the line in the access log about a request that was not understood.
fn log_unread(state: &ConnectionState, status: StatusCode) {
    if let Some(access_log) = &state.gateway.options.access_log {
        access_log.write_unread(state.connection.remote_addr.as_str(), status);
    }
}

pin_project! {
    /// The answer to a request, also if the code that makes it panics: the panic itself is in the log. It is moved for each
    /// request, so that it holds no more than is needed while the application answers.
    struct Reply<F> {
        #[pin]
        answer: Caught<F>,
    }
}

impl<F: Future<Output = hyper::Response<ReplyBody>>> Future for Reply<F> {
    type Output = Result<hyper::Response<ReplyBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().answer.poll(context));
        Poll::Ready(Ok(
            answer.unwrap_or_else(|Panicked| hyper_response::failed())
        ))
    }
}

/// A request that has come in.
pub(super) struct Begun {
    exchange: Exchange,
    answering: Result<RequestTurn, RefusedHead>,
}

/// When a request whose head is good is answered.
enum RequestTurn {
    Now(Answering),
    /// When others of its client have ended, which has as many under way as it may.
    Later(Pending<'static, Result<NextStep, RefusedHead>>),
}

/// What is to be done then; it is given the place for the WebSocket that is offered.
type NextStep =
    Box<dyn FnOnce(&mut Option<Box<OfferedWebSocket>>) -> Result<Answering, RefusedHead> + Send>;

/// How a request is answered.
enum Answering {
    /// All of it is there: the application answers.
    Whole(Pending<'static, Response>),
    /// It is for the server itself, or to be made by https.
    Own(Box<Response>),
    /// Its body comes first.
    Receiving(Pending<'static, Result<Response, RefusedHead>>),
}

/// Checks the head of a request, and passes the request on if that is all of it. `is_upgrade` if a WebSocket may follow.
pub(super) fn begin<B: ReceivedBody>(
    state: &Arc<ConnectionState>,
    mut request: hyper::Request<B>,
    hidden: Option<&Hidden>,
    is_upgrade: bool,
) -> Begun {
    let mut exchange = Exchange::new(state, &request);
    if state.gateway.options.request_id {
        let ids = request_ids::assign(request.headers_mut(), state.is_from_proxy);
        exchange.ids = Some(ids);
    }
    let mut notes = None;
    let original = OriginalRequest::read(state, request.headers_mut());
    if let Some(Hidden::Refused(refusal, None)) = hidden {
        log_unread(state, refusal.status);
    } else if let Some(options) = &state.gateway.options.access_log {
        let connection = original.as_ref().map(|original| &original.connection);
        let connection = connection.unwrap_or(&state.connection);
        let mut line = LogLine::new(options, connection, &request, hidden);
        line.ids.clone_from(&exchange.ids);
        notes.clone_from(&line.notes);
        exchange.log_line = Some(Box::new(line));
    }
    // Where no WebSocket follows, the end does.
    exchange.close = is_upgrade;
    let offer = is_upgrade.then_some(&mut exchange.offer);
    let marks = RequestMarks {
        ids: exchange.ids.clone(),
        notes,
    };
    let checked = original
        .map_err(RefusedHead::from)
        .and_then(|original| check(state, request, hidden, original));
    let answering = checked.and_then(|(head, body)| {
        exchange.is_encrypted = head.1.connection.scheme == Scheme::Https;
        pass_on(state, head, body, offer, marks)
    });
    Begun {
        exchange,
        answering,
    }
}

/// Checks the head of a request, and takes it for that of the client.
fn check<B: Body>(
    state: &ConnectionState,
    request: hyper::Request<B>,
    hidden: Option<&Hidden>,
    original: OriginalRequest,
) -> Result<((CheckedHead, Mount), B), RefusedHead> {
    let (parts, body) = request.into_parts();
    let connection = &original.connection;
    if let Err(refusal) = request_head::check(&parts, hidden, !body.is_end_stream()) {
        if let Some(Hidden::Refused(_, None)) = hidden {
            // Not even its first line is known.
            return Err(refusal.into());
        }
        let sent = hidden.and_then(Hidden::sent);
        let path = parts.uri.path_and_query();
        let target = sent.map_or(path.map_or("", PathAndQuery::as_str).as_bytes(), |it| it);
        let head = (&parts.method, target, &parts.headers);
        return Err(state.refused(refusal, connection, head));
    }
    let sent = hidden.and_then(Hidden::sent).cloned();
    let mut head = request_head::take_apart(parts, sent)?;
    state
        .gateway
        .check_acceptance(&state.connection)
        .map_err(|refusal| state.refused(refusal, connection, head.known()))?;
    let mount = original.apply(&mut head)?;
    Ok(((head, mount), body))
}

/// What the log has of a request.
struct RequestMarks {
    ids: Option<Arc<RequestIds>>,
    notes: Option<Arc<RequestNotes>>,
}

impl RequestMarks {
    fn put(self, request: &mut Request) {
        request.ids = self.ids;
        request.notes = self.notes;
    }
}

fn pass_on<B: ReceivedBody>(
    state: &Arc<ConnectionState>,
    head: (CheckedHead, Mount),
    body: B,
    offer: Option<&mut Option<Box<OfferedWebSocket>>>,
    marks: RequestMarks,
) -> Result<RequestTurn, RefusedHead> {
    let own = acme_challenge::answer(state, &head.0);
    if let Some(response) = own.or_else(|| redirect(state, &head.0, &head.1)) {
        state
            .unread
            .fetch_or(!body.is_end_stream(), Ordering::Relaxed);
        return Ok(RequestTurn::Now(Answering::Own(response.into())));
    }
    if state.permit.begin_request() {
        return ask_application(state, head, body, offer, marks).map(RequestTurn::Now);
    }
    let state = Arc::clone(state);
    let is_offered = offer.is_some();
    Ok(RequestTurn::Later(Box::pin(async move {
        let turn = state.turn().await;
        turn.map_err(|it| state.refused(it, &head.1.connection, head.0.known()))?;
        let next: NextStep = Box::new(move |offer| {
            ask_application(&state, head, body, is_offered.then_some(offer), marks)
        });
        Ok(next)
    })))
}

/// Passes a request on whose turn it is.
fn ask_application<B: ReceivedBody>(
    state: &Arc<ConnectionState>,
    head: (CheckedHead, Mount),
    body: B,
    offer: Option<&mut Option<Box<OfferedWebSocket>>>,
    marks: RequestMarks,
) -> Result<Answering, RefusedHead> {
    let application = Arc::clone(&state.gateway.application);
    if body.is_end_stream() {
        check_end(state).map_err(|it| state.refused(it, &head.1.connection, head.0.known()))?;
        let mut request = whole(head, RequestBody::Empty);
        marks.put(&mut request);
        if let Some(offer) = offer {
            let deflate = state.gateway.options.web_sockets.deflate_policy();
            let offered = acceptance::offered(&request, deflate, state.is_ending());
            let known = (&request.method, &*request.target, &request.headers);
            *offer = offered.map_err(|it| state.refused(it, &request.connection, known))?;
            request.offers_web_socket = offer.is_some();
        }
        return Ok(Answering::Whole(application.respond(request)));
    }
    let state = Arc::clone(state);
    Ok(Answering::Receiving(Box::pin(async move {
        let received = upload::receive(body, &state, &head.1.connection).await;
        let received = received.and_then(|body| check_end(&state).map(|()| body));
        let received =
            received.map_err(|refusal| state.refused(refusal, &head.1.connection, head.0.known()));
        let mut request = whole(head, received?);
        marks.put(&mut request);
        Ok(application.respond(request).await)
    })))
}

/// Answers one request.
pub(super) async fn answer(
    state: Arc<ConnectionState>,
    begun: Result<Begun, Panicked>,
) -> hyper::Response<ReplyBody> {
    let Ok(Begun {
        mut exchange,
        answering,
    }) = begun
    else {
        return hyper_response::failed();
    };
    let answering = match answering {
        Ok(RequestTurn::Now(answering)) => Ok(answering),
        Ok(RequestTurn::Later(turn)) => turn.await.and_then(|next| next(&mut exchange.offer)),
        Err(refused) => Err(refused),
    };
    let answered = match answering {
        Ok(Answering::Whole(response)) => Ok(response.await),
        Ok(Answering::Own(response)) => {
            // The client has no more to ask here.
            exchange.close = true;
            Ok(*response)
        }
        Ok(Answering::Receiving(response)) => response.await,
        Err(refused) => Err(refused),
    };
    let response = match answered {
        Ok(response) => {
            // At the limit, other clients wait for this connection to end.
            exchange.close |= state.is_ending() || state.permit.is_limit_reached();
            exchange.close |= state.has_answered_enough();
            response
        }
        Err(mut refused) => {
            exchange.close = true;
            let refusal = &refused.refusal;
            state.unread.store(true, Ordering::Relaxed);
            state.gateway.application.note_refused(RefusedRequest {
                method: exchange.method_name(),
                status: refusal.status,
            });
            let status = refusal.status;
            if let Some(name) = &mut refused.name {
                name.set_ids(exchange.ids.clone());
                if let Some(line) = &mut exchange.log_line {
                    line.application = name.application().cloned();
                }
            }
            state.log_refused(&refused, exchange.ids.as_deref());
            let mut reply = hyper_response::convert(Response::plain(status), exchange);
            match status {
                StatusCode::UPGRADE_REQUIRED => acceptance::demand_version(reply.headers_mut()),
                StatusCode::SERVICE_UNAVAILABLE => {
                    let soon = HeaderValue::from_static("1");
                    reply.headers_mut().insert(header::RETRY_AFTER, soon);
                }
                _ => {}
            }
            return reply;
        }
    };
    hyper_response::convert(response, exchange)
}

/// Checks that a request ends where hyper believes.
fn check_end(state: &ConnectionState) -> Result<(), Refusal> {
    // hyper may have read beyond the end of a body in which the shadow parser has found a fault.
    upload::check(state)?;
    match shadow_parser::lock(&state.parser).is_in_step() {
        true => Ok(()),
        false => Err(request_head::unclear_end()),
    }
}

/// The request, all of which is there.
fn whole((head, mount): (CheckedHead, Mount), body: RequestBody) -> Request {
    Request {
        method: head.method,
        target: head.target,
        script_name: mount.script_name,
        path_info: head.path_info,
        query: head.query,
        version: head.version,
        headers: head.headers,
        body,
        connection: mount.connection,
        variables: Vec::new(),
        errors: Errors::Log,
        ids: None,
        application: None,
        notes: None,
        offers_web_socket: false,
    }
}
