//! `launch` and code that never ends to be imported.

mod support;

use std::fs;

use support::{Folder, Server, Waits};

/// Code that answers with a text.
fn answers(text: &str) -> String {
    format!(
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{text}']\n"
    )
}

/// The next change need not wait until the import has used up its time.
#[test]
fn a_change_gives_up_an_import_that_hangs() {
    let folder = Folder::new().file("app.py", answers("one"));
    let server: Server = folder
        .runner(["launch", "WSGI", "import:app.application"])
        .start();
    let write = |text: &str| fs::write(folder.path("app.py"), text).expect("a file");
    assert_eq!(server.get("/").ok(), "one");
    let hangs = "import threading\nopen('begun', 'w').close()\nthreading.Event().wait()\n";
    write(hangs);
    Waits::until(
        || folder.path("begun").exists(),
        || "it is not imported".to_owned(),
    );
    // The old version serves meanwhile.
    assert_eq!(server.get("/").ok(), "one");
    let mut number = 0;
    Waits::until(
        || {
            number += 1;
            write(&(answers("two") + &format!("# {number}\n")));
            server.get("/").ok() == "two"
        },
        || server.log(),
    );
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(!outcome.stderr.contains("start_timeout"), "{outcome:?}");
}
