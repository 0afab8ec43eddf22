//! The processes behind an application: a template imports it once and forks workers, and a pool shares requests out
//! among them.
//!
//! From the bottom to the top (no file names one that is above it):
//! - [`options`]: the settings; `id`: numbers of workers, lanes and templates; `pending_request`: a request that waits for its
//!   answer; `question`: a request whose stack the log is to show; `memory`: what the kernel says of memory;
//! - [`wire`]: the connection with a lane of a worker;
//! - `pool`: which worker answers which request, and for how long;
//! - [`python`]: the interpreter, the template, and the code that runs there;
//! - `event`: what happens to workers; `roster`: what the status shows of them; `hub`: what all tasks share;
//! - `client_notes`: what clients do after their responses have begun; `answers`: what comes from a lane; `worker_control`: a worker's stacks, and the order to leave;
//! - `staff`: how many workers there are, from their start to their end.
//!
//! The processes of a program that is an application live as these do ([`crate::upstream::programs`]), and share what is
//! not about Python: `memory`, and from `staff` the stages of a life, its end, and the reasons for a replacement.
//!
//! A worker's requests and answers are described in [`crate::protocol::worker::frame`].

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::interface::master_status::Status;
use crate::interface::measurements::Measurements;
use crate::interface::{Depot, Request, Response, ResponseBody};
use crate::panics;
use crate::workers::client_notes::ClientNotes;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::options::WorkerOptions;
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::checkup::TICK;
use crate::workers::pool::{Pool, conversations, upkeep};
use crate::workers::roster::Roster;

pub mod options;

pub(crate) mod id;

mod pending_request;

mod question;

pub(crate) mod memory;

pub mod wire;

pub(crate) mod pool;

pub mod python;

mod event;

mod roster;

mod gateway_errors;
mod hub;

mod answers;

mod client_notes;

mod worker_control;

pub(crate) mod staff;

