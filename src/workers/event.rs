//! What happens to workers: the messages to the task that keeps them.

use std::process::ExitStatus;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::workers::id::{TemplateId, WorkerId};
use crate::workers::python::template::Message;
use crate::workers::question::Question;

/// What happened.
#[derive(Debug)]
pub enum WorkerEvent {
    /// A template said something.
    Said(TemplateId, Message),
    /// A template's process has ended.
    Exited(TemplateId, ExitStatus),
    /// A worker has begun to serve.
    Begun(WorkerId),
    /// All that a lane sent is read.
    LaneClosed(WorkerId),
    /// A worker sent what makes no sense.
    Confused(WorkerId),
    /// A worker was idle while requests waited, which is a fault of ours; how all lanes were.
    Neglected(WorkerId, String),
    /// A request is overdue or slow: its stack is to be logged. In the first case its worker gets no others.
    Stuck(Question),
    /// The stacks of all requests are to be logged.
    WriteStacks,
    /// A worker does not answer: one of its threads holds the interpreter's lock.
    Frozen(WorkerId),
    /// A worker has nothing left but requests that are overdue: it is told to leave.
    Leave(WorkerId),
    /// A worker that should have left has not: it is ended.
    Hopeless(WorkerId),
    /// A worker has answered so many requests, which is enough.
    Spent(WorkerId, u64),
    /// Something was answered, after [`super::pool::Pool::watch`].
    Active,
    /// A worker had nothing left to do, and was told to leave.
    Parted(WorkerId),
    /// Requests wait, and no lane is free.
    Crowded,
    /// The import of an application takes too long, and stands there.
    Hanging(TemplateId, String),
    /// Tell when all that are to be there are ready, or why not.
    AwaitAll(oneshot::Sender<anyhow::Result<()>>),
    /// Everything is to end; what is not done by then is given up. Tell when it has.
    Stop(Instant, oneshot::Sender<()>),
}
