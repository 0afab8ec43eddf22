//! How files for `supervise` are read: what they mean, what they override, and what other commands do with them. Their
//! mistakes are in `diagnostics/supervise.case`; `supervise.rs` runs them.

mod support;

use support::Folder;

/// The output of `graph my_app.conf` for these files, of which that is the first.
#[track_caller]
fn shows(files: &[(&str, &str)], expected: &str) {
    let folder = files.iter().fold(Folder::new(), |folder, (name, text)| {
        folder.file(name, text)
    });
    let shown = folder.runner(["graph", files[0].0]).run();
    // Columns depend on the length of the folder's name.
    let squeezed = |text: &str| -> String {
        let words = text.lines().map(|line| {
            let indent = line.len() - line.trim_start().len();
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{}{}\n", " ".repeat(indent), words.join(" "))
        });
        words.collect()
    };
    assert_eq!(squeezed(shown.success()), expected);
}

#[test]
fn keys_in_any_case_comments_and_blanks() {
    shows(
        &[(
            "my_app.conf",
            "#!invoke runner supervise\n\n\tCOMMAND\tserve demo -p 8000 # a comment\r\n\
             pidfile   my_app.pid\n# StopAfter 1\n",
        )],
        "my_app.conf\n  supervise\n    pid file [folder]/my_app.pid my_app.conf:4\n    serve\n      \
         HTTP on tcp://localhost:8000 (the command line)\n        demo my_app.conf:3\n",
    );
}

#[test]
fn commands_have_quotes_as_in_shells() {
    let cases = [
        ("Command serve 'unix:a b' demo", "unix:[folder]/a b"),
        ("Command serve unix:a\\ b demo # c", "unix:[folder]/a b"),
        ("Command \"serve\" 'unix:a # b' demo", "unix:[folder]/a # b"),
        (
            "%define x a b\nCommand serve 'unix:$x' demo",
            "unix:[folder]/a b",
        ),
    ];
    for (command, url) in cases {
        let folder = Folder::new().file("x.conf", format!("{command}\nPidFile x.pid\n"));
        let shown = folder.runner(["graph", "x.conf"]).run();
        assert!(
            shown.success().contains(&format!("HTTP on {url} ")),
            "{shown:?}"
        );
    }
}

#[test]
fn definitions_and_included_files() {
    shows(
        &[
            (
                "my_app.conf",
                "%define folder elsewhere\n%define name MY\n%define Name MY\n\
                 %include ${folder}/${NAME}.conf\nCommand serve $command\nImport $after\n",
            ),
            (
                "elsewhere/MY.conf",
                "%define command demo\n%define after $name$$$(LANG)\nPidFile $NAME.pid\n%include more.conf\n",
            ),
            ("elsewhere/more.conf", "IdleTimeout 1h\n"),
        ],
        "my_app.conf\n  supervise\n    pid file [folder]/elsewhere/MY.pid elsewhere/MY.conf:3\n    serve\n      \
         HTTP on tcp://localhost:0 (the default)\n        demo my_app.conf:5\n",
    );
}

/// A key is another name for a setting, and overrides all files.
#[test]
fn keys_are_settings_and_stand_over_other_files() {
    let folder = Folder::new()
        .file(
            "own.ini",
            "[runner.workers]\nmin = 3\nmax = 5\nstart_interval = 1\n[runner.supervise]\npid_file = 'own.pid'\n",
        )
        .file("my_app.conf", "Command ./app.ini\nMinProcesses 2\n")
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'demo'])\nrunner.workers.max = 8\nrunner.workers.min = 1\n",
        );
    let shown = folder
        .runner(["-c", "own.ini", "show", "my_app.conf", "runner.workers"])
        .run();
    let text = shown.success();
    for line in [
        "runner.workers.max = 8  # [folder]/app.ini:2, the file\n",
        "runner.workers.min = 2  # my_app.conf:2, the file\n",
        "runner.workers.start_interval = 1  # own.ini:4, -c\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let graph = folder
        .runner(["-c", "own.ini", "graph", "my_app.conf"])
        .run();
    assert!(
        graph.success().contains("pid file [folder]/own.pid"),
        "{graph:?}"
    );
}

