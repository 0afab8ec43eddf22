//! Where the lines of the access log go, if that is not the log itself: a file or the system's log, each with a thread that
//! writes. Nothing waits for it: lines for which there is no room, or that cannot be written, are counted, and the log says
//! how many are missing, once a minute. A file that was removed is made again; until that is possible, its lines are in the
//! log, as if there were no file.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem::take;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::access_file::AccessFile;
use super::form::{Level, LineKind, LogSubject, formed};
use super::syslog::{Facility, Syslog};
use super::text::without_numbers;

/// The most bytes of lines that wait for one destination.
const ROOM: usize = 4 * 1024 * 1024;

/// The size of a write from which on the next line waits for the next write, in bytes.
const AT_ONCE: usize = 64 * 1024;

/// The time between two messages about the same trouble.
const MINUTE: Duration = Duration::from_secs(60);

/// How long a process that ends waits for its last lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stack of a thread that writes, which needs little.
const STACK: usize = 256 * 1024;

/// The pause before a file that could not be opened again is tried the next time.
const RETRY: Duration = Duration::from_secs(1);

/// Where the access log goes: to all of these, or to standard error if there are none.
#[derive(Debug, Default)]
pub struct AccessDestination {
    /// A file.
    pub file: Option<AccessFile>,
    /// The system's log, under this facility and name.
    pub syslog: Option<(Facility, String)>,
}

/// The destinations in force.
#[derive(Default)]
struct Sinks {
    file: Option<Sink>,
    syslog: Option<Sink>,
}

static SINKS: Mutex<Sinks> = Mutex::new(Sinks {
    file: None,
    syslog: None,
});

fn sinks() -> MutexGuard<'static, Sinks> {
    SINKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sinks {
    fn all(&self) -> impl Iterator<Item = &Sink> {
        self.file.iter().chain(&self.syslog)
    }
}

/// Has the lines of the access log written there from now on, or to the log by `put` while a file is gone. What has been logged
/// before goes to the old destinations.
pub(super) fn direct_access(destination: AccessDestination, put: fn(String)) {
    let mut sinks = sinks();
    let Sinks { file, syslog } = &mut *sinks;
    direct(file, destination.file.map(SinkTarget::File), put);
    let target = destination.syslog;
    let target = target.map(|(facility, name)| SinkTarget::System(Syslog::new(facility, name)));
    direct(syslog, target, put);
}

fn direct(sink: &mut Option<Sink>, target: Option<SinkTarget>, put: fn(String)) {
    *sink = match (sink.take(), target) {
        // The thread of a sink that is dropped writes what it has and ends.
        (_, None) => None,
        (Some(sink), Some(target)) => {
            sink.order(SinkOrder::Direct(target));
            Some(sink)
        }
        (None, Some(target)) => match Sink::start(target, put) {
            Ok(sink) => Some(sink),
            Err(error) => {
                crate::log_error!("cannot start a thread for the access log: {error}");
                None
            }
        },
    };
}

/// Whether the access log goes to a file.
#[must_use]
pub fn has_access_file() -> bool {
    sinks().file.is_some()
}

/// Opens the file of the access log again by its name, since the old one was moved away.
pub fn reopen_access() {
    if let Some(sink) = &sinks().file {
        sink.order(SinkOrder::Reopen);
    }
}

/// Gives a line, without its end, to the destinations. Returns it if there are none.
pub(super) fn put(kind: LineKind<'static>, mut text: String) -> Option<String> {
    let sinks = sinks();
    if sinks.file.is_none() && sinks.syslog.is_none() {
        return Some(text);
    }
    text.push('\n');
    let text = text.into();
    let line = AccessLine { kind, text };
    sinks.all().for_each(|sink| sink.put(line.clone()));
    None
}

/// A line with its end, and what it is.
#[derive(Clone)]
struct AccessLine {
    kind: LineKind<'static>,
    text: Arc<str>,
}

