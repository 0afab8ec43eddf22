//! What forked workers share with their template and with each other: nothing that two processes cannot share.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;

use rustix::process::Pid;
use support::http::Waits;
use support::process::children;
use support::usage::descriptors;
use support::{Folder, Outcome, Server, project, serve};

/// Answers with the number of its process.
const ANSWER: &str = "
import os

def application(environ, start_response):
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";

/// A server of an application that begins with this code, and with these settings of `[runner.workers]`.
fn serving(source: &str, settings: &str) -> Server {
    Folder::new()
        .file("app.py", format!("{source}{ANSWER}"))
        .file("settings.ini", format!("[runner.workers]\n{settings}"))
        .runner(serve("app"))
        .start()
}

/// All processes of a server except the master.
fn others(server: &Server) -> Vec<Pid> {
    let all = server.processes().into_iter().map(|(pid, _)| pid);
    all.filter(|pid| *pid != server.pid()).collect()
}

/// The sockets that a process has open.
fn sockets(pid: Pid) -> BTreeSet<String> {
    let targets = descriptors(pid).into_iter().map(|(_, target)| target);
    targets.filter(|name| name.starts_with("socket:")).collect()
}

/// Two processes that have the same socket, and the socket.
fn shared(processes: &[Pid]) -> Option<String> {
    let mut owners: BTreeMap<String, Pid> = BTreeMap::new();
    for &pid in processes {
        for socket in sockets(pid) {
            if let Some(other) = owners.insert(socket.clone(), pid) {
                return Some(format!("{other:?} and {pid:?} share {socket}"));
            }
        }
    }
    None
}

/// Waits until no two processes have the same socket: a worker that was just forked has those of its template for a
/// moment.
#[track_caller]
fn share_nothing(server: &Server) {
    let mut waits = Waits::new();
    while let Some(shared) = shared(&others(server)) {
        waits.wait(|| shared.clone());
    }
}

