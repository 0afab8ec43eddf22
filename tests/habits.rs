//! Whatever applications and their libraries do to their own process (patch it, wrap it, limit it, tidy it up):
//! requests are answered, workers are replaced, and the server stops. `tests/habits.txt` lists these habits. A log that
//! cannot be written does no harm, either.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use support::http::{self, Waits};
use support::{Address, Folder, Server, free_port, project, serve, without_times};

/// The number of servers at a time: they mostly wait.
const SIDE_BY_SIDE: usize = 3;

struct Habit {
    source: String,
    is_late: bool,
}

/// The habits of a kind (`python`, `libraries`), once for each moment at which an application may do it.
fn habits(kind: &str) -> Vec<Habit> {
    let text = fs::read_to_string(project("tests/habits.txt")).expect("the file of habits");
    let mut habits = Vec::new();
    for case in text.split("\n== ").skip(1) {
        let (heading, source) = case.split_once('\n').expect("what is done");
        // A remark on the next case follows a blank line.
        let source = source.split("\n\n").next().expect("what is done");
        let (when, its) = heading.split_once(' ').expect("when, and of what kind");
        let times: &[bool] = match when {
            "imported" => &[false],
            "asked" => &[true],
            "both" => &[false, true],
            other => panic!("{other}"),
        };
        if its == kind {
            habits.extend(times.iter().map(|&is_late| Habit {
                source: source.to_owned(),
                is_late,
            }));
        }
    }
    assert!(habits.len() > 9, "{kind}");
    habits
}

/// Sends requests until a second worker has replaced the first; each request takes another path through a worker.
#[track_caller]
fn serves(habit: &Habit, python: &str) {
    let settings = format!(
        "[runner]\npython = '{python}'\n[runner.workers]\nmax = 1\nthreads = {}\nmax_requests = 12\n",
        if habit.is_late { 1 } else { 2 },
    );
    let folder = Folder::new()
        .copy("tests/apps/habits.py")
        .file("settings.ini", settings);
    let serve = serve("habits");
    let mut program = folder.runner(serve).env("HABIT", &habit.source);
    if habit.is_late {
        program = program.env("HABIT_LATE", "1");
    }
    let server = program.start();
    let about = || {
        let late = if habit.is_late { "asked" } else { "imported" };
        format!("{late}:\n{}\n\n{}", habit.source, server.log())
    };
    let ask = |size: usize| {
        let body = vec![b'x'; size];
        let reply = http::request(server.address(), "POST", "/", &[], &body);
        assert_eq!(reply.status, 200, "{}", about());
        let text = reply.text();
        let (pid, read) = text.split_once(' ').expect("two numbers");
        assert_eq!(read, size.to_string(), "{}", about());
        pid.to_owned()
    };
    let first = ask(0);
    // In the frame, in memory, in a file.
    for size in [10, 100_000, 2_000_000] {
        assert_eq!(ask(size), first, "{}", about());
        let streamed = server.get("/stream");
        assert_eq!(
            (streamed.status, streamed.text().as_str()),
            (200, "one two"),
            "{}",
            about()
        );
    }
    Waits::until(|| ask(10) != first, about);
    let log = about();
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{log}");
    for sign in [
        " was killed by ",
        " exited with status ",
        " before its first answer",
        " has not (runner.stop_timeout)",
        "while answering",
        "Fatal",
    ] {
        assert!(!outcome.stderr.contains(sign), "{sign}: {log}");
    }
}

