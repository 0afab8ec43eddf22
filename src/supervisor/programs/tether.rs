//! The line between a master and a program of `runner`'s own that it keeps running: a pair of sockets. What is kept says
//! that it is one of those, that it serves, or why it cannot; it is told to reload, and answers how that went.
//!
//! Each program that is kept finds its end through [`VARIABLE`], and none that is not `runner` makes use of it: so it is
//! known which are, whatever words and files have started them. Each message is a line, as on the control socket, where
//! empty lines say that an order is worked on. What comes from a program is bounded, and nonsense ends the line.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::getppid;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::supervisor::control::order::{Answer, Order, decode};
use crate::supervisor::control::{Asked, LONGEST_ORDER, obey};
use crate::unix;

/// Tells a program which descriptor is its end, and whose child it is for: `NUMBER:PID`. Not for users.
pub const VARIABLE: &str = "RUNNER_KEPT";

/// Tells a program that it takes the place of one that is about to end, whose child it is, and how many milliseconds that
/// one has for it: `PID:NUMBER`. Not for users.
const PATIENCE: &str = "RUNNER_PATIENCE";

/// The longest line of a program, in bytes.
const LONGEST: usize = 1 << 20;

/// The longest reason that a program gives, in characters: it fits the buffer of a socket.
const LONGEST_REASON: usize = 16 << 10;

/// The master's end.
#[derive(Debug)]
pub(crate) struct Line {
    stream: UnixStream,
    /// What has come of the next message.
    said: Vec<u8>,
}

/// What a program says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It works on what it was told.
    Alive,
    /// It is one of `runner`'s own.
    Here,
    /// It serves.
    Serving,
    /// Why it cannot be started.
    Failed(String),
    /// How what it was told went; why it went wrong.
    Answer(Result<(), String>),
}

