//! Commands that run before an application starts (`runner.before_start`), and files whose change reloads a server
//! (`runner.touch_reload`).

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use support::{Folder, Server, Waits, project, version};

fn folder(settings: &str) -> Folder {
    Folder::new()
        .file("app.py", version(1))
        .executable(
            "say",
            "#!/bin/sh\necho \"said $1 $NAME\" >&2\necho $1 >>said\n",
        )
        .executable("fail", "#!/bin/sh\nexit 3\n")
        .executable(
            "complain",
            "#!/bin/sh\necho no such table\necho no such row >&2\nexit 4\n",
        )
        .executable("hang", "#!/bin/sh\ntrap '' TERM\nsleep 1000 & sleep 1000\n")
        .executable("wait", "#!/bin/sh\nsleep 1000 & sleep 1000\n")
        .executable(
            "tidy",
            "#!/bin/sh\ntrap 'echo tidied >tidied; exit 1' TERM\nsleep 1000 & wait\n",
        )
        .executable(
            "daemon",
            "#!/bin/sh\nsetsid sleep 1000 &\nenv -i RUNNER_TEST=\"$RUNNER_TEST\" sleep 1000 &\n",
        )
        .file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])\n\
                 url = 'tcp://127.0.0.1:0'\n[runner]\n{settings}\n"
            ),
        )
}

#[test]
fn they_run_in_order_before_each_version() {
    let folder =
        folder("environment = {'NAME': 'me'}\nbefore_start = ['./say one', \"./say 'two words'\"]");
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(folder.read("said"), "one\ntwo words\n");
    let log = server.log();
    let said = log
        .lines()
        .any(|line| line.starts_with("say[") && line.ends_with("]: said two words me"));
    assert!(said, "{log}");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded"));
    assert_eq!(folder.read("said").lines().count(), 4);
    // One that fails keeps the old version.
    folder.clone().executable("say", "#!/bin/sh\nkill -9 $$\n");
    fs::write(folder.path("app.py"), version(2)).expect("a file");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| {
        log.contains("/say one` (runner.before_start, app.ini:5) was killed by SIGKILL")
    });
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn one_that_fails_or_hangs_fails_the_start_and_leaves_nothing() {
    for (settings, reason) in [
        (
            "before_start = ['./say one', './fail', './say two']",
            "error: `./fail` (runner.before_start, app.ini:4) exited with status 3\n",
        ),
        (
            "before_start = './complain'",
            "error: `./complain` (runner.before_start, app.ini:4) exited with status 4; its last output:\n  \
             no such table\n  no such row\n",
        ),
        (
            "before_start = './hang'\nstart_timeout = 0.2",
            "error: `./hang` (runner.before_start, app.ini:4) did not end within 0.2 s (runner.start_timeout)\n",
        ),
    ] {
        let folder = folder(settings);
        let outcome = folder.runner(["runIni", "app.ini"]).run();
        let stderr = outcome.stderr.replace("[folder]", ".");
        assert!(
            outcome.status == 1 && stderr.ends_with(reason),
            "{settings}: {outcome:#?}"
        );
    }
}

/// `runner reload` says what keeps the new version from starting, not only that something does.
#[test]
fn a_reload_says_what_a_command_has_written() {
    let folder = folder("before_start = './say one'\nstatus.url = 'unix:control'");
    let server = folder.runner(["runIni", "app.ini"]).start();
    folder
        .clone()
        .executable("say", "#!/bin/sh\necho no such table\nexit 5\n");
    let outcome = folder.runner(["reload", "app.ini"]).run();
    let why = "exited with status 5; its last output:\n  no such table\n";
    assert!(
        outcome.status == 1 && outcome.stderr.contains(why),
        "{outcome:#?}"
    );
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(server.stop().status, 0);
}

/// Commands and programs find the files beside the file that names them, and the Python that the application runs in, from
/// whatever folder the server is started.
#[test]
fn they_begin_beside_their_file_with_the_python_of_the_application() {
    const WHERE: &str = "import os, sys\n\
        line = ' '.join([sys.argv[1], os.path.basename(os.getcwd()), os.path.basename(os.environ['PWD']), \
        str(sys.prefix != sys.base_prefix)])\n\
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'where'), 'a') as file:\n    \
        file.write(line + '\\n')\n\
        if sys.argv[1] == 'beside':\n    import signal\n    signal.pause()\n";
    for (setting, folder_name) in [("", "site"), ("workers.directory = 'data'\n", "data")] {
        let command = match folder_name {
            "site" => "where.py",
            _ => "../where.py",
        };
        let folder = Folder::new()
            .file("site/app.py", version(1))
            .file("site/data/empty", "")
            .file("site/where.py", WHERE)
            .file(
                "site/app.ini",
                format!(
                    "app = commands.Alias(command=['supervise', 'serve', 'WSGI', 'import:app.application'])\n\
                     url = 'tcp://127.0.0.1:0'\n[runner]\n{setting}\
                     before_start = ['python3 {command} before']\n\
                     supervise.pid_file = 'app.pid'\n\
                     supervise.programs = ['python3 {command} beside']\n"
                ),
            );
        symlink(project("target/venv"), folder.path("site/.venv")).expect("a link");
        let checked = folder.runner(["check", "site/app.ini"]).run();
        assert!(checked.success().contains("no problems"), "{checked:#?}");
        let server = folder.runner(["runIni", "site/app.ini"]).start();
        let expected = format!(
            "before {folder_name} {folder_name} True\nbeside {folder_name} {folder_name} True\n"
        );
        Waits::until(
            || folder.read("site/where") == expected,
            || folder.read("site/where"),
        );
        assert_eq!(server.stop().status, 0);
    }
}

