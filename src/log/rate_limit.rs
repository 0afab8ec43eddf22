//! Limits the lines of a kind that are written in a second, where clients, or an application at their request, can cause
//! any number. The rest is counted, and the count is written when the second is over.

use std::time::{Duration, Instant};

use super::form::Level;

/// A kind of line that clients can cause as often as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// A request was refused without asking the application.
    Refused,
    /// A connection was closed before its end.
    Closed,
    /// The application has sent an invalid response.
    InvalidAnswer,
    /// A response could not be stored for its client.
    NotStored,
    /// A file could not be sent.
    NotReadable,
    /// A server behind an application could not be reached.
    Unreachable,
}

impl LogKind {
    const ALL: [Self; 6] = [
        Self::Refused,
        Self::Closed,
        Self::InvalidAnswer,
        Self::NotStored,
        Self::NotReadable,
        Self::Unreachable,
    ];

    /// How serious these lines are.
    pub(super) fn level(self) -> Level {
        match self {
            Self::Refused | Self::Closed | Self::Unreachable => Level::Warning,
            Self::InvalidAnswer | Self::NotStored | Self::NotReadable => Level::Error,
        }
    }

    /// The subject of these lines, in the plural.
    fn name(self) -> &'static str {
        match self {
            Self::Refused => "requests that were refused",
            Self::Closed => "connections that were closed",
            Self::InvalidAnswer => "answers that are not as they should be",
            Self::NotStored => "responses that could not be kept",
            Self::NotReadable => "files that could not be sent",
            Self::Unreachable => "servers that could not be reached",
        }
    }
}

/// How many lines of each kind are written in a second.
const LINES: u64 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// How many lines of each kind there were in the second that began with the first of them.
#[derive(Debug, Default)]
pub(super) struct RateLimit([Window; LogKind::ALL.len()]);

#[derive(Debug, Default)]
struct Window {
    /// Its beginning; `None` if it is over.
    since: Option<Instant>,
    lines: u64,
}

impl Window {
    fn end(&self) -> Option<Instant> {
        self.since.map(|since| since + SECOND)
    }
}

impl RateLimit {
    /// Counts a line; whether it is written. To be called after [`RateLimit::due`].
    pub(super) fn admits(&mut self, kind: LogKind, now: Instant) -> bool {
        // In bounds, since there is a window for each kind.
        let window = &mut self.0[kind as usize];
        window.since.get_or_insert(now);
        window.lines += 1;
        window.lines <= LINES
    }

    /// A line for each kind of which some were left out in a second that is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let mut due = Vec::new();
        for (window, kind) in self.0.iter_mut().zip(LogKind::ALL) {
            if window.end().is_some_and(|end| end <= now) {
                let over = std::mem::take(window);
                let name = kind.name();
                match over.lines.saturating_sub(LINES) {
                    0 => {}
                    1 => due.push(format!("left out one more line about {name}")),
                    many => due.push(format!("left out {many} more lines about {name}")),
                }
            }
        }
        due
    }

    /// The same for all seconds that have begun, when no more lines come.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let last = self.0.iter().filter_map(Window::end).max();
        last.map_or_else(Vec::new, |end| self.due(end))
    }

    /// The time until such a line is due.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let behind = self.0.iter().filter(|window| window.lines > LINES);
        let end = behind.filter_map(Window::end).min()?;
        Some(end.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LINES, LogKind, RateLimit, SECOND};

    #[test]
    fn lines_that_are_left_out_are_counted() {
        let start = Instant::now();
        let mut pace = RateLimit::default();
        let admitted = |pace: &mut RateLimit, kind, now| {
            (0..100).filter(|_| pace.admits(kind, now)).count() as u64
        };
        assert_eq!(pace.next(start), None);
        assert_eq!(admitted(&mut pace, LogKind::Refused, start), LINES);
        assert_eq!(admitted(&mut pace, LogKind::Closed, start), LINES);
        let later = start + Duration::from_millis(900);
        assert_eq!(pace.due(later), Vec::<String>::new());
        assert_eq!(pace.next(later), Some(Duration::from_millis(100)));
        assert_eq!(admitted(&mut pace, LogKind::Refused, later), 0);
        let over = start + SECOND;
        assert_eq!(
            pace.due(over),
            [
                "left out 190 more lines about requests that were refused",
                "left out 90 more lines about connections that were closed",
            ]
        );
        assert_eq!(pace.due(over), Vec::<String>::new());
        assert_eq!(pace.next(over), None);
        assert_eq!(admitted(&mut pace, LogKind::Refused, over), LINES);
        // The permitted number leaves nothing out.
        assert!((0..LINES).all(|_| pace.admits(LogKind::InvalidAnswer, over)));
        assert_eq!(pace.due(over + SECOND).len(), 1);
        for _ in 0..=LINES {
            pace.admits(LogKind::InvalidAnswer, over);
        }
        assert_eq!(
            pace.rest(),
            ["left out one more line about answers that are not as they should be"]
        );
        assert_eq!(pace.rest(), Vec::<String>::new());
    }
}
