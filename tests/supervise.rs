//! `supervise`: one master, its pid file, the effect of its keys, and how it ends.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use support::{Address, Folder, Server, Waits, free_port};

/// An application that answers with its process, and a module that leaves a trace when it is imported.
const MY_APP: &str = "\
import os, sys
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    text = '%s %s %s' % (os.getpid(), sys.argv, 'views' in sys.modules)
    return [text.encode()]
";

/// A folder with that application and a file for `supervise`.
fn folder(keys: &str) -> Folder {
    Folder::new()
        .file("my_app.py", MY_APP)
        .file(
            "views.py",
            "import os\nopen('imported', 'a').write('%s\\n' % os.getpid())\n",
        )
        .executable(
            "my_app.conf",
            format!("#!/usr/bin/env -S runner supervise\n{keys}"),
        )
}

const SERVE: &str = "Command serve WSGI import:my_app.application\nPidFile my_app.pid\n";

fn start(folder: &Folder) -> Server {
    folder.runner(["supervise", "my_app.conf"]).start()
}

/// The number in the pid file.
fn pid(folder: &Folder) -> String {
    folder.read("my_app.pid").trim().to_owned()
}

#[test]
fn the_pid_file_is_there_as_long_as_the_master_serves() {
    let folder = folder(SERVE);
    for signal in [Signal::TERM, Signal::INT] {
        let server = start(&folder);
        assert_eq!(pid(&folder), server.pid().to_string());
        assert!(server.get("/").ok().contains("['my_app.conf']"));
        let says = format!("runner: serving {}\nrunner: stopped\n", server.url());
        server.signal(signal);
        server.wait().is(0, "", &says);
        for name in ["my_app.pid", "my_app.pid.socket"] {
            assert!(!folder.path(name).exists(), "{name} is left");
        }
    }
}

#[test]
fn a_file_is_a_program_with_arguments() {
    let folder = folder(SERVE);
    let port = free_port();
    let arguments = ["-p", &port.to_string(), "--", "a b"];
    let server = folder.program("./my_app.conf", arguments).start();
    assert_eq!(server.url(), format!("http://localhost:{port}/"));
    assert!(server.get("/").ok().contains("'a b'"));
    server.stop();
}

/// The document's file, on the socket that a process manager passes.
#[test]
fn the_file_of_the_document() {
    const FILE: &str = "\
     #!invoke runner supervise
     Command FastCGI fd.socket:stdin WSGI import:my_app.application
     PidFile my_app.pid

   MinProcesses 1       # Always have one request-handling process
   MaxProcesses 4       # and up to 4 if needed
   StartInterval 15s    # Don't start children more often than 1 per 15 seconds
   Import views         # force module to be imported in parent, that child might need
";
    let folder = folder("").executable("my_app", FILE.trim_start());
    symlink(env!("CARGO_BIN_EXE_invoke"), folder.path("invoke")).expect("a link");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("an address");
    let no_arguments: [&str; 0] = [];
    let server = folder.program("./my_app", no_arguments);
    let server = server.start_with(OwnedFd::from(socket));
    let text = format!("http://{address}/");
    let server = server.at(Address::of_url(&text).expect("a URL"));
    Waits::until(
        || folder.path("my_app.pid").exists(),
        || format!("no pid file\n{}", server.log()),
    );
    assert_eq!(pid(&folder), server.pid().to_string());
    server.stop().is(0, "", "runner: stopped\n");
    assert_eq!(folder.read("imported").lines().count(), 1);
}

#[test]
fn modules_are_imported_once_before_the_workers_are_forked() {
    let folder = folder(&format!(
        "{SERVE}MinProcesses 3\nImport views\nImport json\n"
    ));
    let server = start(&folder);
    let answer = server.get("/").ok().clone();
    assert!(answer.ends_with(" True"), "{answer}");
    server.stop();
    let imported = folder.read("imported");
    assert_eq!(imported.lines().count(), 1, "{imported}");
    assert!(!answer.starts_with(imported.trim()), "{answer}");
}

