//! Requests as ASGI workers get them: Python's `marshal` reads what was meant.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use runner::interface::body_file::BodyFile;
use runner::interface::{Connection, Request, RequestBody, Scheme, TlsClient, TlsConnection};
use runner::protocol::worker::frame::{HEADER, RequestFrame};
use runner::protocol::worker::known_heads::KnownHeads;

/// Prints the flags and the payload of each frame.
const READ: &str = "\
import marshal, struct, sys
data = sys.stdin.buffer.read()
while data:
    length, number, _, order, flags, slot, _ = struct.unpack_from('<IIIBBHI', data)
    print(number, order, flags, marshal.loads(data[20:20 + length]))
    data = data[20 + length:]
";

/// The requests as Python reads them, sent one after the other on one lane.
fn read(requests: &[Request]) -> Vec<String> {
    let mut heads = KnownHeads::default();
    let mut frames = Vec::new();
    for (number, request) in (1..).zip(requests) {
        RequestFrame::asgi(request).write(number, false, &mut heads, &mut frames);
    }
    assert!(frames.len() >= HEADER * requests.len());
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(&frames).expect("written");
    drop(input);
    let output = python.wait_with_output().expect("ended");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

fn headers(fields: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    headers
}

#[test]
fn a_scope_has_its_types() {
    let plain = Request {
        target: Bytes::from_static(b"/a%20b/%C3%A4%ff?x=%31&y"),
        path_info: Bytes::from_static(b"/a b/\xc3\xa4\xff"),
        query: Bytes::from_static(b"x=%31&y"),
        headers: headers(&[
            ("Host", b"example.org:81"),
            ("X-Twice", b"1"),
            ("X-Twice", b"\xe4"),
            ("X_Twice", b"forged"),
            ("Cookie", b"a=b; c=d"),
            ("Connection", b"keep-alive"),
        ]),
        connection: Arc::new(Connection {
            scheme: Scheme::Https,
            server_name: "[::2]".to_owned(),
            server_port: "81".to_owned(),
            remote_addr: "::1".to_owned().into(),
            remote_port: "65535".to_owned(),
            tls: Some(Arc::new(TlsConnection {
                version: 0x0304,
                cipher_suite: 0x1302,
                variables: Vec::new(),
                client: Some(TlsClient {
                    name: "CN=Ada".to_owned(),
                    chain: vec!["first".to_owned(), "second".to_owned()],
                }),
            })),
            ..Connection::default()
        }),
        ..Request::default()
    };
    let common = r"('https', '1.1', ('::2', 81), [(b'host', b'example.org:81'), (b'x-twice', b'1'), (b'x-twice', b'\xe4'), (b'cookie', b'a=b; c=d'), (b'connection', b'keep-alive')], (('first', 'second'), 'CN=Ada', 772, 4866))";
    let own = r"('GET', '/a b/ä�', b'/a%20b/%C3%A4%ff', b'x=%31&y', '', '::1', 65535, None, b'')";
    let copy = || Request {
        target: plain.target.clone(),
        path_info: plain.path_info.clone(),
        query: plain.query.clone(),
        headers: plain.headers.clone(),
        connection: Arc::clone(&plain.connection),
        ..Request::default()
    };
    // The lane is to keep what the second has in common with the first, and has it for the third.
    assert_eq!(
        read(&[copy(), copy(), copy()]),
        [
            format!("1 0 0 ({common}, {own})"),
            format!("2 0 8 ({common}, {own})"),
            format!("3 0 4 {own}"),
        ]
    );
}

#[test]
fn a_unix_socket_has_a_path_and_no_port() {
    let request = Request {
        connection: Arc::new(Connection {
            server_name: "localhost".to_owned(),
            server_port: "80".to_owned(),
            server_socket: Some("/run/shop.sock".into()),
            ..Connection::default()
        }),
        ..Request::default()
    };
    let seen = &read(&[request])[0];
    assert!(
        seen.contains("('http', '1.1', ('/run/shop.sock', None), []"),
        "{seen}"
    );
}

#[test]
fn bodies_mounts_and_unknown_clients() {
    let post = |length: Option<&[u8]>, body| {
        let fields: Vec<(&str, &[u8])> = length
            .into_iter()
            .map(|it| ("Content-Length", it))
            .collect();
        Request {
            method: Method::POST,
            version: Version::HTTP_10,
            target: Bytes::from_static(b"/shop/%7e"),
            script_name: Bytes::from_static(b"/shop"),
            path_info: Bytes::from_static(b"/~"),
            headers: headers(&fields),
            body,
            ..Request::default()
        }
    };
    let mut chunked = post(None, RequestBody::Bytes(Bytes::from_static(b"abc")));
    chunked.headers = headers(&[("Transfer-Encoding", b"chunked")]);
    let file = RequestBody::File {
        file: BodyFile::in_memory().expect("a file"),
        length: 70_000,
    };
    let mut offer = Request {
        offers_web_socket: true,
        headers: headers(&[("Upgrade", b"websocket")]),
        ..Request::default()
    };
    offer.target = Bytes::from_static(b"/ws");
    offer.path_info = offer.target.clone();
    let common = |fields: &str| format!("('http', '1.0', ('', 0), [{fields}], None)");
    let own = |length: &str, body: &str| {
        format!("('POST', '/shop/~', b'/shop/%7e', b'', '/shop', None, 0, {length}, {body})")
    };
    assert_eq!(
        read(&[
            post(Some(b"3"), RequestBody::Bytes(Bytes::from_static(b"abc"))),
            post(Some(b"0"), RequestBody::Empty),
            post(None, RequestBody::Empty),
            chunked,
            post(Some(b"70000"), file),
            offer,
        ]),
        [
            format!("1 0 0 ({}, {})", common(""), own("b'3'", "b'abc'")),
            format!("2 0 8 ({}, {})", common(""), own("b'0'", "b''")),
            format!("3 0 4 {}", own("None", "b''")),
            format!("4 0 4 {}", own("b'3'", "b'abc'")),
            format!("5 0 5 {}", own("b'70000'", "None")),
            "6 0 32 (('http', '1.1', ('', 0), [(b'upgrade', b'websocket')], None), \
             ('GET', '/ws', b'/ws', b'', '', None, 0, None, b''))"
                .to_owned(),
        ]
    );
}
