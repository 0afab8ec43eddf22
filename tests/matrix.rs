//! Each kind of application behind each gateway: the same request, the same answer.
//!
//! One program, `tests/apps/everywhere.py`, is the application by WSGI and by ASGI, as a CGI program, as a server behind
//! `upstream` by HTTP and by FastCGI, and as one that runner starts. All of them are parts of one site, beside files, a
//! redirect, an answer and further routes.

mod support;

use support::gateways::{FURTHER_GATEWAYS, GATEWAYS, Gateway, Request, get};
use support::{Address, Folder, Server, python};

/// Where the application stands, in each of its forms.
const FORMS: [&str; 7] = [
    "/wsgi",
    "/asgi",
    "/cgi",
    "/http",
    "/fastcgi",
    "/exec",
    "/routes/deep",
];

const SITE: &str = "\
site = commands.Routes({
    '/wsgi/': ['WSGI', 'import:everywhere.application'],
    '/asgi/': ['ASGI', 'import:everywhere.by_asgi'],
    '/cgi/': ['cgi-bin', 'everywhere.py', '--env', 'RUNNER_TEST', '--interpreter', 'py=PYTHON'],
    '/http/': ['upstream', 'http+unix:http.sock', '--strip-prefix'],
    '/fastcgi/': ['upstream', 'fastcgi+unix:fastcgi.sock'],
    '/exec/': ['upstream', 'http', '--strip-prefix', 'exec:', 'PYTHON', 'everywhere.py'],
    '/routes/': commands.Routes({'/deep/': ['WSGI', 'import:everywhere.application']}),
    '/files/': ['files', 'public'],
    '/moved/': ['redirect', 'https://example.org/x/'],
    '/fixed/': ['respond', '418', 'short and stout'],
    })

[runner.tls]
cert = 'cert.pem'
key = 'key.pem'
";

/// A field of a response.
type Field = (&'static str, &'static str);

/// A request, and its answer: status, a field, body.
type Question = (Request, u16, Option<Field>, String);

/// What is asked of each form of the application.
fn questions() -> Vec<Question> {
    let large: Vec<u8> = (0..1_u32 << 20).map(|number| number as u8).collect();
    let post = |body: &[u8]| Request {
        method: "POST",
        body: body.to_vec(),
        ..get("/post", "/post")
    };
    let plain = Some(("content-type", "text/plain; charset=utf-8"));
    let everything = Request {
        method: "PUT",
        query: "x=%26&y=%C3%BC&empty",
        headers: &[
            ("Content-Type", "text/x-test"),
            ("Cookie", "a=1; b=2"),
            ("X-Test", "with, commas; and \"quotes\""),
        ],
        body: b"some bytes".to_vec(),
        ..get("/a%20b/%E2%82%AC%3F/c+d", "/a b/€?/c+d")
    };
    let put = "PUT /a b/€?/c+d?x=%26&y=%C3%BC&empty text/x-test|a=1; b=2|with, commas; and \"quotes\" 10 bytes, 9f597f55\n";
    let head = Request {
        method: "HEAD",
        ..get("/head", "/head")
    };
    vec![
        (everything, 200, plain, put.to_owned()),
        (
            get("/", "/"),
            200,
            plain,
            "GET /? -|-|- 0 bytes, 00000000\n".to_owned(),
        ),
        (
            post(b""),
            200,
            plain,
            "POST /post? -|-|- 0 bytes, 00000000\n".to_owned(),
        ),
        (
            post(b"x"),
            200,
            plain,
            "POST /post? -|-|- 1 bytes, 8cdc1683\n".to_owned(),
        ),
        (
            post(&large),
            200,
            plain,
            "POST /post? -|-|- 1048576 bytes, 04d0e435\n".to_owned(),
        ),
        (head, 200, Some(("content-length", "36")), String::new()),
        (
            get("/none", "/none"),
            404,
            plain,
            "nothing here\n".to_owned(),
        ),
        (
            get("/refused", "/refused"),
            403,
            Some(("x-reason", "no entry")),
            "no\n".to_owned(),
        ),
        (
            get("/away", "/away"),
            302,
            Some(("location", "/elsewhere?a=b")),
            String::new(),
        ),
        (
            get("/stream", "/stream"),
            200,
            plain,
            "line 0\nline 1\nline 2\nline 3\nline 4\n".to_owned(),
        ),
    ]
}

