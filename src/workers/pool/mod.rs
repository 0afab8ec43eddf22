//! Which worker answers which request: the lanes of all workers, and the queue before them.
//!
//! [`chooser`] says which lane gets the next request. Requests that a lane has not begun can be taken back. That is done
//! when the lane is stuck and another could begin them, so that no request waits behind a slow one while a worker is free;
//! and when the lane has been stuck for a while, so that the limits of the queue hold for them. In between they stay where
//! they are: taking back what no other lane can begin would be work for nothing, on both sides.
//!
//! **Progress**: while a request waits, no lane is idle and free. [`Pool::dispatch`] sees to it after each event;
//! `pool/tests.rs` tests it with simulated workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use tokio::net::UnixStream;

use crate::interface::Response;
use crate::protocol::worker::frame::Header;
use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::{Limits, LoopLimits};
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::checkup::TICK;
use crate::workers::pool::chooser::ServiceTime;
use crate::workers::pool::crew::Crew;
use crate::workers::pool::lane::event_loop::Drain;
use crate::workers::pool::lane::in_flight::Violation;
use crate::workers::pool::lane::{Flow, Lane};
use crate::workers::pool::request_queue::RequestQueue;
use crate::workers::pool::stall::{STALL, is_long, usual_stall};
use crate::workers::pool::worker::{Duty, Remains, Worker};
use crate::workers::question::Question;
use crate::workers::wire::link::Link;
use crate::workers::wire::{Unsent, Wire};
use crate::{log, log_of};

pub(crate) mod checkup;
mod chooser;
pub(crate) mod conversations;
mod crew;
pub(crate) mod lane;
mod request_queue;
mod stall;
pub(crate) mod upkeep;
pub(crate) mod worker;

/// All lanes of all workers, and the queue before them.
#[derive(Debug)]
pub(crate) struct Pool<W = Link> {
    limits: Limits,
    /// ASGI: workers answer in any order, with these limits. `None` for WSGI.
    pub(crate) loop_limits: Option<LoopLimits>,
    pub(crate) workers: Crew<W>,
    pub(crate) queue: RequestQueue,
    /// Lanes with unwritten requests.
    dirty: Vec<LaneId>,
    pub(crate) service: ServiceTime,
    /// How many requests came in.
    pub(crate) accepted: u64,
    /// How many requests all workers have answered.
    answered: u64,
    pub(crate) errors: GatewayErrors,
    /// No more requests are accepted; those that are not answered by then are given up.
    closed: Option<Instant>,
    /// ASGI: since when what does not end by itself is to end, in all workers.
    drain: Option<Drain>,
    /// ASGI: clients have left before they had a response, and workers are to be told.
    any_unwanted: bool,
    /// Something has happened that [`upkeep::clock`] is to look at.
    curious: bool,
    /// [`upkeep::clock`] reports when more requests than this have been answered.
    watched: Option<u64>,
    /// Workers that broke the protocol and are not reported yet.
    rejected: Vec<WorkerId>,
    /// Gives the time; simulations have their own.
    now: fn() -> Instant,
}

impl<W: Wire> Pool<W> {
    /// A pool without workers; for ASGI if there are `loop_limits`. `now` gives the time.
    pub(crate) fn new(
        limits: Limits,
        loop_limits: Option<LoopLimits>,
        now: fn() -> Instant,
    ) -> Self {
        Self {
            limits,
            loop_limits,
            workers: Crew {
                all: BTreeMap::new(),
            },
            queue: RequestQueue::default(),
            dirty: Vec::new(),
            service: ServiceTime::default(),
            accepted: 0,
            answered: 0,
            errors: GatewayErrors::default(),
            closed: None,
            drain: None,
            any_unwanted: false,
            curious: false,
            watched: None,
            rejected: Vec::new(),
            now,
        }
    }

    /// Adds a worker, which is to be replaced after `quota` requests, and gives it requests that wait.
    pub(crate) fn add(&mut self, id: WorkerId, links: Vec<W>, quota: u64) {
        let mut worker = Worker::new(links, quota, self.loop_limits, (self.now)());
        if let Some(drain) = self.drain {
            worker.drain(drain);
        }
        self.workers.all.insert(id, worker);
        self.curious = true;
        self.dispatch();
    }

