//! Load on servers behind `upstream` while they are killed, and while `runner` itself is reloaded: nothing is lost but what a
//! killed server had begun.

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use support::http::{Waits, request};
use support::scripted::{Scripted, text};
use support::{Address, Folder, Load, Server};

/// Clients of the load.
const CLIENTS: usize = 8;

/// A server on a Unix socket.
#[track_caller]
fn server(folder: &Folder, name: &str) -> Server {
    let url = format!("unix:{name}.sock");
    let socket = folder.path(format!("{name}.sock"));
    folder
        .runner(["serve", &url, "respond", "200", name])
        .start_at(Address::Unix(socket))
}

/// `runner` before two of them.
#[track_caller]
fn front(folder: &Folder) -> Server {
    let addresses = ["http+unix:one.sock", "http+unix:two.sock"];
    folder
        .runner(["serve", "tcp://127.0.0.1:0", "upstream"])
        .arguments(addresses)
        .start()
}

/// `runner` before servers of which some answer too late.
#[track_caller]
fn impatient(servers: &[String], timeout: &str) -> Server {
    let settings = format!("[runner.request]\ntimeout = '{timeout}'\n");
    Folder::new()
        .file("settings.ini", &settings)
        .runner([
            "-c",
            "settings.ini",
            "serve",
            "tcp://127.0.0.1:0",
            "upstream",
        ])
        .arguments(servers)
        .start()
}

#[test]
fn a_server_that_hangs_rests_after_three_requests() {
    let hanging = Scripted::start(|_, mut client| client.closed());
    let answering = Scripted::answering(|_| text("here"));
    let runner = impatient(&[hanging.url(), answering.url()], "1s");
    for _ in 0..3 {
        assert_eq!(runner.get("/").status, 504);
        assert_eq!(runner.get("/").ok(), "here");
    }
    for _ in 0..4 {
        assert_eq!(runner.get("/").ok(), "here");
    }
    // Alone, it is asked again and again.
    let runner = impatient(&[hanging.url()], "100ms");
    let before = hanging.connections();
    for _ in 0..5 {
        assert_eq!(runner.get("/").status, 504);
    }
    assert_eq!(hanging.connections(), before + 5);
}

/// Which connections a server breaks off once it has a request; it answers on the others.
fn breaking(breaks: fn(usize) -> bool) -> Scripted {
    Scripted::start(move |number, mut client| {
        let Some(head) = client.head() else { return };
        client.body_of(&head);
        if !breaks(number) {
            client.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nhere");
        }
        client.close();
    })
}

#[test]
fn a_request_whose_new_connection_is_broken_off_is_sent_once_more() {
    let server = breaking(|number| number % 2 == 1);
    let runner = impatient(&[server.url()], "60s");
    let ask = |runner: &Server, method, body| request(runner.address(), method, "/a", &[], body);
    assert_eq!(ask(&runner, "GET", b"").ok(), "here");
    assert_eq!(ask(&runner, "PUT", b"a thing").ok(), "here");
    assert_eq!(server.connections(), 4);
    let log = runner.wait_for_log(|log| log.matches("; it is sent once more\n").count() == 2);
    let begins = format!(
        "GET /a: {} broke off before the head of its response was complete: ",
        server.url().replace("http://", "")
    );
    assert!(log.contains(&begins) && !log.contains(" for "), "{log}");
    // The server may have done what it was asked.
    assert_eq!(ask(&runner, "POST", b"an order").status, 502);
    assert_eq!(server.connections(), 5);

    // Once, and not for ever.
    let server = breaking(|_| true);
    let runner = impatient(&[server.url()], "60s");
    assert_eq!(ask(&runner, "GET", b"").status, 502);
    assert_eq!(server.connections(), 2);

    // Another server gets it, if there is one.
    let [broken, well] = [breaking(|_| true), breaking(|_| false)];
    let runner = impatient(&[broken.url(), well.url()], "60s");
    assert_eq!(ask(&runner, "GET", b"").ok(), "here");
    assert_eq!((broken.connections(), well.connections()), (1, 1));
}

#[test]
fn a_server_that_does_not_even_refuse_connections_rests_at_once() {
    // Linux drops what is asked of a listener whose queue is full.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(queued) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(queued);
    }
    let answering = Scripted::answering(|_| text("here"));
    let runner = impatient(&[format!("http://{address}"), answering.url()], "1s");
    for _ in 0..4 {
        assert_eq!(runner.get("/").ok(), "here");
    }
    let log = runner.log();
    let tried = log.matches("another server is tried").count();
    assert_eq!(tried, 1, "it rests afterwards: {log}");
    assert!(
        log.contains(&format!("no connection to {address} within 0.3 s")),
        "{log}"
    );
}

#[test]
fn killed_servers_lose_only_what_they_had_begun() {
    for post in [false, true] {
        let folder = Folder::new();
        let mut servers = [server(&folder, "one"), server(&folder, "two")];
        let front = front(&folder);
        let load = Load::new(front.address())
            .kept(CLIENTS / 2)
            .fresh(CLIENTS / 2);
        let load = match post {
            true => load.post(b"an order"),
            false => load,
        };
        let running = load.start();
        let kills = 6;
        for number in 0..kills {
            let name = ["one", "two"][number % 2];
            running.more(200);
            servers[number % 2].signal(Signal::KILL);
            running.more(200);
            let next = server(&folder, name);
            let killed = std::mem::replace(&mut servers[number % 2], next);
            killed.wait();
            // Its rest is over, and it answers again.
            let before = running.report().bodies.get(&format!("{name}\n")).copied();
            Waits::until(
                || running.report().bodies.get(&format!("{name}\n")).copied() > before,
                || format!("{name} gets no requests: {:?}", running.report()),
            );
        }
        let report = running.stop();
        assert_eq!(report.lost, 0, "{:?}", report.losses);
        let others: u64 = report
            .statuses
            .iter()
            .filter(|(status, _)| **status != 200)
            .map(|(_, count)| count)
            .sum();
        let bad = report.statuses.get(&502).copied().unwrap_or_default();
        assert_eq!(others, bad, "{:?}", report.statuses);
        assert!(bad <= (kills * CLIENTS) as u64, "{:?}", report.statuses);
    }
}

#[test]
fn reloads_lose_nothing() {
    let folder = Folder::new();
    let servers = [server(&folder, "one"), server(&folder, "two")];
    let front = front(&folder);
    let load = Load::new(front.address())
        .kept(CLIENTS / 2)
        .fresh(CLIENTS / 2)
        .post(b"an order")
        .start();
    for reload in 1..=5 {
        load.more(200);
        front.signal(Signal::HUP);
        front.wait_for_log(|log| log.matches("reloaded").count() >= reload);
    }
    load.more(200);
    load.stop().is_whole();
    front.stop();
    for server in servers {
        server.stop();
    }
}
