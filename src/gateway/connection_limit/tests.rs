//! The limit without sockets: floods of connections that work, idle, end, or do not close when they are asked, at times that
//! proptest chooses.

use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use crate::gateway::connection_limit::registry::{CLOSE_TIME, GRACE, SCAN_INTERVAL};
use crate::gateway::connection_limit::stream_permit::StreamPermit;
use crate::gateway::connection_limit::*;

/// In microseconds.
const SECOND: u64 = 1_000_000;

/// Admits a connection whose client is waited for since a time.
fn admit(limit: &ConnectionLimit, since: u64) -> Permit {
    let permit = limit.admit();
    permit.connection.since.store(since, Ordering::Relaxed);
    permit
}

fn room(limit: &ConnectionLimit, now: u64) -> Admission {
    limit
        .registry()
        .make_room(limit.get(), limit.0.requests.free(), now)
}

#[test]
fn the_longest_idle_one_makes_room() {
    let limit = ConnectionLimit::default();
    limit.set(3);
    let mut permits: Vec<Permit> = (1..=3)
        .map(|since| {
            assert_eq!(room(&limit, since), Admission::Free);
            admit(&limit, since)
        })
        .collect();
    assert!(limit.is_reached());
    // The oldest connection works, so the next one closes; it is asked once, and no other is admitted before it has closed.
    permits[0].set_working();
    let now = SECOND + 3;
    for left in [100, 100, 60] {
        let time = Duration::from_millis(left);
        assert_eq!(
            room(&limit, now + 100_000 - 1000 * left),
            Admission::RetryIn(time)
        );
        let asked: Vec<bool> = permits.iter().map(Permit::should_close).collect();
        assert_eq!(asked, [false, true, false]);
    }
    drop(permits.remove(1));
    assert_eq!(room(&limit, now), Admission::Free);
    let fourth = admit(&limit, now);
    assert!(!fourth.should_close());
    let count = limit.count();
    assert_eq!((count.open, count.idle, count.most), (3, 2, 3));
    assert_eq!(room(&limit, now), Admission::RetryIn(CLOSE_TIME));
    assert!(permits[1].should_close());
}

#[test]
fn a_connection_that_does_not_close_when_asked_holds_up_no_other() {
    let limit = ConnectionLimit::default();
    limit.set(2);
    let (one, two) = (admit(&limit, 1), admit(&limit, 2));
    let now = 2 * SECOND;
    assert_eq!(room(&limit, now), Admission::RetryIn(CLOSE_TIME));
    assert_eq!((one.should_close(), two.should_close()), (true, false));
    // Its request comes at the last moment.
    one.set_working();
    assert_eq!(room(&limit, now), Admission::RetryIn(CLOSE_TIME));
    assert!(two.should_close());
}

#[test]
fn connections_that_work_or_are_new_are_not_closed() {
    let limit = ConnectionLimit::default();
    limit.set(2);
    let (one, two) = (admit(&limit, 1), admit(&limit, SECOND));
    one.set_working();
    assert_eq!(
        room(&limit, SECOND + 1),
        Admission::RetryIn(GRACE - Duration::from_micros(1))
    );
    two.set_working();
    assert_eq!(room(&limit, 2 * SECOND), Admission::RetryIn(SCAN_INTERVAL));
    assert_eq!(limit.count().idle, 0);
    assert!(!one.should_close() && !two.should_close());
    limit.set(3);
    assert_eq!(room(&limit, 2 * SECOND), Admission::Free);
}

/// A client behind a flood of ten times the limit does not wait one second for each time the limit.
#[test]
fn a_long_flood_passes_ever_more_quickly() {
    let limit = ConnectionLimit::default();
    limit.set(20);
    let mut flood = Flood::new(limit);
    flood.arrive(200);
    let began = flood.now;
    while flood.outside > 0 {
        flood.pass(1000);
    }
    let took = flood.now - began;
    assert!(took > SECOND && took < 3 * SECOND, "{took} µs");
    // In quiet times every connection has a second again.
    flood.pass(2 * SECOND);
    flood.arrive(1);
    assert_eq!(flood.outside, 0);
    flood.arrive(20);
    assert_eq!(flood.outside, 1);
}

#[tokio::test]
async fn a_waiting_connection_is_admitted_when_another_ends() {
    let limit = ConnectionLimit::default();
    limit.set(1);
    let permit = limit.admit();
    permit.set_working();
    let mut room = pin!(limit.wait_for_room());
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(room.as_mut().poll(&mut context), Poll::Pending));
    drop(permit);
    room.await;
}

#[tokio::test]
async fn the_request_to_close_is_seen_before_and_after_waiting_for_it() {
    let limit = ConnectionLimit::default();
    limit.set(1);
    let permit = limit.admit();
    let mut asked = pin!(permit.close_asked());
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(asked.as_mut().poll(&mut context), Poll::Pending));
    limit.close_longest_waiting();
    asked.await;
    permit.close_asked().await;
}

