//! The part of a file that a client asks for (`Range`, RFC 9110 §14.2).

use std::ops::Range;

/// What is sent of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    /// All of it: no range is asked for, or one that cannot be read, or several. A client that asks for several has to
    /// accept the whole file too, which costs less than what an attacker can ask for in a few bytes (RFC 9110 §17.15).
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// None: the range begins behind the end of the file.
    Unsatisfiable,
}

impl Portion {
    /// The portion that the value of a `Range` field asks for, of a file of so many bytes.
    pub(super) fn of(value: &[u8], length: u64) -> Self {
        let Some((unit, range)) = value.split_at_checked(b"bytes=".len()) else {
            return Self::Whole;
        };
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return Self::Whole;
        }
        let mut ends = range.trim_ascii().split(|byte| *byte == b'-');
        let (Some(first), Some(last), None) = (ends.next(), ends.next(), ends.next()) else {
            return Self::Whole;
        };
        match (position(first), position(last)) {
            (Some(first), Some(last)) if first <= last => {
                Self::between(first, last.saturating_add(1).min(length), length)
            }
            (Some(first), None) if last.is_empty() => Self::between(first, length, length),
            (None, Some(0)) if first.is_empty() => Self::Unsatisfiable,
            // A file that is shorter is sent as a whole.
            (None, Some(count)) if first.is_empty() => {
                Self::between(length.saturating_sub(count), length, length)
            }
            _ => Self::Whole,
        }
    }

    fn between(first: u64, end: u64, length: u64) -> Self {
        match first < length {
            true => Self::Bytes(first..end),
            false => Self::Unsatisfiable,
        }
    }
}

/// A number in digits alone; what is too large counts as the largest.
fn position(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = str::from_utf8(text).ok()?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Portion;

    #[test]
    fn one_range_is_a_part_and_anything_else_the_whole() {
        for (value, length, portion) in [
            ("bytes=0-0", 10, Portion::Bytes(0..1)),
            ("bytes=2-5", 10, Portion::Bytes(2..6)),
            ("Bytes=2-5", 10, Portion::Bytes(2..6)),
            ("bytes= 2-5 ", 10, Portion::Bytes(2..6)),
            ("bytes=2-", 10, Portion::Bytes(2..10)),
            ("bytes=2-99", 10, Portion::Bytes(2..10)),
            ("bytes=2-18446744073709551615", 10, Portion::Bytes(2..10)),
            ("bytes=2-99999999999999999999999", 10, Portion::Bytes(2..10)),
            ("bytes=-3", 10, Portion::Bytes(7..10)),
            ("bytes=-30", 10, Portion::Bytes(0..10)),
            ("bytes=-0", 10, Portion::Unsatisfiable),
            ("bytes=10-", 10, Portion::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Portion::Unsatisfiable),
            ("bytes=0-", 0, Portion::Unsatisfiable),
            ("bytes=-1", 0, Portion::Unsatisfiable),
            ("bytes=5-2", 10, Portion::Whole),
            ("bytes=-", 10, Portion::Whole),
            ("bytes=", 10, Portion::Whole),
            ("bytes", 10, Portion::Whole),
            ("", 10, Portion::Whole),
            ("bytes=+1-2", 10, Portion::Whole),
            ("bytes=1-2-3", 10, Portion::Whole),
            ("bytes=0-1,4-5", 10, Portion::Whole),
            ("bytes=a-b", 10, Portion::Whole),
            ("lines=1-2", 10, Portion::Whole),
        ] {
            assert_eq!(
                Portion::of(value.as_bytes(), length),
                portion,
                "{value} of {length}"
            );
        }
    }
}
