//! Makes listening sockets: for an address, as a file, from a descriptor; and checks those of a predecessor.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrAny, SocketType, sockopt};

use crate::gateway::socket::activation;
use crate::gateway::socket::url::{Descriptor, Host, Passed, SocketUrl};
use crate::own_file::OwnFile;
use crate::unix_socket::{is_served, stream_socket};

/// The most connections that wait to be accepted; the system lowers it to its own limit.
const BACKLOG: i32 = 4096;

/// The most ports that are tried until one is free on all addresses of a host.
const PORT_ATTEMPTS: usize = 64;

fn resolve(host: &Host) -> anyhow::Result<Vec<SocketAddr>> {
    let of = |addresses: &[std::net::IpAddr]| {
        addresses.iter().map(|&ip| SocketAddr::new(ip, 0)).collect()
    };
    let name = match host {
        Host::Any => {
            return Ok(of(&[
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv6Addr::UNSPECIFIED.into(),
            ]));
        }
        // RFC 6761 §6.3: no resolver is needed for it, nor may be there.
        Host::Name(name) if name.eq_ignore_ascii_case("localhost") => {
            return Ok(of(&[
                Ipv4Addr::LOCALHOST.into(),
                Ipv6Addr::LOCALHOST.into(),
            ]));
        }
        Host::Name(name) | Host::Ipv6(name) => name,
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let found = (name.as_str(), 0)
        .to_socket_addrs()
        .map_err(|error| anyhow!("the name `{name}` has no address: {error}"))?;
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Listens on all addresses of a host that this machine has, on the same port, which is returned.
pub(super) fn bind_host(host: &Host, port: u16) -> anyhow::Result<(Vec<OwnedFd>, u16)> {
    let addresses = resolve(host)?;
    for _ in 0..PORT_ATTEMPTS {
        let mut sockets = Vec::new();
        let mut chosen = port;
        let mut taken = false;
        let mut lacking = None;
        for address in &addresses {
            let mut address = *address;
            address.set_port(chosen);
            match bind_address(address) {
                Ok(socket) => {
                    chosen = SocketAddr::try_from(net::getsockname(&socket)?)?.port();
                    sockets.push(socket);
                }
                Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => lacking = Some(address),
                Err(Errno::ADDRINUSE) if port == 0 && !sockets.is_empty() => taken = true,
                Err(error) => return Err(refusal(error, address)),
            }
        }
        match lacking {
            Some(address) if sockets.is_empty() => {
                bail!("this machine has no address {}", address.ip())
            }
            _ if sockets.is_empty() => bail!("the name has no address"),
            Some(address)
                if !address.ip().is_loopback() && !address.ip().is_unspecified() && !taken =>
            {
                crate::log_warning!(
                    "not listening on {address}, which is not an address of this machine"
                );
            }
            _ => {}
        }
        if !taken {
            return Ok((sockets, chosen));
        }
    }
    bail!("no port is free on all of its addresses")
}

/// The address belongs to another process; the message.
#[derive(Debug)]
pub struct InUse(String);

impl fmt::Display for InUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InUse {}

fn refusal(error: Errno, address: SocketAddr) -> anyhow::Error {
    match error {
        Errno::ADDRINUSE => InUse(format!(
            "port {} is in use on {}{}",
            address.port(),
            address.ip(),
            // The service manager may have the port, to pass it to this process.
            passed_there(address.port())
        ))
        .into(),
        Errno::ACCESS => anyhow!(
            "no permission to use port {} on {}",
            address.port(),
            address.ip()
        ),
        error => anyhow::Error::from(error).context(address),
    }
}

/// The hint that a passed socket has the port.
fn passed_there(port: u16) -> String {
    let ending = format!(":{port}");
    let others = activation::others(&[]).into_iter();
    let there: Vec<String> = others.filter(|shown| shown.ends_with(&ending)).collect();
    match there.is_empty() {
        true => String::new(),
        false => format!(
            " (sockets that systemd passes are served if no address is on the command line: {})",
            there.join(", ")
        ),
    }
}

fn bind_address(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = stream_socket(family)?;
    // A restart does not wait for the system to forget connections of the server before it (TIME_WAIT).
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The next connection in the queue of a listening socket, and its peer's address.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn accept(socket: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    net::acceptfrom_with(socket, net::SocketFlags::CLOEXEC)
}

/// The same on a system that has no `accept4(2)`.
#[cfg(target_vendor = "apple")]
pub fn accept(socket: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    let (connection, address) = net::acceptfrom(socket)?;
    rustix::io::fcntl_setfd(&connection, rustix::io::FdFlags::CLOEXEC)?;
    Ok((connection, address))
}

/// The file of a Unix socket that is listened on; none for other sockets. Dropped when this process does not listen any
/// more, it is left to those who do: a successor that has taken the socket over, or the predecessor of one that has failed.
/// If nobody does, it is removed.
#[derive(Debug, Default)]
pub(super) struct SocketFile(Option<OwnFile>);

impl SocketFile {
    /// The file of a socket that a predecessor has made; none if it is gone.
    pub(super) fn taken_over(path: &Path) -> Self {
        let found = std::fs::symlink_metadata(path);
        let is_socket = found.is_ok_and(|found| found.file_type().is_socket());
        Self(is_socket.then(|| OwnFile::at(path).ok()).flatten())
    }

    /// Removes it, whoever listens. Called before this process closes the socket: as long as that is open, no other process
    /// takes the path for a stale one.
    pub(super) fn remove(&mut self) {
        self.0 = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(file) = &mut self.0
            && is_served(file.path())
        {
            file.leave();
        }
    }
}

/// Makes a socket file and listens on it. A stale socket file is replaced.
pub(super) fn bind_file(path: &Path) -> anyhow::Result<(OwnedFd, SocketFile)> {
    let address = net::SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => anyhow!("the path is too long for a socket"),
        error => error.into(),
    })?;
    remove_stale(path)?;
    let socket = stream_socket(AddressFamily::UNIX)?;
    match net::bind(&socket, &address) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) => bail!("another program has just begun to listen there"),
        Err(Errno::NOENT) => bail!("there is no such folder"),
        Err(error) => return Err(error.into()),
    }
    let file = SocketFile(Some(OwnFile::at(path)?));
    net::listen(&socket, BACKLOG)?;
    Ok((socket, file))
}

