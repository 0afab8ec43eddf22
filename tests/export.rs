//! `export`: readers of units, images and objects accept what was written and read back what was meant; what is said of what
//! cannot be written. exported_web_servers.rs runs web servers.

#[path = "export/exporting.rs"]
mod exporting;
mod support;
#[path = "export/systemd_reader.rs"]
mod systemd_reader;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use exporting::{HELLO, export, exported, folder};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use support::{Folder, free_port, project, python};
use systemd_reader::{systemd_reads, words_of_systemd};

/// The targets for which no folder is needed.
const ONE_FILE: [&str; 6] = [
    "nginx",
    "apache",
    "caddy",
    "kubernetes",
    "compose",
    "dockerfile",
];

/// The words of a command in a file that was written, once its reader accepts it.
#[track_caller]
fn read_back(folder: &Folder, kind: &str, text: &str) -> Vec<String> {
    let folder = folder.clone().file("written", text);
    let script = project("tests/export/read_back.py");
    let outcome = folder
        .program(python(), [script.as_os_str()])
        .arguments([kind, "written"])
        .run();
    let words = outcome.success();
    serde_json::from_str(words).unwrap_or_else(|error| panic!("{error}: {words}\n{text}"))
}

/// Texts of printable characters that many syntaxes have a meaning for, the same ones in each run.
fn odd_texts() -> Vec<String> {
    let fixed = [
        "",
        " ",
        "$HOME",
        "${HOME}",
        "$(HOME)",
        "$$",
        "%h",
        "%%",
        "a\"b",
        "a'b",
        "a\\",
        "\\n",
        "#",
        "a #b",
        ": ",
        "- a",
        "{a}",
        "[a]",
        "null",
        "yes",
        "0x10",
        "1e3",
        "~",
        "*",
        "&a",
        "!a",
        "|",
        ">",
        "é",
        "日本",
        "😀",
        "\u{feff}a",
        "a;b",
        "`a`",
        "a=b",
        "@a",
        "+a",
        "--flag",
        "\u{2028}",
    ];
    let alphabet = "[ -~éß€\u{a0}]{1,12}";
    let strategy = proptest::string::string_regex(alphabet).expect("an expression");
    let mut runner = TestRunner::deterministic();
    let drawn = (0..150).map(|_| {
        let tree = strategy.new_tree(&mut runner).expect("a text");
        tree.current()
    });
    fixed.map(str::to_owned).into_iter().chain(drawn).collect()
}

#[test]
fn each_reader_gets_the_words_that_are_meant() {
    let folder = folder("serve", "url = 'tcp://*:8000'\n");
    let odd = odd_texts();
    for kind in ["kubernetes", "compose", "dockerfile"] {
        let outcome = folder
            .runner(["export", kind, "hello.ini", "--"])
            .arguments(&odd)
            .run();
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let words = read_back(&folder, kind, &outcome.stdout);
        assert_eq!(words[..4], ["runner", "runIni", "/app/hello.ini", "--"]);
        assert_eq!(words[4..], odd, "{kind}");
    }
    let folder = folder.file("units/.keep", "");
    let words = ["export", "systemd", "-o", "units", "hello.ini", "--"];
    folder.runner(words).arguments(&odd).run();
    let service = folder.read("units/hello.service");
    let lines = systemd_reads(&service, "hello.service", "Command Line:");
    let line = lines.first().expect("a command");
    let words = words_of_systemd(line);
    // Before it starts the command, systemd takes `$$` for a dollar sign.
    let words: Vec<String> = words.iter().map(|word| word.replace("$$", "$")).collect();
    assert_eq!(words[4..], odd, "{line}");
}

