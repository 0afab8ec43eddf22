//! Where a server may listen: socket URLs and what becomes of them.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::str::FromStr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use runner::gateway::graceful_stop::Manner;
use runner::gateway::socket::listener::Listener;
use runner::gateway::socket::stream::Peer;
use runner::gateway::socket::url::{InvalidSocketUrl, SocketUrl};
use rustix::net::{AddressFamily, SocketType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn read_back(text: &str) -> String {
    match SocketUrl::from_str(text) {
        Ok(url) => url.to_string(),
        Err(InvalidSocketUrl { message, hint }) => match hint {
            Some(hint) => format!("{message} (hint: {hint})"),
            None => message,
        },
    }
}

#[test]
fn every_form_is_read() {
    for (text, meaning) in [
        ("tcp://localhost:8000", "tcp://localhost:8000"),
        ("TCP://localhost:8000/", "tcp://localhost:8000"),
        ("tcp://fqdn.goes.here:8000", "tcp://fqdn.goes.here:8000"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"),
        ("tcp://*:80", "tcp://*:80"),
        ("tcp://:80", "tcp://*:80"),
        ("tcp://[::1]:8000", "tcp://[::1]:8000"),
        ("tcp://[fe80::1%eth0]:8000", "tcp://[fe80::1%eth0]:8000"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run/app.sock", "unix:/run/app.sock"),
        ("unix:app.sock", "unix:app.sock"),
        ("fd.socket:stdin", "fd.socket:stdin"),
        ("fd.socket:0", "fd.socket:stdin"),
        ("fd.socket:3/AF_INET/SOCK_STREAM/tcp", "fd.socket:3"),
        ("fd.socket:3/unix/stream", "fd.socket:3"),
        ("fd.socket:3//stream/", "fd.socket:3"),
        ("fd.socket:web", "fd.socket:web"),
        (
            "fd.socket:my_app.socket/inet/stream",
            "fd.socket:my_app.socket",
        ),
        ("fd.socket:*", "fd.socket:*"),
    ] {
        assert_eq!(read_back(text), meaning, "{text}");
    }
}

#[test]
fn a_mistake_is_named_with_what_was_wanted() {
    for (text, message) in [
        (
            "",
            "`` is not a socket URL (hint: write `tcp://host:port`, `unix:/path` or `fd.socket:stdin`)",
        ),
        (
            "localhost",
            "`localhost` is not a socket URL (hint: write `tcp://host:port`, `unix:/path` or `fd.socket:stdin`)",
        ),
        (
            "localhost:80",
            "`localhost:80` is not a socket URL (hint: write `tcp://localhost:80`)",
        ),
        (":80", "`:80` is not a socket URL (hint: write `tcp://:80`)"),
        (
            "http://localhost:80/",
            "`http://localhost:80/` is not a socket URL (hint: write `tcp://localhost:80`)",
        ),
        (
            "tpc://localhost:80",
            "unknown kind of socket `tpc:` in `tpc://localhost:80` (hint: did you mean `tcp:`?)",
        ),
        (
            "gopher://localhost:80",
            "unknown kind of socket `gopher:` in `gopher://localhost:80` (hint: there are `tcp:`, `unix:` and `fd.socket:`)",
        ),
        (
            "udp://localhost:80",
            "`udp://localhost:80` is a datagram socket, which cannot serve (hint: write `tcp://localhost:80`)",
        ),
        (
            "unix.dg:/run/a",
            "`unix.dg:/run/a` is a datagram socket, which cannot serve (hint: write `unix:/run/a`)",
        ),
        (
            "tcp:localhost:80",
            "`tcp:localhost:80` lacks the `//` before the host (hint: write `tcp://localhost:80`)",
        ),
        (
            "tcp://localhost",
            "`tcp://localhost` has no port (hint: write `tcp://localhost:8000`, or `tcp://localhost:0` for any free port)",
        ),
        (
            "tcp://[::1]",
            "`tcp://[::1]` has no port (hint: write `tcp://[::1]:8000`, or `tcp://[::1]:0` for any free port)",
        ),
        (
            "tcp://localhost:",
            "`tcp://localhost:` has no port (hint: write `tcp://localhost:8000`, or `tcp://localhost:0` for any free port)",
        ),
        (
            "tcp://localhost:http",
            "`http` in `tcp://localhost:http` is not a port (hint: a port is a number from 0 (any free one) to 65535)",
        ),
        (
            "tcp://localhost:65536",
            "`65536` in `tcp://localhost:65536` is not a port (hint: a port is a number from 0 (any free one) to 65535)",
        ),
        (
            "tcp://localhost:+80",
            "`+80` in `tcp://localhost:+80` is not a port (hint: a port is a number from 0 (any free one) to 65535)",
        ),
        (
            "tcp://localhost:80/path",
            "`/` has no place in the socket URL `tcp://localhost:80/path` (hint: write `tcp://host:port` and nothing else)",
        ),
        (
            "tcp://me@localhost:80",
            "`@` has no place in the socket URL `tcp://me@localhost:80` (hint: write `tcp://host:port` and nothing else)",
        ),
        (
            "tcp://::1:80",
            "the IPv6 address in `tcp://::1:80` has no brackets (hint: write `tcp://[::1]:8000`)",
        ),
        ("tcp://[::1:80", "`[` without `]` in `tcp://[::1:80`"),
        (
            "tcp://[127.0.0.1]:80",
            "`127.0.0.1` in `tcp://[127.0.0.1]:80` is not an IPv6 address",
        ),
        (
            "tcp://127.0.0:80",
            "`127.0.0` in `tcp://127.0.0:80` is not an IPv4 address",
        ),
        (
            "tcp://a$b:80",
            "`$` in `tcp://a$b:80` cannot be part of a host name",
        ),
        (
            "unix:",
            "`unix:` names no socket file (hint: write `unix:/path/to/file`)",
        ),
        (
            "unix:/run/",
            "`unix:/run/` names no socket file (hint: write `unix:/path/to/file`)",
        ),
        (
            "unix://run/a",
            "`unix://run/a` names a host, but a path is wanted (hint: write `unix:/run/a` or `unix:run/a`)",
        ),
        (
            "fd.socket:",
            "`` in `fd.socket:` is not a descriptor (hint: write a number, `stdin`, `stdout`, `stderr`, or the name of a socket that systemd passes)",
        ),
        (
            "fd.socket:-1",
            "`-1` in `fd.socket:-1` is not a descriptor (hint: write a number, `stdin`, `stdout`, `stderr`, or the name of a socket that systemd passes)",
        ),
        (
            "fd.socket:stdim",
            "`stdim` in `fd.socket:stdim` is not a descriptor (hint: write a number, `stdin`, `stdout`, `stderr`, or the name of a socket that systemd passes)",
        ),
        (
            "fd.socket:99999999999",
            "`99999999999` in `fd.socket:99999999999` is not a descriptor (hint: write a number, `stdin`, `stdout`, `stderr`, or the name of a socket that systemd passes)",
        ),
        (
            "fd.socket:3/ipx",
            "unknown address family `ipx` in `fd.socket:3/ipx` (hint: there are `unix`, `inet` and `inet6`)",
        ),
        (
            "fd.socket:3/inet/dgram",
            "a socket of kind `dgram` in `fd.socket:3/inet/dgram` cannot serve (hint: the kind is `stream`)",
        ),
        (
            "fd.socket:3/inet/stream/tpc",
            "unknown protocol `tpc` in `fd.socket:3/inet/stream/tpc` (hint: the protocol is `tcp` or a number)",
        ),
        (
            "fd.socket:3/inet/stream/tcp/x",
            "`/x` at the end of `fd.socket:3/inet/stream/tcp/x` is too much (hint: write `fd.socket:number/family/kind/protocol`)",
        ),
    ] {
        assert_eq!(read_back(text), message, "{text}");
    }
}

#[test]
fn a_relative_path_is_relative_to_the_given_folder() {
    let url = SocketUrl::from_str("unix:app.sock").unwrap();
    assert_eq!(
        url.relative_to("/srv".as_ref()).to_string(),
        "unix:/srv/app.sock"
    );
}

fn url(text: &str) -> SocketUrl {
    SocketUrl::from_str(text).expect("a socket URL")
}

fn complaint(text: &str) -> String {
    match Listener::bind(&url(text)) {
        Ok(listener) => panic!("{listener:?}"),
        Err(error) => format!("{error:#}"),
    }
}

/// The loopback addresses of this machine.
fn loopback() -> Vec<IpAddr> {
    [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ]
    .into_iter()
    .filter(|&address| std::net::TcpListener::bind((address, 0)).is_ok())
    .collect()
}

#[tokio::test]
async fn a_name_is_served_on_each_of_its_addresses_and_one_free_port() {
    for host in ["localhost", "LOCALHOST", "*", ""] {
        let mut listener = Listener::bind(&url(&format!("tcp://{host}:0"))).unwrap();
        let port = listener.port().unwrap();
        assert_ne!(port, 0);
        for address in loopback() {
            let client = std::net::TcpStream::connect((address, port)).unwrap();
            let (_, peer) = listener.accept().await;
            assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
        }
    }
}

#[tokio::test]
async fn the_url_for_a_browser_has_the_host_as_configured_and_the_real_port() {
    for (socket_url, host) in [
        ("tcp://LocalHost:0", "LocalHost"),
        ("tcp://127.0.0.1:0", "127.0.0.1"),
        ("tcp://*:0", "localhost"),
    ] {
        let listener = Listener::bind(&url(socket_url)).unwrap();
        let port = listener.port().unwrap();
        let shown = format!("http://{host}:{port}/");
        assert_eq!(listener.web_url(), Some(shown));
    }
}

#[tokio::test]
async fn a_port_in_use_is_refused() {
    let first = Listener::bind(&url("tcp://127.0.0.1:0")).unwrap();
    let port = first.port().unwrap();
    assert_eq!(
        complaint(&format!("tcp://127.0.0.1:{port}")),
        format!("cannot listen on `tcp://127.0.0.1:{port}`: port {port} is in use on 127.0.0.1")
    );
    drop(first);
    Listener::bind(&url(&format!("tcp://127.0.0.1:{port}"))).unwrap();
}

#[tokio::test]
async fn a_name_without_an_address_is_refused() {
    assert!(
        complaint("tcp://no.such.host.invalid:0").starts_with(
            "cannot listen on `tcp://no.such.host.invalid:0`: the name `no.such.host.invalid` has no address: "
        )
    );
    assert_eq!(
        complaint("tcp://192.0.2.1:0"),
        "cannot listen on `tcp://192.0.2.1:0`: this machine has no address 192.0.2.1"
    );
}

#[tokio::test]
async fn a_socket_file_appears_and_disappears_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let mut listener = Listener::bind(&url(&format!("unix:{}", path.display()))).unwrap();
    assert_eq!(listener.web_url(), None);
    let mut client = UnixStream::connect(&path).await.unwrap();
    let (mut stream, peer) = listener.accept().await;
    assert_eq!(peer, Peer::Unix);
    client.write_all(b"hello").await.unwrap();
    let mut received = [0; 5];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"hello");
    drop(listener);
    assert!(!path.exists());
}

/// A server that ends must not reset connections that have arrived since its last wait.
#[tokio::test]
async fn what_has_just_come_is_found_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let mut local = Listener::bind(&url(&format!("unix:{}", path.display()))).unwrap();
    let mut remote = Listener::bind(&url("tcp://127.0.0.1:0")).unwrap();
    let port = remote.port().unwrap();
    assert!(local.accepted().is_none() && remote.accepted().is_none());

    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(std::os::unix::net::UnixStream::connect(&path).unwrap());
    }
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    for client in &mut clients {
        client.write_all(b"hello").unwrap();
        let (mut stream, peer) = local.accepted().expect("it is there");
        assert_eq!(peer, Peer::Unix);
        let mut received = [0; 5];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");
    }
    let (_stream, peer) = remote.accepted().expect("it is there");
    assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
    assert!(local.accepted().is_none() && remote.accepted().is_none());
}

