//! What a server counts and measures of its requests for `/metrics`: how they were answered, and how long they took. Noting
//! a request is an addition in an array; memory does not depend on the number of requests.

use std::time::Duration;

use http::{Method, StatusCode};

/// The upper bounds of the buckets of a [`Distribution`], in seconds: those of Prometheus' own clients.
pub const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The same in microseconds.
const BOUNDS_IN_MICROS: [u64; 11] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// The upper bounds of the buckets of a [`SizeDistribution`], in bytes: each is four times the one before.
pub const SIZE_BOUNDS: [u64; 8] = [
    256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304,
];

/// The names of the methods that are counted apart (RFC 9110 §9, RFC 5789); clients can send any number of others, which
/// have the last name.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other",
];

/// The status codes that are counted apart, 100 to 599 (RFC 9110 §15), and one place for all others.
const CODES: usize = 501;

/// What a request is counted as that was not answered, since its client went away: the code that nginx and the access log
/// have for it.
pub const CLIENT_LEFT: u16 = 499;

/// Counts and times of requests since the start of the master.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// The requests by method and status code.
    pub answers: AnswerCounts,
    /// From the complete request to the head of its response, or until its client went away.
    pub starts: Distribution,
    /// From the head of a request to the last byte of its response.
    pub durations: Distribution,
    /// How long requests waited that no worker was free for.
    pub queue_waits: Distribution,
    /// How long workers were at a request.
    pub services: Distribution,
    /// The bodies of requests.
    pub received: SizeDistribution,
    /// The bodies of responses, as far as they were sent.
    pub sent: SizeDistribution,
}

impl Measurements {
    /// Adds what another version of the application has measured.
    pub fn add(&mut self, other: &Self) {
        self.answers.add(&other.answers);
        self.starts.add(&other.starts);
        self.durations.add(&other.durations);
        self.queue_waits.add(&other.queue_waits);
        self.services.add(&other.services);
        self.received.add(&other.received);
        self.sent.add(&other.sent);
    }
}

/// How many durations lie between two of [`BOUNDS`], and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: [u64; BOUNDS.len() + 1],
    micros: u64,
}

impl Distribution {
    /// Notes a duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut bounds = BOUNDS_IN_MICROS.iter();
        let place = bounds.position(|bound| micros <= *bound);
        self.counts[place.unwrap_or(BOUNDS.len())] += 1;
        self.micros = self.micros.saturating_add(micros);
    }

    /// Adds what was noted elsewhere.
    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.micros = self.micros.saturating_add(other.micros);
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// The upper bound of each bucket in seconds, and how many durations lie between it and the bound before it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.counts)
    }
}

/// How many bodies have a size between two of [`SIZE_BOUNDS`], and the sum of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SizeDistribution {
    counts: [u64; SIZE_BOUNDS.len() + 1],
    bytes: u64,
}

impl SizeDistribution {
    /// Notes a size in bytes.
    pub fn record(&mut self, bytes: u64) {
        let place = SIZE_BOUNDS.iter().position(|bound| bytes <= *bound);
        self.counts[place.unwrap_or(SIZE_BOUNDS.len())] += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Adds what was noted elsewhere.
    fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// The number of bodies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of their sizes in bytes.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.bytes
    }

    /// The upper bound of each bucket in bytes, and how many sizes lie between it and the bound before it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = SIZE_BOUNDS.into_iter().map(|bound| bound as f64);
        bounds.chain([f64::INFINITY]).zip(self.counts)
    }
}

/// The name of a method, of a fixed number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodName(u8);

impl MethodName {
    /// A request whose method is not known, or not known to be one of those that are counted apart.
    pub const OTHER: Self = Self(9);

    /// The name of a method.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self(0),
            Method::HEAD => Self(1),
            Method::POST => Self(2),
            Method::PUT => Self(3),
            Method::DELETE => Self(4),
            Method::CONNECT => Self(5),
            Method::OPTIONS => Self(6),
            Method::TRACE => Self(7),
            Method::PATCH => Self(8),
            _ => Self::OTHER,
        }
    }
}

