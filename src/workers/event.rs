//! The messages to the task that keeps the workers: what has happened to them.

use std::process::ExitStatus;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::workers::id::{TemplateId, WorkerId};
use crate::workers::pool::checkup::Finding;
use crate::workers::python::template::TemplateMessage;

/// What has happened.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// A template has sent a message.
    Said(TemplateId, TemplateMessage),
    /// A template's process has ended.
    Exited(TemplateId, ExitStatus),
    /// The import of an application takes too long. The stack says where it is.
    Hanging(TemplateId, String),
    /// A worker has begun to serve.
    Begun(WorkerId),
    /// A worker cannot serve, and ends. The text says why.
    Unable(WorkerId, String),
    /// All that a lane sent is read.
    LaneClosed(WorkerId),
    /// A worker does not answer on its control socket: one of its threads holds the interpreter's lock.
    Frozen(WorkerId),
    /// A worker that was told to leave does so.
    Leaves(WorkerId),
    /// A worker that was told to leave has had its time.
    Overstayed(WorkerId),
    /// The pool has found something out.
    Found(Finding),
    /// The stacks of all requests are to be logged.
    WriteStacks,
    /// The sender wants to know when all workers are ready, or why they are not.
    AwaitAll(oneshot::Sender<anyhow::Result<()>>),
    /// All workers are to leave; requests that are not answered by then are given up. The sender wants to know when all
    /// have ended.
    Stop(Instant, oneshot::Sender<()>),
}
