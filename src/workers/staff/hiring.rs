//! How a worker comes to be: a template imports the application, forks, and the worker's lanes are opened.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::children::Process;
use crate::faults::{self, caught};
use crate::log;
use crate::workers::control_socket;
use crate::workers::control_socket::Watch;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::TemplateId;
use crate::workers::id::WorkerId;
use crate::workers::options::Preload;
use crate::workers::python::template::{Inbox, Template};
use crate::workers::reader;
use crate::workers::staff::left_behind::FAREWELL;
use crate::workers::staff::{Member, Order, Source, Staff};
use crate::workers::wire::link::Link;

/// How long a template may take to fork, the first time, if there is no worker.
const PATIENCE: Duration = Duration::from_secs(3);

impl Staff {
    /// Sees to it that there is a template to fork from, a new one if the last one has died.
    pub(crate) fn keep_template(&mut self, now: Instant) {
        if !self.afresh
            && now >= self.not_before
            && self.template().is_none()
            && let Err(error) = self.open_source(None)
        {
            self.failed(error, now);
        }
    }

    /// The process that forks workers.
    pub(crate) fn template(&self) -> Option<(&TemplateId, &Source)> {
        let forks = |source: &Source| {
            source.becomes.is_none() && source.end_by.is_none() && source.kill.is_some()
        };
        self.sources.iter().find(|(_, source)| forks(source))
    }

