//! Gateway × application: the one place where the two meet. A loop that hears what happens to a server and does
//! what [`lifecycle::step`] says: starts, serves, has another version take the place of the one that serves, ends.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use tokio::task::JoinSet;

use crate::descriptor_limit;
use crate::faults;
use crate::gateway::graceful_stop::Manner;
use crate::interface::status::{Status, moment, seconds};
use crate::line::failure::Failure;
use crate::log;
use crate::plan::Plan;
use crate::plan::application::Readiness;
use crate::plan::gateway::Audience;
use crate::plan::seating::Seating;
use crate::server::askers::Askers;
use crate::server::claim::{self, Claimed};
use crate::server::once::runtime;
use crate::server::reload::{Preparation, Prepared, Reread, prepared, stand_in};
use crate::server::running::{Running, Version};
use crate::server::signals::{Signals, Told};

use crate::supervisor::control::ReceivedOrder;
use crate::supervisor::control::order::{Answer, Handover, Order};
use crate::supervisor::lifecycle::{Action, Phase, Shutdown, StartResult, Trigger, step};
use crate::supervisor::notify::Notifier;
use crate::supervisor::orphans;
use crate::supervisor::programs::parent_link::{self, ParentOrders};
use crate::supervisor::seat::Seat;
use crate::supervisor::seat::successor::{self, Executable, Successor};
use crate::unix;

/// The exit status after a second SIGINT: the shells' own number for it.
const INTERRUPTED: u8 = 130;

/// Serves until a signal says to stop.
///
/// What can fail soon fails first: a port that is in use is reported before an application is imported
/// for a minute, and nothing is bound if there is no Python at all.
///
/// # Errors
/// It cannot listen there, or the application cannot be started.
pub fn run(plan: Plan, reread: Reread) -> Result<ExitCode, Failure> {
    descriptor_limit::raise();
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut master = Master::new(plan, reread)?;
        // Only now is there a second thread, with which nothing could be taken out of the environment any more.
        log::begin()?;
        let alive = master.notifier.keep_alive();
        tokio::select! {
            ended = master.live() => ended,
            never = alive => match never {},
            never = orphans::bury() => match never {},
        }
    });
    // Files that cannot be read to their end, in a reload that was given up, are no reason to stay.
    runtime.shutdown_background();
    ended
}

struct Master {
    state: Phase,
    signals: Signals,
    notifier: Notifier,
    preparing: Option<Preparation>,
    /// The program that this process runs, to be compared with what is there now.
    executable: Option<Executable>,
    /// The process that has taken our place because it runs a newer program.
    successor: Option<Box<Successor>>,
    start_timeout: Option<Duration>,
    prepared: Option<Version>,
    /// Why nothing was prepared.
    failure: Option<Failure>,
    service: Option<Running>,
    /// What ends beside the service, each within its own time.
    leaving: JoinSet<()>,
    /// A task has failed without which it cannot go on.
    broken: bool,
    /// The right to the seat, until it is taken.
    claim: Option<Claimed>,
    seat: Option<Seat>,
    seating: Seating,
    reread: Reread,
    /// To the master that keeps this process running, if one does.
    parent_orders: Option<ParentOrders>,
    /// When it was started, by the clock of the day and by one that is never set.
    started: (SystemTime, Instant),
    askers: Askers,
}

