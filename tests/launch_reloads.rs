//! `launch` reloads the application when a file changes, and shows what is wrong with the code: to this machine only.

mod support;

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use support::http::{Connection, request};
use support::{Folder, Load, Server, Waits, free_port, project, version};

/// Saves a file as editors do: another file takes its place.
#[track_caller]
fn save(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    let new = path.with_extension("new");
    fs::write(&new, text).expect("a file");
    fs::rename(&new, path).expect("the same folder");
}

/// Waits until the page has a text. A test that saves the same file twice in one second also shows that no compiled file
/// stands in the way.
#[track_caller]
fn wait_for_page(server: &Server, target: &str, text: &str) {
    Waits::until(
        || server.get(target).text().contains(text),
        || format!("no {text:?} on {target}\n{}", server.log()),
    );
}

#[track_caller]
fn wait_for_line(server: &Server, text: &str) {
    server.wait_for_log(|log| log.contains(text));
}

fn html(server: &Server, target: &str, fields: &[&str]) -> support::Reply {
    let fields = [&["Accept: text/html,*/*;q=0.8"], fields].concat();
    request(server.address(), "GET", target, &fields, b"")
}

/// Code that answers with a text, as it is written in a module, and raises an exception on other pages.
fn wsgi(text: &str) -> String {
    format!(
        r#"
def application(environ, start_response):
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return late()
    if environ["PATH_INFO"] != "/":
        secret = "not shown"
        raise ValueError("<b>" + environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<!doctype html><body>{text}</body>"]


def late():
    yield b"begun"
    raise ValueError("late")
"#
    )
}

const ASGI: &str = r#"
async def application(scope, receive, send):
    raise ValueError("<b>" + scope["path"])
"#;

#[test]
fn a_change_is_one_reload_without_a_lost_request() {
    let folder = Folder::new()
        .file("app.py", version(1))
        .file("data.sqlite3", "");
    let server = folder
        .runner(["launch", "WSGI", "import:app.application"])
        .start();
    let load = Load::new(server.address()).kept(2).start();
    for number in 2..5 {
        fs::write(folder.path("data.sqlite3"), number.to_string()).expect("a file");
        save(folder.path("app.py"), &version(number));
        wait_for_page(&server, "/", &format!("version {number}"));
    }
    load.stop().is_whole();
    let log = server.stop().stderr;
    let reloads: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("reloaded"))
        .collect();
    assert_eq!(reloads.len(), 3, "{log}");
    for line in reloads {
        let (_, what) = line.split_once("reloaded in ").expect(line);
        assert!(what.ends_with(" s: app.py has changed"), "{line}");
    }
}

#[test]
fn code_elsewhere_templates_and_configuration_are_watched_too() {
    let folder = Folder::new()
        .file(
            "site/app.py",
            "import os, lib\n\
             def application(environ, start_response):\n    \
                 start_response('200 OK', [('Content-Type', 'text/plain')])\n    \
                 text = open(os.path.dirname(__file__) + '/templates/page.txt').read()\n    \
                 return [(lib.TEXT + text + os.environ.get('MODE', '')).encode()]\n",
        )
        .file("elsewhere/lib.py", "TEXT = 'lib 1, '\n")
        .file("site/templates/page.txt", "page 1")
        .file(
            "site/site.ini",
            "app = commands.Alias(command=['launch', 'WSGI', 'import:app.application'])\n\
             [Load Settings From]\nfile = 'more.ini'\n",
        )
        .file("site/more.ini", "[runner.workers]\nmin = 1\n");
    let server = folder
        .runner(["runIni", "site/site.ini"])
        .env("PYTHONPATH", folder.path("elsewhere"))
        .start();
    assert_eq!(server.get("/").ok(), "lib 1, page 1");
    for (file, text) in [
        ("elsewhere/lib.py", "TEXT = 'lib 2, '\n"),
        ("site/templates/page.txt", "page 2"),
        ("site/more.ini", "[runner.workers]\nmin = 2\n"),
    ] {
        save(folder.path(file), text);
        wait_for_line(&server, &format!("{file} has changed"));
    }
    assert_eq!(server.get("/").ok(), "lib 2, page 2");

    // The version before a mistake goes on.
    save(folder.path("site/more.ini"), "[runner.workers]\nmni = 2\n");
    wait_for_line(&server, "did you mean `runner.workers.min`?");
    assert_eq!(server.get("/").ok(), "lib 2, page 2");
    let mut events = Connection::open(server.address());
    events.send(b"GET /.runner/reload HTTP/1.1\r\nHost: localhost\r\n\r\n");
    events.until("event: failure\ndata: error: there is no setting `runner.workers.mni`\n");
    save(folder.path("site/more.ini"), "[runner.workers]\nmin = 1\n");
    events.until("event: version\n");
    assert_eq!(server.stop().status, 0);
}

