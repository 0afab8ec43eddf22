//! The link of this process to the master that keeps it running as a program, if there is one: this end reports the
//! start and takes orders. [`child_link`](super::child_link) is the master's end.

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

use crate::supervisor::control::order::Order;
use crate::supervisor::control::{LONGEST_ORDER, ReceivedOrder, obey};
use crate::unix;

/// Names the descriptor of a program's end, and the process whose child it is for: `NUMBER:PID`. Not for users.
pub(super) const VARIABLE: &str = "RUNNER_KEPT";

/// The milliseconds that a program may wait for an address, since it replaces one that is about to end, and the process
/// whose child it is: `PID:NUMBER`. Not for users.
const PATIENCE: &str = "RUNNER_PATIENCE";

/// The longest reason that is reported, in characters: it fits the buffer of a socket.
const LONGEST_REASON: usize = 16 << 10;

/// The end of this process.
static END: Mutex<Option<StdUnixStream>> = Mutex::new(None);

/// How long this process may wait for its address.
static WAIT: OnceLock<Duration> = OnceLock::new();

/// Has a process that is about to be started inherit a descriptor, and name it in a variable.
pub(super) fn hand_down(command: &mut Command, variable: &str, end: OwnedFd) {
    command.env(
        variable,
        format!("{}:{}", end.as_raw_fd(), std::process::id()),
    );
    unix::hand_down(command, end);
}

/// Lets a program that is about to be started wait so long for an address that another process still has, if it is a
/// `runner`.
pub(super) fn grant_patience(command: &mut Command, patience: Duration) {
    let value = format!("{}:{}", std::process::id(), patience.as_millis());
    command.env(PATIENCE, value);
}

/// Whether a variable that names this process as the parent is meant for us: the parent's environment may have come down
/// to processes that it has not started itself.
fn is_parent(pid: &str) -> bool {
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    parent.is_some() && parent == pid.parse().ok()
}

/// The patience that a variable grants, if it is meant for this process.
fn granted(value: &str) -> Option<Duration> {
    let (parent, patience) = value.split_once(':')?;
    let patience = patience.parse().ok().filter(|_| is_parent(parent))?;
    Some(Duration::from_millis(patience))
}

/// The descriptor that a variable names, `NUMBER:PID`.
///
/// # Errors
/// It is meant for another process, or there is no such descriptor.
pub(in crate::supervisor) fn inherited(value: &str) -> anyhow::Result<OwnedFd> {
    let (number, parent) = value.split_once(':').context("not two numbers")?;
    if !is_parent(parent) {
        bail!("meant for another process");
    }
    Ok(unix::duplicate_inherited(number.parse()?)?)
}

/// How long this process may wait for an address that another one still has. Not zero only where that one is about to
/// end: a master that keeps this process running has taken the place of another.
#[must_use]
pub fn patience() -> Duration {
    WAIT.get().copied().unwrap_or_default()
}

fn end() -> MutexGuard<'static, Option<StdUnixStream>> {
    END.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the link to the master that keeps this process running, if there is one, and reports that this process is a
/// `runner`. To be called once, before anything else: processes that this one starts must not find the variables.
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
    report(&json!({ "state": "here" }));
}

/// Whether a master keeps this process running.
#[must_use]
pub fn is_there() -> bool {
    end().is_some()
}

/// Reports that this process serves.
pub fn report_serving() {
    report(&json!({ "state": "serving" }));
}

/// Reports why this process cannot serve.
pub fn report_failure(why: &str) {
    let why: String = why.chars().take(LONGEST_REASON).collect();
    report(&json!({ "failed": why }));
}

/// Closes the link: this process runs a command that does not serve, and is to be treated like any other program.
pub fn close() {
    *end() = None;
}

fn report(message: &Json) {
    if let Some(mut stream) = end().as_ref() {
        // A master that does not read must not hold us up, and one that has ended needs no report.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write_all(format!("{message}\n").as_bytes());
    }
}

/// Has a process that is about to take our place inherit our end of the link.
pub(in crate::supervisor) fn pass_on(command: &mut Command) {
    let end = end().as_ref().map(|end| end.as_fd().try_clone_to_owned());
    if let Some(Ok(end)) = end {
        hand_down(command, VARIABLE, end);
    }
}

/// The orders of the master that keeps this process running. Dropped, no more is read: a successor reads the rest.
#[derive(Debug)]
pub struct ParentOrders(mpsc::Receiver<ReceivedOrder>);

impl ParentOrders {
    /// Begins to read; `None` if no master keeps this process running. Must be called within a tokio runtime.
    #[must_use]
    pub fn listen() -> Option<Self> {
        let stream = end().as_ref()?.try_clone().ok()?;
        stream.set_nonblocking(true).ok()?;
        let stream = UnixStream::from_std(stream).ok()?;
        let (received, orders) = mpsc::channel(1);
        tokio::spawn(take_orders(stream, received));
        Some(Self(orders))
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        match self.0.recv().await {
            Some(order) => order,
            // The master has ended: no more orders come.
            None => std::future::pending().await,
        }
    }
}

/// Reads an order at a time and answers it, until the receiver is dropped.
async fn take_orders(stream: UnixStream, received: mpsc::Sender<ReceivedOrder>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut stream).take(LONGEST_ORDER);
        tokio::select! {
            () = received.closed() => return Ok(()),
            read = bounded.read_until(b'\n', &mut line) => read?,
        };
        match Order::parse(&line) {
            Ok(order) if line.last() == Some(&b'\n') => {
                obey(stream.get_mut(), order, &received).await?;
            }
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}
