//! `runner.user`, `runner.group`, `runner.umask`: the user of a server once it listens.
//!
//! Only root can become another user. If the tests do not run as root, they test only that it is refused.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use rustix::process::{Signal, geteuid};
use support::{Address, Folder, Program, http};

/// Answers with the user and groups of its process, and whether it can become root again.
const WHOAMI: &str = "\
import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    try:
        os.setuid(0)
        back = 'root'
    except PermissionError:
        back = 'refused'
    os.umask(mask := os.umask(0))
    ids = os.getresuid() + os.getresgid()
    names = [os.environ.get(name) for name in ('HOME', 'USER', 'LOGNAME')]
    groups = sorted(set(os.getgroups()) | {os.getgid()})
    return [repr((ids, groups, names, oct(mask), back)).encode()]
";

/// A user with few rights that every system has.
const NOBODY: u32 = 65534;

/// A folder that all users can read, with that application and settings.
fn folder(settings: &str) -> Folder {
    let folder = Folder::new().file("whoami.py", WHOAMI).file(
        "app.ini",
        format!(
            "app = commands.Alias(command=['serve', 'WSGI', 'import:whoami.application'])\n\
             runner.python = '/usr/bin/python3'\n{settings}"
        ),
    );
    let public = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), public).expect("our own folder");
    folder
}

/// The output of `id` for `nobody`.
fn id(folder: &Folder, option: &str) -> String {
    let said = folder.program("id", [option, "nobody"]).run();
    said.success().trim().to_owned()
}

/// The same, started by a user without root's rights.
fn unprivileged(folder: &Folder, file: &str) -> Program {
    let runner = env!("CARGO_BIN_EXE_runner");
    match geteuid().is_root() {
        true => folder
            .program("setpriv", ["--reuid=1", "--regid=1", "--clear-groups"])
            .arguments([runner, "runIni", file]),
        false => folder.runner(["runIni", file]),
    }
}

/// A TCP port that needs root's rights.
fn privileged_port() -> u16 {
    (600..1024)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("a free port")
}

#[test]
fn a_server_becomes_the_user_once_it_listens() {
    if !geteuid().is_root() {
        return;
    }
    let port = privileged_port();
    for (user, group) in [
        ("'nobody'", None),
        ("65534", None),
        ("'65534'", Some("'nogroup'")),
        ("'nobody'", Some("4")),
    ] {
        let group_line =
            group.map_or_else(String::new, |group| format!("runner.group = {group}\n"));
        let folder = folder(&format!(
            "url = 'tcp://127.0.0.1:{port}'\nrunner.user = {user}\n{group_line}"
        ));
        let server = folder.runner(["runIni", "app.ini"]).start();
        let gid = match group {
            Some("4") => 4,
            _ => NOBODY,
        };
        let home = fs::read_to_string("/etc/passwd").expect("users");
        let home = home
            .lines()
            .find(|line| line.starts_with("nobody:"))
            .and_then(|line| line.split(':').nth(5))
            .expect("nobody's folder");
        let ids = format!("({NOBODY}, {NOBODY}, {NOBODY}, {gid}, {gid}, {gid})");
        let mut groups: Vec<u32> = id(&folder, "-G")
            .split(' ')
            .map(|group| group.parse().expect("a number"))
            .collect();
        if gid == 4 {
            // The setting replaces the user's own group.
            groups.retain(|group| *group != NOBODY);
            groups.push(4);
        }
        groups.sort_unstable();
        let expected =
            format!("({ids}, {groups:?}, ['{home}', 'nobody', 'nobody'], '0o22', 'refused')");
        assert_eq!(server.get("/").ok(), expected, "{user} {group:?}");
        for (pid, _) in server.processes() {
            let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))
                .expect("a process of ours");
            let all = format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n");
            assert!(status.contains(&all), "{status}");
            assert!(status.contains("CapEff:\t0000000000000000\n"), "{status}");
        }
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn the_socket_file_is_the_users_own() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder("url = 'unix:run/socket'\nrunner.user = 'nobody'\nrunner.umask = '007'\n")
        .file("run/keep", "");
    let run = folder.path("run");
    chown(&run, Some(NOBODY), Some(NOBODY)).expect("we are root");
    let server = folder.runner(["runIni", "app.ini"]).start();
    let socket = run.join("socket");
    let made = fs::metadata(&socket).expect("a socket");
    assert_eq!(
        (made.uid(), made.gid(), made.mode() & 0o777),
        (NOBODY, NOBODY, 0o770)
    );
    let reply = http::get(&Address::Unix(socket.clone()), "/");
    assert!(reply.ok().ends_with("'0o7', 'refused')"));
    assert_eq!(server.stop().status, 0);
    assert!(!socket.exists());

    // That the file cannot be removed at the end is known from the start.
    chown(&run, Some(0), Some(0)).expect("we are root");
    folder.runner(["runIni", "app.ini"]).run().is(
        1,
        "",
        "error: cannot listen on `unix:[folder]/run/socket`: user `nobody` (runner.user) may not write to the folder \
         `[folder]/run`\n",
    );
}

