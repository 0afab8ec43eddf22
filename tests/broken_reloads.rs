//! A version that cannot be started is reloaded under load: nobody notices but whoever asked for it.

mod support;

use support::{Folder, Load};

/// The file that is run.
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

/// An application that says which version it is.
fn version(number: u32) -> String {
    format!(
        "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version {number}']
"
    )
}

/// What does not get as far as having an application, and what is said of it.
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

/// Afresh, each worker imports it by itself.
#[test]
fn a_version_that_cannot_be_started_is_reloaded_under_load_and_nobody_notices() {
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
