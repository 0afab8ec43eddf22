//! Large files, which the system sends itself: `files FOLDER`.

#[path = "files/serving.rs"]
mod serving;
mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use serving::{big, serve};
use support::http::{Address, Connection};
use support::{Folder, Server};

/// A folder `public` with a small and a large file.
fn site() -> Folder {
    Folder::new()
        .file("public/style.css", "body {}\n")
        .file("public/big.bin", big())
}

fn address(server: &Server) -> SocketAddr {
    match server.address() {
        Address::Tcp(host, port) => format!("{host}:{port}").parse().expect("an address"),
        Address::Unix(_) => panic!("it listens on TCP"),
    }
}

fn set_modified(folder: &Folder, name: &str, time: SystemTime) {
    File::options()
        .write(true)
        .open(folder.path(name))
        .and_then(|file| file.set_modified(time))
        .expect("its owner");
}

/// What the system sends itself comes between heads and bodies that it does not, and all of it on one connection.
#[test]
fn large_files_and_other_responses_keep_their_order() {
    let folder = site();
    let server = serve(&folder, &["public"]);
    let (all, from) = (big(), 150_001);
    let mut connection = Connection::open(server.address());
    let mut want = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..3 {
        for (line, fields, body) in [
            ("GET /big.bin", "", &all[..]),
            ("GET /style.css", "", b"body {}\n"),
            ("HEAD /big.bin", "", b""),
            ("GET /big.bin", "Range: bytes=150001-\r\n", &all[from..]),
            (
                "GET /big.bin",
                "Range: bytes=-70000\r\n",
                &all[all.len() - 70_000..],
            ),
        ] {
            asked.extend(format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").bytes());
            want.push(body);
        }
    }
    asked.extend(b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    connection.send(&asked);
    let mut rest = &connection.rest()[..];
    for body in want {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        rest = &rest[end.expect("a head") + 4..];
        assert!(rest.starts_with(body));
        rest = &rest[body.len()..];
    }
    assert!(rest.starts_with(b"HTTP/1.1 404 "));
    assert_eq!(server.stop().status, 0);
}

/// A client may end its side behind its request (`nc -N`). What it takes slowly is not over for it when hyper has all of it.
#[test]
fn a_client_that_sends_no_more_gets_the_end_of_a_file() {
    let folder = site().file("public/large.bin", vec![b'x'; 6_000_000]);
    let server = serve(&folder, &["public"]);
    for _ in 0..6 {
        let client = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        // The system of the client takes little at a time.
        set_socket_recv_buffer_size(&client, 4096).expect("a socket");
        connect(&client, &address(&server)).expect("the server");
        let mut client = TcpStream::from(client);
        let request = b"GET /large.bin HTTP/1.0\r\n\r\n";
        client.write_all(request).expect("the server");
        client.shutdown(Shutdown::Write).expect("a socket");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer");
        assert!(answer.len() > 6_000_000, "{}", answer.len());
    }
    assert_eq!(server.stop().status, 0);
}

/// A file that becomes shorter while it is sent breaks off: its client does not take a part for the whole.
#[test]
fn a_file_that_shrinks_breaks_off() {
    let folder = site();
    File::create(folder.path("public/huge"))
        .and_then(|file| file.set_len(64 << 20))
        .expect("a file");
    let server = serve(&folder, &["public"]);
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.until("\r\n\r\n");
    let file = File::options()
        .write(true)
        .open(folder.path("public/huge"))
        .expect("a file");
    file.set_len(1000).expect("a shorter one");
    assert!(connection.rest().len() < 64 << 20);
    assert_eq!(server.get("/style.css").ok(), "body {}\n");
    assert_eq!(server.stop().status, 0);
}

/// A client gets one version of a file, or notices that it does not. What is added to the end of a file is none of what it gets.
#[test]
fn a_file_that_is_changed_in_place_breaks_off() {
    const LENGTH: usize = 64 << 20;
    let folder = site();
    File::create(folder.path("public/huge"))
        .and_then(|file| file.set_len(LENGTH as u64))
        .expect("a file");
    set_modified(&folder, "public/huge", SystemTime::UNIX_EPOCH);
    let server = serve(&folder, &["public"]);
    for (place, is_whole) in [(LENGTH as u64, true), (LENGTH as u64 - 4, false)] {
        let mut connection = Connection::open(server.address());
        connection.send(b"GET /huge HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        connection.until("\r\n\r\n");
        let file = File::options().write(true).open(folder.path("public/huge"));
        let file = file.expect("a file");
        file.write_all_at(b"more", place).expect("its owner");
        let got = connection.rest().len();
        assert_eq!(got == LENGTH, is_whole, "{got} of {LENGTH}");
        file.set_len(LENGTH as u64).expect("its owner");
        set_modified(&folder, "public/huge", SystemTime::UNIX_EPOCH);
    }
    server.wait_for_log(|log| log.contains("to its end: it was changed while it was sent\n"));
    assert_eq!(server.stop().status, 0);
}
