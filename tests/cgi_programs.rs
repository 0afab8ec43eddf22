//! CGI programs behind `cgi-bin`: what they get, what becomes of what they answer, and how their processes end.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use support::Folder;
use support::http::{self, Connection, request};
use support::scripts::{alone, ask, serving, shell};

/// Answers with its environment and the checksum of its standard input.
const REPORT: &str = "\
#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
env | grep -v -e '^_=' -e '^RUNNER_WORKER=' | LC_ALL=C sort
echo \"in $(pwd)\"
echo \"body $(cksum)\"
";

#[test]
fn a_program_gets_its_request_and_nothing_else() {
    let folder = Folder::new().executable("cgi-bin/sub/report", REPORT);
    let options = ["--env", "GREETING=good day", "--env", "NONE_SUCH"];
    let server = serving(&folder, "", &options);
    let fields = [
        "Cookie: a=b",
        "X-Test: one",
        "Cookie: c=d",
        "X-Test: two",
        "Proxy: evil",
        "X.Dot: evil",
        "X_Dot: evil",
        "Content-Type: text/x-test",
        "Authorization: Basic eDp5",
    ];
    let target = "/sub/report/x%20y/%C3%A4?a=b&c=%2F";
    let reply = request(server.address(), "POST", target, &fields, b"hello");
    let report = reply.ok();
    let mark = "RUNNER_TEST=";
    let root = folder.path("cgi-bin").display().to_string();
    let found: Vec<&str> = report
        .lines()
        .filter(|line| !line.starts_with(mark) && !line.starts_with("REMOTE_PORT="))
        .filter(|line| !line.starts_with("PATH=") && !line.starts_with("SERVER_SOFTWARE="))
        .collect();
    let Some(("", port)) = server
        .url()
        .trim_end_matches('/')
        .split_once("http://127.0.0.1:")
    else {
        panic!("{}", server.url());
    };
    let expected = format!(
        "CONTENT_LENGTH=5\n\
         CONTENT_TYPE=text/x-test\n\
         DOCUMENT_ROOT={root}\n\
         GATEWAY_INTERFACE=CGI/1.1\n\
         GREETING=good day\n\
         HTTP_AUTHORIZATION=Basic eDp5\n\
         HTTP_COOKIE=a=b; c=d\n\
         HTTP_HOST=localhost\n\
         HTTP_X_TEST=one,two\n\
         PATH_INFO=/x y/ä\n\
         PATH_TRANSLATED={root}/x y/ä\n\
         PWD={root}/sub\n\
         QUERY_STRING=a=b&c=%2F\n\
         REDIRECT_STATUS=200\n\
         REMOTE_ADDR=127.0.0.1\n\
         REQUEST_METHOD=POST\n\
         REQUEST_URI={target}\n\
         SCRIPT_FILENAME={root}/sub/report\n\
         SCRIPT_NAME=/sub/report\n\
         SERVER_NAME=127.0.0.1\n\
         SERVER_PORT={port}\n\
         SERVER_PROTOCOL=HTTP/1.1\n\
         in {root}/sub\n\
         body 3287646509 5"
    );
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

/// From memory, from a file in memory, from a file on the disk; of known length and in chunks.
#[test]
fn bodies_are_whole() {
    let text = "printf '\\n'; echo \"$CONTENT_LENGTH $(wc -c) ${HTTP_TRANSFER_ENCODING-}\"\n";
    let folder = Folder::new().executable(
        "cgi-bin/count",
        shell(&text.replacen("'\\n'", "'X: y\\n\\n'", 1)),
    );
    let server = serving(&folder, "", &[]);
    for size in [0, 1, 65_536, 65_537, 300_000, 3_000_000] {
        let body = vec![b'x'; size];
        let reply = request(server.address(), "POST", "/count", &[], &body);
        let announced = if size == 0 {
            String::new()
        } else {
            size.to_string()
        };
        assert_eq!(reply.ok(), format!("{announced} {size} \n"));
    }
    let mut connection = Connection::open(server.address());
    connection.send(
        b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
          5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );
    assert_eq!(connection.reply("POST").ok(), "11 11 \n");
    // A program need not read it.
    let folder = folder.executable("cgi-bin/deaf", shell("printf 'X: y\\n\\nno'\n"));
    let body = vec![b'x'; 3_000_000];
    let reply = request(server.address(), "POST", "/deaf", &[], &body);
    assert_eq!(reply.ok(), "no");
    alone(&server);
    drop(folder);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn heads_become_responses() {
    let folder = Folder::new();
    // What a program prints, and the status, a field and the body of the response.
    let cases = [
        (
            "Content-Type: text/x\\n\\nhi\\n",
            200,
            Some(("content-type", "text/x")),
            "hi\n",
        ),
        (
            "Content-Type: text/x\\r\\n\\r\\nhi",
            200,
            Some(("content-type", "text/x")),
            "hi",
        ),
        (
            "Status: 404 Nothing Here\\nX: y\\n\\n",
            404,
            Some(("x", "y")),
            "",
        ),
        ("Status: 204\\n\\nnone", 204, None, ""),
        (
            "Location: https://example.org/x\\n\\n",
            302,
            Some(("location", "https://example.org/x")),
            "",
        ),
        (
            "Status: 303\\nLocation: /case-0\\n\\n",
            303,
            Some(("location", "/case-0")),
            "",
        ),
        // A local redirect, and one to what is none of the programs.
        (
            "Location: /case-0?x\\n\\nnone",
            200,
            Some(("content-type", "text/x")),
            "hi\n",
        ),
        ("Location: /none\\n\\n", 404, None, "404 Not Found\n"),
        (
            "Content-Length: 2\\n\\nhi there",
            200,
            Some(("content-length", "2")),
            "hi",
        ),
    ];
    for (number, (text, ..)) in cases.iter().enumerate() {
        let script = shell(&format!("cat >/dev/null; printf '{text}'\n"));
        folder
            .clone()
            .executable(format!("cgi-bin/case-{number}"), script);
    }
    let long = shell("printf 'X: '; head -c 600000 /dev/zero | tr '\\0' x; printf '\\n\\nlong'\n");
    let round = shell("printf 'Location: /round\\n\\n'\n");
    let short = shell("printf 'Content-Length: 10\\n\\nshort'\n");
    let folder = folder
        .executable("cgi-bin/long", long)
        .executable("cgi-bin/round", round)
        .executable("cgi-bin/short", short);
    let server = serving(&folder, "", &[]);
    for (number, (text, status, field, body)) in cases.iter().enumerate() {
        let target = format!("/case-{number}");
        let reply = request(server.address(), "POST", &target, &[], b"body");
        assert_eq!((reply.status, &*reply.text()), (*status, *body), "{text}");
        if let Some((name, value)) = field {
            assert_eq!(reply.header(name), Some(*value), "{text}");
        }
        let head = request(server.address(), "HEAD", &target, &[], b"");
        assert_eq!((head.status, &*head.text()), (*status, ""), "{text}");
    }
    assert_eq!(server.get("/long").ok(), "long");
    assert_eq!(server.get("/round").status, 502);
    let log = server.wait_for_log(|log| log.contains("redirect it more than 10 times"));
    assert!(log.contains("502 for GET /round"), "{log}");
    let reply = server.get("/short");
    assert!(!reply.complete && reply.text() == "short", "{reply:?}");
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn what_cannot_be_run_or_gives_no_response_is_named_in_the_log() {
    let folder = Folder::new()
        .file("cgi-bin/plain", "#!/bin/sh\n")
        .file("secret", "#!/bin/sh\n")
        .executable("cgi-bin/.hidden", shell("printf 'X: y\\n\\n'\n"))
        .executable("cgi-bin/no-line", "printf 'X: y'\n")
        .executable("cgi-bin/no-interpreter", "#!/none/such\n")
        .executable(
            "cgi-bin/nph-status",
            shell("printf 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n"),
        )
        .executable(
            "cgi-bin/status-line",
            shell("printf 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n"),
        )
        .executable("cgi-bin/nothing", shell("exit 3\n"))
        .executable("cgi-bin/words", shell("printf 'Hello\\nworld\\n\\n'\n"))
        .executable("cgi-bin/unfinished", shell("printf 'X: y\\n'\n"))
        .executable(
            "cgi-bin/killed",
            shell("printf 'X: y\\n\\n'; kill -SEGV $$\n"),
        )
        .file("cgi-bin/sub/.keep", "");
    symlink("../secret", folder.path("cgi-bin/out")).expect("a link");
    let server = serving(&folder, "", &[]);
    for (target, status, says) in [
        (
            "/plain",
            403,
            "403 for GET /plain: `plain` cannot be run: Permission denied (it or its interpreter is not executable)",
        ),
        (
            "/no-line",
            500,
            "500 for GET /no-line: `no-line` cannot be run: Exec format error (it is no program, and has no `#!` line)",
        ),
        (
            "/no-interpreter",
            500,
            "`no-interpreter` cannot be run: No such file or directory (it or the interpreter in its `#!` line is not there)",
        ),
        (
            "/nph-status",
            501,
            "`nph-status` writes non-parsed headers (its name begins with `nph-`), which are not supported",
        ),
        (
            "/status-line",
            502,
            "`status-line` gave a malformed response: it begins with `HTTP/1.1 200 OK`; non-parsed headers are not supported, so write `Status:`",
        ),
        (
            "/nothing",
            502,
            "502 for GET /nothing: `nothing` exited with status 3: it wrote nothing",
        ),
        (
            "/words",
            502,
            "502 for GET /words: `words` gave a malformed response: `Hello` in its head is no header field",
        ),
        (
            "/unfinished",
            502,
            "`unfinished` gave no response: it wrote no blank line behind its head, which begins with `X: y`",
        ),
        ("/out", 404, "404 for GET /out: a program below `"),
        ("/.hidden", 404, ""),
        ("/none", 404, ""),
        ("/sub", 404, ""),
        ("/sub/", 404, ""),
        ("/../secret", 404, ""),
        ("/%2e%2e/secret", 404, ""),
        ("/sub/..%2f../secret", 404, ""),
    ] {
        let reply = server.get(target);
        assert_eq!(reply.status, status, "{target}\n{}", server.log());
        server.wait_for_log(|log| log.contains(says));
    }
    // Whether its head was passed on before it died depends on the moment; its response is never taken for whole.
    let reply = server.get("/killed");
    assert!(reply.status == 502 || reply.status == 200 && !reply.complete);
    let says = "`killed` was killed by SIGSEGV in the middle of its response";
    server.wait_for_log(|log| log.contains(says));
    let followed = serving(&folder, "", &["--follow", "--interpreter", "ain=/bin/sh"]);
    // It is there now, but not executable.
    assert_eq!(followed.get("/out").status, 403);
    folder
        .clone()
        .file("cgi-bin/plain", "printf 'X: y\\n\\nby sh'\n");
    assert_eq!(followed.get("/plain").ok(), "by sh");
    alone(&server);
    assert_eq!(server.stop().status, 0);
    assert_eq!(followed.stop().status, 0);
}

#[test]
fn standard_error_is_in_the_log_by_line_and_bounded() {
    let folder = Folder::new()
        .executable(
            "cgi-bin/warn",
            shell("echo one >&2; printf 'X: y\\n\\nok'; printf 'two\\033[0m' >&2\n"),
        )
        .executable(
            "cgi-bin/flood",
            shell("yes | head -n 300000 >&2; printf 'X: y\\n\\nok'\n"),
        );
    let server = serving(&folder, "runner.http.request_id = True\n", &[]);
    assert_eq!(server.get("/warn").ok(), "ok");
    let log = server.wait_for_log(|log| log.contains("two\\x1b[0m"));
    let line = log.lines().find(|line| line.contains("warn: one ["));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("[GET /warn (request "), "{line}");
    assert_eq!(server.get("/flood").ok(), "ok");
    let log = server.wait_for_log(|log| log.contains("more lines on standard error are left out"));
    assert!(log.matches("flood: y").count() <= 1000);
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

/// A file that is being written cannot be run for a moment (ETXTBSY).
#[test]
fn a_program_that_is_being_written_is_run_when_it_is_whole() {
    let folder = Folder::new();
    let program = folder.path("cgi-bin/true");
    fs::create_dir(folder.path("cgi-bin")).expect("a folder");
    fs::copy("/bin/echo", &program).expect("a copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our own file");
    let server = serving(&folder, "", &[]);
    let writer = fs::File::options().append(true).open(&program);
    let writer = writer.expect("our own file");
    let mut connection = ask(&server, "/true");
    // It is tried at least once before.
    thread::park_timeout(std::time::Duration::from_millis(50));
    drop(writer);
    // It runs, but prints an empty line alone.
    assert_eq!(connection.reply("GET").status, 502);
    server.wait_for_log(|log| {
        log.contains("`true` gave a malformed response: its head has no field")
    });
    assert_eq!(server.stop().status, 0);
}

#[test]
fn git_clones_and_pushes() {
    let folder = Folder::new().file(
        "home/.gitconfig",
        "[user]\nname = Test\nemail = test@localhost\n",
    );
    let git = |words: &[&str]| {
        let run = folder
            .program("git", words)
            .env("HOME", folder.path("home"));
        run.env("GIT_TERMINAL_PROMPT", "0")
            .run()
            .success()
            .to_owned()
    };
    git(&["init", "--quiet", "--bare", "srv/project.git"]);
    git(&[
        "-C",
        "srv/project.git",
        "config",
        "http.receivepack",
        "true",
    ]);
    let root = format!("GIT_PROJECT_ROOT={}", folder.path("srv").display());
    let server = folder
        .runner([
            "serve",
            "tcp://127.0.0.1:0",
            "cgi-bin",
            "/usr/lib/git-core/git-http-backend",
        ])
        .arguments([
            "--env",
            &root,
            "--env",
            "GIT_HTTP_EXPORT_ALL=1",
            "--env",
            "RUNNER_TEST",
        ])
        .start();
    let url = format!("{}project.git", server.url());
    git(&["clone", "--quiet", &url, "one"]);
    // More than a program gets from memory.
    let large: Vec<u8> = (0..2_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    folder
        .clone()
        .file("one/large", &large)
        .file("one/small", "text\n");
    git(&["-C", "one", "add", "."]);
    git(&["-C", "one", "commit", "--quiet", "-m", "first"]);
    git(&[
        "-C",
        "one",
        "push",
        "--quiet",
        "origin",
        "HEAD:refs/heads/main",
    ]);
    git(&["clone", "--quiet", "--branch", "main", &url, "two"]);
    assert_eq!(fs::read(folder.path("two/large")).expect("a file"), large);
    assert_eq!(folder.read("two/small"), "text\n");
    assert_eq!(http::get(server.address(), "/none.git/HEAD").status, 404);
    alone(&server);
    let outcome = server.stop();
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
}
