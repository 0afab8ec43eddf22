//! Command lines: usage, names, aliases, and the layers of configuration that define them.

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use support::Folder;

/// The output of `runner --help` without configuration files.
const HELP: &str = "\
Runs any web application from one executable INI file

Usage: runner [-c FILE]... NAME_OR_URL [ARGS]...

Options:
  -c, --config <FILE>  Configuration file over those of PEAK_CONFIG; repeatable
  -h, --help           Print help, with all names that are available
  -V, --version        Print the version

Names:
  launch       Serves an application by HTTP and opens a web browser on it
  serve        Serves an application by HTTP
  FastCGI      Serves an application by FastCGI, behind a web server
  uwsgi        Serves an application by uwsgi, behind a web server
  CGI          Answers one CGI request, or serves FastCGI on a passed socket
  runIni       Runs the command that an INI file defines as `app`
  supervise    Keeps an application running, with one master and a pid file
  status       Shows the state of a running server: workers, requests and queue
  reload       Reloads the configuration and application of a running server
  stop         Stops a running server and waits until it has ended
  graph        Shows what a file would run, as a tree, without running it
  init         Writes an executable INI file for the application in a folder
  import       Writes an executable INI file from another server's configuration
  export       Writes units of systemd, a web server's part, or containers
  fmt          Formats configuration files in one canonical layout
  check        Finds mistakes in files, without running them
  show         Shows every setting in force, its value, and where it comes from
  eval         Prints the value of an expression, as Python would print it
  explain      Explains a setting, function, section or command, or lists all
  WSGI         Says that a Python object is a WSGI application
  ASGI         Says that a Python object is an ASGI application
  files        An application that serves the files of a folder; needs no Python
  cgi-bin      An application that runs CGI programs; needs no Python
  redirect     An application that sends clients to another URL
  respond      An application that gives each request the same answer
  upstream     An application that passes requests on to servers
  demo         An application that shows each request; needs no Python
  true         Does nothing, with exit status 0
  false        Does nothing, with exit status 1
  completions  Prints the command-line completions for a shell
  help         Prints help for all names that can be run, or for one of them

`runner help NAME` says more about a name.
";

const SERVE_USAGE: &str =
    "Usage: runner serve [-p PORT] [--host HOST] [SOCKET_URL...] NAME_OR_URL [-- ARGS...]";

const FASTCGI_USAGE: &str = "Usage: runner FastCGI [SOCKET_URL] NAME_OR_URL";

/// A file that defines a few names.
const NAMES: &str = "\
[peak.running.shortcuts]
yes = commands.Alias(command=['true'])
no = commands.Alias(command=['no.really', 'a'])
no.really = commands.Alias(command=['false'])
program = importString('program:main')
link = naming.LinkRef('import:program.main')
number = 42
nothing = None
";

#[test]
fn help_lists_all_names() {
    let folder = Folder::new();
    for arguments in [&["--help"][..], &["-h", "serve"], &["help"]] {
        folder.runner(arguments).run().is(0, HELP, "");
    }
    let version = folder.runner(["--version"]).run();
    version.is(0, "runner 0.1.0\n", "");
}

#[test]
fn nothing_to_run_is_wrong_usage() {
    Folder::new().runner([""; 0]).run().is(2, "", HELP);
}

#[test]
fn help_knows_each_name_more_closely() {
    let help = "\
Does nothing, with exit status 0

Usage: runner true [ARGS]...

Options:
  -h, --help  Print help

For files that only hold settings, and for trying out aliases.
";
    for arguments in [["help", "true"], ["true", "--help"], ["true", "-h"]] {
        Folder::new().runner(arguments).run().is(0, help, "");
    }
}

#[test]
fn help_shows_what_configuration_files_define() {
    let defined = "
Names from configuration files:
  link       Stands for `import:program.main`
  no         Stands for `no.really a`
  no.really  Stands for `false`
  nothing    Switched off
  number     Cannot be run
  program    Stands for `import:program:main`
  true       Stands for `false`
  yes        Stands for `true`

`runner help NAME` says more about a name.
";
    let names = format!("{NAMES}true = commands.Alias(command=['false'])\n");
    let outcome = Folder::new()
        .file("names.ini", names)
        .runner(["-c", "names.ini", "--help"])
        .run();
    assert!(outcome.success().ends_with(defined), "{outcome:#?}");
    assert!(!outcome.stdout.contains("Does nothing, with exit status 0"));
}