    /// A worker has begun to serve: it gets requests.
    pub(crate) fn begin(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.all.get_mut(&id)
            && worker.duty == Duty::Beginning
        {
            worker.duty = Duty::Serving;
            self.curious = true;
            self.dispatch();
        }
    }

    /// Asks what does not end by itself to end, in a while. The first call decides.
    pub(crate) fn drain(&mut self, returns: bool) {
        let since = (self.now)();
        let drain = *self.drain.get_or_insert(Drain {
            since,
            returns,
            all_by: self.loop_limits.map(|limits| since + limits.finish),
            background_by: self.loop_limits.map(|limits| since + limits.background),
        });
        for worker in self.workers.all.values_mut() {
            worker.drain(drain);
        }
        self.curious = true;
    }

    /// A client has left before it had a response, perhaps.
    pub(crate) fn lose_client(&mut self) {
        match self.loop_limits {
            None => self.workers.cancel_unwanted(),
            Some(_) => self.any_unwanted = true,
        }
    }

    /// Accepts no more requests. Those that are here, in the queue too, are answered until `by`. Each worker leaves when
    /// no request is left for it.
    pub(crate) fn close(&mut self, by: Instant) {
        self.drain(false);
        self.closed = Some(by);
        self.curious = true;
    }

    /// Takes a request: sends it to a lane, puts it into the queue, or refuses it.
    pub(crate) fn accept(&mut self, mut pending: PendingRequest) {
        self.accepted += 1;
        let lane = match self.queue.is_empty() {
            true => self.choose(),
            false => None,
        };
        let begins = lane
            .and_then(|id| self.workers.lane(id))
            .is_some_and(|lane| lane.load() == 0 || lane.running.is_some());
        if self.closed.is_some() {
            self.errors.unavailable(&mut pending);
        } else if !begins && !self.has_room(&pending) {
            log_of!(
                log::LogKind::Refused,
                about = pending.about.subject(),
                "503 for {}: {} requests wait already (runner.request.queue_length)",
                pending.about,
                self.limits.queue_length
            );
            self.errors.unavailable(&mut pending);
        } else if let Some(id) = lane {
            self.send(id, pending);
            if !self.queue.is_empty() {
                self.dispatch();
            }
        } else {
            self.queue.push(pending, &mut self.errors);
        }
    }

    /// Whether one more request may wait: in the queue, or behind another in a lane, since it may come back from there.
    /// Removes requests from the queue if that makes room: those whose clients have gone away, or one whose client has
    /// probably gone away or has more.
    fn has_room(&mut self, pending: &PendingRequest) -> bool {
        let limit = self.limits.queue_length;
        let ahead: usize = self.workers.lanes().map(|(_, lane)| lane.ahead()).sum();
        if self.queue.len() + ahead < limit {
            return true;
        }
        let ahead = self.workers.lanes();
        let ahead = ahead.flat_map(|(_, lane)| lane.in_flight.ahead());
        let ahead = ahead.filter(|pending| pending.is_wanted()).count();
        self.queue.prune();
        self.queue.len() + ahead < limit || self.queue.displace_for(pending, &mut self.errors)
    }

    /// The lane for the next request, if there is one.
    fn choose(&self) -> Option<LaneId> {
        match self.loop_limits {
            None => chooser::choose(self.workers.views(), self.service.typical()),
            Some(_) => self.workers.fairest(&self.queue, self.limits, self.now),
        }
    }

    /// How long a lane may finish nothing before it is stuck.
    fn stall(&self) -> Duration {
        match self.workers.has_idle() {
            true => STALL,
            false => usual_stall(self.service.typical()),
        }
    }

    /// Whether the clock ticks less often because requests take long.
    fn ticks_slowly(&self) -> bool {
        is_long(self.service.typical())
    }

    /// When [`upkeep::clock`] is to be called at the latest, while requests are under way.
    pub(crate) fn pause(&self) -> Duration {
        match self.curious {
            true => TICK,
            false => usual_stall(self.service.typical()),
        }
    }

