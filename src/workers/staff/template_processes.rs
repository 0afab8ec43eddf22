//! The processes that fork workers or become one: starting them, giving them orders, ending them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::oneshot;

use crate::children::left_behind::END_TIMEOUT;
use crate::children::mark::Mark;
use crate::children::{Awaited, Process};
use crate::descriptor_limit;
use crate::panics;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::Hub;
use crate::workers::id::{TemplateId, WorkerId};
use crate::workers::options::{Preload, WorkerOptions};
use crate::workers::python::template::{Inbox, Template};
use crate::workers::staff::member::WorkerOrder;
use crate::workers::wire::link::Link;
use crate::workers::worker_control;

/// How long a template may take to fork, the first time, if no worker serves.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a template does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateState {
    /// It imports the application, since this time.
    Importing(Instant),
    /// It waits for orders, or is the worker that it was to become.
    Ready,
    /// It was told to end, and is killed then.
    Ending(Instant),
    /// It is killed.
    Killed,
}

/// A template's process.
#[derive(Debug)]
pub(crate) struct TemplateProcess {
    template: Template,
    /// The worker that it is to become, where workers are not forked.
    pub(crate) becomes: Option<WorkerId>,
    pub(crate) state: TemplateState,
    pub(crate) pid: Option<i32>,
    /// Kills the process when dropped.
    kill: Option<oneshot::Sender<()>>,
    _awaited: Option<Awaited>,
}

/// All templates, and whether the application can be forked.
#[derive(Debug)]
pub(crate) struct Templates {
    hub: Arc<Hub>,
    options: Arc<WorkerOptions>,
    /// By what the processes that they start are known.
    pub(crate) mark: Mark,
    pub(crate) all: BTreeMap<TemplateId, TemplateProcess>,
    last_template: TemplateId,
    last_worker: WorkerId,
    /// Each worker imports the application itself: because of the setting, or because the application cannot be forked.
    pub(crate) afresh: bool,
    /// The log says that the application should not be forked.
    warned: bool,
    /// How many in a row did not fork while no worker served.
    deaf: u32,
}

impl Templates {
    pub(crate) fn new(hub: Arc<Hub>, options: Arc<WorkerOptions>) -> Self {
        Self {
            hub,
            mark: Mark::new(),
            all: BTreeMap::new(),
            last_template: 0,
            last_worker: 0,
            afresh: options.preload == Preload::Never,
            warned: false,
            deaf: 0,
            options,
        }
    }

    /// A number for a worker.
    pub(crate) fn next_worker(&mut self) -> WorkerId {
        self.last_worker += 1;
        self.last_worker
    }

    /// The template that is to make a worker, and whether it is ready: a new one if there is none.
    pub(crate) fn provide(&mut self, worker: WorkerId) -> anyhow::Result<(TemplateId, bool)> {
        if self.afresh {
            return Ok((self.start(Some(worker))?, false));
        }
        match self.forking() {
            Some(template) => Ok(template),
            None => Ok((self.start(None)?, false)),
        }
    }

    /// The template that forks workers, and whether it has imported the application.
    pub(crate) fn forking(&self) -> Option<(TemplateId, bool)> {
        self.all.iter().find_map(|(&id, it)| match it.state {
            _ if it.becomes.is_some() => None,
            TemplateState::Importing(_) => Some((id, false)),
            TemplateState::Ready => Some((id, true)),
            TemplateState::Ending(_) | TemplateState::Killed => None,
        })
    }

    /// Since when a template imports the application.
    pub(crate) fn importing_since(&self, id: TemplateId) -> Option<Instant> {
        match self.all.get(&id)?.state {
            TemplateState::Importing(since) => Some(since),
            TemplateState::Ready | TemplateState::Ending(_) | TemplateState::Killed => None,
        }
    }

    /// Starts a template, to fork workers or to become one.
    pub(crate) fn start(&mut self, becomes: Option<WorkerId>) -> anyhow::Result<TemplateId> {
        self.last_template += 1;
        let id = self.last_template;
        let started = Template::start(&self.options, &self.mark, becomes);
        let (template, inbox, (child, awaited)) = started?;
        let (kill, killed) = oneshot::channel();
        let hears = listen(Arc::clone(&self.hub), id, inbox);
        panics::spawn_vital("the task that hears what starts workers", hears);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let waits = wait(Arc::clone(&self.hub), id, child, killed);
        panics::spawn_vital("the task that waits for what starts workers", waits);
        let process = TemplateProcess {
            template,
            becomes,
            state: TemplateState::Importing(Instant::now()),
            pid,
            kill: Some(kill),
            _awaited: awaited,
        };
        self.all.insert(id, process);
        Ok(id)
    }

