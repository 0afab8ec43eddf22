//! Why workers are replaced though nothing is wrong with them, and when their memory is looked at.
//!
//! A worker that is to be replaced goes on until its successor is ready, so that there are never fewer than before.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Why a worker is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Due {
    /// It has answered this many requests.
    Requests(u64),
    /// It is this old.
    Lifetime(Duration),
    /// It takes this many bytes.
    Memory(u64),
    /// A task was cancelled and does not end.
    Clinging,
    /// It does not answer as it should when it is asked whether it is well.
    Unwell,
}

impl Due {
    /// Whether a worker of this age is to be replaced; never if the limit is 0.
    pub(crate) fn to_age(age: Duration, limit: Duration) -> Option<Self> {
        (!limit.is_zero() && age >= limit).then_some(Self::Lifetime(age))
    }

    /// Whether a worker that takes this much memory is to be replaced.
    pub(crate) fn to_memory(bytes: u64, limit: u64) -> Option<Self> {
        (bytes > limit).then_some(Self::Memory(bytes))
    }
}

impl fmt::Display for Due {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(requests) => write!(
                formatter,
                "it has answered {requests} requests (runner.workers.max_requests)"
            ),
            Self::Lifetime(age) => write!(
                formatter,
                "it is {:.1} s old (runner.workers.max_lifetime)",
                age.as_secs_f64()
            ),
            Self::Clinging => formatter
                .write_str("a task that was cancelled does not end (runner.request.timeout)"),
            Self::Unwell => formatter.write_str("it is not well (--health)"),
            Self::Memory(bytes) => write!(
                formatter,
                "it takes {} MiB of memory (runner.workers.max_memory)",
                bytes >> 20
            ),
        }
    }
}

/// The number of requests after which the next worker is to be replaced: the limit, ±10 %, so that workers that began
/// together do not end together. No limit if that is 0.
pub(crate) fn quota(limit: u64) -> u64 {
    match limit {
        0 => u64::MAX,
        limit => draw(limit, RandomState::new().hash_one(0)),
    }
}

/// A number within a tenth of a limit, at least 1.
fn draw(limit: u64, random: u64) -> u64 {
    let tenth = limit / 10;
    (limit - tenth)
        .saturating_add(random % (2 * tenth).saturating_add(1))
        .max(1)
}

/// The least time between two looks at the memory of workers.
const INTERVAL: Duration = Duration::from_secs(1);

/// When to look at the memory of workers: only while they answer requests.
#[derive(Debug)]
pub(crate) struct MemoryCheck {
    pub(crate) next: Option<Instant>,
    last: Instant,
}

impl MemoryCheck {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next: None,
            last: now,
        }
    }

    /// A request was answered: memory is to be looked at, but not too often.
    pub(crate) fn was_active(&mut self, now: Instant) {
        self.next.get_or_insert((self.last + INTERVAL).max(now));
    }

    /// Whether it is time to look.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.take_if(|at| now >= *at).is_some();
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn limits_are_drawn_within_a_tenth() {
        let drawn = |limit| [0, 7, u64::MAX / 3, u64::MAX].map(|random| draw(limit, random));
        for limit in [10, 1000, 123_456, u64::MAX] {
            let tenth = limit / 10;
            let range = limit - tenth..=limit.saturating_add(tenth);
            for number in drawn(limit) {
                assert!(range.contains(&number), "{number} of {limit}");
            }
        }
        assert_eq!(drawn(1), [1; 4]);
        assert_eq!(draw(1000, 0), 900);
        assert_eq!(draw(1000, 200), 1100);
    }
}
