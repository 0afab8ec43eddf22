//! How many requests were answered in the last minute, and how long they took: a histogram for every few seconds, in
//! memory that does not depend on their number.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::interface::master_status::LastMinute;

/// The time that one histogram covers, and their number. Together they cover the last minute.
const SLICE: Duration = Duration::from_secs(5);
const SLICES: usize = 12;

/// The longest time that is told from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// The significant digits of a time.
const DIGITS: u8 = 2;

/// The times of the requests that ended in the last minute, in microseconds.
#[derive(Debug)]
pub(super) struct Traffic {
    slices: [Histogram<u32>; SLICES],
    /// When the first slice began.
    began: Instant,
    /// The number of the present slice since then.
    present: u64,
}

fn histogram() -> Histogram<u32> {
    // The bounds and the digits are in the ranges that the library accepts.
    Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("valid bounds")
}

impl Traffic {
    /// No requests, from now on.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            slices: std::array::from_fn(|_| histogram()),
            began: now,
            present: 0,
        }
    }

    /// Notes a request that has ended now. Allocates nothing.
    pub(super) fn record(&mut self, took: Duration, now: Instant) {
        self.turn(now);
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.slices[slot(self.present)].saturating_record(micros);
    }

    /// Empties the slices that are older than a minute.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        let present = u64::try_from(age.as_millis() / SLICE.as_millis()).unwrap_or(u64::MAX);
        let oldest_kept = present.saturating_sub(SLICES as u64 - 1);
        for number in (self.present + 1).max(oldest_kept)..=present {
            self.slices[slot(number)].reset();
        }
        self.present = self.present.max(present);
    }

    /// The last minute, as the status shows it. Less than that if less has passed; and the oldest slice goes as a whole.
    pub(super) fn last_minute(&mut self, now: Instant) -> LastMinute {
        self.turn(now);
        let mut all = histogram();
        for slice in &self.slices {
            // All have the same bounds.
            all.add(slice).expect("the same bounds");
        }
        let age = now.saturating_duration_since(self.began);
        let oldest = self.present.saturating_sub(SLICES as u64 - 1);
        let before = SLICE * u32::try_from(oldest).unwrap_or(u32::MAX);
        let covered = age.saturating_sub(before).as_secs_f64();
        let quantile = |quantile| {
            let micros = all.value_at_quantile(quantile);
            (!all.is_empty()).then_some(micros as f64 / 1e6)
        };
        LastMinute {
            requests: all.len(),
            // In its first second, a server has no rate yet.
            rate: (all.len() as f64 / covered.max(1.0) * 1000.0).round() / 1000.0,
            p50: quantile(0.5),
            p99: quantile(0.99),
        }
    }
}

/// The place of a slice in the ring.
fn slot(number: u64) -> usize {
    // Less than the number of slices.
    (number % SLICES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, LastMinute, Traffic};

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_rate_and_the_times_of_a_minute() {
        let start = Instant::now();
        let mut traffic = Traffic::new(start);
        assert_eq!(traffic.last_minute(start), LastMinute::default());
        // Two a second, of which the last takes a second.
        for number in 0..200_u32 {
            let now = start + number * Duration::from_millis(500);
            let took = match number {
                199 => seconds(1.0),
                _ => MILLISECOND,
            };
            traffic.record(took, now);
        }
        let found = traffic.last_minute(start + seconds(99.9));
        // From second 40 on.
        assert_eq!(found.requests, 120);
        assert!((found.rate - 2.0).abs() < 0.01, "{found:?}");
        let close = |found: Option<f64>, expected: f64| {
            found.is_some_and(|found| (found / expected - 1.0).abs() < 0.01)
        };
        assert!(close(found.p50, 0.001), "{found:?}");
        assert!(close(found.p99, 0.001), "{found:?}");
        traffic.record(seconds(1.0), start + seconds(99.9));
        let found = traffic.last_minute(start + seconds(99.9));
        assert!(close(found.p99, 1.0), "{found:?}");
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let start = Instant::now();
        let mut traffic = Traffic::new(start);
        traffic.record(MILLISECOND, start + seconds(1.0));
        traffic.record(MILLISECOND, start + seconds(7.0));
        let requests =
            |traffic: &mut Traffic, at| traffic.last_minute(start + seconds(at)).requests;
        assert_eq!(requests(&mut traffic, 59.9), 2);
        assert_eq!(requests(&mut traffic, 60.0), 1);
        assert_eq!(requests(&mut traffic, 64.9), 1);
        assert_eq!(requests(&mut traffic, 65.0), 0);
        traffic.record(MILLISECOND, start + seconds(70.0));
        // Long afterwards, each place of the ring was passed many times.
        assert_eq!(requests(&mut traffic, 100_000.0), 0);
    }

    #[test]
    fn a_short_time_has_no_wild_rate_and_a_long_one_is_an_hour() {
        let start = Instant::now();
        let mut traffic = Traffic::new(start);
        traffic.record(seconds(1e6), start + MILLISECOND);
        traffic.record(Duration::ZERO, start + MILLISECOND);
        let found = traffic.last_minute(start + 2 * MILLISECOND);
        assert_eq!((found.requests, found.rate), (2, 2.0));
        assert!(
            found
                .p99
                .is_some_and(|time| (3600.0..3700.0).contains(&time))
        );
    }
}
