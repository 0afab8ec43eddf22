//! What stands before each line: the time and the level, or what the journal takes for the level, and the name of the
//! program where several share a log.

use std::borrow::Cow;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::fstat;

use super::control_characters::{escaped, escaped_but_colours};
use super::json_object::JsonObject;
use super::text::without_numbers;
use crate::clock::{self, PerSecond};

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something has failed: a request, a worker, a reload.
    Error,
    /// Something is not as it should be, and the server goes on.
    Warning,
    /// What happens.
    Info,
}

impl Level {
    /// As lines show it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// As the journal takes it from the beginning of a line (sd-daemon(3)).
    #[must_use]
    pub fn priority(self) -> &'static str {
        match self {
            Self::Error => "<3>",
            Self::Warning => "<4>",
            Self::Info => "<6>",
        }
    }
}

/// What tells when a line was written, and how serious it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing: who reads the lines adds the time, or has just typed a command.
    #[default]
    Nothing,
    /// The time (RFC 3339, UTC) and the level.
    Time,
    /// The level as a priority, for the journal, which adds the time.
    Priority,
}

impl Stamp {
    /// The stamp for standard error: the priority if that is the journal, else `otherwise`.
    #[must_use]
    pub fn automatic(otherwise: Self) -> Self {
        let stream = std::env::var("JOURNAL_STREAM");
        match stream.is_ok_and(|stream| is_standard_error(&stream)) {
            true => Self::Priority,
            false => otherwise,
        }
    }
}

/// Whether this `DEVICE:INODE` (systemd.exec(5), `JOURNAL_STREAM`) is that of standard error.
fn is_standard_error(stream: &str) -> bool {
    fstat(io::stderr()).is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

/// The form of the lines of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineForm {
    /// The time, the level, or neither.
    pub stamp: Stamp,
    /// The name of the program, where several share a log.
    pub name: Option<String>,
}

/// The form that was set, and the time of the last line.
struct Current {
    /// Before it is set, this is a command at a terminal, or a server that may not come to be.
    form: Option<LineForm>,
    seconds: PerSecond<String>,
}

static CURRENT: Mutex<Current> = Mutex::new(Current {
    form: None,
    seconds: PerSecond::new(clock::second),
});

/// Sets the form of the lines from now on.
pub fn set_form(form: LineForm) {
    current().form = Some(form);
}

fn current() -> MutexGuard<'static, Current> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a text is, for its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A message of ours.
    Message(Level),
    /// Mistakes and the like, which begin with `error: ` or `warning: ` themselves.
    Drawn(Level),
    /// Lines of the access log, which have a time of their own, in a format that programs read.
    Access,
    /// The same as objects of JSON, which have a name of their own, too.
    Object,
}

/// A text with what belongs before each of its lines.
pub(super) fn formed(kind: LineKind, text: &str) -> String {
    let mut current = current();
    let Current { form, seconds } = &mut *current;
    let form = form.get_or_insert_with(|| LineForm {
        stamp: Stamp::automatic(Stamp::Nothing),
        name: None,
    });
    let now = SystemTime::now();
    put_before(
        &before(kind, form, now, seconds),
        &without_controls(kind, text),
    )
}

/// A text that a terminal shows and does not obey, whatever clients and applications have put into it. What is drawn has
/// colours.
fn without_controls(kind: LineKind, text: &str) -> Cow<'_, str> {
    match kind {
        LineKind::Message(_) | LineKind::Access => escaped(text),
        LineKind::Drawn(_) => escaped_but_colours(text),
        // JSON has its own escapes.
        LineKind::Object => Cow::Borrowed(text),
    }
}

/// An object of JSON: the time (RFC 3339, UTC), the level, the name of the program, and these members.
pub(super) fn object(time: SystemTime, level: Level, members: &str) -> String {
    let mut current = current();
    let Current { form, seconds } = &mut *current;
    let second = seconds.at(time);
    let name = form.as_ref().and_then(|form| form.name.as_deref());
    JsonObject::default()
        .text(
            "time",
            Some(&format!("{second}.{:03}Z", clock::millisecond(time))),
        )
        .text("level", Some(level.word()))
        .text("name", name)
        .members(members)
        .finish()
}