/// The user, the group and the permissions of a socket.
fn rights(folder: &Folder) -> (u32, u32, u32) {
    let made = fs::metadata(folder.path("run/socket")).expect("a socket");
    (made.uid(), made.gid(), made.mode() & 0o777)
}

#[test]
fn the_socket_lets_a_web_servers_group_in() {
    const SOCKET: &str = "url = 'unix:run/socket'\nrunner.status.url = 'unix:control'\n";
    if !geteuid().is_root() {
        return;
    }
    let settings = format!("{SOCKET}runner.socket.mode = '660'\nrunner.socket.group = 'nogroup'\n");
    let folder = folder(&settings).file("run/keep", "");
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(rights(&folder), (0, NOBODY, 0o660));
    // A reload changes them, though the socket stays.
    let changed = folder.read("app.ini").replace("'660'", "'666'");
    fs::write(folder.path("app.ini"), changed).expect("our own file");
    let reload = folder.runner(["reload", "unix:control"]).run();
    reload.is(0, "unix:control serves the new version\n", "");
    assert_eq!(rights(&folder), (0, NOBODY, 0o666));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn only_a_member_gives_a_socket_to_a_group() {
    if !geteuid().is_root() {
        return;
    }
    let settings =
        "url = 'unix:run/socket'\nrunner.user = 'nobody'\nrunner.socket.group = 'daemon'\n";
    let folder = folder(settings).file("run/keep", "");
    chown(folder.path("run"), Some(NOBODY), Some(NOBODY)).expect("we are root");
    folder.runner(["runIni", "app.ini"]).run().is(
        1,
        "",
        "error: cannot listen on `unix:[folder]/run/socket`: the server's user is not in the group `daemon`\n \
         = hint: add it to that group, and start the server again (a reload keeps the groups of the start); \
         or let all users connect: `runner.socket.mode = '666'`\n",
    );
    assert!(!folder.path("run/socket").exists());
}

#[test]
fn a_reload_is_done_with_the_rights_that_are_left() {
    if !geteuid().is_root() {
        return;
    }
    let user = "runner.user = 'nobody'\n";
    let folder = folder(&format!("url = 'tcp://127.0.0.1:0'\n{user}"));
    let server = folder.runner(["runIni", "app.ini"]).start();
    let before = server.get("/").ok().clone();
    let rewrite = |from: &str, to: &str| {
        let changed = folder.read("app.ini").replace(from, to);
        assert!(changed.contains(to));
        fs::write(folder.path("app.ini"), changed).expect("our own file");
    };
    let reload = |said: &str| {
        let seen = server.log().matches(said).count();
        server.signal(Signal::HUP);
        server.wait_for_log(|log| log.matches(said).count() > seen);
    };

    reload("runner: reloaded\n");
    assert_eq!(server.get("/").ok(), before);

    rewrite("'nobody'", "'root'");
    reload("only root can become another user or group\n");
    rewrite("'root'", "'nobody'");
    rewrite("127.0.0.1:0", &format!("127.0.0.1:{}", privileged_port()));
    if fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .is_ok_and(|port| port.trim() == "1024")
    {
        reload(
            "hint: it may need root's rights, which were given up (runner.user): start it again\n",
        );
    }
    assert_eq!(server.get("/").ok(), before);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_master_takes_the_seat_of_another_as_the_user_that_both_become() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder(
        "url = 'tcp://127.0.0.1:0'\nrunner.user = 'nobody'\nrunner.supervise.pid_file = 'run/app.pid'\n",
    )
    .file("run/keep", "");
    chown(folder.path("run"), Some(NOBODY), Some(NOBODY)).expect("we are root");
    let first = folder.runner(["supervise", "app.ini"]).start();
    let own = |name: &str| {
        let made = fs::symlink_metadata(folder.path(name)).expect(name);
        (made.uid(), made.gid())
    };
    for name in [
        "run/app.pid",
        "run/app.pid.socket",
        "run/app.pid.lock",
        "run/app.pid.start",
    ] {
        assert_eq!(own(name), (NOBODY, NOBODY), "{name}");
    }
    let pid = |server: &support::Server| format!("{}\n", server.pid().as_raw_nonzero());
    assert_eq!(folder.read("run/app.pid"), pid(&first));

    let second = folder.runner(["supervise", "app.ini"]).start();
    assert_eq!(second.address(), first.address());
    assert_eq!(first.wait().status, 0);
    assert_eq!(folder.read("run/app.pid"), pid(&second));
    assert!(second.get("/").ok().ends_with("'refused')"));
    folder.runner(["reload", "app.ini"]).run().success();
    folder.runner(["stop", "app.ini"]).run().success();
    assert_eq!(second.wait().status, 0);
    let left = |name: &str| folder.path(name).exists();
    assert!(!left("run/app.pid") && !left("run/app.pid.socket"));
}

/// If a folder belongs to root, but the group of the user may write to it, the setting says whose master is trusted.
#[test]
fn root_gives_orders_to_the_master_of_the_user_that_is_set() {
    if !geteuid().is_root() {
        return;
    }
    let folder = folder(
        "url = 'tcp://127.0.0.1:0'\nrunner.user = 'nobody'\nrunner.supervise.pid_file = 'run/app.pid'\n",
    )
    .file("run/keep", "");
    chown(folder.path("run"), Some(0), Some(NOBODY)).expect("we are root");
    let mode = fs::Permissions::from_mode(0o770);
    fs::set_permissions(folder.path("run"), mode).expect("our own folder");
    let server = folder.runner(["supervise", "app.ini"]).start();
    folder.runner(["status", "app.ini"]).run().success();
    folder.runner(["reload", "app.ini"]).run().success();
    let said = folder.runner(["stop", "run/app.pid"]).run();
    let error = format!(
        "error: cannot connect to the control socket `run/app.pid.socket`: it belongs to another user (`nobody`, {NOBODY})\n"
    );
    said.is(1, "", &error);
    let second = folder.runner(["supervise", "app.ini"]).start();
    assert_eq!(server.wait().status, 0);
    folder.runner(["stop", "app.ini"]).run().success();
    assert_eq!(second.wait().status, 0);
}

/// Takes a master's place and behaves like one that is told to hand over.
const IMPOSTOR: &str = r#"
import array, os, socket, sys
os.setuid(65534)
web = socket.create_server(('127.0.0.1', 0))
control = socket.socket(socket.AF_UNIX)
control.bind('run/app.pid.socket')
control.listen()
print('listens', file=sys.stderr, flush=True)
while True:
    asker, _ = control.accept()
    order = asker.recv(99)
    print('told', order, file=sys.stderr, flush=True)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [web.fileno()]))]
    asker.sendmsg([b'{"sockets":[{"url":"tcp://127.0.0.1:0","descriptors":1}],"manager":null}\n'], rights)
    asker.close()
