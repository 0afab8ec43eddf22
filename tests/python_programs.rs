//! Python functions as programs: `runner import:package.module.object ARGS…`, and the Python that runs them.

mod support;

use support::Folder;

/// Functions that end in different ways.
const PROGRAM: &str = "\
import sys

def argv():
    print(sys.argv)

def nothing():
    pass

def seven():
    return 7

def message():
    return 'it is wrong'

def leave():
    sys.exit(3)

def fails():
    raise KeyError('x')

def factory():
    return seven

class Commands:
    @staticmethod
    def eight():
        return 8

text = 'x'
";

/// A Python that prints its arguments instead of running.
const FALSE_PYTHON: &str = "#!/bin/sh\necho $0\n";

#[test]
fn the_return_value_is_the_exit_status() {
    let cases = [
        ("program.nothing", 0, ""),
        ("program:nothing", 0, ""),
        ("program.seven", 7, ""),
        ("program.Commands.eight", 8, ""),
        ("program:Commands.eight", 8, ""),
        ("program.factory()", 7, ""),
        ("program:factory()", 7, ""),
        ("program.message", 1, "it is wrong\n"),
        ("program.leave", 3, ""),
        ("package.inner.nine", 9, ""),
        ("package.inner:nine", 9, ""),
        ("sys.exit", 0, ""),
    ];
    let folder = Folder::new()
        .file("program.py", PROGRAM)
        .file("package/__init__.py", "")
        .file("package/inner.py", "nine = lambda: 9\n");
    for (target, status, stderr) in cases {
        folder
            .runner([format!("import:{target}")])
            .run()
            .is(status, "", stderr);
    }
}

#[test]
fn it_reads_and_writes_like_any_program() {
    Folder::new()
        .file(
            "program.py",
            "import sys\ndef copy():\n    print(sys.stdin.read().upper())\n",
        )
        .runner(["import:program.copy"])
        .stdin("text")
        .run()
        .is(0, "TEXT\n", "");
}

#[test]
fn sys_argv_is_as_in_any_program() {
    let arguments = ["import:program.argv", "a b", "--help", "--", "-c"];
    Folder::new()
        .file("program.py", PROGRAM)
        .runner(arguments)
        .run()
        .is(
            0,
            "['import:program.argv', 'a b', '--help', '--', '-c']\n",
            "",
        );
}

/// A Python that prints its arguments, and modules that announce their import: those of the standard library, and one
/// of a unique name.
fn hostile(standard: &[&str]) -> Folder {
    let says = "import os\nos.write(2, b'imported from here\\n')\n";
    let folder = Folder::new()
        .file("here/.venv/pyvenv.cfg", "")
        .executable("here/.venv/bin/python", FALSE_PYTHON)
        .file("here/lure.py", format!("{says}seven = int\n"));
    let names = standard.iter().map(|name| format!("here/{name}.py"));
    names.fold(folder, |folder, name| folder.file(name, says))
}

/// Otherwise a user who can write to the current folder of another user could run code there.
#[test]
fn nothing_is_looked_for_here_when_a_file_of_another_folder_is_run() {
    let serve = "commands.Alias(command=['serve', 'WSGI', 'import:program.application'])";
    let application = "import json\n\ndef application(environ, start_response):\n    \
                       start_response('200 OK', [])\n    return [json.dumps('well').encode()]\n";
    let all = [
        "os",
        "sys",
        "json",
        "socket",
        "types",
        "traceback",
        "importlib",
        "platform",
        "resource",
        "struct",
        "threading",
        "signal",
        "logging",
        "select",
        "weakref",
        "atexit",
        "mmap",
    ];
    let folder = hostile(&all)
        .file("files/app.ini", "app = importString('program.seven')\n")
        .file("files/lure.ini", "app = importString('lure.seven')\n")
        .file("files/serve.ini", format!("app = {serve}\n"))
        .file("files/program.py", format!("{PROGRAM}\n{application}"));
    let run = |name: &str| {
        let program = folder.runner(["runIni", &format!("../files/{name}")]);
        program.current_folder(folder.path("here"))
    };
    run("app.ini").run().is(7, "", "");
    let outcome = run("lure.ini").run();
    let reason = "error: cannot import `lure.seven`: ModuleNotFoundError: No module named 'lure'\n";
    outcome.is(1, "", reason);
    let server = run("serve.ini").start();
    assert_eq!(server.get("/").ok(), "\"well\"");
    let outcome = server.stop();
    assert_eq!(outcome.status, 0);
    assert!(
        !outcome.stderr.contains("imported from here"),
        "{outcome:#?}"
    );
}

