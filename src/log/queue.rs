//! The queue of lines for a log that may be slow, full or gone: a line is put here without waiting, and a thread writes the
//! lines in order. Lines for which there is no room are counted, and the count is written in their place.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::form::{Level, LogSubject, message, message_about};
use super::rate_limit::{LeftOut, LogKind, RateLimit};
use super::text::without_numbers;

/// The size of the queue, in bytes.
const ROOM: usize = 1024 * 1024;

/// The largest write, in bytes: a pipe keeps it in one piece among the writes of other processes (`PIPE_BUF`).
const AT_ONCE: usize = 4096;

/// The pause before a log that could not be written is tried again, if no new line comes.
const RETRY: Duration = Duration::from_secs(1);

/// Lines that are to be written.
#[derive(Debug, Default)]
pub(super) struct LineQueue {
    state: Mutex<Buffered>,
    /// Wakes the thread that writes.
    wanted: Condvar,
    /// Wakes the threads that wait until all is written.
    finished: Condvar,
    /// Wakes the thread that waits for room.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Buffered {
    waiting: VecDeque<String>,
    /// The size of the lines that wait and of those that are being written, in bytes.
    size: usize,
    /// How many lines there was no room for since the last one that waits. No line is added before that is written.
    lost: u64,
    rates: RateLimit,
    /// Whether the thread that writes waits.
    idle: bool,
    /// A thread has waited for room in vain, and nothing was written since.
    is_stuck: bool,
    ending: Flush,
}

/// Whether a thread waits until all is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    No,
    Wanted,
    /// Lines that could not be written were tried a last time.
    Tried,
}

impl Buffered {
    fn has_room(&self, text: &str) -> bool {
        self.lost == 0 && (self.size == 0 || self.size + text.len() <= ROOM)
    }

    fn put(&mut self, text: String) {
        if self.has_room(&text) {
            self.size += text.len();
            self.waiting.push_back(text);
        } else {
            self.lost += lines(text.as_bytes());
        }
    }

    /// Adds the counts of lines that were left out, where they are due.
    fn put_due(&mut self, now: Instant) {
        for left_out in self.rates.due(now) {
            self.put_left_out(&left_out);
        }
    }

    fn put_left_out(&mut self, left_out: &LeftOut) {
        let about = LogSubject::application(left_out.application());
        let text = left_out.to_string();
        self.put(message_about(Level::Warning, about, &text));
    }
}

impl LineQueue {
    /// Adds whole lines. Never waits.
    pub(super) fn put(&self, text: String) {
        let mut state = self.lock();
        state.put(text);
        self.wake(state);
    }

    /// Adds whole lines that others write, who can wait: for this long at most, until half of the queue is free. The other
    /// half is left for lines that cannot wait. Once that was in vain, nobody waits until something is written again: a log
    /// that nobody reads must not hold up who writes to it.
    pub(super) fn put_patiently(&self, text: String, patience: Duration) {
        let is_full = |state: &mut Buffered| {
            !state.is_stuck && state.size > 0 && state.size + text.len() > ROOM / 2
        };
        let waited = self
            .freed
            .wait_timeout_while(self.lock(), patience, is_full);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stuck |= waited.timed_out();
        state.put(text);
        self.wake(state);
    }

    /// Counts lines as missing that another process could not write.
    pub(super) fn lose(&self, lines: u64) {
        if lines == 0 {
            return;
        }
        let missing = missing(lines);
        let text = message(Level::Warning, &format!("{missing}: its worker has ended"));
        let mut state = self.lock();
        match state.has_room(&text) {
            true => state.put(text),
            false => state.lost += lines,
        }
        self.wake(state);
    }

    /// Adds lines of a kind that clients can cause as often as they like: some are taken, and the
    /// rest is counted.
    pub(super) fn put_of(&self, kind: LogKind, subject: LogSubject<'_>, text: String) {
        let now = Instant::now();
        let mut state = self.lock();
        state.put_due(now);
        if state.rates.admits(kind, subject, now) {
            state.put(text);
        }
        self.wake(state);
    }

    /// Waits until all is written, or for this long.
    pub(super) fn finish(&self, patience: Duration) {
        let mut state = self.lock();
        state.ending = Flush::Wanted;
        for left_out in state.rates.rest() {
            state.put_left_out(&left_out);
        }
        self.wanted.notify_one();
        let unfinished = |state: &mut Buffered| state.ending != Flush::No;
        let _ = self
            .finished
            .wait_timeout_while(state, patience, unfinished);
    }

