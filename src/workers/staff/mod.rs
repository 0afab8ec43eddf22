//! How many workers there are: starts them, replaces those that die, adds some when requests wait, ends all.
//!
//! One task owns all of this; the other tasks send it events. A worker is gone when its process has ended and all that it
//! had sent is read. What is decided elsewhere:
//! - [`workforce`]: how workers begin and how they end;
//! - [`life_stage`]: what an event makes of a worker, as a table; [`member`] is one worker, [`members`] all;
//! - [`template_processes`]: the processes that fork workers;
//! - [`attempts`]: what follows from a start that fails;
//! - [`growth`]: when a worker is added;
//! - [`death`]: what the end of a worker means;
//! - [`retirement`]: why workers are replaced though nothing is wrong with them;
//! - [`left_behind`](crate::children::left_behind): processes that the application has started.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::protocol::worker::frame::LaneOrder;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::WorkerId;
use crate::workers::options::{GRACE, WorkerOptions};
use crate::workers::pool::Pool;
use crate::workers::pool::checkup::Finding;
use crate::workers::pool::{conversations, upkeep};
use crate::workers::question::{Question, Reason};
use crate::workers::staff::growth::Growth;
use crate::workers::staff::life_stage::{Change, LifeStage};
use crate::workers::staff::retirement::{Due, MemoryCheck};
use crate::workers::staff::workforce::{StaffStop, Workforce};
use crate::{children, log, panics};

mod attempts;
pub(crate) mod death;
pub(crate) mod growth;
pub(crate) mod life_stage;
mod member;
mod members;
pub(crate) mod retirement;
mod template_processes;
mod workforce;

struct Staff {
    hub: Arc<Hub>,
    options: Arc<WorkerOptions>,
    workforce: Workforce,
    memory: MemoryCheck,
    growth: Growth,
}

/// Begins to start the first template and worker, and starts the task that looks after them. Returns how the start ends: an
/// error if Python cannot be run, or the application cannot be imported; no process is left then.
pub(crate) fn begin(
    hub: Arc<Hub>,
    options: WorkerOptions,
    inbox: mpsc::UnboundedReceiver<WorkerEvent>,
) -> oneshot::Receiver<anyhow::Result<()>> {
    children::adopt_orphans();
    let (starting, started) = oneshot::channel();
    let children = match signal(SignalKind::child()).context("cannot watch processes") {
        Ok(children) => children,
        Err(error) => {
            let _ = starting.send(Err(error));
            return started;
        }
    };
    let options = Arc::new(options);
    let staff = Staff {
        workforce: Workforce::new(Arc::clone(&hub), Arc::clone(&options), starting),
        memory: MemoryCheck::new(Instant::now()),
        growth: Growth::new(options.start_interval),
        hub,
        options,
    };
    panics::spawn_vital("the task that keeps workers", staff.run(inbox, children));
    started
}

