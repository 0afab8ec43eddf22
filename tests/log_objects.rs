//! A log of objects (`runner.log.format = 'json'`): each line is one, whoever writes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rustix::process::Signal;
use serde_json::Value;
use support::http::Connection;
use support::{Address, Folder, Reply, Server, Waits};

mod support;

/// Writes to its log in every way that there is.
const WSGI: &str = "\
import logging, os, subprocess, sys, threading
class Broken:
    def __del__(self):
        {}['of an object']
print('imported')
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/exit':
        sys.stdout.write('no end')
        sys.stdout.flush()
        os._exit(3)
    print('one\\ntwo \\x1b[2J\\u2028 \"\\\\')
    print('in parts', end='')
    print(', together')
    print(file=sys.stderr)
    sys.stderr.buffer.write(b'\\xff\\udc80 caf\\xc3\\xa9\\n'.replace(b'\\\\udc80', b''))
    sys.stderr.flush()
    environ['wsgi.errors'].write('to wsgi.errors\\n')
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception('logged')
    os.write(2, b'raw one\\nraw two\\n')
    subprocess.run(['sh', '-c', 'echo from a program; echo \\'{\"level\":\"error\"}\\''])
    print('x' * 100_000)
    os.write(2, b'y' * 100_000 + b'\\n')
    thread = threading.Thread(target=lambda: {}['of a thread'])
    thread.start()
    thread.join()
    Broken()
    if path == '/fail':
        raise ValueError('no answer')
    start_response('200 OK', [])
    return [b'written']
";

const ASGI: &str = "\
import asyncio, sys
async def application(scope, receive, send):
    if scope['type'] == 'lifespan':
        return
    print('from a task')
    await asyncio.to_thread(print, 'from a thread')
    if scope['path'] == '/fail':
        raise ValueError('no answer')
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'written'})
";

const SETTINGS: &str = "\
[runner]
http.request_id = True
log.format = 'json'
log.access = True
";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn serve(kind: &str, settings: &str) -> Server {
    serve_with(kind, &format!("{SETTINGS}{settings}"))
}

fn serve_with(kind: &str, settings: &str) -> Server {
    let application = if kind == "WSGI" { WSGI } else { ASGI };
    let folder = Folder::new().file("app.py", application).file(
        "app.ini",
        format!(
            "app = commands.Alias(command=['serve', '{kind}', 'import:app.application'])\nurl = 'unix:socket'\n{settings}"
        ),
    );
    let address = Address::Unix(folder.path("socket"));
    let program = folder.program(
        "sh",
        [
            "-c",
            "exec \"$@\" 2>>log",
            "sh",
            "runner",
            "runIni",
            "app.ini",
        ],
    );
    program.start_at(address)
}

fn get(server: &Server, target: &str) -> Reply {
    let mut connection = Connection::open(server.address());
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nTraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n\r\n"
    );
    connection.send(head.as_bytes());
    connection.reply("GET")
}

/// The objects of a log, each of whose lines is to be one.
#[track_caller]
fn objects(log: &str) -> Vec<Value> {
    let parse = |line: &str| -> Value {
        assert!(!line.contains(char::is_control), "{line:?}");
        let object: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let time = object["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
        assert!(
            ["info", "warning", "error"].contains(&object["level"].as_str().unwrap()),
            "{line}"
        );
        assert!(
            object["message"].is_string() && object.get("name").is_some(),
            "{line}"
        );
        object
    };
    log.lines().map(parse).collect()
}

/// What runs before the start is a program like others: its lines are objects, too.
#[test]
fn a_command_before_the_start_writes_objects() {
    let server = serve(
        "WSGI",
        "before_start = \"sh -c 'echo one; echo two >&2'\"\n",
    );
    let folder = server.folder().clone();
    // It listens before the command has run.
    let log = || folder.read("log");
    Waits::until(|| log().contains(" has ended in "), log);
    assert_eq!(server.stop().status, 0);
    let objects = objects(&log());
    for line in ["one", "two"] {
        let said = |object: &&Value| object["message"].as_str().unwrap().ends_with(line);
        assert_eq!(objects.iter().filter(said).count(), 1, "{objects:#?}");
    }
}

/// The one object whose message begins with a text.
#[track_caller]
fn object<'a>(objects: &'a [Value], start: &str) -> &'a Value {
    let begins = |object: &&Value| object["message"].as_str().unwrap().starts_with(start);
    let found: Vec<&Value> = objects.iter().filter(begins).collect();
    assert_eq!(found.len(), 1, "{start:?} in {objects:#?}");
    found[0]
}

