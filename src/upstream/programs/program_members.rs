//! All processes of an application, and what is due for them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::upstream::programs::program_member::ProgramMember;
use crate::upstream::programs::program_roster::ProgramEntry;
use crate::upstream::programs::program_settings::ProgramOptions;
use crate::workers::id::WorkerId;
use crate::workers::memory::resident_memory;
use crate::workers::options::RetireAfter;
use crate::workers::staff::life_stage::LifeStage;
use crate::workers::staff::retirement::Due;

/// One in this many processes is replaced at a time.
const SHARE: usize = 8;

/// The processes, by number.
#[derive(Debug)]
pub(super) struct ProgramMembers<C> {
    pub(super) all: BTreeMap<WorkerId, ProgramMember<C>>,
}

impl<C: Send + 'static> ProgramMembers<C> {
    /// None.
    pub(super) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
        }
    }

    /// How many serve, or are about to. One that is about to take another's place is not counted.
    pub(super) fn at_work(&self) -> usize {
        let counts = |member: &&ProgramMember<C>| member.is_at_work() && !self.is_successor(member);
        self.all.values().filter(counts).count()
    }

    /// How many are about to serve, beside those that do.
    pub(super) fn beginning(&self) -> usize {
        let counts = |member: &&ProgramMember<C>| member.begins() && !self.is_successor(member);
        self.all.values().filter(counts).count()
    }

    pub(super) fn serving(&self) -> usize {
        self.all.values().filter(|member| member.serves()).count()
    }

    /// Whether enough processes are well without one of those that serve: half of those at work.
    pub(super) fn can_spare(&self, id: WorkerId) -> bool {
        let is_well = |(other, member): &(&WorkerId, &ProgramMember<C>)| {
            **other != id && member.serves() && member.due != Some(Due::Unwell)
        };
        2 * self.all.iter().filter(is_well).count() >= self.at_work()
    }

    /// Whether a process is about to take the place of one that is still at work.
    fn is_successor(&self, member: &ProgramMember<C>) -> bool {
        let old = member.replaces.and_then(|old| self.all.get(&old));
        member.begins() && old.is_some_and(ProgramMember::is_at_work)
    }

    /// Until when the processes that serve may be idle: as long again for those that have requests now.
    pub(super) fn idle_ends(&self, timeout: Duration, now: Instant) -> Vec<(Instant, WorkerId)> {
        let spared = |member: &ProgramMember<C>| member.serves() && member.due.is_none();
        let spared = self.all.iter().filter(|(_, member)| spared(member));
        spared
            .filter_map(|(&id, member)| {
                let counts = member.server.as_ref()?.counts();
                let since = match counts.outstanding {
                    0 => counts.last_used,
                    _ => now,
                };
                Some((since + timeout, id))
            })
            .collect()
    }

    /// Marks those that are to be replaced: they are old, have answered their quota or, if that is looked at, take more
    /// memory than they may.
    pub(super) fn mark_due(&mut self, limits: &RetireAfter, looks_at_memory: bool, now: Instant) {
        let serving = self.all.values_mut().filter(|member| member.serves());
        for member in serving.filter(|member| member.due.is_none()) {
            let requests = member.server.as_ref().map_or(0, |it| it.counts().requests);
            let age = now.saturating_duration_since(member.since);
            let large = (looks_at_memory && !member.began_large)
                .then(|| resident_memory(member.process.pid()))
                .flatten()
                .and_then(|bytes| Due::to_memory(bytes, limits.memory));
            member.due = (requests >= member.quota)
                .then_some(Due::Requests(requests))
                .or(Due::to_age(age, limits.lifetime))
                .or(large);
        }
    }

    /// Those that are to get successors now: a few at a time.
    pub(super) fn to_replace(&self) -> Vec<WorkerId> {
        let successors = self.all.values().filter(|member| self.is_successor(member));
        let most = (self.at_work() / SHARE).max(1);
        let most = most.saturating_sub(successors.count());
        let has_successor = |id| self.all.values().any(|other| other.replaces == Some(id));
        let due = self
            .all
            .iter()
            .filter(|&(&id, member)| member.serves() && member.due.is_some() && !has_successor(id));
        due.map(|(&id, _)| id).take(most).collect()
    }

    /// When a process is to be ready, to have ended, or to be old.
    pub(super) fn deadlines(&self, options: &ProgramOptions) -> impl Iterator<Item = Instant> {
        let start_timeout = options.processes.start_timeout;
        let lifetime = options.processes.retire_after.lifetime;
        let of_one = move |member: &ProgramMember<C>| {
            let is_young = !lifetime.is_zero() && member.serves() && member.due.is_none();
            let old_at = is_young.then(|| member.since + lifetime);
            [member.ready_by(start_timeout), member.leave_by, old_at]
        };
        self.all.values().flat_map(of_one).flatten()
    }

    /// What the roster shows of them.
    pub(super) fn entries(&self) -> impl Iterator<Item = ProgramEntry<C>> {
        self.all.iter().map(|(&id, member)| ProgramEntry {
            id,
            pid: member.process.pid(),
            since: member.since,
            stage: match member.exit {
                Some(_) => LifeStage::Lost,
                None => member.stage,
            },
            server: member.server.clone(),
        })
    }
}
