//! An ASGI application that says that its start failed, or whose event loop cannot be made, fails the start and the
//! reload with its reason; the old version goes on.

mod support;

use std::fs;

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