/// Whether one of these sockets listens at a path whose file was removed, so that clients cannot find it.
pub(super) fn is_lost(path: &Path, sockets: &[OwnedFd]) -> bool {
    let missing =
        std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    missing && sockets.iter().any(|socket| is_bound_to(socket, path))
}

fn is_bound_to(socket: &OwnedFd, path: &Path) -> bool {
    path_of(socket).is_some_and(|bound| bound == path.as_os_str().as_bytes())
}

/// The path that a Unix socket is bound to.
pub(super) fn path_of(socket: &OwnedFd) -> Option<Vec<u8>> {
    let address = net::SocketAddrUnix::try_from(net::getsockname(socket).ok()?).ok()?;
    address.path_bytes().map(<[u8]>::to_vec)
}

/// Removes a socket file on which no process listens; any other file is left, which is an error.
fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.file_type().is_socket() {
        bail!("there is something else than a socket");
    }
    // From here on no other file has its number.
    let mut stale = OwnFile::at(path)?;
    if is_served(path) {
        stale.leave();
        return Err(InUse("the socket is in use by another program".to_owned()).into());
    }
    let removed = stale.remove();
    removed.context("cannot replace the stale socket")
}

/// A duplicate of an inherited descriptor, which must be a listening stream socket of the family and protocol that the URL
/// says.
pub(super) fn inherit(descriptor: &Descriptor) -> anyhow::Result<OwnedFd> {
    let number = descriptor.number;
    let socket = crate::unix::duplicate_inherited(number).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::BADF) => anyhow!("descriptor {number} is not open"),
            _ => error.into(),
        }
    })?;
    check_stream(&socket, &format!("descriptor {number}"))?;
    let family = net::getsockname(&socket)?.address_family();
    if ![
        AddressFamily::UNIX,
        AddressFamily::INET,
        AddressFamily::INET6,
    ]
    .contains(&family)
    {
        bail!("descriptor {number} is neither a TCP nor a Unix socket");
    }
    if let Some(said) = descriptor.family
        && said != family
    {
        bail!(
            "descriptor {number} is of the family `{}`, not `{}`",
            family_name(family),
            family_name(said)
        );
    }
    check_protocol(&socket, descriptor)?;
    if !is_listening(&socket)? {
        bail!("descriptor {number} is a socket that does not listen");
    }
    Ok(socket)
}

