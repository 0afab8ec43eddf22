//! Applications with settings of their own: `commands.Alias(command=[…], settings='shop')`.

mod support;

use serde_json::Value as Json;
use support::{Folder, Waits, project};

/// Answers with what its settings have made of its process.
const REPORT: &str = "\
import os
import sys

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    seen = {
        'venv': sys.prefix != sys.base_prefix,
        'threads': environ['wsgi.multithread'],
        'processes': environ['wsgi.multiprocess'],
        'name': os.environ.get('NAME'),
        'removed': os.environ.get('REMOVED'),
        'folder': os.path.basename(os.getcwd()),
        'module': __import__('where').PLACE,
    }
    return [' '.join('%s=%s' % pair for pair in seen.items()).encode()]
";

fn site() -> Folder {
    let venv = project("target/venv");
    Folder::new()
        .file("report.py", REPORT)
        .file("where.py", "PLACE = 'beside'\n")
        .file("shop/where.py", "PLACE = 'shop'\n")
        .file(
            "site.ini",
            format!(
                "\
url = 'tcp://127.0.0.1:0'

[peak.running.shortcuts]
shop = commands.Alias(command=['WSGI', 'import:report.application'], settings='shop')
admin = commands.Alias(command=['shop'], settings='admin')
plain = commands.Alias(command=['WSGI', 'import:report.application'])
around = commands.Alias(command=['files', 'shop', '--fallback', 'shop'], settings='around')

[runner]
environment = {{'NAME': 'all'}}

[runner.workers]
max = 1

[shop]
python = '{}'
path = 'shop'
environment = {{'NAME': 'shop', 'REMOVED': None}}

[shop.workers]
threads = 2
max = 3
directory = 'shop'

[admin]
environment = {{'NAME': 'admin'}}
workers.max = 1

[around.workers]
threads = 1
max = 2
",
                venv.display()
            ),
        )
}

#[track_caller]
fn seen(folder: &Folder, application: &str) -> String {
    let server = folder
        .runner(["-c", "site.ini", "serve", application])
        .env("REMOVED", "no")
        .start();
    let seen = server.get("/page").ok();
    assert_eq!(server.stop().status, 0);
    seen.replace(
        &*folder
            .path("")
            .file_name()
            .expect("a name")
            .to_string_lossy(),
        "SITE",
    )
}

/// Its own settings come before those of all applications; an alias of an alias comes first, and what stands around an
/// application last.
#[test]
fn an_application_has_its_pool_its_python_and_its_environment() {
    let folder = site();
    for (application, expected) in [
        (
            "plain",
            "venv=False threads=False processes=False name=all removed=no folder=SITE module=beside",
        ),
        (
            "shop",
            "venv=True threads=True processes=True name=shop removed=None folder=shop module=shop",
        ),
        (
            "admin",
            "venv=True threads=True processes=False name=admin removed=no folder=shop module=shop",
        ),
        (
            "around",
            "venv=True threads=True processes=True name=shop removed=None folder=shop module=shop",
        ),
    ] {
        assert_eq!(seen(&folder, application), expected, "{application}");
    }
    let check = folder.runner(["check", "site.ini"]).run();
    check.is(
        0,
        "1 file: no problems; 3 applications not imported (--import)\n",
        "",
    );
}

/// What the command is written with counts for all applications that it serves.
#[test]
fn settings_of_a_command_are_those_of_its_applications() {
    let folder = site().file(
        "app.ini",
        "\
app = commands.Alias(command=['serve', 'WSGI', 'import:report.application'], settings='own')
url = 'tcp://127.0.0.1:0'
own.environment = {'NAME': 'own'}
own.workers.* = config.Namespace('mine')
mine.threads = 4
",
    );
    let server = folder.runner(["runIni", "app.ini"]).start();
    let seen = server.get("/").ok();
    assert!(
        seen.contains("threads=True processes=True name=own "),
        "{seen}"
    );
    assert_eq!(server.stop().status, 0);
}

/// A Flask application and a plain one, each with its Python, its workers, its environment and its modules, on one address.
#[test]
fn applications_of_one_file_stay_apart() {
    let venv = project("target/venv");
    let folder = Folder::new()
        .file(
            "flask_page.py",
            "import os\nfrom flask import Flask\nimport where\napp = Flask(__name__)\n\
             @app.get('/')\ndef page():\n    return f\"{where.PLACE} {os.environ['NAME']}\"\n",
        )
        .file("where.py", "PLACE = 'beside'\n")
        .file("shop/where.py", "PLACE = 'shop'\n")
        .file("report.py", REPORT)
        .file(
            "site.ini",
            format!(
                "\
site = commands.Routes({{
    '/': commands.Alias(command=['WSGI', 'import:flask_page.app'], settings='shop'),
    '/report': ['WSGI', 'import:report.application'],
    '/other': commands.Alias(command=['WSGI', 'import:report.application'], settings='other'),
  }})
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'

[runner]
python = '/usr/bin/python3'
environment = {{'NAME': 'all'}}
status.url = 'unix:control'

[shop]
python = '{}'
path = 'shop'
environment = {{'NAME': 'shop'}}
workers.min = 3

[other]
environment = {{'NAME': 'other'}}
",
                venv.display()
            ),
        );
    let server = folder.runner(["runIni", "site.ini"]).start();
    assert_eq!(server.get("/").ok(), "shop shop");
    for (path, name) in [("/report", "all"), ("/other", "other")] {
        let seen = server.get(path).ok();
        assert!(
            seen.starts_with("venv=False") && seen.contains(&format!(" name={name} ")),
            "{path}: {seen}"
        );
    }
    let workers = || {
        let asked = folder.runner(["status", "--format", "json", "site.ini"]);
        let found: Json = serde_json::from_str(asked.run().success()).expect("JSON");
        let workers = found["workers"].as_array().expect("a list").clone();
        let of = |route: &str| {
            workers
                .iter()
                .filter(|one| one["application"] == route)
                .count()
        };
        [of("/"), of("/report"), of("/other")]
    };
    Waits::until(|| workers() == [3, 1, 1], || format!("{:?}", workers()));
    assert_eq!(server.stop().status, 0);
    let check = folder.runner(["check", "--import", "site.ini"]).run();
    check.is(0, "1 file: no problems; 3 applications imported\n", "");
}

/// A CGI program has none of the server's environment, but that of the settings.
#[test]
fn a_cgi_program_has_the_environment_of_its_settings() {
    let folder = Folder::new()
        .executable(
            "cgi/report",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s %s' \"$ONE\" \"$TWO\" \"$OTHER\"\n",
        )
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'programs'])\nurl = 'tcp://127.0.0.1:0'\n\
             programs = commands.Alias(command=['cgi-bin', 'cgi', '--env', 'TWO=typed'], settings='cgi')\n\
             cgi.environment = {'ONE': 'set', 'TWO': 'set'}\nrunner.environment = {'OTHER': 'set'}\n",
        );
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(server.get("/report").ok(), "set typed ");
    assert_eq!(server.stop().status, 0);
}
