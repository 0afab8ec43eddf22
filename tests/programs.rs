//! Programs that are kept running beside an application (`Program` in a file for `supervise`).

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::{Folder, Server, Waits};

/// Announces that it runs, with a child process, and continues.
const SIDE: &str = "\
#!/bin/sh
tail -f /dev/null &
echo \"side $* $USER $NOTIFY_SOCKET as $$\"
wait
";

/// The same, but ignores SIGTERM.
const STUBBORN: &str = "\
#!/bin/sh
trap '' TERM
echo stubborn as $$
while read line <never; do :; done
";

/// A folder with these programs and a supervised file.
fn folder(keys: &str) -> Folder {
    let folder = Folder::new()
        .executable("side", SIDE)
        .executable("stubborn", STUBBORN)
        .file(
            "app.conf",
            format!("Command serve tcp://127.0.0.1:0 demo\nPidFile app.pid\n{keys}"),
        );
    folder.program("mkfifo", ["never"]).run().success();
    folder
}

/// The lines that programs wrote when they were started.
fn starts(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" as ")).collect()
}

/// The process that was started last.
fn last(server: &Server) -> Pid {
    let log = server.log();
    let number = starts(&log)
        .last()
        .and_then(|line| line.rsplit(' ').next())
        .expect("one that was started");
    Pid::from_raw(number.parse().expect("a number")).expect("a process")
}

#[test]
fn a_program_that_ends_is_restarted_and_ends_with_the_server() {
    let folder = folder("Program ./side --queue 'two words'\n");
    let server = folder
        .runner(["supervise", "app.conf"])
        .env("USER", "somebody")
        .start();
    let started = "side --queue two words somebody  as ";
    server.wait_for_log(|log| starts(log).len() == 1 && log.contains(started));
    kill_process(last(&server), Signal::KILL).expect("it runs");
    let log = server.wait_for_log(|log| starts(log).len() == 2);
    let here = folder.path("").display().to_string();
    let said = format!(
        "runner: program `{here}/side --queue 'two words'` was killed by SIGKILL; it is started again in 0.1 s\n"
    );
    assert!(log.contains(&said), "{log}");

    let status = folder.runner(["status", "app.conf"]).run();
    let pid = last(&server);
    let running = format!("  [folder]/side --queue 'two words': process {pid}, for ");
    assert!(status.success().contains(&running), "{status:?}");
    let json = folder
        .runner(["status", "--format", "json", "app.conf"])
        .run();
    let json: serde_json::Value = serde_json::from_str(json.success()).expect("JSON");
    assert_eq!(json["programs"][0]["state"], "running");

    // No process of it is left, as each test asserts when a server ends.
    assert_eq!(server.stop().status, 0);
}