"#;

#[test]
fn root_gives_nothing_to_another_users_master() {
    if !geteuid().is_root() {
        return;
    }
    let pid_file = "runner.supervise.pid_file = 'run/app.pid'\n";
    let folder = folder(&format!("url = 'tcp://127.0.0.1:0'\n{pid_file}")).file("run/keep", "");
    let mode = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path("run"), mode).expect("our own folder");
    };
    mode(0o777);
    let impostor = folder.program("python3", ["-c", IMPOSTOR]).begin();
    impostor.wait_for_log(|log| log.contains("listens"));
    let socket = "cannot connect to the control socket `[folder]/run/app.pid.socket`";
    let error = format!("error: {socket}: it belongs to another user (`nobody`, {NOBODY})\n");
    for command in ["supervise", "reload", "stop", "status"] {
        let said = folder.runner([command, "app.ini"]).run();
        assert_eq!(said.status, 1, "{command}: {said:?}");
        assert!(said.stderr.ends_with(&error), "{command}: {said:?}");
    }
    let said = folder.runner(["supervise", "app.ini"]).run();
    let warned = "runner: every user can write to the folder `[folder]/run`, and replace \
                  `[folder]/run/app.pid` there\n";
    assert!(said.stderr.starts_with(warned), "{said:?}");
    // In a folder of that user, the master gets the command, but no socket.
    chown(folder.path("run"), Some(NOBODY), None).expect("we are root");
    mode(0o755);
    let said = folder.runner(["supervise", "app.ini"]).run();
    assert!(said.stderr.ends_with(&error), "{said:?}");
    let warned = format!(
        "runner: the folder `[folder]/run` belongs to another user (`nobody`, {NOBODY}), who can replace \
         `[folder]/run/app.pid` there\n"
    );
    assert!(said.stderr.starts_with(&warned), "{said:?}");
    let hint = " = hint: run the server as that user (`runner.user`), or `chown 0 [folder]/run`\n";
    assert!(said.stderr.contains(hint), "{said:?}");
    assert!(!impostor.log().contains("told"), "{}", impostor.log());
    folder.runner(["reload", "app.ini"]).run();
    impostor.wait_for_log(|log| log.contains("told b'{\"order\":\"reload\"}"));
    impostor.signal(Signal::KILL);
    assert_eq!(impostor.wait().status, -9);
}

