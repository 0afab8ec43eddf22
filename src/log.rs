//! The log: a line at a time on standard error, where the application's own output goes too.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};

/// Writes one message, `runner: ` before each of its lines, in a single write so that lines of several
/// processes do not mix. A log that cannot be written is no reason to stop.
pub fn write(message: Arguments<'_>) {
    let mut text = String::new();
    for line in without_numbers(&message.to_string()).lines() {
        text.push_str("runner: ");
        text.push_str(line);
        text.push('\n');
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A text without the numbers that the standard library gives with the system's reasons: `(os error 2)` tells
/// nobody more than the words before it.
#[must_use]
pub fn without_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, behind)) if number.parse::<i32>().is_ok() => out.push_str(behind),
            Some(_) | None => {
                out.push_str(MARK);
                out.push_str(part);
            }
        }
    }
    out
}

/// Writes one line as it is, in a single write.
pub fn line(text: &str) {
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{text}\n").as_bytes());
}

/// Whether what goes to standard error is coloured.
#[must_use]
pub fn colour() -> bool {
    colour_on(&std::io::stderr())
}

/// Whether what goes to a stream is coloured: on a terminal, unless `NO_COLOR` (<https://no-color.org>) is set.
#[must_use]
pub fn colour_on(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !refused && stream.is_terminal()
}

/// Writes a message to the log: `log!("worker {pid} died")`.
#[macro_export]
macro_rules! log {
    ($($part:tt)*) => {
        $crate::log::write(format_args!($($part)*))
    };
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn reasons_without_numbers() {
        for (text, plain) in [
            ("a: No such file (os error 2)", "a: No such file"),
            ("a (os error 2): b (os error 13), c", "a: b, c"),
            ("a (os error x) (os error ", "a (os error x) (os error "),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }
}
