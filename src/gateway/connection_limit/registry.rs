//! The open connections of a server, and which one is asked to close for a new one.

use std::collections::VecDeque;
use std::collections::hash_map::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clients::ClientNetwork;
use crate::gateway::connection_limit::open_connection::OpenConnection;
use crate::gateway::connection_limit::request_shares::LimitedClient;

/// The shortest time that a client is waited for before its connection is closed for a new one: a client that is at work
/// sends its next request sooner. Shorter in a flood, see [`Registry::grace`].
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How often [`GRACE`] is halved in a flood, at most.
const HALVINGS: usize = 4;

/// The shortest time between two scans of all connections for those that have been waited for the longest. It is shorter
/// than any grace, so that a connection that began to wait after the last scan is never overdue.
pub(super) const SCAN_INTERVAL: Duration = Duration::from_millis(50);

/// How long a connection that was asked to close is waited for before the next one is asked: something holds it up.
pub(super) const CLOSE_TIME: Duration = Duration::from_millis(100);

/// The shortest time between two log lines about the limit.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The open connections. Times are in microseconds since the limit was made, plus one.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub all: HashMap<u64, Arc<OpenConnection>>,
    /// Those that have a connection.
    pub clients: HashMap<ClientNetwork, Arc<LimitedClient>>,
    pub next: u64,
    /// Connections that were waiting for their clients at the last scan, longest first. A connection that began to wait
    /// later has waited for a shorter time than all of these.
    waiting: VecDeque<(u64, Arc<OpenConnection>)>,
    scanned: Option<u64>,
    /// The connection that was asked last to close, and when.
    asked: Option<(Arc<OpenConnection>, u64)>,
    /// The number of connections that were asked in a row, each within [`GRACE`] of the one before.
    row: usize,
    /// The number of connections that were asked.
    pub displaced: u64,
    /// When the log had a line about the limit, and one about the share of a client.
    logged: Option<u64>,
    logged_share: Option<u64>,
}

/// Whether another connection may be accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    /// Ask again after this time, or as soon as something has changed.
    RetryIn(Duration),
}

/// 64 bits hold more than 500 000 years.
pub(super) fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

impl Registry {
    /// Counts a connection of a client that has fewer than `limit`; `None` if it has as many.
    pub(super) fn join(
        &mut self,
        client: ClientNetwork,
        limit: usize,
    ) -> Option<Arc<LimitedClient>> {
        let known = self.clients.entry(client);
        let client = known.or_insert_with(|| Arc::new(LimitedClient::new(client)));
        if client.connections.load(Ordering::Relaxed) >= limit {
            return None;
        }
        client.connections.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(client))
    }

    /// Counts the end of a connection of a client.
    pub(super) fn leave(&mut self, client: &LimitedClient) {
        if client.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.clients.remove(&client.network);
        }
    }

    /// Whether a connection in the system's queue may be accepted. If not, one is asked to close, or is about to.
    /// `idle` is the number of connections that have no request, or would have none at the limit.
    pub(super) fn make_room(&mut self, limit: usize, idle: usize, now: u64) -> Admission {
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
        match self.grace(idle, now).saturating_sub(waited) {
            Duration::ZERO => {
                self.ask_longest_waiting(limit, now);
                Admission::RetryIn(CLOSE_TIME)
            }
            left => Admission::RetryIn(left),
        }
    }

    /// The time that a connection must have waited before it is asked to close: half as long for each time that as many
    /// were asked in a row as are idle, since by then new connections are as idle as those that were closed for them.
    fn grace(&mut self, idle: usize, now: u64) -> Duration {
        if let Some((_, then)) = &self.asked
            && now - then > micros(GRACE)
        {
            self.row = 0;
        }
        GRACE / (1 << (self.row / idle.max(1)).min(HALVINGS))
    }

    /// The connection that has waited the longest, and since when. Scans all at most once per [`SCAN_INTERVAL`].
    pub(super) fn longest_waiting(&mut self, now: u64) -> Option<(u64, Arc<OpenConnection>)> {
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

    /// Asks it to close.
    pub(super) fn ask_longest_waiting(&mut self, limit: usize, now: u64) {
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
        if is_due(&mut self.logged, now) {
            crate::log_warning!(
                "all {limit} connections are in use (runner.http.max_connections), {what}"
            );
        }
    }

    /// Logs that a request waits since its client has its share of the connections.
    pub(super) fn log_share(&mut self, client: &LimitedClient, limit: usize, now: u64) {
        if is_due(&mut self.logged_share, now) {
            let (network, requests) = (client.network, client.requests());
            crate::log_warning!(
                "{network} has requests on {requests} of {limit} connections (runner.http.max_connections): its further ones wait, so that others can connect; a proxy is to be in `runner.http.trusted_proxies`"
            );
        }
    }
}

/// Whether a line may follow that was written `last`; notes that it is.
fn is_due(last: &mut Option<u64>, now: u64) -> bool {
    let is_due = last.is_none_or(|then| now - then >= micros(LOG_INTERVAL));
    if is_due {
        *last = Some(now);
    }
    is_due
}
