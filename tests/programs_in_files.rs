//! Programs that are applications (`upstream http exec: COMMAND`) within what a file describes: behind routes and other
//! gateways, for `launch` and for `check`.

mod support;

use std::fs;

use support::{Folder, project, python};

/// A change of a file that only its words tell of counts, too.
#[test]
fn launch_restarts_a_program_whose_file_changes() {
    let folder = Folder::new()
        .copy("tests/apps/program.py")
        .file("data", "one");
    let words = [
        "upstream",
        "http",
        "exec:",
        "./program.py",
        "data",
        "--reload",
    ];
    let server = folder.runner(["launch"]).arguments(words).start();
    assert_eq!(server.get("/words").ok(), "data --reload");
    let mut last = server.get("/").ok();
    for (name, text) in [
        ("program.py", folder.read("program.py") + "\n"),
        ("data", "two".to_owned()),
    ] {
        fs::write(folder.path(name), text).expect("an owned file");
        server.wait_for_log(|log| log.contains(&format!("s: {name} has changed")));
        let now = server.get("/").ok();
        assert_ne!(now, last);
        last = now;
    }
    assert_eq!(server.stop().status, 0);
}

#[test]
fn programs_stand_behind_routes_and_each_gateway() {
    let site = "\
site = commands.Routes({
    '/': ['respond', '200', 'front'],
    '/api/': ['upstream', 'http', '--strip-prefix', 'exec:', './program.py', 'x'],
    })
app = commands.Alias(command=['serve', 'site'])
cgi = commands.Alias(command=['CGI', 'site'])
url = 'tcp://127.0.0.1:0'
";
    let folder = Folder::new()
        .copy("tests/apps/program.py")
        .file("app.ini", site);
    let server = folder.runner(["runIni", "app.ini"]).start();
    assert_eq!(server.get("/").ok(), "front\n");
    assert_eq!(server.get("/api/words").ok(), "x");
    assert_eq!(server.stop().status, 0);

    let said = folder
        .runner(["-c", "app.ini", "cgi"])
        .env("REQUEST_METHOD", "GET")
        .env("SCRIPT_NAME", "")
        .env("PATH_INFO", "/api/words")
        .env("SERVER_NAME", "localhost")
        .env("SERVER_PORT", "80")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .run();
    assert!(said.success().ends_with("\r\n\r\nx"), "{said:?}");
}

/// They are found there by their names, and find that Python.
#[test]
fn programs_have_the_python_of_their_file_first() {
    let site = "\
site = commands.Routes({
    '/': ['upstream', 'http', 'exec:', 'named', 'x'],
    '/path/': ['cgi-bin', 'path'],
    })
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
";
    let real = python().display().to_string();
    let python = format!("#!/bin/sh\nOURS=yes exec {real} \"$@\"\n");
    let program = fs::read_to_string(project("tests/apps/program.py")).expect("our own file");
    let path = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; echo \"PATH=$PATH\"\n";
    let folder = Folder::new()
        .file("site/.venv/pyvenv.cfg", "")
        .executable("site/.venv/bin/python3", python)
        .executable("site/.venv/bin/named", program)
        .executable("site/path", path)
        .file("site/app.ini", site);
    let checked = folder.runner(["check", "site/app.ini"]).run();
    assert!(checked.success().contains("no problems"), "{checked:#?}");
    let server = folder.runner(["runIni", "site/app.ini"]).start();
    assert_eq!(server.get("/words").ok(), "x");
    let environment = server.get("/environment").ok();
    let begins = format!("PATH={}:", folder.path("site/.venv/bin").display());
    let has = |text: &str| environment.lines().any(|line| line.starts_with(text));
    assert!(has(&begins) && has("OURS=yes"), "{environment}");
    let path = server.get("/path/").ok();
    assert!(path.starts_with(&begins), "{path}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn check_finds_programs_that_cannot_be_run() {
    let words = "'serve', 'upstream', 'http', 'exec:', './missing'";
    let folder = Folder::new().file(
        "app.ini",
        format!("app = commands.Alias(command=[{words}])\n"),
    );
    let found = folder.runner(["check", "app.ini"]).run();
    assert!(
        found
            .stdout
            .contains("there is no program `[folder]/missing`"),
        "{}",
        found.stdout
    );
    assert_eq!(found.status, 1);
}
