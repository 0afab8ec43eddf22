//! The access log in each of its forms: what other programs read in it, and which requests it has a line for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use support::http::Connection;
use support::{Folder, Server, python};

mod support;

const APPLICATION: &str = "\
async def application(scope, receive, send):
    if scope['type'] == 'websocket':
        await receive()
        await send({'type': 'websocket.accept'})
        return await send({'type': 'websocket.close'})
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'hello'})
";

fn serve(settings: &str) -> Server {
    let alias = "app = commands.Alias(command=['serve', 'ASGI', 'import:asgi.application'])\nurl = 'tcp://127.0.0.1:0'\n";
    let folder = Folder::new()
        .file("asgi.py", APPLICATION)
        .file("app.ini", format!("{alias}\n[runner.log]\n{settings}"));
    folder.runner(["runIni", "app.ini"]).start()
}

/// Sends bytes, and reads until the server closes.
fn send(server: &Server, bytes: &[u8]) {
    let mut connection = Connection::open(server.address());
    connection.send(bytes);
    connection.rest();
}

/// One request of each kind: an answered one, a WebSocket, one that is refused, one that is no HTTP.
fn ask(server: &Server) {
    let fields = "Host: localhost\r\nConnection: close\r\nUser-Agent: \"a\"\\ \x1b[2J\r\nReferer: http://b/\r\n\r\n";
    let fields = fields.replace('\x1b', "\t");
    send(
        server,
        format!("GET /%22a\"?b=c HTTP/1.1\r\n{fields}").as_bytes(),
    );
    let mut socket = Connection::open(server.address());
    socket.send(
        b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    socket.until("\r\n\r\n");
    // A close frame (RFC 6455 §5.5.1), to which the server closes the connection.
    socket.send(b"\x88\x80\0\0\0\0");
    socket.rest();
    send(server, b"GET /hostless HTTP/1.1\r\n\r\n");
    send(
        server,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    );
}

/// The lines of the access log, in order.
fn lines(server: Server) -> Vec<String> {
    let log = server.stop().stderr;
    let is_access = |line: &&str| !line.contains("runner: ") && !line.contains("runner worker");
    log.lines().filter(is_access).map(str::to_owned).collect()
}

/// What a parser of Apache's logs makes of lines in a format: status, request line and agent of each.
fn parsed(lines: &[String], format: &str) -> String {
    const SCRIPT: &str = "\
import sys
from apachelogs import LogParser
for entry in LogParser(sys.argv[1], encoding='latin-1').parse_lines(sys.stdin):
    agent = entry.headers_in.get('User-Agent') if 'headers_in' in vars(entry) else None
    print(entry.remote_host, entry.final_status, entry.request_line, agent)
";
    let folder = Folder::new();
    let parser = folder.program(python(), ["-c", SCRIPT, format]);
    let parsed = parser.stdin(lines.join("\n") + "\n").run();
    parsed.success().to_owned()
}

#[test]
fn a_parser_of_apaches_logs_reads_the_common_and_the_combined_form() {
    const COMMON: &str = r#"%h %l %u %t "%r" %>s %B"#;
    let combined = format!(r#"{COMMON} "%{{Referer}}i" "%{{User-Agent}}i""#);
    for (form, format, agent) in [
        ("'common'", COMMON, "None"),
        ("'combined'", &combined, "\"a\"\\ \t[2J"),
    ] {
        let server = serve(&format!("access = {form}\n"));
        ask(&server);
        assert_eq!(
            parsed(&lines(server), format),
            format!(
                "127.0.0.1 200 GET /%22a\"?b=c HTTP/1.1 {agent}\n\
                 127.0.0.1 101 GET /socket HTTP/1.1 None\n\
                 127.0.0.1 400 GET /hostless HTTP/1.1 None\n\
                 127.0.0.1 400 None None\n"
            )
        );
    }
}

#[test]
fn the_default_form_has_the_duration_behind_the_combined_one() {
    let server = serve("access = True\n");
    ask(&server);
    let lines = lines(server);
    assert_eq!(lines.len(), 4, "{lines:?}");
    let is_timed = |line: &String| line.ends_with('s') && line.contains("\" \"");
    assert!(lines.iter().all(is_timed), "{lines:?}");
}

#[test]
fn an_object_of_json_has_the_same_members_for_each_request() {
    let server = serve("access = 'json'\nname = 'shop'\n");
    ask(&server);
    let lines = lines(server);
    let objects: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let keys =
        |object: &Value| -> Vec<String> { object.as_object().unwrap().keys().cloned().collect() };
    for object in &objects {
        assert_eq!(keys(object), keys(&objects[0]));
        assert_eq!(object["name"], "shop");
        assert_eq!(object["level"], "info");
        assert_eq!(object["client"], "127.0.0.1");
        let time = object["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        assert!(object["duration"].as_f64().unwrap() < 60.0, "{object}");
    }
    let first = &objects[0];
    assert_eq!(first["message"], "GET /%22a\"?b=c 200");
    assert_eq!(first["target"], "/%22a\"?b=c");
    assert_eq!(first["protocol"], "HTTP/1.1");
    assert_eq!(first["bytes"], 5);
    assert_eq!(first["host"], "localhost");
    assert_eq!(first["referer"], "http://b/");
    assert_eq!(first["user_agent"], "\"a\"\\ \t[2J");
    assert!(first["start"].as_f64().unwrap() <= first["duration"].as_f64().unwrap());
    let statuses: Vec<&Value> = objects.iter().map(|object| &object["status"]).collect();
    assert_eq!(statuses, [200, 101, 400, 400]);
    for unknown in [
        "method",
        "target",
        "protocol",
        "start",
        "host",
        "user_agent",
    ] {
        assert_eq!(objects[3][unknown], Value::Null, "{unknown}");
    }
}

#[test]
fn successes_and_paths_can_be_left_out() {
    let server = serve("access = 'combined'\naccess_from = 400\n");
    ask(&server);
    let statuses: Vec<String> = lines(server);
    assert_eq!(statuses.len(), 2, "{statuses:?}");
    assert!(
        statuses.iter().all(|line| line.contains("\" 400 ")),
        "{statuses:?}"
    );
    let server = serve("access = 'combined'\naccess_without = ['/socket', '/hostless', '/live']\n");
    server.get("/live?x=1").ok();
    server.get("/live/").ok();
    server.get("/socket").ok();
    send(&server, b"GET /hostless HTTP/1.1\r\n\r\n");
    let lines = lines(server);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("GET /live/ "), "{lines:?}");
    assert!(lines[1].contains("GET /hostless "), "{lines:?}");
}
