//! Load for a server while it is reloaded, restarted, or loses its workers: clients that send requests without a pause,
//! and an account of every request.
//!
//! ```ignore
//! let load = Load::new(server.address()).fresh(16).kept(16).start();
//! load.more(1000);
//! server.signal(Signal::HUP);
//! load.until("the new version answers", |report| report.bodies.contains_key("new"));
//! load.stop().is_whole();
//! ```

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use super::DEADLINE;
use super::http::{Address, Stream};

/// The most different bodies that are counted apart, and the most losses that are described.
const MOST: usize = 100;

/// How many clients send which requests.
#[derive(Clone, Debug)]
pub struct Load {
    address: Address,
    target: String,
    body: Option<Vec<u8>>,
    fresh: usize,
    kept: usize,
    pause: Duration,
}

impl Load {
    /// No clients yet; each will ask for `/`.
    pub fn new(address: &Address) -> Self {
        Self {
            address: address.clone(),
            target: "/".to_owned(),
            body: None,
            fresh: 0,
            kept: 0,
            pause: Duration::ZERO,
        }
    }

    /// The target that clients ask for.
    pub fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Clients post this body. HTTP does not let a client repeat a POST by itself.
    pub fn post(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    /// Adds clients that open a new connection for each request.
    pub fn fresh(mut self, clients: usize) -> Self {
        self.fresh = clients;
        self
    }

    /// Adds clients that keep their connection as long as the server does.
    pub fn kept(mut self, clients: usize) -> Self {
        self.kept = clients;
        self
    }

    /// Each client pauses this long between two requests.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Starts the clients.
    pub fn start(self) -> Running {
        let shared = Arc::new(Shared::default());
        let clients = (0..self.fresh + self.kept)
            .map(|number| {
                let mut client = Client {
                    keeps: number >= self.fresh,
                    load: self.clone(),
                    connection: None,
                };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || client.run(&shared))
            })
            .collect();
        Running { shared, clients }
    }
}

/// The account of all requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of responses with each status.
    pub statuses: BTreeMap<u16, u64>,
    /// The number of 200 responses with each body; the first hundred different bodies.
    pub bodies: BTreeMap<String, u64>,
    /// The number of requests without a complete response.
    pub lost: u64,
    /// A description of the first hundred of those, each with the time since the start.
    pub losses: Vec<(Duration, String)>,
}

impl Report {
    /// The number of requests that were answered.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Asserts that every request was answered 200.
    #[track_caller]
    pub fn is_whole(&self) {
        self.answers(&[200]);
    }

    /// Asserts that every request was answered with one of these statuses.
    #[track_caller]
    pub fn answers(&self, statuses: &[u16]) {
        let good = self.statuses.keys().all(|status| statuses.contains(status));
        assert!(self.lost == 0 && good && self.answered() > 0, "{self:#?}");
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    report: Report,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no client panics")
    }
}

/// Running clients. Dropping it stops them.
pub struct Running {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Running {
    /// The account so far.
    pub fn report(&self) -> Report {
        self.shared.state().report.clone()
    }

