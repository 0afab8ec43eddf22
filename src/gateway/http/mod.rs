//! HTTP/1.1 and 1.0 (RFC 9110, RFC 9112) by hyper: connections, requests, responses. HTTP/2 has a folder of its own
//! ([`http2`]), and shares what is about requests and responses.
//!
//! hyper parses, frames, and writes `Connection`. What it leaves to its users is here: checks that RFC 9112
//! demands ([`request_head`]), receiving bodies before an application sees them ([`upload`]), time limits for each thing
//! that a client may be slow with, and ends of connections by which no client takes half a response for whole
//! ([`hyper_response`]).
//!
//! Thousands of requests may wait at a time, and what is touched for each of them decides the speed then, more than the
//! number of instructions: the futures of connections and requests are small, which a test holds, and a web framework's
//! handlers, which would box each request's future and body, are not used.

use std::pin::pin;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::gateway::graceful_stop::{Manner, Stop};
use crate::gateway::http::connection_state::{ConnectionState, GatewayState, Generation};
use crate::gateway::http::opening::refused_connection;
use crate::gateway::http::proxies::announced_connection;
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::tls::tls_handshake::Handshakes;
use crate::interface::{Application, Scheme};
use crate::log::{LogKind, LogSubject};

pub use access_log::{AccessForm, AccessLogOptions};
pub use http_options::{HttpOptions, ProxyOptions, WebSocketOptions};
pub use https_only::https_options::{HttpsOnly, Redirect};
pub use shadow_parser::head_limits::HeadLimits;

pub use crate::protocol::content_coding::ContentCoding;

mod access_log;
mod connection;
mod connection_state;
mod file_parts;
mod http2;
mod http_options;
mod https_only;
mod hyper_response;
mod keep_alive;
mod opening;
mod proxies;
mod request_head;
mod request_timer;
mod seldom;
mod shadow_parser;
mod transport;
mod upload;
mod websocket;

/// Serves HTTP until it is stopped, then finishes the requests under way and closes idle connections as the
/// [`Manner`] says. Returns when no connection is left. Dropping the future breaks
/// off what is under way.
///
/// New options hold for new connections. Present ones keep theirs, and end after their present requests where they were
/// accepted under terms that hold no longer: each belongs to a generation of the gateway, whose connections end together.
pub async fn serve(
    mut listener: Listener,
    application: Arc<dyn Application>,
    mut options: watch::Receiver<HttpOptions>,
    stop: Stop,
) {
    let handshakes = match listener.scheme() {
        Scheme::Http => None,
        Scheme::Https => match Handshakes::start() {
            Ok(handshakes) => Some(Arc::new(handshakes)),
            Err(error) => return crate::log_error!("cannot start threads for TLS: {error}"),
        },
    };
    let mut gateway = Arc::new(GatewayState {
        scheme: listener.scheme(),
        handshakes,
        application,
        options: options.borrow_and_update().clone(),
        host: listener.host().cloned(),
        port: listener.port().map(|port| port.to_string()),
        socket: listener.path().map(Arc::from),
        generation: Arc::default(),
    });
    // The generations before, whose connections are to end.
    let mut outdated: Vec<Weak<Generation>> = Vec::new();
    // HTTP tells clients that a connection will be closed, so that none need be handed over.
    drop(listener.take_handed_over());
    let limit = listener.connection_limit();
    let set_limits = |options: &HttpOptions| {
        limit.set(options.connections);
        limit.set_per_address(options.connections_per_address);
    };
    set_limits(&gateway.options);
    let mut connections = JoinSet::new();
    let start = |(stream, peer): (Stream, Peer),
                 gateway: &Arc<GatewayState>,
                 connections: &mut JoinSet<()>| {
        let permit = match peer {
            // Its connections are those of many clients.
            Peer::Tcp(_) if gateway.options.proxies.trusts(peer) => Some(limit.admit()),
            Peer::Tcp(address) => limit.admit_from(address.ip()),
            Peer::Unix => Some(limit.admit()),
        };
        let Some(permit) = permit else {
            return refused_connection::refuse(&stream, peer, gateway.scheme);
        };
        let gateway = Arc::clone(gateway);
        if gateway.options.proxies.begin_connections {
            connections.spawn(announced_connection::serve(stream, gateway, peer, permit));
        } else if gateway.handshakes.is_some() {
            connections.spawn(opening::serve(stream, gateway, peer, permit, None));
        } else {
            let state = ConnectionState::new(gateway, &stream, peer, permit);
            connections.spawn(http2::serve_either(stream, Arc::new(state)));
        }
    };
    let mut stopped = pin!(stop.begun());
    let manner = loop {
        tokio::select! {
            biased;
            manner = &mut stopped => break manner,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            // An error means that the options will not change any more.
            Ok(()) = options.changed() => {
                let mut next = GatewayState {
                    options: options.borrow_and_update().clone(),
                    ..GatewayState::clone(&gateway)
                };
                if let Some(manner) = gateway.options.ending(&next.options, gateway.scheme) {
                    gateway.generation.stop.begin(manner);
                    outdated.push(Arc::downgrade(&gateway.generation));
                    next.generation = Arc::default();
                }
                outdated.retain(|before| before.strong_count() > 0);
                for before in outdated.iter().filter_map(Weak::upgrade) {
                    before.followed_by(next.options.tls.as_ref());
                }
                gateway = Arc::new(next);
                set_limits(&gateway.options);
            }
            accepted = listener.accept() => start(accepted, &gateway, &mut connections),
        }
    };
    let tell_all = |manner| {
        let before = outdated.iter().filter_map(Weak::upgrade);
        before.for_each(|before| before.stop.begin(manner));
        gateway.generation.stop.begin(manner);
    };
    tell_all(manner);
    while let Some(accepted) = listener.accepted() {
        start(accepted, &gateway, &mut connections);
    }
    listener.close(manner);
    let mut draining = pin!(stop.draining());
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => report(ended),
                None => break,
            },
            () = &mut draining, if gateway.generation.stop.manner() != Some(Manner::Drain) => {
                tell_all(Manner::Drain);
            }
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        crate::log_of!(
            LogKind::Closed,
            about = LogSubject::CONNECTION,
            "a connection failed: {error}"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::gateway::http::connection::{Begun, answer};
    use crate::gateway::http::connection_state::ConnectionState;
    use crate::gateway::http::http2::serve_either;
    use crate::gateway::socket::stream::Stream;
    use crate::panics::Panicked;

    /// The size of the future that a function makes, in bytes.
    fn size<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Each byte of them is there for each connection, and for each request that waits. What is needed seldom, or at the
    /// end, is in boxes. Optimized, that of a request is half as large: what it is made of is not copied then.
    #[test]
    fn the_futures_of_connections_and_requests_are_small() {
        let connection = size::<Stream, Arc<ConnectionState>, _>(serve_either);
        let request = size::<Arc<ConnectionState>, Result<Begun, Panicked>, _>(answer);
        assert!(
            connection <= 2584 && request <= 784,
            "{connection} {request}"
        );
    }
}