fn in_use(text: &str) -> String {
    format!("cannot listen on `{text}`: the socket is in use by another program")
}

/// A client that connects would have to wait until the server is less busy.
#[test]
fn a_socket_file_whose_queue_is_full_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let busy = std::os::unix::net::UnixListener::bind(&path).unwrap();
    rustix::net::listen(&busy, 0).unwrap();
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    let connect = || {
        let client = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::ioctl_fionbio(&client, true)?;
        rustix::net::connect(&client, &address).map(|()| client)
    };
    let _waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).collect();
    let text = format!("unix:{}", path.display());
    let (said, hears) = mpsc::channel();
    let asked = text.clone();
    thread::spawn(move || said.send(complaint(&asked)));
    assert_eq!(
        hears
            .recv_timeout(Duration::from_secs(20))
            .expect("an answer"),
        in_use(&text)
    );
}

#[tokio::test]
async fn a_socket_file_in_use_is_never_stolen_and_an_unused_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let text = format!("unix:{}", path.display());
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(complaint(&text), in_use(&text));
    assert!(path.exists());
    drop(other);
    let _ours = Listener::bind(&url(&text)).unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_datagram_socket_file_in_use_is_not_stolen_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let text = format!("unix:{}", path.display());
    let _other = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    assert_eq!(complaint(&text), in_use(&text));
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "text").unwrap();
    let text = format!("unix:{}", path.display());
    assert_eq!(
        complaint(&text),
        format!("cannot listen on `{text}`: there is something else than a socket")
    );
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let text = format!("unix:{}", link.display());
    assert_eq!(
        complaint(&text),
        format!("cannot listen on `{text}`: there is something else than a socket")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
}

