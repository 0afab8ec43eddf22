//! The most connections that a server has open at a time, and which one is closed for a new one: the one whose client has
//! been waited for the longest. Without a limit, idle connections would use up the process's descriptors, and none would
//! be left for workers, request bodies and reloads.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clients::{ClientNetwork, ClientShares};
use crate::gateway::connection_limit::open_connection::OpenConnection;
use crate::gateway::connection_limit::registry::{Admission, Registry, micros};
use crate::gateway::connection_limit::request_shares::{LimitedClient, RequestShares};
use crate::gateway::connection_limit::turned_away_counts::TurnedAwayCounts;
use crate::interface::master_status::ConnectionCounts;
use crate::memory_release::Occupancy;

mod open_connection;
mod registry;
mod request_shares;
pub mod stream_permit;
mod turned_away_counts;

/// How long a request waits for its turn at most, where its client has its share of the connections.
const TURN_TIME: Duration = Duration::from_secs(30);

/// The connections of a server and their limit. Clones share both: each listener has one.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<LimitState>);

#[derive(Debug)]
struct LimitState {
    limit: AtomicUsize,
    requests: RequestShares,
    /// How many of them are streams ([`stream_permit`]), and of each client.
    streams: Mutex<ClientShares>,
    /// The most connections of one client.
    per_client: AtomicUsize,
    /// The beginning of time as [`OpenConnection::since`] counts it.
    began: Instant,
    registry: Mutex<Registry>,
    turned_away: TurnedAwayCounts,
    /// Counts the open connections, for the memory that each of them takes.
    connections: Occupancy,
    /// A connection has ended, or the limit has changed.
    changed: Notify,
}

/// One connection's share of the limit, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    limit: ConnectionLimit,
    connection: Arc<OpenConnection>,
    /// Whether a request on it is counted.
    has_request: AtomicBool,
    /// Of a stream: whether its request is worked on.
    stream: Option<AtomicBool>,
}

impl Default for ConnectionLimit {
    /// No connection, and no limit.
    fn default() -> Self {
        Self(Arc::new(LimitState {
            limit: AtomicUsize::new(usize::MAX),
            requests: RequestShares::default(),
            streams: Mutex::default(),
            per_client: AtomicUsize::new(usize::MAX),
            began: Instant::now(),
            registry: Mutex::default(),
            turned_away: TurnedAwayCounts::default(),
            connections: Occupancy::default(),
            changed: Notify::new(),
        }))
    }
}

impl ConnectionLimit {
    /// Sets the most connections that may be open from now on.
    pub fn set(&self, limit: usize) {
        self.0.limit.store(limit.max(1), Ordering::Relaxed);
        self.0.requests.set_limit(limit.max(1));
        self.0.changed.notify_waiters();
    }

    /// Sets the most connections of one client address that may be open from now on.
    pub fn set_per_address(&self, limit: usize) {
        self.0.per_client.store(limit.max(1), Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // No operation under the lock leaves it half done.
        self.0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether as many connections are open as may be.
    pub fn is_reached(&self) -> bool {
        self.registry().all.len() >= self.get()
    }

    /// The number of connections.
    pub fn count(&self) -> ConnectionCounts {
        let registry = self.registry();
        ConnectionCounts {
            open: registry.all.len(),
            idle: registry.all.values().filter(|it| it.waits()).count(),
            most: self.get(),
            turned_away: self.0.turned_away.shown(registry.displaced),
        }
    }

    /// Waits until a connection in the system's queue may be accepted: connections that have waited for their clients for
    /// long enough are asked to close. Nothing is lost if the future is dropped.
    pub async fn wait_for_room(&self) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            match self.make_room_for_one() {
                Admission::Free => return,
                Admission::RetryIn(time) => {
                    // Both outcomes mean: ask again.
                    let _ = tokio::time::timeout(time, changed).await;
                }
            }
        }
    }

    fn make_room_for_one(&self) -> Admission {
        let mut registry = self.registry();
        let now = self.now();
        registry.make_room(self.get(), self.0.requests.free(), now)
    }

    /// The time, as [`OpenConnection::since`] has it.
    fn now(&self) -> u64 {
        micros(self.0.began.elapsed()) + 1
    }

    /// Counts a new connection. Beyond the limit (the caller has not waited for [`ConnectionLimit::wait_for_room`]), the
    /// connection that has waited the longest is asked to close.
    #[must_use]
    pub fn admit(&self) -> Permit {
        self.enter(&mut self.registry())
    }

    /// The same for a connection from a client's address; `None` if too many are open from there.
    #[must_use]
    pub fn admit_from(&self, address: IpAddr) -> Option<Permit> {
        let mut registry = self.registry();
        let client = self.join(&mut registry, address)?;
        let permit = self.enter(&mut registry);
        let _ = permit.connection.client.set(client);
        Some(permit)
    }

    /// Counts a connection from an address; `None` if too many are open from there.
    fn join(&self, registry: &mut Registry, address: IpAddr) -> Option<Arc<LimitedClient>> {
        let limit = self.0.per_client.load(Ordering::Relaxed);
        let joined = registry.join(ClientNetwork::of(address), limit);
        if joined.is_none() {
            self.0.turned_away.refused();
        }
        joined
    }

