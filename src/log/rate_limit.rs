//! Limits the lines of a kind that are written in a second, where clients, or an application at their request, can cause
//! any number. The rest is counted, and the count is written when the second is over. Each application has a limit of its
//! own, so that one that fails hides nothing of the others, and of that each client has its share.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::form::{Level, LogSubject};
use crate::clients::ClientShares;

/// A kind of line that clients can cause as often as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// How many lines of each kind, about each application, are written in a second for a client.
const LINES: u64 = 10;

/// The same for all clients together. Where many cause lines, each has fewer ([`ClientShares`]).
const ALL_LINES: u64 = 50;

const SECOND: Duration = Duration::from_secs(1);

/// The name of an application; `None` where a server has one, and for lines about no application.
type LineSource = Option<Box<str>>;

/// How many lines of each kind there were about each application, in the second that began with the first of them.
#[derive(Debug, Default)]
pub(super) struct RateLimit(BTreeMap<(LogKind, LineSource), Window>);

#[derive(Debug)]
struct Window {
    since: Instant,
    /// Those that are written, and for which clients.
    written: ClientShares,
    left_out: u64,
}

impl Window {
    fn end(&self) -> Instant {
        self.since + SECOND
    }
}

/// Lines of a kind that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    source: LineSource,
    kind: LogKind,
    lines: u64,
}

impl LeftOut {
    /// The application that they were about.
    pub(super) fn application(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

/// How the log says it.
impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind.name();
        match self.lines {
            1 => write!(formatter, "left out one more line about {name}"),
            many => write!(formatter, "left out {many} more lines about {name}"),
        }
    }
}

impl RateLimit {
    /// Counts a line; whether it is written. To be called after [`RateLimit::due`].
    pub(super) fn admits(&mut self, kind: LogKind, about: LogSubject<'_>, now: Instant) -> bool {
        let window = self.0.entry((kind, about.application.map(Box::from)));
        let window = window.or_insert_with(|| Window {
            since: now,
            written: ClientShares::default(),
            left_out: 0,
        });
        let written = &mut window.written;
        let has_room = match about.client {
            Some(client) => written.of(client) < LINES && written.room(Some(client), ALL_LINES) > 0,
            // Those for no client are few where there are clients.
            None => written.unknown() < LINES,
        };
        match has_room {
            true => written.add(about.client, 1),
            false => window.left_out += 1,
        }
        has_room
    }

    /// The lines that were left out in seconds that are over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<LeftOut> {
        let is_over = |window: &Window| window.end() <= now;
        if !self.0.values().any(is_over) {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.0).into_iter();
        let (over, open): (BTreeMap<_, _>, _) = all.partition(|(_, window)| is_over(window));
        self.0 = open;
        let left_out = over.into_iter().map(|((kind, source), window)| LeftOut {
            source,
            kind,
            lines: window.left_out,
        });
        left_out.filter(|left_out| left_out.lines > 0).collect()
    }

    /// The same for all seconds that have begun, when no more lines come.
    pub(super) fn rest(&mut self) -> Vec<LeftOut> {
        let last = self.0.values().map(Window::end).max();
        last.map_or_else(Vec::new, |end| self.due(end))
    }

    /// The time until the log is to say that lines were left out.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let behind = self.0.values().filter(|window| window.left_out > 0);
        let end = behind.map(Window::end).min()?;
        Some(end.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{ALL_LINES, LINES, LeftOut, LogKind, LogSubject, RateLimit, SECOND};
    use crate::clients::ClientNetwork;

    fn admitted(limit: &mut RateLimit, kind: LogKind, about: Option<&str>, now: Instant) -> u64 {
        let about = LogSubject::application(about);
        (0..100).filter(|_| limit.admits(kind, about, now)).count() as u64
    }

    fn said(left_out: &[LeftOut]) -> Vec<String> {
        left_out.iter().map(LeftOut::to_string).collect()
    }

    #[test]
    fn lines_that_are_left_out_are_counted() {
        let start = Instant::now();
        let mut limit = RateLimit::default();
        assert_eq!(limit.next(start), None);
        assert_eq!(admitted(&mut limit, LogKind::Refused, None, start), LINES);
        assert_eq!(admitted(&mut limit, LogKind::Closed, None, start), LINES);
        let later = start + Duration::from_millis(900);
        assert!(limit.due(later).is_empty());
        assert_eq!(limit.next(later), Some(Duration::from_millis(100)));
        assert_eq!(admitted(&mut limit, LogKind::Refused, None, later), 0);
        let over = start + SECOND;
        assert_eq!(
            said(&limit.due(over)),
            [
                "left out 190 more lines about requests that were refused",
                "left out 90 more lines about connections that were closed",
            ]
        );
        assert!(limit.due(over).is_empty());
        assert_eq!(limit.next(over), None);
        assert_eq!(admitted(&mut limit, LogKind::Refused, None, over), LINES);
        // The permitted number leaves nothing out.
        assert!((0..LINES).all(|_| limit.admits(
            LogKind::InvalidAnswer,
            LogSubject::default(),
            over
        )));
        assert_eq!(limit.due(over + SECOND).len(), 1);
        for _ in 0..=LINES {
            limit.admits(LogKind::InvalidAnswer, LogSubject::default(), over);
        }
        assert_eq!(
            said(&limit.rest()),
            ["left out one more line about answers that are not as they should be"]
        );
        assert!(limit.rest().is_empty());
    }

    #[test]
    fn an_application_that_fails_hides_no_lines_about_others() {
        let start = Instant::now();
        let mut limit = RateLimit::default();
        let kind = LogKind::InvalidAnswer;
        for about in [Some("/a/"), Some("/b/"), None] {
            assert_eq!(admitted(&mut limit, kind, about, start), LINES, "{about:?}");
        }
        let left_out = limit.due(start + SECOND);
        let about: Vec<Option<&str>> = left_out.iter().map(LeftOut::application).collect();
        assert_eq!(about, [None, Some("/a/"), Some("/b/")]);
        // What is over takes no memory.
        assert!(limit.0.is_empty());
    }
    #[test]
    fn a_client_that_causes_many_lines_hides_none_of_others() {
        let start = Instant::now();
        let mut limit = RateLimit::default();
        let mut admitted = |client: u8, count: usize| {
            let client = ClientNetwork::of([192, 0, 2, client].into());
            let about = LogSubject::connection_from(Some(client));
            let lines = (0..count).filter(|_| limit.admits(LogKind::Refused, about, start));
            lines.count() as u64
        };
        assert_eq!(admitted(1, 100), LINES);
        assert_eq!(admitted(2, 3), 3);
        // However many do, the log stays short, and one more has a line.
        let many: u64 = (3..9).map(|client| admitted(client, 100)).sum();
        assert!(many + LINES + 3 < ALL_LINES, "{many}");
        assert_eq!(admitted(9, 1), 1);
    }
}
