//! The uwsgi gateway: behind `uwsgi_pass` of nginx and mod_proxy_uwsgi of Apache, where applications ran in uWSGI before. Each
//! connection is for one request.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gateway::connection_limit::ConnectionLimit;
use crate::gateway::graceful_stop::Stop;
use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::uwsgi::one_exchange::{BrokenExchange, UwsgiState};
use crate::interface::Application;
use crate::log::{LogKind, LogSubject};

pub use uwsgi_options::UwsgiOptions;

mod one_exchange;
mod uwsgi_options;

/// Serves until it is stopped, then answers the requests that are under way and returns. Dropping the future breaks off what
/// is under way. New options hold for new connections.
pub async fn serve(
    mut listener: Listener,
    application: Arc<dyn Application>,
    mut options: watch::Receiver<UwsgiOptions>,
    stop: Stop,
) {
    let mut clients = UwsgiClients {
        state: Arc::new(UwsgiState {
            application,
            options: options.borrow_and_update().clone(),
            stop: stop.clone(),
        }),
        connections: JoinSet::new(),
        limit: listener.connection_limit(),
    };
    clients.limit.set(clients.state.options.connections);
    // No connection is idle for longer than a web server needs to send its request.
    drop(listener.take_handed_over());
    let mut stopped = pin!(stop.begun());
    let manner = loop {
        tokio::select! {
            biased;
            manner = &mut stopped => break manner,
            Some(_) = clients.connections.join_next(), if !clients.connections.is_empty() => (),
            // An error means that the options will not change any more.
            Ok(()) = options.changed() => {
                clients.state = Arc::new(UwsgiState {
                    options: options.borrow_and_update().clone(),
                    ..UwsgiState::clone(&clients.state)
                });
                clients.limit.set(clients.state.options.connections);
            }
            (stream, peer) = listener.accept() => clients.enter(stream, peer),
        }
    };
    while !clients.limit.is_reached()
        && let Some((stream, peer)) = listener.accepted()
    {
        clients.enter(stream, peer);
    }
    listener.close(manner);
    while clients.connections.join_next().await.is_some() {}
}

/// The connections that are open.
struct UwsgiClients {
    state: Arc<UwsgiState>,
    connections: JoinSet<()>,
    limit: ConnectionLimit,
}

impl UwsgiClients {
    fn enter(&mut self, stream: Stream, peer: Peer) {
        let state = Arc::clone(&self.state);
        let permit = self.limit.admit();
        self.connections.spawn(async move {
            if let Err(broken) = one_exchange::serve(stream, &state, &permit).await {
                report(peer, &broken);
            }
        });
    }
}

/// Logs why a connection was closed, unless the web server closed it, which it does whenever its client has gone away.
fn report(peer: Peer, broken: &BrokenExchange) {
    if let BrokenExchange::Gone = broken {
        return;
    }
    match peer {
        Peer::Tcp(address) => {
            crate::log_of!(
                LogKind::Closed,
                about = LogSubject::CONNECTION,
                "closed the uwsgi connection from {address}: {broken}"
            );
        }
        Peer::Unix => crate::log_of!(
            LogKind::Closed,
            about = LogSubject::CONNECTION,
            "closed a uwsgi connection: {broken}"
        ),
    }
}
