//! The most connections that a server has open at a time, and which one is closed for a new one: the one whose client has
//! been waited for the longest. Without a limit, idle connections would use up the process's descriptors, and none would
//! be left for workers, request bodies and reloads.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clients::{ClientNetwork, ClientShares};
use crate::gateway::connection_limit::turned_away_counts::TurnedAwayCounts;
use crate::interface::master_status::ConnectionCounts;
use crate::memory_release::Occupancy;

pub mod stream_permit;
mod turned_away_counts;

/// The shortest time that a client is waited for before its connection is closed for a new one: a client that is at work
/// sends its next request sooner. Shorter in a flood, see [`Registry::grace`].
const GRACE: Duration = Duration::from_secs(1);

/// How often [`GRACE`] is halved in a flood, at most.
const HALVINGS: usize = 4;

/// The shortest time between two scans of all connections for those that have been waited for the longest. It is shorter
/// than any grace, so that a connection that began to wait after the last scan is never overdue.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);

/// How long a connection that was asked to close is waited for before the next one is asked: something holds it up.
const CLOSE_TIME: Duration = Duration::from_millis(100);

/// The shortest time between two log lines about the limit.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The connections of a server and their limit. Clones share both: each listener has one.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<LimitState>);

#[derive(Debug)]
struct LimitState {
    limit: AtomicUsize,
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

/// The open connections. Times are in microseconds since [`LimitState::began`], plus one.
#[derive(Debug, Default)]
struct Registry {
    all: HashMap<u64, Arc<OpenConnection>>,
    /// The number of connections of each client.
    clients: HashMap<ClientNetwork, usize>,
    next: u64,
    /// Connections that were waiting for their clients at the last scan, longest first. A connection that began to wait
    /// later has waited for a shorter time than all of these.
    waiting: VecDeque<(u64, Arc<OpenConnection>)>,
    scanned: Option<u64>,
    /// The connection that was asked last to close, and when.
    asked: Option<(Arc<OpenConnection>, u64)>,
    /// The number of connections that were asked in a row, each within [`GRACE`] of the one before.
    row: usize,
    /// The number of connections that were asked.
    displaced: u64,
    logged: Option<u64>,
}

#[derive(Debug, Default)]
struct OpenConnection {
    number: u64,
    /// Whose it is, if that has been counted.
    client: OnceLock<ClientNetwork>,
    /// Since when its client has been waited for; 0 while a request is worked on, and once the connection has ended.
    since: AtomicU64,
    /// The number of its streams whose requests are worked on.
    working_streams: AtomicUsize,
    asked: AtomicBool,
    close: Notify,
}

/// One connection's share of the limit, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    limit: ConnectionLimit,
    connection: Arc<OpenConnection>,
    /// Of a stream: whether its request is worked on.
    stream: Option<AtomicBool>,
}

/// Whether another connection may be accepted.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Free,
    /// Ask again after this time, or as soon as something has changed.
    RetryIn(Duration),
}

