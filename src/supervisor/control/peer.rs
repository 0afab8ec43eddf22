//! The process at the other end of a control socket.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::Pid;

use crate::children;
#[cfg(target_os = "linux")]
use crate::permission::user_shown;
use crate::supervisor::trust::Trust;

/// The process at the other end of a socket.
#[derive(Debug)]
pub struct PeerProcess {
    pid: Pid,
    /// Its pidfd. It was opened before the process answered, so that it cannot be the one of a later process.
    handle: OwnedFd,
}

impl PeerProcess {
    /// The process that made the socket that this one is connected to; `None` if it is not visible from here.
    #[cfg(target_os = "linux")]
    pub(super) fn of(socket: &OwnedFd, trust: Trust) -> anyhow::Result<Option<Self>> {
        let credentials = rustix::net::sockopt::socket_peercred(socket)?;
        if !trust.holds(credentials.uid) {
            let user = user_shown(credentials.uid.as_raw());
            anyhow::bail!("the process that listens there belongs to another user ({user})");
        }
        let pid = credentials.pid;
        // Number 0 stands for a process in a container that we cannot see.
        if Pid::as_raw(Some(pid)) <= 0 {
            return Ok(None);
        }
        let flags = rustix::process::PidfdFlags::empty();
        let handle = rustix::process::pidfd_open(pid, flags).ok();
        Ok(handle.map(|handle| Self { pid, handle }))
    }

    /// Systems other than Linux do not name the process reliably enough to send it a signal.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &OwnedFd, _: Trust) -> anyhow::Result<Option<Self>> {
        Ok(None)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends SIGTERM, which ends a master gracefully. It is no error if the process has ended already.
    ///
    /// # Errors
    /// It belongs to another user.
    pub fn terminate(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        match rustix::process::pidfd_send_signal(&self.handle, rustix::process::Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
        #[cfg(not(target_os = "linux"))]
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Waits until the process has ended, for this long at most. Returns whether it has.
    #[must_use]
    pub fn wait(&self, within: Duration) -> bool {
        children::ends_within(&self.handle, within)
    }
}
