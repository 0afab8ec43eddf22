//! Redirects from http to https, and HSTS: of a server's own addresses, and behind proxies.

mod support;

use support::http::{Connection, Reply, get};
use support::{Address, Folder, Server, free_port};

const APP: &str = "\
def application(environ, start_response):
    headers = [('Content-Type', 'text/plain')]
    if environ['QUERY_STRING'] == 'own':
        headers.append(('Strict-Transport-Security', 'max-age=1'))
    start_response('200 OK', headers)
    return [environ['wsgi.url_scheme'].encode()]
";

/// A server with these addresses and further settings.
fn serving(urls: &str, settings: &str) -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("names");
    let file = format!(
        "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\nurl = {urls}\n\
         runner.tls.cert = 'cert.pem'\n{settings}"
    );
    let folder = Folder::new()
        .file("app.py", APP)
        .file("app.ini", file)
        .file(
            "cert.pem",
            made.cert.pem() + &made.signing_key.serialize_pem(),
        );
    folder.runner(["runIni", "app.ini"]).start()
}

/// A request with a host and further header fields.
fn send(server: &Server, line: &str, fields: &[&str], body: &[u8]) -> Reply {
    let mut head = format!("{line} HTTP/1.1\r\n");
    let length = format!("Content-Length: {}", body.len());
    for field in fields.iter().chain(&[length.as_str()]) {
        head.push_str(field);
        head.push_str("\r\n");
    }
    let mut connection = Connection::open(server.address());
    connection.send(format!("{head}\r\n").as_bytes());
    connection.send(body);
    let (method, _) = line.split_once(' ').expect("a method");
    connection.reply(method)
}

/// A GET with further header fields.
fn ask(server: &Server, target: &str, fields: &[&str]) -> Reply {
    let line = format!("GET {target}");
    send(
        server,
        &line,
        &[&["Host: shop.test:8000"], fields].concat(),
        b"",
    )
}

fn location(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status, reply.header("location"))
}

#[test]
fn requests_by_http_are_redirected_to_the_same_path_at_the_port_of_https() {
    let port = free_port();
    let server = serving(
        &format!("['http://127.0.0.1:0', 'https://localhost:{port}']"),
        "runner.tls.redirect = True\nrunner.tls.redirect_without = ['/healthz']\n",
    );
    let there = |path: &str| format!("https://shop.test:{port}{path}");
    for path in [
        "/",
        "/a%20b?c=d&e",
        "//other.test/",
        "/healthz/",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/../admin",
    ] {
        let reply = ask(&server, path, &[]);
        assert_eq!(location(&reply), (301, Some(there(path).as_str())));
        assert_eq!(reply.header("connection"), Some("close"));
    }
    for path in [
        "/healthz",
        "/healthz?full",
        "/.well-known/acme-challenge/a-B_9",
    ] {
        assert_eq!(ask(&server, path, &[]).ok(), "http");
    }
    // What a client says of itself is not believed.
    let lie = ask(&server, "/", &["X-Forwarded-Proto: https"]);
    assert_eq!(location(&lie), (301, Some(there("/").as_str())));
    // Other methods stay the same, and a body is not read.
    let host = ["Host: [::1]"];
    let reply = send(&server, "POST /buy", &host, &[b'x'; 300_000]);
    let wanted = format!("https://[::1]:{port}/buy");
    assert_eq!(location(&reply), (308, Some(wanted.as_str())));
    let reply = send(&server, "OPTIONS *", &host, b"");
    let wanted = format!("https://[::1]:{port}/");
    assert_eq!(location(&reply), (308, Some(wanted.as_str())));
    // One that is malformed is refused as ever.
    assert_eq!(send(&server, "GET /", &["Host: a/b"], b"").status, 400);
    // So is HTTP/2 in clear text.
    let url = format!("{}a", server.url());
    let said = server
        .folder()
        .curl(["--http2-prior-knowledge", "-sD", "-", &url]);
    assert!(said.success().starts_with("HTTP/2 301"), "{said:#?}");
    let wanted = format!("\r\nlocation: https://127.0.0.1:{port}/a\r\n");
    assert!(said.stdout.contains(&wanted), "{said:#?}");
    let url = format!("https://localhost:{port}/");
    let said = server.folder().curl(["--cacert", "cert.pem", &url]);
    assert_eq!(said.success(), "https");
    server.stop();
}

#[test]
fn the_port_of_redirects_can_be_set_and_443_is_left_out() {
    let server = serving(
        "['http://127.0.0.1:0', 'https://localhost:0']",
        "runner.tls.redirect = True\nrunner.tls.redirect_port = 443\n",
    );
    let reply = ask(&server, "/a", &[]);
    assert_eq!(location(&reply), (301, Some("https://shop.test/a")));
    server.stop();
}

#[test]
fn where_nothing_speaks_https_there_is_no_redirect_and_the_log_says_so() {
    let server = serving("'http://127.0.0.1:0'", "runner.tls.redirect = True\n");
    assert_eq!(get(server.address(), "/").ok(), "http");
    let outcome = server.stop();
    let warning = "setting `runner.tls.redirect` has no effect: no address is for https";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
}

#[test]
fn behind_a_proxy_what_it_says_of_its_client_decides() {
    let server = serving(
        "'http://127.0.0.1:0'",
        "runner.tls.redirect = True\nrunner.tls.hsts = 60\nrunner.http.trusted_proxies = ['127.0.0.1']\n",
    );
    let forwarded = |scheme: &str| ask(&server, "/", &[&format!("X-Forwarded-Proto: {scheme}")]);
    let reply = forwarded("http");
    assert_eq!(location(&reply), (301, Some("https://shop.test/")));
    assert_eq!(reply.header("strict-transport-security"), None);
    let reply = forwarded("https");
    assert_eq!(reply.ok(), "https");
    assert_eq!(
        reply.header("strict-transport-security"),
        Some("max-age=60")
    );
    // Without a word of it, the client may have spoken https: a redirect would never end.
    assert_eq!(ask(&server, "/", &[]).ok(), "http");
    server.stop();
}

#[test]
fn a_unix_socket_is_not_redirected() {
    let port = free_port();
    let server = serving(
        &format!("['unix:socket', 'https://localhost:{port}']"),
        "runner.tls.redirect = True\n",
    );
    let socket = Address::Unix(server.folder().path("socket"));
    assert_eq!(get(&socket, "/").ok(), "http");
    server.stop();
}

#[test]
fn browsers_learn_to_use_https_from_responses_by_https_alone() {
    let port = free_port();
    let server = serving(
        &format!("['http://127.0.0.1:0', 'https://localhost:{port}']"),
        "runner.tls.hsts = '365d'\nrunner.tls.hsts_flags = ['includeSubDomains', 'preload']\n",
    );
    let field = |target: &str| {
        let url = format!("https://localhost:{port}{target}");
        let said = server
            .folder()
            .curl(["--cacert", "cert.pem", "-sD", "-", &url]);
        let fields = said.success().to_ascii_lowercase();
        let values = fields
            .lines()
            .filter_map(|line| line.strip_prefix("strict-transport-security: "));
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("/"), ["max-age=31536000; includesubdomains; preload"]);
    assert_eq!(field("/?own"), ["max-age=1"]);
    // Errors have it, too.
    assert_eq!(field("/%00").len(), 1);
    assert_eq!(
        get(server.address(), "/").header("strict-transport-security"),
        None
    );
    server.stop();
}
