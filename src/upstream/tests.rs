//! Which server gets a request, and what becomes of those that come and go.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::server_address::ServerAddress;
use super::servers::lease::{EndlessKind, Lease};
use super::servers::{NoServer, Servers, UpstreamServer};
use super::upstream_options::ServerLimits;
use crate::children::{self, Process};
use crate::clients::{ClientNetwork, WaitingClient};

const SECOND: Duration = Duration::from_secs(1);

fn address(port: u16) -> ServerAddress {
    let host = "127.0.0.1".to_owned();
    ServerAddress::Tcp { host, port }
}

/// Servers whose requests wait for a minute, or not for long.
fn servers(
    ports: impl IntoIterator<Item = u16>,
    requests: usize,
    is_patient: bool,
) -> Arc<Servers<char>> {
    Servers::new(ports.into_iter().map(address), limits(requests, is_patient))
}

fn limits(requests: usize, is_patient: bool) -> ServerLimits {
    ServerLimits {
        requests,
        queue_length: 1,
        queue_timeout: match is_patient {
            true => 60 * SECOND,
            false => Duration::from_millis(1),
        },
    }
}

/// A client that is not known.
fn unknown() -> WaitingClient {
    WaitingClient::default()
}

fn client_at(address: &str) -> WaitingClient {
    let address = address.parse().expect("an address");
    WaitingClient {
        network: Some(ClientNetwork::of(address)),
        ..WaitingClient::default()
    }
}

fn port(lease: &Lease<char>) -> u16 {
    match lease.server().address() {
        ServerAddress::Tcp { port, .. } => *port,
        ServerAddress::Unix(_) => 0,
    }
}

#[tokio::test]
async fn the_server_with_the_fewest_requests_is_chosen_and_in_turn_where_several_are() {
    let servers = servers(1..=3, 10, true);
    let mut leases = Vec::new();
    for expected in [1, 2, 3, 1, 2, 3, 1] {
        let lease = Lease::of(&servers, unknown()).await.expect("a server");
        assert_eq!(port(&lease), expected);
        leases.push(lease);
    }
    // Those of the second server end.
    leases.retain(|lease| port(lease) != 2);
    for _ in 0..2 {
        let lease = Lease::of(&servers, unknown()).await.expect("a server");
        assert_eq!(port(&lease), 2);
        leases.push(lease);
    }
}

#[tokio::test]
async fn what_goes_on_takes_no_place_and_is_counted_until_it_ends() {
    let servers = servers([1, 2], 1, false);
    let mut socket = Lease::of(&servers, unknown()).await.expect("a server");
    let mut events = Lease::of(&servers, unknown()).await.expect("a server");
    let [first, second] = [&socket, &events].map(|lease| Arc::clone(lease.server()));
    // Once is enough.
    socket.becomes_endless(EndlessKind::WebSocket);
    socket.becomes_endless(EndlessKind::WebSocket);
    events.becomes_endless(EndlessKind::Events);
    let counts = |server: &UpstreamServer<char>| {
        let counts = server.counts();
        (counts.outstanding, counts.web_sockets)
    };
    let requests = [
        Lease::of(&servers, unknown()).await.expect("a place"),
        Lease::of(&servers, unknown()).await.expect("a place"),
    ];
    assert_eq!((counts(&first), counts(&second)), ((2, 1), (2, 0)));
    let full = Lease::of(&servers, unknown()).await.err();
    assert_eq!(full, Some(NoServer::WaitedTooLong));
    // A server that is drained takes its place with it, and no other.
    servers.drain(&first);
    drop(requests);
    let only = Lease::of(&servers, unknown())
        .await
        .expect("the place of the second");
    assert_eq!(port(&only), 2);
    let full = Lease::of(&servers, unknown()).await.err();
    assert_eq!(full, Some(NoServer::WaitedTooLong));
    drop((socket, events, only));
    assert_eq!((counts(&first), counts(&second)), ((0, 0), (0, 0)));
}

