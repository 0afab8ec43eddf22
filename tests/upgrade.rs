//! A reload after the program itself was replaced: the new one takes the place of the running one.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use support::http::{Connection, Waits};
use support::{Folder, Server};

/// An application that says which version it is, and by which program it is run.
fn version(number: u32) -> String {
    format!(
        "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version {number}']
"
    )
}

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

/// Puts a new copy of the program in place, in one step.
fn install(folder: &Folder) {
    let new = folder.path("new");
    fs::copy(env!("CARGO_BIN_EXE_runner"), &new).expect("a copy");
    fs::rename(new, folder.path("runner")).expect("the same folder");
}

/// Puts something else in place of the program.
fn install_script(folder: &Folder, text: &str, mode: u32) {
    let new = folder.path("new");
    fs::write(&new, text).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("our own file");
    fs::rename(new, folder.path("runner")).expect("the same folder");
}

const SERVES: &str = "runner: the new program serves as process ";

/// Has it reloaded, and gives the process that serves then.
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
    // The last answer of the old one says that it is the last.
    let last = ask();
    assert_eq!(last.all("connection"), ["close"]);
    assert_eq!(last.ok(), "version 1");
    assert_eq!(server.get("/").ok(), "version 2");
    // All is as before for whoever knows the process that he started.
    fs::write(server.folder().path("app.py"), version(3)).expect("a file");
    let mut waits = Waits::new();
    while server.processes().len() > 4 {
        waits.wait(|| format!("{:?}", server.processes()));
    }
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_eq!(server.get("/").ok(), "version 3");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

#[test]
fn a_program_that_does_not_serve_changes_nothing() {
    let server = serving(FILE);
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
        const FAILED: &str = "runner: the reload failed, and what was served before goes on:\n";
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