/// Checks that a socket of a predecessor listens where the URL says, or is the one over which connections are handed over.
pub(super) fn check_handed(url: &SocketUrl, socket: &OwnedFd) -> anyhow::Result<()> {
    check_stream(socket, "what was handed over")?;
    let address = net::getsockname(socket)?;
    let family = address.address_family();
    if !is_listening(socket)? {
        return match family {
            AddressFamily::UNIX => Ok(()),
            _ => bail!("a socket that was handed over does not listen"),
        };
    }
    let fits = match url {
        SocketUrl::Tcp { host, port } => SocketAddr::try_from(address)
            .is_ok_and(|bound| [0, bound.port()].contains(port) && is_of_host(bound.ip(), host)),
        SocketUrl::Unix(path) => is_bound_to(socket, path),
        SocketUrl::Descriptor(Descriptor { family: said, .. })
        | SocketUrl::Passed(Passed { family: said, .. }) => said.is_none_or(|said| said == family),
    };
    match fits {
        true => Ok(()),
        false => bail!("a socket that was handed over listens elsewhere"),
    }
}

fn check_stream(socket: &OwnedFd, name: &str) -> anyhow::Result<()> {
    match sockopt::socket_type(socket) {
        Ok(SocketType::STREAM) => Ok(()),
        Ok(_) => bail!("{name} is not a stream socket"),
        Err(Errno::NOTSOCK) => bail!("{name} is not a socket"),
        Err(error) => Err(error.into()),
    }
}

/// Whether an address can be one of a host; the addresses of a name may have changed since the predecessor looked it up.
fn is_of_host(address: IpAddr, host: &Host) -> bool {
    let is = |text: &str| text.parse().ok().map(|ip: IpAddr| ip == address);
    match host {
        Host::Any => address.is_unspecified(),
        Host::Name(name) if name.eq_ignore_ascii_case("localhost") => address.is_loopback(),
        Host::Name(name) => is(name).unwrap_or(true),
        Host::Ipv6(name) => is(name.split('%').next().unwrap_or(name)).unwrap_or(true),
    }
}

fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::UNIX => "unix",
        AddressFamily::INET => "inet",
        _ => "inet6",
    }
}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "openbsd"
))]
fn check_protocol(socket: &OwnedFd, descriptor: &Descriptor) -> anyhow::Result<()> {
    let found = sockopt::socket_protocol(socket)?.map_or(0, |protocol| protocol.as_raw().get());
    match descriptor.protocol {
        Some(said) if said != 0 && said != found => {
            bail!(
                "descriptor {} is of protocol {found}, not {said}",
                descriptor.number
            )
        }
        _ => Ok(()),
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "openbsd"
)))]
fn check_protocol(_: &OwnedFd, _: &Descriptor) -> anyhow::Result<()> {
    Ok(())
}

/// Whether a descriptor is a listening socket.
///
/// # Errors
/// The system does not say.
#[cfg(not(target_vendor = "apple"))]
pub fn is_listening(descriptor: impl AsFd) -> io::Result<bool> {
    match sockopt::socket_acceptconn(descriptor) {
        Ok(listening) => Ok(listening),
        Err(Errno::NOTSOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a descriptor is a listening socket. This system does not say; a stream socket without a peer counts as one.
///
/// # Errors
/// The system does not say.
#[cfg(target_vendor = "apple")]
pub fn is_listening(descriptor: impl AsFd) -> io::Result<bool> {
    match net::getpeername(descriptor) {
        Ok(_) | Err(Errno::NOTSOCK) => Ok(false),
        Err(Errno::NOTCONN) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
