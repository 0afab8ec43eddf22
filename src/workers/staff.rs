//! How many workers there are: starts them, replaces those that die, adds some when requests wait, ends all.
//!
//! One task owns all of this; others tell it what happened. A worker is gone when both its process has
//! ended and all that it had sent is read.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::link::Link;
use super::pool::WorkerId;
use super::template::{Inbox, Message, Template, cause};
use super::{Shared, WorkerOptions, lock, reader};
use crate::log;
use crate::unix::{self, Process};

/// The first delay before a worker that died before its first answer is replaced; it doubles each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest such delay.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A template's name: never used twice.
type TemplateId = u32;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A template said something.
    Said(TemplateId, Message),
    /// A template will say nothing any more.
    Silent(TemplateId),
    /// A template's process has ended.
    Exited(TemplateId, ExitStatus),
    /// All that a lane sent is read.
    LaneClosed(WorkerId),
    /// A worker sent what makes no sense.
    Confused(WorkerId),
    /// A worker has nothing left but requests that are overdue.
    Hopeless(WorkerId),
    /// Requests wait, and no lane is free.
    Crowded,
    /// Everything is to end; tell when it has.
    Stop(oneshot::Sender<()>),
}

/// A template's process.
#[derive(Debug)]
struct Source {
    template: Template,
    /// The worker that it is to become, where workers are started afresh.
    becomes: Option<WorkerId>,
    /// When it began to import the application; `None` when it is done.
    loading: Option<Instant>,
    /// Ends the process when told or dropped.
    kill: Option<oneshot::Sender<()>>,
}

/// A worker from the order to its end.
#[derive(Debug)]
struct Member {
    source: TemplateId,
    /// Its lanes, until it exists.
    links: Vec<Link>,
    process: Option<Process>,
    /// Closed when we end, whatever way: the worker watches the other side.
    watch: Option<OwnedFd>,
    /// How many lanes are still to be read; `None` until it exists.
    open_lanes: Option<usize>,
    /// Neither starting nor serving any more.
    lost: bool,
    status: Option<ExitStatus>,
}

struct Staff {
    shared: Arc<Shared>,
    options: WorkerOptions,
    sources: BTreeMap<TemplateId, Source>,
    members: BTreeMap<WorkerId, Member>,
    last_id: u32,
    /// Start the application afresh in each worker, because it was asked for or because it cannot be forked.
    afresh: bool,
    /// How many workers in a row died before their first answer.
    early_deaths: u32,
    /// Not before then is a worker replaced.
    not_before: Instant,
    last_start: Instant,
    crowded: bool,
    /// To be told whether the start went well.
    starting: Option<oneshot::Sender<anyhow::Result<()>>>,
    stopping: Option<Stopping>,
}

struct Stopping {
    done: oneshot::Sender<()>,
    deadline: Instant,
}

/// Starts the first template and worker, and the task that looks after them.
///
/// # Errors
/// If Python cannot be run, or the application cannot be imported; nothing is left running.
pub async fn start(
    shared: Arc<Shared>,
    options: WorkerOptions,
    inbox: mpsc::UnboundedReceiver<Event>,
) -> anyhow::Result<()> {
    unix::adopt_orphans();
    let children = signal(SignalKind::child()).context("cannot watch processes")?;
    let (starting, started) = oneshot::channel();
    let now = Instant::now();
    let staff = Staff {
        shared,
        afresh: !options.preload,
        options,
        sources: BTreeMap::new(),
        members: BTreeMap::new(),
        last_id: 0,
        early_deaths: 0,
        not_before: now,
        last_start: now,
        crowded: false,
        starting: Some(starting),
        stopping: None,
    };
    tokio::spawn(staff.run(inbox, children));
    started
        .await
        .unwrap_or_else(|_| Err(anyhow!("no worker could be started")))
}

impl Staff {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>, mut children: Signal) {
        loop {
            self.act();
            if self.is_over() {
                break;
            }
            let deadline = self.deadline();
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
        self.stopping.is_some() && self.members.is_empty() && self.sources.is_empty()
    }

