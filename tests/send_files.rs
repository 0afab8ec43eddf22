//! `X-Accel-Redirect` and `X-Sendfile`: applications name files that are sent in place of their bodies.

mod support;

use std::os::unix::fs::symlink;

use support::http::request;
use support::{Folder, Server};

/// Its query is the fields of its response.
const APPLICATION: &str = "\
from urllib.parse import parse_qsl

def application(environ, start_response):
    fields = [('Content-Type', 'text/x-own'), ('Cache-Control', 'private'), ('ETag', '\"own\"'), ('Content-Length', '8')]
    start_response(environ['PATH_INFO'].strip('/') or '200 OK', fields + parse_qsl(environ['QUERY_STRING']))
    return [b'not this']
";

const SETTING: &str =
    "runner.response.send_files = {'/protected': 'files', '/protected/more/': 'more'}\n";

fn folder() -> Folder {
    let folder = Folder::new()
        .file("app.py", APPLICATION)
        .file("files/a b.txt", "0123456789")
        .file("files/100%25.txt", "encoded name")
        .file("more/b.txt", "more")
        .file("secret.txt", "secret")
        .file("on.ini", SETTING);
    symlink("../secret.txt", folder.path("files/out.txt")).expect("a link");
    folder
}

fn wsgi(folder: &Folder, files: &[&str]) -> Server {
    let serve = [
        "serve",
        "tcp://127.0.0.1:0",
        "WSGI",
        "import:app.application",
    ];
    folder.runner(files.iter().chain(&serve)).start()
}

/// What holds for any application.
fn sends(server: &Server, folder: &Folder) {
    let ask = |method: &str, target: &str, fields: &[&str]| {
        request(server.address(), method, target, fields, b"")
    };
    let target = "/?X-Accel-Redirect=/protected/a%2520b.txt&Content-Disposition=attachment";
    let reply = ask("GET", target, &[]);
    assert_eq!((reply.status, reply.text()), (200, "0123456789".to_owned()));
    for (name, value) in [
        ("content-type", Some("text/x-own")),
        ("cache-control", Some("private")),
        ("content-disposition", Some("attachment")),
        ("content-length", Some("10")),
        ("accept-ranges", Some("bytes")),
        ("x-accel-redirect", None),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let tag = reply.header("etag").expect("that of the file").to_owned();
    assert_ne!(tag, "\"own\"");
    let known = format!("If-None-Match: {tag}");
    assert_eq!(ask("GET", target, &[&known]).status, 304);
    let reply = ask("GET", target, &["Range: bytes=2-4"]);
    assert_eq!((reply.status, reply.text()), (206, "234".to_owned()));
    // It is an answer to another method than GET, which has no conditions.
    let reply = ask("POST", target, &["Range: bytes=2-4", &known]);
    assert_eq!((reply.status, reply.text()), (200, "0123456789".to_owned()));
    let reply = ask("HEAD", target, &[]);
    assert_eq!(
        (reply.status, reply.header("content-length")),
        (200, Some("10"))
    );
    // A status of its own stays, with the whole file.
    let target = "/403%20Forbidden?X-Accel-Redirect=/protected/more/b.txt";
    let reply = ask("GET", target, &["Range: bytes=2-4"]);
    assert_eq!((reply.status, reply.text()), (403, "more".to_owned()));
    let reply = ask(
        "GET",
        "/204%20No%20Content?X-Accel-Redirect=/protected/more/b.txt",
        &[],
    );
    assert_eq!((reply.status, reply.text()), (204, String::new()));

    let path = folder.path("files").display().to_string();
    for (file, text) in [
        ("a%20b.txt", "0123456789"),
        ("a%2520b.txt", "0123456789"),
        ("100%2525.txt", "encoded name"),
    ] {
        let reply = ask("GET", &format!("/?X-Sendfile={path}/{file}"), &[]);
        assert_eq!(reply.ok(), text, "{file}");
    }
    let root = folder.path("").display().to_string();
    for (field, status) in [
        ("X-Accel-Redirect=/protected/none.txt".to_owned(), 404),
        ("X-Accel-Redirect=/protected/".to_owned(), 500),
        ("X-Accel-Redirect=/protected/out.txt".to_owned(), 404),
        ("X-Accel-Redirect=/protected/../secret.txt".to_owned(), 500),
        (
            "X-Accel-Redirect=/protected/%252e%252e/secret.txt".to_owned(),
            500,
        ),
        ("X-Accel-Redirect=/protectedfiles/a.txt".to_owned(), 500),
        (format!("X-Sendfile={root}/secret.txt"), 500),
        (format!("X-Sendfile={path}/../secret.txt"), 500),
        ("X-Sendfile=files/a%20b.txt".to_owned(), 500),
    ] {
        let reply = ask("GET", &format!("/?{field}"), &[]);
        assert_eq!(reply.status, status, "{field}: {reply:?}");
        assert!(!reply.text().contains("secret"), "{field}: {reply:?}");
    }
    server.wait_for_log(|log| log.contains("but a link leads out of the folder"));
}

#[test]
fn an_application_in_python_names_files() {
    let folder = folder();
    let server = wsgi(&folder, &["-c", "on.ini"]);
    sends(&server, &folder);
    assert_eq!(server.stop().status, 0);
}

/// Without the setting, the fields are passed on: here to the server in front, which has it.
#[test]
fn servers_behind_name_files() {
    let folder = folder();
    let behind = wsgi(&folder, &[]);
    let reply = behind.get("/?X-Accel-Redirect=/protected/more/b.txt");
    assert_eq!(
        reply.header("x-accel-redirect"),
        Some("/protected/more/b.txt")
    );
    assert_eq!(reply.ok(), "not this");
    let url = behind.url().trim_end_matches('/').to_owned();
    let words = [
        "-c",
        "on.ini",
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
        &url,
    ];
    let server = folder.runner(words).start();
    sends(&server, &folder);
    assert_eq!(server.stop().status, 0);
    assert_eq!(behind.stop().status, 0);
}

/// Of several applications, each has the folders of its own settings.
#[test]
fn each_application_has_folders_of_its_own() {
    let folder = folder().file(
        "routes.ini",
        "\
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'

[peak.running.shortcuts]
on = commands.Alias(command=['WSGI', 'import:app.application'], settings='on')
off = commands.Alias(command=['WSGI', 'import:app.application'])
site = commands.Routes({'/on/': 'on', '/off/': 'off'})

[on]
response.send_files = {'/protected/': 'files'}
",
    );
    let server = folder.runner(["runIni", "routes.ini"]).start();
    let query = "?X-Accel-Redirect=/protected/a%2520b.txt";
    assert_eq!(server.get(&format!("/on/{query}")).ok(), "0123456789");
    assert_eq!(server.get(&format!("/off/{query}")).ok(), "not this");
    assert_eq!(server.stop().status, 0);
}
