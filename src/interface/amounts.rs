//! Numbers for people: durations, sizes and rates, in units in which they are short.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A duration in its two largest units.
#[must_use]
pub fn time(seconds: f64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = seconds.max(0.0);
    // Whole seconds, far from the largest number.
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..MINUTE => format!("{whole} s"),
        MINUTE..HOUR => format!("{} m {:02} s", whole / MINUTE, whole % MINUTE),
        HOUR..DAY => format!("{} h {:02} m", whole / HOUR, whole % HOUR / MINUTE),
        DAY.. => format!("{} d {:02} h", whole / DAY, whole % DAY / HOUR),
    }
}

/// A number with two significant digits, or as a whole number.
#[must_use]
pub fn significant(number: f64) -> String {
    match number {
        ..0.995 => format!("{number:.2}"),
        ..9.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// A duration that may be much shorter than a second.
#[must_use]
pub fn short(seconds: f64) -> String {
    match seconds < 0.9995 {
        true => format!("{} ms", significant(seconds * 1000.0)),
        false => time(seconds),
    }
}

/// A size in the largest unit in which it is at least 1.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut size = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// Counts by status, the largest first: `3 × 400, 1 × 414`. Empty if there are none.
#[must_use]
pub fn by_status(counts: &BTreeMap<u16, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(status, count)| (Reverse(**count), **status));
    let shown = counts.iter();
    let shown = shown.map(|(status, count)| format!("{count} × {status}"));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{short, size, time};

    #[test]
    fn times_and_sizes() {
        let times = [
            (-1.0, "0.0 s"),
            (0.25, "0.2 s"),
            (9.94, "9.9 s"),
            (59.9, "59 s"),
            (60.0, "1 m 00 s"),
            (3599.0, "59 m 59 s"),
            (3600.0, "1 h 00 m"),
            (172_800.0, "2 d 00 h"),
        ];
        for (seconds, shown) in times {
            assert_eq!(time(seconds), shown);
        }
        for (seconds, shown) in [
            (0.000_012, "0.01 ms"),
            (0.001, "1.0 ms"),
            (0.0099, "9.9 ms"),
            (0.125, "125 ms"),
            (1.5, "1.5 s"),
            (90.0, "1 m 30 s"),
        ] {
            assert_eq!(short(seconds), shown);
        }
        for (bytes, shown) in [
            (0, "0.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 50, "5120.0 TiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
