//! Which worker answers which request.
//!
//! Waking another process costs more than a small request does, so requests are sent ahead to a lane that is
//! busy, in batches; and because they may be taken back, a slow one holds up the others behind it for no more
//! than a tick of the clock. A lane is chosen in this order:
//!
//! 1. a busy one, if its work is done sooner than another process would be awake: of each worker the one with the
//!    most to do, so that a second one runs dry (two lanes of one interpreter only take turns), and of these
//!    the one with the least;
//! 2. an idle one in a worker that has no other lane at work, the most recently used, whose memory is still in
//!    the processor's caches;
//! 3. the busy one again, within a window of work;
//! 4. any idle one;
//! 5. the busy one again if it has nothing waiting, so that it need not wait for us when it is done;
//!
//! else the request waits in one queue, first come, first served.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use super::lane::{Confused, Lane};
use super::link::{Flushed, Link};
use super::task::{About, Refusals, Task};
use crate::protocol::worker::Header;
use crate::{log, log_of};

/// What it costs to wake another process: requests that take less time in all are better sent to a lane that is awake.
const WAKE_UP: f64 = 150e-6;
/// How much work, in seconds, a lane may have before it.
const WINDOW: f64 = 1.6e-3;
/// How many requests any lane may have: the one that it is on, and one ahead.
const AHEAD: usize = 2;
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
    /// After how long it is said what a request is at; zero for never.
    pub request_slow: Duration,
    /// How many requests may wait.
    pub queue_length: usize,
    /// How long a request may wait.
    pub queue_timeout: Duration,
}

/// One lane and what connects us with it.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) lane: Lane<Task>,
    pub(super) link: Link,
    /// Among those to be written to.
    pub(super) dirty: bool,
    /// Waiting for the worker to read.
    pub(super) blocked: bool,
    /// When it last finished something, or began while idle.
    pub(super) progress: Instant,
    /// Made no progress for a while: gets nothing more until it does, or says that it is awake.
    pub(super) stalled: bool,
    /// When it became idle, as a count: the highest is the most recent.
    pub(super) idle_since: u64,
    /// What it answered last.
    pub(super) last: Option<About>,
}

/// Whether a worker gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    Serving,
    /// It gets no more requests, and leaves when it has answered what it is on.
    Retiring,
    /// It has a request that is overdue. It may finish what else it is on, and is then ended.
    Doomed,
    /// It was told to leave, or is dead already.
    Leaving,
}

/// A worker that answers requests.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) posts: Vec<Post>,
    pub(super) answered: u64,
    /// After so many it is to be replaced.
    pub(super) quota: u64,
    pub(super) standing: Standing,
    /// What became of the requests that it was on when it died.
    pub(super) last: Vec<String>,
}

/// What a worker leaves behind.
#[derive(Debug)]
pub struct Remains {
    /// How many requests it answered.
    pub answered: u64,
    /// What became of the requests that it was on, in words.
    pub last: Vec<String>,
}