    fn enter(&self, registry: &mut Registry) -> Permit {
        let (limit, now) = (self.get(), self.now());
        if registry.all.len() >= limit {
            registry.ask_longest_waiting(limit, now);
        }
        let connection = Arc::new(OpenConnection {
            number: registry.next,
            since: AtomicU64::new(now),
            ..OpenConnection::default()
        });
        registry.next += 1;
        registry
            .all
            .insert(connection.number, Arc::clone(&connection));
        self.0.connections.enter();
        Permit {
            limit: self.clone(),
            connection,
            has_request: AtomicBool::new(false),
            stream: None,
        }
    }

    /// Asks the connection that has waited the longest to close, since the system has no descriptor for another one.
    pub fn close_longest_waiting(&self) {
        let mut registry = self.registry();
        let now = self.now();
        if let Some((_, connection)) = registry.longest_waiting(now) {
            connection.ask();
        }
    }
}

impl Permit {
    /// The permit of one of several streams on the connection, which is worked on as long as one of them is.
    #[must_use]
    pub fn of_stream(&self) -> Permit {
        Permit {
            limit: self.limit.clone(),
            connection: Arc::clone(&self.connection),
            has_request: AtomicBool::new(false),
            stream: Some(AtomicBool::new(false)),
        }
    }

    /// Counts the connection as one from an address that has become known later; false if too many are open from there.
    #[must_use]
    pub fn is_admitted_from(&self, address: IpAddr) -> bool {
        let joined = self.limit.join(&mut self.limit.registry(), address);
        // Each connection has one client.
        joined.is_some_and(|client| self.connection.client.set(client).is_ok())
    }

    /// Counts the connection as one whose client did not come to an agreement on TLS.
    pub fn note_failed_handshake(&self) {
        self.limit.0.turned_away.disagreed();
    }

    fn client(&self) -> Option<&Arc<LimitedClient>> {
        self.connection.client.get()
    }

    /// Begins a request, unless its client has its share of all connections: then it is to wait for its turn. A connection
    /// has one at a time.
    #[must_use]
    pub fn begin_request(&self) -> bool {
        let may_begin = self
            .limit
            .0
            .requests
            .may_begin(self.client().map(Arc::as_ref));
        if may_begin {
            self.begin_in_any_case();
        }
        may_begin
    }

    /// Begins a request, whatever its client has.
    pub fn begin_in_any_case(&self) {
        if !self.has_request.swap(true, Ordering::Relaxed) {
            let client = self.client().map(Arc::as_ref);
            self.limit.0.requests.add(client);
        }
        self.set_working();
    }

    /// Begins a request when its client may have one more; `false` if that takes too long, or another connection waits for
    /// this one to close. Until then, the connection counts as one whose client is waited for.
    pub async fn begin_in_turn(&self) -> bool {
        self.set_waiting();
        if let Some(client) = self.client() {
            let (limit, now) = (self.limit.get(), self.limit.now());
            self.limit.registry().log_share(client, limit, now);
        }
        tokio::select! {
            biased;
            () = self.limit.0.requests.turn(self.client()) => {
                self.has_request.store(true, Ordering::Relaxed);
                self.set_working();
                true
            }
            () = self.close_asked() => false,
            () = tokio::time::sleep(TURN_TIME) => false,
        }
    }

    /// The request has ended, and the client is waited for again.
    pub fn end_request(&self) {
        if self.has_request.swap(false, Ordering::Relaxed) {
            let client = self.client().map(Arc::as_ref);
            self.limit.0.requests.subtract(client);
        }
        self.set_waiting();
    }

    /// From now on the client is waited for.
    pub fn set_waiting(&self) {
        if let Some(works) = &self.stream
            && !(works.swap(false, Ordering::Relaxed)
                && self
                    .connection
                    .working_streams
                    .fetch_sub(1, Ordering::Relaxed)
                    == 1)
        {
            return;
        }
        self.connection
            .since
            .store(self.limit.now(), Ordering::Relaxed);
    }

    /// From now on a request is worked on.
    pub fn set_working(&self) {
        if let Some(works) = &self.stream
            && !works.swap(true, Ordering::Relaxed)
        {
            self.connection
                .working_streams
                .fetch_add(1, Ordering::Relaxed);
        }
        self.connection.since.store(0, Ordering::Relaxed);
    }

    /// Whether the client is waited for.
    pub fn is_waiting(&self) -> bool {
        self.connection.waits()
    }

    /// Counts one more request on this connection as a connection, since it may need a descriptor of its own; `None` at
    /// the limit.
    pub fn another(&self) -> Option<Permit> {
        if self.is_limit_reached() {
            return None;
        }
        let permit = self.limit.admit();
        // It is never asked to close: no task waits for that.
        permit.set_working();
        Some(permit)
    }

    /// Asks the connection to close.
    pub fn ask_to_close(&self) {
        self.connection.ask();
    }

    /// Whether the connection is to close as soon as no request is under way.
    pub fn should_close(&self) -> bool {
        self.connection.asked.load(Ordering::Relaxed)
    }

    /// Waits until [`Permit::should_close`].
    pub async fn close_asked(&self) {
        loop {
            let close = self.connection.close.notified();
            if self.should_close() {
                return;
            }
            close.await;
        }
    }

    /// Whether as many connections are open as may be.
    pub fn is_limit_reached(&self) -> bool {
        self.limit.is_reached()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end_request();
        if self.stream.is_some() {
            return;
        }
        self.limit.registry().all.remove(&self.connection.number);
        if let Some(client) = self.client() {
            self.limit.registry().leave(client);
        }
        self.limit.0.connections.leave();
        // A connection that has ended is never the one that has waited the longest.
        self.set_working();
        self.limit.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