    /// A template has imported the application, and perhaps has what forks could not share. Returns how many of the workers
    /// that are `planned` it makes.
    pub(crate) fn imported(
        &mut self,
        id: TemplateId,
        hindrances: &str,
        planned: &[WorkerId],
    ) -> usize {
        let imports = self.importing_since(id).is_some();
        let Some(process) = self.all.get_mut(&id).filter(|_| imports) else {
            return 0;
        };
        process.state = TemplateState::Ready;
        process.template.stacks = None;
        if hindrances.is_empty() || process.becomes.is_some() || self.is_forced(hindrances) {
            return planned.len();
        }
        // Each worker imports the application itself, except for one, which this template becomes.
        self.afresh = true;
        match (planned.first(), self.all.get_mut(&id)) {
            (Some(&worker), Some(process)) => process.becomes = Some(worker),
            (_, _) => self.end(id, Instant::now() + END_TIMEOUT),
        }
        planned.len().min(1)
    }

    /// Logs why the application should not be forked. Returns whether the setting insists on it.
    fn is_forced(&mut self, hindrances: &str) -> bool {
        let target = &self.options.target;
        let said = format!(
            "the import of `{target}` leaves resources that forks cannot share: {hindrances}"
        );
        let is_forced = self.options.preload == Preload::Always;
        let about = self.hub.subject();
        if !is_forced {
            crate::log_warning!(
                about = about,
                "{said}; each worker imports it itself (as with runner.workers.preload = False)"
            );
        } else if !std::mem::replace(&mut self.warned, true) {
            crate::log_warning!(
                about = about,
                "{said}; workers are forked all the same (runner.workers.preload = True)"
            );
        }
        is_forced
    }

    /// The worker that a template is to become, and its process.
    pub(crate) fn becomes(&self, id: TemplateId) -> Option<(WorkerId, i32)> {
        let process = self.all.get(&id)?;
        process.becomes.zip(process.pid)
    }

    /// Notes that a template has failed to import the application, and ends by itself.
    pub(crate) fn import_failed(&mut self, id: TemplateId, end_by: Instant) {
        if self.importing_since(id).is_some()
            && let Some(process) = self.all.get_mut(&id)
        {
            process.state = TemplateState::Ending(end_by);
        }
    }

    /// Orders a worker from a template that is ready.
    pub(crate) fn order(
        &mut self,
        id: TemplateId,
        worker: WorkerId,
    ) -> anyhow::Result<WorkerOrder> {
        let process = self.all.get(&id).context("the template is gone")?;
        let (control, watched) = UnixStream::pair().context("cannot make a socket")?;
        // The worker waits in its calls.
        let watched = watched.into_std()?;
        watched.set_nonblocking(false)?;
        let mut links = Vec::new();
        let mut far_ends = Vec::new();
        for _ in 0..self.options.threads.max(1) {
            let (link, far_end) = Link::pair().with_context(no_lane)?;
            links.push(link);
            far_ends.push(far_end);
        }
        let fork = process.becomes.is_none();
        let ordered = process
            .template
            .order(worker, fork, watched.as_fd(), &far_ends);
        // How a template that is gone has ended, which is reported soon, says more.
        if let Err(error) = ordered
            && !is_gone(&error)
        {
            self.kill(id);
            return Err(error);
        }
        Ok(WorkerOrder {
            sent: Instant::now(),
            links,
            control,
        })
    }

    /// A worker was made: templates fork.
    pub(crate) fn has_forked(&mut self) {
        self.deaf = 0;
    }

    /// How long a template may take to fork, which takes milliseconds; `None` for as long as it likes. If no worker serves,
    /// requests fail meanwhile, and the time is short: a little longer each time, since the machine may be slow.
    pub(crate) fn patience(&self, is_outage: bool) -> Option<Duration> {
        let limit = Some(self.options.start_timeout).filter(|limit| !limit.is_zero());
        if !is_outage {
            return limit;
        }
        let short = PATIENCE.saturating_mul(1 << self.deaf.min(16));
        Some(limit.map_or(short, |limit| short.min(limit)))
    }