impl Master {
    /// Listens, and begins to start the application.
    fn new(mut plan: Plan, reread: Reread) -> anyhow::Result<Self> {
        if successor::is_expected() && plan.audience == Audience::Browser {
            // There is one already.
            plan.audience = Audience::Log;
        }
        let signals = Signals::receive(plan.gateway.protocol())?;
        let seating = plan.seating.clone();
        let identity = &plan.identity;
        // Its files are the user's own, who is to remove them, too.
        let mut claim = identity.act(|| Claimed::new(seating.clone()))?;
        let handover = claim.handover()?;
        let listener = claim::listen(handover.sockets, &plan.url, |url| {
            claim::when_free(url, || identity.listen(url))
        })?;
        identity.assume()?;
        unix::forbid_tracing();
        plan.find_folder()?;
        if claim.is_succession() {
            plan.find_programs()?;
        }
        // Whoever gives way to us has no less than it is to have.
        let readiness = match seating {
            Seating::Nowhere | Seating::Reachable(_) if !successor::is_expected() => {
                Readiness::First
            }
            Seating::Nowhere | Seating::Reachable(_) => Readiness::All,
            Seating::Supervised(_) => Readiness::All,
        };
        Ok(Self {
            claim: Some(claim),
            seat: None,
            seating,
            reread,
            // Else whose place we take reads on until then.
            parent_orders: (!successor::is_expected())
                .then(ParentOrders::listen)
                .flatten(),
            started: (SystemTime::now(), Instant::now()),
            askers: Askers::default(),
            state: Phase::Starting { reload: false },
            signals,
            notifier: Notifier::new(handover.manager),
            start_timeout: plan.recipe.start_timeout(),
            preparing: Some(Preparation::first(plan, listener, readiness)),
            executable: Executable::of_this_process(),
            successor: None,
            prepared: None,
            failure: None,
            service: None,
            leaving: JoinSet::new(),
            broken: false,
        })
    }

    /// Serves, to the end.
    async fn live(&mut self) -> Result<ExitCode, Failure> {
        loop {
            let event = self.next().await;
            let (state, actions) = step(self.state, event);
            self.state = state;
            for action in actions {
                if let Some(exit) = self.act(*action).await? {
                    return Ok(self.leave(exit).await);
                }
            }
        }
    }

    /// Leaves; but where nobody can be told that another process has taken our place, not before that one does.
    async fn leave(&mut self, exit: ExitCode) -> ExitCode {
        let successor = self.successor.take();
        match successor.filter(|_| !self.notifier.is_there()) {
            Some(successor) => {
                self.seat = None;
                self.askers.end();
                stand_in(&mut self.signals, successor).await
            }
            None => exit,
        }
    }

    /// Waits for something to happen.
    async fn next(&mut self) -> Trigger {
        loop {
            tokio::select! {
                told = self.signals.next() => {
                    self.pass_on(told);
                    match told {
                        Told::Stop => return self.told(),
                        Told::Interrupt => return Trigger::Interrupted,
                        Told::Reload => return Trigger::ReloadWanted,
                        Told::Stacks => {
                            if let Some(service) = &self.service {
                                service.write_stacks();
                            }
                        }
                    }
                }
                () = faults::vital(), if !self.broken => {
                    self.broken = true;
                    return Trigger::Told(Shutdown::Stop);
                }
                asked = order(&mut self.seat, &mut self.parent_orders) => if let Some(event) = self.ordered(asked) {
                    return event;
                },
                () = over(self.service.as_ref()), if self.state == Phase::Serving => {
                    crate::log!("stopping: it has served for as long as it is to");
                    return self.told();
                }
                prepared = prepared(&mut self.preparing) => {
                    return self.take_in(prepared);
                }
                Some(ended) = self.leaving.join_next(), if !self.leaving.is_empty() => {
                    if let Err(error) = ended {
                        crate::log!("what was to end failed: {error}");
                    }
                    if self.leaving.is_empty() {
                        return Trigger::Finished;
                    }
                }
            }
        }
    }

    /// Tells a process that has taken our place what was meant for it, since we were told by somebody who knows
    /// no other.
    fn pass_on(&self, told: Told) {
        match &self.successor {
            Some(successor) if !self.notifier.is_there() => successor.signal(told.signal()),
            Some(_) | None => {}
        }
    }

    /// Keeps what was prepared, or why nothing was.
    fn take_in(&mut self, prepared: Prepared) -> Trigger {
        let result = match prepared {
            Prepared::Version(version) => (*version).map(|version| self.prepared = Some(version)),
            Prepared::Successor(Ok(())) => return self.succeeded(),
            Prepared::Successor(Err(error)) => Err(Failure::World(error)),
        };
        self.preparing = None;
        self.failure = result.err();
        Trigger::Prepared(match self.failure {
            None => StartResult::Ready,
            Some(_) => StartResult::Failed,
        })
    }

