//! One worker as the pool sees it: its lanes, and whether it gets requests.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::interface::RequestName;
use crate::log::LogSubject;
use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::id::{LaneId, WorkerId};
use crate::workers::options::LoopLimits;
use crate::workers::pending_request::Losses;
use crate::workers::pool::checkup::{Checkup, Finding, TICK};
use crate::workers::pool::lane::event_loop::{self, Drain};
use crate::workers::pool::lane::{Flow, Lane, Timing};
use crate::workers::question::{Question, Reason};
use crate::workers::wire::Wire;
use crate::workers::wire::link::Link;

/// Whether a worker gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It will, when its application is ready (ASGI's lifespan).
    Beginning,
    /// It does.
    Serving,
    /// It gets no more requests, and leaves when it has answered those that it has.
    Retiring,
    /// One of its requests is overdue. It may finish the others, and is then ended.
    Doomed,
    /// It was told to leave, or is dead.
    Leaving,
    /// It broke the protocol. Nothing more of it is read, and it is killed.
    Rejected,
}

impl Duty {
    /// Whether it gets requests, or finishes those that it has.
    fn works(self) -> bool {
        match self {
            Self::Beginning | Self::Serving | Self::Retiring => true,
            Self::Doomed | Self::Leaving | Self::Rejected => false,
        }
    }
}

/// A worker that answers requests.
#[derive(Debug)]
pub(crate) struct Worker<W = Link> {
    pub(crate) lanes: Vec<Lane<W>>,
    /// How many requests it has answered.
    pub(crate) answered: u64,
    /// It is replaced after this many.
    quota: u64,
    pub(crate) duty: Duty,
    /// ASGI: since when what does not end by itself is to end.
    drain: Option<Drain>,
    /// What became of the requests that it was on when it died.
    losses: Losses,
}

/// What is known of a worker that is gone.
#[derive(Debug)]
pub(crate) struct Remains {
    /// How many requests it answered.
    pub(crate) answered: u64,
    /// What became of the requests that it was on.
    pub(crate) losses: Losses,
    /// How many lines it could not write to the log, and has not reported.
    pub(crate) lost_lines: u64,
}

impl Remains {
    /// What the line of the log about the worker's end is about, beside the worker. The line names all requests that were lost; of their ids, an
    /// object has room for the first.
    pub(crate) fn log_subject<'a>(&'a self, about: LogSubject<'a>) -> LogSubject<'a> {
        let first = self.losses.first.as_ref();
        LogSubject {
            application: about.application,
            worker: about.worker,
            ..first.map(RequestName::subject).unwrap_or_default()
        }
    }
}

impl<W: Wire> Worker<W> {
    /// A worker that has had no requests. ASGI workers have `loop_limits`, and get none before they have begun.
    pub(crate) fn new(
        links: Vec<W>,
        quota: u64,
        loop_limits: Option<LoopLimits>,
        now: Instant,
    ) -> Self {
        let lane = |link| Lane::new(link, loop_limits, now);
        Self {
            lanes: links.into_iter().map(lane).collect(),
            answered: 0,
            quota,
            duty: match loop_limits {
                Some(_) => Duty::Beginning,
                None => Duty::Serving,
            },
            drain: None,
            losses: Losses::default(),
        }
    }

    pub(crate) fn serves(&self) -> bool {
        self.duty == Duty::Serving
    }

    fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.load() == 0)
    }

    /// Since when it has had no requests; `None` while it has some.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let since = self.lanes.iter().map(|lane| lane.progress).max()?;
        self.is_idle().then_some(since)
    }

    /// Whether a lane has requests, or still runs code that follows a response.
    pub(crate) fn is_busy(&self) -> bool {
        let busy = |lane: &Lane<W>| lane.load() > 0 || lane.flow != Flow::Steady;
        self.lanes.iter().any(busy)
    }

    /// Whether it has begun to serve: its main thread, which has the first lane, is the last to do so.
    pub(crate) fn has_begun(&self) -> bool {
        self.lanes.first().is_some_and(|it| it.link.thread() != 0)
    }

    /// Whether a request was sent ahead: it may come back from there.
    pub(crate) fn has_ahead(&self) -> bool {
        self.lanes.iter().any(|lane| lane.ahead() > 0)
    }

    /// Lets it leave when it has answered the requests that it has.
    pub(crate) fn retire(&mut self, now: Instant) {
        if matches!(self.duty, Duty::Serving | Duty::Beginning) {
            self.duty = Duty::Retiring;
            self.drain(Drain {
                since: now,
                returns: true,
                all_by: None,
                background_by: None,
            });
        }
    }

    /// Asks what does not end by itself to end, in a while. The first call decides; a worker that was to be replaced may
    /// have to leave sooner.
    pub(crate) fn drain(&mut self, drain: Drain) {
        let drain = Drain {
            all_by: drain.all_by,
            background_by: drain.background_by,
            ..self.drain.unwrap_or(drain)
        };
        self.drain = Some(drain);
    }

    /// How many requests it has begun, WebSockets not counted, and how many WebSockets it has.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let web_sockets = self.lanes.iter().map(Lane::web_sockets).sum();
        let all: usize = self.lanes.iter().map(Lane::load).sum();
        (all - web_sockets, web_sockets)
    }

    /// How late its event loop is; `None` if it has none.
    pub(crate) fn lag(&self, now: Instant) -> Option<Duration> {
        let lane = self.lanes.first()?;
        lane.running.as_ref().map(|_| lane.lag(now))
    }

    /// Its lanes with their names.
    pub(crate) fn named_lanes(&self, id: WorkerId) -> impl Iterator<Item = (LaneId, &Lane<W>)> {
        let lanes = self.lanes.iter().enumerate();
        lanes.map(move |(index, lane)| ((id, index), lane))
    }

    /// Questions about all requests that it is on.
    pub(crate) fn questions(&self, id: WorkerId, now: Instant) -> Vec<Question> {
        self.named_lanes(id)
            .flat_map(|(id, lane)| match lane.running {
                Some(_) => event_loop::questions(lane, id, now),
                None if lane.load() == 0 => Vec::new(),
                None => Vec::from_iter(lane.question(id, Reason::Asked, now)),
            })
            .collect()
    }

    /// Closes its lanes: it leaves when it has answered the requests that it is on.
    pub(crate) fn close(&mut self) {
        if self.duty != Duty::Rejected {
            self.duty = Duty::Leaving;
        }
        for lane in &self.lanes {
            lane.link.close();
        }
    }

    /// Closes its lanes if it is to leave and has no requests left. `all_leave` if all workers are to. Returns whether it
    /// did.
    pub(crate) fn release(&mut self, all_leave: bool) -> bool {
        let leaves = match self.duty {
            Duty::Beginning | Duty::Serving => all_leave,
            Duty::Retiring => true,
            Duty::Doomed | Duty::Leaving | Duty::Rejected => false,
        };
        let released = leaves && self.is_idle();
        if released {
            self.close();
        }
        released
    }

    /// Checks time limits and the quota.
    pub(crate) fn check(
        &mut self,
        id: WorkerId,
        errors: &mut GatewayErrors,
        checkup: &mut Checkup,
    ) {
        let mut runs = false;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let serves = self.duty == Duty::Serving;
            let timing = match lane.running {
                None => lane.check((id, index), serves, errors, checkup),
                Some(_) if self.duty.works() => {
                    event_loop::check(lane, (id, index), errors, checkup)
                }
                // What it had begun is given up.
                Some(_) => Timing::Quiet,
            };
            match timing {
                Timing::Overdue => match self.duty {
                    Duty::Beginning | Duty::Serving | Duty::Retiring => self.duty = Duty::Doomed,
                    Duty::Doomed | Duty::Leaving | Duty::Rejected => {}
                },
                Timing::Running => runs = true,
                Timing::Quiet => {}
            }
        }
        if let Some(drain) = self.drain.filter(|_| self.duty.works()) {
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                if event_loop::drain(lane, (id, index), drain, checkup)
                    && self.duty == Duty::Retiring
                {
                    // It had the time to end what is left.
                    self.duty = Duty::Doomed;
                    runs = false;
                }
            }
        }
        if let Some(by) = self.drain.and_then(|drain| drain.background_by)
            && self.duty.works()
            && self.lanes.iter().all(event_loop::is_in_background)
        {
            match checkup.now >= by {
                true => self.give_up(id, errors, checkup),
                false => checkup.again_by(Some(by)),
            }
        }
        if self.answered >= self.quota {
            self.quota = u64::MAX;
            checkup.found(Finding::Spent(id, self.answered));
        }
        if self.duty == Duty::Doomed {
            if !runs {
                self.close();
                checkup.found(Finding::Hopeless(id));
            }
            checkup.again_by(Some(checkup.now + TICK));
        }
    }

    /// Gives up the requests that it is on, because the time to stop is over.
    pub(crate) fn give_up(
        &mut self,
        id: WorkerId,
        errors: &mut GatewayErrors,
        checkup: &mut Checkup,
    ) {
        if self.is_idle() || matches!(self.duty, Duty::Leaving | Duty::Rejected) {
            return;
        }
        self.close();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.running.is_none() {
                lane.give_up((id, index), errors, checkup);
                continue;
            }
            let given_up = event_loop::give_up(lane, (id, index), errors, checkup);
            if given_up.all() > 0 {
                checkup.found(Finding::GivenUp(id, given_up));
            }
        }
        checkup.found(Finding::Dismissed(id));
    }

    /// Checks whether it is idle while requests wait: in the queue since `queued`, or in its own lanes.
    pub(crate) fn is_neglected(&mut self, queued: Option<Instant>, checkup: &mut Checkup) -> bool {
        // Each lane is looked at: they count their looks.
        let look = |found, lane: &mut Lane<W>| lane.is_neglected(queued, checkup) || found;
        self.serves() && self.lanes.iter_mut().fold(false, look)
    }

    /// Answers 502 to the request that a closed lane was on, and notes what became of it.
    pub(crate) fn lose_requests(&mut self, index: usize, errors: &mut GatewayErrors) {
        if self.duty != Duty::Rejected {
            self.duty = Duty::Leaving;
        }
        let Some(lane) = self.lanes.get_mut(index) else {
            return;
        };
        while let Some(mut pending) = lane.in_flight.begun() {
            if !pending.is_answered() {
                let loss = format!("{} is answered 502", pending.about);
                self.losses.add(&pending.about, loss);
            } else if !pending.is_refused() {
                let loss = format!("the answer to {} is cut off", pending.about);
                self.losses.add(&pending.about, loss);
            }
            errors.bad_gateway(&mut pending);
        }
        event_loop::lose(lane, errors, &mut self.losses);
    }

    /// What is left when it is gone.
    pub(crate) fn remains(self) -> Remains {
        Remains {
            answered: self.answered,
            losses: self.losses,
            lost_lines: self.lanes.iter().map(|it| it.link.lost_lines()).sum(),
        }
    }

    /// Adds how its lanes are, for the report of neglect.
    pub(crate) fn describe(&self, id: WorkerId, now: Instant, text: &mut String) {
        for (index, lane) in self.lanes.iter().enumerate() {
            let (number, lane) = (index + 1, lane.described(now));
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "\nworker {id}, lane {number}: {:?}, {lane}",
                self.duty
            );
        }
    }
}