impl Staff {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<WorkerEvent>, mut children: Signal) {
        loop {
            let now = Instant::now();
            self.act(now);
            self.publish();
            if self.workforce.is_over() {
                break;
            }
            let deadline = self.deadline(now);
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.happened(event),
                    None => break,
                },
                _ = children.recv() => self.workforce.reap_orphans(),
                () = sleep_until(deadline) => {}
            }
        }
        if let Some(stopping) = self.workforce.stopping.take() {
            let _ = stopping.done.send(());
        }
    }

    /// Does what is due by now.
    fn act(&mut self, now: Instant) {
        self.workforce.end_late(now);
        if let Some(stopping) = &self.workforce.stopping {
            let kill_at = stopping.kill_at;
            self.workforce.wind_up(now, kill_at);
            return;
        }
        self.workforce.keep_template(now);
        self.report_ready();
        if self.workforce.attempts.is_allowed(now) && !upkeep::is_ending(&lock(&self.hub.pool)) {
            for _ in self.at_work()..self.fewest() {
                self.workforce.recruit(None);
            }
        }
        self.grow(now);
        self.shrink(now);
        self.replace(now);
        self.refuse(now);
    }

    /// Requests that wait for the next attempt to start a worker would wait in vain, where there is none and several attempts
    /// have failed: they are refused, whichever way workers are made.
    fn refuse(&self, now: Instant) {
        let pause = self.workforce.attempts.pause(now);
        let outage = pause.filter(|_| self.at_work() == 0);
        let mut pool = lock(&self.hub.pool);
        let Pool { queue, errors, .. } = &mut *pool;
        queue.set_outage(outage, errors);
    }

    /// Tells the callers that wait for it that the first, or all, of the workers are ready.
    fn report_ready(&mut self) {
        let serving = self.workforce.members.serving();
        let templates = &self.workforce.templates;
        let first = match self.options.min {
            0 => templates.afresh || matches!(templates.forking(), Some((_, true))),
            _ => serving > 0,
        };
        if first {
            let all = serving >= self.fewest();
            self.workforce.attempts.ready(all);
        }
    }

    /// Copies what the status shows.
    fn publish(&self) {
        let mut roster = lock(&self.hub.roster);
        roster.entries.clear();
        roster.entries.extend(self.workforce.members.entries());
        drop(roster);
        self.workforce.attempts.publish();
    }

    /// When [`Staff::act`] is to be called again at the latest: all that was due before `now` is done.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let members = &self.workforce.members;
        let not_before = self.workforce.attempts.not_before;
        let grows = self.growth.is_wanted && self.at_work() < self.options.max;
        let growth = grows.then(|| self.growth.next(self.at_work(), not_before));
        let idle = self.idle_ends(now).into_iter().map(|(until, _)| until);
        self.workforce
            .deadlines(now)
            .chain(members.lifetime_ends(self.options.retire_after.lifetime))
            .chain(idle)
            .chain(self.memory.next)
            .chain(growth)
            .chain([not_before])
            .filter(|at| *at > now)
            .min()
    }

    fn happened(&mut self, event: WorkerEvent) {
        let workforce = &mut self.workforce;
        match event {
            WorkerEvent::Said(template, message) => workforce.said(template, message),
            WorkerEvent::Exited(template, status) => workforce.exited(template, status),
            WorkerEvent::Hanging(id, stack) => workforce.kill_slow_template(id, &stack),
            WorkerEvent::Begun(worker) => self.begun(worker),
            WorkerEvent::Unable(worker, reason) => {
                if let Some(live) = workforce.members.live(worker) {
                    live.is_explained = true;
                }
                workforce.unable(worker, &reason);
            }
            WorkerEvent::LaneClosed(worker) => workforce.lane_closed(worker),
            WorkerEvent::Frozen(worker) => {
                // Requests beside the overdue one cannot go on, either. Without an overdue one, it may be over soon.
                let live = workforce.members.live(worker);
                if live.is_some_and(|live| live.stage == LifeStage::Overdue) {
                    workforce.leaves(worker, Change::IsLost);
                }
            }
            WorkerEvent::Leaves(worker) => workforce.leaves(worker, Change::IsLost),
            WorkerEvent::Overstayed(worker) => {
                if let Some(live) = workforce.members.live(worker) {
                    live.kill_late(&self.hub);
                }
            }
            WorkerEvent::Found(finding) => self.found(finding),
            WorkerEvent::WriteStacks => self.write_stacks(),
            WorkerEvent::AwaitAll(outcome) => workforce.attempts.awaiting.push(outcome),
            WorkerEvent::Stop(deadline, done) => {
                // The callers that wait are told that the workers were stopped. A start is given up.
                workforce.attempts.awaiting.clear();
                workforce.attempts.starting = None;
                let is_hopeless =
                    workforce.attempts.has_failed() && workforce.members.serving() == 0;
                // Requests do not wait for attempts that would fail, too.
                let deadline = if is_hopeless {
                    Instant::now()
                } else {
                    deadline
                };
                let kill_at = deadline + GRACE;
                workforce.stopping = Some(StaffStop { done, kill_at });
                lock(&self.hub.pool).close(deadline);
                self.hub.wake();
            }
        }
    }

    /// Acts on what the pool has found out.
    fn found(&mut self, finding: Finding) {
        let members = &mut self.workforce.members;
        match finding {
            Finding::Rejected(worker) => {
                if let Some(live) = members.live(worker) {
                    crate::log_error!(
                        about = self.hub.subject_of(live.pid()),
                        "worker {} broke the worker protocol; it is killed",
                        live.pid()
                    );
                    live.kill();
                }
            }
            Finding::Neglected(worker, state) => {
                if let Some(live) = members.live(worker) {
                    live.change(Change::IsLost);
                    let what = format!(
                        "worker {} was idle while requests waited: a bug of runner; it is replaced",
                        live.pid()
                    );
                    lock(&self.hub.roster).failed(&what);
                    crate::log_error!(about = self.hub.subject_of(live.pid()), "{what}\n{state}");
                }
            }
            Finding::Stuck(question) => self.stuck(question),
            Finding::GivenUp(worker, given_up) => {
                if let Some(live) = members.live(worker) {
                    crate::log_error!(
                        about = self.hub.subject_of(live.pid()),
                        "the time to stop is over (runner.stop_timeout); requests that worker {} still had: {given_up}",
                        live.pid()
                    );
                }
            }
            Finding::Hopeless(worker) => {
                if let Some(live) = members.live(worker) {
                    // The stack that an overdue request has left says enough.
                    live.control.leave(match live.stage {
                        LifeStage::Overdue => GRACE,
                        _ => self.options.last_moment() + GRACE,
                    });
                }
            }
            Finding::Dismissed(worker) => {
                self.workforce.leaves(worker, Change::IsReleased);
                if let Some(live) = self.workforce.members.live(worker) {
                    live.is_explained = true;
                    live.control.leave(self.options.last_moment() + GRACE);
                }
            }
            Finding::Spent(worker, answered) => {
                if let Some(live) = members.live(worker) {
                    live.due.get_or_insert(Due::Requests(answered));
                }
            }
            Finding::Clinging(worker) => {
                if let Some(live) = members.live(worker) {
                    live.due.get_or_insert(Due::Clinging);
                }
            }
            Finding::Released(worker) => self.workforce.leaves(worker, Change::IsReleased),
            Finding::Active => self.memory.was_active(Instant::now()),
            Finding::Crowded => self.growth.is_wanted = true,
        }
    }

    /// A worker has begun to serve: the worker that it replaces may leave.
    fn begun(&mut self, id: WorkerId) {
        let limit = self.options.retire_after.memory;
        let members = &mut self.workforce.members;
        if !members
            .live(id)
            .is_some_and(|live| live.begin(limit, &self.hub))
        {
            return;
        }
        if limit > 0 {
            lock(&self.hub.pool).watch();
        }
        let old = members.all.get(&id).and_then(|member| member.replaces);
        if let Some(old) = old
            && let Some(live) = members.live(old)
            && live.stage == LifeStage::Serving
        {
            if let Some(due) = live.due {
                log!(
                    about = self.hub.subject_of(live.pid()),
                    "worker {} is replaced: {due}",
                    live.pid()
                );
            }
            lock(&self.hub.roster).recycled += 1;
            self.retire(old);
        }
    }

    fn at_work(&self) -> usize {
        self.workforce.members.at_work()
    }

    /// The least number of workers. A caller that waits for all of them wants to know whether the application can be
    /// imported: where only workers do that, there is to be one.
    fn fewest(&self) -> usize {
        let Workforce {
            templates,
            attempts,
            ..
        } = &self.workforce;
        let proof = templates.afresh && !attempts.awaiting.is_empty();
        self.options.min.max(usize::from(proof))
    }

    /// Adds a worker if requests wait, no lane is free, and there may be more.
    fn grow(&mut self, now: Instant) {
        let at_work = self.at_work();
        let not_before = self.workforce.attempts.not_before;
        // Where no worker is left, the pool has no reason to look at the clock and to report that requests wait.
        let is_wanted = self.growth.is_wanted || at_work == 0 && self.workforce.is_crowded();
        let may_grow = is_wanted && at_work < self.options.max;
        if !may_grow || now < self.growth.next(at_work, not_before) {
            return;
        }
        let waiting = lock(&self.hub.pool).waiting();
        if waiting > 0 && waiting <= self.coming() {
            // The workers that are about to serve are enough. If they fail, more are wanted still.
            return;
        }
        self.growth.is_wanted = false;
        if waiting > 0 {
            self.growth.added(at_work, now);
            self.workforce.recruit(None);
        }
    }

    /// How many requests the workers that are about to serve can begin at a time.
    fn coming(&self) -> usize {
        let each = match self.options.loop_limits() {
            Some(limits) => limits.concurrency,
            None => self.options.threads.max(1),
        };
        self.workforce.members.beginning().saturating_mul(each)
    }

    /// Until when the workers that serve may be idle before they leave.
    fn idle_ends(&self, now: Instant) -> Vec<(Instant, WorkerId)> {
        let (timeout, min) = (self.options.retire_after.idle, self.options.min);
        match timeout.is_zero() || self.at_work() <= min {
            true => Vec::new(),
            false => {
                let pool = lock(&self.hub.pool);
                self.workforce.members.idle_ends(timeout, &pool, now)
            }
        }
    }

    /// Retires workers beyond the least number that have been idle for long enough, the most idle first.
    fn shrink(&mut self, now: Instant) {
        let surplus = self.at_work().saturating_sub(self.options.min);
        let mut idle = self.idle_ends(now);
        idle.sort_unstable();
        for (until, worker) in idle.into_iter().take(surplus) {
            if until <= now {
                self.retire(worker);
            }
        }
    }

    /// Lets a worker finish its requests, and leave.
    fn retire(&mut self, id: WorkerId) {
        if let Some(live) = self.workforce.members.live(id) {
            live.change(Change::Retires);
            lock(&self.hub.pool).retire(id);
            self.hub.wake();
        }
    }

    /// Recruits successors for workers that are old or large, or have answered their quota. They go on until their
    /// successors are ready, so that there are never fewer workers than before.
    fn replace(&mut self, now: Instant) {
        let Workforce {
            members, attempts, ..
        } = &mut self.workforce;
        let limits = &self.options.retire_after;
        members.mark_old(limits.lifetime, now);
        if self.memory.is_due(now) {
            members.mark_large(limits.memory);
            lock(&self.hub.pool).watch();
        }
        if attempts.is_allowed(now) {
            for worker in members.to_replace() {
                self.workforce.recruit(Some(worker));
            }
        }
    }

    /// Logs the stack of a request.
    fn stuck(&mut self, question: Question) {
        let Some(live) = self.workforce.members.live(question.lane.0) else {
            return question.log(self.hub.subject());
        };
        if question.reason.ends_worker() {
            live.change(Change::IsOverdue);
            let heading = question.heading(&format!(" {}", live.pid()));
            lock(&self.hub.roster).failed(&heading);
        }
        if let Some(order) = question.reason.order() {
            let heading = question.heading(&format!(" {}", live.pid()));
            let mut pool = lock(&self.hub.pool);
            conversations::order(&mut pool, question.lane, question.number, order, &heading);
            drop(pool);
            self.hub.wake();
        } else if matches!(
            question.reason,
            Reason::StoppedTask | Reason::CutTask | Reason::BrokenOff | Reason::StoppedWebSocket
        ) {
            question.log(self.hub.subject_of(live.pid()));
        } else if question.reason == Reason::Unheard {
            question.log(self.hub.subject_of(live.pid()));
            let mut pool = lock(&self.hub.pool);
            conversations::order(
                &mut pool,
                question.lane,
                question.number,
                LaneOrder::Left,
                "",
            );
            drop(pool);
            self.hub.wake();
        } else {
            live.control.show(question);
        }
    }

    /// Logs the stacks of all requests.
    fn write_stacks(&mut self) {
        let members = &mut self.workforce.members;
        for id in members.ids(|member| member.live().is_some()) {
            let questions = lock(&self.hub.pool).questions(id);
            if let (true, Some(live)) = (questions.is_empty(), self.workforce.members.live(id)) {
                log!(
                    about = self.hub.subject_of(live.pid()),
                    "worker {}: idle",
                    live.pid()
                );
            }
            for question in questions {
                self.stuck(question);
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
