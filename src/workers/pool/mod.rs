//! Which worker answers which request: the lanes of all workers, and the queue before them.
//!
//! [`super::chooser`] says which lane gets the next request. What a lane has not begun can be taken back. That is done
//! when the lane is stuck and another could begin it (so nothing waits behind a slow request while a worker is
//! free), and when it has been stuck for a while, so that the limits of the queue hold for what waits there. In
//! between it stays where it is: to take back what nobody else can begin costs both sides work for nothing.
//!
//! **Progress**: while a request waits, no lane is idle and free. [`Pool::dispatch`] sees to it after each event;
//! `pool/tests.rs` tries it against simulated workers.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use crate::protocol::worker::frame::Header;
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::Limits;
use crate::workers::pool::in_flight::Confused;
use crate::workers::pool::lane::{Pace, Post};
use crate::workers::task::{Refusals, Task};
use crate::workers::wire::link::{Flushed, Link};
use crate::workers::wire::{Unsent, Wire};
use crate::{log, log_of};

mod chooser;
pub mod clock;
pub mod in_flight;
pub mod lane;
mod parting;
mod watchdog;

/// By how much one answer changes what we take for a typical service time.
const STEP: f64 = 1.125;

/// Whether a worker gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does.
    Serving,
    /// It gets no more requests, and leaves when it has answered what it is on.
    Retiring,
    /// It has a request that is overdue. It may finish what else it is on, and is then ended.
    Doomed,
    /// It was told to leave, or is dead already.
    Leaving,
    /// It sent what none of ours would. Nothing more of it is read, and it is ended.
    Confused,
}

/// A worker that answers requests.
#[derive(Debug)]
pub(crate) struct Worker<W = Link> {
    pub(crate) posts: Vec<Post<W>>,
    pub(crate) answered: u64,
    /// After so many it is to be replaced.
    pub(crate) quota: u64,
    pub(crate) standing: Standing,
    /// What became of the requests that it was on when it died.
    pub(crate) last: Vec<String>,
}

/// What a worker leaves behind.
#[derive(Debug)]
pub struct Remains {
    /// How many requests it answered.
    pub answered: u64,
    /// What became of the requests that it was on, in words.
    pub last: Vec<String>,
    /// How many lines it could not write to the log, and has not said so.
    pub lost_lines: u64,
}

/// All lanes of all workers, and the queue before them.
#[derive(Debug)]
pub struct Pool<W = Link> {
    pub(crate) limits: Limits,
    pub(crate) workers: BTreeMap<WorkerId, Worker<W>>,
    /// First come, first served: what is taken back has its place by when it came in.
    pub(crate) queue: VecDeque<Task>,
    /// Lanes with something to be written.
    pub(crate) dirty: Vec<LaneId>,
    /// Our idea of the median service time in seconds.
    pub(crate) typical: f64,
    pub(crate) idle_count: u64,
    /// How many requests came in.
    pub(crate) accepted: u64,
    /// How many requests all workers have answered.
    pub(crate) answered: u64,
    pub(crate) refusals: Refusals,
    /// No request is accepted any more; what is not answered by then is given up.
    pub(crate) closed: Option<Instant>,
    /// Something has happened that [`Pool::clock`] is to look at.
    pub(crate) curious: bool,
    /// Somebody wants to know when more than so many are answered.
    pub(crate) watched: Option<u64>,
    /// Workers that are confused, of which the staff does not know yet.
    pub(crate) confused: Vec<WorkerId>,
    /// Where the time comes from: simulations have their own.
    pub(crate) now: fn() -> Instant,
}

