//! The servers of one application. Each request gets a [`Lease`](lease::Lease) on one of them: that with the fewest requests, in turn
//! where several have as few.
//!
//! - A server that cannot be reached, or leaves requests without an answer, rests, ever longer, and the others take over ([`server_health`](super::server_health)).
//!   If all rest, the one is tried that has failed for longest, rather than to refuse the request.
//! - Servers can be added at any time, and drained: a drained one gets no more requests and finishes those that it has.
//! - A server has so many requests at a time at most. The others wait within limits, and clients take turns. What goes
//!   on until its client leaves, such as a WebSocket, does not count: a server has little to do for it.
//! - Processes of a program come and go ([`programs`](super::programs)): the first of them that is free is chosen, so that
//!   the others may become idle and end, and a request that cannot reach one waits for another. One that has ended is not
//!   chosen, even if its end has not been reported yet: what may be done only once could not be sent again. Nor is one that
//!   has broken off and is about to end: the system closes its connections, and a moment later its socket.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::children::Process;
use crate::clients::{FairPermit, FairSemaphore, WaitingClient};
use crate::interface::master_status::{ServerStatus, seconds};
use crate::upstream::kept_connections::KeptConnections;
use crate::upstream::server_address::ServerAddress;
use crate::upstream::server_health::ServerHealth;
use crate::upstream::upstream_options::ServerLimits;

pub mod lease;

/// How often connections are closed that were kept for too long.
const SWEEP: Duration = Duration::from_secs(5);

/// Locks what no panic can leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The servers of one application. `C` is what its protocol keeps of a connection.
#[derive(Debug)]
pub struct Servers<C> {
    limits: ServerLimits,
    members: Mutex<PresentServers<C>>,
    /// A permit for each request that the servers may have at a time.
    permits: Arc<FairSemaphore>,
    /// The requests that wait for a permit.
    waiting: Arc<AtomicUsize>,
    /// Whether they are processes of a program.
    come_and_go: bool,
    /// Notified when a request waits, or a server has had its quota of requests.
    attention: Notify,
    _sweeper: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct PresentServers<C> {
    servers: Vec<Arc<UpstreamServer<C>>>,
    /// Where the next choice begins.
    next: usize,
}

/// A server.
#[derive(Debug)]
pub struct UpstreamServer<C> {
    address: ServerAddress,
    /// The process of the program that it is.
    process: Option<Weak<Process>>,
    state: Mutex<ServerState<C>>,
    /// After so many requests, attention is drawn to it.
    quota: u64,
    /// Notified when the last of its requests has ended.
    idle: Notify,
    /// Notified when it is drained.
    gone: Notify,
}

#[derive(Debug)]
struct ServerState<C> {
    /// Requests that it has now, with those that have become endless.
    outstanding: usize,
    /// Those that have.
    endless: usize,
    /// WebSockets among these.
    web_sockets: usize,
    /// Requests that it has had.
    requests: u64,
    /// When the last one ended.
    last_used: Instant,
    health: ServerHealth,
    kept: KeptConnections<C>,
    is_drained: bool,
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerCounts {
    /// Requests that it has now, with WebSockets and streams of events.
    pub outstanding: usize,
    /// WebSockets that are open.
    pub web_sockets: usize,
    /// Requests that it has had, with those.
    pub requests: u64,
    /// Connections that no request uses.
    pub kept: usize,
    /// When its last request ended, or it was added.
    pub last_used: Instant,
    /// Since when it cannot be reached, if it cannot.
    pub failing_since: Option<Instant>,
}

/// Why a request got no server, which deserves a 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoServer {
    /// Too many wait (`runner.request.queue_length`).
    QueueFull,
    /// It has waited for too long (`runner.request.queue_timeout`).
    WaitedTooLong,
}

impl NoServer {
    /// The reason, about servers that are called this.
    #[must_use]
    pub fn reason(self, servers: &str) -> String {
        match self {
            Self::QueueFull => {
                format!("too many requests wait for {servers} (runner.request.queue_length)")
            }
            Self::WaitedTooLong => {
                format!("{servers} was busy for too long (runner.request.queue_timeout)")
            }
        }
    }
}

impl<C: Send + 'static> Servers<C> {
    /// The servers at these addresses, of which each has so many requests at a time at most. To be called within a runtime.
    #[must_use]
    pub fn new(
        addresses: impl IntoIterator<Item = ServerAddress>,
        limits: ServerLimits,
    ) -> Arc<Self> {
        let servers = Self::with(limits, false);
        for address in addresses {
            servers.add(address);
        }
        servers
    }

