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
    last: Arc<Mutex<VecDeque<String>>>,
    /// Closed when all is read.
    end: watch::Receiver<()>,
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
        let last = Arc::new(Mutex::new(VecDeque::new()));
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
            read_lines(File::from(pipe), |line| {
                let line = String::from_utf8_lossy(line);
                put(formed(LineKind::Output(&before), subject, &line));
                keep(&mut lock(&last), &line);
            });
            drop(reading);
        })?;
        Ok(output)
    }

    /// The last lines.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        lock(&self.last).iter().cloned().collect()
    }

    /// Waits until all is read. As long as a process runs that the program has started, there may be more.
    pub async fn ended(&mut self) {
        // Nothing is ever sent.
        let _ = self.end.changed().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(last: &mut VecDeque<String>, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(line.chars().take(LONGEST_KEPT).collect());
}

/// Gives each line to a function, without its end; the last one may have none.
fn read_lines(mut pipe: impl Read, mut put: impl FnMut(&[u8])) {
    let mut line = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => split_lines(&mut line, &buffer[..length], &mut put),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if !line.is_empty() {
        put(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::{KEPT, LONGEST_KEPT, keep, read_lines};

    #[test]
    fn the_last_line_needs_no_end() {
        let mut lines = Vec::new();
        read_lines(&b"one\n\ntwo\nthree"[..], |line| lines.push(line.to_vec()));
        assert_eq!(lines, [&b"one"[..], b"", b"two", b"three"]);
    }

    #[test]
    fn few_lines_are_kept_and_none_that_is_long_or_empty() {
        let mut last = VecDeque::new();
        for number in 0..50 {
            keep(&mut last, &format!("{number}{}", "x".repeat(1000)));
            keep(&mut last, " ");
        }
        assert_eq!(last.len(), KEPT);
        assert!(last.iter().all(|line| line.len() == LONGEST_KEPT));
        assert!(last[KEPT - 1].starts_with("49x"));
    }
}
