//! How workers begin and how they end: from the order to a template until nothing of a worker is left.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::oneshot;

use crate::children::left_behind::{END_TIMEOUT, LeftBehind};
use crate::workers::hub::{Hub, lock};
use crate::workers::id::{TemplateId, WorkerId};
use crate::workers::memory::OutOfMemory;
use crate::workers::options::{GRACE, WorkerOptions};
use crate::workers::pool::worker::Worker;
use crate::workers::python::template::TemplateMessage;
use crate::workers::staff::attempts::{Attempts, Outcome, not_begun};
use crate::workers::staff::death::{Death, Exit, Meaning};
use crate::workers::staff::life_stage::Change;
use crate::workers::staff::member::{Life, Member};
use crate::workers::staff::members::Members;
use crate::workers::staff::retirement::quota;
use crate::workers::staff::template_processes::{TemplateState, Templates};
use crate::{children, log, unix};

/// The workers of an application and their templates.
#[derive(Debug)]
pub(crate) struct Workforce {
    hub: Arc<Hub>,
    options: Arc<WorkerOptions>,
    pub(crate) templates: Templates,
    pub(crate) members: Members,
    pub(crate) attempts: Attempts,
    left_behind: LeftBehind,
    out_of_memory: OutOfMemory,
    pub(crate) stopping: Option<StaffStop>,
}

/// All workers are to leave.
#[derive(Debug)]
pub(crate) struct StaffStop {
    /// To be told when all have ended.
    pub(crate) done: oneshot::Sender<()>,
    /// Workers that have not left by then are killed.
    pub(crate) kill_at: Instant,
}

impl Workforce {
    pub(crate) fn new(hub: Arc<Hub>, options: Arc<WorkerOptions>, starting: Outcome) -> Self {
        Self {
            templates: Templates::new(Arc::clone(&hub), Arc::clone(&options)),
            members: Members::default(),
            attempts: Attempts::new(Arc::clone(&hub), starting, Instant::now()),
            left_behind: LeftBehind::default(),
            out_of_memory: OutOfMemory::watch(),
            stopping: None,
            hub,
            options,
        }
    }

    /// Whether all workers were to leave and nothing is left of them.
    pub(crate) fn is_over(&self) -> bool {
        self.stopping.is_some()
            && self.members.all.is_empty()
            && self.templates.all.is_empty()
            && self.left_behind.is_over()
            && !self.is_crowded()
    }

    pub(crate) fn is_crowded(&self) -> bool {
        lock(&self.hub.pool).is_crowded()
    }

    /// Ends what has had its time.
    pub(crate) fn end_late(&mut self, now: Instant) {
        self.templates.ask_slow(now);
        self.kill_deaf_template(now);
        self.kill_late_beginners(now);
        self.kill_late_leavers(now);
        self.templates.kill_late(now);
        self.left_behind.end(now);
    }

    /// When [`Workforce::end_late`] has something to do.
    pub(crate) fn deadlines(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let deaf = self.oldest_order();
        let deaf = deaf.and_then(|(_, sent)| Some(sent + self.patience()?));
        let stop = self.stopping.as_ref().map(|stopping| stopping.kill_at);
        self.templates
            .deadlines()
            .chain(
                self.members
                    .deadlines(self.options.begin_timeout(self.stopping.is_some())),
            )
            .chain(self.left_behind.deadlines(now))
            .chain(deaf)
            .chain(stop)
    }

    // How workers begin.

    /// Starts the template that forks workers, if there is none.
    pub(crate) fn keep_template(&mut self, now: Instant) {
        if !self.templates.afresh
            && self.attempts.is_allowed(now)
            && self.templates.forking().is_none()
            && let Err(error) = self.templates.start(None)
        {
            self.failed(error, now);
        }
    }

    /// Starts a worker, to take the place of another or beside those that there are.
    pub(crate) fn recruit(&mut self, replaces: Option<WorkerId>) {
        let id = self.templates.next_worker();
        let since = Instant::now();
        match self.templates.provide(id) {
            Ok((template, is_ready)) => {
                let life = Life::Planned;
                let member = Member {
                    template,
                    since,
                    replaces,
                    life,
                };
                self.members.all.insert(id, member);
                if is_ready {
                    self.order(id, template);
                }
            }
            Err(error) => self.failed(error, since),
        }
    }

    /// Orders a worker from a template that is ready.
    fn order(&mut self, id: WorkerId, template: TemplateId) {
        match self.templates.order(template, id) {
            Ok(order) => {
                if let Some(member) = self.members.all.get_mut(&id) {
                    member.life = Life::Ordered(order);
                }
            }
            Err(error) => {
                self.members.all.remove(&id);
                self.failed(error, Instant::now());
            }
        }
    }