/// All lanes of all workers, and the queue before them.
#[derive(Debug)]
pub struct Pool {
    pub(super) limits: Limits,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) queue: VecDeque<Task>,
    /// Lanes with something to be written.
    pub(super) dirty: Vec<Seat>,
    /// Our idea of the median service time in seconds.
    pub(super) typical: f64,
    pub(super) idle_count: u64,
    /// How many requests came in.
    pub(super) accepted: u64,
    /// How many requests all workers have answered.
    pub(super) answered: u64,
    pub(super) refusals: Refusals,
    /// No request is accepted any more; what is not answered by then is given up.
    pub(super) closed: Option<Instant>,
    /// Something has happened that [`Pool::clock`] is to look at.
    pub(super) curious: bool,
    /// Somebody wants to know when more than so many are answered.
    pub(super) watched: Option<u64>,
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
            accepted: 0,
            answered: 0,
            refusals: Refusals::default(),
            closed: None,
            curious: false,
            watched: None,
        }
    }

    /// Adds a worker that is to be replaced after a quota of requests, and gives it what has been waiting.
    pub fn add(&mut self, id: WorkerId, links: Vec<Link>, quota: u64) {
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
                last: None,
            })
            .collect();
        let worker = Worker {
            posts,
            answered: 0,
            quota,
            standing: Standing::Serving,
            last: Vec::new(),
        };
        self.workers.insert(id, worker);
        self.curious = true;
        self.dispatch();
    }

    /// Takes a request: sends it to a lane, puts it into the queue, or refuses it.
    pub fn accept(&mut self, mut task: Task) {
        self.accepted += 1;
        let seat = match self.queue.is_empty() {
            true => self.choose(),
            false => None,
        };
        let begins = seat
            .and_then(|seat| self.post(seat))
            .is_some_and(|post| post.lane.load() == 0);
        if self.closed.is_some() {
            self.refusals
                .refuse(&mut task, StatusCode::SERVICE_UNAVAILABLE);
        } else if !begins && !self.has_room() {
            log_of!(
                log::Kind::Refused,
                "503 for {}: {} requests wait already (runner.request.queue_length)",
                task.about,
                self.limits.queue_length
            );
            self.refusals
                .refuse(&mut task, StatusCode::SERVICE_UNAVAILABLE);
        } else if let Some(seat) = seat {
            self.send(seat, task);
        } else {
            self.queue.push_back(task);
        }
    }

    /// Whether one more request may wait: in the queue, or behind another in a lane, since it may come back from
    /// there. Takes out of the queue what nobody waits for any more if it must.
    fn has_room(&mut self) -> bool {
        let limit = self.limits.queue_length;
        let posts = || self.workers.values().flat_map(|worker| &worker.posts);
        let sent: usize = posts().map(|post| post.lane.load().saturating_sub(1)).sum();
        if self.queue.len() + sent < limit {
            return true;
        }
        let sent = posts().flat_map(|post| post.lane.ahead());
        let sent = sent.filter(|task| task.is_wanted()).count();
        self.queue.retain(Task::is_wanted);
        self.queue.len() + sent < limit
    }

    /// The lane for the next request, if there is one.
    fn choose(&self) -> Option<Seat> {
        let mut least: Option<(usize, Seat)> = None;
        let mut quiet: Option<(u64, Seat)> = None;
        let mut other: Option<(u64, Seat)> = None;
        for (&id, worker) in &self.workers {
            if worker.standing != Standing::Serving {
                continue;
            }
            let at_work = worker
                .posts
                .iter()
                .enumerate()
                .filter(|(_, post)| post.lane.load() > 0 && !post.stalled)
                .max_by_key(|(_, post)| post.lane.load());
            if let Some((index, post)) = at_work {
                let load = post.lane.load();
                if post.lane.has_room() && least.is_none_or(|(best, _)| load < best) {
                    least = Some((load, (id, index)));
                }
            }
            let idle = if at_work.is_some() {
                &mut other
            } else {
                &mut quiet
            };
            for (index, post) in worker.posts.iter().enumerate() {
                if post.lane.load() == 0
                    && !post.stalled
                    && post.lane.has_room()
                    && idle.is_none_or(|(best, _)| post.idle_since >= best)
                {
                    *idle = Some((post.idle_since, (id, index)));
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
            .or(least
                .filter(|(load, _)| *load < AHEAD)
                .map(|(_, seat)| seat))
    }

    fn post(&mut self, (id, index): Seat) -> Option<&mut Post> {
        self.workers.get_mut(&id)?.posts.get_mut(index)
    }

    fn send(&mut self, seat: Seat, mut task: Task) {
        let Some(post) = self.post(seat) else {
            self.refusals.refuse(&mut task, StatusCode::BAD_GATEWAY);
            return;
        };
        let number = post.lane.next_number();
        if let Err(error) = post.link.push(number, &task.frame, task.file.as_ref()) {
            log!(
                "500 for {}: its body cannot be passed on: {error}",
                task.about
            );
            task.refuse(StatusCode::INTERNAL_SERVER_ERROR);
            return;
        }
        if post.lane.load() == 0 {
            post.progress = Instant::now();
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

    /// Whether [`Pool::clock`] is to look at what has happened.
    #[must_use]
    pub fn is_curious(&self) -> bool {
        self.curious
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
        // The clock does not look at a lane that is stuck.
        let curious = post.stalled;
        post.stalled = false;
        post.idle_since = idle_since;
        post.last = Some(task.about.clone());
        self.curious |= curious;
        if let Some(worker) = self.workers.get_mut(&seat.0) {
            worker.answered += 1;
            self.answered += 1;
        }
        // Tracks the median: what is slow now and then does not change what is typical.
        if service.as_secs_f64() > self.typical {
            self.typical = (self.typical * STEP).min(60.0);
        } else {
            self.typical = (self.typical / STEP).max(1e-6);
        }
        Ok(task)
    }

    /// A worker has come to the end of what it had on a lane.
    pub fn awake(&mut self, seat: Seat) {
        if let Some(post) = self.post(seat)
            && post.lane.load() == 0
        {
            post.stalled = false;
        }
        self.dispatch();
    }

    /// The request that a lane is on.
    ///
    /// # Errors
    /// [`Confused`] if it is on another.
    pub fn current(&mut self, seat: Seat, number: u32) -> Result<&mut Task, Confused> {
        self.post(seat).ok_or(Confused)?.lane.current(number)
    }

    /// The next answer in a lane's ring, if it is its turn.
    ///
    /// # Errors
    /// [`Confused`] if no worker of ours would have written what is there.
    pub fn ring(&mut self, seat: Seat) -> Result<Option<(Header, Bytes)>, Confused> {
        match self.post(seat) {
            Some(post) => match post.lane.oldest_number() {
                Some(number) => Ok(post.link.ring.take(number)?),
                None => Ok(None),
            },
            None => Ok(None),
        }
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

    /// Takes back what a lane has not begun, to be the first in the queue. That may be longer than it is to be then,
    /// by one request for each lane that seemed free and was not: they were let in, and nobody is sent away later.
    pub(super) fn take_back(&mut self, seat: Seat) -> Result<(), Confused> {
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
    pub fn lane_closed(&mut self, seat: Seat) {
        // Tokens that make no sense leave every request of the lane in doubt: 502 for all.
        let _ = self.take_back(seat);
        let Some(worker) = self.workers.get_mut(&seat.0) else {
            return;
        };
        worker.standing = Standing::Leaving;
        if let Some(post) = worker.posts.get_mut(seat.1) {
            while let Some(mut task) = post.lane.begun() {
                if !task.is_answered() {
                    worker.last.push(format!("{} is answered 502", task.about));
                } else if !task.is_refused() {
                    worker
                        .last
                        .push(format!("the answer to {} ends early", task.about));
                }
                self.refusals.refuse(&mut task, StatusCode::BAD_GATEWAY);
            }
        }
        self.curious = true;
        self.dispatch();
    }

    /// How many requests all workers have answered so far.
    #[must_use]
    pub fn answered_in_all(&self) -> u64 {
        self.answered
    }

    /// Forgets a worker that is dead.
    pub fn remove(&mut self, id: WorkerId) -> Option<Remains> {
        let worker = self.workers.remove(&id)?;
        Some(Remains {
            answered: worker.answered,
            last: worker.last,
        })
    }

    /// Whether a request waits that somebody still wants.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.queue.iter().any(Task::is_wanted)
    }
}