/// Waits until all is written, though not for long.
pub(super) fn finish() {
    let waits: Vec<Receiver<()>> = sinks().all().map(Sink::flush).collect();
    let deadline = Instant::now() + PATIENCE;
    for wait in waits {
        let _ = wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// The near end of a thread that writes.
struct Sink {
    orders: Sender<SinkOrder>,
    fill: Arc<Fill>,
}

/// What waits for a thread, and what does not.
#[derive(Default)]
struct Fill {
    /// The bytes of the lines that wait.
    held: AtomicUsize,
    /// The lines for which there was no room.
    lost: AtomicU64,
}

enum SinkOrder {
    Line(AccessLine),
    Reopen,
    Direct(SinkTarget),
    Flush(Sender<()>),
}

impl Sink {
    fn start(target: SinkTarget, put: fn(String)) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let fill = Arc::<Fill>::default();
        let writer = SinkWriter {
            inbox,
            fill: Arc::clone(&fill),
            target,
            put,
            batch: Vec::new(),
            size: 0,
            is_torn: false,
            missing: Trouble::default(),
            reopening: None,
            is_old: false,
            unopened: Trouble::default(),
        };
        let thread = std::thread::Builder::new().name("access log".to_owned());
        thread.stack_size(STACK).spawn(|| writer.run())?;
        Ok(Self { orders, fill })
    }

    fn put(&self, line: AccessLine) {
        let length = line.text.len();
        if self.fill.held.fetch_add(length, Ordering::Relaxed) > ROOM {
            self.fill.held.fetch_sub(length, Ordering::Relaxed);
            self.fill.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.order(SinkOrder::Line(line));
        }
    }

    fn order(&self, order: SinkOrder) {
        // The thread ends only when this is dropped.
        let _ = self.orders.send(order);
    }

    fn flush(&self) -> Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        self.order(SinkOrder::Flush(sender));
        receiver
    }
}

enum SinkTarget {
    File(AccessFile),
    System(Syslog),
}

impl SinkTarget {
    /// Whether it is a file that was removed.
    fn is_removed(&self) -> bool {
        match self {
            Self::File(file) => file.is_removed(),
            Self::System(_) => false,
        }
    }
}

/// Trouble that the log mentions once a minute.
#[derive(Default)]
struct Trouble {
    /// How often it has happened since.
    count: u64,
    why: String,
    said: Option<Instant>,
}

impl Trouble {
    fn add(&mut self, count: u64, why: &dyn std::fmt::Display) {
        self.count += count;
        self.why = without_numbers(&why.to_string());
    }

    /// The time until it is to be said; `None` if there is none.
    fn due(&self, now: Instant) -> Option<Duration> {
        let since = self.said.map(|said| now.saturating_duration_since(said));
        (self.count > 0).then(|| since.map_or(Duration::ZERO, |since| MINUTE.saturating_sub(since)))
    }

    /// Takes it, if it is to be said, or `at_once`.
    fn take(&mut self, now: Instant, at_once: bool) -> Option<(u64, String)> {
        let due = self.due(now)?;
        (at_once || due.is_zero()).then(|| {
            self.said = Some(now);
            (take(&mut self.count), take(&mut self.why))
        })
    }
}

/// The thread that writes.
struct SinkWriter {
    inbox: Receiver<SinkOrder>,
    fill: Arc<Fill>,
    target: SinkTarget,
    /// Adds lines to the log.
    put: fn(String),
    /// The lines of the next write, and their size in bytes.
    batch: Vec<AccessLine>,
    size: usize,
    /// The last line in the file was written in part.
    is_torn: bool,
    missing: Trouble,
    /// When the file is to be opened again.
    reopening: Option<Instant>,
    /// The file is one that was to be opened again, and could not be.
    is_old: bool,
    unopened: Trouble,
}

impl SinkWriter {
    /// Writes until the other end is dropped.
    fn run(mut self) {
        loop {
            let now = Instant::now();
            let due = [self.missing.due(now), self.unopened.due(now)];
            let first = match due.into_iter().flatten().min() {
                Some(due) => self.inbox.recv_timeout(due),
                None => self.inbox.recv().map_err(RecvTimeoutError::from),
            };
            let mut next = match first {
                Ok(order) => Ok(order),
                Err(RecvTimeoutError::Timeout) => Err(TryRecvError::Empty),
                Err(RecvTimeoutError::Disconnected) => Err(TryRecvError::Disconnected),
            };
            while let Ok(order) = next {
                self.obey(order);
                next = self.inbox.try_recv();
            }
            self.write();
            let is_end = matches!(next, Err(TryRecvError::Disconnected));
            self.report(is_end);
            if is_end {
                return;
            }
        }
    }

    fn obey(&mut self, order: SinkOrder) {
        match order {
            SinkOrder::Line(line) => {
                self.size += line.text.len();
                self.batch.push(line);
                if self.size >= AT_ONCE {
                    self.write();
                }
            }
            SinkOrder::Reopen => {
                self.write();
                self.reopening = Some(Instant::now());
                // A person or a program has just asked for it: a failure is said now, however short the last one is ago.
                self.unopened = Trouble::default();
                self.reopen();
            }
            SinkOrder::Direct(target) => {
                self.write();
                self.target = target;
                self.is_torn = false;
                self.reopening = None;
                self.is_old = false;
            }
            SinkOrder::Flush(done) => {
                self.write();
                self.report(true);
                // The other end may have waited long enough.
                let _ = done.send(());
            }
        }
    }

