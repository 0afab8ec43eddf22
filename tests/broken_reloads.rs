//! A version that cannot start fails the start and the reload. Under load only the caller of the reload notices.

mod support;

use support::{Folder, Load, python, version};

/// The file that runs.
const FILE: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
url = 'tcp://127.0.0.1:0'
[runner]
start_timeout = '5s'
status.url = 'unix:control'
[runner.workers]
min = 2
max = 2
";

/// Versions that never get as far as an application, and the message for each.
const BROKEN: [(&str, &[&str]); 4] = [
    (
        "import nosuchmodule\n",
        &["No module named 'nosuchmodule'", ", line 1, in <module>\n"],
    ),
    (
        "import os\nos._exit(3)\n",
        &["Python exited with status 3 while it imported `app.application`"],
    ),
    (
        "import stuck\nstuck.sleep_for_ever()\n",
        &[
            "`app.application` was not imported within 5 s (runner.start_timeout). Stack (most recent call last):\n",
            ", in sleep_for_ever\n    time.",
        ],
    ),
    (
        "import stuck\nstuck.hold_the_interpreter()\n",
        &[
            "`app.application` was not imported within 5 s (runner.start_timeout). Stack (most recent call last):\n",
            ", in hold_the_interpreter\n    ctypes.",
        ],
    ),
];

/// Versions that can be imported, but whose workers, or the template that forks them, end before a worker has begun to
/// serve.
const DOOMED: [(&str, &str); 4] = [
    (
        "import os, sys\nclass Output:\n    def flush(self):\n        os._exit(3)\nsys.stdout = Output()\n",
        "the template exited with status 3",
    ),
    (
        "import os\nos.register_at_fork(after_in_child=lambda: os._exit(4))\n",
        "exited with status 4 before it was ready",
    ),
    (
        "import sys\ndef hook(event, _):\n    if event == 'socket.__new__':\n        raise RuntimeError(event)\n\
         sys.addaudithook(hook)\n",
        "exited with status 1 before it was ready",
    ),
    (
        "import os, threading\nos.register_at_fork(after_in_child=threading.Event().wait)\n",
        "has not begun to serve within 3 s (runner.start_timeout)",
    ),
];

/// What runs in place of Python and never gets as far as reading what it is to do, and the message for each.
const NO_PYTHON: [(&str, &str); 2] = [
    (
        "exit 3",
        "Python exited with status 3 while it imported `app.application`",
    ),
    (
        "exec sleep 1000",
        "`app.application` was not imported within 5 s (runner.start_timeout)",
    ),
];

/// The master does not wait for a Python: neither for one that is slow to begin, nor for one that never does.
#[test]
fn a_python_that_does_not_begin_fails_the_start_and_a_reload_under_load() {
    let asgi = "\
async def application(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b'version 1'})
";
    for (interface, application) in [("WSGI", version(1)), ("ASGI", asgi.to_owned())] {
        let file = FILE.replace("WSGI", interface);
        let script = |line: &str| format!("#!/bin/sh\n{line}\n");
        let python = script(&format!("exec {} \"$@\"", python().display()));
        let folder = Folder::new().file("app.py", application).file(
            "app.ini",
            file.replace("[runner]", "[runner]\npython = './python'"),
        );
        for (line, reason) in NO_PYTHON {
            let folder = folder.clone().executable("python", script(line));
            let outcome = folder.runner(["runIni", "app.ini"]).run();
            assert_eq!(outcome.status, 1, "{interface}: {outcome:#?}");
            assert!(outcome.stderr.contains(reason), "{interface}: {outcome:#?}");
        }
        let server = folder
            .executable("python", &python)
            .runner(["runIni", "app.ini"])
            .start();
        let load = Load::new(server.address()).kept(4).start();
        for (line, reason) in NO_PYTHON {
            std::fs::write(server.folder().path("python"), script(line)).expect("a file");
            let outcome = server.folder().runner(["reload", "app.ini"]).run();
            assert_eq!(outcome.status, 1, "{interface}: {outcome:#?}");
            assert!(outcome.stderr.contains(reason), "{interface}: {outcome:#?}");
            load.more(50);
        }
        load.stop().is_whole();
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn an_application_whose_workers_never_begin_to_serve_fails_the_start_and_a_reload() {
    for (text, reason) in DOOMED {
        // One that hangs is not started again: that would take as long each time.
        let (limit, error) = match text.contains("wait") {
            true => ("'3s'", "error: cannot start `import:app.application`: "),
            false => (
                "'60s'",
                "\nerror: no worker has begun to serve in 3 attempts: ",
            ),
        };
        let file = FILE.replace("'5s'", limit);
        let broken = format!("{text}{}", version(2));
        let folder = Folder::new()
            .file("app.py", &broken)
            .file("app.ini", format!("{file}preload = True\n"));
        let outcome = folder.runner(["runIni", "app.ini"]).run();
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        assert!(outcome.stderr.contains(error), "{outcome:#?}");
        assert!(outcome.stderr.contains(reason), "{outcome:#?}");
        assert!(!outcome.stderr.contains("serving"), "{outcome:#?}");

        let server = folder
            .clone()
            .file("app.py", version(1))
            .runner(["runIni", "app.ini"])
            .start();
        std::fs::write(server.folder().path("app.py"), &broken).expect("a file");
        let outcome = server.folder().runner(["reload", "app.ini"]).run();
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        assert!(outcome.stderr.contains(reason), "{outcome:#?}");
        assert_eq!(server.get("/").ok(), "version 1");
        assert_eq!(server.stop().status, 0);
    }
}

/// With `preload = 'never'` each worker imports the application itself.
#[test]
fn a_version_that_cannot_be_started_is_reloaded_under_load_and_no_client_notices() {
    for preload in ["True", "False"] {
        let server = Folder::new()
            .copy("tests/apps/stuck.py")
            .file("app.py", version(1))
            .file("app.ini", format!("{FILE}preload = {preload}\n"))
            .gated(["runIni", "app.ini"])
            .start();
        let folder = server.folder();
        let write = |text: &str| std::fs::write(folder.path("app.py"), text).expect("a file");
        let reload = || folder.runner(["reload", "app.ini"]).run();
        let load = Load::new(server.address()).fresh(16).kept(16).start();
        for (text, reasons) in BROKEN {
            write(text);
            load.more(50);
            let outcome = reload();
            assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
            for reason in reasons {
                assert!(outcome.stderr.contains(reason), "{outcome:#?}");
            }
            load.more(50);
        }
        let report = load.report();
        assert_eq!(report.bodies.keys().collect::<Vec<_>>(), ["version 1"]);
        write(&version(2));
        reload().is(0, "app.ini serves the new version\n", "");
        load.until("the new version answers", |report| {
            report.bodies.contains_key("version 2")
        });
        load.stop().is_whole();
        assert_eq!(server.stop().status, 0);
    }
}
