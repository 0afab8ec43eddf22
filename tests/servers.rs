//! Real web servers in front of `runner`, with the configurations of `examples/servers`: nginx by FastCGI and by HTTP over
//! a Unix socket; Apache and lighttpd, which start the `.cgi` and `.fcgi` examples; `cgi-fcgi` as a client.
//!
//! Each server runs in the foreground as a child of the test, on a free port, and uses only its folder.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use rustix::process::geteuid;
use support::http::{self, Address, Connection};
use support::nginx::start_nginx;
use support::{Folder, Server, free_port};

/// The examples and the servers' configurations in a folder that an unprivileged user can enter, with `runner` in `bin`
/// and all paths changed to that folder.
fn installed() -> Folder {
    let folder = Folder::new()
        .copy("examples/hello")
        .copy("examples/servers")
        .copy("tests/apps/report.py")
        .file("run/.keep", "")
        .file("bin/.keep", "");
    let copy = folder.path("bin/runner");
    fs::copy(env!("CARGO_BIN_EXE_runner"), copy).expect("a copy of the binary");
    for (kind, command) in [("cgi", "CGI"), ("fcgi", "FastCGI")] {
        let text = folder.read(format!("hello/hello.{kind}"));
        assert!(text.contains(&format!(
            "['{command}', 'WSGI', 'import:hello.application']"
        )));
        let text = text.replace("import:hello.", "import:report.");
        fs::write(folder.path(format!("report.{kind}")), text).expect("a file");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(format!("report.{kind}")), mode).expect("our own file");
    }
    // Started by root, Apache runs programs as another user.
    for (name, mode) in [("", 0o755), ("run", 0o777)] {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path(name), mode).expect("our own folder");
    }
    folder
}

/// A configuration of `examples/servers`, for a folder and a port.
fn configuration(folder: &Folder, name: &str, port: u16) -> String {
    let here = |path: &str| folder.path(path).to_string_lossy().into_owned();
    folder
        .read(format!("servers/{name}"))
        .replace("/srv/hello", &here("hello"))
        .replace("/run/hello", &here("run"))
        .replace("/usr/local/bin:", &format!("{}:", here("bin")))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
}

/// Requests the page of `examples/hello`, several at a time.
#[track_caller]
fn greets(server: &Server, mount: &str) {
    let fetch = || {
        for _ in 0..5 {
            let reply = http::get(server.address(), &format!("{mount}/Zo%C3%AB"));
            let page = reply.ok();
            assert!(page.contains("<h1>Hello, Zoë!</h1>"), "{page}");
            assert_eq!(
                reply.header("content-type"),
                Some("text/html; charset=utf-8")
            );
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        for thread in threads {
            if thread.join().is_err() {
                panic!("the server said:\n{}", server.log());
            }
        }
    });
}

/// An upload to the application that reports its environ.
#[track_caller]
fn reports(server: &Server, mount: &str) {
    let body: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let target = format!("{mount}/a%20b/c?x=1&y=%2F");
    let headers = ["X-Test: one", "Proxy: evil", "Content-Type: text/x-test"];
    let reply = http::request(server.address(), "POST", &target, &headers, &body);
    assert!(reply.status == 200, "{reply:#?}\n{}", server.log());
    let report = reply.ok();
    let has = |line: &str| report.lines().any(|found| found == line);
    for line in [
        "CONTENT_LENGTH=300000",
        "CONTENT_TYPE=text/x-test",
        "HTTP_X_TEST=one",
        "PATH_INFO=/a b/c",
        "QUERY_STRING=x=1&y=%2F",
        "REQUEST_METHOD=POST",
        &format!("SCRIPT_NAME={mount}"),
        "SERVER_PROTOCOL=HTTP/1.1",
        "body=300000 bytes, crc32 df5b4358",
        "wsgi.url_scheme=http",
    ] {
        assert!(has(line), "no {line:?} in\n{report}");
    }
    assert!(!report.contains("HTTP_PROXY"), "{report}");
}

#[test]
fn nginx_in_front_of_fastcgi_on_a_unix_socket() {
    in_front_of("FastCGI", "nginx.conf", &[]);
}

#[test]
fn nginx_in_front_of_http_on_a_unix_socket() {
    // The client's own field does not replace what nginx knows.
    let fields = [
        "HTTP_X_FORWARDED_FOR=127.0.0.1",
        "HTTP_X_FORWARDED_PROTO=http",
        "REMOTE_ADDR=127.0.0.1",
    ];
    assert!(
        installed().read("servers/nginx-http.conf").contains(TRUST),
        "the setting that this test uses"
    );
    in_front_of("serve", "nginx-http.conf", &fields);
}

