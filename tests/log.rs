//! A log that cannot be written, or is not read, costs no request and delays no stop; missing lines are counted, and
//! the count is logged as soon as possible.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{ErrorKind, Read};

use rustix::fs::{Mode, OFlags};
use support::http::Connection;
use support::{Address, Folder, Server, Waits, without_times};

mod support;

/// A server with an access log, in a folder of its own, started by a shell command in which `"$@"` is the server.
fn serve(folder: &Folder, start: &str) -> Server {
    let folder = folder.clone().file(
        "app.ini",
        "app = commands.Alias(command=['serve', 'demo'])\nurl = 'unix:socket'\n\n[runner.log]\naccess = True\n",
    );
    let address = Address::Unix(folder.path("socket"));
    let server = folder.program("sh", ["-c", start, "sh", "runner", "runIni", "app.ini"]);
    server.start_at(address)
}

/// Sends requests on one connection, each with a log line of more than a kilobyte, and waits for each response.
fn ask(server: &Server, count: usize) {
    let mut connection = Connection::open(server.address());
    let long = "x".repeat(1000);
    for number in 0..count {
        let head = format!("GET /{number:07}/{long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.send(head.as_bytes());
        assert_eq!(connection.reply("GET").status, 200);
    }
}

/// A named pipe, open for reading only, so that the writer learns when this reader goes.
struct Pipe(File);

impl Pipe {
    fn make(folder: &Folder) {
        let path = folder.path("log");
        folder.program("mkfifo", [&path]).run().is(0, "", "");
    }

    fn open(folder: &Folder) -> Self {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Self(
            rustix::fs::open(folder.path("log"), flags, Mode::empty())
                .unwrap()
                .into(),
        )
    }

    /// Reads until a text has arrived; returns everything.
    fn until(&mut self, text: &str) -> String {
        let mut waits = Waits::new();
        let mut read = Vec::new();
        loop {
            match self.0.read_to_end(&mut read) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            let so_far = without_times(&String::from_utf8_lossy(&read));
            if so_far.contains(text) {
                return so_far;
            }
            waits.wait(|| format!("{text:?} never came, but {} bytes", read.len()));
        }
    }
}

const ONE: &str = "a line is missing here: ";
const MANY: &str = " lines are missing here: ";

/// The number of missing lines that a log reports.
fn missing(log: &str) -> usize {
    let of = |line: &str| match line.strip_prefix("runner: ") {
        Some(rest) if rest.starts_with(ONE) => 1,
        Some(rest) => rest
            .split_once(MANY)
            .map_or(0, |(count, _)| count.parse().unwrap()),
        None => 0,
    };
    log.lines().map(of).sum()
}

/// The numbers of the requests that have a line.
fn numbers(log: &str) -> Vec<usize> {
    let of = |line: &str| line.split_once("\"GET /")?.1.get(..7)?.parse().ok();
    log.lines().filter_map(of).collect()
}

#[test]
fn a_log_that_is_not_read_delays_no_request() {
    let folder = Folder::new();
    Pipe::make(&folder);
    let mut log = Pipe::open(&folder);
    let server = serve(&folder, "exec \"$@\" 2>>log");
    let asked = 3000;
    ask(&server, asked);
    // A later reader finds the lines that had room, in order, then the number of the missing ones.
    let mut read = log.until("are missing here: the log was not read\n");
    server.get("/after").ok();
    read.push_str(&log.until("GET /after"));
    let numbers = numbers(&read);
    assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
    assert!(numbers.len() > 1000, "{}", numbers.len());
    assert_eq!(numbers.len() + missing(&read), asked);
    assert_eq!(server.stop().status, 0);
}

/// A worker that leaves or dies cannot report the lines that it could not write.
#[test]
fn lines_that_a_worker_could_not_write_are_counted_when_it_has_ended() {
    const APPLICATION: &str = "\
import os, sys
def application(environ, start_response):
    if environ['PATH_INFO'] == '/exit':
        os._exit(3)
    for number in range(2000):
        sys.stderr.write('%07d: %s\\n' % (number, 'x' * 100))
    start_response('200 OK', [])
    return [b'written']
";
    let folder = Folder::new().file("wordy.py", APPLICATION);
    Pipe::make(&folder);
    let mut log = Pipe::open(&folder);
    let arguments = ["-c", "exec \"$@\" 2>>log", "sh", "runner", "serve"];
    let arguments = arguments
        .iter()
        .chain(&["unix:socket", "WSGI", "import:wordy.application"]);
    let server = folder.program("sh", arguments);
    let server = server.start_at(Address::Unix(folder.path("socket")));
    server.get("/").ok();
    assert_eq!(server.get("/exit").status, 502);
    let read = log.until("missing here: ");
    let is_one = |line: &&str| line.ends_with('x') && line.len() == 109;
    let written = read.lines().filter(is_one).count();
    assert!(written > 100, "{written}");
    // The lines about the stop may have had no room, either.
    let counted = written + missing(&read);
    assert!([2000, 2001].contains(&counted), "{written}, {counted}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_log_that_is_not_read_delays_no_stop() {
    let folder = Folder::new();
    Pipe::make(&folder);
    let _log = Pipe::open(&folder);
    let server = serve(&folder, "exec \"$@\" 2>>log");
    ask(&server, 100);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_log_without_a_reader_delays_nothing_and_continues_with_the_next_reader() {
    let folder = Folder::new();
    Pipe::make(&folder);
    let mut log = Pipe::open(&folder);
    let server = serve(&folder, "exec \"$@\" 2>>log");
    let mut waits = Waits::new();
    loop {
        drop(log);
        ask(&server, 10);
        log = Pipe::open(&folder);
        server.get("/after").ok();
        let read = log.until("GET /after");
        if missing(&read) == 0 {
            eprintln!("TAIL {}", &read[read.len().saturating_sub(600)..]);
            // All of it was written when there was a reader again.
            waits.wait(|| read.clone());
            continue;
        }
        assert!(read.contains("here: the log could not be written: Broken pipe\n"));
        if let Some(first) = numbers(&read).first() {
            assert_eq!(*first, missing(&read), "{read}");
        }
        break;
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_log_on_a_full_disk_delays_nothing() {
    let server = serve(&Folder::new(), "exec \"$@\" 2>/dev/full");
    ask(&server, 100);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_log_at_the_file_size_limit_delays_nothing_and_continues_once_emptied() {
    let folder = Folder::new();
    // In blocks of 512 bytes, or of 1024 if the shell is bash.
    let server = serve(&folder, "ulimit -f 4; exec \"$@\" 2>>log");
    ask(&server, 100);
    Waits::until(
        || folder.read("log").len() >= 2048,
        || "nothing is logged".to_owned(),
    );
    let before = folder.read("log");
    File::options()
        .write(true)
        .open(folder.path("log"))
        .unwrap()
        .set_len(0)
        .unwrap();
    let said = "here: the log could not be written: File too large\n";
    Waits::until(
        || folder.read("log").contains(said),
        || format!("found {:?}", folder.read("log")),
    );
    // The last line was not written completely.
    let is_whole = |line: &&str| line.contains("GET /") && line.ends_with('s');
    let after = without_times(&folder.read("log"));
    let next = before.lines().filter(is_whole).count() + missing(&after);
    assert!(next <= 100, "{before}{after}");
    if let Some(first) = numbers(&after).first() {
        assert_eq!(*first, next, "{before}{after}");
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn requests_that_are_refused_are_counted_rather_than_logged_without_end() {
    let folder = Folder::new();
    let server = serve(&folder, "exec \"$@\"");
    for _ in 0..200 {
        let mut connection = Connection::open(server.address());
        // Without a host (RFC 9112 §3.2).
        connection.send(b"GET / HTTP/1.1\r\n\r\n");
        connection.rest();
    }
    let left_out = |log: &str| -> usize {
        let of = |line: &str| {
            let count = line
                .strip_prefix("runner: left out ")?
                .split_once(" more line")?
                .0;
            Some(count.parse().unwrap_or(1))
        };
        log.lines().filter_map(of).sum()
    };
    let refused = |log: &str| {
        log.lines()
            .filter(|line| line.contains("refused a request"))
            .count()
    };
    let log = server.wait_for_log(|log| refused(log) + left_out(log) == 200);
    assert!(
        log.contains(" more lines about requests that were refused\n"),
        "{log}"
    );
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_log_at_the_file_size_limit_costs_no_cgi_request() {
    let folder = Folder::new().file("log", "x".repeat(4096));
    let start = "ulimit -f 4; exec \"$@\" 2>>log";
    let answered = folder
        .program("sh", ["-c", start, "sh", "runner", "CGI", "demo"])
        .env("REQUEST_METHOD", "GET")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("SERVER_NAME", "localhost")
        .env("SERVER_PORT", "80")
        .env("CONTENT_LENGTH", "many")
        .run();
    assert_eq!(answered.status, 0, "{answered:?}");
    assert!(answered.stdout.starts_with("Status: 400 "), "{answered:?}");
    assert_eq!(folder.read("log").len(), 4096);
}
