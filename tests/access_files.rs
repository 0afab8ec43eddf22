//! The access log in a file: opened for the server's user, opened again when it was moved away, and never waited for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::process::{Signal, geteuid};
use support::{Folder, Server, Waits};

mod support;

fn folder(settings: &str) -> Folder {
    let settings = format!(
        "app = commands.Alias(command=['serve', 'demo'])\nurl = 'tcp://127.0.0.1:0'\n{settings}"
    );
    let folder = Folder::new().file("app.ini", settings);
    let public = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), public).unwrap();
    folder
}

fn serve(folder: &Folder) -> Server {
    folder.runner(["runIni", "app.ini"]).start()
}

/// Waits until a file has as many lines, whole ones, and returns what was asked in them.
#[track_caller]
fn targets(folder: &Folder, name: &str, count: usize) -> Vec<String> {
    let read = || fs::read_to_string(folder.path(name)).unwrap_or_default();
    Waits::until(|| read().matches('\n').count() >= count, read);
    let target = |line: &str| line.split(' ').nth(6).unwrap().to_owned();
    read().lines().map(target).collect()
}

#[test]
fn a_file_is_opened_again_by_signals_and_by_a_reload() {
    let folder = folder("[runner.log]\naccess_file = 'access.log'\n").file("access.log", "");
    let server = serve(&folder);
    server.get("/first").ok();
    assert_eq!(targets(&folder, "access.log", 1), ["/first"]);
    let again: [(&str, &dyn Fn()); 3] = [
        ("usr2", &|| server.signal(Signal::USR2)),
        ("usr1", &|| server.signal(Signal::USR1)),
        ("hup", &|| {
            server.signal(Signal::HUP);
            server.wait_for_log(|log| log.contains("runner: reloaded\n"));
        }),
    ];
    for (name, reopen) in again {
        fs::rename(folder.path("access.log"), folder.path(name)).unwrap();
        let old = targets(&folder, name, 1);
        // Until the server is told, the old file is written.
        server.get(&format!("/{name}/old")).ok();
        assert_eq!(
            targets(&folder, name, old.len() + 1).last().unwrap(),
            &format!("/{name}/old")
        );
        reopen();
        Waits::until(
            || folder.path("access.log").exists(),
            || "there is no new file".to_owned(),
        );
        server.get(&format!("/{name}/new")).ok();
        assert_eq!(targets(&folder, "access.log", 1), [format!("/{name}/new")]);
        assert_eq!(targets(&folder, name, 0).len(), old.len() + 1);
    }
    let mode = fs::metadata(folder.path("access.log")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o640);
    let log = server.stop();
    assert_eq!(log.status, 0);
    // The lines are not in the log, and the signals have a meaning.
    for missing in ["GET /", "has no meaning"] {
        assert!(!log.stderr.contains(missing), "{}", log.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_opened_again_is_told_each_time_and_the_old_one_goes_on() {
    let folder =
        folder("[runner.log]\naccess_file = 'logs/access.log'\n").file("logs/access.log", "");
    let server = serve(&folder);
    server.get("/first").ok();
    assert_eq!(targets(&folder, "logs/access.log", 1), ["/first"]);
    fs::rename(folder.path("logs"), folder.path("gone")).unwrap();
    for number in 1..=3 {
        server.signal(Signal::USR1);
        let said = "logs/access.log` again: No such file or directory; the old file is used on\n";
        server.wait_for_log(|log| log.matches(said).count() == number);
        server.get(&format!("/{number}")).ok();
        targets(&folder, "gone/access.log", number + 1);
    }
    fs::create_dir(folder.path("logs")).unwrap();
    server.signal(Signal::USR1);
    server.wait_for_log(|log| log.contains("logs/access.log` is open again\n"));
    server.get("/last").ok();
    assert_eq!(targets(&folder, "logs/access.log", 1), ["/last"]);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_reload_changes_the_file_or_ends_it() {
    let folder = folder("[runner.log]\naccess_file = 'one.log'\n");
    let server = serve(&folder);
    server.get("/one").ok();
    let reload = |settings: &str, said: &str| {
        let text = folder.read("app.ini");
        let (head, _) = text.split_once("[runner.log]\n").unwrap();
        fs::write(
            folder.path("app.ini"),
            format!("{head}[runner.log]\n{settings}"),
        )
        .unwrap();
        let before = server.log().matches(said).count();
        server.signal(Signal::HUP);
        server.wait_for_log(|log| log.matches(said).count() > before);
    };
    reload("access_file = 'two.log'\n", "runner: reloaded\n");
    server.get("/two").ok();
    assert_eq!(targets(&folder, "two.log", 1), ["/two"]);
    reload(
        "access_file = 'missing/three.log'\n",
        "/missing/three.log` (runner.log.access_file): No such file or directory\n",
    );
    server.get("/still").ok();
    assert_eq!(targets(&folder, "two.log", 2), ["/two", "/still"]);
    reload("access = True\n", "runner: reloaded\n");
    server.get("/log").ok();
    server.wait_for_log(|log| log.contains("\"GET /log "));
    assert_eq!(targets(&folder, "one.log", 1), ["/one"]);
    assert_eq!(targets(&folder, "two.log", 2).len(), 2);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_full_disk_costs_no_request_and_is_said_once() {
    let folder = folder("[runner.log]\naccess_file = '/dev/full'\n");
    let server = serve(&folder);
    let said = "missing in `/dev/full`: No space left on device\n";
    server.get("/").ok();
    server.wait_for_log(|log| log.contains(said));
    for _ in 0..99 {
        server.get("/").ok();
    }
    let log = server.stop();
    assert_eq!(log.status, 0);
    // The rest at the end, since the minute is not over.
    let counts: Vec<usize> = log
        .stderr
        .lines()
        .filter_map(|line| {
            line.strip_prefix("runner: ")?
                .split_once(" of the access log ")
        })
        .map(|(count, _)| count.split(' ').next().unwrap().parse().unwrap_or(1))
        .collect();
    assert_eq!(counts.len(), 2, "{}", log.stderr);
    assert_eq!(counts.iter().sum::<usize>(), 100, "{}", log.stderr);
}

#[test]
fn a_folder_that_has_vanished_loses_no_line() {
    let folder = folder("[runner.log]\naccess_file = 'logs/access.log'\n").file("logs/x", "");
    let server = serve(&folder);
    server.get("/before").ok();
    targets(&folder, "logs/access.log", 1);
    fs::rename(folder.path("logs"), folder.path("gone")).unwrap();
    server.signal(Signal::USR2);
    server.wait_for_log(|log| {
        log.contains(
            "/logs/access.log` again: No such file or directory; the old file is used on\n",
        )
    });
    server.get("/meanwhile").ok();
    assert_eq!(
        targets(&folder, "gone/access.log", 2),
        ["/before", "/meanwhile"]
    );
    fs::create_dir(folder.path("logs")).unwrap();
    // It is tried again once a second, before a line is written.
    Waits::until(
        || {
            server.get("/after").ok();
            folder.path("logs/access.log").exists()
        },
        || "the file was not opened again".to_owned(),
    );
    assert_eq!(server.stop().status, 0);
}

/// No line goes to a file that nobody can open any more.
#[test]
fn a_file_that_was_removed_is_made_again_and_without_its_folder_the_log_has_the_lines() {
    let folder = folder("[runner.log]\naccess_file = 'logs/access.log'\n").file("logs/x", "");
    let server = serve(&folder);
    server.get("/before").ok();
    targets(&folder, "logs/access.log", 1);
    fs::remove_file(folder.path("logs/access.log")).unwrap();
    server.get("/removed").ok();
    assert_eq!(targets(&folder, "logs/access.log", 1), ["/removed"]);
    fs::remove_dir_all(folder.path("logs")).unwrap();
    server.get("/one").ok();
    server.get("/two").ok();
    let log = server.wait_for_log(|log| log.contains("\"GET /two "));
    assert!(log.contains("\"GET /one "), "{log}");
    let said = "logs/access.log` again: No such file or directory; \
        the old file was removed, so its lines are here\n";
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.find(said) < log.find("\"GET /one "), "{log}");
    // A version that cannot log is none.
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("the reload failed; "));
    server.get("/three").ok();
    server.wait_for_log(|log| log.contains("\"GET /three "));
    fs::create_dir(folder.path("logs")).unwrap();
    Waits::until(
        || {
            server.get("/after").ok();
            folder.path("logs/access.log").exists()
        },
        || "the file was not opened again".to_owned(),
    );
    server.wait_for_log(|log| log.contains("logs/access.log` is open again\n"));
    let log = server.stop();
    assert_eq!(log.status, 0);
    assert_eq!(log.stderr.matches(said).count(), 1, "{}", log.stderr);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let folder = folder("[runner.log]\naccess_file = 'missing/access.log'\n");
    let outcome = folder.runner(["runIni", "app.ini"]).run();
    outcome.is(
        1,
        "",
        "error: cannot open the access log `[folder]/missing/access.log` (runner.log.access_file): No such file or directory\n",
    );
}

/// The folder of logs is root's, as `/var/log` is.
#[test]
fn the_file_is_made_by_root_and_belongs_to_the_user_of_the_server() {
    if !geteuid().is_root() {
        return;
    }
    let settings = "runner.user = 'nobody'\n[runner.log]\naccess_file = 'logs/access.log'\n";
    let folder = folder(settings).file("logs/x", "");
    let server = serve(&folder);
    server.get("/").ok();
    targets(&folder, "logs/access.log", 1);
    assert_eq!(
        fs::metadata(folder.path("logs/access.log")).unwrap().uid(),
        65534
    );
    // It can be opened again.
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    server.get("/").ok();
    targets(&folder, "logs/access.log", 2);
    assert_eq!(server.stop().status, 0);
    // No link makes root write elsewhere.
    let target = folder.path("root.txt");
    let link = |make: &dyn Fn()| {
        let _ = fs::remove_file(folder.path("logs/access.log"));
        fs::write(&target, "root's\n").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        make();
        let outcome = folder.runner(["runIni", "app.ini"]).run();
        assert_eq!(outcome.status, 1, "{outcome:?}");
        assert!(
            outcome.stderr.contains("cannot open the access log"),
            "{outcome:?}"
        );
        assert_eq!(fs::metadata(&target).unwrap().uid(), 0);
    };
    link(&|| symlink(&target, folder.path("logs/access.log")).unwrap());
    link(&|| fs::hard_link(&target, folder.path("logs/access.log")).unwrap());
}