/// What the example for HTTP names.
const TRUST: &str = "runner.http.trusted_proxies = ['unix']\n";

/// Tries nginx with one of the examples in front of a command. The application must report these lines, too.
#[track_caller]
fn in_front_of(command: &str, example: &str, lines: &[&str]) {
    for (app, check) in [
        ("hello", greets as fn(&Server, &str)),
        ("report", reports as fn(&Server, &str)),
    ] {
        let folder = installed()
            .file("hello/static/style.css", "body {}\n")
            .file("settings.ini", TRUST);
        let socket = folder.path("run/socket");
        let url = format!("unix:{}", socket.display());
        let name = format!("import:{app}.application");
        let application = folder
            .runner(["-c", "settings.ini", command, &url, "WSGI", &name])
            .env("PYTHONPATH", folder.path("hello"))
            .start_at(Address::Unix(socket));

        let port = free_port();
        let nginx = start_nginx(&folder, nginx(&folder, example, port), port);
        check(&nginx, "");
        assert_eq!(nginx.get("/static/style.css").ok(), "body {}\n");
        if app == "report" {
            let sent = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"];
            let reply = http::request(nginx.address(), "GET", "/", &sent, b"");
            let report = reply.ok();
            let host = format!("HTTP_HOST=localhost:{port}");
            for line in lines.iter().copied().chain([host.as_str()]) {
                let found = report.lines().any(|found| found == line);
                assert!(found, "no {line:?} in\n{report}");
            }
        }
        nginx.stop();
        let outcome = application.stop();
        assert_eq!(outcome.status, 0, "{outcome:#?}");
    }
}

/// An application that sends each message back.
const ECHO: &str = "\
async def application(scope, receive, send):
    assert scope['type'] == 'websocket', scope
    await receive()
    await send({'type': 'websocket.accept'})
    while True:
        message = await receive()
        if message['type'] == 'websocket.disconnect':
            return
        await send({'type': 'websocket.send', 'text': message['text']})
";

#[test]
fn nginx_passes_web_sockets_on() {
    let folder = installed().file("echo.py", ECHO);
    let socket = folder.path("run/socket");
    let url = format!("unix:{}", socket.display());
    let application = folder
        .runner(["serve", &url, "ASGI", "import:echo.application"])
        .start_at(Address::Unix(socket));
    let port = free_port();
    let nginx = start_nginx(&folder, nginx(&folder, "nginx-http.conf", port), port);
    let mut connection = Connection::open(nginx.address());
    connection.send(
        b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let head = connection.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}\n{}", nginx.log());
    // A text, masked with zeros (RFC 6455 §5.2).
    connection.send(b"\x81\x85\0\0\0\0hello");
    let echo = connection.until("hello");
    assert!(echo.ends_with("\u{5}hello"), "{echo:?}");
    drop(connection);
    nginx.stop();
    assert_eq!(application.stop().status, 0);
}

/// The settings that the example names let in an nginx that is another user.
#[test]
fn nginx_as_another_user() {
    if !geteuid().is_root() {
        return;
    }
    let example = installed().read("servers/nginx.conf");
    let lines = example
        .lines()
        .map(|line| line.trim_start_matches(['#', ' ']));
    let lines = lines.skip_while(|line| *line != "[runner.socket]");
    let settings: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert_eq!(settings.len(), 3);
    for (settings, status) in [(String::new(), 502), (settings.join("\n"), 200)] {
        let folder = installed().file("settings.ini", settings);
        let socket = folder.path("run/socket");
        let url = format!("unix:{}", socket.display());
        let application = folder
            .runner(["-c", "settings.ini", "FastCGI", &url, "demo"])
            .start_at(Address::Unix(socket));
        let port = free_port();
        let of_root = nginx(&folder, "nginx.conf", port);
        let configuration =
            of_root.replace("master_process off;", "user www-data; worker_processes 1;");
        let nginx = start_nginx(&folder, configuration, port);
        let reply = http::get(nginx.address(), "/");
        assert_eq!(reply.status, status, "{}", nginx.log());
        nginx.stop();
        assert_eq!(application.stop().status, 0);
    }
}

