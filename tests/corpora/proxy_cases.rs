//! Servers behind `upstream http`: Go's `net/http/httputil/reverseproxy_test.go`, nginx-tests' `proxy*.t`.

use crate::support::http::{Connection, request};
use crate::support::scripted::{Scripted, field, text};
use crate::support::{Folder, Server};
use crate::wire;

/// `runner` before a server.
#[track_caller]
fn before(server: &Scripted) -> Server {
    let words = ["serve", "tcp://127.0.0.1:0", "upstream", &server.url()];
    Folder::new().runner(words).start()
}

/// The fields that a server gets: `reverseproxy_test.go` TestReverseProxy, TestReverseProxyStripHeadersPresentInConnection,
/// TestXForwardedFor, TestXForwardedFor_Omit, TestUserAgentHeader, TestReverseProxyQuery, TestReverseProxy_NilBody.
#[test]
fn a_server_gets_what_is_meant_for_it() {
    let server = Scripted::answering(|head| text(&head.to_ascii_lowercase()));
    let runner = before(&server);
    for (source, sent, expected) in [
        ("TestReverseProxy", "Connection: close", None),
        (
            "TestReverseProxy",
            "Proxy-Connection: should be deleted",
            None,
        ),
        ("TestReverseProxy", "Upgrade: foo", None),
        ("TestReverseProxy", "Keep-Alive: timeout=5", None),
        ("TestReverseProxy", "Transfer-Encoding: chunked", None),
        // No trailers are passed on, so that none is asked for.
        ("TestReverseProxy", "Te: trailers", None),
        ("TestReverseProxy", "X-Foo: bar", Some("x-foo: bar")),
        (
            "TestReverseProxyStripHeadersPresentInConnection",
            "X-Fake-Connection-Token: deleted",
            None,
        ),
        (
            "TestReverseProxyStripHeadersPresentInConnection",
            "X-Some-Conn-Header: deleted",
            None,
        ),
        // Of a client that is not trusted, and of an attacker.
        (
            "TestXForwardedFor",
            "X-Forwarded-For: client ip",
            Some("x-forwarded-for: 127.0.0.1"),
        ),
        (
            "TestUserAgentHeader",
            "User-Agent: explicit UA",
            Some("user-agent: explicit ua"),
        ),
        (
            "TestUserAgentHeader",
            "X-A: no user agent",
            Some("x-a: no user agent"),
        ),
        (
            "TestReverseProxyQuery",
            "Host: some-name",
            Some("host: some-name"),
        ),
    ] {
        let (name, _) = sent.split_once(':').expect("a field");
        let host = match name {
            "Host" => "",
            _ => "Host: localhost\r\n",
        };
        let body = match name {
            "Transfer-Encoding" => "0\r\n\r\n",
            _ => "",
        };
        let mut connection = Connection::open(runner.address());
        connection.send(
            format!(
                "GET /?sta=tic&us=er HTTP/1.1\r\n{host}\
                 Connection: X-Fake-Connection-Token, x-some-conn-header\r\n{sent}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        let head = connection.reply("GET").ok();
        assert!(
            head.starts_with("get /?sta=tic&us=er http/1.1\r\n"),
            "{source}: {head}"
        );
        let name = name.to_ascii_lowercase();
        let found = field(&head, &name).map(|value| format!("{name}: {value}"));
        assert_eq!(found.as_deref(), expected, "{source}: {head}");
        let agent = field(&head, "user-agent").is_some();
        assert_eq!(agent, name == "user-agent", "{source}: {head}");
        assert_eq!(field(&head, "content-length"), None, "{source}: {head}");
    }
}

/// The fields that a client gets: the same tests, and `proxy_chunked.t`.
#[test]
fn a_client_gets_what_is_meant_for_it() {
    let server = Scripted::answering(|_| {
        wire(
            "HTTP/1.1 404 Gone Fishing\nTrailers: not a special field\nTrailer: X-Trailer\nX-Foo: bar\nUpgrade: foo\n\
             X-Multi-Value: foo\nX-Multi-Value: bar\nSet-Cookie: flavor=chocolateChip\nSet-Cookie: size=large\n\
             Connection: X-Some-Conn-Header, X-Fake-Connection-Token\nX-Some-Conn-Header: deleted\n\
             X-Fake-Connection-Token: deleted\nKeep-Alive: timeout=5\nTransfer-Encoding: chunked\n\n\
             8\nSEE-THIS\n0\nX-Trailer: value\n\n",
        )
    });
    let runner = before(&server);
    let reply = runner.get("/");
    assert_eq!(
        (reply.status, &*reply.reason, &*reply.text()),
        (404, "Gone Fishing", "SEE-THIS")
    );
    for (name, values) in [
        ("trailers", &["not a special field"][..]),
        ("trailer", &[]),
        ("x-foo", &["bar"]),
        ("upgrade", &[]),
        ("x-multi-value", &["foo", "bar"]),
        ("set-cookie", &["flavor=chocolateChip", "size=large"]),
        ("x-some-conn-header", &[]),
        ("x-fake-connection-token", &[]),
        ("keep-alive", &[]),
        ("x-trailer", &[]),
    ] {
        assert_eq!(reply.all(name), values, "{name}: {reply:#?}");
    }
}

/// How a response ends, and whether the next one comes by the same connection: `proxy_extra_data.t`, `proxy_keepalive.t`,
/// `proxy.t`, `reverseproxy_test.go` TestReverseProxy_CopyBuffer.
struct Ending {
    source: &'static str,
    method: &'static str,
    /// What the server sends; it closes the connection if `closes`.
    sent: &'static str,
    closes: bool,
    status: u16,
    text: &'static str,
    is_kept: bool,
}

const WHOLE: Ending = Ending {
    source: "",
    method: "GET",
    sent: "",
    closes: false,
    status: 200,
    text: "SEE-THIS",
    is_kept: true,
};

const ENDINGS: &[Ending] = &[
    Ending {
        source: "proxy_keepalive.t length",
        sent: "HTTP/1.1 200 OK\nContent-Length: 8\n\nSEE-THIS",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t length, HEAD",
        method: "HEAD",
        sent: "HTTP/1.1 200 OK\nContent-Length: 8\n\n",
        text: "",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t chunked",
        sent: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\nSEE-THIS\n0\n\n",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t complex",
        sent: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nS\n1\nE\n1;name=value\nE\n005\n-THIS\n0\n\n",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t chunk0",
        sent: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n",
        text: "",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t empty",
        sent: "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        text: "",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t 304nolen",
        sent: "HTTP/1.1 304 Not Modified\n\n",
        status: 304,
        text: "",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t 304len",
        sent: "HTTP/1.1 304 Not Modified\nContent-Length: 100\n\n",
        status: 304,
        text: "",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t extension",
        sent: "HTTP/1.1 200 OK\nConnection: x-close\nContent-Length: 8\n\nSEE-THIS",
        ..WHOLE
    },
    Ending {
        source: "proxy_keepalive.t closed",
        sent: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 8\n\nSEE-THIS",
        closes: true,
        is_kept: false,
        ..WHOLE
    },
    Ending {
        source: "proxy.t /, a head with line feeds alone and a body until the connection ends",
        sent: "LF HTTP/1.1 200 OK\nConnection: close\n\nSEE-THIS",
        closes: true,
        is_kept: false,
        ..WHOLE
    },
    Ending {
        source: "proxy_extra_data.t /",
        sent: "HTTP/1.1 200 OK\nContent-Length: 8\n\nSEE-THIS-BUT-NOT-THIS",
        closes: true,
        is_kept: false,
        ..WHOLE
    },
    Ending {
        source: "proxy_extra_data.t /zero",
        sent: "HTTP/1.1 200 OK\nContent-Length: 0\n\nNOT-THIS",
        closes: true,
        text: "",
        is_kept: false,
        ..WHOLE
    },
    Ending {
        source: "proxy_extra_data.t /, HEAD",
        method: "HEAD",
        sent: "HTTP/1.1 200 OK\nContent-Length: 8\n\nSEE-THIS-BUT-NOT-THIS",
        closes: true,
        text: "",
        is_kept: false,
        ..WHOLE
    },
    Ending {
        // What ends before runner has begun to answer is no response at all; nginx has sent the head by then.
        source: "proxy_extra_data.t /empty",
        sent: "HTTP/1.1 200 OK\nContent-Length: 100\n\n",
        closes: true,
        status: 502,
        text: "502 Bad Gateway\n",
        is_kept: false,
        ..WHOLE
    },
    Ending {
        source: "proxy_extra_data.t /empty, HEAD",
        method: "HEAD",
        sent: "HTTP/1.1 200 OK\nContent-Length: 100\n\n",
        closes: true,
        text: "",
        is_kept: false,
        ..WHOLE
    },
];

#[test]
fn a_response_ends_where_it_says() {
    for ending in ENDINGS {
        let server = Scripted::start(move |_, mut client| {
            while client.head().is_some() {
                match ending.sent.strip_prefix("LF ") {
                    Some(bare) => client.send(bare.as_bytes()),
                    None => client.send(&wire(ending.sent)),
                };
                if ending.closes {
                    return client.close();
                }
            }
        });
        let runner = before(&server);
        for asked in 1..=2 {
            let reply = request(runner.address(), ending.method, "/", &[], b"");
            let found = (reply.status, &*reply.text(), reply.complete);
            let expected = (ending.status, ending.text, true);
            assert_eq!(found, expected, "{}: {}", ending.source, runner.log());
            let connections = if ending.is_kept { 1 } else { asked };
            assert_eq!(server.connections(), connections, "{}", ending.source);
        }
        assert_eq!(runner.stop().status, 0);
    }
}

/// `proxy_extra_data.t /short`, `reverseproxy_test.go` TestReverseProxy_CopyBuffer: a part is not taken for the whole, however
/// much of it has come.
#[test]
fn a_response_that_is_too_short_is_broken_off() {
    for length in [1, 100_000] {
        let server = Scripted::start(move |_, mut client| {
            client.head();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * length);
            client.send(&[head.as_bytes(), &vec![b'x'; length]].concat());
            client.close();
        });
        let runner = before(&server);
        let reply = runner.get("/");
        let is_told = reply.status == 502 || (reply.status == 200 && !reply.complete);
        assert!(is_told, "{length}: {reply:?}");
        runner.wait_for_log(|log| log.contains("broke"));
        assert_eq!(runner.stop().status, 0);
    }
}

/// `reverseproxy_test.go` TestReverseProxy_Post: a body of 1 MiB.
#[test]
fn a_body_goes_on_whole() {
    let server = Scripted::start(|_, mut client| {
        while let Some(head) = client.head() {
            let body = client.body_of(&head);
            let is_whole = body.len() == 1 << 20 && body.iter().all(|byte| *byte == b'a');
            client.send(&text(&format!(
                "{is_whole} {:?}",
                field(&head, "transfer-encoding")
            )));
        }
    });
    let runner = before(&server);
    let reply = request(runner.address(), "POST", "/", &[], &vec![b'a'; 1 << 20]);
    assert_eq!(reply.ok(), "true None");
    assert_eq!(runner.stop().status, 0);
}
