//! Lines of the log about requests say which request and which of several applications they are about, whoever writes them:
//! in text and as members of objects.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use support::http::Connection;
use support::{Address, Folder, Server, Waits};

mod support;

const WSGI: &str = "\
import os
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/raise':
        raise ValueError('no answer')
    if path == '/exit':
        os._exit(3)
    length = {'/few': '10', '/much': '100000000'}.get(path, '3')
    start_response('200 OK', [('Content-Length', length)])
    if path == '/much':
        return (bytes(100_000) for _ in range(1000))
    return [b'abc'] if path == '/few' else iter([b'abc', b'defg'])
";

const ASGI: &str = "\
async def application(scope, receive, send):
    if scope.get('path', '').endswith('/raise'):
        raise ValueError('no answer')
    await send({'type': 'http.response.start', 'status': 200})
    await send({'type': 'http.response.body', 'body': b''})
";

const SITE: &str = "\
site = commands.Routes({
    '/wsgi/': ['WSGI', 'import:wsgi.application'],
    '/asgi/': ['ASGI', 'import:live.application'],
    '/http/': ['upstream', 'http://127.0.0.1:1', 'http://127.0.0.1:2'],
    '/fcgi/': ['upstream', 'fastcgi://127.0.0.1:1'],
    '/cgi/': ['cgi-bin', 'cgi-bin'],
    '/files/': ['files', 'public'],
})
app = commands.Alias(command=['serve', 'site'])
url = 'unix:socket'
[runner]
http.request_id = True
workers.max = 1
";

/// What is asked, and a part of the line that the log has about it.
const LINES: &[(&str, &str)] = &[
    ("/wsgi/few", "the application announced 10 bytes and gave 3"),
    (
        "/wsgi/many",
        "the application gave more than its Content-Length",
    ),
    ("/wsgi/raise", "exception while answering"),
    ("/wsgi/exit", "it is replaced"),
    ("/asgi/raise", "exception while answering"),
    ("/http/down", "another server is tried"),
    ("/http/down", "502 for"),
    ("/fcgi/down", "502 for"),
    ("/cgi/closed", "for GET /cgi/closed"),
    ("/cgi/headless", "502 for"),
    ("/cgi/says", "said on standard error"),
    ("/files/out", "a link leads out of the folder"),
];

fn serve(format: &str) -> Server {
    serve_with(format, "")
}

/// The same with more settings.
fn serve_with(format: &str, more: &str) -> Server {
    let folder = Folder::new()
        .file("wsgi.py", WSGI)
        .file("live.py", ASGI)
        .file("public/index.html", "")
        .file("cgi-bin/closed", "#!/bin/sh\n")
        .executable("cgi-bin/headless", "#!/bin/sh\necho no head\n")
        .executable(
            "cgi-bin/says",
            "#!/bin/sh\necho said on standard error >&2\nprintf 'Content-Type: text/plain\\n\\n'\n",
        )
        .file("app.ini", format!("{SITE}log.format = '{format}'\n{more}"));
    std::os::unix::fs::symlink("/etc/passwd", folder.path("public/out")).unwrap();
    let address = Address::Unix(folder.path("socket"));
    folder.runner(["runIni", "app.ini"]).start_at(address)
}

/// Asks for a target, and gives the id of the request.
fn ask(server: &Server, target: &str) -> String {
    let mut connection = Connection::open(server.address());
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let head = connection.until("\r\n\r\n");
    let id = head
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "));
    id.unwrap_or_else(|| panic!("{target}: {head}")).to_owned()
}

/// The lines of a log with a text.
fn with<'a>(log: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    log.lines().filter(move |line| line.contains(text))
}

