//! Reload (SIGHUP): a new version is read beside the old one, which continues unchanged if the new one fails.

mod support;

use std::net::TcpListener;
use std::path::Path;

use rustix::process::Signal;
use support::http::{Connection, Waits, get};
use support::usage::{descriptors, memory};
use support::{Address, Folder, Reply, Server};

/// The file that runs.
const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'tcp://127.0.0.1:0'
[runner.workers]
max = 1
";

/// An application that answers with its version; `/wait` waits until the test writes to the pipe `go`.
fn version(number: u32) -> String {
    format!(
        "\
def application(environ, start_response):
    if environ['PATH_INFO'] == '/wait':
        open('waiting', 'w').close()
        open('go').read()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version {number}']
"
    )
}

/// A link that is switched from release to release: a reload serves its present target, not the one at the start.
#[test]
fn a_reload_follows_the_folder_that_it_was_started_in_by_its_name() {
    for (removed, by_pwd) in [(false, true), (true, true), (false, false)] {
        let file = FILE.replace("tcp://127.0.0.1:0", "unix:../../socket");
        let reads = "\nimport os\nlater = open('text').read()\n";
        let folder = Folder::new()
            .file("releases/1/app.ini", &file)
            .file("releases/1/app.py", version(1) + reads)
            .file("releases/1/text", "")
            .file("releases/2/app.ini", &file)
            .file("releases/2/app.py", version(2) + reads)
            .file("releases/2/text", "");
        let current = folder.path("current");
        std::os::unix::fs::symlink("releases/1", &current).expect("a link");
        let socket = Address::Unix(folder.path("socket"));
        // As systemd does, which sets no `PWD`.
        let whole = current.join("app.ini");
        let (named, pwd) = match by_pwd {
            true => (Path::new("app.ini"), &*current),
            false => (&*whole, Path::new("")),
        };
        let server = folder
            .runner([Path::new("runIni"), named])
            .current_folder(&current)
            .env("PWD", pwd)
            .start_at(socket);
        assert_eq!(server.get("/").ok(), "version 1");
        std::fs::remove_file(&current).expect("a link");
        std::os::unix::fs::symlink("releases/2", &current).expect("a link");
        if removed {
            std::fs::remove_dir_all(folder.path("releases/1")).expect("a folder");
        }
        reload(&server, RELOADED);
        assert_eq!(server.get("/").ok(), "version 2", "{removed}");
        assert_eq!(server.stop().status, 0);
    }
}

/// Sends a request on a kept connection.
fn ask(connection: &mut Connection) -> Reply {
    connection.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    connection.reply("GET")
}

/// A server of the first version.
fn serving(file: &str) -> Server {
    let folder = Folder::new()
        .file("app.py", version(1))
        .file("app.ini", file);
    folder.program("mkfifo", ["go"]).run().success();
    folder.runner(["runIni", "app.ini"]).start()
}

fn write(server: &Server, name: &str, text: &str) {
    std::fs::write(server.folder().path(name), text).expect("a file");
}

/// Sends SIGHUP, and waits for one more line like this one in the log.
fn reload(server: &Server, outcome: &str) -> String {
    let count = |log: &str| log.matches(outcome).count();
    let before = count(&server.log());
    server.signal(Signal::HUP);
    server.wait_for_log(|log| count(log) > before)
}

const RELOADED: &str = "runner: reloaded\n";
const FAILED: &str = "runner: the reload failed; everything that is not named here goes on:\n";

#[test]
fn the_new_version_answers_on_the_connections_that_there_are() {
    let server = serving(FILE);
    let mut connection = Connection::open(server.address());
    assert_eq!(ask(&mut connection).ok(), "version 1");
    write(&server, "app.py", &version(2));
    reload(&server, RELOADED);
    assert_eq!(ask(&mut connection).ok(), "version 2");
    assert_eq!(server.get("/").ok(), "version 2");
    let url = server.url().to_owned();
    let log = format!("runner: serving {url}\n{RELOADED}");
    server.stop().is(0, "", &log);
}

