//! What the log says of an ASGI application that does not end in time, or blocks its event loop.

mod support;

use rustix::process::Signal;
use support::http::Connection;
use support::{Folder, Server};

const APPLICATION: &str = "\
import asyncio
import threading

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        print('the pool is closed')
        await send({'type': 'lifespan.shutdown.complete'})
        return
    if scope['path'] in ('/stream', '/events'):
        kind = b'text/event-stream' if scope['path'] == '/events' else b'text/plain'
        await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', kind)]})
        await send({'type': 'http.response.body', 'body': b'begun', 'more_body': True})
    if scope['path'] in ('/background', '/thread'):
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b'whole'})
    print('has begun ' + scope['path'])
    if scope['path'] == '/thread':
        thread = asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
        while True:
            try:
                await asyncio.shield(thread)
            except asyncio.CancelledError:
                pass
    if scope['path'] == '/block':
        threading.Event().wait()
    await asyncio.Event().wait()
";

const FILE: &str =
    "app = commands.Alias(command=['serve', 'ASGI', 'import:stops.app'])\nurl = 'URL'\n[runner]\n";

/// A server with requests that it has begun.
fn busy(command: &str, url: &str, settings: &str, paths: &[&str]) -> (Server, Vec<Connection>) {
    let file = FILE.replace("serve", command).replace("URL", url) + settings;
    let server = Folder::new()
        .file("stops.py", APPLICATION)
        .file("stops.ini", file)
        .runner(["runIni", "stops.ini"])
        .start();
    let clients = paths.iter().map(|path| {
        let mut client = Connection::open(server.address());
        let begun = path.split('?').next().unwrap_or(path);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        server.wait_for_log(|log| log.contains(&format!("has begun {begun}\n")));
        client
    });
    let clients = clients.collect();
    (server, clients)
}

#[test]
fn what_a_stop_cuts_off_is_counted_and_named() {
    let paths = ["/wait?for=ever", "/events"];
    let (server, clients) = busy(
        "serve",
        "tcp://127.0.0.1:0",
        "stop_timeout = '1s'\nasgi.drain = '1m'\n",
        &paths,
    );
    let said = server.stop().stderr;
    for wanted in [
        "504 for GET /wait?for=ever: no answer for ",
        "the answer to GET /events is cut off: it was not complete after ",
        " still had: 1 without an answer, 1 with an answer that was not complete\n",
    ] {
        let line = said
            .lines()
            .find(|line| format!("{line}\n").contains(wanted));
        let line = line.unwrap_or_else(|| panic!("{wanted}: {said}"));
        assert!(line.contains("(runner.stop_timeout)"), "{line}");
    }
    drop(clients);
}

/// What no client waits for is ended before the time to stop is over, so that the end of lifespan has its time, whatever
/// threads do.
#[test]
fn background_work_and_threads_do_not_cost_the_end_of_lifespan() {
    let settings = "stop_timeout = '4s'\n";
    for (path, wanted) in [
        (
            "/background",
            "the background work of GET /background is cancelled: ",
        ),
        (
            "/thread",
            "GET /thread goes on though it was cancelled, and ends with its worker. Stack",
        ),
    ] {
        let (server, clients) = busy("serve", "tcp://127.0.0.1:0", settings, &[path]);
        let said = server.stop().stderr;
        assert!(said.contains(wanted), "{path}: {said}");
        assert!(said.contains("the pool is closed\n"), "{path}: {said}");
        // The worker has left in time, and nobody says otherwise.
        assert!(!said.contains("was told to leave"), "{path}: {said}");
        drop(clients);
    }
}

/// Responses that end by themselves have three quarters of the time to stop.
#[test]
fn a_response_that_is_broken_off_is_named() {
    let settings = "stop_timeout = '4s'\nasgi.disconnect_grace = '200ms'\n";
    let (server, clients) = busy("serve", "tcp://127.0.0.1:0", settings, &["/stream"]);
    let said = server.stop().stderr;
    for wanted in [
        "the answer to GET /stream is broken off: it was not complete after ",
        "GET /stream is cancelled: 0.2 s after its client has left, or was told to leave (runner.asgi.disconnect_grace)\n",
        "the pool is closed\n",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    drop(clients);
}

/// The client need not wait for an application that does not look.
#[test]
fn a_response_that_is_broken_off_ends_at_once() {
    for limit in ["1s", "4s"] {
        let settings = format!("stop_timeout = '{limit}'\n");
        let (server, mut clients) = busy("serve", "tcp://127.0.0.1:0", &settings, &["/stream"]);
        server.signal(Signal::TERM);
        assert!(clients[0].rest().ends_with(b"begun\r\n"));
        server.wait_for_log(|log| log.contains("GET /stream is broken off: "));
        let said = server.wait().stderr;
        assert!(!said.contains("GET /stream is cut off"), "{said}");
        // Nor is a worker that leaves at a stop one that is missing.
        assert!(!said.contains("it is replaced"), "{said}");
        assert_eq!(said.matches("the pool is closed\n").count(), 1, "{said}");
    }
}

/// Whether the end of lifespan waits, or blocks the event loop.
#[test]
fn the_log_says_where_the_end_of_lifespan_hangs() {
    for hangs in ["await asyncio.Event().wait()", "threading.Event().wait()"] {
        let application = APPLICATION.replace("print('the pool is closed')", hangs);
        let server = Folder::new()
            .file("stops.py", application)
            .file(
                "stops.ini",
                FILE.replace("URL", "tcp://127.0.0.1:0") + "stop_timeout = '2s'\n",
            )
            .runner(["runIni", "stops.ini"])
            .start();
        let said = server.stop().stderr;
        let heading = "its lifespan has not ended after 1.8 s (runner.stop_timeout). Stack (most recent call last):\n";
        let stack = said
            .split_once(heading)
            .unwrap_or_else(|| panic!("{said}"))
            .1;
        assert!(stack.contains(hangs), "{said}");
    }
}

#[test]
fn a_blocked_loop_is_reported_with_what_it_has_begun() {
    let settings = "request.slow = '300ms'\nstop_timeout = '100ms'\n";
    let (server, clients) = busy(
        "serve",
        "tcp://127.0.0.1:0",
        settings,
        &["/wait", "/block?it"],
    );
    let wanted = "(runner.request.slow); it has begun GET /block?it (";
    let said =
        server.wait_for_log(|log| log.contains(wanted) && log.contains("threading.Event().wait()"));
    let line = said.lines().find(|line| line.contains(wanted));
    assert!(
        line.is_some_and(|line| line.contains(", GET /wait (")),
        "{said}"
    );
    server.stop();
    drop(clients);
}

#[test]
fn launch_says_what_its_stop_waits_for_and_a_second_interrupt_ends_it() {
    let (server, clients) = busy(
        "launch",
        "unix:app.sock",
        "stop_timeout = '10m'\n",
        &["/wait"],
    );
    server.signal(Signal::INT);
    let wanted = "stopping: waiting for 1 request, for 600 s at most (runner.stop_timeout); Ctrl-C again ends at once\n";
    server.wait_for_log(|log| log.contains(wanted));
    server.signal(Signal::INT);
    assert_eq!(server.wait().status, 130);
    drop(clients);
}