#[track_caller]
fn all_serve(habits: &[Habit], python: &str) {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                // All failures are shown, not only the first.
                while let Some(habit) = habits.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = catch_unwind(AssertUnwindSafe(|| serves(habit, python)));
                    failed.fetch_add(usize::from(tried.is_err()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "of {}", habits.len());
}

#[test]
fn habits_of_applications_affect_no_request() {
    all_serve(&habits("python"), "python3");
}

#[test]
fn habits_of_libraries_affect_no_request() {
    let environment = project("target/venv");
    all_serve(&habits("libraries"), &environment.display().to_string());
}

/// `tests/apps/noisy.py`, whose log goes to a file.
fn noisy(log: &str, settings: &str) -> Server {
    let settings = format!("[runner.workers]\nmax = 1\n{settings}");
    let port = free_port();
    let line = format!(
        "exec runner -c settings.ini serve -p {port} WSGI import:noisy.application 2>{log} >&2"
    );
    Folder::new()
        .copy("tests/apps/noisy.py")
        .file("settings.ini", settings)
        .program("sh", ["-c", &line])
        .start_at(Address::port(port))
}

/// The paths that end with an exception, and those that do not.
const RAISE: [&str; 5] = ["/raise", "/close", "/clear", "/replace", "/strange"];
const ANSWER: [&str; 5] = [
    "/say",
    "/unfinished",
    "/surrogates",
    "/close-raises",
    "/close-is-broken",
];

#[test]
fn a_log_that_cannot_be_written_costs_no_request_and_no_worker() {
    for threads in [1, 4] {
        let settings = format!("threads = {threads}\n");
        for log in ["/dev/full", "/dev/null", "log"] {
            let server = noisy(log, &settings);
            let pid = server.get("/").ok();
            for _ in 0..2 {
                for path in ANSWER {
                    assert_eq!(server.get(path).status, 200, "{path} to {log}");
                }
                for path in RAISE {
                    assert_eq!(server.get(path).status, 500, "{path} to {log}");
                }
            }
            assert_eq!(server.get("/").ok(), pid, "{log}");
            assert_eq!(server.stop().status, 0, "{log}");
        }
    }
}

#[test]
fn missing_log_lines_are_counted_and_reported() {
    let server = noisy("log", "");
    assert_eq!(server.get("/full").status, 200);
    for _ in 0..2 {
        // Each has three lines.
        assert_eq!(server.get("/say").status, 200);
    }
    // The server writes the traceback in one piece.
    assert_eq!(server.get("/raise").status, 500);
    let before = server.folder().read("log");
    assert!(!before.contains("said to"), "{before}");
    let pid = server.get("/room").ok();
    assert_eq!(server.get("/say").status, 200);
    assert_eq!(server.get("/raise").status, 500);
    let log = without_times(&server.folder().read("log"));
    let lost: u32 = log
        .lines()
        .filter_map(|line| {
            let why = " lines are missing here: the log could not be written: File too large";
            let missing = line.strip_suffix(why)?;
            missing
                .strip_prefix(&format!("runner worker {pid}: "))?
                .parse::<u32>()
                .ok()
        })
        .sum();
    let told = log.split("exception while answering GET /raise\n").nth(1);
    let traceback = told.expect("the second one").lines().count();
    assert_eq!(lost as usize, 6 + 1 + traceback, "{log}");
    for said in ["stdout", "stderr", "wsgi.errors"] {
        assert!(log.contains(&format!("\nsaid to {said}\n")), "{log}");
    }
    assert_eq!(server.stop().status, 0);
}

/// The reader of a pipe may have paused, or gone.
#[test]
fn a_log_that_is_not_read_costs_no_request() {
    for reader in ["{ read -r go <gate; cat >/dev/null; }", "true"] {
        let port = free_port();
        let line = format!(
            "mkfifo log gate; {reader} <log & \
             exec runner -c settings.ini serve -p {port} WSGI import:noisy.application 2>log >&2"
        );
        let server = Folder::new()
            .copy("tests/apps/noisy.py")
            .file("settings.ini", "[runner.workers]\nmax = 1\n")
            .program("sh", ["-c", &line])
            .start_at(Address::port(port));
        let pid = server.get("/").ok();
        // More lines than a pipe holds.
        for _ in 0..400 {
            assert_eq!(server.get("/raise").status, 500, "{reader}");
        }
        assert_eq!(server.get("/").ok(), pid, "{reader}");
        server.folder().open_gate();
        assert_eq!(server.stop().status, 0, "{reader}");
    }
}

/// Recipes for daemons close all descriptors. The worker can serve nothing afterwards; the log says so.
#[test]
fn a_worker_whose_descriptors_the_application_closes_is_replaced() {
    const CLOSES: &str = "import os; os.closerange(3, 1 << 16)";
    const SAID: &str = "the application closed descriptors that are not its own";
    let folder = Folder::new()
        .copy("tests/apps/habits.py")
        .file("settings.ini", "[runner.workers]\nmax = 1\n");
    let program = folder.runner(serve("habits")).env("HABIT", CLOSES);
    let server = program.env("HABIT_LATE", "1").start();
    for _ in 0..5 {
        // The server may see that the lane is closed before the response has arrived.
        let status = server.get("/").status;
        assert!([200, 502].contains(&status), "{status}\n{}", server.log());
    }
    let said = format!(": it is replaced, because {SAID}\n");
    server.wait_for_log(|log| log.matches(&said).count() > 1);
    assert_eq!(server.stop().status, 0);

    for settings in ["", "[runner.workers]\npreload = False\n"] {
        let folder = folder.clone().file("settings.ini", settings);
        let outcome = folder.runner(serve("habits")).env("HABIT", CLOSES).run();
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        let error = format!(
            ": {SAID} while it was imported\n\
             error: Python exited with status 1 while it imported `habits.application`\n"
        );
        assert!(outcome.stderr.ends_with(&error), "{outcome:#?}");
    }
}

#[test]
fn an_application_without_free_descriptors_is_reported() {
    const OPENS: &str = "\
import os
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    pass
";
    let limit = "ulimit -n 100; exec runner serve WSGI import:habits.application";
    let server = Folder::new()
        .copy("tests/apps/habits.py")
        .program("sh", ["-c", limit])
        .env("HABIT", OPENS)
        .begin();
    let said = ": it is replaced, because the application has opened as many files as it may, \
                and nothing can be given to it\n";
    server.wait_for_log(|log| log.contains(said));
    server.signal(Signal::TERM);
    let outcome = server.wait();
    assert!(!outcome.stderr.contains("Traceback"), "{outcome:#?}");
}

/// An alarm that was set for a request, and fires after its end, raises its exception within the server's own Python
/// code.
#[test]
fn an_exception_between_requests_is_logged_and_costs_none() {
    const LATE: &str = "\
import os, signal
def late(*_):
    os.write(2, b'late\\n')
    raise TimeoutError('too late')
signal.signal(signal.SIGUSR2, late)
";
    for threads in [1, 2] {
        let settings = format!("[runner.workers]\nmax = 1\nthreads = {threads}\n");
        let server = Folder::new()
            .copy("tests/apps/habits.py")
            .file("settings.ini", settings)
            .runner(serve("habits"))
            .env("HABIT", LATE)
            .start();
        for count in 1..=5 {
            let text = server.get("/").ok();
            let (pid, _) = text.split_once(' ').expect("two numbers");
            let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
            kill_process(pid, Signal::USR2).expect("our own process");
            server.wait_for_log(|log| log.matches("late\n").count() >= count);
        }
        assert!(server.get("/").ok().ends_with(" 0"));
        server.wait_for_log(|log| {
            log.contains("exception between requests") && log.contains("TimeoutError: too late\n")
        });
        assert_eq!(server.stop().status, 0);
    }
}

/// An application that resets all signal handlers does not expose its worker to the signals of a terminal or a service
/// manager, which are for the server.
#[test]
fn a_worker_is_not_ended_by_signals_that_are_meant_for_the_server() {
    const RESETS: &str = "\
import signal
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
";
    for preload in ["True", "False"] {
        let settings = format!("[runner.workers]\nmax = 1\npreload = {preload}\n");
        let server = Folder::new()
            .copy("tests/apps/habits.py")
            .file("settings.ini", settings)
            .runner(serve("habits"))
            .env("HABIT", RESETS)
            .start();
        let first = server.get("/").ok();
        let (pid, _) = first.split_once(' ').expect("two numbers");
        let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            kill_process(pid, signal).expect("our own process");
            assert_eq!(server.get("/").ok(), first, "{signal:?}\n{}", server.log());
        }
        assert_eq!(server.stop().status, 0);
    }
}
