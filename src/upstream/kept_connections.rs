//! Connections to a server between two requests.

use std::time::{Duration, Instant};

/// The connections to one server that no request uses, in the order in which they became free.
#[derive(Debug)]
pub(super) struct KeptConnections<C>(Vec<KeptConnection<C>>);

#[derive(Debug)]
struct KeptConnection<C> {
    connection: C,
    /// Since when no request uses it.
    since: Instant,
    /// When the server may have closed it.
    until: Instant,
}

impl<C> Default for KeptConnections<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C> KeptConnections<C> {
    /// Keeps a connection for a time.
    pub(super) fn put(&mut self, connection: C, now: Instant, time: Duration) {
        self.0.push(KeptConnection {
            connection,
            since: now,
            until: now + time,
        });
    }

    /// Takes the connection that became free last, if it is free for no longer than `longest`: the server has closed that
    /// one least likely.
    pub(super) fn take(&mut self, now: Instant, longest: Duration) -> Option<C> {
        let last = self.0.last()?;
        let is_fresh = last.until > now && last.since + longest >= now;
        is_fresh.then(|| self.0.pop().map(|last| last.connection))?
    }

    /// Takes out those whose time is over.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<C> {
        let expired = self.0.extract_if(.., |kept| kept.until <= now);
        expired.map(|kept| kept.connection).collect()
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> Vec<C> {
        let all = std::mem::take(&mut self.0);
        all.into_iter().map(|kept| kept.connection).collect()
    }

    /// Their number.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::KeptConnections;

    #[test]
    fn the_freshest_is_taken_and_none_after_its_time() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut kept = KeptConnections::default();
        kept.put('a', start, 10 * second);
        kept.put('b', start + second, 3 * second);
        kept.put('c', start + 2 * second, 10 * second);
        assert_eq!(kept.take(start + 4 * second, second), None);
        assert_eq!(kept.take(start + 4 * second, 2 * second), Some('c'));
        assert_eq!(kept.take(start + 4 * second, 9 * second), None);
        assert_eq!(kept.take_expired(start + 4 * second), ['b']);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept.take(start + 4 * second, 9 * second), Some('a'));
        kept.put('d', start, second);
        assert_eq!(kept.take_all(), ['d']);
    }
}