/// A worker shares none with its template, which had all of them, nor with the worker that was started next.
#[test]
fn a_worker_has_only_its_own_descriptors() {
    let server = serving("", "min = 12\nmax = 12\n");
    Waits::until(|| others(&server).len() >= 13, || server.log());
    share_nothing(&server);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn each_worker_has_a_connection_of_its_own() {
    let database = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = database.local_addr().expect("an address").port();
    let source =
        format!("import socket\nconnection = socket.create_connection(('127.0.0.1', {port}))\n");
    let server = serving(&source, "min = 3\nmax = 3\n");
    let said = format!(
        "runner: the import of `app.application` leaves resources that forks cannot share: a connection to \
         127.0.0.1:{port} (descriptor "
    );
    Waits::until(|| others(&server).len() >= 3, || server.log());
    // The first worker did not have to import it again.
    let connections: Vec<_> = (0..3).map(|_| database.accept().expect("one")).collect();
    database.set_nonblocking(true).expect("set");
    assert!(database.accept().is_err(), "more than {connections:?}");
    share_nothing(&server);
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert_eq!(outcome.stderr.matches(&said).count(), 1, "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("; each worker imports it itself (as with runner.workers.preload = False)\n")
    );
}

#[test]
fn an_application_that_insists_on_forks_is_warned() {
    let source = "import select\nepoll = select.epoll()\n";
    let server = serving(source, "min = 2\nmax = 2\npreload = True\n");
    let template = children(server.pid())[0];
    Waits::until(
        || children(template).len() >= 2,
        || format!("{:?}", server.processes()),
    );
    let outcome = server.stop();
    let said = "leaves resources that forks cannot share: an epoll (descriptor ";
    assert_eq!(outcome.stderr.matches(said).count(), 1, "{outcome:#?}");
    let ends = "; workers are forked all the same (runner.workers.preload = True)\n";
    assert!(outcome.stderr.contains(ends), "{outcome:#?}");
}

/// The output of `sharing.py` after this code has run.
fn hindrances(code: &str, python: &str) -> Outcome {
    let source = project("src/workers/python");
    let program = format!(
        "import sys, types\nfor name in ['kept', 'sharing']:\n    \
         module = sys.modules['runner_' + name] = types.ModuleType(name)\n    \
         with open('%s/%s.py' % ({source:?}, name)) as file:\n        \
         exec(compile(file.read(), name, 'exec'), module.__dict__)\n\
         look = module.Sharing([])\n{code}\nimport gc; gc.collect()\nprint(look.hindrances())\n"
    );
    let folder = Folder::new().file("data", "data\n").file("log", "");
    folder.program(python, ["-c", &program]).run()
}

#[test]
fn objects_that_prevent_forking_are_named() {
    let cases = [
        ("import select; a = select.epoll()", "an epoll (descriptor "),
        (
            "import socket; a, b = socket.socketpair()",
            "a connected socket (descriptor ",
        ),
        (
            "import socket; l = socket.socket(socket.AF_UNIX); l.bind('s'); l.listen()\n\
             a = socket.socket(socket.AF_UNIX); a.connect('s')",
            "a connection to `unix:s` (descriptor ",
        ),
        (
            "import socket; a = socket.socket(type=socket.SOCK_DGRAM); a.connect(('127.0.0.1', 9))",
            "a connection to 127.0.0.1:9 (descriptor ",
        ),
        (
            "import sqlite3; a = sqlite3.connect('base'); a.execute('create table t (c)')",
            "/base` (descriptor ",
        ),
        (
            "import socket; a = socket.socket()",
            "an unconnected socket (descriptor ",
        ),
        (
            "import socket; a = socket.socket(type=socket.SOCK_DGRAM)",
            "an unconnected socket (descriptor ",
        ),
        (
            "import socket; a = socket.socket(type=socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))",
            "a socket bound to 127.0.0.1:",
        ),
        (
            "import socket; a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); a.bind('s')",
            "a socket bound to `unix:s` (descriptor ",
        ),
        (
            "import subprocess; a = subprocess.Popen(['cat'], stdin=-1)",
            "the child process ",
        ),
        (
            "import os, signal; a = os.posix_spawn('/bin/true', ['true'], {})\n\
             os.waitid(os.P_PID, a, os.WEXITED | os.WNOWAIT)",
            " (`true`)",
        ),
        (
            "import fcntl; a = open('log', 'a'); fcntl.flock(a, fcntl.LOCK_EX)",
            "/log` (descriptor ",
        ),
        (
            "import fcntl; a = open('log', 'w'); fcntl.lockf(a, fcntl.LOCK_EX)",
            "a lock of the file `",
        ),
        (
            "import fcntl, os; a = os.open('.', os.O_RDONLY); fcntl.flock(a, fcntl.LOCK_SH)",
            "a lock of the file `",
        ),
        ("a = open('data')", "the open file `"),
        (
            "import tempfile; a = tempfile.TemporaryFile()",
            "the open file `",
        ),
        (
            "import subprocess; a = subprocess.Popen(['cat'], stdin=-1, stdout=-1)",
            "a pipe that another process writes to (descriptor ",
        ),
        (
            "import ctypes; a = ctypes.CDLL(None).inotify_init()",
            "an `inotify` (descriptor ",
        ),
        (
            "import ctypes; a = ctypes.CDLL(None).eventfd(0, 0)",
            "an eventfd (descriptor ",
        ),
        (
            "import ctypes; a = ctypes.CDLL(None).timerfd_create(1, 0)",
            "a timer (descriptor ",
        ),
        (
            "import signal; signal.signal(signal.SIGALRM, print); signal.alarm(1000)",
            "a timer",
        ),
        (
            "import os; a = os.open('/dev/ptmx', os.O_RDWR)",
            "the device `/dev/",
        ),
        (
            "import threading, _thread\n\
             lock = _thread.allocate_lock(); lock.acquire()\n\
             def waits(): lock.acquire()\n\
             threading.Thread(target=waits, name='helper', daemon=True).start()",
            "the thread `helper`",
        ),
        (
            "import _thread\n\
             lock = _thread.allocate_lock(); lock.acquire()\n\
             _thread.start_new_thread(lock.acquire, ())",
            "a native thread `python",
        ),
    ];
    for (code, wanted) in cases {
        let outcome = hindrances(code, "python3");
        assert!(outcome.stdout.contains(wanted), "{code}\n{outcome:#?}");
    }
}

/// Each of these is common, and none prevents forking.
#[test]
fn harmless_objects_do_not_prevent_forking() {
    let code = "
import ctypes, logging, logging.handlers, mmap, multiprocessing, multiprocessing.resource_tracker, os, random, signal, socket, subprocess, tempfile, threading
listening = socket.socket(); listening.bind(('127.0.0.1', 0)); listening.listen()
unconnected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
system_log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); system_log.bind('logger')
logger = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); logger.connect('logger')
system_log.close()
multiprocessing.resource_tracker.ensure_running()
handler = logging.FileHandler('log')
written = open('log', 'w')
null, random_bytes = open('/dev/null', 'r+b', buffering=0), open('/dev/urandom', 'rb', buffering=0)
pipe = os.pipe()
folder = os.open('.', os.O_RDONLY)
with open('data', 'rb') as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
counter = multiprocessing.get_context('fork').Value('i', 0)
errors = os.dup(2)
temporary = tempfile.TemporaryDirectory()
process = os.pidfd_open(os.getpid()) if hasattr(os, 'pidfd_open') else None
brief = threading.Thread(target=int); brief.start()
finished = subprocess.run(['true'], stdout=subprocess.PIPE)
";
    for python in ["python3", "pypy3"] {
        let outcome = hindrances(code, python);
        assert_eq!(outcome.stdout, "\n", "{python}: {outcome:#?}");
    }
}

