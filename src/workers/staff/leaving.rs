//! How workers and templates end: by themselves, by an accident, by our hand, or because everything does.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use anyhow::anyhow;

use crate::children;
use crate::children::cause;
use crate::log;
use crate::unix;
use crate::workers::hub::lock;
use crate::workers::id::TemplateId;
use crate::workers::id::WorkerId;
use crate::workers::options::MOMENT;
use crate::workers::pool::worker::Worker;
use crate::workers::staff::attempts::FIRST_DELAY;
use crate::workers::staff::left_behind::{FAREWELL, LeftBehind};
use crate::workers::staff::{Member, Staff};

impl Drop for Member {
    /// However we end, no worker stays behind.
    fn drop(&mut self) {
        if let (None, Some(process)) = (self.status, &self.process) {
            process.kill();
        }
    }
}

impl Member {
    /// How its process ended where nobody has told us.
    fn untold(&self) -> ExitStatus {
        ExitStatus::from_raw(if self.killed { 9 } else { 0 })
    }
}

impl Staff {
    pub(crate) fn exited(&mut self, id: TemplateId, status: ExitStatus) {
        let Some(source) = self.sources.remove(&id) else {
            return;
        };
        if let (Some(begun), None) = (source.loading, &self.stopping) {
            let error = match status.signal() {
                // It was asked where it is before it could be asked anything.
                Some(unix::STACK_SIGNAL) => self.too_slow(""),
                Some(_) | None => {
                    let cause = self.cause(status, false);
                    anyhow!("Python {cause} while it imported `{}`", self.options.target)
                }
            };
            self.import_failed(id, begun, error);
        }
        if let Some(worker) = source.becomes {
            self.ended(worker, status);
        } else if source.loading.is_none()
            && source.end_by.is_none()
            && source.kill.is_some()
            && self.stopping.is_none()
        {
            let failure = format!("the template {}", self.cause(status, false));
            if let Some(delay) = self.ended_early(&failure, Instant::now()) {
                log!("{failure}; its workers go on, and it is started anew in {delay:.1} s");
            }
        }
        if let Some(pid) = source.pid {
            self.leave_behind(pid, source.becomes);
        }
        // What it was to fork never came to be. What it has forked is ours now.
        self.members
            .retain(|_, member| member.source != id || member.process.is_some());
        self.reap_orphans();
    }

    /// Replaces a worker that was idle while requests waited, so that our fault costs no more than that.
    pub(crate) fn neglected(&mut self, worker: WorkerId, state: &str) {
        let Some(member) = self.members.get_mut(&worker) else {
            return;
        };
        member.lost = true;
        let process = member.process.as_ref();
        let name = process.map_or_else(String::new, |process| format!(" {}", process.id()));
        let what = format!(
            "worker{name} was idle while requests waited: a fault of runner; it is replaced"
        );
        lock(&self.shared.roster).failed(&what);
        log!("{what}\n{state}");
    }