/// A listener and the connections of its clients.
struct Flood {
    limit: ConnectionLimit,
    now: u64,
    /// The number of connections in the system's queue.
    outside: usize,
    /// Since when there is one.
    full: u64,
    inside: Vec<Permit>,
    /// When the listener asks for room again.
    look: Option<u64>,
    /// Connections that are asked to close stay open.
    stubborn: bool,
    /// How often a connection was asked or waited for that stays open.
    stayed: u64,
}

impl Flood {
    fn new(limit: ConnectionLimit) -> Self {
        Self {
            limit,
            // Far from the time of the real clock, at which permits are made.
            now: 1000 * SECOND,
            outside: 0,
            full: 0,
            inside: Vec::new(),
            look: None,
            stubborn: false,
            stayed: 0,
        }
    }

    /// The listener accepts until it has to wait.
    fn settle(&mut self) {
        self.look = None;
        while self.outside > 0 {
            match room(&self.limit, self.now) {
                Admission::Free => {
                    assert!(self.inside.len() < self.limit.get());
                    self.inside.push(admit(&self.limit, self.now));
                    self.outside -= 1;
                }
                Admission::RetryIn(time) => {
                    let before = self.inside.len();
                    if self.stubborn {
                        self.stayed += 1;
                    } else {
                        self.inside
                            .retain(|permit| !permit.should_close() || !permit.is_waiting());
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

    /// While a connection waits to be accepted, none stays open whose client was waited for longer than the grace; and the
    /// counts are right.
    fn check(&self) {
        let count = self.limit.count();
        let waiting = self.inside.iter().filter(|permit| permit.is_waiting());
        assert_eq!(
            (count.open, count.idle),
            (self.inside.len(), waiting.count())
        );
        if self.outside == 0 {
            return;
        }
        assert!(count.open >= count.most, "there is room: {count:?}");
        let patience = self.stayed * micros(CLOSE_TIME);
        for permit in &self.inside {
            let since = permit.connection.since.load(Ordering::Relaxed);
            if since > 0 && !permit.should_close() {
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

    /// Time goes by, and the listener asks for room whenever it is due.
    fn pass(&mut self, time: u64) {
        let until = self.now + time;
        while let Some(next) = self.look.filter(|&next| next <= until) {
            self.now = next;
            self.settle();
        }
        self.now = until;
    }

    fn act(&mut self, step: &FloodStep) {
        match *step {
            FloodStep::Arrive(count) => self.arrive(count),
            FloodStep::Pass(time) => self.pass(time),
            FloodStep::Limit(limit) => {
                self.limit.set(limit);
                self.settle();
            }
            FloodStep::Stubborn(stubborn) => {
                self.stubborn = stubborn;
                self.settle();
            }
            FloodStep::Work(which) => {
                if let Some(permit) = self.one(which) {
                    permit.set_working();
                }
            }
            FloodStep::Wait(which) => {
                let now = self.now;
                if let Some(permit) = self.one(which) {
                    permit.connection.since.store(now, Ordering::Relaxed);
                }
            }
            FloodStep::End(which) => {
                if !self.inside.is_empty() {
                    self.inside.swap_remove(which % self.inside.len());
                    self.settle();
                }
            }
            FloodStep::EndAll => {
                self.inside.clear();
                self.settle();
            }
        }
    }

    fn one(&self, which: usize) -> Option<&Permit> {
        self.inside.get(which % self.inside.len().max(1))
    }
}

#[derive(Clone, Debug)]
enum FloodStep {
    Arrive(usize),
    Pass(u64),
    Limit(usize),
    Stubborn(bool),
    Work(usize),
    Wait(usize),
    End(usize),
    EndAll,
}

fn step() -> impl Strategy<Value = FloodStep> {
    prop_oneof![
        3 => (1..60_usize).prop_map(FloodStep::Arrive),
        4 => (0..3 * SECOND).prop_map(FloodStep::Pass),
        2 => (0..100_000_u64).prop_map(FloodStep::Pass),
        1 => (1..30_usize).prop_map(FloodStep::Limit),
        1 => any::<bool>().prop_map(FloodStep::Stubborn),
        4 => any::<usize>().prop_map(FloodStep::Work),
        4 => any::<usize>().prop_map(FloodStep::Wait),
        3 => any::<usize>().prop_map(FloodStep::End),
        1 => Just(FloodStep::EndAll),
    ]
}

proptest! {
    #[test]
    fn while_a_connection_waits_none_is_idle(
        most in 1..30_usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let limit = ConnectionLimit::default();
        limit.set(most);
        let mut flood = Flood::new(limit);
        for step in &steps {
            flood.act(step);
        }
        // In the end all are admitted, whatever has happened: the open ones fall silent and close when they are asked.
        flood.stubborn = false;
        for permit in &flood.inside {
            permit.connection.since.store(flood.now, Ordering::Relaxed);
        }
        flood.settle();
        for _ in 0..flood.outside {
            flood.pass(2 * SECOND);
        }
        prop_assert_eq!(flood.outside, 0);
    }
}

#[test]
fn connections_are_counted_for_the_memory_that_they_take() {
    let limit = ConnectionLimit::default();
    let mut permits: Vec<Permit> = (0..40).map(|_| limit.admit()).collect();
    assert_eq!(limit.0.connections.now(), 40);
    permits.truncate(3);
    assert_eq!(limit.0.connections.now(), 3);
}

/// IPv6 clients choose among 2⁶⁴ addresses.
#[test]
fn each_client_has_its_share_whatever_addresses_it_has() {
    let limit = ConnectionLimit::default();
    limit.set_per_address(2);
    let admit = |address: &str| limit.admit_from(address.parse().expect("an address"));
    for (addresses, other) in [
        (["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
        (
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:8000::"],
            "2001:db8:0:1::1",
        ),
    ] {
        let [first, second, third] = addresses;
        let kept = (admit(first), admit(second));
        assert!(kept.0.is_some() && kept.1.is_some(), "{addresses:?}");
        assert!(admit(third).is_none(), "{addresses:?}");
        assert!(admit(other).is_some(), "{other}");
        drop(kept.1);
        assert!(admit(third).is_some(), "{addresses:?}");
    }
    assert_eq!(limit.count().open, 0);
    assert!(limit.registry().clients.is_empty());
}

/// A client has as many streams as it likes at no cost.
#[test]
fn a_client_leaves_streams_for_others() {
    let limit = ConnectionLimit::default();
    limit.set(20);
    let admit = |address: &str| {
        let permit = limit.admit_from(address.parse().expect("an address"));
        permit.expect("no limit for an address")
    };
    let streams = |permit: &Permit| -> Vec<StreamPermit> {
        std::iter::from_fn(|| StreamPermit::of(permit)).collect()
    };
    let greedy = [admit("192.0.2.1"), admit("192.0.2.1")];
    let taken = greedy.each_ref().map(streams);
    assert_eq!(taken.each_ref().map(Vec::len), [5, 0]);
    let other = admit("192.0.2.2");
    let of_other = streams(&other);
    assert_eq!(of_other.len(), 3);
    // A proxy has many clients.
    let proxy = limit.admit();
    assert_eq!(streams(&proxy).len(), 2);
    drop((taken, of_other));
    assert_eq!(streams(&proxy).len(), 10);
}

#[tokio::test]
async fn a_request_beyond_the_share_of_its_client_waits_for_its_turn() {
    let limit = ConnectionLimit::default();
    limit.set(20);
    let admit = |address: &str| {
        let permit = limit.admit_from(address.parse().expect("an address"));
        permit.expect("no limit for an address")
    };
    let mut greedy: Vec<Permit> = (0..18).map(|_| admit("192.0.2.1")).collect();
    assert!(greedy.iter().all(Permit::begin_request));
    let (first, second) = (admit("192.0.2.1"), admit("192.0.2.1"));
    assert!(!first.begin_request() && !second.begin_request());
    // A stream that had to wait would keep its place.
    assert!(StreamPermit::of(&greedy[0]).is_none());
    let mut context = Context::from_waker(Waker::noop());
    let mut first_turn = Box::pin(first.begin_in_turn());
    let mut second_turn = pin!(second.begin_in_turn());
    assert!(first_turn.as_mut().poll(&mut context).is_pending());
    assert!(second_turn.as_mut().poll(&mut context).is_pending());
    assert_eq!(limit.count().idle, 2);
    // For another client, one of those that wait has to close, and that client has its request.
    let later = limit.now() + 2 * SECOND;
    assert_eq!(room(&limit, later), Admission::RetryIn(CLOSE_TIME));
    assert!(!first_turn.await && first.should_close());
    drop(first);
    let other = admit("192.0.2.2");
    assert!(other.begin_request());
    drop(other);
    // The next turn is that of the one that still waits. A request ends with its connection, too.
    assert!(second_turn.as_mut().poll(&mut context).is_pending());
    drop(greedy.pop());
    assert!(second_turn.await);
}

/// A proxy or a web server has many clients.
#[test]
fn connections_of_no_known_client_have_no_share() {
    let limit = ConnectionLimit::default();
    limit.set(20);
    let permits: Vec<Permit> = (0..20).map(|_| limit.admit()).collect();
    assert!(permits.iter().all(Permit::begin_request));
}
