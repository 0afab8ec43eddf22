//! HTTP/1.1 and 1.0 (RFC 9110, RFC 9112) by axum and hyper: connections, requests, responses.
//!
//! hyper parses and frames. What it leaves to its users is here: checks that RFC 9112 demands ([`head`]),
//! receiving bodies before an application sees them ([`upload`]), time limits for each thing that a
//! client may be slow with, ends of connections that let nobody take half a response for whole ([`reply`]).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::handler::Handler;
use axum::response::Response as HttpResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::faults::{Panicked, caught};
use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::connection_limit::Seat;
use crate::gateway::graceful_stop::{CROSSED, Stop};
use crate::gateway::http::access_log::Entry;
use crate::gateway::http::hyper_response::Exchange;
use crate::gateway::http::request_head::{Head, Refusal};
use crate::gateway::http::shadow_parser::RawHeads;
use crate::gateway::http::shadow_parser::framing::Framing;
use crate::gateway::http::transport::Transport;
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::url::Host;
use crate::interface::{Application, Connection, Errors, Request, Response, Scheme};
use crate::log::LogKind;

mod access_log;
mod hyper_response;
mod keep_alive;
mod request_head;
mod shadow_parser;
mod transport;
mod upload;

/// The largest head of a request, in bytes: hyper answers 431 beyond it. Also how much of a body is read
/// at once at most.
const HEAD_LIMIT: usize = 128 * 1024;

/// What the HTTP gateway may be told.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where request bodies are kept, and how large they may be (413).
    pub spool: Arc<SpoolOptions>,
    /// Whether each response is logged.
    pub access_log: bool,
    /// How long a client may take for the head of a request, and be idle before it.
    pub head_timeout: Duration,
    /// How long a client may send nothing of a body that it owes (408).
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response.
    pub write_timeout: Duration,
    /// How many bytes a second it has to send of a body (408), and to take of a response, on the whole, beyond
    /// these times; 0 for any number.
    pub min_rate: u64,
    /// How many connections there may be. When there are, the one that was idle for the longest time is closed for each
    /// new one; where none is idle, new ones wait in the system's queue.
    pub connections: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            spool: Arc::default(),
            access_log: false,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            min_rate: 500,
            connections: 10_000,
        }
    }
}

/// Serves HTTP until it is stopped, then lets requests under way finish and closes idle connections as the
/// [`Manner`](crate::gateway::graceful_stop::Manner) says. Returns when no connection is left. Dropping the future breaks off what is under way.
///
/// New options hold for new connections.
pub async fn serve(
    mut listener: Listener,
    application: Arc<dyn Application>,
    mut options: watch::Receiver<HttpOptions>,
    stop: Stop,
) {
    let mut server = Arc::new(Server {
        application,
        options: options.borrow_and_update().clone(),
        host: listener.host().cloned(),
        port: listener.port().map(|port| port.to_string()),
        stop: stop.clone(),
    });
    // Clients of HTTP are told that a connection will be closed: nobody need pass them on.
    drop(listener.take_passed());
    let crowd = listener.crowd();
    crowd.set_limit(server.options.connections);
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stop.begun());
    let manner = loop {
        tokio::select! {
            biased;
            manner = &mut stopped => break manner,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            // An error means that nobody will change them any more.
            Ok(()) = options.changed() => {
                server = Arc::new(Server {
                    options: options.borrow_and_update().clone(),
                    ..Server::clone(&server)
                });
                crowd.set_limit(server.options.connections);
            }
            (stream, peer) = listener.accept() => {
                connections.spawn(converse(Arc::clone(&server), stream, peer, crowd.enter()));
            }
        }
    };
    while let Some((stream, peer)) = listener.accepted() {
        connections.spawn(converse(Arc::clone(&server), stream, peer, crowd.enter()));
    }
    listener.close(manner);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        crate::log_of!(LogKind::Closed, "a connection failed: {error}");
    }
}

/// What is the same for every connection.
#[derive(Clone)]
struct Server {
    application: Arc<dyn Application>,
    options: HttpOptions,
    host: Option<Host>,
    port: Option<String>,
    stop: Stop,
}

/// One connection, for everything that goes on in it.
struct Client {
    server: Arc<Server>,
    connection: Arc<Connection>,
    heads: Arc<Mutex<RawHeads>>,
    seat: Seat,
    /// The client may be sending something that we are not going to read.
    unread: AtomicBool,
    /// A response without a length has ended early.
    broken: AtomicBool,
}

impl Server {
    fn connection(&self, stream: &Stream, peer: Peer) -> Connection {
        let local = |host: &Host| match (host, stream) {
            (Host::Any, Stream::Tcp(stream)) => stream.local_addr().map(bracketed).ok(),
            _ => Some(host.to_string()),
        };
        let (remote_addr, remote_port) = match peer {
            Peer::Tcp(address) => (address.ip().to_string(), address.port().to_string()),
            Peer::Unix => (String::new(), String::new()),
        };
        Connection {
            scheme: Scheme::Http,
            server_name: self
                .host
                .as_ref()
                .and_then(local)
                .unwrap_or_else(|| "localhost".to_owned()),
            server_port: self.port.clone().unwrap_or_else(|| "80".to_owned()),
            remote_addr,
            remote_port,
        }
    }
}

