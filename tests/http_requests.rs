//! What is a request and what is not: the raw requests of `tests/http/requests/`, written from the standards, section by
//! section. Each is sent whole, byte by byte, and in two parts that are cut wherever a line ends; its outcome is the same.
//!
//! A section begins with `## RFC 9112 §3.2`. A case is `=== name`, the bytes, and their outcome, one part for each request:
//!
//! - `--- 200`, and what the application saw: the request line, the fields, the body. `path`, `query` and `host` are compared
//!   only where they are written. `--- 200 HEAD` has no body. After the last one, `--- open` or `--- closed`.
//! - `--- 400 reason`: the refusal with its status, the reason in the log, and the end of the connection.
//! - `--- 100`: the client is asked to send the body.
//! - `--- nothing`: the server waits for more, and closes when the client does.
//!
//! Lines end with CR LF on the wire, unless they end with `\`, which is removed. `\r`, `\n`, `\\` and `\x00` mean what they
//! mean in Rust, and `\{9 ab}` is nine times `ab`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use runner::gateway::body::spool::SpoolOptions;
use runner::gateway::http::HttpOptions;
use runner::unix::unsent;
use support::Server;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[path = "support/mirror.rs"]
mod support;
#[path = "http/wire.rs"]
mod wire;

/// The largest body that the server takes.
const BODY_LIMIT: u64 = 1000;

/// Requests up to this size are sent byte by byte; larger ones in parts of [`PART`].
const BY_BYTES: usize = 1000;
const PART: usize = 997;

/// The most clients at a time.
const CLIENTS: usize = 32;

const ENOUGH: Duration = Duration::from_secs(30);

/// What is sent where the connection has to be open, and what shows that it was answered.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";
const PROBED: &str = "GET /probe HTTP/1.1";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The application answered: what it saw.
    Seen {
        lines: Vec<String>,
        is_head: bool,
    },
    /// It did not: the status, and the reason in the log.
    Refused(u16, String),
    Continue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    /// Closed once the client has closed its side.
    Waiting,
}

#[derive(Debug)]
struct Case {
    number: usize,
    name: String,
    bytes: Vec<u8>,
    outcomes: Vec<Outcome>,
    end: End,
}

impl Case {
    fn parse(number: usize, name: String, bytes: Vec<u8>, parts: &[String]) -> Self {
        let mut outcomes = Vec::new();
        let mut end = End::Closed;
        for part in parts {
            let (head, lines) = part.split_once('\n').unwrap_or((part, ""));
            let lines = || lines.trim_end().lines().map(str::to_owned).collect();
            match head.split_once(' ').unwrap_or((head, "")) {
                ("200", method) => outcomes.push(Outcome::Seen {
                    lines: lines(),
                    is_head: method == "HEAD",
                }),
                ("100", "") => outcomes.push(Outcome::Continue),
                ("open", "") => end = End::Open,
                ("closed", "") => end = End::Closed,
                ("nothing", "") => end = End::Waiting,
                (status, reason) => {
                    let status = status
                        .parse()
                        .unwrap_or_else(|_| panic!("`{head}` in {name}"));
                    outcomes.push(Outcome::Refused(status, reason.to_owned()));
                }
            }
        }
        assert!(
            !outcomes.is_empty() || end == End::Waiting,
            "no outcome in {name}"
        );
        Self {
            number,
            name,
            bytes,
            outcomes,
            end,
        }
    }

    /// An address that no other case uses, so that the log tells which client is meant.
    fn client(&self) -> Ipv4Addr {
        let [high, low] = u16::try_from(self.number).unwrap().to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    }

    /// Whether its first request is a `HEAD`, to whose refusal there is no body.
    fn is_head(&self) -> bool {
        self.bytes.starts_with(b"HEAD ")
    }

    /// The places to cut it: around each part of the end of a line.
    fn seams(&self) -> Vec<usize> {
        let is_end = |at: &usize| {
            let around = self.bytes.get(at - 1..*at + 1).unwrap_or_default();
            around.iter().any(|byte| matches!(byte, b'\r' | b'\n'))
        };
        let start = self.bytes.len().saturating_sub(BY_BYTES).max(1);
        (start..self.bytes.len()).filter(is_end).collect()
    }

