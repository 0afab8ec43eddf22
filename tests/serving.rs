//! `serve`, `launch`, `CGI` and `FastCGI` as commands: their output, their addresses, their end.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::process::Signal;
use support::{Folder, Waits, free_port};

/// An application that leaves a trace when it is imported, and waits when asked to.
const TRACES: &str = "\
open('imported', 'w').close()
def application(environ, start_response):
    if environ['PATH_INFO'] == '/wait':
        open('waiting', 'w').close()
        open('go').read()  # a pipe: waits for a writer
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'done']
";

/// A folder with that application, and the pipe that it reads.
fn traces() -> Folder {
    let folder = Folder::new().file("traces.py", TRACES);
    folder.program("mkfifo", ["go"]).run().success();
    folder
}

#[test]
fn serve_says_where_it_serves_with_the_host_as_it_was_written() {
    let folder = Folder::new().file("url.ini", "url = 'tcp://127.0.0.1:0'\n");
    let cases: &[(&[&str], &str)] = &[
        (&["serve", "demo"], "http://localhost:"),
        (
            &["serve", "--host", "127.0.0.1", "demo"],
            "http://127.0.0.1:",
        ),
        (&["serve", "demo", "--host=LocalHost"], "http://LocalHost:"),
        (&["serve", "tcp://127.0.0.1:0", "demo"], "http://127.0.0.1:"),
        (&["-c", "url.ini", "serve", "demo"], "http://127.0.0.1:"),
        (
            &["-c", "url.ini", "serve", "demo", "--host", "localhost"],
            "http://localhost:",
        ),
    ];
    for (arguments, start) in cases {
        let server = folder.runner(*arguments).start();
        let url = server.url().to_owned();
        assert!(url.starts_with(start) && url.ends_with('/'), "{url}");
        assert!(server.get("/here").ok().contains("PATH_INFO=/here\n"));
        server.stop().is(0, "", &format!("runner: serving {url}\n"));
    }
}

#[test]
fn options_choose_the_port_wherever_they_stand() {
    let cases: &[&[&str]] = &[
        &["serve", "-p", "PORT", "demo"],
        &["serve", "demo", "-p", "PORT"],
        &["serve", "demo", "-pPORT"],
        &["serve", "demo", "--port=PORT", "--"],
        &["runIni", "app.ini", "-p", "PORT"],
    ];
    let folder = Folder::new().file(
        "app.ini",
        "app = commands.Alias(command=['serve', 'demo'])\n",
    );
    for arguments in cases {
        let port = free_port().to_string();
        let server = folder
            .runner(arguments.iter().map(|word| word.replace("PORT", &port)))
            .start();
        server.stop().is(
            0,
            "",
            &format!("runner: serving http://localhost:{port}/\n"),
        );
    }
}

#[test]
fn unix_sockets_are_relative_to_where_they_are_written_and_removed_in_the_end() {
    let folder = Folder::new().file("files/url.ini", "url = 'unix:app.sock'\n");
    let cases: &[(&[&str], &str)] = &[
        (&["serve", "unix:here.sock", "demo"], "here.sock"),
        (&["-c", "files/url.ini", "serve", "demo"], "files/app.sock"),
    ];
    for (arguments, path) in cases {
        let server = folder.runner(*arguments).start();
        assert!(server.get("/here").ok().contains("PATH_INFO=/here\n"));
        assert!(folder.path(path).exists());
        let says = format!("runner: serving unix:[folder]/{path}\n");
        server.stop().is(0, "", &says);
        assert!(!folder.path(path).exists());
    }
}

#[test]
fn a_socket_that_was_handed_over_is_served() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let server = Folder::new()
        .runner(["serve", "fd.socket:stdin", "demo"])
        .start_with(OwnedFd::from(socket))
        .serving();
    assert_eq!(server.url(), format!("http://127.0.0.1:{port}/"));
    assert!(server.get("/here").ok().contains("PATH_INFO=/here\n"));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn a_port_in_use_is_reported_before_the_import() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new().file("traces.py", TRACES);
    let url = format!("tcp://127.0.0.1:{port}");
    for command in ["serve", "launch", "FastCGI"] {
        folder
            .runner([command, &url, "WSGI", "import:traces.application"])
            .run()
            .is(
                1,
                "",
                &format!("error: cannot listen on `{url}`: port {port} is in use on 127.0.0.1\n"),
            );
    }
    assert!(!folder.path("imported").exists());
}

