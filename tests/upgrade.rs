//! A reload after the program itself was replaced: the new program takes the place of the running one.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use rustix::process::{Pid, Signal, kill_process};
use support::http::{Connection, Waits};
use support::load::Load;
use support::{Folder, Server, version};

const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'tcp://127.0.0.1:0'
[runner.workers]
max = 1
";

/// A server whose program is a copy of its own.
fn serving(file: &str) -> Server {
    let folder = Folder::new()
        .file("app.py", version(1))
        .file("app.ini", file);
    install(&folder);
    let program = folder.path("runner");
    folder.program(program, ["runIni", "app.ini"]).start()
}

/// Puts a new copy of the program in place, atomically.
fn install(folder: &Folder) {
    put(folder, env!("CARGO_BIN_EXE_runner"), 0o755);
}

/// Puts another file in place of the program.
fn install_script(folder: &Folder, text: &str, mode: u32) {
    fs::write(folder.path("text"), text).expect("a file");
    put(folder, "text", mode);
}

/// Copies a file into the program's place. Another process writes it: programs that other tests are starting would hold
/// it open for writing if the test wrote it itself, and then it cannot be executed (ETXTBSY).
fn put(folder: &Folder, file: &str, mode: u32) {
    let mode = format!("{mode:o}");
    let line = ["-m", mode.as_str(), file, "new"];
    folder.program("install", line).run().success();
    fs::rename(folder.path("new"), folder.path("runner")).expect("the same folder");
}

const SERVES: &str = "runner: the new program serves as process ";

/// Reloads the server, and returns the process that serves then.
fn upgrade(server: &Server) -> String {
    let before = server.log().matches(SERVES).count();
    server.signal(Signal::HUP);
    let log =
        server.wait_for_log(|log| log.matches(SERVES).count() > before && log.ends_with('\n'));
    let (_, pid) = log.rsplit_once(SERVES).expect("just seen");
    pid.lines().next().expect("a line").to_owned()
}