/// A whole configuration with one of the examples.
fn nginx(folder: &Folder, example: &str, port: u16) -> String {
    let example = configuration(folder, example, port);
    format!(
        "daemon off; master_process off; pid run/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n\
         access_log off;\n\
         client_body_temp_path run/body; proxy_temp_path run/proxy; fastcgi_temp_path run/fastcgi;\n\
         uwsgi_temp_path run/uwsgi; scgi_temp_path run/scgi;\n\
         {example}}}\n"
    )
}

#[test]
fn apache_starts_the_cgi_and_the_fastcgi_example() {
    let folder = installed();
    let port = free_port();
    let folder = folder.clone().file("apache.conf", apache(&folder, port));
    let configuration = folder.path("apache.conf");
    let apache = folder
        .program("apache2", ["-D", "FOREGROUND", "-f"])
        .arguments([configuration])
        .start_at(Address::port(port));
    for mount in ["/cgi", "/fcgi"] {
        greets(&apache, mount);
    }
    for mount in ["/report.cgi", "/report.fcgi"] {
        reports(&apache, mount);
    }
    let outcome = apache.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

fn apache(folder: &Folder, port: u16) -> String {
    let example = configuration(folder, "apache.conf", port);
    let here = folder.path("").display().to_string();
    let modules: String = [
        "mpm_event",
        "authz_core",
        "alias",
        "mime",
        "env",
        "cgid",
        "fcgid",
    ]
    .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
    .concat();
    format!(
        "ServerRoot {here}\nDefaultRuntimeDir {here}/run\nPidFile {here}/run/apache.pid\n\
         Listen 127.0.0.1:{port}\nServerName localhost\nErrorLog /dev/stderr\nUser www-data\nGroup www-data\n\
         {modules}TypesConfig /dev/null\nPassEnv RUNNER_TEST\n\
         {example}\
         <Directory {here}>\nOptions +ExecCGI\nRequire all granted\n\
         AddHandler cgi-script .cgi\nAddHandler fcgid-script .fcgi\n</Directory>\n\
         Alias /report.cgi {here}/report.cgi\nAlias /report.fcgi {here}/report.fcgi\n\
         SetEnv PYTHONPATH {here}/hello\nFcgidInitialEnv PYTHONPATH {here}/hello\n"
    )
}

#[test]
fn lighttpd_starts_the_cgi_and_the_fastcgi_example() {
    for (app, check) in [
        ("hello", greets as fn(&Server, &str)),
        ("report", reports as fn(&Server, &str)),
    ] {
        let folder = installed();
        let port = free_port();
        let text = lighttpd(&folder, port).replace(
            "hello/hello.",
            match app {
                "hello" => "hello/hello.",
                _ => "report.",
            },
        );
        let folder = folder.file("lighttpd.conf", text);
        let lighttpd = folder
            .program("lighttpd", ["-D", "-f", "lighttpd.conf"])
            .start_at(Address::port(port));
        check(&lighttpd, "");
        check(&lighttpd, "/cgi");
        // Its exit status depends on whether it or its children end first.
        lighttpd.stop();
    }
}

fn lighttpd(folder: &Folder, port: u16) -> String {
    let example = configuration(folder, "lighttpd.conf", port);
    let run = folder.path("run").display().to_string();
    format!(
        "server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.upload-dirs = (\"{run}\")\n\
         server.errorlog = \"/dev/stderr\"\n{example}"
    )
}

#[test]
fn cgi_fcgi_is_answered() {
    let folder = installed();
    let socket = folder.path("run/socket");
    let url = format!("unix:{}", socket.display());
    let application = folder
        .runner(["FastCGI", &url, "WSGI", "import:report.application"])
        .start_at(Address::Unix(socket.clone()));
    let report = folder
        .program("cgi-fcgi", ["-bind", "-connect"])
        .arguments([socket])
        .env("REQUEST_METHOD", "POST")
        .env("SCRIPT_NAME", "/mounted")
        .env("PATH_INFO", "/there")
        .env("CONTENT_LENGTH", "5")
        .env("SERVER_NAME", "example.org")
        .env("SERVER_PORT", "80")
        .env("SERVER_PROTOCOL", "HTTP/1.0")
        .stdin("hello")
        .run();
    let (head, body) = report.success().split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("Status: 200 OK\r\n"), "{head}");
    for line in [
        "PATH_INFO=/there",
        "SCRIPT_NAME=/mounted",
        "SERVER_PROTOCOL=HTTP/1.0",
        "body=5 bytes, crc32 3610a686",
    ] {
        assert!(
            body.lines().any(|found| found == line),
            "no {line:?} in\n{body}"
        );
    }
    assert_eq!(application.stop().status, 0);
}