/// What it has started in a session of its own, too, does not get in the way of the next one, and does not stay.
#[test]
fn sessions_of_a_program_end_with_it() {
    let folder = folder("Program ./daemon\n").executable(
        "daemon",
        "#!/bin/sh\nsetsid tail -f /dev/null &\necho daemon as $$\nwhile read line <never; do :; done\n",
    );
    let server = folder.runner(["supervise", "app.conf"]).start();
    let tails = || {
        let processes = server.processes();
        // Before, it was `setsid`, and for a moment nothing.
        let tails = processes
            .into_iter()
            .filter(|(_, line)| line.starts_with("tail -f"));
        tails.map(|(pid, _)| pid).collect::<Vec<Pid>>()
    };
    server.wait_for_log(|log| starts(log).len() == 1);
    Waits::until(|| tails().len() == 1, || server.log());
    let first = tails();
    kill_process(last(&server), Signal::KILL).expect("it runs");
    server.wait_for_log(|log| starts(log).len() == 2);
    assert!(!tails().contains(&first[0]), "{}", server.log());
    Waits::until(|| tails().len() == 1, || server.log());
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_program_that_cannot_run_is_retried_at_growing_intervals() {
    let folder = folder("Program ./missing\nProgram false\n");
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| log.matches("`false` exited with status 1").count() == 3);
    let log = server.wait_for_log(|log| log.matches("missing` cannot be run").count() == 3);
    for delay in ["0.1 s", "0.2 s", "0.4 s"] {
        assert!(
            log.contains(&format!("; it is started again in {delay}\n")),
            "{log}"
        );
    }
    assert!(
        log.contains("cannot be run: No such file or directory"),
        "{log}"
    );
    assert_eq!(server.get("/").status, 200);
    let status = folder.runner(["status", "app.conf"]).run();
    let waiting = "  false: ended soon after its start, ";
    assert!(status.success().contains(waiting), "{status:?}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let folder =
        folder("Program ./stubborn\n").file("runner.ini", "runner.stop_timeout = '0.2s'\n");
    let server = folder
        .runner(["-c", "runner.ini", "supervise", "app.conf"])
        .start();
    server.wait_for_log(|log| starts(log).len() == 1);
    let said = server.stop();
    assert_eq!(said.status, 0);
    let killed = "runner: program `[folder]/stubborn` did not end in time; it is killed\n";
    assert!(said.stderr.contains(killed), "{}", said.stderr);
}

#[test]
fn a_reload_starts_what_the_new_version_names() {
    let folder = folder("Program ./side one\n");
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| starts(log).len() == 1);
    let first = last(&server);
    let keys = folder.read("app.conf").replace("side one", "side two");
    let folder = folder.file("app.conf", keys);
    server.signal(Signal::HUP);
    let log = server.wait_for_log(|log| starts(log).len() == 2);
    assert!(starts(&log)[1].starts_with("side two "), "{log}");
    assert!(!server.processes().iter().any(|(pid, _)| *pid == first));
    assert!(!log.contains("started again"), "{log}");

    // A version that cannot be read changes nothing.
    let second = last(&server);
    let keys = folder
        .read("app.conf")
        .replace("Command serve", "Command sreve");
    let folder = folder.file("app.conf", keys);
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("the reload failed"));
    assert_eq!(last(&server), second);
    assert_eq!(server.stop().status, 0);
    drop(folder);
}

/// No process is ended for a program that cannot be executed.
#[test]
fn a_version_with_a_program_that_cannot_be_run_changes_nothing() {
    let folder = Folder::new()
        .executable("side", SIDE)
        .file("plain", "no program\n")
        .file("app.conf", "Command exec: ./side\nPidFile app.pid\n");
    let server = folder.runner(["supervise", "app.conf"]).begin();
    server.wait_for_log(|log| starts(log).len() == 1);
    let first = last(&server);
    let here = folder.path("").display().to_string();
    let mut folder = folder;
    for (keys, reason) in [
        (
            "Command exec: ./missing",
            "[folder]/missing`: No such file or directory",
        ),
        (
            "Command exec: ./plain",
            "[folder]/plain`: it is not executable",
        ),
        ("Command exec: ./.", "[folder]`: it is not a file"),
        (
            "Command exec: ./side\nProgram no-such-program x",
            "no-such-program x`: it is not found in `PATH`",
        ),
    ] {
        folder = folder.file("app.conf", format!("{keys}\nPidFile app.pid\n"));
        // With programs, the server has a name in the log.
        let name = if keys.contains("Program") {
            "app: "
        } else {
            ""
        };
        for (command, name) in [("reload", ""), ("supervise", name)] {
            let said = folder.runner([command, "app.conf"]).run();
            assert_eq!(said.status, 1, "{said:?}");
            let error = format!("{name}error: cannot run `{reason}\n").replace("[folder]", &here);
            assert_eq!(said.stderr.replace("[folder]", &here), error, "{command}");
        }
        assert!(server.processes().iter().any(|(pid, _)| *pid == first));
    }
    assert_eq!(starts(&server.log()).len(), 1);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn it_does_not_outlive_a_server_that_is_killed() {
    let folder = folder("Program ./side\n");
    let server = folder.runner(["supervise", "app.conf"]).start();
    server.wait_for_log(|log| starts(log).len() == 1);
    let side = last(&server);
    server.signal(Signal::KILL);
    let mut waits = Waits::new();
    while server.processes().iter().any(|(pid, _)| *pid == side) {
        waits.wait(|| "the program goes on".to_owned());
    }
    // Its child is not ended with it; the test ends it.
    for (pid, _) in server.processes() {
        let _ = kill_process(pid, Signal::KILL);
    }
    assert_eq!(server.wait().status, -9);
}
