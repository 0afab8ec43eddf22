//! Files whose `#!` line is a whole command: the system appends the name of the file to it, which is then the file that
//! is run and no argument of the command.

mod support;

use support::{Address, Folder, free_port};

const APPLICATION: &str = "\
import sys

def application(environ, start_response):
    start_response('200 OK', [])
    return [repr(sys.argv[1:]).encode()]

def main():
    print([name.rpartition('/')[2] for name in sys.argv])
";

/// An executable file that has this first line, with what it needs beside it.
fn folder(line: &str) -> Folder {
    Folder::new()
        .executable("it", format!("#!/usr/bin/env -S runner {line}\n"))
        .file("app.py", APPLICATION)
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n",
        )
        .file("main.conf", "Command exec: true\nPidFile main.pid\n")
}

#[test]
fn any_command_can_be_a_first_line() {
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("eval 2**10", &[], 0, "1024\n"),
        ("eval", &[], 1, ""),
        ("true", &[], 0, ""),
        ("false", &["x"], 1, ""),
        ("explain true", &[], 0, "command `true`\n"),
        ("help true", &[], 0, "Does nothing, with exit status 0\n"),
        ("graph app.ini", &[], 0, "app.ini\n  serve\n"),
        ("check", &["app.ini"], 0, "2 files: no problems\n"),
        ("check app.ini", &[], 0, "1 file: no problems\n"),
        (
            "show app.ini peak.running.app",
            &[],
            0,
            "peak.running.app = ",
        ),
        ("fmt --check app.ini", &[], 0, ""),
        ("status main.conf", &[], 3, ""),
        ("stop main.conf", &[], 1, ""),
        ("completions bash", &[], 0, "_runner() {\n"),
        ("import:app.main", &["a", "b"], 0, "['it', 'a', 'b']\n"),
        ("import:app.main a", &["b"], 0, "['it', 'a', 'b']\n"),
    ];
    for (line, arguments, status, said) in cases {
        let folder = folder(line);
        let outcome = folder.program("./it", *arguments).run();
        assert_eq!(outcome.status, *status, "{line}: {outcome:?}");
        assert!(outcome.stdout.starts_with(said), "{line}: {outcome:?}");
    }
}

#[test]
fn a_server_is_run_from_any_folder() {
    for line in [
        "serve WSGI import:app.application",
        "serve WSGI import:app.application -p 1",
        "-c app.ini serve WSGI import:app.application",
    ] {
        let folder = folder(line).file("elsewhere/app.ini", "");
        let program = folder.path("it").to_string_lossy().into_owned();
        let run = folder
            .program(&program, ["-p", "0", "--", "x"])
            .current_folder(folder.path("elsewhere"));
        let server = run.start();
        assert_eq!(server.get("/").ok(), "['x']", "{line}");
        assert_eq!(server.stop().status, 0);
    }
    for line in [
        "FastCGI tcp://127.0.0.1:PORT WSGI import:app.application",
        "supervise serve tcp://127.0.0.1:PORT WSGI import:app.application",
    ] {
        let port = free_port();
        let line = format!("-c own.ini {}", line.replace("PORT", &port.to_string()));
        let folder = folder(&line).file("own.ini", "runner.supervise.pid_file = 'own.pid'\n");
        let server = folder
            .program("./it", [""; 0])
            .start_at(Address::port(port));
        assert_eq!(server.stop().status, 0);
    }
    let request = folder("CGI WSGI import:app.application")
        .program("./it", ["from-the-query"])
        .env("REQUEST_METHOD", "GET");
    assert!(request.run().success().ends_with("\n[]"));
}

#[test]
fn other_words_are_still_mistakes() {
    let folder = folder("FastCGI unix:socket demo").file("other", "no script\n");
    let said = |words: &[&str]| folder.program("./it", words).run();
    assert!(
        said(&["more"])
            .stderr
            .starts_with("error: unexpected argument `more`\n")
    );
    let typed = ["FastCGI", "unix:socket", "demo", "other"];
    assert!(
        folder
            .runner(typed)
            .run()
            .stderr
            .starts_with("error: unexpected argument `other`\n")
    );
}

/// `check` and `graph` resolve the command as the process would that runs the file.
#[test]
fn the_command_can_be_checked_and_drawn() {
    let said = |line: &str, words: &[&str]| {
        let folder = folder(line);
        let folder = folder.file("named.ini", "[runner.workers]\nmni = 2\n");
        folder.runner(words).run()
    };
    said("FastCG WSGI import:app.application", &["check", "it"]).is(
        1,
        "\
error: unknown name `FastCG`
  ┌─ it:1:26
  │
1 │ #!/usr/bin/env -S runner FastCG WSGI import:app.application
  │                          ^^^^^^
  │
  = hint: did you mean `FastCGI`?

1 file: 1 error, 0 warnings
",
        "",
    );
    for (line, place, message) in [
        (
            "FastCGI WSGI import:app",
            "it:1:39",
            "`import:app` names a module",
        ),
        (
            "serve demo --prot 1",
            "it:1:37",
            "there is no option `--prot`",
        ),
        ("serve demo x", "it:1:37", "unexpected argument `x`"),
        (
            "-c named.ini serve demo",
            "named.ini:2:1",
            "there is no setting `runner.workers.mni`",
        ),
        (
            "-c none.ini serve demo",
            "it:1:38",
            "cannot read `none.ini`",
        ),
        (
            "supervise serve demo",
            "it:1:26",
            "`supervise` needs a pid file",
        ),
        ("graph", "it:1:26", "`it` runs itself"),
    ] {
        let check = said(line, &["check", "it"]);
        assert_eq!(check.status, 1, "{line}: {check:?}");
        assert!(check.stdout.contains(message), "{line}: {check:?}");
        assert!(
            check.stdout.contains(&format!("┌─ {place}\n")),
            "{line}: {check:?}"
        );
    }
    let line = "FastCGI unix:socket WSGI import:nope.x";
    let check = said(line, &["check", "--import", "it"]);
    assert_eq!(check.status, 1, "{check:?}");
    assert!(
        check.stdout.starts_with("error: cannot import `nope.x`"),
        "{check:?}"
    );
    assert!(check.stdout.contains("┌─ it:1:51\n"), "{check:?}");
    let summary = "1 file: no problems; 1 application imported\n";
    let line = "FastCGI WSGI import:app.application";
    said(line, &["check", "--import", "it"]).is(0, summary, "");
    said(
        "-c app.ini FastCGI tcp://localhost:80 WSGI import:app.application",
        &["graph", "it"],
    )
    .is(
        0,
        "\
it
  FastCGI
    FastCGI on tcp://localhost:80  it:1
      WSGI                         it:1
        import:app.application     it:1
",
        "",
    );
    said("graph", &["graph", "it"]).is(
        1,
        "",
        "error: `it` runs itself: `[folder]/it` → `[folder]/it`\n",
    );
}
