//! Clients that leave in the middle of their requests: what their applications still do holds up no others, behind each
//! gateway, by ASGI and by WSGI.

mod support;

use support::gateways::{Behind, Client, Gateway, get};
use support::http::Connection;
use support::{Folder, Server};

const APPLICATION: &str = "\
import asyncio, sys

def say(text):
    print(text, file=sys.stderr, flush=True)

async def application(scope, receive, send):
    if scope['type'] == 'lifespan':
        return
    path = scope['path']
    if path == '/':
        await send({'type': 'http.response.start', 'status': 200})
        return await send({'type': 'http.response.body', 'body': b'served'})
    say('begun ' + path)
    try:
        if scope['type'] == 'websocket':
            await send({'type': 'websocket.accept'})
        elif path != '/silent':
            await send({'type': 'http.response.start', 'status': 200})
            await send({'type': 'http.response.body', 'body': b'x', 'more_body': True})
        if path == '/listens':
            while (await receive())['type'] != 'http.disconnect':
                pass
            return
        while path == '/endless':
            await send({'type': 'http.response.body', 'body': b'x' * 1000, 'more_body': True})
        await asyncio.Event().wait()
    finally:
        say('ended ' + path)

class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        return b'x' * 1000

    def close(self):
        say('ended /endless')

def by_wsgi(environ, start_response):
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/':
        return [b'served']
    say('begun /endless')
    return Endless()
";

/// So long a grace that nothing ends by it.
const SETTINGS: &str = "\
[runner.workers]
min = 1
max = 1

[runner.asgi]
concurrency = 2
disconnect_grace = '1h'

[runner]
stop_timeout = '100ms'
";

fn start(gateway: Gateway, application: &'static [&'static str]) -> Behind {
    let folder = Folder::new()
        .file("leaves.py", APPLICATION)
        .file("site.ini", SETTINGS);
    gateway.in_front_of(&folder, application)
}

/// Waits until the application has said something so often.
#[track_caller]
fn said(server: &Server, what: &str, count: usize) {
    server.wait_for_log(|log| self::count(log, what) >= count);
}

fn count(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.ends_with(what)).count()
}

/// Clients come in pairs, which take all places, and leave. Then another is served.
#[track_caller]
fn hold_up_no_others(gateway: Gateway) {
    let behind = start(gateway, &["ASGI", "import:leaves.application"]);
    let server = behind.server();
    let paths = ["/silent", "/quiet", "/listens", "/endless", "/quiet"];
    for path in paths {
        let begun = format!("begun {path}");
        let before = count(&server.log(), &begun);
        let pair = [(); 2].map(|()| behind.begin(&get(path, path)));
        said(server, &begun, before + 2);
        pair.into_iter().for_each(Client::leave);
        assert_eq!(
            behind.ask(&get("/", "/")).ok(),
            "served",
            "{gateway:?} {path}"
        );
    }
    // Those that end by themselves, by `send()`, or because too many go on.
    for (path, count) in [
        ("/silent", 2),
        ("/listens", 2),
        ("/endless", 2),
        ("/quiet", 2),
    ] {
        said(server, &format!("ended {path}"), count);
    }
    behind.stop();
}

#[test]
fn by_http() {
    hold_up_no_others(Gateway::HttpTcp);
}

#[test]
fn by_http_2() {
    hold_up_no_others(Gateway::Http2);
}

#[test]
fn by_fastcgi() {
    hold_up_no_others(Gateway::FastCgiTcp);
}

#[test]
fn by_uwsgi() {
    hold_up_no_others(Gateway::UwsgiTcp);
}

#[test]
fn by_web_socket() {
    let behind = start(Gateway::HttpTcp, &["ASGI", "import:leaves.application"]);
    let server = behind.server();
    for round in 1..=10 {
        let mut client = Connection::open(server.address());
        client.send(
            b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        client.until("\r\n\r\n");
        drop(client);
        // Of those without a client two may go on.
        said(server, "ended /socket", round.max(2) - 2);
        assert_eq!(server.get("/").ok(), "served");
    }
    behind.stop();
}

#[test]
fn an_endless_iterable_is_closed() {
    for gateway in [
        Gateway::HttpTcp,
        Gateway::Http2,
        Gateway::FastCgiTcp,
        Gateway::UwsgiTcp,
    ] {
        let behind = start(gateway, &["WSGI", "import:leaves.by_wsgi"]);
        let server = behind.server();
        for round in 1..=3 {
            let client = behind.begin(&get("/endless", "/endless"));
            said(server, "begun /endless", round);
            client.leave();
            said(server, "ended /endless", round);
            assert_eq!(behind.ask(&get("/", "/")).ok(), "served", "{gateway:?}");
        }
        behind.stop();
    }
}
