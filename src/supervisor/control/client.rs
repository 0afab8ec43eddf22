//! The other end of the control socket: gives a master orders, and knows for certain which process it is.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, AddressFamily, SocketType};
use rustix::process::Pid;

use crate::supervisor::control::HEARTBEAT;
use crate::supervisor::control::address::Address;
use crate::supervisor::control::order::{Answer, Order, decode};
use crate::supervisor::trust::Trust;
use crate::unix::{MOST_DESCRIPTORS, receive_descriptors};

/// How long a master may be silent: it says every [`HEARTBEAT`] that it is still there.
const SILENCE: Duration = Duration::from_secs(5);

const _: () = assert!(SILENCE.as_secs() > 2 * HEARTBEAT.as_secs());

/// The longest answer, in bytes: thousands of workers with many threads each.
const LONGEST_ANSWER: usize = 64 << 20;

/// A connection to a master.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    peer: Option<Peer>,
}

/// The process at the other end of a socket.
#[derive(Debug)]
pub struct Peer {
    pid: Pid,
    /// Its pidfd, taken before it answered us, so that it can be no other's.
    handle: OwnedFd,
}

impl Client {
    /// Connects to the master that listens at a path; `None` if there is none: no such file, or nobody
    /// listens. At most waits for some seconds.
    ///
    /// # Errors
    /// There is one, but it does not answer, or may not be spoken to; it, or its socket, is that of a user who is not
    /// believed.
    pub fn connect(path: &Path, trust: Trust) -> anyhow::Result<Option<Self>> {
        let context = || format!("cannot connect to the control socket `{}`", path.display());
        if !is_socket(path, trust).with_context(context)? {
            return Ok(None);
        }
        let socket = match connect(path, Haste::Waits) {
            Ok(socket) => socket,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::CONNREFUSED) => return Ok(None),
            // No room in its queue: it has not accepted anybody for a while.
            Err(Errno::AGAIN) => return Err(hangs()).with_context(context),
            Err(Errno::ACCESS) => {
                return Err(anyhow!("it belongs to another user")).with_context(context);
            }
            Err(Errno::NAMETOOLONG) => {
                return Err(anyhow!("the name is too long for a socket")).with_context(context);
            }
            Err(Errno::PROTOTYPE) => {
                return Err(anyhow!("it is a socket of another kind")).with_context(context);
            }
            Err(error) => return Err(error).with_context(context),
        };
        let peer = Peer::of(&socket, trust).with_context(context)?;
        Ok(Some(Self { socket, peer }))
    }

    /// Gives an order and waits for its answer. `None` if the connection was closed instead, as it is when the
    /// process ends.
    ///
    /// # Errors
    /// The master is silent for some seconds, or talks nonsense.
    pub fn ask(&mut self, order: Order) -> anyhow::Result<Option<Answer>> {
        self.ask_patiently(order, || Ok(()))
    }

    /// The same for somebody who does something while there is no answer yet, and perhaps gives up: each
    /// time that the master says that it is still there, and when there was a signal.
    ///
    /// # Errors
    /// As [`Client::ask`], or those of `meanwhile`.
    pub fn ask_patiently(
        &mut self,
        order: Order,
        mut meanwhile: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Answer>> {
        if !self.tell(order)? {
            return Ok(None);
        }
        let mut text = Vec::new();
        let mut descriptors = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let (count, received) = match receive_descriptors(self.socket.as_fd(), &mut buffer) {
                Ok(received) => received,
                // Where the time that a call takes is bounded, signals end it (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    meanwhile()?;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(hangs()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("cannot hear the master"),
            };
            if count == 0 {
                return Ok(None);
            }
            descriptors.extend(received);
            text.extend_from_slice(&buffer[..count]);
            // Empty lines say that it is still there.
            let blank = text.iter().take_while(|byte| **byte == b'\n').count();
            if blank > 0 {
                meanwhile()?;
            }
            text.drain(..blank);
            if text.last() == Some(&b'\n') {
                return decode(&text, descriptors).map(Some);
            }
            if text.len() > LONGEST_ANSWER || descriptors.len() > MOST_DESCRIPTORS {
                bail!("the master's answer has no end");
            }
        }
    }

    /// Gives an order and does not wait for its answer; `false` if nobody is there to hear it.
    ///
    /// # Errors
    /// The master does not listen for some seconds.
    pub fn tell(&mut self, order: Order) -> anyhow::Result<bool> {
        let line = order.line();
        // So short a line is written whole or not at all.
        match net::send(&self.socket, line.as_bytes(), net::SendFlags::NOSIGNAL) {
            Ok(_) => Ok(true),
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(false),
            Err(error) => Err(error).context("cannot speak with the master"),
        }
    }

    /// The master's process. To be believed once it has answered; `None` if it is not visible from here (another
    /// container).
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The same, to be kept beyond the connection.
    #[must_use]
    pub fn take_peer(&mut self) -> Option<Peer> {
        self.peer.take()
    }
}

