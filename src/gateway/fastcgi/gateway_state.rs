//! Options of the FastCGI gateway, and what all its connections share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::graceful_stop::Stop;
use crate::gateway::socket::connection_handover::HandoverSender;
use crate::interface::Application;

/// Options of the FastCGI gateway.
#[derive(Clone, Debug)]
pub struct FastCgiOptions {
    /// The most open connections (`FCGI_MAX_CONNS`). Beyond it, the connection that was idle for the longest time is closed
    /// for each new one; where none is idle, new ones wait in the system's queue.
    pub connections: usize,
    /// The most requests under way on one connection (`FCGI_MAX_REQS`). Others are answered with `FCGI_OVERLOADED`.
    pub requests: usize,
    /// The largest size of a request's variables altogether, in bytes; beyond it, the answer is 431.
    pub params: usize,
    /// The longest time in which a web server sends nothing in the middle of a request. Between requests it may be idle for
    /// ever.
    pub read_timeout: Duration,
    /// The longest time in which a web server takes nothing of an answer.
    pub write_timeout: Duration,
    /// The only addresses that may connect by TCP, as [`web_servers`](super::web_servers) reads them.
    pub web_servers: Option<Vec<IpAddr>>,
    /// Whether each request has an id.
    pub request_id: bool,
    /// Whether the application is told of the end of each response, for metrics.
    pub measures: bool,
    /// Where request bodies are kept, and the largest one that is accepted (413).
    pub spool: Arc<SpoolOptions>,
}

impl Default for FastCgiOptions {
    fn default() -> Self {
        Self {
            connections: 10_000,
            requests: 100,
            params: 256 * 1024,
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            web_servers: None,
            request_id: false,
            measures: false,
            spool: Arc::default(),
        }
    }
}

/// What all connections of a gateway share.
#[derive(Clone)]
pub(super) struct FastCgiState {
    pub application: Arc<dyn Application>,
    pub options: FastCgiOptions,
    /// Ends the connections once their requests are answered.
    pub stop: Stop,
    /// Hands connections over to a successor.
    pub handover: Option<HandoverSender>,
}
