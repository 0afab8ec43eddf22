//! How many workers there are: starts them, replaces those that die, adds some when requests wait, ends all.
//!
//! One task owns all of this; others tell it what happened. A worker is gone when both its process has
//! ended and all that it had sent is read.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::roster::Entry;
use crate::children::Process;
use crate::children::{self, Awaited};
use crate::faults;
use crate::log;
use crate::workers::control_socket::Watch;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::TemplateId;
use crate::workers::id::WorkerId;
use crate::workers::memory::Shortage;
use crate::workers::options::{MOMENT, Preload, WorkerOptions};
use crate::workers::pool::checkup::Finding;
use crate::workers::python::mark::Mark;
use crate::workers::python::template::{Message, Template};
use crate::workers::question::Question;
use crate::workers::staff::left_behind::LeftBehind;
use crate::workers::staff::turnover::Due;
use crate::workers::wire::link::Link;

mod attempts;
mod hiring;
mod leaving;
mod left_behind;
mod turnover;

/// A template's process.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) template: Template,
    /// The worker that it is to become, where workers are started afresh.
    pub(crate) becomes: Option<WorkerId>,
    /// When it began to import the application; `None` when it is done.
    pub(crate) loading: Option<Instant>,
    /// It was told to end in good order, and has time until then.
    pub(crate) end_by: Option<Instant>,
    /// Ends the process at once when told or dropped.
    pub(crate) kill: Option<oneshot::Sender<()>>,
    pub(crate) pid: Option<i32>,
    pub(crate) _awaited: Option<Awaited>,
}

/// A worker from the order to its end.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) source: TemplateId,
    /// When it was ordered.
    pub(crate) since: Instant,
    /// Its lanes, until it exists.
    pub(crate) links: Vec<Link>,
    pub(crate) process: Option<Arc<Process>>,
    /// The order for it. `None` until that is sent, and when it exists.
    pub(crate) order: Option<Order>,
    /// The same once it exists.
    pub(crate) watch: Option<Watch>,
    /// Since when it exists without having begun to serve.
    pub(crate) beginning: Option<Instant>,
    /// How many lanes are still to be read; `None` until it exists.
    pub(crate) open_lanes: Option<usize>,
    /// Neither starting nor serving any more.
    pub(crate) lost: bool,
    /// A request of its is overdue. That is said, and its successor started, long before it has ended.
    pub(crate) overdue: bool,
    /// It leaves because we told it to.
    pub(crate) released: bool,
    /// Told to leave, or its lanes are closed: it has time until then.
    pub(crate) gone_by: Option<Instant>,
    /// Ended by our hand.
    pub(crate) killed: bool,
    /// The worker whose place it is to take.
    pub(crate) replaces: Option<WorkerId>,
    /// Why it is to be replaced.
    pub(crate) due: Option<Due>,
    /// Its memory says nothing.
    pub(crate) large_from_the_start: bool,
    pub(crate) status: Option<ExitStatus>,
    /// Says to those who read its lanes that its process has ended.
    pub(crate) ended: CancellationToken,
}

/// What a template was told.
#[derive(Debug)]
pub(crate) struct Order {
    /// When.
    pub(crate) sent: Instant,
    /// Closed when we end, whatever way: the worker watches the other side.
    pub(crate) line: UnixStream,
}

impl Member {
    /// Whether its template was told to make it.
    pub(crate) fn was_ordered(&self) -> bool {
        self.order.is_some() || self.open_lanes.is_some()
    }
}

pub(crate) struct Staff {
    pub(crate) shared: Arc<Hub>,
    pub(crate) options: WorkerOptions,
    pub(crate) sources: BTreeMap<TemplateId, Source>,
    pub(crate) members: BTreeMap<WorkerId, Member>,
    pub(crate) last_id: u32,
    /// What its processes are known by.
    pub(crate) mark: Mark,
    /// Start the application afresh in each worker, because it was asked for or because it cannot be forked.
    pub(crate) afresh: bool,
    /// It was said that the application should not be forked.
    pub(crate) warned: bool,
    /// How many workers in a row could not be started.
    pub(crate) failures: u32,
    /// How many templates in a row did not fork while there was no worker.
    pub(crate) deaf: u32,
    /// Not before then is a worker started.
    pub(crate) not_before: Instant,
    /// When one could not be started.
    pub(crate) failed_at: Instant,
    /// When one was started beyond the fewest.
    pub(crate) last_start: Option<Instant>,
    pub(crate) crowded: bool,
    /// When to look at the memory of workers.
    pub(crate) weigh_at: Option<Instant>,
    pub(crate) last_weighed: Instant,
    pub(crate) shortage: Shortage,
    /// What processes have left that have ended.
    pub(crate) left: Vec<LeftBehind>,
    /// At the end, whatever any has left is looked for.
    pub(crate) swept: bool,
    /// To be told whether the start went well.
    pub(crate) starting: Option<oneshot::Sender<anyhow::Result<()>>>,
    /// To be told when all are ready.
    pub(crate) awaiting: Vec<oneshot::Sender<anyhow::Result<()>>>,
    pub(crate) stopping: Option<Stopping>,
}

