//! `launch` shows the application in the web browser that `BROWSER` names, with or without a display.

mod support;

use support::{Folder, Server, Waits, project, python};

/// A browser that takes a screenshot. It tells its arguments, and when it is done.
const BROWSER: &str = r#"#!/bin/sh
echo "$1" >shown
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=profile \
    --hide-scrollbars --window-size=800,400 --screenshot=page.png "$1" >chromium.log 2>&1
echo done >done
"#;

/// Waits until a file exists, which the system announces by no event here.
#[track_caller]
fn wait_for(server: &Server, name: &str) -> String {
    let mut waits = Waits::new();
    while !server.folder().path(name).exists() || server.folder().read(name).is_empty() {
        waits.wait(|| format!("there is no `{name}`\n{}", server.log()));
    }
    server.folder().read(name)
}

#[test]
fn a_browser_shows_the_page() {
    let folder = Folder::new()
        .copy("examples/hello")
        .executable("browser", BROWSER);
    let server = folder
        .runner(["launch", "WSGI", "import:hello.application"])
        .env("PYTHONPATH", folder.path("hello"))
        .env("BROWSER", folder.path("browser"))
        .start();
    // The host is the configured one, not a resolver's result.
    assert!(
        server.url().starts_with("http://localhost:"),
        "{}",
        server.url()
    );
    wait_for(&server, "done");
    assert_eq!(folder.read("shown"), format!("{}\n", server.url()));

    let picture = folder.path("page.png");
    assert!(picture.exists(), "{}", folder.read("chromium.log"));
    let script = project("tests/apps/colours.py");
    let outcome = folder.program(python(), [script, picture]).run();
    let said = outcome.success();
    let colours = said
        .strip_prefix("800x400, first (253, 246, 227), ")
        .and_then(|rest| rest.strip_suffix(" colours\n"))
        .unwrap_or_else(|| panic!("not the page: {said}"));
    // Anti-aliased letters have many colours.
    assert!(colours.parse::<u32>().expect("a number") > 20, "{said}");

    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("GET / "),
        "no access log: {}",
        outcome.stderr
    );
}

#[test]
fn without_a_browser_the_address_is_printed() {
    let folder = Folder::new();
    let server = folder.runner(["launch", "demo"]).start();
    assert_eq!(server.get("/").status, 200);
    server.wait_for_log(|log| log.contains("BROWSER"));
    let url = server.url().to_owned();
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(
        outcome.stderr.contains(&format!("runner: serving {url}\n")),
        "{outcome:#?}"
    );

    // A missing browser does not prevent serving.
    let server = folder
        .runner(["launch", "demo"])
        .env("BROWSER", "no-such-browser")
        .env("PATH", folder.path(""))
        .start();
    assert_eq!(server.get("/").status, 200);
    server.wait_for_log(|log| log.contains("browser"));
    assert_eq!(server.stop().status, 0);
}
