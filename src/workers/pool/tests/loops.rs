//! A pool of simulated ASGI workers, and their clients.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::{Notify, oneshot};

use crate::interface::{
    Blocks, CloseReason, Depot, Outgoing, Response, ResponseBody, WebSocket, WebSocketMessage,
};
use crate::protocol::worker::frame::{LaneOrder, RESPONSE_WINDOW};
use crate::workers::client_notes::ClientNotes;
use crate::workers::id::WorkerId;
use crate::workers::options::{Limits, LoopLimits};
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::checkup::Finding;
use crate::workers::pool::conversations::{self, ResponseMeans};
use crate::workers::pool::lane::Lane;
use crate::workers::pool::lane::begun_requests::BegunRequests;
use crate::workers::pool::simulation::request;
use crate::workers::pool::simulation::simulated_time::{MILLISECOND, now, pass, restart};
use crate::workers::pool::tests::loop_lane::{Habit, LoopRequest, LoopWire};
use crate::workers::pool::{Pool, upkeep};
use crate::workers::question::Reason;

/// A client, from its request to the end of the response.
#[derive(Debug)]
pub(super) enum LoopClient {
    Waits(oneshot::Receiver<Response>),
    Receives(Blocks),
    /// How many messages it will still send, if it does, and leaves then.
    Talks(WebSocket, Option<usize>),
}

impl LoopClient {
    /// The response, if it has come.
    pub(super) fn response(self) -> Option<Response> {
        match self {
            Self::Waits(mut answer) => answer.try_recv().ok(),
            Self::Receives(_) | Self::Talks(..) => None,
        }
    }
}

/// How a client's request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopOutcome {
    Status(u16),
    Whole,
    Truncated,
    Closed(u16),
}

const GATEWAY_TIMEOUT: LoopOutcome = LoopOutcome::Status(504);

pub(super) struct Loops {
    pub(super) pool: Pool<LoopWire>,
    pub(super) workers: BTreeMap<WorkerId, LoopWire>,
    pub(super) dead: BTreeSet<WorkerId>,
    pub(super) last_worker: WorkerId,
    pub(super) habits: Rc<RefCell<Vec<Habit>>>,
    pub(super) clients: BTreeMap<LoopRequest, LoopClient>,
    pub(super) entered: Vec<Instant>,
    pub(super) begun: BTreeSet<LoopRequest>,
    /// Requests that a worker had begun when it died.
    pub(super) lost: BTreeSet<LoopRequest>,
    pub(super) outcomes: BTreeMap<LoopRequest, LoopOutcome>,
    pub(super) findings: Vec<Finding>,
    /// How long a request may take.
    timeout: Duration,
    /// The longest time that a request has waited to be begun.
    pub(super) waited: Duration,
    pub(super) depot: Arc<Depot>,
    pub(super) notes: Arc<ClientNotes>,
}

pub(super) fn limits() -> (Limits, LoopLimits) {
    let limits = Limits {
        queue_length: usize::MAX,
        ..Limits::default()
    };
    let loop_limits = LoopLimits {
        concurrency: 100,
        drain: Duration::from_secs(5),
        finish: Duration::from_secs(20),
        background: Duration::from_secs(25),
        grace: Duration::from_secs(10),
        lingering: Duration::from_secs(10),
    };
    (limits, loop_limits)
}

impl Loops {
    pub(super) fn new(workers: usize, (limits, loop_limits): (Limits, LoopLimits)) -> Self {
        restart();
        let timeout = limits.request_timeout;
        let mut loops = Self {
            pool: Pool::new(limits, Some(loop_limits), now),
            workers: BTreeMap::new(),
            dead: BTreeSet::new(),
            last_worker: 0,
            habits: Rc::default(),
            clients: BTreeMap::new(),
            entered: Vec::new(),
            begun: BTreeSet::new(),
            lost: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            findings: Vec::new(),
            timeout,
            waited: Duration::ZERO,
            depot: Arc::new(Depot::new(PathBuf::new(), 0)),
            notes: ClientNotes::new(Arc::new(Notify::new())),
        };
        for _ in 0..workers {
            loops.recruit();
        }
        loops
    }

    /// Adds a worker that does not serve yet.
    pub(super) fn recruit_unready(&mut self) -> WorkerId {
        self.last_worker += 1;
        let wire = LoopWire::default();
        wire.0.borrow_mut().habits = Rc::clone(&self.habits);
        self.workers.insert(self.last_worker, wire.clone());
        self.pool.add(self.last_worker, vec![wire], u64::MAX);
        self.last_worker
    }

    fn recruit(&mut self) {
        let id = self.recruit_unready();
        self.pool.begin(id);
    }

    pub(super) fn worker(&self, draw: usize) -> WorkerId {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        ids[draw % ids.len()]
    }

    pub(super) fn accept(&mut self, habit: Habit) -> LoopRequest {
        let id = self.entered.len();
        self.habits.borrow_mut().push(habit);
        let mut request = request(id);
        request.offers_web_socket = match habit {
            Habit::Echoes | Habit::Listens | Habit::Refuses => true,
            Habit::Stays { web_socket, .. } => web_socket,
            _ => false,
        };
        let (mut pending, answer) = PendingRequest::asgi(request);
        pending.entered = now();
        self.entered.push(now());
        self.clients.insert(id, LoopClient::Waits(answer));
        self.pool.accept(pending);
        id
    }

