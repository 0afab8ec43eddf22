//! The requests that wait for a worker: clients take turns, and the requests of each are answered in the order in which they
//! came in. Those of clients that have ended their side of the connection come after all others ([`FairQueue`]).

use std::time::{Duration, Instant};

use crate::clients::FairQueue;
use crate::interface::measurements::Distribution;
use crate::log::LogKind;
use crate::log_of;
use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::pending_request::{PendingRequest, seconds};
use crate::workers::pool::checkup::{deadline, is_over};

/// First come, first served, of each client.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue {
    waiting: FairQueue<PendingRequest>,
    /// There is no worker, and none is started before: requests are refused until then.
    outage: Option<Instant>,
    /// How long the requests waited that were sent to a worker from here.
    waits: Distribution,
}

impl RequestQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The one that has waited the longest.
    pub(crate) fn oldest(&self) -> Option<&PendingRequest> {
        self.waiting.oldest().min_by_key(|pending| pending.entered)
    }

    /// The next request, which is sent to a worker now, unless its client has gone away.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<PendingRequest> {
        let pending = self.waiting.pop()?;
        if pending.is_wanted() {
            let waited = now.saturating_duration_since(pending.entered);
            self.waits.record(waited);
        }
        Some(pending)
    }

    /// How long the requests waited that were sent to a worker from here.
    pub(crate) fn waits(&self) -> &Distribution {
        &self.waits
    }

    /// Adds a request that has just come in, or answers 503 in an outage.
    pub(crate) fn push(&mut self, mut pending: PendingRequest, errors: &mut GatewayErrors) {
        match self.outage.filter(|until| pending.entered < *until) {
            Some(until) => refuse(&mut pending, until, errors),
            None => self.waiting.push(pending),
        }
    }

    /// Sets until when there is no worker, and none is started: the requests that wait for one are answered 503.
    pub(crate) fn set_outage(&mut self, outage: Option<Instant>, errors: &mut GatewayErrors) {
        self.outage = outage;
        if let Some(until) = outage {
            for mut pending in self.waiting.take_all() {
                refuse(&mut pending, until, errors);
            }
        }
    }

    /// Adds a request that was taken back from a lane, at the place that it had.
    pub(crate) fn put_back(&mut self, pending: PendingRequest) {
        self.waiting.put_back(pending);
    }

    /// The requests whose clients still wait.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &PendingRequest> + Clone {
        self.waiting.iter().filter(|pending| pending.is_wanted())
    }

    /// Removes the requests whose clients have gone away.
    pub(crate) fn prune(&mut self) {
        self.waiting.retain(PendingRequest::is_wanted);
    }

    /// Answers 503 to the requests that have waited longer than `limit`. Returns when the next one will have.
    pub(crate) fn expire(
        &mut self,
        limit: Duration,
        now: Instant,
        errors: &mut GatewayErrors,
    ) -> Option<Instant> {
        self.waiting.remove_oldest(|pending| {
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
            pending.is_wanted()
        });
        self.oldest()
            .and_then(|pending| deadline(limit, pending.entered))
    }

    /// Answers 503 to a request whose client has ended its side, or to one of the client that has the most here, for one of a
    /// client that has less. Returns whether that makes room.
    pub(crate) fn displace_for(
        &mut self,
        pending: &PendingRequest,
        errors: &mut GatewayErrors,
    ) -> bool {
        let Some(mut displaced) = self.waiting.displace_for(pending.about.client()) else {
            return false;
        };
        let why = match displaced.about.has_ended() {
            true => "and its client has closed its side of the connection",
            false => "most of them of its client",
        };
        log_of!(
            LogKind::Refused,
            about = displaced.about.subject(),
            "503 for {}: too many requests wait, {why} (runner.request.queue_length)",
            displaced.about
        );
        errors.unavailable(&mut displaced);
        true
    }

    /// Answers 503 to all requests, because the time to stop is over.
    pub(crate) fn refuse_all(&mut self, errors: &mut GatewayErrors) {
        for mut pending in self.waiting.take_all() {
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

/// Answers 503 to a request, since no worker is started before this time.
fn refuse(pending: &mut PendingRequest, until: Instant, errors: &mut GatewayErrors) {
    let time = until.saturating_duration_since(Instant::now());
    if pending.is_wanted() {
        log_of!(
            LogKind::Refused,
            about = pending.about.subject(),
            "503 for {}: no worker could be started, and the next attempt is in {}",
            pending.about,
            seconds(time)
        );
    }
    errors.unavailable_for(pending, time);
}