    /// Writes the lines that there are.
    fn write(&mut self) {
        if !self.batch.is_empty() && self.reopening.is_none() && self.target.is_removed() {
            self.reopening = Some(Instant::now());
        }
        self.reopen();
        let has_no_file = !self.batch.is_empty() && self.target.is_removed();
        if has_no_file {
            // Why the lines are in the log stands before them.
            self.report(false);
        }
        let lines = take(&mut self.batch);
        let written = match &mut self.target {
            _ if has_no_file => {
                for line in &lines {
                    let text = line.text.trim_end();
                    (self.put)(formed(line.kind, LogSubject::default(), text));
                }
                Ok(())
            }
            SinkTarget::File(file) => {
                let mut text = Vec::with_capacity(self.size + 1);
                if self.is_torn {
                    text.push(b'\n');
                }
                lines
                    .iter()
                    .for_each(|line| text.extend_from_slice(line.text.as_bytes()));
                let written = match lines.is_empty() {
                    true => Ok(()),
                    false => write_all(file, &text),
                };
                written.map_err(|(left, error)| {
                    let is_begun = left < text.len();
                    let ends = text[..text.len() - left].ends_with(b"\n");
                    self.is_torn = if is_begun { !ends } else { self.is_torn };
                    let missing = memchr::memchr_iter(b'\n', &text[text.len() - left..]);
                    (missing.count().min(lines.len()), error)
                })
            }
            SinkTarget::System(syslog) => {
                let mut done = 0;
                lines
                    .iter()
                    .try_for_each(|line| syslog.send(&line.text).map(|()| done += 1))
                    .map_err(|error| (lines.len() - done, error))
            }
        };
        match written {
            Ok(()) if !lines.is_empty() => self.is_torn = false,
            Ok(()) => {}
            Err((missing, error)) => self.missing.add(missing as u64, &error),
        }
        self.fill
            .held
            .fetch_sub(take(&mut self.size), Ordering::Relaxed);
    }

    /// Opens the file again, if that is wanted.
    fn reopen(&mut self) {
        let now = Instant::now();
        if let SinkTarget::File(file) = &mut self.target
            && self.reopening.is_some_and(|due| due <= now)
        {
            self.reopening = match file.reopen() {
                Ok(()) => {
                    self.is_torn = false;
                    self.unopened = Trouble::default();
                    if take(&mut self.is_old) {
                        crate::log_at!(
                            Level::Info,
                            "the access log `{}` is open again",
                            file.path().display()
                        );
                    }
                    None
                }
                Err(error) => {
                    self.unopened.add(1, &error);
                    self.is_old = true;
                    Some(now + RETRY)
                }
            };
        }
    }

    /// Says what is due.
    fn report(&mut self, at_once: bool) {
        let lost = self.fill.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.missing.add(lost, &"there was no room for more");
        }
        let now = Instant::now();
        let path = match &self.target {
            SinkTarget::File(file) => file.path(),
            SinkTarget::System(syslog) => syslog.path(),
        };
        let path = path.display();
        if let Some((count, why)) = self.missing.take(now, at_once) {
            let missing = match count {
                1 => "a line of the access log is".to_owned(),
                many => format!("{many} lines of the access log are"),
            };
            crate::log_warning!("{missing} missing in `{path}`: {why}");
        }
        if let Some((_, why)) = self.unopened.take(now, at_once) {
            let meanwhile = match self.target.is_removed() {
                true => "the old file was removed, so its lines are here",
                false => "the old file is used on",
            };
            crate::log_warning!("cannot open the access log `{path}` again: {why}; {meanwhile}");
        }
    }
}

/// Writes all of a text, or says how many bytes are left of it.
fn write_all(file: &mut AccessFile, text: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut file: &File = file.file().map_err(|error| (text.len(), error))?;
    let mut left = text;
    while !left.is_empty() {
        match file.write(left) {
            Ok(0) => return Err((left.len(), ErrorKind::WriteZero.into())),
            Ok(count) => left = &left[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A pipe that is full for longer is not read.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let second = Timespec {
                    tv_sec: 1,
                    tv_nsec: 0,
                };
                let ready = poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&second));
                if ready.is_ok_and(|count| count == 0) {
                    return Err((left.len(), io::Error::other("it was not read")));
                }
            }
            Err(error) => return Err((left.len(), error)),
        }
    }
    Ok(())
}
