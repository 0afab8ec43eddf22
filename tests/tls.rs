//! TLS on the addresses of a server: versions, names, sessions, reloads, and clients that speak something else or nothing.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;

use rustix::process::Signal;
use support::http::{Connection, get};
use support::{Address, Folder, Server, Waits, python};
use tls_client::{TlsClient, client, client_behind};

#[path = "support/tls_client.rs"]
mod tls_client;

const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'https://localhost:0'
[runner.tls]
cert = 'cert.pem'
key = 'key.pem'
";

/// Echoes a body, or says what it knows of the connection.
const APP: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    body = environ['wsgi.input'].read()
    names = 'wsgi.url_scheme', 'HTTPS', 'SERVER_NAME', 'SERVER_PORT'
    return [body or ' '.join(environ.get(name, '-') for name in names).encode()]
";

/// A certificate for these names, and its key.
fn certificate(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("names");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn folder(file: &str) -> Folder {
    let (cert, key) = certificate(&["localhost"]);
    Folder::new()
        .file("app.py", APP)
        .file("app.ini", file)
        .file("cert.pem", cert)
        .file("key.pem", key)
}

fn serving(file: &str) -> Server {
    folder(file).runner(["runIni", "app.ini"]).start()
}

fn port(server: &Server) -> u16 {
    match server.address() {
        Address::Tcp(_, port) => *port,
        Address::Unix(_) => panic!("a port was asked for"),
    }
}

/// One request on a kept connection; the end of its response.
fn ask(client: &mut TlsClient) -> String {
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("a connection");
    let mut got = String::new();
    while !got.contains("https on") {
        let mut part = [0; 4096];
        let length = client.read(&mut part).expect("a response");
        assert!(length > 0, "{got}");
        got.push_str(std::str::from_utf8(&part[..length]).expect("text"));
    }
    got
}

#[test]
fn an_application_learns_that_the_connection_is_encrypted() {
    let server = serving(FILE);
    let url = server.url().to_owned();
    assert!(url.starts_with("https://localhost:"), "{url}");
    let folder = server.folder();
    let wanted = format!("https on localhost {}", port(&server));
    assert_eq!(
        folder.curl(["--cacert", "cert.pem", &url]).success(),
        wanted
    );
    // A client that does not know the certificate does not trust it.
    assert_eq!(folder.curl([&url]).status, 60);
    server.stop();
}

/// Clients that ask for it get HTTP/2, unless it is turned off.
#[test]
fn http_2_is_agreed_on() {
    let app = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [(environ['SERVER_PROTOCOL'] + ' ' + environ['wsgi.url_scheme']).encode()]
";
    let off = format!("{FILE}[runner.http]\nhttp2 = False\n");
    for (file, option, said) in [
        (FILE, "--http2", "HTTP/2.0 https"),
        (FILE, "--http1.1", "HTTP/1.1 https"),
        (FILE, "--http1.0", "HTTP/1.0 https"),
        (&off, "--http2", "HTTP/1.1 https"),
    ] {
        let folder = folder(file).file("app.py", app);
        let server = folder.runner(["runIni", "app.ini"]).start();
        let options = [option, "--cacert", "cert.pem", server.url()];
        assert_eq!(server.folder().curl(options).success(), said, "{option}");
        server.stop();
    }
}

#[test]
fn an_asgi_application_learns_it_too() {
    let app = "\
async def application(scope, receive, send):
    start = {'type': 'http.response.start', 'status': 200, 'headers': []}
    await send(start)
    await send({'type': 'http.response.body', 'body': scope['scheme'].encode()})
";
    let folder = folder(&FILE.replace("WSGI", "ASGI")).file("app.py", app);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let said = folder.curl(["--cacert", "cert.pem", server.url()]);
    assert_eq!(said.success(), "https");
    server.stop();
}

#[test]
fn each_version_is_spoken_and_sessions_are_resumed() {
    let server = serving(FILE);
    let address = format!("localhost:{}", port(&server));
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let say = |session: &str| {
            let script = format!(
                "printf 'GET / HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n' | \
                 openssl s_client -connect {address} -servername localhost {version} -CAfile cert.pem \
                 -alpn http/1.1 -ign_eof {session} 2>&1"
            );
            let said = server.folder().program("sh", ["-c", &script]).run();
            assert!(said.stdout.contains("https on localhost"), "{said:#?}");
            assert!(
                said.stdout.contains("Verify return code: 0 (ok)"),
                "{said:#?}"
            );
            assert!(said.stdout.contains("ALPN protocol: http/1.1"), "{said:#?}");
            assert!(said.stdout.contains(name), "{said:#?}");
            // The end was announced (close_notify).
            assert!(!said.stdout.contains("unexpected eof"), "{said:#?}");
            said.stdout
        };
        assert!(say("-sess_out session").contains("New, "), "{name}");
        assert!(say("-sess_in session").contains("Reused, "), "{name}");
    }
    server.stop();
}

