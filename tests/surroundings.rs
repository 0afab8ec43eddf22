//! What an application finds around it: its environment, its folder, where modules are looked for; and applications in files
//! that cannot be imported by name.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Signal, geteuid};
use support::{Folder, python};

/// Answers with variables of its environment, its folder, and the file that it is in.
const REPORT: &str = "\
import os

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    names = ['ONE', 'TWO', 'THREE', 'GONE']
    values = [str(os.environ.get(name)) for name in names]
    return [' '.join([*values, os.path.basename(os.getcwd()), os.path.basename(__file__), __name__]).encode()]
";

#[test]
fn variables_come_from_files_and_from_the_setting() {
    let folder = Folder::new()
        .file("report.py", REPORT)
        .file("first.env", "ONE=first\nTWO=first\nTHREE='with blanks'\n")
        .file("second.env", "TWO=second\n")
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'WSGI', 'import:report.application'])\n\
             url = 'tcp://127.0.0.1:0'\n\
             [runner]\n\
             environment_file = ['first.env', 'second.env']\n\
             environment = {'ONE': 'own', 'GONE': None}\n",
        );
    let server = folder
        .runner(["runIni", "app.ini"])
        .env("GONE", "here")
        .start();
    let seen = || server.get("/").ok();
    assert!(
        seen().starts_with("own second with blanks None "),
        "{}",
        seen()
    );
    // A reload reads them again.
    fs::write(folder.path("second.env"), "TWO=third\n").expect("a file");
    server.signal(rustix::process::Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded"));
    assert!(
        seen().starts_with("own third with blanks None "),
        "{}",
        seen()
    );
    assert_eq!(server.stop().status, 0);
}

/// A file that has the name of a module is that module for others, too; another hides none, and its code is not kept
/// compiled under the name of one.
#[test]
fn files_are_applications_whatever_their_names_are() {
    let sibling = "import app\nAPPLICATION = app.application\n";
    let folder = Folder::new()
        .file("web/app.py", REPORT)
        .file(
            "web/app.wsgi",
            format!("NAME = 'other'\n{REPORT}\nimport app\nassert not hasattr(app, 'NAME')\n"),
        )
        .file(
            "web/my-site.py",
            format!("{REPORT}\nmake = lambda: application\n"),
        )
        .file("web/sibling.py", sibling)
        .file("web/circle.py", format!("import user\n{REPORT}"))
        .file(
            "web/user.py",
            "import sys\nimport circle\nassert circle is sys.modules['circle']\n",
        );
    for (written, expected) in [
        ("file:web/app.py", "app.py app"),
        ("file:web/app.wsgi", "app.wsgi _app_wsgi"),
        ("file:web/my-site.py:make()", "my-site.py _my_site_py"),
        ("file:web/sibling.py:APPLICATION", "app.py app"),
        ("file:web/circle.py:application", "circle.py circle"),
    ] {
        let server = folder
            .runner(["serve", "tcp://127.0.0.1:0", "WSGI", written])
            .env("PYTHONDONTWRITEBYTECODE", "")
            .start();
        let seen = server.get("/").ok();
        assert!(seen.ends_with(expected), "{written}: {seen}");
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn an_asgi_application_of_a_framework_is_in_a_file() {
    let folder = Folder::new()
        .file(
            "sub/my-app.py",
            "from starlette.applications import Starlette\n\
             from starlette.responses import PlainTextResponse\n\
             from starlette.routing import Route\n\
             async def page(request):\n    return PlainTextResponse('from the file')\n\
             app = Starlette(routes=[Route('/', page)])\n",
        )
        .file(
            "sub/app.ini",
            format!(
                "app = commands.Alias(command=['serve', 'ASGI', 'file:my-app.py:app'])\n\
                 url = 'tcp://127.0.0.1:0'\n\
                 runner.python = '{}'\n",
                python().display()
            ),
        );
    let server = folder.runner(["runIni", "sub/app.ini"]).start();
    assert_eq!(server.get("/").ok(), "from the file");
    assert_eq!(server.stop().status, 0);
    // Paths are relative to the file that they are written in.
    let check = folder.runner(["check", "--import", "sub/app.ini"]).run();
    check.is(0, "1 file: no problems; 1 application imported\n", "");
}

/// What is wrong with it is said in the form that it was written in.
#[test]
fn mistakes_in_files_name_the_file() {
    let folder = Folder::new()
        .file("app.wsgi", "app = lambda environ, start_response: []\n")
        .file("broken.wsgi", "raise ValueError('broken')\n");
    let serve = |written: &str| {
        let outcome = folder.runner(["serve", "WSGI", written]).run();
        assert_eq!(outcome.status, 1, "{written}");
        outcome.stderr
    };
    assert_eq!(
        serve("file:app.wsgi"),
        "error: cannot use `file:[folder]/app.wsgi:application`: `_app_wsgi` has no attribute `application`\n \
         = hint: write `file:[folder]/app.wsgi:app`\n"
    );
    assert_eq!(
        serve("file:nothing.wsgi"),
        "error: there is no file `[folder]/nothing.wsgi`\n"
    );
    let broken = serve("file:broken.wsgi");
    assert!(
        broken
            .contains("cannot import `file:[folder]/broken.wsgi:application`: ValueError: broken")
            && broken.contains("File \"[folder]/broken.wsgi\", line 1"),
        "{broken}"
    );
}

/// A program may be in a file, too.
#[test]
fn a_function_of_a_file_is_a_program() {
    let folder = Folder::new()
        .file(
            "my-tool.py",
            "import os\ndef main():\n    print(os.environ['ONE'])\n    return 3\n",
        )
        .file("settings.ini", "runner.environment = {'ONE': 'set'}\n");
    let words = ["-c", "settings.ini", "file:my-tool.py:main"];
    folder.runner(words).run().is(3, "set\n", "");
}

/// Root can read the file at the start; the user of the server, who reads it at each reload, cannot.
#[test]
fn a_file_of_variables_that_the_user_cannot_read_is_told() {
    if !geteuid().is_root() {
        return;
    }
    let folder = Folder::new()
        .file("report.py", REPORT)
        .file(".env", "A=1\n")
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'WSGI', 'import:report.application'])\n\
             url = 'tcp://127.0.0.1:0'\nrunner.python = '/usr/bin/python3'\n\
             runner.user = 'nobody'\nrunner.environment_file = '.env'\n",
        );
    let public = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), public).expect("our own folder");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path(".env"), private).expect("our own file");
    let reason =
        "user `nobody` (runner.user) cannot read `[folder]/.env`: it may not read `[folder]/.env`";
    let checked = folder.runner(["check", "app.ini"]).run();
    let warned = format!("warning: {reason}\n");
    let hint = "a reload reads the file as that user";
    assert!(checked.stdout.contains(hint) || checked.stderr.contains(hint));
    assert!(
        checked.status == 0 && format!("{}{}", checked.stdout, checked.stderr).contains(&warned),
        "{checked:#?}"
    );
    let server = folder.runner(["runIni", "app.ini"]).start();
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("user `nobody` (runner.user) cannot read `"));
    assert_eq!(server.stop().status, 0);
}