    /// Servers that are processes of a program, and are added when they are ready. To be called within a runtime.
    #[must_use]
    pub fn of_program(limits: ServerLimits) -> Arc<Self> {
        Self::with(limits, true)
    }

    fn with(limits: ServerLimits, come_and_go: bool) -> Arc<Self> {
        Arc::new_cyclic(|servers: &Weak<Self>| {
            let sweeper = tokio::spawn(sweep(Weak::clone(servers)));
            Self {
                limits,
                members: Mutex::new(PresentServers {
                    servers: Vec::new(),
                    next: 0,
                }),
                permits: Arc::default(),
                waiting: Arc::default(),
                come_and_go,
                attention: Notify::new(),
                _sweeper: AbortOnDropHandle::new(sweeper),
            }
        })
    }

    /// Adds a server, which gets requests from now on.
    pub fn add(&self, address: ServerAddress) -> Arc<UpstreamServer<C>> {
        self.add_one(address, None, u64::MAX)
    }

    /// Adds a process of a program; after a quota of requests, attention is drawn to it.
    pub fn add_process(
        &self,
        address: ServerAddress,
        process: Weak<Process>,
        quota: u64,
    ) -> Arc<UpstreamServer<C>> {
        self.add_one(address, Some(process), quota)
    }

    fn add_one(
        &self,
        address: ServerAddress,
        process: Option<Weak<Process>>,
        quota: u64,
    ) -> Arc<UpstreamServer<C>> {
        let server = Arc::new(UpstreamServer {
            address,
            process,
            state: Mutex::new(ServerState {
                outstanding: 0,
                endless: 0,
                web_sockets: 0,
                requests: 0,
                last_used: Instant::now(),
                health: ServerHealth::default(),
                kept: KeptConnections::default(),
                is_drained: false,
            }),
            quota,
            idle: Notify::new(),
            gone: Notify::new(),
        });
        lock(&self.members).servers.push(Arc::clone(&server));
        self.permits.add_permits(self.limits.requests);
        server
    }

    /// Removes a server: it gets no more requests, its connections that no request uses are closed, and it finishes the
    /// requests that it has ([`UpstreamServer::finished`]).
    pub fn drain(&self, server: &Arc<UpstreamServer<C>>) {
        let mut members = lock(&self.members);
        let mut state = lock(&server.state);
        if std::mem::replace(&mut state.is_drained, true) {
            return;
        }
        members.servers.retain(|other| !Arc::ptr_eq(other, server));
        // The other permits are forgotten with the requests that have them.
        let free = self.limits.requests.saturating_sub(state.counted());
        self.permits.forget_permits(free);
        let closed = state.kept.take_all();
        server.gone.notify_waiters();
        drop(state);
        drop(members);
        drop(closed);
    }

    async fn wait(&self, client: WaitingClient) -> Result<FairPermit, NoServer> {
        let is_full = self.waiting.fetch_add(1, Relaxed) >= self.limits.queue_length;
        let _waiting = WaitingRequest(&self.waiting);
        if is_full && !self.permits.displace_for(client.network) {
            return Err(NoServer::QueueFull);
        }
        self.attention.notify_one();
        let permit = self.permits.acquire(client);
        let permit = match self.limits.queue_timeout {
            Duration::ZERO => permit.await,
            limit => timeout(limit, permit)
                .await
                .map_err(|_| NoServer::WaitedTooLong)?,
        };
        permit.ok_or(NoServer::QueueFull)
    }

    /// Chooses a server and notes a request there. `None` if there is none but `tried`.
    fn choose(&self, tried: &[Arc<UpstreamServer<C>>]) -> Option<Arc<UpstreamServer<C>>> {
        let now = Instant::now();
        let mut members = lock(&self.members);
        let count = members.servers.len();
        let places = (0..count).map(|offset| (members.next + offset) % count);
        let untried = places.filter(|place| {
            let server = &members.servers[*place];
            !tried.iter().any(|tried| Arc::ptr_eq(tried, server))
        });
        let place = untried.min_by_key(|place| {
            let state = lock(&members.servers[*place].state);
            let is_full = state.counted() >= self.limits.requests;
            rank(
                &state.health,
                is_full,
                (state.counted(), state.endless),
                now,
            )
        })?;
        let server = Arc::clone(&members.servers[place]);
        members.next = match self.come_and_go {
            true => 0,
            false => place + 1,
        };
        let mut state = lock(&server.state);
        if !state.health.rests(now) {
            state.health.probe(now);
        }
        state.outstanding += 1;
        state.requests += 1;
        if state.requests == server.quota {
            self.attention.notify_one();
        }
        drop(state);
        Some(server)
    }

