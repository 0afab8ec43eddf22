//! A small HTTP client for tests: it sends exactly the bytes that a test gives, and checks every part of the response.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType};

use super::DEADLINE;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// A port on 127.0.0.1.
    pub fn port(port: u16) -> Self {
        Self::Tcp("127.0.0.1".to_owned(), port)
    }

    /// Parses `http://host:port/`, `tcp://host:port` or `unix:/path`.
    pub fn of_url(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Some(Self::Unix(path.into()));
        }
        let rest = url.split_once("://")?.1.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self::Tcp(host.to_owned(), port.parse().ok()?))
    }

    /// Whether a server listens there now.
    pub fn accepts(&self) -> bool {
        self.connect().is_ok()
    }

    pub(super) fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(host, port) => {
                let mut error = None;
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect(address) {
                        Ok(stream) => return Ok(Box::new(stream)),
                        Err(refused) => error = Some(refused),
                    }
                }
                Err(error.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
            }
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path)?)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Growing pauses between two looks at a state that gives no event, up to [`DEADLINE`].
pub struct Waits {
    next: Duration,
    until: Instant,
}

impl Waits {
    /// Waits for up to [`DEADLINE`].
    pub fn new() -> Self {
        Self::up_to(DEADLINE)
    }

    /// Waits only for the time that the system needs to reap a process.
    pub fn short() -> Self {
        Self::up_to(Duration::from_secs(5))
    }

    fn up_to(time: Duration) -> Self {
        Self {
            next: Duration::from_millis(1),
            until: Instant::now() + time,
        }
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// With the message when the time is up.
    #[track_caller]
    pub fn until(mut holds: impl FnMut() -> bool, message: impl Fn() -> String) {
        let mut waits = Self::new();
        while !holds() {
            waits.wait(&message);
        }
    }

    /// Waits once more.
    ///
    /// # Panics
    /// With the message when the time is up.
    #[track_caller]
    pub fn wait(&mut self, message: impl Fn() -> String) {
        assert!(Instant::now() < self.until, "{}", message());
        std::thread::park_timeout(self.next);
        self.next = (self.next * 2).min(Duration::from_millis(100));
    }
}

/// A connected socket of either kind.
pub(super) trait Stream: Read + Write + AsFd + Send {
    fn limit(&self, time: Duration);
    fn end_writing(&self);
}

impl Stream for TcpStream {
    fn limit(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("a positive time");
        self.set_write_timeout(Some(time)).expect("a positive time");
    }

    fn end_writing(&self) {
        // The other side may have closed the connection already.
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for UnixStream {
    fn limit(&self, time: Duration) {
        self.set_read_timeout(Some(time)).expect("a positive time");
        self.set_write_timeout(Some(time)).expect("a positive time");
    }

    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// A response.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The header fields, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// Whether the body is complete (the last chunk arrived, or the whole length).
    pub complete: bool,
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} {}", self.status, self.reason)?;
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {value}")?;
        }
        let end = if self.complete { "" } else { " (cut off)" };
        write!(formatter, "\n{}{end}", self.text())
    }
}

impl Reply {
    /// The first header field with this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All header fields with this (lower-case) name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts the status, and returns the body as text.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert!(self.status == 200 && self.complete, "{self:#?}");
        self.text()
    }
}

/// `GET target` on a new connection.
#[track_caller]
pub fn get(address: &Address, target: &str) -> Reply {
    request(address, "GET", target, &[], b"")
}

/// One request on a new connection. `Host` and, with a body, `Content-Length` are added.
#[track_caller]
pub fn request(
    address: &Address,
    method: &str,
    target: &str,
    headers: &[&str],
    body: &[u8],
) -> Reply {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut connection = Connection::open(address);
    connection.send(head.as_bytes());
    connection.send(body);
    connection.reply(method)
}