pub(crate) struct Stopping {
    pub(crate) done: oneshot::Sender<()>,
    /// When what is not done is given up.
    pub(crate) deadline: Instant,
}

impl Stopping {
    /// When those are ended that were told to leave and have not.
    fn over(&self) -> Instant {
        self.deadline + MOMENT
    }
}

/// Starts the first template and worker, and the task that looks after them.
///
/// # Errors
/// If Python cannot be run, or the application cannot be imported; nothing is left running.
pub(crate) async fn start(
    shared: Arc<Hub>,
    options: WorkerOptions,
    inbox: mpsc::UnboundedReceiver<WorkerEvent>,
) -> anyhow::Result<()> {
    children::adopt_orphans();
    let children = signal(SignalKind::child()).context("cannot watch processes")?;
    let (starting, started) = oneshot::channel();
    let now = Instant::now();
    let staff = Staff {
        shared,
        mark: Mark::new(),
        afresh: options.preload == Preload::Never,
        warned: false,
        options,
        sources: BTreeMap::new(),
        members: BTreeMap::new(),
        last_id: 0,
        failures: 0,
        deaf: 0,
        not_before: now,
        failed_at: now,
        last_start: None,
        crowded: false,
        weigh_at: None,
        last_weighed: now,
        shortage: Shortage::watch(),
        left: Vec::new(),
        swept: false,
        starting: Some(starting),
        awaiting: Vec::new(),
        stopping: None,
    };
    faults::spawn_vital("the task that keeps workers", staff.run(inbox, children));
    started
        .await
        .unwrap_or_else(|_| Err(anyhow!("no worker could be started")))
}

