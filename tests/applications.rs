//! Real applications from PyPI, driven by a real client: all of httpbin, and a Django project with its admin site
//! (CSRF, sessions, SQLite, static files), and a chat of FastAPI in a browser.

mod support;

use support::{Folder, Program, Server, project, python};

/// The Python with the packages of the tests.
fn python_program(folder: &Folder, arguments: &[&str]) -> Program {
    folder.program(python(), arguments)
}

/// Runs a script of `tests/apps` against a server.
#[track_caller]
fn drive(server: &Server, script: &str) -> String {
    let script = project("tests/apps").join(script);
    let outcome = python_program(server.folder(), &[])
        .arguments([script])
        .arguments([server.url()])
        .env("NO_PROXY", "*")
        .run();
    assert!(outcome.status == 0, "{outcome:#?}\n{}", server.log());
    outcome.stdout
}

const SETTINGS: &str = "[runner.workers]\nmin = 2\nmax = 2\nthreads = 4\n";

#[test]
fn httpbin_answers_all_that_it_has() {
    let server = Folder::new()
        .file("settings.ini", SETTINGS)
        .runner(["-c", "settings.ini", "serve", "WSGI", "import:httpbin.app"])
        .env("VIRTUAL_ENV", project("target/venv"))
        .start();
    assert_eq!(drive(&server, "drive_httpbin.py"), "82 routes answered\n");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(!outcome.stderr.contains("Traceback"), "{}", outcome.stderr);
}

#[test]
fn the_django_example_works_for_guests_and_its_administrator() {
    the_guestbook_works("guestbook.ini");
}

#[test]
fn it_works_by_asgi_too() {
    the_guestbook_works("guestbook-asgi.ini");
}

#[test]
fn the_fastapi_example_is_a_chat_in_a_browser() {
    let folder = Folder::new()
        .copy("examples/fastapi")
        .executable("browser", "#!/bin/sh\n");
    let server = folder
        .program("fastapi/chat.ini", [] as [&str; 0])
        .env("VIRTUAL_ENV", project("target/venv"))
        .env("BROWSER", folder.path("browser"))
        .start();
    assert_eq!(drive(&server, "drive_chat.py"), "the browser is welcome\n");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(!outcome.stderr.contains("Traceback"), "{}", outcome.stderr);
}

#[track_caller]
fn the_guestbook_works(file: &str) {
    let folder = Folder::new().copy("examples/django");
    let site = folder.path("django");
    let manage = |arguments: &[&str]| {
        python_program(&folder, &["manage.py"])
            .arguments(arguments)
            .env("DJANGO_SUPERUSER_PASSWORD", "a long secret")
            .current_folder(&site)
            .run()
            .success()
            .to_owned()
    };
    manage(&["migrate", "--verbosity", "0"]);
    manage(&[
        "createsuperuser",
        "--noinput",
        "--username",
        "admin",
        "--email",
        "admin@example.org",
    ]);
    // For a web server: see examples/servers/nginx-http.conf.
    manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
    assert!(site.join("static/admin/css/base.css").exists());
    let server = folder
        .program(site.join(file), [] as [&str; 0])
        .env("VIRTUAL_ENV", project("target/venv"))
        .start();
    assert_eq!(drive(&server, "drive_django.py"), "the guestbook works\n");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(!outcome.stderr.contains("Traceback"), "{}", outcome.stderr);
}