    /// The newer program that was started has taken our place.
    fn succeeded(&mut self) -> Trigger {
        if let Some(Preparation::Successor(mut successor)) = self.preparing.take() {
            successor.release();
            self.successor = Some(successor);
        }
        Trigger::Prepared(StartResult::Succeeded)
    }

    /// What it means to be told to end: a successor takes the seat before it tells us.
    fn told(&mut self) -> Trigger {
        match self.seat.as_ref().is_some_and(Seat::has_successor) {
            // One that we have started ourselves has not: it is to end with us.
            true if matches!(self.preparing, Some(Preparation::Successor(_))) => {
                let event = self.succeeded();
                if let Some(successor) = &self.successor {
                    successor.signal(Told::Stop.signal());
                }
                event
            }
            true => Trigger::Told(Shutdown::Retire),
            false => Trigger::Told(Shutdown::Stop),
        }
    }

    /// Does something; the exit status, if that was the last thing to do.
    async fn act(&mut self, action: Action) -> Result<Option<ExitCode>, Failure> {
        match action {
            Action::Prepare => self.prepare(),
            Action::Switch => self.switch().await?,
            Action::Answer => self.answer(),
            Action::Abandon => self.preparing = None,
            Action::Refuse => self.refuse(),
            Action::End(end) => self.end(end).await,
            Action::Leave if self.broken => return Ok(Some(ExitCode::FAILURE)),
            Action::Leave => return Ok(Some(ExitCode::SUCCESS)),
            Action::Fail => {
                let unknown = || Failure::World(anyhow!("it could not be started"));
                return Err(self.failure.take().unwrap_or_else(unknown));
            }
            Action::Drop => return Ok(Some(ExitCode::from(INTERRUPTED))),
        }
        Ok(None)
    }

    /// Begins to prepare a version beside the one that serves.
    fn prepare(&mut self) {
        let Some(service) = &self.service else {
            return;
        };
        self.askers.begin();
        self.notifier.reloading();
        if let Some(Err(error)) = self.seat.as_mut().map(Seat::restore) {
            // Whoever serves goes on without.
            crate::log!("{error:#}");
        }
        let program = self.executable.as_ref().and_then(Executable::replacement);
        self.preparing = Some(match program {
            Some(program) => {
                let handover = self.handover();
                Preparation::of_program(program, handover, self.start_timeout)
            }
            None => Preparation::anew(service, self.seating.clone(), self.reread),
        });
    }

    /// Has the version that was prepared answer from now on. What the old one has begun, it finishes.
    async fn switch(&mut self) -> anyhow::Result<()> {
        let Some(version) = self.prepared.take() else {
            return Ok(());
        };
        self.start_timeout = version.start_timeout();
        let protocol = version.protocol();
        match &mut self.service {
            Some(service) => {
                // The old one goes on.
                let switched = service.switch(version, &mut self.leaving).await;
                if switched.is_ok() {
                    self.signals.serve(protocol);
                }
                self.failure = switched.err().map(Failure::World);
            }
            None => {
                let claim = self.claim.take();
                let is_succession = claim.as_ref().is_some_and(Claimed::is_succession);
                if let Some(claim) = claim {
                    self.seat = claim.take()?;
                }
                let service = Running::open(version, is_succession)?;
                self.notifier.ready(&status(&service));
                self.service = Some(service);
                successor::say_ready();
                self.parent_orders = self.parent_orders.take().or_else(ParentOrders::listen);
                parent_link::report_serving();
            }
        }
        Ok(())
    }

    /// Says how a reload went.
    fn answer(&mut self) {
        // Of a successor it has been told.
        if let (None, Some(service)) = (&self.successor, &self.service) {
            self.notifier.ready(&status(service));
        }
        let failure = self.failure.take().map(|failure| failure.text());
        match &failure {
            None => match &self.successor {
                None => crate::log!("reloaded"),
                Some(successor) => {
                    let id = successor.id().unwrap_or_default();
                    crate::log!("the new program serves as process {id}");
                }
            },
            Some(text) => {
                crate::log!("the reload failed, and what is not named here goes on:\n{text}");
                self.notifier.reload_failed(text);
            }
        }
        self.askers.answer(failure.as_deref());
    }