impl<W: Wire> Pool<W> {
    /// A pool without workers, and where the time comes from.
    #[must_use]
    pub fn new(limits: Limits, now: fn() -> Instant) -> Self {
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
            confused: Vec::new(),
            now,
        }
    }

    /// Adds a worker that is to be replaced after a quota of requests, and gives it what has been waiting.
    pub fn add(&mut self, id: WorkerId, links: Vec<W>, quota: u64) {
        let now = (self.now)();
        let posts = links.into_iter().map(|link| Post::new(link, now)).collect();
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
                log::LogKind::Refused,
                "503 for {}: {} requests wait already (runner.request.queue_length)",
                task.about,
                self.limits.queue_length
            );
            self.refusals
                .refuse(&mut task, StatusCode::SERVICE_UNAVAILABLE);
        } else if let Some(seat) = seat {
            self.send(seat, task);
            if !self.queue.is_empty() {
                self.dispatch();
            }
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
    fn choose(&self) -> Option<LaneId> {
        let serving = |(_, worker): &(&WorkerId, &Worker<W>)| worker.standing == Standing::Serving;
        let lanes = self.workers.iter().filter(serving);
        let lanes = lanes.flat_map(|(&id, worker)| {
            let posts = worker.posts.iter().enumerate();
            posts.map(move |(index, post)| post.view((id, index)))
        });
        chooser::choose(lanes, self.typical)
    }

    fn post(&mut self, (id, index): LaneId) -> Option<&mut Post<W>> {
        self.workers.get_mut(&id)?.posts.get_mut(index)
    }

    /// Sends a request to a lane. If its worker turns out to be gone, the request is in the queue again.
    fn send(&mut self, seat: LaneId, mut task: Task) {
        let now = (self.now)();
        let Some(post) = self.post(seat) else {
            self.refusals.refuse(&mut task, StatusCode::BAD_GATEWAY);
            return;
        };
        let number = post.lane.next_number();
        match post.link.push(number, &task) {
            Ok(()) => {}
            Err(Unsent::Gone) => {
                self.abandon(seat.0);
                return self.wait_again(task);
            }
            Err(Unsent::Body(error)) => {
                log!(
                    "500 for {}: its body cannot be passed on: {error}",
                    task.about
                );
                task.refuse(StatusCode::INTERNAL_SERVER_ERROR);
                return;
            }
        }
        if post.lane.load() == 0 {
            post.progress = now;
        }
        post.lane.send(task);
        if !post.dirty {
            post.dirty = true;
            self.dirty.push(seat);
        }
    }

    /// Sends what waits, in the queue or behind a request that is stuck, as far as there are lanes. To be called after
    /// whatever may have freed a lane.
    pub fn dispatch(&mut self) {
        while self.queue.front().is_some() || self.has_stuck() {
            let Some(seat) = self.choose() else { return };
            if let Some(task) = self.queue.pop_front() {
                if task.is_wanted() {
                    self.send(seat, task);
                }
            } else if let Some(stuck) = self.oldest_stuck() {
                self.take_back(stuck);
            }
        }
    }

    /// Whether anything may be had back from a lane that is stuck.
    fn has_stuck(&self) -> bool {
        self.oldest_stuck().is_some()
    }

    /// Of the lanes that are stuck, and of which nothing was taken back yet, the one with the oldest request.
    fn oldest_stuck(&self) -> Option<LaneId> {
        let mut oldest: Option<(Instant, LaneId)> = None;
        for (&id, worker) in &self.workers {
            for (index, post) in worker.posts.iter().enumerate() {
                if post.pace == Pace::Stuck
                    && let Some(task) = post.lane.oldest()
                    && oldest.is_none_or(|(since, _)| task.entered < since)
                {
                    oldest = Some((task.entered, (id, index)));
                }
            }
        }
        oldest.map(|(_, seat)| seat)
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

    /// Notes that the oldest request of a lane is answered, and returns it.
    ///
    /// # Errors
    /// [`Confused`] if it is not that request's turn.
    pub fn answered(
        &mut self,
        seat: LaneId,
        number: u32,
        service: Duration,
    ) -> Result<Task, Confused> {
        self.idle_count += 1;
        let (idle_since, now) = (self.idle_count, (self.now)());
        let post = self.post(seat).ok_or(Confused)?;
        // The clock does not look at a lane that is stuck.
        let curious = post.pace != Pace::Steady;
        let task = post.answered(number, now)?;
        post.idle_since = idle_since;
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

    /// Notes how far the worker has read on a lane. One that has read everything, and has nothing to answer, is free
    /// again.
    pub fn note_read(&mut self, seat: LaneId) {
        if let Some(post) = self.post(seat) {
            post.note_read();
        }
    }

    /// The request that a lane is on.
    ///
    /// # Errors
    /// [`Confused`] if it is on another.
    pub fn current(&mut self, seat: LaneId, number: u32) -> Result<&mut Task, Confused> {
        self.post(seat).ok_or(Confused)?.lane.current(number)
    }

    /// Every lane that is at work.
    #[must_use]
    pub fn busy(&self) -> Vec<LaneId> {
        let busy = |(&id, worker): (&WorkerId, &Worker<W>)| {
            let loads = worker.posts.iter().enumerate();
            loads
                .filter(|(_, post)| post.lane.load() > 0 && worker.standing != Standing::Confused)
                .map(move |(index, _)| (id, index))
                .collect::<Vec<_>>()
        };
        self.workers.iter().flat_map(busy).collect()
    }

    /// Takes back what a lane has not begun. It has its place in the queue by when it came in. The queue may be longer than
    /// it is to be then, by one request for each lane that seemed free and was not: they were let in, and nobody is sent
    /// away later.
    pub(crate) fn take_back(&mut self, seat: LaneId) {
        let Some(post) = self.post(seat) else {
            return;
        };
        if post.pace == Pace::Stuck {
            post.pace = Pace::Emptied;
        }
        let tokens = post.link.take_tokens();
        let Ok(tasks) = post.lane.taken_back(&tokens) else {
            return self.confuse(seat.0);
        };
        for task in tasks.into_iter().rev() {
            self.wait_again(task);
        }
    }

    /// Puts a request that has not begun into the queue, where it has its place by when it came in.
    fn wait_again(&mut self, task: Task) {
        let place = self
            .queue
            .partition_point(|waiting| waiting.entered < task.entered);
        self.queue.insert(place, task);
    }

    /// A worker sent what none of ours would: it is ended, and what it had begun is answered 502 then.
    pub(crate) fn confuse(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.standing != Standing::Confused
        {
            worker.standing = Standing::Confused;
            self.confused.push(id);
            self.curious = true;
        }
    }

    /// A lane's socket has closed, after all that it sent was dealt with: its worker is dead or leaving.
    /// What it had not begun goes to others; the one that it was on is answered 502.
    pub fn lane_closed(&mut self, seat: LaneId) {
        // Tokens that make no sense leave every request of the lane in doubt: 502 for all.
        self.take_back(seat);
        let Some(worker) = self.workers.get_mut(&seat.0) else {
            return;
        };
        if worker.standing != Standing::Confused {
            worker.standing = Standing::Leaving;
        }
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
            lost_lines: worker.posts.iter().map(|it| it.link.lost_lines()).sum(),
        })
    }

    /// Whether a request waits that somebody still wants.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.queue.iter().any(Task::is_wanted)
    }
}

impl Pool {
    /// Writes all that was sent since the last time, a lane at a time. Returns the lanes whose worker is to
    /// read first; [`Pool::flush_one`] goes on when their socket is writable.
    pub fn flush(&mut self) -> Vec<(LaneId, std::sync::Arc<tokio::net::UnixStream>)> {
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
    pub fn flush_one(&mut self, seat: LaneId) -> bool {
        self.post(seat).is_some_and(|post| {
            post.blocked = post.link.flush().ok() == Some(Flushed::Blocked);
            post.blocked
        })
    }

    /// The next answer in a lane's ring, if it is its turn.
    ///
    /// # Errors
    /// [`Confused`] if no worker of ours would have written what is there.
    pub fn ring(&mut self, seat: LaneId) -> Result<Option<(Header, Bytes)>, Confused> {
        match self.post(seat) {
            Some(post) => match post.lane.oldest_number() {
                Some(number) => Ok(post.link.ring.take(number)?),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// What connects us with a lane.
    pub fn link(&mut self, seat: LaneId) -> Option<&mut Link> {
        self.post(seat).map(|post| &mut post.link)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