/// They may need what the application sets up, as Django's models do.
#[test]
fn modules_are_imported_after_the_application() {
    let folder = folder(&format!("{SERVE}Import late\n"))
        .file(
            "my_app.py",
            format!("{MY_APP}os.environ['SET_UP'] = 'yes'\n"),
        )
        .file("late.py", "import os\nos.environ['SET_UP']\n");
    let server = start(&folder);
    assert_eq!(server.get("/").status, 200);
    server.stop();
}

#[test]
fn a_module_that_cannot_be_imported_is_shown_where_it_is_named() {
    let files = folder(&format!("{SERVE}Import views\nImport veiws\n"))
        .file("broken.py", "import nosuchmodule\n");
    let missing = "\
error: cannot import `veiws`: ModuleNotFoundError: No module named 'veiws'
  ┌─ my_app.conf:5:8
  │
5 │ Import veiws
  │        ^^^^^
  │
  = hint: did you mean `views`?
";
    let start = ["supervise", "my_app.conf"];
    files.runner(start).run().is(1, "", missing);

    let broken = |place: &str| {
        format!(
            "\
error: {place}: cannot import `broken`: ModuleNotFoundError: No module named 'nosuchmodule'
Traceback (most recent call last):
  File \"[folder]/broken.py\", line 1, in <module>
    import nosuchmodule
ModuleNotFoundError: No module named 'nosuchmodule'
"
        )
    };
    let keys = format!("{SERVE}Import views\nImport broken\n");
    let files = files.file("my_app.conf", &keys);
    let said = broken("my_app.conf:4: `Import`");
    files.runner(start).run().is(1, "", &said);
    let ini = "app = commands.Alias(command=['serve', 'WSGI', 'import:my_app.application'])\n\
               runner.workers.imports = [\n    'views',\n    'broken',\n  ]\n";
    let said = broken("app.ini:4: `runner.workers.imports`");
    let files = files.file("app.ini", ini);
    files.runner(["runIni", "app.ini"]).run().is(1, "", &said);

    let report = "\
error: cannot import `broken`: ModuleNotFoundError: No module named 'nosuchmodule'
  ┌─ my_app.conf:4:8
  │
4 │ Import broken
  │        ^^^^^^

1 file: 1 error, 0 warnings
";
    let said = broken("").replace("error: : ", "");
    let check = files.runner(["check", "--import", "my_app.conf"]).run();
    check.is(1, report, &said);
}

#[test]
fn an_ini_file_behind_a_command_and_one_that_says_it_itself() {
    let ini = "app = commands.Alias(command=['serve', 'WSGI', 'import:my_app.application'])\n";
    let folder = folder("Command ./app.ini\nPidFile my_app.pid\n").file("app.ini", ini);
    let server = start(&folder);
    assert_eq!(pid(&folder), server.pid().to_string());
    assert!(server.get("/").ok().contains("app.ini']"));
    server.stop();

    let own = "app = commands.Alias(command=['supervise', 'serve', 'WSGI', 'import:my_app.application'])\n\
               [runner.supervise]\npid_file = 'my_app.pid'\n";
    let folder = folder.file("own.ini", own);
    for arguments in [["runIni", "own.ini"], ["supervise", "app.ini"]] {
        let server = folder
            .runner(["-c", "own.ini"])
            .arguments(arguments)
            .start();
        assert_eq!(pid(&folder), server.pid().to_string());
        server.stop();
    }
}

/// Starting a file again has an effect: the first master leaves when the second one serves.
#[test]
fn starting_it_again_is_a_warm_restart() {
    let port = free_port();
    let folder = folder(&SERVE.replace("serve ", &format!("serve -p {port} ")));
    let first = start(&folder);
    let second = start(&folder);
    assert_eq!(pid(&folder), second.pid().to_string());
    assert_eq!(first.wait().status, 0);
    assert_eq!(pid(&folder), second.pid().to_string());
    assert!(second.get("/").ok().contains("my_app.conf"));
    second.stop();
    assert!(!folder.path("my_app.pid").exists());
}

