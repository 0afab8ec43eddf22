//! The master process: a loop that hears what happens to the server and does what [`crate::supervisor::lifecycle::step`] says. It starts,
//! serves, replaces the version that serves, and ends.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::task::JoinSet;

use crate::descriptor_limit;
use crate::gateway::graceful_stop::Manner;
use crate::interface::master_status::Status;
use crate::line::failure::Failure;
use crate::log;
use crate::pages::Snapshot;
use crate::panics;
use crate::plan::Plan;
use crate::plan::application::start::Readiness;
use crate::plan::gateway::Audience;
use crate::plan::seating::Seating;
use crate::server::claim::{self, Claimed};
use crate::server::development::{CodeReloads, ReloadResult, report_down};
use crate::server::events::signals::{SignalMeaning, Signals};
use crate::server::events::waiting_clients::{WaitingClients, next_order};
use crate::server::next_version::{Preparation, Prepared, Reread, prepared, stand_in};
use crate::server::once::runtime;
use crate::server::running::{Running, Version, over};
use crate::server::status_pages::StatusPages;
use crate::supervisor::chronicle::Chronicle;
use crate::supervisor::control::ReceivedOrder;
use crate::supervisor::control::order::{Answer, Handover, Order};
use crate::supervisor::lifecycle::{MasterAction, Phase, Shutdown, StartResult, Trigger, step};
use crate::supervisor::notify::Notifier;
use crate::supervisor::orphans;
use crate::supervisor::programs::group::end_all_left;
use crate::supervisor::programs::parent_link::{self, ParentOrders};
use crate::supervisor::seat::Seat;
use crate::supervisor::seat::predecessor_link;
use crate::supervisor::seat::successor::{Executable, Successor};
use crate::unix;

/// The exit status after a second SIGINT, as in shells (128 + 2).
const INTERRUPTED: u8 = 130;

/// Serves until a signal tells it to stop.
///
/// Errors that are found quickly are found first: a port in use is reported before the application is imported, which
/// may take a minute, and nothing is bound if there is no Python.
///
/// # Errors
/// The address cannot be bound, or the application does not start.
pub fn run(plan: Plan, reread: Reread) -> Result<ExitCode, Failure> {
    descriptor_limit::raise();
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut master = Master::new(plan, reread)?;
        // The log thread starts only now: with a second thread, variables could not be removed from the environment
        // safely.
        log::begin()?;
        master.code.watch();
        let alive = master.notifier.keep_alive();
        let life = async {
            let ended = master.live().await;
            end_all_left(master.heir()).await;
            ended
        };
        tokio::select! {
            ended = life => ended,
            never = alive => match never {},
            never = orphans::bury() => match never {},
        }
    });
    // A blocked read in a reload that was given up must not keep the process alive.
    runtime.shutdown_background();
    ended
}

struct Master {
    state: Phase,
    signals: Signals,
    notifier: Notifier,
    preparing: Option<Preparation>,
    /// The program file of this process, for noticing that it was replaced.
    executable: Option<Executable>,
    /// The process of a newer program that has taken over.
    successor: Option<Box<Successor>>,
    start_timeout: Option<Duration>,
    prepared: Option<Version>,
    /// Why the preparation failed.
    failure: Option<Failure>,
    service: Option<Running>,
    /// Old versions that are ending, each within its own time limit.
    leaving: JoinSet<()>,
    /// A vital task has panicked: the server must end.
    broken: bool,
    /// The claim on the seat, until it is taken.
    claim: Option<Claimed>,
    seat: Option<Seat>,
    seating: Seating,
    reread: Reread,
    /// Orders from the master that keeps this process running, if there is one.
    parent_orders: Option<ParentOrders>,
    waiting_clients: WaitingClients,
    code: CodeReloads,
    /// Why the application of the version that was switched to cannot be started.
    down: Option<String>,
    pages: StatusPages,
    chronicle: Chronicle,
}

