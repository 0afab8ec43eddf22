//! FastCGI: Go's `net/http/fcgi/fcgi_test.go`, Caddy's `fastcgi_test.go`, nginx-tests' `fastcgi*.t`.

use bytes::BytesMut;
use runner::protocol::fastcgi::record::{
    Pairs, ProtocolStatus, RecordKind, put_pair, put_records, take_record,
};

use crate::fake_application::{
    FakeApplication, Processes, Reaction, end, error_text, output, page, whole,
};
use crate::support::http::request;
use crate::support::{Folder, Server};

/// `runner` in front of an application at `app.sock`.
fn serve(folder: &Folder, words: &[&str]) -> Server {
    let serve = [
        "serve",
        "tcp://127.0.0.1:0",
        "upstream",
        "fastcgi+unix:app.sock",
    ];
    folder.runner(serve.iter().chain(words)).start()
}

/// `fcgi_test.go` TestSize: the length of a name, and how it is written.
#[test]
fn lengths_are_written_in_one_byte_or_four() {
    let cases: &[(usize, &[u8])] = &[
        (0, &[0x00]),
        (127, &[0x7f]),
        (128, &[0x80, 0x00, 0x00, 0x80]),
        (1000, &[0x80, 0x00, 0x03, 0xe8]),
        (33_554_431, &[0x81, 0xff, 0xff, 0xff]),
    ];
    for (length, bytes) in cases {
        let name = vec![b'x'; *length];
        let mut pair = BytesMut::new();
        put_pair(&mut pair, &name, b"v");
        assert_eq!(&pair[..bytes.len()], *bytes, "{length}");
        let pairs: Vec<_> = Pairs::new(&pair).map(|it| it.expect("a pair")).collect();
        assert!(pairs == [(&name[..], &b"v"[..])], "{length}");
    }
}

/// `fcgi_test.go` TestStreams: content, and the sizes of the records that it becomes.
#[test]
fn long_content_is_several_records() {
    for (kind, id, length, records) in [
        (RecordKind::Stdout, 1, 0, 1),
        (RecordKind::Stdin, 300, 66_000, 2),
    ] {
        let mut bytes = BytesMut::new();
        put_records(&mut bytes, kind, id, &vec![0; length][..]);
        assert!(bytes.len().is_multiple_of(8), "records are padded");
        let mut taken = Vec::new();
        while let Some(record) = take_record(&mut bytes).expect("records") {
            assert_eq!((record.kind, record.id), (kind as u8, id));
            taken.push(record.content.len());
        }
        assert_eq!((taken.len(), taken.iter().sum()), (records, length));
    }
}

/// `fastcgi_test.go` TestSplitPos, TestSplitPosUnicodeSecurityRegression, TestSplitPosSecurityRegressionUnicodeBypass: what of
/// a path is the script, and what its `PATH_INFO`.
const SPLITS: &[(&str, Option<(&str, &str)>)] = &[
    ("/path/to/script.php", Some(("/path/to/script.php", ""))),
    (
        "/path/to/script.php/some/path",
        Some(("/path/to/script.php", "/some/path")),
    ),
    ("/path/to/script.PHP", Some(("/path/to/script.PHP", ""))),
    (
        "/path/to/script.PhP/info",
        Some(("/path/to/script.PhP", "/info")),
    ),
    ("/path/to/script.txt", None),
    ("/path/to/script.phtml", Some(("/path/to/script.phtml", ""))),
    // U+023A is longer in lower case.
    ("/ȺȺȺȺshell.php", Some(("/ȺȺȺȺshell.php", ""))),
    (
        "/ȺȺȺȺshell.php/path/info",
        Some(("/ȺȺȺȺshell.php", "/path/info")),
    ),
    ("/ȺȺȺȺshell.PHP", Some(("/ȺȺȺȺshell.PHP", ""))),
    (
        "/path/Ⱥtest/script.php",
        Some(("/path/Ⱥtest/script.php", "")),
    ),
    ("/Ⱥ/script.php", Some(("/Ⱥ/script.php", ""))),
    ("/İtest.php", Some(("/İtest.php", ""))),
    (
        "/PATH/TO/SCRIPT.PHP/INFO",
        Some(("/PATH/TO/SCRIPT.PHP", "/INFO")),
    ),
    ("/index.php", Some(("/index.php", ""))),
    // Caddy splits these within a name, and asks PHP for a script that is another file. Here a script ends with its segment.
    (
        "/ȺȺȺȺshell.php.txt.php",
        Some(("/ȺȺȺȺshell.php.txt.php", "")),
    ),
    ("/test.php.bak", None),
    ("/PoC-match-unset.¡.txt", None),
    ("/script.p\u{a1}p", None),
    ("/shell﹒php", None),
    ("/shell．php", None),
    ("/shell.ｐhp", None),
    ("/shell.pｈp", None),
    ("/shell.phｐ", None),
    ("/shell.\u{1d5c1}\u{1d5b5}\u{1d5c1}", None),
    ("/shell.\u{1d5fd}\u{1d5f5}\u{1d5fd}", None),
    ("/shell.\u{1d4c5}\u{1d4bd}\u{1d4c5}", None),
    ("/shell.ⓟⓗⓟ", None),
    (
        "/shell.ⓟⓗⓟ.anything-after-payload.php",
        Some(("/shell.ⓟⓗⓟ.anything-after-payload.php", "")),
    ),
];

