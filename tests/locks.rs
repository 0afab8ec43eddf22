//! Locks and pid files: one holder at a time, whatever other processes left behind.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use runner::supervisor::control::{BindMode, Control};
use runner::supervisor::seat::lock::{Lock, LockUrl};
use runner::supervisor::seat::pid_file::{PidFile, PidFileState, Stale, find};
use runner::supervisor::seat::{Claim, SeatOptions};
use rustix::process::Pid;
use support::Folder;

const KINDS: [&str; 3] = ["flockfile", "lockfile", "shlockfile"];

fn url(kind: &str, path: &Path) -> LockUrl {
    let text = format!("{kind}:{}", path.display());
    text.parse().expect("a lock URL")
}

fn take(url: &LockUrl) -> Option<Lock> {
    url.try_lock().expect("a lock that can be made")
}

/// The number of a process that has ended.
fn dead() -> Pid {
    let mut child = Command::new("true").spawn().expect("a program");
    let pid = Pid::from_child(&child);
    child.wait().expect("our own child");
    pid
}

#[test]
fn one_holder_at_a_time() {
    for kind in KINDS {
        let folder = Folder::new();
        let url = url(kind, &folder.path("lock"));
        let held = take(&url).expect("it is free");
        assert!(take(&url).is_none(), "{kind}");
        let refusal = url.lock(Duration::ZERO).unwrap_err().to_string();
        assert!(
            refusal.contains("is locked by another process"),
            "{refusal}"
        );
        let mode = fs::metadata(folder.path("lock"))
            .expect("a file")
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{kind}");
        drop(held);
        assert!(take(&url).is_some(), "{kind}");
        assert_eq!(
            fs::exists(folder.path("lock")).unwrap(),
            kind == "flockfile"
        );
    }
    let none: LockUrl = "nulllockfile:".parse().unwrap();
    let held = [take(&none), take(&none)];
    assert!(held.iter().all(Option::is_some));
}

