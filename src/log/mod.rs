//! The log: a line at a time on standard error, where the application's own output goes too.
//!
//! A server that waited for its log would stop when nobody reads that. So from [`begin`] on lines are put into a
//! [`queue`] that a thread of its own empties, and no line is a reason to wait: see there.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};

use queue::LineQueue;
use text::prefixed;

pub use rate_limit::LogKind;
pub use text::without_numbers;

mod queue;
mod rate_limit;
mod text;

/// There from [`begin`] on.
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// How long a process that ends waits until its last lines are written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stack of the thread that writes: it does little.
const STACK: usize = 256 * 1024;

/// From now on nobody waits for the log, and what a fault of ours says goes there, too.
///
/// # Errors
/// The system has no more threads.
pub fn begin() -> anyhow::Result<()> {
    let queue = QUEUE.get_or_init(LineQueue::default);
    let thread = std::thread::Builder::new().name("log".to_owned());
    let started = thread.stack_size(STACK).spawn(|| queue.run(StandardError));
    started.context("cannot start a thread for the log")?;
    std::panic::set_hook(Box::new(say_fault));
    Ok(())
}

/// Dropped at the end of the program: waits until what was logged is written, though not for long.
#[derive(Debug)]
pub struct FlushAtExit;

impl Drop for FlushAtExit {
    fn drop(&mut self) {
        if let Some(queue) = QUEUE.get() {
            queue.finish(PATIENCE);
        }
    }
}

/// Writes one message, `runner: ` before each of its lines, in a single write so that lines of several
/// processes do not mix. A log that cannot be written is no reason to stop.
pub fn write(message: Arguments<'_>) {
    text(prefixed(&message.to_string()));
}

/// The same for messages that others can cause as often as they like: some of a kind are written in a second, the
/// others counted.
pub fn write_of(kind: LogKind, message: Arguments<'_>) {
    let message = prefixed(&message.to_string());
    match QUEUE.get() {
        Some(queue) => queue.put_of(kind, message),
        None => now(&message),
    }
}

/// Notes that so many lines are missing, which a process of ours could not write.
pub fn lost(lines: u64) {
    if let Some(queue) = QUEUE.get() {
        queue.lose(lines);
    }
}

/// Writes one line as it is, in a single write.
pub fn line(line: &str) {
    text(format!("{line}\n"));
}

/// Writes whole lines as they are.
pub fn text(text: String) {
    match QUEUE.get() {
        Some(queue) => queue.put(text),
        None => now(&text),
    }
}

/// For programs that do something and end: they may wait.
fn now(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says where a fault of ours is. Where `RUST_BACKTRACE` asks for it, how it was come to, too.
fn say_fault(fault: &PanicHookInfo<'_>) {
    let payload = fault.payload();
    let what = match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload
            .downcast_ref::<String>()
            .map_or("no reason is given", String::as_str),
    };
    let mut message = "a fault in runner itself".to_owned();
    // Writing to a string cannot fail.
    let _ = match fault.location() {
        Some(place) => write!(message, ", at {place}: {what}"),
        None => write!(message, ": {what}"),
    };
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        let _ = write!(message, "\n{trace}");
    }
    write(format_args!("{message}"));
}

/// Standard error without the lock that the standard library has for it: whoever waits here holds up nobody.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(io::stderr(), bytes).map_err(io::Error::from) {
                // Somebody who shares it may have made it so.
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

/// The same for what others can cause as often as they like: `log_of!(LogKind::Refused, "refused a request")`.
#[macro_export]
macro_rules! log_of {
    ($kind:expr, $($part:tt)*) => {
        $crate::log::write_of($kind, format_args!($($part)*))
    };
}