impl Master {
    /// Listens, and begins to start the application.
    fn new(mut plan: Plan, reread: Reread) -> anyhow::Result<Self> {
        if predecessor_link::is_successor() && plan.audience == Audience::Browser {
            // The browser was opened by the process before this one.
            plan.audience = Audience::Log;
        }
        let signals = Signals::receive(plan.gateway.protocol())?;
        let seating = plan.seating.clone();
        // Root's rights may be needed, and listening gives them up.
        plan.open_access_log()?;
        let identity = &plan.identity;
        // Locks and sockets belong to the user that has to remove them.
        let mut claim = identity.act(|| Claimed::new(&plan))?;
        let mut handover = claim.handover()?;
        let (listeners, pages) = claim::listen_all(&plan, &mut handover.sockets)?;
        let mut pages = StatusPages::bound(plan.pages.as_ref(), pages);
        plan.apply_socket_rights()?;
        unix::forbid_tracing();
        plan.find_folder()?;
        match claim.is_succession() {
            true => plan.find_programs()?,
            // They tell that it is starting.
            false => pages.open().and_then(|()| claim.open())?,
        }
        // A version that is replaced has all its workers, so the new one starts all of its own first.
        let is_first = !predecessor_link::is_successor();
        let readiness = match seating {
            Seating::Nowhere | Seating::Reachable(_) if is_first => Readiness::First,
            Seating::Nowhere | Seating::Reachable(_) | Seating::Supervised(_) => Readiness::All,
        };
        Ok(Self {
            claim: Some(claim),
            seat: None,
            seating,
            reread,
            // Until this process takes over, the process before it reads the orders.
            parent_orders: is_first.then(ParentOrders::listen).flatten(),
            waiting_clients: WaitingClients::default(),
            pages,
            chronicle: Chronicle::begin(),
            state: Phase::Starting { reload: false },
            signals,
            notifier: Notifier::new(handover.manager),
            start_timeout: plan.recipe.start_timeout(),
            code: CodeReloads::of(&plan),
            down: None,
            preparing: Some(Preparation::first(plan, listeners, readiness)),
            executable: Executable::of_this_process(),
            successor: None,
            prepared: None,
            failure: None,
            service: None,
            leaving: JoinSet::new(),
            broken: false,
        })
    }

    /// Runs until the exit status is known.
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

    /// Ends the process. If a successor has taken over and no service manager can be told, this process stays as a
    /// stand-in until the successor ends.
    async fn leave(&mut self, exit: ExitCode) -> ExitCode {
        match self.successor.take().filter(|_| !self.notifier.is_there()) {
            Some(successor) => {
                self.seat = None;
                self.waiting_clients.end();
                stand_in(&mut self.signals, successor).await
            }
            None => {
                self.seat.iter().for_each(Seat::report_end);
                exit
            }
        }
    }

    /// Waits for the next event.
    async fn next(&mut self) -> Trigger {
        loop {
            tokio::select! {
                told = self.signals.next() => {
                    self.pass_on(told);
                    match told {
                        SignalMeaning::Stop => return self.told(),
                        SignalMeaning::Interrupt => return Trigger::Interrupted,
                        SignalMeaning::Reload => return Trigger::ReloadWanted,
                        SignalMeaning::Reopen => log::reopen_access(),
                        SignalMeaning::Stacks => {
                            if let Some(service) = &self.service {
                                service.write_stacks();
                            }
                        }
                    }
                }
                () = panics::vital(), if !self.broken => {
                    self.broken = true;
                    return Trigger::Told(Shutdown::Stop);
                }
                asked = next_order(&mut self.seat, &mut self.claim, &mut self.parent_orders) => if let Some(event) = self.ordered(asked) {
                    return event;
                },
                () = over(self.service.as_ref()), if self.state == Phase::Serving => {
                    crate::log!("stopping: its time to serve, or to be idle, is over");
                    return self.told();
                }
                () = self.code.changed() => return self.code.trigger(),
                request = self.pages.next() => {
                    let service = self.service.as_ref();
                    // A client may have gone away.
                    let _ = request.send(Snapshot {
                        status: self.status(),
                        measurements: service.map(Running::measurements).unwrap_or_default(),
                    });
                }
                prepared = prepared(&mut self.preparing) => {
                    return self.take_in(prepared);
                }
                Some(ended) = self.leaving.join_next(), if !self.leaving.is_empty() => {
                    if let Err(error) = ended {
                        crate::log_error!("what was to end failed: {error}");
                    }
                    if self.leaving.is_empty() {
                        return Trigger::Finished;
                    }
                }
            }
        }
    }

    /// Passes a signal on to the successor, which the sender cannot know.
    fn pass_on(&self, told: SignalMeaning) {
        match &self.successor {
            Some(successor) if !self.notifier.is_there() => successor.signal(told.signal()),
            Some(_) | None => {}
        }
    }

