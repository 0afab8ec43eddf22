//! The options of the HTTP gateway, which `plan/gateway_options.rs` fills from the settings.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::body::spool::SpoolOptions;

/// Options of the HTTP gateway.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where request bodies are kept, and the largest one that is accepted (413).
    pub spool: Arc<SpoolOptions>,
    /// Whether each response is logged.
    pub access_log: bool,
    /// The longest time for the head of a request, idle time before it included (408).
    pub head_timeout: Duration,
    /// The longest time in which a client sends nothing of a request body (408).
    pub body_timeout: Duration,
    /// The longest time in which a client takes nothing of a response.
    pub write_timeout: Duration,
    /// Bytes a second that a client must send of a body (408) and take of a response on average, once these times are
    /// used up; 0 for no minimum.
    pub min_rate: u64,
    /// The most open connections. Beyond it, the connection that was idle for the longest time is closed for each new
    /// one; where none is idle, new ones wait in the system's queue.
    pub connections: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            spool: Arc::default(),
            access_log: false,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            min_rate: 500,
            connections: 10_000,
        }
    }
}
