//! Whether a client has ended its side of its connection, and so may have gone away.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::clients::client_network::ClientNetwork;

/// Whether the end of what a client sends has come (TCP's FIN). Over TCP, a client that has gone away looks like one that only
/// has no more to send (`shutdown(SHUT_WR)`) and waits for its answer. So the requests of both go on for a while, but each
/// waits behind the requests of clients that are there. Clones are about the same connection.
#[derive(Clone, Debug, Default)]
pub struct ClientEnd(Arc<AtomicBool>);

impl ClientEnd {
    /// Notes that it has come. It stays so.
    pub fn note(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it has come.
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl PartialEq for ClientEnd {
    fn eq(&self, other: &Self) -> bool {
        self.has_come() == other.has_come()
    }
}

impl Eq for ClientEnd {}

/// The client of a request that waits.
#[derive(Clone, Debug, Default)]
pub struct WaitingClient {
    /// `None` where it is not known, as behind a web server on a Unix socket.
    pub network: Option<ClientNetwork>,
    /// Whether it has ended its side.
    pub end: ClientEnd,
}
