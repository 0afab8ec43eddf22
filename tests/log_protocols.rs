//! What the log says of TLS and HTTP/2: what clients have done that do not keep to them, with the words of the library behind
//! it, and WebSockets on streams.

mod support;

use support::http::Connection;
use support::{Folder, Server};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const DATA: u8 = 0;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /` for the host `a`, by the static table of HPACK and a literal.
const GET: &[u8] = b"\x82\x84\x86\x41\x01a";

const APP: &str = "\
def wsgi(environ, start_response):
    start_response('200 OK', [])
    return [b'hello']

async def asgi(scope, receive, send):
    await receive()
    await send({'type': 'websocket.accept'})
    await send({'type': 'websocket.close'})
";

fn serve(kind: &str, url: &str, settings: &str) -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("names");
    let name = kind.to_lowercase();
    let file = format!(
        "app = commands.Alias(command=['serve', '{kind}', 'import:app.{name}'])\nurl = '{url}'\n{settings}"
    );
    let certificate = made.cert.pem() + &made.signing_key.serialize_pem();
    Folder::new()
        .file("app.py", APP)
        .file("app.ini", file)
        .file("cert.pem", certificate)
        .runner(["runIni", "app.ini"])
        .start()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [high, middle, low, kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A field that no table has.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("short");
    [
        &[0, length(name)],
        name.as_bytes(),
        &[length(value)],
        value.as_bytes(),
    ]
    .concat()
}

/// A client that has begun with HTTP/2.
fn begin(server: &Server) -> Connection {
    let mut client = Connection::open(server.address());
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(&frame(SETTINGS, 0, 0, &[]));
    client
}

#[test]
fn each_request_that_http_2_refuses_has_a_line() {
    let server = serve("WSGI", "tcp://127.0.0.1:0", "runner.http.max_streams = 1\n");
    let whole = END_HEADERS | END_STREAM;
    let malformed = [GET, &field("connection", "close")].concat();
    let widest = 0x7fff_ffff_u32.to_be_bytes();
    for (frames, reason) in [
        (
            vec![frame(HEADERS, whole, 1, &malformed)],
            "it is malformed (RST_STREAM with PROTOCOL_ERROR)",
        ),
        (
            vec![
                frame(HEADERS, END_HEADERS, 1, GET),
                frame(WINDOW_UPDATE, 0, 1, &widest),
            ],
            "a window of its stream is exceeded (RST_STREAM with FLOW_CONTROL_ERROR)",
        ),
        (
            vec![
                frame(HEADERS, END_HEADERS, 1, GET),
                frame(HEADERS, whole, 3, GET),
            ],
            "too many of its client are under way (RST_STREAM with REFUSED_STREAM, runner.http.max_streams)",
        ),
    ] {
        let mut client = begin(&server);
        client.send(&frames.concat());
        let said = format!("runner: refused a request from 127.0.0.1: {reason}\n");
        server.wait_for_log(|log| log.contains(&said));
    }
    let mut client = begin(&server);
    client.send(&frame(HEADERS, whole, 1, GET));
    client.until("hello");
    client.send(&frame(DATA, END_STREAM, 1, b"more"));
    let said = "something comes behind its end (RST_STREAM with STREAM_CLOSED)\n";
    server.wait_for_log(|log| log.contains(said));
    server.stop();
}

#[test]
fn a_connection_that_http_2_ends_has_a_line() {
    let server = serve("WSGI", "tcp://127.0.0.1:0", "");
    let whole = END_HEADERS | END_STREAM;
    for (frames, reason) in [
        (
            frame(HEADERS, whole, 1, &[GET, &field("X-Upper", "a")].concat()),
            "it sends a frame, or the name or value of a field, that HTTP/2 does not allow (connection error detected: ",
        ),
        (
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            "it exceeds a window of HTTP/2 (connection error detected: ",
        ),
        (
            frame(DATA, 0, 1, &[0; 16_385]),
            "it sends a frame of HTTP/2 of a wrong size (connection error detected: ",
        ),
    ] {
        let mut client = begin(&server);
        client.send(&frames);
        client.rest();
        let said = format!("runner: closed the HTTP/2 connection from 127.0.0.1: {reason}");
        server.wait_for_log(|log| log.contains(&said));
    }
    server.stop();
}

#[test]
fn a_handshake_that_fails_has_a_line() {
    let settings = "runner.tls.cert = 'cert.pem'\n";
    let server = serve("WSGI", "https://localhost:0", settings);
    // It does not know the certificate.
    assert_eq!(server.folder().curl([server.url()]).status, 60);
    let mut client = Connection::open(server.address());
    client.send(b"*1\r\n$4\r\nPING\r\n");
    client.rest();
    for reason in [
        "the client does not know the authority of the server's certificate (received fatal alert: UnknownCA)",
        "the client speaks something else than TLS (received corrupt message of type InvalidContentType)",
    ] {
        server.wait_for_log(|log| log.contains(&format!(": {reason}\n")));
    }
    server.stop();
}

/// As other servers write it, and as the same WebSocket by HTTP/1.1 has it.
#[test]
fn a_web_socket_on_a_stream_is_logged_as_any_other() {
    let server = serve(
        "ASGI",
        "tcp://127.0.0.1:0",
        "runner.log.access = 'common'\n",
    );
    let head: Vec<u8> = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/socket"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
    ]
    .iter()
    .flat_map(|(name, value)| field(name, value))
    .collect();
    let mut client = begin(&server);
    client.send(&frame(HEADERS, END_HEADERS, 1, &head));
    // A close frame (RFC 6455 §5.5.1).
    client.send(&frame(DATA, END_STREAM, 1, b"\x88\x80\0\0\0\0"));
    server.wait_for_log(|log| log.contains("\"GET /socket HTTP/2.0\" 101 "));
    server.stop();
}
