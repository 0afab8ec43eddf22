//! `launch` shows the application in the web browser that `BROWSER` names, with or without a display.
//! `launch_reloads.rs` has what happens when its files change.

mod support;

use rustix::process::Signal;
use support::http::request;
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

#[test]
fn a_certificate_is_made_for_a_run_and_stays_the_same_at_a_reload() {
    let folder = Folder::new().file(
        "app.ini",
        "app = commands.Alias(command=['launch', 'demo'])\n",
    );
    let server = folder.runner(["runIni", "app.ini", "--tls"]).start();
    let url = server.url().to_owned();
    assert!(url.starts_with("https://localhost:"), "{url}");
    server.wait_for_log(|log| log.contains("the certificate is made for this run"));
    let address = url.trim_start_matches("https://").trim_end_matches('/');
    let certificate = || {
        let script = format!(
            "openssl s_client -connect {address} </dev/null 2>/dev/null | \
             openssl x509 -noout -fingerprint -ext subjectAltName -checkend 86400"
        );
        let said = server.folder().program("sh", ["-c", &script]).run();
        said.success().to_owned()
    };
    let first = certificate();
    for name in ["DNS:localhost", "IP Address:127.0.0.1", "will not expire"] {
        assert!(first.contains(name), "{first}");
    }
    assert_eq!(server.folder().curl(["-k", &url]).status, 0);
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_eq!(certificate(), first);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_certificate_of_the_settings_is_not_replaced() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("names");
    let folder = Folder::new()
        .file("app.ini", "runner.tls.cert = 'cert.pem'\napp = commands.Alias(command=['launch', '--tls', 'demo'])\n")
        .file("cert.pem", made.cert.pem() + &made.signing_key.serialize_pem());
    let server = folder.runner(["runIni", "app.ini"]).start();
    let said = folder.curl(["--cacert", "cert.pem", server.url()]);
    assert_eq!(said.status, 0, "{said:#?}");
    let outcome = server.stop();
    assert!(
        !outcome.stderr.contains("made for this run"),
        "{outcome:#?}"
    );
}

/// A browser that stays open until a byte comes.
const OPEN_BROWSER: &str = r#"#!/bin/sh
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --user-data-dir=profile \
    --remote-debugging-port=0 "$1" >chromium.log 2>&1 &
read end <gate
kill $!
wait
"#;

#[test]
fn a_browser_shows_the_new_version_by_itself() {
    let folder = Folder::new()
        .file("app.py", page("one"))
        .executable("browser", OPEN_BROWSER);
    let server = folder
        .gated([
            "launch",
            "--reload=browser",
            "WSGI",
            "import:app.application",
        ])
        .env("BROWSER", folder.path("browser"))
        .start();
    let loads = |count: usize| {
        let log = server.wait_for_log(|log| log.matches("\"GET / HTTP/1.1\"").count() == count);
        assert!(log.contains("HeadlessChrome"), "{log}");
    };
    loads(1);
    save(&folder, &page("two"));
    loads(2);
    save(&folder, "mistake(\n");
    loads(3);
    save(&folder, &page("four"));
    loads(4);
    std::fs::write(folder.path("gate"), "\n").expect("a reader");
    assert_eq!(server.stop().status, 0);
}

/// An application with a page.
fn page(text: &str) -> String {
    format!(
        "def application(environ, start_response):\n    \
             start_response('200 OK', [('Content-Type', 'text/html')])\n    \
             return [b'<!doctype html><body>{text}</body>']\n"
    )
}

/// Puts another file in the place of the code, as editors do.
fn save(folder: &Folder, text: &str) {
    std::fs::write(folder.path("new"), text).expect("a file");
    std::fs::rename(folder.path("new"), folder.path("app.py")).expect("the same folder");
}

/// The values of secrets are hidden wherever they stand: in the message of an exception, in its traceback, in lines of source.
#[test]
fn a_page_with_an_exception_hides_the_values_of_secrets() {
    let app = "\
import os
API_KEY = 'constant-secret'
def connect(password):
    names = 'DB_PASSWORD', 'DATABASE_URL'
    raise OSError('no access with %s, %s, %s, %s' % (password, API_KEY, *map(os.environ.get, names)))

def application(environ, start_response):
    connect('local-' + 'secret-1')
";
    let server = Folder::new()
        .file("app.py", app)
        .runner(["launch", "WSGI", "import:app.application"])
        .env("DB_PASSWORD", "<correct horse>")
        .env("DATABASE_URL", "postgres://me:in-a-url@host/db")
        .start();
    let target = "/?page=shown-1&sig=signed-2&otp=once-33&login_code=single-4&PIN=fixed-55";
    for accept in ["text/html", "text/plain"] {
        let field = format!("Accept: {accept}");
        let page = request(server.address(), "GET", target, &[&field], b"");
        assert_eq!(page.status, 500);
        let text = page.text();
        assert!(text.contains("page=shown-1"), "{text}");
        let message =
            "OSError: no access with (hidden), (hidden), (hidden), postgres://me:(hidden)@host/db";
        assert!(text.contains(message), "{text}");
        for secret in [
            "constant-secret",
            "local-secret-1",
            "correct horse",
            "in-a-url",
            "signed-2",
            "once-33",
            "single-4",
            "fixed-55",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        // The folder is no secret.
        assert!(text.contains("/app.py"), "{text}");
    }
    assert_eq!(server.stop().status, 0);
}
