//! The example runs on every available Python, changed only by a setting.

mod support;

use support::{Folder, project, serve};

/// `examples/hello`, with more settings.
#[track_caller]
fn greets(settings: &str, interpreter: &str) {
    let folder = Folder::new()
        .copy("examples/hello")
        .file("settings.ini", settings)
        .file("which.py", WHICH);
    let server = folder
        .runner(["-c", "settings.ini", "runIni", "hello/hello.ini"])
        .start();
    let page = server.get("/Zo%C3%AB").ok();
    assert!(page.contains("<h1>Hello, Zoë!</h1>"), "{page}");
    assert_eq!(server.stop().status, 0);

    let server = folder.runner(serve("which")).start();
    assert_eq!(server.get("/").ok(), interpreter);
    assert_eq!(server.stop().status, 0);
}

const WHICH: &str = "\
import platform
import sys

def application(environ, start_response):
    start_response('200 OK', [])
    in_environment = sys.prefix != sys.base_prefix
    return [('%s %s' % (platform.python_implementation(), in_environment)).encode()]
";

#[test]
fn plain_python3() {
    greets("", "CPython False");
    greets("[runner]\npython = '/usr/bin/python3'\n", "CPython False");
}

#[test]
fn pypy() {
    greets("[runner]\npython = 'pypy3'\n", "PyPy False");
}

#[test]
fn a_virtual_environment() {
    let environment = project("target/venv");
    let setting = format!("[runner]\npython = '{}'\n", environment.display());
    greets(&setting, "CPython True");
}

#[test]
fn the_virtual_environment_that_is_active_or_near() {
    let folder = Folder::new().file("which.py", WHICH);
    let serve = ["serve", "WSGI", "import:which.application"];
    let active = folder
        .runner(serve)
        .env("VIRTUAL_ENV", project("target/venv"))
        .start();
    assert_eq!(active.get("/").ok(), "CPython True");
    active.stop();

    std::os::unix::fs::symlink(project("target/venv"), folder.path(".venv")).expect("a link");
    let near = folder.runner(serve).start();
    assert_eq!(near.get("/").ok(), "CPython True");
    near.stop();
}
