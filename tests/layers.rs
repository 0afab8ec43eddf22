//! The layers of configuration, the file that runs, and `graph`, which shows the result.

mod support;

use support::Folder;

/// A file that defines what `x` does.
fn defines_x(command: &str) -> String {
    format!("[peak.running.shortcuts]\nx = commands.Alias(command=['{command}'])\n")
}

/// Commands that help to mend a file do not need a correct file.
#[test]
fn a_broken_file_of_ones_own_does_not_stop_what_reads_no_settings() {
    let folder = Folder::new()
        .file(".config/runner/runner.ini", "a = (\n")
        .file("app.ini", "a=1\n");
    folder.runner(["fmt", "app.ini"]).run().is(0, "", "");
    assert_eq!(folder.read("app.ini"), "a = 1\n");
    let script = folder.runner(["completions", "bash"]).run();
    assert!(script.success().contains("runner"));
    assert_eq!(folder.runner(["true"]).run().status, 1);
}

/// A pipe is a file like any other as long as a process writes to it.
#[test]
fn a_pipe_without_a_writer_is_not_waited_for() {
    let folder = Folder::new().file("names.ini", defines_x("false"));
    let made = folder.program("mkfifo", ["pipe"]).run();
    assert_eq!(made.status, 0, "{made:#?}");
    folder.runner(["-c", "pipe", "true"]).run().is(
        1,
        "",
        "error: cannot read `pipe`: it is a pipe without a writer\n",
    );
    folder
        .program("sh", ["-c", "cat names.ini | \"$0\" -c /dev/stdin x"])
        .arguments([env!("CARGO_BIN_EXE_runner")])
        .run()
        .is(1, "", "");
}

/// The master has read the pipe, and a reload must not take its old text for a new one.
#[test]
fn a_reload_cannot_read_a_pipe_again() {
    let folder = Folder::new()
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n",
        )
        .file("app.conf", "Command ./app.ini\nPidFile app.pid\n");
    let control = folder.path("control").display().to_string();
    let settings = format!("runner.status.url = \"unix:{control}\"\nurl = \"tcp://127.0.0.1:0\"\n");
    for (command, master) in [
        ("runIni app.ini", "unix:control"),
        ("supervise app.conf", "app.pid"),
    ] {
        let line = format!("exec runner -c <(printf '{settings}') {command}");
        let server = folder.program("bash", ["-c", &line]).start();
        let reload = folder.runner(["reload", master]).run();
        assert_eq!((reload.status, &*reload.stdout), (1, ""), "{reload:?}");
        assert!(
            reload.stderr.contains(
                "`: it is a pipe or a terminal, which can be read only once\n = hint: \
                 a server that is to reload needs a file\n"
            ),
            "{reload:?}"
        );
        // The old configuration is still in force.
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.stop().status, 0);
    }
}

#[test]
fn later_layers_win() {
    let own = ".config/runner/runner.ini";
    let folder = Folder::new()
        .file("true.ini", defines_x("true"))
        .file("false.ini", defines_x("false"));
    let own_false = Folder::new()
        .file(own, defines_x("false"))
        .file("true.ini", defines_x("true"))
        .file("empty.ini", "");
    // The user's own file.
    own_false.runner(["x"]).run().is(1, "", "");
    own_false
        .runner(["-c", "empty.ini", "x"])
        .run()
        .is(1, "", "");
    // `PEAK_CONFIG` over it, a later file over an earlier one; empty parts are skipped.
    let listed = [
        ("true.ini", 0),
        ("true.ini:false.ini", 1),
        (":false.ini::true.ini:", 0),
    ];
    own_false
        .runner(["x"])
        .env("PEAK_CONFIG", "true.ini")
        .run()
        .is(0, "", "");
    for (files, status) in listed {
        folder
            .runner(["x"])
            .env("PEAK_CONFIG", files)
            .run()
            .is(status, "", "");
    }
    // `-c` over that, in order.
    let given = [
        (&["-c", "true.ini", "x"][..], 0),
        (&["-c", "true.ini", "--config=false.ini", "x"], 1),
    ];
    for (arguments, status) in given {
        folder
            .runner(arguments)
            .env("PEAK_CONFIG", "false.ini")
            .run()
            .is(status, "", "");
    }
}

