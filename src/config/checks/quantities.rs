//! Durations and sizes with units: one grammar for every setting and key.

use std::time::Duration;

/// A unit: its spellings in lower case, and how many seconds or bytes it is.
type Unit = (&'static [&'static str], f64);

/// How durations are written in expressions.
pub(in crate::config) const DURATION_FORMS: &str =
    "seconds as a number, or `'1.5s'`, `'500ms'`, `'2 min'`, `'1h 30m'`, `'1d'`";

/// How durations are written in files for `supervise`.
pub(in crate::config) const DURATION_KEY_FORMS: &str =
    "seconds as a number, or `1.5s`, `500ms`, `2 min`, `1h 30m`, `1d`";

/// How sizes are written in expressions.
pub(in crate::config) const SIZE_FORMS: &str =
    "bytes as a number, or `'64k'`, `'500 MB'`, `'1GiB'` (in steps of 1024)";

/// The units of durations, in seconds.
pub(super) const DURATIONS: &[Unit] = &[
    (&["ms", "msec", "millisecond", "milliseconds"], 0.001),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["m", "min", "mins", "minute", "minutes"], 60.0),
    (&["h", "hr", "hrs", "hour", "hours"], 3600.0),
    (&["d", "day", "days"], 86_400.0),
    (&["w", "week", "weeks"], 604_800.0),
];

/// The units of sizes, in bytes. `M`, `MB` and `MiB` are the same, as in the memory limits of other servers: where they
/// differ (IEC 80000-13), a limit that is 5 % too high does no harm.
pub(super) const SIZES: &[Unit] = &[
    (&["b", "byte", "bytes"], 1.0),
    (&["k", "kb", "kib"], 1024.0),
    (&["m", "mb", "mib"], 1_048_576.0),
    (&["g", "gb", "gib"], 1_073_741_824.0),
    (&["t", "tb", "tib"], 1_099_511_627_776.0),
];

/// `1.5s`, `500 MB`, `1h 30m`, `15`: numbers, each with its unit in any case; one number alone needs none. `None` for
/// any other text.
pub(super) fn with_unit(text: &str, units: &[Unit]) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(number) = number(&text) {
        return Some(number);
    }
    let mut sum = 0.0;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (digits, behind) = split_before(rest, |c| !is_of_number(c));
        let (name, behind) = split_before(behind.trim_start(), |c| !c.is_ascii_alphabetic());
        let (_, factor) = units.iter().find(|(names, _)| names.contains(&name))?;
        sum += number(digits)? * factor;
        rest = behind.trim_start();
    }
    (!text.is_empty()).then_some(sum)
}

/// A duration, as settings have it; `None` for any other text.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(with_unit(text, DURATIONS)?).ok()
}

/// Digits with at most one point. Rust would read `inf` and `1e9` as well.
fn number(text: &str) -> Option<f64> {
    let plain = text.chars().all(is_of_number);
    text.parse().ok().filter(|_| plain)
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn split_before(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::{DURATIONS, SIZES, with_unit};

    #[test]
    fn all_spellings_of_a_size_are_the_same() {
        for (power, letter) in ["", "k", "m", "g", "t"].into_iter().enumerate() {
            let factor = 1024_f64.powi(i32::try_from(power).expect("small"));
            for ending in ["", "b", "ib"] {
                if letter.is_empty() && ending == "ib" {
                    continue;
                }
                let unit = format!("{letter}{ending}");
                for space in ["", " ", "  "] {
                    for unit in [unit.clone(), unit.to_uppercase()] {
                        let text = format!(" 1.5{space}{unit} ");
                        assert_eq!(with_unit(&text, SIZES), Some(1.5 * factor), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn durations_are_added_up() {
        for (text, seconds) in [
            ("30 s", 30.0),
            ("30s", 30.0),
            ("90 seconds", 90.0),
            ("2min", 120.0),
            ("1h30m", 5400.0),
            ("1h 30 min", 5400.0),
            ("1 week", 604_800.0),
            ("15", 15.0),
            (".5 s", 0.5),
        ] {
            assert_eq!(with_unit(text, DURATIONS), Some(seconds), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_numbers_with_units() {
        for text in [
            "", " ", "s", "5x", "1.2.3s", "-1s", "+1s", "1e3", "inf", "nan", "1h 30", "1,5s",
            "5 s s", "5MBit", ".", ". s", "١s", "5 m²",
        ] {
            assert_eq!(with_unit(text, DURATIONS), None, "{text}");
            assert_eq!(with_unit(text, SIZES), None, "{text}");
        }
    }
}