impl Staff {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<WorkerEvent>, mut children: Signal) {
        loop {
            let now = Instant::now();
            self.act(now);
            self.publish();
            if self.is_over() {
                break;
            }
            let deadline = self.deadline(now);
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.happened(event),
                    None => break,
                },
                _ = children.recv() => self.reap_orphans(),
                () = sleep_until(deadline) => {}
            }
        }
        if let Some(stopping) = self.stopping.take() {
            // Nobody to tell is no matter.
            let _ = stopping.done.send(());
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some()
            && self.members.is_empty()
            && self.sources.is_empty()
            && self.swept
            && self.left.is_empty()
            && !lock(&self.shared.pool).is_crowded()
    }

    /// Does what is due by now.
    fn act(&mut self, now: Instant) {
        self.ask_slow_starters(now);
        self.end_deaf_template(now);
        self.end_slow_beginners(now);
        self.end_slow_leavers(now);
        self.end_slow_sources(now);
        self.end_left_behind(now);
        if let Some(stopping) = &self.stopping {
            let over = now >= stopping.over();
            self.wind_up(now, over);
            self.sweep(now);
            return;
        }
        self.keep_template(now);
        self.report_ready();
        if now >= self.not_before {
            for _ in self.at_work()..self.fewest() {
                self.hire(None);
            }
        }
        self.grow(now);
        self.shrink(now);
        self.assess(now);
        self.recycle(now);
    }

    /// Tells those who wait for it that the first, or all, of the workers are ready.
    fn report_ready(&mut self) {
        let ready = self.members.values().filter(|member| member.serves());
        let ready = ready.count();
        let loaded = |source: &Source| source.becomes.is_none() && source.loading.is_none();
        let first = match self.options.min {
            0 => self.afresh || self.sources.values().any(loaded),
            _ => ready > 0,
        };
        if first && let Some(starting) = self.starting.take() {
            // If nobody waits, the start was given up, and Stop follows.
            let _ = starting.send(Ok(()));
        }
        if first && ready >= self.fewest() {
            for awaiting in self.awaiting.drain(..) {
                // Nobody to tell is no matter.
                let _ = awaiting.send(Ok(()));
            }
        }
    }

    /// Copies what others may want to know.
    fn publish(&self) {
        let entry = |(&id, member): (&WorkerId, &Member)| Entry {
            id,
            pid: member.process.as_ref().map(|process| process.id()),
            since: member.since,
            lost: member.lost,
        };
        let mut roster = lock(&self.shared.roster);
        roster.entries.clear();
        roster.entries.extend(self.members.iter().map(entry));
        roster.early_deaths = self.failures;
        roster.not_before = self.not_before;
        roster.failed_at = self.failed_at;
    }

    /// When [`Staff::act`] is to be called at the latest: all that was due before `now` is done.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let limit = self.options.start_timeout;
        let loading = self.sources.values().filter_map(|source| source.loading);
        let loading = loading.chain(self.members.values().filter_map(|it| it.beginning));
        let orders = self
            .members
            .values()
            .filter_map(|member| member.order.as_ref());
        let slow = loading
            .filter(|_| !limit.is_zero())
            .map(|since| since + limit);
        let deaf = orders.filter_map(|order| Some(order.sent + self.patience()?));
        let sources = self.sources.values().filter_map(|source| source.end_by);
        let left = self.left.iter().map(|left| left.deadline(now));
        let leaving = self.members.values().filter_map(|member| member.gone_by);
        let stop = self.stopping.as_ref().map(Stopping::over);
        let growth =
            (self.crowded && self.at_work() < self.options.max).then(|| self.next_growth());
        slow.chain(deaf)
            .chain(leaving)
            .chain(sources)
            .chain(left)
            .chain(stop)
            .chain(growth)
            .chain([self.not_before])
            .chain(self.turnover_deadline(now))
            .filter(|at| *at > now)
            .min()
    }

    fn happened(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Said(source, message) => self.said(source, message),
            WorkerEvent::Exited(source, status) => self.exited(source, status),
            WorkerEvent::Begun(worker) => self.begun(worker),
            WorkerEvent::LaneClosed(worker) => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.open_lanes = member.open_lanes.map(|open| open.saturating_sub(1));
                }
                self.leaves(worker);
                self.bury(worker);
            }
            WorkerEvent::Found(Finding::Released(worker)) => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.released = true;
                }
                self.leaves(worker);
            }
            WorkerEvent::Found(Finding::Rejected(worker)) => {
                let process = self
                    .members
                    .get(&worker)
                    .and_then(|member| member.process.as_ref());
                let pid = process.map_or_else(String::new, |process| format!(" {}", process.id()));
                log!("worker{pid} sent what makes no sense; it is ended");
                self.kill(worker);
            }
            WorkerEvent::Found(Finding::Neglected(worker, state)) => self.neglected(worker, &state),
            WorkerEvent::Found(Finding::Stuck(question)) => self.stuck(question),
            WorkerEvent::WriteStacks => self.write_stacks(),
            WorkerEvent::Frozen(worker) => {
                // Those beside it cannot go on either; yet it may be over soon.
                if self
                    .members
                    .get(&worker)
                    .is_some_and(|member| member.overdue)
                {
                    self.leaves(worker);
                }
            }
            WorkerEvent::Found(Finding::Spent(worker, answered)) => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.due.get_or_insert(Due::Requests(answered));
                }
            }
            WorkerEvent::Found(Finding::Active) => self.was_active(),
            WorkerEvent::Found(Finding::Hopeless(worker)) => {
                match self.members.get(&worker).map(|it| &it.watch) {
                    Some(Some(watch)) => watch.leave(),
                    Some(None) | None => self.kill(worker),
                }
            }
            WorkerEvent::Overstayed(worker) => self.kill(worker),
            WorkerEvent::Hanging(source, stack) => self.end_slow_starter(source, &stack),
            WorkerEvent::Found(Finding::Crowded) => self.crowded = true,
            WorkerEvent::AwaitAll(tell) => self.awaiting.push(tell),
            WorkerEvent::Stop(deadline, done) => {
                lock(&self.shared.pool).close(deadline);
                self.shared.wake();
                self.awaiting.clear();
                self.stopping = Some(Stopping { done, deadline });
            }
        }
    }

    fn stuck(&mut self, question: Question) {
        let mut member = self.members.get_mut(&question.lane.0);
        if question.reason.ends_worker()
            && let Some(member) = &mut member
        {
            member.lost = true;
            member.overdue = true;
            let process = member.process.as_ref();
            let name = process.map_or_else(String::new, |process| format!(" {}", process.id()));
            lock(&self.shared.roster).failed(&question.heading(&name));
        }
        match member.and_then(|member| member.watch.as_ref()) {
            Some(watch) => watch.show(question),
            // It has no process that could be asked.
            None => log!("{}", question.heading("")),
        }
    }

    fn write_stacks(&mut self) {
        let workers: Vec<WorkerId> = self.members.keys().copied().collect();
        for worker in workers {
            let questions = lock(&self.shared.pool).questions(worker);
            if questions.is_empty()
                && let Some(member) = self.members.get(&worker)
                && let Some(process) = &member.process
            {
                log!("worker {}: idle", process.id());
            }
            for question in questions {
                self.stuck(question);
            }
        }
    }

    fn said(&mut self, id: TemplateId, message: Message) {
        let source = self.sources.get(&id);
        let begun = source.and_then(|source| source.loading);
        let begun = begun.unwrap_or_else(Instant::now);
        match message {
            Message::Loaded { hindrances } => self.loaded(id, &hindrances),
            Message::Failed { reason } => self.import_failed(id, begun, anyhow!(reason)),
            Message::Outdated { version } => {
                let python = self.options.python.display();
                let error = anyhow!(
                    "`{python}` is Python {version}, but 3.8 or later is needed\n\
                     \x20= hint: set `runner.python` to the interpreter to be used"
                );
                self.import_failed(id, begun, error);
            }
            Message::Forked { worker, pid } => self.joined(worker, Process::new(pid).map(Arc::new)),
            Message::Unforked { worker, reason } => {
                let ordered = self.members.remove(&worker).map(|member| member.since);
                let ordered = ordered.unwrap_or_else(Instant::now);
                self.failed(anyhow!("cannot fork a worker: {reason}"), ordered);
            }
            Message::Died { pid, status } => self.died(pid, status),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
