//! The log: whole lines on standard error, where the output of the application goes, too.
//!
//! A server that waited for its log would stop when the log is not read. From [`begin`] on, lines are therefore put into a
//! [`queue`], which a thread of its own writes: see there.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};

use form::{LineKind, formed, message_about, object};
use queue::LineQueue;

pub use access_file::AccessFile;
pub use access_sink::{AccessDestination, has_access_file, reopen_access};
pub use application_output::ApplicationOutput;
pub use control_characters::escaped;
pub use form::{Level, LineForm, LineStyle, LogSubject, set_form};
pub use json_object::JsonObject;
pub use program_output::ProgramOutput;
pub use rate_limit::LogKind;
pub use syslog::Facility;
pub use text::without_numbers;

mod access_file;
mod access_sink;
mod application_output;
mod control_characters;
mod form;
mod json_object;
mod program_output;
mod queue;
mod rate_limit;
mod syslog;
mod text;

/// Set by [`begin`].
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// How long a process that ends waits for its last lines to be written, and lines of an application for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stack of the thread that writes, which needs little.
const STACK: usize = 256 * 1024;

/// Starts the thread that writes: from now on nothing waits for the log, and panics are logged.
///
/// # Errors
/// The system has no more threads.
pub fn begin() -> anyhow::Result<()> {
    let queue = QUEUE.get_or_init(LineQueue::default);
    let thread = std::thread::Builder::new().name("log".to_owned());
    let started = thread.stack_size(STACK).spawn(|| queue.run(StandardError));
    started.context("cannot start a thread for the log")?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Dropped at the end of the program, it waits until the log is written, though not for long.
#[derive(Debug)]
pub struct FlushAtExit;

impl Drop for FlushAtExit {
    fn drop(&mut self) {
        application_output::finish(put);
        // The files first: what is missing in them is said in the log.
        access_sink::finish();
        if let Some(queue) = QUEUE.get() {
            queue.finish(PATIENCE);
        }
    }
}

/// Writes one message, in a single write so that lines of several processes do not mix. Each of its lines has the same
/// beginning, or all are one object: see [`LineForm`]. If that fails, the program goes on.
pub fn write(level: Level, subject: LogSubject<'_>, text: Arguments<'_>) {
    put(message_about(level, subject, &text.to_string()));
}

/// The same for messages that clients can cause as often as they like: some of each kind, about each application and
/// from each client, are written in a second, the rest is counted.
pub fn write_of(kind: LogKind, subject: LogSubject<'_>, text: Arguments<'_>) {
    let message = message_about(kind.level(), subject, &text.to_string());
    match QUEUE.get() {
        Some(queue) => queue.put_of(kind, subject, message),
        None => now(&message),
    }
}

/// Descriptors for a process of an application: standard error of this process; or, where the log has objects, others,
/// from which a thread reads.
///
/// # Errors
/// The system has no more descriptors or threads.
pub fn application_output(style: LineStyle) -> io::Result<ApplicationOutput> {
    application_output::application_output(style, put_patiently)
}

/// Has lines of the log made of what a program writes to a pipe, which is read by a thread: the name of the program, the number
/// of its process, and the name of its application, where a server has several.
///
/// # Errors
/// The system has no more threads.
pub fn follow_program(
    pipe: OwnedFd,
    program: (&str, i32),
    application: Option<String>,
) -> io::Result<ProgramOutput> {
    ProgramOutput::follow(pipe, program, application, put_patiently)
}

/// Counts lines as missing that a process of ours could not write.
pub fn lost(lines: u64) {
    if let Some(queue) = QUEUE.get() {
        queue.lose(lines);
    }
}

/// Has the lines of the access log written to a destination from now on. What has been logged before goes to the old one.
pub fn direct_access(destination: AccessDestination) {
    access_sink::direct_access(destination, put);
}

/// Writes a line of the access log, in a single write, to its destination: see [`direct_access`]. In a log of objects it is
/// one, of this time, with `members` of its own beside the line as `message`.
pub fn access(line: String, time: SystemTime, members: impl FnOnce(&str) -> String) {
    let Some(line) = access_sink::put(LineKind::Access, line) else {
        return;
    };
    put(match form::is_json() {
        true => {
            let object = object(time, Level::Info, &members(&line));
            formed(LineKind::Object, LogSubject::default(), &object)
        }
        false => formed(LineKind::Access, LogSubject::default(), &line),
    });
}

/// Writes a line of the access log that is an object of JSON. `members` are those that it has beside `time`, `level` and
/// `name`.
pub fn access_object(time: SystemTime, members: &str) {
    let object = object(time, Level::Info, members);
    if let Some(object) = access_sink::put(LineKind::Object, object) {
        put(formed(LineKind::Object, LogSubject::default(), &object));
    }
}

/// Writes mistakes and the like, which say themselves how serious they are: whole lines.
pub fn drawn(level: Level, text: &str) {
    put(formed(LineKind::Drawn(level), LogSubject::default(), text));
}

fn put(lines: String) {
    match QUEUE.get() {
        Some(queue) => queue.put(lines),
        None => now(&lines),
    }
}

/// Adds lines of others, for whose sake the caller waits.
fn put_patiently(lines: String) {
    match QUEUE.get() {
        Some(queue) => queue.put_patiently(lines, PATIENCE),
        None => now(&lines),
    }
}

/// For commands that end soon, and may wait.
fn now(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Logs where a panic has happened, with its backtrace if `RUST_BACKTRACE` asks for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let what = match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload
            .downcast_ref::<String>()
            .map_or("no reason is given", String::as_str),
    };
    let mut message = "a fault in runner itself".to_owned();
    // Writing to a string cannot fail.
    let _ = match panic.location() {
        Some(place) => write!(message, ", at {place}: {what}"),
        None => write!(message, ": {what}"),
    };
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        let _ = write!(message, "\n{trace}");
    }
    crate::log_error!("{message}");
}