#[test]
fn a_socket_path_in_use_is_left_alone() {
    let folder = Folder::new();
    let taken = UnixListener::bind(folder.path("taken.sock")).unwrap();
    for command in ["serve", "FastCGI"] {
        folder
            .runner([command, "unix:taken.sock", "demo"])
            .run()
            .is(
                1,
                "",
                "error: cannot listen on `unix:[folder]/taken.sock`: \
             the socket is in use by another program\n",
            );
    }
    drop(taken);
    assert!(folder.path("taken.sock").exists());
}

#[test]
fn an_application_that_cannot_be_imported_leaves_nothing_behind() {
    let folder = Folder::new().file("broken.py", "import nosuchmodule\n");
    let outcome = folder
        .runner(["serve", "unix:app.sock", "import:broken.application"])
        .run();
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (1, ""),
        "{outcome:#?}"
    );
    assert!(
        outcome
            .stderr
            .contains("File \"[folder]/broken.py\", line 1"),
        "{outcome:#?}"
    );
    assert!(
        outcome.stderr.contains("No module named 'nosuchmodule'"),
        "{outcome:#?}"
    );
    assert!(!outcome.stderr.contains("serving"), "{outcome:#?}");
    assert!(!folder.path("app.sock").exists());
}

#[test]
fn it_can_be_stopped_while_it_imports() {
    let import = "open('importing', 'w').close()\nopen('go').read()\n";
    let folder = traces().file("slow.py", import);
    // A socket that the test made, since no line announces the address yet.
    let socket = UnixListener::bind(folder.path("manager.sock")).unwrap();
    let server = folder
        .runner(["serve", "fd.socket:stdin", "import:slow.application"])
        .start_with(OwnedFd::from(socket));
    Waits::until(|| folder.path("importing").exists(), || server.log());
    server.stop().is(0, "", "");
}

#[test]
fn either_signal_lets_it_finish_what_it_is_doing() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = traces();
        let server = folder
            .runner(["serve", "import:traces.application"])
            .start();
        let address = server.address().clone();
        let waiting = std::thread::spawn(move || support::http::get(&address, "/wait"));
        Waits::until(|| folder.path("waiting").exists(), || server.log());
        server.signal(signal);
        // It accepts no new connections, and answers on the existing one.
        let address = server.address().clone();
        Waits::until(|| !address.accepts(), || server.log());
        std::fs::write(folder.path("go"), "").unwrap();
        assert_eq!(waiting.join().unwrap().ok(), "done");
        assert_eq!(server.wait().status, 0);
    }
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    let folder = traces();
    let server = folder
        .runner(["serve", "unix:app.sock", "import:traces.application"])
        .start();
    let mut client = support::http::Connection::open(server.address());
    client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    Waits::until(|| folder.path("waiting").exists(), || server.log());
    server.signal(Signal::INT);
    Waits::until(|| !server.address().accepts(), || server.log());
    server.signal(Signal::INT);
    assert_eq!(server.wait().status, 130);
    assert!(!folder.path("app.sock").exists());
}

#[test]
fn requests_that_never_end_are_given_up_in_the_end() {
    let folder = traces().file("soon.ini", "[runner]\nstop_timeout = '50ms'\n");
    let server = folder
        .runner(["-c", "soon.ini", "serve", "import:traces.application"])
        .start();
    let mut client = support::http::Connection::open(server.address());
    client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    Waits::until(|| folder.path("waiting").exists(), || server.log());
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert_eq!(client.reply("GET").status, 504);
    let says = "runner: 504 for GET /wait: no answer for ";
    assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
}

