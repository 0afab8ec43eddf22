//! Responses that are compressed for their clients, and those that are not.

mod support;

use std::io::Read;

use support::http::{Connection, Reply, request};
use support::{Folder, Server};

const LINE: &str = "<p>The quick brown fox jumps over the lazy dog.</p>\n";

fn serve(compress: &str) -> Server {
    Folder::new()
        .copy("tests/apps/texts.py")
        .file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['serve', 'WSGI', 'import:texts.application'])\n\
                 url = 'tcp://127.0.0.1:0'\n\
                 runner.http.compress = {compress}\n\
                 [runner.workers]\nmin = 1\nmax = 1\nthreads = 2\n"
            ),
        )
        .runner(["runIni", "app.ini"])
        .start()
}

const ALL: &str = "['br', 'zstd', 'gzip']";

fn ask(server: &Server, method: &str, target: &str, accept: &str) -> Reply {
    let accept = format!("Accept-Encoding: {accept}");
    request(server.address(), method, target, &[&accept], b"")
}

/// The body before it was compressed, as far as it came.
fn plain(coding: Option<&str>, body: &[u8]) -> String {
    let mut text = Vec::new();
    let mut decoder: Box<dyn Read + '_> = match coding {
        None => Box::new(body),
        Some("br") => Box::new(brotli::Decompressor::new(body, 4096)),
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(body).expect("memory")),
        Some("gzip") => Box::new(flate2::read::MultiGzDecoder::new(body)),
        Some(other) => panic!("what is {other}?"),
    };
    // A part of a body ends too early.
    let _ = decoder.read_to_end(&mut text);
    String::from_utf8(text).expect("text")
}

