//! The share that a stream of HTTP/2 has of the limit of connections.

use std::sync::atomic::Ordering;

use crate::gateway::connection_limit::Permit;

/// A stream beside the first one of its connection, counted as a connection: its request needs the same (a descriptor for
/// the body that its client does not take, memory). But it costs a client nothing to have many, so that all of them together
/// leave half of the limit to connections: a few clients cannot keep others out.
#[derive(Debug)]
pub struct StreamPermit(Permit);

impl StreamPermit {
    /// That of one more stream on a connection; `None` at the limit.
    pub fn of(connection: &Permit) -> Option<Self> {
        let limit = &connection.limit;
        if limit.0.streams.load(Ordering::Relaxed) >= (limit.get() / 2).max(1) {
            return None;
        }
        let permit = connection.another()?;
        limit.0.streams.fetch_add(1, Ordering::Relaxed);
        Some(Self(permit))
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.limit.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
