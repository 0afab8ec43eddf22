//! A crowd without sockets: floods that come one after another, connections that work, idle, end, or do not leave when
//! they are asked, at times that proptest chooses.

use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use crate::gateway::connection_limit::*;

/// In microseconds.
const SECOND: u64 = 1_000_000;

/// A connection that has come in, and is waited for since then.
fn enter(crowd: &Crowd, since: u64) -> Seat {
    let seat = crowd.enter();
    seat.member.since.store(since, Ordering::Relaxed);
    seat
}

fn look(crowd: &Crowd, now: u64) -> Look {
    crowd.members().look(crowd.limit(), now)
}

#[test]
fn the_longest_idle_one_makes_room() {
    let crowd = Crowd::default();
    crowd.set_limit(3);
    let mut seats: Vec<Seat> = (1..=3)
        .map(|since| {
            assert_eq!(look(&crowd, since), Look::Yes);
            enter(&crowd, since)
        })
        .collect();
    assert!(crowd.is_full());
    // The oldest works, so that the next one goes; it is asked once, and nobody comes in before it has left.
    seats[0].works();
    let now = SECOND + 3;
    for left in [100, 100, 60] {
        let time = Duration::from_millis(left);
        assert_eq!(look(&crowd, now + 100_000 - 1000 * left), Look::In(time));
        let asked: Vec<bool> = seats.iter().map(Seat::is_asked).collect();
        assert_eq!(asked, [false, true, false]);
    }
    drop(seats.remove(1));
    assert_eq!(look(&crowd, now), Look::Yes);
    let fourth = enter(&crowd, now);
    assert!(!fourth.is_asked());
    let count = crowd.count();
    assert_eq!((count.open, count.waiting, count.limit), (3, 2, 3));
    assert_eq!(look(&crowd, now), Look::In(LEAVE_TIME));
    assert!(seats[1].is_asked());
}

#[test]
fn one_that_was_asked_and_does_not_leave_holds_up_nobody() {
    let crowd = Crowd::default();
    crowd.set_limit(2);
    let (one, two) = (enter(&crowd, 1), enter(&crowd, 2));
    let now = 2 * SECOND;
    assert_eq!(look(&crowd, now), Look::In(LEAVE_TIME));
    assert_eq!((one.is_asked(), two.is_asked()), (true, false));
    // Its request has come at the last moment.
    one.works();
    assert_eq!(look(&crowd, now), Look::In(LEAVE_TIME));
    assert!(two.is_asked());
}

#[test]
fn nobody_makes_room_who_works_or_has_just_come() {
    let crowd = Crowd::default();
    crowd.set_limit(2);
    let (one, two) = (enter(&crowd, 1), enter(&crowd, SECOND));
    one.works();
    assert_eq!(
        look(&crowd, SECOND + 1),
        Look::In(GRACE - Duration::from_micros(1))
    );
    two.works();
    assert_eq!(look(&crowd, 2 * SECOND), Look::In(LOOK_INTERVAL));
    assert_eq!(crowd.count().waiting, 0);
    assert!(!one.is_asked() && !two.is_asked());
    crowd.set_limit(3);
    assert_eq!(look(&crowd, 2 * SECOND), Look::Yes);
}

/// Who stands behind ten times as many silent ones as there may be does not wait a second for each tenth of them.
#[test]
fn a_long_flood_passes_ever_more_quickly() {
    let crowd = Crowd::default();
    crowd.set_limit(20);
    let mut world = World::new(crowd);
    world.arrive(200);
    let began = world.now;
    while world.outside > 0 {
        world.pass(1000);
    }
    let took = world.now - began;
    assert!(took > SECOND && took < 3 * SECOND, "{took} µs");
    // In quiet times everybody has a second again.
    world.pass(2 * SECOND);
    world.arrive(1);
    assert_eq!(world.outside, 0);
    world.arrive(20);
    assert_eq!(world.outside, 1);
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
    let crowd = Crowd::default();
    crowd.set_limit(1);
    let seat = crowd.enter();
    let mut asked = pin!(seat.asked());
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(asked.as_mut().poll(&mut context), Poll::Pending));
    crowd.make_room();
    asked.await;
    seat.asked().await;
}

/// What a listener and its connections do with a crowd.
struct World {
    crowd: Crowd,
    now: u64,
    /// How many wait in the system's queue.
    outside: usize,
    /// Since when one does.
    full: u64,
    inside: Vec<Seat>,
    /// When the listener looks again.
    look: Option<u64>,
    /// Whether those that are asked stay.
    stubborn: bool,
    /// How often one was asked, or waited for, that does not leave.
    stayed: u64,
}

impl World {
    fn new(crowd: Crowd) -> Self {
        Self {
            crowd,
            // Far from the clock's own time, at which those inside are made.
            now: 1000 * SECOND,
            outside: 0,
            full: 0,
            inside: Vec::new(),
            look: None,
            stubborn: false,
            stayed: 0,
        }
    }

