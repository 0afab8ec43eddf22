//! The socket to a worker's control thread. Over it the worker is asked for the stacks of its lanes, and told to leave;
//! when it closes, the worker knows that runner has ended.
//!
//! Usually the control thread itself answers. If it does not, another thread holds the interpreter's lock: then the worker
//! gets a signal, upon which `faulthandler` writes the stacks to the same socket without any lock. That could go wrong
//! while threads run, but then they do not.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::children::Process;
use crate::log;
use crate::workers::answers;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::WorkerId;
use crate::workers::python::stacks;
use crate::workers::question::Question;

/// The byte that tells a worker to leave.
const LEAVE: u8 = 0;
/// How long the control thread may take to answer: many times what it needs if it can.
const PATIENCE: Duration = Duration::from_millis(150);
/// The same where nothing is wrong with the worker: the signal is sent only if it certainly cannot answer.
const MORE_PATIENCE: Duration = Duration::from_secs(1);
/// `faulthandler` is done when it has written nothing for this long.
const QUIET: Duration = Duration::from_millis(50);
/// The longest answer: faulthandler's limits are 100 threads, 100 frames, 500 characters for a name.
const LONGEST: usize = 16 << 20;

/// Sends commands to the task that holds runner's end of the socket. The worker leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct WorkerControl(mpsc::UnboundedSender<ControlCommand>);

#[derive(Debug)]
enum ControlCommand {
    /// Log the stack of a request.
    Show(Question),
    /// Leave within this time.
    Leave(Duration),
}

impl WorkerControl {
    /// Starts the task.
    pub(crate) fn new(
        hub: &Arc<Hub>,
        worker: WorkerId,
        socket: UnixStream,
        process: Arc<Process>,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let attendant = Attendant {
            hub: Arc::clone(hub),
            worker,
            socket,
            process,
            asked: 0,
        };
        hub.attendants.spawn(attendant.attend(inbox));
        Self(commands)
    }

    /// Has the stack of a request logged, if the request still runs then.
    pub(crate) fn show(&self, question: Question) {
        // The task ends only with runner.
        let _ = self.0.send(ControlCommand::Show(question));
    }

    /// Tells the worker to leave in the middle of its requests. If it does not within this time, it is killed.
    pub(crate) fn leave(&self, within: Duration) {
        let _ = self.0.send(ControlCommand::Leave(within));
    }
}

struct Attendant {
    hub: Arc<Hub>,
    worker: WorkerId,
    socket: UnixStream,
    process: Arc<Process>,
    /// The number of the last request for stacks, from 1 to 255.
    asked: u8,
}

impl Attendant {
    async fn attend(mut self, mut inbox: mpsc::UnboundedReceiver<ControlCommand>) {
        let mut next = inbox.recv().await;
        while let Some(command) = next {
            // All questions at once: what delays one stack delays the others.
            let mut questions = Vec::new();
            let mut leaves_within = None;
            let mut more = Some(command);
            while let Some(command) = more {
                match command {
                    ControlCommand::Show(question) => questions.push(question),
                    ControlCommand::Leave(within) => leaves_within = Some(within),
                }
                more = inbox.try_recv().ok();
            }
            if !questions.is_empty() {
                let is_urgent = |question: &Question| question.reason.ends_worker();
                let patience = match questions.iter().any(is_urgent) {
                    true => PATIENCE,
                    false => MORE_PATIENCE,
                };
                let dump = self.ask(patience).await;
                self.tell(questions, dump).await;
            }
            if let Some(within) = leaves_within {
                // If it cannot be told, it is killed all the same.
                let _ = self.socket.try_write(&[LEAVE]);
                let left = async { while read(&self.socket, &mut Vec::new()).await {} };
                self.hub.tell(match timeout(within, left).await {
                    Ok(()) => WorkerEvent::Leaves(self.worker),
                    Err(_) => WorkerEvent::Overstayed(self.worker),
                });
            }
            next = inbox.recv().await;
        }
    }

    /// The stacks of the worker's threads, from the control thread or from `faulthandler`.
    async fn ask(&mut self, patience: Duration) -> String {
        self.asked = self.asked.checked_add(1).unwrap_or(1);
        let end = format!("reply {}\n", self.asked);
        let mut text = Vec::new();
        // An error means that it is dead, or that its buffer is full of questions.
        let _ = self.socket.try_write(&[self.asked]);
        let answered = async {
            while !text.ends_with(end.as_bytes()) && read(&self.socket, &mut text).await {}
        };
        if timeout(patience, answered).await.is_err() {
            self.hub.tell(WorkerEvent::Frozen(self.worker));
            show_stacks(&self.process, &self.socket, &mut text).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Logs the stacks of the requests that still run.
    async fn tell(&self, mut questions: Vec<Question>, dump: String) {
        questions.retain(|question| question.reason.ends_worker() || self.is_at(question));
        let pid = self.process.id();
        let worker = format!(" {pid}");
        let hub = Arc::clone(&self.hub);
        let render = move || {
            for question in questions {
                let heading = question.heading(&worker);
                let stack = stacks::of_thread(&dump, question.thread);
                let level = question.reason.level();
                let subject = question.subject(hub.subject_of(pid));
                if stack.calls.is_empty() {
                    log::write(level, subject, format_args!("{heading}"));
                } else {
                    let stack = stacks::shown(&stack);
                    let text = format_args!("{heading}. Stack (most recent call last):\n{stack}");
                    log::write(level, subject, text);
                }
            }
        };
        // The lines of source are in files, which may be slow to read: that must not delay other tasks.
        let _ = timeout(MORE_PATIENCE, tokio::task::spawn_blocking(render)).await;
    }

    /// Whether a lane is still on a request.
    fn is_at(&self, question: &Question) -> bool {
        let mut pool = lock(&self.hub.pool);
        answers::collect(&mut pool, question.lane);
        let is_at = pool.is_at(question);
        drop(pool);
        self.hub.wake();
        is_at
    }
}

/// Has `faulthandler` write the stacks of a process, and reads them.
async fn show_stacks(process: &Process, socket: &UnixStream, text: &mut Vec<u8>) {
    process.show_stacks();
    let mut limit = PATIENCE;
    while let Ok(true) = timeout(limit, read(socket, text)).await {
        limit = QUIET;
    }
}

/// Reads once. Returns whether there may be more.
async fn read(socket: &UnixStream, text: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16 * 1024];
    if socket.readable().await.is_err() {
        return false;
    }
    match socket.try_read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            text.extend_from_slice(&buffer[..count]);
            text.len() < LONGEST
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// The stack of a process that imports the application, in the format of Python's tracebacks; empty if it cannot be had.
pub(crate) async fn importing(process: &Process, socket: &UnixStream) -> String {
    let mut text = Vec::new();
    show_stacks(process, socket, &mut text).await;
    let render = move || stacks::shown(&stacks::of_one(&String::from_utf8_lossy(&text)));
    let rendered = timeout(MORE_PATIENCE, tokio::task::spawn_blocking(render)).await;
    rendered.ok().and_then(Result::ok).unwrap_or_default()
}