    /// A client goes away.
    pub(super) fn vanish(&mut self, draw: usize) {
        let ids: Vec<LoopRequest> = self.clients.keys().copied().collect();
        if !ids.is_empty() {
            self.clients.remove(&ids[draw % ids.len()]);
            self.pool.lose_client();
        }
    }

    /// As `write_batches` does.
    pub(super) fn write(&mut self) {
        conversations::pass_on(&mut self.pool, self.notes.take());
        for lane in self.pool.workers.busy() {
            self.pool.note_read(lane);
        }
        upkeep::unstick(&mut self.pool);
        let queue = self.pool.queue.len();
        assert!(queue == 0 || self.pool.choose().is_none(), "{queue} wait");
        for id in std::mem::take(&mut self.pool.dirty) {
            if let Some(lane) = self.pool.workers.lane(id) {
                lane.dirty = false;
                lane.link.0.borrow_mut().flush();
            }
        }
    }

    pub(super) fn run(&mut self, id: WorkerId) {
        if self.dead.contains(&id) {
            return;
        }
        let wire = self.workers[&id].clone();
        wire.0.borrow_mut().turn();
        for begun in std::mem::take(&mut wire.0.borrow_mut().begun) {
            assert!(self.begun.insert(begun), "{begun} was begun twice");
            self.waited = self.waited.max(now() - self.entered[begun]);
        }
    }

    /// As the lane's reader does.
    pub(super) fn deliver(&mut self, id: WorkerId) {
        let wire = self.workers[&id].clone();
        let means = ResponseMeans {
            depot: &self.depot,
            notes: &self.notes,
        };
        let out = std::mem::take(&mut wire.0.borrow_mut().out);
        for (header, payload) in out {
            let heard =
                conversations::hear(&mut self.pool, (id, 0), header, &payload, None, &means);
            heard.unwrap_or_else(|_| panic!("{header:?} is a violation"));
        }
        self.pool.note_read((id, 0));
        self.pool.dispatch();
    }

    pub(super) fn tick(&mut self, time: Duration) {
        pass(time);
        for lane in self.pool.workers.busy() {
            self.pool.note_read(lane);
        }
        for finding in upkeep::clock(&mut self.pool).findings {
            match finding {
                Finding::Rejected(id) => panic!("worker {id} broke the protocol"),
                Finding::Neglected(id, state) => panic!("worker {id} was neglected: {state}"),
                Finding::Released(id) | Finding::Hopeless(id) | Finding::Dismissed(id) => {
                    assert!(self.workers[&id].0.borrow().is_closed);
                    self.kill(id);
                    self.findings.push(finding);
                }
                Finding::Crowded | Finding::Active => {}
                finding => {
                    self.cancel(&finding);
                    self.findings.push(finding);
                }
            }
        }
        self.bury();
    }

    /// As the staff does.
    fn cancel(&mut self, finding: &Finding) {
        if let Finding::Stuck(question) = finding
            && question.reason == Reason::Cancelled
        {
            let (lane, number) = (question.lane, question.number);
            conversations::order(&mut self.pool, lane, number, LaneOrder::Cancel, "");
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId) {
        self.dead.insert(id);
    }

    /// Reads the lanes of dead workers to their end, and replaces the workers.
    fn bury(&mut self) {
        for id in std::mem::take(&mut self.dead) {
            self.deliver(id);
            let wire = self.workers.remove(&id).expect("a worker");
            let has_claimed = wire.0.borrow().in_hand.is_some();
            // The token in its hand was claimed, too, but its request was not begun: one at most.
            let numbers = self.pool.workers.lane((id, 0)).map(|lane| lane.load());
            self.pool.lane_closed((id, 0));
            self.pool.remove(id);
            if numbers.is_some_and(|it| it > 0) {
                self.lost.extend(self.begun.iter());
                if has_claimed {
                    self.lost.extend(0..self.entered.len());
                }
            }
            self.recruit();
        }
    }

    /// Clients receive what there is.
    pub(super) fn receive(&mut self, most: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for (id, client) in std::mem::take(&mut self.clients) {
            match self.received(id, client, most, &mut context) {
                Ok(outcome) => {
                    if outcome == GATEWAY_TIMEOUT {
                        let took = now() - self.entered[id];
                        assert!(took >= self.timeout, "{id} is answered after {took:?}");
                    }
                    self.outcomes.insert(id, outcome);
                }
                Err(client) => drop(self.clients.insert(id, client)),
            }
        }
    }

    fn received(
        &self,
        id: LoopRequest,
        client: LoopClient,
        most: usize,
        context: &mut Context<'_>,
    ) -> Result<LoopOutcome, LoopClient> {
        match client {
            LoopClient::Waits(mut answer) => match answer.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => Err(LoopClient::Waits(answer)),
                Err(oneshot::error::TryRecvError::Closed) => panic!("dropped"),
                Ok(response) => match response.body {
                    ResponseBody::Stream(blocks) => Err(LoopClient::Receives(blocks)),
                    ResponseBody::WebSocket(socket) => {
                        let talks = matches!(self.habits.borrow()[id], Habit::Echoes);
                        Err(LoopClient::Talks(socket, talks.then_some(20)))
                    }
                    _ => Ok(LoopOutcome::Status(response.status.as_u16())),
                },
            },
            LoopClient::Receives(mut blocks) => {
                for _ in 0..most {
                    match blocks.poll_next(context) {
                        Poll::Ready(None) => return Ok(LoopOutcome::Whole),
                        Poll::Ready(Some(Err(_))) => return Ok(LoopOutcome::Truncated),
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Pending => break,
                    }
                }
                Err(LoopClient::Receives(blocks))
            }
            LoopClient::Talks(mut socket, mut left) => {
                for _ in 0..most {
                    if let Some(number @ 1..) = left
                        && socket.poll_room(context).is_ready()
                    {
                        left = Some(number - 1);
                        let size = 30_000 * (number % 4);
                        let message = WebSocketMessage::Binary(vec![b'm'; size].into());
                        socket.deliver(message);
                    }
                    match socket.poll_next(context) {
                        Poll::Ready(Some(Outgoing::Message(message))) => {
                            socket.taken(message.cost());
                        }
                        Poll::Ready(Some(Outgoing::Close(reason))) => {
                            socket.left(reason.clone());
                            return Ok(LoopOutcome::Closed(reason.code));
                        }
                        Poll::Ready(None) => panic!("nothing follows a close"),
                        Poll::Pending if left == Some(0) => {
                            socket.left(CloseReason::of(CloseReason::NORMAL));
                            return Ok(LoopOutcome::Closed(CloseReason::NORMAL));
                        }
                        Poll::Pending => break,
                    }
                }
                Err(LoopClient::Talks(socket, left))
            }
        }
    }

