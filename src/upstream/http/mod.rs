//! HTTP/1.1 with servers (RFC 9112): a request is sent on a connection that is kept, or on a new one.
//!
//! - A request that fails before anything of an answer has come may be sent again; `http_exchange` says when.
//! - A server that cannot be reached is left to rest, and the next one is tried. One that leaves a few requests in a row
//!   without an answer rests, too.
//! - 502: no server can be reached, or it breaks off or breaks the protocol before the response has begun; 504: it takes too
//!   long; 503: all are busy. A response that breaks off later is broken off for the client, too.
//! - A request that this client has passed on before is not passed on again (508): it would go round for ever.
//! - A response that is short, or there at once, is passed on as a whole: most need no task of their own. What goes on is
//!   passed on as it comes; what the client is too slow for is stored, so that the server is free.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use hyper::ext::ReasonPhrase;
use tokio::time::{timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::interface::RequestName;
use crate::interface::master_status::{QueueStatus, Status};
use crate::interface::{Blocks, Depot, Request, Response, ResponseBody};
use crate::log::LogKind;
use crate::log_of;
use crate::protocol::proxy::via::ViaPseudonym;
use crate::protocol::upstream_head;
use crate::protocol::websocket::client_handshake::ClientOffer;
use crate::upstream::exchange_phase::{ExchangePhase, ExchangeProgress};
use crate::upstream::http::http_connection::{CollectedBody, HttpConnection};
use crate::upstream::http::http_exchange::{BegunAnswer, HttpExchange, KEEP};
use crate::upstream::http::http_failure::HttpFailure;
use crate::upstream::http::request_content::RequestContent;
use crate::upstream::http::response_rest::ResponseRest;
use crate::upstream::http::web_socket_relay::WebSocketRelay;
use crate::upstream::ongoing_responses::OngoingResponses;
use crate::upstream::servers::Servers;
use crate::upstream::servers::lease::{EndlessKind, Lease};
use crate::upstream::upstream_failures::UpstreamFailures;
use crate::upstream::upstream_options::{HttpClientOptions, UpstreamOptions};

mod counted_stream;
pub mod http_connection;
mod http_exchange;
mod http_failure;
mod request_content;
mod response_rest;
mod web_socket_relay;

/// The time that a request has where there is no limit.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How much earlier than the server it is closed here.
const MARGIN: Duration = Duration::from_secs(1);

/// Bodies up to this size in bytes are passed on as a whole if they are there at once, or say how long they are.
const AT_ONCE: usize = 64 * 1024;

/// A client of servers.
#[derive(Debug)]
pub struct HttpClient {
    servers: Arc<Servers<HttpConnection>>,
    options: HttpClientOptions,
    /// What the servers are in words.
    shown: String,
    /// By it, requests are known that have come back.
    via: ViaPseudonym,
    /// Zero is no limit.
    request_timeout: Duration,
    drain: Duration,
    depot: Arc<Depot>,
    failures: UpstreamFailures,
    /// From the time at which they come until their responses are there whole, those that wait for a server too.
    requests: TaskTracker,
    ongoing: OngoingResponses,
}

impl HttpClient {
    /// A client of these servers.
    #[must_use]
    pub fn new(
        servers: Arc<Servers<HttpConnection>>,
        options: &UpstreamOptions,
        http: &HttpClientOptions,
    ) -> Self {
        let depot = Depot::new(options.folder.clone(), options.max_buffer);
        let depot = depot.with_waiting(servers.waiting_counter());
        Self {
            servers,
            options: http.clone(),
            shown: options.name.as_written(),
            via: ViaPseudonym::new(RandomState::new().hash_one(())),
            request_timeout: options.request_timeout,
            drain: options.drain,
            depot: Arc::new(depot.with_total(options.max_buffers)),
            failures: UpstreamFailures::default(),
            requests: TaskTracker::new(),
            ongoing: OngoingResponses::default(),
        }
    }

    /// Answers a request.
    pub async fn respond(self: Arc<Self>, request: Request) -> Response {
        let _token = self.requests.token();
        self.failures.request();
        let name = RequestName::of(&request);
        if self.via.is_in(&request.headers) {
            let why = format!("{} has passed it on, and it has come back", self.shown);
            return self.refuse(&name, HttpFailure::Loop(why));
        }
        let being_stopped =
            || HttpFailure::TooSlow("the server is being stopped (runner.stop_timeout)".to_owned());
        let lease = tokio::select! {
            lease = Lease::of(&self.servers, name.waiting_client()) => lease,
            () = self.ongoing.ended() => return self.refuse(&name, being_stopped()),
        };
        let lease = match lease {
            Ok(lease) => lease,
            Err(none) => {
                let why = none.reason(&self.shown);
                log_of!(
                    LogKind::Refused,
                    about = name.subject(),
                    "503 for {name}: {why}"
                );
                return self.failures.unavailable();
            }
        };
        let answered = tokio::select! {
            answered = self.answer(&request, &name, lease) => answered,
            () = self.ongoing.ended() => Err(being_stopped()),
        };
        match answered {
            Ok(response) => response,
            Err(failed) => self.refuse(&name, failed),
        }
    }

    /// Answers in place of the servers.
    fn refuse(&self, name: &RequestName, failed: HttpFailure) -> Response {
        let (response, why) = match failed {
            HttpFailure::Broken(why) => (self.failures.bad_gateway(), why),
            HttpFailure::TooSlow(why) => (self.failures.gateway_timeout(), why),
            HttpFailure::Loop(why) => (Response::plain(StatusCode::LOOP_DETECTED), why),
        };
        let what = format!("{} for {name}: {why}", response.status.as_u16());
        log_of!(LogKind::InvalidAnswer, about = name.subject(), "{what}");
        self.failures.note(what);
        response
    }

    async fn answer(
        &self,
        request: &Request,
        name: &RequestName,
        mut lease: Lease<HttpConnection>,
    ) -> Result<Response, HttpFailure> {
        let limit = match self.request_timeout {
            Duration::ZERO => FOREVER,
            limit => limit,
        };
        let deadline = Instant::now() + limit;
        let strips_prefix = self.options.strips_prefix;
        let Some(target) = upstream_head::target(request, strips_prefix) else {
            return Ok(Response::plain(StatusCode::BAD_REQUEST));
        };
        let progress = ExchangeProgress::default();
        let to_send = || {
            let content = RequestContent::of(&request.body, &progress);
            let mut to_send = http::Request::new(content);
            *to_send.method_mut() = request.method.clone();
            *to_send.uri_mut() = target.clone();
            *to_send.headers_mut() = upstream_head::request_fields(request, strips_prefix);
            self.via.add_to(to_send.headers_mut(), request.version);
            let upgrade = request
                .offers_web_socket
                .then(|| ClientOffer::add_to(to_send.headers_mut(), web_socket_relay::nonce()));
            (to_send, upgrade)
        };
        let exchange = HttpExchange {
            name,
            deadline,
            progress: &progress,
        };
        let exchanged = exchange.run(to_send, &mut lease);
        let Ok(exchanged) = timeout_at(deadline.into(), exchanged).await else {
            lease.timed_out();
            let (server, phase) = (lease.server(), progress.phase());
            return Err(HttpFailure::overdue(server.address(), phase, limit));
        };
        let (begun, upgrade) = exchanged?;
        lease.answered();
        let server = Arc::clone(lease.server());
        let received = self.receive(request, name, upgrade, begun.of(lease));
        let received = timeout_at(deadline.into(), received).await;
        let overdue = || HttpFailure::overdue(server.address(), ExchangePhase::Body, limit);
        received.unwrap_or_else(|_| Err(overdue()))
    }

    /// Makes what a server has begun to send a response.
    async fn receive(
        &self,
        request: &Request,
        name: &RequestName,
        upgrade: Option<ClientOffer>,
        mut answer: BegunAnswer,
    ) -> Result<Response, HttpFailure> {
        let address = answer.lease.server().address().clone();
        let broken = |what: &str| HttpFailure::Broken(format!("{address} sent {what}"));
        let status = answer.head.status;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                return Err(broken("status 101 unasked"));
            };
            let fields = upgrade.accepted(answer.head.headers).map_err(broken)?;
            let (stream, early) = Box::pin(answer.connection.into_upgraded()).await;
            let (socket, relay) = WebSocketRelay::new(stream, &early, name.clone(), answer.lease);
            let relay = relay.run(self.ongoing.drained());
            self.ongoing.spawn(self.requests.track_future(relay));
            return Ok(Response {
                status,
                reason: None,
                about: Some(name.clone()),
                headers: fields,
                body: ResponseBody::WebSocket(socket),
            });
        }
        let keep = keep_time(&answer.head.headers);
        upstream_head::response_fields(status, &mut answer.head.headers).map_err(broken)?;
        let reason = answer.head.extensions.remove::<ReasonPhrase>();
        let is_endless = is_endless(&answer.head.headers);
        let collected = answer.connection.collect(&mut answer.body, AT_ONCE);
        let body = match collected.await {
            CollectedBody::Whole(whole) => {
                // A server that has not taken all of the body cannot be asked again.
                let is_sent = request.body.length() == 0 || answer.connection.is_usable().await;
                if is_sent && answer.connection.is_open() {
                    answer.lease.give_back(answer.connection, keep);
                }
                ResponseBody::Bytes(whole)
            }
            CollectedBody::Begun(beginning) => {
                if is_endless {
                    answer.lease.becomes_endless(EndlessKind::Events);
                }
                let (sender, mut blocks) = Blocks::of(&self.depot, Some(name));
                if let Some(length) = answer.body.size_hint().exact() {
                    blocks = blocks.with_length(length + beginning.len() as u64);
                }
                let rest = ResponseRest {
                    body: answer.body,
                    connection: answer.connection,
                    lease: answer.lease,
                    keep,
                    name: name.clone(),
                };
                let drained = self.ongoing.drained();
                self.ongoing.spawn(self.requests.track_future(async move {
                    let is_whole = match is_endless {
                        true => tokio::select! {
                            is_whole = rest.pass_on(beginning, &sender) => is_whole,
                            _ = drained => true,
                        },
                        false => rest.pass_on(beginning, &sender).await,
                    };
                    if is_whole {
                        sender.end();
                    }
                }));
                ResponseBody::Stream(blocks)
            }
            CollectedBody::Broken(error) => {
                answer.lease.broken_off();
                let (phase, error) = (ExchangePhase::Body, Some(&error));
                return Err(HttpFailure::broken_off(&address, phase, error));
            }
        };
        Ok(Response {
            status,
            reason: reason.map(|reason| Bytes::copy_from_slice(reason.as_bytes())),
            about: Some(name.clone()),
            headers: answer.head.headers,
            body,
        })
    }

    /// Asks what does not end by itself to end.
    pub fn drain(&self, returns: bool) {
        self.ongoing.drain(self.drain, returns);
    }

    /// Waits until no request is left, and breaks off those that are left after the time `within`. One that waits for a server
    /// is answered by a process that is about to begin.
    pub async fn stop(&self, within: Duration) {
        self.drain(false);
        self.requests.close();
        if timeout(within, self.requests.wait()).await.is_err() {
            self.ongoing.end();
            self.requests.wait().await;
        }
        self.servers.close_kept();
    }

    /// Its state.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = Status {
            queue: QueueStatus {
                length: self.servers.waiting(),
                oldest: None,
            },
            servers: self.servers.status(),
            delivering: self.depot.delivering() + self.ongoing.count(),
            ..Status::default()
        };
        self.failures.show(&mut status);
        status
    }
}

/// How long a connection is to be kept.
fn keep_time(fields: &HeaderMap) -> Duration {
    match upstream_head::keep_alive_seconds(fields) {
        Some(seconds) => KEEP.min(Duration::from_secs(seconds).saturating_sub(MARGIN)),
        None => KEEP,
    }
}

/// Whether a response goes on until its client leaves: events (HTML, server-sent events), or parts of which each replaces
/// the one before. Their clients connect again.
fn is_endless(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.as_bytes().split(|&it| it == b';').next());
    kind.is_some_and(|kind| {
        let kinds = [&b"text/event-stream"[..], b"multipart/x-mixed-replace"];
        let kind = kind.trim_ascii();
        kinds.iter().any(|it| kind.eq_ignore_ascii_case(it))
    })
}
