//! What the time says about the requests of a pool: which lanes are stuck, what has waited or run for too long;
//! and what is known of the requests that lanes are on.

use std::time::{Duration, Instant};

use http::StatusCode;

use crate::workers::id::{LaneId, WorkerId};
use crate::workers::pool::lane::{Pace, Post};
use crate::workers::pool::{Pool, Standing, Worker};
use crate::workers::question::{Question, Reason};
use crate::workers::task::seconds;
use crate::workers::wire::Wire;
use crate::{log, log_of};

/// How often a busy lane is looked at.
pub const TICK: Duration = Duration::from_millis(1);
/// After so long it is taken back though no other could begin it: the limits of the queue are to hold for it.
const HOLD: Duration = HICCUP;

/// A worker that is late by so little is not busy but was not woken up in time: more workers would not help.
const HICCUP: Duration = Duration::from_millis(10);

/// What [`Pool::clock`] found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Requests that are overdue since now, whose workers are to be replaced, or given up, or slow.
    pub questions: Vec<Question>,
    /// Workers with nothing left to do but what was given up: to be ended.
    pub hopeless: Vec<WorkerId>,
    /// Workers that have answered as many requests as they are to, and how many that is.
    pub spent: Vec<(WorkerId, u64)>,
    /// Something was answered, which somebody wanted to know.
    pub active: bool,
    /// Workers that have nothing left to do, and were told to leave.
    pub parted: Vec<WorkerId>,
    /// Requests wait and every lane is busy.
    pub crowded: bool,
    /// Workers that sent what none of ours would: to be ended.
    pub confused: Vec<WorkerId>,
    /// Workers that were idle while requests waited, with how all lanes were then.
    pub neglected: Vec<(WorkerId, String)>,
    /// When to look again; `None` if nothing is under way.
    pub next: Option<Instant>,
}

impl<W: Wire> Pool<W> {
    /// Finds the lanes that are stuck, and gives what they have not begun to others. To be called after the rings were
    /// emptied: what is found there is progress.
    pub fn unstick(&mut self) {
        let now = (self.now)();
        let mut back = Vec::new();
        for (&id, worker) in &mut self.workers {
            for (index, post) in worker.posts.iter_mut().enumerate() {
                if post.lane.load() == 0 {
                    continue;
                }
                // A worker may be busy though it has begun nothing: with what the application does after an
                // answer. So a lane with a single request can be stuck, too.
                let quiet = now.saturating_duration_since(post.progress);
                let is_held = post.is_stuck(now) && quiet >= HOLD.max(post.patience);
                if is_held || worker.standing != Standing::Serving && post.lane.load() > 1 {
                    back.push((id, index));
                }
            }
        }
        for seat in back {
            self.take_back(seat);
        }
        self.dispatch();
    }

