//! `check --import`: applications are imported as a server would, and what is wrong is shown where they are named.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use support::{Folder, project, version};

/// Checks a file as JSON.
const CHECK: [&str; 6] = ["runner", "check", "--import", "--format", "json", "app.ini"];

/// The message and the hint of the first problem in a report.
fn first(report: &str) -> (String, Option<String>) {
    let report: serde_json::Value = serde_json::from_str(report).expect("JSON");
    let text = |name: &str| report["problems"][0][name].as_str().map(str::to_owned);
    (text("message").expect("a message"), text("hint"))
}

/// A file that serves an application.
fn file(name: &str) -> String {
    format!("app = commands.Alias(command=['serve', 'WSGI', 'import:{name}'])\n")
}

/// A module that can be imported, and says in which process and with what that happens.
fn told() -> String {
    let tells = "import os, sys\nprint('imported', sys.argv, sys.prefix != sys.base_prefix, os.environ.get('STAGE'))\n";
    format!("{tells}{}", version(1))
}

#[test]
fn a_name_that_leads_to_no_application_is_shown_where_it_is_written() {
    let cases = [
        (
            "nope.application",
            "cannot import `nope.application`: ModuleNotFoundError: No module named 'nope'",
            "",
        ),
        (
            "shop.aplication",
            "cannot use `import:shop.aplication`: `shop` has no attribute `aplication`",
            "  │\n  = hint: write `import:shop.application` or `import:shop.create_app()`\n",
        ),
        (
            "shop.py",
            "cannot use `import:shop.py`: `shop` has no attribute `py`",
            "  │\n  = hint: write `import:shop.application` or `import:shop.create_app()`\n",
        ),
        (
            "bare.py",
            "cannot use `import:bare.py`: `bare` has no attribute `py`",
            "  │\n  = hint: write `import:bare.NAME`, with the application's name\n",
        ),
        (
            "shop.create_app",
            "cannot use `import:shop.create_app`: `shop.create_app` makes an application, as its name says, and is none itself",
            "  │\n  = hint: write `import:shop.create_app()`\n",
        ),
    ];
    let factory = "def create_app(config=None, *more):\n    return application\n";
    for (name, message, hint) in cases {
        let folder = Folder::new()
            .file("shop.py", format!("{}{factory}", version(1)))
            .file("bare.py", "def site(*arguments): ...\n")
            .file("app.ini", file(name));
        let carets = "^".repeat(name.len() + "'import:'".len());
        let report = format!(
            "\
error: {message}
  ┌─ app.ini:1:48
  │
1 │ app = commands.Alias(command=['serve', 'WSGI', 'import:{name}'])
  │                                                {carets}
{hint}
1 file: 1 error, 0 warnings
"
        );
        let outcome = folder.runner(["check", "--import", "app.ini"]).run();
        outcome.is(1, &report, "");
        // Without the option nothing is imported, and the summary says so.
        let outcome = folder.runner(["check", "app.ini"]).run();
        let summary = "1 file: no problems; 1 application not imported (--import)\n";
        outcome.is(0, summary, "");
    }
}

/// An ASGI application that prints what it is called for.
const ASGI: &str = "\
async def app(scope, receive, send):
    print('called for', scope['type'])
";

#[test]
fn an_asgi_application_is_imported_and_not_called() {
    let folder = Folder::new()
        .file("shop.py", ASGI)
        .file("app.ini", file("shop.app").replace("WSGI", "ASGI"));
    let outcome = folder.runner(["check", "--import", "app.ini"]).run();
    outcome.is(0, "1 file: no problems; 1 application imported\n", "");
}

