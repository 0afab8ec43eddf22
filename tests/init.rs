//! `init`: what it finds, what it writes, and that the written file runs.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use support::{Folder, Program};

const HELLO: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']
";

/// The file for [`HELLO`] as `hello.py` and another application.
const FILE: &str = r#"#!/usr/bin/env -S runner runIni
#
# Run it: ./app.ini                 on a port of your choice: ./app.ini -p 8000
# See what it would run: runner graph app.ini

# Also found: WSGI import:site:create_app()
app = commands.Alias(command=['serve', 'WSGI', 'import:hello.application'])

# Any free port, reachable from this machine only. From everywhere, on port 8000: "tcp://*:8000"
url = "tcp://localhost:0"

[runner.workers]
# Worker processes: `min` are always ready, and up to `max` run under load.
min = 1
max = 4
# Requests that one process handles at the same time. Use 1 unless the application is thread-safe.
threads = 1
"#;

/// The file for a folder without an application.
const DEMO: &str = r#"#!/usr/bin/env -S runner runIni
#
# Shows each request, since no application was found here. Put the name of yours into `app`, behind 'WSGI' or 'ASGI':
#
#   app = commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])
#
# Run it: ./app.ini                 on a port of your choice: ./app.ini -p 8000
# See what it would run: runner graph app.ini

app = commands.Alias(command=['serve', 'demo'])

# Any free port, reachable from this machine only. From everywhere, on port 8000: "tcp://*:8000"
url = "tcp://localhost:0"
"#;

/// The file runs, and has the layout of `fmt`.
#[track_caller]
fn runs(program: Program, path: &str) -> String {
    let server = program.start();
    let answer = server.get("/").ok();
    let folder = server.folder().clone();
    server.stop().success();
    folder.runner(["fmt", "--check", path]).run().is(0, "", "");
    answer
}

#[test]
fn an_application_is_found_and_runs() {
    let folder = Folder::new()
        .file("hello.py", HELLO)
        .file("site/__init__.py", "def create_app(name='x'):\n    pass\n")
        .file("tests/test_app.py", "app = 1\n")
        .file("not-a-module.py", "app = 1\n");
    let said = "\
wrote `app.ini`, which serves `WSGI import:hello.application`
also found `WSGI import:site:create_app()`
run it: ./app.ini
";
    folder.runner(["init"]).run().is(0, said, "");
    assert_eq!(folder.read("app.ini"), FILE);
    let mode = fs::metadata(folder.path("app.ini")).expect("a file");
    assert_eq!(mode.permissions().mode() & 0o100, 0o100, "executable");
    let program = folder.program(folder.path("app.ini"), [""; 0]);
    assert_eq!(runs(program, "app.ini"), "hello");
}

#[test]
fn without_an_application_the_demo_is_served() {
    let folder = Folder::new().file("a folder/notes.txt", "");
    let said = "\
wrote `a folder/app.ini`, which serves `demo`: no application was found
run it: './a folder/app.ini'
";
    folder.runner(["init", "a folder"]).run().is(0, said, "");
    assert_eq!(folder.read("a folder/app.ini"), DEMO);
    let program = folder.program(folder.path("a folder/app.ini"), [""; 0]);
    assert!(runs(program, "a folder/app.ini").contains("REQUEST_METHOD"));
}

/// Files, what is served, and what the written file must contain.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

