//! Whether a server is to be tried: one that could not be reached, or leaves requests without an answer, rests for a while,
//! ever longer.

use std::time::{Duration, Instant};

/// How long a server rests after its first failure. It doubles with each further one.
const FIRST_REST: Duration = Duration::from_secs(1);

/// After so many requests in a row that it has left without an answer, a server that takes connections rests, too. One or
/// two may be the fault of the requests.
const TIMEOUTS: u32 = 3;

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What is known of a server from its connections (passive health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerHealth {
    /// The last connection was made, or there was none yet.
    Up {
        /// How many times in a row it has failed before, without an answer since.
        failures: u32,
        /// How many requests in a row it has left without an answer.
        timeouts: u32,
    },
    /// It could not be reached, or hangs.
    Resting {
        /// How many times in a row.
        failures: u32,
        /// Since its first failure.
        since: Instant,
        /// Before then it is tried only if there is no other.
        until: Instant,
        /// Connections can be made, but nothing comes of them: only an answer ends this.
        hangs: bool,
    },
}

impl Default for ServerHealth {
    fn default() -> Self {
        Self::Up {
            failures: 0,
            timeouts: 0,
        }
    }
}

impl ServerHealth {
    /// A connection was made.
    pub(super) fn reached(&mut self) {
        if let Self::Resting {
            failures,
            hangs: false,
            ..
        } = *self
        {
            *self = Self::Up {
                failures,
                timeouts: 0,
            };
        }
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// No connection could be made, or it was broken off.
    pub(super) fn failed(&mut self, now: Instant) {
        self.rest_again(now, false);
    }

    /// A request, which began then, has got no answer in its time.
    pub(super) fn timed_out(&mut self, began: Instant, now: Instant) {
        match self {
            Self::Up { timeouts, .. } if *timeouts + 1 < TIMEOUTS => *timeouts += 1,
            // It is left out already, for the others that waited with this one.
            Self::Resting { since, .. } if began < *since => {}
            _ => self.rest_again(now, true),
        }
    }

    fn rest_again(&mut self, now: Instant, hangs: bool) {
        let (failures, since) = match *self {
            Self::Up { failures, .. } => (failures.saturating_add(1), now),
            Self::Resting {
                failures, since, ..
            } => (failures.saturating_add(1), since),
        };
        *self = Self::Resting {
            failures,
            since,
            until: now + rest(failures),
            hangs,
        };
    }

    /// Whether it rests now.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.resting_until().is_some_and(|until| until > now)
    }

    /// The end of its rest, if it has failed.
    pub(super) fn resting_until(&self) -> Option<Instant> {
        match self {
            Self::Up { .. } => None,
            Self::Resting { until, .. } => Some(*until),
        }
    }

    /// How many times in a row it has failed.
    pub(super) fn failures(&self) -> u32 {
        match self {
            Self::Up { failures, .. } | Self::Resting { failures, .. } => *failures,
        }
    }

    /// Since when it has not been reached.
    pub(super) fn failing_since(&self) -> Option<Instant> {
        match self {
            Self::Up { .. } => None,
            Self::Resting { since, .. } => Some(*since),
        }
    }

    /// A request is about to try a server whose rest is over: it goes on resting for the others until that is decided, so
    /// that a server that hangs holds up one request at a time.
    pub(super) fn probe(&mut self, now: Instant) {
        if let Self::Resting {
            failures, until, ..
        } = self
        {
            *until = now + rest(*failures);
        }
    }
}

/// The rest after so many failures in a row.
fn rest(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(8);
    LONGEST_REST.min(FIRST_REST * (1 << doublings))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LONGEST_REST, ServerHealth};

    #[test]
    fn a_server_rests_ever_longer_until_it_is_reached() {
        let start = Instant::now();
        let seconds = |count| start + Duration::from_secs(count);
        let mut health = ServerHealth::default();
        assert!(!health.rests(start));
        for (failures, ends) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (99, 30)] {
            while !matches!(health, ServerHealth::Resting { failures: so_far, .. } if so_far == failures)
            {
                health.failed(start);
            }
            assert_eq!(health.resting_until(), Some(seconds(ends)), "{failures}");
            assert!(!health.rests(seconds(ends)));
        }
        // Of those that come when a rest is over, one tries.
        health.probe(seconds(30));
        assert_eq!(health.resting_until(), Some(seconds(30) + LONGEST_REST));
        assert_eq!(health.failing_since(), Some(start));
        // A connection alone is not enough to begin anew.
        health.reached();
        health.probe(start);
        assert!(!health.rests(start));
        health.failed(start);
        assert_eq!(health.resting_until(), Some(start + LONGEST_REST));
        health.reached();
        health.answered();
        assert_eq!(health, ServerHealth::default());
    }

    #[test]
    fn a_server_that_hangs_rests_until_it_answers() {
        let start = Instant::now();
        let seconds = |count| start + Duration::from_secs(count);
        let mut health = ServerHealth::default();
        for _ in 0..2 {
            health.timed_out(start, seconds(3));
            health.timed_out(start, seconds(3));
            assert!(!health.rests(seconds(3)));
            health.answered();
        }
        for _ in 0..3 {
            // Connections alone change nothing.
            health.reached();
            health.timed_out(start, seconds(3));
        }
        assert_eq!(health.resting_until(), Some(seconds(4)));
        // Requests that it had before say nothing new.
        health.timed_out(start, seconds(3));
        assert_eq!(health.resting_until(), Some(seconds(4)));
        // One tries later: the others do not follow it before there is an answer.
        health.probe(seconds(4));
        health.reached();
        assert!(health.rests(seconds(4)));
        health.timed_out(seconds(4), seconds(7));
        assert_eq!(health.resting_until(), Some(seconds(9)));
        health.answered();
        assert_eq!(health, ServerHealth::default());
    }
}