    /// How many requests wait for a server.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Where they are counted.
    #[must_use]
    pub fn waiting_counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting)
    }

    /// What the status shows of servers that runner has not started.
    #[must_use]
    pub fn status(&self) -> Vec<ServerStatus> {
        let present = match self.come_and_go {
            true => Vec::new(),
            false => self.present(),
        };
        let status = |server: &Arc<UpstreamServer<C>>| {
            let state = lock(&server.state);
            let failing_since = state.health.failing_since();
            ServerStatus {
                application: None,
                address: server.address.to_string(),
                in_flight: state.outstanding,
                requests: state.requests,
                failures: state.health.failures(),
                failing_for: failing_since.map(|since| seconds(since.elapsed())),
            }
        };
        present.iter().map(status).collect()
    }

    /// How many requests each server has at a time at most.
    #[must_use]
    pub fn requests_of_each(&self) -> usize {
        self.limits.requests
    }

    /// Waits until a request waits, or a server has had its quota.
    pub async fn want_attention(&self) {
        self.attention.notified().await;
    }

    /// The servers that get requests.
    #[must_use]
    pub fn present(&self) -> Vec<Arc<UpstreamServer<C>>> {
        lock(&self.members).servers.clone()
    }

    /// Closes the connections that no request uses: no more requests come.
    pub fn close_kept(&self) {
        for server in self.present() {
            let closed = lock(&server.state).kept.take_all();
            drop(closed);
        }
    }
}

impl<C> ServerState<C> {
    /// The requests that count: those that are not endless.
    fn counted(&self) -> usize {
        self.outstanding - self.endless
    }
}

/// How good a choice a server is, by its health and its requests; the least is best. One that rests is worse than one that is full, which no request
/// chooses unless servers are drained; of those that rest, the one that has failed for longest is best.
fn rank(
    health: &ServerHealth,
    is_full: bool,
    requests: (usize, usize),
    now: Instant,
) -> (bool, Option<Instant>, bool, (usize, usize)) {
    match health.rests(now) {
        true => (true, health.failing_since(), is_full, requests),
        false => (false, None, is_full, requests),
    }
}

/// Counts a request that waits.
struct WaitingRequest<'a>(&'a AtomicUsize);

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Closes connections that were kept for too long, as long as there are servers.
async fn sweep<C: Send + 'static>(servers: Weak<Servers<C>>) {
    loop {
        sleep(SWEEP).await;
        let Some(servers) = servers.upgrade() else {
            return;
        };
        let now = Instant::now();
        for server in servers.present() {
            let expired = lock(&server.state).kept.take_expired(now);
            drop(expired);
        }
    }
}

impl<C> UpstreamServer<C> {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// What is known of it.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        let state = lock(&self.state);
        ServerCounts {
            outstanding: state.outstanding,
            web_sockets: state.web_sockets,
            requests: state.requests,
            kept: state.kept.len(),
            last_used: state.last_used,
            failing_since: state.health.failing_since(),
        }
    }

    /// Waits until it has no requests. To be called when it is drained.
    pub async fn finished(&self) {
        loop {
            let idle = self.idle.notified();
            if lock(&self.state).outstanding == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Whether it is a process that has ended.
    fn has_ended(&self) -> bool {
        let process = self.process.as_ref().map(Weak::upgrade);
        process.is_some_and(|process| process.is_none_or(|process| process.has_ended()))
    }

    /// Whether it is a process that has ended or is about to.
    fn is_ending(&self) -> bool {
        let process = self.process.as_ref().map(Weak::upgrade);
        process.is_some_and(|process| process.is_none_or(|process| process.is_ending()))
    }

    /// Waits until it is drained.
    async fn gone(&self) {
        loop {
            let gone = self.gone.notified();
            if lock(&self.state).is_drained {
                return;
            }
            gone.await;
        }
    }

    /// Notes the end of a request. Whether the server is drained.
    fn end(&self) -> bool {
        let mut state = lock(&self.state);
        state.outstanding -= 1;
        state.last_used = Instant::now();
        if state.outstanding == 0 {
            self.idle.notify_waiters();
        }
        state.is_drained
    }
}
