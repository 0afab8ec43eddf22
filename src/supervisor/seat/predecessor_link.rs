//! The link of this process to the one whose place it is to take, if it was started for that. [`super::successor`] is the
//! other end.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;

use crate::supervisor::control::order::{Answer, Handover, decode, encode};
use crate::supervisor::programs::parent_link;
use crate::unix;

/// Names the descriptor of the child's end, and the process whose child it is for: `NUMBER:PID`. Not for users.
const VARIABLE: &str = "RUNNER_SUCCESSOR";

/// The report of a child that serves. Anything else is the reason why it does not.
pub(super) const READY: &[u8] = b"ready\n";

/// The longest message, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// How long the sockets may take to arrive, which were sent before this process was started.
const PATIENCE: Duration = Duration::from_secs(5);

static LINK: Mutex<Option<PredecessorLink>> = Mutex::new(None);

#[derive(Debug)]
struct PredecessorLink {
    stream: StdUnixStream,
    handover: Handover,
    /// Whether the other end knows that we serve.
    has_taken_over: bool,
}

fn link() -> MutexGuard<'static, Option<PredecessorLink>> {
    LINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends sockets to a child that is about to be started. They fit the system's buffer, or are too many altogether.
pub(super) fn send(mut link: &StdUnixStream, handover: Handover) -> anyhow::Result<()> {
    let (text, descriptors) = encode(Answer::Sockets(handover));
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    link.set_nonblocking(true)?;
    let sent = unix::send_descriptors(link.as_fd(), text.as_bytes(), &descriptors)?;
    link.write_all(&text.as_bytes()[sent..])?;
    Ok(())
}

/// Has a program that is about to be started inherit its end of the link. The caller keeps the result until it has started.
///
/// The descriptor is open without close-on-exec. To clear that flag in the child would take code between fork and exec,
/// with which `Command` uses `execvp`(3): that has a shell run a file in no known format.
pub(super) fn hand_down(command: &mut Command, end: &StdUnixStream) -> io::Result<OwnedFd> {
    let inherited = rustix::io::dup(end)?;
    let value = format!("{}:{}", inherited.as_raw_fd(), std::process::id());
    command.env(VARIABLE, value);
    Ok(inherited)
}

/// Finds the link, if this process was started to take another one's place. To be called once, before anything else:
/// processes that this one starts must not find the variable.
pub fn inherit() {
    let Some(value) = unix::take_variable(VARIABLE) else {
        return;
    };
    *link() = value.to_str().and_then(|value| receive(value).ok());
}

fn receive(value: &str) -> anyhow::Result<PredecessorLink> {
    let stream = StdUnixStream::from(parent_link::inherited(value)?);
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    let mut descriptors = Vec::new();
    let mut buffer = [0; 4096];
    while text.last() != Some(&b'\n') {
        let (count, received) = unix::receive_descriptors(stream.as_fd(), &mut buffer)?;
        if count == 0 || text.len() > LONGEST {
            bail!("broken off");
        }
        descriptors.extend(received);
        text.extend_from_slice(&buffer[..count]);
    }
    match decode(&text, descriptors)? {
        Answer::Sockets(handover) => Ok(PredecessorLink {
            stream,
            handover,
            has_taken_over: false,
        }),
        Answer::Done(_) | Answer::Refused(_) => bail!("no sockets"),
    }
}

/// Whether this process was started to take another one's place, and has not taken it yet.
#[must_use]
pub fn is_successor() -> bool {
    link().as_ref().is_some_and(|link| !link.has_taken_over)
}

/// What the predecessor has handed over; empty the second time.
#[must_use]
pub fn handover() -> Handover {
    let mut link = link();
    let handover = link.as_mut().map(|link| std::mem::take(&mut link.handover));
    handover.unwrap_or_default()
}

/// Reports that this process serves, and has taken the predecessor's place.
pub fn report_ready() {
    if let Some(link) = &mut *link()
        && !link.has_taken_over
    {
        link.has_taken_over = true;
        // A predecessor that has ended needs no report.
        let _ = link.stream.write_all(READY);
    }
}

/// Reports why this process cannot take the predecessor's place. Returns whether there is one that listens.
#[must_use]
pub fn report_failure(why: &str) -> bool {
    let link = link().take().filter(|link| !link.has_taken_over);
    link.is_some_and(|mut link| link.stream.write_all(why.as_bytes()).is_ok())
}

/// The link itself, for a process that is itself succeeded.
pub(super) fn take() -> Option<StdUnixStream> {
    Some(link().take()?.stream)
}
