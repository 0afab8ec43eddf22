//! Clients that take as much as they can: others are served all the same.

use support::http::{Address, Connection, Waits};
use support::{Folder, Server};

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

/// One that takes some all the time is waited for, and the log says what the other requests wait for.
#[test]
fn a_client_that_takes_little_is_named_by_the_log() {
    let folder = Folder::new().file("app.py", APP).file("app.ini", FILE);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let mut slow = Connection::open(server.address());
    slow.send(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.until("\r\n\r\n");
    let mut other = Connection::open(server.address());
    other.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let said = "GET /much: other requests wait, since its client takes the response slowly, and no more of it is kept";
    Waits::until(
        || slow.rest_of(100_000) && server.log().contains(said),
        || server.log(),
    );
    drop(slow);
    assert!(other.until("here").starts_with("HTTP/1.1 200"));
    let log = server.stop().stderr;
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(!log.contains("broke off"), "{log}");
}

const UPLOADS: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d bytes' % len(environ['wsgi.input'].read())]
";

const TO_FILES: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = ['tcp://127.0.0.1:0', 'unix:socket']
runner.tmp = 'kept'
";

/// Serves with a disk of 32 MiB for bodies; `None` where the system does not grant that.
fn with_small_disk(folder: &Folder) -> Option<Server> {
    let own = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let mount = "mount -t tmpfs -o size=32m none kept";
    let program = |script: &str| folder.program("unshare", own).arguments([script]);
    let said = program(mount).run();
    let is_granted = said.status == 0;
    assert!(
        is_granted || said.stderr.contains("not permitted"),
        "{said:?}"
    );
    is_granted.then(|| program(&format!("{mount} && exec runner runIni app.ini")).start())
}

/// Sends a request with a body of so many bytes, up to so many of them.
fn upload(connection: &mut Connection, length: usize, sent: usize) {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    connection.send(head.as_bytes());
    connection.send(&vec![b'x'; sent]);
}

#[test]
fn a_client_that_fills_the_disk_leaves_space_to_others() {
    const MIB: usize = 1 << 20;
    let folder = Folder::new()
        .file("app.py", UPLOADS)
        .file("app.ini", TO_FILES);
    std::fs::create_dir(folder.path("kept")).expect("a folder");
    let Some(server) = with_small_disk(&folder) else {
        return;
    };
    let status_from = |client, length| {
        let mut connection = Connection::open_from(client, server.address());
        upload(&mut connection, length, length);
        connection.reply("POST").status
    };
    let (greedy, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let mut unfinished = Connection::open_from(greedy, server.address());
    upload(&mut unfinished, 28 * MIB, 28 * MIB - 1);
    // The system shows the files of a process as that sees them.
    let pid = server.pid().as_raw_nonzero();
    let kept = folder.path("kept").display().to_string();
    let disk = format!("/proc/{pid}/root{kept}");
    let used = || {
        let found = rustix::fs::statvfs(&*disk).expect("a disk");
        (found.f_blocks - found.f_bfree) * found.f_frsize
    };
    Waits::until(
        || used() >= (28 * MIB - 128 * 1024) as u64,
        || format!("{} bytes, {}", used(), server.log()),
    );
    assert_eq!(status_from(greedy, 3 * MIB / 2), 507);
    assert_eq!(status_from(other, 3 * MIB / 2), 200);
    server.wait_for_log(|log| log.contains(&format!(
        "the bodies of its client have as much of `{kept}` as they leave free (runner.tmp) (507), POST /"
    )));
    // What has its place goes on.
    unfinished.send(b"x");
    assert_eq!(
        unfinished.reply("POST").text(),
        format!("{} bytes", 28 * MIB)
    );
    drop(unfinished);
    // A web server is many clients: it finds the disk full.
    let socket = Address::Unix(folder.path("socket"));
    let mut web_server = Connection::open(&socket);
    upload(&mut web_server, 34 * MIB, 34 * MIB);
    assert_eq!(web_server.reply("POST").status, 507);
    server.wait_for_log(|log| {
        log.contains(&format!(
            "no space for a request's body in `{kept}` (runner.tmp): No space left on device"
        ))
    });
    Waits::until(|| status_from(other, 20 * MIB) == 200, || server.log());
    assert_eq!(server.stop().status, 0);
}

const ENDLESS: &str = "\
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    if scope['path'] == '/endless':
        await send({'type': 'http.response.body', 'body': b'begun', 'more_body': True})
        while (await receive())['type'] != 'http.disconnect':
            pass
    await send({'type': 'http.response.body', 'body': b'here'})
";

const FEW_CONNECTIONS: &str = "\
app = commands.Alias(command=['serve', 'ASGI', 'import:app.app'])
url = 'tcp://127.0.0.1:0'
[runner]
workers.max = 1
http.max_connections = 20
";

/// Responses that do not end keep their connections, but not the last ones.
#[test]
fn a_client_with_requests_on_all_connections_does_not_keep_others_out() {
    let folder = Folder::new()
        .file("app.py", ENDLESS)
        .file("app.ini", FEW_CONNECTIONS);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let ask = |client, path: &str| {
        let mut connection = Connection::open_from(client, server.address());
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        connection
    };
    let greedy = [127, 0, 0, 1];
    let mut endless: Vec<Connection> = (0..18).map(|_| ask(greedy, "/endless")).collect();
    for connection in &mut endless {
        connection.until("begun");
    }
    // Two more are accepted and wait, and the others wait to be accepted.
    let mut waiting: Vec<Connection> = (0..10).map(|_| ask(greedy, "/endless")).collect();
    server.wait_for_log(|log| {
        log.contains("127.0.0.1 has requests on 18 of 20 connections (runner.http.max_connections)")
    });
    let mut other = ask([127, 0, 0, 2], "/");
    assert!(other.until("here").starts_with("HTTP/1.1 200"));
    // It has the place of one that has waited.
    let reply = waiting.remove(0).reply("GET");
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    drop((waiting, other));
    // Where one ends, another one begins.
    let mut next = ask(greedy, "/endless");
    drop(endless.pop());
    next.until("begun");
    let log = server.stop().stderr;
    assert!(
        log.contains("its client has requests on as many connections as it may (runner.http.max_connections) (503), GET /endless"),
        "{log}"
    );
}
