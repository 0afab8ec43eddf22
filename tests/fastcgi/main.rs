//! The FastCGI gateway over real sockets, with a web server that is part of the tests.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use bytes::BytesMut;
use runner::gateway::fastcgi::FastCgiOptions;
use runner::protocol::fastcgi::record::{
    Pairs, Record, RecordKind, put_pair, put_records, take_record,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::sample::{Server, in_time, pattern};
use crate::web_server::{WebServer, begin, get, params, post, record, stdin};

mod sample;
mod stopping;
mod trouble;
mod web_server;

#[tokio::test]
async fn an_answer() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let answer = client.ask(get(1, "/x")).await;
    assert_eq!(
        answer.is_whole().head_and_body(),
        (
            "Status: 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\n",
            &b"hello from /x"[..]
        )
    );
    assert_eq!(answer.stderr, b"");
}

#[tokio::test]
async fn a_small_answer_is_one_write() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    client.send(get(1, "/x")).await;
    let mut bytes = BytesMut::with_capacity(4096);
    in_time(client.stream.read_buf(&mut bytes)).await.unwrap();
    client.received = bytes;
    let answer = client.answer(1).await;
    assert!(client.received.is_empty());
    assert_eq!(answer.is_whole().body(), b"hello from /x");
}

#[tokio::test]
async fn the_variables_reach_the_application() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let mut request = begin(1, true);
    request.unsplit(params(
        1,
        &[
            ("PATH_INFO", "/environ"),
            ("REQUEST_METHOD", "PUT"),
            ("CONTENT_LENGTH", "4"),
            ("CONTENT_TYPE", "text/x"),
            ("HTTP_X_A", "b"),
            ("HTTP_PROXY", "http://evil/"),
            ("HTTPS", "on"),
            ("QUERY_STRING", "q=1"),
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REMOTE_USER", "alice"),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "8443"),
            ("SERVER_PROTOCOL", "HTTP/2.0"),
        ],
    ));
    request.unsplit(stdin(1, b"body"));
    let answer = client.ask(request).await;
    let expected = "\
CONTENT_LENGTH=4
CONTENT_TYPE=text/x
HTTPS=on
HTTP_X_A=b
PATH_INFO=/environ
QUERY_STRING=q=1
REMOTE_ADDR=192.0.2.1
REMOTE_USER=alice
REQUEST_METHOD=PUT
REQUEST_URI=/environ?q=1
SCRIPT_NAME=
SERVER_NAME=example.org
SERVER_PORT=8443
SERVER_PROTOCOL=HTTP/2.0";
    assert_eq!(String::from_utf8_lossy(answer.is_whole().body()), expected);
}