/// PYTHONPATH is for the application: the modules that `runner` itself needs come from the standard library.
#[test]
fn modules_of_the_standard_library_are_not_taken_from_elsewhere() {
    // Python itself may import some others before it runs anything.
    let ours = [
        "traceback",
        "socket",
        "platform",
        "resource",
        "select",
        "mmap",
    ];
    let folder = hostile(&ours).file("app/program.py", format!("{PROGRAM}\nimport lure\n"));
    for path in ["here", "."] {
        // Relative to the current folder, or the folder itself.
        let outcome = folder
            .runner(["import:program.seven"])
            .current_folder(folder.path("app"))
            .env("PYTHONPATH", format!("../{path}:"))
            .run();
        let wanted = match path {
            "here" => (7, "imported from here\n"),
            _ => (
                1,
                "error: cannot import `program.seven`: ModuleNotFoundError",
            ),
        };
        assert_eq!(outcome.status, wanted.0, "{outcome:#?}");
        assert!(outcome.stderr.starts_with(wanted.1), "{outcome:#?}");
        let imported = outcome.stderr.matches("imported from here").count();
        assert_eq!(imported, usize::from(path == "here"), "{outcome:#?}");
    }
}

#[test]
fn modules_are_found_beside_the_file_then_here_if_they_are_typed_then_where_python_looks() {
    let prints = |text: &str| format!("def main():\n    print({text:?})\n");
    let folder = Folder::new()
        .file("files/app.ini", "app = importString('both.main')\n")
        .file("files/here.ini", "app = importString('here.main')\n")
        .file("files/path.ini", "app = importString('path.main')\n")
        .file("files/both.py", prints("beside the file"))
        .file("cwd/both.py", prints("in the current folder"))
        .file("cwd/here.py", prints("in the current folder"))
        .file("lib/here.py", prints("on PYTHONPATH"))
        .file("lib/path.py", prints("on PYTHONPATH"));
    let cases: [(&[&str], &str); 5] = [
        (&["runIni", "../files/app.ini"], "beside the file\n"),
        (&["runIni", "../files/here.ini"], "on PYTHONPATH\n"),
        (&["runIni", "../files/path.ini"], "on PYTHONPATH\n"),
        (&["import:both.main"], "in the current folder\n"),
        (&["import:here.main"], "in the current folder\n"),
    ];
    for (words, printed) in cases {
        folder
            .runner(words)
            .current_folder(folder.path("cwd"))
            .env("PYTHONPATH", folder.path("lib"))
            .run()
            .is(0, printed, "");
    }
}

#[test]
fn modules_are_found_beside_the_target_of_a_link() {
    let folder = Folder::new()
        .file("real/app.ini", "app = importString('program.seven')\n")
        .file("real/program.py", PROGRAM)
        .file("links/x", "");
    std::os::unix::fs::symlink("../real/app.ini", folder.path("links/app.ini")).unwrap();
    folder
        .runner(["runIni", "links/app.ini"])
        .run()
        .is(7, "", "");
}

#[test]
fn names_that_lead_nowhere_are_one_message() {
    let cases = [
        ("program.sevne", "`program` has no attribute `sevne`"),
        (
            "program:Commands.nine",
            "`program.Commands` has no attribute `nine`",
        ),
        (
            "program.text",
            "`program.text` is not callable, it is a str",
        ),
        (
            "program.nothing()",
            "`program.nothing()` is not callable, it is a NoneType",
        ),
    ];
    let folder = Folder::new().file("program.py", PROGRAM);
    for (target, reason) in cases {
        folder.runner([format!("import:{target}")]).run().is(
            1,
            "",
            &format!("error: cannot use `import:{target}`: {reason}\n"),
        );
    }
}

#[test]
fn imports_that_fail_show_the_authors_part_of_the_traceback() {
    let folder = Folder::new().file("broken.py", "import nosuchmodule\n");
    folder.runner(["import:broken.main"]).run().is(
        1,
        "",
        "error: cannot import `broken.main`: ModuleNotFoundError: No module named 'nosuchmodule'\n\
         Traceback (most recent call last):\n  \
           File \"[folder]/broken.py\", line 1, in <module>\n    \
             import nosuchmodule\n\
         ModuleNotFoundError: No module named 'nosuchmodule'\n",
    );
    folder.runner(["import:nowhere.main"]).run().is(
        1,
        "",
        "error: cannot import `nowhere.main`: ModuleNotFoundError: No module named 'nowhere'\n",
    );
}

