//! The files of the document that describes the system, unchanged (`peak` reads `runner`, the host is `localhost`).

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use support::{Folder, Program, free_port};

/// The doubled `=` and the missing section headers are in the document.
const PROGRAM: &str = r#"#!invoke runner runIni

app = = commands.Alias(command=['serve','WSGI','import:my_app.application'])

url = "tcp://localhost:8000"
"#;

const SETTINGS: &str = r#"url = "tcp://localhost:8000"
"#;

const MY_APP: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'my app, asked for ' + environ['PATH_INFO'].encode('latin-1')]
";

/// The document's port may be in use.
fn at(port: u16, text: &str) -> String {
    text.replace(":8000", &format!(":{port}"))
}

fn folder(port: u16) -> Folder {
    Folder::new()
        .file("my_app.py", MY_APP)
        .executable("my_app", at(port, PROGRAM))
        .file("myserver.conf", at(port, SETTINGS))
        .file("elsewhere/.keep", "")
}

/// The response of the server, on every address of `localhost`.
#[track_caller]
fn serves(program: Program, port: u16) {
    let server = program.start();
    assert_eq!(server.url(), format!("http://localhost:{port}/"));
    assert_eq!(server.get("/there").ok(), "my app, asked for /there");
    let curl = server
        .folder()
        .curl([format!("http://localhost:{port}/by-curl")]);
    assert_eq!(curl.success(), "my app, asked for /by-curl");
    let outcome = server.stop();
    outcome.is(
        0,
        "",
        &format!("runner: serving http://localhost:{port}/\n"),
    );
}

/// The doubled `=` is accepted when the file runs; only `check` warns of it.
#[test]
fn by_name() {
    let port = free_port();
    serves(folder(port).runner(["runIni", "my_app"]), port);
}

#[test]
fn from_another_folder() {
    let port = free_port();
    let folder = folder(port);
    let elsewhere = folder.path("elsewhere");
    serves(
        folder
            .runner(["runIni", "../my_app"])
            .current_folder(&elsewhere),
        port,
    );
    let absolute = folder.path("my_app");
    serves(
        folder
            .runner(["runIni"])
            .arguments([absolute])
            .current_folder(elsewhere),
        port,
    );
}

/// Linux looks for `invoke` in the current folder.
#[test]
fn as_a_program() {
    let port = free_port();
    let folder = folder(port);
    symlink(env!("CARGO_BIN_EXE_invoke"), folder.path("invoke")).expect("a link");
    serves(folder.program("./my_app", [] as [&str; 0]), port);
}

#[test]
fn with_arguments_of_its_own() {
    let port = free_port();
    let folder = folder(8000);
    serves(
        folder
            .runner(["runIni", "my_app", "-p"])
            .arguments([port.to_string()]),
        port,
    );
}

#[test]
fn with_settings_named_by_the_environment() {
    let port = free_port();
    serves(
        folder(port)
            .runner(["serve", "WSGI", "import:my_app.application"])
            .env("PEAK_CONFIG", "myserver.conf"),
        port,
    );
}

/// The document's example is a file that works unchanged.
#[test]
fn the_example_of_such_settings() {
    let port = free_port();
    let folder = folder(port).copy("examples/myserver.conf");
    let example = folder.read("myserver.conf");
    assert!(example.contains("tcp://localhost:8000"), "{example}");
    fs::write(folder.path("myserver.conf"), at(port, &example)).expect("our own file");
    serves(
        folder
            .runner(["serve", "WSGI", "import:my_app.application"])
            .env("PEAK_CONFIG", "myserver.conf"),
        port,
    );
}