/// The web server has made the id; what the client has sent under the same name is not believed.
#[tokio::test]
async fn a_request_has_the_id_that_the_web_server_has_given_it() {
    let server = Server::start(FastCgiOptions {
        request_id: true,
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    let variables = [
        ("REQUEST_METHOD", "GET"),
        ("PATH_INFO", "/environ"),
        ("HTTP_X_REQUEST_ID", "forged"),
        ("REQUEST_ID", "a-1"),
    ];
    for (variables, given) in [(&variables[..], true), (&variables[..3], false)] {
        let mut request = begin(1, true);
        request.unsplit(params(1, variables));
        request.unsplit(stdin(1, b""));
        let answer = client.ask(request).await;
        let (head, body) = answer.is_whole().head_and_body();
        let body = String::from_utf8_lossy(body);
        let id = head.split("x-request-id: ").nth(1).unwrap();
        let id = id.split("\r\n").next().unwrap();
        assert_eq!(id == "a-1", given, "{head}");
        assert!(given || id.len() == 32, "{head}");
        let seen = format!("HTTP_X_REQUEST_ID={id}\n");
        assert!(body.contains(&seen), "{body}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_if_the_web_server_wants_that() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    for path in ["/a", "/b", "/c"] {
        let answer = client.ask(get(1, path)).await;
        assert_eq!(
            answer.is_whole().body(),
            format!("hello from {path}").as_bytes()
        );
    }
    let mut last = begin(1, false);
    last.unsplit(params(1, &[("PATH_INFO", "/d")]));
    last.unsplit(stdin(1, b""));
    assert_eq!(client.ask(last).await.is_whole().body(), b"hello from /d");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let url = format!("unix:{}", path.display());
    let server = Server::at(&url, FastCgiOptions::default());
    let mut client = WebServer::new(UnixStream::connect(&path).await.unwrap());
    assert_eq!(
        client.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
    server.ended().await;
    assert_eq!(client.next().await, None);
    assert!(!path.exists());
}

#[tokio::test]
async fn requests_are_answered_at_the_same_time() {
    let mut server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    client.send(get(1, "/wait")).await;
    assert_eq!(server.event().await, "waiting");
    assert_eq!(
        client.ask(get(2, "/fast")).await.is_whole().body(),
        b"hello from /fast"
    );
    assert_eq!(
        client.ask(get(0x300, "/fast")).await.is_whole().body(),
        b"hello from /fast"
    );
    server.application.gate.notify_one();
    assert_eq!(client.answer(1).await.is_whole().body(), b"waited");
}

#[tokio::test]
async fn requests_that_come_in_at_the_same_time() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let mut one = post(1, "/echo", b"one, one, one");
    let mut two = post(2, "/echo", b"two, two");
    let mut mixed = BytesMut::new();
    while let (Some(first), Some(second)) = (
        take_record(&mut one).unwrap(),
        take_record(&mut two).unwrap(),
    ) {
        for Record { kind, id, content } in [first, second] {
            let kind = RecordKind::from_number(kind).unwrap();
            put_records(&mut mixed, kind, id, content);
        }
    }
    assert!(one.is_empty() && two.is_empty());
    for byte in mixed {
        // The worst way in which bytes can arrive.
        client.send(BytesMut::from(&[byte][..])).await;
    }
    assert_eq!(client.answer(1).await.is_whole().body(), b"one, one, one");
    assert_eq!(client.answer(2).await.is_whole().body(), b"two, two");
}

#[tokio::test]
async fn large_answers_take_turns() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let mut both = get(1, "/large");
    both.unsplit(get(2, "/large"));
    client.send(both).await;
    let mut turns = Vec::new();
    let mut ended = 0;
    while ended < 2 {
        let record = client.next().await.unwrap();
        ended += usize::from(record.kind == RecordKind::EndRequest as u8);
        turns.push(record.id);
    }
    let first_end = turns.len()
        - turns
            .iter()
            .rev()
            .position(|id| *id != turns[turns.len() - 1])
            .unwrap();
    let changes = turns[..first_end]
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    assert!(changes > 40, "{changes} changes in {turns:?}");
    assert_eq!(
        client.ask(get(1, "/large")).await.is_whole().body(),
        pattern(3_000_000)
    );
}

#[tokio::test]
async fn bodies_of_every_size_come_back() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    for size in [0, 1, 65_528, 65_529, 70_000, 2_000_000] {
        let body = pattern(size);
        let (mut reader, mut writer) = tokio::io::split(client.stream);
        let request = post(1, "/echo", &body);
        // In both directions at once, as web servers do it.
        let ((), answer) = in_time(async {
            tokio::join!(async { writer.write_all(&request).await.unwrap() }, async {
                let mut received = BytesMut::new();
                let mut stdout = Vec::new();
                loop {
                    while let Some(record) = take_record(&mut received).unwrap() {
                        if record.kind == RecordKind::EndRequest as u8 {
                            return stdout;
                        }
                        stdout.extend_from_slice(&record.content);
                    }
                    assert_ne!(reader.read_buf(&mut received).await.unwrap(), 0);
                }
            })
        })
        .await;
        assert!(answer.ends_with(&body), "{size}");
        assert_eq!(
            answer.len() - size,
            answer
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .unwrap()
                + 4
        );
        client = WebServer::new(reader.unsplit(writer));
    }
}

#[tokio::test]
async fn files_are_sent() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let answer = client.ask(get(1, "/file")).await;
    assert!(answer.is_whole().body() == &pattern(400_000)[1..]);
}

#[tokio::test]
async fn answers_without_a_body() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let mut head = begin(1, true);
    head.unsplit(params(
        1,
        &[("PATH_INFO", "/x"), ("REQUEST_METHOD", "HEAD")],
    ));
    head.unsplit(stdin(1, b""));
    let answer = client.ask(head).await;
    assert_eq!(
        answer.is_whole().head_and_body(),
        (
            "Status: 200 OK\r\ncontent-type: text/plain\r\n\r\n",
            &b""[..]
        )
    );
}

#[tokio::test]
async fn error_output_goes_to_the_web_server() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    let answer = client.ask(get(1, "/errors")).await;
    assert_eq!(answer.is_whole().body(), b"body");
    assert_eq!(String::from_utf8_lossy(&answer.stderr), "first\nsecond\n");
}

#[tokio::test]
async fn management_records_and_unknown_types() {
    let server = Server::start(FastCgiOptions {
        connections: 7,
        requests: 5,
        ..FastCgiOptions::default()
    });
    let mut client = server.connect().await;
    let mut names = BytesMut::new();
    for name in [
        "FCGI_MAX_CONNS",
        "FCGI_MAX_REQS",
        "FCGI_MPXS_CONNS",
        "FCGI_X",
    ] {
        put_pair(&mut names, name.as_bytes(), b"");
    }
    client
        .send(record(RecordKind::GetValues as u8, 0, &names))
        .await;
    let values = client.next().await.unwrap();
    assert_eq!(
        (values.kind, values.id),
        (RecordKind::GetValuesResult as u8, 0)
    );
    let values: Vec<_> = Pairs::new(&values.content)
        .map(|pair| pair.map(|(name, value)| (str(name), str(value))))
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        values,
        [
            ("FCGI_MAX_CONNS", "7"),
            ("FCGI_MAX_REQS", "5"),
            ("FCGI_MPXS_CONNS", "1")
        ]
    );

    client.send(record(99, 0, b"what is this?")).await;
    let unknown = client.next().await.unwrap();
    assert_eq!(
        (unknown.kind, unknown.id),
        (RecordKind::UnknownType as u8, 0)
    );
    assert_eq!(&unknown.content[..], [99, 0, 0, 0, 0, 0, 0, 0]);
}

fn str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
