//! Connections of each kind and their peers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::sendfile;
use rustix::io::retry_on_intr;
use rustix::net::RecvFlags;
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::clients::ClientNetwork;
use crate::gateway::socket::tls::HTTP2;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address; IPv4 never appears as IPv6.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix,
}

impl Peer {
    /// Its address; `None` for the peer of a Unix socket.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }

    /// The client that it is, if that is known.
    pub fn client(self) -> Option<ClientNetwork> {
        self.address().map(ClientNetwork::of)
    }

    /// The peer at an address; without an Internet address it is a Unix socket's.
    pub fn at(address: Option<rustix::net::SocketAddrAny>) -> Self {
        match address.and_then(|address| SocketAddr::try_from(address).ok()) {
            Some(address) => {
                Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            None => Self::Unix,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP, without Nagle's delay.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// TLS over one of the others, after the handshake. What is read and written is clear text.
    Tls(Box<TlsStream<Stream>>),
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl Stream {
    /// A connection that the system has accepted.
    ///
    /// # Errors
    /// The system cannot watch it.
    pub fn new(socket: OwnedFd, peer: Peer) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(match peer {
            Peer::Tcp(_) => {
                let stream = TcpStream::from_std(socket.into())?;
                // Where the connection is closed already, its first read fails.
                let _ = stream.set_nodelay(true);
                Self::Tcp(stream)
            }
            Peer::Unix => Self::Unix(UnixStream::from_std(socket.into())?),
        })
    }

    fn duplex(self: Pin<&mut Self>) -> Pin<&mut dyn Duplex> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }

    /// A duplicate of its descriptor, which no event loop watches.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn duplicate_descriptor(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }

    /// Has the event loop of this thread watch it instead of another's. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn move_here(&mut self) -> io::Result<()> {
        let duplicate = self.duplicate_descriptor()?;
        rustix::io::ioctl_fionbio(&duplicate, true)?;
        match self {
            Self::Tcp(stream) => *stream = TcpStream::from_std(duplicate.into())?,
            Self::Unix(stream) => *stream = UnixStream::from_std(duplicate.into())?,
            Self::Tls(stream) => stream.get_mut().0.move_here()?,
        }
        Ok(())
    }

    /// The first byte that comes, which stays unread.
    ///
    /// # Errors
    /// The connection ends or breaks before.
    pub async fn first_byte(&self) -> io::Result<u8> {
        let mut byte = [0];
        let mut peek = || self.peek(&mut byte);
        let length = match self {
            Self::Tcp(stream) => stream.async_io(Interest::READABLE, peek).await?,
            Self::Unix(stream) => stream.async_io(Interest::READABLE, peek).await?,
            Self::Tls(_) => peek()?,
        };
        match length {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }

    fn peek(&self, byte: &mut [u8; 1]) -> io::Result<usize> {
        let (length, _) = rustix::net::recv(self, byte, RecvFlags::PEEK)?;
        Ok(length)
    }

    /// Whether the handshake of TLS has agreed on HTTP/2.
    pub fn has_agreed_on_http2(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }

    /// The address that the client has reached; `None` for a Unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(rustix::net::getsockname(self).ok()?).ok()
    }

    /// Whether the peer has sent something that is unread.
    pub fn has_unread(&mut self) -> bool {
        if let Self::Tls(stream) = self {
            let (_, session) = stream.get_mut();
            if session
                .reader()
                .read(&mut [0])
                .is_ok_and(|length| length > 0)
            {
                return true;
            }
        }
        self.peek(&mut [0]).is_ok_and(|length| length > 0)
    }

    /// Has the system send a part of a file (`sendfile(2)`): the number of bytes, none at the end of the file. Over TLS it
    /// cannot.
    ///
    /// # Errors
    /// As `sendfile(2)`.
    pub fn poll_send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let send = || {
                let mut offset = offset;
                let sent = retry_on_intr(|| sendfile(self, file, Some(&mut offset), length));
                Ok(sent?)
            };
            let sent = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    stream.try_io(Interest::WRITABLE, send)
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    stream.try_io(Interest::WRITABLE, send)
                }
                Self::Tls(_) => Err(ErrorKind::Unsupported.into()),
            };
            match sent {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Writes what the system takes at once. The end of TLS (`close_notify`) follows.
    ///
    /// # Errors
    /// It takes nothing, or the connection is broken.
    pub fn write_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes).map(drop),
            Self::Unix(stream) => stream.try_write(bytes).map(drop),
            Self::Tls(stream) => {
                let (inner, session) = stream.get_mut();
                session.writer().write_all(bytes)?;
                session.send_close_notify();
                let mut records = Vec::new();
                while session.wants_write() {
                    session.write_tls(&mut records)?;
                }
                inner.write_last(&records)
            }
        }
    }

    /// From now on the connection ends with a reset: the peer learns that something went wrong, and the system drops what
    /// the peer has not taken.
    pub fn end_with_reset(&self) {
        // Where the system refuses that, the connection ends as any other.
        let _ = set_socket_linger(self, Some(Duration::ZERO));
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.duplex().poll_read(context, buffer) {
            // TLS that ends without saying so. Requests have lengths of their own (RFC 9112 §9.8).
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            read => read,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.duplex().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.duplex().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_shutdown(context)
    }
}