    pub(super) fn check(&self) {
        let queue = self.pool.queue.len();
        for view in self.pool.workers.views() {
            let is_idle = view.free && view.load == 0;
            assert!(queue == 0 || !is_idle, "{queue} wait, but {view:?}");
        }
        for (id, lane) in self.pool.workers.lanes() {
            let limits = lane.running.as_ref().map(|running| running.limits);
            let concurrency = limits.expect("an event loop").concurrency;
            let dismissed = lane.running.iter().flat_map(BegunRequests::iter);
            let dismissed = dismissed.filter(|(_, begun)| begun.dismissed.is_some());
            let (all, dismissed) = (lane.load() - lane.web_sockets(), dismissed.count());
            assert!(all <= 2 * concurrency, "{id:?}: {all}");
            assert!(all <= concurrency + dismissed, "{id:?}: {all}, {dismissed}");
        }
        for wire in self.workers.values() {
            for task in wire.0.borrow().tasks.values() {
                assert!(task.ahead < RESPONSE_WINDOW + (128 << 10), "{task:?}");
            }
        }
    }

    pub(super) fn round(&mut self) {
        self.tick(MILLISECOND);
        self.write();
        for id in self.workers.keys().copied().collect::<Vec<_>>() {
            self.run(id);
            self.deliver(id);
        }
        self.write();
        self.receive(10);
        self.check();
    }

    /// All go on until no client is left and no task.
    pub(super) fn finish(&mut self) {
        for _ in 0..20_000 {
            self.round();
            let busy = |lane: (_, &Lane<LoopWire>)| lane.1.load() > 0;
            if self.clients.is_empty() && !self.pool.workers.lanes().any(busy) {
                break;
            }
        }
        assert!(self.clients.is_empty(), "{:?}", self.clients);
        for (id, lane) in self.pool.workers.lanes() {
            assert_eq!(lane.load(), 0, "{id:?}");
        }
        for (id, outcome) in &self.outcomes {
            let expected = match self.habits.borrow()[*id] {
                Habit::Streams(_) | Habit::Refuses => LoopOutcome::Whole,
                Habit::Dawdles | Habit::Stays { .. } => GATEWAY_TIMEOUT,
                Habit::Echoes => LoopOutcome::Closed(CloseReason::NORMAL),
                _ => LoopOutcome::Status(200),
            };
            let lost = [
                LoopOutcome::Status(StatusCode::BAD_GATEWAY.as_u16()),
                LoopOutcome::Truncated,
                LoopOutcome::Closed(CloseReason::FAILED),
            ];
            let is_lost = self.lost.contains(id) && lost.contains(outcome);
            // Whatever stands behind loops that are blocked again and again may run out of time.
            let is_late = !self.timeout.is_zero() && *outcome == GATEWAY_TIMEOUT;
            assert!(
                *outcome == expected || is_lost || is_late,
                "{id}: {outcome:?}"
            );
        }
    }

    pub(super) fn found(&self, reason: Reason) -> usize {
        let is_it =
            |it: &&Finding| matches!(it, Finding::Stuck(question) if question.reason == reason);
        self.findings.iter().filter(is_it).count()
    }
}