#[test]
fn an_application_behind_the_wrong_word_is_shown_with_the_right_one() {
    let folder = Folder::new().file("shop.py", format!("{ASGI}{}", version(1)));
    for (word, name, kinds, right) in [
        (
            "'WSGI', ",
            "app",
            "an ASGI application, not a WSGI application",
            "ASGI",
        ),
        (
            "'ASGI', ",
            "application",
            "a WSGI application, not an ASGI application",
            "WSGI",
        ),
        (
            "",
            "app",
            "an ASGI application, not a WSGI application",
            "ASGI",
        ),
    ] {
        let text = file(&format!("shop.{name}")).replace("'WSGI', ", word);
        fs::write(folder.path("app.ini"), text).expect("a file");
        let report = folder.runner(CHECK.iter().skip(1)).run();
        let (message, hint) = first(&report.stdout);
        let said = format!("cannot use `import:shop.{name}`: `shop.{name}` is {kinds}");
        assert_eq!(message, said);
        assert_eq!(hint, Some(format!("write `{right} import:shop.{name}`")));
        assert_eq!(report.status, 1);
    }
}

/// A package without a module, and what is said instead of the attribute that it lacks.
#[test]
fn a_module_that_a_package_lacks_is_named_with_the_one_that_is_near() {
    let cases = [
        (
            "shop.wsgii.application",
            "cannot use `import:shop.wsgii.application`: there is no module or attribute `shop.wsgii`",
            Some("did you mean `shop.wsgi`?"),
        ),
        (
            "shop.wigs.application",
            "cannot use `import:shop.wigs.application`: there is no module or attribute `shop.wigs`",
            None,
        ),
        (
            "shop.sit.application",
            "cannot use `import:shop.sit.application`: there is no module or attribute `shop.sit`",
            Some("did you mean `shop.site`?"),
        ),
        (
            "shop.wsgii:application",
            "cannot import `shop.wsgii:application`: ModuleNotFoundError: No module named 'shop.wsgii'",
            Some("did you mean `shop.wsgi`?"),
        ),
        (
            "hsop.wsgi.application",
            "cannot import `hsop.wsgi.application`: ModuleNotFoundError: No module named 'hsop'",
            Some("did you mean `shop`?"),
        ),
        (
            "shop.absent",
            "cannot use `import:shop.absent`: `shop` has no attribute `absent`",
            None,
        ),
    ];
    for (name, message, hint) in cases {
        let folder = Folder::new()
            .file("shop/__init__.py", "class site:\n    pass\n")
            .file("shop/wsgi.py", version(1))
            .file("app.ini", file(name));
        let outcome = folder.runner(&CHECK[1..]).run();
        let expected = (message.to_owned(), hint.map(str::to_owned));
        assert_eq!(first(&outcome.stdout), expected, "{outcome:#?}");
    }
}

/// Python passes over a folder that it may not read, as if nothing were there.
#[test]
fn a_folder_that_cannot_be_read_is_named() {
    let cases = [
        (
            "shop.wsgi.application",
            "shop",
            "cannot use `import:shop.wsgi.application`: `[folder]/shop` cannot be read: permission denied",
            None,
        ),
        (
            "shop.inner.wsgi:application",
            "shop/inner",
            "cannot import `shop.inner.wsgi:application`: ModuleNotFoundError: No module named 'shop.inner.wsgi'",
            Some("`[folder]/shop/inner` cannot be read: permission denied"),
        ),
    ];
    for (name, closed, message, hint) in cases {
        let folder = Folder::new()
            .file("shop/__init__.py", "")
            .file("shop/wsgi.py", version(1))
            .file("shop/inner/__init__.py", "")
            .file("shop/inner/wsgi.py", version(1))
            .file("app.ini", file(name));
        let allow = |mode| {
            let rights = Permissions::from_mode(mode);
            fs::set_permissions(folder.path(closed), rights).expect("an owned folder");
        };
        allow(0o000);
        // Even root, which may read all folders, loses that right here.
        let outcome = match rustix::process::geteuid().is_root() {
            true => {
                let less = "--bounding-set=-dac_override,-dac_read_search";
                folder.program("setpriv", [less]).arguments(CHECK).run()
            }
            false => folder.runner(&CHECK[1..]).run(),
        };
        allow(0o755);
        let expected = (message.to_owned(), hint.map(str::to_owned));
        assert_eq!(first(&outcome.stdout), expected, "{outcome:#?}");
    }
}