#[test]
fn each_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let file = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'https://*:0'
[runner.tls]
cert = ['first.pem', 'wild.pem', 'exact.pem']
";
    let mut folder = Folder::new().file("app.py", APP).file("app.ini", file);
    for (name, names) in [
        ("first.pem", &["first.test", "127.0.0.1"][..]),
        ("wild.pem", &["*.second.test"]),
        ("exact.pem", &["exact.second.test"]),
    ] {
        let (cert, key) = certificate(names);
        folder = folder.file(name, cert + &key);
    }
    let server = folder.runner(["runIni", "app.ini"]).start();
    let port = port(&server);
    for (host, trusted, accepts) in [
        ("first.test", "first.pem", true),
        ("any.second.test", "wild.pem", true),
        ("EXACT.second.test", "exact.pem", true),
        ("exact.second.test", "wild.pem", false),
        ("two.labels.second.test", "wild.pem", false),
        // Without a name, the first.
        ("127.0.0.1", "first.pem", true),
    ] {
        let resolve = format!("{host}:{port}:127.0.0.1");
        let url = format!("https://{host}:{port}/");
        let said = folder.curl(["--resolve", &resolve, "--cacert", trusted, &url]);
        assert_eq!(said.status == 0, accepts, "{host}: {said:#?}");
    }
    server.stop();
}

#[test]
fn a_reload_reads_the_certificate_again_and_keeps_connections() {
    let server = serving(FILE);
    let mut kept = client(&server, "cert.pem");
    ask(&mut kept);
    let (cert, key) = certificate(&["localhost"]);
    let write =
        |name: &str, text: &str| fs::write(server.folder().path(name), text).expect("a file");
    write("new.pem", &cert);
    // A key that does not belong to the certificate changes nothing.
    write("cert.pem", &cert);
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("is not that of the certificate"));
    write("key.pem", &key);
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    ask(&mut kept);
    ask(&mut client(&server, "new.pem"));
    server.stop();
}

#[test]
fn the_status_says_until_when_certificates_are_valid() {
    let server = serving(&format!("{FILE}[runner.status]\nurl = 'unix:control'\n"));
    let status = |format| {
        let asked = ["status", "--format", format, "app.ini"];
        server.folder().runner(asked).run().success().to_owned()
    };
    let certificates = || {
        let status: serde_json::Value = serde_json::from_str(&status("json")).expect("JSON");
        status["certificates"].clone()
    };
    let first = certificates();
    assert_eq!(first[0]["names"], serde_json::json!(["localhost"]));
    // That of rcgen is valid until 4096.
    assert!(first[0]["expires"].as_f64() > Some(6e10), "{first}");
    let shown = status("text");
    let line = "\n  the certificate for localhost is valid for ";
    assert!(shown.contains(line), "{shown}");
    let (cert, key) = certificate(&["a.test", "b.test"]);
    for (name, text) in [("cert.pem", cert), ("key.pem", key)] {
        fs::write(server.folder().path(name), text).expect("a file");
    }
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_eq!(
        certificates()[0]["names"],
        serde_json::json!(["a.test", "b.test"])
    );
    server.stop();
}

#[test]
fn http_without_tls_gets_a_page_that_says_so() {
    let server = serving(FILE);
    let reply = get(server.address(), "/");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("https://"), "{}", reply.text());
    // What is neither ends.
    let mut odd = Connection::open(server.address());
    odd.send(b"\0\0\0\0\0\0");
    odd.rest();
    ask(&mut client(&server, "cert.pem"));
    let outcome = server.stop();
    assert!(
        outcome.stderr.contains("it is not encrypted"),
        "{}",
        outcome.stderr
    );
}

