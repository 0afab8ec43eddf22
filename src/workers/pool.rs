//! The pool: stands in for the architect's until that is merged.
use std::time::Duration;

/// The limits that a pool keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long an application may take to the head of its response; zero for no limit.
    pub request_timeout: Duration,
    /// How many requests may wait.
    pub queue_length: usize,
    /// How long a request may wait.
    pub queue_timeout: Duration,
}
