//! The workers of a pool, and all their lanes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::Limits;
use crate::workers::pool::checkup::{Checkup, Finding};
use crate::workers::pool::chooser::{LaneView, choose_least};
use crate::workers::pool::lane::{Flow, LAG_COUNTS, Lane};
use crate::workers::pool::request_queue::RequestQueue;
use crate::workers::pool::worker::{Duty, Worker};
use crate::workers::wire::Wire;
use crate::workers::wire::link::Link;

/// All workers that exist, by their numbers.
#[derive(Debug)]
pub(crate) struct Crew<W = Link> {
    pub(crate) all: BTreeMap<WorkerId, Worker<W>>,
}

impl<W: Wire> Crew<W> {
    pub(crate) fn lane(&mut self, (id, index): LaneId) -> Option<&mut Lane<W>> {
        self.all.get_mut(&id)?.lanes.get_mut(index)
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = (LaneId, &Lane<W>)> {
        self.all
            .iter()
            .flat_map(|(&id, worker)| worker.named_lanes(id))
    }

    /// The lanes of the workers that get requests, as the chooser sees them.
    pub(crate) fn views(&self) -> impl Iterator<Item = LaneView> {
        self.serving().map(|(id, lane)| lane.view(id))
    }

    /// The lanes of the workers that get requests.
    fn serving(&self) -> impl Iterator<Item = (LaneId, &Lane<W>)> {
        let serving = self.all.iter().filter(|(_, worker)| worker.serves());
        serving.flat_map(|(&id, worker)| worker.named_lanes(id))
    }

    /// ASGI: the lane for the next request, if there is one.
    pub(crate) fn least(&self) -> Option<LaneId> {
        choose_least(self.views())
    }

    /// The same while requests wait. Where code blocks the loop after its first `await`, the loop that reads on
    /// first would begin all that wait, and work on it alone. So a lane that was stuck itself leaves its share to lanes that
    /// are stuck, for as long as it was, and once more: then they are not like it, and are waited for no longer.
    /// Nor does a queue wait that could overflow.
    pub(crate) fn fairest(
        &self,
        queue: &RequestQueue,
        limits: Limits,
        now: fn() -> Instant,
    ) -> Option<LaneId> {
        let chosen = self.least()?;
        if queue.is_empty() || queue.len() > limits.queue_length / 2 {
            return Some(chosen);
        }
        let now = now();
        let lane = self.serving().find(|(id, _)| *id == chosen)?.1;
        let recent = |at: &Instant| now.saturating_duration_since(*at) < LAG_COUNTS;
        let Some((stall, _)) = lane.last_stall.filter(|(_, at)| recent(at)) else {
            return Some(chosen);
        };
        let (mut all, mut count, mut any_stuck) = (queue.len(), 0, false);
        for (_, other) in self.serving() {
            let stuck = other.flow != Flow::Steady;
            if !stuck || other.quiet(now) < 2 * stall {
                all += other.requests();
                count += 1;
                any_stuck |= stuck;
            }
        }
        let has_its_share = any_stuck && lane.requests() >= all.div_ceil(count);
        (!has_its_share).then_some(chosen)
    }

    /// Every lane that is to be looked at for what its worker has read or answered.
    pub(crate) fn busy(&self) -> Vec<LaneId> {
        let sound = |(_, worker): &(&WorkerId, &Worker<W>)| worker.duty != Duty::Rejected;
        let lanes = self.all.iter().filter(sound);
        lanes
            .flat_map(|(&id, worker)| worker.named_lanes(id))
            .filter(|(_, lane)| lane.is_pending() || lane.load() > 0)
            .map(|(id, _)| id)
            .collect()
    }

    /// Of the stuck lanes from which nothing was taken back yet, the one with the oldest request.
    pub(crate) fn oldest_stuck(&self) -> Option<LaneId> {
        let mut oldest: Option<(Instant, LaneId)> = None;
        for (id, lane) in self.lanes() {
            if lane.flow == Flow::Stuck
                && let Some(pending) = lane.in_flight.oldest()
                && oldest.is_none_or(|(since, _)| pending.entered < since)
            {
                oldest = Some((pending.entered, id));
            }
        }
        oldest.map(|(_, id)| id)
    }

    /// Tells workers which of their requests have lost their clients: they may stop at the next block.
    pub(crate) fn cancel_unwanted(&self) {
        for (_, lane) in self.lanes() {
            lane.cancel_unwanted();
        }
    }

    /// Checks time limits and quotas.
    pub(crate) fn check(&mut self, errors: &mut GatewayErrors, checkup: &mut Checkup) {
        for (&id, worker) in &mut self.all {
            worker.check(id, errors, checkup);
        }
    }

    /// Gives up the requests that workers are on, because the time to stop is over.
    pub(crate) fn give_up(&mut self, errors: &mut GatewayErrors, checkup: &mut Checkup) {
        for (&id, worker) in &mut self.all {
            worker.give_up(id, errors, checkup);
        }
    }

    /// Closes the lanes of the workers that are to leave and have no requests left; `all_leave` if all are to.
    pub(crate) fn release(&mut self, all_leave: bool, checkup: &mut Checkup) {
        for (&id, worker) in &mut self.all {
            if worker.release(all_leave) {
                checkup.found(Finding::Released(id));
            }
        }
    }

    /// The workers that are idle though requests wait: in the queue since `queued`, or in their own lanes.
    pub(crate) fn neglected(
        &mut self,
        queued: Option<Instant>,
        checkup: &mut Checkup,
    ) -> Vec<WorkerId> {
        let workers = self.all.iter_mut();
        workers
            .filter_map(|(&id, worker)| worker.is_neglected(queued, checkup).then_some(id))
            .collect()
    }

    /// How all lanes are, a line each, for the report of neglect.
    pub(crate) fn described(&self, now: Instant) -> String {
        let mut text = String::new();
        for (&id, worker) in &self.all {
            worker.describe(id, now, &mut text);
        }
        text
    }

    /// Whether a lane is idle and free.
    pub(crate) fn has_idle(&self) -> bool {
        self.views().any(|lane| lane.free && lane.load == 0)
    }

    /// The lanes from which requests are to be taken back now, where a lane is stuck after the time `stall`.
    pub(crate) fn held_up(&mut self, stall: Duration, now: Instant) -> Vec<LaneId> {
        let mut found = Vec::new();
        for (&id, worker) in &mut self.all {
            let serves = worker.serves();
            for (index, lane) in worker.lanes.iter_mut().enumerate() {
                let held = lane.in_flight.load() > 0 && lane.is_held_up(stall, now);
                if held || !serves && lane.ahead() > 0 {
                    found.push((id, index));
                }
            }
        }
        found
    }
}
