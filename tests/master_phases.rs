//! What `status`, `reload` and `stop` say in each phase of a master's life, and what becomes of an order that waits.

mod support;

use std::thread::JoinHandle;

use runner::supervisor::control::client::Client;
use runner::supervisor::control::order::{Answer, Order};
use runner::supervisor::trust::Trust;
use support::http::get;
use support::{Folder, Outcome, Server, Waits};

const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'tcp://127.0.0.1:0'
[runner]
status.url = 'unix:control'
workers.max = 1
";

/// An application that answers with its version; `/wait` waits until the test writes to the pipe `go`.
const SERVING: &str = "\
def application(environ, start_response):
    if environ['PATH_INFO'] == '/wait':
        open('waiting', 'w').close()
        open('go').read()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version 1']
";

/// An application whose import waits until the test writes to the pipe `go` what it is to do then.
const GATED: &str = "\
open('waiting', 'w').close()
exec(open('go').read())
";

const RELOADED: (i32, &str, &str) = (0, "app.ini serves the new version\n", "");
const STOPPED: (i32, &str, &str) = (0, "app.ini has ended\n", "");
const IS_STOPPED: (i32, &str, &str) = (1, "", "error: it is being stopped\n");

/// A folder with this application.
fn folder(application: &str) -> Folder {
    let folder = Folder::new()
        .file("app.ini", FILE)
        .file("app.py", application);
    folder.program("mkfifo", ["go"]).run().success();
    folder
}

/// Waits until the application is at its pipe.
fn at_the_pipe(server: &Server) {
    Waits::until(|| server.folder().path("waiting").exists(), || server.log());
}

/// Lets the application at the pipe go on, with a text that it reads.
fn go(folder: &Folder, text: &str) {
    std::fs::write(folder.path("go"), text).expect("a pipe");
}

fn write(folder: &Folder, application: &str) {
    std::fs::write(folder.path("app.py"), application).expect("a file");
}

/// Waits for a state, and compares the exit status that `status` has then.
#[track_caller]
fn is_in(folder: &Folder, state: &str, code: i32) {
    let wanted = format!("\"state\": \"{state}\"");
    let mut waits = Waits::short();
    loop {
        let status = folder
            .runner(["status", "--format", "json", "app.ini"])
            .run();
        match status.stdout.contains(&wanted) {
            true => return assert_eq!(status.status, code, "{status:?}"),
            false => waits.wait(|| format!("{state}: {status:?}")),
        }
    }
}

/// What all commands say once the server has ended.
#[track_caller]
fn is_gone(folder: &Folder) {
    for (command, code) in [("status", 3), ("reload", 1), ("stop", 1)] {
        let outcome = folder.runner([command, "app.ini"]).run();
        assert_eq!(outcome.status, code, "{outcome:?}");
        let text = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(text.contains("`app.ini` is not running"), "{outcome:?}");
    }
}

#[track_caller]
fn said(outcome: &Outcome, (code, stdout, stderr): (i32, &str, &str)) {
    outcome.is(code, stdout, stderr);
}

/// Starts a server whose application is at its pipe, with a client that waits for a reload.
fn starting() -> (Folder, Server, JoinHandle<Option<Answer>>) {
    let folder = folder(GATED);
    let server = folder.runner(["runIni", "app.ini"]).begin();
    at_the_pipe(&server);
    is_in(&folder, "starting", 3);
    let (sender, received) = std::sync::mpsc::channel();
    let control = folder.path("control");
    let reload = std::thread::spawn(move || {
        let client = Client::connect(&control, Trust::own()).expect("a master that answers");
        // Sent each second while the master works on the order.
        let meanwhile = || {
            // The test waits for the first one only.
            let _ = sender.send(());
            Ok(())
        };
        let answer = client
            .expect("a master")
            .ask_patiently(Order::Reload, meanwhile);
        answer.expect("an answer")
    });
    received.recv().expect("the master has the order");
    (folder, server, reload)
}

/// The reason why a reload that waited is refused.
#[track_caller]
fn refused(reload: JoinHandle<Option<Answer>>) -> String {
    match reload.join().expect("a client") {
        Some(Answer::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reload_during_a_start_follows_it() {
    let (folder, server, reload) = starting();
    write(&folder, SERVING);
    go(&folder, SERVING);
    let answer = reload.join().expect("a client");
    assert!(matches!(answer, Some(Answer::Done(_))), "{answer:?}");
    is_in(&folder, "serving", 0);
    said(&folder.runner(["reload", "app.ini"]).run(), RELOADED);
    said(&folder.runner(["stop", "app.ini"]).run(), STOPPED);
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_reload_during_a_start_that_fails_says_why() {
    let (folder, server, reload) = starting();
    go(&folder, "import no_such_module");
    let reason = refused(reload);
    let begins = "it could not be started: ";
    assert!(reason.starts_with(begins), "{reason}");
    let why = "No module named 'no_such_module'";
    assert!(reason.contains(why), "{reason}");
    let log = server.wait();
    assert_eq!(log.status, 1);
    assert!(log.stderr.contains(why), "{log:?}");
    is_gone(&folder);
}

#[test]
fn a_stop_during_a_start_refuses_the_reload() {
    let (folder, server, reload) = starting();
    said(&folder.runner(["stop", "app.ini"]).run(), STOPPED);
    assert_eq!(refused(reload), "it is being stopped");
    assert_eq!(server.wait().status, 0);
    is_gone(&folder);
}

#[test]
fn a_stop_during_a_reload_refuses_it() {
    let folder = folder(SERVING);
    let server = folder.runner(["runIni", "app.ini"]).start();
    is_in(&folder, "serving", 0);
    write(&folder, GATED);
    let reload = folder.runner(["reload", "app.ini"]).begin();
    at_the_pipe(&server);
    is_in(&folder, "reloading", 0);
    said(&folder.runner(["stop", "app.ini"]).run(), STOPPED);
    said(&reload.wait(), IS_STOPPED);
    assert_eq!(server.wait().status, 0);
}

#[test]
fn a_server_that_finishes_its_requests_takes_no_reload() {
    let folder = folder(SERVING);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let address = server.address().clone();
    let waiting = std::thread::spawn(move || get(&address, "/wait"));
    at_the_pipe(&server);
    let stop = folder.runner(["stop", "app.ini"]).begin();
    is_in(&folder, "stopping", 3);
    said(&folder.runner(["reload", "app.ini"]).run(), IS_STOPPED);
    let second = folder.runner(["stop", "app.ini"]).begin();
    go(&folder, "");
    assert_eq!(waiting.join().expect("an answer").ok(), "version 1");
    said(&stop.wait(), STOPPED);
    said(&second.wait(), STOPPED);
    assert_eq!(server.wait().status, 0);
    is_gone(&folder);
}
