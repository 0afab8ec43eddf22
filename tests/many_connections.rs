//! From one connection to thousands, quick and slow applications, one worker and several, by HTTP and FastCGI: every
//! request gets its own response, once, and afterwards the server still answers and nothing waits.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use runner::protocol::fastcgi::record::{
    BeginRequest, RESPONDER, RecordKind, put_pair, put_records, take_record,
};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value as Json;
use support::http::Address;
use support::{DEADLINE, Folder, Server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The number of connections at a time.
const CONNECTIONS: [usize; 5] = [1, 64, 256, 1024, 3000];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(address: &Address) -> Box<dyn Stream> {
    match address {
        Address::Tcp(host, port) => Box::new(
            TcpStream::connect((host.as_str(), *port))
                .await
                .expect("connected"),
        ),
        Address::Unix(path) => loop {
            // If the backlog is full, connecting to a Unix socket fails at once.
            match UnixStream::connect(path).await {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    tokio::task::yield_now().await;
                }
                stream => break Box::new(stream.expect("connected")),
            }
        },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gateway {
    Http,
    FastCgi,
}

impl Gateway {
    fn request(self, path: &str) -> BytesMut {
        if self == Self::Http {
            return BytesMut::from(&*format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        }
        let mut records = BytesMut::new();
        let role = RESPONDER;
        BeginRequest { role, keep: true }.put(&mut records, 1);
        let mut pairs = BytesMut::new();
        for (name, value) in [
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", path),
        ] {
            put_pair(&mut pairs, name.as_bytes(), value.as_bytes());
        }
        put_records(&mut records, RecordKind::Params, 1, pairs);
        put_records(&mut records, RecordKind::Params, 1, &b""[..]);
        put_records(&mut records, RecordKind::Stdin, 1, &b""[..]);
        records
    }

    /// The status line (or its equivalent) and the body of a response, if it is complete.
    fn response(self, received: &mut BytesMut, so_far: &mut String) -> Option<(String, String)> {
        match self {
            Self::Http => {
                let text = std::str::from_utf8(received).expect("text");
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head
                    .to_ascii_lowercase()
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                    .expect("a length");
                let body = body.get(..length)?.to_owned();
                let status = head.lines().next().expect("a status").to_owned();
                received.clear();
                Some((status, body))
            }
            Self::FastCgi => loop {
                let record = take_record(received).expect("a record")?;
                match RecordKind::from_number(record.kind) {
                    Some(RecordKind::Stdout) => {
                        so_far.push_str(std::str::from_utf8(&record.content).expect("text"));
                    }
                    Some(RecordKind::EndRequest) => {
                        let whole = std::mem::take(so_far);
                        let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
                        let status = head.lines().next().expect("a status").to_owned();
                        return Some((status, body.to_owned()));
                    }
                    other => panic!("{other:?}"),
                }
            },
        }
    }
}

/// Many clients of a server.
struct Clients {
    address: Address,
    gateway: Gateway,
    /// The number of the next request; all numbers differ.
    next: Arc<AtomicU64>,
}

impl Clients {
    /// Opens this many connections at a time, each for this many requests one after another; returns the number of
    /// responses with each status.
    async fn ask(&self, connections: usize, each: usize, micros: u64) -> BTreeMap<String, usize> {
        let all_are_there = Arc::new(Barrier::new(connections));
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let (address, gateway) = (self.address.clone(), self.gateway);
            let (next, all_are_there) = (Arc::clone(&self.next), Arc::clone(&all_are_there));
            clients.spawn(async move {
                let mut stream = connect(&address).await;
                all_are_there.wait().await;
                let mut received = BytesMut::new();
                let mut so_far = String::new();
                let mut statuses = Vec::new();
                for _ in 0..each {
                    let number = next.fetch_add(1, Ordering::Relaxed).to_string();
                    let request = gateway.request(&format!("/{micros}/{number}"));
                    stream.write_all(&request).await.expect("written");
                    let (status, body) = loop {
                        if let Some(response) = gateway.response(&mut received, &mut so_far) {
                            break response;
                        }
                        let count = stream.read_buf(&mut received).await.expect("read");
                        assert!(count > 0, "closed without an answer");
                    };
                    if status.contains("200") {
                        assert_eq!(body, number, "the answer of another request");
                    }
                    statuses.push(status);
                }
                statuses
            });
        }
        let mut statuses = BTreeMap::new();
        let all = async {
            while let Some(answered) = clients.join_next().await {
                for status in answered.expect("no client panics") {
                    *statuses.entry(status).or_default() += 1;
                }
            }
        };
        let answered = timeout(DEADLINE, all).await;
        assert!(answered.is_ok(), "{connections} connections wait for ever");
        statuses
    }
}

/// The limit of open files.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raised");
}

fn server(gateway: Gateway, workers: usize, threads: usize) -> (Server, Clients) {
    raise_limit();
    let (command, url) = match gateway {
        Gateway::Http => ("'serve'", "tcp://127.0.0.1:0"),
        Gateway::FastCgi => ("'FastCGI', 'unix:socket'", "unix:unused"),
    };
    let file = format!(
        "app = commands.Alias(command=[{command}, 'WSGI', 'import:counted.application'])\n\
         url = '{url}'\n\
         runner.status.url = 'unix:control'\n\
         [runner.workers]\n\
         min = {workers}\n\
         max = {workers}\n\
         threads = {threads}\n"
    );
    let folder = Folder::new()
        .copy("tests/apps/counted.py")
        .file("app.ini", file);
    let address = Address::Unix(folder.path("socket"));
    let program = folder.runner(["runIni", "app.ini"]);
    let server = match gateway {
        Gateway::Http => program.start(),
        Gateway::FastCgi => program.start_at(address),
    };
    let clients = Clients {
        address: server.address().clone(),
        gateway,
        next: Arc::default(),
    };
    (server, clients)
}

fn status(server: &Server) -> Json {
    let asked = server
        .folder()
        .runner(["status", "--format", "json", "app.ini"]);
    serde_json::from_str(asked.run().success()).expect("JSON")
}

/// The server still answers, every request was begun once, and nothing waits.
async fn is_well(server: Server, clients: &Clients) {
    let again = clients.ask(1, 1, 0).await;
    assert_eq!(again.values().sum::<usize>(), 1);
    assert!(again.keys().all(|it| it.contains("200")), "{again:?}");
    let found = status(&server);
    let asked = clients.next.load(Ordering::Relaxed);
    assert_eq!(found["queue"]["length"], 0, "{found:#}");
    assert_eq!(found["totals"]["requests"], asked, "{found:#}");
    for none in ["bad_gateway", "unavailable", "gateway_timeout", "deaths"] {
        assert_eq!(found["totals"][none], 0, "{found:#}");
    }
    let begun = server.folder().read("begun");
    let mut begun: Vec<u64> = begun
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    begun.sort_unstable();
    assert!(begun.into_iter().eq(0..asked), "begun once each");
    let log = server.log();
    assert!(!log.contains("fault"), "{log}");
    assert_eq!(server.stop().status, 0);
}

/// The whole matrix for one gateway and these numbers of workers and threads.
async fn matrix(gateway: Gateway, workers: usize, threads: usize) {
    let (server, clients) = server(gateway, workers, threads);
    for micros in [0, 100, 1000] {
        for connections in CONNECTIONS {
            let each = if micros == 0 { 2 } else { 1 };
            let statuses = clients.ask(connections, each, micros).await;
            let good: usize = statuses
                .iter()
                .filter(|(status, _)| status.contains("200"))
                .map(|(_, count)| count)
                .sum();
            assert_eq!(
                good,
                connections * each,
                "{connections} connections, {micros} µs, {gateway:?}, {workers} workers, {threads} threads: {statuses:?}"
            );
        }
    }
    is_well(server, &clients).await;
}

#[tokio::test]
async fn by_http_with_one_worker() {
    matrix(Gateway::Http, 1, 1).await;
}

#[tokio::test]
async fn by_http_with_one_worker_of_four_threads() {
    matrix(Gateway::Http, 1, 4).await;
}

#[tokio::test]
async fn by_http_with_four_workers() {
    matrix(Gateway::Http, 4, 1).await;
}

#[tokio::test]
async fn by_http_with_four_workers_of_four_threads() {
    matrix(Gateway::Http, 4, 4).await;
}

#[tokio::test]
async fn by_fastcgi_with_one_worker() {
    matrix(Gateway::FastCgi, 1, 1).await;
}

#[tokio::test]
async fn by_fastcgi_with_one_worker_of_four_threads() {
    matrix(Gateway::FastCgi, 1, 4).await;
}

#[tokio::test]
async fn by_fastcgi_with_four_workers() {
    matrix(Gateway::FastCgi, 4, 1).await;
}

#[tokio::test]
async fn by_fastcgi_with_four_workers_of_four_threads() {
    matrix(Gateway::FastCgi, 4, 4).await;
}

/// The system stops and continues workers at any moment: requests that were sent to them return to other workers, again
/// and again, and yet no request begins twice and none is left.
#[tokio::test]
async fn workers_that_are_stopped_and_continued_all_the_time() {
    let (server, clients) = server(Gateway::Http, 3, 1);
    let found = status(&server);
    let workers: Vec<Pid> = found["workers"]
        .as_array()
        .expect("workers")
        .iter()
        .filter_map(|worker| Pid::from_raw(i32::try_from(worker["pid"].as_i64()?).ok()?))
        .collect();
    assert_eq!(workers.len(), 3);
    let over = Arc::new(AtomicBool::new(false));
    let disturber = {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let mut turns = tokio::time::interval(Duration::from_millis(1));
            let mut turn = 0;
            while !over.load(Ordering::Relaxed) {
                turns.tick().await;
                let (stopped, continued) = (workers[turn % 3], workers[(turn + 1) % 3]);
                kill_process(stopped, Signal::STOP).expect("ours");
                kill_process(continued, Signal::CONT).expect("ours");
                turn += 1;
            }
            for worker in workers {
                kill_process(worker, Signal::CONT).expect("ours");
            }
        })
    };
    for (connections, each, micros) in [(900, 10, 0), (150, 40, 0), (900, 3, 100)] {
        let statuses = clients.ask(connections, each, micros).await;
        assert_eq!(statuses.len(), 1, "{statuses:?}");
    }
    over.store(true, Ordering::Relaxed);
    disturber.await.expect("it does not panic");
    is_well(server, &clients).await;
}
