//! A server that behaves as a test wants it: a function in a thread of its own has each of its connections.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::DEADLINE;
use super::http::{Address, Waits};

/// The server. Its threads end with the test's process.
pub struct Scripted {
    port: u16,
    connections: Arc<AtomicUsize>,
}

/// A client's connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Scripted {
    /// Starts it. The function gets the number of each connection, from 1 on.
    pub fn start(serve: impl Fn(usize, Client) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                stream.set_nodelay(true).expect("a socket of TCP");
                stream.set_read_timeout(Some(DEADLINE)).expect("a time");
                stream.set_write_timeout(Some(DEADLINE)).expect("a time");
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                let client = Client {
                    stream,
                    received: Vec::new(),
                };
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(number, client));
            }
        });
        Self { port, connections }
    }

    /// One that answers each request, told by its head, with these bytes, until the client closes the connection.
    pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |_, mut client| {
            while let Some(head) = client.head() {
                client.body_of(&head);
                client.send(&answer(&head));
            }
        })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address::port(self.port)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Client {
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 65536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return count > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The head of the next request, with the empty line; `None` if there is none.
    pub fn head(&mut self) -> Option<String> {
        loop {
            let end = self.received.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = self.received.split_off(end + 4);
                let head = std::mem::replace(&mut self.received, rest);
                return Some(String::from_utf8(head).expect("a head in UTF-8"));
            }
            if !self.receive() {
                return None;
            }
        }
    }

    /// So many bytes; fewer at the end.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count && self.receive() {}
        let rest = self.received.split_off(count.min(self.received.len()));
        std::mem::replace(&mut self.received, rest)
    }

    /// The body that a head announces.
    pub fn body_of(&mut self, head: &str) -> Vec<u8> {
        let length = field(head, "content-length").map_or(0, |it| it.parse().expect("a number"));
        self.bytes(length)
    }

    /// Sends bytes; whether the client takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Waits until the client closes the connection.
    pub fn closed(&mut self) {
        while self.receive() {}
    }

    /// Closes the connection for the client at once, as the system does for a process that ends.
    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The value of a field in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
}

/// A response with a text.
pub fn text(text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").into_bytes()
}

/// Waits until a count is reached.
#[track_caller]
pub fn wait_for(count: &AtomicUsize, wanted: usize) {
    Waits::until(
        || count.load(Ordering::SeqCst) >= wanted,
        || format!("{} of {wanted}", count.load(Ordering::SeqCst)),
    );
}
