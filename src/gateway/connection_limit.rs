//! How many connections a gateway has at a time, and which one goes where another one wants in: that on which we have been
//! waiting for its client for the longest time. Without a limit, idle ones take all descriptors that the system gives us,
//! and none is left for workers, for bodies of requests, and for a reload.

use std::collections::VecDeque;
use std::collections::hash_map::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::tide::Tide;

/// For so long at least a client is waited for before its connection is closed in favour of another one: one that is at
/// work comes back sooner. In a flood it is less: see [`Members::grace`].
const GRACE: Duration = Duration::from_secs(1);

/// How often that is halved in a flood, at most.
const HALVINGS: usize = 4;

/// How often all connections are looked at, at most, for those that have been waited for the longest. Shorter than any
/// grace: who has begun to wait since the last look has not waited for long enough.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long one that was asked to leave is waited for before the next one is asked: something holds it up.
const LEAVE_TIME: Duration = Duration::from_millis(100);

/// How often the log says that the limit is reached, at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The connections of a gateway. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Crowd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: AtomicUsize,
    /// When the first could come.
    began: Instant,
    members: Mutex<Members>,
    /// How many there are, for the memory that each of them takes.
    tide: Tide,
    /// One has left, or the limit has changed.
    changed: Notify,
}

/// All times are in microseconds since the beginning, and one more.
#[derive(Debug, Default)]
struct Members {
    all: HashMap<u64, Arc<Member>>,
    next: u64,
    /// Those that were waited for when all were looked at, longest first. Whoever has begun to wait since has done so for
    /// a shorter time than all of them.
    waiting: VecDeque<(u64, Arc<Member>)>,
    looked: Option<u64>,
    /// Who was asked last to make room, and when.
    leaving: Option<(Arc<Member>, u64)>,
    /// How many were asked in a row, each no more than [`GRACE`] after the one before.
    row: usize,
    complained: Option<u64>,
}

#[derive(Debug, Default)]
struct Member {
    number: u64,
    /// Since when its client has been waited for; 0 while we are at work, and when the connection has ended.
    since: AtomicU64,
    asked: AtomicBool,
    leave: Notify,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    crowd: Crowd,
    member: Arc<Member>,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub open: usize,
    /// Of these, those on which we wait for the client: for a request, or for the rest of one.
    pub waiting: usize,
    /// How many there may be.
    pub limit: usize,
}

/// Whether another connection may come in.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Yes,
    /// Look again then, if nothing happens before.
    In(Duration),
}

impl Default for Crowd {
    /// Nobody is there yet, and anybody may come.
    fn default() -> Self {
        Self(Arc::new(Shared {
            limit: AtomicUsize::new(usize::MAX),
            began: Instant::now(),
            members: Mutex::default(),
            tide: Tide::default(),
            changed: Notify::new(),
        }))
    }
}

impl Crowd {
    /// How many there may be from now on.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit.max(1), Ordering::Relaxed);
        self.0.changed.notify_one();
    }

    fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Nothing that is done under the lock leaves it half done.
        self.0
            .members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are as many as there may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.members().all.len() >= self.limit()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> Count {
        let members = self.members();
        Count {
            open: members.all.len(),
            waiting: members.all.values().filter(|it| it.waits()).count(),
            limit: self.limit(),
        }
    }

    /// Waits until there is room for another one, which is there already: those that were waited for the longest are asked
    /// to leave for it, as soon as they were waited for long enough. Nothing is lost if the future is dropped.
    pub async fn room(&self) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            match self.look() {
                Look::Yes => return,
                Look::In(time) => {
                    // Both say the same: look again.
                    let _ = tokio::time::timeout(time, changed).await;
                }
            }
        }
    }

    fn look(&self) -> Look {
        let mut members = self.members();
        let now = self.now();
        members.look(self.limit(), now)
    }

    /// The time, as [`Member::since`] has it.
    fn now(&self) -> u64 {
        micros(self.0.began.elapsed()) + 1
    }

    /// Another one has come in. If it has not waited for [`Crowd::room`], and there is none, that which was waited for the
    /// longest has to leave.
    #[must_use]
    pub fn enter(&self) -> Seat {
        let mut members = self.members();
        let (limit, now) = (self.limit(), self.now());
        if members.all.len() >= limit {
            members.ask(limit, now);
        }
        let member = Arc::new(Member {
            number: members.next,
            since: AtomicU64::new(now),
            ..Member::default()
        });
        members.next += 1;
        members.all.insert(member.number, Arc::clone(&member));
        self.0.tide.rises();
        Seat {
            crowd: self.clone(),
            member,
        }
    }

    /// The system has no room for another one: that which was waited for the longest has to leave.
    pub fn make_room(&self) {
        let mut members = self.members();
        let now = self.now();
        if let Some((_, member)) = members.longest(now) {
            member.ask();
        }
    }
}

/// More than 500 000 years in 64 bits.
fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