/// Where several have as few requests, the one that has the fewest endless ones.
#[tokio::test]
async fn what_goes_on_is_spread_over_the_servers() {
    // Otherwise, the first that is free is chosen.
    let servers = Servers::of_program(limits(10, true));
    for port in 1..=3 {
        servers.add(address(port));
    }
    let mut leases = Vec::new();
    for _ in 0..9 {
        let mut lease = Lease::of(&servers, unknown()).await.expect("a server");
        lease.becomes_endless(EndlessKind::WebSocket);
        leases.push(lease);
    }
    let mut ports: Vec<u16> = leases.iter().map(port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_in_their_order() {
    let servers = servers([1], 1, true);
    let first = Lease::of(&servers, unknown()).await.expect("a server");
    let second = tokio::spawn({
        let servers = Arc::clone(&servers);
        async move { Lease::of(&servers, unknown()).await }
    });
    while servers.waiting() == 0 {
        yield_now().await;
    }
    assert_eq!(
        Lease::of(&servers, unknown()).await.err(),
        Some(NoServer::QueueFull)
    );
    drop(first);
    second.await.expect("no panic").expect("a server");
    assert_eq!(servers.waiting(), 0);
    Lease::of(&servers, unknown()).await.expect("a server");
}

#[tokio::test]
async fn a_drained_server_finishes_what_it_has() {
    let servers = servers([1, 2], 2, false);
    let one = Lease::of(&servers, unknown()).await.expect("a server");
    let two = Lease::of(&servers, unknown()).await.expect("a server");
    let drained = Arc::clone(one.server());
    two.give_back('b', SECOND);
    servers.drain(&drained);
    // Once is enough.
    servers.drain(&drained);
    let finished = tokio::spawn({
        let drained = Arc::clone(&drained);
        async move { drained.finished().await }
    });
    let third = Lease::of(&servers, unknown()).await.expect("a server");
    let fourth = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!((port(&third), port(&fourth)), (2, 2));
    assert_eq!(third.take_kept(SECOND), Some('b'));
    yield_now().await;
    assert!(!finished.is_finished());
    // Its connection is not kept, and its places are gone with it.
    one.give_back('a', SECOND);
    finished.await.expect("no panic");
    assert_eq!(drained.counts().kept, 0);
    assert_eq!(
        Lease::of(&servers, unknown()).await.err(),
        Some(NoServer::WaitedTooLong)
    );
    // Another one comes.
    servers.add(address(3));
    let fifth = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&fifth), 3);
    drop((third, fourth));
}

#[tokio::test]
async fn connections_that_were_kept_for_too_long_are_closed_before_another_is_made() {
    let servers = servers([1], 1, true);
    let lease = Lease::of(&servers, unknown()).await.expect("a server");
    lease.give_back('a', Duration::from_nanos(1));
    let lease = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(lease.take_kept(SECOND), None);
    assert_eq!(lease.server().counts().kept, 0);
}

#[tokio::test]
async fn a_request_that_moves_on_leaves_no_place_of_a_drained_server_behind() {
    let servers = servers([1, 2], 1, false);
    let mut lease = Lease::of(&servers, unknown()).await.expect("a server");
    let first = Arc::clone(lease.server());
    servers.drain(&first);
    assert!(lease.move_on(&[first]));
    drop(lease);
    let only = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&only), 2);
    assert_eq!(
        Lease::of(&servers, unknown()).await.err(),
        Some(NoServer::WaitedTooLong)
    );
}

#[tokio::test]
async fn without_servers_requests_wait_for_one() {
    let servers = servers([], 1, true);
    let waiting = tokio::spawn({
        let servers = Arc::clone(&servers);
        async move { Lease::of(&servers, unknown()).await }
    });
    while servers.waiting() == 0 {
        yield_now().await;
    }
    let server = servers.add(address(1));
    let lease = waiting.await.expect("no panic").expect("a server");
    assert!(Arc::ptr_eq(lease.server(), &server));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_rests_while_others_take_over() {
    let down = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let up = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ports = [&down, &up].map(|it| it.local_addr().expect("an address").port());
    drop(down);
    let servers = servers(ports, 10, true);
    let mut lease = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&lease), ports[0]);
    lease.connect(SECOND).await.expect_err("nobody listens");
    let failed = Arc::clone(lease.server());
    assert!(failed.counts().failing_since.is_some());
    let mut tried = vec![Arc::clone(&failed)];
    assert!(lease.move_on(&tried));
    assert_eq!(failed.counts().outstanding, 0);
    assert_eq!(port(&lease), ports[1]);
    lease.connect(SECOND).await.expect("a connection");
    tried.push(Arc::clone(lease.server()));
    assert!(!lease.move_on(&tried));
    for _ in 0..3 {
        let other = Lease::of(&servers, unknown()).await.expect("a server");
        assert_eq!(port(&other), ports[1]);
    }
    // When all rest, the one is tried that has failed for longest.
    drop(up);
    lease.connect(SECOND).await.expect_err("nobody listens");
    let last = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&last), ports[0]);
}

