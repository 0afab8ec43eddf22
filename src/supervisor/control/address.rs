//! The addresses of Unix sockets, which the system wants shorter than paths may be.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};

use super::peer::PeerProcess;
use crate::supervisor::trust::Trust;

/// The address of a socket at a path, however deep its folder: where the path is too long for an address (107 bytes on
/// Linux, `unix(7)`), it leads through a descriptor of the folder.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddrUnix,
    /// Open for as long as the address is used.
    _folder: Option<OwnedFd>,
}

impl Address {
    /// That of a path.
    ///
    /// # Errors
    /// `NAMETOOLONG` if the name itself is too long, or this system does not name descriptors; why the folder cannot be
    /// opened.
    pub(crate) fn of(path: &Path) -> Result<Self, Errno> {
        match SocketAddrUnix::new(path) {
            Ok(socket) => Ok(Self {
                socket,
                _folder: None,
            }),
            Err(Errno::NAMETOOLONG) => through_folder(path),
            Err(error) => Err(error),
        }
    }
}

#[cfg(target_os = "linux")]
fn through_folder(path: &Path) -> Result<Address, Errno> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{Mode, OFlags};
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::NAMETOOLONG);
    };
    if folder == Path::new("") {
        return Err(Errno::NAMETOOLONG);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    Ok(Address {
        socket: SocketAddrUnix::new(short.join(name))?,
        _folder: Some(folder),
    })
}

#[cfg(not(target_os = "linux"))]
fn through_folder(_: &Path) -> Result<Address, Errno> {
    Err(Errno::NAMETOOLONG)
}

/// How long a master may be silent: it says every [`HEARTBEAT`] that it is still there.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// Whether to wait for a master whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// For some seconds.
    Waits,
    /// Not at all.
    Looks,
}

/// Connects, and bounds the time that each call takes.
pub(super) fn connect(path: &Path, haste: Haste) -> Result<OwnedFd, Errno> {
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
pub(super) fn is_socket(path: &Path, trust: Trust) -> anyhow::Result<bool> {
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
            Ok(socket) => PeerProcess::of(&socket, trust).is_ok(),
            Err(Errno::NOENT | Errno::CONNREFUSED) => false,
            Err(_) => true,
        }
}
