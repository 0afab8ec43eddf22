//! The processes behind an application: a template that imports it once, workers that the template forks,
//! and the pool that shares requests out among them.
//!
//! - [`template`]: a process of Python's and the messages that we exchange with it. What runs there: `bootstrap.py`,
//!   which loads the others, `resolve.py`, which finds what `import:` names, `template.py`, `sharing.py`, which says
//!   whether it can be forked, `forked.py`, which has a fork forget what is not its own, `worker.py`, and `exchange.py`,
//!   which is one request and its answer; they write to the log by `output.py`, and use what `kept.py` keeps of Python as
//!   it was before the application came;
//! - [`staff`]: how many workers there are; `hiring` starts them, `attempts` says what becomes of starts that fail, `leaving`
//!   sees them off, `parting` lets them run dry first;
//! - `left_behind`: what workers have started, which ends with them;
//! - [`turnover`]: when there are more, or fewer, or others; [`shortage`]: whether the kernel has killed one;
//! - [`roster`]: who is there, for those who ask;
//! - [`watch`]: what is said to a worker besides requests, for which `control.py` runs there; [`stacks`], which it
//!   answers with; [`resources`], which it may use;
//! - [`pool`]: which worker answers which request, as `chooser` says; [`clock`] for how long; `watchdog` sees to it that
//!   no worker is idle while requests wait; `post` is one lane, [`lane`] its bookkeeping, [`link`] the sockets, [`ring`]
//!   the hub memory, [`reader`] what comes back, in [`frames`].

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::faults;
use crate::interface::status::Status;
use crate::interface::{Depot, Request, Response};
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::options::WorkerOptions;
use crate::workers::pool::Pool;
use crate::workers::pool::checkup::TICK;
use crate::workers::roster::Roster;
use crate::workers::task::Task;

pub mod options;

mod id;

mod task;

mod question;

mod memory;

pub mod wire;

mod pool;

pub mod python;

mod event;

mod roster;

mod hub;

mod reader;

mod worker_control;

mod staff;

/// The workers of one application.
#[derive(Debug)]
pub struct Workers {
    hub: Arc<Hub>,
    /// What goes on in the background: ends with us.
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Workers {
    /// Starts the workers. Returns when the first of them is ready, or, where none is always kept running, the
    /// application is imported.
    ///
    /// # Errors
    /// If Python cannot be run, or the application cannot be imported; nothing is left running.
    pub async fn start(options: WorkerOptions) -> anyhow::Result<Self> {
        let (events, inbox) = mpsc::unbounded_channel();
        let hub = Arc::new(Hub {
            pool: Mutex::new(Pool::new(options.limits, Instant::now)),
            roster: Mutex::new(Roster::new()),
            written: Notify::new(),
            busy: Notify::new(),
            events,
            depot: Arc::new(Depot::new(options.folder.clone(), options.max_buffer)),
            attendants: TaskTracker::new(),
        });
        let tasks = [
            AbortOnDropHandle::new(again(
                "the task that writes to workers",
                &hub,
                write_batches,
            )),
            AbortOnDropHandle::new(again("the clock", &hub, tick)),
        ];
        staff::start(Arc::clone(&hub), options, inbox).await?;
        Ok(Self { hub, _tasks: tasks })
    }

    /// Has a request answered.
    pub async fn respond(&self, request: Request) -> Response {
        let (task, answer) = Task::new(request);
        let dirty = {
            let mut pool = lock(&self.hub.pool);
            pool.accept(task);
            pool.is_dirty()
        };
        if dirty {
            self.hub.written.notify_one();
        }
        self.hub.busy.notify_one();
        let mut leaver = Leaver(Some(&self.hub.pool));
        // A task that is dropped unanswered was with a worker that made no sense.
        let lost = |_| Response::plain(StatusCode::BAD_GATEWAY);
        let response = answer.await.unwrap_or_else(lost);
        leaver.0 = None;
        response
    }

    /// Has the requests that all workers are on logged, with their stacks.
    pub fn write_stacks(&self) {
        self.hub.tell(WorkerEvent::WriteStacks);
    }

    /// Waits until as many workers as are always kept running are ready; where these are none, and no template imports the
    /// application, until one has proved that it can be done.
    ///
    /// # Errors
    /// Why one of them could not be started, or died at once; others, and further attempts, go on.
    pub async fn all_ready(&self) -> anyhow::Result<()> {
        let (tell, told) = oneshot::channel();
        self.hub.tell(WorkerEvent::AwaitAll(tell));
        told.await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the workers were stopped")))
    }

    /// How the workers are, and the requests before them.
    #[must_use]
    pub fn status(&self) -> Status {
        let roster = lock(&self.hub.roster);
        Status {
            delivering: self.hub.depot.delivering(),
            ..roster.status(&lock(&self.hub.pool))
        }
    }

    /// Ends all workers: accepts no more requests, has those answered that are here, in the queue too, and lets
    /// each worker leave when nothing is left for it to do. What is not done after the time `within` is given up: a
    /// request that had begun is answered 504, and the log says where it stood; whoever has not left a moment later is
    /// ended.
    pub async fn stop(&self, within: Duration) {
        let (done, stopped) = oneshot::channel();
        let deadline = Instant::now() + within;
        self.hub.tell(WorkerEvent::Stop(deadline, done));
        // An error means that it has stopped already.
        let _ = stopped.await;
        self.hub.attendants.close();
        self.hub.attendants.wait().await;
    }
}

/// Whoever waits for an answer: if it goes away, the application is told.
struct Leaver<'a>(Option<&'a Mutex<Pool>>);

impl Drop for Leaver<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0 {
            lock(pool).cancel_unwanted();
        }
    }
}

/// Starts a task that has all that it needs to know in what is hub, and can be begun anew.
fn again<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    hub: &Arc<Hub>,
    task: fn(Arc<Hub>) -> F,
) -> JoinHandle<()> {
    let hub = Arc::clone(hub);
    faults::spawn_again(what, move || task(Arc::clone(&hub)))
}

/// Writes to the workers whenever something was sent to them.
async fn write_batches(hub: Arc<Hub>) {
    loop {
        hub.written.notified().await;
        let blocked = {
            let mut pool = lock(&hub.pool);
            let mut blocked = pool.flush();
            // We are awake: what is ready by now needs no wake-up of its own.
            reader::collect_all(&mut pool);
            pool.unstick();
            blocked.append(&mut pool.flush());
            if pool.is_curious() {
                hub.busy.notify_one();
            }
            blocked
        };
        for (seat, socket) in blocked {
            let hub = Arc::clone(&hub);
            tokio::spawn(async move {
                while socket.writable().await.is_ok() && lock(&hub.pool).flush_one(seat) {}
            });
        }
    }
}

/// Looks at the time while anything is under way.
async fn tick(hub: Arc<Hub>) {
    loop {
        hub.busy.notified().await;
        let mut next = Some(Instant::now() + TICK);
        while let Some(instant) = next {
            tokio::select! {
                () = tokio::time::sleep_until(instant.into()) => {}
                () = hub.busy.notified(), if instant > Instant::now() + TICK => {
                    next = Some(Instant::now() + TICK);
                    continue;
                }
            }
            let checkup = {
                let mut pool = lock(&hub.pool);
                // Answers may be in the rings that were not announced.
                reader::collect_all(&mut pool);
                pool.clock()
            };
            next = checkup.next;
            for finding in checkup.findings {
                hub.tell(WorkerEvent::Found(finding));
            }
            hub.wake();
        }
    }
}
