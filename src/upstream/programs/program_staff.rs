//! How many processes there are: starts them, replaces those that die, adds some when requests wait, ends all.
//!
//! One task owns all of this; other tasks send it events.

use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::children;
use crate::children::left_behind::LeftBehind;
use crate::log::LogSubject;
use crate::upstream::programs::program_guard::ProgramGuard;
use crate::upstream::programs::program_member::{ProgramEvent, ProgramEvents, ProgramMember};
use crate::upstream::programs::program_members::ProgramMembers;
use crate::upstream::programs::program_place::ProgramPlace;
use crate::upstream::programs::program_starts::{
    FailedStart, ProgramFailure, ProgramStarts, StartOutcome,
};
use crate::workers::id::WorkerId;
use crate::workers::memory::OutOfMemory;
use crate::workers::options::GRACE;
use crate::workers::pool::worker::Remains;
use crate::workers::staff::death::{Death, Exit, Meaning};
use crate::workers::staff::growth::Growth;
use crate::workers::staff::life_stage::{Change, LifeStage};
use crate::workers::staff::retirement::{Due, MemoryCheck, quota};

/// Keeps the processes of an application.
pub(super) struct ProgramStaff<C> {
    place: ProgramPlace<C>,
    members: ProgramMembers<C>,
    /// The number of the next process.
    next: WorkerId,
    guard: ProgramGuard,
    /// Cancelled when no code wants the processes any more.
    abandoned: CancellationToken,
    starts: ProgramStarts,
    growth: Growth,
    memory: MemoryCheck,
    left_behind: LeftBehind,
    out_of_memory: OutOfMemory,
    stopping: Option<ProgramStop>,
    events: ProgramEvents,
}

/// All processes are to end.
#[derive(Debug, Default)]
struct ProgramStop {
    /// Wait for that.
    waiting: Vec<oneshot::Sender<()>>,
    /// The start has failed, for this reason.
    failed: Option<(StartOutcome, anyhow::Error)>,
}

