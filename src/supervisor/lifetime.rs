//! When a master ends by itself.

use std::time::{Duration, Instant};

/// The times after which a master ends by itself. Zero means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// The time since the start.
    pub stop_after: Duration,
    /// The time without a request.
    pub idle_timeout: Duration,
    /// The time since the start before which neither of the others counts.
    pub run_at_least: Duration,
}

/// Whether a master has requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Requests are being answered.
    Busy,
    /// There has been none since then.
    IdleSince(Instant),
}

/// What a master does about its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It ends.
    End,
    /// It may end then.
    Look(Instant),
    /// It goes on until it is told to end.
    GoOn,
}

impl Lifetime {
    /// What to do now, for a master that was started then.
    #[must_use]
    pub fn next(&self, now: Instant, started: Instant, activity: Activity) -> Next {
        let end = self.end(started, activity);
        if end.is_some_and(|end| end <= now) {
            return Next::End;
        }
        // The last request may end right now.
        let idle = match activity {
            Activity::Busy if !self.idle_timeout.is_zero() => Some(now + self.idle_timeout),
            Activity::Busy | Activity::IdleSince(_) => None,
        };
        let first = end.into_iter().chain(idle).min();
        first.map_or(Next::GoOn, Next::Look)
    }

    /// When a master that was started then ends if nothing changes; `None` for never.
    fn end(&self, started: Instant, activity: Activity) -> Option<Instant> {
        let after = |from: Instant, time: Duration| (!time.is_zero()).then(|| from + time);
        let age = after(started, self.stop_after);
        let idle = match activity {
            Activity::Busy => None,
            Activity::IdleSince(since) => after(since.max(started), self.idle_timeout),
        };
        let first = age.into_iter().chain(idle).min()?;
        Some(first.max(started + self.run_at_least))
    }
}

#[cfg(test)]
mod tests {
    use super::{Activity, Duration, Instant, Lifetime, Next};

    /// Stop after, idle timeout, run at least, in seconds; idle since (none: busy); the end.
    type Case = (u64, u64, u64, Option<u64>, Option<u64>);

    #[test]
    fn the_first_reason_counts_but_not_before_its_time() {
        let cases: &[Case] = &[
            (0, 0, 0, Some(0), None),
            (0, 0, 10, Some(0), None),
            (60, 0, 0, Some(50), Some(60)),
            (60, 0, 0, None, Some(60)),
            (0, 20, 0, Some(50), Some(70)),
            (0, 20, 0, None, None),
            (60, 20, 0, Some(0), Some(20)),
            (60, 20, 0, Some(50), Some(60)),
            (60, 20, 0, None, Some(60)),
            (60, 20, 30, Some(0), Some(30)),
            (60, 20, 90, Some(50), Some(90)),
            (0, 20, 30, Some(50), Some(70)),
        ];
        let started = Instant::now();
        let at = |seconds| started + Duration::from_secs(seconds);
        for case in cases {
            let (stop_after, idle_timeout, run_at_least, idle, end) = *case;
            let lifetime = Lifetime {
                stop_after: Duration::from_secs(stop_after),
                idle_timeout: Duration::from_secs(idle_timeout),
                run_at_least: Duration::from_secs(run_at_least),
            };
            let activity = idle.map_or(Activity::Busy, |since| Activity::IdleSince(at(since)));
            assert_eq!(lifetime.end(started, activity), end.map(at), "{case:?}");
        }
    }

    #[test]
    fn it_is_looked_at_when_it_may_be_over() {
        let started = Instant::now();
        let at = |seconds| started + Duration::from_secs(seconds);
        let lifetime = |stop_after, idle_timeout| Lifetime {
            stop_after: Duration::from_secs(stop_after),
            idle_timeout: Duration::from_secs(idle_timeout),
            run_at_least: Duration::ZERO,
        };
        let idle = |since| Activity::IdleSince(at(since));
        let cases = [
            (0, 0, 5, idle(0), Next::GoOn),
            (0, 0, 5, Activity::Busy, Next::GoOn),
            (60, 0, 59, Activity::Busy, Next::Look(at(60))),
            (60, 0, 60, Activity::Busy, Next::End),
            (0, 20, 19, idle(0), Next::Look(at(20))),
            (0, 20, 20, idle(0), Next::End),
            (0, 20, 20, idle(15), Next::Look(at(35))),
            (0, 20, 20, Activity::Busy, Next::Look(at(40))),
            (60, 20, 20, Activity::Busy, Next::Look(at(40))),
            (60, 20, 50, Activity::Busy, Next::Look(at(60))),
        ];
        for (stop_after, idle_timeout, now, activity, next) in cases {
            let lifetime = lifetime(stop_after, idle_timeout);
            assert_eq!(
                lifetime.next(at(now), started, activity),
                next,
                "{now} {activity:?}"
            );
        }
    }

    /// A standby master may have served before it counts as started.
    #[test]
    fn nothing_counts_before_the_start() {
        let started = Instant::now() + Duration::from_secs(100);
        let lifetime = Lifetime {
            idle_timeout: Duration::from_secs(20),
            ..Lifetime::default()
        };
        let activity = Activity::IdleSince(Instant::now());
        let end = started + Duration::from_secs(20);
        assert_eq!(lifetime.end(started, activity), Some(end));
    }
}
