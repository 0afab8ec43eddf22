//! Who comes and who goes while nothing is wrong: more workers when requests wait, fewer when there is nothing
//! to do, and new ones for those that have become old or large.
//!
//! A worker that is to be replaced goes on until its successor is ready, so that there are never fewer than before.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::log;
use crate::workers::hub::lock;
use crate::workers::id::WorkerId;
use crate::workers::memory::resident_memory;
use crate::workers::options::Turnover;
use crate::workers::pool::worker::Worker;
use crate::workers::staff::{Member, Staff};

/// Why a worker is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Due {
    /// It has answered so many requests.
    Requests(u64),
    /// It is that old.
    Lifetime(Duration),
    /// It takes so many bytes.
    Memory(u64),
}

impl fmt::Display for Due {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(requests) => write!(
                formatter,
                "it has answered {requests} requests (runner.workers.max_requests)"
            ),
            Self::Lifetime(age) => write!(
                formatter,
                "it is {:.1} s old (runner.workers.max_lifetime)",
                age.as_secs_f64()
            ),
            Self::Memory(bytes) => write!(
                formatter,
                "it takes {} MiB of memory (runner.workers.max_memory)",
                bytes >> 20
            ),
        }
    }
}

/// The least time between two looks at the memory of workers, which are only taken while they answer.
const WEIGHING: Duration = Duration::from_secs(1);

/// Of so many workers one at a time is replaced, or of fewer.
const SHARE: usize = 8;

impl Turnover {
    /// After how many requests the next worker is to leave.
    pub(crate) fn quota(&self) -> u64 {
        match self.max_requests {
            0 => u64::MAX,
            limit => draw(limit, RandomState::new().hash_one(0)),
        }
    }
}

/// A number within a tenth of a limit, at least 1.
fn draw(limit: u64, random: u64) -> u64 {
    let tenth = limit / 10;
    (limit - tenth)
        .saturating_add(random % (2 * tenth).saturating_add(1))
        .max(1)
}

impl Member {
    fn has_begun(&self) -> bool {
        self.open_lanes.is_some() && self.beginning.is_none()
    }

    /// It has begun to serve, and gets requests.
    pub(crate) fn serves(&self) -> bool {
        !self.lost && self.has_begun()
    }
}

impl Staff {
    /// How many workers serve, or are about to; one that is about to take another's place is not counted.
    pub(crate) fn at_work(&self) -> usize {
        let counts = |member: &&Member| !member.lost && !self.is_successor(member);
        self.members.values().filter(counts).count()
    }

    /// How many there are to be at least. Whoever waits for all of them wants to know whether the application can be
    /// imported: where only a worker does that, there is one.
    pub(crate) fn fewest(&self) -> usize {
        let proof = self.afresh && !self.awaiting.is_empty();
        self.options.min.max(usize::from(proof))
    }

    /// Whether a worker is about to take the place of one that still works.
    fn is_successor(&self, member: &Member) -> bool {
        let predecessor = member.replaces.and_then(|old| self.members.get(&old));
        !member.has_begun() && predecessor.is_some_and(|old| !old.lost)
    }

    /// Requests wait and no lane is free: one more worker, if there may be.
    pub(crate) fn grow(&mut self, now: Instant) {
        if self.crowded && self.at_work() < self.options.max && now >= self.next_growth() {
            self.crowded = false;
            if lock(&self.shared.pool).is_crowded() {
                // The first one of none is what the application needs to work at all.
                if self.at_work() > 0 {
                    self.last_start = Some(now);
                }
                self.hire(None);
            }
        }
    }

    /// When there may be one more. One at a time: the next one only when this one has shown whether it helps. Where
    /// there is none at all, the first one waits for nothing.
    pub(crate) fn next_growth(&self) -> Instant {
        match self.last_start {
            Some(last) if self.at_work() > 0 => {
                (last + self.options.start_interval).max(self.not_before)
            }
            Some(_) | None => self.not_before,
        }
    }

    /// Workers beyond the fewest that have had nothing to do for long enough leave, the most idle first.
    pub(crate) fn shrink(&mut self, now: Instant) {
        let surplus = self.at_work().saturating_sub(self.options.min);
        let mut idle = self.idle_ends(now);
        idle.sort_unstable();
        for (until, worker) in idle.into_iter().take(surplus) {
            if until <= now {
                self.release(worker);
            }
        }
    }

    /// Until when the workers that could be spared are kept.
    fn idle_ends(&self, now: Instant) -> Vec<(Instant, WorkerId)> {
        let timeout = self.options.turnover.idle_timeout;
        if timeout.is_zero() || self.at_work() <= self.options.min {
            return Vec::new();
        }
        let pool = lock(&self.shared.pool);
        let free = |(_, member): &(&WorkerId, &Member)| member.serves() && member.due.is_none();
        let until = |(&worker, _): (&WorkerId, &Member)| {
            let since = pool
                .workers
                .get(worker)
                .and_then(Worker::idle_since)
                .unwrap_or(now);
            (since + timeout, worker)
        };
        self.members.iter().filter(free).map(until).collect()
    }

