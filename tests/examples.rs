//! The examples are programs: each runs as its first line says, with options after its name.
//!
//! `servers.rs` tests the `.cgi` and `.fcgi` files under web servers, `applications.rs` the visitors of the Django
//! project and of the chat, and `seed.rs` has `myserver.conf`.

mod support;

use support::{Folder, free_port, project};

const NO_ARGUMENTS: [&str; 0] = [];

#[test]
fn hello() {
    let folder = Folder::new().copy("examples/hello");
    let server = folder.program("hello/hello.ini", NO_ARGUMENTS).start();
    assert!(server.get("/").ok().contains("<h1>Hello, world!</h1>"));
    assert!(
        server
            .get("/%3Cb%3E")
            .ok()
            .contains("<h1>Hello, &lt;b&gt;!</h1>")
    );
    assert_eq!(server.stop().status, 0);

    let port = free_port();
    let server = folder
        .program("hello/hello.ini", ["-p", &port.to_string()])
        .start();
    assert_eq!(server.url(), format!("http://localhost:{port}/"));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn flask_in_a_browser() {
    let folder = Folder::new()
        .copy("examples/flask")
        .executable("browser", "#!/bin/sh\n");
    let server = folder
        .program("flask/pages.ini", NO_ARGUMENTS)
        .env("VIRTUAL_ENV", project("target/venv"))
        .env("BROWSER", folder.path("browser"))
        .start();
    let page = server.get("/").ok();
    assert!(page.contains("<p>You wrote: nothing yet</p>"), "{page}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn supervised() {
    let folder = Folder::new().copy("examples/supervise");
    let folder_of_file = folder.path("supervise");
    let run = || {
        let program = folder.program("./clock.conf", NO_ARGUMENTS);
        program.current_folder(&folder_of_file).start()
    };
    let first = run();
    assert!(first.get("/").ok().contains("process "));
    let second = run();
    assert_eq!(second.url(), first.url());
    assert_eq!(first.wait().status, 0);
    let order = |order| folder.runner([order, "supervise/clock.conf"]).run();
    assert_eq!(order("reload").status, 0);
    let status = order("status");
    assert!(status.success().contains(second.url()), "{status:?}");
    assert!(second.get("/").ok().contains("process "));
    assert_eq!(order("stop").status, 0);
    assert_eq!(second.wait().status, 0);
}

/// Programs of other languages, of which no process stays.
#[test]
fn programs_of_other_languages() {
    for language in ["node", "php", "ruby"] {
        let folder = Folder::new().copy(&format!("examples/{language}"));
        let file = format!("{language}/hello.ini");
        let server = folder.program(&file, NO_ARGUMENTS).start();
        let said = server.get("/there").ok();
        assert!(said.ends_with("You asked for /there\n"), "{said}");
        assert_eq!(server.stop().status, 0);
    }
}

/// systemd accepts the unit, and the application's user cannot change its code.
#[test]
fn the_unit_of_systemd_is_right() {
    let unit = std::fs::read_to_string(project("examples/servers/hello.service")).expect("a unit");
    assert!(unit.contains("\nRuntimeDirectory=hello\n"), "{unit}");
    assert!(!unit.contains("\nReadWritePaths="), "{unit}");
    let unit = unit.replace("/usr/local/bin/runner", env!("CARGO_BIN_EXE_runner"));
    Folder::new()
        .file("hello.service", unit)
        .program("systemd-analyze", ["verify", "--man=no", "hello.service"])
        .run()
        .is(0, "", "");
}

/// No configuration file has a mistake.
#[test]
fn check_finds_no_problems() {
    let find = "find examples \\( -name '*.ini' -o -name myserver.conf -o -path '*/supervise/*.conf' \\) -print | sort";
    let found = Folder::new()
        .program("sh", ["-c", find])
        .current_folder(project(""))
        .run();
    let files: Vec<&str> = found.success().lines().collect();
    assert!(files.len() >= 4, "{files:?}");
    let none = format!("{} files: no problems; ", files.len());
    for (words, rest) in [
        (&["check"][..], "6 applications not imported (--import)\n"),
        (&["check", "--import"], "6 applications imported\n"),
    ] {
        Folder::new()
            .runner(words)
            .arguments(&files)
            .current_folder(project(""))
            .env("VIRTUAL_ENV", project("target/venv"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .run()
            .is(0, &format!("{none}{rest}"), "");
    }
}

/// Each executable file is named in a test.
#[test]
fn none_is_forgotten() {
    let known = [
        "examples/django/guestbook-asgi.ini",
        "examples/django/guestbook.ini",
        "examples/django/manage.py",
        "examples/fastapi/chat.ini",
        "examples/flask/pages.ini",
        "examples/hello/hello.cgi",
        "examples/hello/hello.fcgi",
        "examples/hello/hello.ini",
        "examples/node/hello.ini",
        "examples/php/hello.ini",
        "examples/ruby/hello.ini",
        "examples/supervise/clock.conf",
    ];
    let find = "find examples -type f -perm -u+x -print | sort";
    let outcome = Folder::new()
        .program("sh", ["-c", find])
        .current_folder(project(""))
        .run();
    assert_eq!(outcome.success().lines().collect::<Vec<_>>(), known);
}
