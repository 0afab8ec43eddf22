//! Programs beside an application, while it is reloaded: those that are `runner` itself reload as well, others continue
//! unless they have changed, and a program that does not come up fails the reload.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::{Pid, Signal};
use support::{Address, Folder, Load, Server, version};

const SHARED: &str = "\
app = commands.Alias(command=['serve', 'WSGI', 'import:app.application'])
runner.workers.max = 1
";

/// A folder with a master and programs that are `runner` itself and share a file.
fn folder(programs: &[&str]) -> Folder {
    let lines: String = programs
        .iter()
        .map(|program| format!("Program {program}\n"))
        .collect();
    let mut folder = Folder::new()
        .file("app.py", version(1))
        .file("shared.ini", SHARED)
        .file(
            "app.conf",
            format!("Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\n{lines}"),
        );
    for (name, first) in [
        ("one", "#!/usr/bin/env -S runner runIni\n"),
        ("two", "#!/usr/bin/env -S invoke runner runIni\n"),
        ("three", ""),
    ] {
        let text = format!(
            "{first}[Load Settings From]\nfile = 'shared.ini'\n[peak.tools.server]\nurl = 'unix:{name}.socket'\n"
        );
        folder = folder.executable(format!("{name}.ini"), text);
    }
    folder
}

/// Starts the master, and waits until this many programs serve.
fn start(folder: &Folder, programs: usize) -> Server {
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| log.matches("runner: serving unix:").count() == programs);
    server
}

fn rewrite(folder: &Folder, name: &str, from: &str, to: &str) {
    let changed = folder.read(name).replace(from, to);
    assert!(changed.contains(to), "{changed}");
    fs::write(folder.path(name), changed).expect("our own file");
}

/// The processes of the programs, as the master reports them.
fn pids(folder: &Folder) -> Vec<Pid> {
    let status = folder
        .runner(["status", "--format", "json", "app.conf"])
        .run();
    let status: serde_json::Value = serde_json::from_str(status.success()).expect("JSON");
    let programs = status["programs"].as_array().expect("a list");
    let pid = |program: &serde_json::Value| {
        let pid = program["pid"]
            .as_i64()
            .unwrap_or_else(|| panic!("{program}"));
        Pid::from_raw(i32::try_from(pid).expect("a process")).expect("a process")
    };
    programs.iter().map(pid).collect()
}

fn version_at(folder: &Folder, name: &str) -> String {
    let socket = folder.path(format!("{name}.socket"));
    let socket = socket.to_string_lossy();
    let page = folder.curl(["--unix-socket", &socket, "http://localhost/"]);
    page.success().to_owned()
}

#[test]
fn runner_programs_reload_under_load_and_refuse_broken_versions() {
    let names = ["one", "two", "three"];
    let programs = ["./one.ini", "./two.ini", "runner runIni three.ini"];
    let folder = folder(&programs);
    let server = start(&folder, 3);
    let first = pids(&folder);
    let loads = names.map(|name| {
        let address = Address::Unix(folder.path(format!("{name}.socket")));
        Load::new(&address).fresh(2).kept(2).start()
    });
    fs::write(folder.path("app.py"), version(2)).expect("our own file");
    for load in &loads {
        load.more(50);
    }
    let reload = || folder.runner(["reload", "app.conf"]).run();
    reload().is(0, "app.conf serves the new version\n", "");
    for name in names {
        assert_eq!(version_at(&folder, name), "version 2", "{name}");
    }
    assert_eq!(pids(&folder), first);

    // A mistake that all of them share: each continues with its old version.
    rewrite(
        &folder,
        "shared.ini",
        "runner.workers.max",
        "runner.workers.mxa",
    );
    fs::write(folder.path("app.py"), version(3)).expect("our own file");
    for _ in 0..2 {
        let said = reload();
        let error = format!(
            "error: programs `[folder]/one.ini`, `[folder]/two.ini`, `{}` do not serve the new version; \
             the first: there is no setting `runner.workers.mxa`\n",
            programs[2]
        );
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{said:?}");
        assert!(said.stderr.starts_with(&error), "{said:?}");
    }
    for name in names {
        assert_eq!(version_at(&folder, name), "version 2", "{name}");
    }
    assert_eq!(pids(&folder), first);
    assert_eq!(server.get("/").status, 200);

    // An application that cannot be imported is such a mistake, too.
    rewrite(
        &folder,
        "shared.ini",
        "runner.workers.mxa",
        "runner.workers.max",
    );
    fs::write(folder.path("app.py"), "import nothing\n").expect("our own file");
    let said = reload();
    assert_eq!(said.status, 1, "{said:?}");
    assert!(
        said.stderr.contains("No module named 'nothing'"),
        "{said:?}"
    );
    assert_eq!(version_at(&folder, "one"), "version 2");

    fs::write(folder.path("app.py"), version(3)).expect("our own file");
    reload().is(0, "app.conf serves the new version\n", "");
    for name in names {
        assert_eq!(version_at(&folder, name), "version 3", "{name}");
    }
    assert_eq!(pids(&folder), first);
    for load in loads {
        load.stop().is_whole();
    }
    assert!(!server.log().contains("started again"), "{}", server.log());
    assert_eq!(server.stop().status, 0);
}

