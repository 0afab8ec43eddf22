//! CGI programs behind `cgi-bin`, most of them scripts for the shell.

use super::http::{Connection, Waits};
use super::{Folder, Server};

/// A script for the shell.
pub fn shell(text: &str) -> String {
    format!("#!/bin/sh\n{text}")
}

/// A server with the programs of `cgi-bin`. They have the mark by which the tests find processes that are left.
pub fn serving(folder: &Folder, settings: &str, options: &[&str]) -> Server {
    let folder = folder.clone().file("settings.ini", settings);
    let words = ["-c", "settings.ini", "serve", "tcp://127.0.0.1:0"];
    let words = words
        .into_iter()
        .chain(["cgi-bin", "cgi-bin", "--env", "RUNNER_TEST"]);
    folder.runner(words.chain(options.iter().copied())).start()
}

/// Waits until no process but the server's own is left.
#[track_caller]
pub fn alone(server: &Server) {
    let others = || server.processes().len() > 1;
    Waits::until(
        || !others(),
        || format!("left: {:?}\n{}", server.processes(), server.log()),
    );
}

/// Sends a GET and does not wait for the response.
pub fn ask(server: &Server, target: &str) -> Connection {
    let mut connection = Connection::open(server.address());
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.send(head.as_bytes());
    connection
}