#[test]
fn help_works_beside_a_broken_file_and_says_what_is_wrong_with_it() {
    let outcome = Folder::new()
        .file("broken.ini", "[x\n")
        .runner(["-c", "broken.ini", "--help"])
        .run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, HELP));
    assert!(
        outcome.stderr.contains("broken.ini:1"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn true_and_false() {
    Folder::new().runner(["true"]).run().is(0, "", "");
    Folder::new().runner(["false"]).run().is(1, "", "");
    Folder::new()
        .runner(["true", "a", "--b"])
        .run()
        .is(0, "", "");
}

#[test]
fn unknown_names_suggest_the_nearest() {
    let cases = [
        (
            "serv",
            "error: unknown name `serv`\n = hint: did you mean `serve`?\n",
        ),
        (
            "fastcgi",
            "error: unknown name `fastcgi`\n = hint: did you mean `FastCGI`?\n",
        ),
        (
            "runini",
            "error: unknown name `runini`\n = hint: did you mean `runIni`?\n",
        ),
        (
            "yse",
            "error: unknown name `yse`\n = hint: did you mean `yes`?\n",
        ),
        (
            "frobnicate",
            "error: unknown name `frobnicate`\n = hint: `runner help` lists all names\n",
        ),
        (
            "nothing",
            "error: unknown name `nothing`\n = hint: a configuration file switches it off\n",
        ),
        (
            "./names.ini",
            "error: unknown name `./names.ini`\n = hint: to run a file, write `runIni ./names.ini`\n",
        ),
        (
            "program:main",
            "error: unknown URL `program:main`\n = hint: write `serve WSGI import:program:main`\n",
        ),
        (
            "http://localhost/",
            "error: unknown URL `http://localhost/`\n = hint: the URL of a Python object is \
             `import:package.module.object`\n",
        ),
        (
            "",
            "error: unknown name ``\n = hint: `runner help` lists all names\n",
        ),
        (
            "a..b",
            "error: unknown name `a..b`\n = hint: `runner help` lists all names\n",
        ),
    ];
    let folder = Folder::new().file("names.ini", NAMES);
    for (name, message) in cases {
        folder
            .runner(["-c", "names.ini", name])
            .run()
            .is(1, "", message);
    }
}

#[test]
fn wrong_usage_is_status_2() {
    let port = "error: option `--port` takes a number from 0 to 65535 but got";
    let cases: &[(&[&str], String)] = &[
        (
            &["serve"],
            format!("error: NAME_OR_URL is missing\n\n{SERVE_USAGE}\n"),
        ),
        (
            &["serve", "demo", "x"],
            format!(
                "error: unexpected argument `x`\n = hint: arguments for the application stand behind \
                 `--`\n\n{SERVE_USAGE}\n"
            ),
        ),
        (
            &["serve", "demo", "-p", "x"],
            format!("{port} `x`\n\n{SERVE_USAGE}\n"),
        ),
        (
            &["serve", "demo", "-p", "65536"],
            format!("{port} `65536`\n\n{SERVE_USAGE}\n"),
        ),
        (
            &["runIni"],
            "error: FILE is missing\n\nUsage: runner runIni FILE [ARGS]...\n".to_owned(),
        ),
        (
            &["CGI"],
            "error: NAME_OR_URL is missing\n\nUsage: runner CGI NAME_OR_URL\n".to_owned(),
        ),
        (
            &["FastCGI", "fd.socket:stdin"],
            format!("error: NAME_OR_URL is missing\n\n{FASTCGI_USAGE}\n"),
        ),
        (
            &["FastCGI", "demo", "x"],
            format!("error: unexpected argument `x`\n\n{FASTCGI_USAGE}\n"),
        ),
        (
            &["--verson"],
            "error: there is no option `--verson`\n = hint: did you mean `--version`?\n\n\
             Usage: runner [-c FILE]... NAME_OR_URL [ARGS]...\n"
                .to_owned(),
        ),
        (
            &["-c"],
            "error: option `--config` lacks its value\n\n\
             Usage: runner [-c FILE]... NAME_OR_URL [ARGS]...\n"
                .to_owned(),
        ),
        (
            &["serve", "--prot", "1"],
            format!(
                "error: there is no option `--prot`\n = hint: did you mean `--port`?\n\n{SERVE_USAGE}\n"
            ),
        ),
        (
            &["runIni", "-x"],
            "error: there is no option `-x`\n\nUsage: runner runIni FILE [ARGS]...\n".to_owned(),
        ),
    ];
    for (arguments, message) in cases {
        Folder::new().runner(*arguments).run().is(2, "", message);
    }
}

#[test]
fn applications_need_a_gateway_and_gateways_an_application() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["WSGI", "import:a.b"],
            "error: `WSGI` is not a command: it names an application for a gateway\n \
             = hint: put a gateway before it: `serve WSGI import:a.b`\n",
        ),
        (
            &["WSGI"],
            "error: `WSGI` is not a command: it names an application for a gateway\n \
             = hint: put a gateway before it: `serve WSGI NAME_OR_URL`\n",
        ),
        (
            &["demo"],
            "error: `demo` is an application, not a command\n \
             = hint: put a gateway before it: `serve demo`\n",
        ),
        (
            &["serve", "WSGI"],
            "error: `WSGI` lacks the name of an application\n = hint: write `WSGI NAME_OR_URL`\n",
        ),
        (
            &["serve", "WSGI", "demo"],
            "error: `demo` is not a WSGI application\n = hint: leave out `WSGI`\n",
        ),
        (
            &["CGI", "true"],
            "error: `true` is a command, but an application is needed here\n \
             = hint: name one as in `WSGI import:package.module.object`\n",
        ),
        (
            &["serve", "import:my_app"],
            "error: `import:my_app` names a module, but an object in it is wanted\n \
             = hint: write `import:my_app.application`, if that is its name\n",
        ),
        (
            &["serve", "udp://localhost:1", "demo"],
            "error: `udp://localhost:1` is a datagram socket, which cannot serve\n \
             = hint: write `tcp://localhost:1`\n",
        ),
    ];
    for (arguments, message) in cases {
        Folder::new().runner(*arguments).run().is(1, "", message);
    }
}

