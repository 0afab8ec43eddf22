//! What the time says about the requests of a pool: which lanes are stuck, what has waited or run for too long.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::lane::Confused;
use super::pool::{Pool, Standing, WorkerId};
use crate::log;

/// How often a busy lane is looked at.
pub const TICK: Duration = Duration::from_millis(1);
/// A lane that has finished nothing for so long is not waited for.
const STALL: Duration = Duration::from_micros(1000);

/// What [`Pool::clock`] found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Workers with a request that is overdue since now: to be replaced.
    pub doomed: Vec<WorkerId>,
    /// Workers with nothing left to do but overdue requests: to be ended.
    pub hopeless: Vec<WorkerId>,
    /// Workers that have answered as many requests as they are to, and how many that is.
    pub spent: Vec<(WorkerId, u64)>,
    /// Something was answered, which somebody wanted to know.
    pub active: bool,
    /// Workers that have nothing left to do, and were told to leave.
    pub parted: Vec<WorkerId>,
    /// Requests wait and every lane is busy.
    pub crowded: bool,
    /// When to look again; `None` if nothing is under way.
    pub next: Option<Instant>,
}

impl Pool {
    /// Takes requests back from lanes that are stuck, and gives them to others. To be called after the rings were
    /// emptied: what is found there is progress.
    ///
    /// # Errors
    /// The worker that is [`Confused`].
    pub fn unstick(&mut self) -> Result<(), WorkerId> {
        let now = Instant::now();
        let mut stuck = Vec::new();
        for (&id, worker) in &mut self.workers {
            for (index, post) in worker.posts.iter_mut().enumerate() {
                if post.lane.load() == 0 {
                    continue;
                }
                let was_stalled = post.stalled;
                post.stalled |= now.saturating_duration_since(post.progress) >= STALL;
                // A worker may be busy though it has begun nothing: with what the application does after an
                // answer. So even a single request may not have begun.
                let others = post.lane.load() > 1;
                if post.stalled && (others || !was_stalled)
                    || others && worker.standing != Standing::Serving
                {
                    stuck.push((id, index));
                }
            }
        }
        if !stuck.is_empty() {
            for seat in stuck {
                self.take_back(seat).map_err(|Confused| seat.0)?;
            }
            self.dispatch();
        }
        Ok(())
    }

    /// Looks at the time: as [`Pool::unstick`], and answers what has waited or run for too long.
    ///
    /// # Errors
    /// The worker that is [`Confused`].
    pub fn clock(&mut self) -> Result<Findings, WorkerId> {
        self.unstick()?;
        let now = Instant::now();
        let mut findings = Findings::default();
        for (&id, worker) in &mut self.workers {
            let mut finishing = 0;
            for post in &mut worker.posts {
                let since = post.progress;
                let Some(task) = post.lane.oldest_mut() else {
                    continue;
                };
                let limit = self.limits.request_timeout;
                if !task.is_answered() && is_over(limit, since, now) {
                    log!(
                        "504 for {}: no answer for {} (runner.request.timeout)",
                        task.about,
                        seconds(now - since)
                    );
                    self.refusals.refuse(task, StatusCode::GATEWAY_TIMEOUT);
                    if matches!(worker.standing, Standing::Serving | Standing::Retiring) {
                        worker.standing = Standing::Doomed;
                        findings.doomed.push(id);
                    }
                } else if !task.is_answered() {
                    finishing += usize::from(task.is_wanted());
                    sooner(&mut findings.next, deadline(limit, since));
                } else if !task.is_refused() {
                    // A body on its way may take as long as its client does.
                    finishing += 1;
                }
                if !post.stalled {
                    sooner(&mut findings.next, Some(now + TICK));
                }
            }
            if worker.answered >= worker.quota {
                worker.quota = u64::MAX;
                findings.spent.push((id, worker.answered));
            }
            if worker.standing == Standing::Doomed {
                if finishing == 0 {
                    findings.hopeless.push(id);
                }
                sooner(&mut findings.next, Some(now + TICK));
            }
        }
        while let Some(task) = self.queue.front_mut() {
            if task.is_wanted() && is_over(self.limits.queue_timeout, task.entered, now) {
                log!(
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
        findings.crowded = !self.queue.is_empty();
        findings.parted = self.part();
        findings.active = self.watched.take_if(|seen| self.answered > *seen).is_some();
        self.curious = false;
        Ok(findings)
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

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