/// A program that is named for the first time must come up, and reports itself why it does not.
#[test]
fn a_runner_program_that_does_not_come_up_fails_the_reload() {
    let folder = folder(&["./one.ini"]);
    let server = start(&folder, 1);
    let first = pids(&folder);
    let keys = folder.read("app.conf");
    for (line, why) in [
        (
            "Program runner runIni gone.ini\n",
            "cannot read `gone.ini`: there is no such file\n",
        ),
        (
            "Program runner serve unix:one.socket demo\n",
            "cannot listen on `unix:[folder]/one.socket`: the socket is in use by another program\n",
        ),
    ] {
        fs::write(folder.path("app.conf"), format!("{keys}{line}")).expect("our own file");
        let said = folder.runner(["reload", "app.conf"]).run();
        let program = line.trim_end().trim_start_matches("Program ");
        let note = " = note: serving the new version already: `[folder]/one.ini`\n";
        let error =
            format!("error: program `{program}` does not serve the new version: {why}{note}");
        said.is(1, "", &error);
        assert_eq!(pids(&folder), first);
    }
    fs::write(
        folder.path("app.conf"),
        format!("{keys}Program ./two.ini\n"),
    )
    .expect("ours");
    let said = folder.runner(["reload", "app.conf"]).run();
    said.is(0, "app.conf serves the new version\n", "");
    // When that is reported, it serves.
    assert_eq!(version_at(&folder, "two"), "version 1");
    assert_eq!(pids(&folder)[0], first[0]);
    assert_eq!(server.stop().status, 0);
}

/// If `runner` itself was replaced, later commands go to the newer process.
#[test]
fn a_replaced_runner_program_still_gets_commands() {
    let folder = folder(&["./runner runIni three.ini"]);
    let install = || {
        let line = ["-m", "755", env!("CARGO_BIN_EXE_runner"), "new"];
        folder.program("install", line).run().success();
        fs::rename(folder.path("new"), folder.path("runner")).expect("the same folder");
    };
    install();
    let server = start(&folder, 1);
    let reload = || folder.runner(["reload", "app.conf"]).run();
    for number in 2..5 {
        install();
        fs::write(folder.path("app.py"), version(number)).expect("our own file");
        reload().is(0, "app.conf serves the new version\n", "");
        assert_eq!(version_at(&folder, "three"), format!("version {number}"));
        rewrite(
            &folder,
            "shared.ini",
            "runner.workers.max",
            "runner.workers.mxa",
        );
        let said = reload();
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.stderr.contains("there is no setting"), "{said:?}");
        rewrite(
            &folder,
            "shared.ini",
            "runner.workers.mxa",
            "runner.workers.max",
        );
    }
    assert_eq!(server.stop().status, 0);
}

/// Announces that it runs, and continues.
const SIDE: &str = "#!/bin/sh\necho \"side $*\"\nexec tail -f /dev/null\n";

fn sides(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.starts_with("side"))
        .collect()
}

#[test]
fn other_programs_are_restarted_only_if_they_have_changed() {
    let folder = Folder::new()
        .executable("side", SIDE)
        .file("source", SIDE)
        .file(
            "app.conf",
            "Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\nProgram ./side one\n\
             Program ./side one\nProgram sh -u source two\nProgram tail -f /dev/null\n",
        );
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| sides(log).len() == 3);
    let first = pids(&folder);
    let reload = || folder.runner(["reload", "app.conf"]).run();
    let good = || reload().is(0, "app.conf serves the new version\n", "");
    good();
    assert_eq!(pids(&folder), first);

    // The interpreted file is the program's own.
    fs::write(folder.path("source"), format!("{SIDE}# changed\n")).expect("our own file");
    good();
    let second = pids(&folder);
    let moved: Vec<bool> = first.iter().zip(&second).map(|(a, b)| a != b).collect();
    assert_eq!(moved, [false, false, true, false]);

    // Words that occur once less, in another order, and other words.
    let keys = folder.read("app.conf");
    rewrite(
        &folder,
        "app.conf",
        "Program ./side one\nProgram ./side one\n",
        "",
    );
    rewrite(
        &folder,
        "app.conf",
        "tail -f /dev/null\n",
        "tail -f /dev/null\nProgram ./side one\nProgram ./side 3\n",
    );
    good();
    let third = pids(&folder);
    assert_eq!(third[..2], second[2..]);
    assert!(first[..2].contains(&third[2]));
    assert_eq!(third.len(), 4);
    server.wait_for_log(|log| log.contains("side 3\n"));

    // If a new program does not come up, the old one is started again.
    rewrite(&folder, "app.conf", "./side 3", "false 3");
    let said = reload();
    let error = "program `false 3` does not serve the new version: it exited with status 1\n";
    said.is(1, "", &format!("error: {error}"));
    server.wait_for_log(|log| log.matches("side 3\n").count() == 2);
    let fourth = pids(&folder);
    assert_eq!(fourth[..3], third[..3]);
    assert_eq!(fourth.len(), 4);

    fs::write(folder.path("app.conf"), keys).expect("our own file");
    good();
    assert_eq!(pids(&folder).len(), 4);
    assert_eq!(server.stop().status, 0);
}