#[test]
fn the_file_that_is_run_is_the_last_layer() {
    Folder::new()
        .file("below.ini", defines_x("false"))
        .file(
            "app.ini",
            "app = commands.Alias(command=['x'])\n".to_owned() + &defines_x("true"),
        )
        .runner(["-c", "below.ini", "runIni", "app.ini"])
        .run()
        .is(0, "", "");
}

#[test]
fn a_home_folder_is_not_needed() {
    let folder = Folder::new();
    for home in ["", "/nonexistent"] {
        folder
            .runner(["true"])
            .env("HOME", home)
            .run()
            .is(0, "", "");
    }
    folder
        .program("env", ["-u", "HOME", "runner", "true"])
        .run()
        .is(0, "", "");
}

#[test]
fn files_that_are_not_there_are_named() {
    let folder = Folder::new().file("folder/x", "");
    let wanting = |outcome: support::Outcome, words: &str| {
        assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
        let one_line = outcome.stderr.lines().next().unwrap_or_default();
        assert!(
            one_line.starts_with("error: ") && one_line.contains(words),
            "{one_line}"
        );
    };
    for file in ["none.ini", "folder"] {
        wanting(folder.runner(["-c", file, "true"]).run(), file);
        wanting(folder.runner(["true"]).env("PEAK_CONFIG", file).run(), file);
        wanting(folder.runner(["runIni", file]).run(), file);
        wanting(folder.runner(["graph", file]).run(), file);
    }
}

#[test]
fn a_file_that_says_nothing_about_what_to_run() {
    Folder::new()
        .file("app.ini", "x = 1\n")
        .runner(["runIni", "app.ini"])
        .run()
        .is(
            1,
            "",
            "error: `app.ini` does not say what to run\n \
             = hint: add `app = commands.Alias(command=['serve', 'WSGI', \
             'import:package.module.object'])`\n",
        );
}

#[test]
fn files_that_run_themselves_are_shown_with_their_chain() {
    let outcome = Folder::new()
        .file(
            "a.ini",
            "app = commands.Alias(command=['runIni', 'sub/b.ini'])\n",
        )
        .file(
            "sub/b.ini",
            "app = commands.Alias(command=['runIni', '../sub/../a.ini'])\n",
        )
        .runner(["runIni", "a.ini"])
        .run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    let message = "error: `../sub/../a.ini` runs itself: `[folder]/a.ini` → \
                   `[folder]/sub/b.ini` → `[folder]/a.ini`\n";
    assert!(outcome.stderr.starts_with(message), "{}", outcome.stderr);
}

#[test]
fn files_are_programs() {
    let folder = Folder::new()
        .executable(
            "bin/app.ini",
            "#!/usr/bin/env -S runner runIni\napp = importString('program.main')\n",
        )
        .file(
            "bin/program.py",
            "import sys\ndef main():\n    print(sys.argv)\n",
        );
    folder
        .program("bin/app.ini", ["-x", "y"])
        .run()
        .is(0, "['bin/app.ini', '-x', 'y']\n", "");
}

