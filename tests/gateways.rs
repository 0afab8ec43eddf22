//! One application behind every gateway, by WSGI and by ASGI: the same bodies, and the same environ and scope where CGI
//! defines them.
//!
//! `cgi-fcgi` sends the FastCGI requests, so that the codec is not tested against itself.

mod support;

use support::Folder;
use support::gateways::{GATEWAYS, Request, Words, get};

#[test]
fn the_flask_example_gives_the_same_pages() {
    let form = &[("Content-Type", "application/x-www-form-urlencoded")];
    let large: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    let sum: usize = large.iter().map(|&byte| usize::from(byte)).sum::<usize>() % 65_536;
    let uploaded = format!("{{\"length\":200000,\"sum\":{sum}}}\n");
    let page = "<!doctype html>\n<title>Notes</title>\n<h1>Notes</h1>\n<form method=\"post\">\
                <input name=\"note\" autofocus> <button>Add</button></form>\n<p>You wrote: a b</p>";
    let cookie = "note=\"a b\"; HttpOnly; Path=/; SameSite=Lax";
    let lines = "line 0\nline 1\nline 2\nline 3\nline 4\n";
    let found = |status, body: &str| (status, body.to_owned(), None, None);
    let cases = [
        (
            get("/hello/Zo%C3%AB%26co", "/hello/Zoë&co"),
            found(200, "Hello, Zoë&co!\n"),
        ),
        (
            Request {
                headers: &[("Cookie", "note=\"a b\"")],
                ..get("/", "/")
            },
            found(200, page),
        ),
        (
            Request {
                method: "POST",
                headers: form,
                body: b"note=a+b".to_vec(),
                ..get("/", "/")
            },
            (
                303,
                String::new(),
                Some(cookie.to_owned()),
                Some("/".to_owned()),
            ),
        ),
        (
            Request {
                method: "POST",
                body: large,
                ..get("/upload", "/upload")
            },
            found(200, &uploaded),
        ),
        (get("/stream", "/stream"), found(200, lines)),
        (
            Request {
                method: "HEAD",
                ..get("/stream", "/stream")
            },
            found(200, ""),
        ),
    ];
    let by_asgi = "\
        import pages\nfrom asgiref.wsgi import WsgiToAsgi\napplication = WsgiToAsgi(pages.application)\n";
    let folder = Folder::new()
        .copy("examples/flask/pages.py")
        .file("adapted.py", by_asgi);
    let both: [Words; 2] = [
        &["WSGI", "import:pages.application"],
        &["ASGI", "import:adapted.application"],
    ];
    for (gateway, application) in GATEWAYS
        .iter()
        .flat_map(|one| both.map(|both| (*one, both)))
    {
        let behind = gateway.in_front_of(&folder, application);
        for (request, (status, body, cookie, location)) in &cases {
            let reply = behind.ask(request);
            let context = format!(
                "{gateway:?} {application:?} {} {}: {reply:#?}",
                request.method, request.path
            );
            assert_eq!(reply.status, *status, "{context}");
            // The body of a redirection is only for browsers that do not follow it.
            if *status != 303 {
                assert_eq!(reply.text(), *body, "{context}");
            }
            assert_eq!(reply.header("set-cookie"), cookie.as_deref(), "{context}");
            assert_eq!(reply.header("location"), location.as_deref(), "{context}");
        }
        assert_eq!(
            behind.ask(&get("/nowhere", "/nowhere")).status,
            404,
            "{gateway:?}"
        );
        behind.stop();
    }
}

/// Variables that differ between gateways: the server's name, its address, the client.
const ITS_OWN: [&str; 9] = [
    "GATEWAY_INTERFACE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_SOFTWARE",
    "wsgi.multiprocess",
    "wsgi.multithread",
    "wsgi.run_once",
];

/// The environment of this test's programs, which a CGI program inherits.
const INHERITED: [&str; 8] = [
    "HOME",
    "LANG",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "RUNNER_TEST",
    "VIRTUAL_ENV",
    "PWD",
    "SHLVL",
];

