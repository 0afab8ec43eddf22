//! The time of day as text. A text is made once a second and not once a use, and it follows the clock of the system when
//! that is set, forward or back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second whose year has four digits, as the formats demand: 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

/// What is made of the time, once for each second.
#[derive(Debug)]
pub struct PerSecond<T> {
    make: fn(SystemTime) -> T,
    /// The second that it was made for last, since 1970, and what was made.
    made: Option<(u64, T)>,
}

impl<T> PerSecond<T> {
    /// Nothing is made yet.
    #[must_use]
    pub const fn new(make: fn(SystemTime) -> T) -> Self {
        Self { make, made: None }
    }

    /// What belongs to the second of this time.
    pub fn at(&mut self, time: SystemTime) -> &T {
        let second = since_1970(time).as_secs();
        if self.made.as_ref().is_some_and(|(of, _)| *of != second) {
            self.made = None;
        }
        let make = || {
            (
                second,
                (self.make)(UNIX_EPOCH + Duration::from_secs(second)),
            )
        };
        &self.made.get_or_insert_with(make).1
    }
}

/// The time since 1970, within what the formats can show.
fn since_1970(time: SystemTime) -> Duration {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.min(Duration::from_secs(LAST))
}

/// `Tue, 10 Oct 2000 13:55:36 GMT` (RFC 9110 §5.6.7)
#[must_use]
pub fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_1970(time))
}

/// The time that such a text means, in one of the three forms of RFC 9110 §5.6.7; `None` if it has none of them.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// `10/Oct/2000:13:55:36 +0000`, as access logs have it.
#[must_use]
pub fn access_log_date(time: SystemTime) -> String {
    // Always 29 ASCII characters.
    let date = http_date(time);
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
    format!(
        "{}/{}/{}:{} +0000",
        part(5..7),
        part(8..11),
        part(12..16),
        part(17..25)
    )
}

/// `2000-10-10T13:55:36`: RFC 3339 without fraction and zone.
#[must_use]
pub fn second(time: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970(time)).to_string();
    time.trim_end_matches('Z').to_owned()
}

/// The milliseconds of a time within its second.
#[must_use]
pub fn millisecond(time: SystemTime) -> u32 {
    since_1970(time).subsec_millis()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{PerSecond, access_log_date, http_date, millisecond, second};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn formats() {
        let time = at(971_186_136) + Duration::from_micros(7_999);
        assert_eq!(http_date(time), "Tue, 10 Oct 2000 13:55:36 GMT");
        assert_eq!(access_log_date(time), "10/Oct/2000:13:55:36 +0000");
        assert_eq!(second(time), "2000-10-10T13:55:36");
        assert_eq!(millisecond(time), 7);
    }

    /// A machine without a battery may begin anywhere.
    #[test]
    fn no_clock_is_too_wrong() {
        for (time, shown) in [
            (UNIX_EPOCH - Duration::from_secs(1), "1970-01-01T00:00:00"),
            (at(1 << 40), "9999-12-31T23:59:59"),
        ] {
            assert_eq!(second(time), shown);
            assert!(http_date(time).contains(&shown[..4]));
            assert_eq!(PerSecond::new(second).at(time), shown);
        }
    }

    #[test]
    fn a_text_follows_the_clock_in_both_directions() {
        let mut texts = PerSecond::new(second);
        for seconds in [1000, 1001, 1001, 5000, 1000, 999, 1] {
            let time = at(seconds) + Duration::from_millis(999);
            assert_eq!(*texts.at(time), second(time));
        }
    }

    #[test]
    fn a_text_is_made_once_a_second() {
        use std::sync::atomic::{AtomicU32, Ordering};
        static MADE: AtomicU32 = AtomicU32::new(0);
        let mut numbers = PerSecond::new(|_| MADE.fetch_add(1, Ordering::Relaxed));
        for (milliseconds, number) in [(1000, 0), (1001, 0), (1999, 0), (2000, 1), (1999, 2)] {
            let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(*numbers.at(time), number);
        }
    }
}