/// What a program finds around it counts as well as its words and files.
#[test]
fn other_programs_are_restarted_for_another_release_or_variable() {
    let folder = Folder::new()
        .file("releases/1/name", "first\n")
        .file("releases/2/name", "second\n")
        .file(".env", "WHO=me\n")
        .executable(
            "show",
            "#!/bin/sh\necho \"side $WHO $(cat name)\"\nexec tail -f /dev/null\n",
        )
        .file(
            "app.ini",
            "app = commands.Alias(command=['supervise', 'serve', 'tcp://127.0.0.1:0', 'demo'])\n\
             [runner]\nworkers.directory = 'current'\nenvironment_file = '.env'\n\
             supervise.pid_file = 'app.pid'\nsupervise.programs = ['./show']\n",
        );
    let release = |name: &str| {
        symlink(format!("releases/{name}"), folder.path("next")).expect("a link");
        fs::rename(folder.path("next"), folder.path("current")).expect("our own folder");
    };
    release("1");
    let server = folder.runner(["runIni", "app.ini"]).start();
    let reloads = |shown: &[&str]| {
        folder.runner(["reload", "app.ini"]).run().success();
        server.wait_for_log(|log| sides(log).len() >= shown.len());
        assert_eq!(sides(&server.log()), shown);
    };
    reloads(&["side me first"]);
    release("2");
    reloads(&["side me first", "side me second"]);
    fs::write(folder.path(".env"), "WHO=you\n").expect("our own file");
    let all = ["side me first", "side me second", "side you second"];
    reloads(&all);
    // It is up when the reload has ended: another one would have said so by then.
    reloads(&all);
    assert_eq!(server.stop().status, 0);
}

/// A program that was not running is started at once, and a reload reports the result.
#[test]
fn a_program_that_was_not_running_must_come_up() {
    for keys in [
        "Command serve tcp://127.0.0.1:0 demo\nProgram sh source\n",
        "Command exec:sh source\n",
    ] {
        let folder = Folder::new()
            .file("source", "exit 3\n")
            .file("app.conf", format!("{keys}PidFile app.pid\n"));
        let server = folder.runner(["supervise", "app.conf"]).begin();
        // From here on the pauses are longer than this test.
        server.wait_for_log(|log| log.contains("it is started again in 3.2 s"));
        let reload = || folder.runner(["reload", "app.conf"]).run();
        let error = "error: program `sh source` does not serve the new version: it exited with status 3\n \
                     = note: not running, and tried again: `sh source`\n";
        for next in ["6.4 s", "12.8 s"] {
            reload().is(1, "", error);
            server.wait_for_log(|log| log.contains(&format!("it is started again in {next}")));
        }
        fs::write(folder.path("source"), SIDE).expect("our own file");
        reload().is(0, "app.conf serves the new version\n", "");
        // Started once, and after it has come up.
        let first = pids(&folder);
        assert_eq!(sides(&server.log()).len(), 1, "{}", server.log());
        assert_eq!(first.len(), 1);
        assert_eq!(server.stop().status, 0);
    }
}

/// The same for a program that is `runner` itself, which reports the reason.
#[test]
fn a_runner_program_that_was_not_running_must_come_up() {
    let folder = folder(&["./one.ini"]);
    fs::write(folder.path("app.py"), "import nothing\n").expect("our own file");
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| log.contains("it is started again in 0.4 s"));
    let reload = || folder.runner(["reload", "app.conf"]).run();
    let said = reload();
    assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{said:?}");
    for part in [
        "error: program `[folder]/one.ini` does not serve the new version: ",
        "No module named 'nothing'",
        "\n = note: not running, and tried again: `[folder]/one.ini`\n",
    ] {
        assert!(said.stderr.contains(part), "{said:?}");
    }
    fs::write(folder.path("app.py"), version(2)).expect("our own file");
    reload().is(0, "app.conf serves the new version\n", "");
    assert_eq!(version_at(&folder, "one"), "version 2");
    assert_eq!(server.stop().status, 0);
}