    /// Lets a worker finish what it is on, and leave.
    fn release(&mut self, worker: WorkerId) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.lost = true;
            lock(&self.shared.pool).retire(worker);
            self.shared.wake();
        }
    }

    /// Marks the workers that are old or large by now.
    pub(crate) fn assess(&mut self, now: Instant) {
        let limit = self.options.turnover.max_lifetime;
        if !limit.is_zero() {
            for member in self.members.values_mut() {
                let age = now.saturating_duration_since(member.since);
                if member.due.is_none() && age >= limit {
                    member.due = Some(Due::Lifetime(age));
                }
            }
        }
        if self.weigh_at.is_some_and(|at| now >= at) {
            self.weigh_at = None;
            self.last_weighed = now;
            self.weigh();
            lock(&self.shared.pool).watch();
        }
    }

    fn weigh(&mut self) {
        let limit = self.options.turnover.max_memory;
        for member in self.members.values_mut() {
            if member.serves()
                && member.due.is_none()
                && !member.large_from_the_start
                && let Some(process) = &member.process
                && let Some(bytes) = resident_memory(process.id())
                && bytes > limit
            {
                member.due = Some(Due::Memory(bytes));
            }
        }
    }

    /// A new worker that is too large already: to replace it would help nobody.
    pub(crate) fn weigh_new(&mut self, worker: WorkerId) {
        let limit = self.options.turnover.max_memory;
        if limit == 0 {
            return;
        }
        lock(&self.shared.pool).watch();
        if let Some(member) = self.members.get_mut(&worker)
            && let Some(process) = &member.process
            && let Some(bytes) = resident_memory(process.id())
            && bytes > limit
        {
            member.large_from_the_start = true;
            let pid = process.id();
            log!(
                "worker {pid} takes {} MiB of memory before its first request, more than it may \
                 (runner.workers.max_memory): it is not replaced for that",
                bytes >> 20
            );
        }
    }

    /// Something was answered: memory is to be looked at, but not too often.
    pub(crate) fn was_active(&mut self) {
        let next = self.last_weighed + WEIGHING;
        self.weigh_at.get_or_insert(next.max(Instant::now()));
    }

    /// Orders successors for workers that are due, a few at a time.
    pub(crate) fn recycle(&mut self, now: Instant) {
        if now < self.not_before {
            return;
        }
        let successors = |staff: &Self| {
            let members = staff.members.values();
            members.filter(|member| staff.is_successor(member)).count()
        };
        let most = (self.at_work() / SHARE).max(1);
        let room = most.saturating_sub(successors(self));
        for worker in self.due().into_iter().take(room) {
            self.hire(Some(worker));
        }
    }

    /// The workers that are to be replaced and have no successor yet.
    fn due(&self) -> Vec<WorkerId> {
        let is_due = |(worker, member): &(&WorkerId, &Member)| {
            let successor = |other: &Member| other.replaces == Some(**worker);
            member.serves() && member.due.is_some() && !self.members.values().any(successor)
        };
        let due = self.members.iter().filter(is_due);
        due.map(|(&worker, _)| worker).collect()
    }

    /// A successor is ready: the one before it may go.
    pub(crate) fn succeed(&mut self, new: WorkerId) {
        let Some(old) = self.members.get(&new).and_then(|member| member.replaces) else {
            return;
        };
        let Some(member) = self.members.get(&old).filter(|member| member.serves()) else {
            return;
        };
        if let (Some(process), Some(reason)) = (&member.process, member.due) {
            log!("worker {} is replaced: {reason}", process.id());
        }
        lock(&self.shared.roster).recycled += 1;
        self.release(old);
    }

    /// When [`Staff::shrink`], [`Staff::assess`] and [`Staff::recycle`] have something to do next.
    pub(crate) fn turnover_deadline(&self, now: Instant) -> Option<Instant> {
        let idle = self.idle_ends(now).into_iter().map(|(until, _)| until);
        let limit = self.options.turnover.max_lifetime;
        let young = |member: &&Member| !limit.is_zero() && member.due.is_none() && !member.lost;
        let old = self.members.values().filter(young);
        let old = old.map(|member| member.since + limit);
        let retry = (!self.due().is_empty()).then_some(self.not_before);
        idle.chain(old)
            .chain(self.weigh_at)
            .chain(retry)
            .filter(|at| *at > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn limits_are_drawn_within_a_tenth() {
        let drawn = |limit| [0, 7, u64::MAX / 3, u64::MAX].map(|random| draw(limit, random));
        for limit in [10, 1000, 123_456, u64::MAX] {
            for number in drawn(limit) {
                assert!(number >= limit - limit / 10, "{number} of {limit}");
                assert!(
                    number <= limit.saturating_add(limit / 10),
                    "{number} of {limit}"
                );
            }
        }
        assert_eq!(drawn(1), [1; 4]);
        assert_eq!(draw(1000, 0), 900);
        assert_eq!(draw(1000, 200), 1100);
    }
}
