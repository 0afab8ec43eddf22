//! A pool with simulated workers, which behave like worker.py, without sockets and with simulated time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::oneshot;

use crate::interface::{Request, Response};
use crate::protocol::worker::frame::{LaneOrder, token};
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::Limits;
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::checkup::Finding;
use crate::workers::pool::simulation::simulated_time::{MILLISECOND, elapsed, now, pass, restart};
use crate::workers::pool::worker::Worker;
use crate::workers::pool::{Pool, upkeep};
use crate::workers::wire::{Unsent, Wire};

pub(super) mod simulated_time;

/// The most requests that are under way at the same time.
pub(super) const IN_FLIGHT: usize = 5000;
/// How many frames a worker receives at once: about 64 KiB.
const BATCH: usize = 100;
/// A request, by its place in the order of arrival.
type Id = usize;

/// A request for a worker: its number, whether its answer is to be announced at once, and which request it is.
type Frame = (u32, bool, Id);

/// A lane of a worker, with the data that is on its way in both directions.
#[derive(Debug, Default)]
pub(super) struct SimulatedLane {
    /// Pushed and not yet written.
    unwritten_tokens: Vec<u8>,
    unwritten_frames: Vec<Frame>,
    pipe: VecDeque<u8>,
    frames: VecDeque<Frame>,
    batch: VecDeque<Frame>,
    in_hand: Option<u8>,
    begun: Option<(u32, Instant)>,
    /// Answers that the pool has not collected.
    ring: VecDeque<u32>,
    /// Wake-ups that the pool has not read.
    wakes: usize,
    unannounced: bool,
    /// When it did so last; `None` if the next answer is to be announced in any case.
    announced: Option<Instant>,
    last: u32,
    read: u32,
    is_waiting: bool,
    is_closed: bool,
    /// Its worker has died.
    is_dead: bool,
    /// It does not say that it is awake: a case of neglect.
    pub(super) is_mute: bool,
    /// Clients take nothing: an answer begins, and there is no room for its end.
    pub(super) is_untaken: bool,
}

impl SimulatedLane {
    /// Writes the requests that were pushed.
    fn flush(&mut self) {
        self.pipe.extend(self.unwritten_tokens.drain(..));
        self.frames.extend(self.unwritten_frames.drain(..));
    }

    fn announce(&mut self) {
        self.unannounced = false;
        self.announced = Some(now());
        self.wakes += 1;
    }

    /// Takes one step. Returns the request that it begins.
    fn step(&mut self, service: Duration) -> Option<Id> {
        if let Some((number, until)) = self.begun {
            if now() >= until {
                self.begun = None;
                self.ring.push_back(number);
                self.unannounced = true;
                if self.announced.is_none_or(|at| now() - at > MILLISECOND) {
                    self.announce();
                }
            }
            return None;
        }
        let Some((number, announce, id)) = self.batch.pop_front() else {
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
            self.announced = self.announced.filter(|_| !announce);
            self.begun = Some((number, now() + service));
            return Some(id);
        }
        self.unannounced = true;
        None
    }

    /// Whether it waits, and no data is on its way.
    fn is_at_rest(&self) -> bool {
        self.is_waiting
            && self.frames.is_empty()
            && self.unwritten_frames.is_empty()
            && self.ring.is_empty()
            && self.wakes == 0
    }
}

/// The pool's end of a simulated lane.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedWire(pub(super) Rc<RefCell<SimulatedLane>>);

impl Wire for SimulatedWire {
    fn push(
        &mut self,
        number: u32,
        pending: &PendingRequest,
        announce: bool,
    ) -> Result<(), Unsent> {
        let id: Id = pending.about.target().parse().expect("a number");
        let mut lane = self.0.borrow_mut();
        // A request that is written later does not fail here, but one in three has a file for its body, which is sent at
        // once.
        if lane.is_dead && id.is_multiple_of(3) {
            return Err(Unsent::Gone);
        }
        lane.unwritten_tokens.push(token(number));
        lane.unwritten_frames.push((number, announce, id));
        Ok(())
    }

