//! A request's place at a server.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::time::timeout;

use crate::clients::{FairPermit, WaitingClient};
use crate::upstream::servers::{NoServer, Servers, UpstreamServer, lock};
use crate::upstream::upstream_stream::UpstreamStream;

/// How long the end of a process may go unnoticed.
const SOON: Duration = Duration::from_secs(5);

/// A connection that is not made by then says something about the server, though its client leaves: the system has asked
/// twice.
const LONG: Duration = Duration::from_secs(1);

/// A request's place at a server. Dropping it ends the request.
#[derive(Debug)]
pub struct Lease<C> {
    servers: Arc<Servers<C>>,
    server: Arc<UpstreamServer<C>>,
    permit: Option<FairPermit>,
    /// When it came there.
    since: Instant,
    /// Whose request it is.
    client: WaitingClient,
    /// What it has become, if that is endless.
    endless: Option<EndlessKind>,
}

/// What goes on until its client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndlessKind {
    /// A WebSocket.
    WebSocket,
    /// A response that is a stream of events.
    Events,
}

impl<C: Send + 'static> Lease<C> {
    /// Gives a request a server. Waits while all servers have as many requests as they may: clients take turns, and
    /// each request of a client waits for those before it.
    ///
    /// # Errors
    /// Too many requests wait, or it has waited for too long.
    pub async fn of(servers: &Arc<Servers<C>>, client: WaitingClient) -> Result<Self, NoServer> {
        loop {
            let permit = match servers.permits.try_acquire() {
                Some(permit) => permit,
                None => servers.wait(client.clone()).await?,
            };
            let Some(server) = servers.choose(&[]) else {
                // The last server was drained in between: its permit goes with it.
                permit.forget();
                continue;
            };
            let lease = Self::new(Arc::clone(servers), server, permit, client.clone());
            if !lease.server.has_ended() {
                return Ok(lease);
            }
            servers.drain(&lease.server);
        }
    }

    /// A place at a server, which has noted it.
    pub(super) fn new(
        servers: Arc<Servers<C>>,
        server: Arc<UpstreamServer<C>>,
        permit: FairPermit,
        client: WaitingClient,
    ) -> Self {
        Self {
            servers,
            server,
            permit: Some(permit),
            since: Instant::now(),
            client,
            endless: None,
        }
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Arc<UpstreamServer<C>> {
        &self.server
    }

    /// Takes the connection that was used last, if it has been kept for no longer than `longest`. Closes those that were kept
    /// for too long: a process that waits for another request on one may serve no other connection.
    #[must_use]
    pub fn take_kept(&self, longest: Duration) -> Option<C> {
        let now = Instant::now();
        let mut state = lock(&self.server.state);
        let expired = state.kept.take_expired(now);
        let taken = state.kept.take(now, longest);
        drop(state);
        drop(expired);
        taken
    }

    /// Makes a connection to the server, and notes whether it can be reached. If the request ends meanwhile, and has waited
    /// long enough for any server, it cannot.
    ///
    /// # Errors
    /// Those of [`UpstreamStream::connect`].
    pub async fn connect(&self, within: Duration) -> io::Result<UpstreamStream> {
        let mut attempt = ConnectAttempt {
            server: &self.server,
            since: Instant::now(),
            is_over: false,
        };
        let connected = UpstreamStream::connect(&self.server.address, within).await;
        attempt.is_over = true;
        drop(attempt);
        let mut state = lock(&self.server.state);
        match &connected {
            Ok(_) => state.health.reached(),
            Err(error) if is_ours(error) => {}
            Err(_) => state.health.failed(Instant::now()),
        }
        connected
    }

    /// Goes on to a server that was not tried yet. `false` if there is none; the request stays where it is then.
    pub fn move_on(&mut self, tried: &[Arc<UpstreamServer<C>>]) -> bool {
        let next = loop {
            let Some(next) = self.servers.choose(tried) else {
                return false;
            };
            if !next.has_ended() {
                break next;
            }
            next.end();
            self.servers.drain(&next);
        };
        let last = std::mem::replace(&mut self.server, next);
        self.since = Instant::now();
        if last.end()
            && let Some(permit) = self.permit.take()
        {
            // It goes with the server. The next one may have a request too many until this one ends.
            permit.forget();
        }
        true
    }

    /// Lets the server rest, which takes connections but breaks them off.
    pub fn rest(&self) {
        lock(&self.server.state).health.failed(Instant::now());
    }

    /// Notes that the server has begun to answer.
    pub fn answered(&self) {
        lock(&self.server.state).health.answered();
    }

    /// Notes that the request has become endless: it is not counted among those that the server may have at a time any more.
    pub fn becomes_endless(&mut self, kind: EndlessKind) {
        if self.endless.is_some() {
            return;
        }
        self.endless = Some(kind);
        let mut state = lock(&self.server.state);
        state.endless += 1;
        state.web_sockets += usize::from(kind == EndlessKind::WebSocket);
        if let Some(permit) = self.permit.take()
            && state.is_drained
        {
            // It goes with the server.
            permit.forget();
        }
    }

    /// Notes that the server has left the request without an answer for as long as that may take. After a few in a row it
    /// rests.
    pub fn timed_out(&self) {
        let mut state = lock(&self.server.state);
        state.health.timed_out(self.since, Instant::now());
    }

    /// Notes that the server has broken off, or has closed a connection. If it is a process that is about to end, it gets no
    /// more requests from now on: until the system has closed its socket, that takes connections, which are lost.
    pub fn broken_off(&self) {
        if self.server.is_ending() {
            self.servers.drain(&self.server);
        }
    }

    /// Whether the server is a process that gets no more requests, and has ended or is about to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_drained = lock(&self.server.state).is_drained;
        is_drained && self.server.is_ending()
    }

    /// Gets a place at another process of a program, if this one, which cannot be reached or has ended, is about to go: it has
    /// not answered the request. Otherwise, or if none is free in time, the request stays where it is, and this is `false`.
    pub async fn renew(&mut self) -> bool {
        let servers = Arc::clone(&self.servers);
        if !servers.come_and_go || timeout(SOON, self.server.gone()).await.is_err() {
            return false;
        }
        let Ok(lease) = Self::of(&servers, self.client.clone()).await else {
            return false;
        };
        // A process that ends before its first answer is not replaced at once: the next one may do the same.
        lock(&self.server.state).requests -= 1;
        *self = lease;
        true
    }

    /// Ends the request, and keeps its connection for the next one for a time.
    pub fn give_back(self, connection: C, time: Duration) {
        let mut state = lock(&self.server.state);
        state.health.answered();
        if state.is_drained || time.is_zero() {
            drop(state);
            drop(connection);
        } else {
            state.kept.put(connection, Instant::now(), time);
        }
    }
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        if let Some(kind) = self.endless {
            let mut state = lock(&self.server.state);
            state.endless -= 1;
            state.web_sockets -= usize::from(kind == EndlessKind::WebSocket);
        }
        if self.server.end()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

/// A connection that is being made.
struct ConnectAttempt<'a, C> {
    server: &'a UpstreamServer<C>,
    since: Instant,
    is_over: bool,
}

impl<C> Drop for ConnectAttempt<'_, C> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() > LONG {
            lock(&self.server.state).health.failed(Instant::now());
        }
    }
}

/// Whether a connection failed for a reason that has nothing to do with the server: no descriptors or memory are left.
fn is_ours(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
