//! Programs that are applications (`upstream http exec: COMMAND`) within what a file describes: behind routes and other
//! gateways, for `launch` and for `check`.

mod support;

use std::fs;

use support::Folder;

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