fn hangs() -> anyhow::Error {
    anyhow!("the master does not answer; it may be stopped or overloaded")
}

/// Whether to wait for a master whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// For some seconds.
    Waits,
    /// Not at all.
    Looks,
}

/// Connects, and bounds the time that each call takes.
fn connect(path: &Path, haste: Haste) -> Result<OwnedFd, Errno> {
    let address = Address::of(path)?;
    let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        sockopt::set_socket_timeout(&socket, direction, Some(SILENCE))?;
    }
    rustix::io::ioctl_fionbio(&socket, haste == Haste::Looks)?;
    net::connect(&socket, &address.socket)?;
    Ok(socket)
}

/// Whether a socket stands at a path, where one that others have put there is an error. A link could lead to the socket of
/// another master, which would be told to end then.
fn is_socket(path: &Path, trust: Trust) -> anyhow::Result<bool> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        // What cannot be looked at is said when it cannot be connected to.
        Err(error) => return Ok(error.kind() == ErrorKind::PermissionDenied),
    };
    if found.is_symlink() {
        bail!("it is a symbolic link");
    }
    if !found.file_type().is_socket() {
        return Ok(false);
    }
    if !trust.holds_file(&found) {
        bail!("it belongs to another user ({})", found.uid());
    }
    Ok(true)
}

/// Whether anybody listens on a socket file. What cannot be told counts as somebody.
pub(crate) fn is_served(path: &Path) -> bool {
    !matches!(
        connect(path, Haste::Looks),
        Err(Errno::NOENT | Errno::CONNREFUSED)
    )
}

/// Whether a master listens on a socket file that is believed. What cannot be told counts as one.
pub(crate) fn is_listening(path: &Path, trust: Trust) -> bool {
    is_socket(path, trust).unwrap_or(false)
        && match connect(path, Haste::Looks) {
            Ok(socket) => Peer::of(&socket, trust).is_ok(),
            Err(Errno::NOENT | Errno::CONNREFUSED) => false,
            Err(_) => true,
        }
}

impl Peer {
    /// Who made the socket that this one is connected to.
    #[cfg(target_os = "linux")]
    fn of(socket: &OwnedFd, trust: Trust) -> anyhow::Result<Option<Self>> {
        let credentials = sockopt::socket_peercred(socket)?;
        if !trust.holds(credentials.uid) {
            let user = credentials.uid;
            bail!("the process that listens there belongs to another user ({user})");
        }
        let pid = credentials.pid;
        // Number 0 stands for processes that we cannot see.
        if Pid::as_raw(Some(pid)) <= 0 {
            return Ok(None);
        }
        let flags = rustix::process::PidfdFlags::empty();
        Ok(rustix::process::pidfd_open(pid, flags)
            .ok()
            .map(|handle| Self { pid, handle }))
    }

    /// Who made the socket that this one is connected to: this system has no way to tell that is worth a signal.
    #[cfg(not(target_os = "linux"))]
    fn of(_: &OwnedFd, _: Trust) -> anyhow::Result<Option<Self>> {
        Ok(None)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells it to end gracefully (SIGTERM). That it has ended already is no error.
    ///
    /// # Errors
    /// It belongs to another user.
    pub fn terminate(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        match rustix::process::pidfd_send_signal(&self.handle, rustix::process::Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
        #[cfg(not(target_os = "linux"))]
        Err(ErrorKind::Unsupported.into())
    }

    /// Waits until it has ended, for so long at most; whether it has.
    #[must_use]
    pub fn wait(&self, within: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(
                &mut [PollFd::new(&self.handle, PollFlags::IN)],
                Some(&timeout),
            ) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}
