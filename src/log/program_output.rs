//! What a program writes that runner has started as an application: each line becomes a line of the log, behind the name
//! and the process id of the program. A thread reads for each process; if the log is slow, it reads slowly, and the program
//! waits as it would for the log itself, for no longer than a second. The last lines are kept, for the message that says why
//! a program could not be started.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::application_output::{STACK, split_lines};
use super::form::{LineKind, LogSubject, formed};

/// How much is read at a time, in bytes.
const BUFFER: usize = 16 * 1024;

/// How many lines are kept, and how long each of them may be, in characters.
const KEPT: usize = 10;
const LONGEST_KEPT: usize = 400;

/// The output of one process.
#[derive(Clone, Debug)]
pub struct ProgramOutput {
    last: Arc<Mutex<LastOutput>>,
    /// Closed when all is read.
    end: watch::Receiver<()>,
}

/// What it wrote last.
#[derive(Debug, Default)]
struct LastOutput {
    lines: VecDeque<String>,
    /// A line that is not at its end.
    begun: String,
}

impl ProgramOutput {
    /// Begins to read what the process with this number writes to a pipe. Lines are about it, as `name[pid]`, and about its
    /// application, and `put` adds them to the log.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn follow(
        pipe: OwnedFd,
        (name, pid): (&str, i32),
        application: Option<String>,
        put: fn(String),
    ) -> io::Result<Self> {
        let (reading, end) = watch::channel(());
        let last: Arc<Mutex<LastOutput>> = Arc::default();
        let output = Self {
            last: Arc::clone(&last),
            end,
        };
        let before = format!("{name}[{pid}]: ");
        let thread = std::thread::Builder::new().name("output".to_owned());
        thread.stack_size(STACK).spawn(move || {
            let subject = LogSubject {
                worker: Some(pid),
                ..LogSubject::application(application.as_deref())
            };
            let whole = |line: &[u8], goes_on| {
                let line = String::from_utf8_lossy(line);
                let kind = LineKind::Output {
                    before: &before,
                    goes_on,
                };
                put(formed(kind, subject, &line));
                lock(&last).keep(&line);
            };
            read_lines(File::from(pipe), whole, |begun| {
                lock(&last).begun = shortened(begun);
            });
            drop(reading);
        })?;
        Ok(output)
    }

    /// The last lines, with one that is not at its end, such as a question.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        let last = lock(&self.last);
        let begun = Some(&last.begun).filter(|begun| !begun.trim().is_empty());
        last.lines.iter().chain(begun).cloned().collect()
    }

    /// Waits until all is read. As long as a process runs that the program has started, there may be more.
    pub async fn ended(&mut self) {
        // Nothing is ever sent.
        let _ = self.end.changed().await;
    }
}

impl LastOutput {
    fn keep(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines
            .push_back(line.chars().take(LONGEST_KEPT).collect());
    }
}

fn shortened(line: &[u8]) -> String {
    // No character has more than four bytes.
    let line = &line[..line.len().min(4 * LONGEST_KEPT)];
    String::from_utf8_lossy(line)
        .chars()
        .take(LONGEST_KEPT)
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives each line to a function as [`split_lines`] does; the last one may have no end. What there is of a line is given to the
/// other, each time that it changes.
fn read_lines(mut pipe: impl Read, mut put: impl FnMut(&[u8], bool), mut begun: impl FnMut(&[u8])) {
    let mut line = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                split_lines(&mut line, &buffer[..length], &mut put);
                begun(&line);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    begun(b"");
    if !line.is_empty() {
        put(&line, false);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, LONGEST_KEPT, LastOutput, read_lines};

    #[test]
    fn the_last_line_needs_no_end() {
        let (mut lines, mut begun) = (Vec::new(), Vec::new());
        let output = &b"one\n\ntwo\nthree"[..];
        read_lines(
            output,
            |line, _| lines.push(line.to_vec()),
            |line| begun.push(line.to_vec()),
        );
        assert_eq!(lines, [&b"one"[..], b"", b"two", b"three"]);
        assert_eq!(begun, [&b"three"[..], b""]);
    }

    #[test]
    fn few_lines_are_kept_and_none_that_is_long_or_empty() {
        let mut last = LastOutput::default();
        for number in 0..50 {
            last.keep(&format!("{number}{}", "x".repeat(1000)));
            last.keep(" ");
        }
        assert_eq!(last.lines.len(), KEPT);
        assert!(last.lines.iter().all(|line| line.len() == LONGEST_KEPT));
        assert!(last.lines[KEPT - 1].starts_with("49x"));
    }
}
