//! Requests that a seeded generator makes, over sockets, to a WSGI application: it sees what an independent reading of the
//! standards says, and no bytes make two requests of one, whatever they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use strict_reader::ReadRequest;
use support::http::Connection;
use support::{Folder, Server, Waits};

mod generator;
mod strict_reader;
#[path = "../support/mod.rs"]
mod support;
#[path = "../http/wire.rs"]
mod wire;

use generator::Generator;

/// The number of connections of each test. `RUNNER_REQUESTS=100000` makes more of them.
const CASES: usize = 400;
const VARIABLE: &str = "RUNNER_REQUESTS";
/// The first seed; each case has the next one.
const SEED: u64 = 20_261_128;
/// The most connections at a time.
const CLIENTS: usize = 40;

/// Answers with all that it has got, and counts its calls in a file. The status is no other's.
const APPLICATION: &str = "\
import json, os
calls = os.open('calls', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def application(environ, start_response):
    body = environ['wsgi.input'].read()
    os.write(calls, b'x')
    seen = {name: value for name, value in environ.items() if type(value) is str}
    seen['body'] = body.decode('latin-1')
    start_response('210 Seen', [('Content-Type', 'application/json')])
    return [json.dumps(seen).encode()]
";

fn cases() -> usize {
    std::env::var(VARIABLE).map_or(CASES, |count| count.parse().unwrap())
}

fn serve(settings: &str) -> Server {
    let settings = format!(
        "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\nurl = 'unix:socket'\n\
         [runner]\nworkers.min = 2\nlog.access = 'json'\nlog.access_file = 'access.log'\n{settings}"
    );
    let folder = Folder::new()
        .file("app.py", APPLICATION)
        .file("calls", "")
        .file("app.ini", settings);
    let address = support::Address::Unix(folder.path("socket"));
    folder.runner(["runIni", "app.ini"]).start_at(address)
}

/// Calls a function with each number below `count`, in several threads.
fn in_threads(count: usize, each: impl Fn(u64) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS.min(count) {
            scope.spawn(|| {
                while let number @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && number < count
                {
                    each(SEED + number as u64);
                }
            });
        }
    });
}

/// What the application has seen, as [`ReadRequest`] has it.
fn seen(reply: &[u8]) -> ReadRequest {
    let picture: BTreeMap<String, Value> = serde_json::from_slice(reply).unwrap();
    let text = |name: &str| {
        picture
            .get(name)
            .map(|value| value.as_str().unwrap().to_owned())
    };
    assert_eq!(text("SCRIPT_NAME").unwrap(), "");
    let fields = picture.iter().filter(|(name, _)| name.starts_with("HTTP_"));
    ReadRequest {
        method: text("REQUEST_METHOD").unwrap(),
        target: text("REQUEST_URI").unwrap(),
        path: text("PATH_INFO").unwrap(),
        query: text("QUERY_STRING").unwrap(),
        version: text("SERVER_PROTOCOL").unwrap(),
        fields: fields
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        content_type: text("CONTENT_TYPE"),
        content_length: text("CONTENT_LENGTH"),
        body: text("body").unwrap(),
    }
}

#[test]
fn an_application_sees_what_a_strict_reading_says() {
    let server = serve("");
    in_threads(cases(), |seed| {
        let mut generator = Generator::new(seed);
        let bytes = generator.requests();
        let mut connection = Connection::open(server.address());
        connection.send(&bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let shown = || format!("seed {seed}: {}", rest.escape_ascii());
            let (believed, behind) =
                strict_reader::read(rest).unwrap_or_else(|| panic!("no request: {}", shown()));
            let reply = connection.reply(&believed.method);
            assert_eq!(reply.status, 210, "{}", shown());
            assert_eq!(seen(&reply.body), believed, "{}", shown());
            rest = behind;
        }
    });
    assert_eq!(server.stop().status, 0);
}

/// The mutations are of the requests in `tests/http/requests`.
#[test]
fn no_bytes_make_two_requests_of_one() {
    let corpus: Vec<Vec<u8>> = wire::cases()
        .into_iter()
        .map(|(_, _, bytes, _)| bytes)
        .filter(|bytes| bytes.len() < 3000)
        .collect();
    assert!(corpus.len() > 400, "{}", corpus.len());
    // Requests that are not whole are not waited for.
    let limits = "http.head_timeout = '1s'\nhttp.body_timeout = '1s'\nhttp.keep_alive = '1s'\n";
    let server = serve(limits);
    let folder = server.folder().clone();
    let answers = Mutex::new(0);
    in_threads(cases(), |seed| {
        let bytes = Generator::new(seed).mutation_of(&corpus);
        let mut connection = Connection::open(server.address());
        connection.send(&bytes);
        let received = connection.rest();
        let answered = count(&received, b"HTTP/1.1 210 ") + count(&received, b"HTTP/1.0 210 ");
        let most = strict_reader::count(&bytes);
        assert!(
            answered <= most,
            "seed {seed}: {answered} requests of at most {most} in {}\n{}",
            bytes.escape_ascii(),
            received.escape_ascii()
        );
        *answers.lock().unwrap() += answered;
    });
    let calls = folder.read("calls").len();
    let logged = || count(folder.read("access.log").as_bytes(), b"\"status\":210,");
    Waits::until(
        || logged() == calls,
        || format!("{calls} calls, but {} lines", logged()),
    );
    let answers = *answers.lock().unwrap();
    // A connection that is refused may lose the answers before the refusal.
    assert!(answers <= calls, "{answers} answers of {calls} calls");
    assert!(calls > cases() / 20, "only {calls} calls");
    assert_eq!(server.stop().status, 0);
    assert_eq!(logged(), calls);
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|at| *at == part).count()
}
