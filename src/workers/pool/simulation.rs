//! A pool whose workers are simulated, as worker.py is, without sockets and in a time of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use tokio::sync::oneshot;

use crate::interface::{Connection, Errors, Request, RequestBody, Response};
use crate::protocol::worker::frame::token;
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::Limits;
use crate::workers::pool::Pool;
use crate::workers::pool::checkup::Finding;
use crate::workers::pool::worker::Worker;
use crate::workers::task::Task;
use crate::workers::wire::{Unsent, Wire};

/// Requests that are under way at the same time, at most.
pub(super) const IN_FLIGHT: usize = 5000;
/// How many frames a worker receives at once: what fits 64 KiB.
const BATCH: usize = 100;
/// A worker that has been at a batch for so long announces what is in its ring.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

thread_local! {
    static START: Instant = Instant::now();
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The simulated time.
fn now() -> Instant {
    START.with(|start| *start) + TIME.get()
}

/// Which request, by when it came in.
type Id = usize;

/// A lane of a worker as worker.py is, with what is on its way in both directions.
#[derive(Debug, Default)]
pub(super) struct SimulatedLane {
    /// Pushed, and not yet written.
    unwritten_tokens: Vec<u8>,
    unwritten_frames: Vec<(u32, Id)>,
    pipe: VecDeque<u8>,
    frames: VecDeque<(u32, Id)>,
    batch: VecDeque<(u32, Id)>,
    in_hand: Option<u8>,
    begun: Option<(u32, Instant)>,
    /// Answers that we have not collected.
    ring: VecDeque<u32>,
    /// Wake-ups that we have not read.
    wakes: usize,
    unannounced: bool,
    announced: Option<Instant>,
    last: u32,
    read: u32,
    is_waiting: bool,
    is_closed: bool,
    /// Its worker has died: nobody has the other end of what connects us.
    is_dead: bool,
    /// It does not say that it is awake: what the watchdog is for.
    pub(super) is_mute: bool,
}

impl SimulatedLane {
    /// Writes what was pushed.
    fn flush(&mut self) {
        self.pipe.extend(self.unwritten_tokens.drain(..));
        self.frames.extend(self.unwritten_frames.drain(..));
    }

    fn announce(&mut self) {
        self.unannounced = false;
        self.announced = Some(now());
        self.wakes += 1;
    }

    /// Does one thing; the request that is begun with it.
    fn step(&mut self, service: Duration) -> Option<Id> {
        if let Some((number, until)) = self.begun {
            if now() >= until {
                self.begun = None;
                self.ring.push_back(number);
                self.unannounced = true;
                if self.announced.is_some_and(|at| now() - at > MILLISECOND) {
                    self.announce();
                }
            }
            return None;
        }
        let Some((number, id)) = self.batch.pop_front() else {
            if !self.is_waiting {
                self.read = self.last;
                if self.unannounced && !self.is_mute {
                    self.announce();
                }
            }
            self.is_waiting = self.frames.is_empty();
            let count = self.frames.len().min(BATCH);
            self.batch.extend(self.frames.drain(..count));
            self.announced = Some(now());
            return None;
        };
        self.last = number;
        self.in_hand = self.in_hand.or_else(|| self.pipe.pop_front());
        if self.in_hand == Some(token(number)) {
            self.in_hand = None;
            self.begun = Some((number, now() + service));
            return Some(id);
        }
        self.unannounced = true;
        None
    }

    /// Whether it waits, and all that was said on either side has been heard.
    fn is_at_rest(&self) -> bool {
        self.is_waiting
            && self.frames.is_empty()
            && self.unwritten_frames.is_empty()
            && self.ring.is_empty()
            && self.wakes == 0
    }
}

/// Our side of a simulated lane.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedWire(pub(super) Rc<RefCell<SimulatedLane>>);

impl Wire for SimulatedWire {
    fn push(&mut self, number: u32, task: &Task) -> Result<(), Unsent> {
        let id: Id = task.about.target().parse().expect("a number");
        let mut lane = self.0.borrow_mut();
        // What is only collected for a later write does not fail, but one in three has a file for its body, which is sent
        // at once.
        if lane.is_dead && id.is_multiple_of(3) {
            return Err(Unsent::Gone);
        }
        lane.unwritten_tokens.push(token(number));
        lane.unwritten_frames.push((number, id));
        Ok(())
    }

    fn take_tokens(&mut self) -> Vec<u8> {
        let mut lane = self.0.borrow_mut();
        let mut tokens: Vec<u8> = lane.pipe.drain(..).collect();
        tokens.append(&mut lane.unwritten_tokens);
        tokens
    }

    fn last_read(&self) -> u32 {
        self.0.borrow().read
    }

    fn is_waiting(&self) -> bool {
        self.0.borrow().is_waiting
    }

    fn has_unwritten(&self) -> bool {
        !self.0.borrow().unwritten_frames.is_empty()
    }

    fn lost_lines(&self) -> u64 {
        0
    }

    fn thread(&self) -> u64 {
        0
    }

    fn cancel(&self, _: u32) {}

    fn close(&self) {
        self.0.borrow_mut().is_closed = true;
    }
}

pub(super) fn request(id: Id) -> Request {
    let target = Bytes::from(id.to_string());
    Request {
        method: Method::GET,
        target: target.clone(),
        script_name: Bytes::new(),
        path_info: target,
        query: Bytes::new(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        body: RequestBody::Empty,
        connection: Arc::new(Connection::default()),
        variables: Vec::new(),
        errors: Errors::Log,
    }
}

/// A pool and its workers.
pub(super) struct Simulation {
    pub(super) pool: Pool<SimulatedWire>,
    /// The lanes of those that live, and of those that have died without our having heard of it.
    workers: BTreeMap<WorkerId, Vec<SimulatedWire>>,
    dead: BTreeSet<WorkerId>,
    threads: usize,
    service: Duration,
    last_worker: WorkerId,
    pub(super) waiting: BTreeMap<Id, oneshot::Receiver<Response>>,
    accepted: usize,
    begun: BTreeSet<Id>,
    /// When each came in.
    entered: Vec<Duration>,
    /// By how much later one came in that was begun before another, at most.
    pub(super) overtaken: Duration,
    bad_gateways: usize,
    /// Workers that the watchdog has found.
    pub(super) neglected: Vec<WorkerId>,
    /// Requests that a dying worker was on, and as many answers may be 502.
    cut_off: usize,
}

impl Simulation {
    pub(super) fn new(workers: usize, threads: usize, service: Duration) -> Self {
        TIME.set(Duration::ZERO);
        let limits = Limits {
            request_timeout: Duration::ZERO,
            request_slow: Duration::ZERO,
            queue_length: usize::MAX,
            queue_timeout: Duration::ZERO,
        };
        let mut world = Self {
            pool: Pool::new(limits, now),
            workers: BTreeMap::new(),
            dead: BTreeSet::new(),
            threads,
            service,
            last_worker: 0,
            waiting: BTreeMap::new(),
            accepted: 0,
            begun: BTreeSet::new(),
            entered: Vec::new(),
            overtaken: Duration::ZERO,
            bad_gateways: 0,
            neglected: Vec::new(),
            cut_off: 0,
        };
        for _ in 0..workers {
            world.hire();
        }
        world
    }

    fn hire(&mut self) {
        self.last_worker += 1;
        let lanes: Vec<SimulatedWire> = (0..self.threads)
            .map(|_| SimulatedWire::default())
            .collect();
        self.workers.insert(self.last_worker, lanes.clone());
        self.pool.add(self.last_worker, lanes, u64::MAX);
    }

    /// The worker of a number that is drawn.
    pub(super) fn worker(&self, draw: usize) -> WorkerId {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        ids[draw % ids.len()]
    }

    pub(super) fn accept(&mut self, count: usize) {
        if self.waiting.len() + count > IN_FLIGHT {
            self.settle();
        }
        for _ in 0..count.min(IN_FLIGHT - self.waiting.len()) {
            let (mut task, answer) = Task::new(request(self.accepted));
            task.entered = now();
            self.waiting.insert(self.accepted, answer);
            self.entered.push(TIME.get());
            self.accepted += 1;
            self.pool.accept(task);
        }
    }

    /// Clients go away.
    pub(super) fn vanish(&mut self, count: usize) {
        for _ in 0..count {
            self.waiting.pop_first();
            self.waiting.pop_last();
        }
    }

    pub(super) fn run(&mut self, id: WorkerId, steps: usize) {
        if self.dead.contains(&id) {
            return;
        }
        for line in &self.workers[&id] {
            for _ in 0..steps {
                if let Some(begun) = line.0.borrow_mut().step(self.service) {
                    let latest = self.begun.last().copied().unwrap_or(begun).max(begun);
                    let later = self.entered[latest] - self.entered[begun];
                    self.overtaken = self.overtaken.max(later);
                    assert!(self.begun.insert(begun), "{begun} was begun twice");
                }
            }
        }
    }

    /// As [`super::super::reader::collect_all`] does.
    fn collect(&mut self, seat: LaneId) {
        let Some(line) = self.workers.get(&seat.0).map(|lines| lines[seat.1].clone()) else {
            return;
        };
        let mut any = false;
        loop {
            let oldest = self
                .pool
                .workers
                .lane(seat)
                .and_then(|it| it.in_flight.oldest_number());
            let Some(number) = oldest.filter(|it| line.0.borrow().ring.front() == Some(it)) else {
                break;
            };
            line.0.borrow_mut().ring.pop_front();
            let mut task = self
                .pool
                .answered(seat, number, self.service)
                .expect("its turn");
            let _ = task.answer(Response::plain(StatusCode::OK));
            any = true;
        }
        if any {
            self.pool.note_read(seat);
            self.pool.dispatch();
        }
    }

    /// The lanes of a worker.
    pub(super) fn lines(&self, id: WorkerId) -> &[SimulatedWire] {
        &self.workers[&id]
    }

    fn seats(&self) -> Vec<LaneId> {
        let lanes = self.workers.iter();
        lanes
            .flat_map(|(&id, lines)| (0..lines.len()).map(move |index| (id, index)))
            .collect()
    }

    /// As `reader::read_lane` does: reads what a worker has said.
    pub(super) fn deliver(&mut self, id: WorkerId) {
        for index in 0..self.threads {
            let seat = (id, index);
            self.collect(seat);
            let line = self.workers[&id][index].clone();
            while line.0.borrow().wakes > 0 {
                line.0.borrow_mut().wakes -= 1;
                self.pool.note_read(seat);
                self.pool.dispatch();
            }
        }
    }

    /// As `write_batches` does, at the end of a turn of the event loop.
    pub(super) fn turn(&mut self) {
        self.flush();
        for seat in self.pool.workers.busy() {
            self.collect(seat);
        }
        self.pool.unstick();
        self.flush();
    }

    fn flush(&mut self) {
        for seat in std::mem::take(&mut self.pool.dirty) {
            if let Some(post) = self.pool.workers.lane(seat) {
                post.dirty = false;
                post.link.0.borrow_mut().flush();
            }
        }
    }

    pub(super) fn tick(&mut self, passed: Duration) {
        TIME.set(TIME.get() + passed);
        for seat in self.pool.workers.busy() {
            self.collect(seat);
        }
        for finding in self.pool.clock().findings {
            match finding {
                Finding::Neglected(id, _) => self.neglected.push(id),
                Finding::Hopeless(id) => self.kill(id),
                Finding::Released(id) => {
                    // It leaves as it was told to.
                    assert!(self.workers[&id].iter().all(|it| it.0.borrow().is_closed));
                    self.kill(id);
                }
                Finding::Rejected(id) => panic!("worker {id} broke the protocol"),
                Finding::Stuck(_) | Finding::Spent(..) | Finding::Active | Finding::Crowded => {}
            }
        }
        self.hear_of_deaths();
    }

    pub(super) fn kill(&mut self, id: WorkerId) {
        if self.dead.insert(id) {
            let begun = |line: &&SimulatedWire| line.0.borrow().begun.is_some();
            // What is in its hand was claimed, too, and not begun.
            let claimed = |line: &&SimulatedWire| line.0.borrow().in_hand.is_some();
            let lines = self.workers[&id].iter();
            self.cut_off += lines.filter(|line| begun(line) || claimed(line)).count();
            for line in &self.workers[&id] {
                line.0.borrow_mut().is_dead = true;
            }
        }
    }

    /// The lanes of the dead are read to their end, and they are replaced.
    pub(super) fn hear_of_deaths(&mut self) {
        for id in std::mem::take(&mut self.dead) {
            self.deliver(id);
            for index in 0..self.threads {
                self.pool.lane_closed((id, index));
            }
            self.pool.remove(id);
            self.workers.remove(&id);
            self.hire();
        }
    }

    /// Counts the answers that have come.
    pub(super) fn settle(&mut self) {
        let bad_gateways = &mut self.bad_gateways;
        self.waiting.retain(|id, answer| match answer.try_recv() {
            Ok(response) if response.status == StatusCode::OK => false,
            Ok(response) => {
                assert_eq!(response.status, StatusCode::BAD_GATEWAY, "{id}");
                *bad_gateways += 1;
                false
            }
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => panic!("{id} was dropped"),
        });
        assert!(self.bad_gateways <= self.cut_off, "one that was not begun");
    }

    /// While a request waits, no worker is idle: neither by our books nor in truth.
    pub(super) fn check(&mut self) {
        let queue = self.pool.queue.len();
        for seat in self.seats() {
            let line = self.workers[&seat.0][seat.1].clone();
            let serves = self.pool.workers.get(seat.0).is_some_and(Worker::serves);
            let Some(post) = self.pool.workers.lane(seat) else {
                continue;
            };
            let view = post.view(seat);
            let free = view.load == 0 && view.free && serves;
            assert!(queue == 0 || !free, "{queue} wait, but {view:?}");
            if line.0.borrow().is_at_rest() && !self.dead.contains(&seat.0) {
                assert!(view.load == 0 && view.free, "at rest: {view:?}, {line:?}");
            }
        }
    }

    /// Everybody does what they are to, until nothing is left to do.
    pub(super) fn finish(&mut self) {
        for _ in 0..10 * IN_FLIGHT {
            self.hear_of_deaths();
            self.tick(self.service.max(MILLISECOND));
            self.turn();
            for id in self.workers.keys().copied().collect::<Vec<_>>() {
                self.run(id, 1000);
                self.deliver(id);
            }
            self.turn();
            self.check();
            if self.pool.workers.busy().is_empty() {
                self.settle();
            }
            if self.waiting.is_empty() && self.pool.workers.busy().is_empty() {
                break;
            }
        }
        let lanes = self.pool.described(now());
        assert!(
            self.waiting.is_empty(),
            "{} wait; {lanes}",
            self.waiting.len()
        );
        assert!(self.neglected.is_empty(), "{:?}", self.neglected);
        assert!(!self.pool.is_crowded());
        assert!(self.pool.workers.lanes().all(|(_, lane)| lane.load() == 0));
    }
}
