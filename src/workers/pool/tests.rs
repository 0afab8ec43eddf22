//! Progress as an invariant: the chooser, the queue and all lanes together, without sockets, against workers that are quick,
//! slow, stopped and continued, late to say that they are awake, dying or leaving, with requests that vanish. Whatever
//! the order of steps: while a request waits no worker is idle, nothing is begun or answered twice, nothing
//! is lost, and no request is overtaken without bound.

use std::time::{Duration, Instant};

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

use super::simulation::{IN_FLIGHT, MILLISECOND, Simulation, request};
use crate::interface::RequestBody;
use crate::interface::body_file::BodyFile;
use crate::workers::options::Limits;
use crate::workers::pool::Pool;
use crate::workers::pool::worker::Duty;
use crate::workers::task::Task;
use crate::workers::wire::link::Link;

/// A request is not begun after one that came in so much later. Seen is a quarter of it: what is with a lane that does not
/// get on is given to others within milliseconds.
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
        let mut world = Simulation::new(workers, threads, Duration::from_micros(service));
        for step in steps {
            match step {
                SimulationStep::Accept(count) => world.accept(count),
                SimulationStep::Vanish(count) => world.vanish(count),
                SimulationStep::Run(draw, steps) => world.run(world.worker(draw), steps),
                SimulationStep::Deliver(draw) => world.deliver(world.worker(draw)),
                SimulationStep::Turn => world.turn(),
                SimulationStep::Tick(micros) => world.tick(Duration::from_micros(micros)),
                SimulationStep::Kill(draw) => world.kill(world.worker(draw)),
                SimulationStep::HearOfDeaths => world.hear_of_deaths(),
                SimulationStep::Retire(draw) => world.pool.retire(world.worker(draw)),
            }
            world.check();
        }
        world.finish();
        assert!(world.overtaken <= LONGEST, "overtaken by {:?}", world.overtaken);
    }
}

/// The stall that was: some hundred requests in flight, all taken back, to workers that the system stops again and
/// again.
#[test]
fn what_was_sent_and_taken_back_again_and_again_is_answered() {
    for in_flight in [1, 64, 256, 1024, IN_FLIGHT] {
        let mut world = Simulation::new(2, 1, Duration::from_micros(10));
        for round in 0..200 {
            world.accept(in_flight.saturating_sub(world.waiting.len()));
            world.turn();
            // Only now and then one of them gets to run, for some of what it has.
            if round % 3 == 0 {
                let id = world.worker(round / 3);
                world.run(id, 150);
                world.deliver(id);
            }
            world.tick(MILLISECOND * 2);
            world.turn();
            world.settle();
            world.check();
        }
        world.finish();
    }
}

/// Workers that the system wakes up late, whatever they are sent, are not left without a request for ever because it is
/// taken back each time.
#[test]
fn workers_that_wake_up_late_get_on() {
    for late in [2, 5, 20, 200] {
        for workers in [1, 2, 3] {
            let mut world = Simulation::new(workers, 1, Duration::from_micros(10));
            world.accept(10);
            let mut ticks = 0;
            while !world.waiting.is_empty() {
                world.turn();
                world.tick(MILLISECOND);
                ticks += 1;
                if ticks % late == 0 {
                    // The others sleep on: each runs in its turn.
                    let id = world.worker(ticks / late);
                    world.run(id, 300);
                    world.deliver(id);
                }
                world.settle();
                world.check();
                assert!(ticks < 100 * late, "{workers} workers, {late} ms late");
            }
        }
    }
}

/// A worker that waits for requests, of which we do not know that it does: whatever the reason, nobody has to restart
/// the server.
#[test]
fn a_worker_that_is_idle_while_requests_wait_is_replaced() {
    let mut world = Simulation::new(1, 1, Duration::from_micros(10));
    let id = world.worker(0);
    world.lines(id)[0].0.borrow_mut().is_mute = true;
    world.accept(100);
    world.turn();
    // It comes when everything was taken back.
    world.tick(MILLISECOND);
    world.tick(MILLISECOND * 20);
    world.run(id, 1000);
    for _ in 0..900 {
        world.deliver(id);
        world.tick(MILLISECOND);
    }
    assert!(world.neglected.is_empty());
    assert_eq!(world.waiting.len(), 100);
    for _ in 0..200 {
        world.tick(MILLISECOND);
    }
    assert_eq!(std::mem::take(&mut world.neglected), [id]);
    world.finish();
}

/// A worker that is stopped, or of which another thread holds the interpreter's lock, waits as far as we can see, and
/// does not come for what it is sent: that is no fault of ours.
#[test]
fn a_worker_that_cannot_come_for_its_requests_is_left_alone() {
    let mut world = Simulation::new(1, 1, Duration::from_micros(10));
    let id = world.worker(0);
    world.run(id, 1);
    world.accept(100);
    for _ in 0..3000 {
        world.turn();
        world.tick(MILLISECOND);
    }
    assert!(world.neglected.is_empty());
    world.finish();
}

/// A body that is a file is sent at once, so that we find out there that a worker has died of whose death we have not
/// heard.
#[tokio::test]
async fn a_body_that_a_dead_worker_does_not_take_goes_to_another() {
    let limits = Limits {
        request_timeout: Duration::ZERO,
        request_slow: Duration::ZERO,
        queue_length: usize::MAX,
        queue_timeout: Duration::ZERO,
    };
    let mut pool: Pool = Pool::new(limits, Instant::now);
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
        let (task, answer) = Task::new(request);
        pool.accept(task);
        answers.push(answer);
    }
    // Both lanes seemed idle, so one of the two was to be sent to each.
    assert_eq!(pool.workers.get(1).expect("a worker").duty, Duty::Leaving);
    assert_eq!(pool.workers.get(1).expect("a worker").lanes[0].load(), 0);
    assert_eq!(
        pool.workers.get(2).expect("a worker").lanes[0].load() + pool.queue.len(),
        2
    );
    for mut answer in answers {
        assert!(answer.try_recv().is_err(), "answered already");
    }
}
