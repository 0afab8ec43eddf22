//! Starts that fail: the end of the start, of a reload, or a reason to wait before the next attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::oneshot;

use crate::log;
use crate::workers::hub::lock;
use crate::workers::id::TemplateId;
use crate::workers::options::MOMENT;
use crate::workers::staff::{Staff, Stopping};

/// The first delay after a worker could not be started; it doubles each time. Workers that end without having been asked
/// anything are not started more often, either.
pub(crate) const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest such delay.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How often a start is attempted with an application that can be imported, before it has failed.
const ATTEMPTS: u32 = 3;

impl Staff {
    /// The application could not be imported, which was begun at some time.
    pub(crate) fn import_failed(&mut self, id: TemplateId, begun: Instant, error: anyhow::Error) {
        self.members
            .retain(|_, member| member.source != id || member.was_ordered());
        if let Some(source) = self.sources.get_mut(&id) {
            // It has said so, and ends.
            source.loading = None;
            source.end_by = Some(Instant::now() + MOMENT);
        }
        self.failed(error, begun);
    }

    /// A worker that was ordered at some time could not be started: the end of the start, later on a reason to wait
    /// before the next attempt.
    pub(crate) fn failed(&mut self, error: anyhow::Error, ordered: Instant) {
        if let Some(starting) = self.starting.take() {
            lock(&self.shared.pool).close(Instant::now());
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
        if self.stopping.is_some() && !lock(&self.shared.pool).is_crowded() {
            // Nothing waits for one: there is no next attempt.
            return;
        }
        let delay = self.back_off(&format!("{error:#}"), ordered);
        log!(
            "{error:#}\nthe next attempt is in {:.1} s",
            delay.as_secs_f64()
        );
    }

    /// A worker that was ordered at some time could not be started: how long to wait before the next attempt. Of those
    /// that were ordered together, only the first failure counts.
    pub(crate) fn back_off(&mut self, failure: &str, ordered: Instant) -> Duration {
        let now = Instant::now();
        let recovered = {
            let roster = lock(&self.shared.roster);
            roster.has_recovered(&lock(&self.shared.pool))
        };
        if ordered >= self.not_before {
            self.failures = if recovered { 1 } else { self.failures + 1 };
            self.failed_at = now;
            self.not_before = now + delay(self.failures);
        }
        self.disappoint(failure);
        self.not_before.saturating_duration_since(now)
    }

    /// Something that was to serve does not: whoever waits for all is told.
    pub(crate) fn disappoint(&mut self, failure: &str) {
        for awaiting in self.awaiting.drain(..) {
            // Nobody to tell is no matter.
            let _ = awaiting.send(Err(anyhow!(failure.to_owned())));
        }
        lock(&self.shared.roster).failed(failure);
    }

    /// What was ordered at some time, or was to fork, has ended before anything could be asked of it: how long to wait
    /// before the next attempt. `None` if that was the last one of the start.
    pub(crate) fn ended_early(&mut self, failure: &str, ordered: Instant) -> Option<f64> {
        if self.starting.is_some() && ordered >= self.not_before && self.failures + 1 >= ATTEMPTS {
            let error = anyhow!("no worker has begun to serve in {ATTEMPTS} attempts: {failure}");
            self.failed(error, ordered);
            return None;
        }
        Some(self.back_off(failure, ordered).as_secs_f64())
    }
}

/// How long to wait after a worker could not be started: a tenth of a second, doubled for each time in a row, at most half
/// a minute.
fn delay(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_DELAY
        .saturating_mul(1 << doublings)
        .min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::delay;

    #[test]
    fn delays_double_up_to_half_a_minute() {
        let delays: Vec<u128> = [1, 2, 3, 9, 10, 1000]
            .map(|failures| delay(failures).as_millis())
            .to_vec();
        assert_eq!(delays, [100, 200, 400, 25_600, 30_000, 30_000]);
        assert!(delay(u32::MAX) <= Duration::from_secs(30));
    }
}
