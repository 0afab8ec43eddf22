//! What a line is: a text, before which stand the time and the level, or what the journal takes for the level, and the name
//! of the program where several share a log; or an object of JSON that has these as members.

use std::borrow::Cow;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::fstat;

use super::control_characters::{escaped, escaped_but_colours};
use super::json_object::JsonObject;
use super::text::{with_ids, without_numbers};
use crate::clients::ClientNetwork;
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
pub enum LineStyle {
    /// Nothing: who reads the lines adds the time, or has just typed a command.
    #[default]
    Plain,
    /// The time (RFC 3339, UTC) and the level.
    Time,
    /// The level as a priority, for the journal, which adds the time.
    Journal,
    /// Members of an object, which each line is.
    Json,
}

impl LineStyle {
    /// As the setting and Python name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Time => "time",
            Self::Journal => "journal",
            Self::Json => "json",
        }
    }

    /// The style for standard error: that of the journal if it is the journal, else `otherwise`.
    #[must_use]
    pub fn automatic(otherwise: Self) -> Self {
        let stream = std::env::var("JOURNAL_STREAM");
        match stream.is_ok_and(|stream| is_standard_error(&stream)) {
            true => Self::Journal,
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
    /// The time, the level, neither, or objects.
    pub style: LineStyle,
    /// The name of the program, where several share a log.
    pub name: Option<String>,
    /// The name of the application whose process writes the lines, where a server has several.
    pub application: Option<String>,
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

/// Whether lines are objects now.
pub(super) fn is_json() -> bool {
    let form = &current().form;
    form.as_ref()
        .is_some_and(|form| form.style == LineStyle::Json)
}

/// What a message is about: members of its object, where lines are objects. Elsewhere the application and the request stand
/// in the text.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSubject<'a> {
    /// The name of an application, where a server has several. Lines that are no objects begin with it.
    pub application: Option<&'a str>,
    /// The process id of a worker.
    pub worker: Option<i32>,
    /// The id of a request.
    pub request_id: Option<&'a str>,
    /// The id of the trace that the request belongs to.
    pub trace_id: Option<&'a str>,
    /// The client that it comes from, so that its lines hide none about others. It stands in the text.
    pub client: Option<ClientNetwork>,
}

impl<'a> LogSubject<'a> {
    /// A connection, or a request that could not be read.
    pub const CONNECTION: Self = Self {
        application: None,
        worker: None,
        request_id: None,
        trace_id: None,
        client: None,
    };

    /// The same, of a client that may be known.
    #[must_use]
    pub fn connection_from(client: Option<ClientNetwork>) -> Self {
        Self {
            client,
            ..Self::default()
        }
    }

    /// An application, by its name if it has one.
    #[must_use]
    pub fn application(name: Option<&'a str>) -> Self {
        Self {
            application: name,
            ..Self::default()
        }
    }
}

/// What a text is, for its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind<'a> {
    /// A message of ours.
    Message(Level),
    /// What a program has written that we have started.
    Output {
        /// What belongs before it where lines are no objects.
        before: &'a str,
        /// It is a part of a line whose rest comes next.
        goes_on: bool,
    },
    /// Mistakes and the like, which begin with `error: ` or `warning: ` themselves.
    Drawn(Level),
    /// Lines of the access log, which have a time of their own, in a format that programs read.
    Access,
    /// The same as objects of JSON, which have a name of their own, too.
    Object,
}

impl LineKind<'_> {
    fn level(self) -> Level {
        match self {
            Self::Message(level) | Self::Drawn(level) => level,
            Self::Output { .. } | Self::Access | Self::Object => Level::Info,
        }
    }
}

