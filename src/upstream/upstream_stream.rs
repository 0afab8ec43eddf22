//! A connection to a server, over TCP or a Unix socket.

use std::io::{self, IoSlice};
use std::os::unix::net;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_keepalive;
use rustix::net::{AddressFamily, RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::unix_socket::{UnixAddress, stream_socket};
use crate::upstream::server_address::ServerAddress;

/// How long a Unix socket whose queue is full is left alone before the first and before each later attempt.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// An open connection.
#[derive(Debug)]
pub enum UpstreamStream {
    /// Over TCP, without Nagle's algorithm.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl UpstreamStream {
    /// Connects to a server. Names are looked up in another thread; of several addresses, the first that answers is taken.
    /// A Unix socket whose queue is full is tried again until the time is over: its server is busy, not down.
    ///
    /// # Errors
    /// Why there is no connection; [`io::ErrorKind::TimedOut`] after the time `within`.
    pub async fn connect(address: &ServerAddress, within: Duration) -> io::Result<Self> {
        let connected = timeout(within, async {
            match address {
                ServerAddress::Tcp { host, port } => {
                    let mut failure = None;
                    for address in lookup_host((host.as_str(), *port)).await? {
                        match TcpStream::connect(address).await {
                            Ok(stream) => {
                                // Without it, the last part of a request waits for an acknowledgement.
                                stream.set_nodelay(true)?;
                                // A server whose machine is gone says nothing for ever.
                                set_socket_keepalive(&stream, true)?;
                                return Ok(Self::Tcp(stream));
                            }
                            Err(error) => failure = Some(error),
                        }
                    }
                    let no_address = || io::Error::other("the name has no address");
                    Err(failure.unwrap_or_else(no_address))
                }
                ServerAddress::Unix(path) => {
                    let mut wait = FIRST_WAIT;
                    loop {
                        match connect_unix(path) {
                            Err(Errno::AGAIN) => sleep(wait).await,
                            connected => return Ok(Self::Unix(connected?)),
                        }
                        wait = LONGEST_WAIT.min(wait * 2);
                    }
                }
            }
        });
        connected
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl UpstreamStream {
    /// Whether the server has neither closed the connection nor sent anything that is unread.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = match self {
            Self::Tcp(stream) => recv(stream, &mut [0], flags),
            Self::Unix(stream) => recv(stream, &mut [0], flags),
        };
        peeked.is_err_and(|error| error == Errno::AGAIN)
    }
}

/// Connects to a Unix socket, whose path may be longer than an address takes.
fn connect_unix(path: &Path) -> Result<UnixStream, Errno> {
    let address = UnixAddress::of(path)?;
    let socket = stream_socket(AddressFamily::UNIX)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::connect(&socket, &address.socket)?;
    UnixStream::from_std(net::UnixStream::from(socket))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