#[test]
fn the_likeliest_application_is_served() {
    const DJANGO: &str =
        "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", 'shop.settings.local')\n";
    const WSGI: &str =
        "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n";
    const DJANGO_ASGI: &str = "\
        from channels.routing import ProtocolTypeRouter\napplication = ProtocolTypeRouter({})\n";
    let cases: &[Case] = &[
        (
            &[
                ("manage.py", DJANGO),
                ("app.py", "app = 1\n"),
                ("shop/__init__.py", ""),
                ("shop/wsgi.py", WSGI),
            ],
            "WSGI import:shop.wsgi.application",
            &[
                "Also found: WSGI import:app.app\n",
                "threads = 4\n",
                "#       '/': ['WSGI', 'import:shop.wsgi.application'],\n#       '/static/': ['files', 'static'],\n",
            ],
        ),
        (
            &[
                ("app.wsgi", "app = 1\n"),
                (
                    "my-app.py",
                    "from fastapi import FastAPI\napplication = FastAPI()\n",
                ),
            ],
            "WSGI file:app.wsgi:app",
            &["Also found: ASGI file:my-app.py\n"],
        ),
        (
            &[
                ("main.py", "app = Flask(__name__)\n"),
                (
                    "app.py",
                    "from flask import Flask\n\napp = Flask(__name__)\n",
                ),
                ("wsgi.py", "# from app import app\n"),
            ],
            "WSGI import:app.app",
            &[
                "Also found: WSGI import:main.app\n",
                "Flask supports several",
            ],
        ),
        (
            &[
                (
                    "pages/__init__.py",
                    "import flask\ndef create_app(): pass\n",
                ),
                ("pages/app.py", "app = FastAPI()\n"),
            ],
            "WSGI import:pages:create_app()",
            &["threads = 4\n"],
        ),
        (
            &[
                ("wsgi.py", HELLO),
                ("it's/pyvenv.cfg", ""),
                ("it's/app.py", "app = 1\n"),
            ],
            "WSGI import:wsgi.application",
            &["\n[runner]\n# The virtual environment beside this file.\npython = 'it\\'s'\n"],
        ),
        (
            &[
                ("wsgi.py", HELLO),
                ("env/pyvenv.cfg", ""),
                ("venv/pyvenv.cfg", ""),
            ],
            "WSGI import:wsgi.application",
            &["local"],
        ),
    ];
    let django = |settings: &'static str, asgi: &'static str| {
        [
            ("manage.py", DJANGO),
            ("shop/__init__.py", ""),
            ("shop/settings/local.py", "from .base import *\n"),
            ("shop/settings/base.py", settings),
            ("shop/asgi.py", asgi),
            ("shop/wsgi.py", WSGI),
        ]
    };
    let unused = django("INSTALLED_APPS = []  # 'channels'\n", DJANGO_ASGI);
    let used = django("INSTALLED_APPS = ['channels']\n", DJANGO_ASGI);
    let named = django("ASGI_APPLICATION = 'shop.asgi.application'\n", DJANGO_ASGI);
    let by_asgi: &[Case] = &[
        (
            &unused,
            "WSGI import:shop.wsgi.application",
            &["Also found: ASGI import:shop.asgi.application\n"],
        ),
        (
            &used,
            "ASGI import:shop.asgi.application",
            &["Also found: WSGI import:shop.wsgi.application\n"],
        ),
        (&named, "ASGI import:shop.asgi.application", &["max = 4\n"]),
        (
            &[
                ("main.py", "from shop.api import app\n"),
                ("shop/__init__.py", ""),
                (
                    "shop/api.py",
                    "from fastapi import FastAPI\napp = FastAPI()\n",
                ),
            ],
            "ASGI import:main.app",
            &["'serve', 'ASGI', 'import:main.app'", "[runner.workers]"],
        ),
    ];
    for (files, served, says) in cases.iter().chain(by_asgi) {
        let folder = files.iter().fold(Folder::new(), |folder, (name, text)| {
            folder.file(name, text)
        });
        let outcome = folder.runner(["init"]).run();
        let first = format!("wrote `app.ini`, which serves `{served}`\n");
        assert!(outcome.success().starts_with(&first), "{outcome:#?}");
        let text = folder.read("app.ini");
        for part in *says {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(text.contains("python = "), files[1].0.starts_with("it's"));
        assert_eq!(text.contains("threads = "), served.starts_with("WSGI"));
        let graph = folder.runner(["graph", "app.ini"]).run();
        for word in served.split(' ') {
            assert!(graph.success().contains(word), "{graph:#?}");
        }
        let check = ["fmt", "--check", "app.ini"];
        folder.runner(check).run().is(0, "", "");
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = Folder::new().file("app.ini", "mine\n");
    symlink("nowhere", folder.path("link")).expect("a link");
    fs::create_dir(folder.path("linked")).expect("a folder");
    symlink("nowhere", folder.path("linked/app.ini")).expect("a link");
    let message = |path: &str| {
        format!("error: `{path}` already exists\n = hint: remove it first, or run it\n")
    };
    let run = |arguments: &[&str]| folder.runner(arguments).run();
    run(&["init"]).is(1, "", &message("app.ini"));
    run(&["init", "."]).is(1, "", &message("./app.ini"));
    run(&["init", "linked"]).is(1, "", &message("linked/app.ini"));
    assert_eq!(folder.read("app.ini"), "mine\n");
    assert!(!folder.path("linked/nowhere").exists());
    let missing = "error: cannot read `none`: No such file or directory\n";
    run(&["init", "none"]).is(1, "", missing);
}

/// Without `runner` on `PATH`, the first line names the program by its path.
#[test]
fn the_first_line_works_here() {
    let folder = Folder::new().file("wsgi.py", HELLO);
    // The kernel starts the interpreter, so the test needs a path that is short enough.
    let runner = folder.path("runner");
    fs::copy(env!("CARGO_BIN_EXE_runner"), &runner).expect("a copy");
    let init = folder
        .program(&runner, ["init"])
        .env("PATH", "/usr/bin:/bin");
    init.run().success();
    let first = format!("#!{} runIni\n", runner.display());
    assert!(folder.read("app.ini").starts_with(&first));
    let program = folder.program(folder.path("app.ini"), [""; 0]);
    assert_eq!(
        runs(program.env("PATH", "/usr/bin:/bin"), "app.ini"),
        "hello"
    );
}

/// Neither links in a circle nor files that are no Python keep the others from being found.
#[test]
fn files_that_cannot_be_read_are_skipped() {
    let deep = format!("app = {}1{}\n", "(".repeat(5000), ")".repeat(5000));
    let folder = Folder::new()
        .file("app.py", "app = (\n")
        .file("deep.py", deep)
        .file("large.py", format!("{HELLO}#{}\n", " ".repeat(1 << 20)))
        .file("wsgi.py/file.txt", "")
        .file("zero.py", "app = '\0'\n")
        .file("z.py", HELLO);
    symlink("loop.py", folder.path("loop.py")).expect("a link");
    symlink(".", folder.path("loop")).expect("a link");
    let secret = folder.path("application.py");
    fs::write(&secret, HELLO).expect("a file");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("a mode");
    let outcome = folder.runner(["init"]).run();
    let first = "wrote `app.ini`, which serves `WSGI import:";
    assert!(outcome.success().starts_with(first), "{outcome:#?}");
    assert!(
        outcome.stdout.contains("import:z.application"),
        "{outcome:#?}"
    );
    let count = outcome.stdout.matches("import:").count();
    assert!(count <= 2, "{outcome:#?}");
}

#[test]
fn without_python_the_files_cannot_be_read() {
    let folder = Folder::new()
        .file("empty/file.txt", "")
        .file("wsgi.py", HELLO);
    let init = |place| folder.runner(["init", place]).env("PATH", "/nowhere").run();
    init(".").is(
        1,
        "",
        "error: there is no Python: neither a virtual environment nor `python3` on PATH\n \
         = hint: install Python 3.8 or later, or set `runner.python` to where it is\n",
    );
    init("empty").success();
}

/// Nothing in the folder runs, not even what Python itself would import.
#[test]
fn nothing_in_the_folder_runs() {
    let ran = "open('ran', 'w')\n";
    let folder = Folder::new()
        .file("wsgi.py", format!("{ran}{HELLO}"))
        .file("ast.py", ran)
        .file("sitecustomize.py", ran);
    let init = folder.runner(["init", "."]);
    init.env("PYTHONPATH", folder.path("").display().to_string())
        .run()
        .success();
    assert!(!folder.path("ran").exists());
}

/// Sources of modules, and the application that each defines, if any; one without a word is a WSGI application.
const SOURCES: &[(&str, &str)] = &[
    (
        ".application",
        "def application(environ, start_response): pass",
    ),
    (".app", "app = Flask(__name__)"),
    (".app", "app: Flask = Flask(__name__)"),
    (".application", "app = 1\napplication = app"),
    (".app", "main = app = Flask(__name__)"),
    (".app", "from site import (app)"),
    (
        ".application",
        "from x import y as application, z  # for mod_wsgi",
    ),
    (":create_app()", "def create_app():\n    app = Flask()"),
    (
        ":create_app()",
        "def create_app(\n    config=dict(a=1),\n    *more\n): pass",
    ),
    ("", "def create_app(*, config): pass"),
    ("", "def create_app(config, test=1): pass"),
    ("", "def create_app(config: Dict[str, int]) -> X: pass"),
    (":make_app()", "def make_app(a: Dict[str, int] = {}): pass"),
    ("ASGI .app", "app = FastAPI()"),
    ("ASGI .app", "app = fastapi.FastAPI(title='x')"),
    ("ASGI .app", "app: FastAPI = made()"),
    (
        "ASGI .app",
        "from starlette.applications import Starlette as Site\napp = Site()",
    ),
    (
        "ASGI .application",
        "from blacksheep import Application\napplication = Application()",
    ),
    (
        ".application",
        "from tornado.web import Application\napplication = Application()",
    ),
    (
        "ASGI .app",
        "from quart import Quart\nsite = Quart(__name__)\napp = site",
    ),
    ("ASGI .app", "import litestar\napp = litestar.Litestar([])"),
    ("ASGI .app", "app = FastAPI()\napp = Traced(app, 1)"),
    ("ASGI .app", "app = Traced(site=FastAPI())"),
    (
        "ASGI .app",
        "from a2wsgi import WSGIMiddleware\napp = WSGIMiddleware(flask)",
    ),
    (".app", "app = FastAPI()\napp = Flask(__name__)"),
    ("ASGI .app", "from asgi_m00 import site as app"),
    ("ASGI .app", "from .asgi_m00 import site as app"),
    (".app", "from .asgi_m00 import other as app"),
    (
        "ASGI :create_app()",
        "def create_app():\n    app = FastAPI()\n    return app",
    ),
    (
        "ASGI :create_app()",
        "def create_app() -> Starlette: return made()",
    ),
    (
        "ASGI .app",
        "def app(scope, receive, send): return site(scope, receive, send)",
    ),
    ("", "app = Celery()"),
    (".app", "app = FastAPI()\napp = a2wsgi.ASGIMiddleware(app)"),
    ("ASGI .app", "async def app(scope, receive, send): pass"),
    ("", "async def app(): pass"),
    (
        ".application",
        "class application:\n    def __iter__(self): pass",
    ),
    ("", "class app(Base):\n    def run(self): pass"),
    ("", "app.config = 1"),
    ("", "if True:\n    app = 1"),
    ("", "\"\"\"\napp = Flask()\n\"\"\""),
    (".app", "'''x''' # '''\napp = 1"),
    ("", "app == 1\napp.run()\napplications = 2\n# app = 3"),
    (".app", "# coding: latin-1\napp = '\u{e9}'"),
    ("", "# coding: nothing\napp = 1"),
    ("", "app = '\0'"),
    (".app", "app = '\\d'"),
    ("", ""),
    ("", "def create_app("),
];

#[test]
fn applications_are_found_by_their_definition() {
    let module = |number: usize| format!("m{number:02}");
    let files = SOURCES.iter().enumerate();
    let folder = files
        .clone()
        .fold(Folder::new(), |folder, (number, (_, text))| {
            folder.file(format!("{}.py", module(number)), text)
        })
        .file("asgi_m00.py", "site = FastAPI()\nother = 1\n");
    let outcome = folder.runner(["init"]).run();
    let names = outcome
        .success()
        .split('`')
        .filter(|part| part.contains("import:"));
    let found: Vec<&str> = names.collect();
    let expected: Vec<String> = files
        .filter(|(_, (name, _))| !name.is_empty())
        .map(|(number, (name, _))| {
            let (word, name) = name.split_once(' ').unwrap_or(("WSGI", name));
            format!("{word} import:{}{name}", module(number))
        })
        .collect();
    assert_eq!(found, expected);
}