#[test]
fn graph_shows_what_a_file_would_run() {
    let cases = [
        (
            "#!invoke runner runIni\n\napp = commands.Alias(command=['serve','WSGI','import:my_app.application'])\n\
             url = 'tcp://localhost:8000'\n",
            "app.ini\n  \
               serve\n    \
                 HTTP on tcp://localhost:8000   app.ini:4\n      \
                   WSGI                         app.ini:3\n        \
                     import:my_app.application  app.ini:3\n",
        ),
        (
            "[peak.running]\napp = commands.Alias(command=['try', 'demo'])\n\
             [peak.running.shortcuts]\ntry = commands.Alias(command=['launch'])\n",
            "app.ini\n  \
               launch\n    \
                 HTTP on tcp://localhost:0  (the default)\n      \
                   demo                     app.ini:2\n",
        ),
        (
            "app = commands.Alias(command=['FastCGI', 'unix:/run/app.sock', 'import:m:make()'])\n",
            "app.ini\n  \
               FastCGI\n    \
                 FastCGI on unix:/run/app.sock  app.ini:1\n      \
                   WSGI                         app.ini:1\n        \
                     import:m:make()            app.ini:1\n",
        ),
        (
            "app = importString('program.main')\n",
            "app.ini\n  import:program.main  app.ini:1\n",
        ),
        (
            "app = commands.Alias(command=['runIni', 'other.ini'])\n",
            "app.ini\n  runIni\n    other.ini\n      CGI\n        \
             CGI on the environment and standard input\n          \
             demo                                     [folder]/other.ini:1\n",
        ),
    ];
    for (file, tree) in cases {
        Folder::new()
            .file("app.ini", file)
            .file(
                "other.ini",
                "app = commands.Alias(command=['CGI', 'demo'])\n",
            )
            .runner(["graph", "app.ini"])
            .run()
            .is(0, tree, "");
    }
}

#[test]
fn graph_shows_what_arguments_change() {
    Folder::new()
        .file(
            "app.ini",
            "app = commands.Alias(command=['serve', 'demo'])\n",
        )
        .runner(["graph", "app.ini", "-p", "9000"])
        .run()
        .is(
            0,
            "app.ini\n  \
               serve\n    \
                 HTTP on tcp://localhost:9000  (the command line)\n      \
                   demo                        app.ini:1\n",
            "",
        );
}

/// An application without its options would be another one.
#[test]
fn graph_shows_options() {
    let folder = Folder::new().file("public/index.html", "").file(
        "app.ini",
        "app = commands.Alias(command=['launch', '--reload=browser', 'site'])\n\
         site = commands.Routes({\n\
         \x20   '/': ['files', 'public', '--cache', '*=no-cache', '--follow'],\n\
         \x20   '/api/': ['upstream', 'http', '--strip-prefix', '--ready', '/up', 'exec:', 'sh', '-c'],\n\
         })\n",
    );
    let graph = folder.runner(["graph", "app.ini"]).run();
    let graph = graph.success();
    for line in [
        "  launch --reload=browser\n",
        "files --cache '*=no-cache' --follow ",
        "upstream --strip-prefix --ready /up http exec: sh -c ",
    ] {
        assert!(graph.contains(line), "{line:?}\n{graph}");
    }
}

#[test]
fn options_behind_an_alias_override_its_own() {
    let alias = "app = commands.Alias(command=['serve', '-p', '8123', '--host', 'a', 'demo'])\n";
    let folder = Folder::new().file("app.ini", alias);
    let cases = [
        (&[][..], "tcp://a:8123"),
        (&["-p", "8124"], "tcp://a:8124"),
        (&["-p8124", "--port=8125", "--host", "b"], "tcp://b:8125"),
    ];
    for (arguments, url) in cases {
        let tree = folder
            .runner(["graph", "app.ini"])
            .arguments(arguments)
            .run();
        let wanted = format!("HTTP on {url} ");
        assert!(tree.success().contains(&wanted), "{url}: {tree:#?}");
    }
}