/// An application whose import waits at the gate.
fn gated(number: u32) -> String {
    let wait = "import os, sys\n\
         gate = os.open(os.environ['GATE'], os.O_RDWR)\n\
         print('importing', file=sys.stderr, flush=True)\n\
         os.read(gate, 1)\nos.close(gate)\n";
    format!("{wait}{}", version(number))
}

#[test]
fn a_request_during_a_reload_gets_the_new_version_and_a_change_during_it_is_not_lost() {
    let folder = Folder::new().file("app.py", gated(1));
    let server = folder
        .gated(["launch", "WSGI", "import:app.application"])
        .begin();
    let imports = |count| {
        server.wait_for_log(|log| log.matches("importing\n").count() == count);
    };
    imports(1);
    folder.open_gate();
    let server = server.serving();
    let imports = |count| {
        server.wait_for_log(|log| log.matches("importing\n").count() == count);
    };
    assert_eq!(server.get("/").ok(), "version 1");

    save(folder.path("app.py"), &gated(2));
    imports(2);
    let mut waits = Connection::open(server.address());
    waits.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    save(folder.path("app.py"), &gated(3));
    folder.open_gate();
    let answer = waits.reply("GET").ok();
    assert!(
        ["version 2", "version 3"].contains(&answer.as_str()),
        "{answer}"
    );
    imports(3);
    folder.open_gate();
    wait_for_page(&server, "/", "version 3");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn without_reloads_files_are_not_watched_and_a_start_that_fails_ends() {
    let folder = Folder::new()
        .file("app.py", version(1))
        .file("settings.ini", "runner.launch.reload = False\n");
    let words = ["launch", "WSGI", "import:app.application"];
    for (before, options) in [
        (&[][..], &["--no-reload"][..]),
        (&["-c", "settings.ini"], &[]),
    ] {
        save(folder.path("app.py"), &version(1));
        let server = folder
            .runner(before)
            .arguments(words)
            .arguments(options)
            .start();
        save(folder.path("app.py"), &version(2));
        assert_eq!(server.get("/.runner/reload.js").text(), "version 1");
        server.signal(Signal::HUP);
        wait_for_line(&server, "runner: reloaded\n");
        assert_eq!(server.get("/").ok(), "version 2");
        assert!(!server.stop().stderr.contains("has changed"));
    }
    save(folder.path("app.py"), "mistake(\n");
    let outcome = folder.runner(words).arguments(["--no-reload"]).run();
    assert_eq!(outcome.status, 1, "{outcome:#?}");
    // A wrong name is no mistake in the code.
    save(folder.path("app.py"), &version(1));
    let outcome = folder
        .runner(["launch", "WSGI", "import:app.nothing"])
        .run();
    assert_eq!(outcome.status, 1, "{outcome:#?}");
}

#[test]
fn an_import_that_fails_keeps_the_address_alive() {
    let folder = Folder::new()
        .file("app.py", "import helper\n")
        .file("helper.py", "x = '<b>'(\n");
    let server = folder
        .runner(["launch", "WSGI", "import:app.application"])
        .start();
    let page = html(&server, "/", &[]);
    assert_eq!(page.status, 503);
    assert!(
        page.header("content-security-policy")
            .is_some_and(|it| it.starts_with("default-src 'none';"))
    );
    for part in [
        "SyntaxError",
        "helper.py",
        "&#39;&lt;b&gt;&#39;(",
        "/.runner/reload.js",
    ] {
        assert!(page.text().contains(part), "no {part}: {}", page.text());
    }
    assert!(!page.text().contains("<b>'"), "{}", page.text());
    let text = server.get("/");
    assert_eq!(
        (text.status, text.header("content-type")),
        (503, Some("text/plain; charset=utf-8"))
    );
    assert!(text.text().contains("x = '<b>'("), "{}", text.text());
    let other = html(&server, "/", &["X-Forwarded-For: 192.0.2.1"]);
    assert_eq!(
        (other.status, other.text().as_str()),
        (503, "503 Service Unavailable\n")
    );

    save(folder.path("helper.py"), "");
    save(folder.path("app.py"), &version(1));
    wait_for_page(&server, "/", "version 1");
    save(folder.path("app.py"), "import nothing_of_the_kind\n");
    wait_for_page(&server, "/", "ModuleNotFoundError");
    save(folder.path("app.py"), &version(2));
    wait_for_page(&server, "/", "version 2");
    let log = server.stop().stderr;
    assert_eq!(
        log.matches("SyntaxError: ").count(),
        2,
        "once with its traceback: {log}"
    );
    assert!(
        log.contains("requests are answered 503 until the code has changed"),
        "{log}"
    );
}

#[test]
fn an_exception_is_shown_with_source_and_request_on_this_machine() {
    let folder = Folder::new()
        .file("app.py", wsgi("one"))
        .file("asgi.py", ASGI);
    for (words, line) in [
        (
            ["launch", "WSGI", "import:app.application"],
            "raise ValueError(&quot;&lt;b&gt;&quot; + environ",
        ),
        (
            ["launch", "ASGI", "import:asgi.application"],
            "raise ValueError(&quot;&lt;b&gt;&quot; + scope",
        ),
    ] {
        let server = folder.runner(words).start();
        let page = html(
            &server,
            "/a%3Cb?c&token=hush&note=1&db%5Fpass=hush",
            &[
                "Cookie: id=hush",
                "Authorization: Basic hush",
                "X-DbPassword: hush",
                "X-Note: <i>",
            ],
        );
        assert_eq!(page.status, 500);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(page.header("runner-page"), None);
        for part in [
            "<title>ValueError: &lt;b&gt;/a&lt;b</title>",
            line,
            "<tr><th>X-Note<td>&lt;i&gt;",
            "<tr><th>Cookie<td>(hidden)",
            "<tr><th>Target<td>/a%3Cb?c&amp;token=(hidden)&amp;note=1&amp;db%5Fpass=(hidden)\n",
            "/.runner/reload.js",
        ] {
            assert!(page.text().contains(part), "no {part}: {}", page.text());
        }
        for part in ["hush", "<i>", "/a<b"] {
            assert!(!page.text().contains(part), "{part}: {}", page.text());
        }
        let text = server.get("/x%1b%5b2J?token=hush");
        assert_eq!(text.status, 500);
        assert!(!text.text().contains("hush"), "{}", text.text());
        assert!(
            text.text().contains("ValueError: <b>/x\\x1b[2J\n"),
            "{}",
            text.text()
        );
        for field in ["Host: evil.example", "Via: 1.1 proxy"] {
            let mut connection = Connection::open(server.address());
            let host = if field.starts_with("Host") {
                ""
            } else {
                "Host: localhost\r\n"
            };
            connection.send(
                format!("GET /x HTTP/1.1\r\n{host}{field}\r\nConnection: close\r\n\r\n").as_bytes(),
            );
            assert_eq!(
                connection.reply("GET").text(),
                "500 Internal Server Error\n"
            );
        }
        assert_eq!(server.stop().status, 0);
    }
    // What has begun is broken off, and `serve` shows nothing.
    let server = folder
        .runner(["launch", "WSGI", "import:app.application"])
        .start();
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let begun = String::from_utf8(connection.rest()).expect("text");
    assert!(
        begun.starts_with("HTTP/1.1 200 ") && !begun.contains("ValueError"),
        "{begun}"
    );
    server.stop();
    let server = folder
        .runner(["serve", "WSGI", "import:app.application"])
        .start();
    assert_eq!(
        html(&server, "/x", &[]).text(),
        "500 Internal Server Error\n"
    );
    server.stop();
}

#[test]
fn pages_are_told_of_reloads_where_that_is_asked_for() {
    let folder = Folder::new().file("app.py", wsgi("one"));
    let server = folder
        .runner([
            "launch",
            "--reload=browser",
            "WSGI",
            "import:app.application",
        ])
        .start();
    let page = server.get("/");
    let text = page.ok();
    assert_eq!(
        page.header("content-length"),
        Some(text.len().to_string().as_str())
    );
    let (_, rest) = text
        .split_once("<body>one<script src=\"/.runner/reload.js\" data-version=\"")
        .expect(&text);
    let version = rest.split('"').next().expect("a version");
    assert!(
        server
            .get("/.runner/reload.js")
            .ok()
            .contains("EventSource")
    );
    for (method, fields) in [("GET", &["Sec-Fetch-Dest: empty"][..]), ("POST", &[])] {
        let part = request(server.address(), method, "/", fields, b"");
        assert_eq!(part.ok(), "<!doctype html><body>one</body>");
    }
    let mut events = Connection::open(server.address());
    events.send(b"GET /.runner/reload HTTP/1.1\r\nHost: localhost\r\n\r\n");
    events.until(&format!("event: version\ndata: {version}\n\n"));
    save(folder.path("app.py"), &wsgi("two"));
    events.until("event: version\n");
    assert!(server.get("/").ok().contains("<body>two<script"));
    // Streams of events do not hold up the end.
    let log = server.stop().stderr;
    assert!(!log.contains("/.runner/"), "{log}");
    let server = folder
        .runner(["launch", "WSGI", "import:app.application"])
        .start();
    assert_eq!(server.get("/").ok(), "<!doctype html><body>two</body>");
    server.stop();
}

#[test]
fn examples_reload_when_they_are_edited_broken_and_mended() {
    let folder = Folder::new()
        .copy("examples/flask")
        .copy("examples/fastapi")
        .copy("examples/django");
    let environment = project("target/venv");
    let migrate = folder
        .program(support::python(), ["django/manage.py", "migrate"])
        .run();
    assert_eq!(migrate.status, 0, "{migrate:#?}");
    for (file, words, code, templates, old, broken) in [
        (
            "flask/pages.ini",
            None,
            "flask/pages.py",
            "flask/pages.py",
            "You wrote",
            503,
        ),
        (
            "fastapi/chat.ini",
            None,
            "fastapi/chat.py",
            "fastapi/chat.py",
            "<h1>Chat",
            503,
        ),
        (
            "django/guestbook.ini",
            Some(["launch", "WSGI", "import:guestbook.wsgi.application"]),
            "django/guestbook/views.py",
            "django/guestbook/templates/guestbook/book.html",
            "<h1>",
            // Django imports views with the first request.
            500,
        ),
    ] {
        let program = match words {
            Some(words) => folder.runner(words).current_folder(folder.path("django")),
            None => folder.runner(["runIni", file]),
        };
        let port = free_port().to_string();
        let server = program
            .arguments(["-p", &port])
            .env("VIRTUAL_ENV", &environment)
            .start();
        assert!(server.get("/").ok().contains(old));
        let text = folder
            .read(templates)
            .replace(old, &format!("{old} EDITED"));
        save(folder.path(templates), &text);
        wait_for_page(&server, "/", "EDITED");
        let whole = folder.read(code);
        save(folder.path(code), &format!("{whole}\nmistake(\n"));
        wait_for_page(&server, "/", "SyntaxError");
        assert_eq!(server.get("/").status, broken);
        save(folder.path(code), &whole);
        wait_for_page(&server, "/", "EDITED");
        assert_eq!(server.stop().status, 0);
    }
}

/// An application that writes what is watched when it is imported is reloaded for ever: the log says why.
#[test]
fn code_that_changes_itself_is_explained() {
    let folder = Folder::new().file(
        "app.py",
        "import time\n\
         open('made.py', 'w').write('at = %d' % time.time_ns())\n\
         def application(environ, start_response):\n\
         \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
         \x20   return [b'served']\n",
    );
    let server = folder
        .runner(["launch", "-p", "0", "WSGI", "import:app.application"])
        .env("BROWSER", "true")
        .start();
    fs::write(folder.path("other.py"), "changed = True\n").expect("a file");
    let said = "the application itself seems to write a file that is watched (made.py has changed)";
    wait_for_line(&server, said);
    assert_eq!(server.get("/").ok(), "served");
    assert_eq!(server.stop().status, 0);
}
