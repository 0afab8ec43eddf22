//! The requests that wait for a worker, in the order in which they came in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::log::LogKind;
use crate::log_of;
use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::pending_request::{PendingRequest, seconds};
use crate::workers::pool::checkup::{deadline, is_over};

/// First come, first served.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue(VecDeque<PendingRequest>);

impl RequestQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn front(&self) -> Option<&PendingRequest> {
        self.0.front()
    }

    pub(crate) fn pop(&mut self) -> Option<PendingRequest> {
        self.0.pop_front()
    }

    /// Adds a request that has just come in.
    pub(crate) fn push(&mut self, pending: PendingRequest) {
        self.0.push_back(pending);
    }

    /// Adds a request that was taken back from a lane, at the place that it had.
    pub(crate) fn put_back(&mut self, pending: PendingRequest) {
        let place = self.0.partition_point(|it| it.entered < pending.entered);
        self.0.insert(place, pending);
    }

    /// The requests whose clients still wait.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &PendingRequest> + Clone {
        self.0.iter().filter(|pending| pending.is_wanted())
    }

    /// Removes the requests whose clients have gone away.
    pub(crate) fn prune(&mut self) {
        self.0.retain(PendingRequest::is_wanted);
    }

    /// Answers 503 to the requests that have waited longer than `limit`. Returns when the next one will have.
    pub(crate) fn expire(
        &mut self,
        limit: Duration,
        now: Instant,
        errors: &mut GatewayErrors,
    ) -> Option<Instant> {
        while let Some(pending) = self.0.front_mut() {
            if pending.is_wanted() && is_over(limit, pending.entered, now) {
                log_of!(
                    LogKind::Refused,
                    about = pending.about.subject(),
                    "503 for {}: no worker was free for {} (runner.request.queue_timeout)",
                    pending.about,
                    seconds(now - pending.entered)
                );
                errors.unavailable(pending);
            }
            if pending.is_wanted() {
                return deadline(limit, pending.entered);
            }
            self.0.pop_front();
        }
        None
    }

    /// Answers 503 to all requests, because the time to stop is over.
    pub(crate) fn refuse_all(&mut self, errors: &mut GatewayErrors) {
        for mut pending in self.0.drain(..) {
            if pending.is_wanted() {
                crate::log_error!(
                    about = pending.about.subject(),
                    "503 for {}: it had not begun when the time to stop was over (runner.stop_timeout)",
                    pending.about
                );
            }
            errors.unavailable(&mut pending);
        }
    }
}
