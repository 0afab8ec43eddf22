//! The statuses that runner answers where a server does not, and how many of each there were: 502, it cannot be reached or
//! breaks the protocol; 503 with `Retry-After`, all servers are busy; 504, it takes too long.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{HeaderValue, StatusCode, header};

use crate::interface::Response;
use crate::interface::master_status::{RecentFailure, Status, Totals, moment};

/// What was answered in place of servers, and why.
#[derive(Debug, Default)]
pub struct UpstreamFailures(Mutex<FailureCounts>);

#[derive(Debug, Default)]
struct FailureCounts {
    requests: u64,
    bad_gateway: u64,
    unavailable: u64,
    gateway_timeout: u64,
    latest: VecDeque<RecentFailure>,
}

impl UpstreamFailures {
    fn counts(&self) -> MutexGuard<'_, FailureCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request.
    pub fn request(&self) {
        self.counts().requests += 1;
    }

    /// Remembers a failure, as the log has it.
    pub fn note(&self, what: String) {
        let latest = &mut self.counts().latest;
        if latest.len() == Status::FAILURES {
            latest.pop_front();
        }
        latest.push_back(RecentFailure {
            at: moment(SystemTime::now()),
            what,
            ..RecentFailure::default()
        });
    }

    /// An answer 502.
    #[must_use]
    pub fn bad_gateway(&self) -> Response {
        self.counts().bad_gateway += 1;
        Response::plain(StatusCode::BAD_GATEWAY)
    }

    /// An answer 503.
    #[must_use]
    pub fn unavailable(&self) -> Response {
        self.counts().unavailable += 1;
        let mut response = Response::plain(StatusCode::SERVICE_UNAVAILABLE);
        let soon = HeaderValue::from_static("1");
        response.headers.insert(header::RETRY_AFTER, soon);
        response
    }

    /// An answer 504.
    #[must_use]
    pub fn gateway_timeout(&self) -> Response {
        self.counts().gateway_timeout += 1;
        Response::plain(StatusCode::GATEWAY_TIMEOUT)
    }

    /// Adds them to a status.
    pub fn show(&self, status: &mut Status) {
        let counts = self.counts();
        status.totals = Totals {
            requests: counts.requests,
            bad_gateway: counts.bad_gateway,
            unavailable: counts.unavailable,
            gateway_timeout: counts.gateway_timeout,
            ..status.totals
        };
        status.failures.extend(counts.latest.iter().cloned());
    }
}
