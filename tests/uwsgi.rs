//! The uwsgi gateway: nginx in front of it, and what a client sends that is none.

mod support;

use std::fs;

use rustix::process::Signal;
use support::http::{self, Connection, request};
use support::nginx::start_nginx;
use support::{Address, Folder, Load, Server, free_port, version};

/// nginx as distributions configure it for uWSGI (`uwsgi_params`), in front of an address.
fn nginx(folder: &Folder, to: &str) -> Server {
    let port = free_port();
    let parameters: String = [
        ("QUERY_STRING", "$query_string"),
        ("REQUEST_METHOD", "$request_method"),
        ("CONTENT_TYPE", "$content_type"),
        ("CONTENT_LENGTH", "$content_length"),
        ("REQUEST_URI", "$request_uri"),
        ("PATH_INFO", "$document_uri"),
        ("DOCUMENT_ROOT", "$document_root"),
        ("SERVER_PROTOCOL", "$server_protocol"),
        ("REQUEST_SCHEME", "$scheme"),
        ("HTTPS", "$https if_not_empty"),
        ("REMOTE_ADDR", "$remote_addr"),
        ("REMOTE_PORT", "$remote_port"),
        ("SERVER_PORT", "$server_port"),
        ("SERVER_NAME", "$server_name"),
    ]
    .map(|(name, value)| format!("uwsgi_param {name} {value};\n"))
    .concat();
    let configuration = format!(
        "daemon off; master_process off; pid run/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n\
         access_log off; client_max_body_size 0; keepalive_requests 1000000;\n\
         client_body_temp_path run/body; proxy_temp_path run/proxy; fastcgi_temp_path run/fastcgi;\n\
         uwsgi_temp_path run/uwsgi; scgi_temp_path run/scgi;\n\
         server {{\n\
         listen 127.0.0.1:{port}; server_name localhost;\n\
         location / {{ uwsgi_pass {to}; {parameters} }}\n\
         }}}}\n"
    );
    let folder = folder.clone().file("run/.keep", "");
    start_nginx(&folder, configuration, port)
}

/// The words that serve an application by uwsgi, and its address.
fn on_unix(folder: &Folder) -> (String, Address) {
    let socket = folder.path("socket");
    (format!("unix:{}", socket.display()), Address::Unix(socket))
}

#[test]
fn nginx_passes_requests_on_by_both_kinds_of_sockets() {
    let folder = Folder::new().copy("tests/apps/report.py");
    let port = free_port();
    let (unix, socket) = on_unix(&folder);
    for (url, address, to) in [
        (unix.clone(), socket, unix),
        (
            format!("tcp://127.0.0.1:{port}"),
            Address::port(port),
            format!("127.0.0.1:{port}"),
        ),
    ] {
        let words = ["uwsgi", &url, "WSGI", "import:report.application"];
        let server = folder.runner(words).start_at(address);
        let nginx = nginx(&folder, &to);
        let body: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        let fields = ["X-Test: one", "Proxy: evil", "Content-Type: text/x-test"];
        let target = "/a%20b/c?x=1&y=%2F";
        let reply = request(nginx.address(), "POST", target, &fields, &body);
        assert!(reply.status == 200, "{reply:#?}\n{}", server.log());
        let report = reply.ok();
        for line in [
            "CONTENT_LENGTH=300000",
            "CONTENT_TYPE=text/x-test",
            "HTTP_X_TEST=one",
            "PATH_INFO=/a b/c",
            "QUERY_STRING=x=1&y=%2F",
            "REMOTE_ADDR=127.0.0.1",
            "REQUEST_METHOD=POST",
            "REQUEST_URI=/a%20b/c?x=1&y=%2F",
            "SCRIPT_NAME=",
            "SERVER_PROTOCOL=HTTP/1.1",
            "body=300000 bytes, crc32 df5b4358",
            "wsgi.url_scheme=http",
        ] {
            let found = report.lines().any(|found| found == line);
            assert!(found, "no {line:?} in\n{report}");
        }
        assert!(!report.contains("HTTP_PROXY"), "{report}");
        assert_eq!(nginx.stop().status, 0);
        assert_eq!(server.stop().status, 0);
    }
}