#[test]
fn each_line_is_an_object_whoever_writes_it() {
    let server = serve("WSGI", "");
    let folder = server.folder().clone();
    let reply = get(&server, "/good");
    assert_eq!(reply.status, 200);
    let id = reply.header("x-request-id").unwrap().to_owned();
    let failed = get(&server, "/fail")
        .header("x-request-id")
        .unwrap()
        .to_owned();
    let exited = get(&server, "/exit")
        .header("x-request-id")
        .unwrap()
        .to_owned();
    assert_eq!(server.stop().status, 0);
    let objects = objects(&folder.read("log"));
    assert_eq!(object(&objects, "imported")["stream"], "stdout");
    let of_good: Vec<Value> = objects
        .iter()
        .filter(|object| object["request_id"] == *id)
        .cloned()
        .collect();
    for (message, stream) in [
        ("one\ntwo \u{1b}[2J\u{2028} \"\\", "stdout"),
        ("in parts, together", "stdout"),
        ("", "stderr"),
        ("\\xff", "stderr"),
        ("to wsgi.errors", "wsgi.errors"),
        (
            "ERROR:root:logged\nTraceback (most recent call last):\n",
            "stderr",
        ),
    ] {
        let is_it = |object: &&Value| {
            let found = object["message"].as_str().unwrap();
            object["stream"] == stream
                && if message.is_empty() {
                    found.is_empty()
                } else {
                    found.starts_with(message)
                }
        };
        let found = of_good
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{message:?} in {of_good:#?}"));
        assert_eq!(found["trace_id"], TRACE, "{found}");
        assert!(found["worker"].as_i64().unwrap() > 1, "{found}");
        assert_eq!(found["level"], "info");
    }
    // A line that is too long for an object has parts, which say whether they go on. None is empty.
    for character in ["x", "y"] {
        let is_part = |object: &&Value| {
            let text = object["message"].as_str().unwrap();
            text.starts_with(character) && text.len() > 1000
        };
        // What comes through the pipe names no request.
        let parts: Vec<&Value> = match character {
            "x" => of_good.iter().filter(is_part).collect(),
            _ => objects.iter().filter(is_part).take(4).collect(),
        };
        let length = |object: &&Value| object["message"].as_str().unwrap().len();
        assert_eq!(parts.iter().map(length).sum::<usize>(), 100_000);
        let (last, first) = parts.split_last().unwrap();
        assert!(first.iter().all(|part| part["partial"] == true));
        assert!(last.get("partial").is_none());
    }
    let empty = of_good.iter().filter(|object| object["message"] == "");
    assert_eq!(empty.count(), 1);
    // So is the traceback of a thread, or of what cannot raise, of which the level is known.
    for (what, start) in [
        ("of a thread", "Exception in thread Thread-"),
        ("of an object", "Exception ignored "),
    ] {
        let end = format!("\nKeyError: '{what}'");
        let is_it = |object: &&Value| object["message"].as_str().unwrap().ends_with(&end);
        let found: Vec<&Value> = objects.iter().filter(is_it).collect();
        assert_eq!(found.len(), 2, "{objects:#?}");
        for object in found {
            assert!(object["message"].as_str().unwrap().starts_with(start));
            assert_eq!(object["level"], "error");
            assert_eq!(object["stream"], "stderr");
        }
    }
    // What others write to the descriptors is text, an object a line, whatever it looks like.
    for text in [
        "raw one",
        "raw two",
        "from a program",
        "{\"level\":\"error\"}",
    ] {
        let found = objects
            .iter()
            .filter(|object| object["message"] == text && object["stream"] == "stderr");
        assert_eq!(found.count(), 2, "{text} in {objects:#?}");
    }
    // An exception that nothing handles is one object with its traceback: here a handler of the application writes it.
    let failure = object(
        &objects,
        "ERROR:runner.error:exception while answering GET /fail",
    );
    assert_eq!(failure["request_id"], *failed);
    assert_eq!(failure["trace_id"], TRACE);
    assert_eq!(failure["level"], "error");
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .ends_with("\nValueError: no answer"),
        "{failure}"
    );
    assert_eq!(failure["stream"], "stderr");
    // The access log, and a line without an end, which is counted when its process has ended.
    assert_eq!(object(&objects, "GET /exit 502")["request_id"], *exited);
    object(&objects, "a line is missing here");
    let death = objects
        .iter()
        .find(|object| {
            object["message"]
                .as_str()
                .unwrap()
                .contains("GET /exit (request")
        })
        .unwrap();
    assert!(death["worker"].is_i64(), "{death}");
    assert_eq!(death["request_id"], *exited);
    // How long a request waited, and how long its worker was at it.
    for (message, is_known) in [("GET /good 200", true), ("GET /exit 502", false)] {
        let access = object(&objects, message);
        for member in ["queued", "worker"] {
            assert_eq!(access[member].is_number(), is_known, "{access}");
        }
    }
}