    /// Orders a worker, to take the place of another or beside those that there are, and a template for it if
    /// there is none.
    pub(crate) fn hire(&mut self, replaces: Option<WorkerId>) {
        self.last_id += 1;
        let worker = self.last_id;
        let running = match self.afresh {
            true => None,
            false => self.template(),
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
                        since: Instant::now(),
                        links: Vec::new(),
                        process: None,
                        order: None,
                        watch: None,
                        beginning: None,
                        open_lanes: None,
                        lost: false,
                        overdue: false,
                        released: false,
                        gone_by: None,
                        killed: false,
                        replaces,
                        due: None,
                        large_from_the_start: false,
                        status: None,
                        ended: CancellationToken::new(),
                    },
                );
                if loaded {
                    self.employ(worker);
                }
            }
            Err(error) => self.failed(error, Instant::now()),
        }
    }

    /// Starts a template.
    pub(crate) fn open_source(&mut self, becomes: Option<WorkerId>) -> anyhow::Result<TemplateId> {
        let (template, inbox, (child, awaited)) =
            Template::start(&self.options, &self.mark, becomes)?;
        self.last_id += 1;
        let id = self.last_id;
        let (kill, killed) = oneshot::channel();
        let hears = listen(Arc::clone(&self.shared), id, inbox);
        faults::spawn_vital("the task that hears what starts workers", hears);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let waits = wait(Arc::clone(&self.shared), id, child, killed);
        faults::spawn_vital("the task that waits for what starts workers", waits);
        self.sources.insert(
            id,
            Source {
                template,
                becomes,
                loading: Some(Instant::now()),
                end_by: None,
                kill: Some(kill),
                pid,
                _awaited: awaited,
            },
        );
        Ok(id)
    }

    /// Gives a template that is ready the order for a worker.
    pub(crate) fn employ(&mut self, worker: WorkerId) {
        if let Err(error) = self.try_employ(worker) {
            self.members.remove(&worker);
            self.failed(error, Instant::now());
        }
    }

    pub(crate) fn try_employ(&mut self, worker: WorkerId) -> anyhow::Result<()> {
        let member = self.members.get_mut(&worker).context("no such worker")?;
        let source = self
            .sources
            .get(&member.source)
            .context("the template is gone")?;
        let (line, watched) = UnixStream::pair().context("cannot make a socket")?;
        // The worker waits in its calls.
        let watched = watched.into_std()?;
        watched.set_nonblocking(false)?;
        let mut far_ends = Vec::new();
        for _ in 0..self.options.threads.max(1) {
            let (link, far_end) = Link::pair().context("cannot make a lane")?;
            member.links.push(link);
            far_ends.push(far_end);
        }
        let fork = source.becomes.is_none();
        let ordered = source
            .template
            .order(worker, fork, watched.as_fd(), &far_ends);
        if let Err(error) = ordered
            && !is_gone(&error)
        {
            let source = member.source;
            self.kill_source(source);
            return Err(error);
        }
        // Of one that is gone we hear how it has ended, which says more.
        member.order = Some(Order {
            sent: Instant::now(),
            line,
        });
        Ok(())
    }

    pub(crate) fn loaded(&mut self, id: TemplateId, hindrances: &str) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        source.loading = None;
        source.template.stacks = None;
        if !hindrances.is_empty() && source.becomes.is_none() {
            self.deter(id, hindrances);
        }
        if self.sources.get(&id).is_none_or(|it| it.end_by.is_some()) {
            return;
        }
        let waiting: Vec<WorkerId> = self
            .members
            .iter()
            .filter(|(_, member)| member.source == id && !member.was_ordered())
            .map(|(&worker, _)| worker)
            .collect();
        for worker in waiting {
            self.employ(worker);
        }
        let Some(source) = self.sources.get(&id) else {
            return;
        };
        let (becomes, pid) = (source.becomes, source.pid);
        if let Some(worker) = becomes {
            self.joined(worker, pid.and_then(Process::new).map(Arc::new));
        }
    }

    /// A template has imported the application, and has what its forks could not share: unless that is insisted on, the
    /// application is imported afresh in each worker, but for one, which this template becomes.
    fn deter(&mut self, id: TemplateId, hindrances: &str) {
        let target = &self.options.target;
        let said = format!("the import of `{target}` leaves what forks cannot share: {hindrances}");
        if self.options.preload == Preload::Always {
            if !std::mem::replace(&mut self.warned, true) {
                log!("{said}; workers are forked all the same (runner.workers.preload = True)");
            }
            return;
        }
        log!("{said}; each worker imports it afresh (as with runner.workers.preload = False)");
        self.afresh = true;
        let its = |member: &Member| member.source == id && !member.was_ordered();
        let mut waiting = self.members.iter().filter(|(_, member)| its(member));
        let first = waiting.next().map(|(&worker, _)| worker);
        self.members
            .retain(|&worker, member| !its(member) || Some(worker) == first);
        match (first, self.sources.get_mut(&id)) {
            (Some(worker), Some(source)) => source.becomes = Some(worker),
            (Some(_), None) | (None, _) => self.end_source(id, Instant::now() + FAREWELL),
        }
    }

    /// A worker exists: it gets requests, and begins.
    pub(crate) fn joined(&mut self, worker: WorkerId, process: Option<Arc<Process>>) {
        let Some(member) = self.members.get_mut(&worker) else {
            return;
        };
        if let (Some(order), Some(process)) = (member.order.take(), &process) {
            let process = Arc::clone(process);
            member.watch = Some(Watch::new(&self.shared, worker, order.line, process));
        }
        member.process = process;
        member.beginning = Some(Instant::now());
        member.open_lanes = Some(member.links.len());
        let links = std::mem::take(&mut member.links);
        let lanes = links.len();
        let ended = member.ended.clone();
        let quota = self.options.turnover.quota();
        lock(&self.shared.pool).add(worker, links, quota);
        for lane in 0..lanes {
            tokio::spawn(attend(
                Arc::clone(&self.shared),
                (worker, lane),
                ended.clone(),
            ));
        }
        self.shared.wake();
        self.deaf = 0;
    }

    /// A worker has begun to serve. Not before then has its start succeeded, and may whom it replaces leave.
    pub(crate) fn begun(&mut self, worker: WorkerId) {
        let member = self.members.get_mut(&worker);
        if member.and_then(|member| member.beginning.take()).is_some() {
            self.weigh_new(worker);
            self.succeed(worker);
        }
    }

    /// Ends workers that exist for long enough and have not begun to serve.
    pub(crate) fn end_slow_beginners(&mut self, now: Instant) {
        let limit = self.options.start_timeout;
        let is_slow = |member: &Member| {
            let begins = member.beginning.filter(|_| !member.killed);
            begins.is_some_and(|since| now - since >= limit)
        };
        let slow = self.members.iter().filter(|(_, member)| is_slow(member));
        let slow: Vec<WorkerId> = slow.map(|(&worker, _)| worker).collect();
        for worker in slow.into_iter().filter(|_| !limit.is_zero()) {
            let process = self.members.get(&worker).and_then(|it| it.process.as_ref());
            let name = process.map_or_else(String::new, |process| format!(" {}", process.id()));
            let seconds = limit.as_secs_f64();
            log!(
                "worker{name} has not begun to serve within {seconds} s (runner.start_timeout); it is ended"
            );
            self.kill(worker);
        }
    }

    /// Asks those that take too long to import the application where they are, before they are ended for it.
    pub(crate) fn ask_slow_starters(&mut self, now: Instant) {
        let limit = self.options.start_timeout;
        if limit.is_zero() {
            return;
        }
        for (&id, source) in &mut self.sources {
            if source.loading.is_some_and(|since| now - since >= limit)
                && let Some(socket) = source.template.stacks.take()
            {
                let shared = Arc::clone(&self.shared);
                let process = source.pid.and_then(Process::new);
                tokio::spawn(async move {
                    let stack = match process {
                        Some(process) => control_socket::importing(&process, &socket).await,
                        None => String::new(),
                    };
                    shared.tell(WorkerEvent::Hanging(id, stack));
                });
            }
        }
    }

    /// The import of the application takes too long; it stands there.
    pub(crate) fn end_slow_starter(&mut self, id: TemplateId, stack: &str) {
        let source = self.sources.get(&id);
        let Some(begun) = source.and_then(|source| source.loading) else {
            // It was done, or has ended, before it could say so.
            return;
        };
        self.kill_source(id);
        self.import_failed(id, begun, self.too_slow(stack));
    }

    /// How long a template may take to fork, which takes it milliseconds; `None` for as long as it likes. Where there is
    /// no worker any more, that is an outage, and the template is not waited for: a little longer each time, since it may be the
    /// machine that is slow.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let limit = Some(self.options.start_timeout).filter(|limit| !limit.is_zero());
        if self.starting.is_some() || self.members.values().any(Member::serves) {
            return limit;
        }
        let short = PATIENCE.saturating_mul(1 << self.deaf.min(16));
        Some(limit.map_or(short, |limit| short.min(limit)))
    }

    /// Ends a template that was told to fork and has not said that it has: something holds it up. What it has forked
    /// goes on, and another one is started.
    pub(crate) fn end_deaf_template(&mut self, now: Instant) {
        let Some((&template, _)) = self.template() else {
            return;
        };
        let its = self.members.values().filter(|it| it.source == template);
        let orders = its.filter_map(|member| member.order.as_ref());
        let Some(sent) = orders.map(|order| order.sent).min() else {
            return;
        };
        let Some(patience) = self.patience().filter(|&limit| now - sent >= limit) else {
            return;
        };
        self.kill_template();
        let seconds = patience.as_secs_f64();
        let why = match patience == self.options.start_timeout {
            true => " (runner.start_timeout)",
            false => ", and there is no worker",
        };
        self.deaf += 1;
        let error = anyhow!("the template did not fork within {seconds} s{why}");
        self.failed(error, sent);
    }

    /// What to say of an import that takes too long and stands there.
    pub(crate) fn too_slow(&self, stack: &str) -> anyhow::Error {
        let target = &self.options.target;
        let limit = self.options.start_timeout.as_secs_f64();
        let said = format!("`{target}` was not imported within {limit} s (runner.start_timeout)");
        match stack.trim_end() {
            "" => anyhow!(said),
            stack => anyhow!("{said}. Stack (most recent call last):\n{stack}"),
        }
    }
}

