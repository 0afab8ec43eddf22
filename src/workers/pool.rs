//! Which worker answers which request.
//!
//! Waking another process costs more than a small request does, so requests are sent ahead to a lane that is
//! busy, in batches; and because they may be taken back, a slow one holds up the others behind it for no more
//! than a tick of the clock. A lane is chosen in this order:
//!
//! 1. the least loaded busy one, if its work is done sooner than another process would be awake;
//! 2. an idle one in a worker that has no other lane at work (two lanes of one interpreter only
//!    take turns), the most recently used, whose memory is still in the processor's caches;
//! 3. the least loaded busy one again, within a window of work;
//! 4. any idle one;
//!
//! else the request waits in one queue, first come, first served.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::lane::{Confused, Lane};
use super::link::{Flushed, Link};
use super::task::{About, Task};
use crate::log;

/// What it costs to wake another process: requests that take less time in all are better sent to a lane that is awake.
const WAKE_UP: f64 = 150e-6;
/// How much work, in seconds, a lane may have before it.
const WINDOW: f64 = 1.6e-3;
/// A lane that has finished nothing for so long is not waited for.
const STALL: Duration = Duration::from_micros(1500);
/// How often a busy lane is looked at.
pub const TICK: Duration = Duration::from_millis(1);
/// By how much one answer changes what we take for a typical service time.
const STEP: f64 = 1.125;

/// A worker's name: never used twice.
pub type WorkerId = u32;

/// Which lane of which worker.
pub type Seat = (WorkerId, usize);

/// The limits that a pool keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long an application may take to the head of its response; zero for no limit.
    pub request_timeout: Duration,
    /// How many requests may wait.
    pub queue_length: usize,
    /// How long a request may wait.
    pub queue_timeout: Duration,
}

/// One lane and what connects us with it.
#[derive(Debug)]
struct Post {
    lane: Lane<Task>,
    link: Link,
    /// Among those to be written to.
    dirty: bool,
    /// Waiting for the worker to read.
    blocked: bool,
    /// When it last finished something, or began while idle.
    progress: Instant,
    /// Made no progress for a while: gets nothing more until it does.
    stalled: bool,
    /// When it became idle, as a count: the highest is the most recent.
    idle_since: u64,
}

/// A worker that answers requests.
#[derive(Debug)]
struct Worker {
    posts: Vec<Post>,
    answered: u64,
    /// Gets no more requests: it is to be ended, or dead already.
    retired: bool,
    /// What it was on when it died.
    last: Vec<About>,
}

/// What [`Pool::clock`] found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Workers with nothing left to do but overdue requests: to be ended.
    pub hopeless: Vec<WorkerId>,
    /// Requests wait and every lane is busy.
    pub crowded: bool,
    /// When to look again; `None` if nothing is under way.
    pub next: Option<Instant>,
}

/// What a worker leaves behind.
#[derive(Debug)]
pub struct Remains {
    /// How many requests it answered.
    pub answered: u64,
    /// The requests that it was on.
    pub last: Vec<About>,
}

/// All lanes of all workers, and the queue before them.
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    workers: BTreeMap<WorkerId, Worker>,
    queue: VecDeque<Task>,
    /// Lanes with something to be written.
    dirty: Vec<Seat>,
    /// Our idea of the median service time in seconds.
    typical: f64,
    idle_count: u64,
    /// No request is accepted any more.
    closed: bool,
}