/// A form that other programs read is the message; the members are the same as in the form of objects.
#[test]
fn an_access_log_in_another_form_has_the_members_beside_its_line() {
    let settings = SETTINGS.replace("access = True", "access = 'combined'");
    let server = serve_with("WSGI", &settings);
    let folder = server.folder().clone();
    let reply = get(&server, "/good?a=b");
    let id = reply.header("x-request-id").unwrap().to_owned();
    assert_eq!(server.stop().status, 0);
    let objects = objects(&folder.read("log"));
    let access = objects
        .iter()
        .find(|object| object.get("method").is_some())
        .unwrap_or_else(|| panic!("{objects:#?}"));
    let message = access["message"].as_str().unwrap();
    assert!(
        message.ends_with("\"GET /good?a=b HTTP/1.1\" 200 7 \"-\" \"-\""),
        "{access}"
    );
    assert_eq!(access["method"], "GET");
    assert_eq!(access["target"], "/good?a=b");
    assert_eq!(access["status"], 200);
    assert_eq!(access["request_id"], *id);
    assert_eq!(access["trace_id"], TRACE);
    for member in ["duration", "queued", "worker"] {
        assert!(access[member].is_number(), "{member}: {access}");
    }
}

/// Where the file of the access log is gone, and cannot be made again, the log has the same object.
#[test]
fn an_access_line_without_its_file_is_an_object_of_the_log() {
    let access = "access = 'json'\nlog.access_file = 'access.log'";
    let server = serve_with("WSGI", &SETTINGS.replace("access = True", access));
    let folder = server.folder().clone();
    std::fs::remove_file(folder.path("access.log")).unwrap();
    std::fs::create_dir(folder.path("access.log")).unwrap();
    get(&server, "/good");
    assert_eq!(server.stop().status, 0);
    let objects = objects(&folder.read("log"));
    let access = object(&objects, "GET /good 200");
    assert_eq!(access["target"], "/good");
    assert_eq!(access["trace_id"], TRACE);
}

/// An application that writes faster than the log takes it waits, as it would for the log itself.
#[test]
fn a_flood_is_written_whole() {
    const FLOOD: &str = "\
import sys
def application(environ, start_response):
    for number in range(30_000):
        sys.stdout.write('%05d %s\\n' % (number, 'x' * 100))
    start_response('200 OK', [])
    return [b'written']
";
    let folder = Folder::new().file("app.py", FLOOD).file(
        "app.ini",
        "app = commands.Alias(command=['serve', 'unix:socket', 'WSGI', 'import:app.application'])\n[runner.log]\nformat = 'json'\n",
    );
    let words = [
        "-c",
        "exec \"$@\" 2>>log",
        "sh",
        "runner",
        "runIni",
        "app.ini",
    ];
    let address = Address::Unix(folder.path("socket"));
    let server = folder.program("sh", words).start_at(address);
    server.get("/").ok();
    assert_eq!(server.stop().status, 0);
    let objects = objects(&folder.read("log"));
    let written = objects.iter().filter(|object| object["stream"] == "stdout");
    let numbers = written.map(|object| {
        object["message"].as_str().unwrap()[..5]
            .parse::<usize>()
            .unwrap()
    });
    assert!(numbers.eq(0..30_000));
}

