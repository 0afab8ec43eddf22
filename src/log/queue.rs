//! The queue of lines for a log that may be slow, full or gone: a line is put here without waiting, and a thread writes the
//! lines in order. Lines for which there is no room are counted, and the count is written in their place.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::form::{Level, message};
use super::rate_limit::{LogKind, RateLimit};
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
        for text in self.rates.due(now) {
            self.put(message(Level::Warning, &text));
        }
    }
}

impl LineQueue {
    /// Adds whole lines. Never waits.
    pub(super) fn put(&self, text: String) {
        let mut state = self.lock();
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

    /// Adds lines of a kind that clients can cause as often as they like: some are taken, and the rest is counted.
    pub(super) fn put_of(&self, kind: LogKind, text: String) {
        let now = Instant::now();
        let mut state = self.lock();
        state.put_due(now);
        if state.rates.admits(kind, now) {
            state.put(text);
        }
        self.wake(state);
    }

    /// Waits until all is written, or for this long.
    pub(super) fn finish(&self, patience: Duration) {
        let mut state = self.lock();
        state.ending = Flush::Wanted;
        for text in state.rates.rest() {
            state.put(message(Level::Warning, &text));
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
            self.lock().size -= texts.iter().map(String::len).sum::<usize>();
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
mod tests {
    use std::collections::VecDeque;
    use std::io::{self, ErrorKind, Write};
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use proptest::prelude::{any, proptest};

    use super::LogKind;
    use super::{AT_ONCE, LineQueue, Output, ROOM};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A log that takes a write only when it is told to.
    struct Slow {
        told: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once the other end is dropped, it takes everything.
            let _ = self.told.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Arc<LineQueue>, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let queue = Arc::new(LineQueue::default());
        let (tell, told) = mpsc::channel();
        let written = Arc::default();
        let log = Slow {
            told,
            written: Arc::clone(&written),
        };
        let ours = Arc::clone(&queue);
        std::thread::spawn(move || ours.run(log));
        (queue, tell, written)
    }

    #[test]
    fn a_log_that_is_not_read_blocks_no_writer_and_says_what_is_missing() {
        let (queue, tell, written) = slow();
        let line = |number| format!("{number:07}: {}\n", "x".repeat(90));
        let size = line(0).len();
        let all = 5 * ROOM / size;
        for number in 0..all {
            queue.put(line(number));
        }
        queue.finish(Duration::from_millis(1));
        // The log is read again.
        drop(tell);
        queue.finish(PATIENCE);
        queue.put("after\n".to_owned());
        queue.finish(PATIENCE);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        let kept = lines.iter().take_while(|line| line.ends_with('x')).count();
        assert!(kept >= ROOM / size, "{kept}");
        for (number, written) in lines[..kept].iter().enumerate() {
            assert_eq!(*written, line(number).trim_end());
        }
        assert_eq!(lines.last(), Some(&"after"));
        let counts = lines[kept..lines.len() - 1].iter().map(|said| -> usize {
            let count = said
                .strip_prefix("runner: ")
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            assert!(
                said.ends_with("missing here: the log was not read"),
                "{said}"
            );
            count.parse().unwrap_or(1)
        });
        assert_eq!(kept + counts.sum::<usize>(), all);
    }

    #[test]
    fn lines_that_clients_cause_are_counted_and_the_count_comes_by_itself() {
        let (queue, tell, written) = slow();
        drop(tell);
        for number in 0..1000 {
            queue.put_of(LogKind::Refused, format!("refused {number}\n"));
        }
        let started = std::time::Instant::now();
        let so_far = || String::from_utf8(written.lock().unwrap().clone()).unwrap();
        while so_far().lines().count() < 11 {
            assert!(started.elapsed() < PATIENCE, "{}", so_far());
            std::thread::yield_now();
        }
        let said = "runner: left out 990 more lines about requests that were refused\n";
        assert!(so_far().ends_with(said), "{}", so_far());
    }

    #[test]
    fn at_the_end_the_counts_are_written() {
        let (queue, tell, written) = slow();
        drop(tell);
        for number in 0..15 {
            queue.put_of(LogKind::Closed, format!("closed {number}\n"));
        }
        queue.finish(PATIENCE);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let said = "runner: left out 5 more lines about connections that were closed\n";
        assert!(written.ends_with(said), "{written}");
    }

    /// A disk that has room from time to time.
    #[derive(Default)]
    struct Disk {
        /// How many bytes it takes at each attempt.
        room: VecDeque<usize>,
        content: Vec<u8>,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.room.pop_front().map(|room| room.min(bytes.len())) {
                Some(0) => Err(ErrorKind::StorageFull.into()),
                Some(count) => {
                    self.content.extend_from_slice(&bytes[..count]);
                    Ok(count)
                }
                None => {
                    self.content.extend_from_slice(bytes);
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        /// Whichever writes fail, each line is there whole, in its place, or counted where it is missing; the part that was
        /// written of a line that did not fit stands on a line of its own.
        #[test]
        fn every_line_is_written_or_counted(
            room in proptest::collection::vec(0_usize..200, 0..50),
            lengths in proptest::collection::vec(1_usize..300, 1..50),
            together in any::<bool>(),
        ) {
            let mut disk = Disk { room: room.into(), content: Vec::new() };
            let mut output = Output::new(&mut disk);
            let text = |number: usize, length| format!("{number:04}{}.\n", "x".repeat(length));
            let texts: VecDeque<String> =
                lengths.iter().enumerate().map(|(number, length)| text(number, *length)).collect();
            match together {
                true => output.write(&texts),
                false => texts.iter().for_each(|text| output.write(&VecDeque::from([text.clone()]))),
            }
            while output.is_behind() {
                output.catch_up();
            }
            let content = String::from_utf8(disk.content).unwrap();
            let mut number = 0;
            let mut torn = 0;
            for line in content.lines() {
                if let Some(missing) = line.strip_prefix("runner: ").filter(|_| line.ends_with("no storage space")) {
                    let (count, _) = missing.split_once(' ').unwrap();
                    number += count.parse().unwrap_or(1);
                    torn = 0;
                } else if texts.get(number).is_some_and(|text| text.trim_end() == line) {
                    number += 1;
                } else {
                    torn += 1;
                }
            }
            assert_eq!(number, texts.len(), "{content}");
            assert_eq!(torn, 0, "{content}");
        }
    }

    #[test]
    fn lines_are_written_as_many_at_once_as_pipes_keep_together() {
        struct Sizes(Vec<usize>);
        impl Write for &mut Sizes {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sizes = Sizes(Vec::new());
        let texts = [100, 4000, 96, 1, 5000, 7, 7].map(|size| "x".repeat(size));
        Output::new(&mut sizes).write(&texts.into());
        assert_eq!(sizes.0, [100, AT_ONCE, 1, 5000, 14]);
    }
}
