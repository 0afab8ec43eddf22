//! Clients that send a byte now and then, and what they cost: a descriptor and a little memory each, no worker, and
//! nobody else anything.

mod support;

use std::fs;

use support::http::Connection;
use support::{Folder, Load, Server, Waits};

/// So many send the head of a request so slowly, and so many a body.
const SLOW: usize = 100;

const HELLO: &str = "\
def application(environ, start_response):
    body = environ['wsgi.input'].read() or b'hello'
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn clients_that_dribble_cost_the_others_nothing() {
    let server = Folder::new()
        .file("hello.py", HELLO)
        .file("one.ini", "[runner.workers]\nmax = 1\n")
        .runner(["-c", "one.ini", "serve", "import:hello.application"])
        .start();
    let load = Load::new(server.address()).fresh(4).kept(4).start();
    load.more(200);
    let (descriptors, memory) = (descriptors_now(&server), memory_now(&server));

    let head = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let body = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n";
    let mut clients: Vec<Connection> = [head, body]
        .iter()
        .flat_map(|beginning| std::iter::repeat_n(beginning, SLOW))
        .map(|beginning| {
            let mut client = Connection::open(server.address());
            client.send(beginning.as_bytes());
            client
        })
        .collect();
    for byte in "x-slow: very slow indeed, bye".bytes() {
        for client in &mut clients {
            client.send(&[byte]);
        }
        // One worker has but one thread: any that waited for one of them would answer nobody else.
        load.more(20);
    }
    let connections = 2 * SLOW + 8;
    let more = descriptors_now(&server).saturating_sub(descriptors);
    assert!(
        more <= connections,
        "{more} descriptors for {connections} connections"
    );
    let grown = memory_now(&server).saturating_sub(memory) / (2 * SLOW);
    assert!(grown <= 64 * 1024, "{grown} bytes for each connection");

    for (number, client) in clients.iter_mut().enumerate() {
        let is_head = number < SLOW;
        client.send(if is_head { b"\r\n\r\n" } else { b"!" });
        let reply = client.reply("GET");
        match is_head {
            true => assert_eq!(reply.ok(), "hello"),
            false => assert_eq!(reply.ok(), "x-slow: very slow indeed, bye!"),
        }
    }
    drop(clients);
    load.stop().is_whole();
    let mut waits = Waits::new();
    while descriptors_now(&server) > descriptors {
        waits.wait(|| format!("{} descriptors stay open", descriptors_now(&server)));
    }
    assert_eq!(server.stop().status, 0);
}

/// How many descriptors the server has open.
fn descriptors_now(server: &Server) -> usize {
    let pid = server.pid().as_raw_nonzero();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    open.count()
}

/// How much memory the server takes up, in bytes.
fn memory_now(server: &Server) -> usize {
    let pid = server.pid().as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: usize = kibibytes
        .and_then(|text| text.trim().parse().ok())
        .expect("a number");
    kibibytes * 1024
}
