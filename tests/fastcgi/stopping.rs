//! How the FastCGI gateway stops: web servers, which cannot be told that a connection will be closed, lose nothing.

use bytes::BytesMut;
use runner::gateway::fastcgi::FastCgiOptions;
use runner::gateway::graceful_stop::Manner;
use tokio::net::TcpStream;

use crate::sample::{Server, in_time};
use crate::web_server::{get, post};

#[tokio::test]
async fn stopping_finishes_what_is_running_and_closes_the_rest() {
    let mut server = Server::start(FastCgiOptions::default());
    let mut idle = server.connect().await;
    assert_eq!(
        idle.ask(get(1, "/x")).await.is_whole().body(),
        b"hello from /x"
    );
    let mut busy = server.connect().await;
    busy.send(get(1, "/wait")).await;
    assert_eq!(server.event().await, "waiting");
    server.stop.begin(Manner::Drain);
    assert_eq!(idle.next().await, None);
    let refused = TcpStream::connect(("127.0.0.1", server.port)).await;
    assert!(refused.is_err());
    server.application.gate.notify_one();
    assert_eq!(busy.answer(1).await.is_whole().body(), b"waited");
    assert_eq!(busy.next().await, None);
    server.ended().await;
}

/// Both a request on an idle connection, and one on a connection that was not accepted yet.
#[tokio::test]
async fn what_is_on_its_way_at_a_stop_is_answered() {
    for manner in [Manner::Drain, Manner::Retire] {
        let server = Server::start(FastCgiOptions::default());
        let mut idle = server.connect().await;
        idle.ask(get(1, "/x")).await.is_whole();
        let mut late = server.connect().await;
        for client in [&mut idle, &mut late] {
            client.send(get(1, "/y")).await;
        }
        server.stop.begin(manner);
        for client in [&mut idle, &mut late] {
            let answer = client.answer(1).await;
            assert_eq!(answer.is_whole().body(), b"hello from /y");
            assert_eq!(client.next().await, None);
        }
        server.ended().await;
    }
}

/// The next request on a connection is its last one, unless others are still being answered.
#[tokio::test]
async fn a_connection_is_kept_for_one_more_request_when_another_address_is_served() {
    let mut server = Server::start(FastCgiOptions::default());
    let mut busy = server.connect().await;
    busy.send(get(1, "/wait")).await;
    assert_eq!(server.event().await, "waiting");
    let mut idle = server.connect().await;
    idle.ask(get(1, "/x")).await.is_whole();
    server.stop.begin(Manner::Retire);
    for client in [&mut idle, &mut busy] {
        let answer = client.ask(get(2, "/y")).await;
        assert_eq!(answer.is_whole().body(), b"hello from /y");
    }
    assert_eq!(idle.next().await, None);
    server.application.gate.notify_one();
    assert_eq!(busy.answer(1).await.is_whole().body(), b"waited");
    assert_eq!(busy.next().await, None);
    in_time(server.serving).await.unwrap();
}

/// The announced successor has not taken over, or has ended again.
#[tokio::test]
async fn without_a_successor_a_connection_stays_for_one_more_request() {
    let server = Server::start(FastCgiOptions::default());
    let mut client = server.connect().await;
    client.ask(get(1, "/x")).await.is_whole();
    server.stop.begin(Manner::HandOver);
    let answer = client.ask(get(1, "/y")).await;
    assert_eq!(answer.is_whole().body(), b"hello from /y");
    assert_eq!(client.next().await, None);
    in_time(server.serving).await.unwrap();
}

/// Outside of a stop, the server would wait for a minute.
#[tokio::test]
async fn a_stop_waits_for_no_web_server_that_owes_something() {
    let whole = post(1, "/echo", b"body");
    let server = Server::start(FastCgiOptions::default());
    let mut clients = Vec::new();
    // In the middle of a record, of the variables, and of the body.
    for sent in [
        1,
        12,
        16,
        30,
        whole.len() - 12,
        whole.len() - 8,
        whole.len() - 1,
    ] {
        let mut client = server.connect().await;
        client.send(BytesMut::from(&whole[..sent])).await;
        clients.push((sent, client));
    }
    server.stop.begin(Manner::Drain);
    for (sent, mut client) in clients {
        assert_eq!(client.next().await, None, "{sent} bytes");
    }
    server.ended().await;
}
