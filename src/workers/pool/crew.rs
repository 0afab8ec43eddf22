//! The workers of a pool, and all their lanes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::workers::id::{LaneId, WorkerId};
use crate::workers::pool::chooser::LaneView;
use crate::workers::pool::lane::{Flow, Lane};
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
        let serving = self.all.iter().filter(|(_, worker)| worker.serves());
        let lanes = serving.flat_map(|(&id, worker)| worker.named_lanes(id));
        lanes.map(|(id, lane)| lane.view(id))
    }

    /// Every lane that has requests.
    pub(crate) fn busy(&self) -> Vec<LaneId> {
        let sound = |(_, worker): &(&WorkerId, &Worker<W>)| worker.duty != Duty::Rejected;
        let lanes = self.all.iter().filter(sound);
        lanes
            .flat_map(|(&id, worker)| worker.named_lanes(id))
            .filter(|(_, lane)| lane.load() > 0)
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
                let held = lane.load() > 0 && lane.is_held_up(stall, now);
                if held || !serves && lane.load() > 1 {
                    found.push((id, index));
                }
            }
        }
        found
    }
}