/// A failed reload cannot undo everything: it reports what is new already, and what does not run.
#[test]
fn a_failed_reload_reports_what_has_changed() {
    let folder = folder(&["./one.ini", "./two.ini", "./good x", "./bad", "./side 1"]);
    let keys = folder
        .read("app.conf")
        .replace("demo", "WSGI import:app.application");
    let mut folder = folder.file("app.conf", keys);
    for name in ["good", "bad", "side"] {
        folder = folder.executable(name, SIDE);
    }
    let server = start(&folder, 2);
    server.wait_for_log(|log| sides(log).len() == 3);
    let first = pids(&folder);
    let reload = || folder.runner(["reload", "app.conf"]).run();

    // One program that is `runner` itself is broken: the others have reloaded, and none was ended.
    fs::write(folder.path("app.py"), version(2)).expect("our own file");
    rewrite(&folder, "two.ini", "[Load", "bad line\n[Load");
    fs::write(folder.path("bad"), "#!/bin/sh\nexit 3\n").expect("our own file");
    let said = reload();
    assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{said:?}");
    let error = "error: program `[folder]/two.ini` does not serve the new version: ";
    assert!(said.stderr.starts_with(error), "{said:?}");
    let note = "\n = note: serving the new version already: `[folder]/one.ini`\n";
    assert!(said.stderr.ends_with(note), "{said:?}");
    assert_eq!(version_at(&folder, "one"), "version 2");
    assert_eq!(version_at(&folder, "two"), "version 1");
    assert_eq!(server.get("/").ok(), "version 1");
    assert_eq!(pids(&folder), first);
    server.wait_for_log(|log| {
        log.contains("runner: the reload failed; everything that is not named here goes on:\n")
    });

    // Another program does not come up: it is down, since its old file is gone. A program whose words had changed runs
    // as before.
    rewrite(&folder, "two.ini", "bad line\n", "");
    fs::write(folder.path("good"), format!("{SIDE}# changed\n")).expect("our own file");
    rewrite(&folder, "app.conf", "./side 1", "./side 2");
    let error = "error: program `[folder]/bad` does not serve the new version: it exited with status 3\n \
                 = note: serving the new version already: `[folder]/one.ini`, `[folder]/two.ini`, `[folder]/good x`\n \
                 = note: not running, and tried again: `[folder]/bad`\n";
    reload().is(1, "", error);
    assert_eq!(version_at(&folder, "two"), "version 2");
    assert_eq!(server.get("/").ok(), "version 1");
    let log = server.log();
    let mut since = sides(&log)[3..].to_vec();
    assert_eq!(since.pop(), Some("side 1"));
    since.sort_unstable();
    assert_eq!(since, ["side 2", "side x"]);

    fs::write(folder.path("bad"), SIDE).expect("our own file");
    reload().is(0, "app.conf serves the new version\n", "");
    assert_eq!(server.get("/").ok(), "version 2");
    let last = pids(&folder);
    assert_eq!(last[..2], first[..2]);
    assert_eq!(last.len(), 5);
    assert_eq!(server.stop().status, 0);
}

/// Ends only when the test lets it.
const SLOW: &str = "\
#!/bin/sh
trap 'echo told; read line <gate; echo gone; exit 0' TERM
echo side slow
while :; do read line <never; done
";

/// A program that is being replaced has its time when the server stops.
#[test]
fn a_stop_in_the_middle_of_a_reload_ends_programs_in_good_order() {
    let folder = Folder::new().executable("slow", SLOW).file(
        "app.conf",
        "Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\nProgram ./slow\n",
    );
    folder.program("mkfifo", ["gate", "never"]).run().success();
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| sides(log).len() == 1);
    rewrite(&folder, "app.conf", "./slow", "./slow 2");
    let reload = folder.runner(["reload", "app.conf"]).begin();
    server.wait_for_log(|log| log.contains("told\n"));
    server.signal(Signal::TERM);
    let refused = reload.wait();
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("it is being stopped"),
        "{refused:?}"
    );
    folder.program("sh", ["-c", "echo >gate"]).run().success();
    let said = server.wait();
    assert_eq!(said.status, 0);
    assert!(said.stderr.contains("gone\n"), "{said:?}");
    assert!(!said.stderr.contains("killed"), "{said:?}");
    assert_eq!(sides(&said.stderr).len(), 1, "{said:?}");
}
