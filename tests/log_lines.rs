//! What stands before the lines of the log: the time and the level, or the priority for the journal, or nothing for a web
//! server that adds the time; and the name where several programs share a log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rustix::process::Signal;
use support::{Address, Folder, Server, Waits, without_times};

mod support;

const APPLICATION: &str = "\
import sys
def application(environ, start_response):
    print('<5>its own line', file=sys.stderr)
    raise ValueError('no answer')
";

const FILE: &str = "\
app = commands.Alias(command=['serve', 'unix:socket', 'WSGI', 'import:failing.application'])

[runner.log]
access = True
";

fn folder(settings: &str) -> Folder {
    Folder::new()
        .file("failing.py", APPLICATION)
        .file("shop.ini", format!("{FILE}{settings}"))
        .file("log", "")
}

/// A server whose standard error is the file `log`, started by a shell command in which `"$@"` is the server.
fn serve(folder: &Folder, start: &str) -> Server {
    let words = ["-c", start, "sh", "runner", "runIni", "shop.ini"];
    let server = folder.program("sh", words);
    server.start_at(Address::Unix(folder.path("socket")))
}

/// The log, once a request has failed and the server has ended.
fn log(folder: &Folder, start: &str) -> String {
    let server = serve(folder, start);
    assert_eq!(server.get("/page").status, 500);
    assert_eq!(server.stop().status, 0);
    folder.read("log")
}

const TO_FILE: &str = "exec \"$@\" 2>>log";
const TO_JOURNAL: &str = "export JOURNAL_STREAM=$(stat -c %d:%i log); exec \"$@\" 2>>log";
const TO_NO_JOURNAL: &str = "export JOURNAL_STREAM=$(stat -c %d:%i shop.ini); exec \"$@\" 2>>log";

/// What stands before a line: its kind, without the digits of a time.
fn before(line: &str) -> &str {
    let timed = line.len() - without_times(line).len();
    match &line[..timed] {
        "" if line.starts_with('<') => &line[..3],
        "" => "",
        time => time.get(25..).unwrap().trim_end(),
    }
}

/// What stands before each line, and the line without that.
fn split(log: &str) -> Vec<(&str, String)> {
    let bare = |line: &str| match before(line) {
        mark if mark.starts_with('<') => line[3..].to_owned(),
        _ => without_times(line),
    };
    log.lines().map(|line| (before(line), bare(line))).collect()
}

/// Asserts what stands before the line with a text.
#[track_caller]
fn assert_before(log: &str, text: &str, wanted: &str) {
    let lines = split(log);
    let found = lines.iter().find(|(_, line)| line.contains(text));
    let found = found.unwrap_or_else(|| panic!("no {text:?} in\n{log}"));
    assert_eq!(found.0, wanted, "{text:?} in\n{log}");
}

#[test]
fn each_line_has_the_time_and_the_level() {
    for start in [TO_FILE, TO_NO_JOURNAL] {
        let log = log(&folder(""), start);
        assert_before(&log, "runner: serving unix:", "info");
        assert_before(&log, "exception while answering GET /page", "error");
        // Each line of a traceback, at the same time.
        assert_before(&log, "Traceback (most recent call last)", "error");
        assert_before(&log, "    raise ValueError('no answer')", "error");
        assert_before(&log, "ValueError: no answer", "error");
        let of_trace = |line: &&str| before(line) == "error";
        let times: Vec<&str> = log
            .lines()
            .filter(of_trace)
            .map(|line| &line[..24])
            .collect();
        assert!(
            times.len() >= 4 && times.iter().all(|time| *time == times[0]),
            "{log}"
        );
        // The access log has a time of its own, and the application writes what it wants.
        assert_before(&log, "- - - [", "");
        assert_before(&log, "its own line", "<5>");
    }
}

#[test]
fn the_journal_gets_priorities_and_adds_the_time() {
    for (folder, start) in [
        (folder(""), TO_JOURNAL),
        (folder("format = 'journal'\n"), TO_FILE),
    ] {
        let log = log(&folder, start);
        assert_before(&log, "runner: serving unix:", "<6>");
        assert_before(&log, "exception while answering GET /page", "<3>");
        assert_before(&log, "ValueError: no answer", "<3>");
        assert_before(&log, "- - - [", "<6>");
        assert_before(&log, "its own line", "<5>");
    }
}

#[test]
fn a_plain_log_has_neither() {
    for (folder, start) in [
        (folder("format = 'plain'\n"), TO_FILE),
        (folder("format = 'plain'\n"), TO_JOURNAL),
    ] {
        let log = log(&folder, start);
        for line in [
            "runner: serving unix:",
            "exception while",
            "ValueError",
            "- - - [",
        ] {
            assert_before(&log, line, "");
        }
    }
    let log = log(&folder("format = 'time'\n"), TO_JOURNAL);
    assert_before(&log, "runner: serving unix:", "info");
}

