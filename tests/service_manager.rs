//! What a service manager (systemd) is told, and what it hands over. These tests play its part.

mod support;

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use support::{DEADLINE, Folder};

/// An application that answers with those variables of its environment that are meant for its server.
const VARIABLES: &str = "\
import os
def application(environ, start_response):
    start_response('200 OK', [])
    names = sorted(name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG', 'LISTEN')))
    return [repr(names).encode()]
";

/// The socket on which a service manager listens.
struct Manager(UnixDatagram);

impl Manager {
    /// Listens in the folder.
    fn in_folder(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path("notify")).expect("a free path");
        socket.set_read_timeout(Some(DEADLINE)).expect("a duration");
        Self(socket)
    }

    /// The next message, whole.
    fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

#[test]
fn it_is_told_when_requests_are_answered_and_when_the_end_begins() {
    let folder = Folder::new();
    let manager = Manager::in_folder(&folder);
    // A watchdog that is meant for another process is none of ours.
    let server = folder
        .runner(["serve", "demo"])
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .env("WATCHDOG_USEC", "2000")
        .env("WATCHDOG_PID", "1")
        .start();
    let ready = format!("READY=1\nSTATUS=serving {}\n", server.url());
    assert_eq!(manager.hears(), ready);
    server.signal(Signal::TERM);
    assert_eq!(
        manager.hears(),
        "STOPPING=1\nSTATUS=finishing what is under way\n"
    );
    let serving = format!("runner: serving {}\n", server.url());
    server.wait().is(0, "", &serving);
}

#[test]
fn it_hears_signs_of_life_while_the_event_loop_turns() {
    let folder = Folder::new();
    let manager = Manager::in_folder(&folder);
    let server = folder
        .runner(["serve", "demo"])
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .env("WATCHDOG_USEC", "2000")
        .start();
    let mut heard = [0; 2];
    while heard != [1, 3] {
        match manager.hears().as_str() {
            "WATCHDOG=1\n" => heard[1] = 3.min(heard[1] + 1),
            ready => {
                assert!(ready.starts_with("READY=1\n"), "{ready}");
                heard[0] += 1;
            }
        }
    }
    server.stop();
}

#[test]
fn the_application_does_not_see_what_is_meant_for_its_server() {
    let folder = Folder::new().file("variables.py", VARIABLES);
    let _manager = Manager::in_folder(&folder);
    let server = folder
        .runner(["serve", "WSGI", "import:variables.application"])
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .env("WATCHDOG_USEC", "10000000")
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "web")
        .start();
    assert_eq!(server.get("/").ok(), "[]");
    server.stop();
}

#[test]
fn one_that_cannot_be_reached_is_said_once_and_changes_nothing() {
    let folder = Folder::new();
    for (socket, reason) in [
        ("[folder]/nobody", "No such file or directory (os error 2)"),
        ("vsock:2:1", "`vsock:2:1` is no address of a Unix socket"),
    ] {
        let here = folder.path("").display().to_string();
        let server = folder
            .runner(["serve", "demo"])
            .env("NOTIFY_SOCKET", socket.replace("[folder]", &here))
            .start();
        assert_eq!(server.get("/").status, 200);
        let url = server.url().to_owned();
        let said = server.stop();
        assert_eq!(said.status, 0);
        let complaint =
            format!("runner: cannot reach the service manager (NOTIFY_SOCKET): {reason}\n");
        assert!(said.stderr.contains(&complaint), "{}", said.stderr);
        assert_eq!(
            said.stderr.replace(&complaint, ""),
            format!("runner: serving {url}\n")
        );
    }
}
