//! Processes that an application forks, in a request or at its import, are not workers; and a worker ends without a
//! warning.

mod support;

use support::{Folder, http, serve};

/// Forks while it answers or while it is imported.
const FORKING: &str = "
import multiprocessing, os, signal, sys

def stay():
    print('there', file=sys.stderr, flush=True)
    while True:
        signal.pause()

def start():
    process = multiprocessing.get_context('fork').Process(target=stay, daemon=True)
    process.start()
    return process

def application(environ, start_response):
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/return':
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return [b'parent' if pid else b'child']
    if environ['PATH_INFO'] == '/terminate':
        process = start()
        process.terminate()
        process.join()
        return [b'%d' % process.exitcode]
    return [b'%d' % os.getpid()]
";

/// In whatever thread it was forked, the process answers no request and handles signals like any other.
#[test]
fn a_process_forked_in_a_request_is_not_a_worker() {
    for python in ["python3", "pypy3"] {
        for threads in [1, 4] {
            let settings = format!("max = 1\nthreads = {threads}\n[runner]\npython = '{python}'\n");
            let server = Folder::new()
                .file("app.py", FORKING)
                .file("settings.ini", format!("[runner.workers]\n{settings}"))
                .runner(serve("app"))
                .start();
            let worker = server.get("/").ok();
            for _ in 0..5 {
                let about = || format!("{python}, {threads}: {}", server.log());
                assert_eq!(server.get("/return").ok(), "parent", "{}", about());
                assert_eq!(server.get("/terminate").ok(), "-15", "{}", about());
                assert_eq!(server.get("/").ok(), worker, "{}", about());
            }
            let outcome = server.stop();
            assert_eq!(outcome.status, 0, "{python}, {threads}: {outcome:#?}");
            let said = outcome.stderr.replace("there\n", "");
            assert!(!said.contains("Exception"), "{python}, {threads}: {said}");
        }
    }
}

/// Whether the template or a worker imports the application, a daemon process that the import starts ends when it is
/// told to.
#[test]
fn a_process_forked_at_import_obeys_signals() {
    for python in ["python3", "pypy3"] {
        for preload in ["True", "False"] {
            let source = format!("{FORKING}\ndaemon = start()\n");
            let server = Folder::new()
                .file("app.py", source)
                .file(
                    "settings.ini",
                    format!(
                        "[runner]\npython = '{python}'\nstop_timeout = '1h'\n\
                         [runner.workers]\nmax = 1\npreload = {preload}\n"
                    ),
                )
                .runner(serve("app"))
                .start();
            server.get("/").ok();
            server.wait_for_log(|log| log.contains("there\n"));
            // With this time to stop it would never end.
            assert_eq!(server.stop().status, 0, "{python}, {preload}");
        }
    }
}

/// The warnings that a developer turns on do not report objects of the server's own code.
#[test]
fn python_has_nothing_to_warn_of_when_it_ends() {
    const APP: &str = "\
import os
def application(environ, start_response):
    length = len(environ['wsgi.input'].read())
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/file':
        return environ['wsgi.file_wrapper'](open('app.py', 'rb'))
    return [b'%d' % length]
";
    for settings in [
        "",
        "runner.workers.preload = False",
        "runner.workers.threads = 3",
        "runner.workers.preload = False\nrunner.workers.threads = 3",
        "runner.workers.max_requests = 1",
    ] {
        for (name, value) in [("PYTHONDEVMODE", "1"), ("PYTHONWARNINGS", "error")] {
            let folder = Folder::new()
                .file("app.py", APP)
                .file("settings.ini", format!("{settings}\n"));
            let server = folder.runner(serve("app")).env(name, value).start();
            assert_eq!(server.get("/file").text(), APP);
            let body = "x".repeat(3 << 20);
            assert_eq!(
                http::request(server.address(), "POST", "/", &[], body.as_bytes()).text(),
                body.len().to_string()
            );
            let ended = server.stop();
            assert_eq!(ended.status, 0);
            assert!(!ended.stderr.contains("Warning"), "{}", ended.stderr);
        }
    }
    let folder = Folder::new().file("app.py", "raise ImportError('no')\n");
    let failed = folder
        .runner(["serve", "WSGI", "import:app.application"])
        .env("PYTHONDEVMODE", "1")
        .run();
    assert!(!failed.stderr.contains("Warning"), "{}", failed.stderr);
}
