//! An ASGI application that says that its start failed, or whose event loop cannot be made, fails the start and the
//! reload with its reason; the old version goes on.

mod support;

use std::fs;

use support::http::Connection;
use support::{Folder, Server, without_times};

const FILE: &str = "\
app = commands.Alias(command=['serve', 'ASGI', 'import:shop.app'])
url = 'tcp://127.0.0.1:0'
[runner]
status.url = 'unix:control'
workers.min = 2
";

/// An application that does this for its start, and answers `hello`.
fn shop(start: &str) -> String {
    format!(
        "\
async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        {start}
        await receive()
        await send({{'type': 'lifespan.shutdown.complete'}})
        print('closed in good order')
    else:
        await send({{'type': 'http.response.start', 'status': 200, 'headers': []}})
        await send({{'type': 'http.response.body', 'body': scope['state']['greeting'].encode()}})
"
    )
}

const GOOD: &str =
    "scope['state']['greeting'] = 'hello'; await send({'type': 'lifespan.startup.complete'})";
const FAILS: &str =
    "await send({'type': 'lifespan.startup.failed', 'message': 'no database'}); return";

/// What does not start, settings, and the reason.
const REFUSED: &[(&str, &str, &str)] = &[
    (FAILS, "", "its lifespan failed: no database"),
    (
        "raise KeyError('x')",
        "asgi.lifespan = 'on'\n",
        "its lifespan raised KeyError: 'x' before `lifespan.startup.complete`",
    ),
    (
        GOOD,
        "asgi.loop = 'shop:nothing'\n",
        "`runner.asgi.loop` is `shop:nothing`, which cannot be used: ",
    ),
    // It never answers, or blocks the event loop.
    (
        "await receive()",
        "start_timeout = '8s'\n",
        "its lifespan startup was not complete within 8 s (runner.start_timeout)",
    ),
    (
        "import threading; threading.Event().wait()",
        "start_timeout = '8s'\n",
        "its lifespan startup was not complete within 8 s (runner.start_timeout)",
    ),
];

#[test]
fn a_start_that_fails_says_why() {
    for (start, settings, reason) in REFUSED {
        let folder = Folder::new()
            .file("shop.py", shop(start))
            .file("shop.ini", format!("{FILE}{settings}"));
        let outcome = folder.runner(["runIni", "shop.ini"]).run();
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        let said = without_times(&outcome.stderr);
        let last = format!("error: cannot start `import:shop.app`: {reason}");
        assert!(said.lines().any(|line| line.starts_with(&last)), "{said}");
        assert_eq!(said.matches("cannot start").count(), 1, "{said}");
    }
}

fn serving() -> Server {
    Folder::new()
        .file("shop.py", shop(GOOD))
        .file("shop.ini", FILE)
        .runner(["runIni", "shop.ini"])
        .start()
}

#[test]
fn a_reload_that_fails_says_why_and_the_old_version_goes_on() {
    let server = serving();
    let folder = server.folder();
    for (start, settings, reason) in REFUSED {
        fs::write(folder.path("shop.py"), shop(start)).expect("a file");
        fs::write(folder.path("shop.ini"), format!("{FILE}{settings}")).expect("a file");
        let outcome = folder.runner(["reload", "shop.ini"]).run();
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        let said = format!("error: cannot start `import:shop.app`: {reason}");
        assert!(outcome.stderr.starts_with(&said), "{outcome:#?}");
        assert_eq!(server.get("/").ok(), "hello");
    }
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let closed = outcome.stderr.matches("closed in good order\n").count();
    assert_eq!(closed, 2, "each worker ends its lifespan\n{outcome:#?}");
}

/// What was made with it belongs to that loop.
#[test]
fn the_loop_that_an_application_has_made_at_its_import_is_used() {
    let application = "\
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
made = loop.create_future()
async def make():
    made.set_result(b'made at the import')
task = loop.create_task(make())
async def app(scope, receive, send):
    if scope['type'] == 'http':
        body = await made
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': body})
";
    let server = Folder::new()
        .file("shop.py", application)
        .file("shop.ini", FILE)
        .runner(["runIni", "shop.ini"])
        .start();
    assert_eq!(server.get("/").ok(), "made at the import");
    assert_eq!(server.stop().status, 0);
}

/// Without a least number of workers, the first request starts one: one request, one worker, and one line if that fails.
#[test]
fn a_first_request_whose_worker_does_not_start_says_so_once() {
    let file = FILE.replace("workers.min = 2", "workers.min = 0");
    let file = format!("{file}start_timeout = '8s'\nstop_timeout = '1s'\n");
    let server = Folder::new()
        .file("shop.py", shop("await receive()"))
        .file("shop.ini", file)
        .runner(["runIni", "shop.ini"])
        .start();
    let mut client = Connection::open(server.address());
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let said = server.wait_for_log(|log| log.contains("the next attempt is in"));
    let failure = "its lifespan startup was not complete within 8 s (runner.start_timeout)";
    assert_eq!(said.matches(failure).count(), 1, "{said}");
    drop(client);
    assert_eq!(server.stop().status, 0);
}

/// One worker is in its start, and hears nothing, when another fails: it has done nothing that the log need mention.
#[test]
fn a_start_that_another_gives_up_is_not_said_to_stay() {
    let start = "\
import os, threading
        try:
            os.close(os.open('first', os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            while not os.path.exists('blocks'):
                pass
            raise
        os.mkdir('blocks')
        threading.Event().wait()";
    let outcome = Folder::new()
        .file("shop.ini", format!("{FILE}asgi.lifespan = 'on'\n"))
        .file("shop.py", shop(start))
        .runner(["runIni", "shop.ini"])
        .run();
    assert_eq!(outcome.status, 1, "{outcome:?}");
    let said = &outcome.stderr;
    assert!(
        said.contains("its lifespan raised FileExistsError"),
        "{said}"
    );
    assert!(!said.contains("was told to leave"), "{said}");
}
