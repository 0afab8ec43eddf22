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
# Run me: ./app.ini                 on a port of your choice: ./app.ini -p 8000
# What would run, without running it: runner graph app.ini

# Also here: import:site:create_app()
app = commands.Alias(command=['serve', 'WSGI', 'import:hello.application'])

# Any free port of this machine. For everybody, on port 8000: "tcp://*:8000"
url = "tcp://localhost:0"

[runner.workers]
# Processes: so many are kept ready, and so many run when there is much to do.
min = 1
max = 4
# Requests that a process answers at the same time. More than one only if the application is made for it.
threads = 1
"#;

/// The file for a folder without an application.
const DEMO: &str = r#"#!/usr/bin/env -S runner runIni
#
# Shows what comes in, since there is no WSGI application here yet. Put the name of yours into `app`, as in
#
#   app = commands.Alias(command=['serve', 'WSGI', 'import:package.module.object'])
#
# Run me: ./app.ini                 on a port of your choice: ./app.ini -p 8000
# What would run, without running it: runner graph app.ini

app = commands.Alias(command=['serve', 'demo'])

# Any free port of this machine. For everybody, on port 8000: "tcp://*:8000"
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
wrote `app.ini`, which serves `import:hello.application`
also found `import:site:create_app()`
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
fn where_there_is_none_the_demo_is_served() {
    let folder = Folder::new().file("a folder/notes.txt", "");
    let said = "\
wrote `a folder/app.ini`, which serves `demo`: no WSGI application was found
run it: './a folder/app.ini'
";
    folder.runner(["init", "a folder"]).run().is(0, said, "");
    assert_eq!(folder.read("a folder/app.ini"), DEMO);
    let program = folder.program(folder.path("a folder/app.ini"), [""; 0]);
    assert!(runs(program, "a folder/app.ini").contains("REQUEST_METHOD"));
}

/// Files, what is served, and what the written file must contain.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [&'static str],
);

#[test]
fn what_is_served_is_the_likeliest() {
    const DJANGO: &str =
        "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", 'shop.settings.local')\n";
    const WSGI: &str =
        "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n";
    let cases: &[Case] = &[
        (
            &[
                ("manage.py", DJANGO),
                ("app.py", "app = 1\n"),
                ("shop/__init__.py", ""),
                ("shop/wsgi.py", WSGI),
            ],
            "shop.wsgi.application",
            &["Also here: import:app.app\n", "threads = 4\n"],
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
            "app.app",
            &["Also here: import:main.app\n", "Flask serves several"],
        ),
        (
            &[
                (
                    "pages/__init__.py",
                    "import flask\ndef create_app(): pass\n",
                ),
                ("pages/app.py", "app = FastAPI()\n"),
            ],
            "pages:create_app()",
            &["threads = 4\n"],
        ),
        (
            &[
                ("wsgi.py", HELLO),
                ("it's/pyvenv.cfg", ""),
                ("it's/app.py", "app = 1\n"),
            ],
            "wsgi.application",
            &["\n[runner]\n# The virtual environment beside this file.\npython = 'it\\'s'\n"],
        ),
        (
            &[
                ("wsgi.py", HELLO),
                ("env/pyvenv.cfg", ""),
                ("venv/pyvenv.cfg", ""),
            ],
            "wsgi.application",
            &["local"],
        ),
    ];
    for (files, served, says) in cases {
        let folder = files.iter().fold(Folder::new(), |folder, (name, text)| {
            folder.file(name, text)
        });
        let outcome = folder.runner(["init"]).run();
        let first = format!("wrote `app.ini`, which serves `import:{served}`\n");
        assert!(outcome.success().starts_with(&first), "{outcome:#?}");
        let text = folder.read("app.ini");
        for part in *says {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(text.contains("python = "), files[1].0.starts_with("it's"));
        let graph = folder.runner(["graph", "app.ini"]).run();
        let target = format!("import:{served}");
        assert!(graph.success().contains(&target), "{graph:#?}");
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
        format!("error: `{path}` is there already\n = hint: remove it first, or run it\n")
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