impl Line {
    /// The master's end, and one for a program that is about to be started, which finds it. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(crate) fn to(command: &mut Command) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        hand_down(command, theirs.into());
        Ok(Self {
            stream: UnixStream::from_std(ours)?,
            said: Vec::new(),
        })
    }

    /// The next message; `None` when none will come, or it makes no sense. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(end) = self.said.iter().position(|byte| *byte == b'\n') {
                let rest = self.said.split_off(end + 1);
                let line = std::mem::replace(&mut self.said, rest);
                return Said::parse(&line[..end]);
            }
            let read = self.stream.read_buf(&mut self.said).await;
            if !matches!(read, Ok(1..)) || self.said.len() > LONGEST {
                return None;
            }
        }
    }

    /// Gives an order.
    ///
    /// # Errors
    /// The program does not read.
    pub(crate) fn tell(&self, order: Order) -> io::Result<()> {
        let line = order.line();
        match self.stream.try_write(line.as_bytes())? {
            written if written == line.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

impl Said {
    /// `None` for what makes no sense.
    fn parse(line: &[u8]) -> Option<Self> {
        if line.is_empty() {
            return Some(Self::Alive);
        }
        let json: Json = serde_json::from_slice(line).ok()?;
        if let Some(why) = json["failed"].as_str() {
            return Some(Self::Failed(why.to_owned()));
        }
        match json["state"].as_str() {
            Some("here") => return Some(Self::Here),
            Some("serving") => return Some(Self::Serving),
            Some(_) => return None,
            None => {}
        }
        match decode(line, Vec::new()).ok()? {
            Answer::Done(_) => Some(Self::Answer(Ok(()))),
            Answer::Refused(why) => Some(Self::Answer(Err(why))),
            Answer::Sockets(_) => None,
        }
    }
}

/// Has a program that is about to be started find a descriptor.
fn hand_down(command: &mut Command, end: OwnedFd) {
    command.env(
        VARIABLE,
        format!("{}:{}", end.as_raw_fd(), std::process::id()),
    );
    unix::hand_down(command, end);
}

/// Has a program that is about to be started wait so long for an address that another one has, if it is one of `runner`'s
/// own.
pub(crate) fn grant(command: &mut Command, patience: Duration) {
    let value = format!("{}:{}", std::process::id(), patience.as_millis());
    command.env(PATIENCE, value);
}

/// How long such a variable has us wait, if it is meant for a child of our parent.
fn granted(value: &str) -> Option<Duration> {
    let (parent, patience) = value.split_once(':')?;
    let own = getppid().map(|pid| pid.as_raw_nonzero().get());
    let is_ours = own.is_some() && own == parent.parse().ok();
    let patience = patience.parse().ok().filter(|_| is_ours);
    patience.map(Duration::from_millis)
}

/// The descriptor that a variable names, `NUMBER:PID`, if it is meant for a child of our parent: the parent's environment
/// may have come down to others.
///
/// # Errors
/// It is meant for somebody else, or there is no such descriptor.
pub(crate) fn inherited(value: &str) -> anyhow::Result<OwnedFd> {
    let (number, parent) = value.split_once(':').context("not two numbers")?;
    let own = getppid().map(|pid| pid.as_raw_nonzero().get());
    if own != Some(parent.parse()?) {
        bail!("meant for somebody else");
    }
    Ok(unix::duplicate_inherited(number.parse()?)?)
}

/// The end of this process, if a master keeps it running.
static END: Mutex<Option<StdUnixStream>> = Mutex::new(None);

/// How long this process waits for its address.
static WAIT: OnceLock<Duration> = OnceLock::new();

/// How long to wait for an address that another process has: where that is one that is about to end, since a master that
/// keeps this process running has taken the place of another.
#[must_use]
pub fn patience() -> Duration {
    WAIT.get().copied().unwrap_or_default()
}

fn end() -> MutexGuard<'static, Option<StdUnixStream>> {
    END.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds out whether a master keeps this process running, and says to it that we know. To be called once, before anything
/// else is done: the processes that we start are not to find the same.
pub fn inherit() {
    let patience = unix::take_variable(PATIENCE);
    if let Some(patience) = patience.and_then(|value| granted(value.to_str()?)) {
        let _ = WAIT.set(patience);
    }
    let Some(value) = unix::take_variable(VARIABLE) else {
        return;
    };
    let inherited = value.to_str().and_then(|value| inherited(value).ok());
    *end() = inherited.map(StdUnixStream::from);
    say(&json!({ "state": "here" }));
}

/// Says to the master that keeps this process running that it serves.
pub fn say_serving() {
    say(&json!({ "state": "serving" }));
}

/// Says to the master that keeps this process running why it cannot serve.
pub fn say_failure(why: &str) {
    let why: String = why.chars().take(LONGEST_REASON).collect();
    say(&json!({ "failed": why }));
}

/// Has the master that keeps this process running take it for any other program, since it does not serve.
pub fn let_go() {
    *end() = None;
}

fn say(what: &Json) {
    if let Some(mut stream) = end().as_ref() {
        // A master that does not read is no reason to wait, and one that has ended is nobody to tell.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(format!("{what}\n").as_bytes());
    }
}

/// Has a process that is about to take our place find our end of the line.
pub(crate) fn pass_on(command: &mut Command) {
    let end = end().as_ref().map(|end| end.as_fd().try_clone_to_owned());
    if let Some(Ok(end)) = end {
        hand_down(command, end);
    }
}

/// What the master that keeps this process running tells it. Dropped, no more is read: who takes our place does.
#[derive(Debug)]
pub struct Tether(mpsc::Receiver<Asked>);

impl Tether {
    /// Begins to read; `None` if no master keeps this process running. Must be called within a tokio runtime.
    #[must_use]
    pub fn hold() -> Option<Self> {
        let stream = end().as_ref()?.try_clone().ok()?;
        stream.set_nonblocking(true).ok()?;
        let stream = UnixStream::from_std(stream).ok()?;
        let (asked, orders) = mpsc::channel(1);
        tokio::spawn(listen(stream, asked));
        Some(Self(orders))
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Asked {
        match self.0.recv().await {
            Some(asked) => asked,
            // The master has gone: nobody orders any more.
            None => std::future::pending().await,
        }
    }
}

/// Reads an order at a time, and answers it, until nobody wants to hear of another.
async fn listen(stream: UnixStream, asked: mpsc::Sender<Asked>) {
    let by = getppid().map(|pid| pid.as_raw_nonzero().get());
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut stream).take(LONGEST_ORDER);
        let read = tokio::select! {
            () = asked.closed() => return,
            read = bounded.read_until(b'\n', &mut line) => read,
        };
        if read.is_err() || line.last() != Some(&b'\n') {
            return;
        }
        // The master gives no others.
        let Ok(order) = Order::parse(&line) else {
            return;
        };
        if obey(stream.get_mut(), order, by, &asked).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_program_says() {
        let said = |text: &str| Said::parse(text.as_bytes());
        assert_eq!(said(""), Some(Said::Alive));
        assert_eq!(said(r#"{"state":"here"}"#), Some(Said::Here));
        assert_eq!(said(r#"{"state":"serving"}"#), Some(Said::Serving));
        let failed = Said::Failed("no".to_owned());
        assert_eq!(said(r#"{"failed":"no"}"#), Some(failed));
        assert_eq!(said(r#"{"done":{}}"#), Some(Said::Answer(Ok(()))));
        let refused = Said::Answer(Err("no".to_owned()));
        assert_eq!(said(r#"{"refused":"no"}"#), Some(refused));
        for nonsense in [
            "hello",
            "{}",
            "[]",
            r#"{"state":"asleep"}"#,
            r#"{"sockets":[]}"#,
        ] {
            assert_eq!(said(nonsense), None, "{nonsense}");
        }
    }

    /// What comes out of a line on which this is written.
    fn hear(bytes: &[u8]) -> Vec<Said> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let (ours, mut theirs) = StdUnixStream::pair().expect("sockets");
            ours.set_nonblocking(true).expect("a socket");
            let stream = UnixStream::from_std(ours).expect("a socket");
            let mut line = Line {
                stream,
                said: Vec::new(),
            };
            let bytes = bytes.to_owned();
            let writer = std::thread::spawn(move || theirs.write_all(&bytes));
            let mut heard = Vec::new();
            while let Some(said) = line.next().await {
                heard.push(said);
            }
            drop(line);
            // Nobody reads on after nonsense.
            let _ = writer.join().expect("it does not panic");
            heard
        })
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        assert_eq!(hear(&vec![b'x'; LONGEST * 2]), []);
        let mut bytes = b"\n{\"state\":\"here\"}\n".to_vec();
        bytes.extend(vec![b'['; LONGEST * 2]);
        assert_eq!(hear(&bytes), [Said::Alive, Said::Here]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            hear(&bytes);
        }

        #[test]
        fn any_line_is_something_or_nonsense(text in r#"(\{"(state|failed|done|refused|sockets)":.{0,40}\}|.{0,60})"#) {
            Said::parse(text.as_bytes());
        }
    }
}
