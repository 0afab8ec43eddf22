//! The socket between us and a worker's control thread: its closing tells the worker that we have ended, and
//! over it the worker is asked where its lanes are, and told to leave.
//!
//! A worker that is asked answers by itself, which disturbs nobody. If it does not, one of its threads holds the
//! interpreter's lock: then it is sent a signal, upon which `faulthandler` writes the stacks to the same socket
//! without any lock. That could go wrong while threads run, but then they do not.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::children::Process;
use crate::log;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::GRACE;
use crate::workers::python::stacks;
use crate::workers::question::Question;
use crate::workers::reader;

/// The order to leave.
const LEAVE: u8 = 0;
/// How long a worker may take to answer by itself: many times what it needs if it can.
const PATIENCE: Duration = Duration::from_millis(150);
/// The same where nothing is wrong, and nothing may go wrong: that it cannot answer is to be sure.
const MORE_PATIENCE: Duration = Duration::from_secs(1);
/// `faulthandler` does not say when it is done: it is if it has written nothing for so long.
const QUIET: Duration = Duration::from_millis(50);
/// The longest answer: faulthandler's limits are 100 threads, 100 frames, 500 characters for a name.
const LONGEST: usize = 16 << 20;

/// Our end of the socket, through which a worker is asked and told.
#[derive(Debug)]
pub(crate) struct WorkerControl(mpsc::UnboundedSender<Command>);

#[derive(Debug)]
enum Command {
    Show(Question),
    Leave,
}

impl WorkerControl {
    /// Begins to attend to a worker, until this is dropped. The worker leaves then, too.
    pub(crate) fn new(
        hub: &Arc<Hub>,
        worker: WorkerId,
        socket: UnixStream,
        process: Arc<Process>,
    ) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let attendant = Attendant {
            hub: Arc::clone(hub),
            worker,
            socket,
            process,
            asked: 0,
        };
        hub.attendants.spawn(attendant.attend(inbox));
        Self(orders)
    }

    /// Has the stack of a request logged, if it still runs then.
    pub(crate) fn show(&self, question: Question) {
        // It ends only with us.
        let _ = self.0.send(Command::Show(question));
    }

    /// Tells the worker to leave in the middle of its requests, and ends it if it does not in a moment.
    pub(crate) fn leave(&self) {
        let _ = self.0.send(Command::Leave);
    }
}

struct Attendant {
    hub: Arc<Hub>,
    worker: WorkerId,
    socket: UnixStream,
    process: Arc<Process>,
    /// The number of the last time that it was asked, from 1 to 255.
    asked: u8,
}

impl Attendant {
    async fn attend(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut next = inbox.recv().await;
        while let Some(order) = next {
            // All at once: what holds up one stack holds up the others.
            let mut questions = Vec::new();
            let mut is_to_leave = false;
            let mut more = Some(order);
            while let Some(order) = more {
                match order {
                    Command::Show(question) => questions.push(question),
                    Command::Leave => is_to_leave = true,
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
            if is_to_leave {
                // If it cannot be told, it is ended all the same.
                let _ = self.socket.try_write(&[LEAVE]);
                let left = async { while read(&self.socket, &mut Vec::new()).await {} };
                let _ = timeout(GRACE, left).await;
                self.hub.tell(WorkerEvent::Overstayed(self.worker));
            }
            next = inbox.recv().await;
        }
    }

    /// Where the worker's threads are, by itself or by `faulthandler`.
    async fn ask(&mut self, patience: Duration) -> String {
        self.asked = self.asked.checked_add(1).unwrap_or(1);
        let end = format!("reply {}\n", self.asked);
        let mut text = Vec::new();
        // If it cannot be asked, its buffer is full of questions, or it is dead.
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

    /// Logs the stacks of those requests that are still where they were.
    async fn tell(&self, mut questions: Vec<Question>, dump: String) {
        questions.retain(|question| {
            question.reason.ends_worker() || self.is_at(question.lane, question.number)
        });
        let worker = format!(" {}", self.process.id());
        let render = move || {
            for question in questions {
                let heading = question.heading(&worker);
                let stack = stacks::of_thread(&dump, question.thread);
                if stack.calls.is_empty() {
                    log!("{heading}");
                } else {
                    let stack = stacks::shown(&stack);
                    log!("{heading}. Stack (most recent call last):\n{stack}");
                }
            }
        };
        // The lines of source are in files, which may be slow to read. Whoever hangs there holds up nobody.
        let _ = timeout(MORE_PATIENCE, tokio::task::spawn_blocking(render)).await;
    }

    /// Whether a lane is still on a request.
    fn is_at(&self, lane: LaneId, number: u32) -> bool {
        // A worker that makes no sense is found out by others.
        let _ = reader::collect(&self.hub, lane);
        lock(&self.hub.pool).current(lane, number).is_ok()
    }
}

/// Has `faulthandler` write where a process is, and reads it.
async fn show_stacks(process: &Process, socket: &UnixStream, text: &mut Vec<u8>) {
    process.show_stacks();
    let mut limit = PATIENCE;
    while let Ok(true) = timeout(limit, read(socket, text)).await {
        limit = QUIET;
    }
}

/// Reads once; whether there may be more.
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

/// Where a process stands that imports the application, as Python shows it; nothing if it cannot say so.
pub(crate) async fn importing(process: &Process, socket: &UnixStream) -> String {
    let mut text = Vec::new();
    show_stacks(process, socket, &mut text).await;
    let render = move || stacks::shown(&stacks::of_one(&String::from_utf8_lossy(&text)));
    let rendered = timeout(MORE_PATIENCE, tokio::task::spawn_blocking(render)).await;
    rendered.ok().and_then(Result::ok).unwrap_or_default()
}