/// The workers of one application.
#[derive(Debug)]
pub struct Workers {
    hub: Arc<Hub>,
    /// How a request is made ready for a worker.
    pending: fn(Request) -> (PendingRequest, oneshot::Receiver<Response>),
    /// Tasks in the background, which end with this.
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Workers {
    /// Begins to start the workers. They accept requests, and can be stopped, at once. The future returns when the first of
    /// them is ready or, where the least number is 0, when the application is imported. Its error is that Python cannot be
    /// run, or the application cannot be imported; no process is left then.
    pub fn begin(
        options: WorkerOptions,
    ) -> (
        Self,
        impl Future<Output = anyhow::Result<()>> + Send + use<>,
    ) {
        let (events, inbox) = mpsc::unbounded_channel();
        let written = Arc::new(Notify::new());
        let loop_limits = options.loop_limits();
        let pending = match loop_limits {
            Some(_) => PendingRequest::asgi,
            None => PendingRequest::new,
        };
        let hub = Arc::new(Hub {
            application: options.line_form.application.clone(),
            pool: Mutex::new(Pool::new(options.limits, loop_limits, Instant::now)),
            roster: Mutex::new(Roster::new()),
            clients: ClientNotes::new(Arc::clone(&written)),
            written,
            busy: Notify::new(),
            events,
            depot: Arc::new(
                Depot::new(options.folder.clone(), options.max_buffer)
                    .with_total(options.max_buffers),
            ),
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
        let started = staff::begin(Arc::clone(&hub), options, inbox);
        let workers = Self {
            hub,
            pending,
            _tasks: tasks,
        };
        let started = async move {
            let never = |_| Err(anyhow::anyhow!("no worker could be started"));
            started.await.unwrap_or_else(never)
        };
        (workers, started)
    }

    /// Accepts a request. The future, which is small since some thousand of them may wait, is the answer.
    pub fn respond(&self, request: Request) -> impl Future<Output = Response> + Send + use<> {
        let (pending, answer) = (self.pending)(request);
        let dirty = {
            let mut pool = lock(&self.hub.pool);
            pool.accept(pending);
            pool.is_dirty()
        };
        if dirty {
            self.hub.written.notify_one();
        }
        self.hub.busy.notify_one();
        let unwanted = CancelOnDrop(Some(Arc::clone(&self.hub)));
        async move {
            // A request is dropped without an answer if its worker broke the protocol.
            let lost = |_| Response::plain(StatusCode::BAD_GATEWAY);
            let mut response = answer.await.unwrap_or_else(lost);
            if let (Some(hub), ResponseBody::Bytes(body)) = (unwanted.disarm(), &mut response.body)
            {
                let body = std::mem::take(body);
                response.body = ResponseBody::stored(&hub.depot, body, response.about.as_ref());
            }
            response
        }
    }

    /// Asks what does not end by itself to end: see [`Application::drain`](crate::interface::Application::drain).
    pub fn drain(&self, returns: bool) {
        lock(&self.hub.pool).drain(returns);
        self.hub.wake();
    }

    /// Logs the requests that all workers are on, with their stacks.
    pub fn write_stacks(&self) {
        self.hub.tell(WorkerEvent::WriteStacks);
    }

    /// Waits until the least number of workers is ready. If that is 0 and no template imports the application, waits until
    /// one worker has shown that it can be imported.
    ///
    /// # Errors
    /// Why one of them could not be started, or died at once. Others, and further attempts, go on.
    pub async fn all_ready(&self) -> anyhow::Result<()> {
        let (tell, told) = oneshot::channel();
        self.hub.tell(WorkerEvent::AwaitAll(tell));
        told.await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the workers were stopped")))
    }

    /// The state of the workers and of the queue.
    #[must_use]
    pub fn status(&self) -> Status {
        let roster = lock(&self.hub.roster);
        Status {
            delivering: self.hub.depot.delivering(),
            ..roster.status(&lock(&self.hub.pool))
        }
    }

    /// What was measured of the requests here.
    #[must_use]
    pub fn measurements(&self) -> Measurements {
        let pool = lock(&self.hub.pool);
        Measurements {
            queue_waits: pool.queue.waits().clone(),
            services: pool.service.all().clone(),
            ..Measurements::default()
        }
    }

    /// Ends all workers: accepts no more requests, answers those that are here, in the queue too, and lets each worker
    /// leave when no request is left for it. Requests that are not answered after the time `within` are given up: a
    /// request that had begun is answered 504, and the log shows its stack. Workers that have not left a moment later are
    /// killed.
    pub async fn stop(&self, within: Duration) {
        let (done, stopped) = oneshot::channel();
        let deadline = Instant::now() + within;
        self.hub.tell(WorkerEvent::Stop(deadline, done));
        // An error means that they have stopped already.
        let _ = stopped.await;
        self.hub.attendants.close();
        self.hub.attendants.wait().await;
    }
}

/// Tells the application if the client of a request goes away.
struct CancelOnDrop(Option<Arc<Hub>>);

impl CancelOnDrop {
    fn disarm(mut self) -> Option<Arc<Hub>> {
        self.0.take()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(hub) = &self.0 {
            lock(&hub.pool).lose_client();
            hub.wake();
        }
    }
}

/// Starts a task that is started again if it panics: all its state is in the hub.
fn again<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    hub: &Arc<Hub>,
    task: fn(Arc<Hub>) -> F,
) -> JoinHandle<()> {
    let hub = Arc::clone(hub);
    panics::spawn_again(what, move || task(Arc::clone(&hub)))
}

/// Writes requests to the workers.
async fn write_batches(hub: Arc<Hub>) {
    loop {
        hub.written.notified().await;
        let blocked = {
            let mut pool = lock(&hub.pool);
            conversations::pass_on(&mut pool, hub.clients.take());
            let mut blocked = pool.flush();
            // Answers that are ready by now need no wake-up of their own.
            answers::collect_all(&mut pool);
            upkeep::unstick(&mut pool);
            blocked.append(&mut pool.flush());
            if pool.is_curious() || pool.is_dirty() {
                hub.wake_for(&pool);
            }
            blocked
        };
        for (lane, socket) in blocked {
            let hub = Arc::clone(&hub);
            tokio::spawn(async move {
                while socket.writable().await.is_ok() && lock(&hub.pool).flush_one(lane) {}
            });
        }
    }
}

/// Looks at the clock while requests are under way.
async fn tick(hub: Arc<Hub>) {
    loop {
        hub.busy.notified().await;
        let mut next = Some(Instant::now() + lock(&hub.pool).pause());
        while let Some(instant) = next {
            tokio::select! {
                () = tokio::time::sleep_until(instant.into()) => {}
                () = hub.busy.notified(), if instant > Instant::now() + TICK => {
                    let pause = lock(&hub.pool).pause();
                    next = Some(instant.min(Instant::now() + pause));
                    continue;
                }
            }
            let checkup = {
                let mut pool = lock(&hub.pool);
                // Answers may be in the rings that were not announced.
                answers::collect_all(&mut pool);
                let checkup = upkeep::clock(&mut pool);
                hub.depot.note_waiting(pool.queue.len());
                checkup
            };
            next = checkup.next;
            for finding in checkup.findings {
                hub.tell(WorkerEvent::Found(finding));
            }
            hub.wake();
        }
    }
}
