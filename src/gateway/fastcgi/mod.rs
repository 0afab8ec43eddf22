//! The FastCGI gateway: a responder (FastCGI Specification 1.0 §6.2) behind a web server.
//!
//! Connections are kept where the web server wants that, and carry any number of requests at a time.
//! An answer that ends early never gets an `FCGI_END_REQUEST`, with which web servers would take it for whole.
//! nginx and Apache then break off their own response. (lighttpd says so in its log; its client learns of it unless all
//! of the body was still waiting in lighttpd.)

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::connection_limit::{Crowd, Seat};
use crate::gateway::fastcgi::multiplexer::{Broken, Service, converse};
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::socket::connection_handover::Passed;
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::interface::Application;
use crate::log::LogKind;

mod multiplexer;
mod outbox;
mod received_request;

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct FastCgiOptions {
    /// How many connections are served at a time (`FCGI_MAX_CONNS`). When there are, the one that was idle for the longest
    /// time is closed for each new one; where none is idle, new ones wait in the system's queue.
    pub connections: usize,
    /// How many requests may be under way on one connection (`FCGI_MAX_REQS`). Others are answered
    /// with `FCGI_OVERLOADED`.
    pub requests: usize,
    /// How long a request's variables may be altogether, in bytes. Longer ones are answered with 431.
    pub params: usize,
    /// How long a web server may send nothing in the middle of a request before the connection is
    /// closed. Between requests it may be idle for ever.
    pub read_timeout: Duration,
    /// How long a web server may take nothing of an answer before the connection is closed.
    pub write_timeout: Duration,
    /// The only addresses that may connect by TCP ([`web_servers`]).
    pub web_servers: Option<Vec<IpAddr>>,
    /// Where request bodies are kept, and how large they may be (413).
    pub spool: Arc<SpoolOptions>,
}

impl Default for FastCgiOptions {
    fn default() -> Self {
        Self {
            connections: 10_000,
            requests: 100,
            params: 256 * 1024,
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            web_servers: None,
            spool: Arc::default(),
        }
    }
}