/// Asks for all targets. `is_named` says whether a line is about a request and an application, and `mark` is a part of each line
/// about a request.
#[track_caller]
fn all_are_named(format: &str, mark: &str, is_named: impl Fn(&str, &str, &str) -> bool) {
    let server = serve(format);
    for (target, said) in LINES {
        let id = ask(&server, target);
        let name = format!("/{}/", target.split('/').nth(1).unwrap());
        let found = |log: &str| with(log, said).any(|line| is_named(line, &id, &name));
        Waits::until(
            || found(&server.log()),
            || format!("{target}: {said:?} about {id}\n{}", server.log()),
        );
    }
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    // No other line speaks of a request without its id.
    for (target, _) in LINES {
        for line in with(&outcome.stderr, target) {
            assert!(line.contains(mark), "{line}");
        }
    }
}

#[test]
fn lines_of_text_name_the_request_and_the_application() {
    all_are_named("plain", "(request ", |line, id, name| {
        line.contains(&format!("(request {id})")) && line.contains(&format!(": {name}: "))
    });
}

#[test]
fn objects_have_members_for_the_request_and_the_application() {
    all_are_named("json", "\"request_id\":", |line, id, name| {
        let object: Value = serde_json::from_str(line).unwrap();
        object["request_id"] == *id && object["application"] == *name
    });
}

/// One application that fails with each request hides no lines about another.
#[test]
fn each_application_has_its_share_of_the_limit() {
    let server = serve("plain");
    for _ in 0..30 {
        ask(&server, "/http/down");
    }
    let id = ask(&server, "/fcgi/down");
    server.wait_for_log(|log| with(log, &id).any(|line| line.contains("502 for")));
    server.wait_for_log(|log| with(log, "left out ").any(|line| line.contains(": /http/: ")));
    server.stop();
}

/// A client can ask for such a file as often as it likes.
#[test]
fn a_link_that_leads_out_is_a_warning_and_limited() {
    let server = serve("json");
    for _ in 0..30 {
        ask(&server, "/files/out");
    }
    server.wait_for_log(|log| log.contains("more lines about requests that were refused"));
    let log = server.stop().stderr;
    let lines: Vec<&str> = with(&log, "a link leads out of the folder").collect();
    assert!((1..30).contains(&lines.len()), "{log}");
    for line in lines {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["level"], "warning", "{line}");
    }
}

/// What the server says itself of requests, with what begins a request that it refuses or gives up.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "/asgi/",
        "POST /asgi/up HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
        "is too large (413), POST /asgi/up (request ",
    ),
    (
        "/wsgi/",
        "POST /wsgi/up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n",
        "is too large (413), POST /wsgi/up (request ",
    ),
    (
        "/http/",
        "GET /x/..//http/y HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
        "(417), GET /x/..//http/y (request ",
    ),
    (
        "/wsgi/",
        "GET /wsgi/\"x\" HTTP/1.1\r\nHost: a\r\nA: LONG\r\n\r\n",
        "(431), GET /wsgi/",
    ),
    (
        "/wsgi/",
        "GET /wsgi/much HTTP/1.1\r\nHost: a\r\n\r\n",
        "of the response to GET /wsgi/much (request ",
    ),
];

#[test]
fn refusals_and_access_lines_name_the_application() {
    let more = "log.access = 'json'\nrequest.max_body = 10\nhttp.max_field = 300\nhttp.write_timeout = '1s'\n";
    for format in ["plain", "json"] {
        let server = serve_with(format, more);
        let mut open = Vec::new();
        for (application, request, said) in REFUSED {
            let mut connection = Connection::open(server.address());
            connection.send(request.replace("LONG", &"x".repeat(400)).as_bytes());
            open.push(connection);
            let is_named = |line: &str| match format {
                "json" => {
                    serde_json::from_str::<Value>(line).unwrap()["application"] == *application
                }
                _ => line.contains(&format!(": {application}: ")),
            };
            server.wait_for_log(|log| with(log, said).any(is_named));
        }
        ask(&server, "/asgi/");
        let accessed = |log: &str, status: u16, application: &str| {
            log.lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .any(|line| line["status"] == status && line["application"] == application)
        };
        for (status, application) in [
            (413, "/asgi/"),
            (413, "/wsgi/"),
            (417, "/http/"),
            (200, "/asgi/"),
        ] {
            server.wait_for_log(|log| accessed(log, status, application));
        }
        drop(open);
        server.stop();
    }
}