    /// Says that there will be no reload.
    fn refuse(&mut self) {
        let why = match self.heir() {
            Some(_) => "another process has just taken its place: try again",
            None => "it is being stopped",
        };
        self.askers.refuse(why);
    }

    /// Does what it can of an order, and says what follows from it.
    fn ordered(&mut self, asked: ReceivedOrder) -> Option<Trigger> {
        let answer = match asked.order {
            Order::Stop => {
                self.askers.wait_for_end(asked.answer);
                return Some(self.told());
            }
            Order::Reload => {
                self.askers.wait_for_reload(asked.answer);
                return Some(Trigger::ReloadWanted);
            }
            // Whoever comes that late begins when nothing is left of us.
            Order::Handover if matches!(self.state, Phase::Ending(_)) => {
                self.askers.wait_for_end(asked.answer);
                return None;
            }
            Order::Status => self.status(),
            Order::Handover => match self.handover() {
                Ok(handover) => Answer::Sockets(handover),
                Err(error) => Answer::Refused(format!("{error:#}")),
            },
        };
        let _ = asked.answer.send(answer);
        None
    }

    /// How it goes.
    fn status(&self) -> Answer {
        let service = self.service.as_ref();
        let (sockets, connections) = service.map(Running::connections).unwrap_or_default();
        let (application, programs) = service
            .map(|service| (service.status(), service.programs()))
            .unwrap_or_default();
        let state = match self.state {
            Phase::Starting { .. } => "starting",
            Phase::Serving => "serving",
            Phase::Reloading { .. } => "reloading",
            Phase::Ending(_) | Phase::Over => "stopping",
        };
        let (started, since) = self.started;
        let status = serde_json::to_value(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: state.to_owned(),
            uptime: seconds(since.elapsed()),
            started: moment(started),
            sockets,
            connections,
            programs,
            ..application
        });
        status.map_or_else(|error| Answer::Refused(error.to_string()), Answer::Done)
    }

    /// What a successor is given.
    fn handover(&self) -> anyhow::Result<Handover> {
        let service = self.service.as_ref();
        let service = service.context("it is being started itself")?;
        Ok(Handover {
            sockets: vec![service.handed()?],
            manager: self.notifier.manager(),
        })
    }

    /// Begins to end. A second time it is for being quicker.
    async fn end(&mut self, end: Shutdown) {
        let manner = match end {
            Shutdown::Stop => Manner::Drain,
            Shutdown::Retire => Manner::HandOver,
        };
        // Orders are for who takes our place.
        self.parent_orders = None;
        if let Some(service) = &mut self.service {
            service.end(manner, &mut self.leaving).await;
        }
        // Whoever hears of it may ask at once: nothing is accepted here by now.
        match self.heir().filter(|_| end == Shutdown::Retire) {
            // What the service manager has started goes on there.
            Some(pid) => self.notifier.handed_over(pid.unsigned_abs()),
            None => self.notifier.stopping(),
        }
    }

    /// The process that serves in our place, if it can be seen.
    fn heir(&self) -> Option<i32> {
        match &self.successor {
            Some(successor) => successor.id(),
            None => self.seat.as_ref().and_then(Seat::successor),
        }
    }
}

/// How it goes, for people.
fn status(service: &Running) -> String {
    match service.shown() {
        Some(place) => format!("serving {place}"),
        None => "running".to_owned(),
    }
}

/// The next order, if anybody can give one.
async fn order(seat: &mut Option<Seat>, parent_orders: &mut Option<ParentOrders>) -> ReceivedOrder {
    match (seat, parent_orders) {
        (Some(seat), Some(parent_orders)) => tokio::select! {
            asked = seat.next() => asked,
            asked = parent_orders.next() => asked,
        },
        (Some(seat), None) => seat.next().await,
        (None, Some(parent_orders)) => parent_orders.next().await,
        (None, None) => std::future::pending().await,
    }
}

/// The end of the time for which a service is to serve, if there is one.
async fn over(service: Option<&Running>) {
    match service {
        Some(service) => service.over().await,
        None => std::future::pending().await,
    }
}