    /// Writes lines as they come, for ever.
    pub(super) fn run(&self, output: impl Write) -> ! {
        let mut output = Output::new(output);
        loop {
            let (texts, lost) = self.next(output.is_behind());
            output.write(&texts);
            output.count_lost(lost);
            output.catch_up();
            let mut state = self.lock();
            state.size -= texts.iter().map(String::len).sum::<usize>();
            state.is_stuck = false;
            drop(state);
            self.freed.notify_all();
        }
    }

    /// Waits for lines to write, but not for long if the log is `behind`.
    fn next(&self, behind: bool) -> (VecDeque<String>, u64) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.put_due(now);
            if !state.waiting.is_empty() || state.lost > 0 {
                return (take(&mut state.waiting), take(&mut state.lost));
            }
            match state.ending {
                Flush::No => {}
                Flush::Wanted if behind => {
                    state.ending = Flush::Tried;
                    return Default::default();
                }
                Flush::Wanted | Flush::Tried => {
                    state.ending = Flush::No;
                    self.finished.notify_all();
                }
            }
            let retry = behind.then_some(RETRY);
            let due = state.rates.next(now).into_iter().chain(retry).min();
            state.idle = true;
            let waited = self
                .wanted
                .wait_timeout(state, due.unwrap_or(Duration::MAX));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle = false;
            if behind && state.waiting.is_empty() && state.ending == Flush::No {
                return Default::default();
            }
        }
    }

    /// Wakes the thread that writes if it waits: waking costs a system call.
    fn wake(&self, mut state: MutexGuard<'_, Buffered>) {
        if take(&mut state.idle) {
            drop(state);
            self.wanted.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buffered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log, and the lines that are missing in it.
struct Output<W> {
    log: W,
    /// How many lines are missing at its end, and why.
    missing: u64,
    why: String,
    /// Whether the last line was written in part.
    torn: bool,
}

impl<W: Write> Output<W> {
    fn new(log: W) -> Self {
        Self {
            log,
            missing: 0,
            why: String::new(),
            torn: false,
        }
    }

    fn is_behind(&self) -> bool {
        self.missing > 0
    }

    /// Counts lines for which the queue had no room.
    fn count_lost(&mut self, lost: u64) {
        if lost > 0 {
            self.missing += lost;
            "the log was not read".clone_into(&mut self.why);
        }
    }

    /// Writes texts, as many at once as a pipe keeps in one piece.
    fn write(&mut self, texts: &VecDeque<String>) {
        let mut bytes = Vec::with_capacity(AT_ONCE);
        for text in texts {
            if !bytes.is_empty() && bytes.len() + text.len() > AT_ONCE {
                self.put(&bytes);
                bytes.clear();
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        self.put(&bytes);
    }

    /// Writes how many lines are missing, if the log takes that.
    fn catch_up(&mut self) {
        if self.missing == 0 {
            return;
        }
        let missing = missing(self.missing);
        let text = message(Level::Warning, &format!("{missing}: {}", self.why));
        match self.put_now(text.as_bytes()) {
            // A line break that was not taken comes with the next write.
            Ok(()) | Err(1) => self.missing = 0,
            Err(_) => {}
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.catch_up();
        // The count of missing lines comes first, so that no gap goes unnoticed.
        let written = match self.missing {
            0 => self.put_now(bytes),
            _ => Err(bytes.len()),
        };
        if let Err(left) = written {
            let left = &bytes[bytes.len() - left..];
            // A line without its line break is not missing.
            let is_whole = self.torn && left.starts_with(b"\n");
            self.missing += lines(left) - u64::from(is_whole);
        }
    }

    /// Writes, in one piece if the system takes it. The error is the number of bytes that are left.
    fn put_now(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut left = bytes;
        while !left.is_empty() {
            let start: &[u8] = if self.torn { b"\n" } else { left };
            match self.log.write(start) {
                Ok(0) => return Err(self.fail(left, "nothing of it is taken")),
                Ok(_) if self.torn => self.torn = false,
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.torn |= left.len() < bytes.len()
                        && !bytes[..bytes.len() - left.len()].ends_with(b"\n");
                    return Err(self.fail(left, &error.to_string()));
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, left: &[u8], why: &str) -> usize {
        self.why = without_numbers(&format!("the log could not be written: {why}"));
        left.len()
    }
}

fn missing(lines: u64) -> String {
    match lines {
        1 => "a line is missing here".to_owned(),
        number => format!("{number} lines are missing here"),
    }
}

fn lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests;