/// Whether the other side of a socket has ended, or is about to.
fn is_gone(error: &anyhow::Error) -> bool {
    let kind = error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
    )
}

/// Passes on what a template says, until it has become a worker or has ended.
async fn listen(shared: Arc<Hub>, id: TemplateId, mut inbox: Inbox) {
    while let Some(message) = inbox.next().await {
        shared.tell(WorkerEvent::Said(id, message));
    }
}

/// Waits for a template's process to end, and ends it when told to.
async fn wait(shared: Arc<Hub>, id: TemplateId, mut child: Child, killed: oneshot::Receiver<()>) {
    let status = tokio::select! {
        status = child.wait() => status,
        _ = killed => {
            // An error means that it has ended by itself.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    shared.tell(WorkerEvent::Exited(id, status.unwrap_or_default()));
}

/// Reads what a lane sends until the end, and settles what is left then.
async fn attend(shared: Arc<Hub>, seat: (WorkerId, usize), ended: CancellationToken) {
    let read = caught("a lane", reader::read_lane(&shared, seat, &ended)).await;
    let mut pool = lock(&shared.pool);
    // Whichever side is at fault: nothing more is understood here.
    if !matches!(read, Ok(Ok(()))) {
        pool.reject(seat.0);
    }
    pool.lane_closed(seat);
    drop(pool);
    shared.wake();
    shared.tell(WorkerEvent::LaneClosed(seat.0));
}
