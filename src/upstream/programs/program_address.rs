//! The address of one process of a program. Each process has one of its own, so that a request goes to the process that was
//! chosen for it, and a new one can be ready beside the old.
//!
//! A port is found by binding it, and is free again by the time that the program binds it: a program cannot be handed a
//! port that it would bind itself. Two processes of ours never get the same one, since it stays reserved until its process
//! has ended. If a foreign process is faster, the program ends, and the next one gets another port.
//!
//! A socket that runner makes for a process, as its standard input, stays open here for as long as the process runs. So the
//! connections that the process has not accepted are still there when it has ended, however it did, and are told that nobody
//! has begun their requests, which go to another process: those that may be sent only once, too. A program that makes its
//! socket itself takes them with it, and it cannot be seen then what it has read.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix};
use tempfile::TempDir;

use crate::protocol::fastcgi::requester::put_refusal;
use crate::unix_socket::{UnixAddress, stream_socket};
use crate::upstream::programs::program_settings::{PORT, ProgramListens, SOCKET};
use crate::upstream::server_address::ServerAddress;
use crate::workers::id::WorkerId;

/// How many connections wait for a program, at most: as many as the system allows.
const BACKLOG: i32 = 4096;

/// How many ports are tried before none seems to be free.
const ATTEMPTS: usize = 1000;

/// The ports of all processes of programs.
static RESERVED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

fn reserved() -> MutexGuard<'static, BTreeSet<u16>> {
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port of 127.0.0.1 that no other process of ours gets, until it is dropped.
#[derive(Debug)]
struct ReservedPort(u16);

impl ReservedPort {
    fn new() -> io::Result<Self> {
        // Kept until one is found, so that the system names another one each time.
        let mut taken = Vec::new();
        for _ in 0..ATTEMPTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            if reserved().insert(port) {
                return Ok(Self(port));
            }
            taken.push(listener);
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

impl Drop for ReservedPort {
    fn drop(&mut self) {
        reserved().remove(&self.0);
    }
}

/// The address of one process, as long as it is the process's.
#[derive(Debug)]
pub(super) struct OwnAddress {
    pub(super) address: ServerAddress,
    /// Freed when the process has ended.
    _port: Option<ReservedPort>,
    /// The socket, where runner has made it.
    listener: Option<UnixListener>,
}

impl OwnAddress {
    /// Closes the socket of a process that has ended. The requests on connections that it has not accepted are refused, so that
    /// they can go elsewhere.
    pub(super) fn close(&mut self) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        self.remove_socket();
        // What the process has left behind shares this. It is about to be ended.
        if listener.set_nonblocking(true).is_err() {
            return;
        }
        let mut refusal = BytesMut::new();
        put_refusal(&mut refusal);
        while let Ok((mut waiting, _)) = listener.accept() {
            // There is room for it: nothing was sent on this connection before.
            let _ = waiting.write_all(&refusal);
        }
    }

    fn remove_socket(&self) {
        if let ServerAddress::Unix(path) = &self.address {
            // Many programs remove it themselves.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Whether another process listens there, now that its own has ended.
    pub(super) fn is_taken(&self) -> bool {
        match &self.address {
            ServerAddress::Tcp { port, .. } => {
                let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, *port));
                bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
            }
            ServerAddress::Unix(_) => false,
        }
    }
}

impl Drop for OwnAddress {
    fn drop(&mut self) {
        self.remove_socket();
    }
}

/// Makes addresses.
#[derive(Debug)]
pub(super) struct Addresses {
    listens: ProgramListens,
    /// Where sockets are; no other user can enter it. `None` where there are none.
    folder: Option<TempDir>,
}

impl Addresses {
    /// Addresses of a kind; Unix sockets in a new folder in this one.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(super) fn new(listens: ProgramListens, folder: &Path) -> io::Result<Self> {
        let folder = match listens {
            ProgramListens::Port => None,
            ProgramListens::Socket | ProgramListens::StandardInput => Some(
                tempfile::Builder::new()
                    .prefix("runner-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir_in(folder)?,
            ),
        };
        Ok(Self { listens, folder })
    }