    /// Stores the prepared version, or the reason for the failure.
    fn take_in(&mut self, prepared: Prepared) -> Trigger {
        let result = match prepared {
            Prepared::Version(version) => (*version).map(|version| self.prepared = Some(version)),
            Prepared::Successor(Ok(())) => return self.succeeded(),
            Prepared::Successor(Err(error)) => Err(Failure::World(error)),
        };
        self.preparing = None;
        self.failure = result.err();
        self.code.follow(self.prepared.as_ref().map(Version::plan));
        Trigger::Prepared(match self.failure {
            None => StartResult::Ready,
            Some(_) => StartResult::Failed,
        })
    }

    /// The successor serves: this process only waits for it from now on.
    fn succeeded(&mut self) -> Trigger {
        if let Some(Preparation::Successor(mut successor)) = self.preparing.take() {
            successor.release();
            self.successor = Some(successor);
        }
        Trigger::Prepared(StartResult::Succeeded)
    }

    /// The meaning of an order to end: a successor takes the seat before it sends the order.
    fn told(&mut self) -> Trigger {
        match self.seat.as_ref().is_some_and(Seat::has_successor) {
            // A successor that this process started has not done so: it must end, too.
            true if matches!(self.preparing, Some(Preparation::Successor(_))) => {
                let event = self.succeeded();
                if let Some(successor) = &self.successor {
                    successor.signal(SignalMeaning::Stop.signal());
                }
                event
            }
            true => Trigger::Told(Shutdown::Retire),
            false => Trigger::Told(Shutdown::Stop),
        }
    }

    /// Does one action. Returns the exit status if it was the last one.
    async fn act(&mut self, action: MasterAction) -> Result<Option<ExitCode>, Failure> {
        match action {
            MasterAction::Prepare => self.prepare(),
            MasterAction::Switch => self.switch().await?,
            MasterAction::Answer => self.answer(),
            MasterAction::Abandon => self.preparing = None,
            MasterAction::Refuse => self.refuse(),
            MasterAction::End(end) => self.end(end).await,
            MasterAction::Leave if self.broken => return Ok(Some(ExitCode::FAILURE)),
            MasterAction::Leave => return Ok(Some(ExitCode::SUCCESS)),
            MasterAction::Fail => {
                let unknown = || Failure::World(anyhow!("it could not be started"));
                return Err(self.failure.take().unwrap_or_else(unknown));
            }
            MasterAction::Drop => return Ok(Some(ExitCode::from(INTERRUPTED))),
        }
        Ok(None)
    }

    /// Begins to prepare the next version while the current one serves.
    fn prepare(&mut self) {
        let Some(service) = &self.service else {
            return;
        };
        self.waiting_clients.begin();
        self.code.begin();
        self.notifier.reloading();
        if let Some(Err(error)) = self.seat.as_mut().map(Seat::restore) {
            // The current version serves without its pid file.
            crate::log_error!("{error:#}");
        }
        let program = self.executable.as_ref().and_then(Executable::replacement);
        self.preparing = Some(match program {
            Some(program) => {
                let handover = self.handover();
                Preparation::of_program(program, handover, self.start_timeout)
            }
            None => {
                let pages = self.pages.present();
                Preparation::anew(service, pages, self.seating.clone(), self.reread)
            }
        });
    }

    /// Has the prepared version answer from now on. The old one finishes its requests.
    async fn switch(&mut self) -> anyhow::Result<()> {
        let Some(mut version) = self.prepared.take() else {
            return Ok(());
        };
        self.down = version.failure.take().map(|failure| failure.text());
        let (url, listener) = version.take_pages();
        self.start_timeout = version.plan().recipe.start_timeout();
        let protocol = version.plan().gateway.protocol();
        match &mut self.service {
            Some(service) => {
                // If this fails, the old version goes on.
                let switched = service.switch(version, &mut self.leaving).await;
                let switched = match switched {
                    Ok(()) => {
                        self.signals.serve(protocol);
                        self.pages.change(url.as_ref(), listener).await
                    }
                    Err(error) => Err(error),
                };
                self.failure = switched.err().map(Failure::World);
            }
            None => {
                let claim = self.claim.take();
                let is_succession = claim.as_ref().is_some_and(Claimed::is_succession);
                if let Some(claim) = claim {
                    self.seat = claim.take()?;
                }
                self.pages.open()?;
                let service = Running::open(version, is_succession, self.code.events.clone())?;
                self.down.take().iter().for_each(|why| report_down("", why));
                self.notifier.ready(&service.in_words());
                self.service = Some(service);
                predecessor_link::report_ready();
                self.parent_orders = self.parent_orders.take().or_else(ParentOrders::listen);
                parent_link::report_serving();
            }
        }
        Ok(())
    }