/// An application with exit handlers and finalizers.
const LEAVING: &str = "
import atexit, concurrent.futures, logging.handlers, os, tempfile, weakref

folder = tempfile.TemporaryDirectory()
file = tempfile.NamedTemporaryFile()
loader = os.getpid()
here = os.path.dirname(os.path.abspath(__file__))

notes = os.open(os.path.join(here, 'notes'), os.O_CREAT | os.O_WRONLY | os.O_APPEND)

# What is dropped at the very end finds none of its module's names.
def note(what, write=os.write, getpid=os.getpid, loader=loader, notes=notes):
    write(notes, b'%s by %s\\n' % (what.encode(), b'its own' if loader == getpid() else b'another'))

class Owner:
    def __del__(self, note=note):
        note('dropped')

class Held:
    pass

owner, held = Owner(), Held()
atexit.register(note, 'left')
finalizer = weakref.finalize(held, note, 'finalized')
memory = logging.handlers.MemoryHandler(1000, target=logging.FileHandler(os.path.join(here, 'log')))
logging.getLogger().addHandler(memory)
logging.getLogger().setLevel('INFO')
mine = []

def note_mine(what):
    with open(os.path.join(here, 'mine'), 'a') as notes:
        notes.write('%s\\n' % what)

def application(environ, start_response):
    if not mine:
        mine.append(Held())
        atexit.register(note_mine, 'left')
        weakref.finalize(mine[0], note_mine, 'finalized')
        pool = concurrent.futures.ThreadPoolExecutor()
        pool.submit(note_mine, 'worked')
    logging.info('asked')
    start_response('200 OK', [])
    return [b'there' if os.path.isdir(folder.name) and os.path.exists(file.name) else b'gone']
";

/// Each worker runs its own handlers, and none is lost; those of the template run once, when all workers have left.
#[test]
fn exit_handlers_run_in_the_process_that_they_are_of() {
    for python in ["python3", "pypy3"] {
        let server = Folder::new()
            .file("app.py", LEAVING)
            .file(
                "settings.ini",
                format!(
                    "runner.python = '{python}'\n[runner.workers]\nmax = 1\nmax_requests = 5\n\
                     preload = True\n"
                ),
            )
            .runner(serve("app"))
            .start();
        let mut requests = 0;
        let mut waits = Waits::new();
        while server.log().matches(" is replaced: ").count() < 3 {
            assert_eq!(server.get("/").ok(), "there", "{python}: {}", server.log());
            requests += 1;
            waits.wait(|| server.log());
        }
        let read = |name: &str| server.folder().path(name);
        let early = fs::read_to_string(read("notes")).expect("it is there");
        assert_eq!(early, "", "{python}: {}", server.log());
        let (notes, mine, log) = (read("notes"), read("mine"), read("log"));
        let folder = server.folder().clone();
        let outcome = server.stop();
        assert_eq!(outcome.status, 0, "{python}: {outcome:#?}");
        let notes = fs::read_to_string(notes).expect("they have run");
        let mut notes: Vec<&str> = notes.lines().collect();
        notes.sort_unstable();
        // PyPy finalizes nothing when it ends.
        let dropped = (python == "python3").then_some("dropped by its own");
        let wanted = ["finalized by its own", "left by its own"];
        let wanted: Vec<_> = dropped.into_iter().chain(wanted).collect();
        assert_eq!(notes, wanted, "{python}: {outcome:#?}");
        let mine = fs::read_to_string(mine).expect("they have run");
        let count = |what| mine.lines().filter(|line| *line == what).count();
        let workers = count("left");
        assert!(workers >= 3, "{python}: {mine}");
        let counts = (count("finalized"), count("worked"));
        assert_eq!(counts, (workers, workers), "{python}: {mine}");
        let log = fs::read_to_string(log).expect("it was flushed");
        assert_eq!(log.lines().count(), requests, "{python}: {log}");
        drop(folder);
    }
}
