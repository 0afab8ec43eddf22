//! `ps` shows what each Python process does, and Python does not notice.

mod support;

use std::collections::BTreeSet;

use support::{Folder, project, serve};

/// Answers with what `ps` shows of its process, of its parent, or of a child that it forks; or with what Python knows of
/// itself, here and in a process that `multiprocessing` spawns.
const APPLICATION: &str = "\
import multiprocessing, os, subprocess, sys

def shown(pid):
    return subprocess.run(['ps', '-o', 'comm=,args=', '-p', str(pid)], stdout=subprocess.PIPE).stdout

def of_child():
    begun, ended = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begun[1], b'!')
        os.read(ended[0], 1)
        os._exit(0)
    os.read(begun[0], 1)
    title = shown(pid)
    os.write(ended[1], b'!')
    os.waitpid(pid, 0)
    return title

def known():
    return repr((sys.executable, sys.prefix, os.environ.get('SPT_NOENV')))

def application(environ, start_response):
    start_response('200 OK', [])
    path = environ['PATH_INFO']
    if path == '/parent':
        return [shown(os.getppid())]
    if path == '/child':
        return [of_child()]
    if path == '/known':
        with multiprocessing.get_context('spawn').Pool(1) as pool:
            return [('%s\\n%s' % (known(), pool.apply(known))).encode()]
    return [shown(os.getpid())]
";

/// A package of this name that notes what it finds.
const SETPROCTITLE: &str = "\
import os
def getproctitle():
    with open('/proc/self/cmdline', 'rb') as words, open('found', 'ab') as found:
        found.write(words.read()[-8:] + os.environ['SPT_NOENV'].encode() + b'\\n')
";

/// The words of a line of `ps`, whose columns have some width.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn templates_and_workers_show_what_they_do_in_any_python() {
    let venv = project("target/venv");
    for python in ["/usr/bin/python3", "pypy3", &venv.to_string_lossy()] {
        for preload in ["True", "False"] {
            let settings = format!(
                "[runner]\npython = '{python}'\n[runner.workers]\npreload = {preload}\nmin = 2\nmax = 2\n"
            );
            let folder = Folder::new()
                .file("shop.py", APPLICATION)
                .file("lib/setproctitle.py", SETPROCTITLE)
                .file("settings.ini", settings);
            let server = folder
                .runner(serve("shop"))
                .env("PYTHONPATH", folder.path("lib"))
                .start();
            let title = words(&server.get("/").ok());
            let titles = [1, 2].map(|number| {
                format!("runner worker runner: worker {number} of import:shop.application")
            });
            assert!(titles.contains(&title), "{python}: {title}");
            let child = words(&server.get("/child").ok());
            let titles = titles.map(|title| {
                let title = title.replace("runner: worker", "runner: process of worker");
                title.replace("runner worker", "runner process")
            });
            assert!(titles.contains(&child), "{python}: {child}");
            let parent = words(&server.get("/parent").ok());
            if preload == "True" {
                let template = "runner template runner: template of import:shop.application";
                assert_eq!(parent, template, "{python}");
            }
            let known = server.get("/known").ok();
            let lines: BTreeSet<&str> = known.lines().collect();
            assert_eq!(lines.len(), 1, "{known}");
            assert!(known.contains(python) || python == "pypy3", "{known}");
            assert!(known.contains("None"), "{known}");
            assert_eq!(server.stop().status, 0);
            // It begins before the words are written over, and with its environment safe.
            let found = folder.read("found");
            assert!(
                found.lines().all(|line| line == "ication\u{0}1"),
                "{found:?}"
            );
        }
    }
}

#[test]
fn a_cgi_request_and_a_program_show_what_they_are() {
    let program = format!("{APPLICATION}\ndef main():\n    os.write(1, shown(os.getpid()))\n");
    let folder = Folder::new().file("shop.py", program);
    let request = folder
        .runner(["CGI", "WSGI", "import:shop.application"])
        .env("REQUEST_METHOD", "GET")
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .run();
    let title = request.success().lines().next_back().unwrap_or_default();
    assert_eq!(
        words(title),
        "runner CGI runner: CGI of import:shop.application"
    );
    let outcome = folder.runner(["import:shop.main", "--fast"]).run();
    let shown = words(outcome.success());
    assert!(
        shown.ends_with(" runner import:shop.main --fast"),
        "{shown}"
    );
}
