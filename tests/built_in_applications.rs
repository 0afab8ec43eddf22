//! The words of applications that are built in: `files` with its options and what stands behind it, `redirect`, `respond`.

mod support;

use support::Folder;
use support::http::request;

fn site() -> Folder {
    Folder::new()
        .file("public/index.html", "<h1>Index</h1>\n")
        .file("public/style.css", "body {}\n")
        .file("public/docs/index.html", "<h1>Docs</h1>\n")
        .file("public/.git/config", "hidden\n")
}

#[test]
fn what_is_not_there_goes_on_to_the_page_or_the_application() {
    let folder = site()
        .file("public/app.html", "<h1>App</h1>\n")
        .file(
            "site.ini",
            "app = commands.Alias(command=['serve', 'files', 'public', '--fallback', 'rest', '--spa', 'app.html'])\n\
             url = 'tcp://127.0.0.1:0'\n\
             [peak.running.shortcuts]\nrest = commands.Alias(command=['respond', '418', 'from the fallback'])\n",
        );
    let server = folder.runner(["runIni", "site.ini"]).start();
    let html = "Accept: text/html,*/*;q=0.8";
    for (method, target, field, status, text) in [
        ("GET", "/style.css", html, 200, "body {}\n"),
        ("GET", "/some/page", html, 200, "<h1>App</h1>\n"),
        (
            "GET",
            "/some/page",
            "Accept: */*",
            418,
            "from the fallback\n",
        ),
        // A bundle that is not there is no page.
        ("GET", "/some/app.123.js", html, 418, "from the fallback\n"),
        (
            "GET",
            "/.git/config",
            "Accept: */*",
            418,
            "from the fallback\n",
        ),
        ("POST", "/style.css", html, 418, "from the fallback\n"),
    ] {
        let reply = request(server.address(), method, target, &[field], b"");
        assert_eq!(
            (reply.status, &*reply.text()),
            (status, text),
            "{method} {target} {field}"
        );
    }
    let page = request(server.address(), "GET", "/some/page", &[html], b"");
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert_eq!(page.header("vary"), Some("Accept"));
    let check = folder.runner(["check", "site.ini"]).run();
    check.is(0, "1 file: no problems\n", "");
    assert_eq!(server.stop().status, 0);
}

/// The Python application behind the files is one like any other.
#[test]
fn python_answers_behind_the_files() {
    let folder = site().file(
        "rest.py",
        "def application(environ, start_response):\n\
         \x20   start_response('200 OK', [('Content-Type', 'text/plain')])\n\
         \x20   return [environ['PATH_INFO'].encode('latin-1')]\n",
    );
    let words = [
        "serve",
        "tcp://127.0.0.1:0",
        "files",
        "public",
        "--fallback",
    ];
    let words = words.into_iter().chain(["import:rest.application"]);
    let server = folder.runner(words.clone()).start();
    assert_eq!(server.get("/docs/").ok(), "<h1>Docs</h1>\n");
    assert_eq!(server.get("/page").ok(), "/page");
    folder
        .clone()
        .file("rest.py", "raise Exception('broken')\n");
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    let failed = folder.runner(words).run();
    assert!(
        failed.status == 1 && failed.stderr.contains("Exception: broken"),
        "{}",
        failed.stderr
    );
}

#[test]
fn options_stand_before_and_behind_and_the_first_rule_counts() {
    let folder = site();
    let server = folder
        .runner([
            "serve",
            "files",
            "public",
            "--cache",
            "/docs/*=no-store",
            "--host",
            "127.0.0.1",
            "--cache",
            "*.html=max-age=60, public",
            "-p",
            "0",
            "--index=style.css",
        ])
        .start();
    for (target, value) in [
        ("/docs/index.html", Some("no-store")),
        ("/index.html", Some("max-age=60, public")),
        ("/style.css", None),
    ] {
        assert_eq!(
            server.get(target).header("cache-control"),
            value,
            "{target}"
        );
    }
    assert_eq!(server.get("/").ok(), "body {}\n");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn redirects_and_answers_are_the_same_for_each_request() {
    let folder = Folder::new();
    for (words, method, target, status, location, text) in [
        (
            vec!["redirect", "https://example.org/"],
            "GET",
            "/a%20b?c=d",
            308,
            Some("https://example.org/a%20b?c=d"),
            None,
        ),
        (
            vec!["redirect", "https://example.org/x", "--temporary"],
            "POST",
            "/a?b",
            307,
            Some("https://example.org/x"),
            None,
        ),
        (
            vec!["respond", "503", "Back at noon."],
            "GET",
            "/",
            503,
            None,
            Some("Back at noon.\n"),
        ),
        (
            vec!["respond", "404"],
            "GET",
            "/",
            404,
            None,
            Some("404 Not Found\n"),
        ),
    ] {
        let server = folder
            .runner(["serve", "tcp://127.0.0.1:0"].iter().chain(&words))
            .start();
        let reply = request(server.address(), method, target, &[], b"");
        assert_eq!(
            (reply.status, reply.header("location")),
            (status, location),
            "{words:?}"
        );
        if let Some(text) = text {
            assert_eq!(reply.text(), text);
        }
        assert_eq!(server.stop().status, 0);
    }
}

/// A web server takes words from the query, so that the client chooses them (RFC 3875 §4.4): they are no options.
#[test]
fn clients_give_no_options_by_cgi() {
    let folder = site().file(
        "app.ini",
        "app = commands.Alias(command=['CGI', 'files', 'public', '--cache', '*=no-store'])\n",
    );
    let ask = |words: &[&str], path: &str| {
        let request = [
            ("REQUEST_METHOD", "GET"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", path),
        ];
        let program = request
            .into_iter()
            .fold(folder.runner(words), |program, (name, value)| {
                program.env(name, value)
            });
        program.run().stdout
    };
    for words in [
        &["runIni", "app.ini", "--hidden"][..],
        &["runIni", "app.ini", "+--hidden"],
        &["CGI", "files", "public", "--hidden"],
        &["CGI", "files", "public", "--frobnicate"],
        &[
            "CGI",
            "files",
            "--cache=*=no-store",
            "public",
            "--hidden",
            "--cache",
            "x=y",
        ],
    ] {
        let hidden = ask(words, "/.git/config");
        assert!(hidden.starts_with("Status: 404"), "{words:?}: {hidden}");
        let shown = ask(words, "/style.css");
        assert!(
            shown.starts_with("Status: 200") && shown.ends_with("body {}\n"),
            "{words:?}: {shown}"
        );
        let is_ruled = words.contains(&"runIni") || words.contains(&"--cache=*=no-store");
        assert_eq!(shown.contains("no-store"), is_ruled, "{words:?}: {shown}");
    }
}
