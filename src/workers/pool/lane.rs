//! One lane of a worker: the requests in flight, the connection, and whether the lane makes progress.

use std::time::{Duration, Instant};

use crate::interface::RequestName;
use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::id::LaneId;
use crate::workers::options::LoopLimits;
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::checkup::{Checkup, Finding, TICK, deadline, is_over};
use crate::workers::pool::chooser::LaneView;
use crate::workers::pool::lane::begun_requests::{BegunRequest, BegunRequests};
use crate::workers::pool::lane::in_flight::{InFlight, Violation};
use crate::workers::pool::lane::neglect::Vigil;
use crate::workers::pool::stall::{HOLD, STALL};
use crate::workers::question::{Question, Reason};
use crate::workers::wire::Wire;
use crate::workers::wire::link::{Flushed, Link};

pub(crate) mod begun_requests;
pub(crate) mod event_loop;
pub(crate) mod in_flight;
mod neglect;

/// The longest time before a lane is stuck, where [`STALL`] has turned out to be too short.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// A loop that has not read on for this long is blocked, and not only late.
pub(crate) const BLOCKED: Duration = Duration::from_millis(200);

/// How old a report of how late the loop was may be: workers that are late report once a second.
pub(crate) const LAG_COUNTS: Duration = Duration::from_secs(3);

/// Whether a lane that has requests makes progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It does, or has no requests.
    Steady,
    /// It has made no progress for a while, and gets no more requests until it does.
    Stuck,
    /// It is stuck, and the requests that it had not begun were taken back.
    Emptied,
}

/// What the time limits say about a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Its request is overdue since now.
    Overdue,
    /// It runs a request that it may finish.
    Running,
    /// It runs no request, or only one that was given up.
    Quiet,
}

/// One lane and its connection.
#[derive(Debug)]
pub(crate) struct Lane<W = Link> {
    /// What was sent and not answered; of an ASGI worker, what it is not known to have begun.
    pub(crate) in_flight: InFlight<PendingRequest>,
    /// What an ASGI worker has begun. `None` for WSGI: its workers answer in order, and begin one request at a time.
    pub(crate) running: Option<BegunRequests>,
    pub(crate) link: W,
    /// The pool's list of lanes with unwritten requests contains it.
    pub(crate) dirty: bool,
    /// The worker has to read before more can be written.
    pub(crate) blocked: bool,
    /// When it last finished a request, or got one while it was idle. ASGI: when the worker last read on, or was sent
    /// something while it had read everything.
    pub(crate) progress: Instant,
    pub(crate) flow: Flow,
    /// How long it may make no progress before it is stuck. Doubled each time that the worker reads its requests only after
    /// they were taken back: on a machine that is slow to wake processes up, they would be taken back for ever. Halved
    /// by each answer.
    pub(crate) patience: Duration,
    vigil: Vigil,
    /// Counts the answers of the pool: of idle lanes, the one with the highest count was used last.
    pub(crate) idle_since: u64,
    /// The last request that it answered; ASGI: that it began.
    pub(crate) last: Option<RequestName>,
    /// ASGI: the log has said that its event loop is blocked.
    pub(crate) is_reported: bool,
    /// ASGI: a request has begun whose client had left before.
    pub(crate) begins_unwanted: bool,
    /// ASGI: for how long it was stuck when it was last, and when that ended.
    pub(crate) last_stall: Option<(Duration, Instant)>,
    /// ASGI: how late the event loop was, as it said last, and when.
    lag: Option<(Duration, Instant)>,
}

impl<W: Wire> Lane<W> {
    /// A lane that has had no request yet. ASGI workers have `loop_limits`.
    pub(crate) fn new(link: W, loop_limits: Option<LoopLimits>, now: Instant) -> Self {
        Self {
            in_flight: InFlight::default(),
            running: loop_limits.map(BegunRequests::new),
            link,
            dirty: false,
            blocked: false,
            progress: now,
            flow: Flow::Steady,
            patience: STALL,
            vigil: Vigil::default(),
            idle_since: 0,
            last: None,
            is_reported: false,
            begins_unwanted: false,
            last_stall: None,
            lag: None,
        }
    }