/// A text with what belongs before each of its lines, or as one object.
pub(super) fn formed(kind: LineKind<'_>, subject: LogSubject<'_>, text: &str) -> String {
    let mut current = current();
    let Current { form, seconds } = &mut *current;
    let form = form.get_or_insert_with(|| LineForm {
        style: LineStyle::automatic(LineStyle::Plain),
        ..LineForm::default()
    });
    let now = SystemTime::now();
    if form.style == LineStyle::Json {
        let object = match kind {
            LineKind::Object => text.to_owned(),
            LineKind::Output { goes_on: true, .. } => {
                let members = partial(JsonObject::default().members(&members(text, subject)));
                put_object(form, now, seconds, kind.level(), &members.into_members())
            }
            LineKind::Message(_)
            | LineKind::Output { .. }
            | LineKind::Drawn(_)
            | LineKind::Access => {
                put_object(form, now, seconds, kind.level(), &members(text, subject))
            }
        };
        return object + "\n";
    }
    let text = match kind {
        LineKind::Message(_) => with_ids(text, subject.request_id, subject.trace_id),
        LineKind::Output { goes_on: true, .. } => format!("{text}…").into(),
        LineKind::Output { .. } | LineKind::Drawn(_) | LineKind::Access | LineKind::Object => {
            text.into()
        }
    };
    put_before(
        &before(kind, subject, form, now, seconds),
        &without_controls(kind, &text),
    )
}

/// Marks an object whose message goes on in the next object about the same.
pub(super) fn partial(object: JsonObject) -> JsonObject {
    object.number("partial", true)
}

/// A text that a terminal shows and does not obey, whatever clients and applications have put into it. What is drawn has
/// colours, and so may have what a program writes.
fn without_controls<'a>(kind: LineKind<'_>, text: &'a str) -> Cow<'a, str> {
    match kind {
        LineKind::Message(_) | LineKind::Access => escaped(text),
        LineKind::Drawn(_) | LineKind::Output { .. } => escaped_but_colours(text),
        // JSON has its own escapes.
        LineKind::Object => Cow::Borrowed(text),
    }
}

/// An object of JSON: the time (RFC 3339, UTC), the level, the name of the program, and these members.
pub(super) fn object(time: SystemTime, level: Level, members: &str) -> String {
    let mut current = current();
    let Current { form, seconds } = &mut *current;
    let form = form.get_or_insert_default();
    put_object(form, time, seconds, level, members)
}

fn put_object(
    form: &LineForm,
    time: SystemTime,
    seconds: &mut PerSecond<String>,
    level: Level,
    members: &str,
) -> String {
    let second = seconds.at(time);
    JsonObject::default()
        .text(
            "time",
            Some(&format!("{second}.{:03}Z", clock::millisecond(time))),
        )
        .text("level", Some(level.word()))
        .text("name", form.name.as_deref())
        .members(members)
        .finish()
}

/// The members of a message. Those about what it is about are there only if they are known.
fn members(text: &str, subject: LogSubject<'_>) -> String {
    let mut object = JsonObject::default().text("message", Some(text.trim_end_matches('\n')));
    if subject.application.is_some() {
        object = object.text("application", subject.application);
    }
    if let Some(worker) = subject.worker {
        object = object.number("worker", worker);
    }
    for (name, id) in [
        ("request_id", subject.request_id),
        ("trace_id", subject.trace_id),
    ] {
        if id.is_some() {
            object = object.text(name, id);
        }
    }
    object.into_members()
}

/// A message of ours with what belongs before each of its lines, or as an object.
pub(super) fn message(level: Level, text: &str) -> String {
    message_about(level, LogSubject::default(), text)
}

/// The same about something.
pub(super) fn message_about(level: Level, subject: LogSubject<'_>, text: &str) -> String {
    formed(LineKind::Message(level), subject, &without_numbers(text))
}