    pub(crate) fn died(&mut self, pid: i32, status: i32) {
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

    pub(crate) fn ended(&mut self, worker: WorkerId, status: ExitStatus) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.status = Some(status);
            member.lost = true;
            if let Some(pid) = member.process.as_ref().map(|process| process.id()) {
                self.leave_behind(pid, Some(worker));
            }
            self.bury(worker);
        }
    }

    /// What a process has started that has ended, a worker or a template, is to end, too.
    fn leave_behind(&mut self, pid: i32, worker: Option<WorkerId>) {
        if self.left.iter().any(|left| left.is_by(pid)) {
            return;
        }
        let now = Instant::now();
        let mark = worker.map(|worker| self.mark.of(Some(worker)));
        let mut left = LeftBehind::by(pid, mark, now + FAREWELL);
        if left.end(now) {
            self.left.push(left);
        }
    }

    /// Looks after what processes have left that have ended.
    pub(crate) fn end_left_behind(&mut self, now: Instant) {
        self.left.retain_mut(|left| left.end(now));
    }

    /// At the end: whatever any process has started is to end.
    pub(crate) fn sweep(&mut self, now: Instant) {
        if self.swept || !self.members.is_empty() || !self.sources.is_empty() {
            return;
        }
        self.swept = true;
        children::bury_orphans();
        let mut left = LeftBehind::by_any(&self.mark, now + FAREWELL);
        if left.end(now) {
            self.left.push(left);
        }
    }

    /// Workers whose template has died are our children now, and so is whatever workers leave behind. A template that was
    /// ended just then may have waited for a worker without telling us.
    pub(crate) fn reap_orphans(&mut self) {
        children::bury_orphans();
        let mut dead = Vec::new();
        for (&worker, member) in &self.members {
            if let (None, Some(process)) = (member.status, &member.process)
                && !self.sources.contains_key(&member.source)
            {
                match process.reap() {
                    Ok(Some(status)) => dead.push((worker, ExitStatus::from_raw(status))),
                    Err(_) if process.has_ended() => dead.push((worker, member.untold())),
                    Ok(None) | Err(_) => {}
                }
            }
        }
        for (worker, status) in dead {
            self.ended(worker, status);
        }
    }

    /// Forgets a worker whose process has ended and whose last words are read, and says how it ended.
    pub(crate) fn bury(&mut self, worker: WorkerId) {
        let ended = self
            .members
            .get(&worker)
            .filter(|member| member.open_lanes.is_none_or(|open| open == 0));
        let Some(status) = ended.and_then(|member| member.status) else {
            return;
        };
        let member = self.members.remove(&worker);
        let mut pool = lock(&self.shared.pool);
        let began = pool.workers.get(worker).is_some_and(Worker::has_begun);
        let Some(remains) = pool.remove(worker) else {
            return;
        };
        drop(pool);
        log::lost(remains.lost_lines);
        let process = member.as_ref().and_then(|member| member.process.as_ref());
        let name = process.map_or_else(String::new, |process| format!(" {}", process.id()));
        let killed = member.as_ref().is_some_and(|member| member.killed);
        let cause = self.cause(status, killed);
        let losses: String = remains
            .losses
            .iter()
            .map(|loss| format!("; {loss}"))
            .collect();
        let overdue = member.as_ref().is_some_and(|member| member.overdue);
        if self.stopping.is_some() || member.as_ref().is_some_and(|member| member.released) {
            if !remains.losses.is_empty() && !overdue {
                log!("worker{name} {cause}{losses}");
            }
            return;
        }
        if overdue {
            log!("worker{name}, which had a request that was overdue, {cause}{losses}");
            return;
        }
        lock(&self.shared.roster).deaths += 1;
        if !began {
            let failure = format!("worker{name} {cause} before it was ready");
            let ordered = member.as_ref().map_or_else(Instant::now, |it| it.since);
            let Some(delay) = self.ended_early(&failure, ordered) else {
                return;
            };
            log!("{failure}; it is replaced in {delay:.1} s");
            let template = member.map(|member| member.source);
            let sound = |other: &Member| Some(other.source) == template && other.serves();
            if !self.members.values().any(sound) {
                // The next attempt is with the application as it is by then: somebody may have mended it.
                self.end_template();
            }
            return;
        }
        self.failures = 0;
        let failure = match remains.answered {
            0 => format!("worker{name} {cause} before its first answer{losses}"),
            1 => format!("worker{name} {cause}{losses}; it had answered 1 request"),
            answered => {
                format!("worker{name} {cause}{losses}; it had answered {answered} requests")
            }
        };
        if remains.answered == 0 && remains.losses.is_empty() {
            // It ended by itself. So may the next: that is no reason to wait, but one not to do nothing else.
            self.not_before = self.not_before.max(Instant::now() + FIRST_DELAY);
            self.disappoint(&failure);
        } else {
            lock(&self.shared.roster).failed(&failure);
        }
        log!("{failure}; it is replaced");
    }

    /// How a process ended, in words, with the reason where the kernel says so. A worker may have been `killed` by us.
    fn cause(&mut self, status: ExitStatus, killed: bool) -> String {
        // SIGKILL is what the kernel uses when it has no memory left.
        let shortage = self.shortage.has_killed() && status.signal() == Some(9) && !killed;
        match shortage {
            true => format!("{} (the kernel killed for lack of memory)", cause(status)),
            false => cause(status),
        }
    }

    /// A worker is to be gone soon. If it stays all the same, it is ended.
    pub(crate) fn leaves(&mut self, worker: WorkerId) {
        let by = Instant::now() + self.options.stop_timeout.max(MOMENT);
        if let Some(member) = self.members.get_mut(&worker) {
            member.lost = true;
            member.gone_by.get_or_insert(by);
        }
    }

    pub(crate) fn end_slow_leavers(&mut self, now: Instant) {
        let slow: Vec<WorkerId> = self
            .members
            .iter()
            .filter(|(_, member)| member.gone_by.is_some_and(|by| now >= by))
            .map(|(&worker, _)| worker)
            .collect();
        for worker in slow {
            let Some(member) = self.members.get_mut(&worker) else {
                continue;
            };
            let process = member.process.as_ref();
            let untold = process.filter(|process| process.has_ended());
            if untold.is_some() && member.status.is_none() {
                // Whoever waited for it has not told us.
                let status = member.untold();
                self.ended(worker, status);
                continue;
            }
            member.gone_by = process.map(|_| now + MOMENT);
            self.end_leaver(worker);
        }
    }

    /// Ends a worker that had time to leave.
    fn end_leaver(&mut self, worker: WorkerId) {
        if let Some(member) = self.members.get(&worker)
            && let (true, false, Some(process)) = (member.released, member.killed, &member.process)
        {
            log!(
                "worker {} was told to leave and has not (runner.stop_timeout); it is ended",
                process.id()
            );
        }
        self.kill(worker);
    }

    pub(crate) fn kill(&mut self, worker: WorkerId) {
        let Some(member) = self.members.get_mut(&worker) else {
            return;
        };
        member.lost = true;
        member.killed = true;
        match &member.process {
            Some(process) => process.kill(),
            None => {
                let source = member.source;
                self.kill_source(source);
            }
        }
    }

    /// Ends the process that forks workers, in good order; those that it has forked go on.
    pub(crate) fn end_template(&mut self) {
        if let Some(id) = self.forsake_template() {
            self.end_source(id, Instant::now() + FAREWELL);
        }
    }

    /// The same at once.
    pub(crate) fn kill_template(&mut self) {
        if let Some(id) = self.forsake_template() {
            self.kill_source(id);
        }
    }

    /// What the process that forks workers was to fork and has not never comes to be.
    fn forsake_template(&mut self) -> Option<TemplateId> {
        let (&id, _) = self.template()?;
        self.members
            .retain(|_, member| member.source != id || member.process.is_some());
        Some(id)
    }

    /// Has a template end by then: in good order if it has imported the application. It is forgotten when it has exited.
    pub(crate) fn end_source(&mut self, id: TemplateId, by: Instant) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        if let Some(end) = &mut source.end_by {
            *end = by.min(*end);
        } else if source.becomes.is_none()
            && source.loading.is_none()
            && source.template.end().is_ok()
        {
            source.end_by = Some(by);
        } else {
            self.kill_source(id);
        }
    }

    /// Ends a template's process at once. It is forgotten when it has exited.
    pub(crate) fn kill_source(&mut self, id: TemplateId) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.loading = None;
            // Dropping the sender has the same effect.
            drop(source.kill.take());
        }
    }

    /// Ends the templates that had time to end.
    pub(crate) fn end_slow_sources(&mut self, now: Instant) {
        for source in self.sources.values_mut() {
            if source.end_by.is_some_and(|by| now >= by) {
                drop(source.kill.take());
            }
        }
    }

    /// The end: workers leave by themselves, or, when the time is over, are ended; then the templates.
    pub(crate) fn wind_up(&mut self, now: Instant, over: bool) {
        if lock(&self.shared.pool).is_crowded() {
            // What waits is answered, whatever becomes of those who were to do that.
            if self.at_work() == 0 && now >= self.not_before {
                self.hire(None);
            }
        } else {
            // Those that do not exist yet need not begin to.
            self.members.retain(|_, member| member.open_lanes.is_some());
        }
        if over {
            let alive: Vec<WorkerId> = self.members.keys().copied().collect();
            for worker in alive {
                self.end_leaver(worker);
            }
        }
        // Of workers whose template does not tell that they have ended we learn it when that has.
        let is_needed = |id| self.members.values().any(|member| member.source == id);
        let idle: Vec<TemplateId> = self
            .sources
            .iter()
            .filter(|&(&id, _)| over || !is_needed(id))
            .map(|(&id, _)| id)
            .collect();
        for id in idle {
            match over {
                true => self.kill_source(id),
                false => self.end_source(id, now + FAREWELL),
            }
        }
    }
}