#[test]
fn systemd_accepts_its_units() {
    let supervised =
        "app = commands.Alias(command=['supervise', 'serve', 'WSGI', 'import:hello.app'])
[runner]
user = 'www-data'
stop_timeout = '100s'
supervise.pid_file = '/run/hello/hello.pid'
";
    for (settings, lines) in [
        (
            "url = 'unix:/run/hello/socket'\n",
            &[
                "ListenStream=/run/hello/socket",
                "SocketMode=0600",
                "SocketUser=www-data",
                "RuntimeDirectory=hello",
                "RuntimeDirectoryPreserve=yes",
                "User=www-data",
                "TimeoutStopSec=110",
                "Also=hello.socket",
            ][..],
        ),
        (
            "url = ['http://*:80', 'tcp://localhost:8001']\n",
            &[
                "ListenStream=80",
                "ListenStream=127.0.0.1:8001",
                "ListenStream=[::1]:8001",
                "CapabilityBoundingSet=",
            ],
        ),
        (
            "url = 'tcp://example.org:80'\n",
            &["AmbientCapabilities=CAP_NET_BIND_SERVICE"],
        ),
    ] {
        let folder = Folder::new()
            .file("hello.py", HELLO)
            .file("hello.ini", format!("{settings}{supervised}"))
            .file("units/.keep", "");
        let outcome = export(&folder, &["systemd", "hello.ini", "-o", "units"]);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let mut units = vec!["units/hello.service"];
        if folder.path("units/hello.socket").exists() {
            units.push("units/hello.socket");
        }
        let text: String = units.iter().map(|unit| folder.read(unit)).collect();
        for line in lines {
            assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        }
        folder
            .program("systemd-analyze", ["verify", "--man=no"])
            .arguments(units)
            .run()
            .is(0, "", "");
    }
}

/// What is not typed is taken over by systemd's sockets, and only that.
#[test]
fn a_typed_address_has_no_socket_unit() {
    let folder = folder(
        "serve",
        "url = 'unix:/run/hello/socket'\nrunner.user = 'www-data'\n",
    );
    let outcome = export(&folder, &["systemd", "hello.ini"]);
    assert!(outcome.stdout.contains("[Socket]"), "{outcome:#?}");
    let outcome = export(&folder, &["systemd", "hello.ini", "-p", "8000"]);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(!outcome.stdout.contains("[Socket]"), "{outcome:#?}");
    assert!(
        outcome.stdout.contains("hello.ini -p 8000\n"),
        "{outcome:#?}"
    );
}

/// The command of the image answers at the port that the image names.
#[test]
fn the_command_of_a_container_runs() {
    for (url, port) in [("tcp://localhost:0", 8000), ("tcp://localhost:3000", 3000)] {
        let folder = folder("serve", &format!("url = '{url}'\n"));
        let text = exported(&folder, "dockerfile");
        assert!(text.contains(&format!("\nEXPOSE {port}\n")), "{text}");
        let words = read_back(&folder, "dockerfile", &text);
        assert_eq!(words[3..], ["--host", "*", "-p", &port.to_string()]);
        let free = free_port().to_string();
        let words = words[1..].iter().map(|word| match &**word {
            "/app/hello.ini" => folder.path("hello.ini").display().to_string(),
            word if word == port.to_string() => free.clone(),
            word => word.to_owned(),
        });
        let server = folder.runner(words).start();
        assert!(server.get("/a").ok().contains(" /a http "));
        server.stop();
    }
}

