//! What the processes of an application write, where the log has objects (`runner.log.format = 'json'`).
//!
//! They do not write to the log themselves, since objects of several processes would mix in it. Python's streams, and what
//! our code in these processes says, come as objects, each a packet of a socket. All else that is written to the descriptors
//! of standard output and standard error (by programs that the application runs, libraries in C, the interpreter itself)
//! comes through a pipe and becomes an object a line. A thread reads both. If the log is slow, it reads slowly, so that
//! workers wait for it as they would for the log itself: for no longer than a second. What it reads is from a stranger: a packet that
//! is no object is text like any other.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::de::IgnoredAny;

use super::form::{Level, LineStyle, object, partial};
use super::json_object::JsonObject;

/// The longest packet, in bytes: more than a message of the longest length in `output.py`, all of it escaped.
const LARGEST_PACKET: usize = 256 * 1024;

/// The longest line that is given on in one part, in bytes.
const LONGEST_LINE: usize = 32 * 1024;

/// How many reads are made before the thread lets another one look, which ends the process.
const READS: usize = 256;

/// The stack of a thread that reads, which needs little.
pub(super) const STACK: usize = 256 * 1024;

/// What a process of an application writes to.
#[derive(Debug)]
pub struct ApplicationOutput {
    /// Its standard output.
    pub output: OwnedFd,
    /// Its standard error.
    pub errors: OwnedFd,
    /// The socket that takes objects, if the log has them.
    pub objects: Option<OwnedFd>,
}

/// The near ends. The far ones are kept, so that the near ones never end.
#[derive(Debug)]
struct NearEnds {
    pipe: OwnedFd,
    objects: OwnedFd,
    far_pipe: OwnedFd,
    far_objects: OwnedFd,
    /// Adds lines, and may wait.
    put: Put,
    state: Mutex<PipeState>,
}

/// Adds lines to the log.
type Put = fn(String);

#[derive(Debug)]
struct PipeState {
    /// The beginning of the last line in the pipe.
    line: Vec<u8>,
    buffer: Box<[u8]>,
}

static ENDS: Mutex<Option<Arc<NearEnds>>> = Mutex::new(None);

fn ends() -> MutexGuard<'static, Option<Arc<NearEnds>>> {
    ENDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Descriptors for a process of an application: standard error of this process; or, where the log has objects, others,
/// from which a thread reads.
///
/// # Errors
/// The system has no more descriptors or threads.
pub(super) fn application_output(style: LineStyle, put: Put) -> io::Result<ApplicationOutput> {
    if style != LineStyle::Json {
        let errors = io::stderr();
        return Ok(ApplicationOutput {
            output: errors.as_fd().try_clone_to_owned()?,
            errors: errors.as_fd().try_clone_to_owned()?,
            objects: None,
        });
    }
    let mut ends = ends();
    let near = match &*ends {
        Some(near) => near,
        None => {
            let near = Arc::new(NearEnds::new(put)?);
            let thread = std::thread::Builder::new().name("output".to_owned());
            let read = Arc::clone(&near);
            thread.stack_size(STACK).spawn(move || read.run())?;
            ends.insert(near)
        }
    };
    Ok(ApplicationOutput {
        output: near.far_pipe.try_clone()?,
        errors: near.far_pipe.try_clone()?,
        objects: Some(near.far_objects.try_clone()?),
    })
}

/// Gives what has been written so far to the log, by `put`.
pub(super) fn finish(put: Put) {
    let near = ends().clone();
    if let Some(near) = near {
        let mut state = near.lock();
        near.read(&mut state, put);
        if !state.line.is_empty() {
            put(of_text(&state.line, false));
            state.line.clear();
        }
    }
}

