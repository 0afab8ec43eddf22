//! Options of the uwsgi gateway.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::body::spool::SpoolOptions;

/// Options of the uwsgi gateway.
#[derive(Clone, Debug)]
pub struct UwsgiOptions {
    /// The most open connections. Beyond it, the one is closed on which a request has been waited for for the longest time.
    pub connections: usize,
    /// The longest time in which a web server sends nothing of a request.
    pub read_timeout: Duration,
    /// The longest time in which a web server takes nothing of an answer.
    pub write_timeout: Duration,
    /// Whether each request has an id.
    pub request_id: bool,
    /// Where request bodies are kept, and the largest one that is accepted (413).
    pub spool: Arc<SpoolOptions>,
}

impl Default for UwsgiOptions {
    fn default() -> Self {
        Self {
            connections: 10_000,
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            request_id: false,
            spool: Arc::default(),
        }
    }
}