/// A request with something of everything.
fn put() -> Request {
    Request {
        method: "PUT",
        query: "a=%20b&c=%26&empty",
        headers: &[
            ("Content-Type", "text/x-test"),
            ("Cookie", "a=1; b=2"),
            ("X-Some-Thing", "with, commas; and \"quotes\""),
            ("Accept-Language", "de"),
        ],
        body: b"some bytes".to_vec(),
        ..get("/a%20b/%E2%82%AC/c", "/a b/€/c")
    }
}

#[test]
fn the_environ_is_the_same() {
    let request = put();
    let expected = "\
CONTENT_LENGTH=10
CONTENT_TYPE=text/x-test
HTTP_ACCEPT_LANGUAGE=de
HTTP_COOKIE=a=1; b=2
HTTP_HOST=localhost
HTTP_X_SOME_THING=with, commas; and \"quotes\"
PATH_INFO=/a b/€/c
QUERY_STRING=a=%20b&c=%26&empty
REQUEST_METHOD=PUT
REQUEST_URI=/a%20b/%E2%82%AC/c?a=%20b&c=%26&empty
SCRIPT_NAME=
SERVER_PROTOCOL=HTTP/1.1
body=10 bytes, crc32 9f597f55
wsgi.input_terminated=True
wsgi.url_scheme=http
wsgi.version=(1, 0)
";
    let folder = Folder::new().copy("tests/apps/report.py");
    for gateway in GATEWAYS {
        let behind = gateway.in_front_of(&folder, &["WSGI", "import:report.application"]);
        let report = behind.ask(&request).ok();
        let mut lines: Vec<&str> = report
            .lines()
            .filter(|line| {
                let name = line.split('=').next().unwrap_or_default();
                !ITS_OWN.contains(&name) && !INHERITED.contains(&name)
            })
            .collect();
        lines.sort_unstable();
        assert_eq!(lines.join("\n") + "\n", expected, "{gateway:?}\n{report}");
        for name in ["SERVER_NAME", "SERVER_PORT"] {
            let given = report
                .lines()
                .any(|line| line.strip_prefix(name).is_some_and(|value| value.len() > 1));
            assert!(
                given,
                "{gateway:?}: {name} must not be empty (PEP 3333)\n{report}"
            );
        }
        behind.stop();
    }
}

/// A program gets the request of the client, whatever the gateway, and nothing else of what a web server sets.
#[test]
fn a_cgi_program_is_the_same() {
    let names =
        "CONTENT_LENGTH|CONTENT_TYPE|HTTP_|PATH_INFO|QUERY_STRING|REQUEST_|SCRIPT_NAME|LD_|HOME";
    let script = format!(
        "#!/bin/sh\nprintf 'Status: 203 Cgi\\nContent-Type: text/plain\\n\\n'\n\
         env | grep -E '^({names})' | LC_ALL=C sort\ncksum\n"
    );
    let folder = Folder::new().executable("cgi-bin/a b", script);
    let expected = "\
CONTENT_LENGTH=10
CONTENT_TYPE=text/x-test
HTTP_ACCEPT_LANGUAGE=de
HTTP_COOKIE=a=1; b=2
HTTP_HOST=localhost
HTTP_X_SOME_THING=with, commas; and \"quotes\"
PATH_INFO=/€/c
QUERY_STRING=a=%20b&c=%26&empty
REQUEST_METHOD=PUT
REQUEST_URI=/a%20b/%E2%82%AC/c?a=%20b&c=%26&empty
SCRIPT_NAME=/a b
";
    for gateway in GATEWAYS {
        let behind = gateway.in_front_of(&folder, &["cgi-bin", "cgi-bin"]);
        let reply = behind.ask(&put());
        let text = reply.text();
        let (variables, checksum) = text.split_at(expected.len().min(text.len()));
        assert_eq!((reply.status, variables), (203, expected), "{gateway:?}");
        assert!(checksum.ends_with(" 10\n"), "{gateway:?}: {checksum}");
        behind.stop();
    }
}

