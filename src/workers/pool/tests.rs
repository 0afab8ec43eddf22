//! Progress as an invariant: the chooser, the queue and all lanes together, without sockets, with workers that are quick,
//! slow, stopped and continued, late to announce that they are awake, dying or leaving, and with clients that go away. In
//! any order of steps: while a request waits no worker is idle, no request is begun or answered twice or lost, and none is
//! overtaken without bound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

use super::simulation::simulated_time::MILLISECOND;
use super::simulation::{IN_FLIGHT, Simulation, request};
use crate::clients::ClientNetwork;
use crate::interface::body_file::BodyFile;
use crate::interface::{Connection, RequestBody};
use crate::workers::options::Limits;
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::Pool;
use crate::workers::pool::worker::Duty;
use crate::workers::wire::link::Link;

mod event_loops;
mod hostile_loops;
mod loop_lane;
mod loops;

/// No request is begun after one that came in this much later. In practice it is a quarter of it: requests of a lane that
/// makes no progress go to others within milliseconds.
const LONGEST: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
enum SimulationStep {
    Accept(usize),
    Vanish(usize),
    Run(usize, usize),
    Deliver(usize),
    Turn,
    Tick(u64),
    Kill(usize),
    HearOfDeaths,
    Retire(usize),
}

fn step() -> impl Strategy<Value = SimulationStep> {
    prop_oneof![
        8 => (1..300_usize).prop_map(SimulationStep::Accept),
        2 => (1..20_usize).prop_map(SimulationStep::Vanish),
        16 => (0..8_usize, 1..400_usize).prop_map(|(worker, steps)| SimulationStep::Run(worker, steps)),
        8 => (0..8_usize).prop_map(SimulationStep::Deliver),
        16 => Just(SimulationStep::Turn),
        8 => (10..3000_u64).prop_map(SimulationStep::Tick),
        1 => (0..8_usize).prop_map(SimulationStep::Kill),
        1 => Just(SimulationStep::HearOfDeaths),
        1 => (0..8_usize).prop_map(SimulationStep::Retire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn while_a_request_waits_no_worker_is_idle(
        workers in 1..5_usize,
        threads in 1..4_usize,
        service in prop_oneof![Just(0_u64), Just(10), Just(100), Just(1000), Just(20_000)],
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut simulation = Simulation::new(workers, threads, Duration::from_micros(service));
        for step in steps {
            match step {
                SimulationStep::Accept(count) => simulation.accept(count),
                SimulationStep::Vanish(count) => simulation.vanish(count),
                SimulationStep::Run(draw, steps) => simulation.run(simulation.worker(draw), steps),
                SimulationStep::Deliver(draw) => simulation.deliver(simulation.worker(draw)),
                SimulationStep::Turn => simulation.turn(),
                SimulationStep::Tick(micros) => simulation.tick(Duration::from_micros(micros)),
                SimulationStep::Kill(draw) => simulation.kill(simulation.worker(draw)),
                SimulationStep::HearOfDeaths => simulation.hear_of_deaths(),
                SimulationStep::Retire(draw) => simulation.pool.retire(simulation.worker(draw)),
            }
            simulation.check();
        }
        simulation.finish();
        assert!(simulation.overtaken <= LONGEST, "overtaken by {:?}", simulation.overtaken);
    }
}

/// A stall that there was: some hundred requests in flight, all taken back, with workers that the system stops again and
/// again.
#[test]
fn what_was_sent_and_taken_back_again_and_again_is_answered() {
    for in_flight in [1, 64, 256, 1024, IN_FLIGHT] {
        let mut simulation = Simulation::new(2, 1, Duration::from_micros(10));
        for round in 0..200 {
            simulation.accept(in_flight.saturating_sub(simulation.waiting.len()));
            simulation.turn();
            // Now and then one of them gets to run, for some of its requests.
            if round % 3 == 0 {
                let id = simulation.worker(round / 3);
                simulation.run(id, 150);
                simulation.deliver(id);
            }
            simulation.tick(MILLISECOND * 2);
            simulation.turn();
            simulation.settle();
            simulation.check();
        }
        simulation.finish();
    }
}

/// Workers that the system wakes up late still get requests: these are not taken back each time for ever.
#[test]
fn workers_that_wake_up_late_get_on() {
    for late in [2, 5, 20, 200] {
        for workers in [1, 2, 3] {
            let mut simulation = Simulation::new(workers, 1, Duration::from_micros(10));
            simulation.accept(10);
            let mut ticks = 0;
            while !simulation.waiting.is_empty() {
                simulation.turn();
                simulation.tick(MILLISECOND);
                ticks += 1;
                if ticks % late == 0 {
                    // The others sleep: each runs in its turn.
                    let id = simulation.worker(ticks / late);
                    simulation.run(id, 300);
                    simulation.deliver(id);
                }
                simulation.settle();
                simulation.check();
                assert!(ticks < 100 * late, "{workers} workers, {late} ms late");
            }
        }
    }
}

/// Where requests take long, the clock ticks more slowly while all workers are busy, and nothing is taken back that will
/// begin soon. As soon as a worker is idle, it gets what waits behind a slow request.
#[test]
fn the_clock_follows_the_usual_time_of_a_request() {
    let mut simulation = Simulation::new(2, 1, MILLISECOND);
    simulation.tick(MILLISECOND);
    assert_eq!(simulation.pool.pause(), MILLISECOND * 4);
    let (slow, quick) = (simulation.worker(0), simulation.worker(1));
    simulation.accept(4);
    simulation.turn();
    let runs = |simulation: &mut Simulation, id| {
        simulation.run(id, 10);
        simulation.deliver(id);
    };
    runs(&mut simulation, slow);
    runs(&mut simulation, quick);
    // Both take a little longer than usual, which is nothing to act upon.
    simulation.tick(MILLISECOND * 2);
    let loads = |simulation: &Simulation| -> Vec<usize> {
        let lanes = simulation.pool.workers.lanes();
        lanes.map(|(_, lane)| lane.load()).collect()
    };
    assert_eq!(loads(&simulation), [2, 2]);
    assert_eq!(simulation.pool.pause(), MILLISECOND * 4);
    // One of them goes on.
    runs(&mut simulation, quick);
    simulation.tick(MILLISECOND);
    assert_eq!(loads(&simulation), [2, 1]);
    simulation.tick(MILLISECOND / 10);
    runs(&mut simulation, quick);
    assert_eq!(simulation.pool.pause(), MILLISECOND, "a worker is idle");
    simulation.tick(MILLISECOND);
    assert_eq!(loads(&simulation), [1, 1]);
    simulation.finish();
}

/// A worker that waits for requests without the pool knowing it is replaced, so that the server need not be restarted.
#[test]
fn a_worker_that_is_idle_while_requests_wait_is_replaced() {
    let mut simulation = Simulation::new(1, 1, Duration::from_micros(10));
    let id = simulation.worker(0);
    simulation.wires(id)[0].0.borrow_mut().is_mute = true;
    simulation.accept(100);
    simulation.turn();
    // It wakes up when all requests were taken back.
    simulation.tick(MILLISECOND);
    simulation.tick(MILLISECOND * 20);
    simulation.run(id, 1000);
    for _ in 0..900 {
        simulation.deliver(id);
        simulation.tick(MILLISECOND);
    }
    assert!(simulation.neglected.is_empty());
    assert_eq!(simulation.waiting.len(), 100);
    for _ in 0..200 {
        simulation.tick(MILLISECOND);
    }
    assert_eq!(std::mem::take(&mut simulation.neglected), [id]);
    simulation.finish();
}

/// A worker that is stopped, or of which another thread holds the interpreter's lock, seems to wait and does not read its
/// requests: that is no bug of runner's.
#[test]
fn a_worker_that_cannot_come_for_its_requests_is_left_alone() {
    let mut simulation = Simulation::new(1, 1, Duration::from_micros(10));
    let id = simulation.worker(0);
    simulation.run(id, 1);
    simulation.accept(100);
    for _ in 0..3000 {
        simulation.turn();
        simulation.tick(MILLISECOND);
    }
    assert!(simulation.neglected.is_empty());
    simulation.finish();
}

/// A worker has written its answers to their ends and waits, but the client takes nothing, so that the lane has no room for
/// what waits: that is no bug of runner's, and goes on when the client does.
#[test]
fn a_worker_whose_clients_take_nothing_is_left_alone() {
    let mut simulation = Simulation::new(1, 2, Duration::from_micros(10));
    let id = simulation.worker(0);
    let untaken = |simulation: &Simulation, is: bool| {
        for wire in simulation.wires(id) {
            wire.0.borrow_mut().is_untaken = is;
        }
    };
    untaken(&simulation, true);
    simulation.accept(1000);
    for _ in 0..3000 {
        simulation.turn();
        simulation.run(id, 1000);
        simulation.deliver(id);
        simulation.tick(MILLISECOND);
        simulation.settle();
        simulation.check();
    }
    assert!(simulation.neglected.is_empty());
    assert_eq!(simulation.waiting.len(), 998, "one of each lane has begun");
    untaken(&simulation, false);
    simulation.finish();
}

/// A body that is a file is sent at once: an error there tells the pool that a worker has died before its lanes do.
#[tokio::test]
async fn a_body_that_a_dead_worker_does_not_take_goes_to_another() {
    let queue_length = usize::MAX;
    let limits = Limits {
        queue_length,
        ..Limits::default()
    };
    let mut pool: Pool = Pool::new(limits, None, Instant::now);
    let (dies, far_end) = Link::pair().expect("a lane");
    let (lives, _far_end) = Link::pair().expect("a lane");
    pool.add(1, vec![dies], u64::MAX);
    pool.add(2, vec![lives], u64::MAX);
    drop(far_end);
    let mut answers = Vec::new();
    for id in 0..2 {
        let mut request = request(id);
        let file = BodyFile::in_memory().expect("a file");
        request.body = RequestBody::File { file, length: 0 };
        let (pending, answer) = PendingRequest::new(request);
        pool.accept(pending);
        answers.push(answer);
    }
    // Both lanes seemed idle, so one request was to be sent to each.
    assert_eq!(
        pool.workers.all.get(&1).expect("a worker").duty,
        Duty::Leaving
    );
    assert_eq!(
        pool.workers.all.get(&1).expect("a worker").lanes[0].load(),
        0
    );
    assert_eq!(
        pool.workers.all.get(&2).expect("a worker").lanes[0].load() + pool.queue.len(),
        2
    );
    for mut answer in answers {
        assert!(answer.try_recv().is_err(), "answered already");
    }
}

/// However many requests of one client wait, those of others are taken, and soon answered.
#[test]
fn clients_take_turns_in_the_queue_and_the_one_with_the_most_makes_room() {
    let limits = Limits {
        queue_length: 4,
        ..Limits::default()
    };
    let mut pool: Pool = Pool::new(limits, None, Instant::now);
    let mut accept = |id, client: &str| {
        let mut request = request(id);
        request.connection = Arc::new(Connection {
            remote_addr: client.to_owned().into(),
            ..Connection::default()
        });
        let (pending, answer) = PendingRequest::new(request);
        pool.accept(pending);
        answer
    };
    let greedy = [1, 2, 3, 4, 5].map(|id| accept(id, "192.0.2.1"));
    let other = [6, 7].map(|id| accept(id, "192.0.2.2"));
    let refused = greedy.map(|mut answer| answer.try_recv().is_ok());
    // Its first ones stay.
    assert_eq!(refused, [false, false, true, true, true]);
    let waiting = other.map(|mut answer| answer.try_recv().is_err());
    assert_eq!(waiting, [true, true]);
    let order: Vec<bool> = std::iter::from_fn(|| pool.queue.pop(Instant::now()))
        .map(|pending| pending.about.client() == Some(ClientNetwork::of([192, 0, 2, 1].into())))
        .collect();
    assert_eq!(order, [true, false, true, false]);
}
