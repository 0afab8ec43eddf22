//! Listening sockets: bound from a socket URL or inherited, and the connections they accept.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::AddressFamily;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;

use crate::gateway::connection_limit::Crowd;
use crate::gateway::graceful_stop::Manner;
use crate::gateway::socket::activation;
use crate::gateway::socket::binding;
pub use crate::gateway::socket::binding::{InUse, is_listening};
use crate::gateway::socket::connection_handover::{self, Passed, Passer};
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::url::{Descriptor, Host, SocketUrl};
use crate::own_file::OwnFile;
use crate::unix;

/// How long to wait when the system has no descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often that is written to the log at most.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// One or several listening sockets that serve as one.
#[derive(Debug)]
pub struct Listener {
    /// Removed when we end, and before the sockets are closed: till then, nobody takes the path for free.
    file: Option<OwnFile>,
    sockets: Vec<Socket>,
    /// The socket whose turn it is, so that a busy address does not starve another.
    turn: usize,
    host: Option<Host>,
    port: Option<u16>,
    /// What this process was started with, if the sockets are duplicates of it.
    inherited: Vec<RawFd>,
    /// For a successor: who passes connections on, and the end of who gets them.
    passing: Option<(Passer, OwnedFd)>,
    /// From a predecessor.
    passed: Option<Passed>,
    complained: Option<Instant>,
    /// What was accepted and is still open.
    crowd: Crowd,
    /// For whoever wants to know when it is closed.
    open: Option<oneshot::Sender<Infallible>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(AsyncFd<StdTcpListener>),
    Unix(AsyncFd<StdUnixListener>),
}

impl Default for Listener {
    /// Listens nowhere.
    fn default() -> Self {
        Self {
            sockets: Vec::new(),
            turn: 0,
            host: None,
            port: None,
            file: None,
            inherited: Vec::new(),
            // Without descriptors, connections are closed rather than passed on.
            passing: connection_handover::pair().ok(),
            passed: None,
            complained: None,
            crowd: Crowd::default(),
            open: None,
        }
    }
}

impl Listener {
    /// Listens at a URL. Must be called within a tokio runtime with I/O.
    ///
    /// # Errors
    /// Nothing can listen there: the port or file is in use, the name is unknown, the inherited
    /// descriptor is no listening stream socket. Nothing stays bound then.
    pub fn bind(url: &SocketUrl) -> anyhow::Result<Self> {
        let context = || format!("cannot listen on `{url}`");
        match url {
            SocketUrl::Tcp { host, port } => Self::bind_tcp(host, *port).with_context(context),
            SocketUrl::Unix(path) => Self::bind_unix(path).with_context(context),
            SocketUrl::Nowhere => Ok(Self::default()),
            SocketUrl::Passed(passed) => activation::descriptors(passed)
                .and_then(|descriptors| Self::inherit(&descriptors))
                .with_context(context),
            SocketUrl::Descriptor(descriptor) => {
                Self::inherit(std::slice::from_ref(descriptor)).with_context(context)
            }
        }
    }

    fn bind_tcp(host: &Host, port: u16) -> anyhow::Result<Self> {
        let (sockets, port) = binding::bind_host(host, port)?;
        Ok(Self {
            sockets: sockets
                .into_iter()
                .map(Socket::from_tcp)
                .collect::<io::Result<_>>()?,
            host: Some(host.clone()),
            port: Some(port),
            ..Self::default()
        })
    }

    fn inherit(descriptors: &[Descriptor]) -> anyhow::Result<Self> {
        let sockets: anyhow::Result<_> = descriptors.iter().map(binding::inherit).collect();
        Ok(Self {
            inherited: descriptors.iter().map(|one| one.number).collect(),
            ..Self::on_sockets(sockets?)?
        })
    }

    fn bind_unix(path: &Path) -> anyhow::Result<Self> {
        let (socket, file) = binding::bind_file(path)?;
        Ok(Self {
            sockets: vec![Socket::from_unix(socket)?],
            file: Some(file),
            ..Self::default()
        })
    }

    /// Listens on sockets that another process of ours has bound for a URL, as [`Listener::sockets`] gives them.
    /// Must be called within a tokio runtime with I/O.
    ///
    /// # Errors
    /// They are no listening sockets of that kind.
    pub fn take_over(url: &SocketUrl, sockets: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut taken =
            Self::on_sockets(sockets).with_context(|| format!("cannot take over `{url}`"))?;
        match url {
            SocketUrl::Tcp { host, .. } => taken.host = Some(host.clone()),
            SocketUrl::Unix(path) => taken.file = binding::taken_over(path),
            // If it is us again who took them over.
            SocketUrl::Descriptor(descriptor) => taken.inherited = vec![descriptor.number],
            SocketUrl::Passed(passed) => {
                let descriptors = activation::descriptors(passed).unwrap_or_default();
                taken.inherited = descriptors.iter().map(|one| one.number).collect();
            }
            SocketUrl::Nowhere => {}
        }
        Ok(taken)
    }

