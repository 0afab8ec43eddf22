//! How connections of the HTTP gateway end: because the server stops, or because the client closes its side. No request
//! and no response is lost.

use std::time::Duration;

use runner::gateway::graceful_stop::Manner;
use runner::gateway::http::HttpOptions;
use support::{Server, in_time, say, until, until_end};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

#[path = "support/mirror.rs"]
mod support;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
const WAITED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nwaited";

#[tokio::test]
async fn stopping_finishes_what_is_under_way_and_closes_the_rest() {
    let server = Server::start(HttpOptions::default());
    let mut idle = server.connect().await;
    say(&mut idle, GET).await;
    until(&mut idle, "no body").await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    say(&mut busy, WAIT).await;
    in_time(server.mirror.waiting.notified()).await;

    server.stop.begin(Manner::Drain);
    assert_eq!(until_end(&mut idle).await, "");
    assert_eq!(until_end(&mut silent).await, "");
    let refused = TcpStream::connect(&server.address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(!server.task.is_finished());

    server.mirror.go_on.notify_one();
    assert_eq!(until_end(&mut busy).await, WAITED);
    in_time(server.task).await.unwrap();
}

/// The same response does not announce that the connection is kept.
#[tokio::test]
async fn an_http_1_0_client_is_told_of_the_end_too() {
    let server = Server::start(HttpOptions::default());
    let mut client = server.connect().await;
    say(
        &mut client,
        "GET /wait HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    )
    .await;
    in_time(server.mirror.waiting.notified()).await;
    server.stop.begin(Manner::Drain);
    server.mirror.go_on.notify_one();
    let expected = WAITED.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(until_end(&mut client).await, expected);
}

/// On an idle connection, on one that was not accepted yet, and in the middle of a head.
#[tokio::test]
async fn what_is_on_its_way_at_a_stop_is_answered() {
    for manner in [Manner::Drain, Manner::Retire, Manner::HandOver] {
        let server = Server::start(HttpOptions::default());
        let mut idle = server.connect().await;
        say(&mut idle, GET).await;
        until(&mut idle, "no body").await;
        let mut half = server.connect().await;
        say(&mut half, GET).await;
        until(&mut half, "no body").await;
        let mut late = server.connect().await;
        let (head, rest) = GET.split_at(20);
        say(&mut half, head).await;
        for client in [&mut idle, &mut late] {
            say(client, GET).await;
        }
        server.stop.begin(manner);
        for client in [&mut idle, &mut late] {
            let received = until_end(client).await;
            assert!(received.contains("\r\nconnection: close\r\n"), "{received}");
            assert!(received.ends_with("no body"), "{received}");
        }
        assert!(!server.task.is_finished());
        say(&mut half, rest).await;
        let received = until_end(&mut half).await;
        assert!(received.ends_with("no body"), "{received}");
        in_time(server.task).await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_one_more_request_when_another_server_serves() {
    for manner in [Manner::Retire, Manner::HandOver] {
        let server = Server::start(HttpOptions::default());
        let mut idle = server.connect().await;
        say(&mut idle, GET).await;
        until(&mut idle, "no body").await;
        let mut hurried = server.connect().await;
        let mut busy = server.connect().await;
        say(&mut busy, WAIT).await;
        in_time(server.mirror.waiting.notified()).await;
        server.stop.begin(manner);
        server.mirror.go_on.notify_one();
        assert_eq!(until_end(&mut busy).await, WAITED);
        say(&mut idle, GET).await;
        let received = until_end(&mut idle).await;
        assert!(received.contains("\r\nconnection: close\r\n"), "{received}");
        assert!(!server.task.is_finished());
        server.stop.begin(Manner::Drain);
        assert_eq!(until_end(&mut hurried).await, "");
        in_time(server.task).await.unwrap();
    }
}

/// Bytes that a client has sent after its last request must not reset the connection and so destroy the response.
#[tokio::test]
async fn the_last_response_arrives_whatever_else_was_sent() {
    let server = Server::start(HttpOptions::default());
    let mut client = server.connect().await;
    say(&mut client, WAIT).await;
    in_time(server.mirror.waiting.notified()).await;
    say(&mut client, &GET.repeat(1000)).await;
    server.stop.begin(Manner::Drain);
    server.mirror.go_on.notify_one();
    let received = until_end(&mut client).await;
    assert_eq!(received, WAITED);
}

/// Incomplete requests: outside of a stop, the server would wait for them for half a minute or a minute.
#[tokio::test]
async fn a_stop_waits_for_no_client_that_owes_something() {
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    let ambiguous = [
        CHUNKED,
        "\r\n0\r\n\r\n",
        CHUNKED,
        "Content-Length: 1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nnine byte",
    ]
    .concat();
    let half_chunk = format!("{CHUNKED}\r\n9\r\none");
    let pipelined = format!("{GET}GET / HTTP/1.1\r\nHost:");
    let states = [
        ("nothing", "", ""),
        ("an empty line", "\r\n", ""),
        ("one answer", GET, "200 OK"),
        ("half a line", "GET / HT", "408 Request Timeout"),
        (
            "half a head",
            "GET / HTTP/1.1\r\nHost:",
            "408 Request Timeout",
        ),
        (
            "an answer and half a head",
            &pipelined,
            "408 Request Timeout",
        ),
        (
            "half a body",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none",
            "408 Request Timeout",
        ),
        (
            "no body yet",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            "408 Request Timeout",
        ),
        ("half a chunk", &half_chunk, "408 Request Timeout"),
        (
            "no more chunks",
            &half_chunk[..half_chunk.len() - 6],
            "408 Request Timeout",
        ),
        ("two framings behind chunks", &ambiguous, "400 Bad Request"),
        (
            "two versions",
            "GET / HTTP/2.0\r\n\r\n",
            "505 HTTP Version Not Supported",
        ),
    ];
    let server = Server::start(HttpOptions {
        write_timeout: Duration::from_secs(2),
        ..HttpOptions::default()
    });
    let mut clients = Vec::new();
    for (state, sent, end) in states {
        let mut client = server.connect().await;
        say(&mut client, sent).await;
        clients.push((state, end, client));
    }
    // One client takes nothing of its endless response.
    let mut deaf = server.connect().await;
    say(&mut deaf, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // All of that has arrived by the time that another connection has come and gone.
    server.ask("GET / HTTP/1.0\r\n\r\n").await;
    let _waiting = server.connect().await;
    server.stop.begin(Manner::Drain);
    for (state, end, mut client) in clients {
        let received = until_end(&mut client).await;
        let answers = received.split("HTTP/1.1 ").last().unwrap_or_default();
        assert!(answers.starts_with(end), "{state}: {received}");
    }
    in_time(server.task).await.unwrap();
}

/// A successor that has the same socket has the same file as well; here there is none, and the address is no longer
/// served.
#[tokio::test]
async fn the_file_of_a_unix_socket_is_removed_if_it_was_not_taken_over() {
    for manner in [Manner::Drain, Manner::Retire, Manner::HandOver] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let server = Server::start_at(&format!("unix:{}", path.display()), HttpOptions::default());
        let mut stream = UnixStream::connect(&path).await.unwrap();
        say(&mut stream, GET).await;
        until(&mut stream, "no body").await;
        drop(stream);
        server.stop.begin(manner);
        in_time(server.task).await.unwrap();
        assert!(!path.exists(), "{manner:?}");
    }
}

#[tokio::test]
async fn new_options_hold_for_new_connections() {
    let server = Server::start(HttpOptions::default());
    let mut old = server.connect().await;
    say(&mut old, GET).await;
    until(&mut old, "no body").await;
    server.options.send_modify(|options| {
        options.body_timeout = Duration::from_millis(50);
    });
    let slow = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\none";
    let refused = server.ask(slow).await;
    assert!(refused.starts_with("HTTP/1.1 408 "), "{refused}");
    say(&mut old, slow).await;
    say(&mut old, "!").await;
    let answered = until(&mut old, "one!").await;
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
}

/// Over TCP the system shows the difference to a client that has gone away only a moment later.
#[tokio::test]
async fn a_client_that_only_has_no_more_to_say_gets_its_answer() {
    let server = Server::start(HttpOptions::default());
    let mut client = server.connect().await;
    say(&mut client, WAIT).await;
    in_time(server.mirror.waiting.notified()).await;
    client.shutdown().await.unwrap();
    // The end has arrived by the time that another connection has come and gone.
    server.ask("GET / HTTP/1.0\r\n\r\n").await;
    server.mirror.go_on.notify_one();
    let received = until_end(&mut client).await;
    assert!(received.ends_with("waited"), "{received}");

    // Each of many requests has its time.
    let mut client = server.connect().await;
    say(&mut client, &format!("{WAIT}{WAIT}{GET}G")).await;
    in_time(server.mirror.waiting.notified()).await;
    client.shutdown().await.unwrap();
    server.ask("GET / HTTP/1.0\r\n\r\n").await;
    server.mirror.go_on.notify_one();
    in_time(server.mirror.waiting.notified()).await;
    server.mirror.go_on.notify_one();
    let received = until_end(&mut client).await;
    assert_eq!(received.matches("waited").count(), 2, "{received}");
    assert!(received.ends_with("no body"), "{received}");

    let short = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nshort";
    for (request, status) in [(GET, "200 OK"), (short, "400 Bad Request")] {
        let mut client = server.connect().await;
        say(&mut client, request).await;
        client.shutdown().await.unwrap();
        let received = until_end(&mut client).await;
        let expected = format!("HTTP/1.1 {status}\r\n");
        assert!(received.starts_with(&expected), "{received}");
    }
}

/// The beginning of another request does not hide that the client has gone.
#[tokio::test]
async fn a_request_ends_when_its_client_has_gone() {
    let later = WAIT.replace("/wait", "/later");
    let body = "\r\nContent-Length: 3\r\n\r\none";
    let upload = WAIT.replace("GET", "POST").replace("\r\n\r\n", body);
    let mut clients = tokio::task::JoinSet::new();
    for rest in ["", "G", GET, &GET.repeat(1000)] {
        for request in [WAIT, &upload, &later] {
            for is_tcp in [true, false] {
                clients.spawn(has_gone(is_tcp, request.to_owned(), rest.to_owned()));
            }
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

/// Closes a connection while its request is worked on, and waits until the request ends.
async fn has_gone(is_tcp: bool, request: String, rest: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("socket");
    let url = match is_tcp {
        true => "tcp://127.0.0.1:0".to_owned(),
        false => format!("unix:{}", socket.display()),
    };
    let server = Server::start_at(&url, HttpOptions::default());
    let said = format!("{request}{rest}");
    let mirror = &server.mirror;
    if is_tcp {
        let mut client = server.connect().await;
        say(&mut client, &said).await;
        in_time(mirror.waiting.notified()).await;
        if request.contains("/later") {
            // Unread bytes would turn the close into a reset.
            until(&mut client, "now").await;
        }
    } else {
        let mut client = UnixStream::connect(&socket).await.expect("it listens");
        say(&mut client, &said).await;
        in_time(mirror.waiting.notified()).await;
    }
    let ended = async {
        tokio::select! {
            () = mirror.gone.notified() => {}
            () = mirror.given_up.notified() => {}
        }
    };
    let ended = tokio::time::timeout(support::ENOUGH, ended).await;
    assert!(ended.is_ok(), "{is_tcp} {request}{rest:.10}");
}

/// However slowly the client takes the rest.
#[tokio::test]
async fn an_answer_is_finished_for_a_client_that_has_no_more_to_say() {
    let server = Server::start(HttpOptions::default());
    let endless = WAIT.replace("/wait", "/endless");
    for said in [endless.clone(), format!("{endless}G")] {
        let mut client = server.connect().await;
        say(&mut client, &said).await;
        client.readable().await.unwrap();
        client.shutdown().await.unwrap();
        // Meanwhile, three connections without progress are given up, one after the other.
        for _ in 0..3 {
            let mut other = server.connect().await;
            say(&mut other, &format!("{WAIT}G")).await;
            in_time(server.mirror.waiting.notified()).await;
            other.shutdown().await.unwrap();
            in_time(server.mirror.given_up.notified()).await;
        }
        // More than any socket buffer holds.
        let mut part = vec![0; 64 * 1024 * 1024];
        in_time(client.read_exact(&mut part)).await.unwrap();
        drop(client);
        in_time(server.mirror.gone.notified()).await;
    }
}

/// A byte now and then is not enough in the long run.
#[tokio::test]
async fn a_body_that_comes_too_slowly_is_not_waited_for() {
    let server = Server::start(HttpOptions {
        body_timeout: Duration::from_millis(200),
        min_rate: 1_000_000,
        ..HttpOptions::default()
    });
    let client = server.connect().await;
    let (mut reader, mut writer) = client.into_split();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    say(&mut writer, head).await;
    let dribble = async {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        while writer.write_all(b"b").await.is_ok() {
            beat.tick().await;
        }
    };
    let received = tokio::select! {
        received = until_end(&mut reader) => received,
        () = dribble => unreachable!("the answer comes before the connection is closed for good"),
    };
    assert!(
        received.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{received}"
    );
}

/// A client that takes something now and then, and is never without progress for long.
#[tokio::test]
async fn a_response_that_is_taken_too_slowly_is_not_waited_for() {
    let server = Server::start(HttpOptions {
        write_timeout: Duration::from_millis(300),
        min_rate: 1_000_000_000_000,
        ..HttpOptions::default()
    });
    let mut client = server.connect().await;
    say(&mut client, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let mut part = vec![0; 100_000];
    let gone = server.mirror.gone.notified();
    let dribble = async {
        loop {
            beat.tick().await;
            let read = client.read(&mut part).await;
            assert!(matches!(read, Ok(1..) | Err(_)), "{read:?}");
        }
    };
    tokio::select! {
        () = in_time(gone) => {}
        () = dribble => {}
    }
}

/// Bytes that a socket buffer takes up, and that a client slowly reads from it, are progress, too.
#[tokio::test]
async fn a_response_that_is_taken_without_a_pause_is_waited_for() {
    let server = Server::start(HttpOptions {
        write_timeout: Duration::from_millis(500),
        min_rate: 1000,
        ..HttpOptions::default()
    });
    let mut client = server.connect().await;
    say(&mut client, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let mut part = vec![0; 10_000];
    let mut gone = std::pin::pin!(server.mirror.gone.notified());
    for _ in 0..150 {
        tokio::select! {
            () = &mut gone => panic!("it is not waited for"),
            _ = beat.tick() => assert!(in_time(client.read(&mut part)).await.unwrap() > 0),
        }
    }
    // The client takes nothing more. After a regular close, the system would keep the rest for many minutes.
    in_time(gone).await;
    let end = in_time(client.read_to_end(&mut part)).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

/// A listener that does not accept stands for a successor.
#[tokio::test]
async fn sockets_are_taken_over_with_their_address() {
    use runner::gateway::socket::listener::Listener;
    use runner::gateway::socket::url::SocketUrl;

    let url: SocketUrl = "tcp://localhost:0".parse().unwrap();
    let first = Listener::bind(&url).unwrap();
    let sockets = first
        .sockets()
        .map(|socket| socket.try_clone_to_owned().unwrap())
        .collect();
    let mut second = Listener::take_over(&url, sockets).unwrap();
    assert_eq!(second.web_url(), first.web_url());
    drop(first);
    let address = ("127.0.0.1", second.port().unwrap());
    let (client, _) = tokio::join!(TcpStream::connect(address), in_time(second.accept()));
    client.unwrap();
    assert!(second.accepted().is_none());

    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connected = TcpStream::connect(plain.local_addr().unwrap())
        .await
        .unwrap();
    let error = Listener::take_over(&url, vec![connected.into_std().unwrap().into()]).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "cannot take over `tcp://localhost:0`: one of the sockets does not listen"
    );
}