#[test]
fn probes_and_limits_come_from_the_plan() {
    let settings = "url = 'tcp://*:8000'
[runner]
status.http = 'tcp://*:9090'
stop_timeout = '100s'
workers.min = 3
workers.max = 5
workers.max_memory = '100M'
";
    let folder = folder("serve", settings);
    let text = exported(&folder, "kubernetes");
    read_back(&folder, "kubernetes", &text);
    for part in [
        "terminationGracePeriodSeconds: 115",
        "path: /readyz",
        "path: /healthz",
        "containerPort: 9090",
        "cpu: \"300m\"",
        "readOnlyRootFilesystem: true",
        "runAsUser: 10001",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = exported(&folder, "compose");
    read_back(&folder, "compose", &text);
    assert!(text.contains("stop_grace_period: \"110s\""), "{text}");
}

/// What a target cannot do is said with its place, in the text and on standard error, and by the exit status.
#[test]
fn what_is_missing_is_said() {
    for (target, settings, message) in [
        (
            "nginx",
            "",
            "it listens on any free port, which a web server cannot know",
        ),
        (
            "nginx",
            "url = 'http://*:80'\n",
            "hello.ini:2: port 80 is the web server's own",
        ),
        (
            "apache",
            "url = 'unix:/run/s'\nrunner.http.trusted_proxies = ['unix']\nrunner.http.proxy_protocol = True\n",
            "hello.ini:4: a web server does not speak the PROXY protocol",
        ),
        (
            "compose",
            "url = ['tcp://localhost:8000', 'unix:/run/s']\n",
            "hello.ini:2: nothing outside of the container reaches its address",
        ),
        (
            "dockerfile",
            "runner.tls.cert = '/etc/x.pem'\nrunner.tls.key = '/etc/x.key'\nurl = 'https://*:8443'\n",
            "hello.ini:2: `/etc/x.pem` is not in the image",
        ),
        (
            "systemd",
            "runner.status.url = 'unix:/srv/hello.sock'\n",
            "a user that systemd makes cannot write to `/srv`",
        ),
        (
            "systemd",
            "runner.user = 'www-data'\nrunner.status.url = 'unix:/run/my shop/hello.sock'\n",
            "`/run/my shop` is gone at each boot",
        ),
    ] {
        let outcome = export(&folder("serve", settings), &[target, "hello.ini"]);
        assert_eq!(outcome.status, 2, "{target}: {outcome:#?}");
        assert!(outcome.stderr.contains(message), "{target}: {outcome:#?}");
        assert!(outcome.stdout.contains(message), "{target}: {outcome:#?}");
    }
    for (name, target) in [("s", "caddy"), ("a#b", "apache"), ("a|b", "apache")] {
        let folder = folder(&format!("uwsgi', 'unix:/run/{name}"), "");
        let outcome = export(&folder, &[target, "hello.ini"]);
        assert_eq!(outcome.status, 2, "{outcome:#?}");
    }
}

/// Programs, and files that must not be in an image, are told, and the command that runs it has all that it needs.
#[test]
fn what_an_image_lacks_is_said() {
    let settings = "url = 'tcp://*:8000'
[runner]
environment_file = '.env'
before_start = ['mkdir -p /tmp/a', './migrate']
supervise.pid_file = '/run/hello/hello.pid'
supervise.programs = ['celery -A shop worker', 'node mail.js']
";
    let folder = folder("supervise', 'serve", settings).file(".env", "A=1\n");
    let outcome = export(&folder, &["dockerfile", "hello.ini"]);
    assert_eq!(outcome.status, 2, "{outcome:#?}");
    for message in [
        "hello.ini:4: `/app/.env` is kept out of the image",
        "the program `celery` is not in the image",
    ] {
        assert!(outcome.stderr.contains(message), "{outcome:#?}");
    }
    assert!(!outcome.stderr.contains("migrate"), "{outcome:#?}");
    assert!(!outcome.stderr.contains("mkdir"), "{outcome:#?}");
    for part in [
        "install -y --no-install-recommends nodejs ",
        "--read-only --tmpfs /tmp --tmpfs /run/hello -p 8000:8000 hello",
    ] {
        assert!(outcome.stdout.contains(part), "{outcome:#?}");
    }
}

/// What is written follows this shell, where the server may be started from another one.
#[test]
fn a_variable_of_the_shell_is_said() {
    let folder = folder(
        "serve",
        "url = 'tcp://*:' + os.environ.get('SHOP_PORT', '8000')\n",
    );
    let export = folder.runner(["export", "nginx", "hello.ini"]);
    let outcome = export.env("SHOP_PORT", "9000").run();
    assert!(outcome.stdout.contains("127.0.0.1:9000;"), "{outcome:#?}");
    assert!(
        outcome.stderr.contains("`SHOP_PORT` is set in this shell"),
        "{outcome:#?}"
    );
}

/// The user and the folders of the other machine need not be here.
#[test]
fn it_is_for_another_machine() {
    let settings = "url = 'unix:/run/nowhere/socket'
[runner]
user = 'nobody-of-this-name'
supervise.pid_file = '/run/nowhere/hello.pid'
";
    let folder = folder("supervise', 'serve", settings);
    for target in ["systemd", "nginx", "dockerfile"] {
        let outcome = export(&folder, &[target, "hello.ini"]);
        assert_eq!(outcome.status, 0, "{target}: {outcome:#?}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = folder(
        "serve",
        "url = 'unix:/run/hello/socket'\nrunner.user = 'www-data'\n",
    );
    let folder = folder
        .file("there", "kept")
        .file("units/hello.socket", "kept");
    for target in ONE_FILE {
        let outcome = export(&folder, &[target, "-o", "there", "hello.ini"]);
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        assert_eq!(folder.read("there"), "kept");
        let name = format!("new.{target}");
        let outcome = export(&folder, &[target, "hello.ini", "-o", &name]);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        assert_eq!(folder.read(&name), exported(&folder, target));
    }
    let outcome = export(&folder, &["systemd", "hello.ini", "-o", "units"]);
    assert_eq!(outcome.status, 1, "{outcome:#?}");
    assert_eq!(folder.read("units/hello.socket"), "kept");
    assert!(!folder.path("units/hello.service").exists());
}

/// The user's mistakes, each with one message.
#[test]
fn mistakes_are_said() {
    let folder = folder("serve", "url = 'tcp://*:8000'\n")
        .file(
            "develop.ini",
            "app = commands.Alias(command=['launch', 'demo'])\n",
        )
        .file("yes.ini", "app = commands.Alias(command=['true'])\n")
        .file(
            "a\tb.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n",
        )
        .file(
            OsStr::from_bytes(b"a\xff.ini"),
            "app = commands.Alias(command=['serve', 'demo'])\n",
        );
    let usage = "\n\nUsage: runner export TARGET [-o PATH] FILE [ARGS]...\n";
    for (words, status, message) in [
        (&[][..], 2, format!("error: TARGET is missing{usage}")),
        (&["nginx"], 2, format!("error: FILE is missing{usage}")),
        (
            &["nginx", "hello.ini", "-o"],
            2,
            format!("error: PATH is missing{usage}"),
        ),
        (
            &["caddi", "hello.ini"],
            2,
            format!("error: there is no target `caddi`\n = hint: did you mean `caddy`?{usage}"),
        ),
        (
            &["docker-swarm", "hello.ini"],
            2,
            format!(
                "error: there is no target `docker-swarm`\n = hint: there are `systemd`, `nginx`, `apache`, `caddy`, \
                 `kubernetes`, `compose`, `dockerfile`{usage}"
            ),
        ),
        (
            &["nginx", "nowhere.ini"],
            1,
            "error: there is no file `nowhere.ini`\n".to_owned(),
        ),
        (
            &["nginx", "yes.ini"],
            1,
            "error: `yes.ini` runs no server\n \
             = hint: `serve`, `FastCGI`, `uwsgi` and `supervise` can be exported\n"
                .to_owned(),
        ),
        (
            &["nginx", "develop.ini"],
            1,
            "error: `develop.ini` runs `launch`, which is for development\n = hint: let it run `serve`\n".to_owned(),
        ),
        (
            &["systemd", "hello.ini", "-o", "nowhere"],
            1,
            "error: there is no folder `nowhere`\n = hint: `hello.service` and `hello.socket` are written to a folder\n"
                .to_owned(),
        ),
    ] {
        export(&folder, words).is(status, "", &message);
    }
    // The text between has the path of the folder.
    for (name, message, hint) in [
        (
            OsStr::new("a\tb.ini"),
            " has control characters\n",
            "no file of another program can have them: choose another name",
        ),
        (
            OsStr::from_bytes(b"a\xff.ini"),
            " is not UTF-8\n",
            "other programs cannot be told of it: rename the file or folder",
        ),
    ] {
        let outcome = folder.runner(["export", "nginx"]).arguments([name]).run();
        assert_eq!(outcome.status, 1, "{outcome:#?}");
        assert!(outcome.stderr.contains(message), "{outcome:#?}");
        assert!(outcome.stderr.contains(hint), "{outcome:#?}");
    }
}

/// A service has neither the virtual environment of the shell nor its `PATH`.
#[test]
fn the_python_of_the_shell_is_that_of_the_service() {
    let folder = folder("serve", "runner.user = 'www-data'\n").file("b in/.keep", "");
    let environment = python().parent().and_then(Path::parent).map(Path::to_owned);
    let environment = environment.expect("a virtual environment");
    let export = |name: &str, value: &OsStr| {
        let words = ["export", "systemd", "hello.ini", "-o", "units"];
        let folder = folder.clone().file("units/.keep", "");
        folder.runner(words).env(name, value).run();
        let service = folder.read("units/hello.service");
        fs::remove_dir_all(folder.path("units")).expect("the units");
        service
    };
    let unit = export("VIRTUAL_ENV", environment.as_os_str());
    let line = format!("\nEnvironment=VIRTUAL_ENV={}\n", environment.display());
    assert!(unit.contains(&line), "{unit}");

    let link = folder.path("b in/python3");
    std::os::unix::fs::symlink("/usr/bin/python3", &link).expect("a link");
    let here = folder.path("b in").display().to_string();
    let unit = export("PATH", OsStr::new(&format!("{here}:/usr/bin:/bin")));
    let line = format!("\nEnvironment=\"PATH={here}:/usr/local/sbin:");
    assert!(unit.contains(&line), "{unit}");
}