    /// Does what is due by now.
    fn act(&mut self) {
        let now = Instant::now();
        self.end_slow_starters(now);
        if let Some(stopping) = &self.stopping {
            let over = now >= stopping.deadline;
            self.wind_up(over);
            return;
        }
        let at_work = self.members.values().filter(|member| !member.lost).count();
        if at_work < self.options.min {
            if now >= self.not_before {
                for _ in at_work..self.options.min {
                    self.hire();
                }
            }
        } else if self.crowded && at_work < self.options.max && now >= self.next_growth() {
            self.crowded = false;
            self.last_start = now;
            self.hire();
        }
    }

    fn next_growth(&self) -> Instant {
        // One at a time: the next one only when this one has shown whether it helps.
        (self.last_start + self.options.start_interval).max(self.not_before)
    }

    /// When [`Staff::act`] is to be called at the latest.
    fn deadline(&self) -> Option<Instant> {
        let limit = self.options.start_timeout;
        let loading = self.sources.values().filter_map(|source| source.loading);
        let slow = loading
            .min()
            .filter(|_| !limit.is_zero())
            .map(|since| since + limit);
        let at_work = self.members.values().filter(|member| !member.lost).count();
        let due = match &self.stopping {
            Some(stopping) => Some(stopping.deadline).filter(|at| *at > Instant::now()),
            None if at_work < self.options.min => Some(self.not_before),
            None => (self.crowded && at_work < self.options.max).then(|| self.next_growth()),
        };
        slow.into_iter().chain(due).min()
    }

