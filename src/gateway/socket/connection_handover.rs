//! Hands open connections over to a successor process, which goes on reading where this one has stopped: for protocols
//! that cannot tell the peer that a connection will be closed.
//!
//! The receiving end travels with the listening sockets, as one of them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::gateway::socket::stream::{Peer, Stream};
use crate::unix::{receive_descriptor, send_descriptors};

/// The longest time that a successor may take to make room for a connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The predecessor's end.
#[derive(Clone, Debug)]
pub struct HandoverSender(Arc<UnixStream>);

/// The successor's end.
#[derive(Debug)]
pub struct HandoverReceiver(UnixStream);

/// Both ends; the receiving one is kept until there is a successor.
///
/// # Errors
/// The system has no descriptors left.
pub fn pair() -> io::Result<(HandoverSender, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    Ok((HandoverSender(Arc::new(ours)), theirs.into()))
}

impl HandoverSender {
    /// Hands over a connection on which nothing is half read.
    ///
    /// # Errors
    /// No successor takes it: the connection itself.
    pub async fn send(&self, stream: Stream) -> Result<(), Stream> {
        let send = self.0.async_io(Interest::WRITABLE, || {
            send_descriptors(self.0.as_fd(), b"c", &[stream.as_fd()])
        });
        match timeout(SEND_TIMEOUT, send).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(stream),
        }
    }
}

impl HandoverReceiver {
    /// The end that came with a predecessor's sockets.
    ///
    /// # Errors
    /// It is something else.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket).map(Self)
    }

    /// The next connection; `None` when no more will come. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<(Stream, Peer)> {
        loop {
            let receive = || receive_descriptor(self.0.as_fd());
            let connection = self.0.async_io(Interest::READABLE, receive).await.ok()?;
            match open(connection) {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    crate::log_error!("lost a connection that a predecessor handed over: {error}");
                }
            }
        }
    }
}

fn open(connection: OwnedFd) -> io::Result<(Stream, Peer)> {
    let peer = Peer::at(rustix::net::getpeername(&connection)?);
    Ok((Stream::new(connection, peer)?, peer))
}