impl Pool {
    /// A pool without workers.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            workers: BTreeMap::new(),
            queue: VecDeque::new(),
            dirty: Vec::new(),
            typical: 1e-3,
            idle_count: 0,
            closed: false,
        }
    }

    /// Adds a worker, and gives it what has been waiting.
    pub fn add(&mut self, id: WorkerId, links: Vec<Link>) {
        let now = Instant::now();
        let posts = links
            .into_iter()
            .map(|link| Post {
                lane: Lane::default(),
                link,
                dirty: false,
                blocked: false,
                progress: now,
                stalled: false,
                idle_since: 0,
            })
            .collect();
        let worker = Worker {
            posts,
            answered: 0,
            retired: false,
            last: Vec::new(),
        };
        self.workers.insert(id, worker);
        self.dispatch();
    }

    /// Takes a request: sends it to a lane, puts it into the queue, or refuses it.
    pub fn accept(&mut self, mut task: Task) {
        if self.closed {
            task.refuse(StatusCode::SERVICE_UNAVAILABLE);
        } else if self.queue.is_empty()
            && let Some(seat) = self.choose()
        {
            self.send(seat, task);
        } else if self.queue.len() < self.limits.queue_length || self.forget_unwanted() {
            self.queue.push_back(task);
        } else {
            log!(
                "503 for {}: {} requests wait already (runner.request.queue_length)",
                task.about,
                self.queue.len()
            );
            task.refuse(StatusCode::SERVICE_UNAVAILABLE);
        }
    }

    /// Takes out of the queue whatever nobody waits for any more; whether that made room.
    fn forget_unwanted(&mut self) -> bool {
        self.queue.retain(Task::is_wanted);
        self.queue.len() < self.limits.queue_length
    }

    /// The lane for the next request, if there is one.
    fn choose(&self) -> Option<Seat> {
        let mut least: Option<(usize, Seat)> = None;
        let mut quiet: Option<(u64, Seat)> = None;
        let mut other: Option<(u64, Seat)> = None;
        for (&id, worker) in &self.workers {
            if worker.retired {
                continue;
            }
            let at_work = worker
                .posts
                .iter()
                .any(|post| post.lane.load() > 0 && !post.stalled);
            for (index, post) in worker.posts.iter().enumerate() {
                let load = post.lane.load();
                if load > 0 {
                    if !post.stalled
                        && post.lane.has_room()
                        && least.is_none_or(|(best, _)| load < best)
                    {
                        least = Some((load, (id, index)));
                    }
                } else if post.lane.has_room() {
                    let idle = if at_work { &mut other } else { &mut quiet };
                    if idle.is_none_or(|(best, _)| post.idle_since >= best) {
                        *idle = Some((post.idle_since, (id, index)));
                    }
                }
            }
        }
        #[allow(clippy::cast_precision_loss)] // some hundred at most
        let within = |work: f64| {
            least
                .filter(|(load, _)| (*load as f64) * self.typical < work)
                .map(|(_, seat)| seat)
        };
        within(WAKE_UP - self.typical)
            .or(quiet.map(|(_, seat)| seat))
            .or_else(|| within(WINDOW - self.typical))
            .or(other.map(|(_, seat)| seat))
    }

    fn post(&mut self, (id, index): Seat) -> Option<&mut Post> {
        self.workers.get_mut(&id)?.posts.get_mut(index)
    }

    fn send(&mut self, seat: Seat, mut task: Task) {
        let Some(post) = self.post(seat) else {
            task.refuse(StatusCode::BAD_GATEWAY);
            return;
        };
        let number = post.lane.next_number();
        if let Err(error) = post.link.push(number, &mut task.frame, task.file.as_ref()) {
            log!(
                "500 for {}: its body cannot be passed on: {error}",
                task.about
            );
            task.refuse(StatusCode::INTERNAL_SERVER_ERROR);
            return;
        }
        if post.lane.load() == 0 {
            post.progress = Instant::now();
            post.stalled = false;
        }
        post.lane.send(task);
        if !post.dirty {
            post.dirty = true;
            self.dirty.push(seat);
        }
    }

    /// Sends what waits in the queue, as far as there are lanes.
    pub fn dispatch(&mut self) {
        while !self.queue.is_empty() {
            let Some(seat) = self.choose() else { return };
            if let Some(task) = self.queue.pop_front()
                && task.is_wanted()
            {
                self.send(seat, task);
            }
        }
    }

    /// Whether something is to be written.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes all that was sent since the last time, a lane at a time. Returns the lanes whose worker is to
    /// read first; [`Pool::flush_one`] goes on when their socket is writable.
    pub fn flush(&mut self) -> Vec<(Seat, std::sync::Arc<tokio::net::UnixStream>)> {
        let mut blocked = Vec::new();
        for seat in std::mem::take(&mut self.dirty) {
            if let Some(post) = self.post(seat) {
                post.dirty = false;
                if !post.blocked && post.link.flush().ok() == Some(Flushed::Blocked) {
                    post.blocked = true;
                    blocked.push((seat, post.link.socket()));
                }
                // An error means that the worker is dead, which its reader sees and deals with.
            }
        }
        blocked
    }

    /// Goes on writing to a lane that was blocked; whether it is blocked again.
    pub fn flush_one(&mut self, seat: Seat) -> bool {
        self.post(seat).is_some_and(|post| {
            post.blocked = post.link.flush().ok() == Some(Flushed::Blocked);
            post.blocked
        })
    }

    /// Notes that the oldest request of a lane is answered, and returns it.
    ///
    /// # Errors
    /// [`Confused`] if it is not that request's turn.
    pub fn answered(
        &mut self,
        seat: Seat,
        number: u32,
        service: Duration,
    ) -> Result<Task, Confused> {
        self.idle_count += 1;
        let idle_since = self.idle_count;
        let post = self.post(seat).ok_or(Confused)?;
        let task = post.lane.answered(number)?;
        post.progress = Instant::now();
        post.stalled = false;
        post.idle_since = idle_since;
        if let Some(worker) = self.workers.get_mut(&seat.0) {
            worker.answered += 1;
        }
        // Tracks the median: what is slow now and then does not change what is typical.
        if service.as_secs_f64() > self.typical {
            self.typical = (self.typical * STEP).min(60.0);
        } else {
            self.typical = (self.typical / STEP).max(1e-6);
        }
        Ok(task)
    }

    /// The request that a lane is on.
    ///
    /// # Errors
    /// [`Confused`] if it is on another.
    pub fn current(&mut self, seat: Seat, number: u32) -> Result<&mut Task, Confused> {
        self.post(seat).ok_or(Confused)?.lane.current(number)
    }

    /// What connects us with a lane.
    pub fn link(&mut self, seat: Seat) -> Option<&mut Link> {
        self.post(seat).map(|post| &mut post.link)
    }

    /// Every lane that is at work.
    #[must_use]
    pub fn busy(&self) -> Vec<Seat> {
        let busy = |(&id, worker): (&WorkerId, &Worker)| {
            let loads = worker.posts.iter().enumerate();
            loads
                .filter(|(_, post)| post.lane.load() > 0)
                .map(move |(index, _)| (id, index))
                .collect::<Vec<_>>()
        };
        self.workers.iter().flat_map(busy).collect()
    }

    /// Looks at the time: takes requests back from lanes that are stuck, answers what has waited or run
    /// for too long.
    ///
    /// # Errors
    /// The worker that is [`Confused`].
    pub fn clock(&mut self) -> Result<Findings, WorkerId> {
        let now = Instant::now();
        let mut findings = Findings::default();
        let mut stuck = Vec::new();
        for (&id, worker) in &mut self.workers {
            let mut overdue = 0;
            let mut busy = 0;
            for (index, post) in worker.posts.iter_mut().enumerate() {
                let since = post.progress;
                let Some(task) = post.lane.oldest_mut() else {
                    continue;
                };
                busy += 1;
                if task.is_answered() {
                    // A body on its way may take as long as its client does.
                } else if is_over(self.limits.request_timeout, since, now) {
                    log!(
                        "504 for {}: no answer for {} (runner.request.timeout)",
                        task.about,
                        seconds(now - since)
                    );
                    task.refuse(StatusCode::GATEWAY_TIMEOUT);
                    worker.retired = true;
                    overdue += 1;
                } else if worker.retired && !task.is_wanted() {
                    overdue += 1;
                } else {
                    sooner(
                        &mut findings.next,
                        deadline(self.limits.request_timeout, since),
                    );
                }
                if now - since >= STALL {
                    post.stalled = true;
                }
                if post.lane.load() > 1 && (post.stalled || worker.retired) {
                    stuck.push((id, index));
                }
                if !post.stalled {
                    sooner(&mut findings.next, Some(now + TICK));
                }
            }
            if worker.retired && overdue == busy && overdue > 0 {
                findings.hopeless.push(id);
            } else if worker.retired && busy > 0 {
                sooner(&mut findings.next, Some(now + TICK));
            }
        }
        for seat in stuck {
            self.take_back(seat).map_err(|Confused| seat.0)?;
        }
        self.dispatch();
        while let Some(task) = self.queue.front_mut() {
            if task.is_wanted() && is_over(self.limits.queue_timeout, task.entered, now) {
                log!(
                    "503 for {}: no worker was free for {} (runner.request.queue_timeout)",
                    task.about,
                    seconds(now - task.entered)
                );
                task.refuse(StatusCode::SERVICE_UNAVAILABLE);
            }
            if task.is_wanted() {
                let entered = task.entered;
                sooner(
                    &mut findings.next,
                    deadline(self.limits.queue_timeout, entered),
                );
                break;
            }
            self.queue.pop_front();
        }
        findings.crowded = !self.queue.is_empty();
        Ok(findings)
    }

    /// Takes back what a lane has not begun, to be the first in the queue.
    fn take_back(&mut self, seat: Seat) -> Result<(), Confused> {
        let Some(post) = self.post(seat) else {
            return Ok(());
        };
        let tokens = post.link.take_tokens();
        let mut tasks = post.lane.taken_back(&tokens)?;
        for task in tasks.drain(..).rev() {
            self.queue.push_front(task);
        }
        Ok(())
    }

    /// A lane's socket has closed, after all that it sent was dealt with: its worker is dead or leaving.
    /// What it had not begun goes to others; the one that it was on is answered 502.
    /// Whether this is the first that we hear of the worker's end.
    pub fn lane_closed(&mut self, seat: Seat) -> bool {
        // Tokens that make no sense leave every request of the lane in doubt: 502 for all.
        let _ = self.take_back(seat);
        let Some(worker) = self.workers.get_mut(&seat.0) else {
            return false;
        };
        let first = !std::mem::replace(&mut worker.retired, true);
        if let Some(post) = worker.posts.get_mut(seat.1) {
            while let Some(mut task) = post.lane.begun() {
                worker.last.push(task.about.clone());
                task.refuse(StatusCode::BAD_GATEWAY);
            }
        }
        self.dispatch();
        first
    }

    /// Forgets a worker that is dead.
    pub fn remove(&mut self, id: WorkerId) -> Option<Remains> {
        let worker = self.workers.remove(&id)?;
        Some(Remains {
            answered: worker.answered,
            last: worker.last,
        })
    }

    /// How many workers take requests.
    #[must_use]
    pub fn serving(&self) -> usize {
        self.workers
            .values()
            .filter(|worker| !worker.retired)
            .count()
    }

    /// Accepts no more requests, refuses those in the queue, and lets the workers leave when they have
    /// answered what they have. Whether any answer is still wanted.
    pub fn close(&mut self) -> bool {
        self.closed = true;
        for mut task in self.queue.drain(..) {
            task.refuse(StatusCode::SERVICE_UNAVAILABLE);
        }
        let mut wanted = false;
        for worker in self.workers.values_mut() {
            worker.retired = true;
            for post in &mut worker.posts {
                wanted |= post.lane.oldest().is_some_and(Task::is_wanted);
                // What is not written yet can be written now or never: the socket is about to be closed.
                let _ = post.link.flush();
                post.link.close();
            }
        }
        wanted
    }
}

fn is_over(limit: Duration, since: Instant, now: Instant) -> bool {
    limit > Duration::ZERO && now.saturating_duration_since(since) >= limit
}

fn deadline(limit: Duration, since: Instant) -> Option<Instant> {
    (limit > Duration::ZERO).then_some(since + limit)
}

fn sooner(next: &mut Option<Instant>, other: Option<Instant>) {
    *next = match (*next, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