/// How many requests had which method and status code. The number of series that come of it is bounded, whatever clients
/// and applications send.
#[derive(Clone, Debug)]
pub struct AnswerCounts(Box<[[u64; CODES]; METHODS.len()]>);

impl Default for AnswerCounts {
    fn default() -> Self {
        Self(Box::new([[0; CODES]; METHODS.len()]))
    }
}

impl AnswerCounts {
    /// Counts a request.
    pub fn count(&mut self, method: MethodName, code: u16) {
        let place = usize::from(code).wrapping_sub(100).min(CODES - 1);
        self.0[usize::from(method.0)][place] += 1;
    }

    /// Adds what was counted elsewhere.
    fn add(&mut self, other: &Self) {
        let counts = self.0.iter_mut().flatten();
        for (count, more) in counts.zip(other.0.iter().flatten()) {
            *count += more;
        }
    }

    /// The counts that are not zero: the method, the code (`other` for one that no standard can give), the number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, String, u64)> {
        let methods = METHODS.into_iter().zip(self.0.iter());
        methods.flat_map(|(method, counts)| {
            let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            counts.map(move |(place, count)| {
                let code = match place + 1 == CODES {
                    true => "other".to_owned(),
                    false => (place + 100).to_string(),
                };
                (method, code, *count)
            })
        })
    }
}

/// A request that a gateway has answered itself, before any application saw it.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRequest {
    /// Its method, as far as it is known.
    pub method: MethodName,
    /// The status that it was answered with.
    pub status: StatusCode,
}

/// A request whose response has ended, well or badly.
#[derive(Clone, Copy, Debug)]
pub struct EndedRequest {
    /// The time since its head was there.
    pub took: Duration,
    /// The bytes of the response's body that were given to the connection.
    pub sent: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_same_in_both_units() {
        for (seconds, micros) in BOUNDS.iter().zip(BOUNDS_IN_MICROS) {
            assert_eq!(Duration::from_secs_f64(*seconds).as_micros(), micros.into());
        }
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut distribution = Distribution::default();
        for micros in [0, 5_000, 5_001, 10_000_000, 10_000_001, u64::MAX] {
            distribution.record(Duration::from_micros(micros));
        }
        let found: Vec<u64> = distribution.buckets().map(|(_, count)| count).collect();
        assert_eq!(found, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(distribution.count(), 6);
        let mut twice = distribution.clone();
        twice.add(&distribution);
        assert_eq!(twice.count(), 12);
    }

    #[test]
    fn a_size_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut sizes = SizeDistribution::default();
        for size in [0, 256, 257, 4_194_304, 4_194_305, u64::MAX] {
            sizes.record(size);
        }
        let found: Vec<u64> = sizes.buckets().map(|(_, count)| count).collect();
        assert_eq!(found, [2, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((sizes.count(), sizes.sum()), (6, u64::MAX));
        let mut twice = sizes.clone();
        twice.add(&sizes);
        assert_eq!(twice.count(), 12);
    }

    #[test]
    fn each_method_has_the_name_that_it_is_counted_by() {
        for (place, name) in METHODS.iter().enumerate() {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(usize::from(MethodName::of(&method).0), place, "{name}");
        }
        assert_eq!(
            MethodName::of(&Method::from_bytes(b"PROPFIND").unwrap()),
            MethodName::OTHER
        );
    }

    #[test]
    fn any_code_is_counted_and_the_number_of_series_is_bounded() {
        let mut counts = AnswerCounts::default();
        for code in 0..=u16::MAX {
            counts.count(MethodName::OTHER, code);
        }
        counts.count(MethodName::of(&Method::GET), 200);
        let found: Vec<_> = counts.iter().collect();
        assert_eq!(found.len(), CODES + 1);
        assert_eq!(found[0], ("GET", "200".to_owned(), 1));
        assert_eq!(found[1], ("other", "100".to_owned(), 1));
        let (method, code, count) = &found[CODES];
        assert_eq!((*method, &**code), ("other", "other"));
        assert_eq!(*count, u64::from(u16::MAX) + 1 - 500);
    }
}