/// Reads the value of `FCGI_WEB_SERVER_ADDRS` (§3.2): addresses, separated by commas. `None` where it
/// allows everybody.
///
/// # Errors
/// Something in it is not an address.
pub fn web_servers(value: &str) -> anyhow::Result<Option<Vec<IpAddr>>> {
    if value.trim().is_empty() {
        return Ok(None);
    }
    let read = |address: &str| {
        let address = address.trim();
        let read: IpAddr = address.parse().with_context(|| {
            format!("`FCGI_WEB_SERVER_ADDRS` holds `{address}`, which is not an IP address")
        })?;
        Ok(read.to_canonical())
    };
    value
        .split(',')
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Serves until it is stopped, then answers the requests that are under way, closes idle connections as the
/// [`Manner`](crate::gateway::graceful_stop::Manner) says, and returns. Drop the future to give them up.
///
/// FastCGI has no way to tell a web server that a connection will be closed, and one that has just begun a request
/// on it may not be able to begin it again elsewhere. Therefore a successor gets the connections, too, each at a
/// moment when nothing is under way.
///
/// New options hold for new connections.
pub async fn serve(
    mut listener: Listener,
    application: Arc<dyn Application>,
    mut options: watch::Receiver<FastCgiOptions>,
    stop: Stop,
) {
    let mut gate = Gate {
        service: Arc::new(Service {
            application,
            options: options.borrow_and_update().clone(),
            stop: Stop::new(),
            passer: listener.passer(),
        }),
        connections: JoinSet::new(),
        crowd: listener.crowd(),
    };
    gate.crowd.set_limit(gate.service.options.connections);
    let mut passed = listener.take_passed();
    let mut stopped = pin!(stop.begun());
    let manner = loop {
        tokio::select! {
            biased;
            manner = &mut stopped => break manner,
            Some(_) = gate.connections.join_next(), if !gate.connections.is_empty() => (),
            // An error means that nobody will change them any more.
            Ok(()) = options.changed() => {
                gate.service = Arc::new(Service {
                    options: options.borrow_and_update().clone(),
                    ..Service::clone(&gate.service)
                });
                gate.crowd.set_limit(gate.service.options.connections);
            }
            (stream, peer) = listener.accept() => gate.enter(stream, peer),
            accepted = next(&mut passed) => match accepted {
                Some((stream, peer)) => gate.enter(stream, peer),
                None => passed = None,
            },
        }
    };
    while !gate.crowd.is_full()
        && let Some((stream, peer)) = listener.accepted()
    {
        gate.enter(stream, peer);
    }
    listener.close(manner);
    // Only now, when there is nobody but a successor who could take them, may connections be passed on.
    gate.service.stop.begin(manner);
    let mut draining = pin!(stop.draining());
    while !gate.connections.is_empty() {
        tokio::select! {
            _ = gate.connections.join_next() => {}
            () = &mut draining, if gate.service.stop.manner() != Some(Manner::Drain) => {
                gate.service.stop.begin(Manner::Drain);
            }
            accepted = next(&mut passed) => match accepted {
                Some((stream, peer)) => gate.enter(stream, peer),
                None => passed = None,
            },
        }
    }
}

/// The next connection that a predecessor passes on; never comes where there is none.
async fn next(passed: &mut Option<Passed>) -> Option<(Stream, Peer)> {
    match passed {
        Some(passed) => passed.next().await,
        None => std::future::pending().await,
    }
}

/// Who may come in, and who is in.
struct Gate {
    service: Arc<Service>,
    connections: JoinSet<()>,
    crowd: Crowd,
}

impl Gate {
    fn enter(&mut self, stream: Stream, peer: Peer) {
        if is_allowed(peer, self.service.options.web_servers.as_deref()) {
            let service = Arc::clone(&self.service);
            let seat = self.crowd.enter();
            self.connections
                .spawn(serve_one(service, stream, peer, seat));
        } else {
            let peer = name(peer);
            crate::log_of!(
                LogKind::Closed,
                "refused {peer}, which `FCGI_WEB_SERVER_ADDRS` does not name"
            );
        }
    }
}

/// Serves one connection to its end, or until somebody else does.
async fn serve_one(mut service: Arc<Service>, mut stream: Stream, peer: Peer, seat: Seat) {
    loop {
        let passer = match converse(stream, &service, &seat).await {
            Ok(Some((idle, passer))) => {
                stream = idle;
                passer
            }
            Ok(None) => return,
            Err(broken) => return report(peer, broken),
        };
        match passer.pass(stream).await {
            Ok(()) => return,
            Err(ours) => stream = ours,
        }
        // Nobody wants it: it ends as where nobody serves after us.
        service = Arc::new(Service {
            passer: None,
            ..Service::clone(&service)
        });
    }
}

fn is_allowed(peer: Peer, web_servers: Option<&[IpAddr]>) -> bool {
    match (peer, web_servers) {
        (Peer::Unix, _) | (_, None) => true,
        (Peer::Tcp(address), Some(allowed)) => allowed.contains(&address.ip().to_canonical()),
    }
}

fn name(peer: Peer) -> String {
    match peer {
        Peer::Tcp(address) => format!("the FastCGI connection from {address}"),
        Peer::Unix => "a FastCGI connection".to_owned(),
    }
}

/// Writes to the log why a connection was closed, unless that is everyday life: web servers close a
/// connection when their client has gone away.
fn report(peer: Peer, broken: Broken) {
    let peer = name(peer);
    match broken {
        Broken::Gone => (),
        Broken::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            crate::log_of!(
                LogKind::Closed,
                "closed {peer}: nothing was read for too long"
            );
        }
        Broken::Io(_) => (),
        Broken::Stalled => crate::log_of!(
            LogKind::Closed,
            "closed {peer}: the rest of a request did not come"
        ),
        Broken::Malformed(malformed) => {
            crate::log_of!(LogKind::Closed, "closed {peer}: {malformed}");
        }
    }
}