#[test]
fn only_root_can_become_another_user() {
    for setting in ["runner.user = 'nobody'", "runner.group = 4242"] {
        let folder = folder(&format!("url = 'tcp://127.0.0.1:0'\n{setting}\n"));
        let said = unprivileged(&folder, &folder.path("app.ini").display().to_string()).run();
        let expected = [
            "error: only root can become another user or group\n",
            &format!("{setting}\n"),
            " = hint: this is ",
            ": start it as root, or do without it\n",
        ];
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{setting}");
        for part in expected {
            assert!(said.stderr.contains(part), "{}", said.stderr);
        }
    }
}

#[test]
fn oneself_is_always_allowed() {
    let user = geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let folder = folder(&format!(
        "url = 'tcp://127.0.0.1:0'\nrunner.user = {user}\nrunner.group = {group}\n"
    ));
    let server = folder.runner(["runIni", "app.ini"]).start();
    let ids = format!("(({user}, {user}, {user}, {group}, {group}, {group})");
    assert!(server.get("/").ok().starts_with(&ids));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status, 0);
}

#[test]
fn mistakes_are_shown_where_they_were_made() {
    for (setting, message, hint) in [
        ("runner.user = 'no one'", "there is no user `no one`", ""),
        ("runner.group = 'no one'", "there is no group `no one`", ""),
        (
            "runner.user = 3999999999",
            "there is no user 3999999999, and so no group of its own",
            "  = hint: set `runner.group`, too",
        ),
        (
            "runner.user = -1",
            "setting `runner.user` takes a name, or a number from 0 to 4294967294 but got `-1`",
            "",
        ),
        (
            "runner.umask = '028'",
            "setting `runner.umask` takes up to three octal digits, as in `'027'`, but got `'028'`",
            "",
        ),
        (
            "runner.umask = 22",
            "setting `runner.umask` takes a string of up to three octal digits but got `22` (a whole number)",
            "  = hint: write the octal digits in quotes, as in `'027'`",
        ),
    ] {
        let folder = folder(&format!("{setting}\n"));
        let said = folder.runner(["runIni", "app.ini"]).run();
        let start = format!("error: {message}\n  ┌─ app.ini:3:");
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{setting}");
        assert!(said.stderr.contains("^^^"), "{}", said.stderr);
        assert!(said.stderr.starts_with(&start), "{}", said.stderr);
        assert!(said.stderr.contains(hint), "{}", said.stderr);
    }
}

#[test]
fn workers_cannot_look_into_the_server_unless_core_files_are_allowed() {
    const LOOKS: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    try:
        open('/proc/%s/mem' % environ['QUERY_STRING'], 'rb').close()
        open('/proc/self/mem', 'rb').close()
        found = 'all of it'
    except PermissionError as error:
        found = error.filename.split('/')[2]
    return [found.encode()]
";
    let folder = folder("").file("whoami.py", LOOKS);
    let script = |limit: &str| match geteuid().is_root() {
        true => {
            format!("ulimit -S -c {limit}; exec setpriv --reuid=1 --regid=1 --clear-groups \"$@\"")
        }
        false => format!("ulimit -S -c {limit}; exec \"$@\""),
    };
    for (limit, may) in [("0", false), ("1", true)] {
        let runner = env!("CARGO_BIN_EXE_runner");
        let script = script(limit);
        let server = folder.program("sh", ["-c", &script, "sh", runner, "runIni", "app.ini"]);
        let server = server.start();
        let pid = server.pid().to_string();
        let found = server.get(&format!("/?{pid}")).ok();
        assert_eq!(found, if may { "all of it" } else { &pid }, "{limit}");
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn workers_cannot_look_into_a_server_that_has_become_their_user() {
    if !geteuid().is_root() {
        return;
    }
    const LOOKS: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    try:
        open('/proc/%s/mem' % environ['QUERY_STRING'], 'rb').close()
        return [b'all of it']
    except PermissionError:
        return [b'refused']
";
    let folder = folder("runner.user = 'nobody'\n").file("whoami.py", LOOKS);
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(server.get(&format!("/?{}", server.pid())).ok(), "refused");
    assert_eq!(server.stop().status, 0);
}
