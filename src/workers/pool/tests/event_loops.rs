//! ASGI workers whose event loops are quick, slow, blocked or dying, that stream, converse and run out of time, and clients
//! that are slow or go away. In any order of steps: each request is begun once at most and answered, none waits behind a
//! blocked loop while another loop is free, and credit is never exceeded and never lost.

use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

use crate::interface::CloseReason;
use crate::protocol::worker::frame::LaneOrder;
use crate::workers::options::Limits;
use crate::workers::pool::checkup::Finding;
use crate::workers::pool::simulation::simulated_time::{MILLISECOND, now};
use crate::workers::pool::tests::loop_lane::Habit;
use crate::workers::pool::tests::loops::{LoopOutcome, Loops, limits};
use crate::workers::pool::worker::Duty;
use crate::workers::question::Reason;

#[derive(Clone, Debug)]
enum LoopStep {
    Accept(Habit, usize),
    Vanish(usize),
    Run(usize),
    Deliver(usize),
    Write,
    Receive(usize),
    Tick(u64),
    Kill(usize),
    Retire(usize),
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        8 => Just(Habit::Quick),
        4 => (1..50_u64).prop_map(Habit::Slow),
        1 => (1..60_u64).prop_map(Habit::Blocks),
        1 => (1..60_u64).prop_map(Habit::BlocksLate),
        2 => (0..20_usize).prop_map(Habit::Streams),
        2 => Just(Habit::Echoes),
        1 => Just(Habit::Refuses),
        1 => (1..50_u64).prop_map(Habit::Lingers),
        1 => Just(Habit::Dawdles),
        1 => (1..200_u64).prop_map(|time| Habit::Stays { time, web_socket: false }),
    ]
}

