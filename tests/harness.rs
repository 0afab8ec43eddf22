//! Tests of the test support itself: a tool that cannot fail would let everything pass.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use support::http::{self, Connection};
use support::{Address, Folder, Load};

#[test]
fn a_program_is_compared_whole() {
    let folder = Folder::new().file("deep/note", "hello\n");
    folder
        .program("sh", ["-c", "cat deep/note; pwd; echo oops >&2; exit 3"])
        .run()
        .is(3, "hello\n[folder]\n", "oops\n");
    folder
        .program("sh", ["-c", "cat; kill -9 $$"])
        .stdin("input")
        .run()
        .is(-9, "input", "");
}

#[test]
fn the_environment_is_the_tests_own() {
    Folder::new()
        .program(
            "sh",
            ["-c", "echo $HOME ${CARGO_MANIFEST_DIR-unset} $GIVEN"],
        )
        .env("GIVEN", "given")
        .run()
        .is(0, "[folder] unset given\n", "");
}

#[test]
#[should_panic(expected = "running")]
fn a_process_left_behind_is_a_failure() {
    // The background process holds no pipe of the test, so only the mark identifies it. It is a fork that never
    // executes another program: while it forks, its environment cannot be read.
    let script = "mkfifo never; (read line <never) >/dev/null 2>&1 & exit 0";
    Folder::new().program("sh", ["-c", script]).run();
}

#[test]
fn a_server_is_awaited_and_ended() {
    let folder = Folder::new();
    let script = "echo runner: serving http://127.0.0.1:1/ >&2; exec tail -f /dev/null";
    let server = folder.program("sh", ["-c", script]).start();
    assert_eq!(server.url(), "http://127.0.0.1:1/");
    assert_eq!(server.address(), &Address::port(1));
    server
        .stop()
        .is(-15, "", "runner: serving http://127.0.0.1:1/\n");
}

/// Answers one connection with these bytes.
fn answer(bytes: &'static [u8]) -> Address {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(bytes).expect("a client that reads");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        drop(stream.read_to_end(&mut Vec::new()));
    });
    Address::port(port)
}

#[test]
fn responses_are_read_to_their_end_and_no_further() {
    let chunked = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nA: 1\r\nA: 2\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let reply = http::get(&answer(chunked), "/");
    assert_eq!((reply.status, reply.reason.as_str()), (200, "Fine"));
    assert_eq!(reply.all("a"), ["1", "2"]);
    assert_eq!(reply.ok(), "abc");

    let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let reply = http::get(&answer(broken), "/");
    assert_eq!((reply.text().as_str(), reply.complete), ("abc", false));

    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
    assert!(!http::get(&answer(short), "/").complete);

    let two = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let mut connection = Connection::open(&answer(two));
    assert_eq!(connection.reply("GET").status, 304);
    assert_eq!(connection.reply("GET").ok(), "ok");
    assert_eq!(connection.rest(), b"");
}

/// A server that answers each connection with the next of these, whatever the request, and then closes it. A connection
/// without an answer is closed at once.
fn answers(all: &'static [&'static str]) -> Address {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for bytes in all.iter().cycle() {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            // The server ignores what a client wanted that has gone away.
            let mut request = [0; 1000];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes.as_bytes());
        }
    });
    Address::port(port)
}

#[test]
fn load_counts_what_is_answered_and_what_is_lost() {
    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood";
    const SORRY: &str =
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo";
    const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                          3\r\ngoo\r\n1\r\nd\r\n0\r\n\r\n";
    const CUT_CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ngoo\r\n";
    let cases: [(&[&str], &[u16], &str); 7] = [
        (&[GOOD], &[200], ""),
        (&[CHUNKS], &[200], ""),
        (&[GOOD, CUT_CHUNKS], &[200], "the chunks are cut off"),
        (&[GOOD, SORRY], &[200, 502], ""),
        (&[GOOD, ""], &[200], "closed without an answer"),
        (
            &[GOOD, "HTTP/1.1 "],
            &[200],
            "closed in the middle of a head",
        ),
        (&[GOOD, CUT], &[200], "the body is cut off"),
    ];
    for (all, statuses, loss) in cases {
        for (fresh, kept) in [(2, 0), (0, 2)] {
            let load = Load::new(&answers(all)).fresh(fresh).kept(kept).start();
            load.more(10);
            load.until("each of them came", |report| {
                let came = report.statuses.keys().eq(statuses);
                came && (report.lost > 0) != loss.is_empty()
            });
            let report = load.stop();
            assert_eq!(report.bodies.keys().collect::<Vec<_>>(), ["good"]);
            let told = report.losses.iter().all(|(_, said)| said.ends_with(loss));
            assert!(told, "{report:#?}");
            let whole = std::panic::catch_unwind(|| report.answers(&[200, 502]));
            assert_eq!(whole.is_ok(), loss.is_empty());
        }
    }
}

#[test]
fn load_reports_a_server_that_is_not_there() {
    let closed = Address::port(support::free_port());
    let load = Load::new(&closed).fresh(1).kept(1).start();
    load.until("both were refused", |report| report.lost > 2);
    let report = load.stop();
    assert_eq!(report.answered(), 0);
    let (_, said) = &report.losses[0];
    assert!(
        said.starts_with("not connected: Connection refused"),
        "{said}"
    );
}