/// A message of ours with what belongs before each of its lines.
pub(super) fn message(level: Level, text: &str) -> String {
    formed(LineKind::Message(level), &without_numbers(text))
}

fn before(
    kind: LineKind,
    form: &LineForm,
    now: SystemTime,
    seconds: &mut PerSecond<String>,
) -> String {
    let level = match kind {
        LineKind::Message(level) | LineKind::Drawn(level) => level,
        LineKind::Access | LineKind::Object => Level::Info,
    };
    let mut before = match form.stamp {
        Stamp::Nothing => String::new(),
        Stamp::Priority => level.priority().to_owned(),
        Stamp::Time if matches!(kind, LineKind::Access | LineKind::Object) => String::new(),
        Stamp::Time => format!("{}.{:03}Z ", seconds.at(now), clock::millisecond(now)),
    };
    if form.stamp == Stamp::Time && matches!(kind, LineKind::Message(_)) {
        before.push_str(level.word());
        before.push(' ');
    }
    if let Some(name) = &form.name
        && kind != LineKind::Object
    {
        before.push_str(name);
        before.push_str(": ");
    }
    if matches!(kind, LineKind::Message(_)) {
        before.push_str("runner: ");
    }
    before
}

fn put_before(before: &str, text: &str) -> String {
    let mut formed = String::with_capacity(text.len() + before.len() + 1);
    for line in text.lines() {
        formed.push_str(before);
        formed.push_str(line);
        formed.push('\n');
    }
    formed
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn shown(stamp: Stamp, name: Option<&str>, kind: LineKind) -> String {
        let form = LineForm {
            stamp,
            name: name.map(str::to_owned),
        };
        let now = UNIX_EPOCH + Duration::from_millis(971_186_136_042);
        let mut seconds = PerSecond::new(clock::second);
        put_before(&before(kind, &form, now, &mut seconds), "one\n\ntwo")
    }

    #[test]
    fn each_line_of_a_text_has_the_same_beginning() {
        use LineKind::{Access, Drawn, Message};
        let failure = Drawn(Level::Error);
        let error = Message(Level::Error);
        let info = Message(Level::Info);
        for (stamp, name, kind, before) in [
            (Stamp::Nothing, None, error, "runner: "),
            (Stamp::Nothing, None, failure, ""),
            (Stamp::Nothing, Some("shop"), Access, "shop: "),
            (
                Stamp::Time,
                None,
                info,
                "2000-10-10T13:55:36.042Z info runner: ",
            ),
            (
                Stamp::Time,
                Some("shop"),
                Message(Level::Warning),
                "2000-10-10T13:55:36.042Z warning shop: runner: ",
            ),
            (Stamp::Time, None, failure, "2000-10-10T13:55:36.042Z "),
            (Stamp::Time, None, Access, ""),
            (Stamp::Priority, None, error, "<3>runner: "),
            (
                Stamp::Priority,
                Some("shop"),
                Drawn(Level::Warning),
                "<4>shop: ",
            ),
            (Stamp::Priority, None, Access, "<6>"),
        ] {
            let expected = format!("{before}one\n{before}\n{before}two\n");
            assert_eq!(shown(stamp, name, kind), expected);
        }
    }

    #[test]
    fn no_line_of_any_kind_clears_the_screen() {
        for (kind, colour) in [
            (LineKind::Message(Level::Error), "\\x1b[31m"),
            (LineKind::Access, "\\x1b[31m"),
            (LineKind::Drawn(Level::Error), "\x1b[31m"),
        ] {
            let text = "a\x1b[2J\rb\u{9b}\n\tc\x1b[31m";
            let shown = without_controls(kind, text).into_owned();
            assert_eq!(shown, format!("a\\x1b[2J\\rb\\x9b\n\tc{colour}"));
        }
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let found = fstat(io::stderr()).unwrap();
        let (device, inode) = (found.st_dev, found.st_ino);
        assert!(is_standard_error(&format!("{device}:{inode}")));
        for other in ["", ":", "0:0", &format!("{device}:{}", inode + 1)] {
            assert!(!is_standard_error(other), "{other}");
        }
    }
}