#[test]
fn an_application_is_imported_once_as_a_server_would() {
    let settings = "[runner]\npython = '.venv'\n";
    let folder = Folder::new()
        .file("site/shop.py", told())
        .file(
            "site/app.ini",
            format!("{}{settings}", file("shop.application")),
        )
        .file(
            "site/again.ini",
            format!("{}{settings}", file("shop.application")),
        )
        .file(
            "site/app.conf",
            "Command serve WSGI import:shop.application -- --fast\nPidFile app.pid\n",
        );
    std::os::unix::fs::symlink(project("target/venv"), folder.path("site/.venv")).expect("a link");
    let check = |files: &[&str]| {
        let program = folder.runner(["check", "--import"]).arguments(files);
        program.env("STAGE", "test").run()
    };
    check(&["site/app.ini", "site/again.ini"]).is(
        0,
        "2 files: no problems; 1 application imported\n",
        "imported ['site/app.ini'] True test\n",
    );
    let outcome = check(&["site/app.conf"]);
    assert!(outcome.stdout.contains("imported\n"), "{outcome:#?}");
    let told = "imported ['site/app.conf', '--fast'] True test\n";
    assert_eq!(outcome.stderr, told, "{outcome:#?}");
}

#[test]
fn an_error_in_a_module_keeps_its_traceback_out_of_the_report() {
    let folder = Folder::new()
        .file("shop.py", "print('begins')\nimport nosuchmodule\n")
        .file("app.ini", file("shop.application"));
    let outcome = folder
        .runner(["check", "--import", "--format", "json", "app.ini"])
        .run();
    assert_eq!(outcome.status, 1, "{outcome:#?}");
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let problem = &report["problems"][0];
    let message =
        "cannot import `shop.application`: ModuleNotFoundError: No module named 'nosuchmodule'";
    assert_eq!(problem["message"], message);
    assert_eq!(problem["code"], "name/import");
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&1.into(), &48.into())
    );
    assert_eq!(
        outcome.stderr,
        format!(
            "begins\n{message}\nTraceback (most recent call last):\n  File \"[folder]/shop.py\", line 2, in <module>\n    \
             import nosuchmodule\nModuleNotFoundError: No module named 'nosuchmodule'\n"
        )
    );
}

/// It ends without the application's leave, and what it has written is there.
#[test]
fn an_import_does_not_wait_for_threads_and_exit_handlers() {
    let waits = "\
import atexit, threading
threading.Thread(target=threading.Event().wait).start()
atexit.register(threading.Event().wait)
print('begins', end='')
";
    let settings = "[runner]\nstop_timeout = '1h'\n";
    let folder = Folder::new()
        .file("shop.py", format!("{waits}{}", version(1)))
        .file("app.ini", format!("{}{settings}", file("shop.application")));
    let outcome = folder.runner(["check", "--import", "app.ini"]).run();
    let report = "1 file: no problems; 1 application imported\n";
    outcome.is(0, report, "begins");
}

#[test]
fn an_import_has_a_time_limit_and_leaves_nothing() {
    let hangs = "import subprocess, threading\nsubprocess.Popen(['cat'], stdin=subprocess.PIPE)\nthreading.Event().wait()\n";
    let settings = "[runner]\nstart_timeout = '500ms'\n";
    let folder = Folder::new()
        .file("shop.py", hangs)
        .file("app.ini", format!("{}{settings}", file("shop.application")));
    let outcome = folder.runner(["check", "--import", "app.ini"]).run();
    assert_eq!(outcome.status, 1, "{outcome:#?}");
    let message = "error: `shop.application` was not imported within 0.5 s (runner.start_timeout)";
    assert!(outcome.stdout.starts_with(message), "{outcome:#?}");
    assert!(outcome.stdout.contains("app.ini:1:48"), "{outcome:#?}");
}
