//! Request ids: the application, the client and each line of the log know a request by the same one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use support::http::Connection;
use support::{Folder, Reply, Server};

mod support;

const WSGI: &str = "\
import os
def application(environ, start_response):
    if environ['PATH_INFO'] == '/fail':
        raise ValueError('no answer')
    if environ['PATH_INFO'] == '/exit':
        os._exit(3)
    start_response('200 OK', [])
    return [repr([environ.get('HTTP_X_REQUEST_ID'), environ.get('HTTP_TRACEPARENT')]).encode()]
";

const ASGI: &str = "\
import os
async def application(scope, receive, send):
    if scope['path'] == '/fail':
        raise ValueError('no answer')
    if scope['path'] == '/exit':
        os._exit(3)
    headers = dict(scope['headers'])
    seen = [headers.get(name, b'').decode() or None for name in (b'x-request-id', b'traceparent')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': repr(seen).encode()})
";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn serve(kind: &str, settings: &str) -> Server {
    let folder = Folder::new()
        .file("app.py", if kind == "WSGI" { WSGI } else { ASGI })
        .file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['serve', '{kind}', 'import:app.application'])\nurl = 'tcp://127.0.0.1:0'\n[runner]\nlog.access = 'json'\n{settings}"
            ),
        );
    folder.runner(["runIni", "app.ini"]).start()
}

fn get(server: &Server, target: &str) -> Reply {
    let mut connection = Connection::open(server.address());
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: forged\r\nTraceparent: {parent}\r\n\r\n"
    );
    connection.send(head.as_bytes());
    connection.reply("GET")
}

/// The id in a response.
fn id(reply: &Reply) -> String {
    let ids = reply.all("x-request-id");
    assert_eq!(ids.len(), 1, "{ids:?}");
    let id = ids[0].to_owned();
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    id
}

/// The object of the access log about a target.
fn object(log: &str, target: &str) -> Value {
    let objects = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut objects = objects.filter(|object| object["target"] == target);
    objects.next().unwrap()
}

#[test]
fn a_request_has_one_id_everywhere() {
    for kind in ["WSGI", "ASGI"] {
        let server = serve(kind, "http.request_id = True\n");
        let good = get(&server, "/good");
        let good_id = id(&good);
        let seen = format!("['{good_id}', '00-{TRACE}-00f067aa0ba902b7-01']");
        assert_eq!(good.text(), seen, "{kind}");
        let failed = id(&get(&server, "/fail"));
        let exited = id(&get(&server, "/exit"));
        // A refused request, too.
        let mut connection = Connection::open(server.address());
        connection.send(b"GET /refused HTTP/1.1\r\n\r\n");
        let refused = id(&connection.reply("GET"));
        let log = server.stop().stderr;
        for (target, id) in [("/good", &good_id), ("/fail", &failed), ("/exit", &exited)] {
            let object = object(&log, target);
            assert_eq!(object["request_id"], **id, "{log}");
            assert_eq!(object["trace_id"], TRACE, "{log}");
        }
        assert_eq!(object(&log, "/refused")["request_id"], *refused);
        for line in [
            format!("exception while answering GET /fail (request {failed})"),
            format!("GET /exit (request {exited}, trace {TRACE})"),
            format!("there is no `Host` field (400), GET /refused (request {refused})"),
        ] {
            assert!(log.contains(&line), "{kind}: {line}\n{log}");
        }
    }
}

#[test]
fn without_the_setting_nothing_is_added() {
    let server = serve("WSGI", "");
    let reply = get(&server, "/good");
    assert!(reply.header("x-request-id").is_none());
    assert!(reply.text().starts_with("['forged', "), "{}", reply.text());
    assert_eq!(get(&server, "/fail").status, 500);
    let log = server.stop().stderr;
    assert_eq!(object(&log, "/good")["request_id"], Value::Null);
    assert!(!log.contains("forged"), "{log}");
}