    /// Kills the template that forks workers because it has not done so for too long. Workers that it has forked go on.
    pub(crate) fn kill_deaf(&mut self, id: TemplateId, patience: Duration) -> anyhow::Error {
        self.kill(id);
        self.deaf += 1;
        let seconds = patience.as_secs_f64();
        let why = match patience == self.options.start_timeout {
            true => " (runner.start_timeout)",
            false => ", and there is no worker",
        };
        anyhow!("the template did not fork within {seconds} s{why}")
    }

    /// The error of a template whose Python is too old.
    pub(crate) fn outdated(&self, version: &str) -> anyhow::Error {
        let python = self.options.python.display();
        anyhow!(
            "`{python}` is Python {version}, but 3.8 or later is needed\n\
             \x20= hint: set `runner.python` to the interpreter to be used"
        )
    }

    /// The error of a template that takes too long to import the application.
    pub(crate) fn too_slow(&self, stack: &str) -> anyhow::Error {
        let target = &self.options.target;
        let limit = self.options.start_timeout.as_secs_f64();
        let said = format!("`{target}` was not imported within {limit} s (runner.start_timeout)");
        match stack.trim_end() {
            "" => anyhow!(said),
            stack => anyhow!("{said}. Stack (most recent call last):\n{stack}"),
        }
    }

    /// Asks templates that take too long to import the application where they are, before they are killed for it.
    pub(crate) fn ask_slow(&mut self, now: Instant) {
        let limit = self.options.start_timeout;
        for (&id, process) in &mut self.all {
            if let TemplateState::Importing(since) = process.state
                && !limit.is_zero()
                && now - since >= limit
                && let Some(socket) = process.template.stacks.take()
            {
                let hub = Arc::clone(&self.hub);
                let process = process.pid.and_then(Process::new);
                tokio::spawn(async move {
                    let stack = match process {
                        Some(process) => worker_control::importing(&process, &socket).await,
                        None => String::new(),
                    };
                    hub.tell(WorkerEvent::Hanging(id, stack));
                });
            }
        }
    }

    /// Has a template end by then: in good order if it has imported the application. It is forgotten when it has exited.
    pub(crate) fn end(&mut self, id: TemplateId, by: Instant) {
        let Some(process) = self.all.get_mut(&id) else {
            return;
        };
        match process.state {
            TemplateState::Ending(end) => process.state = TemplateState::Ending(end.min(by)),
            TemplateState::Ready if process.becomes.is_none() && process.template.end().is_ok() => {
                process.state = TemplateState::Ending(by);
            }
            TemplateState::Importing(_) | TemplateState::Ready | TemplateState::Killed => {
                self.kill(id);
            }
        }
    }

    /// Kills a template. It is forgotten when it has exited.
    pub(crate) fn kill(&mut self, id: TemplateId) {
        if let Some(process) = self.all.get_mut(&id) {
            process.state = TemplateState::Killed;
            process.kill = None;
        }
    }

    /// Kills the templates that had time to end.
    pub(crate) fn kill_late(&mut self, now: Instant) {
        for process in self.all.values_mut() {
            if matches!(process.state, TemplateState::Ending(by) if now >= by) {
                process.state = TemplateState::Killed;
                process.kill = None;
            }
        }
    }

    /// When something about them is due.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let start_timeout = self.options.start_timeout;
        self.all.values().filter_map(move |it| match it.state {
            TemplateState::Importing(since) => {
                (!start_timeout.is_zero()).then(|| since + start_timeout)
            }
            TemplateState::Ending(by) => Some(by),
            TemplateState::Ready | TemplateState::Killed => None,
        })
    }
}

/// What to say where a lane cannot be made, mostly because too many files are open.
fn no_lane() -> String {
    match descriptor_limit::most() {
        Some(limit) => format!("cannot make a lane with at most {limit} open files (ulimit -n)"),
        None => "cannot make a lane".to_owned(),
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

/// Passes on the messages of a template until it has become a worker or has ended.
async fn listen(hub: Arc<Hub>, id: TemplateId, mut inbox: Inbox) {
    while let Some(message) = inbox.next().await {
        hub.tell(WorkerEvent::Said(id, message));
    }
}

/// Waits for a template's process to end, and kills it when `killed` says so.
async fn wait(hub: Arc<Hub>, id: TemplateId, mut child: Child, killed: oneshot::Receiver<()>) {
    let status: std::io::Result<ExitStatus> = tokio::select! {
        status = child.wait() => status,
        _ = killed => {
            // An error means that it has ended by itself.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    hub.tell(WorkerEvent::Exited(id, status.unwrap_or_default()));
}