/// As it stands in a URL.
fn bracketed(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => address.ip().to_ipv4_mapped().map_or_else(
            || format!("[{}]", address.ip()),
            |address| address.to_string(),
        ),
    }
}

/// Serves one connection to its end.
async fn converse(server: Arc<Server>, stream: Stream, peer: Peer, seat: Seat) {
    let client = Arc::new(Client {
        connection: Arc::new(server.connection(&stream, peer)),
        server,
        heads: Arc::default(),
        seat,
        unread: AtomicBool::new(false),
        broken: AtomicBool::new(false),
    });
    let options = &client.server.options;
    let transport = Transport::new(stream, &client);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        .max_buf_size(HEAD_LIMIT);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        client.seat.works();
        let framing = request.body().size_hint().exact();
        let framing = framing.map_or(Framing::Chunked, Framing::Length);
        let odd = shadow_parser::lock(&client.heads).head_ended(framing);
        // An empty body needs no box.
        let mut request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(body),
        });
        if let Some(odd) = odd {
            request.extensions_mut().insert(odd);
        }
        let response = answer.call(request, Arc::clone(&client));
        async {
            // The log says where the fault is.
            let response = caught("a request", response).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|Panicked| hyper_response::failed()))
        }
    });
    let mut conversation = builder.serve_connection(TokioIo::new(transport), service);
    let ended = tokio::select! {
        biased;
        ended = &mut conversation => Some(ended),
        () = keep_alive::due(&client) => None,
        () = client.seat.asked() => {
            if shadow_parser::lock(&client.heads).is_in_head() {
                let client = name(&client.connection);
                crate::log_of!(
                    LogKind::Refused,
                    "refused a request from {client}: its head is not waited for any longer"
                );
                let transport = conversation.into_parts().io.into_inner();
                return transport.refuse_at_once(LATE);
            }
            None
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            std::pin::Pin::new(&mut conversation).graceful_shutdown();
            (&mut conversation).await
        }
    };
    let parts = conversation.into_parts();
    let transport = parts.io.into_inner();
    let mut unread = client.unread.load(Ordering::Relaxed);
    if let Err(error) = ended {
        let client = name(&client.connection);
        if error.is_parse() {
            unread = true;
            crate::log_of!(LogKind::Refused, "refused a request from {client}: {error}");
        } else if error.is_timeout() && !parts.read_buf.is_empty() {
            crate::log_of!(
                LogKind::Refused,
                "refused a request from {client}: its head took too long"
            );
            return transport.refuse(LATE).await;
        }
    }
    if client.broken.load(Ordering::Relaxed) {
        transport.reset();
    } else if client.seat.is_asked() && client.server.stop.manner().is_none() {
        // Another one waits for its place.
    } else if unread || !parts.read_buf.is_empty() || transport.has_unread() {
        transport.linger(transport::LINGER).await;
    } else if client.server.stop.manner().is_some() {
        // Its next request may have crossed with the answer that told it that we close.
        transport.linger(CROSSED).await;
    }
}

/// hyper has no answer for a client that takes too long for the head of a request.
const LATE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The client in messages.
fn name(connection: &Connection) -> &str {
    match connection.remote_addr.as_str() {
        "" => "a local process",
        address => address,
    }
}

/// Answers one request: the handler that axum calls.
async fn answer(
    State(client): State<Arc<Client>>,
    request: axum::extract::Request,
) -> HttpResponse {
    let server = &client.server;
    let (parts, body) = request.into_parts();
    let mut exchange = Exchange::new(&client, &parts);
    if server.options.access_log {
        exchange.entry = Some(Box::new(Entry::new(&client.connection, &parts)));
    }
    let response = match receive(&client, parts, body).await {
        Ok(request) => {
            let response = server.application.respond(request).await;
            // Where all places are taken, others wait for this one.
            let seat = &client.seat;
            exchange.close = server.stop.manner().is_some() || seat.is_asked() || seat.is_crowded();
            response
        }
        Err(refusal) => {
            exchange.close = true;
            client.unread.store(true, Ordering::Relaxed);
            let client = name(&client.connection);
            crate::log_of!(
                LogKind::Refused,
                "refused a request from {client}: {refusal}"
            );
            Response::plain(refusal.status)
        }
    };
    hyper_response::reply(response, exchange)
}

/// The request, once all of it is there.
async fn receive(
    client: &Client,
    parts: http::request::Parts,
    body: Body,
) -> Result<Request, Refusal> {
    let Head {
        method,
        target,
        path_info,
        query,
        version,
        headers,
    } = request_head::check(parts, !body.is_end_stream())?;
    let body = upload::receive(body, client).await?;
    // hyper may have read on where the body that was heard is malformed.
    upload::check(client)?;
    if !shadow_parser::lock(&client.heads).is_in_step() {
        return Err(Refusal::unclear());
    }
    Ok(Request {
        method,
        target,
        script_name: bytes::Bytes::new(),
        path_info,
        query,
        version,
        headers,
        body,
        connection: Arc::clone(&client.connection),
        variables: Vec::new(),
        errors: Errors::Log,
    })
}