/// A process that runs until it is killed.
fn process() -> Arc<Process> {
    let spawn = || Command::new("sleep").arg("1000").spawn();
    let (child, _awaited) = children::start(spawn, |child| Some(child.id())).expect("a process");
    let process = i32::try_from(child.id()).ok().and_then(Process::new);
    Arc::new(process.expect("its number"))
}

#[tokio::test]
async fn a_process_that_has_ended_gets_no_request_even_if_nobody_has_noticed() {
    let servers = Servers::<char>::of_program(limits(1, true));
    let [ended, alive] = [process(), process()];
    for (port, process) in [(1, &ended), (2, &ended), (3, &alive)] {
        servers.add_process(address(port), Arc::downgrade(process), u64::MAX);
    }
    let first = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&first), 1);
    drop(first);
    ended.kill();
    while !ended.has_ended() {
        yield_now().await;
    }
    let mut lease = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&lease), 3);
    // Each process has one request at a time: the next one waits until this one ends.
    let waiting = tokio::spawn({
        let servers = Arc::clone(&servers);
        async move { Lease::of(&servers, unknown()).await }
    });
    while servers.waiting() == 0 {
        yield_now().await;
    }
    // A request that goes on from there finds none that lives.
    servers.add_process(address(4), Arc::downgrade(&ended), u64::MAX);
    let tried = [Arc::clone(lease.server())];
    assert!(!lease.move_on(&tried));
    drop(lease);
    let next = waiting.await.expect("no panic").expect("a server");
    assert_eq!(port(&next), 3);
    assert_eq!(servers.present().len(), 1);
    alive.kill();
}

/// The system has not told of its end yet, and may not have closed its socket.
#[tokio::test]
async fn a_process_that_breaks_off_and_is_about_to_end_gets_no_request() {
    let servers = Servers::<char>::of_program(limits(1, true));
    let processes = [process(), process()];
    for (port, process) in [(1, &processes[0]), (2, &processes[1])] {
        servers.add_process(address(port), Arc::downgrade(process), u64::MAX);
    }
    let lease = Lease::of(&servers, unknown()).await.expect("a server");
    // It goes on: this was a fault of the request.
    lease.broken_off();
    assert!(port(&lease) == 1 && !lease.is_over());
    drop(lease);
    let mut lease = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&lease), 1);
    processes[0].kill();
    assert!(processes[0].is_ending());
    lease.broken_off();
    assert!(lease.is_over());
    let next = Lease::of(&servers, unknown()).await.expect("a server");
    assert_eq!(port(&next), 2);
    drop(next);
    // The one that was lost may go there, too, and was no answer of the first.
    let first = Arc::clone(lease.server());
    assert!(lease.renew().await);
    assert_eq!((port(&lease), first.counts().requests), (2, 1));
    processes[1].kill();
}

#[tokio::test]
async fn clients_take_turns_where_requests_wait() {
    let servers: Arc<Servers<char>> = Servers::new(
        [address(1)],
        ServerLimits {
            queue_length: 4,
            ..limits(1, true)
        },
    );
    let held = Lease::of(&servers, unknown()).await.expect("a server");
    let (order, mut served) = mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for (count, (name, client)) in [
        ('a', "192.0.2.1"),
        ('b', "192.0.2.1"),
        ('c', "192.0.2.1"),
        ('d', "192.0.2.1"),
        ('e', "192.0.2.2"),
    ]
    .into_iter()
    .enumerate()
    {
        let order = order.clone();
        waiting.push(tokio::spawn({
            let servers = Arc::clone(&servers);
            async move {
                let lease = Lease::of(&servers, client_at(client)).await?;
                let _ = order.send(name);
                drop(lease);
                Ok(())
            }
        }));
        while servers.waiting() < (count + 1).min(4) {
            yield_now().await;
        }
    }
    let [first, second, third, last, other] = waiting.try_into().expect("five");
    // The last one makes room for another client's.
    assert_eq!(last.await.expect("no panic"), Err(NoServer::QueueFull));
    drop(held);
    for one in [first, second, third, other] {
        assert_eq!(one.await.expect("no panic"), Ok(()));
    }
    let served: Vec<char> = std::iter::from_fn(|| served.try_recv().ok()).collect();
    assert_eq!(served, ['a', 'e', 'b', 'c']);
}