    /// How many requests it has to answer, or to end.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.load() + self.running.as_ref().map_or(0, BegunRequests::len)
    }

    /// How many requests it has that it may not begin soon.
    pub(crate) fn ahead(&self) -> usize {
        match self.running {
            // The oldest one has begun.
            None => self.load().saturating_sub(1),
            Some(_) => self.in_flight.load(),
        }
    }

    /// Whether its worker is to be looked at for what it has read or answered.
    pub(crate) fn is_pending(&self) -> bool {
        match self.running {
            None => self.load() > 0,
            Some(_) => self.in_flight.has_unread(),
        }
    }

    /// Notes that a request is sent.
    pub(crate) fn send(&mut self, pending: PendingRequest, now: Instant) {
        if !self.is_pending() {
            self.progress = now;
        }
        self.in_flight.send(pending);
    }

    /// How long it has made no progress.
    pub(crate) fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.progress)
    }

    /// Notices that it is stuck: it has finished nothing for the time `stall`. Returns whether that has been so for long
    /// enough that its requests are to be taken back, whether or not another lane is free.
    pub(crate) fn is_held_up(&mut self, stall: Duration, now: Instant) -> bool {
        let quiet = self.quiet(now);
        // A single request can be stuck, too, before the worker has begun it: behind code that runs after a response.
        if self.flow == Flow::Steady
            && self.in_flight.load() > 0
            && quiet >= self.patience.max(stall)
        {
            self.flow = Flow::Stuck;
        }
        self.flow == Flow::Stuck && quiet >= HOLD.max(self.patience)
    }

    /// Takes back the requests that the worker has not begun.
    ///
    /// # Errors
    /// [`Violation`] if the tokens in the pipe are not those of the requests.
    pub(crate) fn take_back(&mut self, now: Instant) -> Result<Vec<PendingRequest>, Violation> {
        if self.flow == Flow::Stuck {
            self.flow = Flow::Emptied;
        }
        let tokens = self.link.take_tokens();
        let taken = self.in_flight.taken_back(&tokens)?;
        self.begin_claimed(now);
        Ok(taken)
    }

    /// Removes the oldest request, which was answered.
    ///
    /// # Errors
    /// [`Violation`] if `number` is not that request's.
    pub(crate) fn answered(
        &mut self,
        number: u32,
        now: Instant,
    ) -> Result<PendingRequest, Violation> {
        let pending = self.in_flight.answered(number)?;
        self.progress = now;
        self.flow = Flow::Steady;
        self.patience = (self.patience / 2).max(STALL);
        self.last = Some(pending.about.clone());
        Ok(pending)
    }

    /// Notes how far the worker has read. If it has read everything and has nothing to answer, the lane is free again.
    pub(crate) fn note_read(&mut self, now: Instant) {
        let is_news = self.in_flight.has_read(self.link.last_read());
        if self.running.is_some() {
            if is_news {
                self.reads_on(now);
            }
        } else if self.in_flight.is_drained() {
            if self.flow == Flow::Emptied {
                self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
            }
            self.flow = Flow::Steady;
        }
    }

    /// How many WebSockets it has.
    pub(crate) fn web_sockets(&self) -> usize {
        self.running.as_ref().map_or(0, BegunRequests::web_sockets)
    }

    /// ASGI: how many requests it has that count against the worker's concurrency.
    pub(crate) fn requests(&self) -> usize {
        self.in_flight.load() + self.running.as_ref().map_or(0, BegunRequests::counted)
    }

    /// Whether one more request is within the worker's concurrency.
    pub(crate) fn has_place(&self) -> bool {
        self.running
            .as_ref()
            .is_none_or(|it| self.in_flight.load() + it.counted() < it.limits.concurrency)
    }

    /// The worker has read on: what it has read and had a token for it has begun.
    fn reads_on(&mut self, now: Instant) {
        while let Some((number, pending)) = self.in_flight.take_read() {
            self.begin(number, pending, now);
        }
        if self.flow != Flow::Steady {
            self.last_stall = Some((self.quiet(now), now));
        }
        self.patience = match self.flow {
            Flow::Emptied => (self.patience * 2).min(LONGEST_PATIENCE),
            Flow::Steady | Flow::Stuck => (self.patience / 2).max(STALL),
        };
        self.flow = Flow::Steady;
        self.progress = now;
        self.is_reported = false;
    }

    /// What could not be taken back the worker has claimed, and begins.
    fn begin_claimed(&mut self, now: Instant) {
        if self.running.is_some() {
            for (number, pending) in self.in_flight.take_claimed() {
                self.begin(number, pending, now);
            }
        }
    }

    fn begin(&mut self, number: u32, pending: PendingRequest, now: Instant) {
        self.begins_unwanted |= !pending.is_wanted();
        self.last = Some(pending.about.clone());
        if let Some(running) = &mut self.running {
            running.begin(number, pending, now);
        }
    }

    /// A request of which the worker has sent something: it has begun it, and all before it.
    ///
    /// # Errors
    /// [`Violation`] if it has no such request.
    pub(crate) fn begun(
        &mut self,
        number: u32,
        now: Instant,
    ) -> Result<&mut BegunRequest, Violation> {
        if self
            .running
            .as_mut()
            .ok_or(Violation)?
            .get(number)
            .is_none()
            && self.in_flight.has_read(number)
        {
            self.reads_on(now);
        }
        let running = self.running.as_mut().ok_or(Violation)?;
        running.get(number).ok_or(Violation)
    }

    /// Removes a request that has ended.
    ///
    /// # Errors
    /// [`Violation`] if the worker has no such request.
    pub(crate) fn ended(&mut self, number: u32, now: Instant) -> Result<BegunRequest, Violation> {
        self.begun(number, now)?;
        if !self.in_flight.has_unread() {
            self.progress = now;
        }
        let running = self.running.as_mut().ok_or(Violation)?;
        running.end(number).ok_or(Violation)
    }

    /// How long the loop has been blocked, if it is.
    pub(crate) fn blocked_for(&self, now: Instant) -> Option<Duration> {
        let blocked = self.running.is_some() && self.in_flight.has_unread();
        Some(self.quiet(now)).filter(|&time| blocked && time >= BLOCKED)
    }

    /// The worker says how late its loop was.
    pub(crate) fn is_late_by(&mut self, lag: Duration, now: Instant) {
        self.lag = Some((lag, now));
    }

    /// How late the loop is.
    pub(crate) fn lag(&self, now: Instant) -> Duration {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < LAG_COUNTS;
        let said = self.lag.filter(|(_, at)| recent(at));
        let said = said.map_or(Duration::ZERO, |(lag, _)| lag);
        said.max(self.blocked_for(now).unwrap_or_default())
    }

    /// The lane as the chooser sees it.
    pub(crate) fn view(&self, id: LaneId) -> LaneView {
        let stuck = self.flow != Flow::Steady;
        LaneView {
            id,
            load: self.requests(),
            web_sockets: self.web_sockets(),
            free: !stuck && self.in_flight.has_room() && self.has_place(),
            stuck,
            idle_since: self.idle_since,
        }
    }

    /// Checks the time limits of the request that the worker is on.
    pub(crate) fn check(
        &mut self,
        id: LaneId,
        serves: bool,
        errors: &mut GatewayErrors,
        checkup: &mut Checkup,
    ) -> Timing {
        let (now, since) = (checkup.now, self.progress);
        let (limit, slow) = (checkup.limits.request_timeout, checkup.limits.request_slow);
        let number = self.in_flight.oldest_number();
        let Some(pending) = self.in_flight.oldest_mut() else {
            // It had a request to begin and has not: it still runs code that follows a response.
            let lingers = self.flow != Flow::Steady && serves;
            return match lingers {
                true if is_over(limit, since, now) => {
                    self.ask(id, Reason::Lingering, checkup);
                    Timing::Overdue
                }
                true => {
                    checkup.again_by(deadline(limit, since));
                    Timing::Quiet
                }
                false => Timing::Quiet,
            };
        };
        let timing = if pending.is_refused() {
            Timing::Quiet
        } else if pending.is_answered() {
            // The client decides how long a body may take.
            Timing::Running
        } else if is_over(limit, since, now) {
            errors.gateway_timeout(pending);
            self.ask(id, Reason::Overdue, checkup);
            Timing::Overdue
        } else {
            checkup.again_by(deadline(limit, since));
            let timing = match (pending.is_wanted(), number) {
                // Its client may have gone away before the worker began it.
                (false, Some(number)) => {
                    self.link.cancel(number);
                    Timing::Quiet
                }
                (true, _) | (false, None) => Timing::Running,
            };
            if pending.slow_since.is_none() && is_over(slow, since, now) {
                pending.slow_since = Some(since);
                self.ask(id, Reason::Slow, checkup);
            } else if pending.slow_since.is_none() {
                checkup.again_by(deadline(slow, since));
            }
            timing
        };
        match self.flow {
            Flow::Steady => {
                let stall = since + self.patience.max(checkup.stall);
                checkup.again_by(Some(stall.max(now + TICK)));
            }
            Flow::Stuck => checkup.again_by(Some(since + HOLD.max(self.patience))),
            Flow::Emptied => {}
        }
        timing
    }

    /// Gives up the request that the worker is on, because the time to stop is over.
    pub(crate) fn give_up(
        &mut self,
        id: LaneId,
        errors: &mut GatewayErrors,
        checkup: &mut Checkup,
    ) {
        if let Some(pending) = self.in_flight.oldest_mut()
            && !pending.is_refused()
        {
            let reason = match pending.is_answered() {
                true => Reason::Cut,
                false => Reason::Stopped,
            };
            errors.gateway_timeout(pending);
            self.ask(id, reason, checkup);
        }
    }

    /// Checks whether the lane has been idle for too long while requests wait: in the queue since `queued`, or here.
    pub(crate) fn is_neglected(&mut self, queued: Option<Instant>, checkup: &mut Checkup) -> bool {
        let now = checkup.now;
        let has_own = self
            .in_flight
            .oldest()
            .is_some_and(PendingRequest::is_wanted);
        // Those that wait in the queue may do so because all places are taken.
        let queued = queued.filter(|_| self.has_place());
        let waits = queued.is_some() || has_own;
        if waits {
            checkup.again_by(Some(now + Vigil::STEP));
        }
        let waits_long = queued.is_some_and(|since| Vigil::is_long(since, now)) || has_own;
        let is_idle = self.is_idle() && waits;
        self.vigil.look(is_idle, now) && waits_long && Vigil::is_long(self.progress, now)
    }

    /// Whether the worker waits for requests and has read all that were sent, or some are still to be written. Not while an
    /// answer is under way that it makes in order: it may have written all of it and wait, but there is no turn for another
    /// answer before the client has taken this one.
    fn is_idle(&self) -> bool {
        let oldest = self.in_flight.oldest();
        if self.running.is_none() && oldest.is_some_and(PendingRequest::is_answered) {
            return false;
        }
        let (sent, _) = self.in_flight.marks();
        let is_forgotten = self.link.has_unwritten() && !self.blocked;
        self.link.is_waiting() && (self.link.last_read() == sent || is_forgotten)
    }

    /// Tells the worker if the client of its request has gone away: it may stop at the next block.
    pub(crate) fn cancel_unwanted(&self) {
        if let (Some(pending), Some(number)) =
            (self.in_flight.oldest(), self.in_flight.oldest_number())
            && !pending.is_answered()
            && !pending.is_wanted()
        {
            self.link.cancel(number);
        }
    }

    fn ask(&self, id: LaneId, reason: Reason, checkup: &mut Checkup) {
        if let Some(question) = self.question(id, reason, checkup.now) {
            checkup.found(Finding::Stuck(question));
        }
    }

    /// A question about the request that the lane is on, or else about the last one.
    pub(crate) fn question(&self, id: LaneId, reason: Reason, now: Instant) -> Option<Question> {
        Some(Question {
            lane: id,
            // 0 is "no request".
            number: self.in_flight.oldest_number().unwrap_or(0),
            thread: self.link.thread(),
            about: match self.in_flight.oldest() {
                Some(pending) => pending.about.clone(),
                None => self.last.clone()?,
            },
            age: self.quiet(now),
            reason,
            begun: String::new(),
        })
    }

    /// How the lane is, for the report of neglect.
    pub(crate) fn described(&self, now: Instant) -> String {
        let (sent, read) = self.in_flight.marks();
        format!(
            "{} requests, {:?} for {:.3} s, sent up to {sent}, read up to {read}, says {}; waiting: {}, dirty: {}, blocked: {}",
            self.load(),
            self.flow,
            self.quiet(now).as_secs_f64(),
            self.link.last_read(),
            self.link.is_waiting(),
            self.dirty,
            self.blocked
        )
    }
}

impl Lane {
    /// Writes the requests that were sent. Returns whether the worker has to read first.
    pub(crate) fn flush(&mut self) -> bool {
        // An error means that the worker is dead, which its reader notices.
        self.blocked = self.link.flush().ok() == Some(Flushed::Blocked);
        self.blocked
    }
}