    /// Sends a request to a lane. If the worker turns out to be gone, the request is in the queue again.
    fn send(&mut self, id: LaneId, mut pending: PendingRequest) {
        let now = (self.now)();
        // Otherwise the clock finds the answer in the ring at its next tick.
        let announce = self.ticks_slowly();
        let Some(lane) = self.workers.lane(id) else {
            self.errors.bad_gateway(&mut pending);
            return;
        };
        let number = lane.in_flight.next_number();
        match lane.link.push(number, &pending, announce) {
            Ok(()) => {}
            Err(Unsent::Gone) => {
                // The worker has died. It gets nothing more until its lanes say so, and leaves if it should live.
                if let Some(worker) = self.workers.all.get_mut(&id.0) {
                    worker.close();
                }
                self.curious = true;
                return self.queue.put_back(pending);
            }
            Err(Unsent::Body(error)) => {
                crate::log_error!(
                    about = pending.about.subject(),
                    "500 for {}: its body cannot be passed on: {error}",
                    pending.about
                );
                pending.refuse(Response::plain(StatusCode::INTERNAL_SERVER_ERROR));
                return;
            }
        }
        lane.send(pending, now);
        self.touch(id);
    }

    /// Has a lane written to.
    fn touch(&mut self, id: LaneId) {
        if let Some(lane) = self.workers.lane(id)
            && !lane.dirty
        {
            lane.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Sends the requests that wait, in the queue or behind one that is stuck, as far as there are lanes. To be called
    /// after anything that may have freed a lane.
    pub(crate) fn dispatch(&mut self) {
        while !self.queue.is_empty() || self.workers.oldest_stuck().is_some() {
            let Some(id) = self.choose() else { return };
            if let Some(pending) = self.queue.pop((self.now)()) {
                if pending.is_wanted() {
                    self.send(id, pending);
                }
            } else if let Some(stuck) = self.workers.oldest_stuck() {
                self.take_back(stuck);
            }
        }
    }

    /// Whether [`upkeep::clock`] is to look at something that has happened.
    pub(crate) fn is_curious(&self) -> bool {
        self.curious
    }

    /// Whether requests are to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.any_unwanted
    }

    /// Removes the oldest request of a lane, which was answered, and returns it.
    ///
    /// # Errors
    /// [`Violation`] if `number` is not that request's.
    pub(crate) fn answered(
        &mut self,
        id: LaneId,
        number: u32,
        service: Duration,
    ) -> Result<PendingRequest, Violation> {
        let now = (self.now)();
        let ticks_slowly = self.ticks_slowly();
        let worker = self.workers.all.get_mut(&id.0).ok_or(Violation)?;
        let lane = worker.lanes.get_mut(id.1).ok_or(Violation)?;
        // The clock does not look at a lane that is stuck.
        let was_stuck = lane.flow != Flow::Steady;
        let pending = lane.answered(number, now)?;
        // What waits on another lane could begin here.
        let curious = was_stuck || ticks_slowly && lane.load() == 0;
        self.answered += 1;
        lane.idle_since = self.answered;
        worker.answered += 1;
        self.curious |= curious;
        self.service.learn(service);
        pending.note_service(service, now);
        Ok(pending)
    }

    /// Notes how far the worker has read on a lane. If it has read everything and has nothing to answer, the lane is free.
    pub(crate) fn note_read(&mut self, id: LaneId) {
        let now = (self.now)();
        if let Some(lane) = self.workers.lane(id) {
            lane.note_read(now);
        }
        self.note_unwanted(id);
    }

    /// Notes that a lane has begun requests whose clients had left before: its worker is to be told.
    fn note_unwanted(&mut self, id: LaneId) {
        if let Some(lane) = self.workers.lane(id) {
            self.any_unwanted |= std::mem::take(&mut lane.begins_unwanted);
        }
    }

    /// Whether a question is still to be asked.
    pub(crate) fn is_at(&mut self, question: &Question) -> bool {
        let now = (self.now)();
        match self.workers.lane(question.lane) {
            None => false,
            Some(lane) if lane.running.is_some() => lane.blocked_for(now).is_some(),
            Some(lane) => lane.in_flight.current(question.number).is_ok(),
        }
    }

    /// The request that a lane is on.
    ///
    /// # Errors
    /// [`Violation`] if it is on another.
    pub(crate) fn current(
        &mut self,
        id: LaneId,
        number: u32,
    ) -> Result<&mut PendingRequest, Violation> {
        let lane = self.workers.lane(id).ok_or(Violation)?;
        lane.in_flight.current(number)
    }

    /// Takes back the requests that a lane has not begun. The queue may then be longer than its limit, by one request for
    /// each lane that seemed free and was not: those requests were let in, and are not refused later.
    fn take_back(&mut self, id: LaneId) {
        let now = (self.now)();
        match self.workers.lane(id).map(|lane| lane.take_back(now)) {
            Some(Ok(requests)) => {
                for pending in requests.into_iter().rev() {
                    self.queue.put_back(pending);
                }
            }
            Some(Err(Violation)) => self.reject(id.0),
            None => {}
        }
        self.note_unwanted(id);
    }

    /// The worker broke the protocol. It is killed, and the requests that it had begun are answered 502 then.
    pub(crate) fn reject(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.all.get_mut(&id)
            && worker.duty != Duty::Rejected
        {
            worker.duty = Duty::Rejected;
            self.rejected.push(id);
            self.curious = true;
        }
    }

    /// A lane's socket has closed, and all that it had sent was read: its worker is dead or leaves. The requests that it
    /// had not begun go to others; the one that it was on is answered 502.
    pub(crate) fn lane_closed(&mut self, id: LaneId) {
        // If the tokens do not fit, each request of the lane may have begun: 502 for all.
        self.take_back(id);
        if let Some(worker) = self.workers.all.get_mut(&id.0) {
            worker.lose_requests(id.1, &mut self.errors);
            self.curious = true;
            self.dispatch();
        }
    }

    /// Lets a worker leave when it has answered the requests that it has.
    pub(crate) fn retire(&mut self, id: WorkerId) {
        let now = (self.now)();
        if let Some(worker) = self.workers.all.get_mut(&id) {
            worker.retire(now);
            self.curious = true;
        }
    }

    /// Lets a worker leave at once: it has begun nothing.
    pub(crate) fn leave(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.all.get_mut(&id) {
            worker.close();
        }
    }

    /// Forgets a worker that is dead.
    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Remains> {
        self.workers.all.remove(&id).map(Worker::remains)
    }

    /// Whether a request waits whose client has not gone away.
    pub(crate) fn is_crowded(&self) -> bool {
        self.queue.wanted().next().is_some()
    }

    /// How many requests wait in the queue whose clients have not gone away.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.wanted().count()
    }

