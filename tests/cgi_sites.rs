//! CGI programs as a part of a site: where they are mounted, what the status shows of them, and reloads.

mod support;

use rustix::process::Signal;
use support::scripts::{alone, ask, shell};
use support::{Folder, Load};

/// A site of programs and a page.
const SITE: &str = "\
#!/usr/bin/env -S runner runIni
site = commands.Routes({'/cgi-bin/': ['cgi-bin', 'cgi-bin', '--env', 'RUNNER_TEST'], '/': ['respond', '200', 'page']})
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
";

fn site() -> Folder {
    let where_it_is = "printf 'X: y\\n\\n'; echo \"$SCRIPT_NAME|$PATH_INFO|$REQUEST_URI\"\n";
    let hang = "mkfifo fifo; echo begun >&2; cat fifo; rm fifo; printf 'X: y\\n\\nok'\n";
    Folder::new()
        .file("site.ini", SITE)
        .executable("cgi-bin/where", shell(where_it_is))
        .executable(
            "cgi-bin/inside",
            shell("printf 'Location: /cgi-bin/where/x?y\\n\\n'\n"),
        )
        .executable("cgi-bin/outside", shell("printf 'Location: /page\\n\\n'\n"))
        .executable("cgi-bin/hang", shell(hang))
}

#[test]
fn programs_know_where_they_are_mounted() {
    let server = site().runner(["runIni", "site.ini"]).start();
    for (target, expected) in [
        (
            "/cgi-bin/where/a%20b?c",
            "/cgi-bin/where|/a b|/cgi-bin/where/a%20b?c\n",
        ),
        ("/cgi-bin/inside", "/cgi-bin/where|/x|/cgi-bin/where/x?y\n"),
        ("/page", "page\n"),
    ] {
        assert_eq!(server.get(target).ok(), expected, "{target}");
    }
    // Another application is asked by the client itself.
    let reply = server.get("/cgi-bin/outside");
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/page"))
    );
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_status_shows_the_programs_that_run() {
    let folder = site().file("site.conf", "Command runIni site.ini\nPidFile site.pid\n");
    let server = folder.runner(["supervise", "site.conf"]).start();
    let mut hanging = ask(&server, "/cgi-bin/hang?x");
    server.wait_for_log(|log| log.contains("hang: begun ["));
    let status = folder.runner(["status", "site.conf"]).run();
    let row = |line: &str| line.contains("busy") && line.ends_with("GET /cgi-bin/hang?x");
    assert!(status.success().lines().any(row), "{}", status.stdout);
    std::fs::write(folder.path("cgi-bin/fifo"), "").expect("a reader");
    assert_eq!(hanging.reply("GET").ok(), "ok");
    alone(&server);
    let status = folder.runner(["status", "site.conf"]).run();
    assert!(!status.success().contains("busy"), "{}", status.stdout);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn reloads_lose_no_request() {
    let folder = site().executable("cgi-bin/hello", shell("printf 'X: y\\n\\nfirst'\n"));
    let server = folder.runner(["runIni", "site.ini"]).start();
    let load = Load::new(server.address()).target("/cgi-bin/hello");
    let load = load.fresh(2).kept(2).start();
    for _ in 0..3 {
        load.more(20);
        server.signal(Signal::HUP);
    }
    // A program is another one as soon as its file is.
    std::fs::rename(
        folder
            .clone()
            .executable("new", shell("printf 'X: y\\n\\nsecond'\n"))
            .path("new"),
        folder.path("cgi-bin/hello"),
    )
    .expect("both in one file system");
    load.until("the other program answers", |report| {
        report.bodies.contains_key("second")
    });
    load.stop().is_whole();
    alone(&server);
    assert_eq!(server.stop().status, 0);
}
