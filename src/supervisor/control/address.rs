//! The addresses of Unix sockets, which the system wants shorter than paths may be.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

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
