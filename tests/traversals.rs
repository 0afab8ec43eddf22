//! Paths that would lead out of a folder, in every spelling, for each application that has one.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::http::Connection;
use support::{Address, Folder, Server};

/// Two dots, and what some decoder or file system takes for them.
const UP: [&str; 11] = [
    "..",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%2e.",
    "..;x",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%ef%bc%8e%ef%bc%8e",
    "..%00",
];

/// A slash, and what some decoder takes for one.
const SLASH: [&str; 10] = [
    "/", "//", "/./", "%2f", "%2F", "%5c", "\\", "%252f", "%c0%af", "/%2e/",
];

const SITE: &str = "\
site = commands.Routes({
    '/static/': ['files', 'public'],
    '/spa/': ['files', 'public', '--follow', '--hidden', '--listing'],
    '/cgi-bin/': ['cgi-bin', 'cgi-bin'],
    '/php/': ['upstream', 'fastcgi+unix:echo.sock', '--root', 'public', '--files'],
    })
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
";

/// Scripts of PHP would be told of as what they are: an application that says which script it is asked for.
const ECHO: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'the script ', environ['SCRIPT_FILENAME'].encode('latin-1')]
";

#[test]
fn no_spelling_leads_out_of_a_folder() {
    let secret = "#!/bin/sh\nprintf 'X: y\\n\\nthe secret'\n";
    let folder = Folder::new()
        .file("echo.py", ECHO)
        .file("site.ini", SITE)
        .file("public/sub/inside.txt", "inside\n")
        .file("cgi-bin/sub/inside.txt", "inside\n")
        .executable("secret", secret)
        .executable("secret.php", secret)
        .executable("public.php", secret)
        .executable("cgi-bin-secret", secret);
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).expect("our own");
    let echo = folder
        .runner([
            "FastCGI",
            "unix:echo.sock",
            "WSGI",
            "import:echo.application",
        ])
        .start_at(Address::Unix(folder.path("echo.sock")));
    let site = folder.runner(["runIni", "site.ini"]).start();
    let alone = |words: &str| {
        let words = format!("serve tcp://127.0.0.1:0 {words}");
        folder.runner(words.split(' ')).start()
    };
    let files = alone("files public --follow --hidden --listing");
    let programs = alone("cgi-bin cgi-bin");
    let scripts = alone("upstream fastcgi+unix:echo.sock --root public --files");
    for (server, mount) in [
        (&site, "/static"),
        (&site, "/spa"),
        (&site, "/cgi-bin"),
        (&site, "/php"),
        (&files, ""),
        (&programs, ""),
        (&scripts, ""),
    ] {
        nothing_is_outside(server, mount);
    }
    // What is inside is there.
    assert_eq!(site.get("/static/sub/inside.txt").ok(), "inside\n");
    assert_eq!(scripts.get("/sub/inside.txt").ok(), "inside\n");
    for server in [site, files, programs, scripts] {
        let ended = server.stop();
        assert_eq!(ended.status, 0);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    assert_eq!(echo.stop().status, 0);
}

#[track_caller]
fn nothing_is_outside(server: &Server, mount: &str) {
    let mut connection = Connection::open(server.address());
    for (up, slash) in UP.iter().flat_map(|up| SLASH.map(|slash| (up, slash))) {
        for (before, ups) in [("", 1), ("", 2), ("/sub", 2), ("/sub", 3), ("", 12)] {
            for file in ["secret", "secret.php", "etc/passwd", "etc%2fpasswd"] {
                let steps = [up, slash].concat().repeat(ups);
                let target = format!("{mount}{before}/{steps}{file}");
                let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                connection.send(head.as_bytes());
                let reply = connection.reply("GET");
                let text = reply.text();
                let context = || format!("{target}: {reply:#?}");
                assert!(matches!(reply.status, 400 | 404), "{}", context());
                for leaked in ["the secret", "the script", "root:", "bin/sh"] {
                    assert!(!text.contains(leaked), "{}", context());
                }
                if reply.header("connection") == Some("close") {
                    connection = Connection::open(server.address());
                }
            }
        }
    }
}
