//! Servers to export.

use std::fs;

use crate::support::Folder;
use crate::support::process::Outcome;

/// An application that answers with what it is told of the request.
pub const HELLO: &str = "\
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    host, path, scheme = (environ.get(name, '') for name in ('HTTP_HOST', 'PATH_INFO', 'wsgi.url_scheme'))
    return [f'{host} {path} {scheme} {environ[\"REMOTE_ADDR\"]} {environ[\"SERVER_NAME\"]}'.encode()]
";

/// A folder with an application and a file that serves it with these settings.
pub fn folder(command: &str, settings: &str) -> Folder {
    let text = format!(
        "app = commands.Alias(command=['{command}', 'WSGI', 'import:hello.app'])\n{settings}"
    );
    Folder::new()
        .file("hello.py", HELLO)
        .file("hello.ini", text)
}

/// Runs `export` with these words.
pub fn export(folder: &Folder, words: &[&str]) -> Outcome {
    folder.runner(["export"]).arguments(words).run()
}

/// What is written for a server for which nothing essential is missing.
#[track_caller]
pub fn exported(folder: &Folder, target: &str) -> String {
    let name = format!("{target}.written");
    let outcome = export(folder, &[target, "hello.ini", "-o", &name]);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    let text = folder.read(&name);
    fs::remove_file(folder.path(&name)).expect("the file that was written");
    text
}