#[test]
fn the_old_version_finishes_its_requests() {
    let server = serving(FILE);
    let address = server.address().clone();
    let waiting = std::thread::spawn(move || get(&address, "/wait"));
    Waits::until(|| server.folder().path("waiting").exists(), || server.log());
    write(&server, "app.py", &version(2));
    reload(&server, RELOADED);
    assert_eq!(server.get("/").ok(), "version 2");
    write(&server, "go", "");
    assert_eq!(waiting.join().expect("an answer").ok(), "version 1");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_version_that_cannot_start_changes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let in_use = FILE.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let impatient = format!("{FILE}[runner]\nstart_timeout = '500ms'\n");
    let cases: &[(&str, &str, &str)] = &[
        (
            "app.py",
            "import nosuchmodule\n",
            "No module named 'nosuchmodule'",
        ),
        ("app.py", "raise SystemExit(3)\n", "import"),
        (
            "app.py",
            "import os\nos._exit(3)\n",
            "Python exited with status 3 while it imported",
        ),
        (
            "app.py",
            "import os\nos.kill(os.getpid(), 9)\n",
            "while it imported",
        ),
        ("app.py", "x = 1\n", "application"),
        ("app.py", "def (\n", "SyntaxError"),
        ("app.ini", "app = \n  commands.Alias(\n", "app.ini:"),
        (
            "app.ini",
            "app = commands.Alias(command=['sevre'])\n",
            "did you mean `serve`?",
        ),
        (
            "app.ini",
            "app = commands.Alias(command=['true'])\n",
            "the command does not run a server any more\nrunner:  = hint: stop it, and start it again",
        ),
        (
            "app.ini",
            "[runner.workers]\nmni = 2\n",
            "there is no setting `runner.workers.mni`",
        ),
        ("app.ini", &in_use, "is in use on 127.0.0.1"),
    ];
    let server = serving(FILE);
    let processes = server.processes().len();
    for (file, text, reason) in cases {
        let good = server.folder().read(file);
        write(&server, file, text);
        let log = reload(&server, FAILED);
        let (_, said) = log.rsplit_once(FAILED).expect("just seen");
        assert!(said.contains(reason), "{text}\n{said}");
        assert_eq!(server.get("/").ok(), "version 1", "{text}");
        settled(&server, processes);
        write(&server, file, &good);
    }
    // An import that hangs is given up after `runner.start_timeout`.
    write(&server, "app.ini", &impatient);
    write(&server, "app.py", "open('go').read()\n");
    let log = reload(&server, FAILED);
    let said = "was not imported within 0.5 s (runner.start_timeout)";
    assert!(log.contains(said), "{log}");
    assert_eq!(server.get("/").ok(), "version 1");
    // Afterwards everything is as before.
    write(&server, "app.ini", FILE);
    write(&server, "app.py", &version(2));
    reload(&server, RELOADED);
    assert_eq!(server.get("/").ok(), "version 2");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_new_address_is_served_before_the_old_one_is_given_up() {
    let server = serving(FILE);
    let mut idle = Connection::open(server.address());
    assert_eq!(ask(&mut idle).ok(), "version 1");
    write(&server, "app.py", &version(2));
    let path = server.folder().path("app.sock");
    write(
        &server,
        "app.ini",
        &FILE.replace("tcp://127.0.0.1:0", "unix:app.sock"),
    );
    reload(&server, RELOADED);
    assert_eq!(get(&Address::Unix(path.clone()), "/").ok(), "version 2");
    // A client of the old address has one last request, whose response announces the end of the connection.
    let last = ask(&mut idle);
    assert_eq!(last.all("connection"), ["close"]);
    assert_eq!(last.ok(), "version 2");
    assert!(!server.address().accepts());
    write(&server, "app.ini", FILE);
    let log = reload(&server, RELOADED);
    let urls: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("runner: serving "))
        .collect();
    assert_eq!(urls.len(), 3, "{log}");
    let address = Address::of_url(urls[2]).expect("a URL");
    assert_eq!(get(&address, "/").ok(), "version 2");
    assert_eq!(server.stop().status, 0);
    assert!(!path.exists());
}