    /// A template has sent a message.
    pub(crate) fn said(&mut self, id: TemplateId, message: TemplateMessage) {
        let begun = self.templates.importing_since(id);
        let begun = begun.unwrap_or_else(Instant::now);
        match message {
            TemplateMessage::Imported { folders } => {
                let development = self.options.development.iter();
                development.for_each(|imported| imported.add(&folders));
            }
            TemplateMessage::Loaded { hindrances } => self.loaded(id, &hindrances),
            TemplateMessage::Failed(failure) => self.import_failed(id, begun, failure.into()),
            TemplateMessage::Outdated { version } => {
                self.import_failed(id, begun, self.templates.outdated(&version));
            }
            TemplateMessage::Forked { worker, pid } => self.started(worker, pid),
            TemplateMessage::Unforked { worker, reason } => {
                let ordered = self.members.all.remove(&worker).map(|member| member.since);
                let ordered = ordered.unwrap_or_else(Instant::now);
                self.failed(anyhow!("cannot fork a worker: {reason}"), ordered);
            }
            TemplateMessage::Died { pid, status } => {
                if let Some(worker) = self.members.with_pid(pid) {
                    self.ended(worker, Exit::Known(ExitStatus::from_raw(status)));
                }
            }
        }
    }

    /// A template has imported the application, and makes the workers that are planned.
    fn loaded(&mut self, id: TemplateId, hindrances: &str) {
        let mut planned = self.members.planned(id);
        let makes = self.templates.imported(id, hindrances, &planned);
        for worker in planned.split_off(makes) {
            self.members.all.remove(&worker);
        }
        for worker in planned {
            self.order(worker, id);
        }
        if let Some((worker, pid)) = self.templates.becomes(id) {
            self.started(worker, pid);
        }
    }

    /// A worker's process exists.
    fn started(&mut self, id: WorkerId, pid: i32) {
        let quota = quota(self.options.retire_after.requests);
        if let Some(member) = self.members.all.get_mut(&id)
            && member.start(&self.hub, id, pid, quota)
        {
            self.templates.has_forked();
        }
    }

    // Starts that fail.

    /// A worker cannot serve, and ends.
    pub(crate) fn unable(&mut self, id: WorkerId, reason: &str) {
        if let Some(since) = self.members.all.get(&id).map(|member| member.since) {
            // Its end is no news.
            self.leaves(id, Change::IsReleased);
            lock(&self.hub.pool).leave(id);
            let target = &self.options.target;
            self.failed(anyhow!("cannot start `import:{target}`: {reason}"), since);
        }
    }

    /// A template could not import the application, which it began at some time.
    fn import_failed(&mut self, id: TemplateId, begun: Instant, error: anyhow::Error) {
        for worker in self.members.planned(id) {
            self.members.all.remove(&worker);
        }
        self.templates.import_failed(id, Instant::now() + GRACE);
        self.failed(error, begun);
    }

    /// A worker that was ordered at some time could not be started.
    fn failed(&mut self, error: anyhow::Error, ordered: Instant) {
        if self.stopping.is_some() && self.attempts.starting.is_none() {
            // There is no next attempt: it would fail, too. Requests that wait for a worker are refused now.
            if self.is_crowded() && self.members.serving() == 0 {
                crate::log_error!(about = self.hub.subject(), "{error:#}");
                lock(&self.hub.pool).close(Instant::now());
                self.hub.wake();
            }
            return;
        }
        if let Some(done) = self.attempts.failed(error, ordered) {
            let kill_at = Instant::now() + GRACE;
            self.stopping = Some(StaffStop { done, kill_at });
        }
    }

    /// A process that was to serve or to fork has ended before it was asked anything. Returns the seconds until the next
    /// attempt, if there is one.
    fn ended_early(&mut self, failure: &str, ordered: Instant) -> Option<f64> {
        let limits = &self.options.resources;
        match self.attempts.ended_early(failure, limits, ordered) {
            Ok(delay) => Some(delay),
            Err(error) => {
                self.failed(error, ordered);
                None
            }
        }
    }

    /// The import of the application takes too long. The stack says where it is.
    pub(crate) fn kill_slow_template(&mut self, id: TemplateId, stack: &str) {
        // Otherwise it has imported the application, or has ended, meanwhile.
        if let Some(begun) = self.templates.importing_since(id) {
            self.templates.kill(id);
            self.import_failed(id, begun, self.templates.too_slow(stack));
        }
    }