#[test]
fn wrong_usage_in_an_alias_is_shown_in_its_file() {
    let cases = [
        (
            "'serve', '-p', 'x', 'demo'",
            "option `--port` takes a number from 0 to 65535 but got `x`",
            "'x'",
            "",
        ),
        ("'serve'", "NAME_OR_URL is missing", "'serve'", ""),
        (
            "'FastCGI', 'demo', 'x'",
            "unexpected argument `x`",
            "'x'",
            "",
        ),
        (
            "'serve', 'demo', 'x'",
            "unexpected argument `x`",
            "'x'",
            "arguments for the application stand behind `--`",
        ),
        (
            "'serve', '--prot', '1', 'demo'",
            "there is no option `--prot`",
            "'--prot'",
            "did you mean `--port`?",
        ),
        (
            "*['serve', 'demo', 'x']",
            "unexpected argument `x`",
            "app",
            "arguments for the application stand behind `--`",
        ),
    ];
    for (words, message, word, hint) in cases {
        let line = format!("app = commands.Alias(command=[{words}])");
        let folder = Folder::new().file("app.ini", format!("{line}\n"));
        let at = line.find(word).expect("a word of the line");
        let caret = format!("{:at$}{}", "", "^".repeat(word.len()));
        let column = at + 1;
        let hint = match hint {
            "" => String::new(),
            hint => format!("  │\n  = hint: {hint}\n"),
        };
        let shown = format!(
            "error: {message}\n  ┌─ app.ini:1:{column}\n  │\n1 │ {line}\n  │ {caret}\n{hint}"
        );
        folder.runner(["runIni", "app.ini"]).run().is(1, "", &shown);
        folder.runner(["graph", "app.ini"]).run().is(1, "", &shown);
    }
    // Words on the command line after an alias can still be wrong usage, and can complete an alias.
    let folder = Folder::new().file("app.ini", "app = commands.Alias(command=['serve'])\n");
    assert_eq!(folder.runner(["runIni", "app.ini", "-x"]).run().status, 2);
    assert_eq!(folder.runner(["graph", "app.ini", "demo"]).run().status, 0);
}

#[test]
fn an_environment_variable_that_is_not_set_suggests_the_nearest() {
    let line = "app = commands.Alias(command=[config.Namespace('environ')['GREETNIG']])";
    Folder::new()
        .file("app.ini", format!("{line}\n"))
        .runner(["runIni", "app.ini"])
        .env("GREETING", "true")
        .run()
        .is(
            1,
            "",
            &format!(
                "error: setting `environ.GREETNIG` is not set\n  ┌─ app.ini:1:58\n  │\n1 │ {line}\n  │ \
                 {}{}\n  │\n  = hint: did you mean `environ.GREETING`?\n",
                " ".repeat(57),
                "^".repeat(12)
            ),
        );
}

#[test]
fn files_that_cannot_be_read_say_why_in_plain_words() {
    let folder = Folder::new().file("file", "");
    let link = folder.path("link");
    std::os::unix::fs::symlink("link", link).expect("a symbolic link");
    let long = "a".repeat(300);
    let cases = [
        ("file/x", "not a directory"),
        ("link", "too many levels of symbolic links"),
        (&*long, "file name too long"),
    ];
    for (name, reason) in cases {
        let outcome = folder.runner(["runIni", name]).run();
        assert_eq!(outcome.status, 1);
        let ending = format!("`: {reason}\n");
        assert!(outcome.stderr.ends_with(&ending), "{outcome:#?}");
    }
}

#[test]
fn files_that_run_one_another_have_a_bottom() {
    let line = |next: usize| format!("app = commands.Alias(command=['runIni', '{next}.ini'])\n");
    let chain = |folder: Folder, number| folder.file(format!("{number}.ini"), line(number + 1));
    let folder = (1..16_usize).fold(Folder::new(), chain);
    let folder = folder.file("16.ini", "app = commands.Alias(command=['true'])\n");
    folder.runner(["runIni", "1.ini"]).run().is(0, "", "");
    let folder = chain(folder, 16).file("17.ini", "app = commands.Alias(command=['true'])\n");
    let outcome = folder.runner(["runIni", "1.ini"]).run();
    let message = "error: files run one another more than 16 deep\n";
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.starts_with(message), "{}", outcome.stderr);
}