    /// Looks at the time: as [`Pool::unstick`], and answers what has waited or run for too long.
    pub fn clock(&mut self) -> Findings {
        self.unstick();
        let now = (self.now)();
        let mut findings = Findings::default();
        if let Some(by) = self.closed {
            match now >= by {
                true => self.give_up(&mut findings, now),
                false => findings.next = Some(by),
            }
        }
        for (&id, worker) in &mut self.workers {
            let mut finishing = 0;
            for (index, post) in worker.posts.iter_mut().enumerate() {
                let since = post.progress;
                let mut reason = None;
                let limit = self.limits.request_timeout;
                let number = post.lane.oldest_number();
                let Some(task) = post.lane.oldest_mut() else {
                    if post.pace != Pace::Steady && worker.standing == Standing::Serving {
                        // It was to begin something and has not: it is still at what comes after an answer.
                        if is_over(limit, since, now) {
                            worker.standing = Standing::Doomed;
                            let question = post.question((id, index), Reason::Lingering, now);
                            findings.questions.extend(question);
                        } else {
                            sooner(&mut findings.next, deadline(limit, since));
                        }
                    }
                    continue;
                };
                if !task.is_answered() && is_over(limit, since, now) {
                    self.refusals.refuse(task, StatusCode::GATEWAY_TIMEOUT);
                    reason = Some(Reason::Overdue);
                    match worker.standing {
                        Standing::Serving | Standing::Retiring => {
                            worker.standing = Standing::Doomed;
                        }
                        Standing::Doomed | Standing::Leaving | Standing::Confused => {}
                    }
                } else if !task.is_answered() {
                    match (task.is_wanted(), number) {
                        // Its client may have gone while it was not the oldest yet.
                        (false, Some(number)) => post.link.cancel(number),
                        (_, _) => finishing += 1,
                    }
                    sooner(&mut findings.next, deadline(limit, since));
                    let slow = self.limits.request_slow;
                    if task.slow_since.is_none() && is_over(slow, since, now) {
                        task.slow_since = Some(since);
                        reason = Some(Reason::Slow);
                    } else if task.slow_since.is_none() {
                        sooner(&mut findings.next, deadline(slow, since));
                    }
                } else if !task.is_refused() {
                    // A body on its way may take as long as its client does.
                    finishing += 1;
                }
                let question = reason.and_then(|reason| post.question((id, index), reason, now));
                findings.questions.extend(question);
                match post.pace {
                    Pace::Steady => sooner(&mut findings.next, Some(now + TICK)),
                    Pace::Stuck => {
                        let held = since + HOLD.max(post.patience);
                        sooner(&mut findings.next, Some(held));
                    }
                    Pace::Emptied => {}
                }
            }
            if worker.answered >= worker.quota {
                worker.quota = u64::MAX;
                findings.spent.push((id, worker.answered));
            }
            if worker.standing == Standing::Doomed {
                if finishing == 0 {
                    worker.standing = Standing::Leaving;
                    worker.posts.iter().for_each(|post| post.link.close());
                    findings.hopeless.push(id);
                }
                sooner(&mut findings.next, Some(now + TICK));
            }
        }
        while let Some(task) = self.queue.front_mut() {
            if task.is_wanted() && is_over(self.limits.queue_timeout, task.entered, now) {
                log_of!(
                    log::LogKind::Refused,
                    "503 for {}: no worker was free for {} (runner.request.queue_timeout)",
                    task.about,
                    seconds(now - task.entered)
                );
                self.refusals.refuse(task, StatusCode::SERVICE_UNAVAILABLE);
            }
            if task.is_wanted() {
                let entered = task.entered;
                sooner(
                    &mut findings.next,
                    deadline(self.limits.queue_timeout, entered),
                );
                break;
            }
            self.queue.pop_front();
        }
        if let Some(first) = self.queue.front() {
            let serving = |worker: &Worker<W>| worker.standing == Standing::Serving;
            let since = first.entered + HICCUP;
            findings.crowded = now >= since || !self.workers.values().any(serving);
            if !findings.crowded {
                sooner(&mut findings.next, Some(since));
            }
        }
        let (neglected, next) = self.neglected(now);
        findings.neglected = neglected;
        sooner(&mut findings.next, next);
        findings.confused = std::mem::take(&mut self.confused);
        findings.parted = self.part();
        findings.active = self.watched.take_if(|seen| self.answered > *seen).is_some();
        self.curious = false;
        findings
    }
}

impl<W: Wire> Pool<W> {
    /// Questions about all requests that a worker is on.
    pub(crate) fn questions(&self, id: WorkerId) -> Vec<Question> {
        let now = (self.now)();
        let posts = self
            .workers
            .get(&id)
            .map_or(&[][..], |worker| &worker.posts);
        let question = |(index, post): (usize, &Post<W>)| match post.lane.load() {
            0 => None,
            _ => post.question((id, index), Reason::Asked, now),
        };
        posts.iter().enumerate().filter_map(question).collect()
    }

    /// Has workers told of requests that nobody waits for any more: they may end the answer at its first block.
    pub(crate) fn forsake(&self) {
        let posts = self.workers.values().flat_map(|worker| &worker.posts);
        for post in posts {
            if let Some(number) = post.lane.oldest_number()
                && let Some(task) = post.lane.oldest()
                && !task.is_answered()
                && !task.is_wanted()
            {
                post.link.cancel(number);
            }
        }
    }

    /// Whether a lane is on a request.
    pub(crate) fn is_at(&self, (id, index): LaneId, number: u32) -> bool {
        let post = self
            .workers
            .get(&id)
            .and_then(|worker| worker.posts.get(index));
        post.is_some_and(|post| post.lane.oldest_number() == Some(number))
    }
}

fn is_over(limit: Duration, since: Instant, now: Instant) -> bool {
    limit > Duration::ZERO && now.saturating_duration_since(since) >= limit
}

fn deadline(limit: Duration, since: Instant) -> Option<Instant> {
    (limit > Duration::ZERO).then_some(since + limit)
}

fn sooner(next: &mut Option<Instant>, other: Option<Instant>) {
    *next = match (*next, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}