    /// Has [`upkeep::clock`] report when a request is answered.
    pub(crate) fn watch(&mut self) {
        self.watched = Some(self.answered);
    }

    /// Questions about all requests that a worker is on.
    pub(crate) fn questions(&self, id: WorkerId) -> Vec<Question> {
        let worker = self.workers.all.get(&id);
        worker.map_or_else(Vec::new, |worker| worker.questions(id, (self.now)()))
    }
}

impl Pool {
    /// Writes all requests that were sent since the last time, a lane at a time. Returns the lanes whose workers have to
    /// read first; [`Pool::flush_one`] goes on when their sockets are writable.
    pub(crate) fn flush(&mut self) -> Vec<(LaneId, Arc<UnixStream>)> {
        let mut blocked = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            if let Some(lane) = self.workers.lane(id) {
                lane.dirty = false;
                if !lane.blocked && lane.flush() {
                    blocked.push((id, lane.link.socket()));
                }
            }
        }
        blocked
    }

    /// Goes on writing to a lane that was blocked. Returns whether it is blocked again.
    pub(crate) fn flush_one(&mut self, id: LaneId) -> bool {
        self.workers.lane(id).is_some_and(Lane::flush)
    }

    /// The next answer in a lane's ring, if it is its turn.
    ///
    /// # Errors
    /// [`Violation`] if no worker of runner's would have written what is there.
    pub(crate) fn ring(&mut self, id: LaneId) -> Result<Option<(Header, Bytes)>, Violation> {
        if let Some(lane) = self.workers.lane(id)
            && let Some(number) = lane.in_flight.oldest_number()
        {
            return Ok(lane.link.ring.take(number)?);
        }
        Ok(None)
    }

    /// The connection of a lane.
    pub(crate) fn link(&mut self, id: LaneId) -> Option<&mut Link> {
        self.workers.lane(id).map(|lane| &mut lane.link)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