#[test]
fn the_new_program_serves_and_the_old_one_stands_in_for_it() {
    let server = serving(FILE);
    let mut connection = Connection::open(server.address());
    let mut ask = || {
        connection.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        connection.reply("GET")
    };
    assert_eq!(ask().ok(), "version 1");
    fs::write(server.folder().path("app.py"), version(2)).expect("a file");
    install(server.folder());
    let pid = upgrade(&server);
    assert_ne!(pid, server.pid().as_raw_nonzero().to_string());
    // The old program's last response announces the end of the connection.
    let last = ask();
    assert_eq!(last.all("connection"), ["close"]);
    assert_eq!(last.ok(), "version 1");
    assert_eq!(server.get("/").ok(), "version 2");
    // For the process that started the first program, everything is as before.
    fs::write(server.folder().path("app.py"), version(3)).expect("a file");
    Waits::until(
        || server.processes().len() <= 4,
        || format!("{:?}", server.processes()),
    );
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_eq!(server.get("/").ok(), "version 3");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

/// Its processes except those of the application.
fn masters(server: &Server) -> Vec<Pid> {
    let all = server.processes().into_iter();
    let masters = all.filter(|(_, line)| line.contains("runIni"));
    masters.map(|(pid, _)| pid).collect()
}

#[test]
fn after_any_number_of_upgrades_one_process_stands_in() {
    let server = serving(FILE);
    let mut last = server.pid();
    for number in 2..5 {
        fs::write(server.folder().path("app.py"), version(number)).expect("a file");
        install(server.folder());
        let pid = upgrade(&server).parse().expect("a number");
        last = Pid::from_raw(pid).expect("a process");
        Waits::until(
            || masters(&server).len() <= 2,
            || format!("{:?}", server.processes()),
        );
        assert!(masters(&server).contains(&server.pid()));
        assert_eq!(server.get("/").ok(), format!("version {number}"));
    }
    // It ends as the last one does.
    kill_process(last, Signal::KILL).expect("a process of ours");
    assert_eq!(server.wait().status, 128 + 9);
}

#[test]
fn a_program_that_does_not_serve_changes_nothing() {
    unsuccessful_upgrades(FILE);
}

/// What a successor has taken over is not removed with it.
#[test]
fn sockets_by_path_outlive_a_program_that_does_not_serve() {
    let pages = "[runner.status]\nhttp = 'unix:pages.sock'\n";
    unsuccessful_upgrades(&format!(
        "{}{pages}",
        FILE.replace("tcp://127.0.0.1:0", "unix:app.sock")
    ));
}

fn unsuccessful_upgrades(file: &str) {
    let server = serving(file);
    let broken = "import nosuchmodule\n";
    let cases = [
        (
            "#!/bin/sh\nexit 3\n",
            0o755,
            "ended without serving (exit status: 3)",
        ),
        (
            "#!/bin/sh\nkill -9 $$\n",
            0o755,
            "ended without serving (signal: 9",
        ),
        ("#!/bin/sh\nexit 3\n", 0o644, "cannot run `"),
        ("\u{7f}ELF?", 0o755, "cannot run `"),
    ];
    let failed = |server: &Server, reason: &str| {
        const FAILED: &str =
            "runner: the reload failed; everything that is not named here goes on:\n";
        let before = server.log().matches(FAILED).count();
        server.signal(Signal::HUP);
        let log = server.wait_for_log(|log| log.matches(FAILED).count() > before);
        let (_, said) = log.rsplit_once(FAILED).expect("just seen");
        assert!(said.contains(reason), "{said}");
        assert_eq!(server.get("/").ok(), "version 1");
    };
    for (text, mode, reason) in cases {
        install_script(server.folder(), text, mode);
        failed(&server, reason);
    }
    install(server.folder());
    fs::write(server.folder().path("app.py"), broken).expect("a file");
    failed(&server, "No module named 'nosuchmodule'");
    fs::write(server.folder().path("app.py"), version(2)).expect("a file");
    upgrade(&server);
    assert_eq!(server.get("/").ok(), "version 2");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn it_can_be_reached_as_before() {
    let file = format!("{FILE}[runner.status]\nurl = 'unix:control'\n");
    let server = serving(&file);
    let folder = server.folder();
    let order = |name: &str| folder.runner([name, "app.ini"]).run();
    for number in 2..4 {
        fs::write(folder.path("app.py"), version(number)).expect("a file");
        install(folder);
        order("reload").is(0, "app.ini serves the new version\n", "");
        assert_eq!(server.get("/").ok(), format!("version {number}"));
    }
    order("stop").is(0, "app.ini has ended\n", "");
    assert!(!folder.path("control").exists());
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_supervised_server_loses_nothing_by_it() {
    let keys = "\
Command serve tcp://127.0.0.1:0 WSGI import:app.application
PidFile app.pid
MaxProcesses 1
";
    let folder = Folder::new().file("app.py", version(1)).file("app", keys);
    install(&folder);
    let program = folder.path("runner");
    let server = folder.program(program, ["supervise", "app"]).start();
    let load = Load::new(server.address()).fresh(8).kept(8).start();
    for number in 2..5 {
        load.more(100);
        fs::write(folder.path("app.py"), version(number)).expect("a file");
        install(&folder);
        let reload = folder.runner(["reload", "app"]).run();
        reload.is(0, "app serves the new version\n", "");
        let mut waits = Waits::new();
        while server.get("/").ok() != format!("version {number}") {
            waits.wait(|| server.log());
        }
    }
    load.more(100);
    load.stop().is_whole();
    let serves = folder.read("app.pid").trim().to_owned();
    assert_ne!(serves, server.pid().as_raw_nonzero().to_string());
    let stop = folder.runner(["stop", "app"]).run();
    stop.is(0, "app has ended\n", "");
    assert_eq!(server.wait().status, 0);
}

/// Reads the messages to a service manager until one names another process as the main one; returns its number.
fn main_process(manager: &UnixDatagram) -> Pid {
    manager
        .set_read_timeout(Some(support::DEADLINE))
        .expect("a positive time");
    let mut buffer = [0; 4096];
    loop {
        let count = manager.recv(&mut buffer).expect("a message in time");
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let found = text.lines().find_map(|line| line.strip_prefix("MAINPID="));
        if let Some(number) = found {
            // No state of the reload may be left; the successor's messages are not accepted before.
            assert!(text.contains("\nREADY=1\nSTATUS=serving "), "{text}");
            return Pid::from_raw(number.parse().expect("a number")).expect("a process");
        }
    }
}

/// Socket activation, as systemd does it: the sockets were not passed to the new process itself.
#[test]
fn systemd_learns_the_new_main_process_and_the_old_one_ends() {
    let folder = Folder::new()
        .file("app.py", version(1))
        .file("app.ini", FILE);
    install(&folder);
    let manager = UnixDatagram::bind(folder.path("notify")).expect("a socket");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", socket.local_addr().expect("bound"));
    let activated =
        "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec ./runner runIni app.ini";
    let server = folder
        .program("sh", ["-c", activated])
        .env("NOTIFY_SOCKET", folder.path("notify"))
        .start_with(OwnedFd::from(socket))
        .serving();
    assert_eq!(server.url(), url);
    for number in 2..4 {
        fs::write(folder.path("app.py"), version(number)).expect("a file");
        install(&folder);
        match number {
            2 => server.signal(Signal::HUP),
            // The first process is gone; its successor is replaced in turn.
            _ => {
                let mut waits = Waits::new();
                let gone = server.pid();
                while server.processes().iter().any(|(pid, _)| *pid == gone) {
                    waits.wait(|| server.log());
                }
                let masters = masters(&server);
                kill_process(masters[0], Signal::HUP).expect("a process of ours");
            }
        }
        let main = main_process(&manager);
        assert_eq!(server.get("/").ok(), format!("version {number}"));
        if number == 3 {
            kill_process(main, Signal::TERM).expect("a process of ours");
        }
    }
    assert_eq!(server.wait().status, 0);
}

#[test]
fn it_can_be_stopped_while_the_new_program_starts() {
    let server = serving(FILE);
    let folder = server.folder();
    folder.program("mkfifo", ["go"]).run().success();
    let slow = "open('importing', 'w').close()\nopen('go').read()\n";
    fs::write(folder.path("app.py"), slow).expect("a file");
    install(folder);
    server.signal(Signal::HUP);
    Waits::until(|| folder.path("importing").exists(), || server.log());
    let says = format!("runner: serving {}\n", server.url());
    server.stop().is(0, "", &says);
}