/// It has time to end well, also if it runs for a reload.
#[test]
fn a_stop_ends_a_command_that_runs() {
    for (command, is_tidied) in [("wait", false), ("hang", false), ("tidy", true)] {
        let folder = folder(&format!("before_start = './{command}'"));
        let server = folder.runner(["runIni", "app.ini"]).begin();
        let sleeping = run_of(&server, "sleep 1000");
        Waits::until(|| sleeping() > 0, || server.log());
        server.signal(Signal::TERM);
        drop(sleeping);
        let outcome = server.wait();
        assert_eq!(outcome.status, 0, "{outcome:?}");
        assert!(
            outcome.stderr.contains(&format!(
                "/{command}` (runner.before_start, app.ini:4) is told to end: the server is being stopped\n"
            )),
            "{outcome:?}"
        );
        assert_eq!(folder.path("tidied").exists(), is_tidied);
    }
}

#[test]
fn a_stop_ends_a_command_that_runs_for_a_reload() {
    let folder = folder("before_start = './say one'");
    let server = folder.runner(["runIni", "app.ini"]).start();
    folder.clone().executable("say", folder.read("tidy"));
    server.signal(Signal::HUP);
    let sleeping = run_of(&server, "sleep 1000");
    Waits::until(|| sleeping() > 0, || server.log());
    drop(sleeping);
    let folder = folder.clone();
    assert_eq!(server.stop().status, 0);
    assert_eq!(folder.read("tidied"), "tidied\n");
}

/// How many processes run whose words contain these.
fn run_of<'a>(server: &'a Server, words: &str) -> impl Fn() -> usize + 'a {
    let words = words.to_owned();
    move || {
        let processes = server.processes();
        processes
            .iter()
            .filter(|(_, line)| line.contains(&words))
            .count()
    }
}

/// While the application is not there yet, which may take long, the server can be asked, and ended.
#[test]
fn a_server_that_starts_says_so_and_can_be_stopped() {
    let supervise = ["-c", "app.ini", "supervise", "app.conf"];
    for (setting, words) in [
        ("status.url = 'unix:control'", &["runIni", "app.ini"][..]),
        ("", &supervise),
    ] {
        let folder = folder(&format!("before_start = './wait'\n{setting}")).file(
            "app.conf",
            "Command serve tcp://127.0.0.1:0 WSGI import:app.application\nPidFile app.pid\n",
        );
        let name = words[words.len() - 1];
        let server = folder.runner(words).begin();
        let sleeping = run_of(&server, "sleep");
        Waits::until(|| sleeping() == 2, || server.log());
        let status = folder.runner(["status", name]).run();
        assert!(status.stdout.contains(", starting for "), "{status:?}");
        assert_eq!(status.status, 3, "requests are not answered");
        assert!(!folder.path("app.pid").exists(), "it does not serve");
        drop(sleeping);
        let said = format!("{name} has ended\n");
        folder.runner(["stop", name]).run().is(0, &said, "");
        assert_eq!(server.wait().status, 0);
        assert!(!folder.path("control").exists());
        folder
            .runner(["stop", name])
            .run()
            .is(1, "", &format!("error: `{name}` is not running\n"));
    }
}

/// A command that has ended well may leave a daemon, in a session of its own or in the group of the command; the test fails if
/// one is left when the server has ended.
#[test]
fn what_a_command_leaves_ends_with_the_server() {
    let folder = folder("before_start = './daemon'");
    let server = folder.runner(["runIni", "app.ini"]).start();
    let sleeping = run_of(&server, "sleep 1000");
    Waits::until(|| sleeping() == 2, || format!("{:?}", server.processes()));
    drop(sleeping);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_touched_file_reloads() {
    let folder = folder("touch_reload = ['reload.txt', 'other.txt']");
    let server = folder.runner(["runIni", "app.ini"]).start();
    let reloads = |log: &str| log.matches("runner: reloaded").count();
    for (number, file) in ["reload.txt", "reload.txt", "other.txt"].iter().enumerate() {
        fs::write(folder.path("app.py"), version(10 + number as u32)).expect("a file");
        // Neither the code nor the configuration is watched.
        fs::write(folder.path(file), "").expect("a file");
        server.wait_for_log(|log| reloads(log) == number + 1);
        assert_eq!(server.get("/").ok(), format!("version {}", 10 + number));
        let log = server.log();
        assert!(log.contains(&format!("s: {file} has changed")), "{log}");
    }
    assert_eq!(server.stop().status, 0);
}