/// Nothing is lost when the application is reloaded, or the server supervised and started again.
#[test]
fn reloads_and_restarts_lose_nothing_behind_nginx() {
    let folder = Folder::new().file("app.py", version(1));
    let (url, address) = on_unix(&folder);
    let folder = folder.file(
        "app.conf",
        format!(
            "Command uwsgi {url} WSGI import:app.application\nPidFile app.pid\nMinProcesses 2\n"
        ),
    );
    let server = folder.runner(["supervise", "app.conf"]).start_at(address);
    let nginx = nginx(&folder, &url);
    let load = Load::new(nginx.address()).fresh(4).kept(4).start();
    load.more(200);
    let folder = folder.file("app.py", version(2));
    server.signal(Signal::HUP);
    load.until("version 2 answers", |report| {
        report.bodies.contains_key("version 2")
    });
    let folder = folder.file("app.py", version(3));
    let again = folder.runner(["supervise", "app.conf"]).begin();
    load.until("version 3 answers", |report| {
        report.bodies.contains_key("version 3")
    });
    load.more(200);
    load.stop().is_whole();
    assert_eq!(server.wait().status, 0);
    let status = folder.runner(["status", "app.conf"]).run();
    assert!(
        status.success().contains("  unix:[folder]/socket\n"),
        "{}",
        status.stdout
    );
    assert_eq!(again.stop().status, 0);
    assert_eq!(nginx.stop().status, 0);
}

/// A packet with variables.
fn packet(variables: &[(&str, &str)]) -> Vec<u8> {
    let variables: Vec<(&[u8], &[u8])> = variables
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    runner::protocol::uwsgi::request_packet::packet(&variables).expect("a small packet")
}

#[test]
fn what_is_no_request_is_refused() {
    let folder = Folder::new().file("settings.ini", "runner.request.max_body = 10\n");
    let (url, address) = on_unix(&folder);
    let words = ["-c", "settings.ini", "uwsgi", &url, "respond", "200", "hi"];
    let server = folder.runner(words).start_at(address);
    let get = ("REQUEST_METHOD", "GET");
    let uri = ("REQUEST_URI", "/");
    let body = |length| ("CONTENT_LENGTH", length);
    for (sent, answer, says) in [
        (packet(&[get, uri]), "HTTP/1.1 200 OK\r\n", ""),
        (
            [&packet(&[get, uri, body("2")])[..], b"xy"].concat(),
            "HTTP/1.1 200 OK\r\n",
            "",
        ),
        (
            packet(&[uri]),
            "HTTP/1.1 400 Bad Request\r\n",
            "refused a uwsgi request: the variable `REQUEST_METHOD` is not set (400)",
        ),
        (
            packet(&[get, uri, body("x")]),
            "HTTP/1.1 400 Bad Request\r\n",
            "the value of `CONTENT_LENGTH` is malformed (400)",
        ),
        (
            packet(&[get, uri, body("11")]),
            "HTTP/1.1 413 Payload Too Large\r\n",
            "the request's body is too large (413)",
        ),
        (
            packet(&[get, uri, ("HTTP_TRANSFER_ENCODING", "chunked")]),
            "HTTP/1.1 411 Length Required\r\n",
            "its body has no length; the web server is to buffer it (uwsgi_request_buffering) (411)",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "",
            "closed a uwsgi connection: its first byte (modifier1) is 71, and 0 is what a request begins with",
        ),
        (
            b"\0\x05\0\0\x09\0abc".to_vec(),
            "",
            "closed a uwsgi connection: a variable is longer than the packet",
        ),
        (b"\0\x05".to_vec(), "", ""),
        (Vec::new(), "", ""),
    ] {
        let mut connection = Connection::open(server.address());
        connection.send(&sent);
        if answer.is_empty() {
            connection.end_writing();
        }
        let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
        assert!(
            rest.starts_with(answer) && rest.is_empty() == answer.is_empty(),
            "{rest}"
        );
        server.wait_for_log(|log| log.contains(says));
    }
    assert_eq!(server.stop().status, 0);
    assert!(!fs::exists(folder.path("socket")).expect("a folder"));
}

/// A response without a length is cut off, and nginx cuts off its own.
#[test]
fn a_response_that_breaks_off_is_not_taken_for_whole() {
    let folder = Folder::new().file(
        "app.py",
        "def application(environ, start_response):\n\
         \x20   start_response('200 OK', [])\n\
         \x20   yield b'first'\n\
         \x20   raise Exception('broken')\n",
    );
    let port = free_port();
    let url = format!("tcp://127.0.0.1:{port}");
    let words = ["uwsgi", &url, "WSGI", "import:app.application"];
    let server = folder.runner(words).start_at(Address::port(port));
    let nginx = nginx(&folder, &format!("127.0.0.1:{port}"));
    let reply = http::get(nginx.address(), "/");
    assert!(!reply.complete || reply.status == 502, "{reply:?}");
    assert_eq!(nginx.stop().status, 0);
    assert_eq!(server.stop().status, 0);
}