    /// Reports the result of a reload to the log, the service manager and the waiting clients.
    fn answer(&mut self) {
        // A successor tells the service manager itself.
        if let (None, Some(service)) = (&self.successor, &self.service) {
            self.notifier.ready(&service.in_words());
        }
        let failure = self.failure.take().map(|failure| failure.text());
        let down = self.down.take();
        match (&failure, &self.successor) {
            (Some(text), _) => {
                self.code.report(ReloadResult::Kept(text));
                self.notifier.reload_failed(text);
            }
            (None, Some(successor)) => {
                let id = successor.id().unwrap_or_default();
                crate::log!("the new program serves as process {id}");
            }
            (None, None) => self.code.report(match &down {
                Some(why) => ReloadResult::Down(why),
                None => ReloadResult::Reloaded,
            }),
        }
        let failure = failure.or(down);
        self.chronicle.reloads.count(failure.as_deref());
        self.waiting_clients.answer(failure.as_deref());
    }

    /// Refuses a reload because the process is ending, or could not be started: a failed reload was answered.
    fn refuse(&mut self) {
        if let Some(failure) = &self.failure {
            return self.waiting_clients.not_started(&failure.text());
        }
        self.waiting_clients.refuse(match self.heir() {
            Some(_) => "another process has just taken its place: try again",
            None => "it is being stopped",
        });
    }

    /// Obeys an order as far as it can at once, and returns the event that follows from it.
    fn ordered(&mut self, asked: ReceivedOrder) -> Option<Trigger> {
        let answer = match asked.order {
            Order::Stop => {
                self.waiting_clients.wait_for_end(asked.answer);
                return Some(self.told());
            }
            Order::Reload => {
                self.waiting_clients.wait_for_reload(asked.answer);
                return Some(Trigger::ReloadWanted);
            }
            // A process that asks this late starts afresh when this one has ended.
            Order::Handover if matches!(self.state, Phase::Ending(_)) => {
                self.waiting_clients.wait_for_end(asked.answer);
                return None;
            }
            Order::Status => serde_json::to_value(self.status())
                .map_or_else(|error| Answer::Refused(error.to_string()), Answer::Done),
            Order::Handover => self.handover().map_or_else(
                |error| Answer::Refused(format!("{error:#}")),
                Answer::Sockets,
            ),
        };
        let _ = asked.answer.send(answer);
        None
    }

    /// The state of the master and of the application.
    fn status(&self) -> Status {
        let service = self.service.as_ref();
        self.chronicle
            .status(self.state, service.map(Running::status).unwrap_or_default())
    }

    /// What a successor gets: the sockets and the connection to the service manager.
    fn handover(&self) -> anyhow::Result<Handover> {
        let service = self.service.as_ref().context("it is still starting")?;
        let mut sockets = service.handed()?;
        sockets.extend(self.pages.handed()?);
        Ok(Handover {
            sockets,
            manager: self.notifier.manager(),
        })
    }

    /// Begins to end, or speeds it up the second time.
    async fn end(&mut self, end: Shutdown) {
        let manner = match end {
            Shutdown::Stop => Manner::Drain,
            Shutdown::Retire => Manner::HandOver,
        };
        // The successor reads the orders of the parent.
        self.parent_orders = None;
        if let Some(service) = &mut self.service {
            service.end(manner, &mut self.leaving).await;
        }
        // The successor has pages of its own. Otherwise these tell until the end that the server is stopping.
        if end == Shutdown::Retire {
            self.pages.end(manner).await;
        }
        // Told only now, when nothing is accepted here any more: the receiver may connect at once.
        match self.heir().filter(|_| end == Shutdown::Retire) {
            // The successor is the main process from now on.
            Some(pid) => self.notifier.handed_over(pid.unsigned_abs()),
            None => self.notifier.stopping(),
        }
    }

    /// The process that has taken over, if its id is known.
    fn heir(&self) -> Option<i32> {
        match &self.successor {
            Some(successor) => successor.id(),
            None => self.seat.as_ref().and_then(Seat::successor),
        }
    }
}
