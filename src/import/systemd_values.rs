//! Values as units of systemd write them: times, specifiers, sizes, and signs before a command.

use std::fmt::Write;

use crate::import::imported_text::quoted_text;

/// The units of systemd.time(7), in microseconds.
const UNITS: &[(&[&str], f64)] = &[
    (&["usec", "us", "µs", "μs"], 1.0),
    (&["msec", "ms"], 1e3),
    (&["", "seconds", "second", "sec", "s"], 1e6),
    (&["minutes", "minute", "min", "m"], 60e6),
    (&["hours", "hour", "hr", "h"], 3600e6),
    (&["days", "day", "d"], 86_400e6),
    (&["weeks", "week", "w"], 604_800e6),
    (&["months", "month", "M"], 2_629_800e6),
    (&["years", "year", "y"], 31_557_600e6),
];

/// A time such as `90`, `1min 30s` or `500ms`, as an expression of ours; `None` if it is none, or has no end.
#[must_use]
pub fn time(text: &str) -> Option<String> {
    let mut microseconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let behind = behind.trim_start();
        let end = behind.find(|c: char| c.is_ascii_digit() || c.is_whitespace());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let (_, factor) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
        microseconds += number.parse::<f64>().ok()? * factor;
        rest = behind.trim_start();
    }
    // What is less than a millisecond makes no difference here, but for 0, which mostly means that there is no end.
    let milliseconds = (microseconds / 1e3).ceil();
    Some(match milliseconds % 1e3 == 0.0 {
        true => format!("{}", milliseconds / 1e3),
        false => quoted_text(&format!("{milliseconds}ms")),
    })
}

/// A size such as `512M`, as an expression of ours; `None` for `infinity` and parts of the memory.
#[must_use]
pub fn size(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let is_size = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_size && text.len() - digits.len() <= 1).then(|| match digits == text {
        true => text.to_owned(),
        false => quoted_text(text),
    })
}

/// A text with what its specifiers stand for, and those that only systemd knows. `unit` is the file's name.
#[must_use]
pub fn specified(text: &str, unit: &str) -> (String, Vec<String>) {
    let full = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    let prefix = full.split_once('@').map_or(full, |(prefix, _)| prefix);
    // Of a template, `shop@.service`, only its instances have a name.
    let instance = full.split_once('@').map_or("", |(_, instance)| instance);
    let is_template = full.ends_with('@');
    let (mut written, mut unknown) = (String::new(), Vec::new());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            written.push(character);
            continue;
        }
        let Some(letter) = rest.next() else {
            written.push('%');
            break;
        };
        let known = match letter {
            '%' => "%",
            'p' => prefix,
            'n' if !is_template => unit,
            'N' if !is_template => full,
            'i' | 'I' if !is_template => instance,
            // Of the system's manager; a user's has folders of the user.
            't' => "/run",
            'S' => "/var/lib",
            'C' => "/var/cache",
            'L' => "/var/log",
            'E' => "/etc",
            'T' => "/tmp",
            'V' => "/var/tmp",
            _ => {
                let _ = write!(written, "%{letter}");
                unknown.push(format!("%{letter}"));
                continue;
            }
        };
        written.push_str(known);
    }
    (written, unknown)
}

/// A command without the signs before it, and the signs.
#[must_use]
pub fn unsigned(command: &str) -> (&str, &str) {
    let trimmed = command.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let signs = &command[..command.len() - trimmed.len()];
    (signs, trimmed.trim_start())
}

#[cfg(test)]
mod tests {
    use super::{size, specified, time, unsigned};

    #[test]
    fn times_have_all_units() {
        for (text, expression) in [
            ("20", Some("20")),
            ("1min 30s", Some("90")),
            ("1min30s", Some("90")),
            ("5min", Some("300")),
            ("2h", Some("7200")),
            ("1.5 hours", Some("5400")),
            ("500ms", Some("'500ms'")),
            ("2 days", Some("172800")),
            ("0", Some("0")),
            ("infinity", None),
            ("soon", None),
            ("5 parsecs", None),
            ("", None),
        ] {
            assert_eq!(time(text).as_deref(), expression, "{text}");
        }
    }

    #[test]
    fn specifiers_are_replaced_where_they_are_known() {
        let of = |text: &str, unit: &str| specified(text, unit);
        let known = ("/run/shop 5%".to_owned(), Vec::new());
        assert_eq!(of("%t/%p 5%%", "shop.service"), known);
        let unknown = ("/srv/%i".to_owned(), vec!["%i".to_owned()]);
        assert_eq!(of("/srv/%i", "shop@.service"), unknown);
        assert_eq!(of("/srv/%i", "shop@a.service").0, "/srv/a");
    }

    #[test]
    fn sizes_and_signs() {
        assert_eq!(size("512M").as_deref(), Some("'512M'"));
        assert_eq!(size("1024").as_deref(), Some("1024"));
        assert_eq!(size("infinity"), None);
        assert_eq!(size("50%"), None);
        assert_eq!(unsigned("-+/bin/x -a"), ("-+", "/bin/x -a"));
    }
}
