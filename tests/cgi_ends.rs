//! How the processes of CGI programs end: with their response, with their client, after their time, and with the server.

mod support;

use std::fs::{self, File};
use std::io::Write;

use support::Folder;
use support::http::{Connection, Waits};
use support::scripts::{alone, ask, serving, shell};

/// A program with a child, both of which go on for ever; the second ignores SIGTERM, too.
fn stubborn(before: &str) -> Folder {
    let wait = "sleep 1000 &\nmkfifo fifo-$$; echo begun >&2; cat <fifo-$$\n";
    Folder::new()
        .executable("cgi-bin/hang", shell(&format!("{before}{wait}")))
        .executable(
            "cgi-bin/ignore",
            shell(&format!("trap '' TERM\n{before}{wait}")),
        )
}

#[test]
fn a_program_ends_with_its_client() {
    for before in ["", "printf 'X: y\\n\\nbody'\n"] {
        let folder = stubborn(before);
        let server = serving(&folder, "", &[]);
        for target in ["/hang", "/ignore"] {
            let says = format!("{}: begun [", &target[1..]);
            let mut connection = ask(&server, target);
            server.wait_for_log(|log| log.contains(&says));
            assert!(server.processes().len() > 1);
            if !before.is_empty() {
                // Each part goes out as it comes.
                connection.until("body");
            }
            drop(connection);
            alone(&server);
        }
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn a_program_has_its_time_for_the_head() {
    let folder = stubborn("");
    let server = serving(&folder, "runner.request.timeout = '200ms'\n", &[]);
    for target in ["/hang", "/ignore"] {
        assert_eq!(server.get(target).status, 504);
        let name = &target[1..];
        let says = format!(
            "504 for GET {target}: `{name}` did not answer within 0.2 s (runner.request.timeout)"
        );
        server.wait_for_log(|log| log.contains(&says));
        alone(&server);
    }
    assert_eq!(server.stop().status, 0);
}

/// What stays behind keeps the pipe open, and is not waited for. It goes on until the server ends: the test fails if a process
/// is left then.
#[test]
fn what_a_program_leaves_behind_holds_up_nothing_and_ends_with_the_server() {
    let folder = Folder::new()
        .executable(
            "cgi-bin/unmarked",
            shell(
                "env -i RUNNER_TEST=\"$RUNNER_TEST\" /bin/sleep 1000 &\nprintf 'X: y\\n\\nunmarked'\n",
            ),
        )
        .executable(
            "cgi-bin/stay",
            shell("sleep 1000 &\nprintf 'X: y\\n\\nstay'\n"),
        )
        .executable(
            "cgi-bin/ignore",
            shell("(trap '' TERM HUP; sleep 1000) &\nprintf 'X: y\\n\\nignore'\n"),
        )
        .executable(
            "cgi-bin/session",
            shell("setsid sleep 3 &\nprintf 'X: y\\n\\nsession'\n"),
        )
        .executable(
            "cgi-bin/closed",
            shell("printf 'X: y\\n\\nclosed'; exec >&- 2>&-; sleep 0.3\n"),
        );
    let server = serving(&folder, "", &[]);
    for name in ["unmarked", "stay", "ignore", "session", "closed"] {
        assert_eq!(server.get(&format!("/{name}")).ok(), name);
    }
    let is_left = |(_, line): &&(_, String)| line.contains("1000");
    Waits::until(
        || server.processes().iter().filter(is_left).count() == 3,
        || format!("left: {:?}", server.processes()),
    );
    assert_eq!(server.stop().status, 0);
}

/// `git gc --auto` does it in this order: its parent ends, and it makes its session then.
#[test]
fn a_daemon_may_make_its_session_when_its_program_has_answered() {
    let script = "(read line <go; exec setsid sh -c 'echo done >done; exec sleep 1000') >/dev/null 2>&1 &\n\
        printf 'X: y\\n\\nok'\n";
    let folder = Folder::new().executable("cgi-bin/daemon", shell(script));
    let go = folder.path("cgi-bin/go");
    let made = std::process::Command::new("mkfifo").arg(&go).status();
    assert!(made.expect("mkfifo").success());
    let server = serving(&folder, "", &[]);
    let opened = File::options().read(true).write(true).open(&go);
    let mut fifo = opened.expect("the pipe");
    for (daemons, method) in ["GET", "HEAD"].into_iter().enumerate() {
        let mut connection = Connection::open(server.address());
        let head =
            format!("{method} /daemon HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.send(head.as_bytes());
        assert_eq!(connection.reply(method).status, 200);
        Waits::until(
            || server.processes().len() <= daemons + 2,
            || format!("the program has not ended: {:?}", server.processes()),
        );
        fifo.write_all(b"\n").expect("a reader");
        let done = folder.path("cgi-bin/done");
        Waits::until(
            || fs::remove_file(&done).is_ok(),
            || format!("left: {:?}\n{}", server.processes(), server.log()),
        );
    }
    assert_eq!(server.stop().status, 0);
}

/// A program that is killed in the middle of its response takes with it what it has started.
#[test]
fn what_a_program_leaves_that_is_killed_ends_with_it() {
    let folder = Folder::new().executable(
        "cgi-bin/killed",
        shell("sleep 1000 &\nprintf 'X: y\\n\\nbody'; kill -9 $$\n"),
    );
    let server = serving(&folder, "", &[]);
    ask(&server, "/killed").rest();
    server.wait_for_log(|log| log.contains("`killed` was killed by SIGKILL in the middle of"));
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn so_many_run_at_a_time_and_others_wait_or_are_refused() {
    let script =
        "mkfifo fifo; echo begun >&2; cat fifo >/dev/null; rm fifo; printf 'X: y\\n\\nok'\n";
    let folder = Folder::new().executable("cgi-bin/wait", shell(script));
    let settings = "runner.request.queue_length = 1\n";
    let server = serving(&folder, settings, &["--processes", "1"]);
    let mut first = ask(&server, "/wait");
    server.wait_for_log(|log| log.contains("wait: begun ["));
    let mut second = ask(&server, "/wait");
    let third = loop {
        // Until the second is in the queue, another one would be there in its place.
        let reply = server.get("/wait?third");
        if reply.status == 503 {
            break reply;
        }
    };
    assert_eq!(third.header("retry-after"), Some("1"));
    let says = "503 for GET /wait?third: 1 requests wait already (runner.request.queue_length)";
    server.wait_for_log(|log| log.contains(says));
    let fifo = folder.path("cgi-bin/fifo");
    fs::write(&fifo, "").expect("a reader");
    assert_eq!(first.reply("GET").ok(), "ok");
    server.wait_for_log(|log| log.matches("wait: begun [").count() == 2);
    fs::write(&fifo, "").expect("a reader");
    assert_eq!(second.reply("GET").ok(), "ok");
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn programs_end_with_the_server_after_their_time() {
    let folder = stubborn("");
    let server = serving(&folder, "runner.stop_timeout = '200ms'\n", &[]);
    let mut clients = ["/hang", "/ignore"].map(|target| ask(&server, target));
    server.wait_for_log(|log| log.matches(": begun [").count() == 2);
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    for client in &mut clients {
        let rest = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 504 "),
            "{rest}"
        );
    }
}

/// Each of them is in a session of its own, which no signal to the group of the program reaches.
#[test]
fn sessions_of_a_program_end_with_it_unless_it_has_ended_well() {
    let begin = "mkfifo up-$$\n\
        setsid sh -c 'trap \"\" TERM; echo begun >&2; echo >\"$0\"; exec sleep 1000' up-$$ &\n\
        cat up-$$ >/dev/null\n";
    let folder = Folder::new()
        .executable(
            "cgi-bin/hang",
            shell(&format!("{begin}mkfifo fifo-$$; cat <fifo-$$\n")),
        )
        .executable(
            "cgi-bin/daemon",
            shell(&format!("{begin}printf 'X: y\\n\\ndaemon'\n")),
        );
    let settings = "runner.request.timeout = '300ms'\n";
    let server = serving(&folder, settings, &[]);
    assert_eq!(server.get("/hang").status, 504);
    alone(&server);
    // Its client leaves.
    let connection = ask(&server, "/hang");
    server.wait_for_log(|log| log.matches(": begun [").count() == 2);
    drop(connection);
    alone(&server);
    // What an answered request leaves, as `git gc` is left, ends with the server: the test fails if a process is left.
    assert_eq!(server.get("/daemon").ok(), "daemon");
    assert!(server.processes().len() > 1);
    assert_eq!(server.stop().status, 0);
}
