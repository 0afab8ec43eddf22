//! What a service manager (systemd) is told, and what it passes. These tests play the service manager.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use support::{Address, DEADLINE, Folder, Program, Server, free_port, http};

/// An application that answers with the environment variables that are meant for its server.
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

    /// The next complete message.
    fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

#[test]
fn it_learns_when_the_server_is_ready_and_when_it_stops() {
    let folder = Folder::new();
    let manager = Manager::in_folder(&folder);
    // A watchdog that is meant for another process is ignored.
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
fn it_learns_of_each_reload_and_its_outcome() {
    let folder = Folder::new().file(
        "app.ini",
        "app = commands.Alias(command=['serve', 'demo'])\n",
    );
    let manager = Manager::in_folder(&folder);
    let server = folder
        .runner(["runIni", "app.ini"])
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .start();
    let ready = manager.hears();
    let folder = folder.file("app.ini", "app = commands.Alias(command=['nonsense'])\n");
    server.signal(Signal::HUP);
    let reloading = manager.hears();
    let time = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .and_then(|rest| rest.strip_suffix("\nSTATUS=reloading\n"));
    let time: u128 = time.expect(&reloading).parse().expect("microseconds");
    assert!(time > 0);
    assert_eq!(manager.hears(), ready);
    let status = ready.trim_start_matches("READY=1\n").trim_end();
    let failed = format!("{status}; the last reload failed: unknown name `nonsense`\n");
    assert_eq!(manager.hears(), failed);
    server.stop();
    drop(folder);
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

/// The service manager knows the first process, and accepts its messages.
#[test]
fn it_learns_of_a_master_that_was_started_by_hand() {
    let keys = "Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\n";
    let folder = Folder::new().file("app.conf", keys);
    let manager = Manager::in_folder(&folder);
    let master = || folder.runner(["supervise", "app.conf"]);
    let first = master()
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .env("WATCHDOG_USEC", "60000000")
        .start();
    let alive = "WATCHDOG=1\n".to_owned();
    let ready = format!("READY=1\nSTATUS=serving {}\n", first.url());
    let heard = |count| {
        let mut heard: Vec<String> = (0..count).map(|_| manager.hears()).collect();
        heard.sort();
        heard
    };
    assert_eq!(heard(2), [ready.clone(), alive.clone()]);
    // From then on the second master sends the messages, though its own environment has no service manager.
    let second = master().start();
    assert_eq!(first.wait().status, 0);
    let main = |server: &Server| format!("MAINPID={}\n{ready}", server.pid().as_raw_nonzero());
    assert_eq!(heard(3), [main(&second), ready.clone(), alive]);
    // A master that has a service manager of its own sends its messages there.
    let other = Folder::new();
    let its_own = Manager::in_folder(&other);
    let third = master().env("NOTIFY_SOCKET", other.path("notify")).start();
    assert_eq!(second.wait().status, 0);
    assert_eq!(manager.hears(), main(&third));
    assert_eq!(its_own.hears(), ready);
    assert_eq!(third.stop().status, 0);
    assert!(its_own.hears().starts_with("STOPPING=1\n"));
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
fn an_unreachable_service_manager_is_logged_once_and_changes_nothing() {
    let folder = Folder::new();
    for (socket, reason) in [
        ("[folder]/nobody", "No such file or directory"),
        (
            "vsock:2:1",
            "`vsock:2:1` is not an address of a Unix socket",
        ),
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

/// A command that runs `runner` as a service manager does: the listening socket, its standard input, becomes descriptor
/// 3.
fn activated(folder: &Folder, variables: &str, arguments: &str) -> Program {
    let script = format!("exec 3<&0 </dev/null; export {variables}; exec runner {arguments}");
    folder.program("sh", ["-c", &script])
}

fn listening() -> (TcpListener, Address) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = socket.local_addr().expect("bound").port();
    (socket, Address::port(port))
}

/// What is said of sockets that nobody accepts connections of.
const UNSERVED: &str = "systemd passes sockets that no address of this server is for, so that their clients get no answer: 127.0.0.1:";

#[test]
fn sockets_that_it_passes_are_served_unless_the_command_line_says_otherwise() {
    let folder = Folder::new().file(
        "app.ini",
        "app = commands.Alias(command=['serve', 'demo'])\nurl = 'tcp://localhost:1'\n",
    );
    let ours = "LISTEN_PID=$$ LISTEN_FDS=1";
    for (variables, arguments) in [
        (ours, "serve demo"),
        (ours, "runIni app.ini"),
        (ours, "serve fd.socket:* demo"),
        (ours, "serve fd.socket:3 demo"),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web",
            "serve fd.socket:web/inet/stream/tcp demo",
        ),
    ] {
        let (socket, address) = listening();
        let server = activated(&folder, variables, arguments)
            .start_with(OwnedFd::from(socket))
            .serving();
        assert_eq!(server.address(), &address, "{arguments}");
        assert_eq!(server.get("/").status, 200);
        let said = server.stop().stderr;
        assert!(!said.contains(UNSERVED), "{said}");
    }
    for (variables, arguments) in [
        (ours, "serve tcp://127.0.0.1:0 demo"),
        (ours, "serve -p 0 demo"),
        // These were passed to a parent, whose environment was inherited.
        ("LISTEN_PID=1 LISTEN_FDS=1", "serve demo"),
    ] {
        let (socket, address) = listening();
        let server = activated(&folder, variables, arguments)
            .start_with(OwnedFd::from(socket))
            .serving();
        assert_ne!(server.address(), &address, "{arguments}");
        // The service manager listens on it, so that its clients wait.
        let said = server.stop().stderr;
        assert_eq!(said.contains(UNSERVED), variables == ours, "{said}");
    }
}

#[test]
fn a_socket_that_it_does_not_pass_is_a_mistake() {
    let folder = Folder::new();
    for (variables, url, reason) in [
        (
            "LISTEN_PID=1 LISTEN_FDS=1",
            "*",
            "no service manager has passed a socket to this process (LISTEN_FDS)",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=api",
            "web",
            "the service manager has passed `api` only",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=1",
            "*",
            "descriptor 3 is not a socket",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=100000",
            "*",
            "the sockets of the service manager cannot be used (LISTEN_FDS): Bad file descriptor",
        ),
        (
            "LISTEN_PID=$$ LISTEN_FDS=some",
            "*",
            "the sockets of the service manager cannot be used (LISTEN_FDS): invalid LISTEN_FDS",
        ),
    ] {
        let stderr = format!("error: cannot listen on `fd.socket:{url}`: {reason}\n");
        activated(&folder, variables, &format!("serve 'fd.socket:{url}' demo"))
            .run()
            .is(1, "", &stderr);
    }
}

#[test]
fn systemds_own_activation_passes_several_sockets() {
    let folder = Folder::new().file("app.conf", "Command serve demo\nPidFile app.pid\n");
    for arguments in [["serve", "demo"], ["supervise", "app.conf"]] {
        let port = free_port();
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
            .arguments(arguments)
            .start_at(Address::port(port));
        assert_eq!(server.get("/").status, 200);
        assert_eq!(http::get(&Address::Unix(socket.clone()), "/").status, 200);
        server.stop();
        assert!(socket.exists(), "it is the service manager's file");
    }
}

/// A file with an address, and a socket unit with the same address.
#[test]
fn an_address_of_our_own_may_be_that_of_a_socket_that_it_passes() {
    let (socket, _) = listening();
    let port = socket.local_addr().expect("bound").port();
    let stderr = format!(
        "error: cannot listen on `tcp://127.0.0.1:{port}`: port {port} is in use on 127.0.0.1 \
         (sockets that systemd passes are served if no address is on the command line: 127.0.0.1:{port})\n"
    );
    let arguments = format!("serve tcp://127.0.0.1:{port} demo");
    activated(&Folder::new(), "LISTEN_PID=$$ LISTEN_FDS=1", &arguments)
        .start_with(OwnedFd::from(socket))
        .wait()
        .is(1, "", &stderr);
}