    fn order(&mut self, _: LaneOrder, _: u32, _: &[u8]) {}
    fn probe(&mut self, _: u32) {}

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
    Request {
        target: Bytes::from(id.to_string()),
        ..Request::default()
    }
}

/// A pool and its workers.
pub(super) struct Simulation {
    pub(super) pool: Pool<SimulatedWire>,
    /// The lanes of the workers that live, and of those whose death the pool has not noticed.
    workers: BTreeMap<WorkerId, Vec<SimulatedWire>>,
    dead: BTreeSet<WorkerId>,
    threads: usize,
    service: Duration,
    last_worker: WorkerId,
    pub(super) waiting: BTreeMap<Id, oneshot::Receiver<Response>>,
    accepted: usize,
    begun: BTreeSet<Id>,
    /// When each request came in.
    entered: Vec<Duration>,
    /// How much later a request has come in, at most, that was begun before another.
    pub(super) overtaken: Duration,
    bad_gateways: usize,
    /// The workers that were found idle while requests waited.
    pub(super) neglected: Vec<WorkerId>,
    /// How many requests dying workers were on: as many answers may be 502.
    cut_off: usize,
}

impl Simulation {
    pub(super) fn new(workers: usize, threads: usize, service: Duration) -> Self {
        restart();
        let queue_length = usize::MAX;
        let limits = Limits {
            queue_length,
            ..Limits::default()
        };
        let mut simulation = Self {
            pool: Pool::new(limits, None, now),
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
            simulation.recruit();
        }
        simulation
    }

    fn recruit(&mut self) {
        self.last_worker += 1;
        let lanes: Vec<SimulatedWire> = (0..self.threads)
            .map(|_| SimulatedWire::default())
            .collect();
        self.workers.insert(self.last_worker, lanes.clone());
        self.pool.add(self.last_worker, lanes, u64::MAX);
    }

    /// The worker for a random number.
    pub(super) fn worker(&self, draw: usize) -> WorkerId {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        ids[draw % ids.len()]
    }