/// hyper gets another target where it would refuse this one.
#[test]
fn the_access_log_shows_a_target_as_it_was_sent() {
    let server = Folder::new().runner(["launch", "demo"]).start();
    let mut client = support::http::Connection::open(server.address());
    client.send(b"GET /<a>?q=\"` HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.reply("GET").status, 200);
    let says = r#""GET /<a>?q=\"` HTTP/1.1" 200 "#;
    server.wait_for_log(|log| log.contains(says));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn launch_opens_the_browser_on_the_address() {
    // The access log shows the browser's request.
    let browser = "#!/bin/sh\nexec curl --noproxy '*' --silent --user-agent \"$1\" \"$2\"\n";
    let folder = Folder::new().executable("browser", browser);
    let command = format!("{} My%cBrowser %s", folder.path("browser").display());
    let server = folder
        .runner(["launch", "demo"])
        .env("BROWSER", command)
        .start();
    server.wait_for_log(|log| log.contains("\"My:Browser\""));
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(
        outcome.stderr.contains("\"GET / HTTP/1.1\" 200"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn launch_without_a_display_only_says_the_address() {
    let server = Folder::new().runner(["launch", "demo"]).start();
    let url = server.url().to_owned();
    let advice = format!(
        "runner: open {url} in a browser (there is no display here, and BROWSER is not set)\n"
    );
    server.wait_for_log(|log| log.contains(&advice));
    server
        .stop()
        .is(0, "", &format!("runner: serving {url}\n{advice}"));
}

#[test]
fn launch_serves_without_a_browser_that_works() {
    let server = Folder::new()
        .runner(["launch", "demo"])
        .env("BROWSER", "/no/such/browser")
        .env("PATH", "/nonexistent")
        .start();
    let url = server.url().to_owned();
    let said = format!(
        "runner: cannot open a browser (BROWSER names no program that exists: `/no/such/browser`); \
         open {url} in a browser\n"
    );
    server.wait_for_log(|log| log.contains(&said));
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.stop().status, 0);
}

#[test]
fn cgi_ignores_arguments_which_come_from_the_client() {
    let run = |arguments: &[&str]| {
        let outcome = Folder::new()
            .runner(["CGI", "demo"])
            .arguments(arguments)
            .env("GATEWAY_INTERFACE", "CGI/1.1")
            .env("REQUEST_METHOD", "GET")
            .env("SERVER_PROTOCOL", "HTTP/1.1")
            .env("SERVER_NAME", "localhost")
            .env("SERVER_PORT", "80")
            .env("SCRIPT_NAME", "/app")
            .env("PATH_INFO", "/here")
            .env("QUERY_STRING", "--help")
            .run();
        assert!(
            outcome.success().starts_with("Status: 200 OK\r\n"),
            "{outcome:#?}"
        );
        assert!(
            outcome.stdout.contains("\nPATH_INFO=/here\n"),
            "{outcome:#?}"
        );
        assert!(
            outcome.stdout.contains("\nQUERY_STRING=--help\n"),
            "{outcome:#?}"
        );
    };
    for arguments in [&[][..], &["--help"], &["-p", "80"], &["--", "x"], &["WSGI"]] {
        run(arguments);
    }
}

/// A socket that a process manager passes is not announced.
#[test]
fn fastcgi_says_where_it_serves() {
    let file = "Command FastCGI unix:app.sock demo\nPidFile app.pid\n";
    let folder = Folder::new().file("app.conf", file);
    let socket = folder.path("app.sock");
    for words in [
        &["FastCGI", "unix:app.sock", "demo"][..],
        &["supervise", "app.conf"],
    ] {
        let server = folder.runner(words).begin();
        let line = format!("runner: serving unix:{}\n", socket.display());
        server.wait_for_log(|log| log.contains(&line));
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn fastcgi_without_a_socket_says_so() {
    Folder::new().runner(["FastCGI", "demo"]).run().is(
        1,
        "",
        "error: cannot listen on `fd.socket:stdin`: descriptor 0 is not a socket\n",
    );
}

#[test]
fn process_managers_stop_fastcgi_with_either_signal() {
    for command in [["FastCGI", "demo"], ["CGI", "demo"]] {
        for signal in [Signal::TERM, Signal::USR1] {
            let folder = Folder::new();
            let socket = UnixListener::bind(folder.path("manager.sock")).unwrap();
            let server = folder.runner(command).start_with(OwnedFd::from(socket));
            // FCGI_GET_VALUES of FCGI_MPXS_CONNS (FastCGI specification, section 4.1) is answered as soon as the server
            // serves.
            let address = support::Address::Unix(folder.path("manager.sock"));
            let mut client = support::http::Connection::open(&address);
            client.send(b"\x01\x09\x00\x00\x00\x11\x00\x00\x0f\x00FCGI_MPXS_CONNS");
            client.until("FCGI_MPXS_CONNS");
            drop(client);
            server.signal(signal);
            server.wait().is(0, "", "");
            assert!(folder.path("manager.sock").exists());
        }
    }
}

/// A server has a descriptor for each connection; programs that use `select(2)` need descriptors below 1024.
#[test]
fn the_limit_of_descriptors_is_raised_for_the_server_but_not_for_the_application() {
    const LIMITS: &str = "\
import resource
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % resource.getrlimit(resource.RLIMIT_NOFILE)[0]]
";
    let folder = Folder::new().file("limits.py", LIMITS);
    let runner = env!("CARGO_BIN_EXE_runner");
    let script = format!("ulimit -Sn 500; exec {runner} serve import:limits.application");
    let server = folder.program("sh", ["-c", &script]).start();
    assert_eq!(server.get("/").ok(), "500");
    let pid = server.pid().as_raw_nonzero();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let descriptors = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = descriptors.expect("there").split_whitespace().collect();
    assert_eq!(words[3], words[4], "soft and hard");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn signals_without_a_meaning_end_nothing_and_are_said_once() {
    const APP: &str = "\
import signal
def application(environ, start_response):
    start_response('200 OK', [])
    named = [signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO]
    signals = named + [signal.SIGPWR, signal.SIGRTMIN + 5]
    return [repr(all(signal.getsignal(number) == signal.SIG_DFL for number in signals)).encode()]
";
    let mut named: Vec<String> = [
        "USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT",
    ]
    .map(|name| format!("SIG{name}"))
    .into();
    named.push("SIGRTMIN".to_owned());
    named.extend((1..=30).map(|place| format!("SIGRTMIN+{place}")));
    let folder = Folder::new().file("app.py", APP);
    let server = folder
        .runner(["serve", "WSGI", "import:app.application"])
        .start();
    // Programs that it starts inherit them unchanged.
    assert_eq!(server.get("/").text(), "True");
    let said =
        |name: &str| format!("runner: {name} has no meaning here: it is ignored from now on\n");
    let pid = server.pid().to_string();
    for _ in 0..2 {
        for name in &named {
            let name = name.trim_start_matches("SIG");
            let kill = format!("kill -s {name} {pid}");
            folder.program("bash", ["-c", &kill]).run().is(0, "", "");
        }
        for name in &named {
            server.wait_for_log(|log| log.contains(&said(name)));
        }
        assert_eq!(server.get("/").status, 200);
    }
    let log = server.stop();
    assert_eq!(log.status, 0);
    for name in &named {
        assert_eq!(log.stderr.matches(&said(name)).count(), 1, "{}", log.stderr);
    }
}

#[test]
fn a_signal_that_was_ignored_before_us_is_left_so() {
    let folder = Folder::new();
    let ignoring = [
        "-c",
        "trap '' USR2; exec \"$@\"",
        "sh",
        "runner",
        "serve",
        "demo",
    ];
    let server = folder.program("sh", ignoring).start();
    server.signal(Signal::USR2);
    assert_eq!(server.get("/").status, 200);
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(!outcome.stderr.contains("SIGUSR2"), "{}", outcome.stderr);
}
