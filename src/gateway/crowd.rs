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

/// For so long at least a client is waited for before its connection is closed in favour of another one: one that is at
/// work comes back sooner.
const GRACE: Duration = Duration::from_secs(1);

/// How often all connections are looked at, at most, for those that have been waited for the longest.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often the log says that the limit is reached, at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The connections of a gateway. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Crowd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: AtomicUsize,
    grace: Duration,
    /// When the first could come.
    began: Instant,
    members: Mutex<Members>,
    /// One has left, or the limit has changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Members {
    all: HashMap<u64, Arc<Member>>,
    next: u64,
    /// Those that were waited for when all were looked at, longest first. Whoever has begun to wait since has done so for
    /// a shorter time than all of them.
    waiting: VecDeque<(u64, Arc<Member>)>,
    looked: Option<Instant>,
    complained: Option<Instant>,
}

#[derive(Debug, Default)]
struct Member {
    /// Since when its client has been waited for, in microseconds since the beginning, and one more; 0 while we are at work.
    since: AtomicU64,
    asked: AtomicBool,
    leave: Notify,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    crowd: Crowd,
    number: u64,
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
enum Look {
    Yes,
    /// Look again then, if nothing happens before.
    In(Duration),
}

impl Default for Crowd {
    fn default() -> Self {
        Self::with_grace(GRACE)
    }
}

impl Crowd {
    /// Nobody is there yet, and anybody may come.
    fn with_grace(grace: Duration) -> Self {
        Self(Arc::new(Shared {
            limit: AtomicUsize::new(usize::MAX),
            grace,
            began: Instant::now(),
            members: Mutex::default(),
            changed: Notify::new(),
        }))
    }

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
        let waits = |member: &&Arc<Member>| member.since.load(Ordering::Relaxed) > 0;
        Count {
            open: members.all.len(),
            waiting: members.all.values().filter(waits).count(),
            limit: self.limit(),
        }
    }

    /// Waits until another one may come in: there is room, or somebody can be asked to leave. Nothing is lost if the
    /// future is dropped.
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
        let limit = self.limit();
        if members.all.len() < limit {
            return Look::Yes;
        }
        // Those who were asked are about to leave. They are few, or something holds them up.
        let leaving = limit / 16 + 1;
        if members.all.len() >= limit.saturating_add(leaving) {
            return Look::In(LOOK_INTERVAL);
        }
        let now = self.now();
        match members.longest(now) {
            Some((since, _)) => {
                let waited = Duration::from_micros(now - since);
                match self.0.grace.saturating_sub(waited) {
                    Duration::ZERO => Look::Yes,
                    left => Look::In(left),
                }
            }
            None => {
                members.complain(limit, "and none is idle: new ones wait");
                Look::In(LOOK_INTERVAL)
            }
        }
    }

    /// The time, as [`Member::since`] has it.
    fn now(&self) -> u64 {
        // More than 500 000 years in 64 bits.
        self.0.began.elapsed().as_micros() as u64 + 1
    }

    /// Another one has come in. If there are more than there may be, that which was waited for the longest has to leave.
    #[must_use]
    pub fn enter(&self) -> Seat {
        let mut members = self.members();
        let limit = self.limit();
        if members.all.len() >= limit {
            let closed =
                "and the one that was idle for the longest time is closed for each new one";
            if members.ask(self.now()) {
                members.complain(limit, closed);
            }
        }
        let number = members.next;
        members.next += 1;
        let member = Arc::new(Member::default());
        member.since.store(self.now(), Ordering::Relaxed);
        members.all.insert(number, Arc::clone(&member));
        Seat {
            crowd: self.clone(),
            number,
            member,
        }
    }

    /// The system has no room for another one: that which was waited for the longest has to leave.
    pub fn make_room(&self) {
        self.members().ask(self.now());
    }
}

impl Members {
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
                .is_some_and(|then| then.elapsed() < LOOK_INTERVAL)
            {
                return None;
            }
            self.looked = Some(Instant::now());
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

    /// Asks one to leave; whether there is one.
    fn ask(&mut self, now: u64) -> bool {
        let longest = self.longest(now);
        if let Some((_, member)) = &longest {
            member.ask();
        }
        longest.is_some()
    }

    fn complain(&mut self, limit: usize, what: &str) {
        if self
            .complained
            .is_none_or(|then| then.elapsed() >= LOG_INTERVAL)
        {
            self.complained = Some(Instant::now());
            crate::log!("all {limit} connections are in use (runner.http.max_connections), {what}");
        }
    }
}

impl Member {
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
        self.member.since.load(Ordering::Relaxed) > 0
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
        self.crowd.members().all.remove(&self.number);
        self.crowd.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn has_room(crowd: &Crowd) -> bool {
        matches!(crowd.look(), Look::Yes)
    }

    #[test]
    fn the_longest_idle_one_makes_room() {
        let crowd = Crowd::with_grace(Duration::ZERO);
        crowd.set_limit(3);
        let seats: Vec<Seat> = (1..=3)
            .map(|since| {
                assert!(has_room(&crowd));
                let seat = crowd.enter();
                seat.member.since.store(since, Ordering::Relaxed);
                seat
            })
            .collect();
        assert!(crowd.is_full());
        // The oldest works, so that the next one goes; it is asked once.
        seats[0].works();
        assert!(has_room(&crowd));
        let fourth = crowd.enter();
        let asked: Vec<bool> = seats.iter().map(Seat::is_asked).collect();
        assert_eq!(asked, [false, true, false]);
        assert!(!fourth.is_asked());
        assert_eq!((crowd.count().open, crowd.count().limit), (4, 3));
        // It has not left yet, and there are few enough that are about to.
        assert!(!has_room(&crowd));
        let mut seats = seats.into_iter();
        let _first = seats.next();
        drop(seats.next());
        assert!(has_room(&crowd));
        let _fifth = crowd.enter();
        assert!(seats.next().expect("the third").is_asked());
    }

    #[test]
    fn nobody_makes_room_who_works_or_has_just_come() {
        let crowd = Crowd::default();
        crowd.set_limit(2);
        let (one, two) = (crowd.enter(), crowd.enter());
        one.works();
        assert!(!has_room(&crowd));
        assert!(matches!(crowd.look(), Look::In(time) if !time.is_zero() && time <= GRACE));
        two.works();
        assert!(!has_room(&crowd));
        assert_eq!(crowd.count().waiting, 0);
        crowd.set_limit(3);
        assert!(has_room(&crowd));
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_when_one_leaves() {
        let crowd = Crowd::default();
        crowd.set_limit(1);
        let seat = crowd.enter();
        seat.works();
        let mut room = pin!(crowd.room());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(room.as_mut().poll(&mut context), Poll::Pending));
        drop(seat);
        room.await;
    }

    #[tokio::test]
    async fn who_is_asked_hears_of_it_before_or_after() {
        let crowd = Crowd::with_grace(Duration::ZERO);
        crowd.set_limit(1);
        let seat = crowd.enter();
        let mut asked = pin!(seat.asked());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(asked.as_mut().poll(&mut context), Poll::Pending));
        crowd.make_room();
        asked.await;
        seat.asked().await;
    }
}
