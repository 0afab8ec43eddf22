//! Listening sockets and the connections that they accept.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::AddressFamily;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::gateway::connection_limit::ConnectionLimit;
use crate::gateway::graceful_stop::Manner;
use crate::gateway::socket::activation;
use crate::gateway::socket::binding::{self, SocketFile};
pub use crate::gateway::socket::binding::{InUse, is_listening};
use crate::gateway::socket::connection_handover::{self, HandoverReceiver, HandoverSender};
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::url::{Descriptor, Host, SocketUrl};
use crate::interface::Scheme;
use crate::unix;

/// The pause before the next attempt when the system has no descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The shortest time between two log lines about that.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// One or several listening sockets that serve as one.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    /// The socket whose turn it is, so that a busy address does not starve another.
    turn: usize,
    scheme: Scheme,
    host: Option<Host>,
    port: Option<u16>,
    /// The descriptors that this process was started with, if the sockets are duplicates of them.
    inherited: Vec<RawFd>,
    /// Both ends of the handover to a successor.
    handover: Option<(HandoverSender, OwnedFd)>,
    /// The end of the handover from a predecessor.
    handed_over: Option<HandoverReceiver>,
    logged: Option<Instant>,
    connections: ConnectionLimit,
    /// Dropped with the listener, see [`Listener::closing`].
    open: Option<oneshot::Sender<Infallible>>,
    /// The last field: when it is dropped, the sockets are closed.
    file: SocketFile,
}

/// A listening socket, which does not block.
#[derive(Debug)]
struct Socket(AsyncFd<OwnedFd>);

impl Default for Listener {
    /// Listens nowhere.
    fn default() -> Self {
        Self {
            sockets: Vec::new(),
            turn: 0,
            scheme: Scheme::Http,
            host: None,
            port: None,
            inherited: Vec::new(),
            // Without descriptors for it, connections are closed rather than handed over.
            handover: connection_handover::pair().ok(),
            handed_over: None,
            logged: None,
            connections: ConnectionLimit::default(),
            open: None,
            file: SocketFile::default(),
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
            SocketUrl::Passed(passed) => activation::descriptors(passed)
                .and_then(|descriptors| Self::inherit(&descriptors))
                .with_context(context),
            SocketUrl::Descriptor(descriptor) => {
                Self::inherit(std::slice::from_ref(descriptor)).with_context(context)
            }
        }
    }

    /// Listens on those sockets of a service manager that listen at a URL; `None` if there is none. Must be called within a
    /// tokio runtime with I/O.
    ///
    /// # Errors
    /// The variables of the service manager are malformed.
    pub fn passed_at(url: &SocketUrl) -> anyhow::Result<Option<Self>> {
        if !activation::is_there() {
            return Ok(None);
        }
        let mut descriptors = activation::all()?;
        descriptors.retain(|one| {
            binding::inherit(one).is_ok_and(|socket| binding::check_handed(url, &socket).is_ok())
        });
        match descriptors.is_empty() {
            true => Ok(None),
            false => Self::inherit(&descriptors).map(Some),
        }
    }

    /// The descriptors that this process got at its start and that are listened on.
    #[must_use]
    pub fn inherited(&self) -> &[RawFd] {
        &self.inherited
    }

    fn bind_tcp(host: &Host, port: u16) -> anyhow::Result<Self> {
        let (sockets, port) = binding::bind_host(host, port)?;
        let sockets = sockets.into_iter().map(Socket::new);
        Ok(Self {
            sockets: sockets.collect::<io::Result<_>>()?,
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
            sockets: vec![Socket::new(socket)?],
            file,
            ..Self::default()
        })
    }

    /// Listens on sockets that a predecessor has bound for a URL, as [`Listener::sockets`] gives them. Must be called within
    /// a tokio runtime with I/O.
    ///
    /// # Errors
    /// They are no listening sockets of that kind.
    pub fn take_over(url: &SocketUrl, sockets: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut taken =
            Self::on_sockets(sockets).with_context(|| format!("cannot take over `{url}`"))?;
        match url {
            SocketUrl::Tcp { host, .. } => taken.host = Some(host.clone()),
            SocketUrl::Unix(path) => taken.file = SocketFile::taken_over(path),
            // The predecessor may have been this process before it executed a new version of itself.
            SocketUrl::Descriptor(descriptor) => taken.inherited = vec![descriptor.number],
            SocketUrl::Passed(passed) => {
                let descriptors = activation::descriptors(passed).unwrap_or_default();
                taken.inherited = descriptors.iter().map(|one| one.number).collect();
            }
        }
        Ok(taken)
    }