    /// The responses that are due, as text that [`Received`] can be compared with.
    fn expected(&self) -> Vec<String> {
        let expected = self.outcomes.iter().map(|outcome| match outcome {
            Outcome::Seen { is_head: true, .. } => "200 HEAD".to_owned(),
            Outcome::Seen { lines, .. } => lines.join("\n"),
            Outcome::Refused(status, _) => refusal(*status, self.is_head()),
            Outcome::Continue => "HTTP/1.1 100 Continue\n\n".to_owned(),
        });
        let end = match self.end {
            End::Open => PROBED,
            End::Closed | End::Waiting => "closed",
        };
        expected.chain([end.to_owned()]).collect()
    }
}

fn refusal(status: u16, is_head: bool) -> String {
    let status = StatusCode::from_u16(status).unwrap();
    let body = format!("{status}\n");
    format!(
        "HTTP/1.1 {status}\ncontent-type: text/plain; charset=utf-8\ncontent-length: {}\nconnection: close\n\n{}",
        body.len(),
        if is_head { "" } else { &body }
    )
}

fn cases() -> Vec<Case> {
    let cases = wire::cases().into_iter().enumerate();
    let parse = |(number, (section, name, bytes, outcomes)): (usize, wire::RawCase)| {
        Case::parse(number, format!("{section}: {name}"), bytes, &outcomes)
    };
    cases.map(parse).collect()
}

/// Sends parts, each when the server has read the one before, then receives: what [`Case::expected`] has.
async fn exchange<S: AsyncRead + AsyncWrite + AsFd + Unpin>(
    case: &Case,
    mut stream: S,
    parts: Vec<&[u8]>,
) -> Vec<String> {
    for part in parts {
        // A server that has closed the connection has a reason, which is read below.
        if stream.write_all(part).await.is_err() {
            break;
        }
        while unsent(stream.as_fd()) > 0 {
            tokio::task::yield_now().await;
        }
    }
    match case.end {
        End::Open => drop(stream.write_all(PROBE).await),
        End::Waiting => drop(stream.shutdown().await),
        End::Closed => {}
    }
    let mut received = Vec::new();
    // A reset ends it as a close does.
    let in_time = timeout(ENOUGH, stream.read_to_end(&mut received)).await;
    let mut found = Vec::new();
    let mut rest = received.as_slice();
    for outcome in &case.outcomes {
        found.push(take_response(&mut rest, outcome, case.is_head()));
    }
    if case.end == End::Open {
        let last = Outcome::Seen {
            lines: vec![PROBED.to_owned()],
            is_head: false,
        };
        found.push(take_response(&mut rest, &last, false));
    } else if in_time.is_ok() && rest.is_empty() {
        found.push("closed".to_owned());
    }
    if in_time.is_err() || !rest.is_empty() {
        found.push(format!("open, and {:?}", rest.escape_ascii().to_string()));
    }
    found
}

/// The next response, as far as the expected one tells what counts of it.
fn take_response(rest: &mut &[u8], expected: &Outcome, is_head: bool) -> String {
    let text: String = rest.iter().map(|byte| char::from(*byte)).collect();
    let Some((head, behind)) = text.split_once("\r\n\r\n") else {
        return "no response".to_owned();
    };
    // A client of HTTP/1.0 gets a status line of its version.
    let head = head.replacen("HTTP/1.0 ", "HTTP/1.1 ", 1);
    let head: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("date: "))
        .collect();
    let field = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
    let length = field("content-length: ").map_or(0, |length| length.parse().unwrap());
    let body = if is_head { "" } else { &behind[..length] };
    *rest = &rest[rest.len() - behind.len() + body.len()..];
    match expected {
        Outcome::Seen { is_head: true, .. } if head[0] == "HTTP/1.1 200 OK" => {
            "200 HEAD".to_owned()
        }
        Outcome::Seen { lines, .. } if head[0] == "HTTP/1.1 200 OK" => {
            let is_expected = |name: &str| lines.iter().any(|line| line.starts_with(name));
            let counts = |line: &&str| {
                let optional = ["path ", "query ", "host: "];
                optional
                    .iter()
                    .all(|name| !line.starts_with(name) || is_expected(name))
            };
            let all: Vec<&str> = body.lines().filter(counts).collect();
            match lines.as_slice() {
                [line] if line == PROBED => all[0].to_owned(),
                _ => all.join("\n"),
            }
        }
        Outcome::Seen { .. } | Outcome::Refused(..) | Outcome::Continue => {
            format!("{}\n\n{body}", head.join("\n"))
        }
    }
}

/// Standard error of this process, to which the gateway writes its log, until it is dropped.
struct CapturedLog {
    before: std::os::fd::OwnedFd,
    reader: std::thread::JoinHandle<String>,
}

