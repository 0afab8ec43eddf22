//! The requests that wait for a worker, in the order in which they came in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::log::LogKind;
use crate::workers::pool::checkup::{deadline, is_over};
use crate::workers::task::{Refusals, Task, seconds};
use crate::{log, log_of};

/// First come, first served.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue(VecDeque<Task>);

impl RequestQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn front(&self) -> Option<&Task> {
        self.0.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Task> {
        self.0.pop_front()
    }

    /// Adds a request that has just come in.
    pub(crate) fn push(&mut self, task: Task) {
        self.0.push_back(task);
    }

    /// Adds a request that was taken back from a lane, at the place that it had.
    pub(crate) fn put_back(&mut self, task: Task) {
        let place = self.0.partition_point(|it| it.entered < task.entered);
        self.0.insert(place, task);
    }

    /// The requests whose clients still wait.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Task> + Clone {
        self.0.iter().filter(|task| task.is_wanted())
    }

    /// Removes the requests whose clients have gone away.
    pub(crate) fn prune(&mut self) {
        self.0.retain(Task::is_wanted);
    }

    /// Answers 503 to the requests that have waited longer than `limit`. Returns when the next one will have.
    pub(crate) fn expire(
        &mut self,
        limit: Duration,
        now: Instant,
        refusals: &mut Refusals,
    ) -> Option<Instant> {
        while let Some(task) = self.0.front_mut() {
            if task.is_wanted() && is_over(limit, task.entered, now) {
                log_of!(
                    LogKind::Refused,
                    "503 for {}: no worker was free for {} (runner.request.queue_timeout)",
                    task.about,
                    seconds(now - task.entered)
                );
                refusals.refuse(task, StatusCode::SERVICE_UNAVAILABLE);
            }
            if task.is_wanted() {
                return deadline(limit, task.entered);
            }
            self.0.pop_front();
        }
        None
    }

    /// Answers 503 to all requests, because the time to stop is over.
    pub(crate) fn refuse_all(&mut self, refusals: &mut Refusals) {
        for mut task in self.0.drain(..) {
            if task.is_wanted() {
                log!(
                    "503 for {}: it had not begun when time was over (runner.stop_timeout)",
                    task.about
                );
            }
            refusals.refuse(&mut task, StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