#[test]
fn a_start_while_another_one_is_under_way_is_refused() {
    let folder = folder("Command serve WSGI import:slow.application\nPidFile my_app.pid\n")
        .file("slow.py", format!("open('go').read()\n{MY_APP}"));
    folder.program("mkfifo", ["go"]).run().success();
    let first = folder
        .runner(["supervise", "my_app.conf"])
        .start_with(OwnedFd::from(
            std::fs::File::open("/dev/null").expect("always there"),
        ));
    // Opening it for writing waits until there is a reader.
    let go = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.path("go"));
    let second = folder.runner(["supervise", "my_app.conf"]).run();
    assert_eq!(second.status, 1, "{second:?}");
    assert!(second.stderr.contains("is starting"), "{second:?}");
    drop(go);
    first.serving().stop();
}

#[test]
fn a_reload_applies_changed_keys() {
    let folder = folder(SERVE);
    let server = start(&folder);
    let workers = || {
        let status = folder
            .runner(["status", "--format", "json", "my_app.conf"])
            .run();
        let status: serde_json::Value = serde_json::from_str(status.success()).expect("JSON");
        status["workers"].as_array().map(Vec::len)
    };
    assert_eq!(workers(), Some(1));
    let folder = folder
        .clone()
        .file("my_app.conf", format!("{SERVE}MinProcesses 3\n"));
    let reload = folder.runner(["reload", "my_app.conf"]).run();
    assert_eq!(reload.status, 0, "{reload:?}");
    assert_eq!(workers(), Some(3));
    let folder = folder.file("my_app.conf", format!("{SERVE}MinProcesses three\n"));
    let reload = folder.runner(["reload", "my_app.conf"]).run();
    assert_eq!(reload.status, 1, "{reload:?}");
    assert!(
        reload
            .stderr
            .contains("key `MinProcesses` takes a whole number"),
        "{reload:?}"
    );
    assert!(server.get("/").ok().contains("my_app.conf"));
    server.stop();
}

#[test]
fn it_stops_by_itself() {
    for key in [
        "StopAfter 300ms",
        "IdleTimeout 300ms",
        "StopAfter 1ms\nRunAtLeast 300ms",
    ] {
        let folder = folder(&format!("{SERVE}{key}\n"));
        let server = start(&folder);
        let says = format!(
            "runner: serving {}\nrunner: stopping: its time to serve, or to be idle, is over\nrunner: stopped\n",
            server.url()
        );
        server.wait().is(0, "", &says);
        assert!(!folder.path("my_app.pid").exists());
    }
}

/// A program that announces that it runs, and continues until it is ended.
const WORKER: &str = "#!/bin/sh\necho \"begun $*\"\nexec cat go\n";

#[test]
fn a_plain_program_is_kept_running() {
    let folder =
        folder("Command exec: ./worker 'a b'\nPidFile my_app.pid\n").executable("worker", WORKER);
    folder.program("mkfifo", ["go"]).run().success();
    let nothing = std::fs::File::open("/dev/null").expect("always there");
    let program = folder.runner(["supervise", "my_app.conf", "c"]);
    let server = program.start_with(OwnedFd::from(nothing));
    let begun = |times| move |log: &str| log.matches("begun a b c\n").count() == times;
    server.wait_for_log(begun(1));
    assert_eq!(pid(&folder), server.pid().to_string());

    // It is started again when it ends.
    let pids = || {
        let all = server.processes().into_iter();
        let worker = |(_, line): &(_, String)| line.starts_with("cat go");
        all.filter(worker).map(|(pid, _)| pid).collect::<Vec<_>>()
    };
    Waits::until(|| !pids().is_empty(), || server.log());
    rustix::process::kill_process(pids()[0], Signal::KILL).expect("its process");
    server.wait_for_log(begun(2));

    // A reload replaces it.
    let reload = folder.runner(["reload", "my_app.conf"]).run();
    assert_eq!(reload.status, 0, "{reload:?}");
    server.wait_for_log(begun(3));
    let status = folder.runner(["status", "my_app.conf"]).run();
    assert!(status.success().contains("worker"), "{status:?}");
    assert_eq!(server.stop().status, 0);
    assert!(!folder.path("my_app.pid").exists());
}
