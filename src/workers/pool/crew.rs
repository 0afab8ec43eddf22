//! The workers of a pool, and all their lanes.

use std::collections::BTreeMap;
use std::collections::btree_map::{Iter, IterMut};
use std::time::Instant;

use crate::workers::id::{LaneId, WorkerId};
use crate::workers::pool::chooser::LaneView;
use crate::workers::pool::lane::{Flow, Lane};
use crate::workers::pool::worker::{Duty, Worker};
use crate::workers::wire::Wire;
use crate::workers::wire::link::Link;

/// All workers that exist, by their numbers.
#[derive(Debug)]
pub(crate) struct Crew<W = Link>(BTreeMap<WorkerId, Worker<W>>);

impl<W> Default for Crew<W> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<W: Wire> Crew<W> {
    pub(crate) fn insert(&mut self, id: WorkerId, worker: Worker<W>) {
        self.0.insert(id, worker);
    }

    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Worker<W>> {
        self.0.remove(&id)
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker<W>> {
        self.0.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker<W>> {
        self.0.get_mut(&id)
    }

    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, WorkerId, Worker<W>> {
        self.0.iter_mut()
    }

    pub(crate) fn iter(&self) -> Iter<'_, WorkerId, Worker<W>> {
        self.0.iter()
    }

    pub(crate) fn any(&self, is: impl Fn(&Worker<W>) -> bool) -> bool {
        self.0.values().any(is)
    }

    pub(crate) fn lane(&mut self, (id, index): LaneId) -> Option<&mut Lane<W>> {
        self.0.get_mut(&id)?.lanes.get_mut(index)
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = (LaneId, &Lane<W>)> {
        self.0
            .iter()
            .flat_map(|(&id, worker)| worker.named_lanes(id))
    }

    /// The lanes of the workers that get requests, as the chooser sees them.
    pub(crate) fn views(&self) -> impl Iterator<Item = LaneView> {
        let serving = self.0.iter().filter(|(_, worker)| worker.serves());
        let lanes = serving.flat_map(|(&id, worker)| worker.named_lanes(id));
        lanes.map(|(id, lane)| lane.view(id))
    }

    /// Every lane that has requests.
    pub(crate) fn busy(&self) -> Vec<LaneId> {
        let sound = |(_, worker): &(&WorkerId, &Worker<W>)| worker.duty != Duty::Rejected;
        let lanes = self.0.iter().filter(sound);
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
                && let Some(task) = lane.in_flight.oldest()
                && oldest.is_none_or(|(since, _)| task.entered < since)
            {
                oldest = Some((task.entered, id));
            }
        }
        oldest.map(|(_, id)| id)
    }

    /// The lanes from which requests are to be taken back now.
    pub(crate) fn held_up(&mut self, now: Instant) -> Vec<LaneId> {
        let mut found = Vec::new();
        for (&id, worker) in &mut self.0 {
            let serves = worker.serves();
            for (index, lane) in worker.lanes.iter_mut().enumerate() {
                let held = lane.load() > 0 && lane.is_held_up(now);
                if held || !serves && lane.load() > 1 {
                    found.push((id, index));
                }
            }
        }
        found
    }
}