impl Default for ConnectionLimit {
    /// No connection, and no limit.
    fn default() -> Self {
        Self(Arc::new(LimitState {
            limit: AtomicUsize::new(usize::MAX),
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
        registry.make_room(self.get(), now)
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
    fn join(&self, registry: &mut Registry, address: IpAddr) -> Option<ClientNetwork> {
        let client = ClientNetwork::of(address);
        let limit = self.0.per_client.load(Ordering::Relaxed);
        let count = registry.clients.get(&client).copied().unwrap_or_default();
        if count >= limit {
            self.0.turned_away.refused();
            return None;
        }
        registry.clients.insert(client, count + 1);
        Some(client)
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

/// 64 bits hold more than 500 000 years.
fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

impl Registry {
    /// Counts the end of a connection of a client.
    fn leave(&mut self, client: ClientNetwork) {
        if let Entry::Occupied(mut entry) = self.clients.entry(client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// Whether a connection in the system's queue may be accepted. If not, one is asked to close, or is about to.
    fn make_room(&mut self, limit: usize, now: u64) -> Admission {
        if self.all.len() < limit {
            return Admission::Free;
        }
        if let Some((connection, then)) = &self.asked {
            // Otherwise it has ended, or got a request, after which it ends.
            let is_about_to_close = connection.waits();
            let left = CLOSE_TIME.saturating_sub(Duration::from_micros(now - then));
            if is_about_to_close && !left.is_zero() {
                return Admission::RetryIn(left);
            }
        }
        let Some((since, _)) = self.longest_waiting(now) else {
            if !self.all.values().any(|connection| connection.waits()) {
                self.log(limit, now, "and none is idle: new ones wait");
            }
            return Admission::RetryIn(SCAN_INTERVAL);
        };
        let waited = Duration::from_micros(now - since);
        match self.grace(limit, now).saturating_sub(waited) {
            Duration::ZERO => {
                self.ask_longest_waiting(limit, now);
                Admission::RetryIn(CLOSE_TIME)
            }
            left => Admission::RetryIn(left),
        }
    }

    /// The time that a connection must have waited before it is asked to close: half as long for each time that as many
    /// were asked in a row as the limit has, since by then new connections are as idle as those that were closed for them.
    fn grace(&mut self, limit: usize, now: u64) -> Duration {
        if let Some((_, then)) = &self.asked
            && now - then > micros(GRACE)
        {
            self.row = 0;
        }
        GRACE / (1 << (self.row / limit).min(HALVINGS))
    }

    /// The connection that has waited the longest, and since when. Scans all at most once per [`SCAN_INTERVAL`].
    fn longest_waiting(&mut self, now: u64) -> Option<(u64, Arc<OpenConnection>)> {
        loop {
            while let Some((since, connection)) = self.waiting.front() {
                if connection.waits_since() == Some(*since) {
                    return Some((*since, Arc::clone(connection)));
                }
                self.waiting.pop_front();
            }
            if self
                .scanned
                .is_some_and(|then| now - then < micros(SCAN_INTERVAL))
            {
                return None;
            }
            self.scanned = Some(now);
            let waiting = self.all.values().filter_map(|connection| {
                let since = connection.waits_since().filter(|since| *since <= now)?;
                Some((since, Arc::clone(connection)))
            });
            let mut waiting: Vec<_> = waiting.collect();
            if waiting.is_empty() {
                return None;
            }
            waiting.sort_by_key(|(since, _)| *since);
            self.waiting = waiting.into();
        }
    }

    fn ask_longest_waiting(&mut self, limit: usize, now: u64) {
        if let Some((_, connection)) = self.longest_waiting(now) {
            connection.ask();
            self.asked = Some((connection, now));
            self.row += 1;
            self.displaced += 1;
            let closed =
                "and the one that was idle for the longest time is closed for each new one";
            self.log(limit, now, closed);
        }
    }

    fn log(&mut self, limit: usize, now: u64, what: &str) {
        if self
            .logged
            .is_none_or(|then| now - then >= micros(LOG_INTERVAL))
        {
            self.logged = Some(now);
            crate::log_warning!(
                "all {limit} connections are in use (runner.http.max_connections), {what}"
            );
        }
    }
}

impl OpenConnection {
    /// Whether its client is waited for.
    fn waits(&self) -> bool {
        self.since.load(Ordering::Relaxed) > 0
    }

    /// Since when its client has been waited for, if it is, and the connection was not asked to close yet.
    fn waits_since(&self) -> Option<u64> {
        let since = self.since.load(Ordering::Relaxed);
        (since > 0 && !self.asked.load(Ordering::Relaxed)).then_some(since)
    }

    fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.close.notify_waiters();
    }
}

impl Permit {
    /// The permit of one of several streams on the connection, which is worked on as long as one of them is.
    #[must_use]
    pub fn of_stream(&self) -> Permit {
        Permit {
            limit: self.limit.clone(),
            connection: Arc::clone(&self.connection),
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
        if self.stream.is_some() {
            return self.set_waiting();
        }
        self.limit.registry().all.remove(&self.connection.number);
        if let Some(client) = self.connection.client.get() {
            self.limit.registry().leave(*client);
        }
        self.limit.0.connections.leave();
        // A connection that has ended is never the one that has waited the longest.
        self.set_working();
        self.limit.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