    pub(super) fn accept(&mut self, count: usize) {
        if self.waiting.len() + count > IN_FLIGHT {
            self.settle();
        }
        for _ in 0..count.min(IN_FLIGHT - self.waiting.len()) {
            let (mut pending, answer) = PendingRequest::new(request(self.accepted));
            pending.entered = now();
            self.waiting.insert(self.accepted, answer);
            self.entered.push(elapsed());
            self.accepted += 1;
            self.pool.accept(pending);
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
        for wire in &self.workers[&id] {
            for _ in 0..steps {
                if let Some(begun) = wire.0.borrow_mut().step(self.service) {
                    let latest = self.begun.last().copied().unwrap_or(begun).max(begun);
                    let later = self.entered[latest] - self.entered[begun];
                    self.overtaken = self.overtaken.max(later);
                    assert!(self.begun.insert(begun), "{begun} was begun twice");
                }
            }
        }
    }

    /// As [`super::super::reader::collect_all`] does.
    fn collect(&mut self, lane_id: LaneId) {
        let Some(wire) = self
            .workers
            .get(&lane_id.0)
            .map(|wires| wires[lane_id.1].clone())
        else {
            return;
        };
        let mut any = false;
        loop {
            let oldest = self
                .pool
                .workers
                .lane(lane_id)
                .and_then(|it| it.in_flight.oldest_number());
            let Some(number) = oldest.filter(|it| wire.0.borrow().ring.front() == Some(it)) else {
                break;
            };
            if wire.0.borrow().is_untaken {
                let pending = self.pool.current(lane_id, number).expect("its turn");
                let _ = pending.answer(Response::plain(StatusCode::OK));
                break;
            }
            wire.0.borrow_mut().ring.pop_front();
            let mut pending = self
                .pool
                .answered(lane_id, number, self.service)
                .expect("its turn");
            let _ = pending.answer(Response::plain(StatusCode::OK));
            any = true;
        }
        if any {
            self.pool.note_read(lane_id);
            self.pool.dispatch();
        }
    }

    /// The lanes of a worker.
    pub(super) fn wires(&self, id: WorkerId) -> &[SimulatedWire] {
        &self.workers[&id]
    }

    fn lane_ids(&self) -> Vec<LaneId> {
        let lanes = self.workers.iter();
        lanes
            .flat_map(|(&id, wires)| (0..wires.len()).map(move |index| (id, index)))
            .collect()
    }

    /// As the lane's reader does: reads what a worker has sent.
    pub(super) fn deliver(&mut self, id: WorkerId) {
        for index in 0..self.threads {
            let lane_id = (id, index);
            self.collect(lane_id);
            let wire = self.workers[&id][index].clone();
            while wire.0.borrow().wakes > 0 {
                wire.0.borrow_mut().wakes -= 1;
                self.pool.note_read(lane_id);
                self.pool.dispatch();
            }
        }
    }

    /// As `write_batches` does, at the end of a turn of the event loop.
    pub(super) fn turn(&mut self) {
        self.flush();
        for lane_id in self.pool.workers.busy() {
            self.collect(lane_id);
        }
        upkeep::unstick(&mut self.pool);
        self.flush();
    }

    fn flush(&mut self) {
        for lane_id in std::mem::take(&mut self.pool.dirty) {
            if let Some(lane) = self.pool.workers.lane(lane_id) {
                lane.dirty = false;
                lane.link.0.borrow_mut().flush();
            }
        }
    }

    pub(super) fn tick(&mut self, passed: Duration) {
        pass(passed);
        for lane_id in self.pool.workers.busy() {
            self.collect(lane_id);
        }
        for finding in upkeep::clock(&mut self.pool).findings {
            match finding {
                Finding::Neglected(id, _) => self.neglected.push(id),
                Finding::Hopeless(id) | Finding::Dismissed(id) => self.kill(id),
                Finding::Released(id) => {
                    // It leaves as it was told to.
                    assert!(self.workers[&id].iter().all(|it| it.0.borrow().is_closed));
                    self.kill(id);
                }
                Finding::Rejected(id) => panic!("worker {id} broke the protocol"),
                Finding::Stuck(_) | Finding::Spent(..) | Finding::Clinging(_) => {}
                Finding::Active | Finding::Crowded | Finding::GivenUp(..) => {}
            }
        }
        self.hear_of_deaths();
    }

    pub(super) fn kill(&mut self, id: WorkerId) {
        if self.dead.insert(id) {
            let begun = |wire: &&SimulatedWire| wire.0.borrow().begun.is_some();
            // The token in its hand was claimed, too, but its request was not begun.
            let claimed = |wire: &&SimulatedWire| wire.0.borrow().in_hand.is_some();
            let wires = self.workers[&id].iter();
            self.cut_off += wires.filter(|wire| begun(wire) || claimed(wire)).count();
            for wire in &self.workers[&id] {
                wire.0.borrow_mut().is_dead = true;
            }
        }
    }

    /// Reads the lanes of dead workers to their end, and replaces the workers.
    pub(super) fn hear_of_deaths(&mut self) {
        for id in std::mem::take(&mut self.dead) {
            self.deliver(id);
            for index in 0..self.threads {
                self.pool.lane_closed((id, index));
            }
            self.pool.remove(id);
            self.workers.remove(&id);
            self.recruit();
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

    /// While a request waits, no worker is idle: neither as the pool sees it nor in fact.
    pub(super) fn check(&mut self) {
        let queue = self.pool.queue.len();
        for lane_id in self.lane_ids() {
            let wire = self.workers[&lane_id.0][lane_id.1].clone();
            let serves = self
                .pool
                .workers
                .all
                .get(&lane_id.0)
                .is_some_and(Worker::serves);
            let Some(lane) = self.pool.workers.lane(lane_id) else {
                continue;
            };
            let view = lane.view(lane_id);
            let free = view.load == 0 && view.free && serves;
            assert!(queue == 0 || !free, "{queue} wait, but {view:?}");
            if wire.0.borrow().is_at_rest() && !self.dead.contains(&lane_id.0) {
                assert!(view.load == 0 && view.free, "at rest: {view:?}, {wire:?}");
            }
        }
    }

    /// All workers do their work, until no request is left.
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
        let lanes = upkeep::described(&self.pool, now());
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