#[test]
fn texts_are_compressed_as_the_client_likes() {
    let server = serve(ALL);
    for path in ["/", "/pieces"] {
        for (lines, lengths) in [(25, ["", "&length="]), (2000, ["", "&length="])] {
            for length in lengths {
                let target = format!("{path}?lines={lines}&Content-Type=text/html{length}");
                for (accept, coding) in [
                    ("gzip, deflate, br, zstd", Some("br")),
                    ("gzip, zstd", Some("zstd")),
                    ("gzip, br;q=0.1", Some("gzip")),
                    ("deflate", None),
                    ("identity", None),
                ] {
                    let reply = ask(&server, "GET", &target, accept);
                    let about = format!("{target} {accept}\n{:?}", reply.headers);
                    assert!(reply.status == 200 && reply.complete, "{about}");
                    assert_eq!(reply.header("content-encoding"), coding, "{about}");
                    assert_eq!(reply.header("vary"), Some("accept-encoding"), "{about}");
                    assert_eq!(plain(coding, &reply.body), LINE.repeat(lines), "{about}");
                    let is_shorter = reply.body.len() < LINE.len() * lines / 4;
                    assert_eq!(is_shorter, coding.is_some(), "{about}");
                    let head = ask(&server, "HEAD", &target, accept);
                    if length.is_empty() {
                        continue;
                    }
                    for field in ["content-encoding", "vary", "content-type"] {
                        assert_eq!(head.header(field), reply.header(field), "{about}");
                    }
                    assert!(
                        coding.is_none() || head.header("content-length").is_none(),
                        "{about}"
                    );
                }
                // Without the field, the client has said nothing about codings.
                let reply = request(server.address(), "GET", &target, &[], b"");
                assert_eq!(reply.header("content-encoding"), None);
            }
        }
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn what_would_be_wrong_or_useless_is_not_compressed() {
    let server = serve(ALL);
    for (query, coding, vary) in [
        (
            "lines=100&Content-Type=text/css;%20charset=utf-8",
            true,
            true,
        ),
        ("lines=100&Content-Type=Application/JSON", true, true),
        (
            "lines=100&Content-Type=application/problem%2Bjson",
            true,
            true,
        ),
        ("lines=100&Content-Type=image/svg%2Bxml", true, true),
        (
            "lines=100&Content-Type=text/html&status=404%20Not%20Found",
            true,
            true,
        ),
        ("lines=19&Content-Type=text/html", false, false),
        ("lines=100&Content-Type=image/png", false, false),
        ("lines=100&Content-Type=text/event-stream", false, false),
        ("lines=100", false, false),
        (
            "lines=100&Content-Type=text/html&Content-Encoding=deflate",
            false,
            false,
        ),
        (
            "lines=100&Content-Type=text/html&Cache-Control=public,No-Transform",
            false,
            false,
        ),
        (
            "lines=100&Content-Type=text/html&Content-Range=bytes%200-5199/9000&status=206%20Part",
            false,
            false,
        ),
        (
            "lines=100&Content-Type=text/html&Content-Digest=x",
            false,
            false,
        ),
        (
            "lines=100&Content-Type=text/html&Vary=cookie,%20Accept-Encoding",
            true,
            false,
        ),
        ("lines=100&Content-Type=text/html&Vary=*", true, false),
    ] {
        let reply = ask(&server, "GET", &format!("/?{query}"), "gzip");
        let found = reply.header("content-encoding") == Some("gzip");
        assert_eq!(found, coding, "{query} {:?}", reply.headers);
        let found = reply.all("vary").contains(&"accept-encoding");
        assert_eq!(found, vary, "{query} {:?}", reply.headers);
    }
    for (tag, expected) in [("%22a%22", "W/\"a\""), ("W/%22a%22", "W/\"a\"")] {
        let target = format!("/?lines=100&Content-Type=text/html&ETag={tag}&Accept-Ranges=bytes");
        let reply = ask(&server, "GET", &target, "gzip");
        assert_eq!(reply.header("etag"), Some(expected));
        assert_eq!(reply.header("accept-ranges"), None);
        let reply = ask(&server, "GET", &target, "identity");
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    }
    assert_eq!(server.stop().status, 0);
    // Nothing is compressed, or said about it, unless the setting says so.
    let server = serve("[]");
    let reply = ask(&server, "GET", "/?lines=100&Content-Type=text/html", "gzip");
    assert_eq!(reply.header("vary"), None);
    assert_eq!(reply.ok(), LINE.repeat(100));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn each_part_of_a_stream_reaches_the_client_when_it_is_there() {
    for coding in ["br", "zstd", "gzip"] {
        let server = serve(ALL);
        let mut client = Connection::open(server.address());
        client.send(
            format!(
                "GET /steps?lines=3&Content-Type=text/html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n"
            )
            .as_bytes(),
        );
        client.until("\r\n\r\n");
        let mut body = Vec::new();
        for lines in 1..=3 {
            while plain(Some(coding), &body).len() < lines * LINE.len() {
                body.extend(client.chunk().expect("another chunk"));
            }
            assert_eq!(plain(Some(coding), &body), LINE.repeat(lines));
            server.get("/next").ok();
        }
        let last: Vec<u8> =
            std::iter::from_fn(|| client.chunk().ok().filter(|chunk| !chunk.is_empty()))
                .flatten()
                .collect();
        body.extend(last);
        assert_eq!(plain(Some(coding), &body), LINE.repeat(3));
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let server = serve(ALL);
    for lines in [30, 3000] {
        for accept in ["br", "zstd", "gzip"] {
            let target = format!("/cut?lines={lines}&Content-Type=text/html");
            let reply = ask(&server, "GET", &target, accept);
            assert_eq!(reply.header("content-encoding"), Some(accept));
            assert!(!reply.complete);
            // Too short and too long for what was announced.
            let target = format!("/?lines={lines}&Content-Type=text/html&length=1000000");
            assert!(!ask(&server, "GET", &target, accept).complete);
            let target = format!("/?lines={lines}&Content-Type=text/html&length=1040");
            let reply = ask(&server, "GET", &target, accept);
            assert_eq!(plain(Some(accept), &reply.body), LINE.repeat(20));
        }
    }
    assert_eq!(server.stop().status, 0);
}

/// Version 1.0 has no chunks: the end of the connection is the end of the body.
#[test]
fn an_old_client_gets_a_whole_body_and_the_end_of_the_connection() {
    let server = serve(ALL);
    for lines in [30, 3000] {
        let mut client = Connection::open(server.address());
        client.send(
            format!("GET /?lines={lines}&Content-Type=text/html HTTP/1.0\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n")
                .as_bytes(),
        );
        let reply = client.reply("GET");
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        assert_eq!(plain(Some("gzip"), &reply.body), LINE.repeat(lines));
    }
    assert_eq!(server.stop().status, 0);
}