/// It could read no answer before a handshake.
#[test]
fn a_client_with_too_many_connections_is_sent_nothing_in_clear_text() {
    let server = serving(&format!("{FILE}[runner.http]\nmax_per_address = 1\n"));
    let mut first = client(&server, "cert.pem");
    ask(&mut first);
    let mut second = Connection::open(server.address());
    assert_eq!(second.rest(), b"");
    ask(&mut first);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn connections_that_are_turned_away_are_counted() {
    let server = serving(&format!(
        "{FILE}[runner.http]\nmax_per_address = 1\n[runner.status]\nurl = 'unix:control'\n"
    ));
    let mut odd = Connection::open(server.address());
    odd.send(b"\0\0\0\0\0\0");
    odd.rest();
    let connections = || {
        let asked = ["status", "--format", "json", "app.ini"];
        let status = server.folder().runner(asked).run();
        let status: serde_json::Value = serde_json::from_str(status.success()).expect("JSON");
        status["connections"].clone()
    };
    Waits::until(
        || connections()["open"] == 0,
        || format!("it is open: {}", connections()),
    );
    let mut first = client(&server, "cert.pem");
    ask(&mut first);
    for _ in 0..2 {
        assert_eq!(Connection::open(server.address()).rest(), b"");
    }
    let expected = serde_json::json!({"max_per_address": 2, "max_connections": 0, "handshake": 1});
    assert_eq!(connections()["turned_away"], expected);
    let shown = server.folder().runner(["status", "app.ini"]).run();
    let line =
        "\nconnections turned away: 2 × runner.http.max_per_address, 1 × no agreement on TLS\n";
    assert!(shown.success().contains(line), "{}", shown.stdout);
    server.stop();
}

/// Clients that begin a handshake and say nothing more take no room from the others.
#[test]
fn handshakes_that_stall_displace_one_another() {
    let server = serving(&format!("{FILE}max_handshakes = 4\n"));
    let mut kept = client(&server, "cert.pem");
    ask(&mut kept);
    let stall = || {
        let mut stalled = Connection::open(server.address());
        stalled.send(b"\x16\x03\x01");
        stalled
    };
    let mut first = stall();
    let others: Vec<Connection> = (0..4).map(|_| stall()).collect();
    first.rest();
    ask(&mut kept);
    ask(&mut client(&server, "cert.pem"));
    drop(others);
    server.stop();
}

#[test]
fn large_bodies_arrive_as_they_were_sent_in_both_directions() {
    let server = serving(FILE);
    let folder = server.folder();
    let body: Vec<u8> = (0..40_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(folder.path("body"), &body).expect("a file");
    let send = [
        "--cacert",
        "cert.pem",
        "--data-binary",
        "@body",
        "--output",
        "back",
        server.url(),
    ];
    folder.curl(send).success();
    assert!(fs::read(folder.path("back")).expect("a file") == body);
    server.stop();
}

#[test]
fn a_handshake_has_its_time() {
    let server = serving(&format!("{FILE}handshake_timeout = '100ms'\n"));
    let mut stalled = Connection::open(server.address());
    stalled.send(b"\x16\x03\x01");
    assert_eq!(stalled.rest(), b"");
    server.wait_for_log(|log| log.contains("took too long (runner.tls.handshake_timeout)"));
    ask(&mut client(&server, "cert.pem"));
    server.stop();
}

#[test]
fn the_proxy_protocol_stands_before_the_handshake() {
    let server = serving(&format!(
        "{FILE}[runner.http]\ntrusted_proxies = ['127.0.0.1', '::1']\nproxy_protocol = True\n"
    ));
    let head = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 4433\r\n";
    let got = ask(&mut client_behind(&server, "cert.pem", head));
    assert!(got.ends_with("https on localhost 4433"), "{got}");
    // Without the head, it is no client.
    let mut without = Connection::open(server.address());
    without.send(b"\x16\x03\x01\0\xf0\x01\0\0\xec\x03\x03\0\0\0\0\0");
    assert_eq!(without.rest(), b"");
    server.stop();
}

#[test]
fn a_slow_client_holds_no_worker_and_gets_a_file_whole() {
    let app = "\
import os
def application(environ, start_response):
    headers = [('Content-Type', 'text/plain')]
    start_response('200 OK', headers)
    if environ['PATH_INFO'] == '/file':
        return environ['wsgi.file_wrapper'](open('large', 'rb'))
    if environ['PATH_INFO'] == '/blocks':
        return (b'%07d\\n' % n * 1000 for n in range(3000))
    return [b'https on']
";
    let file = FILE.replace("[runner.tls]", "[runner.workers]\nmax = 1\n[runner.tls]");
    let large: Vec<u8> = (0..24_000_000_u32).map(|n| (n % 251) as u8).collect();
    let folder = folder(&file).file("app.py", app).file("large", &large);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let blocks: Vec<u8> = (0..3000)
        .flat_map(|n| format!("{n:07}\n").repeat(1000).into_bytes())
        .collect();
    for (path, wanted) in [("/file", large), ("/blocks", blocks)] {
        let mut slow = client(&server, "cert.pem");
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        slow.write_all(request.as_bytes()).expect("a connection");
        let mut got = vec![0; 1000];
        slow.read_exact(&mut got).expect("the beginning");
        // The only worker is free.
        ask(&mut client(&server, "cert.pem"));
        slow.read_to_end(&mut got).expect("the rest");
        let head = memchr::memmem::find(&got, b"\r\n\r\n").expect("a head") + 4;
        assert!(got[head..] == wanted, "{path}");
    }
    server.stop();
}

/// A client that only sends no more gets its answer if that begins within a second, as without TLS, whether TLS says that it
/// ends or not.
#[test]
fn a_client_that_has_ended_its_side_is_waited_for_as_without_tls() {
    let app = "\
async def application(scope, receive, send):
    while scope['path'] == '/wait':
        if (await receive())['type'] == 'http.disconnect':
            return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'all of it'})
";
    let file = FILE.replace("WSGI", "ASGI") + "[runner.log]\naccess = 'common'\n";
    let folder = folder(&file).file("app.py", app);
    let server = folder.runner(["runIni", "app.ini"]).start();
    for says_so in [true, false] {
        for path in ["/", "/wait"] {
            let mut ended = client(&server, "cert.pem");
            let request = format!("GET {path}?{says_so} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            ended.write_all(request.as_bytes()).expect("a connection");
            if says_so {
                ended.conn.send_close_notify();
                ended.flush().expect("a connection");
            }
            ended.sock.shutdown(Shutdown::Write).expect("a connection");
            let mut got = String::new();
            // The end of what was given up is no end of TLS.
            let _ = ended.read_to_string(&mut got);
            assert_eq!(got.ends_with("all of it"), path == "/", "{says_so} {got}");
        }
        let given_up = format!("\"GET /wait?{says_so} HTTP/1.1\" 499 0\n");
        server.wait_for_log(|log| log.contains(&given_up));
    }
    server.stop();
}

#[test]
fn web_sockets_are_spoken_over_tls() {
    let app = "\
async def application(scope, receive, send):
    assert scope['type'] == 'websocket' and scope['scheme'] == 'wss'
    tls = scope['extensions']['tls']
    await receive()
    await send({'type': 'websocket.accept'})
    await send({'type': 'websocket.send', 'text': str(tls['tls_version'])})
    while True:
        message = await receive()
        if message['type'] == 'websocket.disconnect':
            break
        await send({'type': 'websocket.send', 'bytes': message['bytes']})
";
    let script = "\
import ssl, sys
from websockets.sync.client import connect
context = ssl.create_default_context(cafile='cert.pem')
with connect(sys.argv[1].replace('https', 'wss'), ssl=context, max_size=None) as socket:
    print(socket.recv())
    for size in 0, 1, 70_000, 3_000_000:
        sent = bytes(range(251)) * (size // 251) + b'x' * (size % 251)
        socket.send(sent)
        assert socket.recv() == sent, size
print('closed')
";
    let folder = folder(&FILE.replace("WSGI", "ASGI"))
        .file("app.py", app)
        .file("client.py", script);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let said = folder.program(python(), ["client.py", server.url()]).run();
    assert_eq!(said.success(), "772\nclosed\n", "{}", server.log());
    server.stop();
}
