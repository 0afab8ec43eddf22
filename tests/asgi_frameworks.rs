//! Applications of the well-known ASGI frameworks, driven by real clients: JSON, uploads, streams, files, events whose
//! client leaves, background tasks, lifespan, WebSockets.

mod support;

use support::{Folder, project, python};

/// One worker: what one request has done, another request sees.
const SETTINGS: &str = "[runner.workers]\nmax = 1\n";

/// Drives an application of `tests/apps/frameworks`. Returns the log.
#[track_caller]
fn works(name: &str) -> String {
    let file: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let import = format!("import:{name}_app.application");
    let server = Folder::new()
        .copy(&format!("tests/apps/frameworks/{name}_app.py"))
        .file("file.bin", file)
        .file("settings.ini", SETTINGS)
        .runner(["-c", "settings.ini", "serve", "ASGI", &import])
        .env("VIRTUAL_ENV", project("target/venv"))
        .start();
    let script = project("tests/apps/drive_frameworks.py");
    let outcome = server
        .folder()
        .program(python(), [script])
        .arguments([server.url(), name])
        .env("NO_PROXY", "*")
        .run();
    let driven = (outcome.status, outcome.stdout.as_str());
    assert_eq!(
        driven,
        (0, format!("{name} works\n").as_str()),
        "{}\n{}",
        outcome.stderr,
        server.log()
    );
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    for sign in [
        " was killed by ",
        " exited with status ",
        "never awaited",
        "never retrieved",
        "Task was destroyed",
        "CancelledError",
        "BrokenPipeError",
    ] {
        assert!(!outcome.stderr.contains(sign), "{sign}: {}", outcome.stderr);
    }
    // What it raises when it is told to.
    assert!(
        outcome.stderr.contains("RuntimeError: as it was told to\n"),
        "{}",
        outcome.stderr
    );
    outcome.stderr
}

/// Its lifespan has ended, too.
#[track_caller]
fn works_and_ends(name: &str) {
    let log = works(name);
    assert!(log.contains("\nshut down\n"), "{log}");
}

#[test]
fn fastapi() {
    works_and_ends("fastapi");
}

#[test]
fn starlette() {
    works_and_ends("starlette");
}

#[test]
fn django_with_channels() {
    works("django");
}

/// The router of Channels takes the route off the path, so that its paths are those behind it.
#[test]
fn channels_under_a_route() {
    let server = Folder::new()
        .copy("tests/apps/frameworks/django_app.py")
        .file(
            "site.ini",
            "site = commands.Routes({'/ws/': ['ASGI', 'import:django_app.application']})\n\
             app = commands.Alias(command=['serve', 'site'])\nurl = 'tcp://127.0.0.1:0'\n",
        )
        .runner(["runIni", "site.ini"])
        .env("VIRTUAL_ENV", project("target/venv"))
        .start();
    let script = "import sys\nfrom websockets.sync.client import connect\n\
                  url = sys.argv[1].rstrip('/')\n\
                  with connect('ws' + url[4:] + '/ws/echo', origin=url, proxy=None) as client:\n    \
                  client.send('hello')\n    print(client.recv(timeout=60))\n";
    let outcome = server
        .folder()
        .program(python(), ["-c", script])
        .arguments([server.url()])
        .run();
    assert_eq!(outcome.success(), "hello\n", "{}", server.log());
    assert_eq!(server.stop().status, 0);
}

#[test]
fn quart() {
    works_and_ends("quart");
}

#[test]
fn litestar() {
    works_and_ends("litestar");
}
