//! The outcome of starts. If one fails, the start or reload of the application fails, or the next attempt is delayed; if it
//! succeeds, the callers that wait for it are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::oneshot;

use crate::children::{FIRST_DELAY, restart_delay};
use crate::workers::hub::{Hub, lock};
use crate::workers::options::{Resources, WorkerOptions};

/// After this many attempts that fail, a start has failed with an application that can be imported, and requests do not wait
/// for the next one where there is no worker.
const ATTEMPTS: u32 = 3;

/// Where the outcome of a start is sent.
pub(crate) type Outcome = oneshot::Sender<anyhow::Result<()>>;

/// The error of a worker that exists and has not begun to serve within `limit`. Perhaps all are to leave.
pub(crate) fn not_begun(options: &WorkerOptions, limit: Duration, is_stop: bool) -> anyhow::Error {
    let target = &options.target;
    let limit = limit.as_secs_f64();
    let what = match options.has_lifespan() {
        true => "its lifespan startup was not complete",
        false => "its worker has not begun to serve",
    };
    let when = match is_stop {
        true => format!("after {limit} s, and the server stops"),
        false => format!("within {limit} s (runner.start_timeout)"),
    };
    anyhow!("cannot start `import:{target}`: {what} {when}")
}

/// The attempts to start workers.
#[derive(Debug)]
pub(crate) struct Attempts {
    hub: Arc<Hub>,
    /// How many workers in a row could not be started.
    failures: u32,
    /// No worker is started before.
    pub(crate) not_before: Instant,
    /// When the last attempt failed.
    failed_at: Instant,
    /// What the log says of the last attempt that failed.
    last_failure: String,
    /// Waits for the start; `None` once it has succeeded or failed.
    pub(crate) starting: Option<Outcome>,
    /// Wait until all workers are ready.
    pub(crate) awaiting: Vec<Outcome>,
}

impl Attempts {
    pub(crate) fn new(hub: Arc<Hub>, starting: Outcome, now: Instant) -> Self {
        Self {
            hub,
            failures: 0,
            not_before: now,
            failed_at: now,
            last_failure: String::new(),
            starting: Some(starting),
            awaiting: Vec::new(),
        }
    }

    /// Whether workers may be started.
    pub(crate) fn is_allowed(&self, now: Instant) -> bool {
        now >= self.not_before
    }

    /// Until when there is no attempt, where several in a row have failed.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        (self.failures >= ATTEMPTS && !self.is_allowed(now)).then_some(self.not_before)
    }

    /// Whether the last attempt failed, and no worker has answered since.
    pub(crate) fn has_failed(&self) -> bool {
        let roster = lock(&self.hub.roster);
        self.failures > 0 && !roster.has_recovered(&lock(&self.hub.pool))
    }

    /// The first worker is ready, or the application imported; perhaps all are ready.
    pub(crate) fn ready(&mut self, all: bool) {
        if let Some(starting) = self.starting.take() {
            // If nothing waits for it, the start was given up, and a stop follows.
            let _ = starting.send(Ok(()));
        }
        if all {
            for awaiting in self.awaiting.drain(..) {
                let _ = awaiting.send(Ok(()));
            }
        }
    }

    /// A worker that was ordered at some time could not be started. During the start, that is its end: the error is
    /// reported when `stopped` says that no process is left. Otherwise the next attempt is delayed.
    pub(crate) fn failed(
        &mut self,
        error: anyhow::Error,
        ordered: Instant,
    ) -> Option<oneshot::Sender<()>> {
        let Some(starting) = self.starting.take() else {
            let failure = format!("{error:#}");
            // Workers that were ordered together fail together, for one reason.
            let is_known = ordered < self.not_before && self.last_failure == failure;
            let delay = self.back_off(&failure, ordered);
            if !is_known {
                crate::log_error!(
                    about = self.hub.subject(),
                    "{failure}\nthe next attempt is in {:.1} s",
                    delay.as_secs_f64()
                );
            }
            self.last_failure = failure;
            return None;
        };
        lock(&self.hub.pool).close(Instant::now());
        // The hub keeps the inbox of the staff open until then.
        let hub = Arc::clone(&self.hub);
        let (done, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let _ = stopped.await;
            drop(hub);
            let _ = starting.send(Err(error));
        });
        Some(done)
    }

    /// Delays the next attempt, because a worker that was ordered at some time could not be started. Of workers that were
    /// ordered together, only the first failure counts. Returns the time until the next attempt.
    fn back_off(&mut self, failure: &str, ordered: Instant) -> Duration {
        let now = Instant::now();
        let recovered = {
            let roster = lock(&self.hub.roster);
            roster.has_recovered(&lock(&self.hub.pool))
        };
        if ordered >= self.not_before {
            self.failures = if recovered { 1 } else { self.failures + 1 };
            self.failed_at = now;
            self.not_before = now + restart_delay(self.failures);
        }
        self.disappoint(failure);
        self.not_before.saturating_duration_since(now)
    }

    /// A process that was to serve or to fork has ended before it was asked anything. Returns the seconds until the next
    /// attempt, or an error if this was the last attempt of the start. Limits of the system may be the reason.
    pub(crate) fn ended_early(
        &mut self,
        failure: &str,
        limits: &Resources,
        ordered: Instant,
    ) -> anyhow::Result<f64> {
        if self.starting.is_some() && ordered >= self.not_before && self.failures + 1 >= ATTEMPTS {
            let limits: Vec<String> = limits
                .rows()
                .filter(|(name, _)| *name != "core")
                .map(|(name, limit)| format!("runner.workers.limits.{name}, {limit}"))
                .collect();
            let doubt = match &*limits {
                [] => String::new(),
                limits => format!("; perhaps a limit is too low ({})", limits.join("; ")),
            };
            return Err(anyhow!(
                "no worker has begun to serve in {ATTEMPTS} attempts: {failure}{doubt}"
            ));
        }
        Ok(self.back_off(failure, ordered).as_secs_f64())
    }

    /// A worker that had begun to serve has ended. If it did so before it was asked anything, the next one may, too: that
    /// is no reason to wait for long, but one not to start workers all the time.
    pub(crate) fn ended_serving(&mut self, failure: &str, is_unasked: bool) {
        self.failures = 0;
        if is_unasked {
            let soon = Instant::now() + FIRST_DELAY;
            self.not_before = self.not_before.max(soon);
            self.disappoint(failure);
        } else {
            lock(&self.hub.roster).failed(failure);
        }
    }

    /// Tells the callers that wait until all workers are ready why they are not.
    fn disappoint(&mut self, failure: &str) {
        for awaiting in self.awaiting.drain(..) {
            let _ = awaiting.send(Err(anyhow!(failure.to_owned())));
        }
        lock(&self.hub.roster).failed(failure);
    }

    /// Copies what the status shows.
    pub(crate) fn publish(&self) {
        let mut roster = lock(&self.hub.roster);
        roster.early_deaths = self.failures;
        roster.not_before = self.not_before;
        roster.failed_at = self.failed_at;
    }
}