/// Standard error without the lock of the standard library: waiting for it blocks no other thread.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(io::stderr(), bytes).map_err(io::Error::from) {
                // Another process that shares it may have made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let stderr = io::stderr();
                    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether lines are objects.
#[must_use]
pub fn has_objects() -> bool {
    form::is_json()
}

/// Whether standard error is written in colour: not where lines are objects.
#[must_use]
pub fn colour() -> bool {
    !form::is_json() && colour_on(&std::io::stderr())
}

/// Whether a stream is written in colour: if it is a terminal, unless `NO_COLOR` (<https://no-color.org>) is set.
#[must_use]
pub fn colour_on(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !refused && stream.is_terminal()
}

/// Writes to the log what happens: `log!("serving {url}")`. What it is about can stand before the text, here and below:
/// `log!(about = hub.subject_of(pid), "worker {pid} is replaced")`.
#[macro_export]
macro_rules! log {
    ($($part:tt)*) => {
        $crate::log_at!($crate::log::Level::Info, $($part)*)
    };
}

/// Writes to the log what is not as it should be, where the server goes on: `log_warning!("the pid file is stale")`.
#[macro_export]
macro_rules! log_warning {
    ($($part:tt)*) => {
        $crate::log_at!($crate::log::Level::Warning, $($part)*)
    };
}

/// Writes to the log what has failed: `log_error!("worker {pid} died")`.
#[macro_export]
macro_rules! log_error {
    ($($part:tt)*) => {
        $crate::log_at!($crate::log::Level::Error, $($part)*)
    };
}

/// Writes to the log at a level; the other macros are for use.
#[macro_export]
macro_rules! log_at {
    ($level:expr, about = $subject:expr, $($part:tt)*) => {
        $crate::log::write($level, $subject, format_args!($($part)*))
    };
    ($level:expr, $($part:tt)*) => {
        $crate::log::write($level, $crate::log::LogSubject::default(), format_args!($($part)*))
    };
}

/// The same for messages that clients can cause as often as they like. Most are about a request, so each says what it is
/// about: `log_of!(LogKind::NotReadable, about = name.subject(), "cannot read a file")`.
#[macro_export]
macro_rules! log_of {
    ($kind:expr, about = $subject:expr, $($part:tt)*) => {
        $crate::log::write_of($kind, $subject, format_args!($($part)*))
    };
}