    /// Orders a worker, and a template for it if there is none.
    fn hire(&mut self) {
        self.last_id += 1;
        let worker = self.last_id;
        let running = if self.afresh {
            None
        } else {
            self.sources
                .iter()
                .find(|(_, source)| source.becomes.is_none())
        };
        let source = match running.map(|(&id, source)| (id, source.loading.is_none())) {
            Some((id, loaded)) => Ok((id, loaded)),
            None => self
                .open_source(self.afresh.then_some(worker))
                .map(|id| (id, false)),
        };
        match source {
            Ok((source, loaded)) => {
                self.members.insert(
                    worker,
                    Member {
                        source,
                        links: Vec::new(),
                        process: None,
                        watch: None,
                        open_lanes: None,
                        lost: false,
                        status: None,
                    },
                );
                if loaded {
                    self.employ(worker);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    /// Starts a template.
    fn open_source(&mut self, becomes: Option<WorkerId>) -> anyhow::Result<TemplateId> {
        let (template, inbox, child) = Template::start(&self.options)?;
        self.last_id += 1;
        let id = self.last_id;
        let (kill, killed) = oneshot::channel();
        tokio::spawn(listen(Arc::clone(&self.shared), id, inbox));
        tokio::spawn(wait(Arc::clone(&self.shared), id, child, killed));
        self.sources.insert(
            id,
            Source {
                template,
                becomes,
                loading: Some(Instant::now()),
                kill: Some(kill),
            },
        );
        Ok(id)
    }

    /// Gives a template that is ready the order for a worker.
    fn employ(&mut self, worker: WorkerId) {
        if let Err(error) = self.try_employ(worker) {
            self.members.remove(&worker);
            self.failed(error);
        }
    }

    fn try_employ(&mut self, worker: WorkerId) -> anyhow::Result<()> {
        let member = self.members.get_mut(&worker).context("no such worker")?;
        let source = self
            .sources
            .get(&member.source)
            .context("the template is gone")?;
        let (watched, watch) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        let mut far_ends = Vec::new();
        for _ in 0..self.options.threads.max(1) {
            let (link, far_end) = Link::pair().context("cannot make a lane")?;
            member.links.push(link);
            far_ends.push(far_end);
        }
        let fork = source.becomes.is_none();
        source
            .template
            .order(worker, fork, watched.as_fd(), &far_ends)?;
        member.watch = Some(watch);
        Ok(())
    }

    /// A worker exists: it gets requests.
    fn joined(&mut self, worker: WorkerId, process: Option<Process>) {
        let Some(member) = self.members.get_mut(&worker) else {
            return;
        };
        member.process = process;
        member.open_lanes = Some(member.links.len());
        let links = std::mem::take(&mut member.links);
        let lanes = links.len();
        {
            let mut pool = lock(&self.shared.pool);
            pool.add(worker, links);
            if self.stopping.is_some() {
                pool.close();
            }
        }
        for lane in 0..lanes {
            tokio::spawn(attend(Arc::clone(&self.shared), (worker, lane)));
        }
        self.shared.wake();
        self.shared.busy.notify_one();
        if let Some(starting) = self.starting.take() {
            // If nobody waits, the start was given up, and Stop follows.
            let _ = starting.send(Ok(()));
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Said(source, message) => self.said(source, message),
            Event::Silent(source) => self.silent(source),
            Event::Exited(source, status) => self.exited(source, status),
            Event::LaneClosed(worker) => {
                if let Some(member) = self.members.get_mut(&worker) {
                    member.open_lanes = member.open_lanes.map(|open| open.saturating_sub(1));
                    if !std::mem::replace(&mut member.lost, true) {
                        // It should be gone in a moment. If it stays all the same, it is ended.
                        let shared = Arc::clone(&self.shared);
                        let grace = self.options.stop_timeout;
                        tokio::spawn(async move {
                            tokio::time::sleep(grace).await;
                            shared.tell(Event::Hopeless(worker));
                        });
                    }
                }
                self.bury(worker);
            }
            Event::Confused(worker) => {
                log!("worker {worker} sent what makes no sense; it is ended");
                self.kill(worker);
            }
            Event::Hopeless(worker) => self.kill(worker),
            Event::Crowded => self.crowded = true,
            Event::Stop(done) => {
                let wanted = lock(&self.shared.pool).close();
                let grace = if wanted {
                    Duration::ZERO
                } else {
                    self.options.stop_timeout
                };
                self.stopping = Some(Stopping {
                    done,
                    deadline: Instant::now() + grace,
                });
            }
        }
    }

    fn said(&mut self, id: TemplateId, message: Message) {
        match message {
            Message::Loaded { threads } => self.loaded(id, threads),
            Message::Failed { reason, traceback } => {
                let target = &self.options.target;
                let traceback = traceback.trim_end();
                self.import_failed(
                    id,
                    match traceback {
                        "" => anyhow!("cannot use `import:{target}`: {reason}"),
                        _ => anyhow!("cannot import `{target}`: {reason}\n{traceback}"),
                    },
                );
            }
            Message::Outdated { version } => {
                let python = self.options.python.display();
                self.import_failed(
                    id,
                    anyhow!(
                        "`{python}` is Python {version}, but 3.8 or later is needed\n\
                     hint: set runner.python to the interpreter to be used"
                    ),
                );
            }
            Message::Forked { worker, pid } => self.joined(worker, Process::new(pid)),
            Message::Unforked { worker, reason } => {
                self.members.remove(&worker);
                self.failed(anyhow!("cannot fork a worker: {reason}"));
            }
            Message::Died { pid, status } => self.died(pid, status),
        }
    }

    fn loaded(&mut self, id: TemplateId, threads: i64) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        source.loading = None;
        if threads > 0 && source.becomes.is_none() {
            log!(
                "`{}` started {threads} thread{} while it was imported, which a fork would lose: \
                 each worker imports it afresh (as with runner.workers.preload = False)",
                self.options.target,
                if threads == 1 { "" } else { "s" }
            );
            self.afresh = true;
            self.members.retain(|_, member| member.source != id);
            self.end_source(id);
            return;
        }
        let waiting: Vec<WorkerId> = self
            .members
            .iter()
            .filter(|(_, member)| member.source == id && member.watch.is_none())
            .map(|(&worker, _)| worker)
            .collect();
        let becomes = source.becomes;
        for worker in waiting {
            self.employ(worker);
        }
        if let Some(worker) = becomes {
            self.joined(worker, None);
        }
    }

    /// The application could not be imported.
    fn import_failed(&mut self, id: TemplateId, error: anyhow::Error) {
        self.members
            .retain(|_, member| member.source != id || member.watch.is_some());
        self.end_source(id);
        self.failed(error);
    }

    /// A worker could not be started: the end of the start, later on a reason to wait before the next attempt.
    fn failed(&mut self, error: anyhow::Error) {
        if let Some(starting) = self.starting.take() {
            lock(&self.shared.pool).close();
            let shared = Arc::clone(&self.shared);
            let (done, stopped) = oneshot::channel();
            self.stopping = Some(Stopping {
                done,
                deadline: Instant::now(),
            });
            tokio::spawn(async move {
                // The error is told when nothing is left running. `shared` keeps the inbox open until then.
                let _ = stopped.await;
                drop(shared);
                let _ = starting.send(Err(error));
            });
            return;
        }
        self.early_deaths += 1;
        let delay = back_off(self.early_deaths);
        self.not_before = Instant::now() + delay;
        log!(
            "{error:#}\nthe next attempt is in {:.1} s",
            delay.as_secs_f64()
        );
    }

    fn silent(&mut self, id: TemplateId) {
        if self
            .sources
            .get(&id)
            .is_some_and(|source| source.loading.is_some())
        {
            let target = &self.options.target;
            self.import_failed(
                id,
                anyhow!("the process ended while it imported `{target}`"),
            );
        }
    }

    fn exited(&mut self, id: TemplateId, status: ExitStatus) {
        let Some(source) = self.sources.remove(&id) else {
            return;
        };
        if source.loading.is_some() && self.stopping.is_none() {
            let target = &self.options.target;
            let error = anyhow!("Python {} while it imported `{target}`", cause(status));
            self.import_failed(id, error);
        }
        if let Some(worker) = source.becomes {
            self.ended(worker, status);
        } else if source.loading.is_none() && source.kill.is_some() && self.stopping.is_none() {
            log!("the template {}; its workers go on", cause(status));
        }
        // What it was to fork never came to be. What it has forked is ours now.
        self.members
            .retain(|_, member| member.source != id || member.process.is_some());
        self.reap_orphans();
    }

    fn died(&mut self, pid: i32, status: i32) {
        let is_it = |member: &Member| member.process.as_ref().is_some_and(|it| it.id() == pid);
        let found = self
            .members
            .iter()
            .find(|(_, member)| member.status.is_none() && is_it(member))
            .map(|(&worker, _)| worker);
        if let Some(worker) = found {
            self.ended(worker, ExitStatus::from_raw(status));
        }
    }

    fn ended(&mut self, worker: WorkerId, status: ExitStatus) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.status = Some(status);
            member.lost = true;
            self.bury(worker);
        }
    }

    /// Workers whose template has died are our children now.
    fn reap_orphans(&mut self) {
        let mut dead = Vec::new();
        for (&worker, member) in &self.members {
            if let (None, Some(process)) = (member.status, &member.process)
                && !self.sources.contains_key(&member.source)
                && let Some(status) = process.reap()
            {
                dead.push((worker, ExitStatus::from_raw(status)));
            }
        }
        for (worker, status) in dead {
            self.ended(worker, status);
        }
    }

    /// Forgets a worker whose process has ended and whose last words are read, and says how it ended.
    fn bury(&mut self, worker: WorkerId) {
        let ended = self
            .members
            .get(&worker)
            .filter(|member| member.open_lanes.is_none_or(|open| open == 0));
        let Some(status) = ended.and_then(|member| member.status) else {
            return;
        };
        let member = self.members.remove(&worker);
        let Some(remains) = lock(&self.shared.pool).remove(worker) else {
            return;
        };
        if self.stopping.is_some() {
            return;
        }
        let name = member
            .and_then(|member| member.process)
            .map_or_else(String::new, |process| format!(" {}", process.id()));
        let last: Vec<String> = remains.last.iter().map(ToString::to_string).collect();
        let during = if last.is_empty() {
            String::new()
        } else {
            format!(" while it answered {} (502)", last.join(" and "))
        };
        if remains.answered > 0 {
            self.early_deaths = 0;
            log!("worker{name} {}{during}; it is replaced", cause(status));
        } else {
            self.early_deaths += 1;
            let delay = back_off(self.early_deaths);
            self.not_before = Instant::now() + delay;
            log!(
                "worker{name} {}{during} before its first answer; it is replaced in {:.1} s",
                cause(status),
                delay.as_secs_f64()
            );
        }
    }

    fn kill(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get_mut(&worker) else {
            return;
        };
        member.lost = true;
        match &member.process {
            Some(process) => process.kill(),
            None => {
                let source = member.source;
                self.end_source(source);
            }
        }
    }

    /// Ends a template's process. It is forgotten when it has exited.
    fn end_source(&mut self, id: TemplateId) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.loading = None;
            // Dropping the sender has the same effect.
            drop(source.kill.take());
        }
    }

    fn end_slow_starters(&mut self, now: Instant) {
        let limit = self.options.start_timeout;
        let slow: Vec<TemplateId> = self
            .sources
            .iter()
            .filter(|(_, source)| {
                let since = source.loading;
                !limit.is_zero() && since.is_some_and(|since| now - since >= limit)
            })
            .map(|(&id, _)| id)
            .collect();
        for id in slow {
            let error = anyhow!(
                "`{}` was not imported within {} s (runner.start_timeout)",
                self.options.target,
                limit.as_secs_f64()
            );
            self.import_failed(id, error);
        }
    }

    /// The end: workers leave by themselves, or, when the time is over, are ended; then the templates.
    fn wind_up(&mut self, over: bool) {
        // Those that do not exist yet need not begin to.
        self.members.retain(|_, member| member.open_lanes.is_some());
        if over {
            let alive: Vec<WorkerId> = self.members.keys().copied().collect();
            for worker in alive {
                self.kill(worker);
            }
        }
        let idle: Vec<TemplateId> = self
            .sources
            .iter()
            .filter(|(id, _)| !self.members.values().any(|member| member.source == **id))
            .map(|(&id, _)| id)
            .collect();
        for id in idle {
            self.end_source(id);
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Passes on what a template says.
async fn listen(shared: Arc<Shared>, id: TemplateId, mut inbox: Inbox) {
    while let Some(message) = inbox.next().await {
        shared.tell(Event::Said(id, message));
    }
    shared.tell(Event::Silent(id));
}

/// Waits for a template's process to end, and ends it when told to.
async fn wait(
    shared: Arc<Shared>,
    id: TemplateId,
    mut child: Child,
    killed: oneshot::Receiver<()>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        _ = killed => {
            // An error means that it has ended by itself.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    shared.tell(Event::Exited(id, status.unwrap_or_default()));
}

/// Reads what a lane sends until the end, and settles what is left then.
async fn attend(shared: Arc<Shared>, seat: (WorkerId, usize)) {
    if reader::read_lane(&shared, seat).await.is_err() {
        shared.tell(Event::Confused(seat.0));
    }
    lock(&shared.pool).lane_closed(seat);
    shared.wake();
    shared.tell(Event::LaneClosed(seat.0));
}

/// How long to wait before the successor of a worker that died before its first answer is started: a tenth of a
/// second, doubled for each that dies like this in a row, at most half a minute.
fn back_off(early_deaths: u32) -> Duration {
    let doublings = early_deaths.saturating_sub(1).min(16);
    FIRST_DELAY
        .saturating_mul(1 << doublings)
        .min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::back_off;

    #[test]
    fn delays_double_up_to_half_a_minute() {
        let delays: Vec<u128> = [1, 2, 3, 9, 10, 1000]
            .map(|deaths| back_off(deaths).as_millis())
            .to_vec();
        assert_eq!(delays, [100, 200, 400, 25_600, 30_000, 30_000]);
        assert!(back_off(u32::MAX) <= Duration::from_secs(30));
    }
}
