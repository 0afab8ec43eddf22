//! What a CGI program writes to standard error: its lines go to the log, each with the program and its request; or to the web
//! server in front, where that has a channel for them.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::interface::{Errors, RequestName};
use crate::log::escaped;

/// The longest line, in bytes: a longer one is several.
const LONGEST: usize = 8 * 1024;

/// How many lines of one request are passed on. What floods the log would take the place of everything else there.
const MOST: u64 = 1000;

/// The size of a read, in bytes.
const READ: usize = 16 * 1024;

/// Passes on lines until the other end of the pipe is closed.
pub(super) async fn pass_on(
    mut pipe: Receiver,
    script: String,
    about: RequestName,
    errors: Errors,
) {
    let mut lines = ErrorLines {
        script,
        about,
        errors,
        count: 0,
    };
    let mut unfinished = BytesMut::new();
    loop {
        unfinished.reserve(READ);
        let is_open = matches!(pipe.read_buf(&mut unfinished).await, Ok(1..));
        if lines.count >= MOST {
            let ends = memchr_iter(b'\n', &unfinished).count();
            lines.count += ends as u64;
            unfinished.clear();
        }
        while let Some(line) = next_line(&mut unfinished, is_open) {
            lines.put(&line);
        }
        if !is_open {
            return lines.finish();
        }
    }
}

/// Takes the next line, without its end; what has no end only if there is no more, or too much of it.
fn next_line(unfinished: &mut BytesMut, is_open: bool) -> Option<BytesMut> {
    let within = &unfinished[..unfinished.len().min(LONGEST)];
    let (length, end) = match memchr(b'\n', within) {
        Some(end) => (end, 1),
        None if within.is_empty() || is_open && within.len() < LONGEST => return None,
        None => (within.len(), 0),
    };
    let line = unfinished.split_to(length);
    let _ = unfinished.split_to(end);
    Some(line)
}

struct ErrorLines {
    script: String,
    about: RequestName,
    errors: Errors,
    /// How many there were.
    count: u64,
}

impl ErrorLines {
    fn put(&mut self, line: &[u8]) {
        self.count += 1;
        if self.count > MOST {
            return;
        }
        let text = String::from_utf8_lossy(line);
        self.say(&escaped(text.trim_end()));
    }

    fn finish(&self) {
        if self.count > MOST {
            let more = self.count - MOST;
            self.say(&format!("{more} more lines on standard error are left out"));
        }
    }

    fn say(&self, text: &str) {
        if let Errors::Gateway(sender) = &self.errors {
            let line = Bytes::from(format!("{}: {text}\n", self.script));
            if sender.try_send(line).is_ok() {
                return;
            }
        }
        let (script, about) = (&self.script, &self.about);
        crate::log_error!(about = about.subject(), "{script}: {text} [{about}]");
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{LONGEST, next_line};

    #[test]
    fn lines_end_where_they_end_or_are_too_long() {
        let mut bytes = BytesMut::from(&b"one\n\ntwo"[..]);
        let mut next = |is_open| next_line(&mut bytes, is_open).map(|line| line.to_vec());
        assert_eq!(next(true).as_deref(), Some(&b"one"[..]));
        assert_eq!(next(true).as_deref(), Some(&b""[..]));
        assert_eq!(next(true), None);
        assert_eq!(next(false).as_deref(), Some(&b"two"[..]));
        assert_eq!(next(false), None);
        let mut long = BytesMut::from(&vec![b'x'; LONGEST + 1][..]);
        assert_eq!(next_line(&mut long, true).map(|it| it.len()), Some(LONGEST));
        assert_eq!(next_line(&mut long, true), None);
        assert_eq!(next_line(&mut long, false).map(|it| it.len()), Some(1));
    }
}