#[test]
fn errors_of_the_program_are_its_own() {
    let outcome = Folder::new()
        .file("program.py", PROGRAM)
        .runner(["import:program.fails"])
        .run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (1, ""));
    assert!(
        outcome.stderr.ends_with("KeyError: 'x'\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_nearest_python_is_used() {
    let folder = Folder::new()
        .file("plain/x", "")
        .file("neighbour/app.ini", "app = importString('a.b')\n")
        .file("neighbour/.venv/pyvenv.cfg", "")
        .executable("neighbour/.venv/bin/python", FALSE_PYTHON)
        .file("second/venv/pyvenv.cfg", "")
        .executable("second/venv/bin/python3", FALSE_PYTHON)
        .executable("active/bin/python3", FALSE_PYTHON)
        .executable("path/python3", FALSE_PYTHON)
        .executable("old/python", FALSE_PYTHON);
    let run = |current: &str, file: Option<&str>, active: &str, path: &str| {
        let words = match file {
            Some(file) => vec!["runIni", file],
            None => vec!["import:a.b"],
        };
        let program = folder.runner(words).current_folder(folder.path(current));
        let program = program.env("PATH", folder.path(path));
        match active {
            "" => program.run(),
            active => program.env("VIRTUAL_ENV", folder.path(active)).run(),
        }
    };
    let file = Some("../neighbour/app.ini");
    // An active environment, one next to the file, one in the current folder, the PATH.
    run("second", file, "active", "path").is(0, "[folder]/active/bin/python3\n", "");
    run("second", file, "", "path").is(0, "[folder]/neighbour/.venv/bin/python\n", "");
    run("second", None, "", "path").is(0, "[folder]/second/venv/bin/python3\n", "");
    run("plain", None, "", "path").is(0, "[folder]/path/python3\n", "");
    run("plain", None, "", "old").is(0, "[folder]/old/python\n", "");
}

#[test]
fn a_setting_names_another_python() {
    let folder = Folder::new()
        .executable("files/env/bin/python3", FALSE_PYTHON)
        .executable("bin/mypython", FALSE_PYTHON);
    let set = |python: &str| {
        let setting = format!("[runner]\npython = {python:?}\n");
        std::fs::write(folder.path("files/python.ini"), setting).unwrap();
        folder
            .runner(["-c", "files/python.ini", "import:a.b"])
            .env("PATH", folder.path("bin"))
            .run()
    };
    set("env").is(0, "[folder]/files/env/bin/python3\n", "");
    set("./env/bin/python3").is(0, "[folder]/files/./env/bin/python3\n", "");
    set("mypython").is(0, "[folder]/bin/mypython\n", "");
    let missing = set("nopython");
    assert_eq!((missing.status, missing.stdout.as_str()), (1, ""));
    let message = "error: there is no command `nopython` on PATH\n";
    assert!(missing.stderr.starts_with(message), "{}", missing.stderr);
    assert!(
        missing.stderr.contains("python.ini:2"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_python_that_cannot_run_is_reported_once() {
    let folder = Folder::new()
        .executable("python", "#!/nowhere/python3\n")
        .file("python.ini", "runner.python = './python'\n");
    let serve = ["-c", "python.ini", "serve", "WSGI", "import:a.b"];
    let why =
        "cannot run `[folder]/./python` (runner.python, python.ini:1): No such file or directory";
    let outcome = folder.runner(serve).run();
    outcome.is(1, "", &format!("error: {why}\n"));
}

#[test]
fn a_virtual_environment_whose_python_may_not_be_run() {
    let folder = Folder::new()
        .file(".venv/pyvenv.cfg", "")
        .file(".venv/bin/python3", "");
    folder.runner(["serve", "import:a.b"]).run().is(
        1,
        "",
        "error: cannot run `[folder]/.venv/bin/python3`, the Python of the virtual environment: it is not executable\n \
         = hint: let the server's user run it, or set `runner.python`\n",
    );
}

#[test]
fn no_python_at_all_is_one_message() {
    let folder = Folder::new().file("empty/x", "");
    for words in [
        &["import:a.b"][..],
        &["serve", "import:a.b"],
        &["CGI", "WSGI", "import:a.b"],
    ] {
        folder
            .runner(words)
            .env("PATH", folder.path("empty"))
            .run()
            .is(
                1,
                "",
                "error: there is no Python: neither a virtual environment nor `python3` on PATH\n \
             = hint: install Python 3.8 or later, or set `runner.python` to where it is\n",
            );
    }
}

#[test]
fn a_broken_environment_is_not_passed_over() {
    Folder::new()
        .file(".venv/pyvenv.cfg", "")
        .runner(["import:a.b"])
        .run()
        .is(
            1,
            "",
            "error: the virtual environment `[folder]/.venv` has no Python\n \
             = hint: make it anew, or set `runner.python`\n",
        );
}