    /// Goes on with the connections of a process of ours that has given its sockets, as [`Listener::sockets`] gives
    /// them; but listens on its own.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn succeed(mut self, sockets: Vec<OwnedFd>) -> anyhow::Result<Self> {
        for socket in sockets {
            let local = rustix::net::getsockname(&socket)?.address_family() == AddressFamily::UNIX;
            if local && !is_listening(&socket)? {
                self.passed = Some(Passed::on(socket)?);
            }
        }
        Ok(self)
    }

    /// Looks whether sockets that were handed over, as [`Listener::sockets`] gives them, are what a URL says.
    ///
    /// # Errors
    /// One of them is not.
    pub fn check(url: &SocketUrl, sockets: &[OwnedFd]) -> anyhow::Result<()> {
        sockets
            .iter()
            .try_for_each(|socket| binding::check_handed(url, socket))
    }

    /// Whether nobody finds these sockets at their URL any more, since the file was removed; says so.
    #[must_use]
    pub fn is_lost(url: &SocketUrl, sockets: &[OwnedFd]) -> bool {
        let lost = match url {
            SocketUrl::Unix(path) => binding::is_lost(path, sockets),
            SocketUrl::Tcp { .. } | SocketUrl::Descriptor(_) => false,
            SocketUrl::Passed(_) | SocketUrl::Nowhere => false,
        };
        if lost {
            crate::log!("listening anew on `{url}`, which was removed");
        }
        lost
    }

    fn on_sockets(sockets: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut host = None;
        let mut port = None;
        let mut listening = Vec::new();
        let mut passed = None;
        for socket in sockets {
            let local = rustix::net::getsockname(&socket)?.address_family() == AddressFamily::UNIX;
            match (local, is_listening(&socket)?) {
                (true, true) => {
                    listening.push(Socket::from_unix(socket)?);
                    continue;
                }
                (true, false) => {
                    passed = Some(Passed::on(socket)?);
                    continue;
                }
                (false, true) => {}
                (false, false) => anyhow::bail!("one of the sockets does not listen"),
            }
            let socket = StdTcpListener::from(socket);
            let local = socket.local_addr()?;
            port = Some(local.port());
            host.get_or_insert_with(|| Host::of(local.ip()));
            listening.push(Socket::from_tcp(socket.into())?);
        }
        if listening.is_empty() {
            anyhow::bail!("there is no socket");
        }
        Ok(Self {
            sockets: listening,
            host,
            port,
            passed,
            ..Self::default()
        })
    }

    /// The sockets, to be handed to another process of ours: those that listen, and that over which connections are
    /// passed on.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listening = self.sockets.iter().map(AsFd::as_fd);
        listening.chain(self.passing.iter().map(|(_, theirs)| theirs.as_fd()))
    }

    /// Passes connections on to whom the sockets are handed to.
    #[must_use]
    pub fn passer(&self) -> Option<Passer> {
        self.passing.as_ref().map(|(passer, _)| passer.clone())
    }

    /// The connections that a predecessor passes on. A gateway that does not want them must not keep this.
    pub fn take_passed(&mut self) -> Option<Passed> {
        self.passed.take()
    }

    /// The connections that were accepted here: whoever serves one takes a place there.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        self.crowd.clone()
    }

    /// Tells when it is closed, in whatever way: from then on nothing comes in here. One asker is told, the last.
    pub fn closing(&mut self) -> oneshot::Receiver<Infallible> {
        let (open, closed) = oneshot::channel();
        self.open = Some(open);
        closed
    }

    /// A connection that the system has accepted already; `None` if there is none. The system itself is asked: tokio
    /// knows of nothing that has come since it last waited, and closing would reset that.
    pub fn accepted(&mut self) -> Option<(Stream, Peer)> {
        self.sockets.iter().find_map(|socket| {
            loop {
                match socket.accepted() {
                    Ok(accepted) => return Some(accepted),
                    Err(error) if is_the_connections_own(&error) => {}
                    Err(_) => return None,
                }
            }
        })
    }

    /// Stops listening. The file of a Unix socket is removed, unless it is the successor's by now. Where nobody serves
    /// after us, connections are refused from now on, unless another process has the socket, too.
    pub fn close(mut self, manner: Manner) {
        match manner {
            Manner::Drain => self.give_up_inherited(),
            Manner::Retire => {}
            Manner::HandOver => {
                let file = self.file.take();
                drop(self);
                if let Some(file) = file {
                    binding::hand_over(file);
                }
            }
        }
    }

    fn give_up_inherited(&self) {
        for &number in &self.inherited {
            for socket in &self.sockets {
                // What was closed by others is given up, too.
                let _ = unix::give_up_inherited(number, socket.as_fd());
            }
        }
    }

    /// The next connection, once there is room for it in [`Listener::crowd`]: until then it waits in the system's queue,
    /// and others are asked to leave for it. Trouble that is not the connection's own (no descriptors left) is logged and
    /// waited out. Nothing is lost if the future is dropped.
    pub async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            let come = std::future::poll_fn(|context| self.poll_come(context)).await;
            let accepted = match come {
                Ok(()) => {
                    self.crowd.room().await;
                    self.accept_ready()
                }
                Err(error) => Err(error),
            };
            match accepted {
                Ok(accepted) => return accepted,
                // Another process was quicker.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if is_the_connections_own(&error) => {}
                Err(error) => {
                    self.complain(&error);
                    self.crowd.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Ready when a connection waits to be accepted. Where nobody need leave for it, that is not certain: accepting
    /// shows it.
    fn poll_come(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let full = self.crowd.is_full();
        for socket in &self.sockets {
            let is_there = || !full || socket.has_come();
            let come = match socket {
                Socket::Tcp(socket) => poll_come(socket, context, is_there),
                Socket::Unix(socket) => poll_come(socket, context, is_there),
            };
            if come.is_ready() {
                return come;
            }
        }
        Poll::Pending
    }

    /// A connection of one of the sockets that are ready.
    fn accept_ready(&mut self) -> io::Result<(Stream, Peer)> {
        for _ in 0..self.sockets.len() {
            let socket = &self.sockets[self.turn];
            self.turn = (self.turn + 1) % self.sockets.len();
            match socket.accept_ready() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self
            .complained
            .is_none_or(|last| now.duration_since(last) >= ACCEPT_LOG_INTERVAL)
        {
            self.complained = Some(now);
            crate::log!("cannot accept a connection, trying again: {error}");
        }
    }

    /// `http://HOST:PORT/` with the host as it was configured and the real port; `None` for a Unix
    /// socket. Where every address was asked for, the host is `localhost`.
    #[must_use]
    pub fn http_url(&self) -> Option<String> {
        let port = self.port?;
        match self.host.as_ref()? {
            Host::Any => Some(format!("http://localhost:{port}/")),
            host => Some(format!("http://{host}:{port}/")),
        }
    }

    /// `tcp://HOST:PORT` with the host as it was configured and the real port; `None` for a Unix socket.
    #[must_use]
    pub fn tcp_url(&self) -> Option<String> {
        let (host, port) = (self.host.as_ref()?, self.port?);
        Some(format!("tcp://{host}:{port}"))
    }

    /// The host as it was configured (or the address of an inherited socket); `None` for a Unix socket.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The real port; `None` for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl Socket {
    fn from_tcp(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdTcpListener::from(socket);
        socket.set_nonblocking(true)?;
        unix::watched(socket).map(Self::Tcp)
    }

    fn from_unix(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdUnixListener::from(socket);
        socket.set_nonblocking(true)?;
        unix::watched(socket).map(Self::Unix)
    }

    /// Whether a connection is there, of which the system has told before: another process may have been quicker.
    fn has_come(&self) -> bool {
        let mut polled = [PollFd::new(self, PollFlags::IN)];
        // Where that cannot be asked, accepting shows it.
        !matches!(
            rustix::event::poll(&mut polled, Some(&Timespec::default())),
            Ok(0)
        )
    }

    /// A connection, if the system has said that there is one.
    fn accept_ready(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => socket.try_io(Interest::READABLE, accept_tcp),
            Self::Unix(socket) => socket.try_io(Interest::READABLE, accept_unix),
        }
    }

    /// A connection that is there, without waiting.
    fn accepted(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => accept_tcp(socket.get_ref()),
            Self::Unix(socket) => accept_unix(socket.get_ref()),
        }
    }
}