/// A connection to a server. Every wait on it ends with an answer or fails the test.
pub struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub fn open(address: &Address) -> Self {
        let stream = address
            .connect()
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.limit(DEADLINE);
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Connects from an address of this machine, such as 127.0.0.2.
    #[track_caller]
    pub fn open_from(client: [u8; 4], address: &Address) -> Self {
        let Address::Tcp(host, port) = address else {
            panic!("{address} has no clients with addresses");
        };
        let server: SocketAddr = format!("{host}:{port}").parse().expect("an address");
        let stream = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)
            .and_then(|socket| {
                rustix::net::bind(&socket, &SocketAddr::from((client, 0)))?;
                rustix::net::connect(&socket, &server)?;
                Ok(TcpStream::from(socket))
            })
            .unwrap_or_else(|error| panic!("{address} from {client:?}: {error}"));
        stream.limit(DEADLINE);
        Self {
            stream: Box::new(stream),
            received: Vec::new(),
        }
    }

    /// Sends bytes unchanged. If the server has closed the connection already, its response tells why.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
    }

    /// Closes the sending side.
    pub fn end_writing(&mut self) {
        self.stream.end_writing();
    }

    /// Receives more bytes; `false` at the end.
    #[track_caller]
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!(
                "{error} after {:?}",
                String::from_utf8_lossy(&self.received)
            ),
        }
    }

    /// Receives until a text has arrived, and returns everything up to the end of the text.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.received, text.as_bytes()) {
                let rest = self.received.split_off(at + text.len());
                let found = std::mem::replace(&mut self.received, rest);
                return String::from_utf8_lossy(&found).into_owned();
            }
            assert!(
                self.receive(),
                "the connection ended before {text:?}: {:?}",
                String::from_utf8_lossy(&self.received)
            );
        }
    }

    /// Receives everything until the connection ends.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// Receives so many bytes; whether all came.
    #[track_caller]
    pub fn rest_of(&mut self, length: usize) -> bool {
        let mut left = length;
        loop {
            let taken = left.min(self.received.len());
            self.received.drain(..taken);
            left -= taken;
            if left == 0 {
                return true;
            }
            if !self.receive() {
                return false;
            }
        }
    }

    /// Receives one response to a request with the given method.
    #[track_caller]
    pub fn reply(&mut self, method: &str) -> Reply {
        let head = loop {
            let head = self.until("\r\n\r\n");
            // RFC 9110 §15.2: interim responses precede the final one.
            if !head.starts_with("HTTP/1.1 1") {
                break head;
            }
        };
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut parts = status_line.splitn(3, ' ');
        let (Some(_), Some(Ok(status))) = (parts.next(), parts.next().map(str::parse)) else {
            panic!("a broken status line: {status_line:?}");
        };
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply {
            status,
            reason: parts.next().unwrap_or_default().to_owned(),
            headers,
            body: Vec::new(),
            complete: true,
        };
        // RFC 9112 §6.3
        if method == "HEAD" || matches!(status, 204 | 304) {
        } else if reply.header("transfer-encoding") == Some("chunked") {
            (reply.body, reply.complete) = self.chunks();
        } else if let Some(length) = reply.header("content-length") {
            let length: usize = length.parse().expect("a number");
            while self.received.len() < length && self.receive() {}
            reply.complete = self.received.len() >= length;
            let rest = self.received.split_off(length.min(self.received.len()));
            reply.body = std::mem::replace(&mut self.received, rest);
        } else {
            reply.body = self.rest();
        }
        reply
    }

    /// Parses a chunked body (RFC 9112 §7.1) and tells whether its last chunk has arrived.
    #[track_caller]
    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.chunk() {
                Ok(chunk) if chunk.is_empty() => return (body, true),
                Ok(chunk) => body.extend(chunk),
                Err(rest) => {
                    body.extend(rest);
                    return (body, false);
                }
            }
        }
    }

    /// Receives one chunk, of which the last is empty.
    ///
    /// # Errors
    /// What has arrived of one that is cut off.
    #[track_caller]
    pub fn chunk(&mut self) -> Result<Vec<u8>, Vec<u8>> {
        while find(&self.received, b"\r\n").is_none() {
            if !self.receive() {
                return Err(Vec::new());
            }
        }
        let line = self.until("\r\n");
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16)
            .unwrap_or_else(|_| panic!("a broken chunk size: {line:?}"));
        while self.received.len() < size + 2 && self.receive() {}
        if self.received.len() < size + 2 {
            return Err(std::mem::take(&mut self.received));
        }
        let rest = self.received.split_off(size + 2);
        let mut chunk = std::mem::replace(&mut self.received, rest);
        assert!(
            chunk.ends_with(b"\r\n"),
            "a chunk that is longer than it says"
        );
        chunk.truncate(size);
        Ok(chunk)
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
