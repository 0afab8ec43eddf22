//! The statuses that runner answers where an application does not, and how many of each there were:
//!
//! - 502: its worker died or broke the protocol (`pool/worker.rs`);
//! - 503 with `Retry-After`: the queue is full, the request waited in it for too long, no worker is left and none can be
//!   started (`staff/attempts.rs`), or the server is being stopped (all in `pool/request_queue.rs`);
//! - 504: the request ran into `runner.request.timeout` or the time to stop (`pool/lane.rs`).

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use crate::interface::Response;
use crate::workers::pending_request::PendingRequest;

/// How many requests were answered with which status. Each method answers one, and counts it if its client still waits.
#[derive(Debug, Default)]
pub(crate) struct GatewayErrors {
    pub(crate) bad_gateway: u64,
    pub(crate) unavailable: u64,
    pub(crate) gateway_timeout: u64,
}

impl GatewayErrors {
    /// Answers with 502.
    pub(crate) fn bad_gateway(&mut self, pending: &mut PendingRequest) {
        self.bad_gateway += u64::from(pending.is_wanted());
        pending.refuse(Response::plain(StatusCode::BAD_GATEWAY));
    }

    /// Answers with 503: the client may come back soon.
    pub(crate) fn unavailable(&mut self, pending: &mut PendingRequest) {
        self.unavailable_for(pending, Duration::ZERO);
    }

    /// The same where it may come back after this time (`Retry-After` has whole seconds: RFC 9110 §10.2.3).
    pub(crate) fn unavailable_for(&mut self, pending: &mut PendingRequest, time: Duration) {
        self.unavailable += u64::from(pending.is_wanted());
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let mut response = Response::plain(StatusCode::SERVICE_UNAVAILABLE);
        let later = HeaderValue::from(seconds.max(1));
        response.headers.insert(header::RETRY_AFTER, later);
        pending.refuse(response);
    }

    /// Answers with 504.
    pub(crate) fn gateway_timeout(&mut self, pending: &mut PendingRequest) {
        self.gateway_timeout += u64::from(pending.is_wanted());
        pending.refuse(Response::plain(StatusCode::GATEWAY_TIMEOUT));
    }
}