impl CapturedLog {
    fn begin() -> Self {
        let before = rustix::io::dup(rustix::stdio::stderr()).unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        rustix::stdio::dup2_stderr(&writer).unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        Self { before, reader }
    }

    fn end(self) -> String {
        rustix::stdio::dup2_stderr(&self.before).unwrap();
        self.reader.join().unwrap()
    }
}

/// The reasons of all refusals in a log, by the client.
fn reasons(log: &str) -> BTreeMap<String, Vec<String>> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in log.lines() {
        let Some((_, refused)) = line.split_once("refused a request from ") else {
            continue;
        };
        let (client, reason) = refused.split_once(": ").unwrap();
        // What is known of the request follows the status.
        let is_status = |text: &str| text.bytes().take(3).all(|byte| byte.is_ascii_digit());
        let mut places = reason.match_indices(" (").map(|(place, _)| place);
        let status = places.find(|place| is_status(&reason[place + 2..]));
        let end = status.and_then(|place| Some(place + reason[place..].find(')')? + 1));
        let reason = &reason[..end.unwrap_or(reason.len())];
        reasons
            .entry(client.to_owned())
            .or_default()
            .push(reason.to_owned());
    }
    reasons
}

#[tokio::test]
async fn each_request_has_its_outcome_however_it_comes() {
    let cases: Vec<Arc<Case>> = cases().into_iter().map(Arc::new).collect();
    assert!(cases.len() >= 250, "{} cases", cases.len());
    let options = HttpOptions {
        spool: Arc::new(SpoolOptions {
            limit: BODY_LIMIT,
            ..SpoolOptions::default()
        }),
        ..HttpOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let log = CapturedLog::begin();
    let tcp = Server::start(options.clone());
    let unix = Server::start_at(&format!("unix:{}", path.display()), options);
    let address: SocketAddr = tcp.address.parse().unwrap();

    let room = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = JoinSet::new();
    for case in &cases {
        let mut ways: Vec<Option<Vec<usize>>> = vec![None];
        let step = if case.bytes.len() > BY_BYTES { PART } else { 1 };
        ways.push(Some((step..case.bytes.len()).step_by(step).collect()));
        ways.extend(case.seams().into_iter().map(|seam| Some(vec![seam])));
        for cuts in ways {
            let (case, path) = (Arc::clone(case), path.clone());
            let permit = Arc::clone(&room).acquire_owned().await.unwrap();
            clients.spawn(async move {
                let found = match &cuts {
                    None => {
                        let socket = TcpSocket::new_v4().unwrap();
                        socket.bind((case.client(), 0).into()).unwrap();
                        let stream = socket.connect(address).await.unwrap();
                        exchange(&case, stream, vec![&case.bytes]).await
                    }
                    // Only a Unix socket tells when the other side has read what was sent.
                    Some(cuts) => {
                        let stream = UnixStream::connect(path).await.unwrap();
                        let bounds = cuts.iter().copied().chain([case.bytes.len()]);
                        let starts = [0].into_iter().chain(cuts.iter().copied());
                        let parts = starts.zip(bounds).map(|(from, to)| &case.bytes[from..to]);
                        exchange(&case, stream, parts.collect()).await
                    }
                };
                drop(permit);
                let expected = case.expected();
                (found != expected).then(|| {
                    let name = &case.name;
                    let how = match cuts.as_deref() {
                        None => "whole".to_owned(),
                        Some([cut]) => format!("cut at {cut}"),
                        Some(_) => "byte by byte".to_owned(),
                    };
                    format!("=== {name}, {how}\nexpected: {expected:#?}\nfound: {found:#?}\n")
                })
            });
        }
    }
    let mut failures: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    tcp.stop().await;
    unix.stop().await;
    let reasons = reasons(&log.end());
    for case in &cases {
        let expected: Vec<String> = case
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Refused(status, reason) => Some(format!("{reason} ({status})")),
                Outcome::Seen { .. } | Outcome::Continue => None,
            })
            .collect();
        let found = reasons.get(&case.client().to_string());
        let found = found.cloned().unwrap_or_default();
        if found != expected {
            failures.push(format!(
                "=== {}\nexpected in the log: {expected:#?}\nfound: {found:#?}\n",
                case.name
            ));
        }
    }
    failures.sort();
    // One way in which it fails tells enough of a case.
    failures.dedup_by(|one, other| {
        let name = |failure: &str| failure.split([',', '\n']).next().map(str::to_owned);
        name(one) == name(other)
    });
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures[..failures.len().min(60)].join("\n")
    );
}