/// What is asked of the rest of the site.
fn others() -> Vec<Question> {
    let head = Request {
        method: "HEAD",
        ..get("/files/style.css", "/files/style.css")
    };
    let part = Request {
        headers: &[("Range", "bytes=1-3")],
        ..get("/files/style.css", "/files/style.css")
    };
    let post = Request {
        method: "POST",
        body: b"x".to_vec(),
        ..get("/files/style.css", "/files/style.css")
    };
    let css = Some(("content-type", "text/css; charset=utf-8"));
    let moved = Request {
        query: "q=%20",
        ..get("/moved/a%20b", "/moved/a b")
    };
    vec![
        (
            get("/files/style.css", "/files/style.css"),
            200,
            css,
            "body {}\n".to_owned(),
        ),
        (
            get("/files/a%20b/", "/files/a b/"),
            200,
            None,
            "<h1>Index</h1>\n".to_owned(),
        ),
        (head, 200, Some(("content-length", "8")), String::new()),
        (
            part,
            206,
            Some(("content-range", "bytes 1-3/8")),
            "ody".to_owned(),
        ),
        (
            post,
            405,
            Some(("allow", "GET, HEAD")),
            "405 Method Not Allowed\n".to_owned(),
        ),
        (
            get("/files/none", "/files/none"),
            404,
            None,
            "404 Not Found\n".to_owned(),
        ),
        (
            get("/files/../key.pem", "/files/../key.pem"),
            404,
            None,
            "404 Not Found\n".to_owned(),
        ),
        (
            moved,
            308,
            Some(("location", "https://example.org/x/a%20b?q=%20")),
            "308 Permanent Redirect\n".to_owned(),
        ),
        (
            get("/fixed/x", "/fixed/x"),
            418,
            None,
            "short and stout\n".to_owned(),
        ),
        (
            get("/routes/x", "/routes/x"),
            404,
            None,
            "404 Not Found\n".to_owned(),
        ),
        (
            get("/nowhere", "/nowhere"),
            404,
            None,
            "404 Not Found\n".to_owned(),
        ),
    ]
}

/// The site, and the servers behind it.
struct Site {
    folder: Folder,
    behind: [Server; 2],
}

impl Site {
    fn start() -> Self {
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let certificate = certificate.expect("a name");
        let python = python().display().to_string();
        let folder = Folder::new()
            .copy("tests/apps/everywhere.py")
            .file("public/style.css", "body {}\n")
            .file("public/a b/index.html", "<h1>Index</h1>\n")
            .file("cert.pem", certificate.cert.pem())
            .file("key.pem", certificate.signing_key.serialize_pem());
        let server = |command: &str, name: &str| {
            let words = [
                command,
                &format!("unix:{name}"),
                "WSGI",
                "import:everywhere.application",
            ];
            folder
                .runner(words)
                .start_at(Address::Unix(folder.path(name)))
        };
        let behind = [
            server("serve", "http.sock"),
            server("FastCGI", "fastcgi.sock"),
        ];
        let folder = folder.file("site.ini", SITE.replace("PYTHON", &python));
        Self { folder, behind }
    }

    #[track_caller]
    fn is_the_same_behind(&self, gateway: Gateway) {
        let behind = gateway.in_front_of(&self.folder, &["site"]);
        let under = |form: &str, request: &Request| Request {
            path: format!("{form}{}", request.path).leak(),
            decoded: format!("{form}{}", request.decoded).leak(),
            ..request.clone()
        };
        let of_forms = FORMS.iter().flat_map(|form| {
            let questions = questions().into_iter();
            questions
                .map(|(request, status, field, body)| (under(form, &request), status, field, body))
        });
        for (request, status, field, body) in of_forms.chain(others()) {
            let reply = behind.ask(&request);
            let context = format!(
                "{gateway:?}: {} {}: {reply:#?}",
                request.method, request.path
            );
            assert_eq!(reply.status, status, "{context}");
            if let Some((name, value)) = field {
                assert_eq!(reply.header(name), Some(value), "{context}");
            }
            assert_eq!(reply.text(), body, "{context}");
            assert!(reply.complete, "{context}");
        }
        behind.stop();
    }

    fn stop(self) {
        for server in self.behind {
            assert_eq!(server.stop().status, 0);
        }
    }
}

/// Gateways that are tried one after another; the groups are tried at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Http,
    Secure,
    FastCgi,
    Cgi,
}

fn group(gateway: Gateway) -> Group {
    match gateway {
        Gateway::HttpTcp | Gateway::HttpUnix | Gateway::HttpDescriptor | Gateway::Launch => {
            Group::Http
        }
        Gateway::Http2 | Gateway::Tls | Gateway::TlsHttp2 => Group::Secure,
        Gateway::FastCgiTcp
        | Gateway::FastCgiUnix
        | Gateway::FastCgiDescriptor
        | Gateway::CgiDescriptor
        | Gateway::UwsgiTcp
        | Gateway::UwsgiUnix => Group::FastCgi,
        Gateway::Cgi => Group::Cgi,
    }
}

#[track_caller]
fn is_the_same_behind(wanted: Group) {
    let site = Site::start();
    for gateway in GATEWAYS.iter().chain(&FURTHER_GATEWAYS) {
        if group(*gateway) == wanted {
            site.is_the_same_behind(*gateway);
        }
    }
    site.stop();
}

#[test]
fn by_http() {
    is_the_same_behind(Group::Http);
}

#[test]
fn by_http_2_and_tls() {
    is_the_same_behind(Group::Secure);
}

#[test]
fn by_fastcgi_and_uwsgi() {
    is_the_same_behind(Group::FastCgi);
}

/// Each request starts the part of the site that it is for, and ends it.
#[test]
fn by_cgi() {
    is_the_same_behind(Group::Cgi);
}