#[test]
fn one_of_several_simultaneous_takers_gets_it() {
    const THREADS: usize = 4;
    for kind in KINDS {
        let folder = Folder::new();
        for round in 0..100 {
            let path = folder.path(format!("{round}"));
            // Every other time, what a killed process left behind.
            if kind == "shlockfile" && round % 2 == 0 {
                fs::write(&path, format!("{}\n", dead().as_raw_nonzero())).unwrap();
            }
            let url = url(kind, &path);
            let barrier = Barrier::new(THREADS);
            let held: Vec<_> = thread::scope(|scope| {
                let come = || {
                    scope.spawn(|| {
                        barrier.wait();
                        let held = take(&url);
                        // No thread releases it before all have tried.
                        barrier.wait();
                        held.is_some()
                    })
                };
                let threads: Vec<_> = (0..THREADS).map(|_| come()).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let count = held.into_iter().filter(|held| *held).count();
            assert_eq!(count, 1, "{kind}, round {round}");
        }
    }
}

#[test]
fn leftovers_of_killed_processes() {
    let own = std::process::id().to_string();
    let dead = dead().as_raw_nonzero().to_string();
    for (kind, contents, free) in [
        ("flockfile", "anything", true),
        ("lockfile", "", false),
        ("lockfile", dead.as_str(), false),
        ("shlockfile", dead.as_str(), true),
        ("shlockfile", "", true),
        ("shlockfile", own.as_str(), false),
    ] {
        let folder = Folder::new().file("lock", contents);
        let held = take(&url(kind, &folder.path("lock")));
        assert_eq!(held.is_some(), free, "{kind} {contents:?}");
    }
    let folder = Folder::new().file("lock", "my thesis");
    let error = url("shlockfile", &folder.path("lock"))
        .try_lock()
        .unwrap_err();
    let message = format!("{error:#}");
    assert!(
        message.ends_with("there is something else than a process id in it"),
        "{message}"
    );
    assert_eq!(folder.read("lock"), "my thesis");
}

/// A master that changes its user takes its locks before and after that.
#[test]
fn files_of_root_belong_to_the_owner_of_the_folder() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    chown(folder.path(""), Some(4711), Some(815)).expect("root can do that");
    for kind in KINDS {
        let path = folder.path(kind);
        let _held = take(&url(kind, &path)).expect("it is free");
        let found = fs::metadata(path).expect("a file");
        assert_eq!((found.uid(), found.gid()), (4711, 815), "{kind}");
    }
    // An existing file keeps its owner.
    fs::write(folder.path("old"), "").expect("a file");
    let _held = take(&url("flockfile", &folder.path("old"))).expect("it is free");
    assert_eq!(fs::metadata(folder.path("old")).expect("a file").uid(), 0);
}

#[test]
fn flock_files_are_those_of_other_programs() {
    let folder = Folder::new();
    let path = folder.path("lock");
    let url = url("flockfile", &path);
    let mut other = Command::new("flock")
        .arg(&path)
        .args(["sh", "-c", "echo held; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock(1)");
    let mut said = String::new();
    let mut output = BufReader::new(other.stdout.take().expect("a pipe"));
    output.read_line(&mut said).expect("a line");
    assert_eq!(said, "held\n");
    assert!(take(&url).is_none());
    drop(other.stdin.take());
    other.wait().expect("our own child");
    assert!(take(&url).is_some());
}

#[test]
fn places_where_no_lock_can_be() {
    let folder = Folder::new().file("file", "");
    fs::create_dir(folder.path("folder")).unwrap();
    symlink(folder.path("file"), folder.path("link")).unwrap();
    for kind in ["flockfile", "shlockfile"] {
        for (name, reason) in [
            ("nowhere/lock", "there is no such folder"),
            ("file/lock", "there is no such folder"),
        ] {
            let error = url(kind, &folder.path(name)).try_lock().unwrap_err();
            assert!(
                format!("{error:#}").ends_with(reason),
                "{kind} {name}: {error:#}"
            );
        }
    }
    for (name, reason) in [
        ("folder", "it is a folder"),
        ("link", "it is a symbolic link"),
    ] {
        let error = url("flockfile", &folder.path(name)).try_lock().unwrap_err();
        assert!(format!("{error:#}").ends_with(reason), "{name}: {error:#}");
    }
}

#[test]
fn lock_urls() {
    for (text, whole) in [
        ("flockfile:a.lock", "flockfile:/folder/a.lock"),
        ("FlockFile:/a", "flockfile:/a"),
        ("lockfile:///a", "lockfile:/a"),
        ("shlockfile:a:b", "shlockfile:/folder/a:b"),
        ("nulllockfile:", "nulllockfile:"),
        ("nulllockfile:x", "nulllockfile:"),
    ] {
        let url: LockUrl = text.parse().unwrap();
        assert_eq!(url.relative_to(Path::new("/folder")).to_string(), whole);
    }
    for (text, message, hint) in [
        (
            "/run/a.lock",
            "`/run/a.lock` does not say what kind of lock it is",
            "write `flockfile:/run/a.lock`",
        ),
        (
            "flokfile:a",
            "unknown kind of lock `flokfile` in `flokfile:a`",
            "there are `flockfile:`, `lockfile:`, `shlockfile:` and `nulllockfile:`",
        ),
        (
            "lockfile:",
            "`lockfile:` does not name a file",
            "write `lockfile:PATH`",
        ),
        (
            "lockfile:a\0b",
            "`lockfile:a\\0b` does not name a file",
            "write `lockfile:PATH`",
        ),
    ] {
        let invalid = text.parse::<LockUrl>().unwrap_err();
        assert_eq!(
            (invalid.message.as_str(), invalid.hint.as_deref()),
            (message, Some(hint))
        );
    }
}

fn publish(path: &Path) -> PidFile {
    let mut pid_file = PidFile::prepare(path).expect("a pid file");
    pid_file.publish(path).expect("a pid file");
    pid_file
}

#[test]
fn a_pid_file_says_who_is_the_master_as_long_as_it_lives() {
    let folder = Folder::new();
    let path = folder.path("app.pid");
    assert_eq!(find(&path).unwrap(), PidFileState::Missing);
    let first = publish(&path);
    assert_eq!(folder.read("app.pid"), format!("{}\n", std::process::id()));
    assert_eq!(
        find(&path).unwrap(),
        PidFileState::Running(rustix::process::getpid())
    );
    // A chain of successors: none removes the file of the next, although systems reuse the inode numbers of removed
    // files.
    let mut old = vec![first];
    for _ in 0..20 {
        old.push(publish(&path));
        drop(old.remove(0));
        assert_eq!(
            find(&path).unwrap(),
            PidFileState::Running(rustix::process::getpid())
        );
    }
    drop(old);
    assert_eq!(find(&path).unwrap(), PidFileState::Missing);
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
    // If another process has written into the file, it is not removed.
    let own = publish(&path);
    fs::write(&path, "my thesis").unwrap();
    drop(own);
    assert_eq!(folder.read("app.pid"), "my thesis");
    fs::remove_file(&path).unwrap();
    // A lock file that was not published leaves nothing behind, either.
    drop(PidFile::prepare(&path).unwrap());
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
}

#[test]
fn a_pid_file_that_is_stale() {
    let dead = dead();
    let own = rustix::process::getpid();
    let number = |pid: Pid| format!("{}\n", pid.as_raw_nonzero());
    for (contents, why) in [
        (String::new(), Stale::Empty),
        ("\n".to_owned(), Stale::Empty),
        ("\0\0\0\0".to_owned(), Stale::Empty),
        (number(dead), Stale::Ended(dead)),
        // The number of a living process that is not a master.
        (number(own), Stale::Stranger(own)),
    ] {
        let folder = Folder::new().file("app.pid", &contents);
        let path = folder.path("app.pid");
        assert_eq!(
            find(&path).unwrap(),
            PidFileState::Stale(why),
            "{contents:?}"
        );
        drop(publish(&path));
        assert_eq!(find(&path).unwrap(), PidFileState::Missing);
    }
}

/// A file of the user, named by mistake, however short it is.
#[test]
fn other_files_are_never_replaced_by_pid_files() {
    for contents in [
        "what?",
        "x",
        "-1",
        "+1",
        "0",
        "1 2",
        "1\n2\n",
        "0x10",
        "1.5",
        "\u{b2}",
        "4194305",
        "99999999999999999999",
    ] {
        let folder = Folder::new().file("app.pid", contents);
        let path = folder.path("app.pid");
        let refused = find(&path).map(drop).unwrap_err().to_string();
        let reason = "app.pid` is not a pid file, and is not overwritten";
        assert!(refused.ends_with(reason), "{contents:?}: {refused}");
        let refused = PidFile::prepare(&path).map(drop).unwrap_err().to_string();
        assert!(refused.ends_with(reason), "{contents:?}: {refused}");
        assert_eq!(folder.read("app.pid"), contents);
        assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 1);
    }
}

/// In containers a process has the same number as the one before it, whose files are still there if it was killed.
#[test]
fn what_a_process_with_our_number_left_behind_is_no_hindrance() {
    let folder = Folder::new();
    for count in 0..3000 {
        let name = format!(".{}.{count}", std::process::id());
        fs::write(folder.path(name), "").unwrap();
    }
    drop(publish(&folder.path("app.pid")));
    drop(take(&url("shlockfile", &folder.path("lock"))).expect("it is free"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let _inside = runtime.enter();
    let control = Control::open(&folder.path("control"), BindMode::Free);
    drop(control.expect("a socket"));
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 3000);
}

/// Another user who can write to a folder can create files there first.
#[test]
fn files_of_other_users_are_not_trusted() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    for (name, contents) in [("app.pid", "1\n"), ("lock", ""), ("own", "1\n")] {
        fs::write(folder.path(name), contents).expect("a file");
        chown(folder.path(name), Some(4711), None).expect("root can do that");
    }
    let refused = find(&folder.path("app.pid")).map(drop).unwrap_err();
    let reason = "app.pid` belongs to another user (4711), who is not trusted";
    assert!(refused.to_string().ends_with(reason), "{refused}");
    for kind in ["flockfile", "shlockfile"] {
        let refused = url(kind, &folder.path("lock")).try_lock().unwrap_err();
        let refused = format!("{refused:#}");
        let reason = "it belongs to another user (4711)";
        assert!(refused.ends_with(reason), "{kind}: {refused}");
    }
    // But files of the folder's owner are trusted: root gives its new files to that owner.
    chown(folder.path(""), Some(4711), None).expect("root can do that");
    assert!(matches!(
        find(&folder.path("own")),
        Ok(PidFileState::Stale(_))
    ));
    assert!(take(&url("flockfile", &folder.path("lock"))).is_some());
}

#[test]
fn places_where_no_pid_file_can_be() {
    let folder = Folder::new()
        .file("file", "")
        .file("thesis", "What is a pid file? ".repeat(10));
    fs::create_dir(folder.path("folder")).unwrap();
    symlink(folder.path("file"), folder.path("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    for (name, reason) in [
        ("folder", "the pid file `[folder]/folder` is a folder"),
        ("link", "the pid file `[folder]/link` is a symbolic link"),
        ("socket", "the pid file `[folder]/socket` is a socket"),
        (
            "thesis",
            "`[folder]/thesis` is not a pid file, and is not overwritten",
        ),
        (
            "nowhere/app.pid",
            "there is no folder `[folder]/nowhere` for the pid file `[folder]/nowhere/app.pid`",
        ),
    ] {
        let error = find(&folder.path(name)).unwrap_err();
        let message = format!("{error:#}").replace(&*folder.path("").to_string_lossy(), "[folder]");
        assert_eq!(message, reason);
    }
    let error = PidFile::prepare(Path::new("/proc/app.pid")).unwrap_err();
    let message = format!("{error:#}");
    assert!(
        message.starts_with("cannot write the pid file `/proc/app.pid`: "),
        "{message}"
    );
}

#[test]
fn one_of_several_simultaneous_starts_continues() {
    let folder = Folder::new();
    let options = SeatOptions {
        pid_file: folder.path("app.pid"),
        startup_lock: url("flockfile", &folder.path("app.pid.start")),
        pid_lock: url("flockfile", &folder.path("app.pid.lock")),
    };
    for _ in 0..100 {
        let barrier = Barrier::new(2);
        let claims = thread::scope(|scope| {
            let claim = || {
                barrier.wait();
                Claim::new(options.clone())
            };
            let threads = [scope.spawn(claim), scope.spawn(claim)];
            threads.map(|thread| thread.join().unwrap())
        });
        let refused: Vec<String> = claims
            .iter()
            .filter_map(|claim| claim.as_ref().err())
            .map(|error| {
                format!("{error:#}").replace(&*folder.path("").to_string_lossy(), "[folder]")
            })
            .collect();
        assert_eq!(
            refused,
            [
                "another `runner` is starting with the pid file `[folder]/app.pid` \
              (`flockfile:[folder]/app.pid.start` is locked)"
            ]
        );
    }
}
