//! All workers that exist or are to exist, and what is due for them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::workers::id::{TemplateId, WorkerId};
use crate::workers::memory::resident_memory;
use crate::workers::options::GRACE;
use crate::workers::pool::Pool;
use crate::workers::pool::worker::Worker;
use crate::workers::roster::RosterEntry;
use crate::workers::staff::life_stage::{Change, LifeStage};
use crate::workers::staff::member::{Life, LiveWorker, Member};
use crate::workers::staff::retirement::Due;

/// One in this many workers is replaced at a time.
const SHARE: usize = 8;

/// The workers, by number.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) all: BTreeMap<WorkerId, Member>,
}

impl Members {
    /// A worker that exists.
    pub(crate) fn live(&mut self, id: WorkerId) -> Option<&mut LiveWorker> {
        match &mut self.all.get_mut(&id)?.life {
            Life::Live(live) => Some(live),
            Life::Planned | Life::Ordered(_) => None,
        }
    }

    pub(crate) fn any(&self, is: impl Fn(&Member) -> bool) -> bool {
        self.all.values().any(is)
    }

    /// The numbers of the members of which something is so.
    pub(crate) fn ids(&self, is: impl Fn(&Member) -> bool) -> Vec<WorkerId> {
        let found = self.all.iter().filter(|(_, member)| is(member));
        found.map(|(&id, _)| id).collect()
    }

    fn live_ids(&self, is: impl Fn(&LiveWorker) -> bool) -> Vec<WorkerId> {
        self.ids(|member| member.live().is_some_and(&is))
    }

    /// Those that a template has yet to be told to make.
    pub(crate) fn planned(&self, template: TemplateId) -> Vec<WorkerId> {
        self.ids(|member| member.template == template && matches!(member.life, Life::Planned))
    }

    /// Forgets those that do not exist: of one template, or all.
    pub(crate) fn forget_unstarted(&mut self, template: Option<TemplateId>) {
        self.all.retain(|_, member| {
            member.live().is_some() || template.is_some_and(|id| id != member.template)
        });
    }

    /// When a template was given the oldest of the orders that it has not carried out.
    pub(crate) fn oldest_order(&self, template: TemplateId) -> Option<Instant> {
        let its = self.all.values().filter(|it| it.template == template);
        its.filter_map(|member| match &member.life {
            Life::Ordered(order) => Some(order.sent),
            Life::Planned | Life::Live(_) => None,
        })
        .min()
    }

    /// The worker whose process has this number and is not known to have ended.
    pub(crate) fn with_pid(&self, pid: i32) -> Option<WorkerId> {
        let ids = self.live_ids(|live| live.exit.is_none() && live.pid() == pid);
        ids.first().copied()
    }

    /// How many serve, or are about to. A worker that is about to take another's place is not counted.
    pub(crate) fn at_work(&self) -> usize {
        let counts = |member: &&Member| member.is_at_work() && !self.is_successor(member);
        self.all.values().filter(counts).count()
    }

    /// How many are about to serve, beside those that do.
    pub(crate) fn beginning(&self) -> usize {
        let counts = |member: &&Member| member.begins() && !self.is_successor(member);
        self.all.values().filter(counts).count()
    }

    pub(crate) fn serving(&self) -> usize {
        self.all.values().filter(|member| member.serves()).count()
    }

    /// Whether a worker is about to take the place of one that is still at work.
    fn is_successor(&self, member: &Member) -> bool {
        let old = member.replaces.and_then(|old| self.all.get(&old));
        member.begins() && old.is_some_and(Member::is_at_work)
    }

    /// Those that exist for `limit` and have not begun to serve.
    pub(crate) fn late_beginners(&self, limit: Duration, now: Instant) -> Vec<WorkerId> {
        let is_late = |since| !limit.is_zero() && now - since >= limit;
        self.live_ids(|live| matches!(live.stage, LifeStage::Beginning(since) if is_late(since)))
    }