    /// Waits until the account meets a condition.
    #[track_caller]
    pub fn until(&self, what: &str, wanted: impl Fn(&Report) -> bool) {
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), DEADLINE, |state| {
                !wanted(&state.report)
            })
            .expect("no client panics");
        let report = state.report.clone();
        drop(state);
        assert!(
            wanted(&report),
            "it never happened that {what}: {report:#?}"
        );
    }

    /// Waits until this many more requests have been answered.
    #[track_caller]
    pub fn more(&self, count: u64) {
        let wanted = self.report().answered() + count;
        let what = format!("{count} more requests were answered");
        self.until(&what, |report| report.answered() >= wanted);
    }

    /// Lets the current requests end, and returns the account.
    pub fn stop(mut self) -> Report {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.shared.state().stopped = true;
        self.shared.changed.notify_all();
        for client in self.clients.drain(..) {
            client.join().expect("no client panics");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

struct Client {
    load: Load,
    keeps: bool,
    connection: Option<Box<dyn Stream>>,
}

/// A response, and whether the connection can be used again.
struct Answer {
    status: u16,
    body: Vec<u8>,
    keeps: bool,
}

impl Client {
    fn run(&mut self, shared: &Shared) {
        let start = Instant::now();
        loop {
            let asked = self.ask();
            let mut pause = self.load.pause;
            let mut state = shared.state();
            match asked {
                Ok(Answer { status, body, .. }) => {
                    *state.report.statuses.entry(status).or_default() += 1;
                    let bodies = &mut state.report.bodies;
                    let body = String::from_utf8_lossy(&body).into_owned();
                    if status == 200 && (bodies.len() < MOST || bodies.contains_key(&body)) {
                        *bodies.entry(body).or_default() += 1;
                    }
                }
                Err(loss) => {
                    state.report.lost += 1;
                    if state.report.losses.len() < MOST {
                        state.report.losses.push((start.elapsed(), loss));
                    }
                    // Without a pause an unreachable server would be asked more and more often.
                    pause = pause.max(Duration::from_millis(10));
                }
            }
            shared.changed.notify_all();
            let until = Instant::now() + pause;
            while !state.stopped
                && let Some(left) = until.checked_duration_since(Instant::now())
            {
                let waited = shared.changed.wait_timeout(state, left);
                state = waited.expect("no client panics").0;
            }
            if state.stopped {
                return;
            }
        }
    }

    /// Sends one request; the error says how the request was lost.
    fn ask(&mut self) -> Result<Answer, String> {
        // No byte was written yet: the server may close an idle connection.
        let kept = self.connection.take().filter(|kept| !has_ended(kept));
        let what = if kept.is_some() { "kept" } else { "fresh" };
        let mut stream = match kept {
            Some(stream) => stream,
            None => {
                let connected = self.load.address.connect();
                connected.map_err(|error| format!("not connected: {error}"))?
            }
        };
        stream.limit(DEADLINE);
        let answer = self
            .exchange(&mut *stream)
            .map_err(|error| format!("on a {what} connection: {error}"))?;
        if answer.keeps {
            self.connection = Some(stream);
        }
        Ok(answer)
    }

    fn exchange(&self, stream: &mut dyn Stream) -> io::Result<Answer> {
        let Load { target, body, .. } = &self.load;
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
        if !self.keeps {
            request.extend(b"Connection: close\r\n");
        }
        if let Some(body) = body {
            request.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
        }
        request.extend(b"\r\n");
        request.extend(body.iter().flatten());
        // A server may answer and close the connection before it has read everything: the response counts.
        let written = stream.write_all(&request);
        match (read_answer(stream), written) {
            (Err(_), Err(error)) => Err(error),
            (answer, _) => answer,
        }
    }
}

/// Whether the server has closed an idle connection.
#[allow(clippy::borrowed_box, reason = "what `filter` gives")]
fn has_ended(stream: &Box<dyn Stream>) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let peeked = recv(stream.as_fd(), &mut [0_u8; 1][..], flags);
    !matches!(peeked, Err(rustix::io::Errno::AGAIN))
}

/// Reads a response (RFC 9112 §6.3).
fn read_answer(stream: &mut dyn Stream) -> io::Result<Answer> {
    let mut received = Vec::new();
    let broken = |what: &str| io::Error::new(ErrorKind::InvalidData, what);
    let end = loop {
        let mut lines = received.windows(4);
        if let Some(end) = lines.position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if !more(stream, &mut received)? {
            let what = match received.len() {
                0 => "closed without an answer",
                _ => "closed in the middle of a head",
            };
            return Err(io::Error::new(ErrorKind::UnexpectedEof, what));
        }
    };
    let mut body = received.split_off(end);
    let head = String::from_utf8_lossy(&received).to_ascii_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| broken("no status"))?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    };
    let closes = field("connection") == Some("close");
    if let Some(length) = field("content-length") {
        let length: usize = length.parse().map_err(|_| broken("no length"))?;
        while body.len() < length {
            if !more(stream, &mut body)? {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the body is cut off",
                ));
            }
        }
    } else if field("transfer-encoding").is_some() {
        body = loop {
            if let Some(whole) = unchunked(&body) {
                break whole;
            }
            if !more(stream, &mut body)? {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the chunks are cut off",
                ));
            }
        };
    } else {
        while more(stream, &mut body)? {}
    }
    Ok(Answer {
        status,
        body,
        keeps: !closes,
    })
}

/// Parses a chunked body (RFC 9112 §7.1), if it is complete.
fn unchunked(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&chunks[..end]).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        chunks = &chunks[end + 2..];
        body.extend_from_slice(chunks.get(..size)?);
        chunks = chunks.get(size + 2..)?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn more(stream: &mut dyn Stream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(count) => {
                received.extend_from_slice(&buffer[..count]);
                return Ok(count > 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
