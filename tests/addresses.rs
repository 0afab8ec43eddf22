//! A server with several URLs: each is served, named, reloaded, handed over and passed by a service manager like a single one.

mod support;

use std::fs;

use rustix::process::Signal;
use support::http::{Connection, get};
use support::{Address, Folder, Server, free_port, version};

/// A file with these URLs.
fn file(urls: &str) -> String {
    format!(
        "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\nurl = {urls}\n"
    )
}

fn folder(urls: &str) -> Folder {
    Folder::new()
        .file("app.py", version(1))
        .file("app.ini", file(urls))
}

fn local(folder: &Folder, name: &str) -> Address {
    Address::Unix(folder.path(name))
}

fn reload(server: &Server) -> String {
    let count = |log: &str| log.matches("runner: reloaded\n").count();
    let before = count(&server.log());
    server.signal(Signal::HUP);
    server.wait_for_log(|log| count(log) > before)
}

#[test]
fn each_is_served_and_named() {
    let folder = folder(
        "['http://127.0.0.1:0', 'unix:socket', 'tcp://localhost:0']\nrunner.status.url = 'unix:control'",
    );
    let server = folder.runner(["runIni", "app.ini"]).start();
    let log = server.wait_for_log(|log| log.matches("runner: serving ").count() == 3);
    let named: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("runner: serving "))
        .collect();
    let [first, second, third] = named[..] else {
        panic!("{log}");
    };
    assert!(first.starts_with("http://127.0.0.1:"), "{log}");
    assert_eq!(second, format!("unix:{}", folder.path("socket").display()));
    assert!(third.starts_with("http://localhost:"), "{log}");
    let status = folder.runner(["status", "app.ini"]).run();
    for url in [first, second, third] {
        let address = Address::of_url(url).expect("an address");
        assert_eq!(get(&address, "/").ok(), "version 1", "{url}");
        let shown = url.replace(&folder.path("").display().to_string(), "[folder]");
        assert!(
            status.success().contains(&shown),
            "{shown} is not in {status:#?}"
        );
    }
    server.stop();
    assert!(!folder.path("socket").exists());
}

/// The limit is about descriptors, of which the process has no more for a second address.
#[test]
fn the_limit_on_connections_is_for_all_together() {
    let folder = folder("['unix:a', 'unix:b']\nrunner.http.max_connections = 1");
    let server = folder
        .runner(["runIni", "app.ini"])
        .start_at(local(&folder, "b"));
    let mut first = Connection::open(&local(&folder, "a"));
    first.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(first.reply("GET").ok(), "version 1");
    // The idle one makes room for it.
    assert_eq!(get(&local(&folder, "b"), "/").ok(), "version 1");
    assert!(first.rest().is_empty());
    server.stop();
}

#[test]
fn a_reload_keeps_what_stays_in_the_list() {
    let folder = folder("['unix:stays', 'unix:goes']");
    let server = folder
        .runner(["runIni", "app.ini"])
        .start_at(local(&folder, "stays"));
    let mut kept = Connection::open(&local(&folder, "stays"));
    kept.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(kept.reply("GET").ok(), "version 1");
    let fresh = free_port();
    fs::write(folder.path("app.py"), version(2)).expect("a file");
    let urls = format!("['http://127.0.0.1:{fresh}', 'unix:stays']");
    fs::write(folder.path("app.ini"), file(&urls)).expect("a file");
    let log = reload(&server);
    assert!(
        log.ends_with(&format!(
            "runner: serving http://127.0.0.1:{fresh}/\nrunner: reloaded\n"
        )),
        "{log}"
    );
    assert_eq!(get(&Address::port(fresh), "/").ok(), "version 2");
    assert!(!folder.path("goes").exists());
    kept.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(kept.reply("GET").ok(), "version 2");
    // One that cannot be bound changes nothing.
    fs::write(
        folder.path("app.ini"),
        file("['unix:stays', 'unix:missing/socket']"),
    )
    .expect("a file");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("there is no such folder"));
    assert_eq!(get(&Address::port(fresh), "/").ok(), "version 2");
    assert_eq!(get(&local(&folder, "stays"), "/").ok(), "version 2");
    assert_eq!(server.stop().status, 0);
    assert!(!folder.path("stays").exists());
}

#[test]
fn a_second_master_takes_all_over() {
    let folder =
        folder("['http://127.0.0.1:0', 'unix:socket']\nrunner.supervise.pid_file = 'app.pid'");
    let master = || folder.runner(["supervise", "runIni", "app.ini"]);
    let first = master().start();
    let mut kept = Connection::open(&local(&folder, "socket"));
    kept.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(kept.reply("GET").ok(), "version 1");
    let port = first.address().clone();
    fs::write(folder.path("app.py"), version(2)).expect("a file");
    let second = master().start();
    assert_eq!(first.wait().status, 0);
    assert_eq!(second.address(), &port);
    for address in [&port, &local(&folder, "socket")] {
        assert_eq!(get(address, "/").ok(), "version 2");
    }
    assert_eq!(second.stop().status, 0);
    assert!(!folder.path("socket").exists());
}

/// By where it listens, or by its name.
#[test]
fn each_gets_its_own_of_the_sockets_that_systemd_passes() {
    let port = free_port();
    for urls in [
        format!("['unix:socket', 'http://127.0.0.1:{port}']"),
        "['fd.socket:local', 'fd.socket:web']".to_owned(),
    ] {
        let folder = folder(&urls);
        let socket = folder.path("socket");
        let listen = [
            "--listen".to_owned(),
            format!("127.0.0.1:{port}"),
            "--listen".to_owned(),
            socket.display().to_string(),
            "--fdname=web:local".to_owned(),
            env!("CARGO_BIN_EXE_runner").to_owned(),
        ];
        let server = folder
            .program("systemd-socket-activate", listen)
            .arguments(["runIni", "app.ini"])
            .start_at(Address::port(port));
        assert_eq!(server.get("/").ok(), "version 1");
        assert_eq!(get(&local(&folder, "socket"), "/").ok(), "version 1");
        let line = format!("serving http://127.0.0.1:{port}/");
        server.wait_for_log(|log| log.contains(&line));
        // A new version keeps them.
        reload(&server);
        assert_eq!(get(&local(&folder, "socket"), "/").ok(), "version 1");
        server.stop();
        assert!(socket.exists(), "it is the service manager's file");
    }
}

#[test]
fn the_browser_of_launch_shows_the_first_that_it_can() {
    let folder = Folder::new().executable(
        "browser",
        "#!/bin/sh\necho \"$1\" >shown.new\nmv shown.new shown\n",
    );
    let server = folder
        .runner([
            "launch",
            "unix:socket",
            "tcp://127.0.0.1:0",
            "tcp://localhost:0",
            "demo",
        ])
        .env("BROWSER", folder.path("browser"))
        .start();
    support::Waits::until(|| folder.path("shown").exists(), || server.log());
    let shown = folder.read("shown");
    assert!(shown.starts_with("http://127.0.0.1:"), "{shown}");
    server.stop();
}

/// `-p` asks for one address.
#[test]
fn options_leave_one_of_them() {
    let folder = folder("['tcp://127.0.0.1:1', 'unix:socket']");
    let server = folder.runner(["runIni", "app.ini", "-p", "0"]).start();
    assert!(
        server.url().starts_with("http://127.0.0.1:"),
        "{}",
        server.url()
    );
    assert_eq!(server.get("/").ok(), "version 1");
    assert!(!folder.path("socket").exists());
    server.stop();
}