    /// How long the template may take to fork.
    fn patience(&self) -> Option<Duration> {
        let is_outage = self.attempts.starting.is_none() && self.members.serving() == 0;
        self.templates.patience(is_outage)
    }

    /// The oldest order that the template has not carried out, and when it was given.
    fn oldest_order(&self) -> Option<(TemplateId, Instant)> {
        let (template, _) = self.templates.forking()?;
        Some((template, self.members.oldest_order(template)?))
    }

    /// Kills a template that was told to fork and has not for too long. Another one is started.
    fn kill_deaf_template(&mut self, now: Instant) {
        if let Some((template, sent)) = self.oldest_order()
            && let Some(patience) = self.patience().filter(|&limit| now - sent >= limit)
        {
            self.members.forget_unstarted(Some(template));
            let error = self.templates.kill_deaf(template, patience);
            self.failed(error, sent);
        }
    }

    /// Ends workers that have not begun to serve in time. That is a failed start, as an import that takes too long.
    fn kill_late_beginners(&mut self, now: Instant) {
        let limit = self.options.begin_timeout(self.stopping.is_some());
        for worker in self.members.late_beginners(limit, now) {
            let Some(since) = self.members.all.get(&worker).map(|member| member.since) else {
                continue;
            };
            if let Some(live) = self.members.live(worker) {
                // Its end is no news.
                live.change(Change::IsReleased);
                live.kill();
            }
            let error = not_begun(&self.options, limit, self.stopping.is_some());
            self.failed(error, since);
        }
    }

    // How workers and templates end.

    /// A template's process has ended.
    pub(crate) fn exited(&mut self, id: TemplateId, status: ExitStatus) {
        let importing = self.templates.importing_since(id);
        let Some(process) = self.templates.all.remove(&id) else {
            return;
        };
        if let (Some(begun), None) = (importing, &self.stopping) {
            let error = match status.signal() {
                // It was asked where it is before it could be asked anything.
                Some(unix::STACK_SIGNAL) => self.templates.too_slow(""),
                Some(_) | None => {
                    let cause = Exit::Known(status).cause(false, &mut self.out_of_memory);
                    anyhow!("Python {cause} while it imported `{}`", self.options.target)
                }
            };
            self.import_failed(id, begun, error);
        }
        if let Some(worker) = process.becomes {
            self.ended(worker, Exit::Known(status));
        } else if process.state == TemplateState::Ready && self.stopping.is_none() {
            let cause = Exit::Known(status).cause(false, &mut self.out_of_memory);
            let failure = format!("the template {cause}");
            if let Some(delay) = self.ended_early(&failure, Instant::now()) {
                crate::log_error!(
                    about = self.hub.subject(),
                    "{failure}; its workers go on, and it is started anew in {delay:.1} s"
                );
            }
        }
        if let Some(pid) = process.pid {
            let mark = process.becomes.map(|id| self.templates.mark.of(Some(id)));
            self.left_behind.by(pid, mark, Instant::now());
        }
        // Workers that it was to fork never come to be. Those that it has forked are children of runner now.
        self.members.forget_unstarted(Some(id));
        self.reap_orphans();
    }

    /// A worker's process has ended.
    fn ended(&mut self, id: WorkerId, exit: Exit) {
        if let Some(live) = self.members.live(id) {
            live.exit = Some(exit);
            live.change(Change::IsLost);
            live.ended.cancel();
            let mark = self.templates.mark.of(Some(id));
            self.left_behind.by(live.pid(), Some(mark), Instant::now());
            self.bury(id);
        }
    }

    /// Waits for workers whose template has died: they are children of runner now, as are the processes that workers leave
    /// behind. A template that was just ended may have waited for a worker without saying so.
    pub(crate) fn reap_orphans(&mut self) {
        children::bury_orphans();
        let orphan = |member: &Member| !self.templates.all.contains_key(&member.template);
        for id in self.members.ids(orphan) {
            let Some(live) = self.members.live(id).filter(|live| live.exit.is_none()) else {
                continue;
            };
            let status = match live.process.reap() {
                Ok(Some(status)) => Exit::Known(ExitStatus::from_raw(status)),
                Err(_) if live.process.has_ended() => live.presumed_exit(),
                Ok(None) | Err(_) => continue,
            };
            self.ended(id, status);
        }
    }

    /// All that a lane of a worker had sent is read.
    pub(crate) fn lane_closed(&mut self, id: WorkerId) {
        if let Some(live) = self.members.live(id) {
            live.open_lanes = live.open_lanes.saturating_sub(1);
        }
        self.leaves(id, Change::IsLost);
        self.bury(id);
    }