    /// Has those leave that have not begun to serve. Those that do not soon are killed.
    pub(crate) fn dismiss_beginning(&mut self, now: Instant) {
        for member in self.all.values_mut() {
            if let Life::Live(live) = &mut member.life
                && matches!(live.stage, LifeStage::Beginning(_))
            {
                live.change(Change::IsReleased);
                live.leave_by.get_or_insert(now + GRACE);
                live.is_explained = true;
                live.control.leave(GRACE);
            }
        }
    }

    /// Those that should have left by now.
    pub(crate) fn late_leavers(&self, now: Instant) -> Vec<WorkerId> {
        self.live_ids(|live| live.leave_by.is_some_and(|by| now >= by))
    }

    /// Until when the workers that serve may be idle.
    pub(crate) fn idle_ends(
        &self,
        timeout: Duration,
        pool: &Pool,
        now: Instant,
    ) -> Vec<(Instant, WorkerId)> {
        let spared = self.live_ids(|live| live.stage == LifeStage::Serving && live.due.is_none());
        let end = |id: WorkerId| {
            let since = pool.workers.all.get(&id).and_then(Worker::idle_since);
            (since.unwrap_or(now) + timeout, id)
        };
        spared.into_iter().map(end).collect()
    }

    /// Marks those that are old.
    pub(crate) fn mark_old(&mut self, limit: Duration, now: Instant) {
        for member in self.all.values_mut() {
            let age = now.saturating_duration_since(member.since);
            if let Life::Live(live) = &mut member.life {
                live.due = live.due.or(Due::to_age(age, limit));
            }
        }
    }

    /// Marks those that take more memory than they may.
    pub(crate) fn mark_large(&mut self, limit: u64) {
        for member in self.all.values_mut() {
            if let Life::Live(live) = &mut member.life
                && live.stage == LifeStage::Serving
                && live.due.is_none()
                && !live.began_large
                && let Some(bytes) = resident_memory(live.pid())
            {
                live.due = Due::to_memory(bytes, limit);
            }
        }
    }

    /// Those that are to be replaced and have no successor yet.
    pub(crate) fn due(&self) -> Vec<WorkerId> {
        let mut due = self.live_ids(|live| live.stage == LifeStage::Serving && live.due.is_some());
        due.retain(|id| !self.any(|other| other.replaces == Some(*id)));
        due
    }

    /// Those that are to get successors now: a few at a time.
    pub(crate) fn to_replace(&self) -> Vec<WorkerId> {
        let successors = self.all.values().filter(|member| self.is_successor(member));
        let most = (self.at_work() / SHARE).max(1);
        let mut due = self.due();
        due.truncate(most.saturating_sub(successors.count()));
        due
    }

    /// When workers will have taken too long to begin or to leave.
    pub(crate) fn deadlines(&self, start_timeout: Duration) -> impl Iterator<Item = Instant> {
        let of_one = move |live: &LiveWorker| {
            let begins = match live.stage {
                LifeStage::Beginning(since) if !start_timeout.is_zero() => {
                    Some(since + start_timeout)
                }
                LifeStage::Beginning(_) | LifeStage::Serving | LifeStage::Retiring => None,
                LifeStage::Released | LifeStage::Overdue | LifeStage::Lost => None,
            };
            [begins, live.leave_by]
        };
        let live = self.all.values().filter_map(Member::live);
        live.flat_map(of_one).flatten()
    }

    /// When workers will be old.
    pub(crate) fn lifetime_ends(&self, limit: Duration) -> impl Iterator<Item = Instant> {
        let young = move |member: &&Member| {
            let due = member.live().is_some_and(|live| live.due.is_some());
            !limit.is_zero() && member.is_at_work() && !due
        };
        let young = self.all.values().filter(young);
        young.map(move |member| member.since + limit)
    }

    /// What the roster shows of them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = RosterEntry> {
        self.all.iter().map(|(&id, member)| RosterEntry {
            id,
            pid: member.live().map(LiveWorker::pid),
            since: member.since,
            lost: !member.is_at_work(),
        })
    }
}