fn step() -> impl Strategy<Value = LoopStep> {
    prop_oneof![
        8 => (habit(), 1..40_usize).prop_map(|(habit, count)| LoopStep::Accept(habit, count)),
        2 => (0..1000_usize).prop_map(LoopStep::Vanish),
        12 => (0..8_usize).prop_map(LoopStep::Run),
        12 => (0..8_usize).prop_map(LoopStep::Deliver),
        12 => Just(LoopStep::Write),
        6 => (1..8_usize).prop_map(LoopStep::Receive),
        6 => (10..4000_u64).prop_map(LoopStep::Tick),
        1 => (0..8_usize).prop_map(LoopStep::Kill),
        1 => (0..8_usize).prop_map(LoopStep::Retire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered_and_credit_is_kept(
        workers in 1..5_usize,
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let (limits, loop_limits) = limits();
        // What dawdles is cancelled, and nothing else takes so long.
        let limits = Limits { request_timeout: Duration::from_secs(3), ..limits };
        let mut loops = Loops::new(workers, (limits, loop_limits));
        for step in steps {
            match step {
                LoopStep::Accept(habit, count) => for _ in 0..count {
                    loops.accept(habit);
                },
                LoopStep::Vanish(draw) => loops.vanish(draw),
                LoopStep::Run(draw) => loops.run(loops.worker(draw)),
                LoopStep::Deliver(draw) => loops.deliver(loops.worker(draw)),
                LoopStep::Write => loops.write(),
                LoopStep::Receive(most) => loops.receive(most),
                LoopStep::Tick(micros) => loops.tick(Duration::from_micros(micros)),
                LoopStep::Kill(draw) => loops.kill(loops.worker(draw)),
                LoopStep::Retire(draw) => loops.pool.retire(loops.worker(draw)),
            }
            loops.check();
        }
        loops.finish();
    }
}

/// A blocked loop costs its own requests only: what it has not begun is begun elsewhere within milliseconds, and it gets
/// nothing more until it reads on.
#[test]
fn nothing_waits_behind_a_blocked_loop() {
    let mut loops = Loops::new(2, limits());
    let blocked = loops.accept(Habit::Blocks(3000));
    for _ in 0..5 {
        loops.round();
    }
    for _ in 0..2000 {
        loops.accept(Habit::Quick);
        loops.round();
    }
    assert!(!loops.outcomes.contains_key(&blocked));
    assert_eq!(loops.outcomes.len(), 2000, "of the others");
    assert!(loops.waited < MILLISECOND * 10, "{:?}", loops.waited);
    loops.finish();
}

/// What blocks its loop only after it has begun cannot be taken back: a burst of it is spread evenly nevertheless, though one
/// loop reads on before the other.
#[test]
fn a_burst_that_blocks_late_is_spread_evenly() {
    let mut loops = Loops::new(2, limits());
    for _ in 0..20 {
        loops.accept(Habit::BlocksLate(400));
        loops.round();
    }
    loops.finish();
    let took = now() - loops.entered[0];
    assert!(took < Duration::from_millis(4500), "{took:?}");
}

/// A loop that is blocked for longer than the other was gets no share of what waits.
#[test]
fn nothing_is_kept_for_a_loop_that_is_blocked_for_longer() {
    let mut loops = Loops::new(2, limits());
    loops.accept(Habit::BlocksLate(3000));
    loops.accept(Habit::BlocksLate(100));
    for _ in 0..15 {
        loops.round();
    }
    for _ in 0..50 {
        loops.accept(Habit::Slow(1000));
    }
    loops.finish();
    assert!(loops.waited < MILLISECOND * 220, "{:?}", loops.waited);
}

/// With one worker there is no other place to go: what waits is begun when the loop goes on.
#[test]
fn a_single_loop_goes_on_when_it_can() {
    let mut loops = Loops::new(1, limits());
    loops.accept(Habit::Blocks(300));
    loops.round();
    for _ in 0..500 {
        loops.accept(Habit::Quick);
        loops.round();
    }
    loops.finish();
}

#[test]
fn a_worker_is_full_at_its_concurrency_and_web_sockets_do_not_count() {
    let (limits, loop_limits) = limits();
    let loop_limits = crate::workers::options::LoopLimits {
        concurrency: 3,
        ..loop_limits
    };
    let mut loops = Loops::new(2, (limits, loop_limits));
    for _ in 0..10 {
        loops.accept(Habit::Echoes);
        loops.round();
    }
    let sockets = |loops: &Loops| -> Vec<usize> {
        let lanes = loops.pool.workers.lanes();
        lanes.map(|(_, lane)| lane.web_sockets()).collect()
    };
    assert_eq!(
        sockets(&loops).iter().sum::<usize>(),
        10 - loops.outcomes.len()
    );
    for _ in 0..10 {
        loops.accept(Habit::Slow(1000));
    }
    loops.round();
    let in_flight: Vec<usize> = loops
        .pool
        .workers
        .lanes()
        .map(|(_, lane)| lane.load() - lane.web_sockets())
        .collect();
    assert_eq!(in_flight, [3, 3]);
    assert_eq!(loops.pool.queue.len(), 4);
    loops.finish();
}

/// Requests whose clients have left take no place of those that have one. But of them, too, there is no end.
#[test]
fn clients_that_have_left_hold_up_no_others() {
    for web_socket in [false, true] {
        let (limits, loop_limits) = limits();
        let loop_limits = crate::workers::options::LoopLimits {
            concurrency: 3,
            ..loop_limits
        };
        let mut loops = Loops::new(1, (limits, loop_limits));
        let few = |loops: &mut Loops| (0..3).for_each(|_| loops.round());
        let leave = |loops: &mut Loops| {
            (0..3).for_each(|_| loops.vanish(0));
            few(loops);
        };
        let stay = |loops: &mut Loops| {
            for _ in 0..3 {
                loops.accept(Habit::Stays {
                    time: 10_000,
                    web_socket,
                });
            }
            few(loops);
        };
        stay(&mut loops);
        let waits = loops.accept(Habit::Quick);
        few(&mut loops);
        assert_eq!(loops.outcomes.contains_key(&waits), web_socket);
        leave(&mut loops);
        assert!(loops.outcomes.contains_key(&waits), "{web_socket}");
        // Now as many go on as may.
        stay(&mut loops);
        leave(&mut loops);
        let waits = loops.accept(Habit::Quick);
        for _ in 0..9000 {
            loops.round();
        }
        assert!(!loops.outcomes.contains_key(&waits), "{web_socket}");
        for _ in 0..1000 {
            loops.round();
        }
        assert!(loops.outcomes.contains_key(&waits), "{web_socket}");
    }
}

/// What takes too long is answered 504 and cancelled, and its neighbours never notice.
#[test]
fn a_task_that_is_overdue_is_cancelled() {
    let (_, loop_limits) = limits();
    let limits = Limits {
        request_timeout: Duration::from_millis(500),
        request_slow: Duration::from_millis(100),
        queue_length: 100,
        ..Limits::default()
    };
    let mut loops = Loops::new(1, (limits, loop_limits));
    let overdue = loops.accept(Habit::Hangs);
    let neighbour = loops.accept(Habit::Slow(450));
    for _ in 0..100 {
        loops.round();
    }
    assert_eq!(loops.found(Reason::SlowTask), 0);
    for _ in 0..10 {
        loops.round();
    }
    assert_eq!(loops.found(Reason::SlowTask), 2);
    for _ in 0..450 {
        loops.round();
    }
    assert_eq!(loops.outcomes[&overdue], LoopOutcome::Status(504));
    assert_eq!(loops.outcomes[&neighbour], LoopOutcome::Status(200));
    assert_eq!(loops.found(Reason::Cancelled), 1);
    assert_eq!(
        loops.found(Reason::Blocked) + loops.found(Reason::BlockedTooLong),
        0
    );
    assert_eq!(loops.pool.errors.gateway_timeout, 1);
    // It does not end: its worker is to be replaced.
    let clings = |loops: &Loops| {
        let is_it = |finding: &Finding| matches!(finding, Finding::Clinging(_));
        loops.findings.iter().any(is_it)
    };
    assert!(!clings(&loops));
    for _ in 0..10_100 {
        loops.round();
    }
    assert!(clings(&loops));
}

/// A loop that is blocked while nothing is sent to it is found out by probes: the log says where it stands, its requests are
/// answered 504 in time, and in the end it is ended.
#[test]
fn a_loop_that_is_blocked_for_too_long_is_ended() {
    let (_, loop_limits) = limits();
    let limits = Limits {
        request_timeout: Duration::from_secs(2),
        request_slow: Duration::from_millis(500),
        queue_length: 100,
        ..Limits::default()
    };
    let mut loops = Loops::new(1, (limits, loop_limits));
    let waits = loops.accept(Habit::Slow(100_000));
    loops.round();
    let blocks = loops.accept(Habit::Blocks(100_000));
    for _ in 0..900 {
        loops.round();
    }
    assert_eq!(loops.found(Reason::Blocked), 1);
    assert_eq!(loops.found(Reason::BlockedTooLong), 0);
    for _ in 0..2100 {
        loops.round();
    }
    assert_eq!(loops.outcomes[&waits], LoopOutcome::Status(504));
    assert_eq!(loops.outcomes[&blocks], LoopOutcome::Status(504));
    assert_eq!(loops.found(Reason::Blocked), 1);
    assert_eq!(loops.found(Reason::BlockedTooLong), 1);
    let hopeless = |finding: &&Finding| matches!(finding, Finding::Hopeless(1));
    assert_eq!(loops.findings.iter().filter(hopeless).count(), 1);
}

/// A loop that is late now and then, but reads on, is not ended, however long that goes on.
#[test]
fn a_loop_that_is_only_late_is_left_alone() {
    let (_, loop_limits) = limits();
    let limits = Limits {
        request_timeout: Duration::from_secs(2),
        request_slow: Duration::from_millis(500),
        queue_length: 1000,
        ..Limits::default()
    };
    let mut loops = Loops::new(1, (limits, loop_limits));
    for round in 0..5000 {
        if round % 400 == 0 {
            loops.accept(Habit::Blocks(390));
        }
        loops.round();
    }
    assert_eq!(
        loops.found(Reason::BlockedTooLong) + loops.found(Reason::Blocked),
        0
    );
    loops.finish();
}

/// A worker that retires, and all workers at a stop, ask what does not end by itself to end after the drain time, and leave
/// when nothing is left.
#[test]
fn what_does_not_end_by_itself_is_drained() {
    for stops in [false, true] {
        let mut loops = Loops::new(1, limits());
        let socket = loops.accept(Habit::Listens);
        let waits = loops.accept(Habit::Slow(200));
        for _ in 0..10 {
            loops.round();
        }
        match stops {
            true => loops.pool.close(
                crate::workers::pool::simulation::simulated_time::now() + Duration::from_secs(60),
            ),
            false => loops.pool.retire(1),
        }
        for _ in 0..4900 {
            loops.round();
        }
        assert_eq!(loops.outcomes.get(&waits), Some(&LoopOutcome::Status(200)));
        assert_eq!(loops.outcomes.get(&socket), None);
        let duty = loops.pool.workers.all[&1].duty;
        assert!(matches!(duty, Duty::Serving | Duty::Retiring), "{duty:?}");
        for _ in 0..200 {
            loops.round();
        }
        let code = match stops {
            true => CloseReason::GOING_AWAY,
            false => CloseReason::RESTART,
        };
        assert_eq!(
            loops.outcomes.get(&socket),
            Some(&LoopOutcome::Closed(code))
        );
        let released = |finding: &Finding| matches!(finding, Finding::Released(1));
        assert!(loops.findings.iter().any(released), "{:?}", loops.findings);
    }
}

/// A client that leaves before it has a response is told of once.
#[test]
fn a_client_that_leaves_early_is_told_of_once() {
    let mut loops = Loops::new(1, limits());
    let hangs = loops.accept(Habit::Hangs);
    loops.accept(Habit::Slow(100));
    loops.round();
    loops.clients.remove(&hangs);
    loops.pool.lose_client();
    loops.write();
    loops.pool.lose_client();
    loops.write();
    let wire = loops.workers[&1].clone();
    loops.run(1);
    let orders = wire.0.borrow().orders.clone();
    assert_eq!(orders, [(LaneOrder::Left, 1)]);
}

/// A client that leaves when its request is sent and not known to have begun: the worker hears of it all the same, if it
/// begins it.
#[test]
fn a_client_that_leaves_before_its_request_is_known_to_have_begun() {
    for writes_first in [false, true] {
        let mut loops = Loops::new(1, limits());
        let hangs = loops.accept(Habit::Hangs);
        loops.write();
        if writes_first {
            loops.run(1);
        }
        loops.clients.remove(&hangs);
        loops.pool.lose_client();
        loops.write();
        for _ in 0..3 {
            loops.round();
        }
        let wire = loops.workers[&1].clone();
        let orders = wire.0.borrow().orders.clone();
        assert_eq!(orders, [(LaneOrder::Left, 1)], "{writes_first}");
    }
}

/// A worker that is beginning gets no requests.
#[test]
fn a_worker_gets_nothing_before_it_has_begun() {
    let mut loops = Loops::new(0, limits());
    let id = loops.recruit_unready();
    loops.accept(Habit::Quick);
    for _ in 0..20 {
        loops.round();
    }
    assert_eq!(loops.pool.queue.len(), 1);
    loops.pool.begin(id);
    loops.finish();
}
