//! What a WebSocket goes over: a connection by HTTP/1.1, or a stream by HTTP/2.

use std::future::Future;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::gateway::half_closed::PeerEnd;
use crate::gateway::http::transport::Transport;

/// A connection or stream with a client.
pub(in crate::gateway::http) trait Carrier:
    AsyncRead + AsyncWrite + Unpin
{
    /// Ready when all that was written is out of the server's hands.
    fn poll_passed_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether the client has gone, which is asked where nothing is read.
    fn has_gone(&mut self, context: &mut Context<'_>) -> bool;

    /// Ends it so that the client gets all that was written.
    fn linger(self, limit: Duration) -> impl Future<Output = ()> + Send;

    /// Ends it so that the client knows that something is missing.
    fn reset(self);
}

impl Carrier for Transport {
    fn poll_passed_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Transport::poll_passed_on(self, context)
    }

    fn has_gone(&mut self, _: &mut Context<'_>) -> bool {
        self.peer_end() == PeerEnd::Closed
    }

    fn linger(self, limit: Duration) -> impl Future<Output = ()> + Send {
        Transport::linger(self, limit)
    }

    fn reset(self) {
        Transport::reset(self);
    }
}