    /// Forgets a worker whose process has ended and whose lanes are read to the end, and logs how it ended.
    fn bury(&mut self, id: WorkerId) {
        let live = self.members.all.get(&id).and_then(Member::live);
        let live = live.filter(|live| live.open_lanes == 0);
        let Some((live, exit)) = live.and_then(|live| Some((live, live.exit?))) else {
            return;
        };
        let (pid, stage, killed) = (live.pid(), live.stage, live.killed);
        let mut pool = lock(&self.hub.pool);
        let began = pool.workers.all.get(&id).is_some_and(Worker::has_begun);
        let remains = pool.remove(id);
        drop(pool);
        let (Some(member), Some(remains)) = (self.members.all.remove(&id), remains) else {
            return;
        };
        log::lost(remains.lost_lines);
        let death = Death {
            pid,
            cause: &exit.cause(killed, &mut self.out_of_memory),
            stage,
            began,
            stopping: self.stopping.is_some(),
            remains: &remains,
        };
        let meaning = death.meaning();
        if !matches!(meaning, Meaning::Expected(_)) {
            lock(&self.hub.roster).deaths += 1;
        }
        let is_unasked = matches!(meaning, Meaning::Unasked(_));
        let about = remains.log_subject(self.hub.subject_of(pid));
        match meaning {
            Meaning::Expected(None) => {}
            Meaning::Expected(Some(text)) => log!(about = about, "{text}"),
            Meaning::Early(failure) => self.died_early(&failure, &member),
            Meaning::Unasked(failure) | Meaning::Failed(failure) => {
                self.attempts.ended_serving(&failure, is_unasked);
                crate::log_error!(about = about, "{failure}; it is replaced");
            }
        }
    }

    /// A worker has ended before it began to serve.
    fn died_early(&mut self, failure: &str, member: &Member) {
        let Some(delay) = self.ended_early(failure, member.since) else {
            return;
        };
        let about = self.hub.subject();
        crate::log_error!(about = about, "{failure}; it is replaced in {delay:.1} s");
        let sound = |other: &Member| other.template == member.template && other.serves();
        if !self.members.any(sound)
            && let Some((template, _)) = self.templates.forking()
        {
            // The next attempt imports the application again: it may have been mended by then.
            self.members.forget_unstarted(Some(template));
            self.templates.end(template, Instant::now() + END_TIMEOUT);
        }
    }

    /// A worker leaves, for some reason. If it does not do so soon, it is killed.
    pub(crate) fn leaves(&mut self, id: WorkerId, change: Change) {
        let by = Instant::now() + self.options.stop_timeout.max(GRACE);
        if let Some(live) = self.members.live(id) {
            live.change(change);
            live.leave_by.get_or_insert(by);
        }
    }

    fn kill_late_leavers(&mut self, now: Instant) {
        for id in self.members.late_leavers(now) {
            let Some(live) = self.members.live(id) else {
                continue;
            };
            if live.exit.is_none() && live.process.has_ended() {
                // The process that waited for it has not said so.
                let status = live.presumed_exit();
                self.ended(id, status);
                continue;
            }
            live.leave_by = Some(now + GRACE);
            live.kill_late(&self.hub);
        }
    }

    /// The end: workers leave by themselves or, when their time is over, are killed; then the templates.
    pub(crate) fn wind_up(&mut self, now: Instant, kill_at: Instant) {
        let over = now >= kill_at;
        if !self.is_crowded() {
            // Workers that do not exist yet need not begin to, nor go on with it.
            self.members.forget_unstarted(None);
            self.members.dismiss_beginning(now);
        } else if self.members.at_work() == 0 && self.attempts.is_allowed(now) {
            // Requests that wait are answered even if the workers that were to do that have died.
            self.recruit(None);
        }
        if over {
            for id in self.members.ids(|_| true) {
                if let Some(live) = self.members.live(id) {
                    live.kill_late(&self.hub);
                }
            }
        }
        let ids: Vec<TemplateId> = self.templates.all.keys().copied().collect();
        for id in ids {
            // A template reports the end of its workers, and is needed until then.
            let is_needed = self.members.any(|member| member.template == id);
            match over {
                true => self.templates.kill(id),
                false if is_needed => {}
                false => self.templates.end(id, now + END_TIMEOUT),
            }
        }
        if self.members.all.is_empty() && self.templates.all.is_empty() {
            self.left_behind.sweep(&self.templates.mark, now);
        }
    }
}