#[test]
fn workers_are_started_slower_than_elsewhere_unless_a_setting_says_otherwise() {
    let cases = [
        ("", "", "15  # supervise\n"),
        (
            "StartInterval 2m\n",
            "",
            "'2m'  # my_app.conf:3, the file\n",
        ),
        (
            "",
            "runner.workers.start_interval = 3\n",
            "3  # own.ini:1, -c\n",
        ),
    ];
    for (key, own, expected) in cases {
        let folder = Folder::new().file("own.ini", own).file(
            "my_app.conf",
            format!("Command serve demo\nPidFile x\n{key}"),
        );
        let name = "runner.workers.start_interval";
        let shown = folder
            .runner(["-c", "own.ini", "show", "my_app.conf", name])
            .run();
        assert_eq!(shown.success(), format!("{name} = {expected}"));
    }
}

#[test]
fn an_ini_file_can_say_the_same() {
    let own = "runner.supervise.pid_file = 'x.pid'\n";
    let cases = [
        "app = commands.Alias(command=['supervise', 'serve', 'demo'])\n",
        "app = commands.Alias(command=['supervise'])\nrunner.supervise.command = 'serve demo'\n",
        "app = commands.Alias(command=['mine', 'demo'])\n[peak.running.shortcuts]\n\
         mine = commands.Alias(command=['supervise', 'served'])\nserved = commands.Alias(command=['serve'])\n",
    ];
    for text in cases {
        let folder = Folder::new().file("app.ini", format!("{own}{text}"));
        let shown = folder.runner(["graph", "app.ini"]).run();
        let text = shown.success();
        assert!(
            text.starts_with("app.ini\n  supervise\n    pid file [folder]/x.pid"),
            "{text}"
        );
        assert!(
            text.contains("\n    serve\n      HTTP on tcp://localhost:0"),
            "{text}"
        );
        folder
            .runner(["check", "app.ini"])
            .run()
            .is(0, "1 file: no problems\n", "");
    }
}

/// A file that is supervised by its own words can be supervised by another file.
#[test]
fn supervising_twice_is_supervising() {
    let folder = Folder::new()
        .file("my_app.conf", "Command ./app.ini\nPidFile own.pid\n")
        .file(
            "app.ini",
            "app = commands.Alias(command=['supervise', 'serve', 'demo'])\nrunner.supervise.pid_file = 'x.pid'\n",
        );
    let shown = folder.runner(["graph", "my_app.conf"]).run();
    let text = shown.success();
    assert!(
        text.starts_with("my_app.conf\n  supervise\n    pid file [folder]/own.pid"),
        "{text}"
    );
    assert!(text.contains("\n    serve\n"), "{text}");
}

#[test]
fn programs_beside_the_application_and_alone() {
    shows(
        &[(
            "my_app.conf",
            "Command FastCGI unix:socket demo\nPidFile x\nProgram ./worker --queue 'all mail'\nProgram memcached\n",
        )],
        "my_app.conf\n  supervise\n    pid file [folder]/x my_app.conf:2\n    \
         program [folder]/worker --queue 'all mail' my_app.conf:3\n    program memcached my_app.conf:4\n    \
         FastCGI\n      FastCGI on unix:[folder]/socket my_app.conf:1\n        demo my_app.conf:1\n",
    );
    shows(
        &[("my_app.conf", "Command exec:./worker a\nPidFile x\n")],
        "my_app.conf\n  supervise\n    pid file [folder]/x my_app.conf:2\n    program [folder]/worker a my_app.conf:1\n",
    );
    // Each is found beside the file that names it.
    shows(
        &[
            (
                "my_app.conf",
                "Command exec: ./a\nPidFile x\nProgram ./b\n%include more/programs.conf\nProgram ./d\n",
            ),
            ("more/programs.conf", "\nProgram ./c\n"),
        ],
        "my_app.conf\n  supervise\n    pid file [folder]/x my_app.conf:2\n    \
         program [folder]/b my_app.conf:3\n    program [folder]/more/c more/programs.conf:2\n    \
         program [folder]/d my_app.conf:5\n    program [folder]/a my_app.conf:1\n",
    );
}