/// Each file is there, so that only its name decides.
#[test]
fn paths_are_split_where_a_script_ends() {
    let folder = Folder::new();
    let root = folder.path("root");
    for (path, script) in SPLITS {
        let file = script.map_or(*path, |(script, _)| script);
        folder.clone().file(format!("root{file}"), "");
    }
    let _application = FakeApplication::start(&folder.path("app.sock"), Processes::Many, |asked| {
        let names = ["SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME"];
        page(&names.map(|name| asked.param(name)).join("|"))
    });
    let words = ["--root", "root", "--split", ".php", "--split", ".phtml"];
    let server = serve(&folder, &words);
    for (path, expected) in SPLITS {
        let bytes = path.bytes().map(|byte| match byte {
            b'/' | b'.' | b'-' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        let reply = server.get(&bytes.collect::<String>());
        match expected {
            Some((script, info)) => {
                let file = format!("{}{script}", root.display());
                assert_eq!(reply.ok(), format!("{script}|{info}|{file}"), "{path}");
            }
            None => assert_eq!(reply.status, 404, "{path}: {reply:#?}"),
        }
    }
    assert_eq!(server.stop().status, 0);
}

/// `fastcgi_extra_data.t`: a head with `Content-Length`, the body that follows it, and what a client gets.
#[test]
fn a_body_has_the_length_of_its_head() {
    let cases = [
        ("/", 8, "SEE-THIS-BUT-NOT-THIS\n", "SEE-THIS", true),
        ("/zero", 0, "NOT-THIS\n", "", true),
        ("/matching", 8, "SEE-THIS", "SEE-THIS", true),
        (
            "/short",
            100,
            "SEE-THIS-TOO-SHORT\n",
            "SEE-THIS-TOO-SHORT\n",
            false,
        ),
        ("/empty", 100, "", "", false),
    ];
    let folder = Folder::new();
    let _application =
        FakeApplication::start(&folder.path("app.sock"), Processes::Many, move |asked| {
            let case = cases.iter().find(|case| case.0 == asked.param("PATH_INFO"));
            let (_, length, body, ..) = case.expect("one of the cases");
            whole(&format!("Content-Length: {length}\r\n\r\n{body}"))
        });
    let server = serve(&folder, &[]);
    for (path, length, _, text, complete) in cases {
        let reply = server.get(path);
        let found = (reply.status, &*reply.text(), reply.complete);
        assert_eq!(found, (200, text, complete), "{path}");
        let head = request(server.address(), "HEAD", path, &[], b"");
        let found = (head.status, &*head.text(), head.header("content-length"));
        assert_eq!(found, (200, "", Some(&*length.to_string())), "HEAD {path}");
    }
    assert_eq!(server.stop().status, 0);
}

/// `fastcgi_1xx.t`: no application answers with an interim status.
#[test]
fn interim_statuses_are_no_answers() {
    let folder = Folder::new();
    let _application = FakeApplication::start(&folder.path("app.sock"), Processes::Many, |asked| {
        let status = &asked.param("PATH_INFO")[1..];
        whole(&format!(
            "Status: {status} Some Status\nUpgrade: foo\nConnection: upgrade\n\n"
        ))
    });
    let server = serve(&folder, &[]);
    for status in 100..200 {
        let fields = ["Upgrade: foo", "Connection: Upgrade"];
        let reply = request(server.address(), "GET", &format!("/{status}"), &fields, b"");
        assert_eq!(reply.status, 502, "{status}");
        assert_eq!(reply.header("upgrade"), None, "{status}");
    }
    assert_eq!(server.stop().status, 0);
}

/// `fastcgi_header_params.t`, where nginx writes a space behind each comma; `fastcgi.t`.
#[test]
fn fields_are_joined_and_a_redirect_may_have_a_body() {
    let folder = Folder::new();
    let _application = FakeApplication::start(&folder.path("app.sock"), Processes::Many, |asked| {
        let mut answer = vec![Reaction::Send(error_text(
            &"sample stderr text".repeat(512),
        ))];
        answer.extend(whole(&format!(
            "Location: http://localhost/redirect\r\nContent-Type: text/html\r\nX-Cookie: {}\r\nX-Foo: {}\r\n\r\nSEE-THIS\n{}",
            asked.param("HTTP_COOKIE"),
            asked.param("HTTP_FOO"),
            asked.param("HTTP_X_BLAH"),
        )));
        answer
    });
    let server = serve(&folder, &["--param", "HTTP_X_BLAH=blah"]);
    let mut fields = vec![
        "Cookie: foo",
        "Cookie: bar",
        "Cookie: bazz",
        "Foo: foo",
        "Foo: bar",
        "Foo: bazz",
    ];
    fields.extend(["X-Blah: ignored header"; 19]);
    let reply = request(server.address(), "GET", "/", &fields, b"");
    assert_eq!(
        (
            reply.status,
            reply.header("location"),
            reply.header("x-cookie"),
            reply.header("x-foo")
        ),
        (
            302,
            Some("http://localhost/redirect"),
            Some("foo; bar; bazz"),
            Some("foo,bar,bazz")
        )
    );
    // What is configured comes before what a client sends.
    assert_eq!(reply.text(), "SEE-THIS\nblah");
    let head = request(server.address(), "HEAD", "/", &fields, b"");
    assert_eq!((head.status, &*head.text()), (302, ""));
    server.wait_for_log(|log| log.contains("sample stderr text"));
    assert_eq!(server.stop().status, 0);
}

/// `fastcgi_keepalive.t`: records in pieces, with padding and with errors between them; the connection is used again.
#[test]
fn records_come_in_any_pieces() {
    let folder = Folder::new();
    let pieces = |text: &str| {
        let mut padded = output(text);
        // Padding beyond what is needed, which has any value (§3.3).
        padded[6] = 8;
        padded.truncate(8 + text.len());
        padded.extend(b"padding.");
        [
            padded,
            output("just for test"),
            error_text("an error\n"),
            output("just for test"),
            output(""),
            end(ProtocolStatus::Complete),
        ]
        .concat()
    };
    let _application =
        FakeApplication::start(&folder.path("app.sock"), Processes::Many, move |asked| {
            let head = format!(
                "X-Connection: {}\r\n\r\nrequest {}: ",
                asked.connection, asked.number
            );
            pieces(&head)
                .chunks(3)
                .map(|piece| Reaction::Send(piece.to_vec()))
                .collect()
        });
    let server = serve(&folder, &[]);
    for number in 0..3 {
        let reply = server.get("/");
        assert_eq!(reply.header("x-connection"), Some("0"));
        assert_eq!(
            reply.ok(),
            format!("request {number}: just for testjust for test")
        );
    }
    // nginx closes the connection of a HEAD, whose body it does not read.
    let head = request(server.address(), "HEAD", "/", &[], b"");
    assert_eq!((head.status, head.header("x-connection")), (200, Some("0")));
    assert_eq!(server.stop().status, 0);
}