/// Ready when the system has said that a connection is there, and it is.
fn poll_come<T: AsRawFd>(
    socket: &AsyncFd<T>,
    context: &mut Context<'_>,
    is_there: impl Fn() -> bool,
) -> Poll<io::Result<()>> {
    loop {
        let mut ready = ready!(socket.poll_read_ready(context))?;
        if is_there() {
            return Poll::Ready(Ok(()));
        }
        ready.clear_ready();
    }
}

fn accept_tcp(socket: &StdTcpListener) -> io::Result<(Stream, Peer)> {
    // Whoever else has it may have changed that.
    socket.set_nonblocking(true)?;
    let (stream, address) = socket.accept()?;
    stream.set_nonblocking(true)?;
    Ok(from_tcp(TcpStream::from_std(stream)?, address))
}

fn accept_unix(socket: &StdUnixListener) -> io::Result<(Stream, Peer)> {
    socket.set_nonblocking(true)?;
    let (stream, _) = socket.accept()?;
    stream.set_nonblocking(true)?;
    Ok((Stream::Unix(UnixStream::from_std(stream)?), Peer::Unix))
}

fn from_tcp(stream: TcpStream, address: SocketAddr) -> (Stream, Peer) {
    // What was closed already fails at its first read.
    let _ = stream.set_nodelay(true);
    (Stream::Tcp(stream), Peer::of(address))
}

/// Whether an error of `accept` concerns one connection only, which has failed before we saw it.
fn is_the_connections_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.get_ref().as_fd(),
            Self::Unix(socket) => socket.get_ref().as_fd(),
        }
    }
}