    /// Takes over the connections of a predecessor by its sockets, as [`Listener::sockets`] gives them, but listens on its
    /// own.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn with_connections_of(mut self, sockets: Vec<OwnedFd>) -> anyhow::Result<Self> {
        for socket in sockets {
            let address = rustix::net::getsockname(&socket)?;
            if address.address_family() == AddressFamily::UNIX && !is_listening(&socket)? {
                self.handed_over = Some(HandoverReceiver::new(socket)?);
            }
        }
        Ok(self)
    }

    /// Checks that the sockets of a predecessor, as [`Listener::sockets`] gives them, are what a URL says.
    ///
    /// # Errors
    /// One of them is not.
    pub fn check(url: &SocketUrl, sockets: &[OwnedFd]) -> anyhow::Result<()> {
        sockets
            .iter()
            .try_for_each(|socket| binding::check_handed(url, socket))
    }

    /// Whether the file of these sockets was removed, so that no client finds them at their URL; logs that.
    pub fn is_lost(url: &SocketUrl, sockets: &[OwnedFd]) -> bool {
        let lost = match url {
            SocketUrl::Unix(path) => binding::is_lost(path, sockets),
            SocketUrl::Tcp { .. } | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => false,
        };
        if lost {
            crate::log_warning!("listening anew on `{url}`, which was removed");
        }
        lost
    }

    fn on_sockets(sockets: Vec<OwnedFd>) -> anyhow::Result<Self> {
        let mut host = None;
        let mut port = None;
        let mut listening = Vec::new();
        let mut handed_over = None;
        for socket in sockets {
            let address = rustix::net::getsockname(&socket)?;
            let is_unix = address.address_family() == AddressFamily::UNIX;
            match is_listening(&socket)? {
                true => {}
                false if is_unix => {
                    handed_over = Some(HandoverReceiver::new(socket)?);
                    continue;
                }
                false => anyhow::bail!("one of the sockets does not listen"),
            }
            if let Ok(local) = SocketAddr::try_from(address) {
                port = Some(local.port());
                host.get_or_insert_with(|| Host::of(local.ip()));
            }
            listening.push(Socket::new(socket)?);
        }
        if listening.is_empty() {
            anyhow::bail!("no socket was handed over");
        }
        Ok(Self {
            sockets: listening,
            host,
            port,
            handed_over,
            ..Self::default()
        })
    }

    /// The sockets for a successor: those that listen, and the one over which connections are handed over.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listening = self.sockets.iter().map(AsFd::as_fd);
        listening.chain(self.handover.iter().map(|(_, theirs)| theirs.as_fd()))
    }

    /// Hands connections over to the process that gets [`Listener::sockets`].
    pub fn handover(&self) -> Option<HandoverSender> {
        self.handover.as_ref().map(|(sender, _)| sender.clone())
    }

    /// The connections that a predecessor hands over. A gateway that does not want them must not keep this.
    pub fn take_handed_over(&mut self) -> Option<HandoverReceiver> {
        self.handed_over.take()
    }

    /// Counts the connections that are accepted here, each of which needs a permit.
    pub fn connection_limit(&self) -> ConnectionLimit {
        self.connections.clone()
    }

    /// What is spoken on it; HTTP in clear text, if nothing is said.
    pub fn speak(&mut self, scheme: Scheme) {
        self.scheme = scheme;
    }

    /// What is spoken on it.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Counts connections together with other listeners.
    pub fn share_limit(&mut self, connections: ConnectionLimit) {
        self.connections = connections;
    }

    /// Ends when the listener is closed or dropped: from then on no connection comes in here. Only the last receiver counts.
    pub fn closing(&mut self) -> oneshot::Receiver<Infallible> {
        let (open, closed) = oneshot::channel();
        self.open = Some(open);
        closed
    }

    /// A connection in the system's queue; `None` if there is none. The system itself is asked: tokio does not know of one
    /// that came since it last waited, and closing the socket would reset that.
    pub fn accepted(&mut self) -> Option<(Stream, Peer)> {
        self.sockets.iter().find_map(|socket| {
            loop {
                match accept(socket.0.get_ref()) {
                    Ok(accepted) => return Some(accepted),
                    Err(error) if is_the_connections_own(&error) => {}
                    Err(_) => return None,
                }
            }
        })
    }

    /// Stops listening. The file of a Unix socket is removed, unless it is the successor's by now. Without a successor,
    /// connections are refused from now on, unless another process has the socket too.
    pub fn close(mut self, manner: Manner) {
        match manner {
            Manner::Drain => {
                self.give_up_inherited();
                self.file.remove();
            }
            Manner::Retire => self.file.remove(),
            Manner::HandOver => {}
        }
    }

    fn give_up_inherited(&self) {
        for &number in &self.inherited {
            for socket in &self.sockets {
                // One that was closed elsewhere is as good as given up.
                let _ = unix::give_up_inherited(number, socket.as_fd());
            }
        }
    }

    /// The next connection, once [`Listener::connection_limit`] has room for it; until then it waits in the system's queue,
    /// and idle ones are asked to close for it. Errors that do not concern one connection (no descriptors left) are logged
    /// and waited out. Nothing is lost if the future is dropped.
    pub async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            let come = std::future::poll_fn(|context| self.poll_come(context)).await;
            let accepted = match come {
                Ok(()) => {
                    self.connections.wait_for_room().await;
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
                    self.log(&error);
                    self.connections.close_longest_waiting();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Ready when a connection waits to be accepted. Below the limit that is not certain, since accepting it shows.
    fn poll_come(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_full = self.connections.is_reached();
        for socket in &self.sockets {
            while let Poll::Ready(ready) = socket.0.poll_read_ready(context) {
                let mut ready = ready?;
                if !is_full || socket.has_come() {
                    return Poll::Ready(Ok(()));
                }
                ready.clear_ready();
            }
        }
        Poll::Pending
    }

    /// A connection of one of the sockets that are ready.
    fn accept_ready(&mut self) -> io::Result<(Stream, Peer)> {
        for _ in 0..self.sockets.len() {
            let socket = &self.sockets[self.turn];
            self.turn = (self.turn + 1) % self.sockets.len();
            match socket.0.try_io(Interest::READABLE, accept) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn log(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self
            .logged
            .is_none_or(|last| now.duration_since(last) >= ACCEPT_LOG_INTERVAL)
        {
            self.logged = Some(now);
            crate::log_error!("cannot accept a connection, trying again: {error}");
        }
    }

    /// `http://HOST:PORT/` or `https://…` with the host as it was configured and the real port; `None` for a Unix
    /// socket. Where every address was asked for, the host is `localhost`.
    pub fn web_url(&self) -> Option<String> {
        let (scheme, port) = (self.scheme.as_str(), self.port?);
        match self.host.as_ref()? {
            Host::Any => Some(format!("{scheme}://localhost:{port}/")),
            host => Some(format!("{scheme}://{host}:{port}/")),
        }
    }

    /// `tcp://HOST:PORT` with the host as it was configured and the real port; `None` for a Unix socket.
    pub fn tcp_url(&self) -> Option<String> {
        let (host, port) = (self.host.as_ref()?, self.port?);
        Some(format!("tcp://{host}:{port}"))
    }

    /// The host as it was configured (or the address of an inherited socket); `None` for a Unix socket.
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The real port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path of a Unix socket; `None` for a port, or for a socket whose address is no path.
    pub fn path(&self) -> Option<String> {
        let path = binding::path_of(self.sockets.first()?.0.get_ref())?;
        Some(String::from_utf8_lossy(&path).into_owned())
    }
}

impl Socket {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        unix::watched(socket).map(Self)
    }

    /// Whether a connection that the system has announced is still there: another process may have accepted it.
    fn has_come(&self) -> bool {
        let mut polled = [PollFd::new(self, PollFlags::IN)];
        // If the system does not say, accepting shows it.
        !matches!(
            rustix::event::poll(&mut polled, Some(&Timespec::default())),
            Ok(0)
        )
    }
}

/// A connection in the queue, without waiting.
fn accept(socket: &OwnedFd) -> io::Result<(Stream, Peer)> {
    // Another process that has the socket may have changed that.
    rustix::io::ioctl_fionbio(socket, true)?;
    let (connection, address) = binding::accept(socket)?;
    let peer = Peer::at(address);
    Ok((Stream::new(connection, peer)?, peer))
}

/// Whether an error of `accept` concerns one connection only, which failed in the queue.
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
        self.0.get_ref().as_fd()
    }
}