#[test]
fn another_protocol_may_be_spoken_at_the_same_place() {
    let file = FILE.replace("tcp://127.0.0.1:0", "unix:app.sock");
    let server = serving(&file);
    let fast_cgi = "app = commands.Alias(command=['FastCGI', 'unix:app.sock', 'WSGI', 'import:app.application'])\n";
    write(&server, "app.ini", fast_cgi);
    reload(&server, RELOADED);
    assert!(server.address().accepts());
    write(&server, "app.ini", &file);
    reload(&server, RELOADED);
    assert_eq!(server.get("/").ok(), "version 1");
    let path = server.folder().path("app.sock");
    assert!(path.exists());
    assert_eq!(server.stop().status, 0);
    assert!(!path.exists());
}

#[test]
fn settings_of_the_gateway_hold_for_new_connections() {
    let server = serving(FILE);
    assert_eq!(server.get("/before").status, 200);
    write(
        &server,
        "app.ini",
        &format!("{FILE}[runner.log]\naccess = True\n"),
    );
    reload(&server, RELOADED);
    assert_eq!(server.get("/after").status, 200);
    let log = server.wait_for_log(|log| log.contains("/after"));
    assert!(!log.contains("/before"), "{log}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_reload_that_is_wanted_during_another_follows_it() {
    let server = serving(FILE);
    // The first one reads this and waits.
    write(
        &server,
        "app.py",
        &format!(
            "open('importing', 'w').close()\nopen('go').read()\n{}",
            version(2)
        ),
    );
    server.signal(Signal::HUP);
    Waits::until(
        || server.folder().path("importing").exists(),
        || server.log(),
    );
    write(&server, "app.py", &version(3));
    server.signal(Signal::HUP);
    // The event loop answers after it has received the signal: the pipe opens only then.
    assert_eq!(server.get("/").ok(), "version 1");
    write(&server, "go", "");
    server.wait_for_log(|log| log.matches(RELOADED).count() == 2);
    assert_eq!(server.get("/").ok(), "version 3");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn it_can_be_stopped_during_a_reload() {
    let server = serving(FILE);
    write(
        &server,
        "app.py",
        "open('importing', 'w').close()\nopen('go').read()\n",
    );
    server.signal(Signal::HUP);
    Waits::until(
        || server.folder().path("importing").exists(),
        || server.log(),
    );
    let log = format!("runner: serving {}\n", server.url());
    server.stop().is(0, "", &log);
}

/// Waits until only this many processes are left.
#[track_caller]
fn settled(server: &Server, processes: usize) {
    let mut waits = Waits::short();
    while server.processes().len() > processes {
        waits.wait(|| format!("{:?}", server.processes()));
    }
}

/// The reload may read a pipe to which no process has written yet.
#[test]
fn it_can_be_stopped_while_a_reload_reads() {
    let server = serving(FILE);
    let file = format!("{FILE}[Load Settings From]\nfile = 'go'\n");
    write(&server, "app.ini", &file);
    // A reader of the pipe waits as long as a writer is possible.
    let path = server.folder().path("go");
    let both = std::fs::File::options().read(true).write(true).open(&path);
    let pipe = both.expect("a pipe");
    server.signal(Signal::HUP);
    Waits::until(|| has_open(&server, &path), || server.log());
    let log = format!("runner: serving {}\n", server.url());
    server.stop().is(0, "", &log);
    drop(pipe);
}

/// Whether a process has a file open.
fn has_open(server: &Server, file: &std::path::Path) -> bool {
    let file = file.display().to_string();
    let descriptors = descriptors(server.pid());
    descriptors.iter().any(|(_, target)| *target == file)
}

#[test]
fn fifty_reloads_leave_nothing_behind() {
    let server = serving(FILE);
    // Everything that is created once has been created by now.
    for _ in 0..10 {
        reload(&server, RELOADED);
    }
    settled(&server, 3);
    let open = || descriptors(server.pid()).len();
    let resident = || memory(server.pid(), "VmRSS");
    let before = (open(), resident());
    for _ in 0..50 {
        reload(&server, RELOADED);
    }
    settled(&server, 3);
    let mut waits = Waits::short();
    while open() > before.0 {
        waits.wait(|| format!("{} descriptors have become {}", before.0, open()));
    }
    let grown = resident().saturating_sub(before.1);
    assert!(grown < 4 << 20, "it has grown by {grown} bytes");
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn runner_reload_waits_for_the_outcome_and_prints_it() {
    let file = format!("{FILE}[runner.status]\nurl = 'unix:control'\n");
    let server = serving(&file);
    let folder = server.folder();
    let reload = || folder.runner(["reload", "app.ini"]).run();
    write(&server, "app.py", &version(2));
    reload().is(0, "app.ini serves the new version\n", "");
    assert_eq!(server.get("/").ok(), "version 2");
    write(&server, "app.py", "import nosuchmodule\n");
    let outcome = reload();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    let says = |text: &str| assert!(outcome.stderr.contains(text), "{outcome:#?}");
    says("error: ");
    says("No module named 'nosuchmodule'");
    assert_eq!(server.get("/").ok(), "version 2");
    write(&server, "app.py", &version(3));
    write(&server, "app.ini", &file.replace("max = 1", "mxa = 1"));
    folder.runner(["reload", "unix:control"]).run().is(
        1,
        "",
        "error: there is no setting `runner.workers.mxa`
  ┌─ app.ini:4:1
  │
4 │ mxa = 1
  │ ^^^
  │
  = hint: did you mean `runner.workers.max`?
",
    );
    assert_eq!(server.get("/").ok(), "version 2");
    write(&server, "app.ini", &file);
    let stop = folder.runner(["stop", "app.ini"]).run();
    stop.is(0, "app.ini has ended\n", "");
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_reload_does_not_move_the_control_socket() {
    let file = format!("{FILE}[runner.status]\nurl = 'unix:control'\n");
    let server = serving(&file);
    let folder = server.folder();
    write(
        &server,
        "app.ini",
        &file.replace("'unix:control'", "'unix:new'"),
    );
    let lost = folder.runner(["reload", "app.ini"]).run();
    assert_eq!(lost.status, 1, "{lost:#?}");
    let hint =
        "if `runner.status.url` has changed, write `runner reload unix:PATH` with the old one";
    assert!(lost.stderr.contains(hint), "{lost:#?}");
    let done = folder.runner(["reload", "unix:control"]).run();
    done.is(0, "unix:control serves the new version\n", "");
    let warning = "a new pid file or control socket holds from the next start on";
    assert!(server.log().contains(warning), "{}", server.log());
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_server_that_ends_does_not_reload() {
    let file = format!("{FILE}[runner.status]\nurl = 'unix:control'\n");
    let server = serving(&file);
    let address = server.address().clone();
    let waiting = std::thread::spawn(move || get(&address, "/wait"));
    Waits::until(|| server.folder().path("waiting").exists(), || server.log());
    server.signal(Signal::TERM);
    Waits::until(|| !server.address().accepts(), || server.log());
    let reload = server.folder().runner(["reload", "app.ini"]).run();
    reload.is(1, "", "error: it is being stopped\n");
    write(&server, "go", "");
    assert_eq!(waiting.join().expect("an answer").ok(), "version 1");
    assert_eq!(server.wait().status, 0);
}

/// Runs a server in a terminal that is closed once the server serves.
const TERMINAL: &str = "\
import os, pty, sys
process, terminal = pty.fork()
if process == 0:
    os.execvp('runner', ['runner', 'serve', 'demo'])
text = b''
while b'serving' not in text:
    text += os.read(terminal, 1000)
os.close(terminal)
_, status = os.waitpid(process, 0)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
";

#[test]
fn when_its_terminal_is_closed_it_ends() {
    let folder = Folder::new().file("terminal.py", TERMINAL);
    folder
        .program("python3", ["terminal.py"])
        .run()
        .is(0, "", "");
}
