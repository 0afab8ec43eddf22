//! Connections that a process passes on to its successor, which goes on reading where it has stopped: for protocols
//! in which the other side cannot be told that a connection will be closed.
//!
//! The receiving end travels with the listening sockets, as one of them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::AddressFamily;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::gateway::socket::stream::{Peer, Stream};
use crate::unix::{receive_descriptor, send_descriptors};

/// How long a successor may take to make room for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The end of who passes connections on.
#[derive(Clone, Debug)]
pub struct Passer(Arc<UnixStream>);

/// The end of who gets them.
#[derive(Debug)]
pub struct Passed(UnixStream);

/// Both ends; that of the successor for as long as there is none.
///
/// # Errors
/// The system has no descriptors left.
pub fn pair() -> io::Result<(Passer, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    Ok((Passer(Arc::new(ours)), theirs.into()))
}

impl Passer {
    /// Passes on a connection on which nothing is half read.
    ///
    /// # Errors
    /// There is nobody who takes it: the connection itself.
    pub async fn pass(&self, stream: Stream) -> Result<(), Stream> {
        let send = self.0.async_io(Interest::WRITABLE, || {
            send_descriptors(self.0.as_fd(), b"c", &[stream.as_fd()])
        });
        match timeout(PATIENCE, send).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(stream),
        }
    }
}

impl Passed {
    /// The end that came with a predecessor's sockets.
    ///
    /// # Errors
    /// It is something else.
    pub fn on(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket).map(Self)
    }

    /// The next connection; `None` when no more will come. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<(Stream, Peer)> {
        loop {
            let receive = || receive_descriptor(self.0.as_fd());
            match self.0.async_io(Interest::READABLE, receive).await {
                Ok(connection) => match open(connection) {
                    Ok(accepted) => return Some(accepted),
                    Err(error) => crate::log!("a connection was lost on its way to us: {error}"),
                },
                Err(_) => return None,
            }
        }
    }
}

/// A connection that another process had.
fn open(connection: OwnedFd) -> io::Result<(Stream, Peer)> {
    if rustix::net::getsockname(&connection)?.address_family() == AddressFamily::UNIX {
        let stream = StdUnixStream::from(connection);
        stream.set_nonblocking(true)?;
        return Ok((Stream::Unix(UnixStream::from_std(stream)?), Peer::Unix));
    }
    let stream = std::net::TcpStream::from(connection);
    stream.set_nonblocking(true)?;
    let peer = Peer::of(stream.peer_addr()?);
    Ok((Stream::Tcp(TcpStream::from_std(stream)?), peer))
}
