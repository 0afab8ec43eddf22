//! The share that a stream of HTTP/2 has of the limit of connections.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::clients::{ClientNetwork, ClientShares};
use crate::gateway::connection_limit::{ConnectionLimit, Permit};

/// A stream beside the first one of its connection, counted as a connection: its request needs the same (a descriptor for
/// the body that its client does not take, memory). But it costs a client nothing to have many, so that all of them together
/// leave half of the limit to connections, and each client some of the other half to others: a few clients cannot keep others
/// out.
#[derive(Debug)]
pub struct StreamPermit {
    permit: Permit,
    client: Option<ClientNetwork>,
}

impl StreamPermit {
    /// That of one more stream on a connection; `None` at the limit.
    pub fn of(connection: &Permit) -> Option<Self> {
        let limit = &connection.limit;
        let known = connection.connection.client.get();
        let client = known.map(|client| client.network);
        let most = (limit.get() / 2).max(1) as u64;
        // One that had to wait for its turn would keep its place meanwhile.
        let may_begin = limit.0.requests.may_begin(known.map(Arc::as_ref));
        if !may_begin || streams(limit).room(client, most) == 0 {
            return None;
        }
        let permit = connection.another()?;
        streams(limit).add(client, 1);
        Some(Self { permit, client })
    }
}

fn streams(limit: &ConnectionLimit) -> MutexGuard<'_, ClientShares> {
    // No operation under the lock leaves it half done.
    limit
        .0
        .streams
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        streams(&self.permit.limit).subtract(self.client, 1);
    }
}