#[tokio::test]
async fn a_socket_file_that_is_no_longer_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = Listener::bind(&url(&format!("unix:{}", path.display()))).unwrap();
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    let _successor = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[tokio::test]
async fn a_socket_file_needs_a_folder_and_a_short_path() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("unix:{}/none/app.sock", folder.path().display());
    assert_eq!(
        complaint(&text),
        format!("cannot listen on `{text}`: there is no such folder")
    );
    let text = format!("unix:/{}", "x".repeat(200));
    assert_eq!(
        complaint(&text),
        format!("cannot listen on `{text}`: the path is too long for a socket")
    );
}

#[tokio::test]
async fn an_inherited_socket_serves_and_outlives_us() {
    let inherited = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = inherited.local_addr().unwrap();
    let number = inherited.as_raw_fd();
    let text = format!("fd.socket:{number}/inet/stream/tcp");
    let mut listener = Listener::bind(&url(&text)).unwrap();
    let shown = format!("http://{address}/");
    assert_eq!(listener.web_url(), Some(shown));
    let client = std::net::TcpStream::connect(address).unwrap();
    let (_, peer) = listener.accept().await;
    assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
    drop(listener);
    std::net::TcpStream::connect(address).unwrap();
}

/// As long as it were open, clients would connect and get no answer.
#[tokio::test]
async fn an_inherited_socket_is_closed_without_a_successor() {
    for (manner, refused) in [(Manner::Retire, false), (Manner::Drain, true)] {
        let inherited = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = inherited.local_addr().unwrap();
        let text = format!("fd.socket:{}", inherited.as_raw_fd());
        let listener = Listener::bind(&url(&text)).unwrap();
        listener.close(manner);
        let connected = std::net::TcpStream::connect(address);
        assert_eq!(connected.is_err(), refused, "{manner:?}: {connected:?}");
    }
}

#[tokio::test]
async fn an_inherited_socket_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let inherited = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let number = inherited.as_raw_fd();
    drop(Listener::bind(&url(&format!("fd.socket:{number}/AF_UNIX"))).unwrap());
    assert!(path.exists());
}

#[tokio::test]
async fn a_descriptor_must_match_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("file")).unwrap();
    let (connected, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (number, rest, message) in [
        (file.as_raw_fd(), "", "is not a socket"),
        (
            connected.as_raw_fd(),
            "",
            "is a socket that does not listen",
        ),
        (datagram.as_raw_fd(), "", "is not a stream socket"),
        (
            listening.as_raw_fd(),
            "/unix",
            "is of the family `inet`, not `unix`",
        ),
        (
            listening.as_raw_fd(),
            "/inet/stream/17",
            "is of protocol 6, not 17",
        ),
        (987_654, "", "is not open"),
    ] {
        let text = format!("fd.socket:{number}{rest}");
        assert_eq!(
            complaint(&text),
            format!("cannot listen on `fd.socket:{number}`: descriptor {number} {message}")
        );
    }
}