#[test]
fn a_file_is_run_by_the_command_that_it_is_for() {
    let folder = Folder::new()
        .file("my_app.conf", "Command serve demo\nPidFile x\n")
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n",
        );
    folder.runner(["runIni", "my_app.conf"]).run().is(
        1,
        "",
        "error: `my_app.conf` is a file for `supervise`\n = hint: write `supervise my_app.conf`\n",
    );
}

/// A pipe can be read only once; the command decides which language it is in.
#[test]
fn pipes_are_files_too() {
    let folder = Folder::new();
    let keys = "Command serve demo\nPidFile x\nStopAfter 1ms\n";
    let line = format!("printf '{keys}' | runner supervise /dev/stdin");
    let outcome = folder.program("sh", ["-c", &line]).run();
    assert!(
        outcome.stderr.starts_with("runner: serving http"),
        "{outcome:?}"
    );
    // Also where a file is read for each of several layers, or to find out its language.
    let url = "url = \"tcp://127.0.0.1:4711\"";
    for command in ["-c /dev/stdin graph it.ini", "-c /dev/stdin graph it.conf"] {
        let line = format!("printf '{url}' | runner {command}");
        let folder = Folder::new()
            .file(
                "it.ini",
                "app = commands.Alias(command=['serve', 'demo'])\n",
            )
            .file("it.conf", "Command ./it.ini\nPidFile x\n");
        let outcome = folder.program("sh", ["-c", &line]).run();
        let drawn = outcome.success();
        assert!(
            drawn.contains("HTTP on tcp://127.0.0.1:4711  /dev/stdin:1\n"),
            "{drawn}"
        );
    }
    let line = format!("printf '{keys}' | runner graph /dev/stdin");
    let outcome = folder.program("sh", ["-c", &line]).run();
    assert!(
        outcome.success().starts_with("/dev/stdin\n  supervise\n"),
        "{outcome:?}"
    );
    let ini = "app = commands.Alias(command=[\"true\"])";
    let line = format!("printf '{ini}' | runner runIni /dev/stdin");
    folder.program("sh", ["-c", &line]).run().is(0, "", "");
}

#[test]
fn the_layout_is_put_right() {
    let folder = Folder::new().file(
        "my_app.conf",
        "#!invoke runner supervise\nCommand   serve demo  # c\n\n\n  PidFile\tx\n",
    );
    let expected = "#!invoke runner supervise\nCommand serve demo  # c\n\nPidFile x\n";
    folder.runner(["fmt", "my_app.conf"]).run().is(0, "", "");
    assert_eq!(folder.read("my_app.conf"), expected);
    folder
        .runner(["fmt", "--check", "my_app.conf"])
        .run()
        .is(0, "", "");
    let laid_out = folder.runner(["fmt", "-"]).stdin(" PidFile  x\n").run();
    laid_out.is(0, "PidFile x\n", "");
}

#[test]
fn each_key_is_explained() {
    let folder = Folder::new();
    let said = folder.runner(["explain", "startinterval"]).run();
    let expected = "key `StartInterval`\n";
    assert!(said.success().starts_with(expected), "{said:?}");
    assert!(said.stdout.contains("\ndefault: 15 s\n"), "{said:?}");
    assert!(
        said.stdout
            .contains("\nsetting: runner.workers.start_interval\n"),
        "{said:?}"
    );
}