fn before(
    kind: LineKind<'_>,
    subject: LogSubject<'_>,
    form: &LineForm,
    now: SystemTime,
    seconds: &mut PerSecond<String>,
) -> String {
    let level = kind.level();
    let mut before = match form.style {
        LineStyle::Plain | LineStyle::Json => String::new(),
        LineStyle::Journal => level.priority().to_owned(),
        LineStyle::Time if matches!(kind, LineKind::Access | LineKind::Object) => String::new(),
        LineStyle::Time => format!("{}.{:03}Z ", seconds.at(now), clock::millisecond(now)),
    };
    let has_level = matches!(kind, LineKind::Message(_) | LineKind::Output { .. });
    if form.style == LineStyle::Time && has_level {
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
        if let Some(application) = subject.application {
            // It must not begin another line.
            before.push_str(&application.replace(char::is_control, " "));
            before.push_str(": ");
        }
    }
    if let LineKind::Output { before: name, .. } = kind {
        before.push_str(name);
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

    fn shown(style: LineStyle, name: Option<&str>, kind: LineKind<'_>) -> String {
        shown_about(style, name, kind, LogSubject::default())
    }

    fn shown_about(
        style: LineStyle,
        name: Option<&str>,
        kind: LineKind<'_>,
        subject: LogSubject<'_>,
    ) -> String {
        let form = LineForm {
            style,
            name: name.map(str::to_owned),
            application: None,
        };
        let now = UNIX_EPOCH + Duration::from_millis(971_186_136_042);
        let mut seconds = PerSecond::new(clock::second);
        put_before(
            &before(kind, subject, &form, now, &mut seconds),
            "one\n\ntwo",
        )
    }

    #[test]
    fn a_message_about_one_of_several_applications_names_it() {
        let subject = LogSubject::application(Some("/a\n/"));
        let shown = shown_about(
            LineStyle::Plain,
            Some("shop"),
            LineKind::Message(Level::Error),
            subject,
        );
        let before = "shop: runner: /a /: ";
        assert_eq!(shown, format!("{before}one\n{before}\n{before}two\n"));
        assert_eq!(
            members("one", subject),
            r#""message":"one","application":"/a\n/""#
        );
    }

    #[test]
    fn each_line_of_a_text_has_the_same_beginning() {
        use LineKind::{Access, Drawn, Message};
        let output = LineKind::Output {
            before: "node[7]: ",
            goes_on: false,
        };
        let failure = Drawn(Level::Error);
        let error = Message(Level::Error);
        let info = Message(Level::Info);
        for (style, name, kind, before) in [
            (LineStyle::Plain, None, error, "runner: "),
            (LineStyle::Plain, None, failure, ""),
            (LineStyle::Plain, Some("shop"), Access, "shop: "),
            (
                LineStyle::Time,
                None,
                info,
                "2000-10-10T13:55:36.042Z info runner: ",
            ),
            (
                LineStyle::Time,
                Some("shop"),
                Message(Level::Warning),
                "2000-10-10T13:55:36.042Z warning shop: runner: ",
            ),
            (LineStyle::Time, None, failure, "2000-10-10T13:55:36.042Z "),
            (LineStyle::Time, None, Access, ""),
            (LineStyle::Journal, None, error, "<3>runner: "),
            (
                LineStyle::Journal,
                Some("shop"),
                Drawn(Level::Warning),
                "<4>shop: ",
            ),
            (LineStyle::Journal, None, Access, "<6>"),
            (
                LineStyle::Time,
                Some("shop"),
                output,
                "2000-10-10T13:55:36.042Z info shop: node[7]: ",
            ),
            (LineStyle::Plain, None, output, "node[7]: "),
        ] {
            let expected = format!("{before}one\n{before}\n{before}two\n");
            assert_eq!(shown(style, name, kind), expected);
        }
    }

    #[test]
    fn an_object_has_the_text_in_one_piece_and_what_it_is_about() {
        let subject = LogSubject {
            worker: Some(7),
            request_id: Some("a"),
            ..LogSubject::default()
        };
        assert_eq!(
            members("one\n\x1b[2J\n", subject),
            r#""message":"one\n\u001b[2J","worker":7,"request_id":"a""#
        );
        assert_eq!(members("one", LogSubject::default()), r#""message":"one""#);
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
