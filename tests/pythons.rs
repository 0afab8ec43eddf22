//! The example runs on every available Python, changed only by a setting.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use support::{Folder, Program, project, serve};

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

    symlink(project("target/venv"), folder.path(".venv")).expect("a link");
    let near = folder.runner(serve).start();
    assert_eq!(near.get("/").ok(), "CPython True");
    near.stop();
}

/// A folder with the application, and a virtual environment `env` with `runner`, as pip installs it, to which
/// `elsewhere/runner` is a link, as pipx makes one.
fn with_runner_in_environment() -> Folder {
    let environment = project("target/venv");
    let settings = fs::read_to_string(environment.join("pyvenv.cfg")).expect("its settings");
    let python = fs::canonicalize(environment.join("bin/python3")).expect("its Python");
    let folder = Folder::new()
        .file("which.py", WHICH_ENVIRONMENT)
        .file("env/pyvenv.cfg", settings)
        .file("env/bin/.keep", "")
        .file("elsewhere/.keep", "");
    let link = |target, name| symlink(target, folder.path(name)).expect("a link");
    link(python, "env/bin/python3");
    link(env!("CARGO_BIN_EXE_runner").into(), "env/bin/runner");
    link(folder.path("env/bin/runner"), "elsewhere/runner");
    folder
}

const WHICH_ENVIRONMENT: &str = "\
import os
import sys

def application(environ, start_response):
    start_response('200 OK', [])
    in_environment = sys.prefix != sys.base_prefix
    return [(os.path.basename(sys.prefix) if in_environment else 'none').encode()]
";

/// As `gunicorn` and other programs do, which pip installs with the environment's Python in their first line.
#[test]
fn the_virtual_environment_whose_runner_is_called() {
    let folder = with_runner_in_environment();
    let serve = ["serve", "WSGI", "import:which.application"];
    let finds = |program: Program, environment: &str| {
        let server = program.start();
        assert_eq!(server.get("/").ok(), environment);
        assert_eq!(server.stop().status, 0);
    };
    let absolute = folder.path("env/bin/runner");
    let absolute = absolute.to_str().expect("UTF-8");
    for name in ["env/bin/runner", "./elsewhere/../env/bin/runner", absolute] {
        finds(folder.program(name, serve), "env");
    }
    let active = |name| {
        folder
            .program(name, serve)
            .env("VIRTUAL_ENV", project("target/venv"))
    };
    finds(active("env/bin/runner"), "env");
    // The name says nothing of the environment.
    finds(active("elsewhere/runner"), "venv");
    finds(folder.program("elsewhere/runner", serve), "none");
}
