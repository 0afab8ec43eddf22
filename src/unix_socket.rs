//! Unix sockets: addresses for paths of any length, and whether a process listens at a path.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};

/// The address of a socket at a path, however deep its folder: a path that is too long for an address (107 bytes on Linux,
/// `unix(7)`) is shortened by way of a descriptor of the folder.
#[derive(Debug)]
pub struct UnixAddress {
    /// As the system takes it.
    pub socket: SocketAddrUnix,
    /// Open for as long as the address is used.
    _folder: Option<OwnedFd>,
}

impl UnixAddress {
    /// The address for a path.
    ///
    /// # Errors
    /// `NAMETOOLONG` if the name itself is too long, or this system has no names for descriptors; why the folder cannot be
    /// opened.
    pub fn of(path: &Path) -> Result<Self, Errno> {
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
fn through_folder(path: &Path) -> Result<UnixAddress, Errno> {
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
    Ok(UnixAddress {
        socket: SocketAddrUnix::new(short.join(name))?,
        _folder: Some(folder),
    })
}

#[cfg(not(target_os = "linux"))]
fn through_folder(_: &Path) -> Result<UnixAddress, Errno> {
    Err(Errno::NAMETOOLONG)
}

/// A new stream socket that programs which we start do not inherit.
///
/// # Errors
/// As `socket(2)`.
#[cfg(not(target_vendor = "apple"))]
pub fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    net::socket_with(family, SocketType::STREAM, net::SocketFlags::CLOEXEC, None)
}

/// A new stream socket that programs which we start do not inherit.
///
/// # Errors
/// As `socket(2)`.
#[cfg(target_vendor = "apple")]
pub fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}

/// Whether a process listens at a path. Does not wait. Yes, where that is not certain: a process with a full queue, or with
/// a socket of another type, is alive, too.
#[must_use]
pub fn is_served(path: &Path) -> bool {
    let connect = || {
        let address = UnixAddress::of(path)?;
        let socket = stream_socket(AddressFamily::UNIX)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        net::connect(&socket, &address.socket)
    };
    !matches!(connect(), Err(Errno::CONNREFUSED | Errno::NOENT))
}