impl NearEnds {
    fn new(put: Put) -> io::Result<Self> {
        let (pipe, far_pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let flags = SocketFlags::CLOEXEC;
        // Not SEQPACKET, which macOS does not have.
        let (objects, far_objects) =
            socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok(Self {
            pipe,
            objects,
            far_pipe,
            far_objects,
            put,
            state: Mutex::new(PipeState {
                line: Vec::new(),
                buffer: vec![0; LARGEST_PACKET].into(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads for ever.
    fn run(&self) {
        loop {
            let mut ready = [
                PollFd::new(&self.pipe, PollFlags::IN),
                PollFd::new(&self.objects, PollFlags::IN),
            ];
            // If it is interrupted, there is nothing to read.
            let _ = poll(&mut ready, None);
            self.read(&mut self.lock(), self.put);
        }
    }

    /// Reads what there is, but not for ever.
    fn read(&self, PipeState { line, buffer }: &mut PipeState, put: Put) {
        for _ in 0..READS {
            match recv(&self.objects, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => put(of_packet(&buffer[..length])),
                Err(_) => break,
            }
        }
        for _ in 0..READS {
            match rustix::io::read(&self.pipe, &mut buffer[..]) {
                Ok(length @ 1..) => split_lines(line, &buffer[..length], |line, goes_on| {
                    put(of_text(line, goes_on));
                }),
                Ok(0) | Err(_) => break,
            }
        }
    }
}

/// Gives each line that has ended to `put`, without its end, and the beginnings of one that is too long, which go on: the
/// last part of a line is never empty. What is left of the last line is added to `line`.
pub(super) fn split_lines(line: &mut Vec<u8>, text: &[u8], mut put: impl FnMut(&[u8], bool)) {
    for part in text.split_inclusive(|byte| *byte == b'\n') {
        let whole = part.strip_suffix(b"\n");
        line.extend_from_slice(whole.unwrap_or(part));
        let mut begin = 0;
        while line.len() - begin > LONGEST_LINE {
            let end = character_end(line, begin + LONGEST_LINE);
            put(&line[begin..end], true);
            begin = end;
        }
        line.drain(..begin);
        if whole.is_some() {
            put(line, false);
            line.clear();
        }
    }
}

/// Where a text can be cut so that no character of UTF-8 is torn, shortly before a place in it.
fn character_end(text: &[u8], place: usize) -> usize {
    let is_begin = |place: &usize| text[*place] & 0xc0 != 0x80;
    (place - 3..=place).rev().find(is_begin).unwrap_or(place)
}

fn of_packet(packet: &[u8]) -> String {
    object_in(packet).map_or_else(|| of_text(packet, false), str::to_owned)
}

/// A packet if it is what it should be: one line that is an object.
fn object_in(packet: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(packet).ok()?;
    let object = text.strip_suffix('\n')?;
    let is_object = object.starts_with('{')
        && !object.contains(char::is_control)
        && serde_json::from_str::<IgnoredAny>(object).is_ok();
    is_object.then_some(text)
}

/// A text as an object, or a part of a line that goes on in the next one.
fn of_text(text: &[u8], goes_on: bool) -> String {
    let message = String::from_utf8_lossy(text);
    let members = JsonObject::default()
        .text("message", Some(&message))
        .text("stream", Some("stderr"));
    let members = match goes_on {
        true => partial(members),
        false => members,
    };
    object(SystemTime::now(), Level::Info, &members.into_members()) + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{LONGEST_LINE, object_in, split_lines};

    #[test]
    fn lines_are_joined_over_reads_and_bounded() {
        let mut line = Vec::new();
        let mut lines = Vec::new();
        for text in [&b"on"[..], b"e\n\ntw", b"o\nthr", b"ee"] {
            split_lines(&mut line, text, |line, goes_on| {
                assert!(!goes_on);
                lines.push(line.to_vec());
            });
        }
        assert_eq!(lines, [&b"one"[..], b"", b"two"]);
        assert_eq!(line, b"three");
    }

    proptest! {
        /// However a long line comes in: its parts are all of it, none is too long, empty or has half of a character, and
        /// all but the last one go on.
        #[test]
        fn a_long_line_is_split_into_parts_that_say_so(
            length in LONGEST_LINE - 4..3 * LONGEST_LINE,
            at_once in 1_usize..2 * LONGEST_LINE,
            first in "[a-zé€]{0,3}",
        ) {
            let long = first + &"€".repeat(length / 3);
            let mut line = Vec::new();
            let mut parts = Vec::new();
            for text in format!("{long}\n").as_bytes().chunks(at_once) {
                split_lines(&mut line, text, |part, goes_on| parts.push((part.to_vec(), goes_on)));
            }
            assert!(line.is_empty());
            let (_, ends) = parts.last().unwrap();
            assert!(!ends);
            assert_eq!(parts.iter().filter(|(_, goes_on)| !goes_on).count(), 1);
            let texts = parts.iter().map(|(part, _)| std::str::from_utf8(part).unwrap());
            assert!(texts.clone().all(|text| (1..=LONGEST_LINE).contains(&text.len())));
            assert_eq!(texts.collect::<String>(), long);
        }
    }

    #[test]
    fn only_an_object_on_a_line_is_taken_as_it_is() {
        for (packet, is_object) in [
            (&b"{\"a\":1}\n"[..], true),
            (b"{\"a\":1}", false),
            (b"{\"a\":1}\n{}\n", false),
            (b"{\"a\":\"\x1b\"}\n", false),
            (b"{\"a\":\"\xff\"}\n", false),
            (b"{\"a\":\"\xc2\x9b\"}\n", false),
            (b"[1]\n", false),
            (b"{no}\n", false),
            (b"", false),
        ] {
            assert_eq!(object_in(packet).is_some(), is_object, "{packet:?}");
        }
    }
}
