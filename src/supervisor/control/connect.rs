//! Connections to a control socket that only a master of a trusted user is accepted on.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, AddressFamily};

use super::order::HEARTBEAT;
use super::peer::PeerProcess;
use crate::permission::user_shown;
use crate::supervisor::trust::Trust;
use crate::unix_socket::{UnixAddress, stream_socket};

/// How long a master may be silent; while it works on an order it writes an empty line every [`HEARTBEAT`].
const SILENCE: Duration = Duration::from_secs(5);

const _: () = assert!(SILENCE.as_secs() > 2 * HEARTBEAT.as_secs());

/// Connects, waiting for a master whose queue is full for some seconds if `waits`. Each call on the socket is bounded in
/// time.
pub(super) fn connect(path: &Path, waits: bool) -> Result<OwnedFd, Errno> {
    let address = UnixAddress::of(path)?;
    let socket = stream_socket(AddressFamily::UNIX)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        sockopt::set_socket_timeout(&socket, direction, Some(SILENCE))?;
    }
    rustix::io::ioctl_fionbio(&socket, !waits)?;
    net::connect(&socket, &address.socket)?;
    Ok(socket)
}

/// Whether there is a socket at a path.
///
/// # Errors
/// It belongs to a user who is not trusted; or it is a symbolic link, which could lead to the socket of another master that
/// would then be told to stop.
pub(super) fn is_socket(path: &Path, trust: Trust) -> anyhow::Result<bool> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        // Without permission to look, connecting fails, too, and that error is the one to report.
        Err(error) => return Ok(error.kind() == ErrorKind::PermissionDenied),
    };
    if found.is_symlink() {
        bail!("it is a symbolic link");
    }
    if !found.file_type().is_socket() {
        return Ok(false);
    }
    if !trust.holds_file(&found) {
        bail!("it belongs to another user ({})", user_shown(found.uid()));
    }
    Ok(true)
}

/// Whether a master of a trusted user listens at a path. Yes, where that is not certain.
pub(super) fn is_listening(path: &Path, trust: Trust) -> bool {
    is_socket(path, trust).unwrap_or(false)
        && match connect(path, false) {
            Ok(socket) => PeerProcess::of(&socket, trust).is_ok(),
            Err(Errno::NOENT | Errno::CONNREFUSED) => false,
            Err(_) => true,
        }
}
