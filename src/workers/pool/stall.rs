//! When a lane is stuck, so that the requests that it has not begun may go to others: when it has finished nothing for
//! several times as long as requests usually take; when another lane is idle, as soon as one could be woken up.

use std::time::Duration;

/// A lane that has finished nothing for this long is stuck while another is idle.
pub(crate) const STALL: Duration = Duration::from_micros(1000);
/// After this time requests are taken back even if no other lane could begin them, so that the limits of the queue hold
/// for them.
pub(crate) const HOLD: Duration = Duration::from_millis(10);
/// A lane is stuck when its request has taken this many times as long as requests usually do.
const STUCK_AFTER: f64 = 4.0;

/// How long a lane may finish nothing before it is stuck while no other is idle; `typical` is the usual time of a request in
/// seconds. The clock ticks as often. Each tick takes a processor from a worker for a moment, so that it ticks no more often
/// than requests end.
pub(crate) fn usual_stall(typical: f64) -> Duration {
    if !is_long(typical) {
        return STALL;
    }
    let seconds = typical * STUCK_AFTER;
    Duration::from_secs_f64(seconds.clamp(STALL.as_secs_f64(), HOLD.as_secs_f64()))
}

/// Whether requests take so long that this is more than the least time. Asked for each request.
pub(crate) fn is_long(typical: f64) -> bool {
    typical * STUCK_AFTER > STALL.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{STALL, is_long, usual_stall};

    #[test]
    fn a_stall_follows_the_usual_time_of_a_request_within_limits() {
        for (typical, micros) in [
            (1e-6, 1000),
            (200e-6, 1000),
            (1e-3, 4000),
            (1.0, 10_000),
            (60.0, 10_000),
        ] {
            assert_eq!(
                usual_stall(typical),
                Duration::from_micros(micros),
                "{typical}"
            );
            assert_eq!(is_long(typical), usual_stall(typical) > STALL);
        }
    }
}
