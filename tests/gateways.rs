//! One application behind every gateway, by WSGI and by ASGI: the same bodies, and the same environ and scope where CGI
//! defines them.
//!
//! `cgi-fcgi` sends the FastCGI requests, so that the codec is not tested against itself.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use support::http::{self, Address, Reply};
use support::{Folder, Program, Server, free_port, project};

/// A gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gateway {
    HttpTcp,
    HttpUnix,
    HttpDescriptor,
    Cgi,
    FastCgiTcp,
    FastCgiUnix,
    FastCgiDescriptor,
    /// `CGI` that finds a listening socket on descriptor 0.
    CgiDescriptor,
}

const GATEWAYS: [Gateway; 8] = [
    Gateway::HttpTcp,
    Gateway::HttpUnix,
    Gateway::HttpDescriptor,
    Gateway::Cgi,
    Gateway::FastCgiTcp,
    Gateway::FastCgiUnix,
    Gateway::FastCgiDescriptor,
    Gateway::CgiDescriptor,
];

/// A request, the same for each gateway.
struct Request {
    method: &'static str,
    path: &'static str,
    decoded: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
}

fn get(path: &'static str, decoded: &'static str) -> Request {
    Request {
        method: "GET",
        path,
        decoded,
        query: "",
        headers: &[],
        body: Vec::new(),
    }
}

/// The words that name an application.
type Words = &'static [&'static str];

/// An application behind a gateway, ready for requests.
struct Behind {
    folder: Folder,
    application: Words,
    gateway: Gateway,
    server: Option<Server>,
}

impl Gateway {
    fn in_front_of(self, folder: &Folder, application: Words) -> Behind {
        let port = free_port();
        let socket = folder.path(format!("{self:?}-{}.socket", application[0]));
        let unix = format!("unix:{}", socket.display());
        let tcp = format!("tcp://127.0.0.1:{port}");
        let run = |words: &[&str]| {
            let words = words.iter().chain(application).copied();
            runner(folder, &words.collect::<Vec<_>>())
        };
        let tcp_listener =
            || OwnedFd::from(TcpListener::bind(("127.0.0.1", port)).expect("a free port"));
        let unix_listener = || OwnedFd::from(UnixListener::bind(&socket).expect("a new socket"));
        let server = match self {
            Self::HttpTcp => Some(run(&["serve", &tcp]).start_at(Address::port(port))),
            Self::HttpUnix => Some(run(&["serve", &unix]).start_at(Address::Unix(socket))),
            Self::HttpDescriptor => {
                let server = run(&["serve", "fd.socket:stdin"]).start_with(tcp_listener());
                Some(server.at(Address::port(port)))
            }
            Self::Cgi => None,
            Self::FastCgiTcp => Some(run(&["FastCGI", &tcp]).start_at(Address::port(port))),
            Self::FastCgiUnix => Some(run(&["FastCGI", &unix]).start_at(Address::Unix(socket))),
            Self::FastCgiDescriptor => {
                let server = run(&["FastCGI"]).start_with(unix_listener());
                Some(server.at(Address::Unix(socket)))
            }
            Self::CgiDescriptor => {
                let server = run(&["CGI"]).start_with(tcp_listener());
                Some(server.at(Address::port(port)))
            }
        };
        Behind {
            folder: folder.clone(),
            application,
            gateway: self,
            server,
        }
    }
}

fn runner(folder: &Folder, words: &[&str]) -> Program {
    let program = folder.runner(words);
    let program = match folder.path("site.ini").exists() {
        true => program.env("PEAK_CONFIG", folder.path("site.ini")),
        false => program,
    };
    program.env("VIRTUAL_ENV", project("target/venv"))
}

impl Behind {
    /// Sends a request through the gateway.
    #[track_caller]
    fn ask(&self, request: &Request) -> Reply {
        match (self.gateway, &self.server) {
            (Gateway::Cgi, _) => {
                let words = [&["CGI"], self.application].concat();
                as_cgi(runner(&self.folder, &words), request)
            }
            (Gateway::HttpTcp | Gateway::HttpUnix | Gateway::HttpDescriptor, Some(server)) => {
                let headers: Vec<String> = request
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
                let target = target(request);
                http::request(
                    server.address(),
                    request.method,
                    &target,
                    &headers,
                    &request.body,
                )
            }
            (_, Some(server)) => {
                let address = match server.address() {
                    Address::Tcp(host, port) => format!("{host}:{port}"),
                    Address::Unix(path) => path.display().to_string(),
                };
                let client = ["-bind", "-connect", address.as_str()];
                as_cgi(self.folder.program("cgi-fcgi", client), request)
            }
            (gateway, None) => panic!("{gateway:?} has a server"),
        }
    }

    #[track_caller]
    fn stop(self) {
        if let Some(server) = self.server {
            let outcome = server.stop();
            assert_eq!(outcome.status, 0, "{:?}: {outcome:#?}", self.gateway);
        }
    }
}

fn target(request: &Request) -> String {
    match request.query {
        "" => request.path.to_owned(),
        query => format!("{}?{query}", request.path),
    }
}

/// Runs a CGI program, or `cgi-fcgi`, with a request in its environment (RFC 3875 §4.1).
#[track_caller]
fn as_cgi(program: Program, request: &Request) -> Reply {
    let mut program = program
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", request.method)
        .env("REQUEST_URI", target(request))
        .env("SCRIPT_NAME", "")
        .env("PATH_INFO", request.decoded)
        .env("QUERY_STRING", request.query)
        .env("SERVER_NAME", "localhost")
        .env("SERVER_PORT", "80")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("SERVER_SOFTWARE", "the tests")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("HTTP_HOST", "localhost");
    if !request.body.is_empty() {
        program = program.env("CONTENT_LENGTH", request.body.len().to_string());
    }
    for (name, value) in request.headers {
        let variable = name.to_uppercase().replace('-', "_");
        program = match variable.as_str() {
            "CONTENT_TYPE" => program.env("CONTENT_TYPE", value),
            _ => program.env(&format!("HTTP_{variable}"), value),
        };
    }
    let outcome = program.stdin(request.body.clone()).run();
    assert!(outcome.status == 0, "{outcome:#?}");
    let (head, body) = outcome
        .stdout
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {outcome:#?}"));
    let fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
    let mut headers: Vec<(String, String)> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let (name, status) = headers.remove(0);
    assert_eq!(name, "status", "the answer begins with it:\n{head}");
    let (status, reason) = status.split_once(' ').expect("a reason");
    Reply {
        status: status.parse().expect("a number"),
        reason: reason.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
        complete: true,
    }
}

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
        let behind = gateway.in_front_of(&folder, ["cgi-bin", "cgi-bin"]);
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
