//! Clients that take as much as they can: others are served all the same.

use support::Folder;
use support::http::Connection;

mod support;

const APP: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/much':
        return (bytes(1_000_000) for _ in range(1000))
    return [b'here']
";

const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'tcp://127.0.0.1:0'
[runner]
workers.max = 1
response.max_buffers = '4M'
";

/// What it does not take keeps the worker only as long as no other request waits.
#[test]
fn a_client_that_takes_nothing_does_not_keep_the_worker() {
    let folder = Folder::new().file("app.py", APP).file("app.ini", FILE);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let mut greedy = Connection::open(server.address());
    greedy.send(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n");
    greedy.until("\r\n\r\n");
    let mut other = Connection::open(server.address());
    other.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(other.until("here").starts_with("HTTP/1.1 200"));
    drop(greedy);
    let log = server.stop().stderr;
    assert!(
        log.contains("GET /much: broke off the response, since other requests wait"),
        "{log}"
    );
}