#[test]
fn the_scope_is_the_same() {
    let expected = "\
http_version='1.1'
method='PUT'
path='/a b/€/c'
query_string=b'a=%20b&c=%26&empty'
raw_path=b'/a%20b/%E2%82%AC/c'
root_path=''
scheme='http'
type='http'
header (b'accept-language', b'de')
header (b'content-length', b'10')
header (b'content-type', b'text/x-test')
header (b'cookie', b'a=1; b=2')
header (b'host', b'localhost')
header (b'x-some-thing', b'with, commas; and \"quotes\"')
body=b'some bytes'
";
    let folder = Folder::new().copy("tests/apps/asgi_report.py");
    for gateway in GATEWAYS {
        let behind = gateway.in_front_of(&folder, &["ASGI", "import:asgi_report.application"]);
        assert_eq!(behind.ask(&put()).ok(), expected, "{gateway:?}");
        behind.stop();
    }
}

/// Each kind of application is one of a site, behind each gateway.
#[test]
fn a_site_is_the_same() {
    let folder = Folder::new()
        .copy("tests/apps/report.py")
        .copy("tests/apps/asgi_report.py")
        .file("public/style.css", "body {}\n")
        .file(
            "site.ini",
            "site = commands.Routes({\n\
             \x20   '/': ['WSGI', 'import:report.application'],\n\
             \x20   '/live/': ['ASGI', 'import:asgi_report.application'],\n\
             \x20   '/static/': ['files', 'public', '--fallback', 'gone'],\n\
             \x20   '/nested/': commands.Routes({'/a b/': 'again', '/demo': ['demo']}),\n\
             \x20   'localhost/old/': ['redirect', 'https://example.org/'],\n\
             \x20   'example.org/': ['respond', '418', 'another host'],\n\
             })\n\
             again = commands.Alias(command=['WSGI', 'import:report.application'])\n\
             gone = commands.Alias(command=['respond', '410', 'gone'])\n",
        );
    for gateway in GATEWAYS {
        let behind = gateway.in_front_of(&folder, &["site"]);
        let ask = |path, decoded| behind.ask(&get(path, decoded));
        for (path, decoded, script_name, path_info) in [
            ("/x%20y", "/x y", "", "/x y"),
            ("/nested/a%20b/c", "/nested/a b/c", "/nested/a b", "/c"),
            ("/static/../x", "/static/../x", "", "/x"),
        ] {
            let report = ask(path, decoded).ok();
            for line in [
                format!("SCRIPT_NAME={script_name}"),
                format!("PATH_INFO={path_info}"),
                format!("REQUEST_URI={path}"),
            ] {
                let is_there = report.lines().any(|it| it == line);
                assert!(is_there, "{gateway:?}: {line} is missing\n{report}");
            }
        }
        let scope = ask("/live/x", "/live/x").ok();
        for line in ["path='/live/x'", "raw_path=b'/live/x'", "root_path='/live'"] {
            let is_there = scope.lines().any(|it| it == line);
            assert!(is_there, "{gateway:?}: {line} is missing\n{scope}");
        }
        assert!(
            ask("/nested/demo", "/nested/demo")
                .ok()
                .contains("SCRIPT_NAME")
        );
        for (path, status, location, text) in [
            ("/static/style.css", 200, None, Some("body {}\n")),
            ("/static/nothing", 410, None, Some("gone\n")),
            ("/static", 308, Some("./static/"), None),
            ("/old/a?b", 308, Some("https://example.org/a?b"), None),
            ("/nested/x", 404, None, None),
        ] {
            let (plain, query) = path.split_once('?').unwrap_or((path, ""));
            let reply = behind.ask(&Request {
                query,
                ..get(plain, plain)
            });
            let context = format!("{gateway:?} {path}: {reply:#?}");
            assert_eq!(reply.status, status, "{context}");
            assert_eq!(reply.header("location"), location, "{context}");
            if let Some(text) = text {
                assert_eq!(reply.text(), text, "{context}");
            }
        }
        behind.stop();
    }
}