#[test]
fn aliases_put_their_words_before_the_arguments() {
    let folder = Folder::new().file("names.ini", NAMES).file(
        "program.py",
        "import sys\ndef main():\n    print(sys.argv)\n",
    );
    let cases: &[(&[&str], i32, &str)] = &[
        (&["yes", "x"], 0, ""),
        (&["no", "x"], 1, ""),
        (
            &["program", "x", "-y"],
            0,
            "['import:program:main', 'x', '-y']\n",
        ),
        (&["link", "x"], 0, "['import:program.main', 'x']\n"),
    ];
    for (words, status, stdout) in cases {
        folder
            .runner(["-c", "names.ini"])
            .arguments(*words)
            .run()
            .is(*status, stdout, "");
    }
}

#[test]
fn aliases_that_never_end_are_shown_with_their_chain() {
    let outcome = Folder::new()
        .file(
            "loop.ini",
            "[peak.running.shortcuts]\n\
             a = commands.Alias(command=['b', '1'])\n\
             b = naming.LinkRef('c')\n\
             c = commands.Alias(command=['a', '2'])\n",
        )
        .runner(["-c", "loop.ini", "a"])
        .run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    let message = "error: `a` stands for itself: `a` → `b` → `c` → `a`\n";
    assert!(outcome.stderr.starts_with(message), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("loop.ini:2"), "{}", outcome.stderr);
}

#[test]
fn built_in_names_can_be_replaced_and_switched_off_but_not_by_a_wildcard() {
    let folder = Folder::new()
        .file(
            "false.ini",
            "peak.running.shortcuts.true = commands.Alias(command=['false'])\n",
        )
        .file("none.ini", "peak.running.shortcuts.true = None\n")
        .file(
            "all.ini",
            "peak.running.shortcuts.* = commands.Alias(command=['false'])\n",
        );
    let run = |file: &str, name: &str| folder.runner(["-c", file, name]).run();
    run("false.ini", "true").is(1, "", "");
    run("none.ini", "true").is(
        1,
        "",
        "error: unknown name `true`\n = hint: a configuration file switches it off\n",
    );
    run("all.ini", "true").is(0, "", "");
    run("all.ini", "anything").is(1, "", "");
}

