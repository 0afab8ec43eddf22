//! The output of a program while it runs, and lines of a log without their times.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::DEADLINE;

/// Lines without the time and the level that stand before them in a log.
pub fn without_times(lines: &str) -> String {
    lines.split_inclusive('\n').map(without_time).collect()
}

fn without_time(line: &str) -> &str {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000Z ";
    let fits = |(found, wanted): (u8, &u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        _ => found == *wanted,
    };
    let is_timed = line.len() >= FORM.len() && line.bytes().zip(FORM).all(fits);
    let Some(rest) = line.get(FORM.len()..).filter(|_| is_timed) else {
        return line;
    };
    let levels = ["error ", "warning ", "info "];
    let level = levels.iter().find(|level| rest.starts_with(**level));
    &rest[level.map_or(0, |level| level.len())..]
}

/// A text that arrives in pieces, its lines without their times.
#[derive(Default)]
struct Arriving {
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
    text: String,
    /// Where its last line begins, and that line with its time.
    last: usize,
    timed: String,
}

impl Arriving {
    fn push(&mut self, piece: &[u8]) {
        self.begun.extend(piece);
        let begun = self.begun.split_off(end_of_whole(&self.begun));
        let whole = std::mem::replace(&mut self.begun, begun);
        self.timed.push_str(&String::from_utf8_lossy(&whole));
        self.text.truncate(self.last);
        let whole = self.timed.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.timed.split_off(whole);
        self.text.push_str(&without_times(&self.timed));
        self.last = self.text.len();
        self.text.push_str(without_time(&rest));
        self.timed = rest;
    }
}

/// Where the last whole character of a text ends.
fn end_of_whole(bytes: &[u8]) -> usize {
    let length = bytes.len();
    for back in 1..=length.min(3) {
        let width = match bytes[length - back] {
            0x80..=0xBF => continue,
            0..=0x7F => 1,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        return if width > back { length - back } else { length };
    }
    length
}

/// The output of a program, as it arrives, its lines without the times of a log.
pub(super) struct Output {
    text: Arc<(Mutex<Arriving>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    pub(super) fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new((Mutex::new(Arriving::default()), Condvar::new()));
        let shared = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                let (text, changed) = &*shared;
                text.lock()
                    .expect("no reader panics")
                    .push(&buffer[..count]);
                changed.notify_all();
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    pub(super) fn so_far(&self) -> String {
        let text = self.text.0.lock().expect("no reader panics");
        text.text.clone()
    }

    /// Everything, once no process can write any more.
    pub(super) fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        self.so_far()
    }

    /// Waits until the text meets a condition; after [`DEADLINE`] returns the text as an error.
    pub(super) fn wait(&self, until: impl Fn(&str) -> bool) -> Result<String, String> {
        let (text, changed) = &*self.text;
        let text = text.lock().expect("no reader panics");
        let (text, _) = changed
            .wait_timeout_while(text, DEADLINE, |text| {
                !until(&text.text) && !self.reader.as_ref().is_none_or(JoinHandle::is_finished)
            })
            .expect("no reader panics");
        match until(&text.text) {
            true => Ok(text.text.clone()),
            false => Err(text.text.clone()),
        }
    }
}