impl<C: Send + 'static> ProgramStaff<C> {
    pub(super) fn new(
        place: ProgramPlace<C>,
        starting: StartOutcome,
        events: ProgramEvents,
        abandoned: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            growth: Growth::new(place.options.processes.start_interval),
            guard: ProgramGuard::start(place.options.processes.stop_timeout, place.sockets()),
            abandoned,
            place,
            members: ProgramMembers::new(),
            next: 1,
            starts: ProgramStarts::new(starting, now),
            memory: MemoryCheck::new(now),
            left_behind: LeftBehind::default(),
            out_of_memory: OutOfMemory::watch(),
            stopping: None,
            events,
        }
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<ProgramEvent>,
        mut children: Signal,
    ) {
        let servers = Arc::clone(&self.place.servers);
        let abandoned = self.abandoned.clone();
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
                _ = children.recv() => self.reap(),
                () = servers.want_attention() => self.growth.is_wanted |= servers.waiting() > 0,
                () = abandoned.cancelled(), if self.stopping.is_none() => {
                    self.stop(Instant::now() + GRACE);
                }
                () = sleep_until(deadline) => {}
            }
        }
        self.guard.end().await;
        let ProgramStop { waiting, failed } = self.stopping.unwrap_or_default();
        for done in waiting {
            let _ = done.send(());
        }
        if let Some((outcome, error)) = failed {
            let _ = outcome.send(Err(error));
        }
    }

    /// Does what is due by now.
    fn act(&mut self, now: Instant) {
        self.end_late(now);
        self.left_behind.end(now);
        if self.stopping.is_none() {
            self.report_ready();
            if self.starts.is_allowed(now) {
                for _ in self.members.at_work()..self.fewest() {
                    self.recruit(None);
                }
            }
            self.grow(now);
            self.shrink(now);
            self.replace(now);
        }
        if self.stopping.is_some() && self.members.all.is_empty() {
            self.left_behind.sweep(&self.place.mark, now);
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some() && self.members.all.is_empty() && self.left_behind.is_over()
    }

    /// Copies what the status shows.
    fn publish(&self) {
        let mut roster = self.place.roster();
        roster.entries.clear();
        roster.entries.extend(self.members.entries());
        roster.failures = self.starts.failures;
        roster.not_before = self.starts.not_before;
        roster.failed_at = self.starts.failed_at;
    }

    /// When [`ProgramStaff::act`] is to be called again at the latest: all that was due before `now` is done.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let options = &self.place.options;
        let not_before = self.starts.not_before;
        let at_work = self.members.at_work();
        let grows = self.growth.is_wanted && at_work < options.processes.max;
        let growth = grows.then(|| self.growth.next(at_work, not_before));
        self.members
            .deadlines(options)
            .chain(self.left_behind.deadlines(now))
            .chain(self.idle_ends(now).into_iter().map(|(until, _)| until))
            .chain(self.memory.next)
            .chain(growth)
            .chain([not_before])
            .filter(|at| *at > now)
            .min()
    }

    fn happened(&mut self, event: ProgramEvent) {
        match event {
            ProgramEvent::Ready(id) => self.begun(id),
            ProgramEvent::Ill(id, why) => self.ill(id, &why),
            ProgramEvent::Finished(id) => {
                let by = self.leave_by();
                if let Some(member) = self.members.all.get_mut(&id)
                    && member.stage == LifeStage::Retiring
                {
                    member.release(by);
                }
            }
            ProgramEvent::Exited(id) => self.bury(id),
            ProgramEvent::AwaitAll(outcome) => self.starts.awaits(outcome),
            ProgramEvent::Stop(by, done) => {
                // The callers that wait are told that the processes were stopped.
                self.starts.give_up();
                self.stop(by).waiting.push(done);
            }
        }
    }

    // How processes begin.

    /// The least number of processes. A caller that waits for all of them wants to know whether the program can be started:
    /// there is to be one then.
    fn fewest(&self) -> usize {
        let proof = usize::from(self.starts.is_awaited());
        self.place.options.processes.min.max(proof)
    }

    /// Starts a process, to take the place of another or beside those that there are.
    fn recruit(&mut self, replaces: Option<WorkerId>) {
        if self.stopping.is_some() {
            return;
        }
        let (id, started) = (self.next, Instant::now());
        self.next += 1;
        match self.place.start(id) {
            Ok(process) => {
                self.guard.add(process.0.pid());
                let options = &self.place.options;
                let quota = quota(options.processes.retire_after.requests);
                let context = (options, &self.events);
                let member = ProgramMember::new(id, process, replaces, quota, context);
                self.members.all.insert(id, member);
            }
            Err(error) => self.failed(error, started, false),
        }
    }

    /// A process is ready: it gets requests, and one that it replaces leaves.
    fn begun(&mut self, id: WorkerId) {
        let Some(member) = self.members.all.get_mut(&id) else {
            return;
        };
        if !member.begins() || member.exit.is_some() {
            return;
        }
        let (address, quota) = (member.address().clone(), member.quota);
        let process = member.process.watched();
        let server = self.place.servers.add_process(address, process, quota);
        member.begin(id, server, &self.place.options, &self.events);
        let old = member.replaces;
        if let Some(old) = old
            && let Some(replaced) = self.members.all.get(&old)
            && replaced.serves()
        {
            if let Some(due) = replaced.due {
                crate::log!(
                    about = replaced.subject(),
                    "worker {} is replaced: {due}",
                    replaced.process.pid()
                );
            }
            self.place.roster().recycled += 1;
            self.retire(old);
        }
    }

    /// Tells the callers that wait for it that the first, or all, of the processes are ready.
    fn report_ready(&mut self) {
        let serving = self.members.serving();
        if serving > 0 || self.place.options.processes.min == 0 {
            let all = serving >= self.fewest();
            self.starts.ready(all);
        }
    }

    /// A process that was started at some time could not begin to serve, or has ended before it was asked anything.
    fn failed(&mut self, error: anyhow::Error, started: Instant, is_accident: bool) {
        if self.stopping.is_some() {
            return;
        }
        let (now, failure) = (Instant::now(), format!("{error:#}"));
        let recovered = self.place.roster().has_recovered();
        let what = ProgramFailure {
            what: &failure,
            started,
            is_accident,
        };
        match self.starts.failed(what, recovered, now) {
            FailedStart::IsTheEnd(outcome) => {
                self.stop(now + GRACE).failed = Some((outcome, error));
            }
            FailedStart::IsRepeated { delay, is_known } => {
                self.place.roster().failed(&failure);
                if !is_known {
                    let name = self.place.options.processes.application.as_deref();
                    crate::log_error!(
                        about = LogSubject::application(name),
                        "{failure}\nthe next attempt is in {:.1} s",
                        delay.as_secs_f64()
                    );
                }
            }
        }
    }

    // How many there are.

    /// Adds a process if requests wait, and there may be more.
    fn grow(&mut self, now: Instant) {
        let at_work = self.members.at_work();
        let not_before = self.starts.not_before;
        let may_grow = self.growth.is_wanted && at_work < self.place.options.processes.max;
        if !may_grow || now < self.growth.next(at_work, not_before) {
            return;
        }
        let servers = &self.place.servers;
        let waiting = servers.waiting();
        self.growth.is_wanted = waiting > 0;
        let coming = self.members.beginning();
        // Those that are about to serve may be enough. If they fail, more are wanted still.
        if waiting > coming.saturating_mul(servers.requests_of_each()) {
            self.growth.added(at_work, now);
            self.recruit(None);
        }
    }

    /// Until when the processes that serve may be idle before they leave.
    fn idle_ends(&self, now: Instant) -> Vec<(Instant, WorkerId)> {
        let options = &self.place.options;
        let timeout = options.processes.retire_after.idle;
        match timeout.is_zero() || self.members.at_work() <= options.processes.min {
            true => Vec::new(),
            false => self.members.idle_ends(timeout, now),
        }
    }

    /// Retires processes beyond the least number that have been idle for long enough, the most idle first.
    fn shrink(&mut self, now: Instant) {
        let surplus = self.members.at_work();
        let surplus = surplus.saturating_sub(self.place.options.processes.min);
        let mut idle = self.idle_ends(now);
        idle.sort_unstable();
        for (until, id) in idle.into_iter().take(surplus) {
            if until <= now {
                self.retire(id);
            }
        }
    }

    /// Starts successors for processes that are old or large, or have answered their quota. They go on until their
    /// successors are ready, so that there are never fewer than before.
    fn replace(&mut self, now: Instant) {
        let limits = &self.place.options.processes.retire_after;
        let looks_at_memory = limits.memory > 0 && {
            self.memory.was_active(now);
            self.memory.is_due(now)
        };
        self.members.mark_due(limits, looks_at_memory, now);
        if self.starts.is_allowed(now) {
            for id in self.members.to_replace() {
                self.recruit(Some(id));
            }
        }
    }

    // How processes end.

    /// By when what is told to a process now is to be done.
    fn leave_by(&self) -> Instant {
        Instant::now() + self.place.options.processes.stop_timeout.max(GRACE)
    }

    /// A process gets no more requests, finishes those that it has, and is told to end.
    fn retire(&mut self, id: WorkerId) {
        let by = self.leave_by();
        if let Some(member) = self.members.all.get_mut(&id) {
            member.gets_no_more(&self.place.servers);
            member.retire(id, by, &self.events);
        }
    }

    /// A process does not answer as it should any more. It gets no more requests, unless too few others are well: one fault
    /// may make all of them unwell, and what they answer is more than nothing. Then it goes on until its successor is ready.
    fn ill(&mut self, id: WorkerId, why: &str) {
        let by = self.leave_by();
        let is_spared = self.members.can_spare(id);
        let member = self.members.all.get_mut(&id);
        let Some(member) = member.filter(|member| member.serves()) else {
            return;
        };
        let what = match is_spared {
            true => "is replaced",
            false => "serves until another is ready",
        };
        let pid = member.process.pid();
        let failure = format!("worker {pid} is not well, and {what}: {why}");
        crate::log_error!(about = member.subject(), "{failure}");
        if is_spared {
            self.place.roster().died(&failure);
            member.gets_no_more(&self.place.servers);
            member.release(by);
        } else {
            self.place.roster().failed(&failure);
            member.due.get_or_insert(Due::Unwell);
        }
    }

    /// Ends processes that were not ready in time, and those that have not ended in time.
    fn end_late(&mut self, now: Instant) {
        let options = &self.place.options;
        let mut late = Vec::new();
        let running = self.members.all.values_mut();
        for member in running.filter(|member| member.exit.is_none()) {
            let ready_by = member.ready_by(options.processes.start_timeout);
            if ready_by.is_some_and(|by| now >= by) {
                late.push((member.not_ready(options), member.since));
                // Its end is no news.
                member.release(now + GRACE);
            } else if member.leave_by.is_some_and(|by| now >= by) {
                match member.stage == LifeStage::Retiring {
                    true => member.release(now + options.processes.stop_timeout.max(GRACE)),
                    false => member.kill_late(now + GRACE),
                }
            }
        }
        for (error, since) in late {
            self.failed(error, since, false);
        }
    }

    /// Looks which processes have ended.
    fn reap(&mut self) {
        children::bury_orphans();
        let running = self.members.all.iter_mut();
        for (&id, member) in running.filter(|(_, member)| member.exit.is_none()) {
            let Some(status) = member.process.ended() else {
                continue;
            };
            member.gets_no_more(&self.place.servers);
            // One that was asked nothing keeps its place until its end is understood: the next one may have to wait.
            if member.answered() > 0 {
                member.stage = member.stage.after(Change::IsLost);
            }
            member.has_ended(id, status, &self.events);
            let (pid, mark) = (member.process.pid(), self.place.mark.of(Some(id)));
            self.left_behind.by(pid, Some(mark), Instant::now());
        }
    }

    /// Forgets a process that has ended and whose output is read, and logs how it ended.
    fn bury(&mut self, id: WorkerId) {
        let Some(member) = self.members.all.remove(&id) else {
            return;
        };
        self.guard.forget(member.process.pid());
        let exit = member.exit.map_or(Exit::Unknown, Exit::Known);
        let death = Death {
            pid: member.process.pid(),
            cause: &exit.cause(member.killed, &mut self.out_of_memory),
            stage: member.stage,
            began: member.server.is_some(),
            stopping: self.stopping.is_some(),
            remains: &Remains {
                answered: member.answered(),
                losses: Default::default(),
                lost_lines: 0,
            },
        };
        match death.meaning() {
            Meaning::Expected(None) => {}
            Meaning::Expected(Some(text)) => crate::log!(about = member.subject(), "{text}"),
            Meaning::Early(failure) => {
                self.place.roster().deaths += 1;
                let error = member.not_started(&self.place.options, &failure);
                self.failed(error, member.since, member.had_an_accident());
            }
            Meaning::Unasked(failure) => {
                self.place.roster().deaths += 1;
                self.failed(anyhow!(failure), member.since, member.had_an_accident());
            }
            // A server may end itself after so many requests, as `php-cgi` does (PHP_FCGI_MAX_REQUESTS).
            Meaning::Failed(text) if member.ended_well() => {
                self.starts.ended_serving();
                self.place.roster().recycled += 1;
                crate::log!(about = member.subject(), "{text}; it is replaced");
            }
            Meaning::Failed(failure) => {
                self.starts.ended_serving();
                self.place.roster().died(&failure);
                crate::log_error!(about = member.subject(), "{failure}; it is replaced");
            }
        }
    }

    /// Tells all processes to end, by some time; a later order may only shorten it.
    fn stop(&mut self, by: Instant) -> &mut ProgramStop {
        for member in self.members.all.values_mut() {
            member.gets_no_more(&self.place.servers);
            if member.exit.is_none() {
                let earlier = member.leave_by.filter(|_| self.stopping.is_some());
                member.release(earlier.map_or(by, |earlier| earlier.min(by)));
            }
        }
        self.stopping.get_or_insert_default()
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
