//! The FastCGI gateway: a responder (FastCGI Specification 1.0 §6.2) behind a web server.
//!
//! Connections stay open where the web server wants that, and carry any number of requests at a time. An answer that ends
//! early never gets an `FCGI_END_REQUEST`, with which web servers would take it for whole: without it, nginx and Apache break
//! off their own response. (lighttpd logs it; its client learns of it unless all of the body was still waiting in lighttpd.)

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gateway::connection_limit::{ConnectionLimit, Permit};
use crate::gateway::fastcgi::gateway_state::FastCgiState;
use crate::gateway::fastcgi::multiplexer::Broken;
use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::socket::connection_handover::HandoverReceiver;
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::interface::Application;
use crate::log::{LogKind, LogSubject};

pub use gateway_state::FastCgiOptions;
pub use web_server_addresses::web_servers;

mod gateway_state;
mod multiplexer;
mod outbox;
mod received_request;
mod respond;
mod web_server_addresses;

/// Serves until it is stopped, then answers the requests that are under way, closes idle connections as the
/// [`Manner`] says, and returns. Dropping the future breaks off what is under way.
///
/// FastCGI cannot tell a web server that a connection will be closed, and a web server that has just begun a request on it
/// may not be able to begin it again elsewhere. Therefore the connections are handed over to a successor, each at a moment
/// when no request is under way.
///
/// New options hold for new connections.
pub async fn serve(
    mut listener: Listener,
    application: Arc<dyn Application>,
    mut options: watch::Receiver<FastCgiOptions>,
    stop: Stop,
) {
    let mut clients = Clients {
        gateway: Arc::new(FastCgiState {
            application,
            options: options.borrow_and_update().clone(),
            stop: Stop::new(),
            handover: listener.handover(),
        }),
        connections: JoinSet::new(),
        limit: listener.connection_limit(),
    };
    clients.limit.set(clients.gateway.options.connections);
    let mut handed_over = listener.take_handed_over();
    let mut stopped = pin!(stop.begun());
    let manner = loop {
        tokio::select! {
            biased;
            manner = &mut stopped => break manner,
            Some(_) = clients.connections.join_next(), if !clients.connections.is_empty() => (),
            // An error means that the options will not change any more.
            Ok(()) = options.changed() => {
                clients.gateway = Arc::new(FastCgiState {
                    options: options.borrow_and_update().clone(),
                    ..FastCgiState::clone(&clients.gateway)
                });
                clients.limit.set(clients.gateway.options.connections);
            }
            (stream, peer) = listener.accept() => clients.enter(stream, peer),
            accepted = next(&mut handed_over) => match accepted {
                Some((stream, peer)) => clients.enter(stream, peer),
                None => handed_over = None,
            },
        }
    };
    while !clients.limit.is_reached()
        && let Some((stream, peer)) = listener.accepted()
    {
        clients.enter(stream, peer);
    }
    listener.close(manner);
    // Only now, when no process but a successor could receive them, may connections be handed over.
    clients.gateway.stop.begin(manner);
    let mut draining = pin!(stop.draining());
    while !clients.connections.is_empty() {
        tokio::select! {
            _ = clients.connections.join_next() => {}
            () = &mut draining, if clients.gateway.stop.manner() != Some(Manner::Drain) => {
                clients.gateway.stop.begin(Manner::Drain);
            }
            accepted = next(&mut handed_over) => match accepted {
                Some((stream, peer)) => clients.enter(stream, peer),
                None => handed_over = None,
            },
        }
    }
}

/// The next connection that a predecessor hands over; never ready without a predecessor.
async fn next(handed_over: &mut Option<HandoverReceiver>) -> Option<(Stream, Peer)> {
    match handed_over {
        Some(handed_over) => handed_over.next().await,
        None => std::future::pending().await,
    }
}

/// The connections that are open.
struct Clients {
    gateway: Arc<FastCgiState>,
    connections: JoinSet<()>,
    limit: ConnectionLimit,
}

impl Clients {
    fn enter(&mut self, stream: Stream, peer: Peer) {
        let allowed = self.gateway.options.web_servers.as_deref();
        if web_server_addresses::is_allowed(peer, allowed) {
            let gateway = Arc::clone(&self.gateway);
            let permit = self.limit.admit();
            self.connections
                .spawn(serve_one(gateway, stream, peer, permit));
        } else {
            let peer = name(peer);
            crate::log_of!(
                LogKind::Closed,
                about = LogSubject::CONNECTION,
                "refused {peer}, which `FCGI_WEB_SERVER_ADDRS` does not name"
            );
        }
    }
}

/// Serves one connection until it ends or is handed over.
async fn serve_one(mut gateway: Arc<FastCgiState>, mut stream: Stream, peer: Peer, permit: Permit) {
    loop {
        let handover = match multiplexer::serve(stream, &gateway, &permit).await {
            Ok(Some((idle, handover))) => {
                stream = idle;
                handover
            }
            Ok(None) => return,
            Err(broken) => return report(peer, broken),
        };
        match handover.send(stream).await {
            Ok(()) => return,
            Err(ours) => stream = ours,
        }
        // No successor takes it: it ends as without a successor.
        gateway = Arc::new(FastCgiState {
            handover: None,
            ..FastCgiState::clone(&gateway)
        });
    }
}

fn name(peer: Peer) -> String {
    match peer {
        Peer::Tcp(address) => format!("the FastCGI connection from {address}"),
        Peer::Unix => "a FastCGI connection".to_owned(),
    }
}

/// Logs why a connection was closed, unless the web server closed it, which it does whenever its client has gone away.
fn report(peer: Peer, broken: Broken) {
    let peer = name(peer);
    match broken {
        Broken::Gone => (),
        Broken::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            crate::log_of!(
                LogKind::Closed,
                about = LogSubject::CONNECTION,
                "closed {peer}: nothing was read for too long"
            );
        }
        Broken::Io(_) => (),
        Broken::Stalled => crate::log_of!(
            LogKind::Closed,
            about = LogSubject::CONNECTION,
            "closed {peer}: the rest of a request did not come"
        ),
        Broken::Malformed(malformed) => {
            crate::log_of!(
                LogKind::Closed,
                about = LogSubject::CONNECTION,
                "closed {peer}: {malformed}"
            );
        }
    }
}