    /// The listener, until it waits.
    fn settle(&mut self) {
        self.look = None;
        while self.outside > 0 {
            match look(&self.crowd, self.now) {
                Look::Yes => {
                    assert!(self.inside.len() < self.crowd.limit());
                    self.inside.push(enter(&self.crowd, self.now));
                    self.outside -= 1;
                }
                Look::In(time) => {
                    let before = self.inside.len();
                    if self.stubborn {
                        self.stayed += 1;
                    } else {
                        self.inside
                            .retain(|seat| !seat.is_asked() || !seat.is_waiting());
                    }
                    if self.inside.len() == before {
                        assert!(!time.is_zero() && time <= GRACE);
                        self.look = Some(self.now + micros(time));
                        break;
                    }
                }
            }
        }
        self.check();
    }

    /// While one waits to be accepted, nobody stays inside who was waited for longer than the grace; and those that are counted
    /// are those that are there.
    fn check(&self) {
        let count = self.crowd.count();
        let waiting = self.inside.iter().filter(|seat| seat.is_waiting());
        assert_eq!(
            (count.open, count.waiting),
            (self.inside.len(), waiting.count())
        );
        if self.outside == 0 {
            return;
        }
        assert!(count.open >= count.limit, "there is room: {count:?}");
        let patience = self.stayed * micros(LEAVE_TIME);
        for seat in &self.inside {
            let since = seat.member.since.load(Ordering::Relaxed);
            if since > 0 && !seat.is_asked() {
                let due = (since + SECOND).max(self.full) + patience;
                assert!(self.now < due, "one stays that is due since {due} µs");
            }
        }
    }

    fn arrive(&mut self, count: usize) {
        if self.outside == 0 {
            self.full = self.now;
        }
        self.outside += count;
        self.settle();
    }

    /// Time goes by, and the listener looks whenever it wanted to.
    fn pass(&mut self, time: u64) {
        let until = self.now + time;
        while let Some(next) = self.look.filter(|&next| next <= until) {
            self.now = next;
            self.settle();
        }
        self.now = until;
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Arrive(count) => self.arrive(count),
            Action::Pass(time) => self.pass(time),
            Action::Limit(limit) => {
                self.crowd.set_limit(limit);
                self.settle();
            }
            Action::Stubborn(stubborn) => {
                self.stubborn = stubborn;
                self.settle();
            }
            Action::Work(which) => {
                if let Some(seat) = self.one(which) {
                    seat.works();
                }
            }
            Action::Wait(which) => {
                let now = self.now;
                if let Some(seat) = self.one(which) {
                    seat.member.since.store(now, Ordering::Relaxed);
                }
            }
            Action::End(which) => {
                if !self.inside.is_empty() {
                    self.inside.swap_remove(which % self.inside.len());
                    self.settle();
                }
            }
            Action::EndAll => {
                self.inside.clear();
                self.settle();
            }
        }
    }

    fn one(&self, which: usize) -> Option<&Seat> {
        self.inside.get(which % self.inside.len().max(1))
    }
}

#[derive(Clone, Debug)]
enum Action {
    Arrive(usize),
    Pass(u64),
    Limit(usize),
    Stubborn(bool),
    Work(usize),
    Wait(usize),
    End(usize),
    EndAll,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (1..60_usize).prop_map(Action::Arrive),
        4 => (0..3 * SECOND).prop_map(Action::Pass),
        2 => (0..100_000_u64).prop_map(Action::Pass),
        1 => (1..30_usize).prop_map(Action::Limit),
        1 => any::<bool>().prop_map(Action::Stubborn),
        4 => any::<usize>().prop_map(Action::Work),
        4 => any::<usize>().prop_map(Action::Wait),
        3 => any::<usize>().prop_map(Action::End),
        1 => Just(Action::EndAll),
    ]
}

proptest! {
    #[test]
    fn while_one_waits_outside_nobody_idles_inside(
        limit in 1..30_usize,
        actions in prop::collection::vec(action(), 1..80),
    ) {
        let crowd = Crowd::default();
        crowd.set_limit(limit);
        let mut world = World::new(crowd);
        for action in &actions {
            world.act(action);
        }
        // And at the end all come in, whatever has happened: those inside fall silent, and leave when they are asked.
        world.stubborn = false;
        for seat in &world.inside {
            seat.member.since.store(world.now, Ordering::Relaxed);
        }
        world.settle();
        for _ in 0..world.outside {
            world.pass(2 * SECOND);
        }
        prop_assert_eq!(world.outside, 0);
    }
}

#[test]
fn all_who_come_and_go_are_counted_for_the_memory_that_they_take() {
    let crowd = Crowd::default();
    let mut seats: Vec<Seat> = (0..40).map(|_| crowd.enter()).collect();
    assert_eq!(crowd.0.tide.now(), 40);
    seats.truncate(3);
    assert_eq!(crowd.0.tide.now(), 3);
}