    /// The folder of Unix sockets, if that is what they are.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// The address for a process, and the listening socket that is to be its standard input, if it is to have one.
    ///
    /// # Errors
    /// No port is free, or the socket cannot be made, by the program where it makes it itself.
    pub(super) fn next(&self, id: WorkerId) -> io::Result<(OwnAddress, Option<OwnedFd>)> {
        let Some(folder) = &self.folder else {
            let port = ReservedPort::new()?;
            let own = OwnAddress {
                address: ServerAddress::Tcp {
                    host: Ipv4Addr::LOCALHOST.to_string(),
                    port: port.0,
                },
                _port: Some(port),
                listener: None,
            };
            return Ok((own, None));
        };
        let path = folder.path().join(format!("{id}.socket"));
        let socket = match self.listens {
            ProgramListens::StandardInput => Some(listen(&path)?),
            ProgramListens::Socket if SocketAddrUnix::new(&path) == Err(Errno::NAMETOOLONG) => {
                return Err(io::Error::other(format!(
                    "`{}` is longer than the path of a socket may be: a shorter folder is needed (runner.tmp)",
                    path.display()
                )));
            }
            ProgramListens::Port | ProgramListens::Socket => None,
        };
        let own = OwnAddress {
            address: ServerAddress::Unix(path),
            _port: None,
            listener: socket.map(UnixListener::from),
        };
        let socket = own.listener.as_ref().map(UnixListener::try_clone);
        let socket = socket.transpose()?.map(OwnedFd::from);
        Ok((own, socket))
    }
}

/// A socket that listens at a path, which may be longer than programs take it.
fn listen(path: &Path) -> io::Result<OwnedFd> {
    let socket = stream_socket(AddressFamily::UNIX)?;
    rustix::net::bind(&socket, &UnixAddress::of(path)?.socket)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// An argument of a program with the address in its place.
pub(super) fn with_address(argument: &OsStr, address: &ServerAddress) -> OsString {
    match address {
        ServerAddress::Tcp { port, .. } => replaced(argument, PORT, port.to_string().as_bytes()),
        ServerAddress::Unix(path) => replaced(argument, SOCKET, path.as_os_str().as_bytes()),
    }
}

/// The variables that name an address.
pub(super) fn variables(address: &ServerAddress) -> Vec<(&'static str, String)> {
    match address {
        ServerAddress::Tcp { host, port } => {
            vec![("HOST", host.clone()), ("PORT", port.to_string())]
        }
        ServerAddress::Unix(_) => Vec::new(),
    }
}

/// A text with each occurrence of another one replaced.
fn replaced(text: &OsStr, old: &str, new: &[u8]) -> OsString {
    let text = text.as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for place in memchr::memmem::find_iter(text, old) {
        out.extend_from_slice(&text[done..place]);
        out.extend_from_slice(new);
        done = place + old.len();
    }
    out.extend_from_slice(&text[done..]);
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsStr;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;

    use bytes::BytesMut;

    use super::{Addresses, ServerAddress, with_address};
    use crate::protocol::fastcgi::record::{ProtocolStatus, RequestEnd};
    use crate::protocol::fastcgi::requester::{Answered, take_answer};
    use crate::upstream::programs::program_settings::ProgramListens;

    #[test]
    fn no_two_processes_have_one_port() {
        let addresses = Addresses::new(ProgramListens::Port, "/".as_ref()).expect("no folder");
        let all: Vec<_> = (0..300)
            .map(|id| addresses.next(id).expect("a port").0)
            .collect();
        let ports = all.iter().map(|own| match &own.address {
            ServerAddress::Tcp { port, .. } => *port,
            ServerAddress::Unix(path) => panic!("{}", path.display()),
        });
        assert_eq!(ports.collect::<BTreeSet<_>>().len(), 300);
    }

    #[test]
    fn a_port_that_another_process_takes_is_noticed() {
        let addresses = Addresses::new(ProgramListens::Port, "/".as_ref()).expect("no folder");
        let (own, _) = addresses.next(1).expect("a port");
        assert!(!own.is_taken());
        let ServerAddress::Tcp { host, port } = &own.address else {
            panic!("{own:?}");
        };
        let _other = TcpListener::bind((host.as_str(), *port)).expect("a free port");
        assert!(own.is_taken());
    }

    #[test]
    fn sockets_are_in_a_folder_of_their_own_and_gone_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let addresses = Addresses::new(ProgramListens::StandardInput, folder.path());
        let addresses = addresses.expect("a folder");
        let (own, socket) = addresses.next(7).expect("a socket");
        assert!(socket.is_some());
        let ServerAddress::Unix(path) = &own.address else {
            panic!("{own:?}");
        };
        assert!(path.exists());
        let inner = path.parent().map(ToOwned::to_owned).expect("a folder");
        drop(own);
        assert_eq!(std::fs::read_dir(&inner).expect("it is there").count(), 0);
        drop(addresses);
        assert!(!inner.exists());
    }

    /// However much of its request was sent.
    #[test]
    fn what_waits_for_a_process_that_has_ended_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let addresses = Addresses::new(ProgramListens::StandardInput, folder.path());
        let addresses = addresses.expect("a folder");
        let (mut own, socket) = addresses.next(1).expect("a socket");
        let ServerAddress::Unix(path) = own.address.clone() else {
            panic!("{own:?}");
        };
        let connections = [0, 10, 1000].map(|length| {
            let mut connection = UnixStream::connect(&path).expect("it listens");
            connection
                .write_all(&vec![1; length])
                .expect("there is room");
            connection
        });
        // The process that has it ends.
        drop(socket);
        own.close();
        for mut connection in connections {
            let mut answer = BytesMut::zeroed(16);
            connection.read_exact(&mut answer).expect("an answer");
            let overloaded = RequestEnd {
                application: 0,
                protocol: ProtocolStatus::Overloaded as u8,
            };
            let end = take_answer(&mut answer).expect("it is FastCGI");
            assert_eq!(end, Some(Answered::End(overloaded)));
        }
        let refused = UnixStream::connect(&path).expect_err("it does not listen");
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        own.close();
    }

    #[test]
    fn an_address_stands_wherever_its_place_is() {
        let port = ServerAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 81,
        };
        let socket = ServerAddress::Unix("/run/a b".into());
        for (address, word, expected) in [
            (&port, "-b=127.0.0.1:{port}", "-b=127.0.0.1:81"),
            (&port, "{port}{port}{socket}", "8181{socket}"),
            (&socket, "unix:{socket}?", "unix:/run/a b?"),
            (&socket, "{ socket}", "{ socket}"),
        ] {
            assert_eq!(
                with_address(OsStr::new(word), address),
                OsStr::new(expected)
            );
        }
    }

    #[test]
    fn a_path_that_programs_do_not_take_is_told_or_bound_by_runner() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("x".repeat(100));
        std::fs::create_dir(&deep).expect("a folder");
        let next = |listens| {
            let addresses = Addresses::new(listens, &deep).expect("a folder");
            addresses.next(1)
        };
        let told = next(ProgramListens::Socket).expect_err("it is too long");
        let told = told.to_string();
        assert!(
            told.contains(" is longer than the path of a socket may be"),
            "{told}"
        );
        assert!(next(ProgramListens::StandardInput).is_ok());
    }
}