#[test]
fn values_that_cannot_be_run_are_shown_where_they_stand() {
    let outcome = Folder::new()
        .file("names.ini", NAMES)
        .runner(["-c", "names.ini", "number"])
        .run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    let message = "error: the value of `peak.running.shortcuts.number` cannot be run\n";
    assert!(outcome.stderr.starts_with(message), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("names.ini:7"), "{}", outcome.stderr);
}

/// `?%ff` becomes an argument with mod_cgid (RFC 3875 §4.4), and a folder may have any name.
#[test]
fn arguments_need_not_be_utf_8() {
    let bytes = OsStr::from_bytes;
    let program = Path::new(bytes(b"caf\xe9")).join("app.ini");
    let folder = Folder::new()
        .file(&program, "app = commands.Alias(command=['CGI', 'demo'])\n")
        .file(
            "show.py",
            "import sys\n\ndef argv():\n    print(sys.argv)\n\n\
             def application(environ, start_response):\n    \
             start_response('200 OK', [])\n    return [repr(sys.argv).encode()]\n",
        );
    let requests = [
        &[bytes(b"CGI"), bytes(b"demo"), bytes(b"\xff")][..],
        &[bytes(b"runIni"), program.as_os_str(), bytes(b"\xff")],
        &[bytes(b"runIni"), program.as_os_str(), bytes(b"--\xff")],
    ];
    for arguments in requests {
        let outcome = folder
            .runner(arguments)
            .env("REQUEST_METHOD", "GET")
            .env("SERVER_PROTOCOL", "HTTP/1.1")
            .env("SCRIPT_NAME", "")
            .env("PATH_INFO", "/")
            .run();
        assert!(
            outcome.stdout.starts_with("Status: 200"),
            "{arguments:?}: {outcome:#?}"
        );
    }
    folder
        .runner([bytes(b"import:show.argv"), bytes(b"\xff")])
        .run()
        .is(0, "['import:show.argv', '\\udcff']\n", "");
    let server = folder
        .runner(["serve", "import:show.application", "--"])
        .arguments([bytes(b"\xff"), bytes(b"caf\xc3\xa9")])
        .start();
    assert_eq!(
        server.get("/").ok(),
        "['import:show.application', '\\udcff', 'café']"
    );
    assert_eq!(server.stop().status, 0);
    let refused = [
        (
            &[bytes(b"se\xffve")][..],
            "error: unknown name `se\u{fffd}ve`\n = hint: did you mean `serve`?\n",
        ),
        (
            &[bytes(b"serve"), bytes(b"unix:/\xff"), bytes(b"demo")],
            "error: the socket URL `unix:/\u{fffd}` is not UTF-8\n",
        ),
    ];
    for (arguments, message) in refused {
        folder.runner(arguments).run().is(1, "", message);
    }
}

#[test]
fn misspelt_names_have_suggestions() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["serve", "WSGI", "my_app.application"],
            "error: unknown name `my_app.application`\n = hint: write `import:my_app.application`\n",
        ),
        (
            &["serve", "TCP://localhost", "demo"],
            "error: `TCP://localhost` has no port\n = hint: write `tcp://localhost:8000`, or \
             `tcp://localhost:0` for any free port\n",
        ),
        (
            &["FastCGI", "http://localhost:0", "demo"],
            "error: `http://localhost:0` is not a socket URL\n = hint: write `tcp://localhost:0`\n",
        ),
    ];
    for (arguments, message) in cases {
        Folder::new().runner(*arguments).run().is(1, "", message);
    }
    let outcome = Folder::new()
        .runner(["serve", "--host", "localhost:80", "demo"])
        .run();
    let message = "error: `localhost:80` is not a host\n = hint: write `--host localhost -p 80`\n";
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.starts_with(message), "{outcome:#?}");
}