/// What an application writes while `check` imports it is for a person.
#[test]
fn a_check_writes_no_objects() {
    let folder = Folder::new().file("app.py", WSGI).file(
        "app.ini",
        "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\n[runner.log]\nformat = 'json'\n",
    );
    let checked = folder.runner(["check", "--import", "app.ini"]).run();
    assert_eq!(checked.status, 0, "{checked:?}");
    assert_eq!(checked.stderr, "imported\n");
}

#[test]
fn tasks_have_each_their_request() {
    let server = serve("ASGI", "log.name = 'shop'\n");
    let folder = server.folder().clone();
    let ids = ["/a", "/b", "/fail"].map(|target| {
        get(&server, target)
            .header("x-request-id")
            .unwrap()
            .to_owned()
    });
    assert_eq!(server.stop().status, 0);
    let objects = objects(&folder.read("log"));
    for text in ["from a task", "from a thread"] {
        let of = objects.iter().filter(|object| object["message"] == text);
        let found: Vec<&str> = of
            .map(|object| object["request_id"].as_str().unwrap())
            .collect();
        assert_eq!(found, ids, "{text}");
    }
    let failure = object(&objects, "exception while answering GET /fail");
    assert_eq!(failure["request_id"], *ids[2]);
    assert_eq!(failure["level"], "error");
    assert!(failure.get("stream").is_none());
    assert!(
        objects.iter().all(|object| object["name"] == "shop"),
        "{objects:#?}"
    );
}

/// A mistake that a reload finds is one object; one that keeps the server from starting is shown as to a person, since
/// what it says is often about the settings themselves.
#[test]
fn mistakes_are_objects_once_the_server_runs() {
    let server = serve("WSGI", "");
    let folder = server.folder().clone();
    let file = folder.read("app.ini");
    std::fs::write(folder.path("app.ini"), format!("{file}workers.mni = 2\n")).unwrap();
    server.signal(Signal::HUP);
    let is_said = || folder.read("log").contains("the reload failed");
    Waits::until(is_said, || folder.read("log"));
    assert_eq!(server.stop().status, 0);
    let objects = objects(&folder.read("log"));
    let failure = object(&objects, "the reload failed");
    assert!(
        failure["message"].as_str().unwrap().contains("mni = 2\n"),
        "{failure}"
    );
    let failed = folder.runner(["runIni", "app.ini"]).run();
    assert!(
        failed.stderr.starts_with("error: there is no setting"),
        "{failed:?}"
    );
}

#[test]
fn a_reload_changes_the_lines_of_workers_too() {
    let server = serve("WSGI", "");
    let folder = server.folder().clone();
    let file = folder.read("app.ini");
    std::fs::write(folder.path("app.ini"), file.replace("'json'", "'plain'")).unwrap();
    server.signal(Signal::HUP);
    Waits::until(
        || folder.read("log").contains("\nrunner: reloaded\n"),
        || folder.read("log"),
    );
    get(&server, "/good");
    assert_eq!(server.stop().status, 0);
    assert!(
        folder.read("log").contains("\nin parts, together\n"),
        "{}",
        folder.read("log")
    );
}

/// A CGI program has no server that outlives it: all that it has written is in the log when it ends.
#[test]
fn a_cgi_request_writes_objects() {
    let folder = Folder::new().file("app.py", WSGI).file("app.ini", SETTINGS);
    let words = [
        "-c",
        "exec \"$@\" 2>>log",
        "sh",
        "runner",
        "-c",
        "app.ini",
        "CGI",
        "import:app.application",
    ];
    let answered = folder
        .program("sh", words)
        .env("REQUEST_METHOD", "GET")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("SERVER_NAME", "localhost")
        .env("SERVER_PORT", "80")
        .env("SCRIPT_NAME", "")
        .env("PATH_INFO", "/fail")
        .run();
    assert!(answered.stdout.starts_with("Status: 500 "), "{answered:?}");
    let objects = objects(&folder.read("log"));
    for start in ["imported", "in parts, together", "raw two"] {
        object(&objects, start);
    }
    let failure = object(
        &objects,
        "ERROR:runner.error:exception while answering GET /fail",
    );
    let id = failure["request_id"].as_str().unwrap();
    assert!(
        answered.stdout.contains(&format!("x-request-id: {id}\r\n")),
        "{answered:?}"
    );
}