#[test]
fn a_name_stands_before_each_line() {
    let log = log(&folder("name = 'shop'\n"), TO_FILE);
    for (before, line) in split(&log) {
        let is_own = before == "<5>";
        assert!(is_own || line.starts_with("shop: "), "{log}");
    }
    assert!(log.contains("\nshop: - - - ["), "{log}");
    assert!(log.contains(" info shop: runner: serving unix:"), "{log}");
}

#[test]
fn programs_that_share_a_log_are_named_by_their_files() {
    let folder = folder("")
        .file(
            "mail.ini",
            "app = commands.Alias(command=['serve', 'unix:mail', 'demo'])\n",
        )
        .file(
            "all.ini",
            "app = commands.Alias(command=['supervise'])\n\n[runner.supervise]\npid_file = 'all.pid'\ncommand = 'serve unix:socket demo'\nprograms = ['runner runIni mail.ini']\n",
        );
    let words = ["-c", TO_FILE, "sh", "runner", "runIni", "all.ini"];
    let server = folder.program("sh", words);
    let server = server.start_at(Address::Unix(folder.path("socket")));
    for line in [
        " info mail: runner: serving unix:",
        " info all: runner: serving unix:",
    ] {
        Waits::until(|| folder.read("log").contains(line), || folder.read("log"));
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_reload_changes_the_form() {
    let folder = folder("");
    let server = serve(&folder, TO_FILE);
    let settings = "format = 'plain'\nname = 'new'\n";
    std::fs::write(folder.path("shop.ini"), format!("{FILE}{settings}")).unwrap();
    server.signal(Signal::HUP);
    let reloaded = || folder.read("log").contains("\nnew: runner: reloaded\n");
    Waits::until(reloaded, || folder.read("log"));
    assert_eq!(server.get("/page").status, 500);
    let log = folder.read("log");
    assert!(log.contains("\nnew: ValueError: no answer\n"), "{log}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_server_that_cannot_start_says_when() {
    let folder = folder("").file("socket", "no socket");
    for (command, time) in [
        (vec!["serve", "unix:socket", "demo"], 25),
        // These are for a person, who has just typed the command.
        (vec!["serve", "unix:socket", "WSGI", "import:"], 0),
        (vec!["show", "missing.ini"], 0),
    ] {
        std::fs::write(folder.path("log"), "").unwrap();
        let words = ["-c", TO_FILE, "sh", "runner"].into_iter().chain(command);
        assert_ne!(folder.program("sh", words).run().status, 0);
        let log = folder.read("log");
        let is_timed = |line: &str| line.len() - without_times(line).len() == time;
        assert!(
            log.contains("error: ") && log.lines().all(is_timed),
            "{log}"
        );
    }
}

/// Web servers add the time to what their programs write.
#[test]
fn a_web_server_gets_lines_without_times() {
    let folder = folder("");
    let run = |start: &str| {
        let words = [
            "-c",
            start,
            "sh",
            "runner",
            "CGI",
            "import:failing.application",
        ];
        let answered = folder
            .program("sh", words)
            .env("REQUEST_METHOD", "GET")
            .env("SERVER_PROTOCOL", "HTTP/1.1")
            .env("SERVER_NAME", "localhost")
            .env("SERVER_PORT", "80")
            .env("SCRIPT_NAME", "")
            .env("PATH_INFO", "/page")
            .run();
        assert!(answered.stdout.starts_with("Status: 500 "), "{answered:?}");
        let log = folder.read("log");
        std::fs::write(folder.path("log"), "").unwrap();
        log
    };
    assert_before(&run(TO_FILE), "ValueError: no answer", "");
    assert_before(&run(TO_JOURNAL), "ValueError: no answer", "<3>");
}

/// Standard input is a listening socket: a process manager has started the server.
#[test]
fn a_fastcgi_server_of_a_process_manager_writes_no_times() {
    let folder = folder("").file("many.ini", "runner.http.max_connections = 1000000\n");
    let socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    let start = "ulimit -n 256; exec \"$@\" 2>>log";
    let words = [
        "-c", start, "sh", "runner", "-c", "many.ini", "FastCGI", "demo",
    ];
    let server = folder.program("sh", words).start_with(socket.into());
    let said = || folder.read("log").contains("leaves room for");
    Waits::until(said, || folder.read("log"));
    server.stop();
    assert_before(&folder.read("log"), "leaves room for", "");
}

/// Writes what clears a screen to wherever it can.
const HARMFUL: &str = "\
import sys, logging
CLEAR = '\\x1b[2J\\x9b2J\\r'
def application(environ, start_response):
    print('to stdout ' + CLEAR)
    print('in colour \\x1b[31mred\\x1b[m', file=sys.stderr)
    environ['wsgi.errors'].write('to wsgi.errors ' + CLEAR + '\\n')
    logging.warning('from logging %s', CLEAR)
    sys.stderr.buffer.write(b'in pieces \\xc2')
    sys.stderr.flush()
    sys.stderr.buffer.write(b'\\x9b2J\\n')
    sys.stderr.flush()
    if environ['PATH_INFO'] == '/bad':
        start_response('200 ' + CLEAR, [('X', CLEAR)])
    raise ValueError('in an exception ' + CLEAR)
if CLEAR in sys.argv:
    application({}, None)
";

/// What a terminal obeys: all control characters but the ends of lines and tabs.
fn obeyed(text: &str) -> Vec<&str> {
    let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.lines()
        .filter(|line| line.contains(is_obeyed))
        .collect()
}

#[test]
fn no_line_of_the_log_is_obeyed_by_a_terminal() {
    let name = "name = 'sh\\x1bop'\n";
    let settings = format!("{name}\n[runner.status]\nurl = 'unix:control'\n");
    let folder = folder(&settings).file("failing.py", HARMFUL);
    let server = serve(&folder, TO_FILE);
    for target in ["/%1b[2J%c2%9b", "/bad"] {
        let fields = ["User-Agent: \u{9b}2J", "Referer: http://a/\u{9b}2J"];
        let reply = support::http::request(server.address(), "GET", target, &fields, b"");
        assert_eq!(reply.status, 500);
    }
    // What is no HTTP at all.
    let mut connection = support::http::Connection::open(server.address());
    connection.send(b"GET \x1b[2J HTTP/1.1\r\nHost: a\x1b[2J\r\n\x1b: b\r\n\r\n");
    connection.rest();
    let status = folder.runner(["status", "shop.ini"]).run();
    assert_eq!(server.stop().status, 0);
    let log = folder.read("log");
    assert_eq!(obeyed(&log), [""; 0]);
    assert_eq!(obeyed(&status.stdout), [""; 0]);
    for shown in [
        "to stdout \\x1b[2J\\x9b2J\\r\n",
        "in colour \\x1b[31mred\\x1b[m\n",
        "to wsgi.errors \\x1b[2J\\x9b2J",
        "from logging \\x1b[2J\\x9b2J",
        "ValueError: in an exception \\x1b[2J\\x9b2J",
        "in pieces ",
        "\\xc2\\x9b2J",
    ] {
        assert!(log.contains(shown), "no {shown:?} in\n{log}");
    }
}

/// `FORCE_COLOR` asks for colours, and for nothing else.
#[test]
fn colours_that_are_asked_for_stay() {
    let folder = folder("").file("failing.py", HARMFUL);
    let log = log(&folder, &format!("export FORCE_COLOR=1; {TO_FILE}"));
    assert_eq!(obeyed(&log), ["in colour \u{1b}[31mred\u{1b}[m"], "{log}");
}

#[test]
fn a_failed_import_is_not_obeyed_by_a_terminal() {
    let text = "raise ValueError('an import \\x1b[2J\\x9b2J')";
    let folder = folder("").file("failing.py", text);
    let start = folder.runner(["runIni", "shop.ini"]).run();
    let check = folder.runner(["check", "--import", "shop.ini"]).run();
    for text in [start.stderr, check.stdout] {
        assert_eq!(obeyed(&text), [""; 0]);
        assert!(text.contains("an import "), "{text}");
    }
}

/// The line about a WebSocket that is closed says which one it is, and the setting that decides.
#[test]
fn the_end_of_a_web_socket_names_its_path_and_the_setting() {
    const ECHO: &str = "\
async def application(scope, receive, send):
    while (await receive())['type'] != 'websocket.disconnect':
        await send({'type': 'websocket.accept'})
";
    const SETTINGS: &str = "\
app = commands.Alias(command=['serve', 'unix:socket', 'ASGI', 'import:echo.application'])

[runner.websocket]
max_message = 5
ping_interval = '0.1s'
ping_timeout = '0.1s'
";
    let folder = Folder::new()
        .file("echo.py", ECHO)
        .file("echo.ini", SETTINGS);
    let server = folder.runner(["runIni", "echo.ini"]);
    let server = server.start_at(Address::Unix(folder.path("socket")));
    // Masked with zeros (RFC 6455 §5.2); the second is not masked.
    for (frames, line) in [
        (
            &b"\x81\x86\0\0\0\0hello!"[..],
            "a message that is too big (code 1009; runner.websocket.max_message)\n",
        ),
        (b"\x81\x05hello", "a frame without a mask (code 1002)\n"),
        (b"", "no answer to a ping (runner.websocket.ping_timeout)\n"),
    ] {
        let mut connection = support::http::Connection::open(server.address());
        connection.send(
            b"GET /ro%0aom?key=secret HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
        connection.until("\r\n\r\n");
        connection.send(frames);
        let line = format!("closed the WebSocket of a local process at /ro%0aom: {line}");
        server.wait_for_log(|log| log.contains(&line));
        connection.rest();
    }
    assert_eq!(server.stop().status, 0);
}