impl Members {
    /// Whether one that is there already may come in. If not, one is asked to leave, or is about to.
    fn look(&mut self, limit: usize, now: u64) -> Look {
        if self.all.len() < limit {
            return Look::Yes;
        }
        if let Some((member, then)) = &self.leaving {
            // It has left already, or works again, and leaves when that is done.
            let is_about_to = member.waits();
            let left = LEAVE_TIME.saturating_sub(Duration::from_micros(now - then));
            if is_about_to && !left.is_zero() {
                return Look::In(left);
            }
        }
        let Some((since, _)) = self.longest(now) else {
            if !self.all.values().any(|member| member.waits()) {
                self.complain(limit, now, "and none is idle: new ones wait");
            }
            return Look::In(LOOK_INTERVAL);
        };
        let waited = Duration::from_micros(now - since);
        match self.grace(limit, now).saturating_sub(waited) {
            Duration::ZERO => {
                self.ask(limit, now);
                Look::In(LEAVE_TIME)
            }
            left => Look::In(left),
        }
    }

    /// For how long one has to be waited for before it is asked to leave. Once as many were asked in a row as there may
    /// be, those that come are no better than those that go, and others wait behind them: half of the time does.
    fn grace(&mut self, limit: usize, now: u64) -> Duration {
        if let Some((_, then)) = &self.leaving
            && now - then > micros(GRACE)
        {
            self.row = 0;
        }
        GRACE / (1 << (self.row / limit).min(HALVINGS))
    }

    /// Which one is waited for the longest, and since when. Looks at all no more often than [`LOOK_INTERVAL`] says.
    fn longest(&mut self, now: u64) -> Option<(u64, Arc<Member>)> {
        loop {
            while let Some((since, member)) = self.waiting.front() {
                let asked = member.asked.load(Ordering::Relaxed);
                if !asked && member.since.load(Ordering::Relaxed) == *since {
                    return Some((*since, Arc::clone(member)));
                }
                self.waiting.pop_front();
            }
            if self
                .looked
                .is_some_and(|then| now - then < micros(LOOK_INTERVAL))
            {
                return None;
            }
            self.looked = Some(now);
            let mut waiting: Vec<_> = self
                .all
                .values()
                .map(|member| (member.since.load(Ordering::Relaxed), member))
                .filter(|(since, member)| {
                    (1..=now).contains(since) && !member.asked.load(Ordering::Relaxed)
                })
                .map(|(since, member)| (since, Arc::clone(member)))
                .collect();
            if waiting.is_empty() {
                return None;
            }
            waiting.sort_by_key(|(since, _)| *since);
            self.waiting = waiting.into();
        }
    }

    /// Asks the one that was waited for the longest to leave, if there is one.
    fn ask(&mut self, limit: usize, now: u64) {
        if let Some((_, member)) = self.longest(now) {
            member.ask();
            self.leaving = Some((member, now));
            self.row += 1;
            let closed =
                "and the one that was idle for the longest time is closed for each new one";
            self.complain(limit, now, closed);
        }
    }

    fn complain(&mut self, limit: usize, now: u64, what: &str) {
        if self
            .complained
            .is_none_or(|then| now - then >= micros(LOG_INTERVAL))
        {
            self.complained = Some(now);
            crate::log!("all {limit} connections are in use (runner.http.max_connections), {what}");
        }
    }
}

impl Member {
    /// Whether its client is waited for.
    fn waits(&self) -> bool {
        self.since.load(Ordering::Relaxed) > 0
    }

    fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.leave.notify_waiters();
    }
}

impl Seat {
    /// From now on we wait for the client.
    pub fn waits(&self) {
        self.member.since.store(self.crowd.now(), Ordering::Relaxed);
    }

    /// From now on we are at work.
    pub fn works(&self) {
        self.member.since.store(0, Ordering::Relaxed);
    }

    /// Whether we wait for the client.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.member.waits()
    }

    /// A place for one more request on this connection, which may need a descriptor of its own; none if all are taken.
    #[must_use]
    pub fn beside(&self) -> Option<Seat> {
        if self.is_crowded() {
            return None;
        }
        let seat = self.crowd.enter();
        // Nobody would hear it if it were asked to leave.
        seat.works();
        Some(seat)
    }

    /// Asks it to leave.
    pub fn ask(&self) {
        self.member.ask();
    }

    /// Whether it is to leave as soon as nothing is under way.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.member.asked.load(Ordering::Relaxed)
    }

    /// Waits until that is so.
    pub async fn asked(&self) {
        loop {
            let leave = self.member.leave.notified();
            if self.is_asked() {
                return;
            }
            leave.await;
        }
    }

    /// Whether all places are taken.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowd.is_full()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.members().all.remove(&self.member.number);
        self.crowd.0.tide.falls();
        // Whoever remembers it has nobody to ask any more.
        self.works();
        self.crowd.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
