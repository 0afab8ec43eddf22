//! Neglect: a request that waits for a second while a worker is idle is a bug of runner, not of the application.
//! The log says how every lane is, and the worker is replaced, so that the server need not be restarted.
//!
//! The worker itself says whether it waits for requests, and how far it has read
//! ([`crate::protocol::worker::frame::RING_WAITING`], [`crate::protocol::worker::frame::RING_READ`]). It is suspected
//! only if it waits and has read all that was sent, and if no answer of it is under way: the client decides how long that
//! takes, and the lane has no turn for another before, though the worker has written it to its end. A worker that runs code after its answer is not suspected, nor one that
//! cannot read because it is stopped or another of its threads holds the interpreter's lock: there
//! `runner.request.timeout` applies. Several looks are needed: where the system stops runner as well, as it does with a
//! frozen container, the time that passes does not count.

use std::time::{Duration, Instant};

/// How long a request may wait while a worker is idle.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many looks in a row have to find the lane idle.
const LOOKS: u32 = 10;

/// For how long a lane has been idle while requests wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vigil {
    /// How many looks in a row found it so, and when the last of them was.
    found: Option<(u32, Instant)>,
}

impl Vigil {
    /// The time between two looks.
    pub(crate) const STEP: Duration = Duration::from_millis(100);

    /// Whether a wait that began at `since` is too long for a request where a worker is idle.
    pub(crate) fn is_long(since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) >= PATIENCE
    }

    /// Notes a look at `now`. Returns whether there were enough. Looks that come before the next step do not count.
    pub(crate) fn look(&mut self, is_idle: bool, now: Instant) -> bool {
        self.found = match self.found {
            _ if !is_idle => None,
            None => Some((1, now)),
            Some((looks, last)) if now.saturating_duration_since(last) >= Self::STEP => {
                Some((looks + 1, now))
            }
            soon => soon,
        };
        self.found.is_some_and(|(looks, _)| looks >= LOOKS)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Vigil;

    #[test]
    fn a_second_of_idleness_in_ten_looks() {
        let start = Instant::now();
        let mut now = start;
        let mut vigil = Vigil::default();
        // Many looks in little time prove nothing, and neither do two that are far apart.
        for _ in 0..1000 {
            assert!(!vigil.look(true, now));
        }
        now += Duration::from_secs(100);
        assert!(!vigil.look(true, now));
        for look in 3..=10 {
            now += Duration::from_millis(100);
            assert_eq!(vigil.look(true, now), look == 10);
        }
        assert!(!vigil.look(false, now));
        assert!(!vigil.look(true, now));
    }
}
